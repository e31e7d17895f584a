//! Networks that take no part. Nor does any address in them, whichever way it came.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use sqlx::Row;

use super::dialect::{Conn, failed};
use crate::hub::store::{AddressRange, NewRecord, Reach, Result};

/// Word for word as in the index, which nothing else would find.
pub(in super::super) const SET_ASIDE: &str = "SELECT target_key FROM egg_records
     WHERE cidr = target_key AND (skip_scan OR NOT alive)";

/// So few are read anew by every claim.
const FEW: usize = 1000;
/// Reading many takes at most this share of the time.
const SHARE: u32 = 100;
/// But they are never older than this.
const AGE_MAX: Duration = Duration::from_secs(30);

/// Their addresses as last read, when there are many.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Remembered(Arc<Mutex<Option<Known>>>);

/// Until when they are good, and which they are.
type Known = (Instant, Arc<SetAside>);

impl Remembered {
    /// Those of this moment, or, when there are many, of one not long ago.
    pub(super) async fn get(&self, c: &mut Conn) -> Result<Arc<SetAside>> {
        let start = Instant::now();
        let known = self.slot().clone();
        if let Some((until, known)) = known
            && start < until
        {
            return Ok(known);
        }
        let found = Arc::new(SetAside::read(c).await?);
        if found.0.len() > FEW {
            let until = start + (start.elapsed() * SHARE).min(AGE_MAX);
            *self.slot() = Some((until, Arc::clone(&found)));
        }
        Ok(found)
    }

    /// There are others now.
    pub(super) fn forget(&self) {
        *self.slot() = None;
    }

    fn slot(&self) -> MutexGuard<'_, Option<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Their addresses, in order and without overlaps.
#[derive(Debug, Default)]
pub(in super::super) struct SetAside(Vec<AddressRange>);

impl SetAside {
    async fn read(c: &mut Conn) -> Result<Self> {
        let found = sqlx::query(SET_ASIDE).fetch_all(c).await.map_err(failed)?;
        let mut ranges = Vec::with_capacity(found.len());
        for row in &found {
            let key: &str = row.try_get("target_key").map_err(failed)?;
            ranges.extend(key.parse::<IpNet>().ok().map(AddressRange::of));
        }
        Ok(Self::new(ranges))
    }

    fn new(mut ranges: Vec<AddressRange>) -> Self {
        ranges.sort_unstable();
        // Of two networks that overlap, one is in the other.
        ranges.dedup_by(|inner, outer| outer.covers(*inner));
        Self(ranges)
    }

    /// Whether a record's address is one of them.
    pub(super) fn has(&self, record: &NewRecord) -> bool {
        let literal = || record.target()?.parse().ok();
        let Some(address) = record.ip_address.or_else(literal) else {
            return false;
        };
        let one = AddressRange::of(address.to_canonical().into());
        let at = self.0.partition_point(|range| range.last < one.first);
        self.0.get(at).is_some_and(|range| range.covers(one))
    }

    /// What is in reach beyond them.
    pub(super) fn out_of(&self, reach: &Reach) -> Reach {
        let mut rest = reach.clone();
        if self.0.is_empty() {
            return rest;
        }
        let mut free = Vec::with_capacity(reach.allowed.len());
        for range in reach.allowed.iter() {
            self.cut_out_of(*range, &mut free);
        }
        rest.allowed = Arc::from(free);
        rest
    }

    fn cut_out_of(&self, range: AddressRange, free: &mut Vec<AddressRange>) {
        let mut first = range.first;
        let from = self.0.partition_point(|aside| aside.last < first);
        for aside in &self.0[from..] {
            if aside.first > range.last {
                break;
            }
            if aside.first > first {
                let last = aside.first - 1;
                free.push(AddressRange { first, last });
            }
            match aside.last.checked_add(1) {
                Some(next) if next <= range.last => first = next,
                _ => return,
            }
        }
        let last = range.last;
        free.push(AddressRange { first, last });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(nets: &[&str]) -> Vec<AddressRange> {
        let range = |net: &&str| AddressRange::of(net.parse().unwrap());
        nets.iter().map(range).collect()
    }

    fn left(allowed: &[&str], aside: &[&str]) -> Vec<AddressRange> {
        let reach = Reach {
            allowed: ranges(allowed).into(),
            not_now: Vec::new(),
        };
        let rest = SetAside::new(ranges(aside)).out_of(&reach);
        rest.allowed.to_vec()
    }

    #[test]
    fn what_is_set_aside_is_cut_out() {
        assert_eq!(left(&["10.0.0.0/8"], &[]), ranges(&["10.0.0.0/8"]));
        assert_eq!(left(&["10.0.0.0/8"], &["10.0.0.0/7"]), []);
        let aside = ["10.0.0.6/32", "10.0.0.4/30", "10.0.0.0/32", "11.0.0.0/8"];
        let first = AddressRange {
            first: ranges(&["10.0.0.1/32"])[0].first,
            last: ranges(&["10.0.0.3/32"])[0].last,
        };
        assert_eq!(left(&["10.0.0.0/29", "::/127"], &aside)[0], first);
        assert_eq!(
            left(&["10.0.0.4/29", "::/127"], &["10.0.0.0/30"]),
            ranges(&["10.0.0.4/30", "::/127"])
        );
        assert_eq!(
            left(&["ffff::/16"], &["ffff:8000::/17"]),
            ranges(&["ffff::/17"])
        );
    }
}
