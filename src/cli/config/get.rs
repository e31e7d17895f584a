use std::collections::BTreeMap;

use anyhow::anyhow;
use clap_complete::engine::ArgValueCandidates;
use serde_json::json;
use toml::{Table, Value};

use super::show::write_table;
use super::{kind_of, no_such_agent, parse_key};
use crate::api::ExitCode;
use crate::cli::{Failure, Global, Outcome, check, complete, output};
use crate::fleet::{Fleet, key_schema};

/// Arguments of `config get`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A text is printed as it is, everything else as TOML. Exits 1 when the key is known and not set, 2 when
no fleet file has such a key, 4 when there is no such agent.")]
pub struct Args {
    /// Dotted key: agents.kaze.config.max_scans.
    #[arg(value_name = "KEY", add = ArgValueCandidates::new(complete::keys))]
    pub key: String,
    /// Say where each value came from: FILE:LINE, the environment, or built in.
    #[arg(long)]
    pub origin: bool,
}

pub fn run(global: &Global, args: &Args) -> Outcome {
    let loaded = check::load(global)?;
    let key = parse_key(&args.key)?;
    let value = find(&loaded.fleet, &key)?;
    let dotted = key.join(".");
    if global.json || global.jsonl {
        output::json(&json!({
            "key": dotted,
            "value": value,
            "origin": value.as_ref().and_then(|v| origin(&loaded.origins, &dotted, v)),
        }))?;
        return Ok(match value {
            Some(_) => ExitCode::Ok,
            None => ExitCode::Failure,
        });
    }
    let Some(value) = value else {
        return Err(anyhow!("{dotted} is not set").into());
    };
    output::text(&shown(
        &dotted,
        &value,
        args.origin.then_some(&loaded.origins),
    ))?;
    Ok(ExitCode::Ok)
}

fn shown(key: &str, value: &Value, origins: Option<&BTreeMap<String, String>>) -> String {
    let mut text = String::new();
    if let Value::Table(table) = value {
        write_table(&mut text, key, table, origins);
        return text.trim_start_matches('\n').to_owned();
    }
    text.push_str(&match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    if let Some(origins) = origins {
        let origin = origin(origins, key, value).unwrap_or_else(|| "built in".to_owned());
        text.push_str(&format!("  # {origin}"));
    }
    text + "\n"
}

/// Where a value came from; a table may come from several places and has none of its own.
fn origin(origins: &BTreeMap<String, String>, key: &str, value: &Value) -> Option<String> {
    match value {
        Value::Table(_) => None,
        _ => Some(
            origins
                .get(key)
                .map_or("built in", String::as_str)
                .to_owned(),
        ),
    }
}

/// The effective value of a key; `None` when the key is known and has none.
///
/// # Errors
/// There is no such key, or no such agent.
pub(super) fn find(fleet: &Fleet, key: &[String]) -> Result<Option<Value>, Failure> {
    key_schema(key, |name| kind_of(Some(fleet), name))
        .map_err(|error| Failure::new(ExitCode::Usage, error))?;
    if let [first, name, ..] = key
        && first == "agents"
        && !fleet.agents.keys().any(|known| known.as_str() == name)
    {
        return Err(no_such_agent(name, fleet));
    }
    let mut value = Value::Table(fleet.to_table());
    for name in key {
        let Value::Table(mut table) = value else {
            return Ok(None);
        };
        match Table::remove(&mut table, name) {
            Some(inner) => value = inner,
            None => return Ok(None),
        }
    }
    Ok(Some(value))
}
