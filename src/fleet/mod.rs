//! The fleet file: what should run, and what may be touched.
//!
//! Text files become a validated model in three stages: fragments (what one file says, with the
//! place of every key), merged tables (built-in defaults, vendor manifests, fleet file, drop-ins,
//! environment, in that order; later wins key by key), and the validated [`Fleet`].
//! All errors are collected with file, line and key; there is no fleet while there is one.
//!
//! May depend on nothing else of this crate, runs nothing, writes nothing, and reads only the files
//! below the root that it is given.

mod agents;
mod blackout;
mod checks;
pub mod edit;
mod effective;
mod env;
mod files;
mod fragments;
mod graph;
mod keys;
mod load;
mod merge;
mod model;
mod names;
mod networks;
mod own_settings;
mod schema;
mod scope;
mod section;
mod settings;
mod span;
mod validate;
mod web_settings;

pub use blackout::{Blackout, Timezone};
pub use env::variables;
pub use keys::{KeyDoc, KeySchema, UnknownKey, all_keys, key_schema};
pub use load::{CONFIG_DIR, Diagnostic, Diagnostics, Loaded, Sources, environment, load, load_as};
pub use model::{
    Agent, AgentKind, AgentName, Backoff, Dependency, Fleet, Health, HealthProbe, OnFailure,
};
pub use networks::subtract;
pub use schema::schema;
pub use scope::{Refusal, Rule, RuleError, Scope};
pub use settings::{
    AssessSettings, EngineUse, HubSettings, NmapUse, ScanSettings, SentinelSettings, Settings,
    WebhookSettings,
};
pub use span::Span;
pub use web_settings::{EnumSettings, SpiderSettings};
