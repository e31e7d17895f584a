//! Candidates for the shell's completion: names and keys from the fleet file, never from D-Bus, so that
//! a Tab costs milliseconds. A fleet file that is broken or cannot be read gives no candidates and no
//! words: the command line is no place for them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap_complete::engine::CompletionCandidate;

use crate::fleet::{self, AgentKind, Fleet, KeyDoc, Sources, all_keys};

/// Names of agents, and `all`.
pub fn agents_or_all() -> Vec<CompletionCandidate> {
    let all = CompletionCandidate::new(super::agents::ALL).help(Some("every agent".into()));
    agents().into_iter().chain([all]).collect()
}

/// Names of profiles.
pub fn profiles() -> Vec<CompletionCandidate> {
    let fleet = fleet();
    let names = fleet.iter().flat_map(|fleet| fleet.profiles.keys());
    names.map(CompletionCandidate::new).collect()
}

/// Names of agents.
pub fn agents() -> Vec<CompletionCandidate> {
    let fleet = fleet();
    let agents = fleet.iter().flat_map(|fleet| fleet.agents.values());
    agents
        .map(|agent| candidate(agent.name.as_str(), &agent.description))
        .collect()
}

/// Keys of the fleet file, with the names of the fleet in them.
pub fn keys() -> Vec<CompletionCandidate> {
    let Some(fleet) = fleet() else {
        return Vec::new();
    };
    all_keys()
        .iter()
        .filter(|doc| !doc.key.contains("[]") && !doc.schema.allows("object"))
        .flat_map(|doc| named(&fleet, doc))
        .collect()
}

/// A key with each name that can stand in it.
fn named(fleet: &Fleet, doc: &KeyDoc) -> Vec<CompletionCandidate> {
    let with = |from: &str, to: String| {
        let key = doc.key.replacen(from, &to, 1);
        candidate(&key, doc.schema.description())
    };
    if doc.key.starts_with("profiles.") {
        let names = fleet.profiles.keys();
        return names
            .map(|name| with("profiles.NAME", format!("profiles.{name}")))
            .collect();
    }
    let agents = fleet.agents.values();
    if doc.key.starts_with("agents.NAME.") {
        return agents
            .map(|agent| with("agents.NAME", format!("agents.{}", agent.name)))
            .collect();
    }
    let Some(kind) = AgentKind::BUILT_IN
        .into_iter()
        .find(|kind| doc.key.starts_with(&format!("agents.{}.", kind.as_str())))
    else {
        return vec![candidate(&doc.key, doc.schema.description())];
    };
    agents
        .filter(|agent| agent.kind == kind)
        .map(|agent| {
            with(
                &format!("agents.{}", kind.as_str()),
                format!("agents.{}", agent.name),
            )
        })
        .collect()
}

/// Values for the key that is on the command line already.
pub fn values() -> Vec<CompletionCandidate> {
    let words = words();
    let key = words
        .iter()
        .skip_while(|word| *word != "set")
        .skip(1)
        .find_map(|word| word.to_str().filter(|word| !word.starts_with('-')));
    let (Some(key), Some(fleet)) = (
        key.and_then(|key| fleet::edit::parse_key(key).ok()),
        fleet(),
    ) else {
        return Vec::new();
    };
    match key.first().map(String::as_str) {
        Some("profiles") => return agents(),
        Some("fleet") if key[1..] == ["profile"] => {
            return fleet
                .profiles
                .keys()
                .map(CompletionCandidate::new)
                .collect();
        }
        _ => {}
    }
    let schema = fleet::key_schema(&key, |name| super::config::kind_of(Some(&fleet), name));
    let Ok(schema) = schema else {
        return Vec::new();
    };
    let flags: &[&str] = match schema.is_known() && schema.allows("boolean") {
        true => &["true", "false"],
        false => &[],
    };
    let words = schema.words();
    let words = words.iter().map(|(word, help)| candidate(word, help));
    words
        .chain(flags.iter().map(CompletionCandidate::new))
        .collect()
}

fn candidate(value: &str, help: &str) -> CompletionCandidate {
    let help = help.lines().next().filter(|help| !help.is_empty());
    CompletionCandidate::new(value).help(help.map(|help| help.to_owned().into()))
}

/// The command line that is being completed.
fn words() -> Vec<OsString> {
    let all = std::env::args_os();
    all.skip_while(|word| word != "--").skip(1).collect()
}

/// The fleet that the command line is about.
fn fleet() -> Option<Fleet> {
    let words = words();
    let option = |name: &str| -> Option<PathBuf> {
        let long = format!("{name}=");
        let at = words.iter().position(|word| word == name).map(|at| at + 1);
        let joined = || {
            words
                .iter()
                .find_map(|word| word.to_str()?.strip_prefix(&long))
        };
        at.and_then(|at| words.get(at))
            .map(PathBuf::from)
            .or_else(|| joined().map(PathBuf::from))
    };
    let sources = Sources {
        root: option("--root").unwrap_or_else(|| PathBuf::from("/")),
        file: option("--fleet").or_else(|| std::env::var_os("RECON_FLEET").map(PathBuf::from)),
        env: fleet::environment(),
    };
    fleet::load(&sources).ok().map(|loaded| loaded.fleet)
}
