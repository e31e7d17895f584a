//! Ways in: findings that make more together than each by itself.
//!
//! A way is an entry of packaging/assess/chains.toml: steps, each with a technique of MITRE ATT&CK and with what must have
//! been found for it. Every step needs a finding that is sure (confidence 0.5 or more); there is no way
//! without evidence for all of its steps. Where a way is about one server, all findings are tied to the same
//! place. One way is told once, with all places where it is open.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{AttackStep, AttackVector, RiskLevel};

use super::chain_table::{CHAINS, Chain, Need, Scope};
use super::found::Found;
use super::known::EXPLOITED;
use super::score;
use super::text::{list, word};

/// Ways of an assessment.
const MOST: usize = 50;
/// Findings that one step names, those to see to first.
const NAMED: usize = 5;
/// Places that a title names.
const PLACES: usize = 4;
/// Bytes of JSON of all ways.
const BYTES: usize = 256 * 1024;

/// Rules about pages that administer something.
pub const PANELS: [&str; 30] = [
    "activemq-console-exposed",
    "adminer-exposed",
    "airflow-exposed",
    "argocd-exposed",
    "firewall-admin-exposed",
    "grafana-exposed",
    "hosting-panel-exposed",
    "hypervisor-exposed",
    "jenkins-exposed",
    "jenkins-open",
    "jupyter-exposed",
    "kibana-exposed",
    "minio-exposed",
    "neo4j-exposed",
    "node-red-exposed",
    "nomad-exposed",
    "pgadmin-exposed",
    "phpmyadmin-exposed",
    "phpmyadmin-path",
    "portainer-exposed",
    "rabbitmq-management-exposed",
    "rancher-exposed",
    "solr-exposed",
    "teamcity-exposed",
    "tomcat-manager",
    "traefik-dashboard",
    "vault-exposed",
    "webmin-exposed",
    "flink-exposed",
    "spark-exposed",
];

impl Need {
    fn holds(&self, found: &Found) -> bool {
        let wire = &found.wire;
        match self {
            Self::Rule(id) => found.ids.iter().any(|one| one == id),
            Self::Rules(start) => found.ids.iter().any(|one| one.starts_with(start.as_str())),
            Self::Category(name) => wire.category == *name,
            Self::Panel => {
                wire.category == "exposed-service" && found.ids.iter().any(|id| is_panel(id))
            }
            Self::Exploited => {
                let said = wire.category == EXPLOITED || found.ids.iter().any(|id| id == EXPLOITED);
                !found.local && (wire.kev || said)
            }
            Self::RemoteCve => found.of_cve && !found.local && wire.severity >= RiskLevel::High,
            Self::LocalCve => found.of_cve && found.local && wire.severity >= RiskLevel::High,
            Self::Login => {
                let ids = ["admin-login", "phpmyadmin-path", "tomcat-manager"];
                let by_id = found
                    .ids
                    .iter()
                    .any(|id| ids.contains(&id.as_str()) || is_panel(id));
                by_id || found.ids.iter().any(|id| id.starts_with("password-form"))
            }
        }
    }
}

fn is_panel(id: &str) -> bool {
    PANELS.contains(&id)
}

/// What was found, by place.
type Places<'f> = BTreeMap<&'f str, Vec<&'f Found>>;

/// All ways that are open, the worst first.
pub fn all(found: &[Found], public: Option<bool>) -> Vec<AttackVector> {
    let sure: Vec<&Found> = found.iter().filter(|found| found.is_sure()).collect();
    let mut places: Places = BTreeMap::new();
    for found in &sure {
        for anchor in &found.anchors {
            places.entry(anchor).or_default().push(found);
        }
    }
    let ways = CHAINS.iter();
    let ways = ways.filter_map(|chain| way(chain, &sure, &places, public));
    let mut ways: Vec<(u64, AttackVector)> = ways.collect();
    ways.sort_by(|a, b| {
        let worst = b.1.severity.cmp(&a.1.severity).then(b.0.cmp(&a.0));
        worst.then_with(|| a.1.id.cmp(&b.1.id))
    });
    let mut bytes = 0;
    let ways = ways.into_iter().map(|(_, way)| way).take(MOST);
    ways.take_while(|way| {
        bytes += serde_json::to_string(way).map_or(BYTES, |text| text.len());
        bytes <= BYTES
    })
    .collect()
}

/// A way with the priority of what it rests on, if it is open anywhere.
fn way(
    chain: &Chain,
    found: &[&Found],
    all: &Places,
    public: Option<bool>,
) -> Option<(u64, AttackVector)> {
    let mut steps: Vec<Vec<&Found>> = vec![Vec::new(); chain.steps.len()];
    let mut places: BTreeSet<&str> = BTreeSet::new();
    match chain.scope {
        Scope::Record => steps = open(chain, found)?,
        Scope::Place => {
            for (anchor, here) in all {
                let Some(open) = open(chain, here) else {
                    continue;
                };
                places.insert(anchor);
                for (all, more) in steps.iter_mut().zip(open) {
                    all.extend(more);
                }
            }
            // What is tied to ports needs not be told once more as "web".
            if places.len() > 1 {
                places.remove(super::software::WEB);
            }
        }
    }
    if steps.iter().any(Vec::is_empty) {
        return None;
    }
    let all = steps.iter().flatten();
    let priority = all
        .map(|found| score::hundredths(found.wire.priority.score))
        .max();
    let places: Vec<String> = places.into_iter().map(word).collect();
    let at = match places.is_empty() {
        true => String::new(),
        false => format!(" ({})", list(&places, PLACES)),
    };
    let way = AttackVector {
        id: chain.id.clone(),
        title: format!("{}{at}", chain.title),
        severity: match public {
            Some(false) => score::lowered(chain.severity),
            _ => chain.severity,
        },
        steps: chain
            .steps
            .iter()
            .zip(steps)
            .map(|(step, found)| AttackStep {
                technique: step.technique.clone(),
                name: step.name.clone(),
                does: step.does.clone(),
                findings: keys(found),
            })
            .collect(),
    };
    Some((priority.unwrap_or_default(), way))
}

/// What each step rests on; `None` where one has nothing. What the steps rest on is not one finding alone.
fn open<'f>(chain: &Chain, found: &[&'f Found]) -> Option<Vec<Vec<&'f Found>>> {
    let mut all: BTreeSet<&str> = BTreeSet::new();
    let mut steps = Vec::new();
    for step in &chain.steps {
        let fits = |found: &&&Found| step.any_of.iter().any(|need| need.holds(found));
        let fit: Vec<&Found> = found.iter().filter(fits).copied().collect();
        if fit.is_empty() {
            return None;
        }
        all.extend(fit.iter().map(|found| found.wire.key.as_str()));
        steps.push(fit);
    }
    (all.len() >= chain.least).then_some(steps)
}

fn keys(mut found: Vec<&Found>) -> Vec<String> {
    found.sort_by(|a, b| a.order(b));
    found.dedup_by(|a, b| a.wire.key == b.wire.key);
    let first = found.into_iter().take(NAMED);
    first.map(|found| found.wire.key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::found::Remedy;
    use super::*;
    use crate::api::Vulnerability;

    /// What a need asks for, in a place.
    fn fitting(need: &Need, place: &str) -> Found {
        let (mut id, mut category) = ("some-rule".to_owned(), String::new());
        let (mut of_cve, mut local, mut kev) = (false, false, false);
        match need {
            Need::Rule(name) => name.clone_into(&mut id),
            Need::Rules(start) => id = format!("{start}x"),
            Need::Category(name) => name.clone_into(&mut category),
            Need::Panel => {
                "grafana-exposed".clone_into(&mut id);
                "exposed-service".clone_into(&mut category);
            }
            Need::Exploited => kev = true,
            Need::RemoteCve => of_cve = true,
            Need::LocalCve => (of_cve, local) = (true, true),
            Need::Login => "admin-login".clone_into(&mut id),
        }
        let wire = Vulnerability {
            key: format!("{id}-{need:?} {place}"),
            severity: RiskLevel::High,
            category,
            confidence: 0.9,
            kev,
            ..Vulnerability::default()
        };
        Found {
            wire,
            ids: vec![id],
            anchors: BTreeSet::from([place.to_owned()]),
            remedy: Remedy::Action,
            of_cve,
            local,
        }
    }

    fn ids(found: &[Found]) -> Vec<String> {
        let ways = all(found, Some(true));
        ways.into_iter().map(|way| way.id).collect()
    }

    #[test]
    fn each_is_open_with_all_of_its_evidence_and_only_then() {
        for chain in CHAINS.iter() {
            let id = chain.id.clone();
            let step = |at: usize, place: &str| fitting(&chain.steps[at].any_of[0], place);
            let whole: Vec<Found> = (0..chain.steps.len()).map(|at| step(at, "tcp/1")).collect();
            assert!(ids(&whole).contains(&id), "{id}");
            for at in 0..chain.steps.len() {
                let mut rest = whole.clone();
                rest.retain(|found| {
                    let mut needs = chain.steps[at].any_of.iter();
                    !needs.any(|need| need.holds(found))
                });
                assert!(!ids(&rest).contains(&id), "{id} without step {at}");
            }
            let mut unsure = whole.clone();
            unsure.iter_mut().for_each(|one| one.wire.confidence = 0.4);
            assert!(!ids(&unsure).contains(&id), "{id}");
            if chain.least > 1 {
                let apart: Vec<Found> = (0..chain.steps.len())
                    .map(|at| step(at, &format!("tcp/{at}")))
                    .collect();
                let open = ids(&apart).contains(&id);
                assert_eq!(open, matches!(chain.scope, Scope::Record), "{id}");
            }
        }
    }

    #[test]
    fn one_way_is_told_once_with_its_places() {
        let found: Vec<Found> = ["tcp/1", "tcp/2"]
            .iter()
            .flat_map(|place| {
                let listing = fitting(&Need::Rule("directory-listing".to_owned()), place);
                [
                    listing,
                    fitting(&Need::Rule("backup-archive".to_owned()), place),
                ]
            })
            .collect();
        let ways = all(&found, Some(false));
        let ways: Vec<_> = ways
            .iter()
            .filter(|w| w.id == "listing-to-backup")
            .collect();
        assert_eq!(ways.len(), 1);
        assert!(
            ways[0].title.ends_with("(tcp/1 and tcp/2)"),
            "{}",
            ways[0].title
        );
        assert_eq!(ways[0].severity, RiskLevel::Medium);
        assert_eq!(ways[0].steps[1].findings.len(), 2);
    }
}
