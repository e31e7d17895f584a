use clap::ValueEnum;
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use super::{Global, Outcome, output};
use crate::api::ExitCode;

/// Print a script that makes a shell complete reconctl.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The packages install it. By hand, in the shell's start file:
  bash  source <(reconctl completions bash)
  zsh   source <(reconctl completions zsh)
  fish  reconctl completions fish | source
Names of agents and keys come from the fleet file at the moment of the Tab.")]
pub struct Args {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Shells that can be taught.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

impl Shell {
    /// The file below a `share` directory that makes it complete, and what is in it: the script is
    /// asked for when it is needed, so that it always fits the program.
    pub fn packaged(self) -> (&'static str, &'static str) {
        match self {
            Self::Bash => (
                "bash-completion/completions/reconctl",
                "eval \"$(COMPLETE=bash reconctl 2>/dev/null)\"\n",
            ),
            Self::Zsh => (
                "zsh/site-functions/_reconctl",
                "#compdef reconctl\n\
                 eval \"$(COMPLETE=zsh reconctl 2>/dev/null)\"\n\
                 # This file is called for the first completion, which has to be answered as well.\n\
                 _clap_dynamic_completer_reconctl \"$@\"\n",
            ),
            Self::Fish => (
                "fish/vendor_completions.d/reconctl.fish",
                "COMPLETE=fish reconctl 2>/dev/null | source\n",
            ),
        }
    }
}

pub async fn run(_: &Global, args: Args) -> Outcome {
    let shell: &dyn EnvCompleter = match args.shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let mut script = Vec::new();
    shell.write_registration("COMPLETE", "reconctl", "reconctl", "reconctl", &mut script)?;
    output::text(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::Ok)
}
