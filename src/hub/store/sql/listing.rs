//! Lists of what was found, a page at a time, in the order of their ids, which grow with time.
//!
//! However long a list is, a page of it is one range of an index, and however large its rows are, a
//! page has a bounded size. A filter that has no index looks at a bounded number of rows: then a page
//! may be short, or empty, although there are more.

use sqlx::QueryBuilder;
use uuid::Uuid;

use super::dialect::{Conn, Db, DbRow, Pool, failed};
use super::rows::get;
use crate::hub::store::{Page, Result};

/// Rows that one page looks at, at most, when what is asked for may be rare.
pub(super) const WINDOW: i64 = if cfg!(test) { 20 } else { 10_000 };
/// Bytes of one page, about: it ends with the row that reaches them.
const PAGE_BYTES: i64 = if cfg!(test) { 16 << 10 } else { 4 << 20 };

/// A list.
#[derive(Debug, Default)]
pub(in super::super) struct Listing<'a> {
    pub(in super::super) table: &'static str,
    /// Its columns that are read.
    pub(in super::super) columns: &'static str,
    /// The length of the long ones among them.
    pub(in super::super) size: &'static str,
    /// Of this target, by any of these.
    pub(in super::super) of: Of<'a>,
    /// Columns that must have a value; there is an index on the first one that is given, and the id.
    pub(in super::super) equal: Vec<(&'static str, Option<&'a str>)>,
    /// A column that must have this number.
    pub(in super::super) number: Option<(&'static str, i64)>,
    /// An expression that must contain this, in lower or upper case.
    pub(in super::super) contains: Option<(&'static str, &'a str)>,
    /// Of this time or later.
    pub(in super::super) since: Option<i64>,
    /// Go on after this one.
    pub(in super::super) after: Option<Uuid>,
    pub(in super::super) oldest_first: bool,
    pub(in super::super) limit: u32,
}

/// What chooses a target.
#[derive(Debug, Default, Clone, Copy)]
pub(in super::super) struct Of<'a> {
    /// Its key, or its name as scanned.
    pub(in super::super) target: Option<&'a str>,
    pub(in super::super) record_id: Option<Uuid>,
    /// The record that has this key.
    pub(in super::super) keyed: Option<Uuid>,
}

impl Of<'_> {
    fn is_everything(&self) -> bool {
        self.target.is_none() && self.record_id.is_none()
    }

    async fn find_key(&mut self, c: &mut Conn) -> Result<()> {
        if let Some(key) = self.target {
            self.keyed = sqlx::query_scalar("SELECT id FROM egg_records WHERE target_key = $1")
                .bind(key)
                .fetch_optional(c)
                .await
                .map_err(failed)?;
        }
        Ok(())
    }
}

/// What a row must be like.
enum Filter<'a> {
    Text(&'static str, &'a str),
    Id(&'static str, Uuid),
    Since(i64),
    Number(&'static str, i64),
    Contains(&'static str, &'a str),
    /// Not beyond this one.
    UpTo(Uuid),
}

/// One page.
pub(super) async fn page<T>(
    pool: &Pool,
    mut list: Listing<'_>,
    read: fn(&DbRow) -> Result<T>,
) -> Result<Page<T>> {
    let mut c = pool.acquire().await.map_err(failed)?;
    list.of.find_key(&mut c).await?;
    let end = match list.window() {
        Some(window) => last_of(&mut c, window).await?,
        None => None,
    };
    let mut ids = list.ids(end);
    let found = ids.build().persistent(false).fetch_all(&mut *c).await;
    let found = found.map_err(failed)?;
    let (mut ids, mut bytes) = (Vec::<Uuid>::new(), 0_i64);
    for row in found.iter().take(list.limit as usize) {
        ids.push(get(row, "id")?);
        bytes = bytes.saturating_add(get(row, "size")?);
        if bytes >= PAGE_BYTES {
            break;
        }
    }
    let next = match ids.last() {
        Some(last) if ids.len() < found.len() => Some(*last),
        _ => end,
    };
    let items = rows_of(&mut c, &list, &ids).await?;
    let items = items.iter().map(read).collect::<Result<_>>()?;
    Ok(Page { items, next })
}

/// The last row of a window; none when it reaches the end of the list.
async fn last_of(c: &mut Conn, mut window: QueryBuilder<Db>) -> Result<Option<Uuid>> {
    let query = window.build_query_scalar().persistent(false);
    query.fetch_optional(c).await.map_err(failed)
}

async fn rows_of(c: &mut Conn, list: &Listing<'_>, ids: &[Uuid]) -> Result<Vec<DbRow>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let Listing { columns, table, .. } = list;
    let mut query = QueryBuilder::<Db>::new(format!("SELECT {columns} FROM {table} WHERE id IN ("));
    let mut places = query.separated(", ");
    for id in ids {
        places.push_bind(*id);
    }
    query.push(format_args!(") ORDER BY id {}", list.way().1));
    let query = query.build().persistent(false);
    query.fetch_all(c).await.map_err(failed)
}

impl Listing<'_> {
    fn way(&self) -> (&'static str, &'static str) {
        if self.oldest_first {
            (">", "ASC")
        } else {
            ("<", "DESC")
        }
    }

    fn filters(&self) -> Vec<Filter<'_>> {
        let equal = self.equal.iter();
        let equal = equal.filter_map(|(column, value)| Some(Filter::Text(column, (*value)?)));
        equal
            .chain(self.since.map(Filter::Since))
            .chain(self.number.map(|(column, n)| Filter::Number(column, n)))
            .chain(self.contains.map(|(of, text)| Filter::Contains(of, text)))
            .collect()
    }

    /// Finds the end of what this page looks at, where that has to be bounded.
    fn window(&self) -> Option<QueryBuilder<Db>> {
        let filters = self.filters();
        let indexed = self.has_index();
        if !self.of.is_everything() || filters.len() == usize::from(indexed) {
            return None;
        }
        let mut query = QueryBuilder::new("");
        let by_index = filters.into_iter().take(usize::from(indexed)).collect();
        self.range(&mut query, "id", by_index);
        query.push(" LIMIT 1 OFFSET ").push_bind(WINDOW - 1);
        Some(query)
    }

    fn has_index(&self) -> bool {
        self.equal.first().is_some_and(|(_, value)| value.is_some())
    }

    /// The ids of a page and one more, with the sizes of their rows.
    pub(in super::super) fn ids(&self, end: Option<Uuid>) -> QueryBuilder<Db> {
        let what = format!("id, CAST({} AS bigint) AS size", self.size);
        let limit = i64::from(self.limit) + 1;
        let mut query = QueryBuilder::new("");
        let filters = || self.filters().into_iter().chain(end.map(Filter::UpTo));
        let mut ways = self.ways();
        if let Some(last) = ways.pop() {
            if ways.is_empty() {
                self.range(&mut query, &what, filters().chain([last]).collect());
                query.push(" LIMIT ").push_bind(limit);
                return query;
            }
            // Each way has an index of its own.
            query.push(format_args!(
                "SELECT {what} FROM {} WHERE id IN (",
                self.table
            ));
            ways.push(last);
            for (n, way) in ways.into_iter().enumerate() {
                query.push(if n == 0 {
                    "SELECT id FROM ("
                } else {
                    " UNION SELECT id FROM ("
                });
                self.range(&mut query, "id", filters().chain([way]).collect());
                query.push(" LIMIT ").push_bind(limit);
                query.push(format_args!(") AS way{n}"));
            }
            query.push(format_args!(") ORDER BY id {} LIMIT ", self.way().1));
            query.push_bind(limit);
            return query;
        }
        self.range(&mut query, &what, filters().collect());
        query.push(" LIMIT ").push_bind(limit);
        query
    }

    /// The ways to the rows of a target.
    fn ways(&self) -> Vec<Filter<'_>> {
        let mut records: Vec<_> = self.of.record_id.into_iter().chain(self.of.keyed).collect();
        records.dedup();
        let records = records.into_iter().map(|id| Filter::Id("record_id", id));
        let target = self.of.target.map(|target| Filter::Text("target", target));
        target.into_iter().chain(records).collect()
    }

    /// What these filters find after the last page, in order.
    fn range(&self, query: &mut QueryBuilder<Db>, what: &str, filters: Vec<Filter<'_>>) {
        let (beyond, order) = self.way();
        query.push(format_args!(
            "SELECT {what} FROM {} WHERE 1 = 1",
            self.table
        ));
        if let Some(after) = self.after {
            query
                .push(format_args!(" AND id {beyond} "))
                .push_bind(after);
        }
        for filter in filters {
            match filter {
                Filter::Text(column, value) => query
                    .push(format_args!(" AND {column} = "))
                    .push_bind(value.to_owned()),
                Filter::Id(column, id) => {
                    query.push(format_args!(" AND {column} = ")).push_bind(id)
                }
                Filter::Since(time) => query.push(" AND created_at >= ").push_bind(time),
                Filter::Number(column, n) => {
                    query.push(format_args!(" AND {column} = ")).push_bind(n)
                }
                Filter::Contains(of, text) => query
                    .push(format_args!(" AND lower({of}) LIKE "))
                    .push_bind(containing(text))
                    .push(" ESCAPE '\\'"),
                Filter::UpTo(end) => {
                    let within = if self.oldest_first { "<=" } else { ">=" };
                    query.push(format_args!(" AND id {within} ")).push_bind(end)
                }
            };
        }
        query.push(format_args!(" ORDER BY id {order}"));
    }
}

/// The pattern of LIKE for texts, in lower case, that contain this.
fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    // SQLite knows lower and upper case of ASCII only.
    for c in text.to_ascii_lowercase().chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}
