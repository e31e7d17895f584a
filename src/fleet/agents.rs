use std::collections::BTreeMap;

use super::checks;
use super::fragments::{Node, Table, Value};
use super::merge::merge;
use super::own_settings;
use super::section::{Report, Section, expected, nearest, unknown};
use super::{
    Agent, AgentKind, AgentName, Backoff, Dependency, Diagnostic, Health, HealthProbe, OnFailure,
    Span, env,
};

/// What an agent is made of besides its own table.
pub(super) struct Context<'a> {
    /// The vendor manifests: an instance under another name starts from its kind's.
    pub manifests: &'a Table,
    /// The environment.
    pub env: &'a BTreeMap<String, String>,
}

/// The table of one agent with everything laid under and over it that belongs there.
pub(super) fn complete(
    name: &str,
    node: &Node,
    context: &Context<'_>,
    errors: &mut Vec<Diagnostic>,
) -> Table {
    let Value::Table(own) = &node.value else {
        return Table::new();
    };
    let kind = own.get("kind").and_then(Node::as_str).unwrap_or(name);
    let mut table = match context.manifests.get(kind).map(|manifest| &manifest.value) {
        Some(Value::Table(manifest)) if kind != name => manifest.clone(),
        _ => Table::new(),
    };
    let mut wrong = Vec::new();
    merge(&mut table, own.clone(), &mut wrong);
    errors.extend(wrong.into_iter().map(|mut error| {
        error.key = format!("agents.{name}.{}", error.key);
        error
    }));
    if let Some(kind) = AgentKind::BUILT_IN.iter().find(|k| k.as_str() == kind) {
        for (key, value) in env::settings(context.env, *kind) {
            let place = value.place.clone();
            let config = table.entry("config".to_owned()).or_insert_with(|| Node {
                value: Value::Table(Table::new()),
                place,
            });
            if let Value::Table(config) = &mut config.value {
                config.insert(key.to_owned(), value);
            }
        }
    }
    table
}

/// Reads the complete table of one agent; `None` when it has no valid name or program.
pub(super) fn agent(name: &str, node: &Node, report: &Report) -> Option<Agent> {
    let path = format!("agents.{name}");
    let Value::Table(table) = &node.value else {
        report.error(node, &path, expected("a table", node));
        return None;
    };
    let parsed_name = match name.parse::<AgentName>() {
        Ok(parsed) => Some(parsed),
        Err(message) => {
            report.error(node, &path, message);
            None
        }
    };
    let mut section = Section::new(path, Some(table), report);
    let exec = exec(&mut section, "exec");
    let kind = kind(name, node, &mut section);
    let agent = read(parsed_name, kind, exec, node, &mut section);
    section.finish();
    agent
}

fn read(
    name: Option<AgentName>,
    kind: Option<AgentKind>,
    exec: Option<Vec<String>>,
    node: &Node,
    section: &mut Section<'_>,
) -> Option<Agent> {
    let custom = kind.is_none_or(|kind| kind == AgentKind::Custom);
    let second = Span::secs(1);
    let description = section.line("description").map(str::to_owned);
    let watchdog = section.span("watchdog", Span::default());
    let notify = section.flag("notify");
    let health = health(section);
    if let (Some(false), true) = (notify, !custom) {
        section.error(node, "notify", "the agents of recon always speak sd_notify");
    }
    let agent = Agent {
        description: description.unwrap_or_default(),
        critical: section.flag("critical").unwrap_or(false),
        depends_on: depends_on(section),
        auto_start: section.flag("auto_start").unwrap_or(true),
        auto_restart: section.flag("auto_restart").unwrap_or(true),
        max_restarts: section.number("max_restarts", 0..=1000).unwrap_or(5),
        restart_window: section
            .span("restart_window", second)
            .unwrap_or(Span::secs(3600)),
        backoff: backoff(section),
        stable_after: section
            .span("stable_after", second)
            .unwrap_or(Span::secs(3600)),
        // A program that does not promise to ping must not be killed for being silent.
        watchdog: watchdog.unwrap_or(if custom {
            Span::default()
        } else {
            Span::secs(30)
        }),
        stop_timeout: section
            .span("stop_timeout", second)
            .unwrap_or(Span::secs(30)),
        memory_max: checks::memory(section, "memory_max"),
        memory_high: checks::memory(section, "memory_high"),
        cpu_quota: checks::cpu_quota(section, "cpu_quota"),
        tasks_max: section.number("tasks_max", 1..=4_194_304),
        credentials: checks::credentials(section, "credentials"),
        capabilities: checks::capabilities(section, "capabilities"),
        exec,
        notify: notify.unwrap_or(!custom),
        health,
        settings: own_settings::read(kind.unwrap_or(AgentKind::Custom), section),
        kind: kind.unwrap_or(AgentKind::Custom),
        name: name?,
    };
    kind?;
    silent_watchdog(&agent, node, section);
    probed(&agent, node, section);
    if agent.watchdog > Span::default() && agent.watchdog < SHORTEST_WATCHDOG {
        let message = format!("must be 0 (off) or at least {SHORTEST_WATCHDOG}");
        let place = section.node("watchdog").unwrap_or(node);
        section.error(place, "watchdog", message);
    }
    Some(agent)
}

/// A busy host may hold up a healthy agent for this long.
const SHORTEST_WATCHDOG: Span = Span::secs(2);

/// Refuses a watchdog that nobody would ever ping.
fn silent_watchdog(agent: &Agent, node: &Node, section: &Section<'_>) {
    let custom = agent.kind == AgentKind::Custom;
    if custom && !agent.notify && agent.health.is_none() && agent.watchdog > Span::default() {
        let message = "nobody would ping it: set notify = true if the program sends WATCHDOG=1, or \
                       give it a health probe";
        section.error(node, "watchdog", message);
    }
}

/// Refuses a health probe beside a program that pings the watchdog itself, whose silence the probe
/// would cover up, and a watchdog that bites before the probe has failed often enough.
fn probed(agent: &Agent, node: &Node, section: &mut Section<'_>) {
    let Some(health) = &agent.health else {
        return;
    };
    if agent.kind != AgentKind::Custom {
        let message = "the agents of recon ping the watchdog from their work: only a program of \
                       your own (exec) has a health probe";
        let place = section.node("health").unwrap_or(node);
        return section.error(place, "health", message);
    }
    if agent.notify {
        let message = "health and notify = true exclude each other: a program that speaks sd_notify \
                       sends READY=1 and WATCHDOG=1 itself; remove one";
        let place = section.node("health").unwrap_or(node);
        return section.error(place, "health", message);
    }
    let least = health.watchdog();
    if agent.watchdog > Span::default() && agent.watchdog < least {
        let message = format!(
            "must be at least {least}, which is what its health probe takes to fail (interval × \
             failures, the last answer and 5s to spare); without it that is its watchdog"
        );
        let place = section.node("watchdog").unwrap_or(node);
        section.error(place, "watchdog", message);
    }
}

fn kind(name: &str, node: &Node, section: &mut Section<'_>) -> Option<AgentKind> {
    let names = || AgentKind::BUILT_IN.map(AgentKind::as_str);
    let built_in = |name: &str| AgentKind::BUILT_IN.into_iter().find(|k| k.as_str() == name);
    let has_exec = section.node("exec").is_some();
    let written = section.node("kind");
    let Some(text) = section.text("kind") else {
        return match built_in(name) {
            // Wrong type: reported already.
            _ if written.is_some() => None,
            Some(_) if has_exec => {
                let message = "is a program of recon; give your own program another name";
                section.error(node, "exec", message);
                None
            }
            Some(kind) => Some(kind),
            None if has_exec => Some(AgentKind::Custom),
            None => {
                let message = what_is_it(name, &names());
                section.error(node, "kind", message);
                None
            }
        };
    };
    let node = written.unwrap_or(node);
    match built_in(text) {
        Some(_) if has_exec => {
            section.error(node, "kind", "kind and exec exclude each other: remove one");
            None
        }
        Some(kind) => Some(kind),
        None if text == "custom" && has_exec => Some(AgentKind::Custom),
        None if text == "custom" => {
            section.error(
                node,
                "kind",
                "a custom agent needs exec = [\"/path/to/program\"]",
            );
            None
        }
        None => {
            section.error(node, "kind", unknown("agent kind", text, names()));
            None
        }
    }
}

/// What to say about a name that is no kind of agent.
fn what_is_it(name: &str, kinds: &[&str]) -> String {
    let typo = nearest(name, kinds.iter().copied());
    let instance = kinds
        .iter()
        .find(|kind| name.starts_with(&format!("{kind}-")));
    let hint = instance.copied().or(typo).unwrap_or("kaze");
    let mean = match (instance, typo) {
        (None, Some(typo)) => format!("did you mean {typo:?}? Else "),
        _ => String::new(),
    };
    format!(
        "unknown agent kind {name:?}: {mean}write kind = {hint:?} to run another {hint}, or \
         exec = [\"/path/to/program\"] to run a program of your own"
    )
}

fn depends_on(section: &mut Section<'_>) -> Vec<Dependency> {
    let mut found: Vec<Dependency> = Vec::new();
    for item in section.items("depends_on").unwrap_or_default() {
        let dependency = match item.as_str() {
            Some(agent) => agent.parse().ok().map(|agent| Dependency {
                agent,
                on_failure: OnFailure::default(),
            }),
            None => section
                .element("depends_on", item)
                .and_then(|s| dependency(s, item)),
        };
        match dependency {
            Some(new) if found.iter().any(|old| old.agent == new.agent) => {
                section.error(item, "depends_on", format!("{} is listed twice", new.agent));
            }
            Some(new) => found.push(new),
            None => {}
        }
    }
    found
}

fn dependency(mut section: Section<'_>, item: &Node) -> Option<Dependency> {
    let agent = section.text("agent");
    if agent.is_none() && section.node("agent").is_none() {
        section.error(
            item,
            "agent",
            "missing: name the agent that this one depends on",
        );
    }
    let on_failure = match section.text("on_failure") {
        None | Some("ignore") => OnFailure::Ignore,
        Some("restart") => OnFailure::Restart,
        Some("stop") => OnFailure::Stop,
        Some(other) => {
            let node = section.node("on_failure").unwrap_or(item);
            let message = unknown("reaction", other, ["ignore", "restart", "stop"]);
            section.error(node, "on_failure", message);
            OnFailure::Ignore
        }
    };
    section.finish();
    // A name that cannot be parsed is no agent's: the check for unknown agents reports it.
    Some(Dependency {
        agent: agent?.parse().ok()?,
        on_failure,
    })
}

fn backoff(section: &mut Section<'_>) -> Backoff {
    let node = section.node("backoff");
    let mut section = section.section("backoff");
    let initial = section.span("initial", Span(std::time::Duration::from_millis(1)));
    let max = section.span("max", Span(std::time::Duration::from_millis(1)));
    let steps = section.number("steps", 1..=100);
    let initial = initial.unwrap_or(Span::secs(1));
    let backoff = Backoff {
        initial,
        max: max.unwrap_or(Span::secs(60).max(initial)),
        steps: steps.unwrap_or(6),
    };
    if let (Some(node), true) = (node, backoff.max < backoff.initial) {
        let node = section.node("max").unwrap_or(node);
        section.error(
            node,
            "max",
            format!("must not be less than initial ({})", backoff.initial),
        );
    }
    section.finish();
    backoff
}

/// A probe that asks more rarely watches nothing.
const LONGEST_INTERVAL: Span = Span::secs(3600);

fn health(section: &mut Section<'_>) -> Option<Health> {
    let node = section.node("health")?;
    let mut section = section.section("health");
    let http = checks::http_url(&mut section, "http");
    let exec = exec(&mut section, "exec");
    let both = section.node("http").is_some() && section.node("exec").is_some();
    let neither = section.node("http").is_none() && section.node("exec").is_none();
    if both {
        section.error(node, "exec", "http and exec exclude each other: remove one");
    } else if neither {
        section.error(
            node,
            "http",
            "missing: give a URL in http or a command in exec",
        );
    }
    let interval = section
        .span("interval", Span::secs(1))
        .unwrap_or(Span::secs(10));
    if interval > LONGEST_INTERVAL {
        let place = section.node("interval").unwrap_or(node);
        let message = format!("must be at most {LONGEST_INTERVAL}");
        section.error(place, "interval", message);
    }
    let failures = section.number("failures", 1..=100).unwrap_or(3);
    section.finish();
    Some(Health {
        probe: http
            .map(HealthProbe::Http)
            .or(exec.map(HealthProbe::Exec))?,
        interval,
        failures,
    })
}

fn exec(section: &mut Section<'_>, key: &'static str) -> Option<Vec<String>> {
    let node = section.node(key)?;
    let args = section.texts(key)?;
    let Some((first, program)) = args.first() else {
        section.error(node, key, "must name a program");
        return None;
    };
    if !program.starts_with('/') {
        let message =
            format!("{program:?} must be an absolute path: systemd searches no PATH for it");
        section.error(first, key, message);
    } else if let Some(problem) = checks::program_path(program) {
        section.error(first, key, format!("{program:?} {problem}"));
    }
    for (item, arg) in &args {
        if arg.chars().any(|c| c.is_control() && c != '\t') {
            section.error(item, key, "must not contain control characters");
        }
    }
    Some(args.into_iter().map(|(_, arg)| arg.to_owned()).collect())
}
