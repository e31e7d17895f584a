//! What an agent wants to know of a record before it begins.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row;
use url::{Host, Url};
use uuid::Uuid;

use super::super::dialect::{Conn, Pool, failed};
use super::super::rows::{code, from_json, get};
use super::super::{spiders, targets};
use super::learned;
use crate::api::{ScanPort, WebContext, WebPort, WorkKind};
use crate::hub::store::diff::Known;
use crate::hub::store::{PATHS_MAX, Record, Result};

/// Types of scans that are looked at.
const TYPES_MAX: i64 = 16;
/// Pages and requests that are looked at, of each.
const ROWS_MAX: i64 = 10_000;

/// The context of a record; `None` when there is no such record.
pub(super) async fn of(pool: &Pool, id: Uuid, enumerator: bool) -> Result<Option<WebContext>> {
    let Some(record) = targets::record(pool, id).await? else {
        return Ok(None);
    };
    let mut c = pool.acquire().await.map_err(failed)?;
    let technologies = spiders::technologies_of(&mut c, id).await?;
    let (mut paths, mut learned) = (Vec::new(), Vec::new());
    if enumerator {
        paths = seen_paths(&mut c, &record).await?;
        learned = learned::best(&mut c, &technologies).await?;
    }
    Ok(Some(WebContext {
        success: true,
        eggrecord_id: id,
        ports: WebPort::all_of(&open_ports(&mut c, id).await?),
        target: record.data.key,
        technologies,
        paths,
        learned,
    }))
}

/// The ports that the last scan of each type found open, or knows to be: of one that several know, what
/// the newest says that recognised its service.
async fn open_ports(c: &mut Conn, record: Uuid) -> Result<Vec<ScanPort>> {
    let types: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT scan_type FROM nmap WHERE record_id = $1 ORDER BY scan_type LIMIT $2",
    )
    .bind(record)
    .bind(TYPES_MAX)
    .fetch_all(&mut *c)
    .await
    .map_err(failed)?;
    let mut scans = Vec::with_capacity(types.len());
    for kind in types {
        let row = sqlx::query(
            "SELECT finished_at, open_ports, known FROM nmap
             WHERE record_id = $1 AND scan_type = $2 AND partial_seq IS NULL
             ORDER BY finished_at DESC, id DESC LIMIT 1",
        )
        .bind(record)
        .bind(kind)
        .fetch_optional(&mut *c)
        .await
        .map_err(failed)?;
        let Some(row) = row else { continue };
        let mut ports: Vec<ScanPort> = from_json(get(&row, "open_ports")?)?;
        let known: Option<&str> = row.try_get("known").map_err(failed)?;
        let known: Vec<Known> = known.map(from_json).transpose()?.unwrap_or_default();
        ports.extend(known.into_iter().map(Known::into_port));
        scans.push((get::<i64>(&row, "finished_at")?, ports));
    }
    scans.sort_by_key(|(ended, _)| std::cmp::Reverse(*ended));
    let mut best = BTreeMap::<(u16, String), ScanPort>::new();
    for port in scans.into_iter().flat_map(|(_, ports)| ports) {
        let known = best.entry((port.port, port.protocol.clone()));
        let known = known.or_insert_with(|| port.clone());
        let says_nothing = known.service.is_empty() || known.confidence < port.confidence;
        if says_nothing && !port.service.is_empty() {
            *known = port;
        }
    }
    Ok(best.into_values().collect())
}

/// Paths of the newest run of a spider that are there, without query, the shortest first.
async fn seen_paths(c: &mut Conn, record: &Record) -> Result<Vec<String>> {
    let run: Option<String> = sqlx::query_scalar(
        "SELECT coalesce(
             (SELECT run FROM web_runs WHERE record_id = $1 AND kind = $2
              ORDER BY finished_at DESC, id DESC LIMIT 1),
             (SELECT run FROM request_metadata WHERE record_id = $1 ORDER BY id DESC LIMIT 1))",
    )
    .bind(record.id)
    .bind(code(WorkKind::KumoSpider))
    .fetch_one(&mut *c)
    .await
    .map_err(failed)?;
    let Some(run) = run else {
        return Ok(Vec::new());
    };
    let urls: Vec<String> = sqlx::query_scalar(
        "SELECT url FROM (SELECT url FROM web_pages
                          WHERE record_id = $1 AND run = $2 AND gone_at IS NULL LIMIT $3) AS p
         UNION ALL
         SELECT target_url FROM (SELECT target_url FROM request_metadata
                          WHERE record_id = $1 AND run = $2
                            AND response_status NOT IN (0, 404, 410) LIMIT $3) AS r",
    )
    .bind(record.id)
    .bind(run)
    .bind(ROWS_MAX)
    .fetch_all(c)
    .await
    .map_err(failed)?;
    let paths: BTreeSet<_> = urls
        .iter()
        .filter_map(|url| path(record, url))
        .map(|path| (path.matches('/').count(), path))
        .collect();
    let shortest = paths.into_iter().take(PATHS_MAX);
    Ok(shortest.map(|(_, path)| path).collect())
}

/// The path of a URL, if it is the record's own: spiders read scripts of others, too.
fn path(record: &Record, url: &str) -> Option<String> {
    if url.starts_with('/') && !url.starts_with("//") {
        let end = url.find(['?', '#']).unwrap_or(url.len());
        return Some(url[..end].to_owned());
    }
    let url = Url::parse(url).ok()?;
    let own = match url.host()? {
        Host::Domain(name) => [&record.data.sub_domain, &record.data.domainname]
            .into_iter()
            .flatten()
            .any(|own| own.eq_ignore_ascii_case(name)),
        Host::Ipv4(address) => record.data.ip_address == Some(address.into()),
        Host::Ipv6(address) => record.data.ip_address == Some(address.into()),
    };
    own.then(|| url.path().to_owned())
}
