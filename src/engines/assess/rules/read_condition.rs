//! Conditions, from what is written to what is asked of a fact.

use chrono::{DateTime, NaiveDate, Utc};
use regex::RegexBuilder;
use serde_spanned::Spanned;
use toml::value::Datetime;

use super::super::facts::{Kind, Type, Value};
use super::condition::{Condition, Test};
use super::parse::Reader;
use super::raw::{RawCondition, RawMatch};
use super::version::VersionRange;

/// How deep conditions nest.
const DEPTH_MAX: usize = 8;
/// Conditions of one rule.
const CONDITIONS_MAX: usize = 500;
/// Longest pattern, bytes.
const PATTERN_MAX: usize = 2000;
/// Memory of one compiled pattern, bytes.
const PATTERN_SIZE: usize = 1 << 20;

impl Reader<'_> {
    pub(super) fn root(&mut self, raw: &RawMatch, kind: Kind) -> Option<Condition> {
        let lists = [&raw.all, &raw.any, &raw.none];
        if lists.iter().all(|list| list.is_none()) {
            self.wrong_at(&raw.subject, "match", "must have all, any or none");
            return None;
        }
        let lists = self.lists(lists, kind, "match", 1);
        Some(Condition::All(lists?))
    }

    /// Lists of conditions side by side: all of them hold.
    fn lists(
        &mut self,
        lists: [&Option<Vec<Spanned<RawCondition>>>; 3],
        kind: Kind,
        key: &str,
        depth: usize,
    ) -> Option<Vec<Condition>> {
        type Make = fn(Vec<Condition>) -> Condition;
        let names: [(&str, Make); 3] = [
            ("all", Condition::All),
            ("any", Condition::Any),
            ("none", Condition::None),
        ];
        let mut made = Some(Vec::new());
        for ((name, make), list) in names.into_iter().zip(lists) {
            let Some(list) = list else { continue };
            let key = format!("{key}.{name}");
            if list.is_empty() {
                self.wrong(0, &key, "must not be empty");
            }
            let mut conditions = Vec::with_capacity(list.len());
            for (at, raw) in list.iter().enumerate() {
                let one = self.condition(raw, kind, &format!("{key}[{at}]"), depth);
                conditions.extend(one);
            }
            match &mut made {
                Some(made) if conditions.len() == list.len() => made.push(make(conditions)),
                _ => made = None,
            }
        }
        made
    }

    fn condition(
        &mut self,
        spanned: &Spanned<RawCondition>,
        kind: Kind,
        key: &str,
        depth: usize,
    ) -> Option<Condition> {
        self.conditions += 1;
        if depth > DEPTH_MAX || self.conditions > CONDITIONS_MAX {
            let message = format!(
                "conditions must be nested {DEPTH_MAX} deep at most, and be {CONDITIONS_MAX} at most"
            );
            self.wrong_at(spanned, key, message);
            return None;
        }
        let raw = spanned.get_ref();
        let lists = [&raw.all, &raw.any, &raw.none];
        let listed = lists.iter().any(|list| list.is_some());
        let operators = raw.operators();
        match (&raw.field, &raw.has, &raw.since) {
            (Some(field), None, None) if !listed => {
                let slot = self.slot(kind, field, &format!("{key}.field"))?;
                if operators != 1 {
                    let message = format!("must have exactly one operator, and has {operators}");
                    self.wrong_at(spanned, key, message);
                    return None;
                }
                let test = self.test(raw, kind.type_of(&slot), key)?;
                Some(Condition::Field(slot, test))
            }
            (None, Some(other), None) if listed && operators == 0 => {
                let other = self.kind(other, &format!("{key}.has"))?;
                let lists = self.lists(lists, other, key, depth + 1)?;
                let at = self.questions;
                self.questions += 1;
                Some(Condition::Has(at, other, Box::new(Condition::All(lists))))
            }
            (None, None, Some(day)) if !listed && operators == 0 => {
                Some(Condition::Since(self.time(day, &format!("{key}.since"))?))
            }
            (None, None, None) if listed && operators == 0 => {
                Some(Condition::All(self.lists(lists, kind, key, depth + 1)?))
            }
            _ => {
                let message = "must be a field with an operator, or has with all, any or none, or since, or \
                               all, any or none";
                self.wrong_at(spanned, key, message);
                None
            }
        }
    }

    fn test(&mut self, raw: &RawCondition, kind: Type, key: &str) -> Option<Test> {
        if let Some(exists) = raw.exists {
            return Some(Test::Exists(exists));
        }
        if let Some(value) = &raw.equals {
            let key = format!("{key}.equals");
            let value = self.value(value, value.get_ref(), kind, &key)?;
            return Some(Test::Is(vec![value]));
        }
        if let Some(values) = &raw.one_of {
            let key = format!("{key}.in");
            if values.get_ref().is_empty() {
                self.wrong_at(values, &key, "must not be empty");
            }
            let list = values.get_ref().iter();
            let list = list.map(|value| self.value(values, value, kind, &key));
            return list.collect::<Option<_>>().map(Test::Is);
        }
        if let Some(part) = &raw.contains {
            self.of_text(part, kind, &format!("{key}.contains"))?;
            self.said(part, &format!("{key}.contains"));
            return Some(Test::Contains(part.get_ref().to_ascii_lowercase()));
        }
        if let Some(pattern) = &raw.matches {
            self.of_text(pattern, kind, &format!("{key}.matches"))?;
            return self.pattern(pattern, &format!("{key}.matches"));
        }
        if let Some(range) = &raw.version {
            let key = format!("{key}.version");
            if kind != Type::Text {
                self.wrong_at(range, &key, format!("does not go with {kind}"));
                return None;
            }
            return match VersionRange::parse(range.get_ref()) {
                Ok(range) => Some(Test::Version(range)),
                Err(message) => {
                    self.wrong_at(range, &key, message);
                    None
                }
            };
        }
        self.amount(raw, kind, key)
    }

    /// Numbers and times.
    fn amount(&mut self, raw: &RawCondition, kind: Type, key: &str) -> Option<Test> {
        type Make = fn(i64) -> Test;
        let numbers: [(&str, Make, &Option<Spanned<i64>>); 4] = [
            ("lt", Test::Less, &raw.lt),
            ("le", Test::AtMost, &raw.le),
            ("gt", Test::More, &raw.gt),
            ("ge", Test::AtLeast, &raw.ge),
        ];
        for (name, make, number) in numbers {
            let Some(number) = number else { continue };
            if matches!(kind, Type::Flag | Type::Time) {
                let key = format!("{key}.{name}");
                self.wrong_at(number, &key, format!("does not go with {kind}"));
                return None;
            }
            return Some(make(*number.get_ref()));
        }
        type At = fn(DateTime<Utc>) -> Test;
        let times: [(&str, At, &Option<Spanned<Datetime>>); 2] = [
            ("before", Test::Before, &raw.before),
            ("after", Test::After, &raw.after),
        ];
        for (name, make, time) in times {
            let Some(time) = time else { continue };
            let key = format!("{key}.{name}");
            if kind != Type::Time {
                self.wrong_at(time, &key, format!("does not go with {kind}"));
                return None;
            }
            return Some(make(self.time(time, &key)?));
        }
        None
    }

    fn of_text<T>(&mut self, what: &Spanned<T>, kind: Type, key: &str) -> Option<()> {
        if matches!(kind, Type::Text | Type::List) {
            return Some(());
        }
        self.wrong_at(what, key, format!("does not go with {kind}"));
        None
    }

    fn pattern(&mut self, pattern: &Spanned<String>, key: &str) -> Option<Test> {
        let text = pattern.get_ref();
        if text.is_empty() || text.len() > PATTERN_MAX {
            let message = format!("must have 1 to {PATTERN_MAX} bytes");
            self.wrong_at(pattern, key, message);
            return None;
        }
        let built = RegexBuilder::new(text)
            .size_limit(PATTERN_SIZE)
            .dfa_size_limit(PATTERN_SIZE)
            .build();
        match built {
            Ok(regex) => Some(Test::Matches(regex)),
            Err(error) => {
                let message = error.to_string();
                let last = message.lines().last().unwrap_or_default();
                self.wrong_at(pattern, key, format!("is no pattern: {last}"));
                None
            }
        }
    }

    pub(super) fn time(&mut self, time: &Spanned<Datetime>, key: &str) -> Option<DateTime<Utc>> {
        let read = read_time(time.get_ref());
        if read.is_none() {
            self.wrong_at(
                time,
                key,
                "must be a day (2025-01-31) or a time with its offset",
            );
        }
        read
    }

    /// A value of a field of that type.
    fn value<T>(
        &mut self,
        at: &Spanned<T>,
        value: &toml::Value,
        kind: Type,
        key: &str,
    ) -> Option<Value> {
        let value = match (value, kind) {
            (toml::Value::Boolean(flag), Type::Flag) => Value::Flag(*flag),
            (toml::Value::Integer(number), Type::Number) => Value::Number(*number),
            (toml::Value::String(text), Type::Text) => Value::Text(text.clone()),
            (_, Type::List) => {
                self.wrong_at(at, key, "does not go with a list; use contains or matches");
                return None;
            }
            _ => {
                self.wrong_at(at, key, format!("the field is {kind}, this is not"));
                return None;
            }
        };
        Some(value)
    }
}

impl RawCondition {
    /// How many operators it has.
    fn operators(&self) -> usize {
        [
            self.exists.is_some(),
            self.equals.is_some(),
            self.one_of.is_some(),
            self.contains.is_some(),
            self.matches.is_some(),
            self.lt.is_some(),
            self.le.is_some(),
            self.gt.is_some(),
            self.ge.is_some(),
            self.version.is_some(),
            self.before.is_some(),
            self.after.is_some(),
        ]
        .into_iter()
        .filter(|is| *is)
        .count()
    }
}

/// A day begins at midnight UTC.
pub(super) fn read_time(time: &Datetime) -> Option<DateTime<Utc>> {
    let text = time.to_string();
    if time.offset.is_some() {
        let time = DateTime::parse_from_rfc3339(&text).ok()?;
        return Some(time.with_timezone(&Utc));
    }
    let day = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok()?;
    Some(day.and_hms_opt(0, 0, 0)?.and_utc())
}
