//! Ways in: findings that make more together than each by itself.
//!
//! A way is a row of [`super::chain_table::CHAINS`]: steps, each with a technique of MITRE ATT&CK and with what must have
//! been found for it. Every step needs a finding that is sure (confidence 0.5 or more); there is no way
//! without evidence for all of its steps. Where a way is about one server, all findings are tied to the same
//! place. One way is told once, with all places where it is open.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{AttackStep, AttackVector, RiskLevel};

use super::chain_table::{CHAINS, Chain, Need, Scope};
use super::found::Found;
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
            Self::Rules(start) => found.ids.iter().any(|one| one.starts_with(start)),
            Self::Category(name) => wire.category == *name,
            Self::Panel => {
                wire.category == "exposed-service" && found.ids.iter().any(|id| is_panel(id))
            }
            Self::Exploited => {
                let by_rule = wire.category == "known-exploited";
                !found.local
                    && (wire.kev || by_rule || found.ids.iter().any(|id| id == "known-exploited"))
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
        id: chain.id.to_owned(),
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
                technique: step.technique.to_owned(),
                name: step.name.to_owned(),
                does: step.does.to_owned(),
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
    for step in chain.steps {
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
