use clap_complete::engine::ArgValueCandidates;

use crate::cli::complete;
use crate::systemd::{Who, signal_number};

/// What is done to agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Start { force: bool, no_wait: bool },
    Stop { no_wait: bool },
    Restart { force: bool, no_wait: bool },
    Reload { no_wait: bool },
    Pause,
    Resume,
    Freeze { force: bool },
    Thaw,
    Kill { signal: i32, who: Who },
    Reset { force: bool },
    Enable { now: bool, runtime: bool },
    Disable { now: bool, runtime: bool },
    Mask { now: bool, runtime: bool },
    Unmask { runtime: bool },
}

impl Verb {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Restart { .. } => "restart",
            Self::Reload { .. } => "reload",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Freeze { .. } => "freeze",
            Self::Thaw => "thaw",
            Self::Kill { .. } => "kill",
            Self::Reset { .. } => "reset",
            Self::Enable { .. } => "enable",
            Self::Disable { .. } => "disable",
            Self::Mask { .. } => "mask",
            Self::Unmask { .. } => "unmask",
        }
    }

    /// Whether `all` means those as well that do not run.
    pub fn is_for_idle(self) -> bool {
        matches!(
            self,
            Self::Reset { .. }
                | Self::Enable { .. }
                | Self::Disable { .. }
                | Self::Mask { .. }
                | Self::Unmask { .. }
        )
    }
}

/// Arguments of verbs that need nothing else.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Agents, or `all`: what is not stopped.
    #[arg(required = true, value_name = "AGENT", add = ArgValueCandidates::new(complete::agents_or_all))]
    pub agents: Vec<String>,
}

/// Arguments of stop and reload.
#[derive(Debug, clap::Args)]
pub struct JobArgs {
    /// Agents, or `all`: what is not stopped.
    #[arg(required = true, value_name = "AGENT", add = ArgValueCandidates::new(complete::agents_or_all))]
    pub agents: Vec<String>,
    /// Only put the job into systemd's queue.
    #[arg(long)]
    pub no_wait: bool,
}

/// Arguments of start and restart.
#[derive(Debug, clap::Args)]
pub struct StartArgs {
    /// Agents, or `all`: the members of the profile for start, what is not stopped for restart.
    #[arg(required = true, value_name = "AGENT", add = ArgValueCandidates::new(complete::agents_or_all))]
    pub agents: Vec<String>,
    /// Only put the job into systemd's queue.
    #[arg(long)]
    pub no_wait: bool,
    /// Clear the failed state and the restart limit first.
    #[arg(long)]
    pub force: bool,
}

/// Arguments of reset and freeze.
#[derive(Debug, clap::Args)]
pub struct ForceArgs {
    /// Agents, or `all`.
    #[arg(required = true, value_name = "AGENT", add = ArgValueCandidates::new(complete::agents_or_all))]
    pub agents: Vec<String>,
    /// reset: also agents that reached their restart limit, and those that run. freeze: also agents
    /// with a watchdog, which kills them when they stay frozen for longer than it waits.
    #[arg(long)]
    pub force: bool,
}

/// Arguments of kill.
#[derive(Debug, clap::Args)]
pub struct KillArgs {
    /// Agents, or `all`: what is not stopped.
    #[arg(required = true, value_name = "AGENT", add = ArgValueCandidates::new(complete::agents_or_all))]
    pub agents: Vec<String>,
    /// The signal, by name or number.
    #[arg(long, short, value_name = "SIGNAL", default_value = "TERM", value_parser = signal_number)]
    pub signal: i32,
    /// Which processes of the agent.
    #[arg(long, alias = "kill-whom", value_enum, default_value_t = Whom::All)]
    pub whom: Whom,
}

/// Which processes.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Whom {
    /// The main process.
    Main,
    /// Every process of the unit.
    All,
}

impl From<Whom> for Who {
    fn from(whom: Whom) -> Self {
        match whom {
            Whom::Main => Self::Main,
            Whom::All => Self::All,
        }
    }
}

/// Arguments of enable and disable.
#[derive(Debug, clap::Args)]
pub struct EnableArgs {
    /// Agents, or `all`.
    #[arg(required = true, value_name = "AGENT", add = ArgValueCandidates::new(complete::agents_or_all))]
    pub agents: Vec<String>,
    /// Start or stop it at once as well.
    #[arg(long)]
    pub now: bool,
    /// Only until the next boot.
    #[arg(long)]
    pub runtime: bool,
}

/// Arguments of mask.
#[derive(Debug, clap::Args)]
pub struct MaskArgs {
    /// Agents, or `all`.
    #[arg(required = true, value_name = "AGENT", add = ArgValueCandidates::new(complete::agents_or_all))]
    pub agents: Vec<String>,
    /// Stop it at once as well.
    #[arg(long)]
    pub now: bool,
    /// Only until the next boot.
    #[arg(long)]
    pub runtime: bool,
}

/// Arguments of unmask.
#[derive(Debug, clap::Args)]
pub struct UnmaskArgs {
    /// Agents, or `all`.
    #[arg(required = true, value_name = "AGENT", add = ArgValueCandidates::new(complete::agents_or_all))]
    pub agents: Vec<String>,
    /// Only until the next boot.
    #[arg(long)]
    pub runtime: bool,
}
