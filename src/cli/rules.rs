//! The rules of an assessment: which there are, what one says, and whether they are sound.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::table::table;
use super::targets::json_line;
use super::{Failure, Global, Outcome, output, pages, user};
use crate::api::{ExitCode, RiskLevel};
use crate::engines::assess::facts::Kind;
use crate::engines::assess::rules::{LOCAL_DIR, Loaded, PACKAGED_DIR, Rule, RuleSet};
use crate::runtime::text::display;

/// Longest text of a rule that is shown, characters.
const LONGEST: usize = 2000;

/// Where rules are read from.
#[derive(Debug, Clone, clap::Args)]
pub struct Origin {
    /// Read the package's rules here instead of /usr/share/recon/rules.
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the rules that are in force.
    List {
        #[command(flatten)]
        from: Origin,
        /// Only of this category (exposed-service, tls, …).
        #[arg(long, value_name = "NAME")]
        category: Option<String>,
        /// Only about this kind of fact (service, tls, http, cookie, path, …).
        #[arg(long, value_name = "KIND")]
        subject: Option<Kind>,
        /// Only those that can be of this severity or worse.
        #[arg(long, value_name = "LEVEL")]
        severity: Option<RiskLevel>,
    },
    /// Show all that a rule says.
    Show {
        /// Its id.
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        from: Origin,
    },
    /// Run the tests that are in rule files.
    #[command(after_help = "\
Exits 0 when all pass, 1 when one does not, and 2 when a file is no rule.")]
    Test {
        /// Only of these files (default: all rules in force).
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        from: Origin,
    },
    /// Look for errors in rule files; all of them are told as FILE:LINE: KEY: MESSAGE.
    #[command(after_help = "\
Exits 0 when there is no error and 2 when there is one.")]
    Lint {
        /// Only these files (default: all of the package and of /etc/recon/rules.d).
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        from: Origin,
    },
}

pub async fn run(global: &Global, command: Command) -> Outcome {
    if let Some(host) = &global.host {
        let error = anyhow::anyhow!(
            "rules are files of this host: run this verb there (ssh {host} reconctl rules …)"
        );
        return Err(Failure::new(ExitCode::Usage, error));
    }
    match command {
        Command::List {
            from,
            category,
            subject,
            severity,
        } => {
            let loaded = in_force(global, &from);
            let wanted = |rule: &&Rule| {
                category.as_ref().is_none_or(|name| *name == rule.category)
                    && subject.is_none_or(|kind| kind == rule.subject)
                    && severity.is_none_or(|least| worst(rule) >= least)
            };
            let rules: Vec<&Rule> = loaded.rules.iter().filter(wanted).collect();
            list(global, &rules)
        }
        Command::Show { id, from } => show(global, &in_force(global, &from), &id),
        Command::Test { files, from } => test(global, &loaded(global, &from, &files)),
        Command::Lint { files, from } => lint(global, &loaded(global, &from, &files)),
    }
}

/// The rules of these files, or of the directories.
fn loaded(global: &Global, from: &Origin, files: &[PathBuf]) -> Loaded {
    if !files.is_empty() {
        return RuleSet::load_files(files);
    }
    let below = |path: &str| global.root.join(path.trim_start_matches('/'));
    let own = match global.user {
        true => user::config_dir().join("rules.d"),
        false => below(LOCAL_DIR),
    };
    let packaged = from.rules.clone();
    RuleSet::load(&[packaged.unwrap_or_else(|| below(PACKAGED_DIR)), own])
}

/// The rules in force; what is wrong with a file is told, and the others hold.
pub(super) fn in_force(global: &Global, from: &Origin) -> Loaded {
    let loaded = loaded(global, from, &[]);
    for error in &loaded.errors {
        eprintln!(
            "reconctl: not in force: {}",
            display(&error.to_string(), LONGEST)
        );
    }
    loaded
}

/// The severity that it has at worst.
fn worst(rule: &Rule) -> RiskLevel {
    let severity = &rule.severity;
    let special = severity.public.max(severity.private);
    severity.level.max(special.unwrap_or(RiskLevel::Info))
}

fn value(rule: &Rule) -> anyhow::Result<Value> {
    Ok(serde_json::to_value(rule)?)
}

fn list(global: &Global, rules: &[&Rule]) -> Outcome {
    if global.json || global.jsonl {
        let rows: Vec<Value> = rules
            .iter()
            .map(|rule| value(rule))
            .collect::<Result<_, _>>()?;
        if global.json {
            pages::json("rules", rows)?;
        } else {
            rows.iter().try_for_each(json_line)?;
        }
        return Ok(ExitCode::Ok);
    }
    let severity = |rule: &Rule| {
        let mut all = vec![rule.severity.level, worst(rule)];
        all.dedup();
        all.into_iter()
            .map(RiskLevel::as_str)
            .collect::<Vec<_>>()
            .join("..")
    };
    let row = |rule: &&Rule| {
        vec![
            rule.id.clone(),
            severity(rule),
            rule.subject.to_string(),
            rule.category.clone(),
            rule.title.clone(),
        ]
    };
    let head = ["ID", "SEVERITY", "SUBJECT", "CATEGORY", "TITLE"];
    let rows = rules.iter().map(row).collect();
    output::text(&table(global, &head, rows))?;
    Ok(ExitCode::Ok)
}

fn show(global: &Global, loaded: &Loaded, id: &str) -> Outcome {
    let Some(rule) = loaded.rules.get(id) else {
        let off = loaded.rules.disabled().find(|(other, _)| *other == id);
        let error = match off {
            Some((_, file)) => anyhow::anyhow!("{id} is switched off by {}", file.display()),
            None => anyhow::anyhow!("there is no rule {id:?}{}", near(loaded, id)),
        };
        return Err(Failure::from(error));
    };
    if global.json || global.jsonl {
        output::json(&value(rule)?)?;
    } else {
        output::text(&described(rule))?;
    }
    Ok(ExitCode::Ok)
}

fn near(loaded: &Loaded, id: &str) -> String {
    let ids = loaded.rules.iter().map(|rule| rule.id.as_str());
    let best = ids
        .map(|known| (strsim::jaro_winkler(id, known), known))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match best.filter(|(near, _)| *near > 0.8) {
        Some((_, known)) => format!("; did you mean {known:?}?"),
        None => String::new(),
    }
}

/// A rule for people.
fn described(rule: &Rule) -> String {
    let mut text = format!("{}: {}\n", rule.id, rule.title);
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {name:<12} {}", display(&value, LONGEST));
        }
    };
    let severity = &rule.severity;
    line("severity", severity.level.to_string());
    let at = |level: Option<RiskLevel>| level.map(|l| l.to_string()).unwrap_or_default();
    line("  public", at(severity.public));
    line("  private", at(severity.private));
    line("why", severity.reason.clone());
    line("category", rule.category.clone());
    let cwe: Vec<String> = rule.cwe.iter().map(|n| format!("CWE-{n}")).collect();
    line("weakness", cwe.join(", "));
    line("ATT&CK", rule.attack.join(", "));
    line("subject", rule.subject.to_string());
    line("evidence", rule.evidence.join(", "));
    line("confidence", format!("{}", rule.confidence));
    line("group", rule.group.clone().unwrap_or_default());
    line("supersedes", rule.supersedes.join(", "));
    line("do", rule.remediation.action.clone());
    line("effort", rule.remediation.effort.as_str().to_owned());
    for reference in &rule.references {
        line("see", reference.clone());
    }
    line("tests", rule.samples().len().to_string());
    line("file", rule.file.display().to_string());
    text
}

fn lint(global: &Global, loaded: &Loaded) -> Outcome {
    let rules = loaded.rules.len();
    let unknown: Vec<String> = loaded
        .rules
        .iter()
        .flat_map(|rule| rule.supersedes.iter().map(move |other| (rule, other)))
        .filter(|(_, other)| loaded.rules.get(other).is_none())
        .map(|(rule, other)| format!("{}: supersedes {other:?}, which is no rule", rule.id))
        .collect();
    let errors = &loaded.errors;
    if global.json || global.jsonl {
        output::json(&json!({
            "ok": errors.is_empty(), "rules": rules, "errors": errors, "notes": unknown,
        }))?;
    } else {
        for error in errors {
            eprintln!("{}", display(&error.to_string(), LONGEST));
        }
        for note in &unknown {
            eprintln!("note: {}", display(note, LONGEST));
        }
        if errors.is_empty() {
            output::text(&format!("no errors: {rules} rules\n"))?;
        }
    }
    Ok(match errors.is_empty() {
        true => ExitCode::Ok,
        false => ExitCode::Usage,
    })
}

fn test(global: &Global, loaded: &Loaded) -> Outcome {
    let failures: Vec<_> = loaded.rules.iter().flat_map(Rule::test).collect();
    let tests: usize = loaded.rules.iter().map(|rule| rule.samples().len()).sum();
    if global.json || global.jsonl {
        output::json(&json!({
            "ok": failures.is_empty() && loaded.errors.is_empty(),
            "rules": loaded.rules.len(), "tests": tests,
            "failures": failures, "errors": loaded.errors,
        }))?;
    } else {
        for error in &loaded.errors {
            eprintln!("{}", display(&error.to_string(), LONGEST));
        }
        for failure in &failures {
            let file = loaded.rules.get(&failure.rule).map(|rule| &rule.file);
            let file = file.map(|f| f.display().to_string()).unwrap_or_default();
            let told = format!(
                "{file}:{}: {}: {}",
                failure.line, failure.rule, failure.message
            );
            eprintln!("{}", display(&told, LONGEST));
        }
        output::text(&format!(
            "{tests} tests of {} rules: {} failed\n",
            loaded.rules.len(),
            failures.len()
        ))?;
    }
    Ok(match (loaded.errors.is_empty(), failures.is_empty()) {
        (false, _) => ExitCode::Usage,
        (true, false) => ExitCode::Failure,
        (true, true) => ExitCode::Ok,
    })
}
