use std::collections::HashMap;
use std::sync::LazyLock;

/// `packaging/ports/tcp-ports.txt`: port and usual service, the most often open first. The file
/// says where the order comes from.
const DATA: &str = include_str!("../../../packaging/ports/tcp-ports.txt");

/// Ports in rank order with their usual service ("" = none).
static RANKED: LazyLock<Vec<(u16, &'static str)>> = LazyLock::new(|| {
    DATA.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let (port, name) = line.split_once(' ')?;
            let name = if name == "-" { "" } else { name };
            Some((port.parse().ok()?, name))
        })
        .collect()
});

static BY_PORT: LazyLock<HashMap<u16, &'static str>> =
    LazyLock::new(|| RANKED.iter().copied().collect());

/// The `count` ports that are most often open (at most 1,000 are ranked).
pub fn top_ports(count: usize) -> impl Iterator<Item = u16> {
    RANKED.iter().take(count).map(|(port, _)| *port)
}

/// Number of ranked ports.
pub fn ranked() -> usize {
    RANKED.len()
}

/// The service that this port usually carries, "" when there is none.
pub fn usual_service(port: u16) -> &'static str {
    BY_PORT.get(&port).copied().unwrap_or_default()
}

/// The port that a service name stands for: the highest-ranked one that usually carries it.
pub fn port_of(service: &str) -> Option<u16> {
    RANKED
        .iter()
        .find(|(_, name)| !name.is_empty() && name.eq_ignore_ascii_case(service))
        .map(|(port, _)| *port)
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
        assert_eq!(ranked(), 1000);
        let hundred: HashSet<u16> = top_ports(100).collect();
        for port in [22, 80, 443, 6379, 5432, 3306, 8080, 8443, 9000] {
            assert!(hundred.contains(&port), "{port}");
        }
    }

    #[test]
    fn names_lead_both_ways() {
        assert_eq!(usual_service(22), "ssh");
        assert_eq!(usual_service(54_999), "");
        assert_eq!(port_of("ssh"), Some(22));
        assert_eq!(port_of("HTTP"), Some(80));
        assert_eq!(port_of("no-such"), None);
        assert_eq!(port_of(""), None);
    }
}
