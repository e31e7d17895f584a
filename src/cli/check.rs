use std::collections::BTreeMap;

use serde::Serialize;

use super::{Failure, Global, Outcome, output, user};
use crate::api::ExitCode;
use crate::fleet::{self, Diagnostic, Loaded, Sources};
use crate::units::{Note, SystemdVersion};

/// Look for errors in the fleet file; change nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads every file and prints all errors at once as FILE:LINE: KEY: MESSAGE. Exits 0 when there is
none and 2 when there is one.")]
pub struct Args {
    /// Say as well what systemd cannot do of what the fleet file asks for.
    #[arg(short, long)]
    pub verbose: bool,
    /// Check for this version of systemd instead of the running one.
    #[arg(long, value_name = "N")]
    pub target_systemd: Option<SystemdVersion>,
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    errors: &'a [Diagnostic],
    notes: &'a [Note],
}

pub async fn run(global: &Global, args: Args) -> Outcome {
    let sources = sources(global);
    let loaded = match fleet::load(&sources) {
        Ok(loaded) => loaded,
        Err(errors) => {
            report_errors(global, &errors.0)?;
            return Ok(ExitCode::Usage);
        }
    };
    // The version matters for the notes only.
    let notes = if args.verbose || args.target_systemd.is_some() || global.json {
        super::render::rendered(global, &loaded, args.target_systemd)?.notes
    } else {
        Vec::new()
    };
    if global.json || global.jsonl {
        output::json(&Report {
            ok: true,
            errors: &[],
            notes: &notes,
        })?;
        return Ok(ExitCode::Ok);
    }
    let fleet = &loaded.fleet;
    let mut text = format!(
        "no errors: {} agents, profile {:?}, hub {}\n",
        fleet.agents.len(),
        fleet.profile,
        fleet.hub
    );
    text.push_str(&notes_text(&notes));
    output::text(&text)?;
    Ok(ExitCode::Ok)
}

fn report_errors(global: &Global, errors: &[Diagnostic]) -> anyhow::Result<()> {
    if global.json || global.jsonl {
        return output::json(&Report {
            ok: false,
            errors,
            notes: &[],
        });
    }
    for error in errors {
        eprintln!("{error}");
    }
    Ok(())
}

/// Where to read the fleet from.
pub(super) fn sources(global: &Global) -> Sources {
    let mut env = fleet::environment();
    if global.user && !env.contains_key(fleet::CONFIG_DIR) {
        let dir = user::config_dir().to_string_lossy().into_owned();
        env.insert(fleet::CONFIG_DIR.to_owned(), dir);
    }
    Sources {
        root: global.root.clone(),
        file: global.fleet.clone(),
        env,
    }
}

/// The fleet, or all its errors and exit code 2.
pub(super) fn load(global: &Global) -> Result<Loaded, Failure> {
    if let Some(host) = &global.host {
        let error = anyhow::anyhow!(
            "-H drives the systemd of another host, but files are those of this one: run this verb \
             there (ssh {host} reconctl …)"
        );
        return Err(Failure::new(ExitCode::Usage, error));
    }
    fleet::load(&sources(global)).map_err(|errors| Failure::new(ExitCode::Usage, errors))
}

/// Notes for people; agents with the same note share a line.
pub(super) fn notes_text(notes: &[Note]) -> String {
    let mut by_text: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for note in notes {
        by_text
            .entry(&note.text)
            .or_default()
            .push(note.agent.as_str());
    }
    let line = |(text, agents): (&str, Vec<&str>)| format!("note: {}: {text}\n", agents.join(", "));
    by_text.into_iter().map(line).collect()
}
