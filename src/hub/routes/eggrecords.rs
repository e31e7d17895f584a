//! Work for agents.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::blackouts::Blackouts;
use super::super::error::ApiError;
use super::super::extract::{Caller, Params};
use super::super::gate::Verdict;
use super::super::plan::violation;
use super::super::state::Hub;
use super::super::store::{Claim, Claimed, PutOff};
use super::Reply;
use crate::api::{EggRecord, EggRecordList, Personality, WorkKind};

/// Records that turn out to be out of scope make room for others, so many times at most.
const ROUNDS: u32 = 8;
/// No further round begins after this: a caller that gave up would not get what it leases.
const ROUNDS_TIME: Duration = Duration::from_secs(8);
/// Leases that a caller may go on with at once.
const RESUME_MAX: usize = 32;
/// A record that is out of scope is looked at again after this long.
const REFUSED_FOR: TimeDelta = TimeDelta::hours(1);
/// And one whose name leads nowhere now, after this long.
const UNRESOLVED_FOR: TimeDelta = TimeDelta::minutes(5);

/// `GET /daemon/{personality}/eggrecords/`: leases what is due to the caller.
pub(super) async fn list(
    State(hub): State<Arc<Hub>>,
    Path(personality): Path<String>,
    params: Params,
    caller: Caller,
) -> Reply {
    let personality: Personality = personality.parse().map_err(ApiError::bad_request)?;
    let limit = params.integer("limit", 10, 0..=1000)?;
    let default = hub.live().lease.as_secs().clamp(10, 86_400);
    let lease = Duration::from_secs(params.integer("lease", default, 10..=86_400)?);
    let kind = kind(personality, params.text("scan_type"))?;
    let wish = Wish {
        kind,
        lease,
        owner: caller.owner(personality.as_str()),
        agent: caller.agent(),
    };
    let resume = resumed(&params)?;
    let eggrecords = lease_records(&hub, &wish, limit, resume).await?;
    let list = EggRecordList {
        success: true,
        count: eggrecords.len(),
        eggrecords,
    };
    if personality == Personality::Suzu {
        return Ok(Json(without_groups(&list)).into_response());
    }
    Ok(Json(list).into_response())
}

/// The earlier server names no group in this one list.
fn without_groups(list: &EggRecordList) -> Value {
    let mut list = json!(list);
    for record in list["eggrecords"].as_array_mut().into_iter().flatten() {
        if let Some(record) = record.as_object_mut() {
            record.remove("egg_id_id");
        }
    }
    list
}

/// The earlier server looks at `scan_type` for ryu only.
fn kind(personality: Personality, scan_type: Option<&str>) -> Result<WorkKind, ApiError> {
    match (personality, scan_type) {
        (Personality::Ryu, Some("ryu_port_scan")) => Ok(WorkKind::RyuPortScan),
        (Personality::Ryu, None | Some("assessment" | "ryu_assessment")) => {
            Ok(WorkKind::RyuAssessment)
        }
        (Personality::Ryu, Some(_)) => Err(ApiError::bad_request(
            "scan_type must be ryu_port_scan or assessment",
        )),
        (other, _) => Ok(other.default_work()),
    }
}

struct Wish<'a> {
    kind: WorkKind,
    lease: Duration,
    owner: String,
    agent: Option<&'a str>,
}

impl Wish<'_> {
    fn claim(&self, hub: &Hub, limit: u32) -> Claim {
        Claim {
            kind: self.kind,
            limit,
            owner: self.owner.clone(),
            lease: self.lease,
            now: hub.clock.now(),
        }
    }
}

/// The leases that the caller goes on with.
fn resumed(params: &Params) -> Result<Vec<Uuid>, ApiError> {
    let list = params.text("resume").unwrap_or_default();
    let leases = list.split(',').filter(|text| !text.is_empty());
    let leases: Result<Vec<Uuid>, _> = leases.map(str::parse).collect();
    leases
        .ok()
        .filter(|leases| leases.len() <= RESUME_MAX)
        .ok_or_else(|| ApiError::bad_request("resume must be up to 32 ids of leases, with commas"))
}

/// Leases first and checks scope then, against the rules of this moment: looking up names must not
/// hold up the database. What fails the check was never handed out.
async fn lease_records(
    hub: &Hub,
    wish: &Wish<'_>,
    limit: u32,
    mut resume: Vec<Uuid>,
) -> Result<Vec<EggRecord>, ApiError> {
    if let Some(problem) = hub.skew.refusal() {
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, problem));
    }
    let mut good = Vec::new();
    let blackouts = Blackouts::on(hub);
    if blackouts.spare_all() {
        // Nothing is walked over, and nothing has to be put off.
        return Ok(good);
    }
    resume.truncate(limit as usize);
    if !resume.is_empty() {
        let claim = wish.claim(hub, limit);
        let claimed = hub.store.resume(claim, resume).await?;
        check(hub, wish, &blackouts, claimed, &mut good).await?;
    }
    let start = Instant::now();
    for _ in 0..ROUNDS {
        let wanted = limit.saturating_sub(u32::try_from(good.len()).unwrap_or(limit));
        if wanted == 0 {
            break;
        }
        let claim = wish.claim(hub, wanted);
        let claimed = hub
            .store
            .claim_expanding(claim, blackouts.reach(hub))
            .await?;
        let last = claimed.len() < wanted as usize;
        let refused = check(hub, wish, &blackouts, claimed, &mut good).await?;
        if last || !refused || start.elapsed() > ROUNDS_TIME {
            break;
        }
    }
    Ok(good)
}

/// Sorts claimed records; true when some were refused.
async fn check(
    hub: &Hub,
    wish: &Wish<'_>,
    blackouts: &Blackouts,
    claimed: Vec<Claimed>,
    good: &mut Vec<EggRecord>,
) -> Result<bool, ApiError> {
    let live = hub.live();
    let records: Vec<_> = claimed.iter().map(|c| &c.record.data).collect();
    let verdicts = hub.gate.check_all(&live.scope, &records).await;
    let spared = blackouts.spared(hub, &records).await;
    let now = hub.clock.now();
    let mut put_off = Vec::new();
    for ((claimed, verdict), spared) in claimed.into_iter().zip(verdicts).zip(spared) {
        match verdict {
            Verdict::Allowed => match spared {
                None => good.push(handed_out(&claimed, wish.kind)),
                Some((until, why)) => put_off.push(PutOff {
                    lease_id: claimed.lease_id,
                    until,
                    error: why,
                    event: None,
                }),
            },
            Verdict::Refused(refusal) => put_off.push(PutOff {
                lease_id: claimed.lease_id,
                until: now + REFUSED_FOR,
                error: refusal.to_string(),
                event: Some(violation(
                    wish.agent,
                    &refusal.target,
                    &refusal.rule,
                    "lease",
                )),
            }),
            Verdict::Unresolved(refusal) => put_off.push(PutOff {
                lease_id: claimed.lease_id,
                until: now + UNRESOLVED_FOR,
                error: refusal.to_string(),
                event: None,
            }),
        }
    }
    let refused = !put_off.is_empty();
    if refused {
        hub.store.put_off(put_off, now).await?;
    }
    Ok(refused)
}

fn handed_out(claimed: &Claimed, kind: WorkKind) -> EggRecord {
    EggRecord {
        lease_id: Some(claimed.lease_id),
        lease_expires_at: Some(claimed.lease_until),
        kind: Some(kind),
        // The earlier server says so in this list only.
        priority: (kind == WorkKind::RyuAssessment).then_some(claimed.priority),
        ..claimed.record.to_egg_record()
    }
}
