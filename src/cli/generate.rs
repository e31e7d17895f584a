use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Global, Outcome};
use crate::api::ExitCode;

/// Arguments of `generate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The `share` directory to write below: `man/man1`, `bash-completion/completions`, …
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Writes man pages and completions from the same definitions that `--help` shows, so that they
/// cannot disagree with it.
pub async fn run(_: &Global, args: Args) -> Outcome {
    let man = args.dir.join("man/man1");
    make(&man)?;
    clap_mangen::generate_to(Cli::command().name("reconctl"), &man).context("man pages")?;
    for (shell, dir) in [
        (Shell::Bash, "bash-completion/completions"),
        (Shell::Zsh, "zsh/site-functions"),
        (Shell::Fish, "fish/vendor_completions.d"),
    ] {
        let dir = args.dir.join(dir);
        make(&dir)?;
        let mut command = Cli::command();
        let written = clap_complete::generate_to(shell, &mut command, "reconctl", &dir)
            .with_context(|| format!("completion for {shell}"))?;
        if shell == Shell::Bash {
            // bash-completion looks for a file with the name of the command.
            std::fs::rename(&written, dir.join("reconctl")).context("completion for bash")?;
        }
    }
    Ok(ExitCode::Ok)
}

fn make(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))
}
