//! Changes one key of a fleet file and leaves everything else as it was written: comments, order,
//! formatting.

use toml_edit::{Array, Decor, Document, DocumentMut, InlineTable, Item, Table, TableLike, Value};

/// What to do with a key.
#[derive(Debug, Clone)]
pub enum Change {
    /// Set it.
    Set(Value),
    /// Put these at the end of its list, unless they are in it. A list that the file does not have
    /// yet starts as `base`.
    Append {
        /// What to put in.
        items: Vec<Value>,
        /// The list so far, as other files or the defaults have it.
        base: Array,
    },
    /// Take these out of its list. A list that the file does not have starts as `base`.
    Remove {
        /// What to take out.
        items: Vec<Value>,
        /// The list so far, as other files or the defaults have it.
        base: Array,
    },
    /// Take it out of the file.
    Unset,
}

/// Why a key cannot be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The file is not TOML.
    #[error("not valid TOML: {0}")]
    Syntax(String),
    /// The key cannot be read.
    #[error("{0:?} is not a key: write it like agents.kaze.config.max_scans")]
    Key(String),
    /// Something on the way to the key is a value.
    #[error("{0} is no table in this file")]
    NoTable(String),
    /// The key holds no list.
    #[error("{0} is no list")]
    NoList(String),
    /// What is to be taken out is not there.
    #[error("{item} is not in {key}; there are: {there}")]
    NotInList {
        /// The key.
        key: String,
        /// What is not there.
        item: String,
        /// What is.
        there: String,
    },
}

/// The parts of a dotted key; parts with dots of their own are in quotes, as in TOML.
///
/// # Errors
/// It is no dotted key.
pub fn parse_key(text: &str) -> Result<Vec<String>, EditError> {
    let parts = toml_edit::Key::parse(text).map_err(|_| EditError::Key(text.to_owned()))?;
    Ok(parts.iter().map(|part| part.get().to_owned()).collect())
}

/// The text of a fleet file after a change.
///
/// # Errors
/// The file is not TOML, or the key is not where it could be changed.
pub fn edited(text: &str, key: &[String], change: &Change) -> Result<String, EditError> {
    let syntax = |error: toml_edit::TomlError| EditError::Syntax(error.to_string());
    if let Change::Unset = change
        && let Some(text) = without_line(text, key)
    {
        return Ok(text);
    }
    let mut document: DocumentMut = text.parse().map_err(syntax)?;
    let dotted = key.join(".");
    let Some((last, path)) = key.split_last() else {
        return Err(EditError::Key(dotted));
    };
    match change {
        Change::Unset => {
            if let Some(table) = find(document.as_table_mut(), path) {
                table.remove(last);
            }
        }
        Change::Set(value) => set(make(&mut document, path)?, last, value.clone(), &dotted)?,
        Change::Append { items, base } => {
            let list = list(make(&mut document, path)?, last, base, &dotted)?;
            for item in items {
                if !list.iter().any(|old| same(old, item)) {
                    append(list, item.clone());
                }
            }
        }
        Change::Remove { items, base } => {
            let list = list(make(&mut document, path)?, last, base, &dotted)?;
            for item in items {
                let at = list.iter().position(|old| same(old, item));
                let at = at.ok_or_else(|| not_in_list(list, item, &dotted))?;
                take_out(list, at);
            }
        }
    }
    Ok(document.to_string())
}

fn not_in_list(list: &Array, item: &Value, key: &str) -> EditError {
    let there: Vec<String> = list.iter().map(plain).collect();
    EditError::NotInList {
        key: key.to_owned(),
        item: plain(item),
        there: there.join(" "),
    }
}

/// A value without the white space and the comments around it.
fn plain(value: &Value) -> String {
    value.clone().decorated("", "").to_string()
}

fn same(a: &Value, b: &Value) -> bool {
    match (a.as_str(), b.as_str()) {
        (Some(a), Some(b)) => a == b,
        _ => plain(a) == plain(b),
    }
}

/// Takes out the lines of a value that stands in a table of its own, and no other byte: a comment
/// above it may be about what follows as well. `None` for everything else.
fn without_line(text: &str, key: &[String]) -> Option<String> {
    let (last, path) = key.split_last()?;
    let document = Document::parse(text).ok()?;
    let mut table = document.as_table();
    for name in path {
        table = table.get(name)?.as_table()?;
    }
    let (name, item) = table.get_key_value(last)?;
    let (start, end) = (name.span()?.start, item.as_value()?.span()?.end);
    let from = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let to = text[end..].find('\n').map_or(text.len(), |at| end + at + 1);
    Some(format!("{}{}", &text[..from], &text[to..]))
}

fn find<'d>(root: &'d mut Table, path: &[String]) -> Option<&'d mut dyn TableLike> {
    let mut table: &mut dyn TableLike = root;
    for name in path {
        table = table.get_mut(name)?.as_table_like_mut()?;
    }
    Some(table)
}

/// The table of this name; what is missing on the way is made.
fn make<'d>(document: &'d mut DocumentMut, path: &[String]) -> Result<&'d mut Item, EditError> {
    let no_table = |depth: usize| EditError::NoTable(path[..=depth].join("."));
    let mut item = document.as_item_mut();
    for (depth, name) in path.iter().enumerate() {
        let inline = !item.is_table();
        let last = depth + 1 == path.len();
        let table = item
            .as_table_like_mut()
            .ok_or_else(|| no_table(depth.saturating_sub(1)))?;
        if !table.contains_key(name) {
            table.insert(name, new_table(inline, !last));
        }
        item = table.get_mut(name).ok_or_else(|| no_table(depth))?;
        // A header that was only implied by those below it has to be written to hold a value.
        if let (Item::Table(table), true) = (&mut *item, last) {
            table.set_implicit(false);
        }
    }
    Ok(item)
}

fn new_table(inline: bool, only_a_path: bool) -> Item {
    if inline {
        return Item::Value(Value::InlineTable(InlineTable::new()));
    }
    let mut table = Table::new();
    table.set_implicit(only_a_path);
    Item::Table(table)
}

/// Sets a value; a comment behind the old one stays.
fn set(parent: &mut Item, key: &str, mut value: Value, dotted: &str) -> Result<(), EditError> {
    let inline = parent.is_inline_table();
    let table = table_of(parent, dotted)?;
    let old = table.get(key).and_then(Item::as_value);
    match old.map(|old| old.decor().clone()) {
        Some(decor) => *value.decor_mut() = decor,
        None => value.decor_mut().clear(),
    }
    if let Some(item) = table.get_mut(key) {
        *item = Item::Value(value);
        return Ok(());
    }
    // The space before the closing brace belongs to the last value, and would come before the comma.
    let last = table.iter_mut().last().filter(|_| inline);
    if let Some(last) = last.and_then(|(_, item)| item.as_value_mut().map(Value::decor_mut)) {
        last.set_suffix("");
    }
    table.insert(key, Item::Value(value));
    Ok(())
}

fn table_of<'i>(item: &'i mut Item, dotted: &str) -> Result<&'i mut dyn TableLike, EditError> {
    item.as_table_like_mut()
        .ok_or_else(|| EditError::NoTable(dotted.to_owned()))
}

fn list<'i>(
    parent: &'i mut Item,
    key: &str,
    base: &Array,
    dotted: &str,
) -> Result<&'i mut Array, EditError> {
    let table = table_of(parent, dotted)?;
    if !table.contains_key(key) {
        table.insert(key, Item::Value(Value::Array(base.clone())));
    }
    let item = table.get_mut(key).and_then(Item::as_array_mut);
    item.ok_or_else(|| EditError::NoList(dotted.to_owned()))
}

/// Puts a value at the end of a list, on a line of its own where the others have one. What stands
/// behind an item on its line, a comment, is before the next item for toml_edit, and stays there.
fn append(list: &mut Array, mut value: Value) {
    let at = list.len();
    let Some(last) = at.checked_sub(1).and_then(|last| list.get_mut(last)) else {
        value.decor_mut().clear();
        return list.push_formatted(value);
    };
    let own_line = prefix(last)
        .rfind('\n')
        .map(|at| prefix(last)[at..].to_owned());
    let suffix = suffix(last).to_owned();
    last.decor_mut().set_suffix("");
    let behind = format!("{suffix}{}", list.trailing().as_str().unwrap_or(""));
    let (comment, rest) = split(&behind);
    let before = match own_line {
        Some(line) => format!("{comment}{line}"),
        None => " ".to_owned(),
    };
    *value.decor_mut() = Decor::new(before, "");
    list.set_trailing(rest);
    list.push_formatted(value);
}

/// Takes an item out of a list, with the comments above it and behind it, and no others.
fn take_out(list: &mut Array, at: usize) {
    let removed = list.remove(at);
    let (before, _) = split(prefix(&removed));
    if let Some(next) = list.get_mut(at) {
        let (_, rest) = split(prefix(next));
        let prefix = format!("{before}{rest}");
        next.decor_mut().set_prefix(prefix);
    } else {
        let behind = format!(
            "{}{}",
            suffix(&removed),
            list.trailing().as_str().unwrap_or("")
        );
        let (_, rest) = split(&behind);
        let comment = if before.contains('#') { before } else { "" };
        list.set_trailing(format!("{comment}{rest}"));
    }
}

fn prefix(value: &Value) -> &str {
    value
        .decor()
        .prefix()
        .and_then(|raw| raw.as_str())
        .unwrap_or("")
}

fn suffix(value: &Value) -> &str {
    value
        .decor()
        .suffix()
        .and_then(|raw| raw.as_str())
        .unwrap_or("")
}

/// What is on the same line, and what is below.
fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find('\n').unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# On top.
[scope]   # what may be touched
# two networks
allow = [\"10.0.0.0/8\", \"::1\"]   # both
max_rate = 10

[agents.kaze]
backoff = { initial = \"1s\" }

[agents.kaze.config]
# often
max_scans = 5   # a few
# At the end.
";

    fn key(text: &str) -> Vec<String> {
        parse_key(text).unwrap()
    }

    fn run(text: &str, at: &str, change: Change) -> Result<String, EditError> {
        edited(text, &key(at), &change)
    }

    fn set(at: &str, value: &str) -> String {
        run(FILE, at, Change::Set(value.parse().unwrap())).unwrap()
    }

    fn items(list: &[&str]) -> Vec<Value> {
        list.iter().map(|item| Value::from(*item)).collect()
    }

    fn add(text: &str, list: &[&str]) -> String {
        let base = Array::from_iter(["127.0.0.0/8"]);
        run(
            text,
            "scope.allow",
            Change::Append {
                items: items(list),
                base,
            },
        )
        .unwrap()
    }

    fn remove(text: &str, list: &[&str]) -> Result<String, EditError> {
        let base = Array::from_iter(["127.0.0.0/8", "::1"]);
        run(
            text,
            "scope.allow",
            Change::Remove {
                items: items(list),
                base,
            },
        )
    }

    #[test]
    fn only_the_value_changes() {
        assert_eq!(
            set("agents.kaze.config.max_scans", "7"),
            FILE.replace("max_scans = 5 ", "max_scans = 7 ")
        );
        assert_eq!(
            set("scope.allow", "[\"::1\"]"),
            FILE.replace("[\"10.0.0.0/8\", \"::1\"]", "[\"::1\"]")
        );
    }

    #[test]
    fn what_is_missing_is_made_in_its_place() {
        assert_eq!(
            set("agents.kaze.watchdog", "\"9s\""),
            FILE.replace("\"1s\" }\n", "\"1s\" }\nwatchdog = \"9s\"\n")
        );
        assert_eq!(
            set("agents.kaze.backoff.max", "\"9s\""),
            FILE.replace("initial = \"1s\" }", "initial = \"1s\", max = \"9s\" }")
        );
        assert_eq!(
            set("agents.kage.config.retries", "1"),
            FILE.replace(
                "# At the end.",
                "\n[agents.kage.config]\nretries = 1\n# At the end."
            )
        );
        let implied = "[agents.kaze.config]\nretries = 1\n";
        assert_eq!(
            run(implied, "agents.kaze.critical", Change::Set(true.into())).unwrap(),
            format!("[agents.kaze]\ncritical = true\n{implied}")
        );
        assert_eq!(
            run("", "scope.max_rate", Change::Set(1.into())).unwrap(),
            "[scope]\nmax_rate = 1\n"
        );
    }

    #[test]
    fn unset_takes_a_line_or_a_table() {
        let unset = |at: &str| run(FILE, at, Change::Unset).unwrap();
        assert_eq!(unset("scope.max_rate"), FILE.replace("max_rate = 10\n", ""));
        assert_eq!(
            unset("agents.kaze.config.max_scans"),
            FILE.replace("max_scans = 5   # a few\n", "")
        );
        assert_eq!(
            unset("agents.kaze.backoff.initial"),
            FILE.replace("{ initial = \"1s\" }", "{}")
        );
        assert!(!unset("agents.kaze.config").contains("max_scans"));
        assert!(unset("agents.kaze.config").contains("# At the end."));
        assert_eq!(unset("agents.kage.critical"), FILE);
    }

    #[test]
    fn lists_grow_and_shrink() {
        assert_eq!(
            add(FILE, &["::1", "fd00::/8"]),
            FILE.replace("\"::1\"]", "\"::1\", \"fd00::/8\"]")
        );
        assert_eq!(
            remove(FILE, &["10.0.0.0/8"]).unwrap(),
            FILE.replace("[\"10.0.0.0/8\", \"::1\"]", "[\"::1\"]")
        );
        assert_eq!(
            add("", &["10.0.0.0/8"]),
            "[scope]\nallow = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n"
        );
        let error = remove(FILE, &["10.0.0.0/9"]).unwrap_err().to_string();
        assert!(error.contains("\"10.0.0.0/8\" \"::1\""), "{error}");
    }

    #[test]
    fn a_list_of_lines_keeps_its_comments() {
        let text = "[scope]\nallow = [\n  # ours\n  \"a\", # about a\n  \"b\", # about b\n  \"c\" # about c\n]\n";
        let longer = add(text, &["d"]);
        assert_eq!(
            longer,
            text.replace("\"c\" # about c\n", "\"c\", # about c\n  \"d\"\n")
        );
        assert_eq!(
            remove(text, &["b"]).unwrap(),
            text.replace("  \"b\", # about b\n", "")
        );
        assert_eq!(
            remove(text, &["c"]).unwrap(),
            text.replace(", # about b\n  \"c\" # about c\n", " # about b\n")
        );
    }

    #[test]
    fn what_cannot_be_changed_says_why() {
        let set = |text: &str, at: &str| run(text, at, Change::Set(1.into())).unwrap_err();
        assert!(matches!(
            set("[scope", "scope.max_rate"),
            EditError::Syntax(_)
        ));
        assert_eq!(
            set("agents = 1", "agents.kaze.critical"),
            EditError::NoTable("agents".to_owned())
        );
        assert!(matches!(
            run(
                "[scope]\nallow = 1",
                "scope.allow",
                Change::Append {
                    items: items(&["a"]),
                    base: Array::new()
                }
            ),
            Err(EditError::NoList(_))
        ));
        assert!(parse_key("a..b").is_err());
    }
}
