use std::collections::{BTreeMap, BTreeSet};

use super::fragments::{Node, Table, Value};
use super::section::{Report, Section, expected, unknown};
use super::{Agent, AgentName, Fleet, Rule, Scope, agents, blackout, checks, graph};

/// Turns merged tables into a fleet; what is wrong goes to the report. With errors reported, the
/// fleet holds what could be read and must not be used.
pub(super) fn fleet(merged: &Table, report: &Report) -> Fleet {
    let mut root = Section::root(merged, report);
    let mut head = root.section("fleet");
    let profile = head.line("profile").unwrap_or("full").to_owned();
    let profile_node = head.node("profile");
    let hub = hub(&mut head);
    head.finish();
    let scope = scope(root.section("scope"));
    let profile_tables = root.section("profiles");
    let agent_tables = root.section("agents");
    root.finish();

    let agents = agent_tables
        .entries()
        .filter_map(|(name, node)| agents::agent(name, node, report))
        .map(|agent| (agent.name.clone(), agent))
        .collect();
    // An agent that is itself in error must not be reported as unknown as well.
    let named: BTreeSet<&str> = agent_tables
        .entries()
        .map(|(name, _)| name.as_str())
        .collect();
    dependencies(&agent_tables, &agents, &named, report);
    let profiles = profiles(&profile_tables, &named, report);
    if let Some(node) = profile_node
        && !profile_tables.entries().any(|(name, _)| *name == profile)
    {
        let known = profile_tables.entries().map(|(name, _)| name.as_str());
        report.error(node, "fleet.profile", unknown("profile", &profile, known));
    }
    Fleet {
        profile,
        hub,
        scope,
        profiles,
        agents,
    }
}

fn hub(head: &mut Section<'_>) -> String {
    let written = head.line("hub");
    let checked = written.map(checks::hub_url);
    match (checked, head.node("hub")) {
        (Some(Ok(url)), _) => return url,
        (Some(Err(message)), Some(node)) => head.error(node, "hub", message),
        _ => {}
    }
    "http://127.0.0.1:9000".to_owned()
}

fn scope(mut section: Section<'_>) -> Scope {
    let allow = rules(&mut section, "allow");
    let deny = rules(&mut section, "deny");
    let max_rate = section.number("max_rate", 1..=10_000_000);
    let blackouts = blackout::read(&mut section);
    let mut scope = Scope::new(allow, deny);
    let networks = scope.networks().len();
    if let (Some(node), true) = (section.node("deny"), networks > Scope::MAX_NETWORKS) {
        let message = format!(
            "splits the allowed networks into {networks}, at most {} are possible: deny fewer or \
             wider networks",
            Scope::MAX_NETWORKS
        );
        section.error(node, "deny", message);
    }
    section.finish();
    scope.max_rate = max_rate.unwrap_or(Scope::DEFAULT_MAX_RATE);
    scope.blackouts = blackouts;
    scope
}

fn rules(section: &mut Section<'_>, key: &'static str) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (node, text) in section.texts(key).unwrap_or_default() {
        match text.parse() {
            Ok(rule) => rules.push(rule),
            Err(error) => section.error(node, key, format!("{error}")),
        }
    }
    rules
}

fn profiles(
    section: &Section<'_>,
    named: &BTreeSet<&str>,
    report: &Report,
) -> BTreeMap<String, Vec<AgentName>> {
    let mut profiles = BTreeMap::new();
    for (name, node) in section.entries() {
        let key = section.key(name);
        if name.parse::<AgentName>().is_err() {
            let message = "is not a profile name: use lower-case letters, digits, - and _";
            report.error(node, &key, format!("{name:?} {message}"));
        }
        let Value::Array(items) = &node.value else {
            report.error(node, &key, expected("an array of agent names", node));
            continue;
        };
        profiles.insert(name.clone(), members(items, &key, named, report));
    }
    profiles
}

fn members(items: &[Node], key: &str, named: &BTreeSet<&str>, report: &Report) -> Vec<AgentName> {
    let mut members: Vec<AgentName> = Vec::new();
    let mut seen = BTreeSet::new();
    for item in items {
        let Some(text) = item.as_str() else {
            report.error(item, key, expected("an agent name", item));
            continue;
        };
        match text.parse::<AgentName>() {
            Ok(name) if seen.contains(text) => {
                report.error(item, key, format!("{name} is listed twice"));
            }
            Ok(name) if named.contains(text) => {
                seen.insert(text);
                members.push(name);
            }
            _ => report.error(item, key, unknown("agent", text, named.iter().copied())),
        }
    }
    members
}

/// Checks that dependencies lead to agents, not to themselves, and not in circles.
fn dependencies(
    section: &Section<'_>,
    agents: &BTreeMap<AgentName, Agent>,
    named: &BTreeSet<&str>,
    report: &Report,
) {
    let tables: BTreeMap<&str, &Node> = section.entries().map(|(k, v)| (k.as_str(), v)).collect();
    for (name, node) in &tables {
        let key = format!("{}.depends_on", section.key(name));
        for (item, agent) in dependency_names(node) {
            if agent == *name {
                report.error(item, &key, "an agent cannot depend on itself");
            } else if !named.contains(agent) {
                report.error(item, &key, unknown("agent", agent, named.iter().copied()));
            }
        }
    }
    for cycle in graph::cycles(agents) {
        let path: Vec<&str> = cycle.iter().map(AgentName::as_str).collect();
        let place = tables.get(path[0]).and_then(|node| {
            dependency_names(node)
                .find(|(_, agent)| *agent == path[1])
                .map(|(item, _)| item)
        });
        if let Some(item) = place {
            let key = format!("{}.depends_on", section.key(path[0]));
            report.error(
                item,
                &key,
                format!("dependency cycle: {}", path.join(" → ")),
            );
        }
    }
}

fn dependency_names(agent: &Node) -> impl Iterator<Item = (&Node, &str)> {
    let items = match &agent.value {
        Value::Table(table) => match table.get("depends_on").map(|node| &node.value) {
            Some(Value::Array(items)) => items.as_slice(),
            _ => &[],
        },
        _ => &[],
    };
    items.iter().filter_map(|item| match &item.value {
        Value::Table(table) => {
            let agent = table.get("agent")?;
            Some((agent, agent.as_str()?))
        }
        _ => Some((item, item.as_str()?)),
    })
}
