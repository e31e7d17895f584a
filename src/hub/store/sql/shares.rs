//! The share of networks in what is leased.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::api::WorkKind;

/// Of so many records that are leased, one is an address that networks still have to bring.
const SHARE: u32 = 4;

/// What networks have a right to while there is more due than agents can do: a share of what is
/// leased, counted over all claims, for many a claim wants a single record.
#[derive(Debug, Default)]
pub(in super::super) struct Shares(Mutex<BTreeMap<WorkKind, u32>>);

impl Shares {
    /// How many of the records of a claim are to be addresses that were none before.
    pub(super) fn of(&self, kind: WorkKind, limit: u32) -> usize {
        let mut rests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = rests.entry(kind).or_default();
        let sum = rest.saturating_add(limit);
        *rest = sum % SHARE;
        (sum / SHARE).min(limit) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_what_is_leased_is_the_share_of_networks() {
        let shares = Shares::default();
        let kind = WorkKind::KazePortScan;
        let ones: Vec<_> = (0..8).map(|_| shares.of(kind, 1)).collect();
        assert_eq!(ones, [0, 0, 0, 1, 0, 0, 0, 1]);
        assert_eq!([shares.of(kind, 10), shares.of(kind, 10)], [2, 3]);
        assert_eq!([shares.of(kind, 1000), shares.of(kind, 0)], [250, 0]);
        assert_eq!(shares.of(WorkKind::KagePortScan, 3), 0, "each its own");
    }
}
