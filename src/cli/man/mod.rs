//! The manual pages, from the same definitions that `--help` shows and the fleet file is checked by, so
//! that they cannot disagree with either.

mod examples;
mod fleet_file;
mod page;

use std::io::{IsTerminal, Write};
use std::process::Command;

use anyhow::{Context as _, anyhow};
use clap::CommandFactory;

use super::{Cli, Failure, Global, Outcome, output};
use crate::api::ExitCode;

/// The name of the page about the fleet file.
const FLEET_FILE: &str = "recon.toml";

/// Show a manual page.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
On a terminal it is shown as man does; else its source is printed.")]
pub struct Args {
    /// A verb (config set), or recon.toml for the fleet file; reconctl itself without any.
    #[arg(value_name = "VERB")]
    pub verb: Vec<String>,
}

pub async fn run(global: &Global, args: Args) -> Outcome {
    let text = match &args.verb[..] {
        [one] if one == FLEET_FILE => fleet_file::page(),
        verb => of_words(verb)?,
    };
    if !std::io::stdout().is_terminal() {
        output::text(&text)?;
        return Ok(ExitCode::Ok);
    }
    show(global, &text)
}

/// Lets man format it for the terminal.
fn show(global: &Global, text: &str) -> Outcome {
    let mut file = tempfile::Builder::new()
        .prefix("reconctl-")
        .suffix(".1")
        .tempfile()?;
    file.write_all(text.as_bytes())?;
    let mut man = Command::new("man");
    if global.no_pager {
        man.args(["-P", "cat"]);
    }
    let status = man.arg("-l").arg(file.path()).status();
    let status =
        status.context("cannot run man; reconctl man VERB >FILE writes the page's source")?;
    Ok(match status.success() {
        true => ExitCode::Ok,
        false => ExitCode::Failure,
    })
}

fn of_words(words: &[String]) -> Result<String, Failure> {
    let root = built();
    let mut command = &root;
    // As pages call each other, too: reconctl-findings-accept(1).
    let asked = words.join(" ");
    let mut rest = asked.strip_prefix("reconctl-").unwrap_or(&asked);
    let mut verb = String::new();
    while !rest.is_empty() {
        let below = || command.get_subcommands().filter(|c| !c.is_hide_set());
        let after = |c: &&clap::Command| {
            let after = rest.strip_prefix(c.get_name())?;
            (after.is_empty() || after.starts_with([' ', '-'])).then_some(after)
        };
        let found = below().filter(|c| after(c).is_some());
        command = found.max_by_key(|c| c.get_name().len()).ok_or_else(|| {
            let known: Vec<&str> = below().map(clap::Command::get_name).collect();
            let error = anyhow!(
                "no manual page {rest:?}; there are: {} {FLEET_FILE}",
                known.join(" ")
            );
            Failure::new(ExitCode::Usage, error)
        })?;
        rest = rest[command.get_name().len()..].trim_start_matches([' ', '-']);
        verb.push(' ');
        verb.push_str(command.get_name());
    }
    Ok(page::of_verb(command, verb.trim_start())?)
}

/// Every page with the name of its file.
///
/// # Errors
/// None that depend on the machine: pages are written to memory.
pub fn pages() -> anyhow::Result<Vec<(String, String)>> {
    let mut pages = vec![(format!("{FLEET_FILE}.5"), fleet_file::page())];
    collect(&built(), "", &mut pages)?;
    Ok(pages)
}

fn collect(
    command: &clap::Command,
    verb: &str,
    pages: &mut Vec<(String, String)>,
) -> anyhow::Result<()> {
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name());
    pages.push((format!("{name}.1"), page::of_verb(command, verb)?));
    for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        let verb = format!("{verb} {}", below.get_name());
        collect(below, verb.trim_start(), pages)?;
    }
    Ok(())
}

fn built() -> clap::Command {
    let mut command = Cli::command()
        .name("reconctl")
        .disable_help_subcommand(true);
    command.build();
    command
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn verbs(command: &clap::Command, path: &str, all: &mut Vec<String>) {
        for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
            let verb = format!("{path} {}", below.get_name())
                .trim_start()
                .to_owned();
            verbs(below, &verb, all);
            all.push(verb);
        }
    }

    #[test]
    fn pages_are_named_as_they_name_each_other() {
        let page = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            of_words(&words).map_err(|failure| failure.error.to_string())
        };
        let by_words = page(&["findings", "false-positive"]).unwrap();
        assert_eq!(page(&["findings-false-positive"]).unwrap(), by_words);
        assert_eq!(
            page(&["reconctl-findings-false-positive"]).unwrap(),
            by_words
        );
        assert!(
            page(&["findings", "nothing"])
                .unwrap_err()
                .contains("accept")
        );
        assert!(page(&["findingsaccept"]).is_err());
    }

    #[test]
    fn every_verb_has_examples_that_are_right() {
        let mut all = vec![String::new()];
        verbs(&built(), "", &mut all);
        for verb in all {
            let examples = examples::of(&verb);
            assert!(
                !examples.is_empty(),
                "{verb:?} has no example: add one to src/cli/man/examples"
            );
            for (line, what) in examples {
                let parsed = Cli::try_parse_from(line.split(' '));
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
                assert!(what.ends_with('.'), "{what}");
            }
        }
    }
}
