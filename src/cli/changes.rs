use serde_json::Value;

use super::hub_client::HubClient;
use super::since::Since;
use super::table::table;
use super::targets::{ExportTo, export, json_line, time};
use super::{Failure, Global, Outcome, output};
use crate::api::{CHANGE_TYPES, Change, ChangeList, ExitCode};

/// Where the hub has them.
const PATH: &str = "/api/changes";

/// Show what is otherwise than before: ports, services, certificates, paths, findings; newest first.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    filter: Filter,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Write all changes as JSON lines or CSV.
    Export {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        to: ExportTo,
    },
}

/// Which changes.
#[derive(Debug, clap::Args)]
pub struct Filter {
    /// Only of this target (name, address or id).
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Only of this type.
    #[arg(long = "type", value_name = "TYPE", value_parser = CHANGE_TYPES)]
    kind: Option<String>,
    /// Only from this time on (24h, 7d, 2026-11-21, 2026-11-21T05:00:00Z).
    #[arg(long, short = 'S', value_name = "TIME", allow_hyphen_values = true)]
    since: Option<Since>,
}

impl Filter {
    fn parameters(self) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        all.extend(self.target.map(|t| ("target", t)));
        all.extend(self.kind.map(|t| ("type", t)));
        all.extend(self.since.map(|s| ("since", s.parameter())));
        all
    }
}

pub async fn run(global: &Global, args: Args) -> Outcome {
    let hub = HubClient::new(global)?;
    if let Some(Command::Export { filter, to }) = args.command {
        return export(&hub, PATH, filter.parameters(), to).await;
    }
    let filter = args.filter.parameters();
    let changes = fetch(&hub, &filter, args.limit).await?;
    if global.json {
        output::json(&ChangeList {
            changes,
            next_cursor: None,
        })?;
    } else if global.jsonl {
        changes.iter().try_for_each(json_line)?;
    } else {
        let rows = changes.iter().map(row).collect();
        let head = ["SEEN", "TARGET", "CHANGE", "WHAT", "BEFORE", "AFTER"];
        output::text(&table(global, &head, rows))?;
    }
    Ok(ExitCode::Ok)
}

async fn fetch(
    hub: &HubClient,
    filter: &[(&str, String)],
    limit: usize,
) -> Result<Vec<Change>, Failure> {
    let mut all = Vec::new();
    let mut cursor = None;
    while all.len() < limit {
        let mut params = filter.to_vec();
        params.push(("limit", (limit - all.len()).min(1000).to_string()));
        params.extend(cursor.take().map(|c| ("cursor", c)));
        let page: ChangeList = hub.get(PATH, &params).await?;
        all.extend(page.changes);
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    Ok(all)
}

fn row(change: &Change) -> Vec<String> {
    vec![
        time(change.created_at),
        change.target.clone(),
        change.kind.clone(),
        change.subject.clone(),
        brief(&change.before),
        brief(&change.after),
    ]
}

/// The values alone: what they are is plain from the type of change.
fn brief(value: &Value) -> String {
    const DIGEST: usize = 12;
    let words: Vec<_> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match name.as_str() {
                "sha256" => text(value).chars().take(DIGEST).collect(),
                // For scripts.
                "finding_id" => String::new(),
                _ => text(value),
            })
            .filter(|word| !word.is_empty())
            .collect(),
        other => vec![text(other)],
    };
    let line = words.join(" ");
    if line.is_empty() {
        "-".to_owned()
    } else {
        line
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_and_is_in_brief() {
        let service = json!({ "service": "http", "product": "nginx", "version": "" });
        assert_eq!(brief(&service), "nginx http");
        let digest = json!({ "sha256": "0123456789abcdef", "subject": "CN=a" });
        assert_eq!(brief(&digest), "0123456789ab CN=a");
        assert_eq!(brief(&Value::Null), "-");
        assert_eq!(brief(&json!("high")), "high");
    }
}
