use toml::{Table, Value};

use super::{Agent, AgentKind, Fleet, HealthProbe};

impl Fleet {
    /// All effective values, under the keys of the fleet file; read as one, it gives this fleet.
    pub fn to_table(&self) -> Table {
        let rules = |rules: &[super::Rule]| list(rules.iter().map(ToString::to_string));
        let profiles = self.profiles.iter();
        let agents = self.agents.values();
        table([
            (
                "fleet",
                Value::Table(table([
                    ("profile", Value::from(self.profile.as_str())),
                    ("hub", Value::from(self.hub.as_str())),
                ])),
            ),
            (
                "scope",
                Value::Table(table([
                    ("allow", rules(self.scope.allow())),
                    ("deny", rules(self.scope.deny())),
                    ("max_rate", Value::from(self.scope.max_rate)),
                ])),
            ),
            (
                "profiles",
                Value::Table(
                    profiles
                        .map(|(k, v)| (k.clone(), list(v.iter().map(ToString::to_string))))
                        .collect(),
                ),
            ),
            (
                "agents",
                Value::Table(
                    agents
                        .map(|a| (a.name.to_string(), Value::Table(a.to_table())))
                        .collect(),
                ),
            ),
        ])
    }
}

impl Agent {
    /// All effective values of one agent, under the keys of its table in the fleet file.
    pub fn to_table(&self) -> Table {
        let dependencies = self.depends_on.iter().map(|dependency| {
            Value::Table(table([
                ("agent", Value::from(dependency.agent.as_str())),
                ("on_failure", plain(&dependency.on_failure)),
            ]))
        });
        let backoff = table([
            ("initial", plain(&self.backoff.initial)),
            ("max", plain(&self.backoff.max)),
            ("steps", Value::from(self.backoff.steps)),
        ]);
        let mut all = table([
            ("description", Value::from(self.description.as_str())),
            ("critical", Value::from(self.critical)),
            ("depends_on", Value::Array(dependencies.collect())),
            ("auto_start", Value::from(self.auto_start)),
            ("auto_restart", Value::from(self.auto_restart)),
            ("max_restarts", Value::from(self.max_restarts)),
            ("restart_window", plain(&self.restart_window)),
            ("backoff", Value::Table(backoff)),
            ("stable_after", plain(&self.stable_after)),
            ("watchdog", plain(&self.watchdog)),
            ("stop_timeout", plain(&self.stop_timeout)),
            ("capabilities", list(self.capabilities.iter().cloned())),
            ("config", plain(&self.settings)),
        ]);
        if self.kind == AgentKind::Custom {
            all.insert("notify".to_owned(), Value::from(self.notify));
        } else {
            all.insert("kind".to_owned(), Value::from(self.kind.as_str()));
        }
        for (key, limit) in [
            ("memory_max", &self.memory_max),
            ("memory_high", &self.memory_high),
            ("cpu_quota", &self.cpu_quota),
        ] {
            if let Some(limit) = limit {
                all.insert(key.to_owned(), Value::from(limit.as_str()));
            }
        }
        if let Some(tasks) = self.tasks_max {
            all.insert("tasks_max".to_owned(), Value::from(tasks));
        }
        if !self.credentials.is_empty() {
            let paths = self.credentials.iter();
            let paths = paths.map(|(name, path)| (name.clone(), Value::from(path.as_str())));
            all.insert("credentials".to_owned(), Value::Table(paths.collect()));
        }
        if let Some(exec) = &self.exec {
            all.insert("exec".to_owned(), list(exec.iter().cloned()));
        }
        if let Some(health) = &self.health {
            let (key, probe) = match &health.probe {
                HealthProbe::Http(url) => ("http", Value::from(url.as_str())),
                HealthProbe::Exec(exec) => ("exec", list(exec.iter().cloned())),
            };
            let health = table([
                (key, probe),
                ("interval", plain(&health.interval)),
                ("failures", Value::from(health.failures)),
            ]);
            all.insert("health".to_owned(), Value::Table(health));
        }
        all
    }
}

fn table<const N: usize>(entries: [(&str, Value); N]) -> Table {
    entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

fn list(items: impl Iterator<Item = String>) -> Value {
    Value::Array(items.map(Value::String).collect())
}

/// A value as serde writes it. These types write as text, numbers and tables, which TOML can hold.
fn plain<T: serde::Serialize>(value: &T) -> Value {
    Value::try_from(value).unwrap_or_else(|_| Value::Table(Table::new()))
}
