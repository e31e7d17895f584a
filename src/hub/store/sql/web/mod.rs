//! What spiders know of a site, and what enumerations have taught.
//!
//! A result of a spider is compared with what is known of its record, as scans are: the first run that
//! tells of pages (forms, endpoints) makes no changes of them, and neither does one that ended before
//! the last did. What is in the same run is compared once, in however many results it comes; the one
//! that says `complete` is the last of them.

mod context;
mod endpoints;
pub(in super::super) mod evidence;
mod forms;
mod learned;
mod pages;
mod runs;

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::SqlStore;
use super::dialect::{Conn, Db, failed};
use super::listing::{self, Listing, Of};
use super::results::change;
use super::rows::{get, micros};
use super::{changes, dialect};
use crate::api::{AssessmentContext, WebContext, WebEndpoint, WebForm, WebPage, WorkKind};
use crate::hub::store::{Delivered, Page, Result, Spider, WebQuery, WebStore};

pub(super) use learned::{forget as forget_learned, learn};
pub(super) use runs::{Told, make_due, newest as newest_runs, note as note_run};

/// Rows that one statement reads or inserts.
const BATCH: usize = 200;
/// Differences of one kind of thing in one result that are told one by one.
const SINGLE_MAX: usize = 100;
/// Differences that a summary names.
const EXAMPLES: usize = 5;
/// Pages, forms or endpoints of one record. A site that makes up new ones for ever fills no disk: what
/// is beyond is not stored until retention has made room.
const ROWS_MAX: usize = if cfg!(test) { 400 } else { 100_000 };

#[async_trait]
impl WebStore for SqlStore {
    async fn web_context(&self, record: Uuid, enumerator: bool) -> Result<Option<WebContext>> {
        context::of(&self.read, record, enumerator).await
    }

    async fn assessment_context(&self, record: Uuid) -> Result<Option<AssessmentContext>> {
        evidence::of(&self.read, record).await
    }

    async fn web_pages(&self, query: WebQuery) -> Result<Page<WebPage>> {
        listing::page(&self.read, pages::listed(&query), pages::page).await
    }

    async fn web_forms(&self, query: WebQuery) -> Result<Page<WebForm>> {
        listing::page(&self.read, forms::listed(&query), forms::form).await
    }

    async fn web_endpoints(&self, query: WebQuery) -> Result<Page<WebEndpoint>> {
        listing::page(&self.read, endpoints::listed(&query), endpoints::endpoint).await
    }
}

/// A list of one record.
fn listing<'a>(table: &'static str, query: &'a WebQuery) -> Listing<'a> {
    Listing {
        table,
        columns: "*",
        of: Of {
            record_id: Some(query.record_id),
            ..Of::default()
        },
        after: query.before,
        oldest_first: query.oldest_first,
        limit: query.limit,
        ..Listing::default()
    }
}

/// How what is in a result was seen.
#[derive(Clone, Copy)]
struct Sighting<'a> {
    record: Uuid,
    run: &'a str,
    /// When the run ended.
    at: i64,
    /// A later run was stored before it: what it shows was seen otherwise since.
    late: bool,
}

/// One difference.
struct Difference {
    kind: &'static str,
    subject: String,
    before: Option<Value>,
    after: Option<Value>,
}

/// Stores what a spider tells of pages, forms and endpoints, and tells of differences; whether there are
/// any.
pub(super) async fn take(c: &mut Conn, d: &Delivered<Spider>, spider: &Spider) -> Result<bool> {
    let facts = &spider.facts;
    let at = ended(facts.finished_at, d.now);
    let told = runs::Told {
        pages: spider.pages.is_some(),
        forms: spider.forms.is_some(),
        endpoints: spider.endpoints.is_some(),
    };
    let kind = WorkKind::KumoSpider;
    let earlier = runs::earlier(c, d, kind, &facts.run).await?;
    runs::note(c, d, kind, facts, told).await?;
    let seen = Sighting {
        record: d.record_id,
        run: &facts.run,
        at: micros(at),
        late: earlier.last.is_some_and(|last| last > micros(at)),
    };
    let mut differs = false;
    if let Some(found) = &spider.pages {
        let mut differences = pages::store(c, seen, found).await?;
        if facts.complete == Some(true) && !seen.late {
            differences.extend(pages::miss(c, seen).await?);
        }
        let compared = earlier.told.pages && !seen.late;
        differs |= tell(c, d, "pages", differences, compared).await?;
    }
    if let Some(found) = &spider.forms {
        let differences = forms::store(c, seen, found).await?;
        let compared = earlier.told.forms && !seen.late;
        differs |= tell(c, d, "forms", differences, compared).await?;
    }
    if let Some(found) = &spider.endpoints {
        let differences = endpoints::store(c, seen, found).await?;
        let compared = earlier.told.endpoints && !seen.late;
        differs |= tell(c, d, "endpoints", differences, compared).await?;
    }
    Ok(differs)
}

/// No run ended after it came: whose clock is ahead would else have the last word until then.
fn ended(finished_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
    finished_at.map_or(now, |at| at.min(now))
}

async fn tell(
    c: &mut Conn,
    d: &Delivered<Spider>,
    what: &str,
    differences: Vec<Difference>,
    compared: bool,
) -> Result<bool> {
    if !compared || differences.is_empty() {
        return Ok(false);
    }
    for one in summarised(what, differences) {
        let change = change(d, one.kind, &one.subject, one.before, one.after);
        changes::add(c, &change, d.now).await?;
    }
    Ok(true)
}

/// When many differ at once, one for each type says how many.
fn summarised(what: &str, all: Vec<Difference>) -> Vec<Difference> {
    if all.len() <= SINGLE_MAX {
        return all;
    }
    let mut kinds = BTreeMap::<_, Vec<String>>::new();
    for one in all {
        kinds.entry(one.kind).or_default().push(one.subject);
    }
    let of_kind = kinds.into_iter().map(|(kind, subjects)| {
        let count = subjects.len();
        let examples = &subjects[..count.min(EXAMPLES)];
        Difference {
            kind,
            subject: format!("{count} {what}"),
            before: None,
            after: Some(json!({ "count": count, "examples": examples })),
        }
    });
    of_kind.collect()
}

/// A table of what is known of sites.
#[derive(Clone, Copy)]
struct Table {
    name: &'static str,
    key: &'static str,
}

/// Of these keys those that may be stored: all, unless the record has too many already.
async fn with_room(
    c: &mut Conn,
    table: Table,
    record: Uuid,
    keys: Vec<Vec<u8>>,
) -> Result<HashSet<Vec<u8>>> {
    let Table { name, key } = table;
    let mut count =
        QueryBuilder::<Db>::new(format!("SELECT count(*) FROM {name} WHERE record_id = "));
    count.push_bind(record);
    let stored: i64 = count
        .build_query_scalar()
        .fetch_one(&mut *c)
        .await
        .map_err(failed)?;
    let room = ROWS_MAX.saturating_sub(usize::try_from(stored).unwrap_or_default());
    if keys.len() <= room {
        return Ok(keys.into_iter().collect());
    }
    let mut known = HashSet::new();
    for batch in keys.chunks(BATCH) {
        let columns = format!("SELECT {key} FROM {name}");
        for row in of_keys(c, &columns, table, record, batch).await? {
            known.insert(get::<Vec<u8>>(&row, key)?);
        }
    }
    let new: Vec<_> = keys.into_iter().filter(|k| !known.contains(k)).collect();
    known.extend(new.into_iter().take(room));
    Ok(known)
}

/// The rows of a record that have these keys.
async fn of_keys(
    c: &mut Conn,
    select: &str,
    table: Table,
    record: Uuid,
    keys: &[Vec<u8>],
) -> Result<Vec<dialect::DbRow>> {
    let mut query = QueryBuilder::<Db>::new(format!("{select} WHERE record_id = "));
    query.push_bind(record);
    query.push(format_args!(" AND {} IN (", table.key));
    let mut list = query.separated(", ");
    for key in keys {
        list.push_bind(key);
    }
    query.push(")");
    let query = query.build().persistent(false);
    query.fetch_all(c).await.map_err(failed)
}

/// What a result that comes late adds to what is known already.
fn only_older(insert: &mut QueryBuilder<Db>, table: Table) {
    let Table { name, key } = table;
    insert.push(format_args!(
        " ON CONFLICT (record_id, {key}) DO UPDATE
         SET first_seen_at = CASE WHEN excluded.first_seen_at < {name}.first_seen_at
                                  THEN excluded.first_seen_at ELSE {name}.first_seen_at END"
    ));
}

async fn execute(c: &mut Conn, mut query: QueryBuilder<Db>) -> Result<()> {
    let query = query.build().persistent(false);
    query.execute(c).await.map(drop).map_err(failed)
}
