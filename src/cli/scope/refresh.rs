use std::path::Path;

use anyhow::{Context as _, anyhow};
use chrono::Utc;
use ipnet::IpNet;
use serde_json::json;

use super::memory::Memory;
use super::names::{self, GRACE, Opened};
use super::{allowed, resolvers};
use crate::api::ExitCode;
use crate::cli::agents::failed;
use crate::cli::table::printable;
use crate::cli::{Failure, Global, Outcome, check, output};

/// Resolve the names and put their addresses into the agents' firewall (root).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Resolves the names in scope.allow and that of fleet.hub, adds the resolvers of /etc/resolv.conf, takes
away what scope.deny and the rules for names forbid, and sets the result as the addresses that
recon-agents.slice allows: for all agents at once, without a restart and without a daemon-reload. The
list is ours alone; addresses of your own belong into scope.allow.
A name that does not resolve keeps its last addresses for an hour. Wildcards cannot be resolved.")]
pub struct Args {
    /// Show what would be set, and set nothing.
    #[arg(long)]
    pub dry_run: bool,
}

pub async fn run(global: &Global, args: Args) -> Outcome {
    if global.user || global.host.is_some() {
        let error = anyhow!(
            "the firewall is this host's own systemd's: run it there, without --user and --host"
        );
        return Err(Failure::new(ExitCode::Usage, error));
    }
    let loaded = check::load(global)?;
    let fleet = &loaded.fleet;
    let answers = names::resolve(&names::of(fleet)).await;
    let remembered = Memory::load(&global.root);
    let resolvers = resolvers::of(&global.root);
    let opened = names::open(fleet, answers, &resolvers, &remembered, Utc::now());
    let changed = if args.dry_run || global.root != Path::new("/") {
        None
    } else {
        Some(set(global, &opened).await?)
    };
    for line in warnings(&opened) {
        eprintln!("reconctl: {}", printable(&line));
    }
    if global.json || global.jsonl {
        output::json(&json!({
            "addresses": opened.nets,
            "names": opened.memory.names,
            "refused": opened.refused.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "changed": changed,
        }))?;
    } else {
        output::text(&describe(&opened, changed))?;
    }
    Ok(ExitCode::Ok)
}

/// Sets what the firewall lets through; says whether it was something else before.
async fn set(global: &Global, opened: &Opened) -> Result<bool, Failure> {
    let manager = global.systemd().await?;
    let mut nets = opened.nets.clone();
    nets.sort();
    let changed = allowed(&manager).await? != nets;
    if changed {
        let set = manager.set_allowed_addresses(super::SLICE, &nets).await;
        set.map_err(failed)?;
    }
    let kept = if opened.memory.names.is_empty() {
        Memory::forget(&global.root)
    } else {
        opened.memory.save(&global.root)
    };
    kept.context("cannot write /run/recon-scope/addresses.json")?;
    Ok(changed)
}

fn warnings(opened: &Opened) -> Vec<String> {
    let failing = opened.memory.names.iter().filter_map(|(name, known)| {
        let problem = known.problem.as_ref()?;
        let kept = match known.addresses.is_empty() {
            true => "nothing is open for it".to_owned(),
            false => format!(
                "it keeps its last addresses for {} minutes",
                GRACE.num_minutes()
            ),
        };
        Some(format!("cannot resolve {name}: {problem}; {kept}"))
    });
    let refused = opened
        .refused
        .iter()
        .map(|refusal| format!("left out: {refusal}"));
    failing.chain(refused).collect()
}

fn describe(opened: &Opened, changed: Option<bool>) -> String {
    let nets: Vec<String> = opened
        .nets
        .iter()
        .map(|net: &IpNet| net.addr().to_string())
        .collect();
    let list = match nets.is_empty() {
        true => "nothing".to_owned(),
        false => nets.join(" "),
    };
    match changed {
        None => format!("would let through, besides what the units allow: {list}\n"),
        Some(true) => {
            format!("the firewall now lets through, besides what the units allow: {list}\n")
        }
        Some(false) => format!("the firewall is up to date: {list}\n"),
    }
}
