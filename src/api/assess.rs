//! What an assessment reads: everything that the hub knows of a record, within bounds.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Finding, RiskLevel, ScanPort, SpiderEndpoint, SpiderForm, SpiderPage, Technology};

/// Answer to `GET /daemon/ryu/context/{record_id}/`: what is known of a record. Lists are in a fixed
/// order, so that the same state of the database gives the same bytes. All of it is less than 8 MiB of
/// JSON: a list ends before its number where its texts are long (answers 3 MiB, ports and pages 1 MiB each,
/// the others 512 KiB).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AssessmentContext {
    /// The record is known.
    pub success: bool,
    /// The record.
    pub eggrecord_id: Uuid,
    /// Its name, address or network.
    pub target: String,
    /// Its group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Its address, when it is one or came with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<IpAddr>,
    /// Its network, when it is one or came with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cidr: Option<String>,
    /// When the newest of the evidence was seen: the time of the assessment, which must not depend on a
    /// clock. Without any evidence, when the record was added.
    pub as_of: DateTime<Utc>,
    /// The last scan of each type that came to its end, the newest first; 16 at most.
    pub scans: Vec<AssessedScan>,
    /// What is open by all of these, by transport and number; 2,000 at most.
    pub ports: Vec<AssessedPort>,
    /// What it runs, as spiders found; 500 at most.
    pub technologies: Vec<Technology>,
    /// What enumerations say of the content management system, the surest first.
    pub cms: Vec<AssessedCms>,
    /// The answers of the newest run of a spider, in the order in which it got them; 1,000 at most.
    pub exchanges: Vec<WebExchange>,
    /// Pages that are there, the nearest to the start first; 2,000 at most.
    pub pages: Vec<SpiderPage>,
    /// Forms of these, each once; 500 at most.
    pub forms: Vec<SpiderForm>,
    /// Endpoints; 1,000 at most.
    pub endpoints: Vec<SpiderEndpoint>,
    /// Paths that enumerations found and that are there, of highest priority first; 2,000 at most.
    pub paths: Vec<AssessedPath>,
    /// Open findings of other agents, the worst first; 500 at most.
    pub findings: Vec<Finding>,
    /// What there was no room for, by the name of its list. An assessment says so.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, u64>,
}

/// A scan that an assessment rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AssessedScan {
    /// Identity of the scan.
    pub id: Uuid,
    /// Kind of scan (`kaze_port_scan`).
    pub scan_type: String,
    /// End.
    pub finished_at: DateTime<Utc>,
    /// Number of ports scanned; 0: the agent did not say.
    pub ports_scanned: u32,
    /// The address that was scanned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<IpAddr>,
    /// The name that the DNS has for the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
}

/// An open port, as the newest scan says that recognised its service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AssessedPort {
    /// Kind of scan that said so.
    pub scan_type: String,
    /// When it was last seen open, by any scan.
    pub seen_at: DateTime<Utc>,
    /// What is known of it.
    pub port: ScanPort,
}

/// What enumerations say of the content management system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AssessedCms {
    /// Its name.
    pub name: String,
    /// Its version, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How sure that is, 0 to 1.
    pub confidence: f64,
}

/// One answer of a web server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WebExchange {
    /// URL that was asked for.
    pub url: String,
    /// Method.
    pub method: String,
    /// Status; 0: no answer.
    pub status: u16,
    /// The headers by name in lower case; values are cut at 2,000 bytes, those of cookies are not kept.
    pub headers: BTreeMap<String, String>,
    /// What the spider saw in headers and body.
    pub seen: WebSigns,
    /// When the result came.
    pub at: DateTime<Utc>,
}

/// What a spider sees in one answer besides its headers (`request_metadata[].signs`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WebSigns {
    /// Cookies that it sets, without their values; 50 at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<CookieSigns>,
    /// Whether a policy for its content stands in the page itself (`<meta http-equiv>`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub meta_csp: bool,
    /// What a page by `https` loads by `http`; 50 at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mixed_content: Vec<String>,
    /// Whose directory listing it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory_listing: Option<String>,
    /// Whose error page with inner details it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_page: Option<String>,
    /// Whose page of a fresh installation it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_page: Option<String>,
}

/// A cookie that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CookieSigns {
    /// Its name.
    pub name: String,
    /// Only sent by `https`.
    pub secure: bool,
    /// Not seen by scripts.
    pub http_only: bool,
    /// `Strict`, `Lax` or `None`, if it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_site: Option<String>,
    /// The domain, if it is told to more than the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether it outlives the session.
    pub persistent: bool,
}

/// A path that an enumeration found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AssessedPath {
    /// It begins with `/`, or with the origin where that is not the usual one.
    pub path: String,
    /// Status of the answer, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Bytes of the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
    /// Type of the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

/// One entry of an assessment's `vulnerabilities`: a finding. Other agents send entries of their own
/// making; one without a `key` is kept with its assessment and is no finding of the hub's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Vulnerability {
    /// What makes it the same finding again, assessment after assessment: what, then where
    /// (`redis-no-auth tcp/6379`, `CVE-2021-41773 tcp/80`); 1,024 bytes at most.
    pub key: String,
    /// What it is: the id of the rule, or `known_vulnerability`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What kind of weakness it is (`missing-authentication`).
    pub category: String,
    /// In words.
    pub title: String,
    /// How bad it is here.
    pub severity: RiskLevel,
    /// What to see to first: 0 to 100, and how that was reckoned.
    pub priority: Priority,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
    /// Where it is (`tcp/6379`, `https://host/path`).
    pub location: String,
    /// Why it is as bad as that.
    pub reason: String,
    /// The vulnerability, when it is a known one (`CVE-2021-41773`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cve: Option<String>,
    /// CWE numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cwe: Vec<u32>,
    /// MITRE ATT&CK techniques.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attack: Vec<String>,
    /// The CVSS base score that the severity rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cvss: Option<CvssBase>,
    /// It is exploited in the wild (CISA's Known Exploited Vulnerabilities).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub kev: bool,
    /// How likely it is to be exploited within 30 days, 0 to 1 (FIRST's EPSS).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epss: Option<f64>,
    /// What the distribution of the package says of it; it may be mended although the version is old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<String>,
    /// What was seen: fields by name, as strangers may have written them, and where each was seen.
    pub evidence: Vec<SeenEvidence>,
    /// What to do.
    pub remediation: String,
    /// How much work that is: `low`, `medium` or `high`.
    pub effort: String,
    /// Where to read on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
}

/// What shows a finding.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SeenEvidence {
    /// Where it was seen (`scan:kaze_port_scan/tcp/6379`, `http:GET https://host/`).
    pub sources: Vec<String>,
    /// What was seen.
    pub fields: BTreeMap<String, serde_json::Value>,
}

/// What to see to first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Priority {
    /// 0 to 100, to one decimal.
    pub score: f64,
    /// The factors that make it, in order; their product with 10, at most 100, is the score.
    pub factors: Vec<PriorityFactor>,
}

/// A factor of a [`Priority`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PriorityFactor {
    /// `base`, `exploited`, `likelihood`, `exposure`, `confidence`.
    pub name: String,
    /// What it multiplies by.
    pub value: f64,
    /// Why.
    pub why: String,
}

/// A CVSS base score.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CvssBase {
    /// `2.0`, `3.0`, `3.1` or `4.0`.
    pub version: String,
    /// Its vector.
    pub vector: String,
    /// 0 to 10.
    pub score: f64,
}

/// One entry of an assessment's `attack_vectors`: a way in that findings make together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AttackVector {
    /// Its name, which does not change (`exposed-panel-outdated`).
    pub id: String,
    /// In words.
    pub title: String,
    /// How bad it is.
    pub severity: RiskLevel,
    /// Step by step, each with what it rests on.
    pub steps: Vec<AttackStep>,
}

/// A step of an [`AttackVector`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AttackStep {
    /// MITRE ATT&CK technique (`T1190`).
    pub technique: String,
    /// Its name (`Exploit Public-Facing Application`).
    pub name: String,
    /// What somebody would do.
    pub does: String,
    /// Keys of the findings that it rests on.
    pub findings: Vec<String>,
}

/// One entry of an assessment's `remediation_priorities`: what to do, most useful first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RemediationStep {
    /// Its place, from 1.
    pub rank: u32,
    /// What to do.
    pub action: String,
    /// Why: what it ends.
    pub reason: String,
    /// How much work it is: `low`, `medium` or `high`.
    pub effort: String,
    /// The highest priority among its findings, 0 to 100.
    pub priority: f64,
    /// Keys of the findings that it ends.
    pub findings: Vec<String>,
}

/// Body of `POST /daemon/ryu/assessment/`, as ours sends it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AssessmentSubmission {
    /// The record.
    pub eggrecord_id: Uuid,
    /// Its name.
    pub target: String,
    /// The risk of the record: that of its worst finding.
    pub risk_level: RiskLevel,
    /// In a sentence or two.
    pub threat_summary: String,
    /// All findings, first what to see to first; 2,000 at most.
    pub vulnerabilities: Vec<Vulnerability>,
    /// The ways in that they make together, the worst first; 50 at most.
    pub attack_vectors: Vec<AttackVector>,
    /// What to do, most useful first; 200 at most.
    pub remediation_priorities: Vec<RemediationStep>,
    /// At length.
    pub narrative: String,
    /// The lease it was made under. Of two the one that was leased last has the last word, whichever comes
    /// last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_id: Option<Uuid>,
    /// What it looked for; without it, all there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looked_for: Option<LookedFor>,
}

/// What an assessment looked for. A finding that it does not name is fixed only if it would have named it: by
/// a broken rule, or without the vulnerability database, nothing is found, and nothing is mended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LookedFor {
    /// Ids of the rules in force, and of those that are switched off: what these found ends.
    pub rules: Vec<String>,
    /// There was a vulnerability database.
    pub database: bool,
    /// The day of the newest vulnerabilities in it (`2026-11-21`), where it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_date: Option<String>,
    /// Findings that there was no room for, of less priority than those that are named.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde wants it
fn is_zero(n: &u64) -> bool {
    *n == 0
}
