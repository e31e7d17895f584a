//! Networks, whose addresses become records when work comes to them.

use chrono::{DateTime, TimeDelta, Utc};
use ipnet::IpNet;
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::dialect::{Conn, Db, TURNS, failed};
use super::rows::{self, code, get, micros};
use super::{import, targets, work};
use crate::api::WorkKind;
use crate::hub::store::{
    AddressRange, Claim, Claimed, NewRecord, Reach, Record, Result, StoreError, address,
};

/// Addresses that become records at a time, at least: a statement costs more than a row.
const CHUNK: usize = 256;
/// Networks that share a chunk.
const SHARING: usize = 8;
/// Times that one claim takes addresses: those of overlapping networks may all have been done.
const ROUNDS: usize = 4;
/// A network of which nothing more is in reach is looked at again after this long.
const OUT_OF_REACH: TimeDelta = TimeDelta::hours(1);

/// Adds a network; its record is there.
pub(super) async fn add(c: &mut Conn, id: Uuid, net: IpNet) -> Result<()> {
    let range = AddressRange::of(net);
    let mut insert =
        QueryBuilder::<Db>::new("INSERT INTO networks (record_id, kind, next, last, turn) ");
    insert.push_values(targets::FIRST, |mut row, kind| {
        row.push_bind(id)
            .push_bind(code(kind))
            .push_bind(bytes(range.first))
            .push_bind(bytes(range.last))
            // Before those that had a turn.
            .push_bind(0_i64);
    });
    insert.push(" ON CONFLICT (record_id, kind) DO NOTHING");
    insert.build().execute(c).await.map(drop).map_err(failed)
}

/// The same, when its record is there: another of the same key may have been before it.
pub(super) async fn add_if_new(c: &mut Conn, id: Uuid, net: IpNet) -> Result<()> {
    let new = sqlx::query("SELECT 1 FROM egg_records WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut *c)
        .await
        .map_err(failed)?;
    match new {
        Some(_) => add(c, id, net).await,
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

/// Leases what is due; when that is too little, what networks have comes after it. What is due comes
/// first, so that a single host never waits for a network.
pub(super) async fn claim(c: &mut Conn, claim: &Claim, reach: &Reach) -> Result<Vec<Claimed>> {
    let mut claimed = work::claim(c, claim).await?;
    if !targets::FIRST.contains(&claim.kind) {
        return Ok(claimed);
    }
    for _ in 0..ROUNDS {
        let wanted = claim.limit as usize - claimed.len();
        if wanted == 0 || !expand(c, claim.kind, wanted, reach, claim.now).await? {
            break;
        }
        let rest = Claim {
            limit: u32::try_from(wanted).unwrap_or(claim.limit),
            ..claim.clone()
        };
        claimed.extend(work::claim(c, &rest).await?);
    }
    Ok(claimed)
}

/// Makes the next addresses of networks records that are due; false when no network has any.
async fn expand(
    c: &mut Conn,
    kind: WorkKind,
    wanted: usize,
    reach: &Reach,
    now: DateTime<Utc>,
) -> Result<bool> {
    let found = sqlx::query(TURNS)
        .bind(code(kind))
        .bind(micros(now))
        .bind(i64::try_from(SHARING).unwrap_or(i64::MAX))
        .fetch_all(&mut *c)
        .await
        .map_err(failed)?;
    if found.is_empty() {
        return Ok(false);
    }
    let turn: i64 = sqlx::query_scalar("SELECT max(turn) FROM networks WHERE kind = $1")
        .bind(code(kind))
        .fetch_one(&mut *c)
        .await
        .map(|max: Option<i64>| max.unwrap_or(0) + 1)
        .map_err(failed)?;
    let share = wanted.max(CHUNK).div_ceil(found.len());
    let mut records = Vec::with_capacity(share * found.len());
    for row in &found {
        let place = Place {
            next: number(get(row, "next")?)?,
            last: number(get(row, "last")?)?,
        };
        let network = rows::record(row)?;
        let (addresses, rest) = place.take(share, reach);
        move_on(c, &network, kind, turn, addresses.len(), rest, now).await?;
        records.extend(addresses.into_iter().map(|a| of_network(&network, a)));
    }
    add_due(c, kind, &records, now).await?;
    Ok(true)
}

/// What is left of a network.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Place {
    next: u128,
    last: u128,
}

impl Place {
    /// The next addresses that are allowed, and where to go on; `None` when that was all. What is
    /// not allowed is jumped over, but only together with an address that comes after it: a scope
    /// that is widened later still finds the end of the network where it was.
    fn take(self, most: usize, reach: &Reach) -> (Vec<u128>, Option<u128>) {
        let ahead = reach.not_now.iter().filter(|r| r.last >= self.next);
        let end = match ahead.map(|r| r.first).min() {
            Some(first) if first <= self.next => return (Vec::new(), Some(self.next)),
            Some(first) => self.last.min(first - 1),
            None => self.last,
        };
        let allowed = &reach.allowed;
        let from = allowed.partition_point(|range| range.last < self.next);
        let mut taken = Vec::new();
        for range in &allowed[from..] {
            let first = range.first.max(self.next);
            let last = range.last.min(end);
            if first > last || taken.len() == most {
                break;
            }
            taken.extend((first..=last).take(most - taken.len()));
        }
        let next = taken.last().map_or(Some(self.next), |address| {
            address.checked_add(1).filter(|next| *next <= self.last)
        });
        (taken, next)
    }
}

async fn move_on(
    c: &mut Conn,
    network: &Record,
    kind: WorkKind,
    turn: i64,
    taken: usize,
    next: Option<u128>,
    now: DateTime<Utc>,
) -> Result<()> {
    let wait_until = if taken == 0 { now + OUT_OF_REACH } else { now };
    sqlx::query(
        "UPDATE networks SET next = coalesce($3, next), turn = $4, wait_until = $5,
                             expanded = expanded + $6
         WHERE record_id = $1 AND kind = $2",
    )
    .bind(network.id)
    .bind(code(kind))
    .bind(next.map(bytes))
    .bind(next.map(|_| turn))
    .bind(micros(wait_until))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(nets: &[&str]) -> Vec<AddressRange> {
        let of = |net: &&str| AddressRange::of(net.parse().unwrap());
        nets.iter().map(of).collect()
    }

    fn reach(allowed: &[&str], not_now: &[&str]) -> Reach {
        Reach {
            allowed: ranges(allowed).into(),
            not_now: ranges(not_now),
        }
    }

    fn place(net: &str) -> Place {
        let AddressRange { first, last } = AddressRange::of(net.parse().unwrap());
        Place { next: first, last }
    }

    fn texts(taken: &[u128]) -> Vec<String> {
        taken.iter().map(|n| address(*n).to_string()).collect()
    }

    #[test]
    fn what_is_not_allowed_is_jumped_over() {
        let allowed = [
            "10.0.0.0/31",
            "10.128.0.0/31",
            "10.255.255.255/32",
            "11.0.0.0/8",
        ];
        let allowed = reach(&allowed, &[]);
        let all = place("10.0.0.0/8");
        let (taken, next) = all.take(3, &allowed);
        assert_eq!(texts(&taken), ["10.0.0.0", "10.0.0.1", "10.128.0.0"]);
        let rest = Place {
            next: next.unwrap(),
            ..all
        };
        let (taken, next) = rest.take(3, &allowed);
        assert_eq!(texts(&taken), ["10.128.0.1", "10.255.255.255"]);
        assert_eq!(next, None, "that was the last");
    }

    #[test]
    fn nothing_allowed_is_not_the_end() {
        let all = place("10.0.0.0/8");
        assert_eq!(
            all.take(3, &reach(&["11.0.0.0/8"], &[])),
            (vec![], Some(all.next))
        );
        assert_eq!(all.take(3, &Reach::default()), (vec![], Some(all.next)));
    }

    #[test]
    fn what_is_not_now_is_not_jumped_over() {
        let all = place("10.0.0.0/29");
        let reach = reach(&["10.0.0.0/8"], &["10.0.0.2/31", "9.0.0.0/8"]);
        let (taken, next) = all.take(9, &reach);
        assert_eq!(texts(&taken), ["10.0.0.0", "10.0.0.1"]);
        let next = next.unwrap();
        assert_eq!(address(next).to_string(), "10.0.0.2");
        let rest = Place { next, ..all };
        assert_eq!(rest.take(9, &reach), (vec![], Some(next)));
    }

    #[test]
    fn the_last_address_of_all_is_reached() {
        let all = reach(&["::/0"], &[]);
        let (taken, next) = place("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127").take(9, &all);
        assert_eq!((taken.len(), next), (2, None));
        let (taken, next) = place("2001:db8::/64").take(2, &all);
        assert_eq!(texts(&taken), ["2001:db8::", "2001:db8::1"]);
        assert!(next.is_some());
    }
}
