use std::collections::BTreeMap;

use super::AgentKind;
use super::fragments::{Node, variable};

/// The variable with the hub's address.
const HUB: &str = "DJANGO_API_BASE";

/// Variables of the earlier system: name, kind of agent, key of its settings.
const SETTINGS: [(&str, AgentKind, &str); 12] = [
    ("KAGE_SCAN_INTERVAL", AgentKind::Kage, "scan_interval"),
    ("KAGE_MAX_SCANS", AgentKind::Kage, "max_scans"),
    ("KAZE_SCAN_INTERVAL", AgentKind::Kaze, "scan_interval"),
    ("KAZE_MAX_SCANS", AgentKind::Kaze, "max_scans"),
    ("RYU_SCAN_INTERVAL", AgentKind::Ryu, "scan_interval"),
    ("RYU_MAX_SCANS", AgentKind::Ryu, "max_scans"),
    (
        "RYU_ASSESSMENT_INTERVAL",
        AgentKind::Ryu,
        "assessment_interval",
    ),
    ("RYU_MAX_ASSESSMENTS", AgentKind::Ryu, "max_assessments"),
    ("KUMO_SPIDER_INTERVAL", AgentKind::Kumo, "spider_interval"),
    ("KUMO_MAX_SPIDERS", AgentKind::Kumo, "max_spiders"),
    ("SUZU_ENUM_INTERVAL", AgentKind::Suzu, "enum_interval"),
    ("SUZU_MAX_ENUMS", AgentKind::Suzu, "max_enums"),
];

/// The variables that override keys of the fleet file, each with its key.
pub fn variables() -> Vec<(&'static str, String)> {
    let settings = SETTINGS
        .iter()
        .map(|(name, kind, key)| (*name, format!("agents.{}.config.{key}", kind.as_str())));
    std::iter::once((HUB, "fleet.hub".to_owned()))
        .chain(settings)
        .collect()
}

/// The hub's address, when the environment has one. An empty variable counts as unset.
pub(super) fn hub(env: &BTreeMap<String, String>) -> Option<Node> {
    let url = env.get(HUB).filter(|url| !url.is_empty())?;
    Some(variable(HUB, toml::Value::String(url.clone())))
}

/// The settings that the environment has for a kind of agent; they hold for every instance of it.
pub(super) fn settings(
    env: &BTreeMap<String, String>,
    kind: AgentKind,
) -> impl Iterator<Item = (&'static str, Node)> {
    SETTINGS
        .iter()
        .filter(move |(_, of, _)| *of == kind)
        .filter_map(|(name, _, key)| {
            let text = env.get(*name).filter(|text| !text.is_empty())?;
            let value = match text.trim().parse::<i64>() {
                Ok(number) => toml::Value::Integer(number),
                Err(_) => toml::Value::String(text.clone()),
            };
            Some((*key, variable(name, value)))
        })
}
