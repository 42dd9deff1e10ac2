//! Where in a RON file a setting stands, so that every error can name file, line and column.
//!
//! `ron` reports the place of syntax and type errors itself; this finds the place of a value by its
//! path, for what is wrong only in the light of other settings. It reads text that `ron` has
//! accepted, so it needs no error handling of its own.

use std::collections::BTreeSet;
use std::ops::Range;

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    /// Bytes of the value.
    pub range: Range<usize>,
    children: Children,
}

#[derive(Debug)]
enum Children {
    None,
    Fields(Vec<(String, Node)>),
    Items(Vec<Node>),
}

/// One step of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Field(String),
    Index(usize),
}

/// Splits `channels[0].config.numbers` into steps.
pub(super) fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let mut rest = part;
        if let Some(at) = part.find('[') {
            if at > 0 {
                steps.push(Step::Field(part[..at].to_owned()));
            }
            rest = &part[at..];
            for index in rest.split(['[', ']']).filter(|text| !text.is_empty()) {
                match index.parse() {
                    Ok(index) => steps.push(Step::Index(index)),
                    Err(_) => steps.push(Step::Field(index.trim_matches('"').to_owned())),
                }
            }
        } else {
            steps.push(Step::Field(rest.to_owned()));
        }
    }
    steps
}

/// Line and column, both from 1, of a byte.
pub(super) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

impl Node {
    /// Reads a whole file.
    pub fn parse(text: &str) -> Self {
        let mut reader = Reader { text, at: 0 };
        reader.skip();
        while reader.rest().starts_with("#!") {
            reader.at = text[reader.at..].find('\n').map_or(text.len(), |n| reader.at + n);
            reader.skip();
        }
        reader.value()
    }

    /// `()`, whatever stands in it besides: nothing but comments.
    pub fn is_empty_struct(&self, text: &str) -> bool {
        self.items().is_empty() && self.fields().is_empty() && self.is_within(text, '(', ')')
    }

    /// `[]`.
    pub fn is_empty_list(&self, text: &str) -> bool {
        self.items().is_empty() && self.fields().is_empty() && self.is_within(text, '[', ']')
    }

    /// Nothing but space and comments stands between the brackets.
    fn is_within(&self, text: &str, open: char, close: char) -> bool {
        let whole = text[self.range.clone()].trim();
        let inner = whole.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        inner.is_some_and(|inner| {
            let mut reader = Reader { text: inner, at: 0 };
            reader.skip();
            reader.rest().is_empty()
        })
    }

    /// The fields of a struct or map.
    pub fn fields(&self) -> &[(String, Node)] {
        match &self.children {
            Children::Fields(fields) => fields,
            _ => &[],
        }
    }

    /// Names that stand twice in the same brackets, and where they do so again: which one counts nobody can tell.
    pub fn repeated(&self) -> Vec<(&str, usize)> {
        let mut all = Vec::new();
        let mut seen = BTreeSet::new();
        for (name, node) in self.fields() {
            if !seen.insert(name.as_str()) {
                all.push((name.as_str(), node.range.start));
            }
            all.extend(node.repeated());
        }
        all.extend(self.items().iter().flat_map(Self::repeated));
        all
    }

    /// The items of a list.
    pub fn items(&self) -> &[Node] {
        match &self.children {
            Children::Items(items) => items,
            _ => &[],
        }
    }

    /// The deepest value on the path that exists: a missing setting is reported at its parent.
    pub fn find(&self, path: &[Step]) -> &Node {
        let Some(step) = path.first() else { return self };
        let child = match step {
            Step::Field(name) => {
                self.fields().iter().find(|(n, _)| n == name).map(|(_, node)| node)
            }
            Step::Index(index) => self.items().get(*index),
        };
        child.map_or(self, |node| node.find(&path[1..]))
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// White space and comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                self.at += trimmed.find("*/").map_or(trimmed.len(), |n| n + 2);
            } else {
                return;
            }
        }
    }

    fn value(&mut self) -> Node {
        self.skip();
        let start = self.at;
        let name = self.word();
        self.skip();
        let children = match self.peek() {
            Some('(') => self.group(')'),
            Some('{') => self.group('}'),
            Some('[') => self.group(']'),
            Some('"') => self.string(),
            Some('#') if name == "r" => self.raw_string(),
            Some('\'') => self.character(),
            _ => Children::None,
        };
        // A bare word ends where it ended; anything else ends here.
        let end = if matches!(children, Children::None) && !name.is_empty() {
            self.at.max(start + name.len())
        } else {
            self.at
        };
        Node { range: start..self.text[..end].trim_end().len().max(start), children }
    }

    /// Letters, digits and whatever numbers are written with.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '.');
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn group(&mut self, close: char) -> Children {
        self.at += 1;
        let mut fields = Vec::new();
        let mut items = Vec::new();
        loop {
            self.skip();
            match self.peek() {
                None => break,
                Some(c) if c == close => {
                    self.at += c.len_utf8();
                    break;
                }
                Some(',') => {
                    self.at += 1;
                    continue;
                }
                Some(_) => {}
            }
            let before = self.at;
            let first = self.value();
            self.skip();
            if self.peek() == Some(':') && close != ']' {
                self.at += 1;
                let key = self.text[first.range].trim_matches('"').to_owned();
                let value = self.value();
                fields.push((key, value));
            } else {
                items.push(first);
            }
            if self.at == before {
                // Something that ron accepts and this reader doesn't know: pass over it.
                self.at += self.peek().map_or(1, char::len_utf8);
            }
        }
        // `Some((...))` and `Env("X")` are one value in parentheses; a struct has fields.
        match (fields.is_empty(), items.len(), close) {
            (false, ..) => Children::Fields(fields),
            (true, 1, ')') => items.remove(0).children,
            _ => Children::Items(items),
        }
    }

    fn string(&mut self) -> Children {
        let mut escaped = false;
        let inside = &self.text[self.at + 1..];
        let end = inside.char_indices().find(|(_, c)| {
            let closes = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            closes
        });
        self.at = end.map_or(self.text.len(), |(n, _)| self.at + 1 + n + 1);
        Children::None
    }

    fn raw_string(&mut self) -> Children {
        let hashes = self.rest().len() - self.rest().trim_start_matches('#').len();
        let closing = format!("\"{}", "#".repeat(hashes));
        let body = self.at + hashes + 1;
        let end = self.text.get(body..).and_then(|text| text.find(&closing));
        self.at = end.map_or(self.text.len(), |n| body + n + closing.len());
        Children::None
    }

    fn character(&mut self) -> Children {
        let inside = &self.text[self.at + 1..];
        let skip = if inside.starts_with('\\') { 2 } else { 1 };
        let end = inside.char_indices().skip(skip).find(|(_, c)| *c == '\'');
        self.at = end.map_or(self.text.len(), |(n, _)| self.at + 1 + n + 1);
        Children::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r##"
// a comment with ( and "
(
    host: (listen: "127.0.0.1:80"), /* another, with ) */
    queues: [
        (id: "a", names: ["x", "y"]),
        (id: "b \" }", wait: Some(3), raw: r#"] ")"#, letter: '"', end: 1),
    ],
    secrets: {"key": Env("X")},
)
"##;

    fn at(path: &str) -> &'static str {
        let node = Node::parse(TEXT);
        let range = node.find(&steps(path)).range.clone();
        &TEXT[range]
    }

    // OPS-01
    #[test]
    fn values_are_found_by_their_path() {
        assert_eq!(at("host.listen"), "\"127.0.0.1:80\"");
        assert_eq!(at("queues[0].names[1]"), "\"y\"");
        assert_eq!(at("queues[1].end"), "1");
        assert_eq!(at("queues[1].wait"), "Some(3)");
        assert_eq!(at("secrets.key"), "Env(\"X\")");
        assert_eq!(at("host.missing"), "(listen: \"127.0.0.1:80\")");
        let node = Node::parse(TEXT);
        let place = node.find(&steps("queues[1]")).range.start;
        assert_eq!(line_and_column(TEXT, place), (7, 9));
    }
}
