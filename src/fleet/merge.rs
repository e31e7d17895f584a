use super::Diagnostic;
use super::fragments::{Node, Table, Value};
use super::section::expected;

/// Lays `over` on `base`: tables merge key by key, anything else replaces. What would replace a whole
/// table by something else is a mistake, and reported here, where what it hides is still known.
pub(super) fn merge(base: &mut Table, over: Table, errors: &mut Vec<Diagnostic>) {
    merge_below("", base, over, errors);
}

fn merge_below(path: &str, base: &mut Table, over: Table, errors: &mut Vec<Diagnostic>) {
    for (key, node) in over {
        let full = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        match base.get_mut(&key) {
            Some(below) => lay(&full, below, node, errors),
            None => {
                base.insert(key, node);
            }
        }
    }
}

fn lay(path: &str, below: &mut Node, over: Node, errors: &mut Vec<Diagnostic>) {
    match (&mut below.value, &over.value) {
        (Value::Table(base), Value::Table(table)) => {
            below.place = over.place;
            merge_below(path, base, table.clone(), errors);
        }
        (Value::Table(_), _) => errors.push(over.place.error(path, expected("a table", &over))),
        _ => *below = over,
    }
}
