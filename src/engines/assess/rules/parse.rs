//! From the text of a file to a rule: everything that is wrong with it is told, not the first alone.

use std::path::Path;

use serde::Serialize;
use serde_spanned::Spanned;

use super::super::facts::{Facts, Kind, Slot};
use super::raw::{RawRule, RawSwitch};
use super::{Remediation, Rule, RuleError, Severity};
use crate::api::RiskLevel;

/// Longest file, bytes.
pub(super) const FILE_MAX: usize = 64 * 1024;
/// Longest id.
const ID_MAX: usize = 64;

/// What a file says.
#[derive(Debug)]
pub(super) enum Parsed {
    /// A rule, and whether it is in force.
    Rule(Box<Rule>, bool),
    /// This rule is switched off.
    Off(String),
}

/// A test of a rule, in its own file.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Line of the file.
    pub line: usize,
    /// What it shows.
    pub about: String,
    /// Whether the rule must find something.
    pub matches: bool,
    /// How bad it must be.
    pub severity: Option<RiskLevel>,
    pub(super) facts: Facts,
}

/// A test that a rule does not pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestFailure {
    /// The rule.
    pub rule: String,
    /// Line of its file.
    pub line: usize,
    /// What is otherwise than the test says.
    pub message: String,
}

impl Rule {
    /// Reads a rule; `file` is only for messages.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Vec<RuleError>> {
        match parse(file, text)? {
            Parsed::Rule(rule, _) => Ok(*rule),
            Parsed::Off(_) => Err(vec![RuleError {
                file: file.to_owned(),
                line: 0,
                key: String::new(),
                message: "only switches a rule off".to_owned(),
            }]),
        }
    }

    /// Its tests.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Runs its tests.
    pub fn test(&self) -> Vec<TestFailure> {
        let failure = |sample: &Sample, message| TestFailure {
            rule: self.id.clone(),
            line: sample.line,
            message,
        };
        let told = |sample: &Sample| {
            let found = self.matches(&sample.facts);
            match (found.first(), sample.matches, sample.severity) {
                (None, true, _) => Some("must match, and does not".to_owned()),
                (Some(_), false, _) => Some("must not match, and does".to_owned()),
                (Some(found), _, Some(wanted)) if found.severity != wanted => Some(format!(
                    "must be of severity {wanted}, and is {}",
                    found.severity
                )),
                _ => None,
            }
        };
        let samples = self.samples.iter();
        samples
            .filter_map(|sample| Some(failure(sample, told(sample)?)))
            .collect()
    }
}

/// Reads a file.
pub(super) fn parse(file: &Path, text: &str) -> Result<Parsed, Vec<RuleError>> {
    let mut reader = Reader {
        file,
        text,
        errors: Vec::new(),
        conditions: 0,
        questions: 0,
    };
    if text.len() > FILE_MAX {
        reader.wrong(0, "", format!("is longer than {FILE_MAX} bytes"));
        return Err(reader.errors);
    }
    if let Ok(switch) = toml::from_str::<RawSwitch>(text)
        && !switch.enabled
    {
        reader.id(&switch.id);
        return match reader.errors.is_empty() {
            true => Ok(Parsed::Off(switch.id.into_inner())),
            false => Err(reader.errors),
        };
    }
    let raw: RawRule = match toml::Deserializer::parse(text) {
        Ok(deserializer) => match serde_path_to_error::deserialize(deserializer) {
            Ok(raw) => raw,
            Err(error) => {
                let key = plain_path(&error.path().to_string());
                let error = error.into_inner();
                let line = error.span().map_or(0, |span| reader.line(span.start));
                reader.wrong(line, &key, error.message().to_owned());
                return Err(reader.errors);
            }
        },
        Err(error) => {
            let line = error.span().map_or(0, |span| reader.line(span.start));
            reader.wrong(line, "", error.message().to_owned());
            return Err(reader.errors);
        }
    };
    let enabled = raw.enabled;
    match reader.rule(raw) {
        Some(rule) if reader.errors.is_empty() => Ok(Parsed::Rule(Box::new(rule), enabled)),
        _ => Err(reader.errors),
    }
}

/// The path of a key, without what spans put into it.
fn plain_path(path: &str) -> String {
    let parts = path
        .split('.')
        .filter(|part| !part.starts_with("$__") && *part != "?");
    parts
        .collect::<Vec<_>>()
        .join(".")
        .trim_matches('.')
        .to_owned()
}

/// What reads a file, and what is wrong with it so far.
pub(super) struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    pub(super) errors: Vec<RuleError>,
    /// Conditions so far.
    pub(super) conditions: usize,
    /// Those of them that ask for facts of another kind.
    pub(super) questions: usize,
}

impl Reader<'_> {
    pub(super) fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    pub(super) fn wrong(&mut self, line: usize, key: &str, message: impl Into<String>) {
        self.errors.push(RuleError {
            file: self.file.to_owned(),
            line,
            key: key.to_owned(),
            message: message.into(),
        });
    }

    pub(super) fn wrong_at<T>(&mut self, what: &Spanned<T>, key: &str, message: impl Into<String>) {
        let line = self.line(what.span().start);
        self.wrong(line, key, message);
    }

    /// Lower-case words with dashes between them.
    fn name(&mut self, name: &Spanned<String>, key: &str) {
        let text = name.get_ref();
        let sound = (1..=ID_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !text.starts_with('-')
            && !text.ends_with('-');
        if !sound {
            let message = format!("must be of a-z, 0-9 and -, {ID_MAX} characters at most");
            self.wrong_at(name, key, message);
        }
    }

    fn id(&mut self, id: &Spanned<String>) {
        self.name(id, "id");
    }

    pub(super) fn said(&mut self, text: &Spanned<String>, key: &str) {
        if text.get_ref().trim().is_empty() {
            self.wrong_at(text, key, "must not be empty");
        }
    }

    fn rule(&mut self, raw: RawRule) -> Option<Rule> {
        self.id(&raw.id);
        self.said(&raw.title, "title");
        self.name(&raw.category, "category");
        self.said(&raw.severity.reason, "severity.reason");
        self.said(&raw.remediation.action, "remediation.action");
        self.meta(&raw);
        let subject = self.kind(&raw.condition.subject, "match.subject")?;
        let condition = self.root(&raw.condition, subject);
        for (at, field) in raw.evidence.iter().enumerate() {
            self.slot(subject, field, &format!("evidence[{at}]"));
        }
        let samples: Vec<_> = raw
            .test
            .iter()
            .enumerate()
            .filter_map(|(at, test)| self.sample(test, subject, &format!("test[{at}]")))
            .collect();
        for (wanted, what) in [(true, "matches"), (false, "does not match")] {
            if !raw.test.iter().any(|test| test.get_ref().matches == wanted) {
                self.wrong(0, "test", format!("must have at least one that {what}"));
            }
        }
        let texts = |list: Vec<Spanned<String>>| -> Vec<String> {
            list.into_iter().map(Spanned::into_inner).collect()
        };
        Some(Rule {
            id: raw.id.into_inner(),
            title: raw.title.into_inner(),
            category: raw.category.into_inner(),
            cwe: raw.cwe.into_inner(),
            attack: texts(raw.attack),
            severity: Severity {
                level: raw.severity.level,
                public: raw.severity.public,
                private: raw.severity.private,
                reason: raw.severity.reason.into_inner(),
            },
            confidence: raw.confidence.map_or(1.0, Spanned::into_inner),
            group: raw.group.map(Spanned::into_inner),
            supersedes: texts(raw.supersedes),
            evidence: texts(raw.evidence),
            remediation: Remediation {
                action: raw.remediation.action.into_inner(),
                effort: raw.remediation.effort,
            },
            references: texts(raw.references.into_inner()),
            subject,
            file: self.file.to_owned(),
            condition: condition?,
            samples,
        })
    }

    /// What is said of a rule besides its condition.
    fn meta(&mut self, raw: &RawRule) {
        if let Some(group) = &raw.group {
            self.name(group, "group");
        }
        for (at, id) in raw.supersedes.iter().enumerate() {
            let key = format!("supersedes[{at}]");
            self.name(id, &key);
            if id.get_ref() == raw.id.get_ref() {
                self.wrong_at(id, &key, "must be another rule");
            }
        }
        if let Some(confidence) = &raw.confidence
            && !(0.01..=1.0).contains(confidence.get_ref())
        {
            self.wrong_at(
                confidence,
                "confidence",
                "must be more than 0, and 1 at most",
            );
        }
        if raw.cwe.get_ref().is_empty() || raw.cwe.get_ref().contains(&0) {
            self.wrong_at(
                &raw.cwe,
                "cwe",
                "must have at least one number of a weakness",
            );
        }
        if raw.references.get_ref().is_empty() {
            self.wrong_at(&raw.references, "references", "must have at least one");
        }
        for (at, reference) in raw.references.get_ref().iter().enumerate() {
            let url = reference.get_ref();
            if !url.starts_with("https://") || url::Url::parse(url).is_err() {
                let key = format!("references[{at}]");
                self.wrong_at(reference, &key, "must be a URL by https");
            }
        }
        for (at, id) in raw.attack.iter().enumerate() {
            if !is_technique(id.get_ref()) {
                let key = format!("attack[{at}]");
                self.wrong_at(id, &key, "must be a technique of ATT&CK (T1190, T1021.001)");
            }
        }
    }

    pub(super) fn kind(&mut self, name: &Spanned<String>, key: &str) -> Option<Kind> {
        match name.get_ref().parse() {
            Ok(kind) => Some(kind),
            Err(message) => {
                self.wrong_at(name, key, message);
                None
            }
        }
    }

    pub(super) fn slot(&mut self, kind: Kind, name: &Spanned<String>, key: &str) -> Option<Slot> {
        let slot = kind.slot(name.get_ref());
        if slot.is_none() {
            let hint = kind.nearest(name.get_ref());
            let hint = hint.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
            let message = format!("{kind} has no field {:?}{hint}", name.get_ref());
            self.wrong_at(name, key, message);
        }
        slot
    }
}

/// `T1190`, `T1021.001`.
fn is_technique(id: &str) -> bool {
    let digits =
        |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let Some(number) = id.strip_prefix('T') else {
        return false;
    };
    match number.split_once('.') {
        Some((technique, sub)) => digits(technique, 4) && digits(sub, 3),
        None => digits(number, 4),
    }
}
