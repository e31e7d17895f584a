//! Values read as far as they can be.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::api::RiskLevel;
use crate::report::Text;

/// What a value says.
pub(super) fn text(value: &Value) -> Text {
    Text::of(value)
}

/// What a value says, if anything.
pub(super) fn some_text(value: &Value) -> Option<Text> {
    Some(text(value)).filter(|text| !text.is_empty())
}

/// The entries of a list. An object with something in it is a list of one, as is a text.
pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    let (many, one) = match value {
        Value::Array(entries) => (entries.as_slice(), None),
        Value::Object(fields) if fields.is_empty() => (&[][..], None),
        Value::Null => (&[][..], None),
        other => (&[][..], Some(other)),
    };
    many.iter().chain(one).filter(|entry| !entry.is_null())
}

/// A time.
pub(super) fn when(value: &Value) -> Option<DateTime<Utc>> {
    value.as_str()?.parse().ok()
}

/// A number, also where it is written as a text.
pub(super) fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    };
    number.filter(|n: &f64| n.is_finite())
}

/// A level of risk; what is none is what an assessment says that names none.
pub(super) fn risk(value: &Value) -> RiskLevel {
    let text = value.as_str().unwrap_or_default();
    text.trim().to_ascii_lowercase().parse().unwrap_or_default()
}

/// The newest of these times of all entries.
pub(super) fn newer(entries: &[Value], fields: &[&str]) -> Option<DateTime<Utc>> {
    let times = entries
        .iter()
        .flat_map(|entry| fields.iter().map(|field| &entry[*field]));
    times.filter_map(when).max()
}
