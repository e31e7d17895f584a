//! Lists of findings.

use super::super::dialect::Pool;
use super::super::listing::{self, Condition, Listing, Of};
use super::super::rows::micros;
use super::finding;
use crate::api::RiskLevel;
use crate::hub::store::{FindingPage, FindingQuery, Result};

/// One page: in the order of ids, which grow with time, or of priorities.
pub(in super::super) async fn page(pool: &Pool, query: &FindingQuery) -> Result<FindingPage> {
    let (items, next) = listing::ranked(pool, listed(query), finding).await?;
    Ok(FindingPage {
        items,
        next: next.map(|place| place.id),
        next_priority: next.and_then(|place| place.rank),
    })
}

pub(in super::super::super) fn listed(query: &FindingQuery) -> Listing<'_> {
    let texts = [
        ("cve", query.cve.as_deref()),
        ("severity", query.severity.map(RiskLevel::as_str)),
        ("type", query.kind.as_deref()),
        ("status", query.status.as_deref()),
        ("category", query.category.as_deref()),
    ];
    let given = texts.into_iter().filter(|(_, value)| value.is_some());
    // The first of these has an index with the id, and only the status one with the priority.
    let (equal, others): (Vec<_>, Vec<_>) =
        given.partition(|(column, _)| match query.by_priority {
            true => *column == "status",
            false => matches!(*column, "cve" | "severity" | "type"),
        });
    let others = others.into_iter();
    let mut more: Vec<_> = others
        .filter_map(|(column, value)| Some(Condition::Is(column, value?)))
        .collect();
    if let Some(least) = query.min_severity {
        let all = RiskLevel::ALL.into_iter().filter(|level| *level >= least);
        more.push(Condition::OneOf(
            "severity",
            all.map(RiskLevel::as_str).collect(),
        ));
    }
    let since = query.since.map(micros);
    more.extend(since.map(|time| Condition::AtLeast("first_seen_at", time)));
    more.extend(query.kev.then_some(Condition::Holds("kev")));
    more.extend(query.group.as_deref().map(Condition::InGroup));
    Listing {
        table: "findings",
        columns: "*",
        size: "octet_length(evidence)",
        of: Of {
            target: query.target.as_deref(),
            record_id: query.record_id,
            keyed: None,
        },
        equal,
        more,
        rank: query.by_priority.then_some("priority"),
        after: query.before,
        after_rank: query.before_priority,
        oldest_first: query.oldest_first,
        limit: query.limit,
        ..Listing::default()
    }
}
