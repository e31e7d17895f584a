use owo_colors::OwoColorize;

use super::{Failure, Global, Outcome, check, output, render};
use crate::api::ExitCode;
use crate::units::{self, Permissions, Plan, SystemdVersion};

/// Show how the installed unit files differ from the fleet file.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exits 0 when nothing differs and 1 when something does, as git diff --exit-code. Files that were
edited by hand or whose agent left the fleet are listed too.")]
pub struct Args {
    /// Compare with /run instead of /etc.
    #[arg(long)]
    pub runtime: bool,
    /// Render for this version of systemd instead of the running one.
    #[arg(long, value_name = "N")]
    pub target_systemd: Option<SystemdVersion>,
    /// Say as well what systemd cannot do of what the fleet file asks for.
    #[arg(short, long)]
    pub verbose: bool,
}

pub async fn run(global: &Global, args: Args) -> Outcome {
    let loaded = check::load(global)?;
    let rendered = render::rendered(global, &loaded, args.target_systemd)?;
    let to = global.destination(args.runtime);
    let manifest = to.manifest().map_err(Failure::from)?;
    let plan = units::plan(&rendered, &to, &manifest, Permissions::default())?;
    if global.json || global.jsonl {
        output::json(&plan)?;
    } else {
        let mut text = describe(global, &plan);
        if args.verbose {
            text.push_str(&check::notes_text(&rendered.notes));
        }
        output::text(&text)?;
    }
    let same = plan.is_empty() && plan.kept.is_empty() && plan.leftovers.is_empty();
    Ok(if same {
        ExitCode::Ok
    } else {
        ExitCode::Failure
    })
}

/// A plan for people: diffs, then what is kept.
pub(super) fn describe(global: &Global, plan: &Plan) -> String {
    let mut text = String::new();
    for change in &plan.changes {
        text.push_str(&colored(global, &change.diff));
    }
    let mut list = |what: &str, paths: &[std::path::PathBuf]| {
        for path in paths {
            text.push_str(&format!("{what}: {}\n", path.display()));
        }
    };
    list("enable", &plan.enable);
    list("disable", &plan.disable);
    list("edited by hand, kept (--force overwrites)", &plan.kept);
    list(
        "no longer in the fleet, kept (--prune removes)",
        &plan.leftovers,
    );
    for unit in &plan.stop {
        text.push_str(&format!("stop: {unit}\n"));
    }
    text
}

/// A unified diff in colours, where colours are wanted.
pub(super) fn colored(global: &Global, diff: &str) -> String {
    if !global.colors() {
        return diff.to_owned();
    }
    let line = |line: &str| match line.chars().next() {
        Some('+') => line.green().to_string(),
        Some('-') => line.red().to_string(),
        Some('@') => line.cyan().to_string(),
        _ => line.to_owned(),
    };
    diff.lines().map(|text| line(text) + "\n").collect()
}
