//! Tests in rule files.

use serde_spanned::Spanned;

use super::super::facts::{Facts, Kind, Subject, Type, Value};
use super::parse::{Reader, Sample};
use super::raw::{RawOther, RawTest};
use super::read_condition::read_time;

/// When the samples of rules are assessed that name no day.
const SAMPLE_DAY: &str = "2026-01-01";

impl Reader<'_> {
    pub(super) fn sample(
        &mut self,
        test: &Spanned<RawTest>,
        kind: Kind,
        key: &str,
    ) -> Option<Sample> {
        let line = self.line(test.span().start);
        let raw = test.get_ref();
        let as_of = match &raw.as_of {
            Some(day) => self.time(day, &format!("{key}.as_of"))?,
            None => read_time(&SAMPLE_DAY.parse().ok()?)?,
        };
        let mut facts = Facts::new("sample", as_of, raw.public);
        facts.add(self.fact(&raw.facts, kind, &format!("{key}.facts"))?);
        for (at, other) in raw.others.iter().enumerate() {
            let key = format!("{key}.others[{at}]");
            let RawOther {
                subject,
                facts: fields,
            } = other.get_ref();
            let kind = self.kind(subject, &format!("{key}.subject"))?;
            facts.add(self.fact(fields, kind, &format!("{key}.facts"))?);
        }
        Some(Sample {
            line,
            about: raw.about.clone().unwrap_or_default(),
            matches: raw.matches,
            severity: raw.severity,
            facts,
        })
    }

    fn fact(&mut self, table: &Spanned<toml::Table>, kind: Kind, key: &str) -> Option<Subject> {
        let mut fact = Subject::new(kind, format!("{kind}:sample"), "sample");
        let before = self.errors.len();
        for (name, value) in table.get_ref() {
            let key = format!("{key}.{name}");
            let Some(slot) = kind.slot(name) else {
                let hint = kind.nearest(name);
                let hint =
                    hint.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
                let message = format!("{kind} has no such field{hint}");
                self.wrong_at(table, &key, message);
                continue;
            };
            let value = match (value, kind.type_of(&slot)) {
                (toml::Value::Array(list), Type::List) => list
                    .iter()
                    .map(|one| one.as_str().map(str::to_owned))
                    .collect::<Option<Vec<_>>>()
                    .map(Value::List),
                (toml::Value::Datetime(time), Type::Time) => read_time(time).map(Value::Time),
                (toml::Value::Boolean(flag), Type::Flag) => Some(Value::Flag(*flag)),
                (toml::Value::Integer(number), Type::Number) => Some(Value::Number(*number)),
                (toml::Value::String(text), Type::Text) => Some(Value::Text(text.clone())),
                _ => None,
            };
            match value {
                Some(value) => fact.set(name, value),
                None => {
                    let message = format!("the field is {}, this is not", kind.type_of(&slot));
                    self.wrong_at(table, &key, message);
                }
            }
        }
        (self.errors.len() == before).then_some(fact)
    }
}
