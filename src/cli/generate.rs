use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Global, Outcome};
use crate::api::ExitCode;
use crate::fleet;
use crate::runtime::Options;

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
    agents(&args.dir)?;
    schema(&args.dir)?;
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

/// recon-kaze(8) and the like.
fn agents(dir: &Path) -> anyhow::Result<()> {
    let man = dir.join("man/man8");
    make(&man)?;
    for (name, about) in [
        ("recon-kage", "thorough port scanner of recon"),
        ("recon-kaze", "fast port scanner of recon"),
        ("recon-sentinel", "test agent of recon"),
    ] {
        let command = Options::command()
            .name(name)
            .about(about)
            .disable_help_flag(false);
        let page = clap_mangen::Man::new(command).section("8");
        let mut text = Vec::new();
        page.render(&mut text)
            .with_context(|| format!("man page of {name}"))?;
        std::fs::write(man.join(format!("{name}.8")), text).context("man pages")?;
    }
    Ok(())
}

/// The JSON schema of the fleet file, for editors.
fn schema(dir: &Path) -> anyhow::Result<()> {
    let dir = dir.join("recon");
    make(&dir)?;
    let text = serde_json::to_string_pretty(&fleet::schema())?;
    std::fs::write(dir.join("recon.schema.json"), text).context("schema")
}

fn make(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))
}
