use std::fs;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, anyhow};

use super::FleetFile;
use crate::api::ExitCode;
use crate::cli::{Failure, Global, Outcome, check, init, output};
use crate::fleet;

/// Edits a copy, so that nothing that is half done is ever in force.
pub fn run(global: &Global) -> Outcome {
    let sources = check::sources(global);
    let path = sources.fleet_path();
    let before = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(_) => init::EXAMPLE.to_owned(),
    };
    let mut copy = tempfile::Builder::new()
        .prefix("recon-")
        .suffix(".toml")
        .tempfile()?;
    copy.write_all(before.as_bytes())?;
    loop {
        edit(copy.path())?;
        let text = fs::read_to_string(copy.path())?;
        if text == before && path.exists() {
            output::text("nothing changed\n")?;
            return Ok(ExitCode::Ok);
        }
        let errors = match fleet::load_as(&sources, &text) {
            Ok(_) => return save(&path, &before, &text),
            Err(errors) => errors,
        };
        if !again(&errors.to_string())? {
            let (_, kept) = copy.keep()?;
            let error = anyhow!("nothing changed; what you wrote is in {}", kept.display());
            return Err(Failure::new(ExitCode::Usage, error));
        }
    }
}

fn save(path: &Path, before: &str, text: &str) -> Outcome {
    let file = FleetFile::open(path)?;
    if file.text.as_deref().is_some_and(|now| now != before) {
        return Err(anyhow!("somebody else has changed {} meanwhile", path.display()).into());
    }
    file.replace(text)?;
    output::text(&format!(
        "{} is written; \"reconctl apply\" puts it in force\n",
        path.display()
    ))?;
    Ok(ExitCode::Ok)
}

fn edit(path: &Path) -> anyhow::Result<()> {
    let set = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR"));
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    // Through a shell, because $EDITOR may have arguments.
    let status = Command::new("sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(path)
        .status()
        .context("cannot run a shell")?;
    match status.success() {
        true => Ok(()),
        false => Err(anyhow!("{editor} failed ({status}); nothing changed")),
    }
}

/// Shows what is wrong and asks; without a terminal the answer is no.
fn again(errors: &str) -> anyhow::Result<bool> {
    eprintln!("{errors}");
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("Edit again? [Y/n] ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(!answer.is_empty() && !answer.trim_start().starts_with(['n', 'N']))
}
