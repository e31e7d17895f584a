//! `reconctl verify`: one report of whether what the fleet file says is what this host can and will do.

mod analyze;
mod files;
mod finding;
mod host;
mod machine;
mod unit_file;

use std::path::{Path, PathBuf};

use clap_complete::engine::ArgValueCandidates;
use serde::Serialize;

use super::agents::bare;
use super::{Failure, Global, Outcome, check, complete, config, output, pager, render};
use crate::api::ExitCode;
use crate::fleet::{self, Agent, Fleet};
use crate::units::{BASELINE, Note, SystemdVersion};

use analyze::Exposure;
use finding::{Area, Finding, Level};

pub use machine::probe;

/// Report what is not as the fleet file says, and what systemd and this machine cannot do.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Looks at the fleet file, at the unit files (drift, edits by hand, what systemd reads of them, how well
they are shut in), at what this version of systemd and this machine lack, and at the programs, users
and files that the units need. Changes nothing. Without a running systemd only what is on disk is
looked at. Exits 1 when there is an error, else 0.")]
pub struct Args {
    /// Only these agents.
    #[arg(value_name = "AGENT", add = ArgValueCandidates::new(complete::agents))]
    pub agents: Vec<String>,
    /// What this version of systemd cannot do, instead of the running one.
    #[arg(long, value_name = "N")]
    pub target_systemd: Option<SystemdVersion>,
}

/// What is looked at.
struct Subject<'a> {
    root: &'a Path,
    fleet: &'a Fleet,
    /// The agents that were asked for.
    agents: Vec<&'a Agent>,
    /// All were asked for, and what belongs to no agent.
    whole: bool,
}

impl Subject<'_> {
    /// Whether it is the system that runs here, not an image.
    fn is_live(&self) -> bool {
        self.root == Path::new("/")
    }

    fn units(&self) -> Vec<String> {
        self.agents.iter().map(|agent| agent.name.unit()).collect()
    }

    fn is_about(&self, unit: &str) -> bool {
        self.whole || self.agents.iter().any(|agent| agent.name.unit() == unit)
    }

    fn is_in_a_profile(&self, agent: &Agent) -> bool {
        self.fleet
            .profiles
            .values()
            .any(|members| members.contains(&agent.name))
    }
}

/// The systemd that the units are for.
struct Systemd {
    version: SystemdVersion,
    /// It is the one that runs here.
    own: bool,
    /// It runs.
    running: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    systemd: u32,
    running: bool,
    findings: &'a [Finding],
    exposure: &'a [Exposure],
}

pub async fn run(global: &Global, args: Args) -> Outcome {
    let (systemd, mut findings) = systemd(global, args.target_systemd);
    let mut exposure = Vec::new();
    let sources = check::sources(global);
    findings.extend(host::fleet_file(&sources.fleet_path()));
    match fleet::load(&sources) {
        Ok(loaded) => {
            let subject = subject(global, &loaded.fleet, &args.agents)?;
            let text = format!(
                "the fleet file is valid: {} agents, profile {:?}",
                loaded.fleet.agents.len(),
                loaded.fleet.profile
            );
            findings.push(Finding::new(Level::Ok, Area::Fleet, text));
            let rendered = render::rendered(global, &loaded, Some(systemd.version))?;
            if systemd.own || !subject.is_live() {
                findings.extend(files::installed(&subject, &rendered)?);
            }
            findings.extend(lost(&rendered.notes));
            findings.extend(host::needs(&subject));
            if unit_file::find(subject.root, "recon@.service").is_some() {
                let (analyzed, stale, machine) = tokio::join!(
                    analyze::analyze(&subject, &rendered),
                    files::stale(&subject, &systemd),
                    machine::machine(&subject, &systemd),
                );
                exposure = analyzed.1;
                findings.extend(analyzed.0.into_iter().chain(stale).chain(machine));
            } else {
                let text = "recon@.service is not installed: nothing can be started";
                findings.push(Finding::new(Level::Error, Area::Units, text).fix("make install"));
                findings.extend(machine::machine(&subject, &systemd).await);
            }
            let about = |f: &Finding| f.unit.as_ref().is_none_or(|unit| subject.is_about(unit));
            findings.retain(about);
        }
        Err(errors) => findings.extend(errors.0.iter().map(|error| {
            let fix = "nothing is applied until it is mended";
            Finding::new(Level::Error, Area::Fleet, error.to_string()).fix(fix)
        })),
    }
    findings.sort_by(|a, b| (a.level, a.area, &a.unit).cmp(&(b.level, b.area, &b.unit)));
    print(global, &systemd, &findings, &exposure)
}

fn print(
    global: &Global,
    systemd: &Systemd,
    findings: &[Finding],
    exposure: &[Exposure],
) -> Outcome {
    let ok = findings.iter().all(|finding| finding.level != Level::Error);
    if global.jsonl {
        for finding in findings {
            output::text(&(serde_json::to_string(finding)? + "\n"))?;
        }
    } else if global.json {
        output::json(&Report {
            ok,
            systemd: systemd.version.0,
            running: systemd.running,
            findings,
            exposure,
        })?;
    } else {
        pager::text(global, &finding::describe(findings, global.colors()))?;
    }
    Ok(if ok { ExitCode::Ok } else { ExitCode::Failure })
}

fn subject<'a>(
    global: &'a Global,
    fleet: &'a Fleet,
    names: &[String],
) -> Result<Subject<'a>, Failure> {
    let whole = names.is_empty() || names.iter().any(|name| name == super::agents::ALL);
    let mut agents = Vec::new();
    for name in names.iter().map(|name| bare(name)).filter(|_| !whole) {
        let agent = fleet
            .agents
            .values()
            .find(|agent| agent.name.as_str() == name);
        agents.push(agent.ok_or_else(|| config::no_such_agent(name, fleet))?);
    }
    if whole {
        agents = fleet.agents.values().collect();
    }
    Ok(Subject {
        root: &global.root,
        fleet,
        agents,
        whole,
    })
}

/// Which systemd it is about, and what cannot be looked at for want of one.
fn systemd(global: &Global, target: Option<SystemdVersion>) -> (Systemd, Vec<Finding>) {
    let here = render::running_version().ok();
    let version = target.or(here).unwrap_or(BASELINE);
    // sd_booted(3)
    let booted = PathBuf::from("/run/systemd/system").is_dir();
    let live = global.root == Path::new("/");
    let systemd = Systemd {
        version,
        own: target.is_none() || target == here,
        running: live && booted,
    };
    let note = |text: String| Finding::new(Level::Note, Area::Systemd, text);
    let mut found = Vec::new();
    if !systemd.own && live {
        found.push(note(format!(
            "only what systemd {version} cannot do is looked at: the unit files here are for another one"
        )));
    }
    if here.is_none() && target.is_none() {
        found.push(note(format!(
            "there is no systemctl here: taken to be systemd {version}; see --target-systemd"
        )));
    }
    if live && !booted {
        let text = "systemd does not run here: only what is on disk is looked at";
        found.push(note(text.to_owned()));
    }
    (systemd, found)
}

/// What is lost of what the fleet file asks for. What a newer systemd would do is no fault of the
/// fleet's; the rest can be mended.
fn lost(notes: &[Note]) -> Vec<Finding> {
    let finding = |note: &Note| {
        let level = match note.text.contains(": systemd ") {
            true => Level::Note,
            false => Level::Warning,
        };
        Finding::new(level, Area::Systemd, note.text.as_str()).unit(note.agent.unit())
    };
    notes.iter().map(finding).collect()
}
