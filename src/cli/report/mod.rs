//! `reconctl report`: what is exposed, how bad it is, why, and what to do first, in one document.

mod collect;
#[cfg(test)]
mod fuzz_tests;
mod place;

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};

use super::hub_client::HubClient;
use super::table::{bytes, display};
use super::{Failure, Global, Outcome, output};
use crate::api::{ExitCode, RiskLevel};
use crate::report::{AtLength, Format, RESULTS_MOST, Report, Settings, Shown, Totals};
pub(super) use collect::assessed;
use place::Place;

/// Targets that are asked for at once: a hub on another host is not waited for.
const AT_ONCE: usize = 4;

/// A page of more bytes than this is of no use in a browser.
const PAGE_LARGE: u64 = 64 << 20;

/// Report what is exposed, how bad it is, why, and what to do first.
///
/// Of each target: its risk and how it is reckoned, what to do first, ways in, findings with their evidence,
/// open ports, what changed since the assessment before, and what was accepted, marked as false or fixed.
/// Without a target, of all that have an assessment; of a group or a network, of those in it that have one.
/// A name that is both a target and a group is the target.
///
/// Markdown goes to a terminal through the pager. HTML and SARIF are not for terminals: name a file (-o) or
/// a pipe. A file is written beside its place first and then moved there: it is never half a report.
///
/// The time of a report is that of the newest of its data, so that the same data give the same bytes;
/// --now makes it the present, --now=TIME that time. An accepted finding whose time is over by then is open.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --fail-on, exits 7 when an open finding is as severe as that or more, whatever --min-severity leaves \
out; an assessment that names no finding counts by its risk. Exits 1, not 0, when that cannot be told, as a \
target that was named, or all, have no assessment yet.")]
pub struct Args {
    /// Names, addresses, networks or ids of targets, or groups.
    #[arg(value_name = "TARGET|GROUP")]
    targets: Vec<String>,
    /// Its form (default: that of FILE's name, else md).
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// Write this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Leave out findings of less severity.
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = levels())]
    min_severity: RiskLevel,
    /// Tell of findings that are open, or of all: those that are accepted, false or fixed, too.
    #[arg(long, value_enum, default_value = "all")]
    status: Which,
    /// Exit with 7 when an open finding is as severe as this or more.
    #[arg(long, value_name = "LEVEL", value_parser = levels())]
    fail_on: Option<RiskLevel>,
    /// Tell all of so many of the worst targets, or of all of them, in html and md; of the others there is
    /// a line [default: as many as fit into 16 MiB].
    #[arg(long, value_name = "N|all", value_parser = at_length)]
    details: Option<AtLength>,
    /// Make the time of the report the present, or this (2026-11-21T05:00:00Z).
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true)]
    now: Option<Option<DateTime<Utc>>>,
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// One file for a browser or a printer: no scripts, nothing from elsewhere.
    Html,
    /// GitHub flavoured Markdown.
    #[value(alias = "markdown")]
    Md,
    /// One document with a schema_version.
    Json,
    /// SARIF 2.1.0; fixed findings are left out, decided ones suppressed.
    Sarif,
    /// One row a finding.
    Csv,
}

/// Which findings are told.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Which {
    /// Those that are open.
    Open,
    /// All of them.
    All,
}

fn at_length(text: &str) -> Result<AtLength, String> {
    match text.parse() {
        _ if text == "all" => Ok(AtLength::All),
        Ok(most) => Ok(AtLength::Worst(most)),
        Err(_) => Err("must be a number of targets, or all".to_owned()),
    }
}

fn levels() -> impl TypedValueParser<Value = RiskLevel> {
    PossibleValuesParser::new(RiskLevel::ALL.map(RiskLevel::as_str))
        .try_map(|level| level.parse::<RiskLevel>())
}

impl Args {
    /// The form that is meant by option, else by the name of the file.
    fn form(&self, global: &Global) -> Result<Form, Failure> {
        let usage = |text: &str| Err(Failure::new(ExitCode::Usage, anyhow!("{text}")));
        if global.jsonl {
            return usage("a report is one document; reconctl findings export has JSON lines");
        }
        match self.format {
            Some(Form::Json) => Ok(Form::Json),
            Some(_) if global.json => usage("--json is --format json: name one of the two"),
            Some(form) => Ok(form),
            None if global.json => Ok(Form::Json),
            None => self.form_of_name(),
        }
    }

    /// That of the name of the file. Nobody is to get Markdown in a `report.pdf`.
    fn form_of_name(&self) -> Result<Form, Failure> {
        let extension = self.output.as_ref().and_then(|path| path.extension());
        let extension = extension.map(|end| end.to_string_lossy().to_ascii_lowercase());
        Ok(match extension.as_deref() {
            Some("html" | "htm") => Form::Html,
            None | Some("md" | "markdown" | "txt") => Form::Md,
            Some("json") => Form::Json,
            Some("sarif") => Form::Sarif,
            Some("csv") => Form::Csv,
            Some(other) => {
                let error = anyhow!(
                    "no form of a report has files named .{}: name one with --format \
                     (html, md, json, sarif, csv)",
                    display(other)
                );
                return Err(Failure::new(ExitCode::Usage, error));
            }
        })
    }

    fn settings(&self, form: Form, not_assessed: u64) -> Settings {
        Settings {
            format: match form {
                Form::Html => Format::Html,
                Form::Md => Format::Markdown,
                Form::Json => Format::Json,
                Form::Sarif => Format::Sarif,
                Form::Csv => Format::Csv,
            },
            min_severity: self.min_severity,
            shown: match self.status {
                Which::Open => Shown::Open,
                Which::All => Shown::All,
            },
            now: self.now.map(|time| time.unwrap_or_else(Utc::now)),
            asked: self.targets.clone(),
            not_assessed,
            at_length: self.details.unwrap_or(AtLength::USUAL),
        }
    }
}

pub async fn run(global: &Global, args: Args) -> Outcome {
    let form = args.form(global)?;
    let place = Place::of(args.output.as_deref());
    if place.is_terminal() && matches!(form, Form::Html | Form::Sarif) {
        let error = anyhow!("this is not for a terminal: write a file (-o report.html) or a pipe");
        return Err(Failure::new(ExitCode::Usage, error));
    }
    let hub = HubClient::new(global)?;
    let chosen = collect::choose(&hub, &args.targets).await?;
    // Spreadsheets and collectors of findings have no room for the rest.
    let at_length = !matches!(form, Form::Csv | Form::Sarif);
    let not_assessed = chosen.not_assessed;
    let mut report = Report::new(args.settings(form, not_assessed))?;
    let bar = progress(chosen.targets.len() as u64);
    let known = chosen
        .targets
        .into_iter()
        .map(|one| collect::known(&hub, one, at_length));
    let mut known = futures_util::stream::iter(known).buffered(AT_ONCE);
    while let Some(known) = known.next().await {
        report.add(known?)?;
        bar.inc(1);
    }
    drop(known);
    bar.finish_and_clear();
    if form == Form::Html && report.size() > PAGE_LARGE {
        eprintln!(
            "reconctl: this page is of {}, which browsers hardly show; --details N, --min-severity, a group \
             or another form (csv, json) make less",
            bytes(report.size())
        );
    }
    let results = report.totals().results();
    if form == Form::Sarif && results > RESULTS_MOST {
        eprintln!(
            "reconctl: there are {results} results, and GitHub's code scanning takes {RESULTS_MOST} at most; \
             --status open, --min-severity or a group make less"
        );
    }
    if report.totals().targets() == 0 {
        eprintln!("reconctl: there is nothing in this report: no target has an assessment yet");
    }
    let verdict = match args.fail_on {
        Some(level) => verdict(level, report.totals(), not_assessed),
        None => Ok(ExitCode::Ok),
    };
    match place.write(global, report) {
        // Who reads no further has not asked for another verdict.
        Err(error) if output::is_broken_pipe(&error) => verdict,
        written => written.map_err(Failure::from).and(verdict),
    }
}

/// What a pipeline is told of findings of this severity or more: that nothing is known is not that nothing
/// was found.
fn verdict(level: RiskLevel, totals: &Totals, left_out: u64) -> Outcome {
    let bad = format!("{level}{}", worse(level));
    let found = totals.at_least(level);
    if found > 0 {
        let are = if found == 1 { " is" } else { "s are" };
        eprintln!("reconctl: {found} open finding{are} {bad}");
        return Ok(ExitCode::Findings);
    }
    let unknown = totals.targets() - totals.assessed();
    if totals.targets() == 0 || unknown > 0 {
        return Err(not_known(level, unknown));
    }
    if left_out > 0 {
        let have = if left_out == 1 { " has" } else { "s have" };
        eprintln!("reconctl: {left_out} target{have} no assessment yet, and did not count");
    }
    Ok(ExitCode::Ok)
}

/// Nobody can say whether something is as bad as that.
pub(super) fn not_known(level: RiskLevel, targets: u64) -> Failure {
    let who = match targets {
        0 => "no target has".to_owned(),
        1 => "1 target has not".to_owned(),
        n => format!("{n} targets have not"),
    };
    Failure::from(anyhow!(
        "whether a finding is {level}{} is not known: {who} been assessed yet",
        worse(level)
    ))
}

/// `high or worse`: the end of that.
fn worse(level: RiskLevel) -> &'static str {
    match level {
        RiskLevel::Critical => "",
        _ => " or worse",
    }
}

/// How far it is, on a terminal, where there is much to do.
fn progress(targets: u64) -> ProgressBar {
    const MANY: u64 = 100;
    if targets < MANY || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(targets);
    match ProgressStyle::with_template("{bar:30} {pos}/{len} targets, ETA {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A name that nothing has.
fn unknown(name: &str) -> Failure {
    Failure::from(anyhow!(
        "there is no target and no group {:?}",
        display(name)
    ))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn form(line: &[&str]) -> Form {
        let args = Line::parse_from([&["report"], line].concat()).args;
        args.form_of_name().unwrap()
    }

    #[test]
    fn the_name_of_the_file_says_the_form() {
        assert_eq!(form(&["-o", "a/b.HTML"]), Form::Html);
        assert_eq!(form(&["-o", "x.sarif"]), Form::Sarif);
        assert_eq!(form(&["-o", "x.csv"]), Form::Csv);
        assert_eq!(form(&["-o", "x"]), Form::Md);
        assert_eq!(form(&["-o", "-"]), Form::Md);
        assert_eq!(form(&[]), Form::Md);
        let args = Line::parse_from(["report", "-o", "r.pdf"]).args;
        assert_eq!(args.form_of_name().unwrap_err().code, ExitCode::Usage);
    }

    #[test]
    fn now_is_the_present_or_a_time() {
        let now = |line: &[&str]| {
            let line = Line::try_parse_from([&["report"], line].concat());
            line.map(|line| line.args.now)
        };
        assert!(matches!(now(&["--now", "web"]), Ok(Some(None))));
        assert!(matches!(
            now(&["--now=2026-11-21T05:00:00Z"]),
            Ok(Some(Some(_)))
        ));
        assert!(now(&["--now=soon"]).is_err());
        assert!(matches!(now(&["web"]), Ok(None)));
    }
}
