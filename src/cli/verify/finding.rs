use std::collections::BTreeMap;

use owo_colors::Style;
use serde::Serialize;

use crate::cli::table::printable;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It does not work, or not as it should.
    Error,
    /// It works, but not as was asked for.
    Warning,
    /// Worth knowing.
    Note,
    /// As it should be.
    Ok,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
            Self::Ok => "ok",
        }
    }

    fn symbol(self) -> &'static str {
        match self {
            Self::Error => "×",
            Self::Warning => "!",
            Self::Note => "·",
            Self::Ok => "✓",
        }
    }

    fn style(self) -> Style {
        let style = Style::new();
        match self {
            Self::Error => style.red().bold(),
            Self::Warning => style.yellow(),
            Self::Note => style.cyan(),
            Self::Ok => style.green(),
        }
    }
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// The fleet file.
    Fleet,
    /// Unit files on disk, and what systemd has read of them.
    Units,
    /// What systemd makes of the unit files.
    Syntax,
    /// How well the units are shut in.
    Sandbox,
    /// What this version of systemd cannot do.
    Systemd,
    /// What this machine cannot do.
    Machine,
    /// Programs, users and files that the units need.
    Host,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How grave.
    pub level: Level,
    /// What was looked at.
    pub area: Area,
    /// The unit, when it is about one.
    pub unit: Option<String>,
    /// What was found.
    pub text: String,
    /// What to do.
    pub fix: Option<String>,
}

impl Finding {
    /// A finding about no unit in particular.
    pub fn new(level: Level, area: Area, text: impl Into<String>) -> Self {
        Self {
            level,
            area,
            unit: None,
            text: text.into(),
            fix: None,
        }
    }

    /// It is about this unit.
    pub fn unit(self, unit: impl Into<String>) -> Self {
        Self {
            unit: Some(unit.into()),
            ..self
        }
    }

    /// What to do about it.
    pub fn fix(self, fix: impl Into<String>) -> Self {
        Self {
            fix: Some(fix.into()),
            ..self
        }
    }
}

/// Findings for people, the gravest first; units with the same finding share a line.
pub fn describe(findings: &[Finding], colors: bool) -> String {
    let mut grouped: BTreeMap<(Level, Area, &str, Option<&str>), Vec<&str>> = BTreeMap::new();
    for finding in findings {
        let key = (
            finding.level,
            finding.area,
            finding.text.as_str(),
            finding.fix.as_deref(),
        );
        let units = grouped.entry(key).or_default();
        units.extend(finding.unit.as_deref().map(short));
    }
    let mut text = String::new();
    for ((level, _, what, fix), units) in grouped {
        let word = format!("{:<7}", level.as_str());
        let head = match colors {
            true => format!(
                "{} {}",
                level.style().style(level.symbol()),
                level.style().style(word)
            ),
            false => word,
        };
        let who = match units.is_empty() {
            true => String::new(),
            false => format!("{}: ", units.join(", ")),
        };
        text.push_str(&format!("{head} {who}{}\n", printable(what)));
        if let Some(fix) = fix {
            let indent = if colors { 10 } else { 8 };
            text.push_str(&format!("{:indent$}→ {}\n", "", printable(fix)));
        }
    }
    text + &summary(findings)
}

fn summary(findings: &[Finding]) -> String {
    let count = |level| findings.iter().filter(|f| f.level == level).count();
    let some = |n: usize, what: &str| match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    };
    format!(
        "{}, {}, {}\n",
        some(count(Level::Error), "error"),
        some(count(Level::Warning), "warning"),
        some(count(Level::Note), "note")
    )
}

/// An agent is called by its name, everything else by its unit's.
fn short(unit: &str) -> &str {
    let agent = unit
        .strip_prefix("recon@")
        .and_then(|u| u.strip_suffix(".service"));
    agent.unwrap_or(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_come_first_and_units_share_a_line() {
        let note = |unit: &str| Finding::new(Level::Note, Area::Systemd, "no backoff").unit(unit);
        let findings = [
            Finding::new(Level::Ok, Area::Fleet, "7 agents"),
            note("recon@kage.service"),
            note("recon@kaze.service"),
            Finding::new(Level::Error, Area::Syntax, "bad\u{1b}[31m")
                .unit("recon.target")
                .fix("mend it"),
        ];
        assert_eq!(
            describe(&findings, false),
            "error   recon.target: bad\\x1b[31m\n        → mend it\n\
             note    kage, kaze: no backoff\n\
             ok      7 agents\n\
             1 error, 0 warnings, 2 notes\n"
        );
        assert!(describe(&findings, true).contains("✓"));
    }
}
