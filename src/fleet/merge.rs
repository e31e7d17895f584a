use super::fragments::{Node, Table, Value};

/// Lays `over` on `base`: tables merge key by key, anything else replaces.
pub(super) fn merge(base: &mut Table, over: Table) {
    for (key, node) in over {
        match base.get_mut(&key) {
            Some(below) => lay(below, node),
            None => {
                base.insert(key, node);
            }
        }
    }
}

fn lay(below: &mut Node, over: Node) {
    match (&mut below.value, over.value) {
        (Value::Table(base), Value::Table(table)) => {
            below.place = over.place;
            merge(base, table);
        }
        (_, value) => {
            *below = Node {
                value,
                place: over.place,
            };
        }
    }
}
