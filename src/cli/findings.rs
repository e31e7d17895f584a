use serde_json::Value;

use super::hub_client::HubClient;
use super::pages::{self, Amount, List};
use super::table::table;
use super::{Global, Outcome, output};
use crate::api::ExitCode;

/// Rows without `--limit` and `--all`.
const LIMIT: usize = 100;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List findings.
    List {
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
        #[command(flatten)]
        amount: Amount,
        /// Print CSV.
        #[arg(long, conflicts_with_all = ["json", "jsonl"])]
        csv: bool,
    },
}

pub async fn run(global: &Global, command: Command) -> Outcome {
    let Command::List {
        target,
        kind,
        severity,
        status,
        amount,
        csv,
    } = command;
    let hub = HubClient::new(global)?;
    let filter = [
        ("target", target),
        ("type", kind),
        ("severity", severity),
        ("status", status),
    ];
    let list = List {
        path: "/api/findings",
        name: "findings",
        filter: filter
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect(),
        limit: amount.or(LIMIT),
    };
    let rows = list.fetch(global, &hub).await?;
    if global.json {
        pages::json("findings", rows)?;
    } else if csv {
        output::text(&as_csv(&rows)?)?;
    } else if !global.jsonl {
        let cells = |row: &Value| {
            [
                "severity",
                "target",
                "type",
                "title",
                "status",
                "last_seen",
                "id",
            ]
            .map(|column| cell(row, column))
            .into()
        };
        let head = [
            "SEVERITY",
            "TARGET",
            "TYPE",
            "TITLE",
            "STATUS",
            "LAST SEEN",
            "ID",
        ];
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

fn as_csv(rows: &[Value]) -> anyhow::Result<String> {
    const COLUMNS: [&str; 8] = [
        "id",
        "target",
        "type",
        "severity",
        "title",
        "status",
        "first_seen",
        "last_seen",
    ];
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for row in rows {
        writer.write_record(COLUMNS.map(|column| harmless(cell(row, column))))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// What begins like a formula is one to a spreadsheet, and titles come from strangers.
fn harmless(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{cell}")
    } else {
        cell
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn csv_has_a_head_and_no_formulas() {
        let rows = [json!({ "id": 7, "title": "=1+1", "target": "a,b" })];
        assert_eq!(
            super::as_csv(&rows).unwrap(),
            "id,target,type,severity,title,status,first_seen,last_seen\n\
             7,\"a,b\",,,'=1+1,,,\n"
        );
    }
}
