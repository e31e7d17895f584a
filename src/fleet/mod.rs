//! The fleet file: what should run, and what may be touched.
//!
//! Text files become a validated model in three typed stages: fragments (what one file may say, all
//! optional, with the place of every key), merged inputs (built-in defaults, vendor manifests, fleet
//! file, drop-ins, environment, in that order; later wins key by key), and the validated [`Fleet`].
//! All errors are collected with file, line and key; there is no fleet while there is one.
//!
//! May depend on nothing else of this crate, runs nothing, writes nothing, and reads only the files
//! below the root that it is given.

mod load;
mod model;
mod scope;
mod settings;
mod span;

pub use load::{Diagnostic, Diagnostics, Loaded, Sources, load};
pub use model::{
    Agent, AgentKind, AgentName, Backoff, Dependency, Fleet, Health, HealthProbe, OnFailure,
};
pub use scope::{Refusal, Rule, RuleError, Scope};
pub use settings::{
    AssessSettings, EnumSettings, HubSettings, NmapUse, ScanSettings, SentinelSettings, Settings,
    SpiderSettings,
};
pub use span::Span;
