use std::collections::{BTreeMap, BTreeSet};

use super::{Agent, AgentName};

/// The cycles among dependencies, each once, as its path from its first name by alphabet back to it.
pub(super) fn cycles(agents: &BTreeMap<AgentName, Agent>) -> Vec<Vec<AgentName>> {
    let mut search = Search {
        agents,
        done: BTreeSet::new(),
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
    found: BTreeSet<Vec<AgentName>>,
}

impl<'a> Search<'a> {
    /// Depth first, with a stack of its own: a chain of dependencies may be as long as the fleet.
    fn visit(&mut self, name: &'a AgentName) {
        let mut path: Vec<&AgentName> = Vec::new();
        let mut places = BTreeMap::new();
        let mut todo = vec![Step::Enter(name)];
        while let Some(step) = todo.pop() {
            let name = match step {
                Step::Enter(name) => name,
                Step::Leave(name) => {
                    path.pop();
                    places.remove(name);
                    self.done.insert(name);
                    continue;
                }
            };
            if let Some(at) = places.get(name) {
                self.found.insert(from_first(&path[*at..]));
            } else if !self.done.contains(name) {
                places.insert(name, path.len());
                path.push(name);
                todo.push(Step::Leave(name));
                let agent = self.agents.get(name);
                let dependencies = agent
                    .into_iter()
                    .flat_map(|agent| agent.depends_on.iter().rev());
                // A dependency on itself is reported as that.
                let others = dependencies.filter(|dependency| dependency.agent != *name);
                todo.extend(others.map(|dependency| Step::Enter(&dependency.agent)));
            }
        }
    }
}

enum Step<'a> {
    Enter(&'a AgentName),
    Leave(&'a AgentName),
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
