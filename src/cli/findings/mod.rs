//! `reconctl findings`: what somebody should see to, and what is decided about it.

mod decide;
mod show;

use clap::builder::NonEmptyStringValueParser;
use serde_json::Value;
use uuid::Uuid;

use super::hub_client::HubClient;
use super::pages::{self, Amount, List};
use super::since::Since;
use super::table::{Column, Table, display, terminal_width};
use super::targets::{ExportTo, copy_csv, export};
use super::{Failure, Global, Outcome, output, report};
use crate::api::{
    COUNTS_FROM, ExitCode, FINDING_STATES, Finding, FindingList, RiskLevel, TargetList, Verdict,
};

/// Where the hub has them.
const PATH: &str = "/api/findings";
/// Rows without `--limit` and `--all`.
const LIMIT: usize = 100;

/// Which findings.
#[derive(Debug, Clone, clap::Args)]
pub struct Filter {
    /// Only of this target (name, address or id).
    #[arg(long, value_name = "TARGET", value_parser = NonEmptyStringValueParser::new())]
    target: Option<String>,
    /// Only of the targets of this group.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    group: Option<String>,
    /// Only of this type: exposed_secret, known_vulnerability, or the id of a rule.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only of this category.
    #[arg(long, value_name = "CATEGORY")]
    category: Option<String>,
    /// Only of this severity (info, low, medium, high, critical).
    #[arg(long, value_name = "LEVEL")]
    severity: Option<RiskLevel>,
    /// Only of this severity or worse.
    #[arg(long, value_name = "LEVEL")]
    min_severity: Option<RiskLevel>,
    /// Only in this state.
    #[arg(long, value_name = "STATUS", value_parser = FINDING_STATES)]
    status: Option<String>,
    /// Only this known vulnerability (CVE-2021-41773).
    #[arg(long, value_name = "CVE")]
    cve: Option<String>,
    /// Only what is exploited in the wild.
    #[arg(long)]
    kev: bool,
    /// Only what was first seen from this time on (24h, 7d, 2026-11-21).
    #[arg(long, short = 'S', value_name = "TIME", allow_hyphen_values = true)]
    since: Option<Since>,
    /// In this order: what to see to first, the newest or the oldest first.
    #[arg(long, value_name = "ORDER", allow_hyphen_values = true, default_value = "-priority",
          value_parser = ["-priority", "-created", "created"])]
    sort: String,
}

impl Filter {
    fn parameters(self) -> Vec<(&'static str, String)> {
        let level = |level: Option<RiskLevel>| level.map(|level| level.to_string());
        let all = [
            ("target", self.target),
            ("group", self.group),
            ("type", self.kind),
            ("category", self.category),
            ("severity", level(self.severity)),
            ("min_severity", level(self.min_severity)),
            ("status", self.status),
            ("cve", self.cve),
            ("kev", self.kev.then(|| "true".to_owned())),
            ("since", self.since.map(Since::parameter)),
            ("sort", Some(self.sort)),
        ];
        all.into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    /// The open ones of these that are of a level or worse; `None`: there can be none.
    fn open(mut self, level: RiskLevel) -> Option<Self> {
        if self.status.as_ref().is_some_and(|status| status != "open") {
            return None;
        }
        self.status = Some("open".to_owned());
        self.min_severity = self.min_severity.max(Some(level));
        Some(self)
    }
}

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List findings, first what to see to first.
    #[command(after_help = "\
With --fail-on, exits 7 when an open finding is as severe as that or more; one that is less than 50 % sure \
(\"possibly fixed by the distribution\") does not count, as it does not for the level of its target. Exits 1, not 0, when that cannot \
be told: there is no such target or group, or nobody has assessed the target yet.")]
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        amount: Amount,
        /// Print CSV.
        #[arg(long, conflicts_with_all = ["json", "jsonl"])]
        csv: bool,
        /// Exit with 7 when an open finding of this severity or worse is among those that are asked for,
        /// whatever --limit says: for a pipeline.
        #[arg(long, value_name = "LEVEL")]
        fail_on: Option<RiskLevel>,
    },
    /// Show all that is known of a finding.
    Show {
        /// Id of a finding.
        #[arg(value_name = "ID", value_parser = id)]
        id: Uuid,
    },
    /// Live with findings, for good or for a time.
    Accept(decide::Decision),
    /// Say of findings that they are none, for good or for a time.
    FalsePositive(decide::Decision),
    /// Take back what was decided about findings.
    Reopen(decide::Reopen),
    /// Write all findings as JSON lines or CSV.
    Export {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        to: ExportTo,
    },
}

pub async fn run(global: &Global, command: Command) -> Outcome {
    let hub = HubClient::new(global)?;
    match command {
        Command::List {
            filter,
            amount,
            csv,
            fail_on,
        } => {
            let verdict = match fail_on {
                Some(level) => verdict(&hub, filter.clone(), level).await?,
                None => ExitCode::Ok,
            };
            let list = List {
                path: PATH,
                name: "findings",
                filter: filter.parameters(),
                limit: amount.or(LIMIT),
            };
            let shown = match csv {
                true => copy_csv(&hub, list).await,
                false => show_rows(global, &hub, list).await,
            };
            match shown {
                // Who reads no further has not asked for another verdict.
                Err(failure) if output::is_broken_pipe(&failure.error) => Ok(verdict),
                shown => shown.and(Ok(verdict)),
            }
        }
        Command::Show { id } => show::run(global, &hub, id).await,
        Command::Accept(args) => {
            let wish = args.wish(Verdict::Accepted)?;
            decide::run(global, &hub, args.ids, wish).await
        }
        Command::FalsePositive(args) => {
            let wish = args.wish(Verdict::FalsePositive)?;
            decide::run(global, &hub, args.ids, wish).await
        }
        Command::Reopen(args) => {
            let wish = args.wish();
            decide::run(global, &hub, args.ids, wish).await
        }
        Command::Export { filter, to } => export(&hub, PATH, filter.parameters(), to).await,
    }
}

/// What a pipeline is told of findings of this level or worse.
async fn verdict(hub: &HubClient, filter: Filter, level: RiskLevel) -> Outcome {
    let target = match &filter.target {
        Some(name) => {
            let found = super::targets::find(hub, name).await?;
            Some(found.ok_or_else(|| no_such("target", name))?)
        }
        None => None,
    };
    if let Some(name) = &filter.group {
        let one = [("group", name.clone()), ("limit", "1".to_owned())];
        let page: TargetList = hub.get("/api/targets", &one).await?;
        if page.targets.is_empty() {
            return Err(no_such("group", name));
        }
    }
    if let Some(open) = filter.open(level)
        && any(hub, open).await?
    {
        return Ok(ExitCode::Findings);
    }
    match target {
        Some(target) if !report::assessed(&target) => Err(report::not_known(level, 1)),
        _ => Ok(ExitCode::Ok),
    }
}

/// A misspelt name must not let a pipeline pass.
fn no_such(what: &str, name: &str) -> Failure {
    Failure::from(anyhow::anyhow!("there is no {what} {:?}", display(name)))
}

async fn show_rows(global: &Global, hub: &HubClient, list: List<'_>) -> Outcome {
    show_list(global, list.fetch(global, hub).await?)?;
    Ok(ExitCode::Ok)
}

fn show_list(global: &Global, rows: Vec<Value>) -> Result<(), Failure> {
    // The title is the one that may be cut: without its id nobody can decide about a finding.
    const COLUMNS: [(Column, &str); 9] = [
        (Column::left("SEVERITY"), "severity"),
        (Column::right("PRIORITY").droppable(4), "priority"),
        (Column::right("SURE").droppable(2), "confidence"),
        (Column::left("TARGET"), "target"),
        (Column::left("LOCATION").droppable(3), "location"),
        (Column::left("STATUS"), "status"),
        (Column::left("FIRST SEEN").droppable(1), "first_seen_at"),
        (Column::left("ID"), "id"),
        (Column::left("TITLE"), "title"),
    ];
    if global.json {
        pages::json("findings", rows)?;
    } else if !global.jsonl {
        let mut table = Table::new(COLUMNS.map(|(column, _)| column));
        for row in &rows {
            table.row(COLUMNS.map(|(_, name)| display(&cell(row, name)).into()));
        }
        output::text(&table.render(terminal_width(), global.colors()))?;
    }
    Ok(())
}

fn cell(row: &Value, column: &str) -> String {
    match &row[column] {
        Value::String(text) if column == "first_seen_at" => match text.parse() {
            Ok(time) => super::targets::time(time),
            Err(_) => text.clone(),
        },
        Value::String(text) if column == "status" => match row["decision"]["until"].as_str() {
            // Of what is fixed it says what holds if it comes back.
            Some(until) if text != "fixed" => {
                format!(
                    "{text} until {}",
                    until.split('T').next().unwrap_or_default()
                )
            }
            _ => text.clone(),
        },
        Value::String(text) => text.clone(),
        Value::Number(sure) if column == "confidence" => {
            format!("{:.0} %", sure.as_f64().unwrap_or_default() * 100.0)
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The id of a finding, as `reconctl findings list` shows it.
fn id(text: &str) -> Result<Uuid, String> {
    text.trim()
        .parse()
        .map_err(|_| "is no id of a finding: `reconctl findings list` shows them".to_owned())
}

/// Whether there are such findings that are sure enough to count. A page may be empty although there are more.
async fn any(hub: &HubClient, filter: Filter) -> Result<bool, Failure> {
    let filter = filter.parameters();
    let mut cursor = None;
    loop {
        let mut params = filter.clone();
        params.push(("limit", "100".to_owned()));
        params.extend(cursor.take().map(|c| ("cursor", c)));
        let page: FindingList = hub.get(PATH, &params).await?;
        let sure = |finding: &Finding| finding.confidence.is_none_or(|sure| sure >= COUNTS_FROM);
        if page.findings.iter().any(sure) {
            return Ok(true);
        }
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Parsed {
        #[command(flatten)]
        filter: Filter,
    }

    fn open(args: &[&str], level: RiskLevel) -> Option<Vec<(&'static str, String)>> {
        let args = std::iter::once("x").chain(args.iter().copied());
        let parsed = <Parsed as clap::Parser>::try_parse_from(args).unwrap();
        Some(parsed.filter.open(level)?.parameters())
    }

    #[test]
    fn what_a_pipeline_fails_on_is_within_what_was_asked_for() {
        let least = |args: &[&str], level| {
            let all = open(args, level)?;
            let found = all.into_iter().find(|(name, _)| *name == "min_severity");
            found.map(|(_, value)| value)
        };
        let high = RiskLevel::High;
        assert_eq!(least(&[], high).as_deref(), Some("high"));
        let critical = ["--min-severity", "critical"];
        assert_eq!(least(&critical, high).as_deref(), Some("critical"));
        let low = ["--min-severity", "low", "--status", "open"];
        assert_eq!(least(&low, high).as_deref(), Some("high"));
        assert_eq!(least(&["--status", "fixed"], high), None);
    }
}
