//! Reading the tree: every error of every file, not the first one.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cordboard_core::agent::Settings;
use cordboard_core::capacity::{Counts, Limits, Units};
use cordboard_core::ids::{AgentId, ChannelId, QueueId, WorkstreamId};
use cordboard_core::workstream::{Workstream, WrapUpHold};
use serde::de::DeserializeOwned;

use super::locate::{Node, line_and_column, steps};
use super::model::{AgentConfig, ChannelConfig, Config, HostConfig, Place, QueueConfig};
use super::tree::{
    AgentTree, ChannelTree, HostTree, Problem, QueueTree, WorkstreamTree, WrapUpTree,
};

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
struct Source {
    file: PathBuf,
    text: String,
    node: Node,
}

/// A part and where it stands: the index of its source, and its path there.
struct Placed<T> {
    value: T,
    source: usize,
    path: String,
}

#[derive(Default)]
struct Reader {
    sources: Vec<Source>,
    problems: Vec<Problem>,
    host: Option<Placed<HostTree>>,
    channels: Vec<Placed<ChannelTree>>,
    workstreams: Vec<Placed<WorkstreamTree>>,
    queues: Vec<Placed<QueueTree>>,
    agents: Vec<Placed<AgentTree>>,
}

impl Reader {
    fn read_folder(&mut self, root: &Path) {
        let mut files = Vec::new();
        if let Err(error) = collect(root, &mut files) {
            let folder = root.display();
            let message = format!("can't read the configuration folder {folder}: {error}");
            self.whole_file(root, message);
            return;
        }
        files.sort();
        if files.is_empty() {
            self.whole_file(root, "there is no .ron file in this folder".to_owned());
        }
        for file in files {
            match std::fs::read_to_string(&file) {
                Ok(text) => self.read_file(file, text),
                Err(error) => self.whole_file(&file, format!("can't be read: {error}")),
            }
        }
    }

    fn read_file(&mut self, file: PathBuf, text: String) {
        if let Err(error) = options().from_str::<ron::Value>(&text) {
            let (line, column) = (error.span.start.line, error.span.start.col);
            let message = format!("this isn't RON: {}", error.code);
            self.problems.push(Problem { file, line, column, path: String::new(), message });
            return;
        }
        let node = Node::parse(&text);
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
                "host" => {
                    let host = self.part(source, "host".to_owned());
                    if self.host.is_some() {
                        self.problem(source, "host", "`host` stands in another file already");
                    } else {
                        self.host = host;
                    }
                }
                "channels" => self.channels = self.list(source, &section, items, Self::channels),
                "workstreams" => {
                    self.workstreams = self.list(source, &section, items, Self::workstreams);
                }
                "queues" => self.queues = self.list(source, &section, items, Self::queues),
                "agents" => self.agents = self.list(source, &section, items, Self::agents),
                other => self.problem(
                    source,
                    other,
                    "there is no such section; a file has `host`, `channels`, `workstreams`, `queues` and `agents`",
                ),
            }
        }
    }

    fn channels(&mut self) -> &mut Vec<Placed<ChannelTree>> {
        &mut self.channels
    }

    fn workstreams(&mut self) -> &mut Vec<Placed<WorkstreamTree>> {
        &mut self.workstreams
    }

    fn queues(&mut self) -> &mut Vec<Placed<QueueTree>> {
        &mut self.queues
    }

    fn agents(&mut self) -> &mut Vec<Placed<AgentTree>> {
        &mut self.agents
    }

    /// The list so far and the section's items; each is read alone, so that one wrong item doesn't
    /// hide the next.
    fn list<T: DeserializeOwned>(
        &mut self,
        source: usize,
        section: &str,
        items: usize,
        so_far: impl Fn(&mut Self) -> &mut Vec<Placed<T>>,
    ) -> Vec<Placed<T>> {
        let mut list = std::mem::take(so_far(self));
        for index in 0..items {
            list.extend(self.part(source, format!("{section}[{index}]")));
        }
        list
    }

    fn part<T: DeserializeOwned>(&mut self, source: usize, path: String) -> Option<Placed<T>> {
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
                let message = spanned.code.to_string();
                self.problems.push(Problem { file, line, column, path, message });
                None
            }
        }
    }

    /// Something wrong with a setting that could be read.
    fn problem(&mut self, source: usize, path: &str, message: impl Into<String>) {
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

    fn resolve(&mut self, root: &Path) -> Config {
        let host = self.resolve_host(root);
        let queues = self.resolve_queues();
        let queue_ids: HashSet<QueueId> = queues.iter().map(|queue| queue.id.clone()).collect();
        let workstreams = self.resolve_workstreams(&queue_ids);
        let channels = self.resolve_channels(root, &host, &workstreams);
        let agents = self.resolve_agents(&queue_ids);
        Config { root: root.to_owned(), host, channels, workstreams, queues, agents }
    }

    fn resolve_host(&mut self, root: &Path) -> HostConfig {
        let placed = self.host.take();
        let (tree, source) = match placed {
            Some(placed) => (placed.value, Some(placed.source)),
            None => (HostTree::default(), None),
        };
        if let Some(source) = source {
            if tree.listen.parse::<std::net::SocketAddr>().is_err() {
                let message = format!(
                    "\"{}\" isn't an address to listen on, such as \"127.0.0.1:8080\"",
                    tree.listen
                );
                self.problem(source, "host.listen", message);
            }
            let is_url = |url: &String| url::Url::parse(url).is_ok_and(|url| url.has_host());
            if let Some(url) = tree.public_url.as_ref().filter(|url| !is_url(url)) {
                let message = format!("\"{url}\" isn't a URL such as \"https://desk.example.com\"");
                self.problem(source, "host.public_url", message);
            }
        }
        let public_url = tree.public_url.unwrap_or_else(|| format!("http://{}", tree.listen));
        HostConfig {
            public_url: public_url.trim_end_matches('/').to_owned(),
            data: root.join(&tree.data),
            plugins: root.join(&tree.plugins),
            listen: tree.listen,
        }
    }

    fn resolve_queues(&mut self) -> Vec<QueueConfig> {
        let mut queues = Vec::new();
        let mut seen = HashSet::new();
        for Placed { value, source, path } in std::mem::take(&mut self.queues) {
            self.check_id(source, &path, &value.id, &mut seen);
            queues.push(QueueConfig {
                name: value.name.unwrap_or_else(|| value.id.clone()),
                id: QueueId::new(value.id),
                order: value.order,
            });
        }
        queues
    }

    fn resolve_workstreams(
        &mut self,
        queues: &HashSet<QueueId>,
    ) -> HashMap<WorkstreamId, Arc<Workstream>> {
        let mut workstreams = HashMap::new();
        let mut seen = HashSet::new();
        for Placed { value, source, path } in std::mem::take(&mut self.workstreams) {
            self.check_id(source, &path, &value.id, &mut seen);
            let queue = QueueId::new(value.queue.clone());
            self.check_queue(source, format!("{path}.queue"), &queue, queues);
            let id = WorkstreamId::new(value.id.clone());
            let mut workstream = Workstream::with_defaults(id.clone(), value.kind, queue);
            apply(&mut workstream, &value);
            if workstream.units.0 == 0 {
                self.problem(source, &format!("{path}.units"), "an item takes at least 1 unit");
            }
            if workstream.allowed == Default::default() {
                let message = "no presence is allowed, so nobody would ever get work; name at least one, such as [online]";
                self.problem(source, &format!("{path}.allowed"), message);
            }
            workstreams.insert(id, Arc::new(workstream));
        }
        workstreams
    }

    fn resolve_channels(
        &mut self,
        root: &Path,
        host: &HostConfig,
        workstreams: &HashMap<WorkstreamId, Arc<Workstream>>,
    ) -> Vec<ChannelConfig> {
        let mut channels = Vec::new();
        let mut seen = HashSet::new();
        for Placed { value, source, path } in std::mem::take(&mut self.channels) {
            self.check_id(source, &path, &value.id, &mut seen);
            let workstream = WorkstreamId::new(value.workstream);
            if !workstreams.contains_key(&workstream) {
                let known = names(workstreams.keys().map(WorkstreamId::as_str));
                let message = format!("there is no workstream \"{workstream}\"; {known}");
                self.problem(source, &format!("{path}.workstream"), message);
            }
            let is_hash = |hash: &String| hash.len() == 64 && hex::decode(hash).is_ok();
            if value.sha256.as_ref().is_some_and(|hash| !is_hash(hash)) {
                let message = "not a SHA-256: 64 hexadecimal digits";
                self.problem(source, &format!("{path}.sha256"), message);
            }
            let library = if value.plugin.contains('/') {
                root.join(&value.plugin)
            } else {
                host.plugins.join(format!("libcordboard_{}.so", value.plugin.replace('-', "_")))
            };
            let file = self.sources[source].file.clone();
            channels.push(ChannelConfig {
                id: ChannelId::new(value.id),
                library,
                sha256: value.sha256.map(|hash| hash.to_ascii_lowercase()),
                workstream,
                // `config: ()` and no `config` mean the same: a plugin without settings.
                config: match value.config {
                    serde_json::Value::Null => serde_json::Value::Object(Default::default()),
                    settings => settings,
                },
                secrets: value.secrets,
                allow_hosts: value.allow_hosts,
                place: Place { file, path },
            });
        }
        channels
    }

    fn resolve_agents(&mut self, queues: &HashSet<QueueId>) -> Vec<AgentConfig> {
        let mut agents = Vec::new();
        let mut seen = HashSet::new();
        for Placed { value, source, path } in std::mem::take(&mut self.agents) {
            self.check_id(source, &path, &value.id, &mut seen);
            let member_of: Vec<QueueId> = value.queues.into_iter().map(QueueId::new).collect();
            for (index, queue) in member_of.iter().enumerate() {
                self.check_queue(source, format!("{path}.queues[{index}]"), queue, queues);
            }
            let mut settings = Settings::with_defaults(member_of);
            let defaults = Limits::default();
            let capacity = &value.capacity;
            let given = [capacity.voice, capacity.chat, capacity.messaging, capacity.email];
            let mut counts = Counts::default();
            for (index, given) in given.into_iter().enumerate() {
                counts.0[index] = given.unwrap_or(defaults.counts.0[index]);
            }
            let units = capacity.units.map_or(defaults.units, Units);
            settings.limits = Limits { counts, units };
            settings.default_presence = value.default_presence;
            if let Some(grace) = value.grace {
                settings.grace = grace.0;
            }
            agents.push(AgentConfig {
                name: value.name.unwrap_or_else(|| value.id.clone()),
                id: AgentId::new(value.id),
                role: value.role,
                settings: Arc::new(settings),
            });
        }
        agents
    }

    fn check_id(&mut self, source: usize, path: &str, id: &str, seen: &mut HashSet<String>) {
        let path = format!("{path}.id");
        if !is_name(id) {
            let message = format!(
                "\"{id}\" isn't a name: 1 to 64 lower-case letters, digits, `-` and `_`, such as \"sms-telesign\""
            );
            self.problem(source, &path, message);
        }
        if !seen.insert(id.to_owned()) {
            self.problem(source, &path, format!("\"{id}\" stands twice; names are used once"));
        }
    }

    fn check_queue(
        &mut self,
        source: usize,
        path: String,
        queue: &QueueId,
        queues: &HashSet<QueueId>,
    ) {
        if !queues.contains(queue) {
            let known = names(queues.iter().map(QueueId::as_str));
            self.problem(source, &path, format!("there is no queue \"{queue}\"; {known}"));
        }
    }
}

/// A problem that was found after loading, at its place in a file: a plugin's complaint about one
/// of its settings, say.
pub fn place_in_file(place: &Place, path: &str, message: String) -> Problem {
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

fn apply(workstream: &mut Workstream, tree: &WorkstreamTree) {
    workstream.priority = tree.priority;
    if let Some(units) = tree.units {
        workstream.units = Units(units);
    }
    if let Some(allowed) = &tree.allowed {
        workstream.allowed = allowed.iter().copied().collect();
    }
    if let Some(reassign) = tree.reassign {
        workstream.reassign = reassign;
    }
    workstream.wrap_up = match tree.wrap_up {
        None => workstream.wrap_up,
        Some(WrapUpTree::Never) => WrapUpHold::Never,
        Some(WrapUpTree::Always) => WrapUpHold::Always,
        Some(WrapUpTree::For(span)) => WrapUpHold::For(span.0),
    };
    let spans = [
        (&mut workstream.offer_timeout, tree.offer_timeout),
        (&mut workstream.inactivity, tree.inactivity),
        (&mut workstream.wrap_up_limit, tree.wrap_up_limit),
        (&mut workstream.reopen_within, tree.reopen_within),
    ];
    for (setting, given) in spans {
        if let Some(span) = given {
            *setting = span.0;
        }
    }
}

fn names<'a>(known: impl Iterator<Item = &'a str>) -> String {
    let mut known: Vec<&str> = known.collect();
    known.sort_unstable();
    if known.is_empty() {
        return "none is configured".to_owned();
    }
    format!("known: {}", known.join(", "))
}

fn options() -> ron::Options {
    ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "ron") {
            files.push(path);
        }
    }
    Ok(())
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
        let expect = |start: &str, part: &str| {
            let hit = found.iter().any(|p| p.starts_with(start) && p.contains(part));
            assert!(hit, "{start} … {part} in {found:#?}");
        };
        expect("2:36 queues[1].id", "isn't a name");
        expect("2:", "Random");
        expect("4:", "workstreams[0]");
        expect("5:40 workstreams[1].queue", "no queue \"sales\"; known:");
        expect("5:56 workstreams[1].units", "at least 1 unit");
        expect("7:", "colour");
        expect("7:95 agents[1].queues[0]", "nowhere");
        expect("8:12 quues", "no such section");
    }

    #[test]
    fn text_that_is_no_ron_is_named_with_its_place() {
        let found = problems("(queues: [");
        assert!(found[0].starts_with("1:10") && found[0].contains("RON"), "{found:?}");
    }
}
