use std::net::IpAddr;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::WorkKind;

/// A target as the recon API hands it to an agent. The first six fields are those of the earlier
/// server; the rest, which old clients ignore, is ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EggRecord {
    /// Identity of the record.
    pub id: Uuid,
    /// Host name, or address in text form.
    #[serde(rename = "subDomain", default)]
    pub sub_domain: Option<String>,
    /// Registered domain.
    #[serde(default)]
    pub domainname: Option<String>,
    /// Whether the target takes part at all.
    #[serde(default = "yes")]
    pub alive: bool,
    /// Last change of the record.
    #[serde(default)]
    pub updated_at: Option<DateTime<Utc>>,
    /// Group of the record.
    #[serde(default)]
    pub egg_id_id: Option<Uuid>,
    /// 1 when both scan and HTTP data exist (assessment list only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// Address, for records that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<IpAddr>,
    /// Network, for records that stand for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<String>,
    /// The lease under which the caller holds the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_id: Option<Uuid>,
    /// When the lease ends unless it is renewed by heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_expires_at: Option<DateTime<Utc>>,
    /// What is to be done with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<WorkKind>,
}

fn yes() -> bool {
    true
}

impl EggRecord {
    /// What to scan: the host name, else the domain, else the address. `None` for a record that
    /// names nothing; such a record can never be scanned.
    pub fn target(&self) -> Option<String> {
        [&self.sub_domain, &self.domainname]
            .into_iter()
            .flatten()
            .find(|s| !s.is_empty())
            .cloned()
            .or_else(|| self.ip_address.map(|ip| ip.to_string()))
    }
}

/// Answer to `GET /daemon/{personality}/eggrecords/`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EggRecordList {
    /// True when the list is valid.
    pub success: bool,
    /// Number of records in this answer.
    #[serde(default)]
    pub count: usize,
    /// The records, each leased to the caller.
    #[serde(default)]
    pub eggrecords: Vec<EggRecord>,
}

/// Answer to `DELETE /daemon/leases/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LeaseAnswer {
    /// True when the lease existed and is ended.
    pub success: bool,
    /// In words.
    pub message: String,
}
