use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::WorkKind;

/// A target to be added.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NewTarget {
    /// Host name, IPv4 or IPv6 address, or CIDR.
    pub target: String,
    /// Group (`eggname`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Project (`projectegg`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Whether it takes part at all.
    #[serde(default = "yes")]
    pub alive: bool,
}

fn yes() -> bool {
    true
}

/// Body of `POST /api/targets`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct CreateTargets {
    /// Targets to add; one that is known already is left as it is.
    pub targets: Vec<NewTarget>,
}

/// A target that was refused, and why.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RefusedTarget {
    /// As given.
    pub target: String,
    /// The rule that refuses it, in words (`scope.deny 10.20.99.0/24`).
    pub rule: String,
}

/// Answer to `POST /api/targets`: 200 when all were taken, 403 when any was refused by scope (then
/// none is taken), 422 for one that is neither name, address nor CIDR.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
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
    /// Parts of networks that are left out as long as a rule denies them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<RefusedTarget>,
}

/// A target, as `reconctl targets` and `GET /api/targets` show it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// Identity of the record.
    pub id: Uuid,
    /// Name, address or network.
    pub target: String,
    /// Address, when it is one.
    #[serde(default)]
    pub ip_address: Option<IpAddr>,
    /// Network, when it is one or came with one.
    #[serde(default)]
    pub cidr: Option<String>,
    /// Group.
    #[serde(default)]
    pub group: Option<String>,
    /// Project.
    #[serde(default)]
    pub project: Option<String>,
    /// How far it is, when it is a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkProgress>,
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
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
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

/// How far the agents are with a network. Its addresses become targets of their own when their turn
/// comes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkProgress {
    /// Number of its addresses; no more is shown than a 64-bit number can say.
    pub addresses: u64,
    /// Addresses whose turn has come, by kind of work.
    pub expanded: BTreeMap<WorkKind, u64>,
    /// No address is left for any kind of work.
    pub done: bool,
}

/// Body of `PATCH /api/targets/{id}`: what is not named stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeTarget {
    /// Whether it takes part at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alive: Option<bool>,
    /// Whether it is set aside.
    #[serde(default, alias = "skipScan", skip_serializing_if = "Option::is_none")]
    pub skip_scan: Option<bool>,
    /// Its group; the empty text takes it out of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// Answer to `POST /api/targets/import`, whose body is one [`NewTarget`] a line. What is good is
/// taken, whatever is wrong with the rest.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ImportAnswer {
    /// All lines were good.
    pub success: bool,
    /// Targets that are new.
    pub created: u64,
    /// Targets that were there before.
    pub existing: u64,
    /// Names that no rule speaks of: their addresses decide each time that they are due.
    pub undecided: u64,
    /// Lines that were not taken.
    #[serde(default)]
    pub errors: Vec<ImportError>,
}

/// A line that was not taken.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ImportError {
    /// Its number, from 1.
    pub line: usize,
    /// The target, as far as there is one.
    #[serde(default)]
    pub target: String,
    /// What is wrong.
    pub message: String,
    /// It is out of scope.
    #[serde(default)]
    pub refused: bool,
}

/// Answer to `GET /api/targets`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct TargetList {
    /// By time of creation.
    pub targets: Vec<Target>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
