use std::cell::RefCell;
use std::ops::RangeInclusive;

use super::fragments::{Node, Table, Value};
use super::{Diagnostic, Span};

/// Collects what is wrong while the reading goes on.
#[derive(Debug, Default)]
pub(super) struct Report(RefCell<Vec<Diagnostic>>);

impl Report {
    /// Notes an error about this value.
    pub fn error(&self, node: &Node, key: &str, message: impl Into<String>) {
        self.0.borrow_mut().push(node.place.error(key, message));
    }

    /// All errors so far.
    pub fn into_errors(self) -> Vec<Diagnostic> {
        self.0.into_inner()
    }
}

/// A table that is being read: it notes which keys were asked for, so that the others can be
/// reported as unknown, and reports values of the wrong type.
pub(super) struct Section<'a> {
    /// Dotted name, empty for the whole file.
    pub path: String,
    table: Option<&'a Table>,
    report: &'a Report,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub fn root(table: &'a Table, report: &'a Report) -> Self {
        Self::new(String::new(), Some(table), report)
    }

    /// A table of this name; `None` reads as empty.
    pub fn new(path: String, table: Option<&'a Table>, report: &'a Report) -> Self {
        Self {
            path,
            table,
            report,
            known: Vec::new(),
        }
    }

    /// The dotted name of a key.
    pub fn key(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// What the table says for a key that is known.
    pub fn node(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        self.table?.get(key)
    }

    /// Notes an error about a key.
    pub fn error(&self, node: &Node, key: &str, message: impl Into<String>) {
        self.report.error(node, &self.key(key), message);
    }

    fn expected<T>(&self, node: &Node, key: &str, what: &str) -> Option<T> {
        self.error(node, key, expected(what, node));
        None
    }

    /// A text.
    pub fn text(&mut self, key: &'static str) -> Option<&'a str> {
        let node = self.node(key)?;
        node.as_str()
            .or_else(|| self.expected(node, key, "a string"))
    }

    /// A text of one line. A unit file cannot hold any other.
    pub fn line(&mut self, key: &'static str) -> Option<&'a str> {
        let text = self.text(key)?;
        if text.chars().any(char::is_control) {
            let node = self.node(key)?;
            self.error(node, key, "must be one line without control characters");
            return None;
        }
        Some(text)
    }

    /// Yes or no.
    pub fn flag(&mut self, key: &'static str) -> Option<bool> {
        let node = self.node(key)?;
        match node.value {
            Value::Scalar(toml::Value::Boolean(flag)) => Some(flag),
            _ => self.expected(node, key, "true or false"),
        }
    }

    /// A whole number in a range.
    pub fn number(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let node = self.node(key)?;
        let Value::Scalar(toml::Value::Integer(number)) = node.value else {
            return self.expected(node, key, "a whole number");
        };
        match u32::try_from(number).ok().filter(|n| range.contains(n)) {
            Some(number) => Some(number),
            None => {
                self.error(node, key, out_of_range(number, &range));
                None
            }
        }
    }

    /// A length of time, not shorter than this.
    pub fn span(&mut self, key: &'static str, at_least: Span) -> Option<Span> {
        let node = self.node(key)?;
        let span = match &node.value {
            Value::Scalar(toml::Value::String(text)) => text.parse::<Span>(),
            Value::Scalar(toml::Value::Integer(number)) => number.to_string().parse(),
            Value::Scalar(toml::Value::Float(number)) => number.to_string().parse(),
            _ => return self.expected(node, key, "a length of time like \"30s\""),
        };
        match span {
            Ok(span) if span < at_least => {
                self.error(node, key, format!("must be at least {at_least}"));
                None
            }
            Ok(span) => Some(span),
            Err(message) => {
                self.error(node, key, message);
                None
            }
        }
    }

    /// The items of an array.
    pub fn items(&mut self, key: &'static str) -> Option<&'a [Node]> {
        let node = self.node(key)?;
        match &node.value {
            Value::Array(items) => Some(items),
            _ => self.expected(node, key, "an array"),
        }
    }

    /// An array of texts, each with its place.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<(&'a Node, &'a str)>> {
        let items = self.items(key)?;
        Some(
            items
                .iter()
                .filter_map(|item| {
                    let text = item.as_str();
                    Some((item, text.or_else(|| self.expected(item, key, "a string"))?))
                })
                .collect(),
        )
    }

    /// A table of its own; one that is missing or not a table reads as empty.
    pub fn section(&mut self, key: &'static str) -> Section<'a> {
        let table = self.node(key).and_then(|node| match &node.value {
            Value::Table(table) => Some(table),
            _ => self.expected(node, key, "a table"),
        });
        Section::new(self.key(key), table, self.report)
    }

    /// An element of an array as a table.
    pub fn element(&self, key: &str, node: &'a Node) -> Option<Section<'a>> {
        match &node.value {
            Value::Table(table) => Some(Section::new(self.key(key), Some(table), self.report)),
            _ => self.expected(node, key, "a table"),
        }
    }

    /// All entries, for tables whose keys are names that the user chooses.
    pub fn entries(&self) -> impl Iterator<Item = (&'a String, &'a Node)> + use<'a> {
        self.table.into_iter().flatten()
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self) {
        for (key, node) in self.entries() {
            if !self.known.contains(&key.as_str()) {
                self.error(node, key, unknown("key", key, self.known.iter().copied()));
            }
        }
    }
}

/// "unknown WHAT", with the nearest known name when one is near.
pub(super) fn unknown<'n>(
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("unknown {what} {name:?}; did you mean {near:?}?"),
        None if known.is_empty() => format!("unknown {what} {name:?}"),
        None => format!("unknown {what} {name:?}; known: {}", known.join(", ")),
    }
}

/// The known name that a mistyped one was probably meant to be.
pub(super) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    // 0.6 lets through one or two slips in a short word and not a different word.
    known
        .into_iter()
        .map(|candidate| {
            (
                strsim::normalized_damerau_levenshtein(name, candidate),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

pub(super) fn out_of_range(number: i64, range: &RangeInclusive<u32>) -> String {
    format!(
        "{number} is out of range: {} to {}",
        range.start(),
        range.end()
    )
}

/// "expected WHAT, found a …".
pub(super) fn expected(what: &str, node: &Node) -> String {
    let found = node.type_name();
    let article = if found.starts_with(['a', 'i']) {
        "an"
    } else {
        "a"
    };
    format!("expected {what}, found {article} {found}")
}
