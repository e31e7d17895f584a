//! Forms. The same form on another page is a row of its own, but nothing new.

use std::collections::HashSet;

use serde_json::json;
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::super::dialect::{Conn, Db, DbRow};
use super::super::listing::Listing;
use super::super::results::digest;
use super::super::rows::{from_json, get, time, to_json};
use super::{BATCH, Difference, Sighting, Table, execute, of_keys, only_older, with_room};
use crate::api::{SpiderForm, WebForm};
use crate::hub::store::{Result, WebQuery};

const TABLE: Table = Table {
    name: "web_forms",
    key: "form_key",
};

/// For looking up shapes.
const SHAPES: Table = Table {
    name: "web_forms",
    key: "shape_key",
};

struct Keyed<'a> {
    key: Vec<u8>,
    shape: Vec<u8>,
    form: &'a SpiderForm,
    inputs: String,
}

/// Stores forms; those that are new.
pub(super) async fn store(
    c: &mut Conn,
    seen: Sighting<'_>,
    forms: &[SpiderForm],
) -> Result<Vec<Difference>> {
    let mut all = Vec::with_capacity(forms.len());
    let mut once = HashSet::with_capacity(forms.len());
    for form in forms {
        let shape = shape(form);
        let mut key = shape.clone();
        key.extend(digest(&[&form.page]));
        if once.insert(key.clone()) {
            all.push(Keyed {
                key,
                shape,
                form,
                inputs: to_json(&form.inputs)?,
            });
        }
    }
    let keys = all.iter().map(|one| one.key.clone()).collect();
    let room = with_room(c, TABLE, seen.record, keys).await?;
    all.retain(|one| room.contains(&one.key));
    let mut known = HashSet::new();
    let mut differences = Vec::new();
    for batch in all.chunks(BATCH) {
        let shapes: Vec<_> = batch.iter().map(|one| one.shape.clone()).collect();
        let select = "SELECT shape_key FROM web_forms";
        for row in of_keys(c, select, SHAPES, seen.record, &shapes).await? {
            known.insert(get::<Vec<u8>>(&row, "shape_key")?);
        }
        for one in batch {
            if known.insert(one.shape.clone()) {
                differences.push(added(one.form));
            }
        }
        insert(c, seen, batch).await?;
    }
    Ok(differences)
}

fn added(form: &SpiderForm) -> Difference {
    let names: Vec<_> = form.inputs.iter().map(|input| &input.name).collect();
    Difference {
        kind: "form_added",
        subject: format!("{} {}", form.method, form.action),
        before: None,
        after: Some(json!({ "page": form.page, "inputs": names })),
    }
}

/// What makes it the same form: values, as those of tokens, are others every time.
fn shape(form: &SpiderForm) -> Vec<u8> {
    let mut parts = vec![form.method.as_str(), &form.action];
    for input in &form.inputs {
        parts.extend([input.name.as_str(), &input.kind]);
    }
    digest(&parts)
}

async fn insert(c: &mut Conn, seen: Sighting<'_>, batch: &[Keyed<'_>]) -> Result<()> {
    let mut insert = QueryBuilder::<Db>::new(
        "INSERT INTO web_forms (id, record_id, form_key, shape_key, page, method, action, enctype,
             inputs, run, first_seen_at, last_seen_at) ",
    );
    insert.push_values(batch, |mut row, one| {
        row.push_bind(Uuid::now_v7())
            .push_bind(seen.record)
            .push_bind(&one.key)
            .push_bind(&one.shape)
            .push_bind(&one.form.page)
            .push_bind(&one.form.method)
            .push_bind(&one.form.action)
            .push_bind(&one.form.enctype)
            .push_bind(&one.inputs)
            .push_bind(seen.run)
            .push_bind(seen.at)
            .push_bind(seen.at);
    });
    if seen.late {
        only_older(&mut insert, TABLE);
    } else {
        insert.push(
            " ON CONFLICT (record_id, form_key) DO UPDATE
             SET enctype = excluded.enctype, inputs = excluded.inputs, run = excluded.run,
                 last_seen_at = excluded.last_seen_at",
        );
    }
    execute(c, insert).await
}

pub(super) fn listed(query: &WebQuery) -> Listing<'_> {
    let contains = query.contains.as_deref();
    Listing {
        size: "octet_length(inputs) + octet_length(page) + octet_length(action)",
        equal: vec![("method", query.method.as_deref())],
        contains: contains.map(|text| ("page || ' ' || action || ' ' || inputs", text)),
        ..super::listing("web_forms", query)
    }
}

pub(super) fn form(row: &DbRow) -> Result<WebForm> {
    Ok(WebForm {
        id: get(row, "id")?,
        eggrecord_id: get(row, "record_id")?,
        page: get(row, "page")?,
        method: get(row, "method")?,
        action: get(row, "action")?,
        enctype: get(row, "enctype")?,
        inputs: from_json(get(row, "inputs")?)?,
        first_seen_at: time(get(row, "first_seen_at")?)?,
        last_seen_at: time(get(row, "last_seen_at")?)?,
    })
}
