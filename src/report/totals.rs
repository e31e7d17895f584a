//! What is counted over all targets.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, Days, NaiveDate, Utc};

use super::Text;
use super::facts::{Counts, Issue, Status, Subject};
use crate::api::RiskLevel;

/// As many things to do are kept; when there are twice as many, those of least weight go.
const ACTIONS_MOST: usize = 2000;

/// Longest text of a thing to do by which it is known, characters.
const ACTION_LONGEST: usize = 400;

/// More weeks than these are told as months.
const WEEKS_MOST: usize = 26;

/// Numbers over all targets of a report.
#[derive(Debug, Default)]
pub struct Totals {
    targets: u64,
    assessed: u64,
    /// Open findings of any severity that are sure enough to count.
    counting: Counts,
    /// Targets that were assessed and have no finding, by risk.
    bare: Counts,
    /// Open findings that are told.
    open: Counts,
    /// Targets by risk.
    risks: Counts,
    accepted: u64,
    false_positives: u64,
    fixed: u64,
    new: u64,
    exploited: u64,
    less_severe: u64,
    no_room: u64,
    newest: Option<DateTime<Utc>>,
    /// Found and fixed by day.
    history: BTreeMap<NaiveDate, (u64, u64)>,
    actions: BTreeMap<String, Action>,
}

/// A thing to do.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) action: Text,
    pub(super) effort: Text,
    pub(super) priority: f64,
    pub(super) targets: u64,
    pub(super) findings: u64,
    /// One of the targets: the one with the least name.
    pub(super) target: Text,
}

impl Action {
    /// First what is most useful.
    fn order(&self, other: &Self) -> Ordering {
        (other.priority.total_cmp(&self.priority))
            .then_with(|| other.findings.cmp(&self.findings))
            .then_with(|| other.targets.cmp(&self.targets))
            .then_with(|| self.action.cmp(&other.action))
    }
}

/// What happened in a week or a month.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Period {
    /// Its first day.
    pub(super) begin: NaiveDate,
    pub(super) found: u64,
    pub(super) fixed: u64,
    /// Known and not fixed at its end.
    pub(super) open: u64,
}

impl Totals {
    /// Counts a target.
    pub(super) fn count(&mut self, subject: &Subject) {
        self.targets += 1;
        if let Some(risk) = subject.risk_level {
            self.assessed += 1;
            *self.risks.entry(risk).or_default() += 1;
            let told = subject.findings.len() as u64 + subject.left_out.less_severe;
            if told + subject.left_out.not_open == 0 {
                *self.bare.entry(risk).or_default() += 1;
            }
        }
        for (severity, n) in &subject.counting {
            *self.counting.entry(*severity).or_default() += n;
        }
        for issue in &subject.findings {
            self.count_issue(issue);
        }
        self.less_severe += subject.left_out.less_severe;
        self.no_room += subject.left_out.no_room;
        self.newest = self.newest.max(subject.newest_at);
        self.count_actions(subject);
    }

    fn count_issue(&mut self, issue: &Issue) {
        match issue.status {
            Status::Open => {
                *self.open.entry(issue.severity).or_default() += 1;
                self.new += u64::from(issue.new);
                self.exploited += u64::from(issue.kev);
            }
            Status::Accepted => self.accepted += 1,
            Status::FalsePositive => self.false_positives += 1,
            Status::Fixed => self.fixed += 1,
        }
        if issue.status == Status::FalsePositive {
            return;
        }
        if let Some(first) = issue.first_seen_at {
            self.history.entry(first.date_naive()).or_default().0 += 1;
            if let (Status::Fixed, Some(fixed)) = (issue.status, issue.fixed_at) {
                let fixed = fixed.max(first).date_naive();
                self.history.entry(fixed).or_default().1 += 1;
            }
        }
    }

    fn count_actions(&mut self, subject: &Subject) {
        for step in &subject.remediation_priorities {
            if step.action.is_empty() {
                continue;
            }
            let open = |key: &&Text| {
                let issue = subject.issue(key);
                issue.is_none_or(|issue| issue.status == Status::Open)
            };
            let findings = step.findings.iter().filter(open).count() as u64;
            if findings == 0 && !step.findings.is_empty() {
                // All of it is done, or need not be.
                continue;
            }
            let text = Text::cut(step.action.raw(), ACTION_LONGEST);
            let known = self.actions.entry(text.raw().trim().to_lowercase());
            let action = known.or_insert_with(|| Action {
                action: text,
                effort: step.effort.clone(),
                priority: 0.0,
                targets: 0,
                findings: 0,
                target: subject.target.clone(),
            });
            action.priority = action.priority.max(step.priority.unwrap_or(0.0));
            action.targets += 1;
            action.findings += findings;
            if subject.target < action.target {
                action.target = subject.target.clone();
            }
        }
        if self.actions.len() > 2 * ACTIONS_MOST {
            let known = std::mem::take(&mut self.actions);
            let mut known: Vec<_> = known.into_iter().collect();
            known.sort_by(|(_, a), (_, b)| a.order(b));
            self.actions.extend(known.into_iter().take(ACTIONS_MOST));
        }
    }

    /// How many open findings that count are as severe as this or more, whatever the report leaves out; an assessment
    /// that names no finding counts as one by its risk.
    pub fn at_least(&self, level: RiskLevel) -> u64 {
        let of = |counts: &Counts| counts.range(level..).map(|(_, n)| n).sum::<u64>();
        of(&self.counting) + of(&self.bare)
    }

    /// Targets.
    pub fn targets(&self) -> u64 {
        self.targets
    }

    /// Those that were assessed.
    pub fn assessed(&self) -> u64 {
        self.assessed
    }

    /// Open findings that are told, by severity.
    pub(super) fn open(&self) -> &Counts {
        &self.open
    }

    /// All open findings that are told.
    pub(super) fn open_told(&self) -> u64 {
        self.open.values().sum()
    }

    /// Targets by risk.
    pub(super) fn risks(&self) -> &Counts {
        &self.risks
    }

    /// Findings that are told and not fixed: the results of SARIF.
    pub fn results(&self) -> u64 {
        self.open_told() + self.accepted + self.false_positives
    }

    /// Accepted ones, false ones, and those that are fixed.
    pub(super) fn not_open(&self) -> (u64, u64, u64) {
        (self.accepted, self.false_positives, self.fixed)
    }

    /// Open ones that were not there when the assessment before was made.
    pub(super) fn fresh(&self) -> u64 {
        self.new
    }

    /// Open ones that are exploited in the wild.
    pub(super) fn exploited(&self) -> u64 {
        self.exploited
    }

    /// Findings that are left out: of too little severity, and for want of room.
    pub(super) fn left_out(&self) -> (u64, u64) {
        (self.less_severe, self.no_room)
    }

    /// When the newest of all was seen.
    pub(super) fn newest(&self) -> Option<DateTime<Utc>> {
        self.newest
    }

    /// The first things to do.
    pub(super) fn actions(&self, most: usize) -> Vec<&Action> {
        let mut all: Vec<_> = self.actions.values().collect();
        all.sort_by(|a, b| a.order(b));
        all.truncate(most);
        all
    }

    /// What was found and fixed when, by week or month, without a gap; nothing when all of it is of one day.
    pub(super) fn history(&self) -> Vec<Period> {
        let days = (
            self.history.first_key_value(),
            self.history.last_key_value(),
        );
        let (Some((first, _)), Some((last, _))) = days else {
            return Vec::new();
        };
        if first == last {
            return Vec::new();
        }
        let weeks = (*last - *first).num_days() / 7;
        let monthly = usize::try_from(weeks).unwrap_or(0) >= WEEKS_MOST;
        let begin = |day: NaiveDate| match monthly {
            true => day.with_day(1).unwrap_or(day),
            false => day
                .week(chrono::Weekday::Mon)
                .checked_first_day()
                .unwrap_or(day),
        };
        let mut sums: BTreeMap<NaiveDate, (u64, u64)> = BTreeMap::new();
        for (day, (found, fixed)) in &self.history {
            let sum = sums.entry(begin(*day)).or_default();
            sum.0 += found;
            sum.1 += fixed;
        }
        let mut begins: BTreeSet<NaiveDate> = sums.keys().copied().collect();
        let mut day = begin(*first);
        // Days of strangers may be far apart; the chart shows only the end of a long time.
        while day < *last && begins.len() < 10_000 {
            begins.insert(day);
            let next = if monthly {
                day.checked_add_months(chrono::Months::new(1))
            } else {
                day.checked_add_days(Days::new(7))
            };
            let Some(next) = next else { break };
            day = next;
        }
        let mut open = 0;
        let period = |begin| {
            let (found, fixed) = sums.get(&begin).copied().unwrap_or_default();
            open = (open + found) - fixed.min(open + found);
            Period {
                begin,
                found,
                fixed,
                open,
            }
        };
        begins.into_iter().map(period).collect()
    }
}
