//! Reading the tree: every error of every file, not the first one.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::host::HostTree;
use super::locate::{Node, line_and_column, steps};
use super::model::{Config, Location};
use super::permissions::{Permission, Role};
use super::routing_tree::{
    FieldsTree, HoursTree, QueueTree, SkillTree, StrategyTree, WorkstreamTree,
};
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
    let config = reader.resolve(root);
    if reader.problems.is_empty() {
        return Ok(config);
    }
    reader.problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    Err(ConfigErrors(reader.problems))
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
        if let Err(error) = options().from_str::<ron::Value>(&text) {
            let (line, column) = (error.span.start.line, error.span.start.col);
            let message = match error.code {
                ron::Error::ExceededRecursionLimit => {
                    "brackets within brackets within brackets: nothing in a configuration is nested so deeply".to_owned()
                }
                code => format!("this isn't RON: {code}"),
            };
            self.problems.push(Problem { file, line, column, path: String::new(), message });
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

/// The most bytes of one file: a thousand agents take 100 KB.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// A regular file of a sensible size; a pipe would never end.
///
/// # Errors
/// A sentence: what is wrong with it.
pub fn read_whole(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("can't be read: {error}");
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() {
        return Err("isn't a regular file".to_owned());
    }
    if about.len() > MOST_BYTES {
        let (size, most) = (about.len(), MOST_BYTES);
        return Err(format!("has {size} bytes; at most {most}: spread it over several files"));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// The folder and all in it: each may have files of the configuration. What begins with a dot isn't
/// looked at: editors keep their own files so, and Kubernetes the versions behind a mounted folder. A
/// folder that is reached by several links is looked at once.
///
/// # Errors
/// The file system's own.
pub fn folders(root: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut folders = vec![root.to_owned()];
    let mut known = HashSet::from([root.canonicalize()?]);
    let mut looked_at = 0;
    while let Some(folder) = folders.get(looked_at).cloned() {
        for path in visible(&folder)?.into_iter().filter(|path| path.is_dir()) {
            if path.canonicalize().is_ok_and(|real| known.insert(real)) {
                folders.push(path);
            }
        }
        looked_at += 1;
    }
    Ok(folders)
}

fn files(root: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in folders(root)? {
        let is_ron = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "ron");
        files.extend(visible(&folder)?.into_iter().filter(|path| is_ron(path) && !path.is_dir()));
    }
    files.sort();
    Ok(files)
}

fn visible(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.ron"), text).unwrap();
        match load(folder.path()) {
            Ok(_) => Vec::new(),
            Err(errors) => errors
                .0
                .iter()
                .map(|p| format!("{}:{} {}: {}", p.line, p.column, p.path, p.message))
                .collect(),
        }
    }

    fn expect(found: &[String], start: &str, part: &str) {
        let hit = found.iter().any(|p| p.starts_with(start) && p.contains(part));
        assert!(hit, "{start} … {part} in {found:#?}");
    }

    // OPS-01
    #[test]
    fn a_file_of_another_shape_is_no_empty_configuration() {
        for text in [
            "x", "1", "[]", "\"x\"", "true", "Some(1)", "", "{}", "'x'", "x(1)", "(1, 2)", "None",
            "(5)", "(\"x\")", "([])", "((x))", "((1))", "(())", "(,)",
        ] {
            assert!(!problems(text).is_empty(), "{text:?} is taken for a configuration");
        }
        for text in ["()", "( )", "(\n// nothing yet\n)", "(/* nothing */)"] {
            assert_eq!(problems(text), Vec::<String>::new(), "{text:?}");
        }
        for section in
            ["agents", "queues", "channels", "workstreams", "skills", "hours", "strategies"]
        {
            for value in ["5", "\"x\"", "()", "{}", "(id: \"x\")", "true"] {
                let text = format!("({section}: {value})");
                let found = problems(&text);
                expect(&found, "1:", "is a list");
                assert_eq!(found.len(), 1, "{text}: {found:#?}");
            }
            assert_eq!(problems(&format!("({section}: [])")), Vec::<String>::new());
        }
        let deep = format!("(queues: {}1{})", "[".repeat(500), "]".repeat(500));
        expect(&problems(&deep), "1:", "nested so deeply");
    }

    // OPS-01
    #[test]
    fn one_mistake_is_one_error() {
        let text = r#"(
    workstreams: [(id: "sms", kind: messaging, queue: "support", offer_timout: "30s")],
    queues: [(id: "support", ordr: oldest_first)],
    skills: [(id: "german", x: 1)],
    channels: [(id: "c", plugin: "p", workstream: "sms")],
    agents: [(id: "kim", queues: ["support"], skills: {"german": 2})],
)"#;
        let found = problems(text);
        assert_eq!(found.len(), 3, "{found:#?}");
        expect(&found, "2:", "offer_timout");
        expect(&found, "3:", "ordr");
        expect(&found, "4:", "`x`");
    }

    // OPS-01
    #[test]
    fn only_files_are_read_and_links_dont_go_round() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a.ron"), "(queues: [(id: \"support\")])").unwrap();
        std::os::unix::fs::symlink(folder.path(), path("loop")).unwrap();
        assert_eq!(load(folder.path()).unwrap().queues.len(), 1);
        let pipe = std::process::Command::new("mkfifo").arg(path("pipe.ron")).status().unwrap();
        assert!(pipe.success());
        std::fs::write(path("large.ron"), "x".repeat(5_000_000)).unwrap();
        let errors = load(folder.path()).unwrap_err().to_string();
        assert!(errors.contains("pipe.ron:1:1: isn't a regular file"), "{errors}");
        assert!(errors.contains("has 5000000 bytes; at most 4194304"), "{errors}");
        assert_eq!(errors.lines().count(), 2, "{errors}");
    }

    /// The sample configuration with one thing changed: it is what it was, or it is refused. Never is less
    /// of it read without a word.
    // OPS-01
    #[test]
    fn what_is_changed_by_chance_is_read_whole_or_refused() {
        let sample = include_str!("../../../config/cordboard.ron");
        let whole = || {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("a.ron"), sample).unwrap();
            load(folder.path()).unwrap()
        };
        let (queues, labels) = (whole().queues.len(), whole().labels.len());
        let mut rng = fastrand::Rng::with_seed(7);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.ron");
        let bits = [
            "(", ")", "[", "]", ",", ":", "\"", "x", "1", "//", "/*", "", "()", "[]", "None",
            "\u{0}",
        ];
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..3000 {
            let mut text: Vec<char> = sample.chars().collect();
            let at = rng.usize(..text.len());
            let end = (at + rng.usize(..4)).min(text.len());
            text.splice(at..end, bits[rng.usize(..bits.len())].chars());
            std::fs::write(&file, text.into_iter().collect::<String>()).unwrap();
            match load(folder.path()) {
                Err(errors) => {
                    refused += 1;
                    assert!(!errors.0.is_empty() && errors.0.len() < 40, "{errors}");
                }
                Ok(config) => {
                    taken += 1;
                    // A comment may swallow one; a section never goes.
                    assert!(config.queues.len() + 1 >= queues && config.labels.len() + 1 >= labels);
                    assert_eq!(config.workstreams.len(), 1);
                }
            }
        }
        assert!(taken > 300 && refused > 300, "{taken} taken, {refused} refused");
    }

    // OPS-01 ROUTE-02
    #[test]
    fn every_error_is_reported_with_its_place_and_what_would_be_right() {
        let found = problems(
            r#"(
    queues: [(id: "support"), (id: "Support Desk"), (id: "support", order: Random)],
    workstreams: [
        (id: "sms", kind: "messaging", queue: "suport", offer_timeout: "30"),
        (id: "web", kind: chat, queue: "sales", units: 0),
    ],
    agents: [(id: "kim", queues: ["support", "nowhere"], colour: "red"), (id: "lee", queues: ["nowhere"])],
    quues: [],
)"#,
        );
        let expect = |start: &str, part: &str| expect(&found, start, part);
        expect("2:36 queues[1].id", "isn't a name");
        expect("2:", "Random");
        expect("4:", "workstreams[0]");
        expect("5:40 workstreams[1].queue", "no queue \"sales\"; known:");
        expect("5:56 workstreams[1].units", "0 is too small; from 1 to 10000");
        expect("7:", "colour");
        expect("7:95 agents[1].queues[0]", "nowhere");
        expect("8:12 quues", "no such section");
    }

    // ROUTE-02 ROUTE-11 HOURS-01 PRES-01 PRES-08
    #[test]
    fn a_rule_that_names_something_unknown_is_refused_at_its_place() {
        let found = problems(
            r#"(
    skills: [(id: "german")],
    fields: (contact: ["tier"]),
    hours: [
        (id: "office", zone: "Europe/Berlin", week: (mon: ["9-17"])),
        (id: "moon", zone: "Luna/Tranquility", week: ()),
    ],
    queues: [(id: "support", strategy: plugin("lots"), hours: "ofice",
        overflow: [(when: WaitedFor("5m"), then: Queue("suport"))])],
    workstreams: [(id: "sms", kind: messaging, queue: "support", rules: [
        (name: "a", when: [Channel(["fax"]), Contact("teir", Is("gold"))], queue: "sales"),
        (name: "b", when: [Not(Within("never")), Country(["Germany"])], skills: {"french": 12}),
    ])],
    agents: [(id: "kim", queues: ["support"], light: true, skills: {"german": 0})],
    presence: (labels: [(id: "home", status: offline)]),
)"#,
        );
        let expect = |start: &str, part: &str| expect(&found, start, part);
        expect("5:", "\"09:00-17:30\"");
        expect("6:28 hours[1].zone", "Europe/Berlin");
        expect("8:40 queues[0].strategy", "no strategy \"lots\"; none is configured");
        expect("8:63 queues[0].hours", "no set of hours \"ofice\"; known:");
        expect("9:50 queues[0].overflow[0].then", "no queue \"suport\"; known: support");
        expect("11:28 workstreams[0].rules[0].when[0]", "no channel \"fax\"");
        expect("11:46 workstreams[0].rules[0].when[1]", "no contact field \"teir\"; known: tier");
        expect("11:83 workstreams[0].rules[0].queue", "no queue \"sales\"");
        expect("12:28 workstreams[0].rules[1].when[0]", "no set of hours \"never\"");
        expect("12:50 workstreams[0].rules[1].when[1]", "\"DE\"");
        expect("12:", "no skill \"french\"; known: german");
        expect("12:", "12 is too large; from 1 to 10");
        expect("14:34 agents[0].queues", "light agent");
        expect("14:", "german: 0 is too small; from 1 to 10");
        expect("15:46 presence.labels[0].status", "isn't chosen");
    }

    // OPS-01
    #[test]
    fn every_number_has_a_range_and_a_place() {
        let found = problems(
            r#"(
    queues: [(id: "support", relax: [(after: "1ms", to: 11)], overflow: [
        (when: waited_for("1ms"), then: message("hello")), (when: longer_than(1000001), then: end(None))])],
    workstreams: [(id: "sms", kind: messaging, queue: "support", priority: 1001,
        offer_timeout: "0s", end_after: "0s", inactivity: "0s", wrap_up_limit: "0s", affinity: "25h",
        wrap_up: for("0s"), on_offline: return_after("0s"), consult_search: "2h", reopen_within: "4000d",
        rules: [(name: "a", when: [], units: 0, priority: -1001)])],
    presence: (grace: "0s", idle: (after: "0s", status: online), missed_offers: (limit: 0), most_labels: 1, default: busy,
        labels: [(id: "a", status: away), (id: "b", status: away)]),
    capacity: (chat: 10001, units: 1000001),
    agents: [(id: "kim", queues: ["support"], grace: "2h", capacity: (email: 10001))],
    host: (keep_routing_log: "4000d"),
    channels: [(id: "x", plugin: "x", workstream: "sms", max_text: 0)],
)"#,
        );
        for start in [
            "2:46 queues[0].relax[0].after: 1ms is too small; from 100ms to 30d",
            "2:57 queues[0].relax[0].to: 11 is too large",
            "3:16 queues[0].overflow[0].when: 1ms is too small",
            "3:67 queues[0].overflow[1].when: 1000001 is too large",
            "4:76 workstreams[0].priority: 1001 is too large; from -1000 to 1000",
            "5:24 workstreams[0].offer_timeout: 0s is too small; from 1s to 7d",
            "5:41 workstreams[0].end_after: 0s is too small",
            "5:59 workstreams[0].inactivity: 0s is too small",
            "5:80 workstreams[0].wrap_up_limit: 0s is too small",
            "5:96 workstreams[0].affinity: 25h is too large; from 0s to 1d",
            "6:18 workstreams[0].wrap_up: 0s is too small",
            "6:41 workstreams[0].on_offline: 0s is too small",
            "6:77 workstreams[0].consult_search: 2h is too large",
            "6:98 workstreams[0].reopen_within: 4000d is too large",
            "7:46 workstreams[0].rules[0].units: 0 is too small",
            "7:59 workstreams[0].rules[0].priority: -1001 is too small",
            "8:23 presence.grace: 0s is too small",
            "8:43 presence.idle.after: 0s is too small",
            "8:57 presence.idle.status: `online` isn't what somebody is set to",
            "8:89 presence.missed_offers.limit: 0 is too small",
            "8:118 presence.default: `busy` isn't a default",
            "9:17 presence.labels: 2 labels; at most 1",
            "10:22 capacity.chat: 10001 is too large",
            "10:36 capacity.units: 1000001 is too large",
            "11:54 agents[0].grace: 2h is too large",
            "11:78 agents[0].capacity.email: 10001 is too large",
            "12:30 host.keep_routing_log: 4000d is too large",
            "13:68 channels[0].max_text: 0 is too small",
        ] {
            assert!(found.iter().any(|p| p.starts_with(start)), "{start} in {found:#?}");
        }
    }

    // OPS-01
    #[test]
    fn the_spellings_of_earlier_versions_are_still_read() {
        let text = |old: bool| {
            let (names, env) = match old {
                true => (["OldestFirst", "WaitedFor", "Queue", "For", "ReturnAfter"], "Env"),
                false => (["oldest_first", "waited_for", "queue", "for", "return_after"], "env"),
            };
            let [order, waited, queue, wrap_up, offline] = names;
            let (text, is) = if old { ("Text", "Is") } else { ("text", "is") };
            format!(
                r#"(queues: [(id: "a", order: {order}, overflow: [(when: {waited}("5m"), then: {queue}("b"))]), (id: "b")],
                workstreams: [(id: "sms", kind: messaging, queue: "a", wrap_up: {wrap_up}("30s"),
                    on_offline: {offline}("2m"), rules: [(name: "r", when: [{text}({is}("x"))])])],
                channels: [(id: "x", plugin: "x", workstream: "sms", secrets: {{"k": {env}("K")}})])"#
            )
        };
        let read = |text: String| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("a.ron"), text).unwrap();
            let config = load(folder.path()).unwrap();
            let workstream = config.workstreams[&"sms".into()].clone();
            (workstream, config.queues[0].settings.clone(), config.channels[0].secrets.clone())
        };
        assert_eq!(read(text(true)), read(text(false)));
    }

    #[test]
    fn text_that_is_no_ron_is_named_with_its_place() {
        let found = problems("(queues: [");
        assert!(found[0].starts_with("1:10") && found[0].contains("RON"), "{found:?}");
    }
}
