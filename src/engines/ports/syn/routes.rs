use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use socket2::{Domain, Protocol, Socket, Type};

use crate::engines::ports::Targets;

/// Asks the routing table from which of our addresses it sends.
#[derive(Debug)]
pub struct Routes(Socket);

impl Routes {
    /// A way to ask; nothing is ever sent by it.
    ///
    /// # Errors
    /// `socket(2)`'s.
    pub fn open() -> io::Result<Self> {
        Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).map(Self)
    }

    /// Our address to this one.
    ///
    /// # Errors
    /// There is no way there.
    pub fn source_to(&self, to: Ipv4Addr) -> io::Result<Ipv4Addr> {
        // Connecting a datagram socket looks the route up; any port will do but 0, which is none.
        self.0.connect(&SocketAddr::from((to, 9)).into())?;
        let local = self.0.local_addr()?.as_socket_ipv4();
        // Else the next look-up would be bound to this address.
        rustix::net::connect_unspec(&self.0)?;
        local
            .map(|local| *local.ip())
            .ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }
}

/// Our addresses to the targets, asked for once for each /24: three system calls for each packet would
/// cost more than the packet.
#[derive(Debug)]
pub struct Sources {
    /// By /24: see [`Entry`]; 0 = not asked yet.
    entries: Box<[AtomicU64]>,
    table: Table,
}

/// The /24s of which the address is remembered at the same time.
const MOST_ENTRIES: u64 = 1 << 16;

/// The address from which all of a /24 is reached; `None`: not all from the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    net: u32,
    source: Option<Ipv4Addr>,
}

impl Entry {
    fn pack(self) -> u64 {
        let net = u64::from(self.net) + 1;
        let source = self.source.unwrap_or(Ipv4Addr::UNSPECIFIED);
        (net << 32) | u64::from(source.to_bits())
    }

    fn unpack(packed: u64) -> Option<Self> {
        // A /24's number has 24 bits.
        #[allow(clippy::cast_possible_truncation)]
        let (net, source) = ((packed >> 32) as u32, Ipv4Addr::from_bits(packed as u32));
        Some(Self {
            net: net.checked_sub(1)?,
            source: Some(source).filter(|source| !source.is_unspecified()),
        })
    }
}

impl Sources {
    /// Nothing is known yet.
    pub fn new(targets: &Targets) -> Self {
        // Neighbours share a /24, and the first and the last may be in further ones.
        let nets = (targets.len() / 256 + 2).saturating_mul(targets.ranges().count() as u64);
        let len = nets.clamp(1, MOST_ENTRIES);
        Self {
            entries: (0..len).map(|_| AtomicU64::new(0)).collect(),
            table: Table::read(),
        }
    }

    /// Our address to this one; `None` when there is no way there.
    pub fn to(&self, to: Ipv4Addr, routes: &Routes) -> Option<Ipv4Addr> {
        let net = to.to_bits() >> 8;
        // There is at least one.
        let slot = &self.entries[net as usize % self.entries.len()];
        let entry = Entry::unpack(slot.load(Ordering::Relaxed));
        match entry.filter(|entry| entry.net == net) {
            Some(Entry { source: None, .. }) => routes.source_to(to).ok(),
            Some(Entry { source, .. }) => source,
            None => {
                let source = routes.source_to(to).ok()?;
                let all = self.all_of(net, source, routes);
                let source_of_all = Some(source).filter(|_| all);
                let entry = Entry {
                    net,
                    source: source_of_all,
                };
                slot.store(entry.pack(), Ordering::Relaxed);
                Some(source)
            }
        }
    }

    /// Whether a whole /24 is reached from one address, as far as can be seen.
    fn all_of(&self, net: u32, source: Ipv4Addr, routes: &Routes) -> bool {
        let ends = [1, 254].map(|last| Ipv4Addr::from_bits((net << 8) | last));
        let same = |to| routes.source_to(to).is_ok_and(|found| found == source);
        !self.table.narrow.contains(&net) && ends.into_iter().all(same)
    }

    /// Whether the neighbours of an address may take another way than it does.
    pub fn is_narrow(&self, to: Ipv4Addr) -> bool {
        self.table.narrow.contains(&(to.to_bits() >> 8))
    }

    /// Whether an address may be on a network of ours: of IPv6 that is not known.
    pub fn may_be_on_link(&self, addr: IpAddr) -> bool {
        match addr {
            IpAddr::V4(v4) => {
                let nets = &self.table.on_link;
                let addr = v4.to_bits();
                nets.iter().any(|(net, end)| (*net..=*end).contains(&addr))
            }
            IpAddr::V6(_) => true,
        }
    }

    /// Whether any target is on a network of ours, so that the kernel has to ask who has its address.
    pub fn on_link(&self, targets: &Targets) -> bool {
        let meets = |(first, last): (IpAddr, IpAddr)| match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                let (first, last) = (first.to_bits(), last.to_bits());
                let nets = &self.table.on_link;
                nets.iter().any(|(net, end)| *net <= last && first <= *end)
            }
            _ => false,
        };
        targets.ranges().any(meets)
    }
}

/// The IPv4 routes of the main table.
#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    /// /24s that are not all routed alike.
    narrow: BTreeSet<u32>,
    /// First and last address of networks of ours.
    on_link: Vec<(u32, u32)>,
}

/// `RTF_UP` and `RTF_GATEWAY` of `linux/route.h`.
const UP: u32 = 0x1;
const GATEWAY: u32 = 0x2;

impl Table {
    /// As the kernel has it; empty where it cannot be read.
    fn read() -> Self {
        std::fs::read_to_string("/proc/net/route")
            .map_or_else(|_| Self::default(), |t| Self::of(&t))
    }

    /// Reads `/proc/net/route`: interface, destination, gateway, flags, three numbers, mask.
    fn of(text: &str) -> Self {
        let mut table = Self::default();
        // Addresses are written as the number that the bytes are in memory.
        let addr = |word: &str| Some(u32::from_be(u32::from_str_radix(word, 16).ok()?));
        let route = |line: &str| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let flags = u32::from_str_radix(words.get(3)?, 16).ok()?;
            Some((addr(words.get(1)?)?, addr(words.get(7)?)?, flags))
        };
        for (net, mask, flags) in text.lines().skip(1).filter_map(route) {
            if mask.leading_ones() > 24 {
                table.narrow.insert(net >> 8);
            }
            if flags & (UP | GATEWAY) == UP {
                table.on_link.push((net & mask, net | !mask));
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_reached_from_loopback() {
        let routes = Routes::open().unwrap();
        for _ in 0..2 {
            let source = routes.source_to(Ipv4Addr::LOCALHOST).unwrap();
            assert_eq!(source, Ipv4Addr::LOCALHOST);
        }
        assert!(routes.source_to(Ipv4Addr::BROADCAST).is_err());
    }

    #[test]
    fn asks_once_for_a_network() {
        let targets: Targets = "127.0.0.0/16".parse().unwrap();
        let (sources, routes) = (Sources::new(&targets), Routes::open().unwrap());
        let here = Some(Ipv4Addr::LOCALHOST);
        for last in [9, 10, 9] {
            assert_eq!(sources.to(Ipv4Addr::new(127, 0, 7, last), &routes), here);
        }
        let slot = &sources.entries[(0x7f_00_07 % sources.entries.len() as u32) as usize];
        let entry = Entry::unpack(slot.load(Ordering::Relaxed)).unwrap();
        assert_eq!(entry.net, 0x7f_00_07);
        assert_eq!(Entry::unpack(entry.pack()), Some(entry));
        assert_eq!(sources.to(Ipv4Addr::BROADCAST, &routes), None);
    }

    #[test]
    fn reads_the_routes() {
        let line = |dest: [u8; 4], gateway: [u8; 4], flags, mask: [u8; 4]| {
            let [dest, gateway, mask] = [dest, gateway, mask].map(u32::from_ne_bytes);
            format!("eth0\t{dest:08X}\t{gateway:08X}\t{flags}\t0\t0\t0\t{mask:08X}\t0\t0\t0\n")
        };
        let text = [
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
                .to_owned(),
            line([0; 4], [10, 0, 0, 1], "0003", [0; 4]),
            line([10, 0, 0, 0], [0; 4], "0001", [255, 255, 255, 0]),
            line([10, 9, 9, 9], [10, 0, 0, 2], "0007", [255; 4]),
            "garbage\n".to_owned(),
        ]
        .concat();
        let table = Table::of(&text);
        assert_eq!(table.narrow, BTreeSet::from([0x0a_09_09]));
        assert_eq!(table.on_link, [(0x0a00_0000, 0x0a00_00ff)]);
        let sources = Sources {
            entries: [AtomicU64::new(0)].into(),
            table,
        };
        let on_link = |targets: &str| sources.on_link(&targets.parse().unwrap());
        assert!(on_link("10.0.0.77") && on_link("9.0.0.0/8,10.0.0.0/8"));
        assert!(!on_link("10.0.1.0/24") && !on_link("fd00::1"));
    }
}
