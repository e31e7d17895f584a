//! `reconctl`: one file a verb, each with its arguments and a `run`.
//!
//! A verb does what a person asked and shows it; what it shows comes from the fleet file (what
//! should run), systemd (what does run) and the hub (what was found), never from a state of its own.
//! May depend on everything below it (`units`, `systemd`, `fleet`, `api`); nothing depends on it but
//! the binary.

mod agents;
mod apply;
pub mod boot;
mod check;
mod config;
mod control;
mod diff;
mod generate;
mod generator;
mod hub_client;
mod logs;
pub mod output;
mod render;
mod report;
mod scans;
mod status;
mod table;
mod targets;
mod user;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::api::ExitCode;

/// Drive the recon fleet: what should run, what does run, what was found.
#[derive(Debug, Parser)]
#[command(name = "reconctl", version, propagate_version = true)]
#[command(after_help = "\
Exit codes: 0 done; 1 something failed; 2 bad usage or configuration; 3 unit not active (status);
4 no such agent; 5 not permitted; 6 hub unreachable; 69 systemd unreachable; 130 interrupted.")]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options that every verb understands.
#[derive(Debug, Clone, clap::Args)]
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
    /// Base URL of the hub (default: the fleet file's).
    #[arg(long, global = true, value_name = "URL")]
    pub hub: Option<String>,
    /// When to use colours.
    #[arg(long, global = true, value_enum, default_value_t = clap::ColorChoice::Auto)]
    pub color: clap::ColorChoice,
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
    /// Have systemd itself make the unit files at boot (recon-generator).
    #[command(subcommand)]
    Generator(generator::Command),
    /// Show effective settings and where each came from.
    #[command(subcommand)]
    Config(config::Command),
    /// Start agents.
    Start(control::Args),
    /// Stop agents; they finish the task in hand.
    Stop(control::Args),
    /// Restart agents.
    Restart(control::Args),
    /// Reload the configuration of agents.
    Reload(control::Args),
    /// Pause agents after the task in hand; they stay paused over a restart.
    Pause(control::Args),
    /// Resume paused agents.
    Resume(control::Args),
    /// Clear the failed state and the restart count of agents.
    Reset(control::Args),
    /// Show what runs and how it is.
    Status(status::Args),
    /// Show the journal of agents.
    Logs(logs::Args),
    /// Add, import, list and remove targets.
    #[command(subcommand)]
    Targets(targets::Command),
    /// List and show scans.
    #[command(subcommand)]
    Scans(scans::Command),
    /// Write man pages, shell completions and the fleet file's JSON schema.
    #[command(hide = true)]
    Generate(generate::Args),
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
            eprintln!("reconctl: {:#}", failure.error);
            failure.code.into()
        }
    }
}

impl Cli {
    async fn run(self) -> Outcome {
        let global = self.global;
        match self.command {
            Command::Check(args) => check::run(&global, args).await,
            Command::Render(args) => render::run(&global, args).await,
            Command::Diff(args) => diff::run(&global, args).await,
            Command::Apply(args) => apply::run(&global, args).await,
            Command::Generator(command) => generator::run(&global, command).await,
            Command::Config(command) => config::run(&global, command).await,
            Command::Start(args) => control::run(&global, control::Verb::Start, args).await,
            Command::Stop(args) => control::run(&global, control::Verb::Stop, args).await,
            Command::Restart(args) => control::run(&global, control::Verb::Restart, args).await,
            Command::Reload(args) => control::run(&global, control::Verb::Reload, args).await,
            Command::Pause(args) => control::run(&global, control::Verb::Pause, args).await,
            Command::Resume(args) => control::run(&global, control::Verb::Resume, args).await,
            Command::Reset(args) => control::run(&global, control::Verb::Reset, args).await,
            Command::Status(args) => status::run(&global, args).await,
            Command::Logs(args) => logs::run(&global, args).await,
            Command::Targets(command) => targets::run(&global, command).await,
            Command::Scans(command) => scans::run(&global, command).await,
            Command::Generate(args) => generate::run(&global, args).await,
        }
    }
}
