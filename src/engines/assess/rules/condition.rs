//! What a rule asks of a fact.

use chrono::{DateTime, Utc};
use regex::Regex;

use super::super::facts::{Facts, Kind, Slot, Subject, Value};
use super::version::VersionRange;

/// A condition, compiled.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    All(Vec<Self>),
    Any(Vec<Self>),
    /// None of them.
    None(Vec<Self>),
    /// A field is so.
    Field(Slot, Test),
    /// The assessment is of that time or later.
    Since(DateTime<Utc>),
    /// Any fact of that kind is so; the number is its place among the answers of [`Condition::ask`].
    Has(usize, Kind, Box<Self>),
}

/// What is asked of a field.
#[derive(Debug, Clone)]
pub(super) enum Test {
    Exists(bool),
    /// One of these; text is in lower case.
    Is(Vec<Value>),
    /// In lower case.
    Contains(String),
    Matches(Regex),
    Less(i64),
    AtMost(i64),
    More(i64),
    AtLeast(i64),
    Version(VersionRange),
    Before(DateTime<Utc>),
    After(DateTime<Utc>),
}

impl Condition {
    /// Answers every question about facts of other kinds, once for all facts of the rule.
    pub(super) fn ask(&self, facts: &Facts, answers: &mut Vec<bool>) {
        match self {
            Self::All(list) | Self::Any(list) | Self::None(list) => {
                for one in list {
                    one.ask(facts, answers);
                }
            }
            Self::Has(at, kind, condition) => {
                condition.ask(facts, answers);
                if answers.len() <= *at {
                    answers.resize(at + 1, false);
                }
                let found = facts
                    .all(*kind)
                    .iter()
                    .any(|other| condition.holds(other, facts.as_of, answers));
                answers[*at] = found;
            }
            Self::Field(..) | Self::Since(_) => {}
        }
    }

    /// Whether it holds for a fact; `answers` are those of [`Self::ask`].
    pub(super) fn holds(&self, subject: &Subject, as_of: DateTime<Utc>, answers: &[bool]) -> bool {
        match self {
            Self::All(list) => list.iter().all(|one| one.holds(subject, as_of, answers)),
            Self::Any(list) => list.iter().any(|one| one.holds(subject, as_of, answers)),
            Self::None(list) => !list.iter().any(|one| one.holds(subject, as_of, answers)),
            Self::Field(slot, test) => test.holds(subject.at(slot)),
            Self::Since(day) => as_of >= *day,
            Self::Has(at, _, _) => answers.get(*at).copied().unwrap_or_default(),
        }
    }
}

impl Test {
    fn holds(&self, value: Option<&Value>) -> bool {
        let Some(value) = value else {
            return matches!(self, Self::Exists(false));
        };
        match self {
            Self::Exists(wanted) => *wanted,
            Self::Is(values) => values.iter().any(|wanted| is(value, wanted)),
            Self::Contains(part) => match value {
                Value::Text(text) => text.to_ascii_lowercase().contains(part),
                Value::List(list) => list.iter().any(|one| one.eq_ignore_ascii_case(part)),
                _ => false,
            },
            Self::Matches(pattern) => match value {
                Value::Text(text) => pattern.is_match(text),
                Value::List(list) => list.iter().any(|one| pattern.is_match(one)),
                _ => false,
            },
            Self::Less(limit) => amount(value).is_some_and(|n| n < *limit),
            Self::AtMost(limit) => amount(value).is_some_and(|n| n <= *limit),
            Self::More(limit) => amount(value).is_some_and(|n| n > *limit),
            Self::AtLeast(limit) => amount(value).is_some_and(|n| n >= *limit),
            Self::Version(range) => matches!(value, Value::Text(text) if range.has(text)),
            Self::Before(time) => matches!(value, Value::Time(at) if at < time),
            Self::After(time) => matches!(value, Value::Time(at) if at > time),
        }
    }
}

fn is(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Text(text), Value::Text(wanted)) => text.eq_ignore_ascii_case(wanted),
        _ => value == wanted,
    }
}

/// A number, or how long it is.
fn amount(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => Some(*number),
        Value::Text(text) => i64::try_from(text.len()).ok(),
        Value::List(list) => i64::try_from(list.len()).ok(),
        Value::Flag(_) | Value::Time(_) => None,
    }
}
