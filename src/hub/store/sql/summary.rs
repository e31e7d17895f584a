//! All that is known of a record.

use uuid::Uuid;

use super::dialect::{Pool, failed};
use super::{assessments, enumerations, findings, rows, scans, spiders, targets, web};
use crate::hub::store::{AssessmentQuery, FindingQuery, Result, ScanQuery, Summary, SummaryCounts};

/// Newest of each kind that a summary shows.
const NEWEST: u32 = 100;
/// Newest runs that it shows.
const RUNS: i64 = 20;

/// The summary of a record; `None` when there is no such record.
pub(super) async fn of(pool: &Pool, id: Uuid) -> Result<Option<Summary>> {
    let Some(record) = targets::record(pool, id).await? else {
        return Ok(None);
    };
    let scans = ScanQuery {
        limit: NEWEST,
        record_id: Some(id),
        ..ScanQuery::default()
    };
    let assessment = AssessmentQuery {
        limit: 1,
        record_id: Some(id),
        ..AssessmentQuery::default()
    };
    let findings = FindingQuery {
        limit: NEWEST,
        record_id: Some(id),
        ..FindingQuery::default()
    };
    let technologies = {
        let mut c = pool.acquire().await.map_err(failed)?;
        spiders::technologies_of(&mut c, id).await?
    };
    Ok(Some(Summary {
        record,
        scans: scans::list(pool, &scans).await?.items,
        requests: spiders::newest(pool, id, i64::from(NEWEST)).await?,
        assessment: assessments::list(pool, &assessment).await?.items.pop(),
        technologies,
        paths: enumerations::best(pool, id, i64::from(NEWEST)).await?,
        findings: findings::page(pool, &findings).await?.items,
        web_runs: web::newest_runs(pool, id, RUNS).await?,
        counts: counts(pool, id).await?,
    }))
}

async fn counts(pool: &Pool, id: Uuid) -> Result<SummaryCounts> {
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM nmap WHERE record_id = $1)
                - (SELECT count(*) FROM nmap
                   WHERE record_id = $1 AND partial_seq IS NOT NULL) AS scans,
                (SELECT count(*) FROM request_metadata WHERE record_id = $1) AS requests,
                (SELECT count(*) FROM technologies WHERE record_id = $1) AS technologies,
                (SELECT count(*) FROM directory_enumeration WHERE record_id = $1) AS paths,
                (SELECT count(*) FROM findings
                 WHERE record_id = $1 AND type = 'exposed_secret') AS secrets,
                (SELECT CAST(coalesce(sum(endpoints), 0) AS bigint) FROM request_metadata
                 WHERE record_id = $1) AS endpoints",
    )
    .bind(id)
    .fetch_one(pool)
    .await
    .map_err(failed)?;
    Ok(SummaryCounts {
        scans: rows::count(&row, "scans")?,
        requests: rows::count(&row, "requests")?,
        technologies: rows::count(&row, "technologies")?,
        paths: rows::count(&row, "paths")?,
        secrets: rows::count(&row, "secrets")?,
        endpoints: rows::count(&row, "endpoints")?,
    })
}
