//! Paths that enumerations found.

use std::collections::HashMap;

use serde_json::json;
use sqlx::{QueryBuilder, Row};
use uuid::Uuid;

use super::dialect::{Conn, Db, Pool, failed};
use super::results::{change, digest, finish, task};
use super::rows::{from_json, get, micros, time, to_json};
use super::{assessable, changes, web, work};
use crate::api::WorkKind;
use crate::hub::store::{Delivered, Enumerated, Enumeration, FoundPath, Result, StoredPath};

/// Rows that one statement inserts.
const BATCH: usize = 200;

/// Takes a result.
pub(super) async fn submit(c: &mut Conn, d: &Delivered<Enumeration>) -> Result<Enumerated> {
    work::lock_record(c, d.record_id).await?;
    let enumeration = match &d.outcome {
        Ok(enumeration) => enumeration,
        Err(attempt) => {
            work::record_attempt(c, &task(d, WorkKind::SuzuEnum), attempt).await?;
            return Ok(Enumerated::Attempt);
        }
    };
    let known = known(c, d.record_id).await?;
    let again = !known.is_empty() || work::was_done(c, d.record_id, WorkKind::SuzuEnum).await?;
    for batch in enumeration.paths.chunks(BATCH) {
        insert(c, d, enumeration, batch).await?;
    }
    let differs = match again {
        true => tell_differences(c, d, &enumeration.paths, &known).await?,
        // No change, but an assessment before it knew none of these.
        false => enumeration
            .paths
            .iter()
            .any(|path| is_there(path.status.map(i64::from))),
    };
    if differs {
        assessable::assess_again(c, d.record_id, d.now).await?;
    }
    let facts = &enumeration.facts;
    web::note_run(c, d, WorkKind::SuzuEnum, facts, web::Told::default()).await?;
    web::learn(c, d, enumeration).await?;
    let paths = enumeration.paths.len();
    let data = json!({
        "paths": paths, "tool": enumeration.tool, "complete": facts.complete,
        "notes": facts.notes,
    });
    finish(c, d, WorkKind::SuzuEnum, "enumeration_completed", data).await?;
    Ok(Enumerated::Stored(paths))
}

/// The paths that are known, by key, with their last status.
type Known = HashMap<Vec<u8>, Option<i64>>;

async fn known(c: &mut Conn, record: Uuid) -> Result<Known> {
    let rows = sqlx::query(
        "SELECT path_key, path_status_code FROM directory_enumeration WHERE record_id = $1",
    )
    .bind(record)
    .fetch_all(c)
    .await
    .map_err(failed)?;
    rows.iter()
        .map(|row| Ok((get(row, "path_key")?, get(row, "path_status_code")?)))
        .collect()
}

async fn insert(
    c: &mut Conn,
    d: &Delivered<Enumeration>,
    enumeration: &Enumeration,
    batch: &[FoundPath],
) -> Result<()> {
    let mut texts = Vec::with_capacity(batch.len());
    for path in batch {
        let factors = path.priority_factors.as_ref().map(to_json).transpose()?;
        texts.push((path, factors));
    }
    let cms = enumeration.cms.as_ref();
    let mut insert = QueryBuilder::<Db>::new(
        "INSERT INTO directory_enumeration (id, record_id, path_key, discovered_path,
             path_status_code, path_content_length, path_content_type, path_response_time_ms,
             detected_cms, detected_cms_version, cms_detection_confidence, priority_score,
             priority_factors, enumeration_tool, wordlist_used, discovered_at, last_seen_at) ",
    );
    insert.push_values(texts, |mut row, (path, factors)| {
        row.push_bind(Uuid::now_v7())
            .push_bind(d.record_id)
            .push_bind(digest(&[&path.path]))
            .push_bind(&path.path)
            .push_bind(path.status.map(i64::from))
            .push_bind(path.size)
            .push_bind(&path.content_type)
            .push_bind(path.response_time_ms)
            .push_bind(cms.map(|cms| &cms.name))
            .push_bind(cms.and_then(|cms| cms.version.as_ref()))
            .push_bind(cms.map(|cms| cms.confidence))
            .push_bind(path.priority_score)
            .push_bind(factors)
            .push_bind(&enumeration.tool)
            .push_bind(&enumeration.wordlist)
            .push_bind(micros(d.now))
            .push_bind(micros(d.now));
    });
    // What a later enumeration does not know of a path stays as it was.
    insert.push(" ON CONFLICT (record_id, path_key) DO UPDATE SET ");
    let mut set = insert.separated(", ");
    for column in [
        "path_status_code",
        "path_content_length",
        "path_content_type",
        "path_response_time_ms",
        "detected_cms",
        "detected_cms_version",
        "cms_detection_confidence",
        "priority_factors",
    ] {
        set.push(format_args!(
            "{column} = coalesce(excluded.{column}, directory_enumeration.{column})"
        ));
    }
    for column in [
        "priority_score",
        "enumeration_tool",
        "wordlist_used",
        "last_seen_at",
    ] {
        set.push(format_args!("{column} = excluded.{column}"));
    }
    insert.build().execute(c).await.map(drop).map_err(failed)
}

/// Paths that are there now and were not, and the other way round. One that merely is not in the
/// result may not have been looked for. Whether there are any.
async fn tell_differences(
    c: &mut Conn,
    d: &Delivered<Enumeration>,
    paths: &[FoundPath],
    known: &Known,
) -> Result<bool> {
    let mut differs = false;
    for path in paths {
        let before = known.get(&digest(&[&path.path]));
        // As it is stored: what this enumeration does not say stays as it was.
        let status = path.status.map(i64::from).or(before.copied().flatten());
        let was = before.is_some_and(|status| is_there(*status));
        let is = is_there(status);
        let kind = match (was, is) {
            (false, true) => "path_appeared",
            (true, false) => "path_disappeared",
            _ => continue,
        };
        let before = before.map(|status| json!({ "status": status }));
        let after = Some(json!({ "status": status, "size": path.size }));
        let (before, after) = if is { (before, after) } else { (before, None) };
        let change = change(d, kind, &path.path, before, after);
        changes::add(c, &change, d.now).await?;
        differs = true;
    }
    Ok(differs)
}

/// Some tools report what is not there, too.
fn is_there(status: Option<i64>) -> bool {
    !matches!(status, Some(404 | 410))
}

/// The paths of a record of highest priority.
pub(super) async fn best(pool: &Pool, record: Uuid, limit: i64) -> Result<Vec<StoredPath>> {
    let rows = sqlx::query(
        "SELECT * FROM directory_enumeration WHERE record_id = $1
         ORDER BY priority_score DESC, discovered_path LIMIT $2",
    )
    .bind(record)
    .bind(limit)
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    rows.iter()
        .map(|row| {
            let factors: Option<&str> = row.try_get("priority_factors").map_err(failed)?;
            Ok(StoredPath {
                id: get(row, "id")?,
                path: get(row, "discovered_path")?,
                status: get(row, "path_status_code")?,
                size: get(row, "path_content_length")?,
                content_type: get(row, "path_content_type")?,
                cms: get(row, "detected_cms")?,
                priority_score: get(row, "priority_score")?,
                priority_factors: factors.map(from_json).transpose()?,
                tool: get(row, "enumeration_tool")?,
                discovered_at: time(get(row, "discovered_at")?)?,
                last_seen_at: time(get(row, "last_seen_at")?)?,
            })
        })
        .collect()
}
