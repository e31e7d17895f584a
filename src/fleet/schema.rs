use serde_json::{Value, json};

use super::{
    AgentKind, AssessSettings, EnumSettings, HubSettings, ScanSettings, SentinelSettings, Span,
    SpiderSettings,
};

/// JSON schema of the fleet file, for completion and checks in editors. `reconctl check` knows more:
/// names that must exist, cycles, ranges of the agents' own settings.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "recon fleet file",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "fleet": {
                "type": "object",
                "description": "The fleet as a whole.",
                "additionalProperties": false,
                "properties": {
                    "profile": { "type": "string", "default": "full",
                        "description": "The profile that recon.target starts." },
                    "hub": { "type": "string", "format": "uri", "default": "http://127.0.0.1:9000",
                        "description": "Base URL of the hub." },
                },
            },
            "scope": scope(),
            "profiles": {
                "type": "object",
                "description": "Names of agents, by profile.",
                "additionalProperties": texts("Names of agents."),
            },
            "agents": {
                "type": "object",
                "description": "The agents, by name: NAME is the instance of recon@NAME.service.",
                "additionalProperties": agent(),
                "properties": built_in_agents(),
            },
        },
    })
}

fn scope() -> Value {
    json!({
        "type": "object",
        "description": "What may be touched; without it only loopback.",
        "additionalProperties": false,
        "properties": {
            "allow": texts("Addresses, networks, names; *.NAME is every name below NAME."),
            "deny": texts("As allow; wins over it."),
            "max_rate": { "type": "integer", "minimum": 1,
                "description": "Packets/s or requests/s for one target host, over all agents." },
            "blackout": { "type": "array", "items": blackout(),
                "description": "When whom to leave alone: work that falls into such a time waits \
                                until it is over. Each is a table of its own, [[scope.blackout]]." },
        },
    })
}

fn blackout() -> Value {
    let time = |description: &str| {
        json!({ "type": "string", "pattern": "^([01][0-9]|2[0-4]):[0-5][0-9]$",
                "description": description })
    };
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["from", "to"],
        "properties": {
            "days": { "type": "array", "description": "Days on which it begins; default: every day.",
                "items": { "enum": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] } },
            "from": time("When it begins, like 22:00."),
            "to": time("When it ends, like 06:00 (of the day after, when that is not later than \
                        from), or 24:00."),
            "timezone": { "enum": ["local", "UTC"], "default": "local",
                "description": "Whose clock that is: the hub's machine's, or UTC." },
            "targets": texts("Whom it spares: as allow; default: every target."),
            "reason": { "type": "string", "description": "Why, for people." },
        },
    })
}

fn texts(description: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "description": description })
}

fn span(description: &str) -> Value {
    let mut schema = of::<Span>();
    if let Value::Object(fields) = &mut schema {
        fields.insert("description".to_owned(), description.into());
    }
    schema
}

fn of<T: schemars::JsonSchema>() -> Value {
    schemars::generate::SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// The same schema with these values as the defaults.
fn with_defaults<T: serde::Serialize>(mut schema: Value, values: &T) -> Value {
    if let (Some(properties), Ok(Value::Object(values))) = (
        schema["properties"].as_object_mut(),
        serde_json::to_value(values),
    ) {
        for (key, value) in values {
            if let Some(property) = properties.get_mut(&key) {
                property["default"] = value;
            }
        }
    }
    schema
}

fn agent() -> Value {
    let kinds: Vec<_> = AgentKind::BUILT_IN
        .iter()
        .map(|kind| kind.as_str())
        .collect();
    let dependency = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["agent"],
        "properties": {
            "agent": { "type": "string", "description": "The agent that is needed." },
            "on_failure": { "enum": ["ignore", "restart", "stop"], "default": "ignore",
                "description": "What happens to this agent when that one fails: nothing, it is \
                                restarted with it, or it stops and stays stopped." },
        },
    });
    json!({
        "type": "object",
        "description": "One agent: a program, and how systemd supervises it.",
        "additionalProperties": false,
        "properties": {
            "kind": { "enum": kinds, "description": "Which program of recon it is; without it, the one of its name." },
            "description": { "type": "string", "description": "One line for people." },
            "critical": { "type": "boolean", "description": "Counts towards CRITICAL in health." },
            "depends_on": { "type": "array",
                "description": "Agents that it needs: they are started first and waited for until \
                                they are ready. A bare name means { agent = NAME }.",
                "items": { "anyOf": [{ "type": "string" }, dependency] } },
            "auto_start": { "type": "boolean",
                "description": "Enabled when seen for the first time." },
            "auto_restart": { "type": "boolean", "description": "Restarted after a crash." },
            "max_restarts": { "type": "integer", "minimum": 0, "maximum": 1000,
                "description": "Restarts within restart_window; then failed." },
            "restart_window": span("The window of max_restarts."),
            "backoff": {
                "type": "object",
                "description": "Delay before a restart, growing from initial to max.",
                "additionalProperties": false,
                "properties": {
                    "initial": span("Delay before the first restart."),
                    "max": span("Longest delay."),
                    "steps": { "type": "integer", "minimum": 1, "maximum": 100,
                        "description": "Number of steps from initial to max." },
                },
            },
            "stable_after": span("After so long without a failure the backoff starts afresh."),
            "watchdog": span("Without progress for so long it is restarted; 0 switches it off."),
            "stop_timeout": span("Time to finish the task in hand."),
            "memory_max": { "type": ["string", "integer"],
                "description": "512M, 2G, 10% or infinity." },
            "memory_high": { "type": ["string", "integer"],
                "description": "Above this it is slowed down; written as memory_max." },
            "cpu_quota": { "type": "string", "pattern": "^[0-9]+%$",
                "description": "Most CPU time, in percent of one CPU: 50%, 200%." },
            "tasks_max": { "type": "integer", "minimum": 1, "maximum": 4_194_304,
                "description": "Most processes and threads." },
            "credentials": { "type": "object", "additionalProperties": { "type": "string" },
                "description": "Secrets below $CREDENTIALS_DIRECTORY: path of the file, by name." },
            "capabilities": texts("Capabilities that it keeps (CAP_NET_RAW)."),
            "exec": texts("Command line of a program of your own."),
            "notify": { "type": "boolean",
                "description": "A program of your own speaks sd_notify itself." },
            "health": {
                "type": "object",
                "description": "How to see whether a program that does not speak sd_notify is well: http or exec.",
                "additionalProperties": false,
                "properties": {
                    "http": { "type": "string", "format": "uri",
                        "description": "A URL that answers 2xx when all is well." },
                    "exec": texts("A command that exits 0 when all is well."),
                    "interval": span("How often."),
                    "failures": { "type": "integer", "minimum": 1, "maximum": 100,
                        "description": "So many failures in a row are one too many: it is restarted." },
                },
            },
            "config": { "type": "object", "description": "The agent's own settings." },
        },
    })
}

fn built_in_agents() -> Value {
    AgentKind::BUILT_IN
        .into_iter()
        .map(|kind| {
            let mut schema = agent();
            schema["properties"]["config"] = match kind {
                AgentKind::Hub => of::<HubSettings>(),
                AgentKind::Kage | AgentKind::Kaze => {
                    with_defaults(of::<ScanSettings>(), &ScanSettings::of(kind))
                }
                AgentKind::Kumo => of::<SpiderSettings>(),
                AgentKind::Suzu => of::<EnumSettings>(),
                AgentKind::Ryu => of::<AssessSettings>(),
                AgentKind::Sentinel => of::<SentinelSettings>(),
                AgentKind::Custom => json!({}),
            };
            (kind.as_str().to_owned(), schema)
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}
