use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use serde_json::Value;
use uuid::Uuid;

use crate::api::{EggRecord, Heartbeat, PortCounts, ScanPort, Target, WorkKind};

/// A record to be added.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRecord {
    /// Normalised target; unique.
    pub key: String,
    /// Host name, or address in text form.
    pub sub_domain: Option<String>,
    /// Registered domain.
    pub domainname: Option<String>,
    /// Address, if it has one.
    pub ip_address: Option<IpAddr>,
    /// Network that it was given as part of.
    pub cidr: Option<String>,
    /// Group (`eggname`).
    pub group: Option<String>,
    /// Project.
    pub projectegg: Option<String>,
    /// Whether it takes part at all.
    pub alive: bool,
}

impl NewRecord {
    /// What an agent goes for: the host name or the text of the address.
    pub fn target(&self) -> Option<&str> {
        [&self.sub_domain, &self.domainname]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .find(|text| !text.is_empty())
    }

    /// The same, when it is a name.
    pub fn name(&self) -> Option<&str> {
        self.target().filter(|t| t.parse::<IpAddr>().is_err())
    }

    /// The network that it is, if it is one. A network is a record whose `cidr` is its own key; the
    /// `cidr` of an address says which network it came with.
    pub fn network(&self) -> Option<IpNet> {
        let cidr = self.cidr.as_ref().filter(|cidr| **cidr == self.key)?;
        cidr.parse().ok()
    }
}

/// A stored record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Identity.
    pub id: Uuid,
    /// What it is.
    pub data: NewRecord,
    /// Set aside by an operator.
    pub skip_scan: bool,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// Last change.
    pub updated_at: DateTime<Utc>,
}

impl Record {
    /// The record as the recon API shows it. A group has no table of its own: its id is derived
    /// from its name.
    pub fn to_egg_record(&self) -> EggRecord {
        let group = self.data.group.as_deref();
        EggRecord {
            id: self.id,
            sub_domain: self.data.sub_domain.clone(),
            domainname: self.data.domainname.clone(),
            alive: self.data.alive,
            updated_at: Some(self.updated_at),
            egg_id_id: group.map(|g| Uuid::new_v5(&Uuid::NAMESPACE_OID, g.as_bytes())),
            priority: None,
            ip_address: self.data.ip_address,
            cidr: self.data.cidr.clone(),
            lease_id: None,
            lease_expires_at: None,
            kind: None,
        }
    }
}

/// What became of records to be added.
#[derive(Debug, Clone, Default)]
pub struct Created {
    /// The new ones, in the order given.
    pub created: Vec<Target>,
    /// Those that were there before, in the order given.
    pub existing: Vec<Target>,
}

/// The key of a submission, by which a repetition is known.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// As sent.
    pub key: String,
    /// Method and path.
    pub route: String,
    /// SHA-256 of the body.
    pub body_sha256: [u8; 32],
}

/// An answer to a request: status and JSON body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON.
    pub body: String,
}

/// A wish for work.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Kind of work.
    pub kind: WorkKind,
    /// At most so many records.
    pub limit: u32,
    /// Who gets them.
    pub owner: String,
    /// For how long.
    pub lease: Duration,
    /// The time.
    pub now: DateTime<Utc>,
}

/// A leased record.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The record.
    pub record: Record,
    /// The lease.
    pub lease_id: Uuid,
    /// Its end.
    pub lease_until: DateTime<Utc>,
    /// Priority of the work.
    pub priority: i64,
}

/// A leased record that must not be handed out now.
#[derive(Debug, Clone)]
pub struct PutOff {
    /// The lease to end.
    pub lease_id: Uuid,
    /// When the record is due again.
    pub until: DateTime<Utc>,
    /// Why.
    pub error: String,
    /// Event to record with it.
    pub event: Option<NewEvent>,
}

/// A result that an agent sent.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The record.
    pub record_id: Uuid,
    /// Type of scan.
    pub scan_type: String,
    /// The kind of work that it finishes, when its type is one of ours.
    pub kind: Option<WorkKind>,
    /// Who sent it: `NAME@HOST`, else address and personality.
    pub caller: String,
    /// It carries an idempotency key, so that a second scan by the same caller cannot be a mere
    /// repetition of the first.
    pub keyed: bool,
    /// Due again so long after success.
    pub rescan_after: Duration,
    /// The time.
    pub now: DateTime<Utc>,
    /// The run that it is of, when the agent tells of a scan before its end.
    pub run: Option<Run>,
    /// A scan, or an attempt that did not become one.
    pub outcome: Result<NewScan, Attempt>,
}

/// One run of a scan, of which an agent may tell before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// As the agent names it; one of the same record and type of scan.
    pub id: Uuid,
    /// Number of the partial result; none for the whole one.
    pub part: Option<u32>,
}

/// A finished scan to be stored.
#[derive(Debug, Clone)]
pub struct NewScan {
    /// Identity.
    pub id: Uuid,
    /// Name as scanned.
    pub target: String,
    /// Address as scanned.
    pub ip_address: Option<IpAddr>,
    /// What it says of the host.
    pub host: HostFacts,
    /// `NAME@HOST`, when known.
    pub agent: Option<String>,
    /// Which engine did it.
    pub engine: String,
    /// Command line or description.
    pub scan_command: String,
    /// Start.
    pub started_at: Option<DateTime<Utc>>,
    /// End.
    pub finished_at: DateTime<Utc>,
    /// Seconds.
    pub scan_duration: f64,
    /// Number of ports scanned; 0: it does not say.
    pub ports_scanned: u32,
    /// How many ended in which state.
    pub port_counts: PortCounts,
    /// The same of UDP, when it asked any.
    pub udp_counts: Option<PortCounts>,
    /// The open ports, by number.
    pub open_ports: Vec<ScanPort>,
    /// Whether one of them speaks HTTP.
    pub web: bool,
    /// The rest of the result.
    pub rest: Value,
}

/// What a scan says of the host itself, as far as it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The name that the DNS has for its address.
    pub name: Option<String>,
    /// `up`, `assumed-up` or `unreachable`.
    pub state: Option<String>,
    /// What says so.
    pub reason: Option<String>,
}

impl NewScan {
    /// `completed` or `completed_no_ports`.
    pub fn status(&self) -> &'static str {
        if self.open_ports.is_empty() {
            "completed_no_ports"
        } else {
            "completed"
        }
    }
}

/// An attempt that did not become a scan.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Why.
    pub reason: String,
}

/// What became of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// Stored.
    Stored {
        /// Number of open ports.
        open_ports: usize,
        /// Its status.
        status: &'static str,
    },
    /// What there is so far of a scan that goes on is stored.
    Part {
        /// Number of open ports.
        open_ports: usize,
    },
    /// Part of a run that has its result, or whose lease is no longer the sender's: not stored.
    Late,
    /// Counted as an attempt; due again at this time.
    Attempt,
    /// Not stored: there are so many scans of the same type from the last five minutes.
    Recent(u32),
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// Its items.
    pub items: Vec<T>,
    /// The id to go on after; `None` on the last page.
    pub next: Option<Uuid>,
}

/// Which scans.
#[derive(Debug, Clone, Default)]
pub struct ScanQuery {
    /// At most so many.
    pub limit: u32,
    /// Before this one; after it, when the oldest come first.
    pub before: Option<Uuid>,
    /// The oldest first, not the newest.
    pub oldest_first: bool,
    /// Of this target (normalised key, or as scanned).
    pub target: Option<String>,
    /// Of this record.
    pub record_id: Option<Uuid>,
    /// Of this type.
    pub scan_type: Option<String>,
}

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// After this number.
    pub after: i64,
    /// At most so many.
    pub limit: u32,
}

/// An event to be recorded.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Type (`scan_completed`).
    pub kind: &'static str,
    /// The agent that it is about.
    pub daemon_name: Option<String>,
    /// The host that it happened on.
    pub hostname: Option<String>,
    /// More.
    pub data: Value,
}

/// An agent as its last heartbeat showed it.
#[derive(Debug, Clone)]
pub struct Daemon {
    /// The name in the path that it sent its heartbeat to.
    pub personality: String,
    /// What it said.
    pub heartbeat: Heartbeat,
    /// When.
    pub seen_at: DateTime<Utc>,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Targets.
    pub targets: u64,
    /// Leases that have not ended.
    pub leases: u64,
    /// Scans.
    pub scans: u64,
}

/// A difference between a result and the one of its kind before.
#[derive(Debug, Clone)]
pub struct NewChange {
    /// The record.
    pub record_id: Uuid,
    /// Its name as scanned.
    pub target: String,
    /// Type: `port_opened`, `port_closed`, `service_changed`, `certificate_changed`,
    /// `path_appeared`, `path_disappeared`, `technology_changed`, `risk_changed`, `page_added`,
    /// `page_removed`, `page_changed`, `endpoint_added`, `form_added`, `finding_added`,
    /// `finding_fixed`, `finding_reopened`.
    pub kind: &'static str,
    /// What differs (`443/tcp`, `/admin`).
    pub subject: String,
    /// As it was; `None`: not there.
    pub before: Option<Value>,
    /// As it is; `None`: not there.
    pub after: Option<Value>,
    /// The result that showed it.
    pub source_id: Uuid,
    /// The agent that sent it, when known.
    pub daemon_name: Option<String>,
    /// Its host.
    pub hostname: Option<String>,
}
