//! Lists of targets.

use std::collections::BTreeMap;

use sqlx::QueryBuilder;
use uuid::Uuid;

use super::dialect::{Conn, Db, Pool, failed};
use super::rows::{self, code, count, get, micros};
use crate::api::{NetworkProgress, Target, TargetWork, WorkKind};
use crate::hub::store::{AddressRange, Page, Result, TargetQuery, TargetSort};

/// One page.
pub(super) async fn list(pool: &Pool, query: &TargetQuery) -> Result<Page<Target>> {
    let mut c = pool.acquire().await.map_err(failed)?;
    let limit = query.limit as usize;
    let mut statement = QueryBuilder::<Db>::new("SELECT e.* FROM egg_records AS e WHERE 1 = 1");
    filter(&mut statement, query);
    order(&mut statement, query);
    statement
        .push(" LIMIT ")
        .push_bind(i64::from(query.limit) + 1);
    let found = statement
        .build()
        // There are many combinations of filters; none is worth a prepared statement.
        .persistent(false)
        .fetch_all(&mut *c)
        .await
        .map_err(failed)?;
    let more = found.len() > limit;
    let mut items = found
        .iter()
        .take(limit)
        .map(rows::target)
        .collect::<Result<Vec<_>>>()?;
    complete(&mut c, &mut items).await?;
    let next = items.last().map(|t| t.id).filter(|_| more);
    Ok(Page { items, next })
}

fn filter(statement: &mut QueryBuilder<Db>, query: &TargetQuery) {
    if let Some(text) = &query.text {
        let pattern = containing(text);
        statement.push(" AND (e.target_key LIKE ");
        statement.push_bind(pattern.clone());
        statement.push(" ESCAPE '\\' OR lower(e.eggname) LIKE ");
        statement.push_bind(pattern).push(" ESCAPE '\\')");
    }
    if let Some(id) = query.id {
        statement.push(" AND e.id = ").push_bind(id);
    }
    let exact = [
        ("target_key", &query.key),
        ("eggname", &query.group),
        ("projectegg", &query.project),
    ];
    for (column, wanted) in exact {
        if let Some(wanted) = wanted {
            statement.push(format_args!(" AND e.{column} = "));
            statement.push_bind(wanted.clone());
        }
    }
    for (column, wanted) in [("alive", query.alive), ("skip_scan", query.skip_scan)] {
        if let Some(wanted) = wanted {
            statement.push(format_args!(" AND e.{column} = "));
            statement.push_bind(wanted);
        }
    }
    if let Some((kind, at)) = query.due {
        statement
            .push(" AND EXISTS (SELECT 1 FROM work AS w WHERE w.record_id = e.id AND w.kind = ");
        statement.push_bind(code(kind)).push(" AND w.due_at <= ");
        statement.push_bind(micros(at)).push(")");
    }
}

fn order(statement: &mut QueryBuilder<Db>, query: &TargetQuery) {
    let (column, after, way) = match query.sort {
        TargetSort::Created => ("id", ">", "ASC"),
        TargetSort::Newest => ("id", "<", "DESC"),
        TargetSort::Target => ("target_key", ">", "ASC"),
        TargetSort::TargetBackwards => ("target_key", "<", "DESC"),
    };
    match (column, query.after, &query.after_key) {
        ("id", Some(id), _) => {
            statement
                .push(format_args!(" AND e.id {after} "))
                .push_bind(id);
        }
        ("target_key", _, Some(key)) => {
            statement.push(format_args!(" AND e.target_key {after} "));
            statement.push_bind(key.clone());
        }
        _ => {}
    }
    statement.push(format_args!(" ORDER BY e.{column} {way}"));
}

/// A pattern for what contains a text.
fn containing(text: &str) -> String {
    let text = text.to_lowercase();
    let text = text
        .replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_");
    format!("%{text}%")
}

/// Adds to targets what is to be done with them, and to networks how far they are.
pub(super) async fn complete(c: &mut Conn, targets: &mut [Target]) -> Result<()> {
    let is_network = |t: &Target| t.cidr.as_ref() == Some(&t.target);
    let ids: Vec<_> = targets.iter().map(|t| t.id).collect();
    let mut work = work_of(c, &ids).await?;
    let nets: Vec<_> = targets
        .iter()
        .filter(|t| is_network(t))
        .map(|t| t.id)
        .collect();
    let mut progress = progress_of(c, &nets).await?;
    for target in targets {
        if is_network(target) {
            let net = target.target.parse().map(AddressRange::of);
            let addresses = net.map_or(0, |r| (r.last - r.first).saturating_add(1));
            target.network = progress.remove(&target.id).map(|found| NetworkProgress {
                addresses: u64::try_from(addresses).unwrap_or(u64::MAX),
                ..found
            });
        } else {
            target.work = every_kind(work.remove(&target.id).unwrap_or_default());
        }
    }
    Ok(())
}

async fn work_of(c: &mut Conn, ids: &[Uuid]) -> Result<BTreeMap<Uuid, Vec<TargetWork>>> {
    let mut all: BTreeMap<Uuid, Vec<TargetWork>> = BTreeMap::new();
    for row in of_records(c, "SELECT * FROM work", ids).await? {
        if let Some((id, work)) = rows::work(&row)? {
            all.entry(id).or_default().push(work);
        }
    }
    Ok(all)
}

async fn progress_of(c: &mut Conn, ids: &[Uuid]) -> Result<BTreeMap<Uuid, NetworkProgress>> {
    let mut all: BTreeMap<Uuid, NetworkProgress> = BTreeMap::new();
    for row in of_records(
        c,
        "SELECT record_id, kind, expanded, turn FROM networks",
        ids,
    )
    .await?
    {
        let Some(kind) = rows::kind(&row)? else {
            continue;
        };
        let left = get::<Option<i64>>(&row, "turn")?.is_some();
        let one = all
            .entry(get(&row, "record_id")?)
            .or_insert(NetworkProgress {
                done: true,
                ..NetworkProgress::default()
            });
        one.done &= !left;
        one.expanded.insert(kind, count(&row, "expanded")?);
    }
    Ok(all)
}

async fn of_records(
    c: &mut Conn,
    select: &'static str,
    ids: &[Uuid],
) -> Result<Vec<super::dialect::DbRow>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut statement = QueryBuilder::<Db>::new(select);
    statement.push(" WHERE record_id IN (");
    let mut list = statement.separated(", ");
    for id in ids {
        list.push_bind(*id);
    }
    statement.push(")");
    let found = statement.build().persistent(false).fetch_all(c).await;
    found.map_err(failed)
}

/// With what has no row yet, which is not due.
fn every_kind(found: Vec<TargetWork>) -> Vec<TargetWork> {
    let mut found: BTreeMap<_, _> = found.into_iter().map(|w| (w.kind, w)).collect();
    let one = |kind| found.remove(&kind).unwrap_or_else(|| waiting(kind));
    WorkKind::ALL.map(one).into()
}

fn waiting(kind: WorkKind) -> TargetWork {
    TargetWork {
        kind,
        due_at: None,
        last_done_at: None,
        lease_owner: None,
        attempts: 0,
    }
}
