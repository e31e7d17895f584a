use std::collections::BTreeSet;

/// The open TCP ports of a scan, by number of the host: a few bytes each, as a large network has very
/// many.
#[derive(Debug, Default)]
pub(super) struct Open(BTreeSet<(u64, u16)>);

impl Open {
    /// A port of a host is open; says whether that is news.
    pub fn insert(&mut self, host: u64, port: u16) -> bool {
        self.0.insert((host, port))
    }

    /// The ports of a host, by number.
    pub fn of(&self, host: u64) -> impl Iterator<Item = u16> + '_ {
        let ports = self.0.range((host, u16::MIN)..=(host, u16::MAX));
        ports.map(|(_, port)| *port)
    }

    /// Hosts with an open port, by number.
    pub fn hosts(&self) -> impl Iterator<Item = u64> + '_ {
        let mut last = None;
        let hosts = self.0.iter().map(|(host, _)| *host);
        hosts.filter(move |host| last.replace(*host) != Some(*host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_once() {
        let mut open = Open::default();
        for (host, port) in [(7, 80), (0, 65_535), (7, 0), (u64::MAX, 1)] {
            assert!(open.insert(host, port));
            assert!(!open.insert(host, port));
        }
        assert_eq!(open.hosts().collect::<Vec<_>>(), [0, 7, u64::MAX]);
        assert_eq!(open.of(7).collect::<Vec<_>>(), [0, 80]);
        assert_eq!(open.of(8).count(), 0);
    }
}
