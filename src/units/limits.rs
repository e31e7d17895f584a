use super::file::{UnitFile, unit_value};
use crate::fleet::{Agent, AgentKind, Settings};

/// Name of the credential in which a hub finds its database.
const DATABASE: &str = "database-url";

/// Adds what an agent may take of the machine, and the secrets that it is given.
pub(super) fn limits(file: &mut UnitFile, agent: &Agent, notes: &mut Vec<String>) {
    let unlimited = "infinity";
    file.set(
        "MemoryMax",
        agent.memory_max.as_deref().unwrap_or(unlimited),
    );
    if let Some(memory) = &agent.memory_high {
        file.set("MemoryHigh", memory);
    }
    if let Some(quota) = &agent.cpu_quota {
        file.set("CPUQuota", quota);
    }
    if let Some(tasks) = agent.tasks_max {
        file.set("TasksMax", tasks);
    }
    for (name, path) in &agent.credentials {
        file.set("LoadCredential", format!("{name}:{}", unit_value(path)));
    }
    if has_secret_database(agent) {
        notes.push(format!(
            "the firewall cannot know the address of its database, which is in the credential \
             {DATABASE}: unless it is on this host, add IPAddressAllow= in a drop-in of your own"
        ));
    }
}

fn has_secret_database(agent: &Agent) -> bool {
    match &agent.settings {
        Settings::Hub(hub) if agent.kind == AgentKind::Hub => {
            hub.database.is_none() && agent.credentials.contains_key(DATABASE)
        }
        _ => false,
    }
}
