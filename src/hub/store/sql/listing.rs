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
    /// More that must hold; no index helps with it.
    pub(in super::super) more: Vec<Condition<'a>>,
    /// The rows of the highest number in this column come first, then the newest: there is an index on the
    /// first column of `equal`, if it is given, on this one and the id.
    pub(in super::super) rank: Option<&'static str>,
    /// Go on after this one.
    pub(in super::super) after: Option<Uuid>,
    /// Its rank.
    pub(in super::super) after_rank: Option<f64>,
    pub(in super::super) oldest_first: bool,
    pub(in super::super) limit: u32,
}

/// What must hold of a row.
#[derive(Debug, Clone)]
pub(in super::super) enum Condition<'a> {
    /// A column has this value.
    Is(&'static str, &'a str),
    /// A column has one of these.
    OneOf(&'static str, Vec<&'static str>),
    /// A column has this number or more.
    AtLeast(&'static str, i64),
    /// A column says yes.
    Holds(&'static str),
    /// Its record is of this group.
    InGroup(&'a str),
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
    More(&'a Condition<'a>),
    /// Not beyond this one.
    UpTo(Place),
}

/// A row, as far as the order goes.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Place {
    pub(in super::super) id: Uuid,
    pub(in super::super) rank: Option<f64>,
}

impl Place {
    fn of(row: &DbRow, list: &Listing<'_>) -> Result<Self> {
        let rank = match list.rank {
            Some(_) => Some(get(row, "rank")?),
            None => None,
        };
        let id = get(row, "id")?;
        Ok(Self { id, rank })
    }
}

/// One page.
pub(super) async fn page<T>(
    pool: &Pool,
    list: Listing<'_>,
    read: fn(&DbRow) -> Result<T>,
) -> Result<Page<T>> {
    let (items, next) = ranked(pool, list, read).await?;
    Ok(Page {
        items,
        next: next.map(|place| place.id),
    })
}

/// One page, and where the next one begins.
pub(super) async fn ranked<T>(
    pool: &Pool,
    mut list: Listing<'_>,
    read: fn(&DbRow) -> Result<T>,
) -> Result<(Vec<T>, Option<Place>)> {
    let mut c = pool.acquire().await.map_err(failed)?;
    list.of.find_key(&mut c).await?;
    let end = match list.window() {
        Some(window) => last_of(&mut c, &list, window).await?,
        None => None,
    };
    let mut ids = list.ids(end);
    let found = ids.build().persistent(false).fetch_all(&mut *c).await;
    let found = found.map_err(failed)?;
    let (mut places, mut bytes) = (Vec::<Place>::new(), 0_i64);
    for row in found.iter().take(list.limit as usize) {
        places.push(Place::of(row, &list)?);
        bytes = bytes.saturating_add(get(row, "size")?);
        if bytes >= PAGE_BYTES {
            break;
        }
    }
    let next = match places.last() {
        Some(last) if places.len() < found.len() => Some(*last),
        _ => end,
    };
    let ids: Vec<_> = places.iter().map(|place| place.id).collect();
    let items = rows_of(&mut c, &list, &ids).await?;
    let items = items.iter().map(read).collect::<Result<_>>()?;
    Ok((items, next))
}

/// The last row of a window; none when it reaches the end of the list.
async fn last_of(
    c: &mut Conn,
    list: &Listing<'_>,
    mut window: QueryBuilder<Db>,
) -> Result<Option<Place>> {
    let found = window.build().persistent(false).fetch_optional(c).await;
    let found = found.map_err(failed)?;
    found.as_ref().map(|row| Place::of(row, list)).transpose()
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
    query.push(")");
    list.order(&mut query);
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
            .chain(self.more.iter().map(Filter::More))
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
        self.range(&mut query, &self.what("id"), by_index);
        query.push(" LIMIT 1 OFFSET ").push_bind(WINDOW - 1);
        Some(query)
    }

    fn has_index(&self) -> bool {
        self.equal.first().is_some_and(|(_, value)| value.is_some())
    }

    /// The ids of a page and one more, with the sizes of their rows.
    pub(in super::super) fn ids(&self, end: Option<Place>) -> QueryBuilder<Db> {
        let what = self.what(&format!("id, CAST({} AS bigint) AS size", self.size));
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
            query.push(")");
            self.order(&mut query);
            query.push(" LIMIT ").push_bind(limit);
            return query;
        }
        self.range(&mut query, &what, filters().collect());
        query.push(" LIMIT ").push_bind(limit);
        query
    }

    /// These columns, and the rank.
    fn what(&self, columns: &str) -> String {
        match self.rank {
            Some(rank) => format!("{columns}, {rank} AS rank"),
            None => columns.to_owned(),
        }
    }

    fn order(&self, query: &mut QueryBuilder<Db>) {
        query.push(" ORDER BY ");
        if let Some(rank) = self.rank {
            query.push(format_args!("{rank} DESC, "));
        }
        query.push(format_args!("id {}", self.way().1));
    }

    /// A place is before or beyond another.
    fn compare(&self, query: &mut QueryBuilder<Db>, than: &str, place: Place) {
        match (self.rank, place.rank) {
            (Some(rank), Some(value)) => query
                .push(format_args!(" AND ({rank}, id) {than} ("))
                .push_bind(value)
                .push(", ")
                .push_bind(place.id)
                .push(")"),
            _ => query
                .push(format_args!(" AND id {than} "))
                .push_bind(place.id),
        };
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
        query.push(format_args!(
            "SELECT {what} FROM {} WHERE 1 = 1",
            self.table
        ));
        if let Some(id) = self.after {
            let rank = self.after_rank;
            self.compare(query, self.way().0, Place { id, rank });
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
                Filter::More(condition) => condition.push(&mut *query, self.table),
                Filter::UpTo(end) => {
                    let within = if self.oldest_first { "<=" } else { ">=" };
                    self.compare(query, within, end);
                    &mut *query
                }
            };
        }
        self.order(query);
    }
}

impl Condition<'_> {
    /// A database must not take an index for one of these: the rows that it finds by it would have to be
    /// sorted, however many there are. So none is of a column alone.
    fn push<'q>(&self, query: &'q mut QueryBuilder<Db>, table: &str) -> &'q mut QueryBuilder<Db> {
        match self {
            Self::Is(column, value) => query
                .push(format_args!(" AND {column} || '' = "))
                .push_bind((*value).to_owned()),
            Self::OneOf(column, values) => {
                query.push(format_args!(" AND {column} || '' IN ("));
                let mut list = query.separated(", ");
                for value in values {
                    list.push_bind(*value);
                }
                query.push(")")
            }
            Self::AtLeast(column, number) => query
                .push(format_args!(" AND {column} + 0 >= "))
                .push_bind(*number),
            Self::Holds(column) => query.push(format_args!(" AND {column}")),
            Self::InGroup(group) => query
                .push(format_args!(
                    " AND EXISTS (SELECT 1 FROM egg_records AS e WHERE e.id = {table}.record_id
                                  AND e.eggname || '' = "
                ))
                .push_bind((*group).to_owned())
                .push(")"),
        }
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
