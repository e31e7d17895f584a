use std::time::Duration;

use anyhow::anyhow;
use serde_json::Value;

use super::hub_client::HubClient;
use super::since::Since;
use super::table::display;
use super::targets::{json_line, time};
use super::{Failure, Global, Outcome, output};
use crate::api::{Event, EventList, ExitCode};

/// Events of one request.
const PAGE: usize = 1000;
/// How long one request of `--follow` waits, in seconds.
const WAIT: u64 = 25;
/// Pause before `--follow` tries again to reach a hub that went away.
const AGAIN: Duration = Duration::from_secs(2);

/// Show what happened, oldest first.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Go on with what comes, until Ctrl-C.
    #[arg(long, short)]
    follow: bool,
    /// Only of this type (may be repeated): scan_completed, change_detected, …
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// From this time on (30m, 7d, 2026-11-21, 2026-11-21T05:00:00Z).
    #[arg(
        long,
        short = 'S',
        value_name = "TIME",
        default_value = "1h",
        allow_hyphen_values = true
    )]
    since: Since,
    /// At most so many.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

pub async fn run(global: &Global, args: Args) -> Outcome {
    if global.json && args.follow {
        let error = anyhow!("--json needs an end: use --jsonl with --follow");
        return Err(Failure::new(ExitCode::Usage, error));
    }
    let hub = HubClient::new(global)?;
    let mut left = args.limit.unwrap_or(usize::MAX);
    let mut query = vec![("since", args.since.parameter())];
    if !args.types.is_empty() {
        query.push(("types", args.types.join(",")));
    }
    let mut all = EventList::default();
    while left > 0 {
        let page = next(&hub, &query, all.last_seq, left.min(PAGE), args.follow).await?;
        let end = page.last_seq == all.last_seq;
        all.last_seq = page.last_seq;
        if page.resync {
            eprintln!(
                "reconctl: the hub's data was put back to an earlier state; going on from there"
            );
        }
        left -= page.events.len().min(left);
        if global.json {
            all.events.extend(page.events);
        } else {
            show(global, &page.events)?;
        }
        if end && !args.follow {
            break;
        }
    }
    if global.json {
        output::json(&all)?;
    }
    Ok(ExitCode::Ok)
}

/// What comes after this number. Who follows gets over a hub that restarts.
async fn next(
    hub: &HubClient,
    query: &[(&str, String)],
    after: i64,
    limit: usize,
    follow: bool,
) -> Result<EventList, Failure> {
    let mut params = query.to_vec();
    params.push(("after", after.to_string()));
    params.push(("limit", limit.to_string()));
    if follow {
        params.push(("wait", WAIT.to_string()));
    }
    let mut said = false;
    loop {
        match hub.get("/api/events", &params).await {
            Err(failure) if follow && after > 0 && failure.code == ExitCode::HubUnreachable => {
                if !said {
                    eprintln!("reconctl: {:#}; trying again", failure.error);
                    said = true;
                }
                tokio::time::sleep(AGAIN).await;
            }
            done => return done,
        }
    }
}

fn show(global: &Global, events: &[Event]) -> anyhow::Result<()> {
    if global.jsonl {
        return events.iter().try_for_each(json_line);
    }
    let lines: String = events.iter().map(line).collect();
    output::text(&lines)
}

fn line(event: &Event) -> String {
    let agent = match (&event.daemon_name, &event.hostname) {
        (Some(name), Some(host)) => format!("{name}@{host}"),
        (Some(name), None) => name.clone(),
        _ => "-".to_owned(),
    };
    let text = format!(
        "{}  {:<24} {:<16} {}",
        time(event.timestamp),
        event.kind,
        agent,
        brief(&event.data)
    );
    format!("{}\n", display(text.trim_end()))
}

/// What it says, without the ids.
fn brief(data: &Value) -> String {
    let Value::Object(fields) = data else {
        return data.to_string();
    };
    let words = fields
        .iter()
        .filter(|(name, value)| !name.ends_with("_id") && !value.is_null());
    let words = words.map(|(name, value)| match value {
        // What strangers say must not look like more fields.
        Value::String(text) if text.contains([' ', '=', '"']) => format!("{name}={text:?}"),
        Value::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_cannot_be_forged() {
        let event = Event {
            id: uuid::Uuid::nil(),
            seq: 1,
            kind: "scan_completed".to_owned(),
            daemon_name: Some("kaze".to_owned()),
            hostname: Some("a".to_owned()),
            timestamp: "2026-11-21T05:00:00Z".parse().unwrap(),
            data: json!({ "target": "a\nb\u{1b}[31m", "scan_id": "x", "open_ports": 3 }),
        };
        let line = line(&event);
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.contains("kaze@a"), "{line}");
        assert!(
            line.ends_with("open_ports=3 target=a\\x0ab\\x1b[31m\n"),
            "{line}"
        );
    }
}
