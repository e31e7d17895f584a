use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;

use clap_complete::engine::ArgValueCandidates;
use serde::Serialize;

use super::agents::{Roster, failed};
use super::status::styled_state;
use super::{Global, Outcome, complete, output};
use crate::api::ExitCode;
use crate::fleet::OnFailure;
use crate::systemd::{AgentState, UnitState, agent_of_unit};

/// Show which agents need which.
///
/// As systemd knows it (Wants=, Requires=, BindsTo=); each line says what happens when the one below
/// fails: ignore, restart (this one is restarted with it), stop (this one stops and stays stopped).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only from these agents on.
    #[arg(value_name = "AGENT", add = ArgValueCandidates::new(complete::agents))]
    pub agents: Vec<String>,
    /// The other way round: who needs an agent.
    #[arg(long, short)]
    pub reverse: bool,
}

#[derive(Debug, Clone, Serialize)]
struct Edge {
    agent: String,
    on_failure: OnFailure,
}

#[derive(Debug, Serialize)]
struct Node {
    name: String,
    state: AgentState,
    depends_on: Vec<Edge>,
    needed_by: Vec<Edge>,
}

pub async fn run(global: &Global, args: Args) -> Outcome {
    let roster = Roster::load(global);
    let manager = global.systemd().await?;
    let units = manager.units(&roster.units()).await.map_err(failed)?;
    let named = roster.resolve(&args.agents, &manager).await?;
    let named: Vec<String> = named.iter().map(|n| n.as_str().to_owned()).collect();
    let nodes = nodes(&units);
    if global.json || global.jsonl {
        let shown = nodes
            .values()
            .filter(|n| named.is_empty() || named.contains(&n.name));
        let shown: Vec<&Node> = shown.collect();
        output::json(&serde_json::json!({ "agents": shown }))?;
        return Ok(ExitCode::Ok);
    }
    let painter = Painter {
        nodes: &nodes,
        reverse: args.reverse,
        colors: global.colors(),
        lines: std::io::stdout().is_terminal(),
    };
    let roots = if named.is_empty() {
        painter.roots()
    } else {
        named
    };
    output::text(&painter.paint(&roots))?;
    Ok(ExitCode::Ok)
}

fn nodes(units: &[UnitState]) -> BTreeMap<String, Node> {
    let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
    for unit in units {
        let node = Node {
            name: unit.name.clone(),
            state: unit.state,
            depends_on: edges(unit),
            needed_by: Vec::new(),
        };
        nodes.insert(unit.name.clone(), node);
    }
    for unit in units {
        for Edge { agent, on_failure } in edges(unit) {
            if let Some(node) = nodes.get_mut(&agent) {
                node.needed_by.push(Edge {
                    agent: unit.name.clone(),
                    on_failure,
                });
            }
        }
    }
    nodes
}

fn edges(unit: &UnitState) -> Vec<Edge> {
    let mut edges: BTreeMap<String, OnFailure> = BTreeMap::new();
    // The stronger words come later.
    let kinds = [
        (&unit.wants, OnFailure::Ignore),
        (&unit.requires, OnFailure::Restart),
        (&unit.binds_to, OnFailure::Stop),
    ];
    for (names, on_failure) in kinds {
        for agent in names.iter().filter_map(|name| agent_of_unit(name)) {
            edges.insert(agent.as_str().to_owned(), on_failure);
        }
    }
    let edge = |(agent, on_failure)| Edge { agent, on_failure };
    edges.into_iter().map(edge).collect()
}

struct Painter<'a> {
    nodes: &'a BTreeMap<String, Node>,
    reverse: bool,
    colors: bool,
    /// Draw lines as a terminal can.
    lines: bool,
}

impl Painter<'_> {
    fn children(&self, name: &str) -> &[Edge] {
        match self.nodes.get(name) {
            Some(node) if self.reverse => &node.needed_by,
            Some(node) => &node.depends_on,
            None => &[],
        }
    }

    /// Those that are below no other.
    fn roots(&self) -> Vec<String> {
        let children = self.nodes.keys().flat_map(|name| self.children(name));
        let below: BTreeSet<&str> = children.map(|edge| edge.agent.as_str()).collect();
        let roots = self
            .nodes
            .keys()
            .filter(|name| !below.contains(name.as_str()));
        roots.cloned().collect()
    }

    fn paint(&self, roots: &[String]) -> String {
        let mut text = String::new();
        for root in roots {
            text.push_str(&format!("{root} {}\n", self.state(root)));
            self.below(root, "", &mut vec![root.clone()], &mut text);
        }
        text
    }

    fn below(&self, name: &str, indent: &str, path: &mut Vec<String>, text: &mut String) {
        let edges = self.children(name);
        for (i, edge) in edges.iter().enumerate() {
            let last = i + 1 == edges.len();
            let (branch, bar) = match (self.lines, last) {
                (true, false) => ("├─ ", "│  "),
                (true, true) => ("└─ ", "   "),
                (false, false) => ("|- ", "|  "),
                (false, true) => ("`- ", "   "),
            };
            let word = match edge.on_failure {
                OnFailure::Ignore => "ignore",
                OnFailure::Restart => "restart",
                OnFailure::Stop => "stop",
            };
            let agent = &edge.agent;
            text.push_str(&format!(
                "{indent}{branch}{agent} {} ({word})\n",
                self.state(agent)
            ));
            // systemd refuses cycles, but shows those of files that it has not started from yet.
            if !path.contains(agent) {
                path.push(agent.clone());
                self.below(agent, &format!("{indent}{bar}"), path, text);
                path.pop();
            }
        }
    }

    fn state(&self, name: &str) -> String {
        match self.nodes.get(name) {
            Some(node) => styled_state(node.state, self.colors),
            None => "(unknown)".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &str, wants: &[&str], requires: &[&str]) -> UnitState {
        let units = |names: &[&str]| names.iter().map(|n| format!("recon@{n}.service")).collect();
        let mut unit = UnitState::absent(&format!("recon@{name}.service"));
        (unit.wants, unit.requires) = (units(wants), units(requires));
        unit
    }

    fn painted(reverse: bool) -> String {
        let units = [
            unit("hub", &[], &["db"]),
            unit("db", &[], &[]),
            unit("kage", &["hub"], &["db"]),
            unit("kaze", &["hub"], &[]),
        ];
        let nodes = nodes(&units);
        let painter = Painter {
            nodes: &nodes,
            reverse,
            colors: false,
            lines: false,
        };
        painter.paint(&painter.roots())
    }

    #[test]
    fn below_each_is_what_it_needs() {
        assert_eq!(
            painted(false),
            "kage STOPPED\n|- db STOPPED (restart)\n`- hub STOPPED (ignore)\n   `- db STOPPED (restart)\n\
             kaze STOPPED\n`- hub STOPPED (ignore)\n   `- db STOPPED (restart)\n"
        );
    }

    #[test]
    fn or_who_needs_it() {
        assert_eq!(
            painted(true),
            "db STOPPED\n|- hub STOPPED (restart)\n|  |- kage STOPPED (ignore)\n|  `- kaze STOPPED (ignore)\n\
             `- kage STOPPED (restart)\n"
        );
    }
}
