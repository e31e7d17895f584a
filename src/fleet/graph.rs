use std::collections::{BTreeMap, BTreeSet};

use super::{Agent, AgentName};

/// The cycles among dependencies, each once, as its path from its first name by alphabet back to it.
pub(super) fn cycles(agents: &BTreeMap<AgentName, Agent>) -> Vec<Vec<AgentName>> {
    let mut search = Search {
        agents,
        done: BTreeSet::new(),
        path: Vec::new(),
        found: BTreeSet::new(),
    };
    for name in agents.keys() {
        search.visit(name);
    }
    search.found.into_iter().collect()
}

struct Search<'a> {
    agents: &'a BTreeMap<AgentName, Agent>,
    done: BTreeSet<&'a AgentName>,
    path: Vec<&'a AgentName>,
    found: BTreeSet<Vec<AgentName>>,
}

impl<'a> Search<'a> {
    fn visit(&mut self, name: &'a AgentName) {
        if let Some(at) = self.path.iter().position(|on_path| *on_path == name) {
            let cycle = from_first(&self.path[at..]);
            self.found.insert(cycle);
            return;
        }
        if self.done.contains(name) {
            return;
        }
        self.path.push(name);
        for dependency in self
            .agents
            .get(name)
            .into_iter()
            .flat_map(|a| &a.depends_on)
        {
            // A dependency on itself is reported as that.
            if dependency.agent != *name {
                self.visit(&dependency.agent);
            }
        }
        self.path.pop();
        self.done.insert(name);
    }
}

fn from_first(cycle: &[&AgentName]) -> Vec<AgentName> {
    let first = cycle
        .iter()
        .enumerate()
        .min_by_key(|(_, name)| **name)
        .map_or(0, |(at, _)| at);
    let mut path: Vec<AgentName> = cycle.iter().map(|name| (*name).clone()).collect();
    path.rotate_left(first);
    path.extend(path.first().cloned());
    path
}
