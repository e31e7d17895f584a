//! recon.toml(5): every key of the fleet file, from its schema, with the defaults that a fleet without
//! a file has.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap_mangen::roff::{Inline, Roff, bold, roman};
use serde_json::Value;

use super::page::{MANUAL, SOURCE, list};
use crate::cli::init;
use crate::fleet::{self, AgentKind, KeyDoc, Sources, all_keys};

/// How several files make one fleet.
const DESCRIPTION: [&str; 3] = [
    "The fleet file says what should run on this host, and what it may touch. Every line of it is \
     optional: it needs to say only what differs from the defaults. It is written in TOML. reconctl \
     check prints every error with its line; nothing is applied while there is one.",
    "Files are read in this order, and later ones win key by key: built-in defaults, the packages' \
     manifests, the fleet file, drop-ins in order of their file names, the environment. Of drop-ins with \
     the same name the one in /etc hides the one in /run, and that the one in /usr/lib. A link to \
     /dev/null masks a file.",
    "A length of time is written as \"30s\", \"15m\", \"24h\" or \"1h 30m\"; a bare number is seconds. \
     NAME stands for a name that you choose.",
];

/// The sections that come first, as in the example.
const ORDER: [&str; 4] = ["fleet", "scope", "profiles", "agents.NAME"];

/// Keys whose default is not a value but follows from the agent.
const OWN: [&str; 4] = ["description", "kind", "exec", "depends_on"];

const FILES: [(&str, &str); 5] = [
    (
        "/usr/lib/recon/agents.d/*.toml",
        "Manifests of packages: [agents.NAME] tables only.",
    ),
    ("/etc/recon/recon.toml", "The fleet file."),
    ("/usr/lib/recon/recon.d/*.toml", "Drop-ins of packages."),
    ("/run/recon/recon.d/*.toml", "Drop-ins until the next boot."),
    (
        "/etc/recon/recon.d/*.toml",
        "Drop-ins of the administrator.",
    ),
];

/// The page.
pub fn page() -> String {
    let mut roff = Roff::new();
    roff.control("TH", ["recon.toml", "5", "", SOURCE, MANUAL]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("recon.toml - the fleet file of recon")]);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([roman("/etc/recon/recon.toml")]);
    roff.control("SH", ["DESCRIPTION"]);
    for text in DESCRIPTION {
        roff.control("PP", []);
        roff.text([roman(text)]);
    }
    let defaults = Defaults::read();
    for (title, keys) in sections() {
        section(&mut roff, &title, &keys, &defaults);
    }
    let variables = fleet::variables();
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, key)| {
            (
                *name,
                format!("Overrides {key}, and that of every agent of its kind."),
            )
        })
        .collect();
    let variables: Vec<_> = variables.iter().map(|(n, t)| (*n, t.as_str())).collect();
    list(&mut roff, "ENVIRONMENT", &variables);
    list(&mut roff, "FILES", &FILES);
    roff.control("SH", ["EXAMPLE"]);
    roff.control("nf", []);
    for line in init::EXAMPLE.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(
        "reconctl(1), reconctl-config(1), reconctl-check(1), capabilities(7)",
    )]);
    roff.render()
}

/// Keys by the table that they are in, in the order of the schema. Kinds of agents with the same
/// settings share a section.
fn sections() -> Vec<(String, Vec<KeyDoc>)> {
    let mut sections: Vec<(String, Vec<KeyDoc>)> = Vec::new();
    for doc in all_keys() {
        let table = table_of(&doc.key);
        if doc.key == table || doc.key == "agents" {
            continue;
        }
        match sections.iter_mut().find(|(title, _)| *title == table) {
            Some((_, keys)) => keys.push(doc),
            None => sections.push((table, vec![doc])),
        }
    }
    let order = |title: &str| {
        ORDER
            .iter()
            .position(|first| *first == title)
            .unwrap_or(ORDER.len())
    };
    sections.sort_by_key(|(title, _)| order(title));
    let mut shared: Vec<(String, Vec<KeyDoc>)> = Vec::new();
    for (title, keys) in sections {
        // Defaults by kind of agent are told by key.
        let same = |other: &[KeyDoc]| {
            let pairs = || other.iter().zip(&keys);
            other.len() == keys.len()
                && pairs().all(|(a, b)| a.schema.same_but_for_default(&b.schema))
        };
        match shared.iter_mut().find(|(_, other)| same(other)) {
            Some((first, _)) => first.push_str(&format!(" {title}")),
            None => shared.push((title, keys)),
        }
    }
    shared
}

/// The table whose section a key is in: `fleet`, `agents.NAME`, `agents.kaze.config`.
fn table_of(key: &str) -> String {
    let parts: Vec<&str> = key.split('.').collect();
    let depth = match parts[..] {
        ["agents", "NAME", ..] => 2,
        ["agents", _, "config", ..] => 3,
        _ => 1,
    };
    parts[..depth.min(parts.len())].join(".")
}

fn section(roff: &mut Roff, titles: &str, keys: &[KeyDoc], defaults: &Defaults) {
    let tables: Vec<&str> = titles.split(' ').collect();
    let title: Vec<String> = tables.iter().map(|table| format!("[{table}]")).collect();
    roff.control("SH", [title.join(", ").as_str()]);
    for doc in keys {
        let key = doc.key.strip_prefix(tables[0]).unwrap_or(&doc.key);
        let key = key.trim_start_matches('.');
        roff.control("TP", []);
        let types = doc.schema.type_words();
        roff.text([bold(key), roman(format!(" ({types})"))]);
        let mut text = doc
            .schema
            .description()
            .trim()
            .replace('\n', " ")
            .replace('`', "\"");
        if !text.ends_with('.') {
            text.push('.');
        }
        let mut line: Vec<Inline> = vec![roman(text)];
        for (word, meaning) in doc.schema.words().iter().filter(|(_, m)| !m.is_empty()) {
            line.push(roman(format!(" \"{word}\": {meaning}")));
        }
        if let Some(default) = defaults.of(doc, &tables, key) {
            line.push(roman(format!(" Default: {default}.")));
        }
        roff.text(line);
    }
}

/// What holds without a fleet file, by kind of agent.
struct Defaults {
    fleet: Value,
    agents: BTreeMap<&'static str, Value>,
}

impl Defaults {
    fn read() -> Self {
        let sources = Sources {
            // Nothing of this host: the page is the same everywhere.
            root: PathBuf::from("/nonexistent"),
            file: None,
            env: BTreeMap::new(),
        };
        let custom = "[agents.custom]\nexec = [\"/bin/true\"]\n";
        let loaded = fleet::load_as(&sources, custom);
        let fleet = loaded.map(|l| l.fleet.to_table()).unwrap_or_default();
        let fleet = serde_json::to_value(fleet).unwrap_or_default();
        let kinds = AgentKind::BUILT_IN.into_iter().chain([AgentKind::Custom]);
        let agents = kinds
            .map(AgentKind::as_str)
            .map(|kind| (kind, fleet["agents"][kind].clone()))
            .collect();
        Self { fleet, agents }
    }

    /// The default of a key, in words; `None` when there is none, or one for each agent.
    fn of(&self, doc: &KeyDoc, tables: &[&str], key: &str) -> Option<String> {
        let find = |value: &Value, path: &str| -> Option<String> {
            let mut value = value;
            for part in path.split('.') {
                value = value.get(part)?;
            }
            shown(value)
        };
        if !tables[0].starts_with("agents.") {
            return find(&self.fleet, &doc.key);
        }
        let known: Vec<(&str, Option<String>)> = match tables[0] {
            "agents.NAME" => self
                .agents
                .iter()
                .map(|(k, v)| (*k, find(v, key)))
                .collect(),
            _ => {
                let kinds = tables.iter().filter_map(|table| table.split('.').nth(1));
                let path = format!("config.{key}");
                kinds
                    .map(|kind| (kind, find(&self.agents[kind], &path)))
                    .collect()
            }
        };
        if OWN.contains(&key) {
            return None;
        }
        let kinds = known.len();
        let known: Vec<_> = known
            .into_iter()
            .filter_map(|(k, v)| Some((k, v?)))
            .collect();
        in_words(kinds, &known)
    }
}

/// The values of so many kinds of agents: what most have, then who has another.
fn in_words(kinds: usize, known: &[(&str, String)]) -> Option<String> {
    let mut by_value: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (kind, value) in known {
        by_value.entry(value).or_default().push(kind);
    }
    let mut values: Vec<_> = by_value.into_iter().collect();
    values.sort_by_key(|(_, kinds)| std::cmp::Reverse(kinds.len()));
    let words = |(n, (value, of)): (usize, &(&str, Vec<&str>))| {
        let most = n == 0 && 2 * of.len() > kinds;
        match most {
            true => (*value).to_owned(),
            false => format!("{value} ({})", of.join(", ")),
        }
    };
    let words: Vec<String> = values.iter().enumerate().map(words).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// A value as it would be written; nothing for what is empty and for tables.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Object(_) | Value::Null => None,
        Value::Array(items) if items.is_empty() => None,
        Value::String(text) if text.is_empty() => None,
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_its_section() {
        let page = page().replace("\\-", "-").replace("\\&", "");
        for (titles, keys) in sections() {
            let title: Vec<_> = titles
                .split(' ')
                .map(|table| format!("[{table}]"))
                .collect();
            let title = title.join(", ");
            let quote = if title.contains(' ') { "\"" } else { "" };
            let title = format!("\n.SH {quote}{title}{quote}\n");
            let from = page
                .find(&title)
                .unwrap_or_else(|| panic!("no section {title}"));
            let section = &page[from + title.len()..];
            let section = &section[..section.find("\n.SH").unwrap()];
            let table = titles.split(' ').next().unwrap();
            for doc in keys {
                let key = doc
                    .key
                    .strip_prefix(table)
                    .unwrap_or(&doc.key)
                    .trim_start_matches('.');
                assert!(
                    section.contains(&format!("\\fB{key}\\fR (")),
                    "{} is not in {title}",
                    doc.key
                );
            }
        }
        // Keys are neither lost between sections.
        let listed: usize = sections()
            .iter()
            .map(|(t, keys)| keys.len() * t.split(' ').count())
            .sum();
        let tables = all_keys()
            .iter()
            .filter(|doc| doc.key == table_of(&doc.key))
            .count();
        assert_eq!(listed + tables, all_keys().len());
    }

    #[test]
    fn defaults_are_those_in_force() {
        let page = page().replace("\\-", "-");
        for text in [
            "Pause between cycles. Default: \"15s\" (kaze); \"30s\" (kage).",
            "The profile that recon.target starts. Default: \"full\".",
            "Restarts within restart_window; then failed. Default: 5.",
            "Default: \"30s\"; \"0s\" (custom).",
            "Default: [\"CAP_NET_RAW\"] (kaze).",
        ] {
            assert!(page.contains(text), "{text}");
        }
    }
}
