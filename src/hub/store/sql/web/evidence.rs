//! What an assessment reads of a record. Lists are in the order of their contents, never of chance.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, Row};
use uuid::Uuid;

use super::super::dialect::{Conn, DbRow, Pool, failed};
use super::super::rows::{code, count, from_json, get, time, to_json};
use super::super::{findings, spiders, targets};
use crate::api::{
    AssessedCms, AssessedPath, AssessedScan, AssessmentContext, PortCounts, SpiderEndpoint,
    SpiderForm, SpiderPage, WebExchange, WorkKind,
};
use crate::hub::store::Result;
use crate::hub::store::diff::Earlier;
use crate::hub::store::open_now::{Seen, open_now};

/// Bounds of the lists, as the wire type says.
const SCANS_MAX: i64 = 16;
const PORTS_MAX: usize = 2000;
const TECHNOLOGIES_MAX: usize = 500;
const CMS_MAX: i64 = 16;
const EXCHANGES_MAX: i64 = 1000;
const PAGES_MAX: i64 = 2000;
const FORMS_MAX: i64 = 500;
const ENDPOINTS_MAX: i64 = 1000;
const PATHS_MAX: i64 = 2000;
const FINDINGS_MAX: i64 = 500;
/// Bytes of each list, as JSON: agents read answers of 8 MiB at most.
const EXCHANGES_BYTES: usize = 3 << 20;
const LARGE_BYTES: usize = 1 << 20;
const SMALL_BYTES: usize = 1 << 19;
/// Bytes of a header that are told.
const HEADER_MAX: usize = 2000;
/// Headers of one answer that are told.
const HEADERS_MAX: usize = 64;

/// The runs of a spider whose answers are read, the newest few. One that does not say whether it came to
/// its end has, unless it tells of pages: then more of it is on its way.
///
/// Of runs before there was a list of them, the last.
const RUNS: &str = "WITH runs AS (
    SELECT * FROM (
        SELECT run, finished_at AS ended FROM web_runs
        WHERE record_id = $1 AND kind = $2
          AND finished_at >= coalesce(
              (SELECT max(finished_at) FROM web_runs
               WHERE record_id = $1 AND kind = $2 AND (complete OR complete IS NULL AND NOT pages)),
              0)
        ORDER BY finished_at DESC, id DESC LIMIT 4) AS listed
    UNION ALL
    SELECT * FROM (
        SELECT run, created_at AS ended FROM request_metadata
        WHERE record_id = $1 ORDER BY id DESC LIMIT 1) AS before
    WHERE NOT EXISTS (SELECT 1 FROM web_runs WHERE record_id = $1 AND kind = $2))";
/// Their answers, each request's newest. `CROSS` makes SQLite look for the request in each run, and not through
/// all answers that are newer.
const ANSWERS: &str = "runs JOIN request_metadata r ON r.record_id = $1 AND r.run = runs.run
    WHERE r.response_status > 0
      AND NOT EXISTS (
          SELECT 1 FROM runs AS later CROSS JOIN request_metadata n
          WHERE n.record_id = $1 AND n.run = later.run AND n.request_key = r.request_key
            AND n.response_status > 0 AND n.id > r.id)";

/// The answers that are told; of the record `$1`, by the kind of work `$2`, `$3` at most.
pub(in super::super::super) fn answers() -> String {
    format!(
        "{RUNS} SELECT r.*
         FROM (SELECT r.id AS id, runs.ended AS ended FROM {ANSWERS}
               ORDER BY runs.ended DESC, r.id LIMIT $3) AS a
         JOIN request_metadata r ON r.id = a.id ORDER BY a.ended DESC, a.id"
    )
}

/// What is read, and when the newest of it was seen.
struct Reader<'c> {
    c: &'c mut Conn,
    record: Uuid,
    newest: Option<DateTime<Utc>>,
    left_out: BTreeMap<String, u64>,
}

/// The context of a record; `None` when there is no such record.
pub(super) async fn of(pool: &Pool, id: Uuid) -> Result<Option<AssessmentContext>> {
    let Some(record) = targets::record(pool, id).await? else {
        return Ok(None);
    };
    let mut c = pool.acquire().await.map_err(failed)?;
    let mut reader = Reader {
        c: &mut c,
        record: id,
        newest: None,
        left_out: BTreeMap::new(),
    };
    let mut context = AssessmentContext {
        success: true,
        eggrecord_id: id,
        target: record.data.key,
        group: record.data.group,
        ip_address: record.data.ip_address,
        cidr: record.data.cidr,
        ..AssessmentContext::default()
    };
    reader.scans(&mut context).await?;
    reader.web(&mut context).await?;
    reader.enumerated(&mut context).await?;
    reader.findings(&mut context).await?;
    reader.bound("ports", &mut context.ports, LARGE_BYTES)?;
    reader.bound("technologies", &mut context.technologies, SMALL_BYTES / 2)?;
    reader.bound("exchanges", &mut context.exchanges, EXCHANGES_BYTES)?;
    reader.bound("pages", &mut context.pages, LARGE_BYTES)?;
    reader.bound("forms", &mut context.forms, SMALL_BYTES)?;
    reader.bound("endpoints", &mut context.endpoints, SMALL_BYTES)?;
    reader.bound("paths", &mut context.paths, SMALL_BYTES)?;
    reader.bound("findings", &mut context.findings, SMALL_BYTES)?;
    context.as_of = reader.newest.unwrap_or(record.created_at);
    context.left_out = reader.left_out;
    Ok(Some(context))
}

impl Reader<'_> {
    fn saw(&mut self, at: DateTime<Utc>) {
        self.newest = self.newest.max(Some(at));
    }

    /// Notes what there is no room for.
    fn left_out(&mut self, list: &str, all: usize, most: usize) {
        if let Some(more) = all.checked_sub(most).filter(|more| *more > 0) {
            let more = u64::try_from(more).unwrap_or(u64::MAX);
            self.left_out.insert(list.to_owned(), more);
        }
    }

    /// Cuts a list off where it gets too long to be told.
    fn bound<T: Serialize>(&mut self, list: &str, items: &mut Vec<T>, most: usize) -> Result<()> {
        let (mut bytes, mut fit) = (0, 0);
        for item in items.iter() {
            bytes += to_json(item)?.len() + 1;
            fit += usize::from(bytes <= most);
        }
        let cut = u64::try_from(items.len() - fit).unwrap_or(u64::MAX);
        if cut > 0 {
            *self.left_out.entry(list.to_owned()).or_default() += cut;
            items.truncate(fit);
        }
        Ok(())
    }

    /// Rows of a statement whose arguments are the record, a number and the most that are taken; one more
    /// than that is asked for, and the rest is counted by the other.
    async fn rows(
        &mut self,
        list: &str,
        select: &'static str,
        number: &'static str,
        argument: i64,
        most: i64,
    ) -> Result<Vec<DbRow>> {
        let mut rows = sqlx::query(select)
            .bind(self.record)
            .bind(argument)
            .bind(most + 1)
            .fetch_all(&mut *self.c)
            .await
            .map_err(failed)?;
        let most = usize::try_from(most).unwrap_or_default();
        if rows.len() > most {
            let all: i64 = sqlx::query_scalar(number)
                .bind(self.record)
                .bind(argument)
                .fetch_one(&mut *self.c)
                .await
                .map_err(failed)?;
            rows.truncate(most);
            self.left_out(list, usize::try_from(all).unwrap_or_default(), most);
        }
        Ok(rows)
    }

    async fn scans(&mut self, context: &mut AssessmentContext) -> Result<()> {
        let rows = sqlx::query(
            "SELECT n.* FROM nmap n
             WHERE n.record_id = $1 AND n.partial_seq IS NULL
               AND n.id = (SELECT l.id FROM nmap l
                           WHERE l.record_id = $1 AND l.scan_type = n.scan_type
                             AND l.partial_seq IS NULL
                           ORDER BY l.finished_at DESC, l.id DESC LIMIT 1)
             ORDER BY n.finished_at DESC, n.scan_type LIMIT $2",
        )
        .bind(self.record)
        .bind(SCANS_MAX)
        .fetch_all(&mut *self.c)
        .await
        .map_err(failed)?;
        let mut all = Vec::with_capacity(rows.len());
        for row in &rows {
            let scan = scan(row)?;
            self.saw(scan.finished_at);
            all.push(seen(row, &scan)?);
            context.scans.push(scan);
        }
        context.ports = open_now(all);
        self.left_out("ports", context.ports.len(), PORTS_MAX);
        context.ports.truncate(PORTS_MAX);
        Ok(())
    }

    /// Since when the newest run of a kind saw all that there is: what was not seen since then is gone.
    async fn whole(&mut self, kind: WorkKind) -> Result<i64> {
        let row = sqlx::query(
            "SELECT created_at, finished_at FROM web_runs
             WHERE record_id = $1 AND kind = $2 AND complete
             ORDER BY finished_at DESC, id DESC LIMIT 1",
        )
        .bind(self.record)
        .bind(code(kind))
        .fetch_optional(&mut *self.c)
        .await
        .map_err(failed)?;
        let Some(row) = row else {
            return Ok(0);
        };
        // Pages carry the end of their run, paths and findings the time of their delivery.
        let finished: i64 = get(&row, "finished_at")?;
        Ok(finished.min(get(&row, "created_at")?))
    }

    async fn web(&mut self, context: &mut AssessmentContext) -> Result<()> {
        let since = self.whole(WorkKind::KumoSpider).await?;
        self.technologies(context).await?;
        self.exchanges(context).await?;
        let select = "SELECT * FROM web_pages
             WHERE record_id = $1 AND gone_at IS NULL AND status > $2 ORDER BY depth, url LIMIT $3";
        let number = "SELECT count(*) FROM web_pages
             WHERE record_id = $1 AND gone_at IS NULL AND status > $2";
        for row in &self.rows("pages", select, number, 0, PAGES_MAX).await? {
            let page = super::pages::page(row)?;
            self.saw(page.last_seen_at);
            context.pages.push(SpiderPage {
                url: page.url,
                status: page.status,
                content_type: page.content_type,
                length: page.length,
                title: page.title,
                content_hash: page.content_hash,
                depth: page.depth,
                truncated: page.truncated,
            });
        }
        let select = "SELECT * FROM web_forms WHERE record_id = $1 AND last_seen_at >= $2
             ORDER BY page, action, method, form_key LIMIT $3";
        let number = "SELECT count(*) FROM web_forms WHERE record_id = $1 AND last_seen_at >= $2";
        for row in &self.rows("forms", select, number, since, FORMS_MAX).await? {
            let form = super::forms::form(row)?;
            self.saw(form.last_seen_at);
            context.forms.push(SpiderForm {
                page: form.page,
                method: form.method,
                action: form.action,
                enctype: form.enctype,
                inputs: form.inputs,
            });
        }
        let select = "SELECT * FROM web_endpoints WHERE record_id = $1 AND last_seen_at >= $2
             ORDER BY url, method LIMIT $3";
        let number =
            "SELECT count(*) FROM web_endpoints WHERE record_id = $1 AND last_seen_at >= $2";
        let rows = self.rows("endpoints", select, number, since, ENDPOINTS_MAX);
        for row in &rows.await? {
            let endpoint = super::endpoints::endpoint(row)?;
            self.saw(endpoint.last_seen_at);
            context.endpoints.push(SpiderEndpoint {
                url: endpoint.url,
                method: endpoint.method,
                parameters: endpoint.parameters,
                source: endpoint.source,
                kind: endpoint.kind,
            });
        }
        Ok(())
    }

    async fn technologies(&mut self, context: &mut AssessmentContext) -> Result<()> {
        let mut all = spiders::technologies_of(self.c, self.record).await?;
        self.left_out("technologies", all.len(), TECHNOLOGIES_MAX);
        all.truncate(TECHNOLOGIES_MAX);
        context.technologies = all;
        let newest: Option<i64> =
            sqlx::query_scalar("SELECT max(last_seen_at) FROM technologies WHERE record_id = $1")
                .bind(self.record)
                .fetch_one(&mut *self.c)
                .await
                .map_err(failed)?;
        if let Some(newest) = newest {
            self.saw(time(newest)?);
        }
        Ok(())
    }

    /// The answers of the last run that came to its end, and of those that broke off since: what they asked
    /// for again has their answer, and of the rest they say nothing.
    async fn exchanges(&mut self, context: &mut AssessmentContext) -> Result<()> {
        let kumo = code(WorkKind::KumoSpider);
        let rows = sqlx::query(AssertSqlSafe(answers()))
            .bind(self.record)
            .bind(kumo)
            .bind(EXCHANGES_MAX)
            .fetch_all(&mut *self.c)
            .await
            .map_err(failed)?;
        let count = format!("{RUNS} SELECT count(*) FROM {ANSWERS}");
        let all: i64 = sqlx::query_scalar(AssertSqlSafe(count))
            .bind(self.record)
            .bind(kumo)
            .fetch_one(&mut *self.c)
            .await
            .map_err(failed)?;
        let all = usize::try_from(all).unwrap_or_default();
        self.left_out("exchanges", all, rows.len());
        for row in &rows {
            let exchange = exchange(row)?;
            self.saw(exchange.at);
            context.exchanges.push(exchange);
        }
        Ok(())
    }

    async fn enumerated(&mut self, context: &mut AssessmentContext) -> Result<()> {
        let since = self.whole(WorkKind::SuzuEnum).await?;
        let select = "SELECT * FROM directory_enumeration
             WHERE record_id = $1 AND last_seen_at >= $2
               AND (path_status_code IS NULL OR path_status_code NOT IN (404, 410))
             ORDER BY priority_score DESC, discovered_path LIMIT $3";
        let number = "SELECT count(*) FROM directory_enumeration
             WHERE record_id = $1 AND last_seen_at >= $2
               AND (path_status_code IS NULL OR path_status_code NOT IN (404, 410))";
        for row in &self.rows("paths", select, number, since, PATHS_MAX).await? {
            self.saw(time(get(row, "last_seen_at")?)?);
            let status: Option<i64> = get(row, "path_status_code")?;
            context.paths.push(AssessedPath {
                path: get(row, "discovered_path")?,
                status: status.and_then(|status| u16::try_from(status).ok()),
                size: get(row, "path_content_length")?,
                content_type: get(row, "path_content_type")?,
            });
        }
        let rows = sqlx::query(
            "SELECT detected_cms, detected_cms_version, max(cms_detection_confidence) AS sure
             FROM directory_enumeration
             WHERE record_id = $1 AND last_seen_at >= $2 AND detected_cms IS NOT NULL
             GROUP BY detected_cms, detected_cms_version
             ORDER BY 3 DESC, 1, 2 LIMIT $3",
        )
        .bind(self.record)
        .bind(since)
        .bind(CMS_MAX)
        .fetch_all(&mut *self.c)
        .await
        .map_err(failed)?;
        for row in &rows {
            context.cms.push(AssessedCms {
                name: get(row, "detected_cms")?,
                version: get(row, "detected_cms_version")?,
                confidence: get::<Option<f64>>(row, "sure")?.unwrap_or_default(),
            });
        }
        Ok(())
    }

    /// Findings of others. A secret that the last whole crawl did not see is gone.
    async fn findings(&mut self, context: &mut AssessmentContext) -> Result<()> {
        let since = self.whole(WorkKind::KumoSpider).await?;
        let select = "SELECT * FROM findings
             WHERE record_id = $1 AND status = 'open' AND coalesce(discovered_by, '') <> 'ryu'
               AND (type <> 'exposed_secret' OR last_seen_at >= $2)
             ORDER BY CASE severity WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2
                                    WHEN 'low' THEN 3 ELSE 4 END, id LIMIT $3";
        let number = "SELECT count(*) FROM findings
             WHERE record_id = $1 AND status = 'open' AND coalesce(discovered_by, '') <> 'ryu'
               AND (type <> 'exposed_secret' OR last_seen_at >= $2)";
        let rows = self.rows("findings", select, number, since, FINDINGS_MAX);
        for row in &rows.await? {
            let finding = findings::finding(row)?;
            self.saw(finding.last_seen_at);
            context.findings.push(finding);
        }
        Ok(())
    }
}

fn scan(row: &DbRow) -> Result<AssessedScan> {
    let address: Option<&str> = row.try_get("ip_address").map_err(failed)?;
    Ok(AssessedScan {
        id: get(row, "id")?,
        scan_type: get(row, "scan_type")?,
        finished_at: time(get(row, "finished_at")?)?,
        ports_scanned: count(row, "ports_scanned")?,
        ip_address: address.and_then(|address| address.parse().ok()),
        hostname: get(row, "hostname")?,
    })
}

fn seen(row: &DbRow, scan: &AssessedScan) -> Result<Seen> {
    let known: Option<&str> = row.try_get("known").map_err(failed)?;
    let udp: Option<&str> = row.try_get("udp_counts").map_err(failed)?;
    let udp: Option<PortCounts> = udp.map(from_json).transpose()?;
    let counts: PortCounts = from_json(get(row, "port_counts")?)?;
    let rest: Value = from_json(get(row, "result")?)?;
    Ok(Seen {
        scan_type: scan.scan_type.clone(),
        finished_at: scan.finished_at,
        found: Earlier {
            open_ports: from_json(get(row, "open_ports")?)?,
            known: known.map(from_json).transpose()?.unwrap_or_default(),
            ports_scanned: scan.ports_scanned,
            scan_command: get(row, "scan_command")?,
        },
        whole: rest["incomplete"] != true && counts.unreachable == 0,
        udp: udp.is_none_or(|udp| udp.unreachable == 0),
    })
}

fn exchange(row: &DbRow) -> Result<WebExchange> {
    let json = |column| -> Result<Option<&str>> { row.try_get(column).map_err(failed) };
    let headers: Option<Map<String, Value>> =
        json("response_headers")?.map(from_json).transpose()?;
    let headers = headers.unwrap_or_default().into_iter();
    Ok(WebExchange {
        url: get(row, "target_url")?,
        method: get(row, "request_method")?,
        status: count(row, "response_status")?,
        headers: headers.filter_map(header).take(HEADERS_MAX).collect(),
        seen: json("signs")?
            .map(from_json)
            .transpose()?
            .unwrap_or_default(),
        at: time(get(row, "created_at")?)?,
    })
}

/// A header as it is told; cookies are among the signs.
fn header((name, value): (String, Value)) -> Option<(String, String)> {
    let name = name.to_ascii_lowercase();
    let mut value = match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    value.truncate(value.floor_char_boundary(HEADER_MAX));
    (name != "set-cookie").then_some((name, value))
}
