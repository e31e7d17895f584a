//! What systemd-analyze(1) says of the units: all of them in one call, and both calls at once.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::process::Stdio;

use serde::Serialize;
use tokio::process::Command;

use super::Subject;
use super::finding::{Area, Finding, Level};
use crate::units::Rendered;

/// How exposed a unit is, and how much it may be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exposure {
    /// The unit.
    pub unit: String,
    /// 0 (nothing) to 10 (everything).
    pub score: f64,
    /// More is too much.
    pub limit: f64,
}

/// Most exposure of an agent.
const LIMIT: f64 = 2.0;
/// Most exposure of an agent that keeps capabilities.
const LIMIT_WITH_CAPABILITIES: f64 = 2.5;

/// Both reports; the exposure of each unit besides.
pub async fn analyze(subject: &Subject<'_>, rendered: &Rendered) -> (Vec<Finding>, Vec<Exposure>) {
    let (syntax, security) = tokio::join!(syntax(subject, rendered), security(subject));
    let mut found = syntax;
    let (mut sandbox, exposures) = security;
    found.append(&mut sandbox);
    (found, exposures)
}

async fn syntax(subject: &Subject<'_>, rendered: &Rendered) -> Vec<Finding> {
    let mut units = subject.units();
    if subject.whole {
        let targets = rendered.files.keys().filter_map(|path| path.to_str());
        let targets = targets
            .filter(|name| name.ends_with(".target"))
            .map(str::to_owned);
        units.extend(targets.chain(["recon.target".to_owned()]));
    }
    let count = units.len();
    let mut args = vec!["verify".to_owned(), "--man=no".to_owned()];
    args.extend(units);
    // Its exit status says nothing: it is 0 for keys that it does not know.
    let said = match run(subject, &args).await {
        Ok((_, said)) => said,
        Err(finding) => return vec![finding],
    };
    let lines: BTreeSet<&str> = said
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    let found: Vec<_> = lines
        .into_iter()
        // A program that is missing is reported with what to do about it.
        .filter(|line| !line.contains("is not executable: No such file"))
        .filter(|line| unit_in(line).is_none_or(|unit| subject.is_about(&unit)))
        .map(complaint)
        .collect();
    match found.iter().any(|finding| finding.level == Level::Error) {
        true => found,
        false => {
            let text = format!("systemd reads every line of the units ({count})");
            let ok = Finding::new(Level::Ok, Area::Syntax, text);
            found.into_iter().chain([ok]).collect()
        }
    }
}

fn complaint(line: &str) -> Finding {
    match unit_in(line) {
        Some(unit) => Finding::new(Level::Error, Area::Syntax, line)
            .unit(unit)
            .fix("mend or remove that line: what systemd cannot read has no effect"),
        // Units of others that ours lead to.
        None => Finding::new(Level::Note, Area::Syntax, line),
    }
}

/// The unit of ours that a line is about.
fn unit_in(line: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "@._-:\\".contains(c);
    line.split(|c: char| !is_part(c)).find_map(|word| {
        let name = word.trim_end_matches(':').split(':').next()?;
        let name = name.strip_suffix(".d").unwrap_or(name);
        let ours =
            name.starts_with("recon@") || name.starts_with("recon-") || name.starts_with("recon.");
        let kind = [".service", ".target", ".timer", ".slice"];
        (ours && kind.iter().any(|kind| name.ends_with(kind))).then(|| name.to_owned())
    })
}

async fn security(subject: &Subject<'_>) -> (Vec<Finding>, Vec<Exposure>) {
    let mut args = vec![
        "security".to_owned(),
        "--offline=true".to_owned(),
        "--no-pager".to_owned(),
    ];
    args.extend(subject.units());
    let (table, said) = match run(subject, &args).await {
        Ok(output) => output,
        Err(finding) => return (vec![finding], Vec::new()),
    };
    let scores = table.lines().filter_map(score);
    let exposures: Vec<Exposure> = scores
        .map(|(unit, score)| Exposure {
            limit: limit(subject, &unit),
            unit,
            score,
        })
        .collect();
    if exposures.is_empty() {
        let why = said.lines().next().unwrap_or("it says nothing");
        let text = format!("the sandbox of the units cannot be rated: {why}");
        return (
            vec![Finding::new(Level::Note, Area::Sandbox, text)],
            exposures,
        );
    }
    (rate(&exposures), exposures)
}

fn rate(exposures: &[Exposure]) -> Vec<Finding> {
    let open = exposures.iter().filter(|e| e.score > e.limit);
    let mut found: Vec<_> = open
        .map(|e| {
            let text = format!("exposure {:.1}, more than {:.1}", e.score, e.limit);
            let fix = format!("systemd-analyze security {}; see its drop-ins", e.unit);
            Finding::new(Level::Warning, Area::Sandbox, text)
                .unit(&e.unit)
                .fix(fix)
        })
        .collect();
    if found.is_empty() {
        let most = exposures.iter().map(|e| e.score).fold(0.0, f64::max);
        let text = format!(
            "exposure at most {most:.1} of 10 (units: {})",
            exposures.len()
        );
        found.push(Finding::new(Level::Ok, Area::Sandbox, text));
    }
    found
}

/// `→ Overall exposure level for recon@kaze.service: 1.1 OK`
fn score(line: &str) -> Option<(String, f64)> {
    let (_, rest) = line.split_once("Overall exposure level for ")?;
    let (unit, rest) = rest.split_once(": ")?;
    let score = rest.split_whitespace().next()?.parse().ok()?;
    Some((unit.to_owned(), score))
}

fn limit(subject: &Subject<'_>, unit: &str) -> f64 {
    let agent = subject
        .agents
        .iter()
        .find(|agent| agent.name.unit() == unit);
    match agent.is_some_and(|agent| !agent.capabilities.is_empty()) {
        true => LIMIT_WITH_CAPABILITIES,
        false => LIMIT,
    }
}

/// Standard output and standard error of systemd-analyze.
async fn run(subject: &Subject<'_>, args: &[String]) -> Result<(String, String), Finding> {
    let mut command = Command::new("systemd-analyze");
    if !subject.is_live() {
        command.arg(format!("--root={}", subject.root.display()));
    }
    let output = command.args(args).stdin(Stdio::null()).output().await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output {
        Ok(output) => Ok((text(&output.stdout), text(&output.stderr))),
        Err(error) => {
            let what = match error.kind() {
                ErrorKind::NotFound => "is not installed".to_owned(),
                _ => format!("cannot be run: {error}"),
            };
            let text = format!("systemd-analyze {what}: the units are not read by systemd itself");
            Err(Finding::new(Level::Note, Area::Syntax, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_about_a_unit_of_ours_or_of_others() {
        for (line, unit) in [
            (
                "/etc/systemd/system/recon@kaze.service.d/90-local.conf:2: Unknown key",
                Some("recon@kaze.service"),
            ),
            (
                "recon@a-b.service: Command /x is not executable",
                Some("recon@a-b.service"),
            ),
            (
                "/r/recon-full.target:3: Unknown key",
                Some("recon-full.target"),
            ),
            ("/usr/lib/systemd/system/ssh.service:9: Unknown key", None),
            ("/opt/recon-tree/ssh.service:9: Unknown key", None),
        ] {
            assert_eq!(unit_in(line).as_deref(), unit, "{line}");
        }
    }

    #[test]
    fn a_score_is_read() {
        let line = "→ Overall exposure level for recon@kaze.service: 1.1 OK 🙂";
        assert_eq!(score(line), Some(("recon@kaze.service".to_owned(), 1.1)));
        assert_eq!(score("✓ PrivateTmp= …"), None);
    }
}
