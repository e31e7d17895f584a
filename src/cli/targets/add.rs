//! `targets add`.

use anyhow::anyhow;
use reqwest::StatusCode;

use super::super::hub_client::HubClient;
use super::super::table::display;
use super::super::{Failure, Global, Outcome, output};
use super::json_line;
use crate::api::{CreateTargets, CreateTargetsAnswer, ExitCode, NewTarget};

/// Targets of one request; the hub takes so many at once.
const BATCH: usize = 5000;

pub(super) async fn run(
    global: &Global,
    hub: &HubClient,
    targets: impl Iterator<Item = NewTarget>,
) -> Outcome {
    let mut all = CreateTargetsAnswer {
        success: true,
        ..CreateTargetsAnswer::default()
    };
    let mut rest = targets.peekable();
    while rest.peek().is_some() {
        let body = CreateTargets {
            targets: rest.by_ref().take(BATCH).collect(),
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
            Err(refused) => return Err(by_name(refused.into_failure(), &body)),
        }
    }
    show_added(global, &all)
}

/// The hub counts targets; whoever typed them knows them by what they are.
fn by_name(failure: Failure, body: &CreateTargets) -> Failure {
    let text = failure.error.to_string();
    let counted = text.strip_prefix("targets[").and_then(|rest| {
        let (n, rest) = rest.split_once(']')?;
        let target = &body.targets.get(n.parse::<usize>().ok()?)?.target;
        let rest = rest.strip_prefix(".target:").unwrap_or(rest);
        Some(anyhow!("{target:?}{rest}"))
    });
    match counted {
        Some(error) => Failure::new(failure.code, error),
        None => failure,
    }
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
        for part in &all.skipped {
            text.push_str(&format!(
                "left out {}: {}\n",
                display(&part.target),
                display(&part.rule)
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
