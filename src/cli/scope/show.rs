use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use serde::Serialize;
use serde_json::json;

use super::memory::{Known, Memory};
use super::{SLICE, allowed, names, resolvers};
use crate::api::ExitCode;
use crate::cli::table::{duration, table};
use crate::cli::{Global, Outcome, check, output};
use crate::fleet::{Fleet, Loaded};

/// Show the rules, where each came from, and the addresses of names that are in force.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// One rule.
#[derive(Debug, Serialize)]
struct RuleRow {
    kind: &'static str,
    rule: String,
    from: String,
}

/// One name.
#[derive(Debug, Serialize)]
struct NameRow {
    name: String,
    /// The addresses that the firewall lets through for it.
    in_force: Vec<IpAddr>,
    #[serde(flatten)]
    known: Known,
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<String>,
}

pub async fn run(global: &Global, _: Args) -> Outcome {
    let loaded = check::load(global)?;
    let rules = rules(&loaded);
    let firewall = in_force(global).await;
    let names = names_of(
        global,
        &loaded.fleet,
        firewall.as_deref().unwrap_or_default(),
    );
    if global.json || global.jsonl {
        output::json(&json!({
            "rules": rules,
            "max_rate": loaded.fleet.scope.max_rate,
            "names": names,
            "firewall": { "slice": SLICE, "addresses": firewall },
        }))?;
        return Ok(ExitCode::Ok);
    }
    let rows = rules
        .iter()
        .map(|row| vec![row.kind.to_owned(), row.rule.clone(), row.from.clone()]);
    let mut text = table(global, &["RULE", "VALUE", "FROM"], rows.collect());
    if !names.is_empty() {
        text.push('\n');
        let rows = names.iter().map(name_cells).collect();
        text.push_str(&table(
            global,
            &["NAME", "IN FORCE", "RESOLVED", "REMARK"],
            rows,
        ));
    }
    if firewall.is_none() && loaded.fleet.has_names() {
        text.push_str(
            "\nwhat the firewall lets through cannot be seen here: systemd is not reached\n",
        );
    }
    output::text(&text)?;
    Ok(ExitCode::Ok)
}

fn rules(loaded: &Loaded) -> Vec<RuleRow> {
    let from = |key: &str| {
        let origin = loaded.origins.get(key);
        origin.map_or_else(|| "built in".to_owned(), Clone::clone)
    };
    let row = |kind, rule: String, key: &str| RuleRow {
        kind,
        rule,
        from: from(key),
    };
    let scope = &loaded.fleet.scope;
    let mut rows = Vec::new();
    rows.extend(
        scope
            .allow()
            .iter()
            .map(|rule| row("allow", rule.to_string(), "scope.allow")),
    );
    rows.extend(
        scope
            .deny()
            .iter()
            .map(|rule| row("deny", rule.to_string(), "scope.deny")),
    );
    rows.push(row("hub", loaded.fleet.hub.clone(), "fleet.hub"));
    rows
}

/// What the slice allows; `None` where systemd cannot be asked.
async fn in_force(global: &Global) -> Option<Vec<IpNet>> {
    if global.user || (global.root != Path::new("/") && global.host.is_none()) {
        return None;
    }
    allowed(&global.systemd().await.ok()?).await.ok()
}

fn names_of(global: &Global, fleet: &Fleet, firewall: &[IpNet]) -> Vec<NameRow> {
    let open = |addr: &IpAddr| firewall.contains(&IpNet::from(*addr));
    // Remembered on this host, for this host.
    let mut remembered: BTreeMap<String, Known> = match global.host {
        None => Memory::load(&global.root).names,
        Some(_) => BTreeMap::new(),
    };
    let mut rows: Vec<NameRow> = names::of(fleet)
        .into_iter()
        .map(|name| {
            let known = remembered.remove(&name).unwrap_or_default();
            let in_force = known.addresses.iter().filter(|addr| open(addr));
            NameRow {
                in_force: in_force.copied().collect(),
                remark: known
                    .problem
                    .as_ref()
                    .map(|why| format!("does not resolve: {why}")),
                name,
                known,
            }
        })
        .collect();
    rows.extend(fleet.scope.wildcards().map(|rule| NameRow {
        name: rule.to_string(),
        in_force: Vec::new(),
        known: Known::default(),
        remark: Some("cannot be resolved beforehand: allow the names or their networks".to_owned()),
    }));
    if fleet.has_names() {
        let found = resolvers::of(&global.root).into_iter();
        rows.push(NameRow {
            name: "(resolvers)".to_owned(),
            in_force: found.filter(|addr| open(addr)).collect(),
            known: Known::default(),
            remark: None,
        });
    }
    rows
}

fn name_cells(row: &NameRow) -> Vec<String> {
    let addresses: Vec<String> = row.in_force.iter().map(ToString::to_string).collect();
    let age = |at: DateTime<Utc>| (Utc::now() - at).to_std().unwrap_or(Duration::ZERO);
    let resolved = row
        .known
        .resolved_at
        .map(|at| format!("{} ago", duration(age(at))));
    vec![
        row.name.clone(),
        addresses.join(" "),
        resolved.unwrap_or_default(),
        row.remark.clone().unwrap_or_default(),
    ]
}
