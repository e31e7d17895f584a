//! `reconctl assess`: what an assessment says of a record, now, without storing anything.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow};
use owo_colors::Style;

use super::hub_client::HubClient;
use super::table::{Cell, Column, Table, printable, terminal_width};
use super::{Failure, Global, Outcome, output, rules, targets, vulndb};
use crate::api::{
    AssessmentContext, AssessmentSubmission, ExitCode, RiskLevel, SeenEvidence, Vulnerability,
};
use crate::engines::assess::assess;

/// Longest context that is read, bytes: the hub's have at most 8 MiB.
const LONGEST: u64 = 64 * 1024 * 1024;

/// Assess a record by what the hub knows of it, and show what comes of it.
///
/// What is assessed is a context: what `GET /daemon/ryu/context/{id}/` of the hub answers. It is read from a
/// file, from standard input (-), or asked from the hub for a target. The rules are those in force; the
/// database of known vulnerabilities is used where it is there. The same input gives the same bytes.
/// Nothing is stored, and nothing is sent to the target.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file with a context, - for standard input; else a target by name, address, network or id.
    #[arg(value_name = "FILE|-|TARGET")]
    what: String,
    /// Show how each priority is reckoned, and what each finding was seen in.
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    from: rules::Origin,
    #[command(flatten)]
    place: vulndb::Place,
}

pub async fn run(global: &Global, args: Args) -> Outcome {
    let context = match args.what.as_str() {
        "-" => read("standard input", std::io::stdin().lock())?,
        what if is_file(what) => {
            let file = std::fs::File::open(what).with_context(|| format!("cannot read {what}"))?;
            read(what, file)?
        }
        target => asked(global, target).await?,
    };
    let loaded = rules::in_force(global, &args.from)?;
    let database = args.place.if_there(global)?;
    let made = assess(&context, &loaded.rules, database.as_ref())?;
    if global.json {
        output::json(&made)?;
    } else if global.jsonl {
        targets::json_line(&made)?;
    } else {
        let colors = global.colors();
        let mut text = summary(global, &made);
        for note in not_known(&context, database.is_some()) {
            let _ = writeln!(text, "not looked at: {note}");
        }
        if args.explain {
            text.push_str(&explained(&made, colors));
        }
        output::text(&text)?;
    }
    Ok(ExitCode::Ok)
}

/// Whether a file is meant, and not a target.
fn is_file(what: &str) -> bool {
    let path = Path::new(what);
    path.is_file() || path.extension().is_some_and(|end| end == "json")
}

fn read(name: &str, from: impl Read) -> Result<AssessmentContext, Failure> {
    let usage = |error: anyhow::Error| Failure::new(ExitCode::Usage, error);
    let mut text = Vec::new();
    from.take(LONGEST + 1)
        .read_to_end(&mut text)
        .with_context(|| format!("cannot read {name}"))?;
    if text.len() as u64 > LONGEST {
        return Err(usage(anyhow!("{name} has more than {LONGEST} bytes")));
    }
    let wrong = |why: &str| usage(anyhow!("{name} is no context: {}", printable(why)));
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(wrong("it is no JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(&text);
    let context: AssessmentContext =
        serde_path_to_error::deserialize(&mut json).map_err(|error| wrong(&error.to_string()))?;
    // What a hub answers that does not give one would be a record of which nothing is known.
    if !context.success {
        let refused: Refused = serde_json::from_slice(&text).unwrap_or_default();
        return Err(wrong(match refused.error.as_deref() {
            Some(error) => error,
            None => "`success` is not true",
        }));
    }
    if context.eggrecord_id.is_nil() {
        return Err(wrong("`eggrecord_id` is missing"));
    }
    if context.as_of == AssessmentContext::default().as_of {
        return Err(wrong("`as_of` is missing"));
    }
    Ok(context)
}

/// What a hub answers that does not give what it was asked for.
#[derive(Debug, Default, serde::Deserialize)]
struct Refused {
    #[serde(default)]
    error: Option<String>,
}

/// What the assessment could not rest on, so that nobody takes its silence for an answer.
fn not_known(context: &AssessmentContext, database: bool) -> Vec<&'static str> {
    let web = [
        context.exchanges.is_empty(),
        context.pages.is_empty(),
        context.paths.is_empty(),
    ];
    let missing = [
        (
            !database,
            "known vulnerabilities of versions (no database: reconctl vulndb import)",
        ),
        (
            context.scans.is_empty() && context.ports.is_empty(),
            "open ports (no scan is known)",
        ),
        (
            web.iter().all(|none| *none),
            "pages, headers and cookies (no spider or enumeration is known)",
        ),
    ];
    let missing = missing.iter().filter(|(missing, _)| *missing);
    missing.map(|(_, note)| *note).collect()
}

async fn asked(global: &Global, wanted: &str) -> Result<AssessmentContext, Failure> {
    let hub = HubClient::new(global)?;
    let target = targets::find(&hub, wanted).await?;
    let target =
        target.ok_or_else(|| anyhow!("there is no target {wanted:?}, and no such file"))?;
    hub.get(&format!("/api/daemon/ryu/context/{}/", target.id), &[])
        .await
}

fn style(level: RiskLevel) -> Style {
    match level {
        RiskLevel::Critical => Style::new().red().bold(),
        RiskLevel::High => Style::new().red(),
        RiskLevel::Medium => Style::new().yellow(),
        RiskLevel::Low => Style::new().cyan(),
        RiskLevel::Info => Style::new(),
    }
}

/// The findings as a table, then what they come to.
fn summary(global: &Global, made: &AssessmentSubmission) -> String {
    let mut table = Table::new([
        Column::right("PRIORITY"),
        Column::left("SEVERITY"),
        Column::right("CONFIDENCE").droppable(1),
        Column::left("WHERE").droppable(2),
        Column::left("FINDING"),
    ]);
    for one in &made.vulnerabilities {
        table.row([
            format!("{:.1}", one.priority.score).into(),
            Cell::styled(one.severity.as_str(), style(one.severity)),
            format!("{:.2}", one.confidence).into(),
            super::table::display(&one.location).into(),
            super::table::display(&one.title).into(),
        ]);
    }
    let mut text = match made.vulnerabilities.is_empty() {
        true => String::new(),
        false => table.render(terminal_width(), global.colors()) + "\n",
    };
    for way in &made.attack_vectors {
        let _ = writeln!(text, "way in: {} ({})", printable(&way.title), way.severity);
    }
    for step in made.remediation_priorities.iter().take(5) {
        // "Remove it" alone does not say what.
        let (action, reason) = (printable(&step.action), printable(&step.reason));
        let _ = writeln!(text, "{}. {action}: {reason}", step.rank);
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let _ = writeln!(text, "{}", printable(&made.threat_summary));
    text
}

/// The narrative, and of each finding the arithmetic and what it was seen in.
fn explained(made: &AssessmentSubmission, colors: bool) -> String {
    let mut text = String::from("\n");
    for line in made.narrative.lines() {
        let _ = writeln!(text, "{}", printable(line));
    }
    for one in &made.vulnerabilities {
        let key = printable(&one.key);
        let key = match colors {
            true => owo_colors::OwoColorize::style(&key, style(one.severity)).to_string(),
            false => key,
        };
        let _ = writeln!(text, "\n{key}");
        finding(one, &mut text);
    }
    text
}

fn finding(one: &Vulnerability, text: &mut String) {
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {name:<12} {}", printable(value));
        }
    };
    line("finding", &one.title);
    line("severity", one.severity.as_str());
    line("why", &one.reason);
    line(
        "distribution",
        one.distribution.as_deref().unwrap_or_default(),
    );
    line(
        "priority",
        &format!("{:.1}, at most 100, is 10 times", one.priority.score),
    );
    for factor in &one.priority.factors {
        let value = format!("{:>5.2} {}: {}", factor.value, factor.name, factor.why);
        line("", &value);
    }
    for seen in &one.evidence {
        line("seen", &seen.sources.join(", "));
        fields(seen, &mut line);
    }
    line("do", &one.remediation);
}

fn fields(seen: &SeenEvidence, line: &mut impl FnMut(&str, &str)) {
    for (name, value) in &seen.fields {
        let value = match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        line("", &format!("{name}: {value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_targets_are_told_apart() {
        assert!(is_file("there-is-none.json"));
        assert!(!is_file("10.0.0.0/8") && !is_file("www.example.org"));
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(is_file(&file.path().display().to_string()));
    }
}
