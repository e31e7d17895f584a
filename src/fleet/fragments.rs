use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use super::Diagnostic;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The file; `environment` for a variable, `built-in` for a default.
    pub file: Arc<Path>,
    /// Line, from 1; 0 when there is none.
    pub line: usize,
}

impl Place {
    /// An error about the value written here.
    pub fn error(&self, key: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            file: self.file.to_path_buf(),
            line: self.line,
            key: key.to_owned(),
            message: message.into(),
        }
    }
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// The value.
    pub value: Value,
    /// Where it was written; of a table, where its name was.
    pub place: Place,
}

/// A TOML value whose parts know their places.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Anything that is neither an array nor a table.
    Scalar(toml::Value),
    /// An array.
    Array(Vec<Node>),
    /// A table.
    Table(Table),
}

/// A table: key to where the key is and what it says.
pub(super) type Table = BTreeMap<String, Node>;

impl Node {
    /// What it is, in words, for "expected …, found …".
    pub fn type_name(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) => scalar.type_str(),
            Value::Array(_) => "array",
            Value::Table(_) => "table",
        }
    }

    /// The string that it is.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(toml::Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The value without places.
    pub fn plain(&self) -> toml::Value {
        match &self.value {
            Value::Scalar(scalar) => scalar.clone(),
            Value::Array(items) => toml::Value::Array(items.iter().map(Self::plain).collect()),
            Value::Table(table) => toml::Value::Table(plain_table(table)),
        }
    }
}

/// The table without places.
pub(super) fn plain_table(table: &Table) -> toml::Table {
    table.iter().map(|(k, v)| (k.clone(), v.plain())).collect()
}

/// What one file says. Every key is optional; what keys mean is decided after all files are merged,
/// so that a file may complete another one.
pub(super) fn parse(file: &Path, text: &str, errors: &mut Vec<Diagnostic>) -> Table {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Source {
        file: Arc::from(file),
        line_starts: line_starts(text),
    };
    let (document, syntax_errors) = DeTable::parse_recoverable(text);
    if syntax_errors.is_empty() {
        return source.table(document.into_inner(), errors);
    }
    // The rest of a file with a syntax error is guesswork: one slip would be reported many times.
    for error in syntax_errors {
        let line = error.span().map_or(0, |span| source.line(&span));
        errors.push(Diagnostic {
            file: file.to_path_buf(),
            line,
            key: String::new(),
            message: format!("not valid TOML: {}", error.message()),
        });
    }
    Table::new()
}

/// A value that comes from an environment variable.
pub(super) fn variable(name: &str, value: toml::Value) -> Node {
    Node {
        value: Value::Scalar(value),
        place: Place {
            file: Arc::from(PathBuf::from(format!("environment {name}"))),
            line: 0,
        },
    }
}

struct Source {
    file: Arc<Path>,
    line_starts: Vec<usize>,
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0)
        .chain(text.match_indices('\n').map(|(at, _)| at + 1))
        .collect()
}

impl Source {
    fn line(&self, span: &Range<usize>) -> usize {
        self.line_starts.partition_point(|at| *at <= span.start)
    }

    fn place(&self, span: &Range<usize>) -> Place {
        Place {
            file: Arc::clone(&self.file),
            line: self.line(span),
        }
    }

    fn table(&self, table: DeTable<'_>, errors: &mut Vec<Diagnostic>) -> Table {
        table
            .into_iter()
            .map(|(key, value)| {
                let key_span = key.span();
                let node = self.node(&key_span, value, errors);
                (key.into_inner().into_owned(), node)
            })
            .collect()
    }

    fn node(
        &self,
        key_span: &Range<usize>,
        value: Spanned<DeValue<'_>>,
        errors: &mut Vec<Diagnostic>,
    ) -> Node {
        let place = match value.get_ref() {
            DeValue::Table(_) => self.place(key_span),
            _ => self.place(&value.span()),
        };
        let value = match value.into_inner() {
            DeValue::Table(table) => Value::Table(self.table(table, errors)),
            DeValue::Array(items) => Value::Array(
                items
                    .into_iter()
                    .map(|item| {
                        let span = item.span();
                        self.node(&span, item, errors)
                    })
                    .collect(),
            ),
            scalar => Value::Scalar(scalar_value(scalar).unwrap_or_else(|message| {
                errors.push(place.error("", message));
                toml::Value::Boolean(false)
            })),
        };
        Node { value, place }
    }
}

fn scalar_value(value: DeValue<'_>) -> Result<toml::Value, String> {
    match value {
        DeValue::String(text) => Ok(toml::Value::String(text.into_owned())),
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix())
            .map(toml::Value::Integer)
            .map_err(|_| format!("{n} is too large a number")),
        DeValue::Float(x) => x
            .as_str()
            .parse()
            .map(toml::Value::Float)
            .map_err(|_| format!("{x} is not a number")),
        DeValue::Boolean(flag) => Ok(toml::Value::Boolean(flag)),
        DeValue::Datetime(time) => Ok(toml::Value::Datetime(time)),
        DeValue::Array(_) | DeValue::Table(_) => Err("not a plain value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node<'a>(table: &'a Table, path: &str) -> &'a Node {
        let mut parts = path.split('.');
        let mut node = &table[parts.next().unwrap()];
        for part in parts {
            let Value::Table(table) = &node.value else {
                panic!("{part}: not in a table")
            };
            node = &table[part];
        }
        node
    }

    #[test]
    fn every_part_knows_its_line() {
        let text =
            "[a.b]\nc = 1\nd = [\n  \"x\",\n  \"y\",\n]\n\n[a.b.e]\nf = { g = 2 }\nh.i = 3\n";
        let mut errors = Vec::new();
        let table = parse(Path::new("f.toml"), text, &mut errors);
        assert!(errors.is_empty(), "{errors:?}");
        for (path, line) in [
            ("a.b", 1),
            ("a.b.c", 2),
            ("a.b.d", 3),
            ("a.b.e", 8),
            ("a.b.e.f", 9),
            ("a.b.e.f.g", 9),
            ("a.b.e.h.i", 10),
        ] {
            assert_eq!(node(&table, path).place.line, line, "{path}");
        }
        let Value::Array(items) = &node(&table, "a.b.d").value else {
            panic!("not an array")
        };
        assert_eq!(items[1].place.line, 5);
    }

    #[test]
    fn syntax_errors_have_lines() {
        let mut errors = Vec::new();
        assert!(parse(Path::new("f.toml"), "a = 1\nb = \nc = 'x\n", &mut errors).is_empty());
        let lines: Vec<_> = errors.iter().map(|e| e.line).collect();
        assert_eq!(lines, [2, 3], "{errors:?}");
    }
}
