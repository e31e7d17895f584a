use std::net::IpAddr;
use std::path::Path;

/// The resolvers that programs on this host ask, by resolv.conf(5): without any it is the one on the
/// host itself. Where systemd-resolved is used that is its stub (127.0.0.53), and nothing else.
pub fn of(root: &Path) -> Vec<IpAddr> {
    let text = std::fs::read_to_string(root.join("etc/resolv.conf")).unwrap_or_default();
    let found = parse(&text);
    if found.is_empty() {
        return vec![IpAddr::from([127, 0, 0, 1])];
    }
    found
}

fn parse(text: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        // fe80::1%eth0: the firewall knows no interfaces.
        let addr = words
            .next()
            .and_then(|word| word.split('%').next()?.parse().ok());
        found.extend(addr.filter(|addr| !found.contains(addr)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf() {
        let text = "# nameserver 1.1.1.1\nsearch example.org\nnameserver 127.0.0.53\n\
                    nameserver\tfe80::1%eth0 # home\nnameserver bad\nnameserver 127.0.0.53\n";
        let want: Vec<IpAddr> = ["127.0.0.53", "fe80::1"]
            .map(|a| a.parse().unwrap())
            .to_vec();
        assert_eq!(parse(text), want);
        let nothing = tempfile::tempdir().unwrap();
        assert_eq!(of(nothing.path()), [IpAddr::from([127, 0, 0, 1])]);
    }
}
