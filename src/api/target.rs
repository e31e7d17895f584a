use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::WorkKind;

/// A target to be added.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewTarget {
    /// Host name, IPv4 or IPv6 address, or CIDR.
    pub target: String,
    /// Group (`eggname`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Whether it takes part at all.
    #[serde(default = "yes")]
    pub alive: bool,
}

fn yes() -> bool {
    true
}

/// Body of `POST /api/targets`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CreateTargets {
    /// Targets to add; one that is known already is left as it is.
    pub targets: Vec<NewTarget>,
}

/// A target that was refused, and why.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefusedTarget {
    /// As given.
    pub target: String,
    /// The rule that refuses it, in words (`scope.deny 10.20.99.0/24`).
    pub rule: String,
}

/// Answer to `POST /api/targets`: 200 when all were taken, 403 when any was refused by scope (then
/// none is taken), 422 for one that is neither name, address nor CIDR.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CreateTargetsAnswer {
    /// All were taken.
    pub success: bool,
    /// The new ones.
    #[serde(default)]
    pub created: Vec<Target>,
    /// Those that were there before.
    #[serde(default)]
    pub existing: Vec<Target>,
    /// Those refused.
    #[serde(default)]
    pub refused: Vec<RefusedTarget>,
    /// Addresses of a network that were left out because a rule denies them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<RefusedTarget>,
}

/// A target, as `reconctl targets` and `GET /api/targets` show it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Target {
    /// Identity of the record.
    pub id: Uuid,
    /// Name, address or network.
    pub target: String,
    /// Address, when it is one.
    #[serde(default)]
    pub ip_address: Option<IpAddr>,
    /// Network, when it is one.
    #[serde(default)]
    pub cidr: Option<String>,
    /// Group.
    #[serde(default)]
    pub group: Option<String>,
    /// Whether it takes part at all.
    pub alive: bool,
    /// Set aside by an operator.
    #[serde(default)]
    pub skip_scan: bool,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// What is to be done with it and when.
    #[serde(default)]
    pub work: Vec<TargetWork>,
}

/// One kind of work of a target.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TargetWork {
    /// Kind of work.
    pub kind: WorkKind,
    /// When it is due; `None` when something must happen first.
    #[serde(default)]
    pub due_at: Option<DateTime<Utc>>,
    /// When it was last finished.
    #[serde(default)]
    pub last_done_at: Option<DateTime<Utc>>,
    /// `NAME@HOST` that holds it now.
    #[serde(default)]
    pub lease_owner: Option<String>,
    /// Failed attempts since it was last finished.
    #[serde(default)]
    pub attempts: u32,
}

/// Answer to `GET /api/targets`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TargetList {
    /// By time of creation.
    pub targets: Vec<Target>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
