//! Pages. A page is there unless it answers 404 or 410, or a complete run has not seen it any more.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::super::dialect::{Conn, Db, DbRow, failed};
use super::super::listing::Listing;
use super::super::results::digest;
use super::super::rows::{self, get, time, time_option};
use super::{BATCH, Difference, Sighting, Table, execute, of_keys, only_older, with_room};
use crate::api::{SpiderPage, WebPage};
use crate::hub::store::{Result, WebQuery};

const TABLE: Table = Table {
    name: "web_pages",
    key: "page_key",
};

/// What is known of a page.
struct Known {
    status: u16,
    hash: Option<String>,
    truncated: bool,
    run: String,
    gone: bool,
}

/// Stores pages; how they differ from what was known of them.
pub(super) async fn store(
    c: &mut Conn,
    seen: Sighting<'_>,
    pages: &[SpiderPage],
) -> Result<Vec<Difference>> {
    let mut keyed = Vec::with_capacity(pages.len());
    let mut keys = HashSet::with_capacity(pages.len());
    for page in pages {
        let key = digest(&[&page.url]);
        if keys.insert(key.clone()) {
            keyed.push((key, page));
        }
    }
    let keys = keyed.iter().map(|(key, _)| key.clone()).collect();
    let room = with_room(c, TABLE, seen.record, keys).await?;
    keyed.retain(|(key, _)| room.contains(key));
    let mut differences = Vec::new();
    for batch in keyed.chunks(BATCH) {
        let known = known(c, seen, batch).await?;
        for (key, page) in batch {
            differences.extend(difference(known.get(key), page, seen));
        }
        insert(c, seen, batch).await?;
    }
    Ok(differences)
}

async fn known(
    c: &mut Conn,
    seen: Sighting<'_>,
    batch: &[(Vec<u8>, &SpiderPage)],
) -> Result<HashMap<Vec<u8>, Known>> {
    let keys: Vec<_> = batch.iter().map(|(key, _)| key.clone()).collect();
    let select = "SELECT page_key, status, content_hash, truncated, run, gone_at FROM web_pages";
    let rows = of_keys(c, select, TABLE, seen.record, &keys).await?;
    rows.iter()
        .map(|row| {
            let known = Known {
                status: rows::count(row, "status")?,
                hash: get(row, "content_hash")?,
                truncated: get(row, "truncated")?,
                run: get(row, "run")?,
                gone: get::<Option<i64>>(row, "gone_at")?.is_some(),
            };
            Ok((get(row, "page_key")?, known))
        })
        .collect()
}

/// Whether there is something at this address.
fn is_there(status: u16) -> bool {
    !matches!(status, 0 | 404 | 410)
}

fn succeeded(status: u16) -> bool {
    (200..300).contains(&status)
}

fn difference(known: Option<&Known>, page: &SpiderPage, seen: Sighting<'_>) -> Option<Difference> {
    let after = json!({
        "status": page.status, "title": page.title, "content_hash": page.content_hash,
    });
    let of = |kind, before, after| Difference {
        kind,
        subject: page.url.clone(),
        before,
        after,
    };
    let is = is_there(page.status);
    let Some(known) = known else {
        return is.then(|| of("page_added", None, Some(after)));
    };
    // It was compared when the run saw it first; and what did not answer says nothing.
    if known.run == seen.run || page.status == 0 {
        return None;
    }
    let was = !known.gone && is_there(known.status);
    let before = json!({ "status": known.status, "content_hash": known.hash });
    match (was, is) {
        (false, true) => Some(of("page_added", None, Some(after))),
        (true, false) if succeeded(known.status) => Some(of("page_removed", Some(before), None)),
        // The hash of a part is not that of the whole.
        (true, true) if known.truncated == page.truncated => {
            match (&known.hash, &page.content_hash) {
                (Some(a), Some(b)) if a != b => Some(of("page_changed", Some(before), Some(after))),
                _ => None,
            }
        }
        _ => None,
    }
}

async fn insert(c: &mut Conn, seen: Sighting<'_>, batch: &[(Vec<u8>, &SpiderPage)]) -> Result<()> {
    let mut insert = QueryBuilder::<Db>::new(
        "INSERT INTO web_pages (id, record_id, page_key, url, status, content_type, length, title,
             content_hash, depth, truncated, run, first_seen_at, last_seen_at, gone_at) ",
    );
    insert.push_values(batch, |mut row, (key, page)| {
        // What only a late run has seen is not there by the last one.
        let gone = seen.late || (page.status != 0 && !is_there(page.status));
        row.push_bind(Uuid::now_v7())
            .push_bind(seen.record)
            .push_bind(key)
            .push_bind(&page.url)
            .push_bind(i64::from(page.status))
            .push_bind(&page.content_type)
            .push_bind(page.length)
            .push_bind(&page.title)
            .push_bind(&page.content_hash)
            .push_bind(i64::from(page.depth))
            .push_bind(page.truncated)
            .push_bind(seen.run)
            .push_bind(seen.at)
            .push_bind(seen.at)
            .push_bind(gone.then_some(seen.at));
    });
    if seen.late {
        only_older(&mut insert, TABLE);
    } else {
        // What did not answer is as it was.
        insert.push(
            " ON CONFLICT (record_id, page_key) DO UPDATE
             SET status = CASE WHEN excluded.status = 0 THEN web_pages.status
                               ELSE excluded.status END,
                 gone_at = CASE WHEN excluded.status = 0 THEN web_pages.gone_at
                                WHEN excluded.gone_at IS NULL THEN NULL
                                ELSE coalesce(web_pages.gone_at, excluded.gone_at) END,
                 content_type = coalesce(excluded.content_type, web_pages.content_type),
                 length = coalesce(excluded.length, web_pages.length),
                 title = coalesce(excluded.title, web_pages.title),
                 content_hash = coalesce(excluded.content_hash, web_pages.content_hash),
                 depth = excluded.depth, truncated = excluded.truncated, run = excluded.run,
                 last_seen_at = excluded.last_seen_at",
        );
    }
    execute(c, insert).await
}

/// What a complete run has not seen is gone. One that did not answer well before goes unsaid.
pub(super) async fn miss(c: &mut Conn, seen: Sighting<'_>) -> Result<Vec<Difference>> {
    let rows = sqlx::query(
        "UPDATE web_pages SET gone_at = $3 WHERE record_id = $1 AND run <> $2 AND gone_at IS NULL
         RETURNING url, status, content_hash",
    )
    .bind(seen.record)
    .bind(seen.run)
    .bind(seen.at)
    .fetch_all(c)
    .await
    .map_err(failed)?;
    let mut gone = Vec::new();
    for row in &rows {
        let status: u16 = rows::count(row, "status")?;
        if succeeded(status) {
            let hash: Option<String> = get(row, "content_hash")?;
            gone.push(Difference {
                kind: "page_removed",
                subject: get(row, "url")?,
                before: Some(json!({ "status": status, "content_hash": hash })),
                after: None::<Value>,
            });
        }
    }
    // The order of what an UPDATE returns is any.
    gone.sort_by(|a, b| a.subject.cmp(&b.subject));
    Ok(gone)
}

pub(super) fn listed(query: &WebQuery) -> Listing<'_> {
    let contains = query.contains.as_deref();
    Listing {
        size: "octet_length(url) + coalesce(octet_length(title), 0)",
        number: query.status.map(|status| ("status", i64::from(status))),
        contains: contains.map(|text| ("url || ' ' || coalesce(title, '')", text)),
        ..super::listing("web_pages", query)
    }
}

pub(super) fn page(row: &DbRow) -> Result<WebPage> {
    Ok(WebPage {
        id: get(row, "id")?,
        eggrecord_id: get(row, "record_id")?,
        url: get(row, "url")?,
        status: rows::count(row, "status")?,
        content_type: get(row, "content_type")?,
        length: get(row, "length")?,
        title: get(row, "title")?,
        content_hash: get(row, "content_hash")?,
        depth: rows::count(row, "depth")?,
        truncated: get(row, "truncated")?,
        first_seen_at: time(get(row, "first_seen_at")?)?,
        last_seen_at: time(get(row, "last_seen_at")?)?,
        gone_at: time_option(get(row, "gone_at")?)?,
    })
}
