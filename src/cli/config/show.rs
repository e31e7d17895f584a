use std::collections::BTreeMap;

use clap_complete::engine::ArgValueCandidates;
use serde_json::json;
use toml::{Table, Value};

use crate::api::ExitCode;
use crate::cli::{Global, Outcome, check, complete, output, pager};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is printed can be used as a fleet file: it means the same fleet.")]
pub struct Args {
    /// Only this agent.
    #[arg(value_name = "AGENT", add = ArgValueCandidates::new(complete::agents))]
    pub agent: Option<String>,
    /// Say where each value came from: FILE:LINE, the environment, or built in.
    #[arg(long)]
    pub origin: bool,
}

pub fn run(global: &Global, args: &Args) -> Outcome {
    let loaded = check::load(global)?;
    let mut table = loaded.fleet.to_table();
    if let Some(name) = &args.agent {
        table = only(table, name).ok_or_else(|| super::no_such_agent(name, &loaded.fleet))?;
    }
    let origins = args.origin.then_some(&loaded.origins);
    if global.json || global.jsonl {
        let mut answer = json!({ "config": table });
        if let Some(origins) = origins {
            let shown = origins.iter().filter(|(key, _)| contains(&table, key));
            answer["origins"] = shown.map(|(k, v)| (k.clone(), json!(v))).collect();
        }
        output::json(&answer)?;
    } else {
        let mut text = String::new();
        write_table(&mut text, "", &table, origins);
        pager::text(global, text.trim_start_matches('\n'))?;
    }
    Ok(ExitCode::Ok)
}

/// The table with nothing but one agent in it.
fn only(mut table: Table, name: &str) -> Option<Table> {
    let Some(Value::Table(mut agents)) = table.remove("agents") else {
        return None;
    };
    let agent = Table::from_iter([(name.to_owned(), agents.remove(name)?)]);
    Some(Table::from_iter([(
        "agents".to_owned(),
        Value::Table(agent),
    )]))
}

fn contains(table: &Table, key: &str) -> bool {
    let (first, rest) = key
        .split_once('.')
        .map_or((key, None), |(a, b)| (a, Some(b)));
    match (table.get(first), rest) {
        (Some(Value::Table(inner)), Some(rest)) => contains(inner, rest),
        (found, rest) => found.is_some() && rest.is_none(),
    }
}

/// Writes a table as TOML: plain values first, one a line, each with its origin.
pub(super) fn write_table(
    text: &mut String,
    path: &str,
    table: &Table,
    origins: Option<&BTreeMap<String, String>>,
) {
    let name = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    let (tables, values): (Vec<_>, Vec<_>) = table.iter().partition(|(_, value)| value.is_table());
    if !values.is_empty() {
        text.push_str(&format!("\n[{path}]\n"));
    }
    for (key, value) in values {
        let line = format!("{key} = {value}");
        match origins.map(|all| all.get(&name(key)).map_or("built in", String::as_str)) {
            Some(origin) => text.push_str(&format!("{line:<40} # {origin}\n")),
            None => text.push_str(&format!("{line}\n")),
        }
    }
    for (key, value) in tables {
        if let Value::Table(inner) = value {
            write_table(text, &name(key), inner, origins);
        }
    }
}
