//! `reconctl`: one file a verb, each with its arguments and a `run`.
//!
//! A verb does what a person asked and shows it; what it shows comes from the fleet file (what
//! should run), systemd (what does run) and the hub (what was found), never from a state of its own.
//! May depend on everything below it (`units`, `systemd`, `engines`, `report`, `fleet`, `api`; of `hub` only what looks
//! after a database at rest); nothing depends on it but the binary.

mod agents;
mod apply;
mod assess;
pub mod boot;
mod changes;
mod check;
mod complete;
mod completions;
mod config;
mod control;
mod diff;
mod events;
mod findings;
mod generate;
mod generator;
mod health;
mod hub;
mod hub_client;
mod hub_place;
mod init;
mod list;
mod logs;
mod man;
pub mod output;
mod pager;
mod pages;
mod profile;
mod render;
mod report;
mod rules;
mod scan;
mod scans;
mod scope;
mod since;
mod site;
mod status;
mod table;
mod targets;
mod tree;
mod user;
mod verify;
mod vulndb;
mod web;

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};

use crate::api::ExitCode;
use control::{EnableArgs, MaskArgs, StartArgs, Verb};

/// Drive the recon fleet: what should run, what does run, what was found.
#[derive(Debug, Parser)]
#[command(
    name = "reconctl",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(after_help = "\
Exit codes: 0 done; 1 something failed; 2 bad usage or configuration; 3 unit not active (status);
4 no such agent; 5 not permitted; 6 hub unreachable; 7 findings are as bad as --fail-on says;
69 systemd unreachable; 130 interrupted.")]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options that every verb understands.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print one JSON object a line.
    #[arg(long, global = true, conflicts_with = "json")]
    pub jsonl: bool,
    /// Read and write below this directory instead of /.
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Talk to the user's own systemd (systemctl --user).
    #[arg(long, global = true)]
    pub user: bool,
    /// Read this fleet file instead of /etc/recon/recon.toml.
    #[arg(long, global = true, value_name = "FILE", env = "RECON_FLEET")]
    pub fleet: Option<PathBuf>,
    /// Drive and show the agents of another host over SSH, as systemctl -H does.
    #[arg(short = 'H', long, global = true, value_name = "[USER@]HOST[:PORT]")]
    pub host: Option<String>,
    /// Base URL of the hub (default: the fleet file's); unix:PATH for its control socket.
    #[arg(long, global = true, value_name = "URL")]
    pub hub: Option<String>,
    /// File with a token for the hub (default: recon/token in the configuration directory of the
    /// user; root on the hub's host needs none).
    #[arg(long, global = true, value_name = "FILE", env = "RECON_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Certificates (PEM) that the hub's must be signed by (default: the system's).
    #[arg(long, global = true, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// When to use colours.
    #[arg(long, global = true, value_enum, default_value_t = clap::ColorChoice::Auto)]
    pub color: clap::ColorChoice,
    /// Do not pipe long output into a pager.
    #[arg(long, global = true)]
    pub no_pager: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look for errors in the fleet file; change nothing.
    Check(check::Args),
    /// Print or write the unit files that the fleet file means; change nothing else.
    Render(render::Args),
    /// Show how the installed unit files differ from the fleet file.
    Diff(diff::Args),
    /// Make systemd's unit files agree with the fleet file.
    Apply(apply::Args),
    /// Report what is not as the fleet file says, and what systemd and this machine cannot do.
    Verify(verify::Args),
    /// Write a commented fleet file to begin with.
    Init(init::Args),
    /// Have systemd itself make the unit files at boot (recon-generator).
    #[command(subcommand)]
    Generator(generator::Command),
    /// Show effective settings, and edit the fleet file.
    #[command(subcommand)]
    Config(config::Command),
    /// Show and check what may be touched, and keep the firewall up with it.
    #[command(subcommand)]
    Scope(scope::Command),
    /// Start a profile's agents, and stop all others.
    Up(profile::UpArgs),
    /// Stop all agents, those first that need others.
    Down(profile::DownArgs),
    /// Start agents and wait until they are ready.
    Start(control::StartArgs),
    /// Stop agents; they finish the task in hand.
    Stop(control::JobArgs),
    /// Restart agents.
    Restart(control::StartArgs),
    /// Reload the configuration of agents.
    Reload(control::JobArgs),
    /// Pause agents after the task in hand; they stay paused over a restart.
    Pause(control::Args),
    /// Resume paused agents.
    Resume(control::Args),
    /// Freeze agents where they are (cgroup v2); they do not notice.
    Freeze(control::ForceArgs),
    /// Let frozen agents go on.
    Thaw(control::Args),
    /// Send a signal to agents.
    Kill(control::KillArgs),
    /// Clear the failed state and the restart count of agents.
    Reset(control::ForceArgs),
    /// Have agents start at boot, with their profile.
    Enable(control::EnableArgs),
    /// Have agents not start at boot.
    Disable(control::EnableArgs),
    /// Make it impossible to start agents.
    Mask(control::MaskArgs),
    /// Undo mask.
    Unmask(control::UnmaskArgs),
    /// List the agents of the fleet.
    List(list::Args),
    /// Show which agents need which.
    Tree(tree::Args),
    /// Say in one word how the fleet is.
    Health(health::Args),
    /// Show what runs and how it is.
    Status(status::Args),
    /// Show the journal of agents.
    Logs(logs::Args),
    /// Add, import, list, skip, export and remove targets.
    #[command(subcommand)]
    Targets(targets::Command),
    /// Scan targets now, from here, and show what is open.
    Scan(Box<scan::Args>),
    /// Spider a site now, from here: its pages, forms, endpoints, secrets and technologies.
    Spider(Box<web::SpiderArgs>),
    /// Enumerate a site now, from here: paths that nothing links to.
    Enumerate(Box<web::EnumerateArgs>),
    /// List, show and export scans.
    #[command(subcommand)]
    Scans(scans::Command),
    /// See to the hub itself: who may use it, what they changed, and its database.
    #[command(subcommand)]
    Hub(hub::Command),
    /// Show what is otherwise than before, newest first, or export it.
    Changes(changes::Args),
    /// Show what happened, and follow what happens.
    Events(events::Args),
    /// List findings and decide about them.
    #[command(subcommand)]
    Findings(findings::Command),
    Report(report::Args),
    /// List the pages that spiders found of a target, newest first.
    Pages(site::PagesArgs),
    /// List the forms that spiders found on a target, newest first.
    Forms(site::MethodArgs),
    /// List the endpoints that the scripts and API documents of a target name, newest first.
    Endpoints(site::MethodArgs),
    /// Assess a record by what the hub knows of it, and show what comes of it.
    Assess(assess::Args),
    /// List, show, test and check the rules of assessments.
    #[command(subcommand)]
    Rules(rules::Command),
    /// Keep the database of known vulnerabilities, and look things up in it.
    #[command(subcommand)]
    Vulndb(vulndb::Command),
    /// Print a script that makes a shell complete reconctl.
    Completions(completions::Args),
    /// Show a manual page.
    Man(man::Args),
    /// Write man pages, shell completions and the fleet file's JSON schema.
    #[command(hide = true)]
    Generate(generate::Args),
    /// Try to send a packet: what verify runs in a unit that may not.
    #[command(hide = true)]
    ProbeFirewall,
}

/// A verb that failed: what to tell the user, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// Exit code.
    pub code: ExitCode,
    /// What went wrong, with context.
    pub error: anyhow::Error,
}

impl Failure {
    /// A failure with this exit code.
    pub fn new(code: ExitCode, error: impl Into<anyhow::Error>) -> Self {
        Self {
            code,
            error: error.into(),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            code: ExitCode::Failure,
            error: error.into(),
        }
    }
}

/// What a verb answers.
pub type Outcome = Result<ExitCode, Failure>;

/// Runs `reconctl`: parses the command line, runs the verb, prints what went wrong.
pub fn main() -> std::process::ExitCode {
    // The shell asks for candidates (COMPLETE=bash): that answers it, and ends here.
    clap_complete::CompleteEnv::with_factory(Cli::command).complete();
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("reconctl: cannot start the async runtime: {error}");
            return ExitCode::Failure.into();
        }
    };
    match runtime.block_on(cli.run()) {
        Ok(code) => code.into(),
        Err(failure) if output::is_broken_pipe(&failure.error) => ExitCode::Ok.into(),
        Err(failure) => {
            eprintln!("reconctl: {}", chain(&failure.error));
            failure.code.into()
        }
    }
}

/// An error and its causes in a line; a cause that the error before it names already is not told again.
fn chain(error: &anyhow::Error) -> String {
    let mut told = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.ends_with(&cause) {
            told.push_str(": ");
            told.push_str(&cause);
        }
    }
    told
}

impl Cli {
    async fn run(self) -> Outcome {
        let global = self.global;
        if let Some((verb, agents)) = self.command.verb() {
            return control::run(&global, verb, agents).await;
        }
        match self.command {
            Command::Check(args) => check::run(&global, args).await,
            Command::Render(args) => render::run(&global, args).await,
            Command::Diff(args) => diff::run(&global, args).await,
            Command::Apply(args) => apply::run(&global, args).await,
            Command::Verify(args) => verify::run(&global, args).await,
            Command::Init(args) => init::run(&global, args).await,
            Command::Generator(command) => generator::run(&global, command).await,
            Command::Config(command) => config::run(&global, command).await,
            Command::Scope(command) => scope::run(&global, command).await,
            Command::Up(args) => profile::up(&global, args).await,
            Command::Down(args) => profile::down(&global, args).await,
            Command::List(args) => list::run(&global, args).await,
            Command::Tree(args) => tree::run(&global, args).await,
            Command::Health(args) => health::run(&global, args).await,
            Command::Status(args) => status::run(&global, args).await,
            Command::Logs(args) => logs::run(&global, args).await,
            Command::Targets(command) => targets::run(&global, command).await,
            Command::Scan(args) => scan::run(&global, *args).await,
            Command::Spider(args) => web::spider(&global, *args).await,
            Command::Enumerate(args) => web::enumerate(&global, *args).await,
            Command::Scans(command) => scans::run(&global, command).await,
            Command::Hub(command) => hub::run(&global, command).await,
            Command::Changes(args) => changes::run(&global, args).await,
            Command::Events(args) => events::run(&global, args).await,
            Command::Findings(command) => findings::run(&global, command).await,
            Command::Report(args) => report::run(&global, args).await,
            Command::Pages(args) => site::list_pages(&global, args).await,
            Command::Forms(args) => site::list_forms(&global, args).await,
            Command::Endpoints(args) => site::list_endpoints(&global, args).await,
            Command::Assess(args) => assess::run(&global, args).await,
            Command::Rules(command) => rules::run(&global, command).await,
            Command::Vulndb(command) => vulndb::run(&global, command).await,
            Command::Completions(args) => completions::run(&global, args).await,
            Command::Man(args) => man::run(&global, args).await,
            Command::Generate(args) => generate::run(&global, args).await,
            Command::ProbeFirewall => verify::probe(),
            // Those that drive agents are done above.
            _ => Ok(ExitCode::Ok),
        }
    }
}

impl Command {
    /// What is done to which agents, when that is what the command does.
    fn verb(&self) -> Option<(Verb, &[String])> {
        Some(match self {
            Self::Start(StartArgs {
                agents,
                no_wait,
                force,
            }) => (
                Verb::Start {
                    force: *force,
                    no_wait: *no_wait,
                },
                agents,
            ),
            Self::Restart(StartArgs {
                agents,
                no_wait,
                force,
            }) => (
                Verb::Restart {
                    force: *force,
                    no_wait: *no_wait,
                },
                agents,
            ),
            Self::Stop(a) => (Verb::Stop { no_wait: a.no_wait }, &a.agents),
            Self::Reload(a) => (Verb::Reload { no_wait: a.no_wait }, &a.agents),
            Self::Pause(a) => (Verb::Pause, &a.agents),
            Self::Resume(a) => (Verb::Resume, &a.agents),
            Self::Freeze(a) => (Verb::Freeze { force: a.force }, &a.agents),
            Self::Thaw(a) => (Verb::Thaw, &a.agents),
            Self::Kill(a) => {
                let (signal, who) = (a.signal, a.whom.into());
                (Verb::Kill { signal, who }, &a.agents)
            }
            Self::Reset(a) => (Verb::Reset { force: a.force }, &a.agents),
            Self::Enable(EnableArgs {
                agents,
                now,
                runtime,
            }) => (
                Verb::Enable {
                    now: *now,
                    runtime: *runtime,
                },
                agents,
            ),
            Self::Disable(EnableArgs {
                agents,
                now,
                runtime,
            }) => (
                Verb::Disable {
                    now: *now,
                    runtime: *runtime,
                },
                agents,
            ),
            Self::Mask(MaskArgs {
                agents,
                now,
                runtime,
            }) => (
                Verb::Mask {
                    now: *now,
                    runtime: *runtime,
                },
                agents,
            ),
            Self::Unmask(a) => (Verb::Unmask { runtime: a.runtime }, &a.agents),
            _ => return None,
        })
    }
}
