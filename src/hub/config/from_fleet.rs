//! What the fleet file says of the hub, and of its agents as far as the hub must know it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::handed::credential;
use super::{ConfigError, Database};
use crate::api::WorkKind;
use crate::fleet::{AgentKind, HubSettings, Loaded, Settings, WebhookSettings};
use crate::hub::agents::AgentFacts;
use crate::hub::webhooks::{Pace, Secret, Webhook};

/// The database that a fleet file names, if it does.
///
/// # Errors
/// It is none that this version knows.
pub fn configured_database(loaded: &Loaded) -> Result<Option<Database>, ConfigError> {
    let named = hub_settings(loaded).database;
    named.map(|url| Database::parse(&url)).transpose()
}

pub(super) fn hub_settings(loaded: &Loaded) -> HubSettings {
    let mut all = loaded.fleet.agents.values();
    all.find_map(|agent| match &agent.settings {
        Settings::Hub(settings) => Some(settings.clone()),
        _ => None,
    })
    .unwrap_or_default()
}

/// What the agents say of how often; of several of a kind the most frequent.
pub(super) fn rescan(loaded: &Loaded) -> BTreeMap<WorkKind, Duration> {
    let mut all = BTreeMap::new();
    for agent in loaded.fleet.agents.values() {
        let says = match (agent.kind, &agent.settings) {
            (AgentKind::Kage, Settings::Scan(s)) => vec![(WorkKind::KagePortScan, s.rescan_after)],
            (AgentKind::Kaze, Settings::Scan(s)) => vec![(WorkKind::KazePortScan, s.rescan_after)],
            (AgentKind::Kumo, Settings::Spider(s)) => {
                vec![(WorkKind::KumoSpider, s.respider_after)]
            }
            (AgentKind::Suzu, Settings::Enum(s)) => vec![(WorkKind::SuzuEnum, s.reenumerate_after)],
            (AgentKind::Ryu, Settings::Assess(s)) => vec![
                (WorkKind::RyuPortScan, s.rescan_after),
                (WorkKind::RyuAssessment, s.reassess_after),
            ],
            _ => continue,
        };
        for (kind, after) in says {
            let most_frequent = all.entry(kind).or_insert(after.0);
            *most_frequent = after.0.min(*most_frequent);
        }
    }
    all
}

pub(super) fn facts(loaded: &Loaded) -> BTreeMap<String, AgentFacts> {
    let all = loaded.fleet.agents.values();
    all.map(|agent| {
        let facts = AgentFacts {
            critical: agent.critical,
            custom: agent.kind == AgentKind::Custom,
        };
        (agent.name.as_str().to_owned(), facts)
    })
    .collect()
}

pub(super) fn webhook(settings: &WebhookSettings) -> Result<Webhook, ConfigError> {
    let (name, secret) = (settings.name.clone(), settings.secret.clone());
    let key = credential(&secret)?.filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| ConfigError::WebhookSecret {
        webhook: name.clone(),
        secret,
    })?;
    let url = settings
        .url
        .parse()
        .map_err(|_| ConfigError::WebhookUrl(name.clone()))?;
    Ok(Webhook {
        name,
        url,
        types: settings.types.clone(),
        secret: Secret::new(key),
        pace: Pace::default(),
    })
}
