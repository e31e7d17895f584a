//! `reconctl targets`.

mod add;
mod import;
mod sources;

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use serde_json::Value;

use super::hub_client::HubClient;
use super::pages::{self, Amount, List};
use super::table::{display, table};
use super::{Failure, Global, Outcome, output};
use crate::api::{
    ChangeTarget, ExitCode, NetworkProgress, NewTarget, Target, TargetList, TargetWork, WorkKind,
};

/// Rows without `--limit` and `--all`.
const LIMIT: usize = 1000;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Add targets: host names, addresses, networks.
    Add {
        /// What to add (example.org, 10.0.0.7, 10.0.0.0/8).
        #[arg(required = true, value_name = "TARGET")]
        targets: Vec<String>,
        /// Put them in this group.
        #[arg(long, value_name = "NAME")]
        group: Option<String>,
        /// Put them in this project.
        #[arg(long, value_name = "NAME")]
        project: Option<String>,
    },
    /// Add the targets of a file: lines, CSV, XML of nmap, JSON of masscan. What is good is added,
    /// what is not is reported with its line.
    Import(import::Args),
    /// List targets and what is due.
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        amount: Amount,
        /// Print CSV.
        #[arg(long, conflicts_with_all = ["json", "jsonl"])]
        csv: bool,
    },
    /// Show one target: what is due when, and how far a network is.
    Show {
        /// Name, address, network or id.
        #[arg(value_name = "TARGET|ID")]
        target: String,
    },
    /// Set targets aside: nothing is due for them, nor for what is in a network among them.
    Skip {
        /// Name, address, network or id.
        #[arg(required = true, value_name = "TARGET|ID")]
        targets: Vec<String>,
        /// Of a network, the targets, too, that its addresses became.
        #[arg(long)]
        expanded: bool,
    },
    /// Undo skip: they are due when they would have been.
    Unskip {
        /// Name, address, network or id.
        #[arg(required = true, value_name = "TARGET|ID")]
        targets: Vec<String>,
        /// Of a network, the targets, too, that its addresses became.
        #[arg(long)]
        expanded: bool,
    },
    /// Write all targets as JSON lines or CSV.
    Export {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        to: ExportTo,
    },
    /// Remove targets; their scans are kept.
    #[command(visible_alias = "remove")]
    Rm {
        /// Name, address, network or id.
        #[arg(required = true, value_name = "TARGET|ID")]
        targets: Vec<String>,
        /// Of a network, remove the targets, too, that its addresses became.
        #[arg(long)]
        expanded: bool,
    },
}

/// Where an export goes.
#[derive(Debug, clap::Args)]
pub struct ExportTo {
    /// Form of the rows.
    #[arg(long, value_enum, default_value = "jsonl")]
    format: ExportFormat,
    /// Write this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Form of the rows of an export.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum ExportFormat {
    /// One JSON object a line.
    Jsonl,
    /// A table with a head.
    Csv,
}

/// Which targets.
#[derive(Debug, clap::Args)]
pub struct Filter {
    /// Only those whose name, address or group contains this.
    #[arg(long, short = 'q', value_name = "TEXT")]
    query: Option<String>,
    /// Only those of this group.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Only those of this project.
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// Only those that take part (true) or do not (false).
    #[arg(long, value_name = "BOOL")]
    alive: Option<bool>,
    /// Only those that are set aside (true) or are not (false).
    #[arg(long, value_name = "BOOL")]
    skipped: Option<bool>,
    /// Only those for which this kind of work is due now (kaze_port_scan).
    #[arg(long, value_name = "KIND")]
    due: Option<WorkKind>,
    /// In this order.
    #[arg(long, value_name = "ORDER", allow_hyphen_values = true,
          value_parser = ["created", "-created", "target", "-target"])]
    sort: Option<String>,
}

impl Filter {
    fn params(self) -> Vec<(&'static str, String)> {
        let bool = |b: Option<bool>| b.map(|b| b.to_string());
        [
            ("q", self.query),
            ("group", self.group),
            ("project", self.project),
            ("alive", bool(self.alive)),
            ("skip", bool(self.skipped)),
            ("due", self.due.map(|kind| kind.to_string())),
            ("sort", self.sort),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

pub async fn run(global: &Global, command: Command) -> Outcome {
    let hub = HubClient::new(global)?;
    match command {
        Command::Add {
            targets,
            group,
            project,
        } => {
            let new = |target| NewTarget {
                target,
                group: group.clone(),
                project: project.clone(),
                alive: true,
            };
            add::run(global, &hub, targets.into_iter().map(new)).await
        }
        Command::Import(args) => import::run(global, &hub, args).await,
        Command::List {
            filter,
            amount,
            csv,
        } => {
            let list = List {
                path: "/api/targets",
                name: "targets",
                filter: filter.params(),
                limit: amount.or(LIMIT),
            };
            show_list(global, &hub, list, csv).await
        }
        Command::Show { target } => show(global, &hub, &target).await,
        Command::Skip { targets, expanded } => skip(global, &hub, targets, expanded, true).await,
        Command::Unskip { targets, expanded } => skip(global, &hub, targets, expanded, false).await,
        Command::Export { filter, to } => export(&hub, "/api/targets", filter.params(), to).await,
        Command::Rm { targets, expanded } => remove(global, &hub, targets, expanded).await,
    }
}

/// One line of JSON, on a terminal too.
pub(super) fn json_line<T: serde::Serialize>(value: &T) -> anyhow::Result<()> {
    let json = crate::runtime::text::safe_json(serde_json::to_string(value)?);
    output::text(&(json + "\n"))
}

async fn show_list(global: &Global, hub: &HubClient, list: List<'_>, csv: bool) -> Outcome {
    if csv {
        return copy_csv(hub, list).await;
    }
    let rows = list.fetch(global, hub).await?;
    if global.json {
        pages::json("targets", rows)?;
    } else if !global.jsonl {
        let empty = rows.is_empty();
        let targets: Vec<Target> = serde_json::from_value(Value::Array(rows))?;
        let head = ["TARGET", "GROUP", "STATE", "LAST SCAN", "ID"];
        output::text(&table(global, &head, targets.iter().map(row).collect()))?;
        if empty && std::io::stdout().is_terminal() {
            eprintln!("no targets; add one with: reconctl targets add TARGET");
        }
    }
    Ok(ExitCode::Ok)
}

/// A list as the hub's own CSV.
pub(super) async fn copy_csv(hub: &HubClient, list: List<'_>) -> Outcome {
    let mut params = list.filter;
    params.push(("format", "csv".to_owned()));
    params.push(("limit", list.limit.to_string()));
    hub.copy(list.path, &params, &mut std::io::stdout()).await?;
    Ok(ExitCode::Ok)
}

/// A whole list, as the hub gives it.
pub(super) async fn export(
    hub: &HubClient,
    path: &str,
    mut params: Vec<(&str, String)>,
    to: ExportTo,
) -> Outcome {
    let format = match to.format {
        ExportFormat::Jsonl => "jsonl",
        ExportFormat::Csv => "csv",
    };
    params.push(("format", format.to_owned()));
    let mut out: Box<dyn Write + Send> = match &to.output {
        Some(file) => Box::new(
            File::create(file).with_context(|| format!("cannot write {}", file.display()))?,
        ),
        None => Box::new(std::io::stdout()),
    };
    hub.copy(path, &params, out.as_mut()).await?;
    Ok(ExitCode::Ok)
}

fn row(target: &Target) -> Vec<String> {
    let scans = [
        WorkKind::KagePortScan,
        WorkKind::KazePortScan,
        WorkKind::RyuPortScan,
    ];
    let last = target
        .work
        .iter()
        .filter(|w| scans.contains(&w.kind))
        .filter_map(|w| w.last_done_at)
        .max();
    let held = target.work.iter().any(|w| w.lease_owner.is_some());
    let state = match (target.alive, target.skip_scan, held) {
        (false, _, _) => "off",
        (_, true, _) => "skipped",
        (_, _, true) => "in work",
        _ => "waiting",
    };
    let state = match &target.network {
        Some(network) if state == "waiting" => progress(network),
        _ => state.to_owned(),
    };
    vec![
        target.target.clone(),
        target.group.clone().unwrap_or_default(),
        state,
        last.map_or_else(|| "never".to_owned(), time),
        target.id.to_string(),
    ]
}

/// A time for people, in UTC.
pub(super) fn time(time: chrono::DateTime<chrono::Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// How far a network is, by the kind of work that is farthest.
fn progress(network: &NetworkProgress) -> String {
    let most = network.expanded.values().max().copied().unwrap_or(0);
    if network.done {
        "expanded".to_owned()
    } else {
        format!("{most} of {}", network.addresses)
    }
}

async fn show(global: &Global, hub: &HubClient, wanted: &str) -> Outcome {
    let target = find(hub, wanted).await?;
    let target = target.ok_or_else(|| anyhow!("there is no target {wanted:?}"))?;
    if global.json {
        output::json(&target)?;
        return Ok(ExitCode::Ok);
    }
    if global.jsonl {
        json_line(&target)?;
        return Ok(ExitCode::Ok);
    }
    let [name, group, state, last, id] =
        <[String; 5]>::try_from(row(&target)).map_err(|_| anyhow!("a row has five cells"))?;
    let mut text = String::new();
    for (title, value) in [
        ("target", name),
        ("network", target.cidr.clone().unwrap_or_default()),
        ("group", group),
        ("project", target.project.clone().unwrap_or_default()),
        ("state", state),
        ("last scan", last),
        ("added", time(target.created_at)),
        ("id", id),
    ] {
        if !value.is_empty() {
            text.push_str(&format!("{title:<9} {}\n", display(&value)));
        }
    }
    let rows: Vec<_> = match &target.network {
        Some(network) => network
            .expanded
            .iter()
            .map(|(kind, n)| vec![kind.to_string(), format!("{n} of {}", network.addresses)])
            .collect(),
        None => target.work.iter().map(work_row).collect(),
    };
    let head: &[&str] = match &target.network {
        Some(_) => &["WORK", "ADDRESSES"],
        None => &["WORK", "DUE", "LAST DONE", "HELD BY", "FAILED"],
    };
    text.push('\n');
    text.push_str(&table(global, head, rows));
    output::text(&text)?;
    Ok(ExitCode::Ok)
}

fn work_row(work: &TargetWork) -> Vec<String> {
    vec![
        work.kind.to_string(),
        work.due_at.map_or_else(|| "-".to_owned(), time),
        work.last_done_at.map_or_else(|| "never".to_owned(), time),
        work.lease_owner.clone().unwrap_or_default(),
        work.attempts.to_string(),
    ]
}

async fn skip(
    global: &Global,
    hub: &HubClient,
    targets: Vec<String>,
    expanded: bool,
    skip: bool,
) -> Outcome {
    let change = ChangeTarget {
        skip_scan: Some(skip),
        ..ChangeTarget::default()
    };
    let done = if skip { "skipped" } else { "unskipped" };
    each(global, hub, targets, done, async |target: &Target| {
        let path = path(target, expanded);
        hub.patch::<Target, _>(&path, &change).await.map(drop)
    })
    .await
}

async fn remove(global: &Global, hub: &HubClient, targets: Vec<String>, expanded: bool) -> Outcome {
    each(global, hub, targets, "removed", async |target: &Target| {
        hub.delete(&path(target, expanded)).await
    })
    .await
}

fn path(target: &Target, expanded: bool) -> String {
    let query = if expanded { "?expanded=true" } else { "" };
    format!("/api/targets/{}{query}", target.id)
}

/// Does the same with each target; those that do not exist are reported.
async fn each(
    global: &Global,
    hub: &HubClient,
    targets: Vec<String>,
    done: &str,
    act: impl AsyncFn(&Target) -> Result<(), Failure>,
) -> Outcome {
    let mut code = ExitCode::Ok;
    for wanted in targets {
        match find(hub, &wanted).await? {
            Some(target) => {
                act(&target).await?;
                if global.json || global.jsonl {
                    json_line(&serde_json::json!({ "done": done, "target": target }))?;
                } else {
                    output::text(&format!("{done} {}\n", display(&target.target)))?;
                }
            }
            None => {
                eprintln!("reconctl: there is no target {wanted:?}");
                code = ExitCode::Failure;
            }
        }
    }
    Ok(code)
}

/// The target of this id, name, address or network.
pub(super) async fn find(hub: &HubClient, wanted: &str) -> Result<Option<Target>, Failure> {
    let params = match wanted.parse::<uuid::Uuid>() {
        Ok(id) => ("id", id.to_string()),
        Err(_) => ("target", wanted.trim_end_matches('.').to_owned()),
    };
    // To a hub, no name is any name: the first target of all is not the one that is meant.
    if params.1.trim().is_empty() {
        return Ok(None);
    }
    let page: TargetList = hub.get("/api/targets", &[params]).await?;
    Ok(page.targets.into_iter().next())
}
