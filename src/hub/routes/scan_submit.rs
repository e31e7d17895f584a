//! Results of port scans.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::super::access::Identity;
use super::super::error::ApiError;
use super::super::extract::{Caller, Post};
use super::super::plan::violation;
use super::super::state::Hub;
use super::super::store::{Answer, NewScan, Record, StoreError, Submission, Submitted};
use super::scan_body::{Body, Outcome};
use super::{Reply, kept, to_keep};
use crate::api::{ErrorBody, Personality, ScanAnswer, WorkKind};
use crate::fleet::{Refusal, Scope};

/// `POST /daemon/{kage,kaze,ryu}/scan/`.
pub(super) async fn submit(
    State(hub): State<Arc<Hub>>,
    Path(personality): Path<String>,
    identity: Identity,
    caller: Caller,
    post: Post,
) -> Reply {
    let (personality, own_kind) = scanner(&personality)?;
    let (body, key) = post.json::<Body>()?;
    let now = hub.clock.now();
    let parsed = body.check(own_kind, now)?;
    if let Some(kind) = parsed.kind {
        // The path names the sender, the body the work: it must be the sender's own.
        identity.may_work_as(kind.personality())?;
    }
    let outcome = match parsed.outcome {
        Outcome::Attempt(attempt) => Err(attempt),
        Outcome::Scan(mut scan) => {
            scan.agent = caller.agent().map(str::to_owned);
            Ok(*scan)
        }
    };
    let submission = Submission {
        record_id: parsed.record_id,
        scan_type: parsed.scan_type,
        kind: parsed.kind,
        caller: caller.owner(personality.as_str()),
        keyed: key.is_some(),
        rescan_after: hub.live().rescan_after(parsed.kind),
        now,
        run: parsed.run,
        outcome,
    };
    let ports = match &submission.outcome {
        Ok(scan) => u64::from(scan.port_counts.total()),
        Err(_) => 0,
    };
    let kind = parsed.kind.unwrap_or(own_kind);
    let live = hub.live();
    let admit = Box::new(move |record: &Record, scan: &mut NewScan| {
        // What the agent calls it is not what it is.
        scan.target.clone_from(&record.data.key);
        if scan.scan_command.is_empty() {
            scan.scan_command = format!("nmap scan for {}", scan.target);
        }
        in_scope(&live.scope, record, scan)
    });
    let (counting, target) = (Arc::clone(&hub), parsed.target);
    let render = Box::new(move |done: &Submitted, record: &Record| {
        counting.metrics.submitted(kind, done, ports);
        answer(done, target.as_deref().unwrap_or(&record.data.key))
    });
    let agent = caller.agent();
    let done = hub.store.submit_scan(submission, key, admit, render).await;
    if let Err(StoreError::Refused(refusal)) = &done {
        let event = violation(agent, &refusal.target, &refusal.rule, "result");
        hub.record_event(event).await;
    }
    kept(done?)
}

/// Who may send scans, and what of.
fn scanner(personality: &str) -> Result<(Personality, WorkKind), ApiError> {
    match personality.parse() {
        Ok(p @ Personality::Kage) => Ok((p, WorkKind::KagePortScan)),
        Ok(p @ Personality::Kaze) => Ok((p, WorkKind::KazePortScan)),
        Ok(p @ Personality::Ryu) => Ok((p, WorkKind::RyuPortScan)),
        _ => Err(ApiError::bad_request(
            "Invalid personality for scan submission",
        )),
    }
}

/// A result from an address that must not be touched is not taken: it should not exist.
fn in_scope(scope: &Scope, record: &Record, scan: &NewScan) -> Result<(), Refusal> {
    match (scan.ip_address, record.data.name()) {
        (None, _) => Ok(()),
        (Some(address), Some(name)) => scope.check_resolved(name, address),
        (Some(address), None) => scope.check_addr(address),
    }
}

fn answer(done: &Submitted, target: &str) -> Answer {
    let (message, open_ports_found, scan_status) = match done {
        Submitted::Stored { open_ports, status } => (
            format!("Scan result submitted for {target}"),
            *open_ports,
            *status,
        ),
        Submitted::Part { open_ports } => (
            format!("What there is so far of the scan of {target} is stored"),
            *open_ports,
            "running",
        ),
        Submitted::Late => return late(),
        Submitted::Attempt => (
            format!("Attempt recorded for {target}; it is tried again later"),
            0,
            "attempt_recorded",
        ),
        Submitted::Recent(n) => return recent(*n),
    };
    let body = ScanAnswer {
        success: true,
        message,
        open_ports_found,
        scan_status: scan_status.to_owned(),
    };
    to_keep(StatusCode::OK, &body)
}

/// The agent need not send it again, nor go on because of it.
fn late() -> Answer {
    let body = ErrorBody {
        success: false,
        error: "The run has its result, or its lease ended: a part of it is of no use any more"
            .to_owned(),
        detail: None,
        skip_reason: Some("run_is_over".to_owned()),
        request_id: None,
        validation_errors: Vec::new(),
    };
    to_keep(StatusCode::CONFLICT, &body)
}

/// Word for word what the earlier server says.
fn recent(n: u32) -> Answer {
    let body = ErrorBody {
        success: false,
        error: format!(
            "Domain has been scanned very recently (within last 5 minutes). Found {n} recent \
             scan(s). Skipping duplicate."
        ),
        detail: None,
        skip_reason: Some("very_recent_scan_exists".to_owned()),
        request_id: None,
        validation_errors: Vec::new(),
    };
    to_keep(StatusCode::CONFLICT, &body)
}
