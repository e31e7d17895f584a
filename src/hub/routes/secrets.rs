//! Secrets that spiders find: they are told of, and never kept.

use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::super::store::NewFinding;
use super::fields::{Fields, tidy};
use crate::api::RiskLevel;

/// Characters of a secret that are shown.
const SHOWN: usize = 4;
/// Shorter values are not looked for in other texts: they would be found everywhere.
const SOUGHT: usize = 6;
/// Longest context that is kept.
const CONTEXT_MAX: usize = 400;
/// Headers whose whole value is a secret.
const SECRET_HEADERS: [&str; 5] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
];

/// A secret as an agent sent it.
#[derive(Debug)]
pub(super) struct Secret {
    value: String,
    kind: String,
    context: Option<String>,
    severity: RiskLevel,
    /// Of the whole secret, hex, when the agent sent only what may be shown of it.
    whole: Option<String>,
}

impl Secret {
    /// Reads one of `secrets_found`.
    pub(super) fn read(fields: &mut Fields, field: &str, item: &Value) -> Option<Self> {
        let Some(item) = item.as_object() else {
            fields.wrong(field, "type", "must be an object with a value");
            return None;
        };
        let of = |name: &str| item.get(name).unwrap_or(&Value::Null);
        let value = match of("value") {
            Value::String(value) if !value.is_empty() => value.clone(),
            _ => {
                fields.wrong(format!("{field}.value"), "type", "must be text");
                return None;
            }
        };
        let kind = fields.text(&format!("{field}.type"), of("type"));
        let severity = of("severity").as_str().and_then(|s| s.parse().ok());
        let whole = of("sha256").as_str().filter(|hash| {
            let hex = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
            hex && is_redacted(&value)
        });
        let context = of("context").as_str().and_then(|text| around(text, &value));
        Some(Self {
            value,
            kind: kind.unwrap_or_else(|| "unknown".to_owned()),
            context,
            severity: severity.unwrap_or(RiskLevel::High),
            whole: whole.map(str::to_ascii_lowercase),
        })
    }

    /// What may be kept of it.
    pub(super) fn shown(&self) -> Value {
        json!({
            "type": self.kind,
            "preview": self.preview(),
            "sha256": self.sha256(),
        })
    }

    fn preview(&self) -> String {
        match self.whole {
            Some(_) => tidy(&self.value),
            None => preview(&self.value),
        }
    }

    fn sha256(&self) -> String {
        self.whole.clone().unwrap_or_else(|| sha256(&self.value))
    }

    /// The finding, with the page that it is on.
    pub(super) fn finding(&self, page: &str, redactor: &Redactor) -> NewFinding {
        let mut evidence = Map::new();
        evidence.insert("secret_type".to_owned(), json!(self.kind));
        evidence.insert("value_preview".to_owned(), json!(self.preview()));
        evidence.insert("value_sha256".to_owned(), json!(self.sha256()));
        if let Some(context) = &self.context {
            let context = redactor.text(context.clone());
            evidence.insert("context".to_owned(), json!(context));
        }
        let mut fingerprint = Sha256::new();
        let value = self.whole.as_ref().unwrap_or(&self.value);
        for part in ["exposed_secret", &self.kind, page, value] {
            fingerprint.update(part);
            fingerprint.update([0]);
        }
        NewFinding {
            fingerprint: fingerprint.finalize().into(),
            kind: "exposed_secret".to_owned(),
            severity: self.severity,
            priority: None,
            confidence: None,
            category: "javascript_secret".to_owned(),
            title: format!("Secret in a script: {}", self.kind),
            location: page.to_owned(),
            cve: None,
            kev: false,
            evidence: Value::Object(evidence),
            discovered_by: "kumo",
        }
    }
}

/// Takes the secrets of a result out of whatever else of it is kept: what is a secret on one page
/// may stand in the URL of another.
#[derive(Debug)]
pub(super) struct Redactor {
    /// None when there is nothing to look for.
    secrets: Option<AhoCorasick>,
    previews: Vec<String>,
}

impl Redactor {
    /// For these secrets.
    pub(super) fn new<'a>(secrets: impl Iterator<Item = &'a Secret>) -> Self {
        let mut values: Vec<&str> = secrets
            .filter(|s| s.whole.is_none())
            .map(|s| s.value.as_str())
            .filter(|v| v.len() >= SOUGHT)
            .collect();
        values.sort_unstable();
        values.dedup();
        let previews = values.iter().map(|v| preview(v)).collect();
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&values);
        Self {
            // A body is too small for a search that is too large.
            secrets: search.ok().filter(|_| !values.is_empty()),
            previews,
        }
    }

    /// A text without them.
    pub(super) fn text(&self, text: String) -> String {
        match &self.secrets {
            Some(secrets) if secrets.is_match(&text) => secrets.replace_all(&text, &self.previews),
            _ => text,
        }
    }

    /// Headers without them, and without what is always one.
    pub(super) fn headers(&self, headers: &Map<String, Value>) -> Map<String, Value> {
        let clean = |name: &str, value: &Value| match value {
            Value::String(text) if SECRET_HEADERS.contains(&name.to_ascii_lowercase().as_str()) => {
                json!(preview(text))
            }
            Value::String(text) => json!(self.text(tidy(text))),
            // Several of one name.
            other => json!(self.text(tidy(&other.to_string()))),
        };
        headers
            .iter()
            .map(|(name, value)| (tidy(name), clean(name, value)))
            .collect()
    }
}

/// Whether an agent has sent no more than what may be shown.
fn is_redacted(value: &str) -> bool {
    value.ends_with('…') && value.chars().count() <= SHOWN + 1
}

/// The first characters; of a short secret fewer, so that it is not shown whole.
fn preview(value: &str) -> String {
    let shown = SHOWN.min(value.chars().count() / 3);
    let first: String = value.chars().take(shown).collect();
    format!("{}…", tidy(&first))
}

fn sha256(value: &str) -> String {
    Sha256::digest(value)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The context with the preview in the place of the secret, up to the end of the word: an agent may
/// send only the beginning of a long one. A context that does not show where it is may show a part
/// of it, and is not kept.
fn around(context: &str, value: &str) -> Option<String> {
    let at = context.find(value)?;
    let rest = &context[at + value.len()..];
    let word = |c: char| c.is_ascii_alphanumeric() || "_-./+=~%".contains(c);
    let rest = rest.trim_start_matches(word);
    if rest.contains(value) {
        return None;
    }
    let mut text = tidy(&format!("{}{}{rest}", &context[..at], preview(value)));
    if text.len() > CONTEXT_MAX {
        let end = (0..=CONTEXT_MAX).rev().find(|i| text.is_char_boundary(*i));
        text.truncate(end.unwrap_or_default());
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(value: &str, context: &str) -> Secret {
        let item = json!({ "type": "aws_key", "value": value, "context": context });
        Secret::read(&mut Fields::default(), "s", &item).unwrap()
    }

    #[test]
    fn a_secret_is_never_shown_whole() {
        assert_eq!(preview("AKIAABCDEFGHIJKLMNOP"), "AKIA…");
        assert_eq!(preview("hunter2"), "hu…");
        assert_eq!(preview("ab"), "…");
        assert_eq!(preview("äöüäöüäöüäöü"), "äöüä…");
    }

    #[test]
    fn the_context_loses_the_whole_word() {
        let cut = secret("AKIAABCD", "var k=\"AKIAABCDEFGH/ij+k==\"; x");
        assert_eq!(cut.context.as_deref(), Some("var k=\"AK…\"; x"));
        assert_eq!(secret("AKIAABCD", "var k=\"AKIAA").context, None);
        assert_eq!(secret("AKIAABCD", "AKIAABCD AKIAABCD").context, None);
    }

    /// An agent that redacts by itself tells two secrets from each other by their hash.
    #[test]
    fn what_was_redacted_is_not_redacted_again() {
        let read = |value: &str, hash: &str| {
            let item = json!({ "value": value, "sha256": hash.repeat(64), "severity": "critical" });
            Secret::read(&mut Fields::default(), "s", &item).unwrap()
        };
        let (one, other) = (read("AKIA…", "A"), read("AKIA…", "b"));
        assert_eq!(one.shown()["preview"], "AKIA…");
        assert_eq!(one.shown()["sha256"], "a".repeat(64));
        let redactor = Redactor::new([&one].into_iter());
        assert_eq!(redactor.text("AKIA…".into()), "AKIA…");
        let (first, second) = (one.finding("/", &redactor), other.finding("/", &redactor));
        assert_ne!(first.fingerprint, second.fingerprint);
        assert_eq!(first.severity, RiskLevel::Critical);
        let whole = read("AKIAABCDEFGH", "a");
        assert_eq!(whole.shown()["sha256"], sha256("AKIAABCDEFGH"));
        assert_eq!(whole.shown()["preview"], "AKIA…");
    }

    #[test]
    fn other_texts_lose_it_too() {
        let secrets = [secret("AKIAABCDEFGH", "")];
        let redactor = Redactor::new(secrets.iter());
        assert_eq!(redactor.text("/x?k=AKIAABCDEFGH&y".into()), "/x?k=AKIA…&y");
        let headers = json!({ "X-Key": "AKIAABCDEFGH", "Set-Cookie": "sid=0123456789abc" });
        let clean = redactor.headers(headers.as_object().unwrap());
        assert_eq!(
            Value::from(clean),
            json!({ "X-Key": "AKIA…", "Set-Cookie": "sid=…" })
        );
    }
}
