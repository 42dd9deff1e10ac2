//! Reading the tree: every error of every file, not the first one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::files::{files, read_whole};
use super::host::HostTree;
use super::locate::{Node, line_and_column, steps};
use super::model::{Config, Location};
use super::permissions::{Permission, Role};
use super::routing_tree::{
    FieldsTree, HoursTree, QueueTree, SkillTree, StrategyTree, WorkstreamTree,
};
use crate::letters::is_disguise;

use super::tree::{AgentTree, CapacityTree, ChannelTree, PresenceTree, Problem};

/// Everything that is wrong with a configuration.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<Problem>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Reads every `.ron` file below the folder and checks all of it.
///
/// # Errors
/// Every problem found, with file, line and column.
pub fn load(root: &Path) -> Result<Config, ConfigErrors> {
    let mut reader = Reader::default();
    reader.read_folder(root);
    if reader.has_unread {
        // What stands in such a file counts as known, and nobody can tell what that is.
        return Err(reader.all_problems());
    }
    let config = reader.resolve(root);
    if reader.problems.is_empty() {
        return Ok(config);
    }
    Err(reader.all_problems())
}

/// A file's text and the places of its values.
pub(super) struct Source {
    pub file: PathBuf,
    text: String,
    node: Node,
}

/// A part and where it stands: the index of its source, and its path there.
pub(super) struct Placed<T> {
    pub value: T,
    pub source: usize,
    pub path: String,
}

/// What has been read so far, section by section.
#[derive(Default)]
pub(super) struct Reader {
    pub sources: Vec<Source>,
    problems: Vec<Problem>,
    /// A file couldn't be read at all.
    has_unread: bool,
    /// Section and name of what couldn't be read.
    lost: Vec<(String, String)>,
    pub host: Option<Placed<HostTree>>,
    pub presence: Option<Placed<PresenceTree>>,
    pub capacity: Option<Placed<CapacityTree>>,
    pub fields: Option<Placed<FieldsTree>>,
    pub permissions: Option<Placed<BTreeMap<Role, Vec<Permission>>>>,
    pub channels: Vec<Placed<ChannelTree>>,
    pub workstreams: Vec<Placed<WorkstreamTree>>,
    pub queues: Vec<Placed<QueueTree>>,
    pub agents: Vec<Placed<AgentTree>>,
    pub skills: Vec<Placed<SkillTree>>,
    pub hours: Vec<Placed<HoursTree>>,
    pub strategies: Vec<Placed<StrategyTree>>,
}

impl Reader {
    fn all_problems(mut self) -> ConfigErrors {
        self.problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        ConfigErrors(self.problems)
    }

    fn read_folder(&mut self, root: &Path) {
        let files = match files(root) {
            Ok(files) => files,
            Err(error) => {
                let folder = root.display();
                let message = format!("can't read the configuration folder {folder}: {error}");
                self.whole_file(root, message);
                return;
            }
        };
        if files.is_empty() {
            self.whole_file(root, "there is no .ron file in this folder".to_owned());
        }
        for file in files {
            match read_whole(&file) {
                Ok(text) => self.read_file(file, text),
                Err(why) => self.whole_file(&file, why),
            }
        }
    }

    fn read_file(&mut self, file: PathBuf, text: String) {
        let value = match options().from_str::<ron::Value>(&text) {
            Ok(value) => value,
            Err(error) => {
                let (line, column) = (error.span.start.line, error.span.start.col);
                let message = match error.code {
                ron::Error::ExceededRecursionLimit => {
                    "brackets within brackets within brackets: nothing in a configuration is nested so deeply".to_owned()
                }
                code => format!("this isn't RON: {code}"),
            };
                self.problems.push(Problem { file, line, column, path: String::new(), message });
                self.has_unread = true;
                return;
            }
        };
        if let Some((words, c)) = disguised(&value) {
            let (words, code) = (words.escape_debug(), u32::from(c));
            let message =
                format!("\"{words}\" holds the character U+{code:04X}, which nobody can see");
            // One that is written as a number isn't found so.
            let (line, column) = text.find(c).map_or((1, 1), |at| line_and_column(&text, at));
            self.problems.push(Problem { file, line, column, path: String::new(), message });
            self.has_unread = true;
            return;
        }
        let node = Node::parse(&text);
        // A file that holds something else isn't an empty one: it would remove what stood in it.
        let is_struct = node.is_empty_struct(&text) || !node.fields().is_empty();
        if !is_struct {
            let message =
                "a file holds sections in round brackets, such as (queues: [(id: \"support\")])";
            self.whole_file(&file, message.to_owned());
            return;
        }
        let repeated = node.repeated();
        if !repeated.is_empty() {
            self.problems.extend(repeated.into_iter().map(|(name, at)| {
                let (line, column) = line_and_column(&text, at);
                let message = format!("`{name}` stands twice in these brackets: leave one");
                Problem { file: file.clone(), line, column, path: name.to_owned(), message }
            }));
            self.has_unread = true;
            return;
        }
        let source = self.sources.len();
        self.sources.push(Source { file, text, node });
        let sections: Vec<(String, usize)> = self.sources[source]
            .node
            .fields()
            .iter()
            .map(|(name, node)| (name.clone(), node.items().len()))
            .collect();
        for (section, items) in sections {
            match section.as_str() {
                "host" => self.only(source, &section, |reader| &mut reader.host),
                "presence" => self.only(source, &section, |reader| &mut reader.presence),
                "capacity" => self.only(source, &section, |reader| &mut reader.capacity),
                "fields" => self.only(source, &section, |reader| &mut reader.fields),
                "permissions" => self.only(source, &section, |reader| &mut reader.permissions),
                "channels" => self.list(source, &section, items, |reader| &mut reader.channels),
                "workstreams" => {
                    self.list(source, &section, items, |reader| &mut reader.workstreams);
                }
                "queues" => self.list(source, &section, items, |reader| &mut reader.queues),
                "agents" => self.list(source, &section, items, |reader| &mut reader.agents),
                "skills" => self.list(source, &section, items, |reader| &mut reader.skills),
                "hours" => self.list(source, &section, items, |reader| &mut reader.hours),
                "strategies" => {
                    self.list(source, &section, items, |reader| &mut reader.strategies);
                }
                other => self.problem(
                    source,
                    other,
                    "there is no such section; there are `host`, `channels`, `workstreams`, `queues`, `agents`, `skills`, `hours`, `presence`, `capacity`, `fields`, `permissions` and `strategies`",
                ),
            }
        }
    }

    /// A section that stands once.
    fn only<T: DeserializeOwned>(
        &mut self,
        source: usize,
        section: &str,
        place: impl Fn(&mut Self) -> &mut Option<Placed<T>>,
    ) {
        let part = self.part(source, section.to_owned());
        if place(self).is_some() {
            let message = format!("`{section}` stands in another file already");
            self.problem(source, section, message);
        } else {
            *place(self) = part;
        }
    }

    /// A section that is a list, joined over files; each item is read alone, so that one wrong item
    /// doesn't hide the next.
    fn list<T: DeserializeOwned>(
        &mut self,
        source: usize,
        section: &str,
        items: usize,
        list: impl Fn(&mut Self) -> &mut Vec<Placed<T>>,
    ) {
        let node = self.sources[source].node.find(&steps(section));
        if items == 0 && !node.is_empty_list(&self.sources[source].text) {
            let message = format!("`{section}` is a list: {section}: [(id: …), …]");
            self.problem(source, section, message);
            return;
        }
        for index in 0..items {
            let part = self.part(source, format!("{section}[{index}]"));
            list(self).extend(part);
        }
    }

    /// What can't be read may be named elsewhere all the same: that isn't another mistake.
    fn note_lost(&mut self, source: usize, path: &str) {
        let Source { text, node, .. } = &self.sources[source];
        let id = node.find(&steps(&format!("{path}.id"))).range.clone();
        let id = text[id].trim().trim_matches('"');
        let section = path.split('[').next().unwrap_or_default();
        if is_name(id) {
            self.lost.push((section.to_owned(), id.to_owned()));
        }
    }

    /// Names of what stands in a section and can't be read.
    pub(super) fn lost(&self, section: &str) -> impl Iterator<Item = String> {
        let of_section = self.lost.iter().filter(move |(known, _)| known == section);
        of_section.map(|(_, id)| id.clone()).collect::<Vec<_>>().into_iter()
    }

    fn part<T: DeserializeOwned>(&mut self, source: usize, path: String) -> Option<Placed<T>> {
        let part_path = path.clone();
        let Source { text, node, .. } = &self.sources[source];
        let range = node.find(&steps(&path)).range.clone();
        let slice = &text[range.clone()];
        let options = options();
        let mut deserializer = match ron::de::Deserializer::from_str_with_options(slice, &options) {
            Ok(deserializer) => deserializer,
            Err(error) => {
                self.problem(source, &path, error.code.to_string());
                return None;
            }
        };
        match serde_path_to_error::deserialize(&mut deserializer) {
            Ok(value) => Some(Placed { value, source, path }),
            Err(error) => {
                let inner = error.path().to_string();
                let inner = if inner == "." { String::new() } else { inner };
                let spanned = deserializer.span_error(error.into_inner());
                let start = spanned.span.start;
                let (base_line, base_column) = line_and_column(text, range.start);
                let line = base_line + start.line - 1;
                let column = if start.line == 1 { base_column + start.col - 1 } else { start.col };
                let path = if inner.is_empty() { path } else { format!("{path}.{inner}") };
                let file = self.sources[source].file.clone();
                let message = match spanned.code {
                    ron::Error::ExceededRecursionLimit => "nested too deeply".to_owned(),
                    ron::Error::ExpectedIdentifier if path.contains(".secrets") => {
                        "a secret doesn't stand in a configuration: env(\"NAME\"), file(\"PATH\") or credential(\"NAME\") says where it is".to_owned()
                    }
                    code => code.to_string(),
                };
                self.note_lost(source, &part_path);
                self.problems.push(Problem { file, line, column, path, message });
                None
            }
        }
    }

    /// Something wrong with a setting that could be read.
    pub(super) fn problem(&mut self, source: usize, path: &str, message: impl Into<String>) {
        let Source { file, text, node } = &self.sources[source];
        let (line, column) = line_and_column(text, node.find(&steps(path)).range.start);
        self.problems.push(Problem {
            file: file.clone(),
            line,
            column,
            path: path.to_owned(),
            message: message.into(),
        });
    }

    fn whole_file(&mut self, file: &Path, message: String) {
        let file = file.to_owned();
        self.problems.push(Problem { file, line: 1, column: 1, path: String::new(), message });
        self.has_unread = true;
    }
}

/// A problem that was found after loading, at its place in a file: a plugin's complaint about one
/// of its settings, say.
pub fn place_in_file(place: &Location, path: &str, message: String) -> Problem {
    let path = match path {
        "" => place.path.clone(),
        inner => format!("{}.{inner}", place.path),
    };
    let text = std::fs::read_to_string(&place.file).unwrap_or_default();
    let start = Node::parse(&text).find(&steps(&path)).range.start;
    let (line, column) = line_and_column(&text, start);
    Problem { file: place.file.clone(), line, column, path, message }
}

/// Whether it can name a channel, queue, agent: 1 to 64 lower-case letters, digits, `-` and `_`.
pub fn is_name(id: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    (1..=64).contains(&id.len()) && id.chars().all(is_allowed)
}

fn options() -> ron::Options {
    ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME)
}

/// A text that isn't what it looks like, and by which letter.
fn disguised(value: &ron::Value) -> Option<(String, char)> {
    match value {
        ron::Value::String(text) => {
            let found = text.chars().find(|c| is_disguise(*c))?;
            Some((text.chars().take(60).collect(), found))
        }
        ron::Value::Seq(all) => all.iter().find_map(disguised),
        ron::Value::Map(all) => {
            all.iter().find_map(|(key, value)| disguised(key).or_else(|| disguised(value)))
        }
        ron::Value::Option(Some(value)) => disguised(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
