use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{CommandFactory, ValueEnum};

use super::completions::Shell;
use super::{Global, Outcome, man};
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

/// Writes man pages, completions and the schema for the packages.
pub async fn run(_: &Global, args: Args) -> Outcome {
    for (name, text) in man::pages()? {
        let section = name.rsplit('.').next().unwrap_or("1");
        write(
            &args.dir.join(format!("man/man{section}")).join(&name),
            text,
        )?;
    }
    agents(&args.dir)?;
    let schema = serde_json::to_string_pretty(&fleet::schema())?;
    write(&args.dir.join("recon/recon.schema.json"), schema)?;
    for shell in Shell::value_variants() {
        let (path, text) = shell.packaged();
        write(&args.dir.join(path), text)?;
    }
    Ok(ExitCode::Ok)
}

/// recon-kaze(8) and the like.
fn agents(dir: &Path) -> anyhow::Result<()> {
    for (name, about) in [
        ("recon-kage", "thorough port scanner of recon"),
        ("recon-kaze", "fast port scanner of recon"),
        (
            "recon-ryu",
            "complete port scanner of recon; it does not assess threats yet",
        ),
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
        write(&dir.join(format!("man/man8/{name}.8")), text)?;
    }
    Ok(())
}

fn write(path: &Path, text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let dir = path.parent().unwrap_or(path);
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
