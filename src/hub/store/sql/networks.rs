//! Networks, whose addresses become records when work comes to them.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::dialect::{Conn, Db, TURNS, expand_alone, failed};
use super::place::Place;
use super::rows::{self, code, get, micros};
use super::set_aside::SetAside;
use super::{import, targets, work};
use crate::api::WorkKind;
use crate::hub::store::{
    AddressRange, Claim, Claimed, NewRecord, Reach, Record, Result, StoreError, address,
};

/// Addresses that become records at a time, at least: a statement costs more than a row.
const CHUNK: usize = 256;
/// Networks that share a chunk.
const SHARING: usize = 8;
/// Until when a network waits that takes no part.
const NEVER: i64 = i64::MAX;
/// Times that one claim takes addresses: those of overlapping networks may all have been done.
const ROUNDS: usize = 4;

/// Adds a network; its record is there.
pub(super) async fn add(
    c: &mut Conn,
    id: Uuid,
    net: IpNet,
    takes_part: bool,
    now: DateTime<Utc>,
) -> Result<()> {
    let range = AddressRange::of(net);
    let wait_until = if takes_part { micros(now) } else { NEVER };
    let mut insert = QueryBuilder::<Db>::new(
        "INSERT INTO networks (record_id, kind, next, last, turn, wait_until) ",
    );
    insert.push_values(targets::FIRST, |mut row, kind| {
        row.push_bind(id)
            .push_bind(code(kind))
            .push_bind(bytes(range.first))
            .push_bind(bytes(range.last))
            .push_bind(0_i64)
            .push_bind(wait_until);
    });
    insert.push(" ON CONFLICT (record_id, kind) DO NOTHING");
    insert.build().execute(c).await.map(drop).map_err(failed)
}

/// The same, when its record is there: another of the same key may have been before it.
pub(super) async fn add_if_new(
    c: &mut Conn,
    id: Uuid,
    net: IpNet,
    takes_part: bool,
    now: DateTime<Utc>,
) -> Result<()> {
    let new = sqlx::query("SELECT 1 FROM egg_records WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut *c)
        .await
        .map_err(failed)?;
    match new {
        Some(_) => add(c, id, net, takes_part, now).await,
        None => Ok(()),
    }
}

fn bytes(number: u128) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn number(bytes: &[u8]) -> Result<u128> {
    <[u8; 16]>::try_from(bytes)
        .map(u128::from_be_bytes)
        .map_err(|_| StoreError::Internal("an address of a network has not 16 bytes".to_owned()))
}

/// A network that takes no part has no turn.
pub(super) async fn set_aside(c: &mut Conn, id: Uuid) -> Result<()> {
    sqlx::query("UPDATE networks SET wait_until = $2 WHERE record_id = $1")
        .bind(id)
        .bind(NEVER)
        .execute(c)
        .await
        .map(drop)
        .map_err(failed)
}

/// One that takes part again has, after those that waited meanwhile.
pub(super) async fn resume(c: &mut Conn, id: Uuid, now: DateTime<Utc>) -> Result<()> {
    sqlx::query("UPDATE networks SET wait_until = $2 WHERE record_id = $1 AND wait_until = $3")
        .bind(id)
        .bind(micros(now))
        .bind(NEVER)
        .execute(c)
        .await
        .map(drop)
        .map_err(failed)
}

/// Networks around one that is set aside have jumped over it. When it goes, what is in it is theirs
/// again: they go back to it.
pub(super) async fn give_back(c: &mut Conn, net: IpNet) -> Result<()> {
    let around = std::iter::successors(net.supernet(), IpNet::supernet);
    let mut select = QueryBuilder::<Db>::new(
        "SELECT n.record_id, n.kind, n.next, n.last, n.turn, n.expanded
         FROM egg_records AS e CROSS JOIN networks AS n
         WHERE n.record_id = e.id AND e.target_key IN (",
    );
    let mut keys = select.separated(", ");
    // None is around everything.
    keys.push_bind(String::new());
    for net in around {
        keys.push_bind(net.to_string());
    }
    select.push(") ORDER BY n.record_id, n.kind");
    let found = select.build().fetch_all(&mut *c).await.map_err(failed)?;
    let AddressRange { first, .. } = AddressRange::of(net);
    for row in &found {
        let end = match get::<Option<i64>>(row, "turn")? {
            Some(_) => number(get(row, "next")?)?,
            None => number(get(row, "last")?)?.saturating_add(1),
        };
        let Some(passed) = end.checked_sub(first).filter(|passed| *passed > 0) else {
            continue;
        };
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        let expanded = get::<i64>(row, "expanded")?.saturating_sub(passed).max(0);
        sqlx::query(
            "UPDATE networks SET next = $3, turn = coalesce(turn, 0), expanded = $4
             WHERE record_id = $1 AND kind = $2",
        )
        .bind(get::<Uuid>(row, "record_id")?)
        .bind(get::<i64>(row, "kind")?)
        .bind(bytes(first))
        .bind(expanded)
        .execute(&mut *c)
        .await
        .map_err(failed)?;
    }
    Ok(())
}

/// Whether a network has addresses that are none of the records yet.
async fn any_turn(c: &mut Conn, claim: &Claim) -> Result<bool> {
    let found = sqlx::query(
        "SELECT 1 FROM networks WHERE kind = $1 AND turn IS NOT NULL AND wait_until <= $2 LIMIT 1",
    )
    .bind(code(claim.kind))
    .bind(micros(claim.now))
    .fetch_optional(c)
    .await
    .map_err(failed)?;
    Ok(found.is_some())
}

/// Leases what is due; when that is too little, what networks have comes after it ([`bring`]). What is
/// due comes first, so that a single host never waits for a network, but for the share of networks:
/// with more due than agents can do, they would never get on.
pub(super) async fn claim(
    c: &mut Conn,
    claim: &Claim,
    reach: &Reach,
    share: usize,
    set_aside: &SetAside,
) -> Result<Vec<Claimed>> {
    if !targets::FIRST.contains(&claim.kind) {
        return work::claim(c, claim, set_aside).await;
    }
    let reach = set_aside.out_of(reach);
    let limit = claim.limit as usize;
    let share = match share {
        0 => 0,
        share if any_turn(c, claim).await? => share,
        _ => 0,
    };
    let due = limit.saturating_sub(share);
    let mut claimed = work::claim(c, &at_most(claim, due), set_aside).await?;
    if claimed.len() == due && share > 0 {
        claimed.extend(fresh(c, claim, &reach, share, set_aside).await?);
        let rest = at_most(claim, limit - claimed.len());
        claimed.extend(work::claim(c, &rest, set_aside).await?);
    }
    Ok(claimed)
}

/// Whether networks may have what a claim did not find due.
pub(super) fn can_bring(claim: &Claim) -> bool {
    claim.limit > 0 && targets::FIRST.contains(&claim.kind)
}

/// Leases what networks bring. In a transaction of its own: it may wait for another hub that is at it,
/// which may wait for whoever holds the work of an address that both know.
pub(super) async fn bring(
    c: &mut Conn,
    claim: &Claim,
    reach: &Reach,
    set_aside: &SetAside,
) -> Result<Vec<Claimed>> {
    let reach = set_aside.out_of(reach);
    let mut claimed = Vec::new();
    for _ in 0..ROUNDS {
        let wanted = claim.limit as usize - claimed.len();
        if wanted == 0 {
            break;
        }
        let step = Step {
            waits: true,
            ..Step::of(wanted.max(CHUNK))
        };
        let made = expand(c, claim.kind, step, &reach, claim.now).await?;
        if made.is_none() {
            break;
        }
        claimed.extend(work::claim(c, &at_most(claim, wanted), set_aside).await?);
    }
    Ok(claimed)
}

fn at_most(claim: &Claim, limit: usize) -> Claim {
    Claim {
        limit: u32::try_from(limit).unwrap_or(claim.limit),
        ..claim.clone()
    }
}

/// Leases the next addresses of networks, past everything that is due.
async fn fresh(
    c: &mut Conn,
    claim: &Claim,
    reach: &Reach,
    share: usize,
    set_aside: &SetAside,
) -> Result<Vec<Claimed>> {
    let mut claimed = Vec::new();
    for round in 0..ROUNDS {
        let wanted = share - claimed.len();
        if wanted == 0 {
            break;
        }
        let step = match round {
            0 => Step::of(wanted),
            // All may have been done by way of another network.
            _ => Step::over_known(wanted),
        };
        let Some(keys) = expand(c, claim.kind, step, reach, claim.now).await? else {
            break;
        };
        claimed.extend(work::claim_among(c, claim, &keys, wanted, set_aside).await?);
    }
    Ok(claimed)
}

/// How many addresses are taken at once.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// Of at most so many networks.
    networks: usize,
    /// Addresses of all of them.
    addresses: usize,
    /// So many of them at most may be new to this kind of work, of each network.
    new: usize,
    /// Whether it waits for another hub that is at it.
    waits: bool,
}

impl Step {
    fn of(addresses: usize) -> Self {
        Self {
            networks: addresses.div_ceil(CHUNK / SHARING).min(SHARING),
            addresses,
            new: usize::MAX,
            waits: false,
        }
    }

    /// A long one over what is known already, to no more than so many that are not.
    fn over_known(new: usize) -> Self {
        Self {
            networks: 1,
            addresses: CHUNK.max(new),
            new,
            waits: false,
        }
    }
}

/// Makes the next addresses of networks records that are due, and gives their keys; `None` when no
/// network has any, or another hub is at it.
async fn expand(
    c: &mut Conn,
    kind: WorkKind,
    step: Step,
    reach: &Reach,
    now: DateTime<Utc>,
) -> Result<Option<Vec<String>>> {
    let found = sqlx::query(TURNS)
        .bind(code(kind))
        .bind(micros(now))
        .bind(i64::try_from(step.networks).unwrap_or(i64::MAX))
        .fetch_all(&mut *c)
        .await
        .map_err(failed)?;
    if found.is_empty() || !expand_alone(c, step.waits).await? {
        return Ok(None);
    }
    let share = step.addresses.div_ceil(found.len());
    let mut records = Vec::with_capacity(share * found.len());
    for row in &found {
        let place = Place {
            next: number(get(row, "next")?)?,
            last: number(get(row, "last")?)?,
        };
        let network = rows::record(row)?;
        let (mut addresses, mut rest) = place.take(share, reach);
        if let Some(end) = end_of_step(c, kind, &addresses, step.new).await? {
            addresses.truncate(end);
            rest = addresses.last().map(|address| address + 1);
        }
        let turn = Turn {
            number: get::<i64>(row, "turn")? + 1,
            wait_until: match addresses.len() {
                0 => place.wait_until(reach, now),
                _ => now,
            },
        };
        move_on(c, &network, kind, turn, addresses.len(), rest).await?;
        records.extend(addresses.into_iter().map(|a| of_network(&network, a)));
    }
    add_due(c, kind, &records, now).await?;
    Ok(Some(records.into_iter().map(|r| r.key).collect()))
}

/// After how many addresses there are enough new ones; `None` when there are not too many.
async fn end_of_step(
    c: &mut Conn,
    kind: WorkKind,
    addresses: &[u128],
    new: usize,
) -> Result<Option<usize>> {
    if addresses.len() <= new {
        return Ok(None);
    }
    let keys: Vec<_> = addresses.iter().map(|a| address(*a).to_string()).collect();
    let known: BTreeSet<_> = work::known_among(c, kind, &keys).await?;
    let new_ones = keys.iter().enumerate().filter(|(_, k)| !known.contains(*k));
    Ok(new_ones.map(|(n, _)| n).nth(new))
}

/// The next turn of a network.
#[derive(Debug, Clone, Copy)]
struct Turn {
    /// How many it had before: of two that began to wait at the same time, the one with fewer is
    /// before the other.
    number: i64,
    /// Since when it waits for it, or when it is looked at again.
    wait_until: DateTime<Utc>,
}

async fn move_on(
    c: &mut Conn,
    network: &Record,
    kind: WorkKind,
    turn: Turn,
    taken: usize,
    next: Option<u128>,
) -> Result<()> {
    sqlx::query(
        "UPDATE networks SET next = coalesce($3, next), turn = $4, wait_until = $5,
                             expanded = expanded + $6
         WHERE record_id = $1 AND kind = $2",
    )
    .bind(network.id)
    .bind(code(kind))
    .bind(next.map(bytes))
    .bind(next.map(|_| turn.number))
    .bind(micros(turn.wait_until))
    .bind(i64::try_from(taken).unwrap_or(i64::MAX))
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

fn of_network(network: &Record, number: u128) -> NewRecord {
    let address = address(number);
    NewRecord {
        key: address.to_string(),
        sub_domain: Some(address.to_string()),
        domainname: None,
        ip_address: Some(address),
        cidr: Some(network.data.key.clone()),
        group: network.data.group.clone(),
        projectegg: network.data.projectegg.clone(),
        alive: true,
    }
}

/// Adds records with work of one kind: what of another kind there is to do has its own turn, or the
/// fastest agents would pile up work for the slowest. An address that was a target before gets it,
/// too, unless it has it.
async fn add_due(
    c: &mut Conn,
    kind: WorkKind,
    records: &[NewRecord],
    now: DateTime<Utc>,
) -> Result<()> {
    // Ids, which decide between what is due at the same time, are in the order of addresses.
    let mut rows: Vec<_> = records.iter().map(|r| (Uuid::now_v7(), r)).collect();
    rows.sort_unstable_by(|(_, a), (_, b)| a.key.cmp(&b.key));
    for rows in rows.chunks(CHUNK) {
        import::insert(c, rows, now).await?;
        let mut insert =
            QueryBuilder::<Db>::new("INSERT INTO work (record_id, kind, due_at) SELECT id, ");
        insert.push_bind(code(kind));
        insert.push(", CASE WHEN alive AND NOT skip_scan THEN ");
        insert.push_bind(micros(now));
        insert.push(" END FROM egg_records WHERE target_key IN (");
        let mut keys = insert.separated(", ");
        for (_, record) in rows {
            keys.push_bind(&record.key);
        }
        insert.push(") ON CONFLICT (record_id, kind) DO NOTHING");
        insert.build().execute(&mut *c).await.map_err(failed)?;
    }
    Ok(())
}

/// Some of the records that the addresses of a network became, by id.
pub(super) async fn expanded(
    c: &mut Conn,
    network: Uuid,
    after: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Uuid>> {
    sqlx::query_scalar(
        "SELECT e.id FROM egg_records AS n JOIN egg_records AS e ON e.cidr = n.target_key
         WHERE n.id = $1 AND n.cidr = n.target_key AND e.id <> n.id AND e.id > $2
         ORDER BY e.id LIMIT $3",
    )
    .bind(network)
    .bind(after.unwrap_or_default())
    .bind(i64::from(limit))
    .fetch_all(c)
    .await
    .map_err(failed)
}

/// Stops a network and removes some of its addresses.
pub(super) async fn delete_expanded(c: &mut Conn, network: Uuid, limit: u32) -> Result<u64> {
    sqlx::query("DELETE FROM networks WHERE record_id = $1")
        .bind(network)
        .execute(&mut *c)
        .await
        .map_err(failed)?;
    sqlx::query(
        "DELETE FROM egg_records WHERE id IN (
             SELECT e.id FROM egg_records AS n JOIN egg_records AS e ON e.cidr = n.target_key
             WHERE n.id = $1 AND n.cidr = n.target_key AND e.id <> n.id LIMIT $2)",
    )
    .bind(network)
    .bind(i64::from(limit))
    .execute(c)
    .await
    .map(|done| done.rows_affected())
    .map_err(failed)
}
