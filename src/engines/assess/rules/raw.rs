//! A rule file as it is written. Everything that can be wrong has a place in the text.

use serde::Deserialize;
use serde_spanned::Spanned;
use toml::Value;
use toml::value::Datetime;

use super::Effort;
use crate::api::RiskLevel;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    pub id: Spanned<String>,
    #[serde(default = "yes")]
    pub enabled: bool,
    pub title: Spanned<String>,
    pub category: Spanned<String>,
    pub cwe: Spanned<Vec<u32>>,
    #[serde(default)]
    pub attack: Vec<Spanned<String>>,
    #[serde(default)]
    pub confidence: Option<Spanned<f64>>,
    #[serde(default)]
    pub group: Option<Spanned<String>>,
    #[serde(default)]
    pub supersedes: Vec<Spanned<String>>,
    #[serde(default)]
    pub evidence: Vec<Spanned<String>>,
    pub references: Spanned<Vec<Spanned<String>>>,
    pub severity: RawSeverity,
    #[serde(rename = "match")]
    pub condition: RawMatch,
    pub remediation: RawRemediation,
    #[serde(default)]
    pub test: Vec<Spanned<RawTest>>,
}

fn yes() -> bool {
    true
}

/// A file that only switches a rule off.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSwitch {
    pub id: Spanned<String>,
    pub enabled: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSeverity {
    pub level: RiskLevel,
    pub public: Option<RiskLevel>,
    pub private: Option<RiskLevel>,
    pub reason: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRemediation {
    pub action: Spanned<String>,
    pub effort: Effort,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMatch {
    pub subject: Spanned<String>,
    pub all: Option<Vec<Spanned<RawCondition>>>,
    pub any: Option<Vec<Spanned<RawCondition>>>,
    pub none: Option<Vec<Spanned<RawCondition>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCondition {
    pub field: Option<Spanned<String>>,
    pub exists: Option<bool>,
    pub equals: Option<Spanned<Value>>,
    #[serde(rename = "in")]
    pub one_of: Option<Spanned<Vec<Value>>>,
    pub contains: Option<Spanned<String>>,
    pub matches: Option<Spanned<String>>,
    pub lt: Option<Spanned<i64>>,
    pub le: Option<Spanned<i64>>,
    pub gt: Option<Spanned<i64>>,
    pub ge: Option<Spanned<i64>>,
    pub version: Option<Spanned<String>>,
    pub before: Option<Spanned<Datetime>>,
    pub after: Option<Spanned<Datetime>>,
    pub since: Option<Spanned<Datetime>>,
    pub has: Option<Spanned<String>>,
    pub all: Option<Vec<Spanned<RawCondition>>>,
    pub any: Option<Vec<Spanned<RawCondition>>>,
    pub none: Option<Vec<Spanned<RawCondition>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTest {
    #[serde(rename = "match")]
    pub matches: bool,
    pub about: Option<String>,
    pub facts: Spanned<toml::Table>,
    #[serde(default)]
    pub others: Vec<Spanned<RawOther>>,
    pub as_of: Option<Spanned<Datetime>>,
    pub public: Option<bool>,
    pub severity: Option<RiskLevel>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOther {
    pub subject: Spanned<String>,
    pub facts: Spanned<toml::Table>,
}
