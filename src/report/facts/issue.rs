//! Findings: what the newest assessment says of them, and what the hub knows of their life.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Known;
use super::read::{list, number, risk, some_text, text, when};
use crate::api::{COUNTS_FROM, RiskLevel};
use crate::report::Text;

/// As many pieces of evidence are told of a finding.
const EVIDENCE_MOST: usize = 10;
/// As many fields of one.
const FIELDS_MOST: usize = 30;
/// Longest value of one, characters.
const VALUE_LONGEST: usize = 600;
/// As many entries of its other lists.
const ENTRIES_MOST: usize = 30;

/// Where a finding is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum Status {
    /// It is there.
    Open,
    /// Somebody lives with it.
    Accepted,
    /// Somebody says that it is none.
    FalsePositive,
    /// It is no longer there.
    Fixed,
}

impl Status {
    /// What cannot be read is open: nothing is to be overlooked.
    fn of(value: &Value) -> Self {
        match value.as_str().unwrap_or_default() {
            "fixed" | "resolved" | "closed" => Self::Fixed,
            "accepted" => Self::Accepted,
            "false_positive" => Self::FalsePositive,
            _ => Self::Open,
        }
    }

    /// Its name on the wire.
    pub(in super::super) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Accepted => "accepted",
            Self::FalsePositive => "false_positive",
            Self::Fixed => "fixed",
        }
    }

    /// For people.
    pub(in super::super) fn words(self) -> &'static str {
        match self {
            Self::FalsePositive => "false positive",
            other => other.as_str(),
        }
    }
}

/// A finding.
#[derive(Debug, Serialize)]
pub(in super::super) struct Issue {
    /// The hub's id, when the hub knows it.
    pub(in super::super) id: Option<Uuid>,
    /// What makes it the same one in every report: a hash of record, what and where.
    pub(in super::super) fingerprint: String,
    /// What makes it the same one for its agent.
    pub(in super::super) key: Text,
    #[serde(rename = "type")]
    pub(in super::super) kind: Text,
    pub(in super::super) category: Text,
    pub(in super::super) title: Text,
    pub(in super::super) severity: RiskLevel,
    pub(in super::super) priority: Option<Priority>,
    pub(in super::super) confidence: Option<f64>,
    pub(in super::super) location: Text,
    pub(in super::super) reason: Text,
    pub(in super::super) cve: Option<Text>,
    pub(in super::super) cwe: Vec<u64>,
    pub(in super::super) attack: Vec<Text>,
    pub(in super::super) cvss: Option<Cvss>,
    pub(in super::super) kev: bool,
    pub(in super::super) epss: Option<f64>,
    pub(in super::super) distribution: Option<Text>,
    pub(in super::super) evidence: Vec<Evidence>,
    pub(in super::super) remediation: Text,
    pub(in super::super) effort: Text,
    pub(in super::super) references: Vec<Text>,
    pub(in super::super) status: Status,
    pub(in super::super) decision: Option<Decision>,
    pub(in super::super) first_seen_at: Option<DateTime<Utc>>,
    pub(in super::super) last_seen_at: Option<DateTime<Utc>>,
    pub(in super::super) fixed_at: Option<DateTime<Utc>>,
    pub(in super::super) reopened_at: Option<DateTime<Utc>>,
    pub(in super::super) discovered_by: Option<Text>,
    /// It was not there, or was fixed, when the assessment before was made.
    pub(in super::super) new: bool,
}

/// What to see to first, and how that was reckoned.
#[derive(Debug, Serialize)]
pub(in super::super) struct Priority {
    /// 0 to 100.
    pub(in super::super) score: f64,
    pub(in super::super) factors: Vec<Factor>,
}

/// A factor of it.
#[derive(Debug, Serialize)]
pub(in super::super) struct Factor {
    pub(in super::super) name: Text,
    pub(in super::super) value: f64,
    pub(in super::super) why: Text,
}

/// A CVSS base score.
#[derive(Debug, Serialize)]
pub(in super::super) struct Cvss {
    pub(in super::super) version: Text,
    pub(in super::super) vector: Text,
    pub(in super::super) score: f64,
}

/// What shows it.
#[derive(Debug, Serialize)]
pub(in super::super) struct Evidence {
    pub(in super::super) sources: Vec<Text>,
    #[serde(serialize_with = "as_object")]
    pub(in super::super) fields: Vec<(Text, Text)>,
}

fn as_object<S: Serializer>(fields: &[(Text, Text)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields.iter().map(|(name, value)| (name, value)))
}

/// What somebody decided.
#[derive(Debug, Serialize)]
pub(in super::super) struct Decision {
    pub(in super::super) status: Status,
    pub(in super::super) reason: Text,
    pub(in super::super) by: Option<Text>,
    pub(in super::super) at: Option<DateTime<Utc>>,
    pub(in super::super) until: Option<DateTime<Utc>>,
    /// It held until then, and holds no more.
    pub(in super::super) lapsed: bool,
}

impl Issue {
    /// First what is open and of highest priority. The last of these differ for any two.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        (self.status.cmp(&other.status))
            .then_with(|| other.score().total_cmp(&self.score()))
            .then_with(|| other.severity.cmp(&self.severity))
            .then_with(|| self.title.cmp(&other.title))
            .then_with(|| self.location.cmp(&other.location))
            .then_with(|| self.fingerprint.cmp(&other.fingerprint))
    }

    /// Whether it is sure enough to count for the risk of its target.
    pub(in super::super) fn counts(&self) -> bool {
        self.confidence.is_none_or(|sure| sure >= COUNTS_FROM)
    }

    /// Its priority, 0 without one.
    pub(in super::super) fn score(&self) -> f64 {
        self.priority.as_ref().map_or(0.0, |p| p.score)
    }
}

/// What makes a finding the same one where it is told twice: its key; of one that has none, what, where,
/// and what tells it from others of the kind there.
type Identity = [String; 4];

/// All findings of a target: those that the hub keeps, told at more length where the newest assessment
/// does, and those of it that the hub does not keep.
pub(super) fn all(
    known: &Known,
    as_of: Option<DateTime<Utc>>,
    before: Option<DateTime<Utc>>,
) -> Vec<Issue> {
    let none = Value::Null;
    let newest = known.assessments.first().unwrap_or(&none);
    let mut told: BTreeMap<Identity, &Value> = BTreeMap::new();
    for entry in list(&newest["vulnerabilities"]) {
        told.entry(identity(entry)).or_insert(entry);
    }
    // A list that grew while it was read has entries twice.
    let mut ids = BTreeSet::new();
    let kept = known.findings.iter();
    let kept = kept.filter(|kept| kept["id"].is_null() || ids.insert(kept["id"].to_string()));
    let mut issues: Vec<Issue> = kept
        .map(|kept| {
            let entry = take(&mut told, kept).unwrap_or(&none);
            read(known.id, entry, kept, as_of, before)
        })
        .collect();
    let seen = serde_json::json!({
        "first_seen_at": newest["created_at"], "last_seen_at": newest["created_at"],
    });
    for entry in told.into_values() {
        let mut issue = read(known.id, entry, &seen, as_of, before);
        // Nobody knows since when it is there.
        issue.new = false;
        issues.push(issue);
    }
    tell_apart(&mut issues);
    issues
}

/// What the assessment says of a finding that the hub keeps.
fn take<'a>(told: &mut BTreeMap<Identity, &'a Value>, kept: &Value) -> Option<&'a Value> {
    if let Some(entry) = told.remove(&identity(kept)) {
        return Some(entry);
    }
    // An older hub may not say the key. Two that have one are as different as their keys are.
    let named = |value: &Value| ["type", "title", "location"].map(|field| word(value, field));
    let (wanted, cve, keyed) = (named(kept), word(kept, "cve"), !key(kept).is_empty());
    let same = |entry: &Value| {
        if keyed && !key(entry).is_empty() {
            return false;
        }
        let other = word(entry, "cve");
        named(entry) == wanted && (cve.is_empty() || other.is_empty() || cve == other)
    };
    let found = told.iter().find(|(_, entry)| same(entry))?;
    let is = found.0.clone();
    told.remove(&is)
}

fn word(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// What an assessment said of a finding when it last saw it: a hub keeps that as the finding's evidence.
fn details(kept: &Value) -> &Value {
    const NONE: &Value = &Value::Null;
    let said = &kept["evidence"];
    match said["key"].is_string() && kept["discovered_by"] == "ryu" {
        true => said,
        false => NONE,
    }
}

/// What makes it the same one for its agent.
fn key(value: &Value) -> &str {
    let told = value["key"].as_str();
    told.or_else(|| details(value)["key"].as_str())
        .unwrap_or_default()
}

fn identity(value: &Value) -> Identity {
    let key = key(value).to_owned();
    match value {
        _ if !key.is_empty() => [key, String::new(), String::new(), String::new()],
        Value::Object(_) => {
            // Two secrets of a kind may be on one page.
            let special = word(value, "cve") + &word(&value["evidence"], "value_sha256");
            let [kind, title, location] = ["type", "title", "location"].map(|f| word(value, f));
            [kind, title, location, special]
        }
        other => [
            String::new(),
            other.to_string(),
            String::new(),
            String::new(),
        ],
    }
}

/// Gives those that nothing tells apart a number, the one that is known longest first.
fn tell_apart(issues: &mut [Issue]) {
    issues.sort_by(|a, b| {
        (&a.fingerprint, a.first_seen_at, a.id).cmp(&(&b.fingerprint, b.first_seen_at, b.id))
    });
    let mut last = (String::new(), 1);
    for issue in issues {
        if issue.fingerprint == last.0 {
            last.1 += 1;
            issue.fingerprint = format!("{}-{}", issue.fingerprint, last.1);
        } else {
            last = (issue.fingerprint.clone(), 1);
        }
    }
}

/// One finding, of what an assessment and what the hub says.
fn read(
    record: Uuid,
    entry: &Value,
    kept: &Value,
    as_of: Option<DateTime<Utc>>,
    before: Option<DateTime<Utc>>,
) -> Issue {
    // The assessment says more of what a finding is, the newest or else the last that saw it; the hub of
    // its life.
    let details = details(kept);
    let of = |field: &str| match (&entry[field], &details[field]) {
        (Value::Null, Value::Null) => &kept[field],
        (Value::Null, said) | (said, _) => said,
    };
    let shown = match entry["evidence"].is_null() && !details.is_null() {
        true => &details["evidence"],
        false => of("evidence"),
    };
    let title = match of("title") {
        Value::Null if !entry.is_object() && !entry.is_null() => text(entry),
        said => named(text(said), &of),
    };
    let decision = decision(&kept["decision"], as_of);
    let lapsed = decision.as_ref().is_some_and(|d| d.lapsed);
    let status = match Status::of(&kept["status"]) {
        Status::Accepted | Status::FalsePositive if lapsed => Status::Open,
        status => status,
    };
    let first_seen_at = when(&kept["first_seen_at"]);
    let reopened_at = when(&kept["reopened_at"]);
    let since = first_seen_at.max(reopened_at);
    let texts = |field: &str| list(of(field)).take(ENTRIES_MOST).map(text).collect();
    Issue {
        id: kept["id"].as_str().and_then(|id| id.parse().ok()),
        fingerprint: fingerprint(record, entry, kept),
        key: text(of("key")),
        kind: text(of("type")),
        category: text(of("category")),
        title,
        severity: risk(of("severity")),
        priority: priority(of("priority")),
        confidence: number(of("confidence")),
        location: text(of("location")),
        reason: text(of("reason")),
        cve: some_text(of("cve")),
        cwe: list(of("cwe")).filter_map(Value::as_u64).collect(),
        attack: texts("attack"),
        cvss: cvss(of("cvss")),
        kev: of("kev").as_bool().unwrap_or(false),
        epss: number(of("epss")),
        distribution: some_text(of("distribution")),
        evidence: evidence(shown),
        remediation: text(of("remediation")),
        effort: text(of("effort")),
        references: texts("references"),
        status,
        decision,
        first_seen_at,
        last_seen_at: when(&kept["last_seen_at"]),
        fixed_at: when(&kept["fixed_at"]),
        reopened_at,
        discovered_by: some_text(&kept["discovered_by"]),
        new: status == Status::Open && before.is_some_and(|before| since > Some(before)),
    }
}

/// What it is called; agents of others have other words for that, or none.
fn named<'v>(title: Text, of: &impl Fn(&str) -> &'v Value) -> Text {
    let other = ["type", "name", "cve", "description"]
        .into_iter()
        .filter_map(|field| of(field).as_str())
        .find(|text| !text.trim().is_empty());
    match (title.is_empty(), other) {
        (false, _) => title,
        (true, Some(other)) => Text::new(other),
        (true, None) => Text::new("A finding without a name"),
    }
}

fn fingerprint(record: Uuid, entry: &Value, kept: &Value) -> String {
    let is = identity(if entry.is_null() { kept } else { entry });
    let mut hash = Sha256::new();
    hash.update(record.as_bytes());
    for piece in &is {
        hash.update(piece.as_bytes());
        hash.update([0]);
    }
    let digest = hash.finalize();
    digest[..16].iter().map(|b| format!("{b:02x}")).collect()
}

/// A number alone is a score that nobody explains.
fn priority(value: &Value) -> Option<Priority> {
    let factor = |value: &Value| {
        Some(Factor {
            name: text(&value["name"]),
            value: number(&value["value"])?,
            why: text(&value["why"]),
        })
    };
    let factors = list(&value["factors"]).take(ENTRIES_MOST);
    Some(Priority {
        score: number(value).or_else(|| number(&value["score"]))?,
        factors: factors.filter_map(factor).collect(),
    })
}

fn cvss(value: &Value) -> Option<Cvss> {
    Some(Cvss {
        version: text(&value["version"]),
        vector: text(&value["vector"]),
        score: number(value).or_else(|| number(&value["score"]))?,
    })
}

fn decision(value: &Value, as_of: Option<DateTime<Utc>>) -> Option<Decision> {
    value.is_object().then(|| {
        let until = when(&value["until"]);
        Decision {
            status: Status::of(&value["status"]),
            reason: text(&value["reason"]),
            by: some_text(&value["by"]),
            at: when(&value["at"]),
            until,
            lapsed: matches!((until, as_of), (Some(until), Some(as_of)) if until <= as_of),
        }
    })
}

/// Evidence of ours is a list of sources and fields; that of others is fields alone, or any value.
fn evidence(value: &Value) -> Vec<Evidence> {
    let fields = |value: &Value| -> Vec<(Text, Text)> {
        match value {
            Value::Object(fields) => {
                let field = |(name, value): (&String, &Value)| {
                    (
                        Text::cut(name, 100),
                        Text::cut(Text::of(value).raw(), VALUE_LONGEST),
                    )
                };
                fields.iter().take(FIELDS_MOST).map(field).collect()
            }
            other => vec![(
                Text::default(),
                Text::cut(Text::of(other).raw(), VALUE_LONGEST),
            )],
        }
    };
    let piece = |value: &Value| match value {
        Value::Object(all) if all.contains_key("fields") || all.contains_key("sources") => {
            let known = match &value["fields"] {
                Value::Null => Vec::new(),
                known => fields(known),
            };
            Evidence {
                sources: list(&value["sources"])
                    .take(ENTRIES_MOST)
                    .map(text)
                    .collect(),
                fields: known,
            }
        }
        other => Evidence {
            sources: Vec::new(),
            fields: fields(other),
        },
    };
    list(value).take(EVIDENCE_MOST).map(piece).collect()
}
