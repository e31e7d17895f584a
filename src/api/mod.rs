//! Types that cross a process boundary, shared by agents, hub and `reconctl`.
//!
//! One file a resource; every field is described in CONTRACT terms and is the wire name (serde does
//! the renaming). May depend on nothing else of this crate: whatever talks to whatever, it talks in
//! these types. Unknown JSON fields are ignored on input, so that old and new programs can mix.

mod access;
mod answer;
mod assess;
mod change;
mod control;
mod eggrecord;
mod event;
mod exit;
mod finding;
mod health;
mod heartbeat;
mod kind;
mod result;
mod scan;
mod storage;
mod target;
mod text;
mod web;
mod webhook;

pub use access::{AuditEntry, AuditList, CreateToken, CreatedToken, Role, Token, TokenList};
pub use answer::{ErrorBody, FieldError};
pub use assess::{
    AssessedCms, AssessedPath, AssessedPort, AssessedScan, AssessmentContext, AssessmentSubmission,
    AttackStep, AttackVector, CookieSigns, CvssBase, LookedFor, Priority, PriorityFactor,
    RemediationStep, SeenEvidence, Vulnerability, WebExchange, WebSigns,
};
pub use change::{CHANGE_TYPES, Change, ChangeList};
pub use control::{ControlAnswer, LogAnswer, LogLine};
pub use eggrecord::{EggRecord, EggRecordList, LeaseAnswer};
pub use event::{Event, EventList};
pub use exit::ExitCode;
pub use finding::{
    COUNTS_FROM, DecideFinding, FINDING_STATES, Finding, FindingDecision, FindingList, Verdict,
};
pub use health::{DaemonHealth, FleetHealth, Overall};
pub use heartbeat::{AgentCommand, AgentStatus, Heartbeat, HeartbeatAnswer, LeaseRenewal};
pub use kind::{Personality, WorkKind};
pub use result::{
    Assessment, AssessmentAnswer, AssessmentList, EnumerationAnswer, Progress, RiskLevel,
    SpiderAnswer, Technology,
};
pub use scan::{
    CertificateFacts, OpenPort, PortCounts, PortState, Scan, ScanAnswer, ScanList, ScanPort,
    ScanResult, ScanSubmission, TlsFacts,
};
pub use storage::StoreReport;
pub use target::{
    ChangeTarget, CreateTargets, CreateTargetsAnswer, ImportAnswer, ImportError, NetworkProgress,
    NewTarget, RefusedTarget, Target, TargetList, TargetWork,
};
pub use text::{hides, safe_json};
pub use web::{
    FormInput, LearnedPath, SpiderEndpoint, SpiderForm, SpiderPage, WEB_PORTS, WebContext,
    WebEndpoint, WebEndpointList, WebForm, WebFormList, WebPage, WebPageList, WebPort, WebRun,
};
pub use webhook::{WebhookList, WebhookState};

/// Header that makes a submission idempotent: the same key and body get the first answer again.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// Header in which an agent says who it is (`NAME@HOST`), in place of the `agent` parameter.
pub const RECON_AGENT: &str = "Recon-Agent";
