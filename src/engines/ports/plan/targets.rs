use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// A set of addresses, kept as ranges: a /8 takes no more room than one address.
///
/// Reads addresses, networks and ranges: `10.0.0.7`, `10.0.0.0/24`, `10.0.0.1-10.0.0.20`,
/// `10.0.0.1-20`, `2001:db8::/120`; lists of them divided by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Targets {
    /// Sorted, disjoint, not adjacent, both ends included. IPv4 addresses as ::ffff:a.b.c.d
    /// (RFC 4291 §2.5.5.2), so that one arithmetic does for both.
    ranges: Vec<(u128, u128)>,
    /// How many addresses there are before each range.
    before: Vec<u64>,
    len: u64,
}

/// A text that is no set of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetsError {
    /// It does not read.
    #[error(
        "{0:?} is no address, network or range: write it like 10.0.0.7, 10.0.0.0/24, \
         10.0.0.1-20 or 2001:db8::/120"
    )]
    Unreadable(String),
    /// So many that no scan would ever end.
    #[error("{0:?} has more than 2^40 addresses: name the part of it that is in use")]
    TooMany(String),
}

/// More addresses than this are no work for a scanner.
const MOST: u128 = 1 << 40;

impl Targets {
    /// The address at this place; `None` past the end.
    pub fn nth(&self, place: u64) -> Option<IpAddr> {
        if place >= self.len {
            return None;
        }
        let range = self.before.partition_point(|before| *before <= place) - 1;
        Some(address(
            self.ranges[range].0 + u128::from(place - self.before[range]),
        ))
    }

    /// The place of an address; `None` when it is not in the set.
    pub fn place(&self, addr: IpAddr) -> Option<u64> {
        let value = number(addr);
        let range = self
            .ranges
            .partition_point(|(first, _)| *first <= value)
            .checked_sub(1)?;
        let (first, last) = self.ranges[range];
        // A range has fewer than 2^40 addresses.
        #[allow(clippy::cast_possible_truncation)]
        (value <= last).then(|| self.before[range] + (value - first) as u64)
    }

    /// Number of addresses.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// No address at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The addresses in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.ranges
            .iter()
            .flat_map(|(first, last)| (*first..=*last).map(address))
    }

    /// The ranges, both ends included, in ascending order.
    pub fn ranges(&self) -> impl Iterator<Item = (IpAddr, IpAddr)> + '_ {
        self.ranges
            .iter()
            .map(|(first, last)| (address(*first), address(*last)))
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut both = Vec::new();
        for (first, last) in &self.ranges {
            let from = other.ranges.partition_point(|(_, end)| end < first);
            for (begin, end) in other.ranges[from..]
                .iter()
                .take_while(|(begin, _)| begin <= last)
            {
                both.push((*first.max(begin), *last.min(end)));
            }
        }
        Self::of_ranges(both)
    }

    /// Those that are not in the other.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut rest = Vec::new();
        for (first, last) in &self.ranges {
            let mut first = Some(*first);
            let from = other.ranges.partition_point(|(_, end)| Some(*end) < first);
            for (begin, end) in other.ranges[from..]
                .iter()
                .take_while(|(begin, _)| begin <= last)
            {
                let Some(start) = first else { break };
                if *begin > start {
                    rest.push((start, begin - 1));
                }
                first = end.checked_add(1).map(|next| next.max(start));
            }
            if let Some(start) = first.filter(|start| start <= last) {
                rest.push((start, *last));
            }
        }
        Self::of_ranges(rest)
    }

    /// Both together.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self::of_ranges(self.ranges.iter().chain(&other.ranges).copied().collect())
    }

    fn of_ranges(mut ranges: Vec<(u128, u128)>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(previous) if first <= previous.1.saturating_add(1) => {
                    previous.1 = previous.1.max(last);
                }
                _ => merged.push((first, last)),
            }
        }
        let mut len = 0;
        let before = merged
            .iter()
            .map(|(first, last)| {
                let before = len;
                // Saturates: what is parsed is bounded, and a set can only be made from that.
                len = u64::try_from(last - first).map_or(u64::MAX, |more| {
                    u64::saturating_add(before, more.saturating_add(1))
                });
                before
            })
            .collect();
        Self {
            ranges: merged,
            before,
            len,
        }
    }
}

fn number(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn address(value: u128) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(value)).to_canonical()
}

/// As much of a text as a message needs to say which one it is.
pub fn beginning(text: &str) -> String {
    const MOST: usize = 80;
    // `{:?}` escapes what acts on a terminal, but not what is merely not seen (a Hangul filler).
    let seen = |c: char| match crate::api::hides(c) && c.escape_debug().len() == 1 {
        true => char::REPLACEMENT_CHARACTER,
        false => c,
    };
    let mut short: String = text.chars().take(MOST).map(seen).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// One part of a list; nothing when it is not one.
fn parse_part(part: &str) -> Option<(u128, u128)> {
    if let Ok(addr) = part.parse::<IpAddr>() {
        return Some((number(addr), number(addr)));
    }
    if let Ok(net) = part.parse::<IpNet>() {
        return Some((number(net.network()), number(net.broadcast())));
    }
    let (first, last) = part.split_once('-')?;
    let first: IpAddr = first.trim().parse().ok()?;
    let last = match (last.trim().parse::<IpAddr>(), first) {
        (Ok(last), _) => last,
        // 10.0.0.1-20: only the last number differs.
        (Err(_), IpAddr::V4(v4)) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::from([a, b, c, last.trim().parse().ok()?])
        }
        (Err(_), IpAddr::V6(_)) => return None,
    };
    let ordered = first.is_ipv4() == last.is_ipv4() && first <= last;
    ordered.then(|| (number(first), number(last)))
}

impl FromStr for Targets {
    type Err = TargetsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut ranges = Vec::new();
        for part in text.split(',').map(str::trim) {
            let range = parse_part(part);
            let (first, last) = range.ok_or_else(|| TargetsError::Unreadable(beginning(part)))?;
            if last - first >= MOST {
                return Err(TargetsError::TooMany(beginning(part)));
            }
            ranges.push((first, last));
        }
        Ok(Self::of_ranges(ranges))
    }
}

impl From<IpAddr> for Targets {
    fn from(addr: IpAddr) -> Self {
        Self::of_ranges(vec![(number(addr), number(addr))])
    }
}

impl FromIterator<IpAddr> for Targets {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addrs: I) -> Self {
        Self::of_ranges(
            addrs
                .into_iter()
                .map(|addr| (number(addr), number(addr)))
                .collect(),
        )
    }
}

impl FromIterator<IpNet> for Targets {
    /// IPv6 networks do not mean the IPv4 addresses that are mapped into them.
    fn from_iter<I: IntoIterator<Item = IpNet>>(nets: I) -> Self {
        let (v4, v6): (Vec<IpNet>, Vec<IpNet>) =
            nets.into_iter().partition(|net| net.addr().is_ipv4());
        let of = |nets: &[IpNet]| {
            let ranges = nets.iter();
            let ranges = ranges.map(|net| (number(net.network()), number(net.broadcast())));
            Self::of_ranges(ranges.collect())
        };
        let mapped = Self::of_ranges(vec![(
            number(IpAddr::from([0, 0, 0, 0])),
            number(IpAddr::from([255, 255, 255, 255])),
        )]);
        of(&v6).without(&mapped).or(&of(&v4))
    }
}

impl fmt::Display for Targets {
    /// Addresses and ranges, divided by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.ranges().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(text: &str) -> Targets {
        text.parse().unwrap()
    }

    #[test]
    fn reads_what_people_write() {
        assert_eq!(set("10.0.0.0/24").len(), 256);
        assert_eq!(set("10.0.0.7/24").nth(0), Some([10, 0, 0, 0].into()));
        assert_eq!(set("10.0.0.1-20").len(), 20);
        assert_eq!(set("10.0.0.250-10.0.1.5").len(), 12);
        assert_eq!(
            set("10.0.0.2,10.0.0.1, 10.0.0.3").to_string(),
            "10.0.0.1-10.0.0.3"
        );
        assert_eq!(set("2001:db8::/120").len(), 256);
        assert_eq!(set("10.0.0.0/8").len(), 1 << 24);
        assert_eq!(set("::1,127.0.0.1").len(), 2);
    }

    #[test]
    fn refuses_what_is_none() {
        for bad in [
            "",
            ",",
            "10.0.0",
            "10.0.0.0/33",
            "10.0.0.9-1",
            "host",
            "10.0.0.1-::1",
            "::1-5",
        ] {
            assert!(
                matches!(bad.parse::<Targets>(), Err(TargetsError::Unreadable(_))),
                "{bad:?}"
            );
        }
        assert!(matches!(
            "2001:db8::/64".parse::<Targets>(),
            Err(TargetsError::TooMany(_))
        ));
    }

    #[test]
    fn networks_of_six_hold_no_addresses_of_four() {
        let nets = |texts: &[&str]| {
            let nets = texts.iter().map(|net| net.parse::<IpNet>().unwrap());
            nets.collect::<Targets>()
        };
        let all6 = nets(&["::/0"]);
        assert_eq!(all6.place([10, 0, 0, 1].into()), None);
        assert!(set("10.0.0.0/8").and(&all6).is_empty());
        assert_eq!(set("fd00::1").and(&all6), set("fd00::1"));
        assert_eq!(
            nets(&["10.0.0.0/31", "10.0.0.2/31"]).to_string(),
            "10.0.0.0-10.0.0.3"
        );
        let both = nets(&["0.0.0.0/0", "::/0"]);
        assert_eq!(set("10.0.0.0/8,::1").without(&both).len(), 0);
    }

    #[test]
    fn arithmetic() {
        let net = set("10.0.0.0/24");
        assert_eq!(
            net.without(&set("10.0.0.10-19")).to_string(),
            "10.0.0.0-10.0.0.9,10.0.0.20-10.0.0.255"
        );
        assert_eq!(
            net.and(&set("10.0.0.250-10.0.1.9")).to_string(),
            "10.0.0.250-10.0.0.255"
        );
        assert!(net.without(&set("10.0.0.0/8")).is_empty());
        assert_eq!(net.without(&set("11.0.0.0/8")), net);
    }

    proptest! {
        #[test]
        fn places_lead_both_ways(parts in prop::collection::vec((0_u32..5000, 0_u32..50), 1..20)) {
            let text = parts
                .iter()
                .map(|(first, more)| {
                    let at = |n: u32| std::net::Ipv4Addr::from_bits(0x0a00_0000 + n);
                    format!("{}-{}", at(*first), at(first + more))
                })
                .collect::<Vec<_>>()
                .join(",");
            let set = set(&text);
            prop_assert_eq!(set.iter().count() as u64, set.len());
            for (place, addr) in set.iter().enumerate() {
                prop_assert_eq!(set.nth(place as u64), Some(addr));
                prop_assert_eq!(set.place(addr), Some(place as u64));
            }
            prop_assert_eq!(set.nth(set.len()), None);
            prop_assert_eq!(set.to_string().parse::<Targets>().unwrap(), set);
        }

        #[test]
        fn sets_do_as_sets_do(
            left in prop::collection::btree_set(0_u8..60, 0..40),
            right in prop::collection::btree_set(0_u8..60, 0..40),
        ) {
            let of = |set: &std::collections::BTreeSet<u8>| {
                set.iter().map(|n| IpAddr::from([10, 0, 0, *n])).collect::<Targets>()
            };
            let (a, b) = (of(&left), of(&right));
            prop_assert_eq!(a.and(&b), of(&(&left & &right)));
            prop_assert_eq!(a.or(&b), of(&(&left | &right)));
            prop_assert_eq!(a.without(&b), of(&(&left - &right)));
        }

        #[test]
        fn never_panics(text in "[0-9a-f:./, -]{0,40}") {
            let _ = text.parse::<Targets>();
        }
    }
}
