//! What a scan has to try, and in which order: addresses × ports as numbers, never as a list, so that
//! a /8 with all ports takes as much memory as one host. May depend on the sibling `portset` only.

mod permutation;
mod targets;

use std::net::IpAddr;

use super::{PortSet, table};

use permutation::Permutation;
pub(super) use targets::beginning;
pub use targets::{Targets, TargetsError};

/// Ports that are tried before the others: their answers tell the round-trip time early.
const FIRST_PORTS: usize = 100;

/// Every (address, port) of a scan, each at one place of a random order that spreads the work over
/// the addresses; the ports that are most often open come first. The same seed gives the same order.
#[derive(Debug)]
pub struct Plan {
    targets: Targets,
    /// Those that come first, then the others by number.
    ports: Vec<u16>,
    /// Place in `ports` by port number, or [`NONE`].
    places: Box<[u32]>,
    /// How many probes come first.
    early: u64,
    first: Permutation,
    rest: Permutation,
    seed: u64,
}

/// One thing to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Probe {
    /// Number of the address in the plan's targets.
    pub host: u64,
    /// The address.
    pub addr: IpAddr,
    /// The port.
    pub port: u16,
}

const NONE: u32 = u32::MAX;

impl Plan {
    /// The plan that belongs to this seed.
    pub fn new(targets: Targets, set: &PortSet, seed: u64) -> Self {
        let mut ports: Vec<u16> = table::top_ports(FIRST_PORTS)
            .filter(|port| set.contains(*port))
            .collect();
        let first = ports.len() as u64;
        let early = PortSet::top(FIRST_PORTS);
        ports.extend(set.iter().filter(|port| !early.contains(*port)));
        let mut places = vec![NONE; 1 << 16].into_boxed_slice();
        for (place, port) in (0_u32..).zip(&ports) {
            places[usize::from(*port)] = place;
        }
        let hosts = targets.len();
        Self {
            early: hosts * first,
            first: Permutation::new(hosts * first, seed),
            rest: Permutation::new(hosts * (ports.len() as u64 - first), !seed),
            targets,
            ports,
            places,
            seed,
        }
    }

    /// Number of probes.
    pub fn len(&self) -> u64 {
        self.targets.len() * self.ports.len() as u64
    }

    /// Nothing to try.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the order was made from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The addresses.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Number of ports tried on each address.
    pub fn ports(&self) -> usize {
        self.ports.len()
    }

    /// The probe at this place of the order; `None` past the end.
    pub fn at(&self, place: u64) -> Option<Probe> {
        let thing = match place.checked_sub(self.early) {
            None => self.first.nth(place)?,
            Some(place) => self.rest.nth(place)? + self.early,
        };
        let hosts = self.targets.len();
        let (port, host) = (thing / hosts, thing % hosts);
        Some(Probe {
            host,
            addr: self.targets.nth(host)?,
            port: *self.ports.get(usize::try_from(port).ok()?)?,
        })
    }

    /// The place of a probe in the order, and the number of its address; `None` when the plan has no
    /// such probe.
    pub fn place(&self, addr: IpAddr, port: u16) -> Option<(u64, u64)> {
        let number = self.places[usize::from(port)];
        if number == NONE {
            return None;
        }
        let host = self.targets.place(addr)?;
        let thing = u64::from(number) * self.targets.len() + host;
        let place = match thing.checked_sub(self.early) {
            None => self.first.place(thing)?,
            Some(thing) => self.rest.place(thing)? + self.early,
        };
        Some((place, host))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn plan(targets: &str, ports: &str) -> Plan {
        Plan::new(targets.parse().unwrap(), &ports.parse().unwrap(), 7)
    }

    #[test]
    fn every_probe_once_and_the_usual_ports_first() {
        let plan = plan("10.0.0.0/28,2001:db8::/126", "1-1000");
        assert_eq!(plan.len(), 20_000);
        let probes: Vec<Probe> = (0..plan.len())
            .map(|place| plan.at(place).unwrap())
            .collect();
        assert_eq!(probes.iter().collect::<HashSet<_>>().len(), 20_000);
        assert_eq!(plan.at(plan.len()), None);
        let usual = PortSet::top(FIRST_PORTS);
        let early = (1..=1000).filter(|port| usual.contains(*port)).count() * 20;
        assert!(
            probes[..early]
                .iter()
                .all(|probe| usual.contains(probe.port))
        );
        for (place, probe) in (0_u64..).zip(&probes) {
            assert_eq!(
                plan.place(probe.addr, probe.port),
                Some((place, probe.host))
            );
        }
        assert_eq!(plan.place([10, 0, 0, 1].into(), 1001), None);
        assert_eq!(plan.place([10, 0, 1, 1].into(), 80), None);
    }

    #[test]
    fn work_is_spread_over_the_addresses() {
        let plan = plan("10.0.0.0/24", "2000-60000");
        let start: HashSet<u64> = (0..1000)
            .map(|place| plan.at(place).unwrap().host)
            .collect();
        assert!(start.len() > 200, "{}", start.len());
    }

    #[test]
    fn a_large_plan_is_as_small_as_a_small_one() {
        let plan = plan("10.0.0.0/8", "1-65535");
        assert_eq!(plan.len(), (1 << 24) * 65_535);
        let probe = plan.at(plan.len() - 1).unwrap();
        assert_eq!(
            plan.place(probe.addr, probe.port).unwrap().0,
            plan.len() - 1
        );
    }
}
