use std::process::Stdio;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::bus::ssh_args;
use super::error::Error;
use super::name::agent_of_unit;

/// How grave a line is; syslog's priorities, folded as our agents use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// 0 to 3.
    Error,
    /// 4
    Warn,
    /// 5
    Notice,
    /// 6
    Info,
    /// 7
    Debug,
}

impl Level {
    /// From syslog's number.
    pub fn of_priority(priority: u8) -> Self {
        match priority {
            0..=3 => Self::Error,
            4 => Self::Warn,
            5 => Self::Notice,
            6 => Self::Info,
            _ => Self::Debug,
        }
    }

    /// The gravest number that it covers, as journalctl's `-p` wants it.
    pub fn priority(self) -> u8 {
        match self {
            Self::Error => 3,
            Self::Warn => 4,
            Self::Notice => 5,
            Self::Info => 6,
            Self::Debug => 7,
        }
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Notice => "NOTICE",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
        }
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s.to_ascii_lowercase().as_str() {
            "error" | "err" | "critical" | "crit" => Ok(Self::Error),
            "warn" | "warning" => Ok(Self::Warn),
            "notice" => Ok(Self::Notice),
            "info" => Ok(Self::Info),
            "debug" | "trace" => Ok(Self::Debug),
            _ => Err(format!(
                "{s:?} is not a level: use error, warn, notice, info or debug"
            )),
        }
    }
}

/// Which lines of the journal.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Units, or patterns of units.
    pub units: Vec<String>,
    /// This grave and graver.
    pub level: Option<Level>,
    /// From this time on, in journalctl's words (`-1h`, `today`, `2026-11-21 05:00`).
    pub since: Option<String>,
    /// Up to this time.
    pub until: Option<String>,
    /// Only the last so many.
    pub lines: Option<u64>,
    /// Go on with what comes.
    pub follow: bool,
    /// Only this run, whatever the units.
    pub invocation: Option<String>,
    /// Of the user's own systemd.
    pub user: bool,
    /// Of another host, over SSH (`[USER@]HOST[:PORT]`).
    pub host: Option<String>,
}

impl Query {
    /// journalctl's arguments.
    pub fn args(&self, output: &str) -> Vec<String> {
        let unit = if self.user { "--user-unit" } else { "--unit" };
        let mut args = vec![
            "--no-pager".to_owned(),
            "--quiet".to_owned(),
            "--all".to_owned(),
            format!("--output={output}"),
        ];
        if self.invocation.is_none() {
            args.extend(self.units.iter().map(|name| format!("{unit}={name}")));
        }
        let mut option = |name: &str, value: Option<String>| {
            args.extend(value.map(|value| format!("--{name}={value}")));
        };
        option("priority", self.level.map(|l| l.priority().to_string()));
        option("since", self.since.clone());
        option("until", self.until.clone());
        option("lines", self.lines.map(|n| n.to_string()));
        if self.follow {
            args.push("--follow".to_owned());
        }
        if let Some(id) = &self.invocation {
            // What the run says, or what systemd says of it.
            args.push(format!("_SYSTEMD_INVOCATION_ID={id}"));
            args.push("+".to_owned());
            args.push(format!("INVOCATION_ID={id}"));
        }
        args
    }

    /// A command that prints them as journalctl does, in one of its output formats.
    pub fn command(&self, output: &str) -> Command {
        let args = self.args(output);
        let mut command = match &self.host {
            None => Command::new("journalctl"),
            Some(host) => {
                let mut ssh = Command::new("ssh");
                ssh.args(ssh_args(host)).arg("journalctl");
                ssh
            }
        };
        match self.host {
            None => command.args(args),
            // The other side hands the words to a shell.
            Some(_) => command.args(args.iter().map(|arg| shell_quoted(arg))),
        };
        command.kill_on_drop(true);
        command
    }
}

fn shell_quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// When.
    pub time: DateTime<Utc>,
    /// The agent's name, or the unit's when it is no agent.
    pub agent: String,
    /// The unit.
    pub unit: String,
    /// How grave.
    pub level: Level,
    /// The text, as it was written: escape it before it goes to a terminal.
    pub message: String,
    /// The process that wrote it.
    pub pid: Option<u32>,
    /// systemd's id of the run.
    pub invocation_id: Option<String>,
    /// Our own fields (`EVENT`, `TARGET`, `EGGRECORD_ID`, …), without those of journald.
    pub fields: Map<String, Value>,
}

impl Entry {
    /// Reads a line of `journalctl --output=json`.
    pub fn parse(line: &str) -> Option<Self> {
        let raw: Map<String, Value> = serde_json::from_str(line).ok()?;
        let text = |key: &str| raw.get(key).map(value_text).filter(|t| !t.is_empty());
        let micros = text("_SOURCE_REALTIME_TIMESTAMP").or_else(|| text("__REALTIME_TIMESTAMP"))?;
        // What PID 1 says about a unit carries UNIT; what the unit itself says, _SYSTEMD_UNIT.
        let unit = [
            "UNIT",
            "USER_UNIT",
            "COREDUMP_UNIT",
            "_SYSTEMD_USER_UNIT",
            "_SYSTEMD_UNIT",
        ]
        .into_iter()
        .find_map(text)
        .unwrap_or_default();
        let priority = text("PRIORITY").and_then(|p| p.parse().ok()).unwrap_or(6);
        Some(Self {
            time: DateTime::from_timestamp_micros(micros.parse().ok()?)?,
            agent: agent_of_unit(&unit).map_or_else(|| unit.clone(), |n| n.as_str().to_owned()),
            unit,
            level: Level::of_priority(priority),
            message: text("MESSAGE").unwrap_or_default(),
            pid: text("_PID").and_then(|p| p.parse().ok()),
            invocation_id: text("_SYSTEMD_INVOCATION_ID").or_else(|| text("INVOCATION_ID")),
            fields: raw
                .iter()
                .filter(|(key, _)| is_own_field(key))
                .map(|(key, value)| (key.clone(), Value::String(value_text(value))))
                .collect(),
        })
    }
}

/// Fields that say something about the work, in contrast to those that journald, the logging
/// library and PID 1 put on every line.
fn is_own_field(key: &str) -> bool {
    const OWN: [&str; 8] = [
        "EVENT",
        "PERSONALITY",
        "EGGRECORD_ID",
        "TARGET",
        "SCAN_TYPE",
        "JOB_RESULT",
        "UNIT_RESULT",
        "N_RESTARTS",
    ];
    OWN.contains(&key) || key.starts_with("RECON_")
}

/// journalctl writes a field as text, as a list of bytes when it is not UTF-8, and as a list of
/// these when the line carries it more than once.
fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let bytes: Option<Vec<u8>> = list
                .iter()
                .map(|v| v.as_u64().and_then(|n| u8::try_from(n).ok()))
                .collect();
            match bytes {
                Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                None => list.iter().map(value_text).collect::<Vec<_>>().join(" "),
            }
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A reader of the journal; journalctl ends with it.
#[derive(Debug)]
pub struct Journal {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Journal {
    /// Starts reading.
    ///
    /// # Errors
    /// journalctl cannot be run.
    pub fn open(query: &Query) -> Result<Self, Error> {
        let mut child = query
            .command("json")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| Error::Journal(e.to_string()))?;
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| Error::Journal("no standard output".to_owned()))?;
        Ok(Self {
            child,
            lines: BufReader::new(stdout).lines(),
        })
    }

    /// The next line; `None` at the end. A line that cannot be understood is left out.
    ///
    /// # Errors
    /// journalctl cannot be read, or failed.
    pub async fn next(&mut self) -> Result<Option<Entry>, Error> {
        let broken = |e: std::io::Error| Error::Journal(e.to_string());
        while let Some(line) = self.lines.next_line().await.map_err(broken)? {
            if let Some(entry) = Entry::parse(&line) {
                return Ok(Some(entry));
            }
        }
        let status = self.child.wait().await.map_err(broken)?;
        if status.success() {
            Ok(None)
        } else {
            Err(Error::Journal(format!("{status}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_unit_and_about_the_unit() {
        let own = r#"{"__REALTIME_TIMESTAMP":"1795239660123456","_SYSTEMD_UNIT":"recon@kaze.service",
            "PRIORITY":"4","MESSAGE":"slow","_PID":"42","TARGET":"10.20.0.7","_TRANSPORT":"journal"}"#;
        let entry = Entry::parse(own).unwrap();
        assert_eq!((entry.agent.as_str(), entry.level), ("kaze", Level::Warn));
        assert_eq!((entry.message.as_str(), entry.pid), ("slow", Some(42)));
        assert_eq!(entry.fields.keys().collect::<Vec<_>>(), ["TARGET"]);
        assert_eq!(entry.time.timestamp_subsec_millis(), 123);

        let about = r#"{"__REALTIME_TIMESTAMP":"1","_SYSTEMD_UNIT":"init.scope",
            "UNIT":"recon@kumo.service","MESSAGE":"Started"}"#;
        let entry = Entry::parse(about).unwrap();
        assert_eq!((entry.agent.as_str(), entry.level), ("kumo", Level::Info));
    }

    #[test]
    fn odd_values() {
        let bytes = r#"{"__REALTIME_TIMESTAMP":"1","MESSAGE":[104,105,27,255]}"#;
        assert_eq!(Entry::parse(bytes).unwrap().message, "hi\u{1b}\u{fffd}");
        let twice = r#"{"__REALTIME_TIMESTAMP":"1","MESSAGE":["a","b"]}"#;
        assert_eq!(Entry::parse(twice).unwrap().message, "a b");
        let none = r#"{"__REALTIME_TIMESTAMP":"1","MESSAGE":null}"#;
        assert_eq!(Entry::parse(none).unwrap().message, "");
        assert_eq!(Entry::parse("-- No entries --"), None);
        assert_eq!(Entry::parse(r#"{"MESSAGE":"no time"}"#), None);
    }

    #[test]
    fn arguments() {
        let query = Query {
            units: vec!["recon@kaze.service".to_owned()],
            level: Some(Level::Warn),
            since: Some("-1h".to_owned()),
            lines: Some(5),
            follow: true,
            ..Query::default()
        };
        assert_eq!(
            query.args("json").join(" "),
            "--no-pager --quiet --all --output=json --unit=recon@kaze.service --priority=4 \
             --since=-1h --lines=5 --follow"
        );
    }

    #[test]
    fn levels() {
        for level in [
            Level::Error,
            Level::Warn,
            Level::Notice,
            Level::Info,
            Level::Debug,
        ] {
            assert_eq!(level.as_str().parse::<Level>().unwrap(), level);
            assert_eq!(Level::of_priority(level.priority()), level);
        }
        assert!("loud".parse::<Level>().is_err());
    }
}
