use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use anyhow::Context;
use reqwest::StatusCode;

use super::hub_client::HubClient;
use super::table::{display, table};
use super::{Failure, Global, Outcome, output};
use crate::api::{
    CreateTargets, CreateTargetsAnswer, ExitCode, NewTarget, Target, TargetList, WorkKind,
};

/// Targets of one request; the hub takes so many at once.
const BATCH: usize = 5000;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Add targets: host names, addresses, networks.
    Add {
        /// What to add (example.org, 10.0.0.7, 10.0.0.0/24).
        #[arg(required = true, value_name = "TARGET")]
        targets: Vec<String>,
        /// Put them in this group.
        #[arg(long, value_name = "NAME")]
        group: Option<String>,
    },
    /// Add the targets of a file, one a line; # starts a comment.
    Import {
        /// The file; - is standard input.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Put them in this group.
        #[arg(long, value_name = "NAME")]
        group: Option<String>,
    },
    /// List targets and what is due.
    List {
        /// Only those whose name, address or group contains this.
        #[arg(long, short = 'q', value_name = "TEXT")]
        query: Option<String>,
        /// At most so many.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Remove targets; their scans are kept.
    #[command(visible_alias = "remove")]
    Rm {
        /// Name, address or id.
        #[arg(required = true, value_name = "TARGET|ID")]
        targets: Vec<String>,
    },
}

pub async fn run(global: &Global, command: Command) -> Outcome {
    let hub = HubClient::new(global)?;
    match command {
        Command::Add { targets, group } => add(global, &hub, targets, group).await,
        Command::Import { file, group } => add(global, &hub, read(&file)?, group).await,
        Command::List { query, limit } => list(global, &hub, query, limit).await,
        Command::Rm { targets } => remove(&hub, targets).await,
    }
}

/// The targets of a file.
fn read(file: &PathBuf) -> anyhow::Result<Vec<String>> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
    } else {
        text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
    }
    Ok(lines(&text))
}

fn lines(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

async fn add(
    global: &Global,
    hub: &HubClient,
    targets: Vec<String>,
    group: Option<String>,
) -> Outcome {
    let mut all = CreateTargetsAnswer {
        success: true,
        ..CreateTargetsAnswer::default()
    };
    let mut rest = targets.into_iter().peekable();
    while rest.peek().is_some() {
        let targets = rest.by_ref().take(BATCH).map(|target| NewTarget {
            target,
            group: group.clone(),
            alive: true,
        });
        let body = CreateTargets {
            targets: targets.collect(),
        };
        match hub.post("/api/targets", &body).await? {
            Ok(answer) => merge(&mut all, answer),
            Err(refused) if refused.status == StatusCode::FORBIDDEN => {
                let Ok(answer) = serde_json::from_str::<CreateTargetsAnswer>(&refused.body) else {
                    return Err(refused.into_failure());
                };
                if answer.refused.is_empty() {
                    return Err(refused.into_failure());
                }
                merge(&mut all, answer);
                break;
            }
            Err(refused) => return Err(refused.into_failure()),
        }
    }
    show_added(global, &all)
}

fn merge(all: &mut CreateTargetsAnswer, part: CreateTargetsAnswer) {
    all.success &= part.success;
    all.created.extend(part.created);
    all.existing.extend(part.existing);
    all.refused.extend(part.refused);
    all.skipped.extend(part.skipped);
}

fn show_added(global: &Global, all: &CreateTargetsAnswer) -> Outcome {
    for refused in &all.refused {
        eprintln!(
            "reconctl: {} is out of scope: {}",
            display(&refused.target),
            display(&refused.rule)
        );
    }
    if global.json {
        output::json(all)?;
    } else if global.jsonl {
        for target in all.created.iter().chain(&all.existing) {
            json_line(target)?;
        }
    } else {
        let mut text = String::new();
        for target in &all.created {
            text.push_str(&format!("added {}\n", display(&target.target)));
        }
        for target in &all.existing {
            text.push_str(&format!("known {}\n", display(&target.target)));
        }
        if !all.skipped.is_empty() {
            text.push_str(&format!(
                "left out {} addresses that a rule denies\n",
                all.skipped.len()
            ));
        }
        output::text(&text)?;
    }
    Ok(if all.refused.is_empty() {
        ExitCode::Ok
    } else {
        eprintln!("reconctl: no target of that request was added");
        ExitCode::Failure
    })
}

/// One line of JSON, on a terminal too.
pub(super) fn json_line<T: serde::Serialize>(value: &T) -> anyhow::Result<()> {
    output::text(&format!("{}\n", serde_json::to_string(value)?))
}

async fn list(
    global: &Global,
    hub: &HubClient,
    query: Option<String>,
    limit: Option<usize>,
) -> Outcome {
    let mut all = TargetList::default();
    let limit = limit.unwrap_or(usize::MAX);
    let mut cursor = None;
    while all.targets.len() < limit {
        let wanted = (limit - all.targets.len()).min(1000);
        let mut params = vec![("limit", wanted.to_string())];
        params.extend(query.clone().map(|q| ("q", q)));
        params.extend(cursor.take().map(|c| ("cursor", c)));
        let page: TargetList = hub.get("/api/targets", &params).await?;
        if global.jsonl {
            // A long list is shown as it comes.
            page.targets.iter().try_for_each(json_line)?;
        }
        all.targets.extend(page.targets);
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    if global.json {
        output::json(&all)?;
    } else if !global.jsonl {
        let rows = all.targets.iter().map(row).collect();
        output::text(&table(
            global,
            &["TARGET", "GROUP", "STATE", "LAST SCAN", "ID"],
            rows,
        ))?;
        if all.targets.is_empty() && std::io::stdout().is_terminal() {
            eprintln!("no targets; add one with: reconctl targets add TARGET");
        }
    }
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
    vec![
        target.target.clone(),
        target.group.clone().unwrap_or_default(),
        state.to_owned(),
        last.map_or_else(|| "never".to_owned(), time),
        target.id.to_string(),
    ]
}

/// A time for people, in UTC.
pub(super) fn time(time: chrono::DateTime<chrono::Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

async fn remove(hub: &HubClient, targets: Vec<String>) -> Outcome {
    let mut missing = false;
    for wanted in targets {
        match find(hub, &wanted).await? {
            Some(target) => {
                hub.delete(&format!("/api/targets/{}", target.id)).await?;
                output::text(&format!("removed {}\n", display(&target.target)))?;
            }
            None => {
                eprintln!("reconctl: there is no target {:?}", wanted);
                missing = true;
            }
        }
    }
    Ok(if missing {
        ExitCode::Failure
    } else {
        ExitCode::Ok
    })
}

/// The target of this id, name or address.
async fn find(hub: &HubClient, wanted: &str) -> Result<Option<Target>, Failure> {
    let id = wanted.parse::<uuid::Uuid>().ok();
    let key = match wanted.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => wanted.trim_end_matches('.').to_ascii_lowercase(),
    };
    let mut cursor = None;
    loop {
        let mut params = vec![("limit", "1000".to_owned())];
        if id.is_none() {
            params.push(("q", key.clone()));
        }
        params.extend(cursor.take().map(|c| ("cursor", c)));
        let page: TargetList = hub.get("/api/targets", &params).await?;
        let found = page
            .targets
            .into_iter()
            .find(|t| Some(t.id) == id || t.target == key);
        match (found, page.next_cursor) {
            (Some(target), _) => return Ok(Some(target)),
            (None, Some(next)) => cursor = Some(next),
            (None, None) => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn comments_and_blank_lines_are_no_targets() {
        let text = "# all\r\n10.0.0.1 # web\r\n\r\n  a.example.org\n";
        assert_eq!(super::lines(text), ["10.0.0.1", "a.example.org"]);
    }
}
