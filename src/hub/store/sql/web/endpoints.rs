//! Endpoints that pages and scripts name.

use std::collections::HashSet;

use serde_json::json;
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::super::dialect::{Conn, Db, DbRow};
use super::super::listing::Listing;
use super::super::results::digest;
use super::super::rows::{from_json, get, time, to_json};
use super::{BATCH, Difference, Sighting, Table, execute, of_keys, only_older, with_room};
use crate::api::{SpiderEndpoint, WebEndpoint};
use crate::hub::store::{Result, WebQuery};

const TABLE: Table = Table {
    name: "web_endpoints",
    key: "endpoint_key",
};

struct Keyed<'a> {
    key: Vec<u8>,
    endpoint: &'a SpiderEndpoint,
    parameters: String,
}

/// Stores endpoints; those that are new.
pub(super) async fn store(
    c: &mut Conn,
    seen: Sighting<'_>,
    endpoints: &[SpiderEndpoint],
) -> Result<Vec<Difference>> {
    let mut all = Vec::with_capacity(endpoints.len());
    let mut once = HashSet::with_capacity(endpoints.len());
    for endpoint in endpoints {
        let key = digest(&[&endpoint.method, &endpoint.url]);
        if once.insert(key.clone()) {
            all.push(Keyed {
                key,
                endpoint,
                parameters: to_json(&endpoint.parameters)?,
            });
        }
    }
    let keys = all.iter().map(|one| one.key.clone()).collect();
    let room = with_room(c, TABLE, seen.record, keys).await?;
    all.retain(|one| room.contains(&one.key));
    let mut differences = Vec::new();
    for batch in all.chunks(BATCH) {
        let keys: Vec<_> = batch.iter().map(|one| one.key.clone()).collect();
        let select = "SELECT endpoint_key FROM web_endpoints";
        let mut known = HashSet::new();
        for row in of_keys(c, select, TABLE, seen.record, &keys).await? {
            known.insert(get::<Vec<u8>>(&row, "endpoint_key")?);
        }
        let new = batch.iter().filter(|one| !known.contains(&one.key));
        differences.extend(new.map(|one| added(one.endpoint)));
        insert(c, seen, batch).await?;
    }
    Ok(differences)
}

fn added(endpoint: &SpiderEndpoint) -> Difference {
    let SpiderEndpoint { url, method, .. } = endpoint;
    Difference {
        kind: "endpoint_added",
        subject: format!("{method} {url}").trim().to_owned(),
        before: None,
        after: Some(json!({
            "source": endpoint.source, "kind": endpoint.kind, "parameters": endpoint.parameters,
        })),
    }
}

async fn insert(c: &mut Conn, seen: Sighting<'_>, batch: &[Keyed<'_>]) -> Result<()> {
    let mut insert = QueryBuilder::<Db>::new(
        "INSERT INTO web_endpoints (id, record_id, endpoint_key, url, method, parameters, source,
             kind, run, first_seen_at, last_seen_at) ",
    );
    insert.push_values(batch, |mut row, one| {
        row.push_bind(Uuid::now_v7())
            .push_bind(seen.record)
            .push_bind(&one.key)
            .push_bind(&one.endpoint.url)
            .push_bind(&one.endpoint.method)
            .push_bind(&one.parameters)
            .push_bind(&one.endpoint.source)
            .push_bind(&one.endpoint.kind)
            .push_bind(seen.run)
            .push_bind(seen.at)
            .push_bind(seen.at);
    });
    if seen.late {
        only_older(&mut insert, TABLE);
    } else {
        insert.push(
            " ON CONFLICT (record_id, endpoint_key) DO UPDATE
             SET parameters = CASE WHEN excluded.parameters = '[]' THEN web_endpoints.parameters
                                   ELSE excluded.parameters END,
                 source = excluded.source, kind = excluded.kind, run = excluded.run,
                 last_seen_at = excluded.last_seen_at",
        );
    }
    execute(c, insert).await
}

pub(super) fn listed(query: &WebQuery) -> Listing<'_> {
    let contains = query.contains.as_deref();
    Listing {
        size: "octet_length(url) + octet_length(parameters) + octet_length(source)",
        equal: vec![("method", query.method.as_deref())],
        contains: contains.map(|text| ("url || ' ' || parameters || ' ' || source", text)),
        ..super::listing("web_endpoints", query)
    }
}

pub(super) fn endpoint(row: &DbRow) -> Result<WebEndpoint> {
    Ok(WebEndpoint {
        id: get(row, "id")?,
        eggrecord_id: get(row, "record_id")?,
        url: get(row, "url")?,
        method: get(row, "method")?,
        parameters: from_json(get(row, "parameters")?)?,
        source: get(row, "source")?,
        kind: get(row, "kind")?,
        first_seen_at: time(get(row, "first_seen_at")?)?,
        last_seen_at: time(get(row, "last_seen_at")?)?,
    })
}
