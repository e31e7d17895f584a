//! `reconctl targets import`: a file of any length, in batches.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;

use super::sources::{self, Counted, Format, Position};
use crate::api::{ExitCode, ImportAnswer, ImportError};
use crate::cli::hub_client::HubClient;
use crate::cli::table::display;
use crate::cli::{Failure, Global, Outcome, output};

/// Targets of one request.
const BATCH: usize = 10_000;
/// Requests under way: the hub reads one while it stores the other.
const AT_ONCE: usize = 2;
/// Errors that are shown in full; the rest is counted.
const ERRORS_SHOWN: u64 = 100;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file; - is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What it is.
    #[arg(long, value_enum, default_value = "auto")]
    format: Format,
    /// Put the targets in this group, unless the file says otherwise.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Put the targets in this project, unless the file says otherwise.
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
}

/// What is sent, and where in the file it comes from.
#[derive(Default)]
struct Batch {
    body: Vec<u8>,
    lines: Vec<u64>,
}

/// What became of it.
#[derive(Default)]
struct Total {
    created: u64,
    existing: u64,
    undecided: u64,
    bad: u64,
    refused: u64,
    shown: Vec<ImportError>,
}

impl Total {
    fn error(&mut self, bar: &ProgressBar, name: &str, line: u64, error: ImportError) {
        if error.refused {
            self.refused += 1;
        } else {
            self.bad += 1;
        }
        match (self.bad + self.refused).cmp(&(ERRORS_SHOWN + 1)) {
            std::cmp::Ordering::Less => {
                let says = if error.refused {
                    "is out of scope: "
                } else {
                    ""
                };
                let text = format!(
                    "reconctl: {name}:{line}: {}{}{says}{}",
                    display(&error.target),
                    if error.target.is_empty() { "" } else { " " },
                    display(&error.message)
                );
                bar.suspend(|| eprintln!("{text}"));
                self.shown.push(ImportError {
                    line: usize::try_from(line).unwrap_or(usize::MAX),
                    ..error
                });
            }
            std::cmp::Ordering::Equal => {
                bar.suspend(|| eprintln!("reconctl: further errors are only counted"));
            }
            std::cmp::Ordering::Greater => {}
        }
    }

    fn take(&mut self, bar: &ProgressBar, name: &str, lines: &[u64], answer: ImportAnswer) {
        self.created += answer.created;
        self.existing += answer.existing;
        self.undecided += answer.undecided;
        for error in answer.errors {
            let line = lines.get(error.line.saturating_sub(1)).copied();
            self.error(bar, name, line.unwrap_or_default(), error);
        }
        let done = HumanCount(self.created + self.existing);
        bar.set_message(format!("{done} targets"));
    }

    fn show(self, global: &Global) -> Outcome {
        let good = self.bad + self.refused == 0;
        if global.json || global.jsonl {
            let summary = json!({
                "success": good, "created": self.created, "existing": self.existing,
                "undecided": self.undecided, "bad": self.bad, "refused": self.refused,
                "errors": self.shown,
            });
            output::text(&format!("{summary}\n"))?;
        } else {
            output::text(&self.text())?;
        }
        Ok(if good {
            ExitCode::Ok
        } else {
            ExitCode::Failure
        })
    }

    fn text(&self) -> String {
        let mut text = format!(
            "added {}, known {}",
            HumanCount(self.created),
            HumanCount(self.existing)
        );
        for (n, what) in [(self.bad, "bad"), (self.refused, "out of scope")] {
            if n > 0 {
                text.push_str(&format!(", {what} {}", HumanCount(n)));
            }
        }
        text.push('\n');
        if self.undecided > 0 {
            text.push_str(&format!(
                "no scope rule speaks of {} names: their addresses decide when they are due\n",
                HumanCount(self.undecided)
            ));
        }
        text
    }
}

pub async fn run(global: &Global, hub: &HubClient, args: Args) -> Outcome {
    let (mut batches, position, size) = open(&args)?;
    let name = display(&args.file.display().to_string());
    let bar = progress(size);
    let mut total = Total::default();
    let mut under_way = FuturesOrdered::new();
    loop {
        let batch = batches.next(&bar, &name, &mut total)?;
        let last = batch.is_none();
        if let Some(Batch { body, lines }) = batch {
            under_way.push_back(async move { (hub.import(body).await, lines) });
        }
        if under_way.len() == AT_ONCE || last {
            let Some((answer, lines)) = under_way.next().await else {
                break;
            };
            let answer = answer.and_then(|a| a.map_err(|refused| refused.into_failure()));
            match answer {
                Ok(answer) => total.take(&bar, &name, &lines, answer),
                Err(failure) => {
                    bar.finish_and_clear();
                    let done = HumanCount(total.created + total.existing);
                    return Err(Failure::new(
                        failure.code,
                        failure
                            .error
                            .context(format!("{done} targets were imported, then")),
                    ));
                }
            }
        }
        bar.set_position(position.bytes());
    }
    bar.finish_and_clear();
    total.show(global)
}

struct Batches {
    found: sources::Targets,
    group: Option<String>,
    project: Option<String>,
}

impl Batches {
    /// The next batch; errors of the file go to the total.
    fn next(
        &mut self,
        bar: &ProgressBar,
        name: &str,
        total: &mut Total,
    ) -> anyhow::Result<Option<Batch>> {
        let mut batch = Batch::default();
        while batch.lines.len() < BATCH {
            let Some(found) = self.found.next() else {
                break;
            };
            let found = found.with_context(|| format!("cannot read {name}"))?;
            match found.target {
                Ok(mut new) => {
                    new.group = new.group.or_else(|| self.group.clone());
                    new.project = new.project.or_else(|| self.project.clone());
                    serde_json::to_writer(&mut batch.body, &new)?;
                    batch.body.push(b'\n');
                    batch.lines.push(found.line);
                }
                Err(message) => {
                    let error = ImportError {
                        line: 0,
                        target: String::new(),
                        message,
                        refused: false,
                    };
                    total.error(bar, name, found.line, error);
                }
            }
        }
        Ok((!batch.lines.is_empty()).then_some(batch))
    }
}

fn open(args: &Args) -> anyhow::Result<(Batches, Position, Option<u64>)> {
    let csv = args
        .file
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("csv"));
    let cannot = || format!("cannot read {}", args.file.display());
    let (found, position, size) = if args.file == Path::new("-") {
        let reader = Counted::new(BufReader::new(io::stdin()));
        let position = reader.position();
        let found = sources::targets(reader, args.format, csv).with_context(cannot)?;
        (found, position, None)
    } else {
        let file = File::open(&args.file).with_context(cannot)?;
        let size = file
            .metadata()
            .ok()
            .filter(|m| m.is_file())
            .map(|m| m.len());
        let reader = Counted::new(BufReader::new(file));
        let position = reader.position();
        let found = sources::targets(reader, args.format, csv).with_context(cannot)?;
        (found, position, size)
    };
    let batches = Batches {
        found,
        group: args.group.clone(),
        project: args.project.clone(),
    };
    Ok((batches, position, size))
}

/// A bar on a terminal, nothing elsewhere.
fn progress(size: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match size {
        Some(size) => (
            ProgressBar::new(size),
            "{bar:30} {percent:>3}% {msg} ETA {eta}",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {msg} {elapsed}"),
    };
    bar.enable_steady_tick(Duration::from_millis(200));
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
