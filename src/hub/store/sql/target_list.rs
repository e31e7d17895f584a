//! Lists of targets.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::dialect::{Conn, Db, Pool, failed};
use super::listing::WINDOW;
use super::rows::{self, code, count, get, micros};
use crate::api::{NetworkProgress, Target, TargetWork, WorkKind};
use crate::hub::store::{AddressRange, Result, TargetPage, TargetQuery, TargetSort};

/// One page. What is asked for may be rare: then the page is that of a bounded number of targets, and
/// may be short, or empty, although there are more.
pub(super) async fn list(pool: &Pool, query: &TargetQuery) -> Result<TargetPage> {
    let mut c = pool.acquire().await.map_err(failed)?;
    let plan = Plan::of(&mut c, query).await?;
    let mut statement = plan.statement(query);
    let found = statement
        .build()
        // There are many combinations of filters; none is worth a prepared statement.
        .persistent(false)
        .fetch_all(&mut *c)
        .await
        .map_err(failed)?;
    let limit = query.limit as usize;
    let mut items = found
        .iter()
        .take(limit)
        .map(rows::target)
        .collect::<Result<Vec<_>>>()?;
    complete(&mut c, &mut items).await?;
    let last = items.last().map(|t| (t.id, t.target.clone()));
    let next = last.filter(|_| found.len() > limit).or(plan.end);
    let (next, next_key) = next.unzip();
    Ok(TargetPage {
        items,
        next,
        next_key,
    })
}

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Filter {
    Group(String),
    Project(String),
    Skipped,
    Asleep,
    Due(WorkKind, DateTime<Utc>),
    // No index finds these.
    Containing(String),
    Alive,
    NotSkipped,
}

impl Filter {
    /// Those that may find the least come first.
    fn all_of(query: &TargetQuery) -> Vec<Self> {
        let (mut indexed, mut others) = (Vec::new(), Vec::new());
        indexed.extend(query.group.clone().map(Self::Group));
        indexed.extend(query.project.clone().map(Self::Project));
        match query.skip_scan {
            Some(true) => indexed.push(Self::Skipped),
            Some(false) => others.push(Self::NotSkipped),
            None => {}
        }
        match query.alive {
            Some(true) => others.push(Self::Alive),
            Some(false) => indexed.push(Self::Asleep),
            None => {}
        }
        indexed.extend(query.due.map(|(kind, at)| Self::Due(kind, at)));
        others.extend(query.text.as_deref().map(containing).map(Self::Containing));
        indexed.extend(others);
        indexed
    }

    fn has_index(&self) -> bool {
        !matches!(self, Self::Containing(_) | Self::Alive | Self::NotSkipped)
    }

    /// Whether what it finds is in the order of ids.
    fn is_in_order(&self) -> bool {
        self.has_index() && !matches!(self, Self::Due(..))
    }

    /// Selects the ids of what it finds.
    fn select(&self, statement: &mut QueryBuilder<Db>) {
        if let Self::Due(kind, at) = self {
            // Its index has the priority between the kind and the time.
            statement.push("SELECT w.record_id FROM work AS w WHERE w.kind = ");
            statement.push_bind(code(*kind));
            statement.push(" AND w.priority IN (0, 1) AND w.due_at <= ");
            statement.push_bind(micros(*at));
            return;
        }
        statement.push("SELECT e.id FROM egg_records AS e WHERE 1 = 1");
        self.push(statement);
    }

    fn push(&self, statement: &mut QueryBuilder<Db>) {
        match self {
            Self::Group(group) => statement.push(" AND e.eggname = ").push_bind(group.clone()),
            Self::Project(project) => statement
                .push(" AND e.projectegg = ")
                .push_bind(project.clone()),
            // As their indexes have it.
            Self::Skipped => statement.push(" AND e.skip_scan"),
            Self::NotSkipped => statement.push(" AND NOT e.skip_scan"),
            Self::Asleep => statement.push(" AND NOT e.alive"),
            Self::Alive => statement.push(" AND e.alive"),
            Self::Due(kind, at) => {
                let work = " AND EXISTS (SELECT 1 FROM work AS w WHERE w.record_id = e.id";
                statement.push(work).push(" AND w.kind = ");
                statement.push_bind(code(*kind)).push(" AND w.due_at <= ");
                statement.push_bind(micros(*at)).push(")")
            }
            Self::Containing(pattern) => {
                statement.push(" AND (e.target_key LIKE ");
                statement.push_bind(pattern.clone());
                statement.push(" ESCAPE '\\' OR lower(e.eggname) LIKE ");
                statement.push_bind(pattern.clone()).push(" ESCAPE '\\')")
            }
        };
    }

    /// Whether it finds so few that they may all be looked at.
    async fn finds_few(&self, c: &mut Conn) -> Result<bool> {
        let mut statement = QueryBuilder::<Db>::new("SELECT count(*) FROM (");
        self.select(&mut statement);
        statement.push(" LIMIT ").push_bind(WINDOW + 1);
        statement.push(") AS found");
        let count = statement.build_query_scalar::<i64>().persistent(false);
        Ok(count.fetch_one(c).await.map_err(failed)? <= WINDOW)
    }
}

/// How one page is found, so that it takes a bounded time.
#[derive(Debug, Default)]
pub(in super::super) struct Plan {
    /// What its index finds.
    pub(in super::super) driver: Option<Filter>,
    /// That is few, in whatever order.
    pub(in super::super) few: bool,
    /// What each is looked at for.
    pub(in super::super) rest: Vec<Filter>,
    /// The last one (its id and key) that is looked at.
    pub(in super::super) end: Option<(Uuid, String)>,
}

impl Plan {
    async fn of(c: &mut Conn, query: &TargetQuery) -> Result<Self> {
        let mut rest = Filter::all_of(query);
        if query.id.is_some() || query.key.is_some() || rest.is_empty() {
            return Ok(Self {
                rest,
                ..Self::default()
            });
        }
        let by_id = matches!(query.sort, TargetSort::Created | TargetSort::Newest);
        let in_order = by_id && rest.first().is_some_and(Filter::is_in_order);
        if !in_order || rest.len() > 1 {
            for n in 0..rest.len() {
                if rest[n].has_index() && rest[n].finds_few(c).await? {
                    return Ok(Self {
                        driver: Some(rest.remove(n)),
                        few: true,
                        rest,
                        end: None,
                    });
                }
            }
        }
        let mut plan = Self {
            driver: in_order.then(|| rest.remove(0)),
            rest,
            ..Self::default()
        };
        if !plan.rest.is_empty() {
            plan.end = plan.window(c, query).await?;
        }
        Ok(plan)
    }

    /// The end of what this page looks at; none when that is the end of the list.
    async fn window(&self, c: &mut Conn, query: &TargetQuery) -> Result<Option<(Uuid, String)>> {
        let mut statement =
            QueryBuilder::<Db>::new("SELECT e.id, e.target_key FROM egg_records AS e WHERE 1 = 1");
        if let Some(driver) = &self.driver {
            driver.push(&mut statement);
        }
        self.range(&mut statement, query);
        statement.push(order(query.sort)).push(" LIMIT 1 OFFSET ");
        statement.push_bind(WINDOW - 1);
        let found = statement.build().persistent(false).fetch_optional(c).await;
        let found = found.map_err(failed)?;
        found
            .map(|row| Ok((get(&row, "id")?, get(&row, "target_key")?)))
            .transpose()
    }

    pub(in super::super) fn statement(&self, query: &TargetQuery) -> QueryBuilder<Db> {
        let limit = i64::from(query.limit) + 1;
        let mut statement = QueryBuilder::<Db>::new("SELECT e.* FROM egg_records AS e WHERE 1 = 1");
        if let Some(id) = query.id {
            statement.push(" AND e.id = ").push_bind(id);
        }
        if let Some(key) = &query.key {
            statement
                .push(" AND e.target_key = ")
                .push_bind(key.clone());
        }
        if let Some(driver) = &self.driver {
            // By itself a database may walk over all targets, as they are in order.
            statement.push(" AND e.id IN (");
            driver.select(&mut statement);
            if !self.few {
                self.range(&mut statement, query);
                statement.push(order(query.sort));
                let most = if self.rest.is_empty() { limit } else { WINDOW };
                statement.push(" LIMIT ").push_bind(most);
            }
            statement.push(")");
        }
        for filter in &self.rest {
            filter.push(&mut statement);
        }
        self.range(&mut statement, query);
        statement.push(order(query.sort));
        statement.push(" LIMIT ").push_bind(limit);
        statement
    }

    /// After the last page, and not beyond the end of this one.
    fn range(&self, statement: &mut QueryBuilder<Db>, query: &TargetQuery) {
        let (by_id, beyond, within) = match query.sort {
            TargetSort::Created => (true, ">", "<="),
            TargetSort::Newest => (true, "<", ">="),
            TargetSort::Target => (false, ">", "<="),
            TargetSort::TargetBackwards => (false, "<", ">="),
        };
        let end = self.end.as_ref().map(|(id, key)| (within, *id, key));
        if by_id {
            let after = query.after.map(|id| (beyond, id));
            for (than, id) in after.into_iter().chain(end.map(|(w, id, _)| (w, id))) {
                statement
                    .push(format_args!(" AND e.id {than} "))
                    .push_bind(id);
            }
        } else {
            let after = query.after_key.as_ref().map(|key| (beyond, key));
            for (than, key) in after.into_iter().chain(end.map(|(w, _, key)| (w, key))) {
                statement.push(format_args!(" AND e.target_key {than} "));
                statement.push_bind(key.clone());
            }
        }
    }
}

fn order(sort: TargetSort) -> &'static str {
    match sort {
        TargetSort::Created => " ORDER BY e.id ASC",
        TargetSort::Newest => " ORDER BY e.id DESC",
        TargetSort::Target => " ORDER BY e.target_key ASC",
        TargetSort::TargetBackwards => " ORDER BY e.target_key DESC",
    }
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
