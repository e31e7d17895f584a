use serde_json::Value;

use super::hub_client::HubClient;
use super::pages::{self, Amount, List};
use super::table::table;
use super::targets::{ExportTo, copy_csv, export};
use super::{Global, Outcome, output};
use crate::api::ExitCode;

/// Where the hub has them.
const PATH: &str = "/api/findings";
/// Rows without `--limit` and `--all`.
const LIMIT: usize = 100;

/// Which findings.
#[derive(Debug, clap::Args)]
pub struct Filter {
    /// Only of this target (name, address or id).
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Only of this type.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only of this severity (info, low, medium, high, critical).
    #[arg(long, value_name = "LEVEL")]
    severity: Option<String>,
    /// Only in this state (open, resolved).
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
}

impl Filter {
    fn parameters(self) -> Vec<(&'static str, String)> {
        let all = [
            ("target", self.target),
            ("type", self.kind),
            ("severity", self.severity),
            ("status", self.status),
        ];
        all.into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List findings, newest first.
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        amount: Amount,
        /// Print CSV.
        #[arg(long, conflicts_with_all = ["json", "jsonl"])]
        csv: bool,
    },
    /// Write all findings as JSON lines or CSV.
    Export {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        to: ExportTo,
    },
}

pub async fn run(global: &Global, command: Command) -> Outcome {
    let hub = HubClient::new(global)?;
    match command {
        Command::List {
            filter,
            amount,
            csv,
        } => {
            let list = List {
                path: PATH,
                name: "findings",
                filter: filter.parameters(),
                limit: amount.or(LIMIT),
            };
            if csv {
                return copy_csv(&hub, list).await;
            }
            show(global, list.fetch(global, &hub).await?)
        }
        Command::Export { filter, to } => export(&hub, PATH, filter.parameters(), to).await,
    }
}

fn show(global: &Global, rows: Vec<Value>) -> Outcome {
    const COLUMNS: [(&str, &str); 7] = [
        ("SEVERITY", "severity"),
        ("TARGET", "target"),
        ("TYPE", "type"),
        ("TITLE", "title"),
        ("STATUS", "status"),
        ("LAST SEEN", "last_seen_at"),
        ("ID", "id"),
    ];
    if global.json {
        pages::json("findings", rows)?;
    } else if !global.jsonl {
        let cells = |row: &Value| COLUMNS.map(|(_, column)| cell(row, column)).into();
        let head = COLUMNS.map(|(name, _)| name);
        output::text(&table(global, &head, rows.iter().map(cells).collect()))?;
    }
    Ok(ExitCode::Ok)
}

fn cell(row: &Value, column: &str) -> String {
    match &row[column] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
