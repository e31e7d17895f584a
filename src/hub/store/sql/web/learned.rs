//! What enumerations have taught: how likely a path is on a record that nobody has enumerated.
//!
//! Counted are records, not results: N that were enumerated, n of them on which a path was found; the
//! same for the records that run a technology, N(t) and n(t). The weight of a path is
//!
//! * overall: `n / (N + PRIOR)`,
//! * on records that run t: `(n(t) + PRIOR * overall) / (N(t) + PRIOR)`,
//!
//! and for a record the greatest over what it runs; the overall one when nothing is known of that. So a
//! few records prove little, and the more of a technology there are, the less the others say of it: on
//! WordPress a path of WordPress weighs more than its overall share, and on Drupal less.
//!
//! All of it is counters, which a result moves by the difference that its record makes now to what it
//! made before. Reading looks at the best paths of a few technologies, however many records there are.
//! A record that is deleted stays counted: what it taught is still true.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::QueryBuilder;
use url::Url;
use uuid::Uuid;

use super::super::dialect::{Conn, Db, failed};
use super::super::rows::{from_json, get, micros, to_json};
use super::super::spiders::technologies_of;
use super::{BATCH, execute};
use crate::api::{LearnedPath, Technology};
use crate::hub::store::{Delivered, Enumeration, LEARNED_MAX, Result};

/// Records that a weight begins with, on none of which anything was found.
const PRIOR: f64 = 3.0;
/// Technologies of one record that are looked at.
const TECHNOLOGIES_MAX: usize = 8;
/// Longest name of one, bytes.
const NAME_MAX: usize = 100;
/// Longest path that teaches anything: longer ones have ids in them.
const PATH_MAX: usize = 200;
/// Paths of one record that teach: a server that answers 200 to everything teaches no more.
const PATHS_MAX: usize = 2000;
/// Paths that were found on one record only, in all; the oldest beyond go.
const RARE_MAX: i64 = if cfg!(test) { 50 } else { 200_000 };

/// The name that stands for all records.
const ALL: &str = "";

/// Counts what an enumeration found, after its paths were stored.
pub(in super::super) async fn learn(
    c: &mut Conn,
    d: &Delivered<Enumeration>,
    enumeration: &Enumeration,
) -> Result<()> {
    let cms = enumeration.cms.as_ref().map(|cms| cms.name.as_str());
    let runs = technologies_of(c, d.record_id).await?;
    let mut now = names(cms, &runs);
    now.insert(ALL.to_owned());
    let before = counted_under(c, d.record_id).await?;
    let paths = paths(c, d.record_id).await?;
    let mut moved = BTreeMap::<(&str, &str), i64>::new();
    for path in &paths {
        for technology in now.iter().filter(|_| path.is) {
            *moved.entry((technology, &path.path)).or_default() += 1;
        }
        for technology in before.iter().filter(|_| path.was) {
            *moved.entry((technology, &path.path)).or_default() -= 1;
        }
    }
    // Two paths that differ in their query only are one.
    let moved: Vec<_> = moved.into_iter().filter(|(_, by)| *by != 0).collect();
    move_totals(c, &before, &now).await?;
    let found: Vec<_> = moved.iter().filter(|(_, by)| *by > 0).collect();
    for batch in found.chunks(BATCH) {
        add(c, batch, micros(d.now)).await?;
    }
    for ((technology, path), by) in moved.iter().filter(|(_, by)| *by < 0) {
        take_away(c, technology, path, -by).await?;
    }
    mark(c, d.record_id, &paths).await?;
    remember(c, d.record_id, &now).await
}

/// What a record runs, by names that others have, too: a content management system before all.
fn names(cms: Option<&str>, runs: &[Technology]) -> BTreeSet<String> {
    let is_cms = |t: &&Technology| t.category.to_ascii_lowercase().contains("cms");
    let first = runs.iter().filter(is_cms);
    let rest = runs.iter().filter(|t| !is_cms(t));
    let all = cms
        .into_iter()
        .chain(first.chain(rest).map(|t| t.name.as_str()));
    let mut names = BTreeSet::new();
    for name in all {
        if names.len() == TECHNOLOGIES_MAX {
            break;
        }
        let name = name.trim().to_lowercase();
        if (1..=NAME_MAX).contains(&name.len()) {
            names.insert(name);
        }
    }
    names
}

/// The technologies under which a record is counted; none before its first enumeration.
async fn counted_under(c: &mut Conn, record: Uuid) -> Result<BTreeSet<String>> {
    let row = sqlx::query("SELECT technologies FROM learned_records WHERE record_id = $1")
        .bind(record)
        .fetch_optional(c)
        .await
        .map_err(failed)?;
    match row {
        Some(row) => from_json(get(&row, "technologies")?),
        None => Ok(BTreeSet::new()),
    }
}

async fn remember(c: &mut Conn, record: Uuid, technologies: &BTreeSet<String>) -> Result<()> {
    sqlx::query(
        "INSERT INTO learned_records (record_id, technologies) VALUES ($1, $2)
         ON CONFLICT (record_id) DO UPDATE SET technologies = $2",
    )
    .bind(record)
    .bind(to_json(technologies)?)
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

/// A path of a record.
struct Found {
    key: Vec<u8>,
    path: String,
    /// It is counted.
    was: bool,
    /// It is to be counted.
    is: bool,
}

/// Those of a record that are counted, or are to be; the best first, so that they are counted when there
/// are too many.
async fn paths(c: &mut Conn, record: Uuid) -> Result<Vec<Found>> {
    let rows = sqlx::query(
        "SELECT path_key, discovered_path, path_status_code, learned FROM directory_enumeration
         WHERE record_id = $1 ORDER BY learned DESC, priority_score DESC, discovered_path",
    )
    .bind(record)
    .fetch_all(c)
    .await
    .map_err(failed)?;
    let mut found = Vec::new();
    let (mut was_once, mut is_once) = (BTreeSet::new(), BTreeSet::new());
    for row in &rows {
        let Some(path) = general(get(row, "discovered_path")?) else {
            continue;
        };
        let there = shows(get(row, "path_status_code")?);
        let was = get(row, "learned")? && was_once.insert(path.clone());
        let is = there && is_once.len() < PATHS_MAX && is_once.insert(path.clone());
        if was || is {
            let key = get(row, "path_key")?;
            found.push(Found { key, path, was, is });
        }
    }
    Ok(found)
}

/// Whether a status says that there is something: found, elsewhere, forbidden, or in error by itself.
/// What a proxy or a limit answers says nothing of the path. A tool that names none reports what it found.
fn shows(status: Option<i64>) -> bool {
    matches!(
        status,
        None | Some(200..=399 | 401 | 403 | 405 | 407 | 500 | 501)
    )
}

/// The path as it may be on another record: without query, from the root on. One on another port comes as
/// a URL.
fn general(path: &str) -> Option<String> {
    if path.contains("://") {
        let url = Url::parse(path).ok()?;
        return general(Some(url.path()).filter(|path| !path.contains("://"))?);
    }
    let end = path.find(['?', '#']).unwrap_or(path.len());
    let path = path[..end].trim_start_matches('/');
    let sound = !path.is_empty() && path.len() < PATH_MAX;
    sound.then(|| format!("/{path}"))
}

async fn move_totals(
    c: &mut Conn,
    before: &BTreeSet<String>,
    now: &BTreeSet<String>,
) -> Result<()> {
    // In one order, so that two results do not wait for each other for ever.
    for technology in now.union(before) {
        let by = i64::from(now.contains(technology)) - i64::from(before.contains(technology));
        if by == 0 {
            continue;
        }
        sqlx::query(
            "INSERT INTO learned_totals (technology, records) VALUES ($1, $2)
             ON CONFLICT (technology) DO UPDATE SET records = learned_totals.records + $2",
        )
        .bind(technology)
        .bind(by)
        .execute(&mut *c)
        .await
        .map_err(failed)?;
    }
    Ok(())
}

type Moved<'a> = ((&'a str, &'a str), i64);

async fn add(c: &mut Conn, batch: &[&Moved<'_>], now: i64) -> Result<()> {
    let mut insert = QueryBuilder::<Db>::new(
        "INSERT INTO learned_paths (technology, path, records, updated_at) ",
    );
    insert.push_values(batch, |mut row, ((technology, path), by)| {
        row.push_bind(*technology)
            .push_bind(*path)
            .push_bind(*by)
            .push_bind(now);
    });
    insert.push(
        " ON CONFLICT (technology, path) DO UPDATE
         SET records = learned_paths.records + excluded.records,
             updated_at = excluded.updated_at",
    );
    execute(c, insert).await
}

/// Retention may have forgotten the row.
async fn take_away(c: &mut Conn, technology: &str, path: &str, by: i64) -> Result<()> {
    sqlx::query(
        "UPDATE learned_paths SET records = CASE WHEN records > $3 THEN records - $3 ELSE 0 END
         WHERE technology = $1 AND path = $2",
    )
    .bind(technology)
    .bind(path)
    .bind(by)
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

async fn mark(c: &mut Conn, record: Uuid, paths: &[Found]) -> Result<()> {
    for is in [true, false] {
        let other = paths.iter().filter(|path| path.is == is && path.was != is);
        let keys: Vec<_> = other.map(|path| &path.key).collect();
        for batch in keys.chunks(BATCH) {
            let mut update = QueryBuilder::<Db>::new("UPDATE directory_enumeration SET learned = ");
            update.push_bind(is).push(" WHERE record_id = ");
            update.push_bind(record).push(" AND path_key IN (");
            let mut list = update.separated(", ");
            for key in batch {
                list.push_bind(*key);
            }
            update.push(")");
            execute(c, update).await?;
        }
    }
    Ok(())
}

/// What was counted under one name.
#[derive(Default)]
struct Counted {
    records: f64,
    paths: HashMap<String, f64>,
}

/// The paths of greatest weight for a record that runs this.
pub(super) async fn best(c: &mut Conn, runs: &[Technology]) -> Result<Vec<LearnedPath>> {
    let mut all = Vec::new();
    let mut candidates = BTreeSet::new();
    for technology in [ALL.to_owned()].into_iter().chain(names(None, runs)) {
        let Some(records) = total(c, &technology).await? else {
            continue;
        };
        let rows = sqlx::query(
            "SELECT path, records FROM learned_paths WHERE technology = $1 AND records > 0
             ORDER BY records DESC, path LIMIT $2",
        )
        .bind(&technology)
        .bind(i64::try_from(LEARNED_MAX).unwrap_or(i64::MAX))
        .fetch_all(&mut *c)
        .await
        .map_err(failed)?;
        let mut paths = HashMap::new();
        for row in &rows {
            let path: String = get(row, "path")?;
            candidates.insert(path.clone());
            paths.insert(path, get::<i64>(row, "records")? as f64);
        }
        let whole = rows.len() < LEARNED_MAX;
        all.push((technology, whole, Counted { records, paths }));
    }
    for (technology, whole, counted) in &mut all {
        if !*whole {
            complete(c, technology, &candidates, &mut counted.paths).await?;
        }
    }
    let counted: Vec<_> = all.into_iter().map(|(_, _, counted)| counted).collect();
    let mut best: Vec<_> = candidates
        .into_iter()
        .map(|path| LearnedPath {
            weight: weight(&counted, &path),
            path,
        })
        .collect();
    best.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.path.cmp(&b.path)));
    best.truncate(LEARNED_MAX);
    Ok(best)
}

/// How many records run this; none when nobody does.
async fn total(c: &mut Conn, technology: &str) -> Result<Option<f64>> {
    let records: Option<i64> = sqlx::query_scalar(
        "SELECT records FROM learned_totals WHERE technology = $1 AND records > 0",
    )
    .bind(technology)
    .fetch_optional(c)
    .await
    .map_err(failed)?;
    Ok(records.map(|n| n as f64))
}

/// Reads those that are not among the best of this technology.
async fn complete(
    c: &mut Conn,
    technology: &str,
    candidates: &BTreeSet<String>,
    paths: &mut HashMap<String, f64>,
) -> Result<()> {
    let missing: Vec<_> = candidates
        .iter()
        .filter(|path| !paths.contains_key(*path))
        .collect();
    for batch in missing.chunks(BATCH) {
        let mut query =
            QueryBuilder::<Db>::new("SELECT path, records FROM learned_paths WHERE technology = ");
        query.push_bind(technology).push(" AND path IN (");
        let mut list = query.separated(", ");
        for path in batch {
            list.push_bind(*path);
        }
        query.push(")");
        let rows = query.build().persistent(false).fetch_all(&mut *c).await;
        for row in &rows.map_err(failed)? {
            paths.insert(get(row, "path")?, get::<i64>(row, "records")? as f64);
        }
    }
    Ok(())
}

/// Of a path, by what was counted: all records first, then those that run something.
fn weight(counted: &[Counted], path: &str) -> f64 {
    let found = |of: &Counted| of.paths.get(path).copied().unwrap_or_default();
    let Some((all, others)) = counted.split_first() else {
        return 0.0;
    };
    let overall = found(all) / (all.records + PRIOR);
    others
        .iter()
        .map(|of| (found(of) + PRIOR * overall) / (of.records + PRIOR))
        .reduce(f64::max)
        .unwrap_or(overall)
        .clamp(0.0, 1.0)
}

/// Removes rows of paths that were found on one record only, or on none any more: those not seen since
/// `before`, and the oldest of what is beyond the number that is kept.
pub(in super::super) async fn forget(c: &mut Conn, before: i64, limit: i64) -> Result<u64> {
    let rare: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT 1 FROM learned_paths WHERE records <= 1 LIMIT $1) AS rare",
    )
    .bind(RARE_MAX.saturating_add(limit))
    .fetch_one(&mut *c)
    .await
    .map_err(failed)?;
    let done = sqlx::query(
        "DELETE FROM learned_paths WHERE records <= 1 AND (technology, path) IN (
             SELECT technology, path FROM (
                 SELECT technology, path FROM learned_paths
                 WHERE records <= 1 AND updated_at < $1 ORDER BY updated_at LIMIT $2) AS old
             UNION SELECT technology, path FROM (
                 SELECT technology, path FROM learned_paths
                 WHERE records <= 1 ORDER BY updated_at LIMIT $3) AS beyond)",
    )
    .bind(before)
    .bind(limit)
    .bind((rare - RARE_MAX).clamp(0, limit))
    .execute(c)
    .await
    .map_err(failed)?;
    Ok(done.rows_affected())
}

#[cfg(test)]
#[path = "learned_tests.rs"]
mod tests;
