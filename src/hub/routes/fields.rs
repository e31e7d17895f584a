//! What bodies of results have in common: fields that are tidied where they are merely untidy, and
//! named where they are wrong.

use chrono::{DateTime, Datelike, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::super::error::{ApiError, field_error};
use super::super::extract::YEARS;
use crate::api::FieldError;

/// Longest text that is kept of one field.
pub(super) const TEXT_MAX: usize = 4096;
/// Longest name of a target that is kept: it stands in indexes.
const TARGET_MAX: usize = 1024;
/// Largest of the other objects that are kept, as JSON.
pub(super) const OBJECT_MAX: usize = 64 * 1024;

/// Reads fields and collects what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) errors: Vec<FieldError>,
}

impl Fields {
    pub(super) fn wrong(&mut self, field: impl Into<String>, kind: &str, message: &str) {
        if self.errors.len() < 100 {
            self.errors.push(field_error(field, kind, message));
        }
    }

    pub(super) fn text(&mut self, field: &str, value: &Value) -> Option<String> {
        match value {
            Value::Null => None,
            Value::String(text) => Some(tidy(text)).filter(|t| !t.is_empty()),
            _ => {
                self.wrong(field, "type", "must be text");
                None
            }
        }
    }

    /// The target, as an agent calls it.
    pub(super) fn target(&mut self, value: &Value) -> Option<String> {
        let mut target = self.text("target", value)?;
        target.truncate(target.floor_char_boundary(TARGET_MAX));
        Some(target)
    }

    pub(super) fn flag(&mut self, field: &str, value: &Value) -> Option<bool> {
        if !value.is_null() && !value.is_boolean() {
            self.wrong(field, "type", "must be true or false");
        }
        value.as_bool()
    }

    pub(super) fn number(&mut self, field: &str, value: &Value) -> f64 {
        match value.as_f64() {
            Some(n) if n >= 0.0 => return n,
            None if value.is_null() => {}
            _ => self.wrong(field, "range", "must be a number, 0 or more"),
        }
        0.0
    }

    /// A time; one before all computers is what a program sends that does not know it.
    pub(super) fn time(&mut self, field: &str, value: &Value) -> Option<DateTime<Utc>> {
        let text = self.text(field, value)?;
        let time = text.parse::<DateTime<Utc>>().ok();
        match time {
            Some(time) if time.year() <= *YEARS.end() => Some(time),
            _ => {
                self.wrong(field, "value", "must be an RFC 3339 time");
                None
            }
        }
        .filter(|time| time.year() >= *YEARS.start())
    }

    /// A number from 0 to 1; what is not there is 0.
    pub(super) fn share(&mut self, field: &str, value: &Value) -> f64 {
        let number = self.number(field, value);
        if number > 1.0 {
            self.wrong(field, "range", "must be from 0 to 1");
        }
        number
    }

    /// An integer, 0 or more.
    pub(super) fn count(&mut self, field: &str, value: &Value, max: i64) -> Option<i64> {
        if value.is_null() {
            return None;
        }
        let number = value.as_i64().filter(|n| (0..=max).contains(n));
        if number.is_none() {
            let message = format!("must be an integer from 0 to {max}");
            self.wrong(field, "range", &message);
        }
        number
    }

    /// The status of an HTTP answer; 0 when there was none.
    pub(super) fn status(&mut self, field: &str, value: &Value) -> Option<u16> {
        let status = self.count(field, value, 999)?;
        u16::try_from(status).ok()
    }

    /// Text of some length in bytes, with its lines.
    pub(super) fn prose(&mut self, field: &str, value: &Value, max: usize) -> Option<String> {
        let text = match value {
            Value::Null => return None,
            Value::String(text) => text.trim(),
            _ => {
                self.wrong(field, "type", "must be text");
                return None;
            }
        };
        if text.len() > max {
            self.wrong(field, "range", &format!("must be {max} bytes at most"));
            return None;
        }
        let mut prose = String::with_capacity(text.len());
        for c in text.chars() {
            if c.is_control() && !matches!(c, '\n' | '\t') {
                prose.extend(c.escape_default());
            } else {
                prose.push(c);
            }
        }
        Some(prose).filter(|p| !p.is_empty())
    }

    /// The record that a result is of.
    pub(super) fn record(&mut self, value: &Value) -> Result<Uuid, ApiError> {
        if is_nothing(value) {
            return Err(ApiError::bad_request("eggrecord_id required"));
        }
        let id = value.as_str().and_then(|text| text.parse().ok());
        if id.is_none() {
            self.wrong("eggrecord_id", "value", "must be a UUID");
        }
        Ok(id.unwrap_or_default())
    }

    /// Nothing, when nothing was wrong.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(ApiError::invalid(self.errors))
        }
    }
}

/// What the earlier server takes for "not there".
pub(super) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Number(n) => n.as_f64() == Some(0.0),
        _ => false,
    }
}

/// Text from a network, with nothing in it that moves a cursor, and not without end.
pub(super) fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len().min(TEXT_MAX));
    for c in text.trim().chars() {
        if tidy.len() >= TEXT_MAX {
            break;
        }
        if c.is_control() {
            tidy.extend(c.escape_default());
        } else {
            tidy.push(c);
        }
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(tidy("a\u{1b}[2J\0b\n"), "a\\u{1b}[2J\\u{0}b");
        assert!(tidy(&"é".repeat(TEXT_MAX)).len() <= TEXT_MAX + 1);
    }
}
