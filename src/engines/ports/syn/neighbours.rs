use std::collections::HashMap;
use std::net::Ipv4Addr;

/// Which addresses of our own networks somebody has, as the kernel found out (arp(7)). Read from
/// `/proc/net/arp`, which IPv6 has none of.
#[derive(Debug, Default)]
pub struct Neighbours {
    /// Nanoseconds since the start of the sweep.
    read_at: Option<u64>,
    known: HashMap<Ipv4Addr, bool>,
}

/// What the kernel knows of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbour {
    /// It is not on a network of ours: a router takes what is for it.
    Elsewhere,
    /// Somebody has it.
    There,
    /// Nobody has said so yet.
    Silent,
}

/// The table is read no more often than this, nanoseconds.
pub const READ_EVERY: u64 = 10_000_000;

/// `ATF_COM` of `linux/if_arp.h`: the entry has a link-layer address.
const COMPLETE: u32 = 0x02;

impl Neighbours {
    /// What is known of an address at this time. `None` where there is no such table.
    pub fn of(&mut self, addr: Ipv4Addr, now: u64) -> Option<Neighbour> {
        if self.read_at.is_none_or(|at| now >= at + READ_EVERY) {
            self.known = table(&std::fs::read_to_string("/proc/net/arp").ok()?);
            self.read_at = Some(now);
        }
        Some(match self.known.get(&addr) {
            None => Neighbour::Elsewhere,
            Some(true) => Neighbour::There,
            Some(false) => Neighbour::Silent,
        })
    }
}

/// Each address, and whether somebody has it.
fn table(text: &str) -> HashMap<Ipv4Addr, bool> {
    let entry = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let addr: Ipv4Addr = words.next()?.parse().ok()?;
        let flags = words.nth(1)?.strip_prefix("0x")?;
        let flags = u32::from_str_radix(flags, 16).ok()?;
        Some((addr, flags & COMPLETE != 0))
    };
    let mut known = HashMap::new();
    for (addr, complete) in text.lines().skip(1).filter_map(entry) {
        // It may be asked for on several interfaces, and be there on one.
        *known.entry(addr).or_insert(false) |= complete;
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_table() {
        let text = "\
IP address       HW type     Flags       HW address            Mask     Device
10.0.0.1         0x1         0x2         02:00:00:00:00:05     *        eth0
10.0.0.2         0x1         0x0         00:00:00:00:00:00     *        eth0
10.0.0.3         0x1         0x6         02:00:00:00:00:07     *        eth0
10.0.0.3         0x1         0x0         00:00:00:00:00:00     *        eth1
garbage
10.0.0.4         0x1
";
        let known = table(text);
        let of = |last| known.get(&Ipv4Addr::new(10, 0, 0, last)).copied();
        assert_eq!([of(1), of(2), of(3)], [Some(true), Some(false), Some(true)]);
        assert_eq!(known.len(), 3);
    }

    #[test]
    fn a_network_without_neighbours() {
        let mut neighbours = Neighbours::default();
        let addr = Ipv4Addr::new(192, 0, 2, 77);
        let found = neighbours.of(addr, 5);
        assert!(matches!(found, Some(Neighbour::Elsewhere) | None));
    }
}
