//! `reconctl pages`, `forms` and `endpoints`: what spiders found of a target, as the hub knows it.

use anyhow::anyhow;
use serde_json::Value;

use super::hub_client::HubClient;
use super::pages::{self, Amount, List};
use super::table::table;
use super::targets::{copy_csv, find};
use super::{Global, Outcome, output};
use crate::api::ExitCode;

/// Rows without `--limit` and `--all`.
const LIMIT: usize = 100;

/// What all three take.
#[derive(Debug, clap::Args)]
struct Common {
    /// The target: name, address or id.
    #[arg(value_name = "TARGET")]
    target: String,
    /// Only what has this text in it.
    #[arg(long = "contains", value_name = "TEXT")]
    contains: Option<String>,
    #[command(flatten)]
    amount: Amount,
    /// Print CSV.
    #[arg(long, conflicts_with_all = ["json", "jsonl"])]
    csv: bool,
}

/// List the pages of a site, newest first.
#[derive(Debug, clap::Args)]
pub struct PagesArgs {
    #[command(flatten)]
    common: Common,
    /// Only of this status (0: there was no answer).
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(0..=999))]
    status: Option<u16>,
}

/// List the forms of a site, or the endpoints that its scripts and API documents name, newest first.
#[derive(Debug, clap::Args)]
pub struct MethodArgs {
    #[command(flatten)]
    common: Common,
    /// Only of this method (GET, POST).
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
}

/// A list and its columns: title and field.
struct Shown<'a> {
    name: &'a str,
    columns: &'a [(&'static str, &'a str)],
    filter: Option<(&'a str, String)>,
}

pub async fn list_pages(global: &Global, args: PagesArgs) -> Outcome {
    let shown = Shown {
        name: "pages",
        columns: &[
            ("STATUS", "status"),
            ("BYTES", "length"),
            ("TYPE", "content_type"),
            ("LAST SEEN", "last_seen_at"),
            ("TITLE", "title"),
            ("URL", "url"),
        ],
        filter: args.status.map(|status| ("status", status.to_string())),
    };
    run(global, args.common, shown).await
}

pub async fn list_forms(global: &Global, args: MethodArgs) -> Outcome {
    let shown = Shown {
        name: "forms",
        columns: &[
            ("METHOD", "method"),
            ("ACTION", "action"),
            ("INPUTS", "inputs"),
            ("LAST SEEN", "last_seen_at"),
            ("PAGE", "page"),
        ],
        filter: args.method.map(|method| ("method", method)),
    };
    run(global, args.common, shown).await
}

pub async fn list_endpoints(global: &Global, args: MethodArgs) -> Outcome {
    let shown = Shown {
        name: "endpoints",
        columns: &[
            ("METHOD", "method"),
            ("URL", "url"),
            ("PARAMETERS", "parameters"),
            ("KIND", "kind"),
            ("LAST SEEN", "last_seen_at"),
            ("SOURCE", "source"),
        ],
        filter: args.method.map(|method| ("method", method)),
    };
    run(global, args.common, shown).await
}

async fn run(global: &Global, common: Common, shown: Shown<'_>) -> Outcome {
    let hub = HubClient::new(global)?;
    let wanted = &common.target;
    let target = find(&hub, wanted).await?;
    let target = target.ok_or_else(|| anyhow!("there is no target {wanted:?}"))?;
    let mut filter: Vec<_> = shown.filter.into_iter().collect();
    filter.extend(common.contains.map(|text| ("q", text)));
    let list = List {
        path: &format!("/api/targets/{}/{}", target.id, shown.name),
        name: shown.name,
        filter,
        limit: common.amount.or(LIMIT),
    };
    if common.csv {
        return copy_csv(&hub, list).await;
    }
    let rows = list.fetch(global, &hub).await?;
    if global.json {
        pages::json(shown.name, rows)?;
    } else if !global.jsonl {
        let columns = shown.columns;
        let cells = |row: &Value| {
            columns
                .iter()
                .map(|(_, field)| cell(&row[*field]))
                .collect()
        };
        let head: Vec<_> = columns.iter().map(|(title, _)| *title).collect();
        output::text(&table(global, &head, rows.iter().map(cells).collect()))?;
    }
    Ok(ExitCode::Ok)
}

/// A value in one cell; of an input its name and type.
fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(list) => list.iter().map(cell).collect::<Vec<_>>().join(" "),
        Value::Object(input) => {
            let of = |name: &str| input.get(name).and_then(Value::as_str).unwrap_or_default();
            format!("{}:{}", of("name"), of("type"))
        }
        other => other.to_string(),
    }
}
