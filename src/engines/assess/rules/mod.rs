//! Rules: which facts are findings, how bad each is and why, and what to do about it.
//!
//! A rule is a TOML file. Those of the package are in /usr/share/recon/rules; an operator's own are in
//! /etc/recon/rules.d, where the same `id` overrides and `enabled = false` switches off:
//!
//! ```toml
//! id = "redis-no-auth"
//! title = "Redis answers without a password"
//! category = "missing-authentication"
//! cwe = [306]
//! attack = ["T1190"]                    # MITRE ATT&CK, where it fits
//! confidence = 0.95                     # times that of the fact; 1 unless said
//! group = "redis"                       # of one group only the worst is told of one place
//! supersedes = ["redis-exposed"]        # which are not told where this is
//! evidence = ["product", "version"]     # fields that are shown
//! references = ["https://redis.io/docs/latest/operate/oss_and_stack/management/security/"]
//!
//! [severity]
//! level = "high"                        # info, low, medium, high, critical
//! public = "critical"                   # when the record has a public address
//! private = "high"                      # when it is known to have none
//! reason = "anybody who reaches the port reads and writes all data"
//!
//! [match]
//! subject = "service"                   # host, service, tls, http, cookie, path, form, endpoint, technology,
//!                                       # secret, finding
//! all = [{ field = "service", equals = "redis" }, { field = "banner", matches = '^\+PONG' }]
//!
//! [remediation]
//! action = "Set requirepass or ACLs, bind to internal addresses"
//! effort = "low"                        # low, medium, high
//!
//! [[test]]                              # at least one that matches and one that does not
//! match = true
//! facts = { service = "redis", banner = "+PONG" }
//! ```
//!
//! The language of conditions is total: no loops, no variables, regular expressions in linear time. A list
//! of conditions is `all`, `any` or `none`; they nest eight deep. A condition on a field is exactly one of
//!
//! | operator | of | holds when the field |
//! |---|---|---|
//! | `exists = true` or `false` | any | is known, or is not |
//! | `equals = X` | text, number, flag | is X; text without regard to case |
//! | `in = [X, …]` | text, number | is one of them |
//! | `contains = "x"` | text, list | has it as a part, or as an entry; without regard to case |
//! | `matches = 'x'` | text, list | matches, or has an entry that does (crate regex, case matters unless `(?i)`) |
//! | `lt`, `le`, `gt`, `ge` `= N` | number, list, text | is less, …; of a list and of text the length counts |
//! | `version = ">= 2, < 2.4.10"` | text | is a version in that range |
//! | `before = 2025-01-01`, `after` | time | is earlier, later |
//!
//! Besides, `{ since = 2025-01-01 }` holds when the assessment is of that day or later (ends of support), and
//! `{ has = "http", all = [...] }` when any fact of that kind is so. What is not known makes a condition
//! false, and only `exists = false` and `none` true.

mod condition;
mod error;
mod evaluate;
mod load;
mod parse;
mod raw;
mod read_condition;
mod read_sample;
mod version;

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod packaged_tests;
#[cfg(test)]
mod rules_tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::facts::Kind;
use crate::api::RiskLevel;
use condition::Condition;

pub use error::RuleError;
pub use evaluate::{Evidence, Match};
pub use load::{LOCAL_DIR, Loaded, PACKAGED_DIR};
pub use parse::{Sample, TestFailure};
pub use version::{VersionRange, compare as compare_versions};

/// How much work a remedy is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// A setting, minutes.
    Low,
    /// A change with a test, hours.
    Medium,
    /// A project, days.
    High,
}

impl Effort {
    /// The name in rules.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// How bad a finding is, by who can reach it, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Severity {
    /// When it is not known whether the address is public, or does not matter.
    pub level: RiskLevel,
    /// When it is public.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public: Option<RiskLevel>,
    /// When it is known not to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private: Option<RiskLevel>,
    /// Why.
    pub reason: String,
}

impl Severity {
    /// For a record whose address is public, is not, or is not known.
    pub fn at(&self, public: Option<bool>) -> RiskLevel {
        let special = match public {
            Some(true) => self.public,
            Some(false) => self.private,
            None => None,
        };
        special.unwrap_or(self.level)
    }
}

/// What to do about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remediation {
    /// In a sentence or two.
    pub action: String,
    /// How much work it is.
    pub effort: Effort,
}

/// A rule that is known to be sound.
#[derive(Debug, Clone, Serialize)]
pub struct Rule {
    /// Its name, which does not change.
    pub id: String,
    /// What it finds, in a few words.
    pub title: String,
    /// What kind of weakness it is (`exposed-service`).
    pub category: String,
    /// CWE numbers.
    pub cwe: Vec<u32>,
    /// MITRE ATT&CK techniques.
    pub attack: Vec<String>,
    /// How bad it is.
    pub severity: Severity,
    /// How sure the rule is, 0 to 1.
    pub confidence: f64,
    /// Of one group only the worst is told of one place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Rules that say no more where this says something.
    pub supersedes: Vec<String>,
    /// Fields that are shown.
    pub evidence: Vec<String>,
    /// What to do.
    pub remediation: Remediation,
    /// Where to read on.
    pub references: Vec<String>,
    /// What kind of fact it is about.
    pub subject: Kind,
    /// The file that it is from.
    pub file: PathBuf,
    #[serde(skip)]
    condition: Condition,
    #[serde(skip)]
    samples: Vec<Sample>,
}

/// All rules that are in force, by id.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    rules: BTreeMap<String, Rule>,
    /// Those that are switched off.
    disabled: BTreeMap<String, PathBuf>,
}

impl RuleSet {
    /// The rules in force, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.values()
    }

    /// One of them.
    pub fn get(&self, id: &str) -> Option<&Rule> {
        self.rules.get(id)
    }

    /// Number of rules in force.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Rules that are switched off, and the file that does so.
    pub fn disabled(&self) -> impl Iterator<Item = (&str, &std::path::Path)> {
        let all = self.disabled.iter();
        all.map(|(id, file)| (id.as_str(), file.as_path()))
    }
}
