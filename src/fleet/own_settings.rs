use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::checks;
use super::fragments::{Node, Value, plain_table};
use super::section::{Section, expected, out_of_range, unknown};
use super::{
    AgentKind, AssessSettings, EnumSettings, HubSettings, ScanSettings, SentinelSettings, Settings,
    Span, SpiderSettings,
};

/// Ranges of whole numbers in the agents' own settings, the same for every kind.
const RANGES: [(&str, RangeInclusive<u32>); 8] = [
    ("max_scans", 1..=1000),
    ("max_spiders", 1..=1000),
    ("max_enums", 1..=1000),
    ("max_assessments", 1..=1000),
    ("retries", 0..=10),
    ("concurrency", 0..=1_000_000),
    ("depth", 0..=100),
    ("max_pages", 1..=1_000_000),
];

/// Lengths of time that must not be zero: an agent that never pauses would load its hub for nothing,
/// and a lease or a wait of no time is over before it began.
const NOT_ZERO: [&str; 11] = [
    "scan_interval",
    "spider_interval",
    "enum_interval",
    "assessment_interval",
    "log_interval",
    "job_interval",
    "heartbeat_interval",
    "connect_timeout",
    "request_timeout",
    "max_time",
    "lease",
];

/// Lengths of time that must be a day or more: a webhook is tried for a day, an agent that was away
/// for a night repeats what it sent.
const A_DAY: [&str; 6] = [
    "keep_events",
    "keep_changes",
    "keep_scans",
    "keep_findings",
    "keep_answers",
    "keep_audit",
];

/// Longest wait for one answer: more would outlast a watchdog that is fed by progress.
const MOST_WAIT: Span = Span::secs(5);

/// Reads `[agents.NAME.config]` by kind of agent.
pub(super) fn read(kind: AgentKind, section: &mut Section<'_>) -> Settings {
    let config = section.section("config");
    match kind {
        AgentKind::Hub => Settings::Hub(typed::<HubSettings>(&config)),
        AgentKind::Kage | AgentKind::Kaze => {
            Settings::Scan(typed_over(&config, ScanSettings::of(kind)))
        }
        AgentKind::Kumo => Settings::Spider(typed::<SpiderSettings>(&config)),
        AgentKind::Suzu => Settings::Enum(typed::<EnumSettings>(&config)),
        AgentKind::Ryu => Settings::Assess(typed::<AssessSettings>(&config)),
        AgentKind::Sentinel => Settings::Sentinel(typed::<SentinelSettings>(&config)),
        AgentKind::Custom => Settings::Custom(
            config
                .entries()
                .map(|(key, node)| (key.clone(), node.plain()))
                .collect(),
        ),
    }
}

/// Reads settings into their struct. Each key is tried alone first, because serde stops at the first
/// error and knows no lines.
fn typed<T: DeserializeOwned + Default + Serialize>(config: &Section<'_>) -> T {
    typed_over(config, T::default())
}

/// The same, where what is not said is as in `otherwise`.
fn typed_over<T: DeserializeOwned + Default + Serialize>(config: &Section<'_>, otherwise: T) -> T {
    let known = field_names::<T>();
    let mut good = super::fragments::Table::new();
    for (key, node) in config.entries() {
        if !known.contains(key) {
            let message = unknown("key", key, known.iter().map(String::as_str));
            config.error(node, key, message);
        } else if let Err(message) = one::<T>(key, node) {
            config.error(node, key, message);
        } else {
            good.insert(key.clone(), node.clone());
        }
    }
    // What TOML cannot write (`None`) is what it is without a word.
    let mut all = toml::Table::try_from(&otherwise).unwrap_or_default();
    all.extend(plain_table(&good));
    all.try_into().unwrap_or(otherwise)
}

/// The keys of a settings struct: its default has them all, as JSON, where `None` is null.
fn field_names<T: Default + Serialize>() -> BTreeSet<String> {
    match serde_json::to_value(T::default()) {
        Ok(serde_json::Value::Object(fields)) => fields.into_iter().map(|(name, _)| name).collect(),
        _ => BTreeSet::new(),
    }
}

/// What serde says, without the names of Rust's types.
fn plain_words(message: &str) -> String {
    message
        .trim_start_matches("invalid type: ")
        .replace("expected u32", "expected a whole number")
        .replace("expected u64", "expected a whole number")
        .replace("expected a boolean", "expected true or false")
}

fn one<T: DeserializeOwned>(key: &str, node: &Node) -> Result<(), String> {
    let number = match node.value {
        Value::Scalar(toml::Value::Integer(number)) => Some(number),
        _ => None,
    };
    let range = RANGES
        .iter()
        .find(|(name, _)| *name == key)
        .map(|(_, range)| range);
    if let (Some(number), Some(range)) = (number, range)
        && !u32::try_from(number).is_ok_and(|n| range.contains(&n))
    {
        return Err(out_of_range(number, range));
    }
    if let Value::Scalar(toml::Value::Datetime(_)) = node.value {
        // To serde it would be a text.
        return Err(expected("no date", node));
    }
    let table = toml::Table::from_iter([(key.to_owned(), node.plain())]);
    table
        .try_into::<T>()
        .map_err(|error| plain_words(error.message()))?;
    if NOT_ZERO.contains(&key) && node.plain().try_into() == Ok(Span::default()) {
        return Err("must be longer than 0s".to_owned());
    }
    if A_DAY.contains(&key) {
        let day = Span::secs(24 * 3600);
        let length: Span = node.plain().try_into().unwrap_or_default();
        if length < day && length != Span::default() {
            return Err(format!("must be at least {day}, or 0 to keep everything"));
        }
    }
    if key == "webhooks" {
        let list: Vec<_> = node.plain().try_into().unwrap_or_default();
        return checks::webhooks(&list);
    }
    if key == "connect_timeout" && node.plain().try_into::<Span>().is_ok_and(|t| t > MOST_WAIT) {
        return Err(format!("must be at most {MOST_WAIT}"));
    }
    match (key, node.as_str()) {
        ("listen", Some(text)) => checks::listen(text),
        ("database", Some(text)) => checks::database(text),
        _ => Ok(()),
    }
}
