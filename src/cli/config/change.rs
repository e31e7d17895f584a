use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap_complete::engine::ArgValueCandidates;
use serde::Serialize;
use toml::Value;
use toml_edit::Array;

use super::{FleetFile, get, kind_of, parse_key, value};
use crate::api::ExitCode;
use crate::cli::{Failure, Global, Outcome, check, complete, diff, output};
use crate::fleet::edit::{Change, edited};
use crate::fleet::{self, Diagnostics, Fleet, Loaded, Sources, key_schema};
use crate::units::unified;

/// Arguments of `config set`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
VALUE is TOML, or a bare word where a text may stand; several make a list. The fleet is checked as a
whole first: what is not valid changes nothing and exits 2. Comments, order and formatting stay.")]
pub struct SetArgs {
    /// Dotted key: agents.kaze.config.max_scans.
    #[arg(value_name = "KEY", add = ArgValueCandidates::new(complete::keys))]
    pub key: String,
    /// The value: 3, 30s, true, ["a", "b"].
    #[arg(value_name = "VALUE", required = true, allow_negative_numbers = true,
        add = ArgValueCandidates::new(complete::values))]
    pub values: Vec<String>,
    /// Put the values at the end of the list, unless they are in it.
    #[arg(long)]
    pub append: bool,
    /// Take the values out of the list.
    #[arg(long, conflicts_with = "append")]
    pub remove: bool,
    /// Show how the file would change, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `config unset`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The value is then what the other files and the built-in defaults say. A table goes with all that is in
it. The fleet is checked as a whole first: nothing changes when it would not be valid (exit 2).")]
pub struct UnsetArgs {
    /// Dotted key: agents.kaze.config.max_scans.
    #[arg(value_name = "KEY", add = ArgValueCandidates::new(complete::keys))]
    pub key: String,
    /// Show how the file would change, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// What was done, for scripts.
#[derive(Debug, Serialize)]
struct Report {
    key: String,
    file: PathBuf,
    changed: bool,
    dry_run: bool,
    /// What is in force now.
    value: Option<Value>,
    /// What was in force before.
    before: Option<Value>,
    /// Values of this key that come from elsewhere and win over the file.
    overridden_by: Vec<Override>,
}

#[derive(Debug, Serialize)]
struct Override {
    key: String,
    origin: String,
}

pub fn set(global: &Global, args: &SetArgs) -> Outcome {
    let key = parse_key(&args.key)?;
    let sources = check::sources(global);
    // A broken fleet file may be what this call repairs.
    let before = fleet::load(&sources).ok();
    let fleet = before.as_ref().map(|loaded| &loaded.fleet);
    // An unknown key is for the check of the whole to report, with its place.
    let schema = key_schema(&key, |name| kind_of(fleet, name)).ok();
    let change = if args.append || args.remove {
        let base = fleet.map_or_else(Array::new, |fleet| list(fleet, &key));
        let items = args.values.iter().map(|word| value::item(word)).collect();
        match args.append {
            true => Change::Append { items, base },
            false => Change::Remove { items, base },
        }
    } else {
        let value = value::read(&args.values, schema.as_ref());
        let wrong = |message| Failure::new(ExitCode::Usage, anyhow!("{}: {message}", args.key));
        Change::Set(value.map_err(wrong)?)
    };
    let edit = Edit {
        global,
        sources,
        key,
        before,
        dry_run: args.dry_run,
    };
    edit.run(&change)
}

pub fn unset(global: &Global, args: &UnsetArgs) -> Outcome {
    let key = parse_key(&args.key)?;
    let sources = check::sources(global);
    let before = fleet::load(&sources).ok();
    let edit = Edit {
        global,
        sources,
        key,
        before,
        dry_run: args.dry_run,
    };
    edit.run(&Change::Unset)
}

/// The list that is in force.
fn list(fleet: &Fleet, key: &[String]) -> Array {
    let texts = |value: Value| match value {
        Value::Array(items) => items
            .iter()
            .filter_map(|item| item.to_string().parse::<toml_edit::Value>().ok())
            .collect(),
        _ => Array::new(),
    };
    let value = get::find(fleet, key).ok().flatten();
    value.map_or_else(Array::new, texts)
}

struct Edit<'a> {
    global: &'a Global,
    sources: Sources,
    key: Vec<String>,
    /// The fleet as it was, when it was valid.
    before: Option<Loaded>,
    dry_run: bool,
}

impl Edit<'_> {
    fn run(&self, change: &Change) -> Outcome {
        let path = self.sources.fleet_path();
        let file = FleetFile::open(&path)?;
        let old = file.text.as_deref().unwrap_or("");
        let usage = |error: anyhow::Error| {
            let context = error.context(format!("{} was not changed", path.display()));
            Failure::new(ExitCode::Usage, context)
        };
        let new = edited(old, &self.key, change).map_err(|error| usage(error.into()))?;
        let loaded = fleet::load_as(&self.sources, &new);
        let loaded = loaded.map_err(|errors: Diagnostics| usage(errors.into()))?;
        let changed = new != old;
        if let (Change::Unset, false) = (change, changed) {
            // Not in the file: it may be mistyped.
            get::find(&loaded.fleet, &self.key)?;
        }
        if changed && !self.dry_run {
            file.replace(&new)?;
        }
        let report = self.report(&path, changed, &loaded);
        if self.global.json || self.global.jsonl {
            output::json(&report)?;
        } else if self.dry_run {
            let diff = unified(&path, Some(old), Some(&new));
            output::text(&diff::colored(self.global, &diff))?;
        } else {
            output::text(&self.describe(&report, change, &loaded))?;
        }
        Ok(ExitCode::Ok)
    }

    fn report(&self, path: &Path, changed: bool, loaded: &Loaded) -> Report {
        let value = |loaded: &Loaded| get::find(&loaded.fleet, &self.key).ok().flatten();
        Report {
            key: self.key.join("."),
            file: path.to_owned(),
            changed,
            dry_run: self.dry_run,
            value: value(loaded),
            before: self.before.as_ref().and_then(value),
            overridden_by: self.overrides(path, loaded),
        }
    }

    /// What of this key comes from something stronger than the fleet file.
    fn overrides(&self, path: &Path, loaded: &Loaded) -> Vec<Override> {
        let key = self.key.join(".");
        let below = format!("{key}.");
        let own = format!("{}:", path.display());
        let weaker = self.sources.root.join("usr/lib/recon/agents.d");
        let found = loaded.origins.iter().filter(|(k, origin)| {
            (**k == key || k.starts_with(&below))
                && !origin.starts_with(&own)
                && !Path::new(origin.as_str()).starts_with(&weaker)
        });
        found
            .map(|(key, origin)| Override {
                key: key.clone(),
                origin: origin.clone(),
            })
            .collect()
    }

    fn describe(&self, report: &Report, change: &Change, loaded: &Loaded) -> String {
        let (key, file) = (&report.key, report.file.display());
        let shown = |value: &Option<Value>| match value {
            Some(Value::Table(_)) => "a table".to_owned(),
            Some(value) => value.to_string(),
            None => "not set".to_owned(),
        };
        let mut text = match (report.changed, change) {
            (false, Change::Unset) => format!("{key} is not in {file}; nothing changed\n"),
            (false, _) => format!("{key} says so already; nothing changed\n"),
            (true, Change::Unset) => format!("{file}: {key} taken out\n"),
            (true, _) => match loaded.origins.get(key) {
                Some(place) => format!("{place}: {key} = {}\n", shown(&report.value)),
                None => format!("{file}: {key} is set\n"),
            },
        };
        let plain = report.overridden_by.is_empty();
        if report.changed && plain && report.before.is_some() && report.before != report.value {
            let (before, now) = (shown(&report.before), shown(&report.value));
            text.push_str(&format!("it was {before} and is now {now}\n"));
        }
        for over in &report.overridden_by {
            text.push_str(&format!(
                "warning: {} comes from {}, which wins: the fleet file has no effect on it\n",
                over.key, over.origin
            ));
        }
        if report.changed {
            text.push_str("\"reconctl apply\" puts it in force\n");
        }
        text
    }
}
