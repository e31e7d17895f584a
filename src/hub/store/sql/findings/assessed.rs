//! What an assessment names is there, what it names no more is fixed.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::super::changes;
use super::super::dialect::{Conn, Db, failed};
use super::super::results::change;
use super::super::rows::{get, micros, to_json};
use super::{Subject, decisions, finding, insert};
use crate::api::{Finding, LookedFor, Verdict};
use crate::hub::store::{Delivered, NewFinding, Result};

/// Rows that one statement changes.
const BATCH: usize = 200;
/// The type of findings that rest on the vulnerability database; all others are named like their rules.
const KNOWN: &str = "known_vulnerability";
/// So long a finding stays that nobody looks for any more, and two times as long as it takes to assess a
/// record again.
const UNSEEN: TimeDelta = TimeDelta::days(30);

/// Brings the findings of a record up to date with an assessment, each key once. The first assessment of
/// a record tells of what it finds, but nothing has changed by it (`again`). What it did not look for
/// (`looked`) stays as it is.
pub(in super::super) async fn take<T>(
    c: &mut Conn,
    d: &Delivered<T>,
    named: &[NewFinding],
    looked: Option<&LookedFor>,
    again: bool,
) -> Result<()> {
    decisions::expire(c, Some(d.record_id), d.now).await?;
    let mut known = known(c, d.record_id).await?;
    let mut done = HashSet::new();
    let mut unchanged = Vec::new();
    for new in named {
        if !done.insert(new.fingerprint) {
            continue;
        }
        match known.remove(new.fingerprint.as_slice()) {
            None => {
                let id = Uuid::now_v7();
                insert(c, d, id, new).await?;
                let subject = Subject::new(id, new);
                super::tell(c, d, "finding_created", &subject).await?;
                if again {
                    tell_change(c, d, "finding_added", &subject).await?;
                }
            }
            Some(old) if old.status != "fixed" && is_same(&old, new) => unchanged.push(old.id),
            Some(old) => renew(c, d, &old, new).await?,
        }
    }
    seen_again(c, d, &unchanged).await?;
    // In the order in which they were found, whatever that of the map is.
    let mut gone: Vec<_> = known.into_values().collect();
    let reach = Reach::new(d, named, looked);
    gone.retain(|old| old.status != "fixed" && reach.has(old));
    gone.sort_unstable_by_key(|old| old.id);
    for old in &gone {
        fix(c, d, old).await?;
    }
    Ok(())
}

/// What an assessment would have named.
struct Reach<'a> {
    looked: Option<&'a LookedFor>,
    rules: HashSet<&'a str>,
    /// The least priority that there was room for.
    least: Option<f64>,
    /// What was last seen before this is gone in any case: else a rule that was deleted would leave
    /// its findings open for ever.
    seen_since: Option<DateTime<Utc>>,
}

impl<'a> Reach<'a> {
    fn new<T>(d: &Delivered<T>, named: &[NewFinding], looked: Option<&'a LookedFor>) -> Self {
        let rules = looked.iter().flat_map(|looked| &looked.rules);
        let full = looked.is_some_and(|looked| looked.left_out > 0);
        let least = named.iter().map(NewFinding::priority);
        let twice = TimeDelta::from_std(d.rescan_after.saturating_mul(2)).unwrap_or(TimeDelta::MAX);
        Self {
            looked,
            rules: rules.map(String::as_str).collect(),
            least: least.reduce(f64::min).filter(|_| full),
            seen_since: d.now.checked_sub_signed(twice.max(UNSEEN)),
        }
    }

    fn has(&self, old: &Finding) -> bool {
        let Some(looked) = self.looked else {
            return true;
        };
        if self
            .seen_since
            .is_some_and(|since| old.last_seen_at < since)
        {
            return true;
        }
        let looked_for = match old.kind.as_str() {
            KNOWN => looked.database,
            rule => self.rules.contains(rule),
        };
        looked_for && self.least.is_none_or(|least| old.priority > least)
    }
}

/// What assessments named so far, by fingerprint.
async fn known(c: &mut Conn, record: Uuid) -> Result<HashMap<Vec<u8>, Finding>> {
    let rows = sqlx::query("SELECT * FROM findings WHERE record_id = $1 AND discovered_by = 'ryu'")
        .bind(record)
        .fetch_all(c)
        .await
        .map_err(failed)?;
    rows.iter()
        .map(|row| Ok((get(row, "fingerprint")?, finding(row)?)))
        .collect()
}

fn is_same(old: &Finding, new: &NewFinding) -> bool {
    old.severity == new.severity
        && old.priority == new.priority()
        && old.confidence == new.confidence
        && (&old.kind, &old.category, &old.title) == (&new.kind, &new.category, &new.title)
        && (&old.location, &old.cve, old.kev) == (&new.location, &new.cve, new.kev)
        && old.evidence == new.evidence
}

/// It is there as it was.
async fn seen_again<T>(c: &mut Conn, d: &Delivered<T>, ids: &[Uuid]) -> Result<()> {
    for batch in ids.chunks(BATCH) {
        let mut update = QueryBuilder::<Db>::new("UPDATE findings SET last_seen_at = ");
        update.push_bind(micros(d.now));
        update.push(", source_id = ").push_bind(d.id);
        update.push(" WHERE id IN (");
        let mut list = update.separated(", ");
        for id in batch {
            list.push_bind(*id);
        }
        update.push(")");
        let update = update.build().persistent(false);
        update.execute(&mut *c).await.map_err(failed)?;
    }
    Ok(())
}

/// Whether it is worse than what somebody accepted.
fn is_worse(old: &Finding, new: &NewFinding) -> bool {
    let accepted = old.decision.as_ref();
    accepted.is_some_and(|decision| decision.status == Verdict::Accepted)
        && (new.severity > old.severity || new.kev && !old.kev)
}

/// It is there, and otherwise than before, or again. What was decided about it holds on, unless it is worse
/// than what was accepted.
async fn renew<T>(c: &mut Conn, d: &Delivered<T>, old: &Finding, new: &NewFinding) -> Result<()> {
    let worse = is_worse(old, new);
    if worse {
        decisions::withdraw(c, old.id).await?;
    }
    let reopened = old.status == "fixed" && (old.decision.is_none() || worse);
    sqlx::query(
        "UPDATE findings
         SET target = $2, type = $3, severity = $4, category = $5, title = $6, location = $7,
             evidence = $8, source_id = $9, last_seen_at = $10, priority = $11, confidence = $12,
             cve = $13, kev = $14, fixed_at = NULL,
             status = CASE status WHEN 'fixed' THEN coalesce(decision, 'open') ELSE status END,
             reopened_at = CASE $15 WHEN 1 THEN $10 ELSE reopened_at END,
             times_reopened = times_reopened + $15
         WHERE id = $1",
    )
    .bind(old.id)
    .bind(&d.target)
    .bind(&new.kind)
    .bind(new.severity.as_str())
    .bind(&new.category)
    .bind(&new.title)
    .bind(&new.location)
    .bind(to_json(&new.evidence)?)
    .bind(d.id)
    .bind(micros(d.now))
    .bind(new.priority())
    .bind(new.confidence)
    .bind(&new.cve)
    .bind(new.kev)
    .bind(i64::from(reopened))
    .execute(&mut *c)
    .await
    .map_err(failed)?;
    let subject = Subject::new(old.id, new);
    if worse && !reopened {
        decisions::tell(c, &subject, (d.record_id, &d.target), "worse", d.now).await?;
    }
    if reopened {
        super::tell(c, d, "finding_reopened", &subject).await?;
        tell_change(c, d, "finding_reopened", &subject).await?;
    }
    Ok(())
}

/// It is not there any more, whatever was decided about it.
async fn fix<T>(c: &mut Conn, d: &Delivered<T>, old: &Finding) -> Result<()> {
    sqlx::query("UPDATE findings SET status = 'fixed', fixed_at = $2 WHERE id = $1")
        .bind(old.id)
        .bind(micros(d.now))
        .execute(&mut *c)
        .await
        .map_err(failed)?;
    let subject = Subject::known(old);
    super::tell(c, d, "finding_fixed", &subject).await?;
    tell_change(c, d, "finding_fixed", &subject).await
}

async fn tell_change<T>(
    c: &mut Conn,
    d: &Delivered<T>,
    kind: &'static str,
    subject: &Subject<'_>,
) -> Result<()> {
    let is = json!({
        "finding_id": subject.id,
        "severity": subject.severity,
        "type": subject.kind,
        "location": subject.location,
    });
    let (before, after) = match kind {
        "finding_fixed" => (Some(is), None),
        _ => (None, Some(is)),
    };
    let change = change(d, kind, subject.title, before, after);
    changes::add(c, &change, d.now).await
}
