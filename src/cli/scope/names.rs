use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use ipnet::IpNet;

use super::memory::{Known, Memory};
use crate::fleet::{Fleet, Refusal};

/// Longest wait for one name; all are asked for at once.
const LOOKUP_LIMIT: Duration = Duration::from_secs(10);

/// A name that does not resolve any more keeps its last addresses for so long: a resolver that is
/// down for a while must not stop the agents.
pub const GRACE: TimeDelta = TimeDelta::hours(1);

/// What a lookup of each name gave: addresses, or why there are none.
pub type Answers = BTreeMap<String, Result<Vec<IpAddr>, String>>;

/// What names open in the firewall.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// The addresses of names and resolvers, without what is denied.
    pub nets: Vec<IpNet>,
    /// For the next time.
    pub memory: Memory,
    /// What was left out, and why.
    pub refused: Vec<Refusal>,
}

/// The names of a fleet that can be resolved.
pub fn of(fleet: &Fleet) -> BTreeSet<String> {
    let allowed = fleet.scope.plain_names();
    allowed
        // One that is denied is not even asked for.
        .filter(|name| fleet.scope.check_name(name).is_ok())
        .map(str::to_owned)
        .chain(fleet.hub_name())
        .collect()
}

/// Asks for all names at once.
pub async fn resolve(names: &BTreeSet<String>) -> Answers {
    let lookups = names.iter().map(async |name| {
        let looking = tokio::net::lookup_host((name.as_str(), 0));
        let answer = match tokio::time::timeout(LOOKUP_LIMIT, looking).await {
            Ok(Ok(found)) => {
                let found: BTreeSet<IpAddr> = found.map(|a| a.ip().to_canonical()).collect();
                Ok(found.into_iter().collect())
            }
            Ok(Err(error)) => {
                let words = error.to_string();
                let (_, why) = words.rsplit_once(": ").unwrap_or(("", &words));
                Err(why.to_owned())
            }
            Err(_) => Err("no answer from the resolver".to_owned()),
        };
        (name.clone(), answer)
    });
    join_all(lookups).await.into_iter().collect()
}

/// What the firewall is to let through, by the answers of now and what is remembered. The scope is
/// asked again about every address, remembered ones too: it may have become narrower.
pub fn open(
    fleet: &Fleet,
    answers: Answers,
    resolvers: &[IpAddr],
    remembered: &Memory,
    now: DateTime<Utc>,
) -> Opened {
    let mut opened = Opened::default();
    if !fleet.has_names() {
        return opened;
    }
    let mut addresses = BTreeSet::new();
    let mut keep = |checked: Result<(), Refusal>, addr: IpAddr| match checked {
        Ok(()) => drop(addresses.insert(addr)),
        Err(refusal) => opened.refused.push(refusal),
    };
    for addr in resolvers {
        keep(fleet.scope.check_needed("the resolver", *addr), *addr);
    }
    let hub = fleet.hub_name();
    for (name, answer) in answers {
        let known = known(answer, remembered.names.get(&name), now);
        for addr in &known.addresses {
            let as_hub = hub.as_deref() == Some(name.as_str());
            let checked = match fleet.scope.check_resolved(&name, *addr) {
                Err(_) if as_hub => fleet.check_hub(*addr),
                checked => checked,
            };
            keep(checked, *addr);
        }
        opened.memory.names.insert(name, known);
    }
    opened.nets = addresses.into_iter().map(IpNet::from).collect();
    opened
}

/// What is known of a name now.
fn known(answer: Result<Vec<IpAddr>, String>, before: Option<&Known>, now: DateTime<Utc>) -> Known {
    match answer {
        Ok(addresses) => Known {
            addresses,
            resolved_at: Some(now),
            problem: None,
        },
        Err(problem) => {
            let mut known = before.cloned().unwrap_or_default();
            if known.resolved_at.is_some_and(|at| now - at > GRACE) {
                known.addresses.clear();
            }
            known.problem = Some(problem);
            known
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Sources, load};

    fn fleet(text: &str) -> Fleet {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("fleet.toml");
        std::fs::write(&file, text).unwrap();
        let sources = Sources {
            root: root.path().to_owned(),
            file: Some(file),
            env: BTreeMap::new(),
        };
        load(&sources).unwrap().fleet
    }

    fn addrs(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|addr| addr.parse().unwrap()).collect()
    }

    fn answers(list: &[(&str, &[&str])]) -> Answers {
        let answer = |(name, found): &(&str, &[&str])| {
            let answer = match found {
                [] => Err("no such name".to_owned()),
                found => Ok(addrs(found)),
            };
            ((*name).to_owned(), answer)
        };
        list.iter().map(answer).collect()
    }

    fn shown(opened: &Opened) -> Vec<String> {
        opened
            .nets
            .iter()
            .map(|net| net.addr().to_string())
            .collect()
    }

    const NAMES: &str = "[fleet]\nhub = \"http://hub.example.org:9000\"\n[scope]\n\
        allow = [\"a.example.org\", \"b.example.org\", \"*.example.com\", \"10.0.0.0/8\"]\n\
        deny = [\"203.0.113.66\", \"b.example.org\"]\n";

    #[test]
    fn names_that_are_asked_for() {
        let names: Vec<String> = of(&fleet(NAMES)).into_iter().collect();
        // One that a deny rule refuses is not even asked for, and nobody can list a wildcard's.
        assert_eq!(names, ["a.example.org", "hub.example.org"]);
    }

    #[test]
    fn what_is_denied_or_leads_elsewhere_stays_shut() {
        let answers = answers(&[
            (
                "a.example.org",
                &[
                    "203.0.113.2",
                    "203.0.113.66",
                    "192.168.0.1",
                    "10.1.1.1",
                    "169.254.169.254",
                ],
            ),
            (
                "hub.example.org",
                &["192.168.7.7", "169.254.169.254", "203.0.113.66"],
            ),
        ]);
        let resolvers = addrs(&["127.0.0.53", "169.254.169.253", "203.0.113.66"]);
        let opened = open(
            &fleet(NAMES),
            answers,
            &resolvers,
            &Memory::default(),
            Utc::now(),
        );
        assert_eq!(
            shown(&opened),
            [
                "10.1.1.1",
                "127.0.0.53",
                "169.254.169.253",
                "192.168.7.7",
                "203.0.113.2"
            ]
        );
        let refused: Vec<String> = opened.refused.iter().map(ToString::to_string).collect();
        assert_eq!(refused.len(), 6, "{refused:#?}");
        assert!(refused.contains(
            &"a.example.org (203.0.113.66) is out of scope: scope.deny 203.0.113.66".to_owned()
        ));
    }

    #[test]
    fn a_name_that_fails_keeps_its_addresses_for_a_while_and_only_within_the_scope() {
        let now = Utc::now();
        let open =
            |fleet: &Fleet, answers, memory: &Memory, now| open(fleet, answers, &[], memory, now);
        let wide = fleet("[scope]\nallow = [\"a.example.org\"]\n");
        let first = open(
            &wide,
            answers(&[("a.example.org", &["203.0.113.2"])]),
            &Memory::default(),
            now,
        );
        assert_eq!(shown(&first), ["203.0.113.2"]);
        let fails = || answers(&[("a.example.org", &[])]);
        let soon = open(&wide, fails(), &first.memory, now + GRACE);
        assert_eq!(shown(&soon), ["203.0.113.2"]);
        assert_eq!(
            soon.memory.names["a.example.org"].problem.as_deref(),
            Some("no such name")
        );
        let late = open(
            &wide,
            fails(),
            &soon.memory,
            now + GRACE + TimeDelta::seconds(1),
        );
        assert_eq!(shown(&late), [""; 0]);

        let narrow = fleet("[scope]\nallow = [\"a.example.org\"]\ndeny = [\"203.0.113.0/24\"]\n");
        assert_eq!(shown(&open(&narrow, fails(), &first.memory, now)), [""; 0]);
        let moved = answers(&[("a.example.org", &["203.0.113.9"])]);
        assert_eq!(
            shown(&open(&wide, moved, &first.memory, now)),
            ["203.0.113.9"]
        );
    }

    #[test]
    fn without_names_nothing_is_open_not_even_the_resolver() {
        let fleet = fleet("[scope]\nallow = [\"10.0.0.0/8\"]\n");
        let resolvers = addrs(&["127.0.0.53"]);
        let opened = open(
            &fleet,
            Answers::new(),
            &resolvers,
            &Memory::default(),
            Utc::now(),
        );
        assert_eq!(opened, Opened::default());
    }
}
