//! How far a network is, and what comes next of it.

use chrono::{DateTime, TimeDelta, Utc};

use crate::hub::store::{Reach, Spared};

/// A network of which nothing more is in reach is looked at again after this long.
const OUT_OF_REACH: TimeDelta = TimeDelta::hours(1);

/// What is left of a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    /// The next address.
    pub(super) next: u128,
    /// The last one.
    pub(super) last: u128,
}

impl Place {
    /// The next addresses that are allowed, and where to go on; `None` when that was all. What is
    /// not allowed is jumped over, but only together with an address that comes after it: a scope
    /// that is widened later still finds the end of the network where it was.
    pub(super) fn take(self, most: usize, reach: &Reach) -> (Vec<u128>, Option<u128>) {
        let end = match self.spared(reach).map(|s| s.range.first).min() {
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

    /// What is left alone of what is left.
    fn spared(self, reach: &Reach) -> impl Iterator<Item = &Spared> {
        let in_it = move |s: &&Spared| s.range.last >= self.next && s.range.first <= self.last;
        reach.not_now.iter().filter(in_it)
    }

    /// When something may be in reach, of which nothing was.
    pub(super) fn wait_until(self, reach: &Reach, now: DateTime<Utc>) -> DateTime<Utc> {
        let again = now + OUT_OF_REACH;
        let ends = self.spared(reach).map(|s| s.until);
        ends.min().map_or(again, |end| end.clamp(now, again))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::store::{AddressRange, address};

    fn ranges(nets: &[&str]) -> Vec<AddressRange> {
        let of = |net: &&str| AddressRange::of(net.parse().unwrap());
        nets.iter().map(of).collect()
    }

    fn reach(allowed: &[&str], not_now: &[&str]) -> Reach {
        Reach {
            allowed: ranges(allowed).into(),
            not_now: ranges(not_now).into_iter().map(spared).collect(),
        }
    }

    fn spared(range: AddressRange) -> Spared {
        Spared {
            range,
            until: at(10),
        }
    }

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
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
    fn nothing_waits_longer_than_for_the_end_of_a_blackout() {
        let all = place("10.0.0.0/29");
        let here = reach(&[], &["10.0.0.2/31"]);
        assert_eq!(all.wait_until(&here, at(0)), at(10));
        assert_eq!(all.wait_until(&here, at(11)), at(11));
        let elsewhere = reach(&[], &["10.0.0.8/31"]);
        assert_eq!(all.wait_until(&elsewhere, at(0)), at(60));
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
