//! The journal, read with journalctl(1): its options and its output are the stable interface.

use std::process::Stdio;

use serde::Deserialize;
use tokio::process::Command;

/// What to read.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Units whose lines to read; what PID 1 says of them is included.
    pub units: Vec<String>,
    /// Least severe priority to show, as journalctl's `-p` takes it.
    pub priority: Option<String>,
    /// Oldest, as journalctl's `--since` takes it.
    pub since: Option<String>,
    /// So many of the newest.
    pub lines: Option<u32>,
    /// Go on with what comes.
    pub follow: bool,
}

/// One line. Fields that are not text are shown as journalctl shows them, or left out.
#[derive(Debug, Clone, Deserialize)]
pub struct Entry {
    /// The message.
    #[serde(rename = "MESSAGE", default)]
    message: serde_json::Value,
    /// Microseconds since 1970.
    #[serde(rename = "__REALTIME_TIMESTAMP", default)]
    realtime: String,
    /// 0 to 7.
    #[serde(rename = "PRIORITY", default)]
    priority: serde_json::Value,
    #[serde(rename = "_SYSTEMD_UNIT", default)]
    own_unit: serde_json::Value,
    #[serde(rename = "UNIT", default)]
    unit: serde_json::Value,
}

impl Entry {
    /// The message; one with bytes that are no text comes as numbers (journal export in JSON).
    pub fn message(&self) -> String {
        match &self.message {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Array(bytes) => {
                let bytes: Vec<u8> = bytes
                    .iter()
                    .filter_map(|b| u8::try_from(b.as_u64()?).ok())
                    .collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            _ => String::new(),
        }
    }

    /// When it was written.
    pub fn time(&self) -> Option<chrono::DateTime<chrono::Utc>> {
        chrono::DateTime::from_timestamp_micros(self.realtime.parse().ok()?)
    }

    /// Its priority, 0 (worst) to 7.
    pub fn priority(&self) -> u8 {
        self.priority
            .as_str()
            .and_then(|p| p.parse().ok())
            .unwrap_or(6)
    }

    /// The agent that it is of.
    pub fn agent(&self) -> String {
        let unit = self
            .unit
            .as_str()
            .or(self.own_unit.as_str())
            .unwrap_or_default();
        unit.trim_start_matches("recon@")
            .trim_end_matches(".service")
            .to_owned()
    }
}

impl Query {
    /// The command that prints the entries as JSON, one a line. It ends with us.
    pub fn command(&self) -> Command {
        let mut command = Command::new("journalctl");
        command.args(["--no-pager", "--quiet", "--output=json", "--all"]);
        for unit in &self.units {
            command.arg(format!("--unit={unit}"));
        }
        let options = [("priority", &self.priority), ("since", &self.since)];
        for (name, value) in options {
            if let Some(value) = value {
                command.arg(format!("--{name}={value}"));
            }
        }
        if let Some(lines) = self.lines {
            command.arg(format!("--lines={lines}"));
        }
        if self.follow {
            command.arg("--follow");
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// The entries, oldest first.
    ///
    /// # Errors
    /// journalctl is missing.
    pub async fn entries(&self) -> std::io::Result<Vec<Entry>> {
        let output = self.command().stderr(Stdio::null()).output().await?;
        Ok(String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_journalctl_prints() {
        let line = r#"{"MESSAGE":[104,105,255],"PRIORITY":"4","UNIT":"recon@kaze.service",
            "__REALTIME_TIMESTAMP":"1700000000000000","OTHER":null}"#;
        let entry: Entry = serde_json::from_str(line).unwrap();
        assert_eq!(entry.message(), "hi\u{fffd}");
        assert_eq!((entry.priority(), entry.agent().as_str()), (4, "kaze"));
        assert_eq!(entry.time().unwrap().timestamp(), 1_700_000_000);
    }
}
