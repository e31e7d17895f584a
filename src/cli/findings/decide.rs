//! Decisions about findings.

use anyhow::anyhow;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::super::hub_client::{HubClient, Refused};
use super::super::since::Since;
use super::super::table::display;
use super::super::targets::{json_line, time};
use super::super::{Failure, Global, Outcome, output};
use super::PATH;
use crate::api::{DecideFinding, ExitCode, Finding, Verdict};
use crate::fleet::Span;

/// What is decided about findings that stay where they are.
#[derive(Debug, clap::Args)]
pub struct Decision {
    /// Ids of findings.
    #[arg(required = true, value_name = "ID", value_parser = super::id)]
    pub ids: Vec<Uuid>,
    /// Why: for whoever reads it later.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Until the begin of this day, or this time (2027-01-31, 2027-01-31T12:00:00Z); then they are open
    /// again.
    #[arg(long, value_name = "TIME", value_parser = at, conflicts_with = "length")]
    until: Option<DateTime<Utc>>,
    /// For so long (90d); then they are open again.
    #[arg(long = "for", value_name = "TIME")]
    length: Option<Span>,
}

#[derive(Debug, clap::Args)]
pub struct Reopen {
    /// Ids of findings.
    #[arg(required = true, value_name = "ID", value_parser = super::id)]
    pub ids: Vec<Uuid>,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Decision {
    /// As the hub wants it.
    ///
    /// # Errors
    /// The end is beyond all calendars.
    pub fn wish(&self, status: Verdict) -> Result<DecideFinding, Failure> {
        let until = match self.length {
            None => self.until,
            Some(Span(length)) => {
                let length = TimeDelta::from_std(length).ok();
                let end = length.and_then(|length| Utc::now().checked_add_signed(length));
                let end = end.ok_or_else(|| anyhow!("--for is too long"));
                Some(end.map_err(|error| Failure::new(ExitCode::Usage, error))?)
            }
        };
        Ok(DecideFinding {
            status,
            reason: Some(self.reason.clone()),
            until,
        })
    }
}

impl Reopen {
    /// As the hub wants it.
    pub fn wish(&self) -> DecideFinding {
        DecideFinding {
            status: Verdict::Open,
            reason: self.reason.clone(),
            until: None,
        }
    }
}

fn at(text: &str) -> Result<DateTime<Utc>, String> {
    match text.parse() {
        Ok(Since::At(time)) => Ok(time),
        _ => Err("must be a time (2027-01-31, 2027-01-31T12:00:00Z)".to_owned()),
    }
}

/// Decides the same about each; those that do not exist are reported.
pub async fn run(global: &Global, hub: &HubClient, ids: Vec<Uuid>, wish: DecideFinding) -> Outcome {
    let mut code = ExitCode::Ok;
    for id in ids {
        let path = format!("{PATH}/{id}/decision");
        match hub.post::<Finding, _>(&path, &wish).await? {
            Ok(finding) if global.json || global.jsonl => {
                json_line(&json!({ "done": wish.status, "finding": finding }))?;
            }
            Ok(finding) => output::text(&said(&finding, &wish))?,
            Err(refused) if refused.status == reqwest::StatusCode::NOT_FOUND => {
                eprintln!("reconctl: {id}: {}", Refused::message(&refused));
                code = ExitCode::Failure;
            }
            Err(refused) => return Err(refused.into_failure()),
        }
    }
    Ok(code)
}

fn said(finding: &Finding, wish: &DecideFinding) -> String {
    let done = match wish.status {
        Verdict::Accepted => "accepted",
        Verdict::FalsePositive => "false positive:",
        Verdict::Open => "reopened",
    };
    let decision = finding.decision.as_ref();
    let until = match decision.and_then(|decision| decision.until) {
        Some(until) => format!(" until {}", time(until)),
        None => String::new(),
    };
    let fixed = match finding.status.as_str() {
        "fixed" => " (it is fixed now; this holds if it comes back)",
        _ => "",
    };
    let (title, target) = (display(&finding.title), display(&finding.target));
    format!("{done} {title} on {target}{until}{fixed}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_time() {
        assert!(at("2027-01-31T12:00:00Z").is_ok() && at("2027-01-31").is_ok());
        for bad in ["90d", "tomorrow", ""] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }
}
