use std::collections::HashMap;
use std::sync::LazyLock;

/// `packaging/ports/tcp-ports.txt` and `udp-ports.txt`: port and usual service, the most often open
/// first. The files say where the order comes from.
const TCP: &str = include_str!("../../../packaging/ports/tcp-ports.txt");
const UDP: &str = include_str!("../../../packaging/ports/udp-ports.txt");

/// The ports of one transport by rank, with the service that each usually carries.
pub struct Ranking {
    /// In rank order; "" = no usual service.
    ranked: Vec<(u16, &'static str)>,
    by_port: HashMap<u16, &'static str>,
}

static RANKED_TCP: LazyLock<Ranking> = LazyLock::new(|| Ranking::read(TCP));
static RANKED_UDP: LazyLock<Ranking> = LazyLock::new(|| Ranking::read(UDP));

/// The TCP ports.
pub fn tcp() -> &'static Ranking {
    &RANKED_TCP
}

/// The UDP ports.
pub fn udp() -> &'static Ranking {
    &RANKED_UDP
}

impl Ranking {
    fn read(text: &'static str) -> Self {
        let ranked: Vec<_> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let (port, name) = line.split_once(' ')?;
                let name = if name == "-" { "" } else { name };
                Some((port.parse().ok()?, name))
            })
            .collect();
        Self {
            by_port: ranked.iter().copied().collect(),
            ranked,
        }
    }

    /// The `count` ports that are most often open; at most as many as are ranked.
    pub fn top(&self, count: usize) -> impl Iterator<Item = u16> {
        self.ranked.iter().take(count).map(|(port, _)| *port)
    }

    /// Number of ranked ports.
    pub fn len(&self) -> usize {
        self.ranked.len()
    }

    /// The service that this port usually carries, "" when there is none.
    pub fn usual_service(&self, port: u16) -> &'static str {
        self.by_port.get(&port).copied().unwrap_or_default()
    }

    /// The port that a service name stands for: the highest-ranked one that usually carries it.
    pub fn port_of(&self, service: &str) -> Option<u16> {
        self.ranked
            .iter()
            .find(|(_, name)| !name.is_empty() && name.eq_ignore_ascii_case(service))
            .map(|(port, _)| *port)
    }
}

/// The `count` TCP ports that are most often open (at most 1,000 are ranked).
pub fn top_ports(count: usize) -> impl Iterator<Item = u16> {
    tcp().top(count)
}

/// The service that this TCP port usually carries, "" when there is none.
pub fn usual_service(port: u16) -> &'static str {
    tcp().usual_service(port)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_thousand_unique_ports_with_the_usual_ones_early() {
        let top: Vec<u16> = top_ports(1000).collect();
        assert_eq!(top.len(), 1000);
        assert_eq!(top.iter().collect::<HashSet<_>>().len(), 1000);
        assert_eq!(tcp().len(), 1000);
        let hundred: HashSet<u16> = top_ports(100).collect();
        for port in [22, 80, 443, 6379, 5432, 3306, 8080, 8443, 9000] {
            assert!(hundred.contains(&port), "{port}");
        }
    }

    #[test]
    fn udp_ports_are_unique_and_have_names() {
        let all: Vec<u16> = udp().top(usize::MAX).collect();
        assert_eq!(all.len(), udp().len());
        assert!(all.len() >= 100, "{}", all.len());
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        let first: HashSet<u16> = udp().top(20).collect();
        for port in [53, 123, 161, 500, 1900, 5353, 11211] {
            assert!(first.contains(&port), "{port}");
        }
        assert_eq!(udp().usual_service(161), "snmp");
        assert_eq!(udp().port_of("ntp"), Some(123));
        let lines = [TCP, UDP].map(|text| text.lines().filter(|l| !l.starts_with('#')).count());
        assert_eq!(
            lines,
            [tcp().len(), udp().len()],
            "a line that does not read"
        );
    }

    #[test]
    fn names_lead_both_ways() {
        assert_eq!(usual_service(22), "ssh");
        assert_eq!(usual_service(54_999), "");
        assert_eq!(tcp().port_of("ssh"), Some(22));
        assert_eq!(tcp().port_of("HTTP"), Some(80));
        assert_eq!(tcp().port_of("no-such"), None);
        assert_eq!(tcp().port_of(""), None);
    }
}
