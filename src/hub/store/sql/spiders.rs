//! What spiders found: requests, secrets, technologies.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::{QueryBuilder, Row};
use uuid::Uuid;

use super::dialect::{Conn, Db, Pool, failed};
use super::results::{change, digest, finish, task};
use super::rows::{self, from_json, get, micros, time, to_json};
use super::{assessable, changes, findings, web, work};
use crate::api::{Technology, WorkKind};
use crate::hub::store::{Delivered, Request, Result, Spider, Spidered, StoredRequest};

/// Rows that one statement inserts.
const BATCH: usize = 200;

/// Takes a result.
pub(super) async fn submit(c: &mut Conn, d: &Delivered<Spider>) -> Result<Spidered> {
    work::lock_record(c, d.record_id).await?;
    let spider = match &d.outcome {
        Ok(spider) => spider,
        Err(attempt) => {
            work::record_attempt(c, &task(d, WorkKind::KumoSpider), attempt).await?;
            return Ok(Spidered::Attempt);
        }
    };
    let mut requests = 0;
    for batch in spider.requests.chunks(BATCH) {
        requests += insert(c, d, spider, batch).await?;
    }
    let again = work::was_done(c, d.record_id, WorkKind::KumoSpider).await?;
    let mut differs = findings::add(c, d, &spider.findings).await? > 0;
    if let Some(technologies) = &spider.technologies {
        // A crawl that broke off says nothing of what it did not get to.
        let whole = !spider.partial && spider.facts.complete != Some(false);
        differs |= set_technologies(c, d, technologies, again, whole).await?;
    }
    differs |= web::take(c, d, spider).await?;
    assessable::make_assessable(c, d.record_id, d.now).await?;
    // What the first crawl brings is no change, but an assessment of the ports alone knew none of it.
    if differs || !again && requests > 0 {
        assessable::assess_again(c, d.record_id, d.now).await?;
    }
    let pages = spider.pages.iter().flatten();
    if spider.requests.iter().any(|r| r.response_status > 0) || pages.clone().any(|p| p.status > 0)
    {
        // Something there speaks HTTP.
        work::make_due(c, d.record_id, WorkKind::SuzuEnum, d.now).await?;
    }
    let data = json!({
        "requests": requests, "secrets": spider.secrets, "run": spider.facts.run,
        "pages": pages.count(), "complete": spider.facts.complete,
    });
    if !spider.partial {
        finish(c, d, WorkKind::KumoSpider, "spider_completed", data).await?;
    }
    Ok(Spidered::Stored {
        requests,
        secrets: spider.secrets,
    })
}

/// Stores requests that are not known from the same run; how many those are.
async fn insert(
    c: &mut Conn,
    d: &Delivered<Spider>,
    spider: &Spider,
    batch: &[Request],
) -> Result<usize> {
    let json = |value: &Option<_>| value.as_ref().map(to_json).transpose();
    let mut texts = Vec::with_capacity(batch.len());
    for r in batch {
        texts.push((
            r,
            json(&r.request_headers)?,
            json(&r.response_headers)?,
            json(&r.javascript)?,
            r.signs.as_ref().map(to_json).transpose()?,
        ));
    }
    let mut insert = QueryBuilder::<Db>::new(
        "INSERT INTO request_metadata (id, record_id, run, request_key, target_url,
             request_method, request_headers, response_status, response_headers,
             response_time_ms, user_agent, javascript, signs, endpoints, created_at) ",
    );
    insert.push_values(texts, |mut row, (r, sent, answered, javascript, signs)| {
        row.push_bind(Uuid::now_v7())
            .push_bind(d.record_id)
            .push_bind(&spider.facts.run)
            .push_bind(digest(&[&r.method, &r.target_url]))
            .push_bind(&r.target_url)
            .push_bind(&r.method)
            .push_bind(sent)
            .push_bind(i64::from(r.response_status))
            .push_bind(answered)
            .push_bind(r.response_time_ms)
            .push_bind(&r.user_agent)
            .push_bind(javascript)
            .push_bind(signs)
            .push_bind(i64::try_from(r.endpoints).unwrap_or(i64::MAX))
            .push_bind(micros(d.now));
    });
    insert.push(" ON CONFLICT (record_id, run, request_key) DO NOTHING");
    let done = insert.build().execute(c).await.map_err(failed)?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or_default())
}

/// What the target runs now is this, and nothing else if it is the `whole`; differences from the last time
/// are changes. Whether there are any.
async fn set_technologies(
    c: &mut Conn,
    d: &Delivered<Spider>,
    technologies: &[Technology],
    again: bool,
    whole: bool,
) -> Result<bool> {
    let mut differs = false;
    let mut gone: BTreeMap<String, Technology> = technologies_of(c, d.record_id)
        .await?
        .into_iter()
        .map(|t| (t.name.clone(), t))
        .collect();
    for technology in technologies {
        let before = gone.remove(&technology.name);
        if again && before.as_ref().map(|t| &t.version) != Some(&technology.version) {
            let before = before.map(|t| json!(t));
            let after = Some(json!(technology));
            let change = change(d, "technology_changed", &technology.name, before, after);
            changes::add(c, &change, d.now).await?;
            differs = true;
        }
        sqlx::query(
            "INSERT INTO technologies (record_id, name, version, category, first_seen_at,
                                       last_seen_at)
             VALUES ($1, $2, $3, $4, $5, $5)
             ON CONFLICT (record_id, name) DO UPDATE
             SET version = $3, category = $4, last_seen_at = $5",
        )
        .bind(d.record_id)
        .bind(&technology.name)
        .bind(&technology.version)
        .bind(&technology.category)
        .bind(micros(d.now))
        .execute(&mut *c)
        .await
        .map_err(failed)?;
    }
    for (name, technology) in gone.into_iter().filter(|_| whole) {
        let before = Some(json!(technology));
        let change = change(d, "technology_changed", &name, before, None);
        changes::add(c, &change, d.now).await?;
        differs = true;
        sqlx::query("DELETE FROM technologies WHERE record_id = $1 AND name = $2")
            .bind(d.record_id)
            .bind(&name)
            .execute(&mut *c)
            .await
            .map_err(failed)?;
    }
    Ok(differs)
}

/// What a target runs.
pub(super) async fn technologies_of(c: &mut Conn, record: Uuid) -> Result<Vec<Technology>> {
    let rows = sqlx::query("SELECT * FROM technologies WHERE record_id = $1 ORDER BY name")
        .bind(record)
        .fetch_all(c)
        .await
        .map_err(failed)?;
    rows.iter()
        .map(|row| {
            Ok(Technology {
                name: get(row, "name")?,
                version: get(row, "version")?,
                category: get(row, "category")?,
            })
        })
        .collect()
}

/// The newest requests of a record.
pub(super) async fn newest(pool: &Pool, record: Uuid, limit: i64) -> Result<Vec<StoredRequest>> {
    let rows = sqlx::query(
        "SELECT * FROM request_metadata WHERE record_id = $1 ORDER BY id DESC LIMIT $2",
    )
    .bind(record)
    .bind(limit)
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    rows.iter()
        .map(|row| {
            let json = |name| {
                let text: Option<&str> = row.try_get(name).map_err(failed)?;
                text.map(from_json).transpose()
            };
            Ok(StoredRequest {
                id: get(row, "id")?,
                target_url: get(row, "target_url")?,
                method: get(row, "request_method")?,
                response_status: rows::count(row, "response_status")?,
                response_time_ms: get(row, "response_time_ms")?,
                user_agent: get(row, "user_agent")?,
                request_headers: json("request_headers")?,
                response_headers: json("response_headers")?,
                javascript: json("javascript")?,
                created_at: time(get(row, "created_at")?)?,
            })
        })
        .collect()
}
