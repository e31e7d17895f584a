//! The rules of an assessment: which there are, what one says, and whether they are sound.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use serde_json::{Value, json};

use super::table::table;
use super::targets::json_line;
use super::{Failure, Global, Outcome, output, pages, user};
use crate::api::{ExitCode, RiskLevel};
use crate::engines::assess::facts::{Field, Kind};
use crate::engines::assess::rules::{LOCAL_DIR, Loaded, PACKAGED_DIR, Rule, RuleError, RuleSet};
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
    /// List what a rule may ask for: the kinds of facts, and the fields of each.
    Fields {
        /// Only of this kind (service, tls, http, cookie, path, …).
        #[arg(value_name = "KIND")]
        kind: Option<Kind>,
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
    /// Look for errors in rule files; they are told as FILE:LINE: KEY: MESSAGE.
    ///
    /// All errors in what a file says are told. One in how it is written (TOML, a key that is unknown or of
    /// another type) is the only one of its file.
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
            let loaded = in_force(global, &from)?;
            let wanted = |rule: &&Rule| {
                category.as_ref().is_none_or(|name| *name == rule.category)
                    && subject.is_none_or(|kind| kind == rule.subject)
                    && severity.is_none_or(|least| worst(rule) >= least)
            };
            let rules: Vec<&Rule> = loaded.rules.iter().filter(wanted).collect();
            list(global, &rules)
        }
        Command::Show { id, from } => show(global, &in_force(global, &from)?, &id),
        Command::Fields { kind } => fields(global, kind),
        Command::Test { files, from } => test(global, &loaded(global, &from, &files)?),
        Command::Lint { files, from } => {
            let mut loaded = loaded(global, &from, &files)?;
            if files.is_empty() {
                unknown_superseded(&mut loaded);
            }
            lint(global, &loaded)
        }
    }
}

/// The rules of these files, or of the directories. That there are none at all is an error: an assessment
/// by no rules would find that nothing is wrong.
fn loaded(global: &Global, from: &Origin, files: &[PathBuf]) -> Result<Loaded, Failure> {
    if !files.is_empty() {
        let mut loaded = RuleSet::load_files(files);
        // What they are about may be in other files.
        loaded.notes.clear();
        return Ok(loaded);
    }
    let below = |path: &str| global.root.join(path.trim_start_matches('/'));
    let own = match global.user {
        true => user::config_dir().join("rules.d"),
        false => below(LOCAL_DIR),
    };
    let packaged = match &from.rules {
        Some(named) if !named.is_dir() => {
            let error = anyhow::anyhow!("--rules {}: there is no such directory", named.display());
            return Err(Failure::new(ExitCode::Usage, error));
        }
        Some(named) => named.clone(),
        None => below(PACKAGED_DIR),
    };
    let loaded = RuleSet::load(&[packaged.clone(), own.clone()]);
    if loaded.rules.is_empty() && loaded.errors.is_empty() {
        return Err(Failure::from(anyhow::anyhow!(
            "there are no rules in {} and {}: `make install` brings those of the package, --rules DIR \
             reads them elsewhere",
            packaged.display(),
            own.display()
        )));
    }
    Ok(loaded)
}

/// The rules in force; what is wrong with a file is told, and the others hold.
pub(super) fn in_force(global: &Global, from: &Origin) -> Result<Loaded, Failure> {
    let loaded = loaded(global, from, &[])?;
    for error in &loaded.errors {
        eprintln!(
            "reconctl: not in force: {}",
            display(&error.to_string(), LONGEST)
        );
    }
    for note in &loaded.notes {
        eprintln!("reconctl: note: {}", display(&note.to_string(), LONGEST));
    }
    Ok(loaded)
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
            None => anyhow::anyhow!("there is no rule {id:?}{}", loaded.rules.nearest(id)),
        };
        return Err(Failure::from(error));
    };
    let condition = condition(rule)?;
    if global.json || global.jsonl {
        let mut shown = value(rule)?;
        shown["match"] = serde_json::to_value(&condition)?;
        output::json(&shown)?;
    } else {
        let written =
            toml::to_string_pretty(&toml::Table::from_iter([("match".to_owned(), condition)]))?;
        let mut text = described(rule);
        text.push('\n');
        for line in written.lines() {
            let _ = writeln!(text, "{}", display(line, LONGEST));
        }
        output::text(&text)?;
    }
    Ok(ExitCode::Ok)
}

/// What a rule asks for, as its file has it.
fn condition(rule: &Rule) -> anyhow::Result<toml::Value> {
    let file = rule.file.display();
    let text =
        std::fs::read_to_string(&rule.file).with_context(|| format!("cannot read {file}"))?;
    let mut table: toml::Table = text
        .parse()
        .with_context(|| format!("cannot read {file}"))?;
    table
        .remove("match")
        .with_context(|| format!("{file} has changed meanwhile"))
}

/// The fields of a kind of fact, or of all.
fn fields(global: &Global, kind: Option<Kind>) -> Outcome {
    let kinds = Kind::ALL
        .iter()
        .filter(|one| kind.is_none_or(|kind| kind == **one));
    let all = kinds.flat_map(|kind| kind.fields().iter().map(move |field| (*kind, field)));
    if global.json || global.jsonl {
        let rows: Vec<Value> = all
            .map(|(kind, field)| {
                json!({"kind": kind, "name": field.name, "type": field.kind, "about": field.about})
            })
            .collect();
        if global.json {
            pages::json("fields", rows)?;
        } else {
            rows.iter().try_for_each(json_line)?;
        }
        return Ok(ExitCode::Ok);
    }
    let row = |(kind, field): (Kind, &Field)| {
        let name = |text: &str| text.trim_start_matches("a ").to_owned();
        vec![
            kind.to_string(),
            field.name.to_owned(),
            name(&field.kind.to_string()),
            field.about.to_owned(),
        ]
    };
    let head = ["KIND", "FIELD", "TYPE", "WHAT IT SAYS"];
    output::text(&table(global, &head, all.map(row).collect()))?;
    if kind.is_none_or(|kind| kind == Kind::Http) {
        output::text("An http fact also has header.NAME, text, for every header of the answer.\n")?;
    }
    Ok(ExitCode::Ok)
}

fn rules_of(number: usize) -> String {
    match number {
        1 => "1 rule".to_owned(),
        many => format!("{many} rules"),
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

/// Notes what stands in a rule's `supersedes` and is none.
fn unknown_superseded(loaded: &mut Loaded) {
    let rules = &loaded.rules;
    let off: Vec<&str> = rules.disabled().map(|(id, _)| id).collect();
    let all = rules
        .iter()
        .flat_map(|rule| rule.supersedes.iter().map(move |other| (rule, other)));
    let unknown =
        all.filter(|(_, other)| rules.get(other).is_none() && !off.contains(&other.as_str()));
    let notes = unknown.map(|(rule, other)| RuleError {
        file: rule.file.clone(),
        line: 0,
        key: "supersedes".to_owned(),
        message: format!("{other:?} is no rule{}", rules.nearest(other)),
    });
    let notes: Vec<RuleError> = notes.collect();
    loaded.notes.extend(notes);
}

fn lint(global: &Global, loaded: &Loaded) -> Outcome {
    let rules = loaded.rules.len();
    let (errors, notes) = (&loaded.errors, &loaded.notes);
    if global.json || global.jsonl {
        output::json(&json!({
            "ok": errors.is_empty(), "rules": rules, "errors": errors, "notes": notes,
        }))?;
    } else {
        for error in errors {
            eprintln!("{}", display(&error.to_string(), LONGEST));
        }
        for note in notes {
            eprintln!("note: {}", display(&note.to_string(), LONGEST));
        }
        if errors.is_empty() {
            output::text(&format!("no errors: {}\n", rules_of(rules)))?;
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
            "{tests} tests of {}: {} failed\n",
            rules_of(loaded.rules.len()),
            failures.len()
        ))?;
    }
    Ok(match (loaded.errors.is_empty(), failures.is_empty()) {
        (false, _) => ExitCode::Usage,
        (true, false) => ExitCode::Failure,
        (true, true) => ExitCode::Ok,
    })
}
