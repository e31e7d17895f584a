//! What a report says of a target, read from the answers of a hub. Older hubs and the agents of others say
//! less, or in other words: what cannot be read is left out, and nothing of it is an error.

mod issue;
mod ports;
mod read;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

pub(super) use issue::{Decision, Evidence, Issue, Status};
pub(super) use ports::Port;
use read::{list, newer, number, risk, text, when};

use super::{Settings, Shown, Text};
use crate::api::RiskLevel;

/// As many findings of a target are told one by one; of more, those of least weight are counted only.
const ISSUES_MOST: usize = 3000;
/// As many ways in, of which the hub takes fewer.
const WAYS_MOST: usize = 100;
/// As many things to do, of which the hub takes fewer.
const STEPS_MOST: usize = 300;
/// As many changes.
pub const CHANGES_MOST: usize = 200;

/// What is known of a target, as the hub says it.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Its record.
    pub id: Uuid,
    /// Its name, address or network.
    pub target: String,
    /// Its group.
    pub group: Option<String>,
    /// Its address.
    pub address: Option<String>,
    /// Entries of `assessments`, the newest first; two are enough.
    pub assessments: Vec<Value>,
    /// All entries of `findings`.
    pub findings: Vec<Value>,
    /// Entries of `scans`, the newest first.
    pub scans: Vec<Value>,
    /// Entries of `changes` since the assessment before, the newest first.
    pub changes: Vec<Value>,
}

/// What a report says of a target.
#[derive(Debug, Serialize)]
pub(super) struct Subject {
    pub(super) eggrecord_id: Uuid,
    pub(super) target: Text,
    pub(super) group: Option<Text>,
    pub(super) ip_address: Option<Text>,
    /// None: nobody has assessed it yet.
    pub(super) risk_level: Option<RiskLevel>,
    pub(super) risk_before: Option<RiskLevel>,
    pub(super) assessed_at: Option<DateTime<Utc>>,
    pub(super) assessed_before: Option<DateTime<Utc>>,
    pub(super) agent: Option<Text>,
    pub(super) threat_summary: Text,
    pub(super) narrative: Text,
    /// First what to see to first; then those that are not open.
    pub(super) findings: Vec<Issue>,
    pub(super) attack_vectors: Vec<Way>,
    pub(super) remediation_priorities: Vec<Step>,
    pub(super) open_ports: Vec<Port>,
    pub(super) changes: Vec<Difference>,
    pub(super) left_out: LeftOut,
    /// When the newest of all this was seen.
    pub(super) newest_at: Option<DateTime<Utc>>,
    /// Open findings of any severity, by severity.
    #[serde(skip)]
    pub(super) open: Counts,
    /// Those of them that are sure enough to count for the risk.
    #[serde(skip)]
    pub(super) counting: Counts,
    /// Where in `findings` one is, by its key.
    #[serde(skip)]
    by_key: BTreeMap<Text, usize>,
}

/// What is known and not told.
#[derive(Debug, Default, Serialize)]
pub(super) struct LeftOut {
    /// Findings of too little severity.
    pub(super) less_severe: u64,
    /// Findings that are not open, as only those were asked for.
    pub(super) not_open: u64,
    /// Findings that there was no room for.
    pub(super) no_room: u64,
    /// Open ports that there was no room for.
    pub(super) ports: u64,
    /// Changes that there was no room for: at least so many.
    pub(super) changes: u64,
}

/// A number for each severity.
pub(super) type Counts = BTreeMap<RiskLevel, u64>;

/// A way in.
#[derive(Debug, Serialize)]
pub(super) struct Way {
    pub(super) id: Text,
    pub(super) title: Text,
    pub(super) severity: RiskLevel,
    pub(super) steps: Vec<WayStep>,
}

/// A step of it.
#[derive(Debug, Serialize)]
pub(super) struct WayStep {
    pub(super) technique: Text,
    pub(super) name: Text,
    pub(super) does: Text,
    /// Keys of findings.
    pub(super) findings: Vec<Text>,
}

/// What to do.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub(super) rank: u64,
    pub(super) action: Text,
    pub(super) reason: Text,
    pub(super) effort: Text,
    pub(super) priority: Option<f64>,
    pub(super) findings: Vec<Text>,
}

/// What is otherwise than before.
#[derive(Debug, Serialize)]
pub(super) struct Difference {
    #[serde(rename = "type")]
    pub(super) kind: Text,
    pub(super) subject: Text,
    pub(super) before: Text,
    pub(super) after: Text,
    pub(super) created_at: Option<DateTime<Utc>>,
}

impl Subject {
    /// Reads what is known of a target.
    pub(super) fn of(known: Known, settings: &Settings) -> Self {
        let none = Value::Null;
        let newest = known.assessments.first().unwrap_or(&none);
        let before = known.assessments.get(1).unwrap_or(&none);
        let assessed_at = when(&newest["created_at"]);
        let assessed_before = when(&before["created_at"]);
        let mut newest_at = newer(
            &known.findings,
            &["last_seen_at", "fixed_at", "reopened_at"],
        );
        newest_at = newest_at.max(newer(&known.scans, &["finished_at"]));
        newest_at = newest_at.max(newer(&known.changes, &["created_at"]));
        newest_at = newest_at.max(assessed_at);
        let as_of = settings.now.or(newest_at);
        let (open_ports, ports_left) = ports::merged(&known.scans);
        let mut left_out = LeftOut {
            ports: ports_left,
            changes: known.changes.len().saturating_sub(CHANGES_MOST) as u64,
            ..LeftOut::default()
        };
        let issues = issue::all(&known, as_of, assessed_before);
        let (mut open, mut counting) = (Counts::new(), Counts::new());
        for issue in issues.iter().filter(|issue| issue.status == Status::Open) {
            *open.entry(issue.severity).or_default() += 1;
            if issue.counts() {
                *counting.entry(issue.severity).or_default() += 1;
            }
        }
        let findings = told(issues, settings, &mut left_out);
        let mut by_key = BTreeMap::new();
        for (at, issue) in findings.iter().enumerate() {
            by_key.entry(issue.key.clone()).or_insert(at);
        }
        Self {
            eggrecord_id: known.id,
            target: Text::new(&known.target),
            group: known.group.as_deref().map(Text::new),
            ip_address: known.address.as_deref().map(Text::new),
            risk_level: (!newest.is_null()).then(|| risk(&newest["risk_level"])),
            risk_before: (!before.is_null()).then(|| risk(&before["risk_level"])),
            assessed_at,
            assessed_before,
            agent: newest["agent"].as_str().map(Text::new),
            threat_summary: text(&newest["threat_summary"]),
            narrative: Text::prose(newest["narrative"].as_str().unwrap_or_default()),
            findings,
            attack_vectors: ways(&newest["attack_vectors"]),
            remediation_priorities: steps(&newest["remediation_priorities"]),
            open_ports,
            changes: differences(&known.changes),
            left_out,
            newest_at,
            open,
            counting,
            by_key,
        }
    }

    /// Its worst: what the assessment says, and what is open, of which other agents may have found more
    /// since.
    pub(super) fn worst(&self) -> Option<RiskLevel> {
        let open = self.counting.last_key_value();
        self.risk_level.max(open.map(|(severity, _)| *severity))
    }

    /// Those findings that are open, first what to see to first.
    pub(super) fn open_issues(&self) -> impl Iterator<Item = &Issue> {
        let open = |issue: &&Issue| issue.status == Status::Open;
        self.findings.iter().filter(open)
    }

    /// Those on which somebody has decided.
    pub(super) fn decided(&self) -> impl Iterator<Item = &Issue> {
        let decided =
            |issue: &&Issue| matches!(issue.status, Status::Accepted | Status::FalsePositive);
        self.findings.iter().filter(decided)
    }

    /// Those that are no longer there.
    pub(super) fn fixed(&self) -> impl Iterator<Item = &Issue> {
        let fixed = |issue: &&Issue| issue.status == Status::Fixed;
        self.findings.iter().filter(fixed)
    }

    /// The finding of this key.
    pub(super) fn issue(&self, key: &Text) -> Option<&Issue> {
        self.findings.get(*self.by_key.get(key)?)
    }
}

/// The findings that are told, in order.
fn told(issues: Vec<Issue>, settings: &Settings, left_out: &mut LeftOut) -> Vec<Issue> {
    let mut told = Vec::new();
    for issue in issues {
        if issue.severity < settings.min_severity {
            left_out.less_severe += 1;
        } else if settings.shown == Shown::Open && issue.status != Status::Open {
            left_out.not_open += 1;
        } else {
            told.push(issue);
        }
    }
    told.sort_by(Issue::order);
    left_out.no_room = told.len().saturating_sub(ISSUES_MOST) as u64;
    told.truncate(ISSUES_MOST);
    told
}

fn ways(value: &Value) -> Vec<Way> {
    let step = |value: &Value| WayStep {
        technique: text(&value["technique"]),
        name: text(&value["name"]),
        // Another agent's steps may be sentences.
        does: match value {
            Value::Object(_) => text(&value["does"]),
            other => text(other),
        },
        findings: list(&value["findings"]).map(text).collect(),
    };
    let way = |value: &Value| Way {
        id: text(&value["id"]),
        title: match value {
            Value::Object(fields) if fields.contains_key("title") => text(&value["title"]),
            other => text(other),
        },
        severity: risk(&value["severity"]),
        steps: list(&value["steps"]).map(step).collect(),
    };
    list(value).take(WAYS_MOST).map(way).collect()
}

fn steps(value: &Value) -> Vec<Step> {
    let step = |(at, value): (usize, &Value)| Step {
        rank: value["rank"].as_u64().unwrap_or(at as u64 + 1),
        action: match value {
            Value::Object(fields) if fields.contains_key("action") => text(&value["action"]),
            other => text(other),
        },
        reason: text(&value["reason"]),
        effort: text(&value["effort"]),
        priority: number(&value["priority"]),
        findings: list(&value["findings"]).map(text).collect(),
    };
    let steps = list(value).take(STEPS_MOST).enumerate();
    let mut steps: Vec<Step> = steps.map(step).collect();
    steps.sort_by_key(|step| step.rank);
    steps
}

fn differences(changes: &[Value]) -> Vec<Difference> {
    let difference = |value: &Value| Difference {
        kind: text(&value["type"]),
        subject: text(&value["subject"]),
        before: brief(&value["before"]),
        after: brief(&value["after"]),
        created_at: when(&value["created_at"]),
    };
    changes.iter().take(CHANGES_MOST).map(difference).collect()
}

/// The values alone: what they are is plain from the type of change.
fn brief(value: &Value) -> Text {
    const MOST: usize = 300;
    let Value::Object(fields) = value else {
        return Text::cut(text(value).raw(), MOST);
    };
    let words: Vec<_> = fields.values().map(text).collect();
    let words: Vec<_> = words.iter().map(Text::raw).collect();
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    Text::cut(&words.join(" "), MOST)
}
