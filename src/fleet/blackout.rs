use std::net::IpAddr;

use chrono::{
    DateTime, Datelike, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat,
    TimeDelta, TimeZone, Utc, Weekday,
};
use ipnet::IpNet;

use super::fragments::Node;
use super::scope::normal_name;
use super::section::{Section, unknown};
use super::{Rule, Scope};

/// A time in which some targets, or all, are left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blackout {
    /// The days on which it begins; none means every day.
    pub days: Vec<Weekday>,
    /// When it begins.
    pub from: NaiveTime,
    /// When it ends; not later than `from` means the day after.
    pub to: NaiveTime,
    /// Whose clock that is.
    pub timezone: Timezone,
    /// Whom it spares; none means everybody.
    pub targets: Vec<Rule>,
    /// Why.
    pub reason: String,
}

/// Whose clock a time of day is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Timezone {
    /// That of the machine.
    #[default]
    Local,
    /// UTC.
    Utc,
}

impl Blackout {
    /// When it ends, if it is on at this time.
    pub fn until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.timezone {
            Timezone::Local => self.until_in(&chrono::Local, now),
            Timezone::Utc => self.until_in(&Utc, now),
        }
    }

    fn until_in<Z: TimeZone>(&self, zone: &Z, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = now.with_timezone(zone).naive_local();
        let today = local.date();
        // It began today, or yesterday and lasts over midnight.
        [Some(today), today.pred_opt()]
            .into_iter()
            .flatten()
            .filter(|day| self.days.is_empty() || self.days.contains(&day.weekday()))
            .filter_map(|day| self.on(day))
            .filter(|(begin, end)| (*begin..*end).contains(&local))
            .map(|(_, end)| at(zone, end))
            .max()
    }

    fn on(&self, day: NaiveDate) -> Option<(NaiveDateTime, NaiveDateTime)> {
        let last = if self.to > self.from {
            day
        } else {
            day.checked_add_days(Days::new(1))?
        };
        Some((day.and_time(self.from), last.and_time(self.to)))
    }

    /// Whether it spares this target: a name, its address, or both.
    pub fn covers(&self, name: Option<&str>, addresses: &[IpAddr]) -> bool {
        let name = name.map(normal_name);
        self.targets.is_empty()
            || self.targets.iter().any(|rule| match rule {
                Rule::Net(net) => addresses.iter().any(|a| net.contains(&a.to_canonical())),
                Rule::Name(_) | Rule::Below(_) => {
                    name.as_deref().is_some_and(|name| rule.covers_name(name))
                }
            })
    }

    /// The networks that it spares.
    pub fn networks(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.targets.iter().filter_map(|rule| match rule {
            Rule::Net(net) => Some(*net),
            Rule::Name(_) | Rule::Below(_) => None,
        })
    }

    /// What is said to whoever must wait.
    pub fn says(&self, until: DateTime<Utc>) -> String {
        let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
        match self.reason.as_str() {
            "" => format!("a blackout until {until}"),
            reason => format!("a blackout until {until}: {reason}"),
        }
    }
}

/// A time of day in UTC. One that the clock shows twice is the later one, and one that it leaves out
/// is as much later as the clock is put forward.
fn at<Z: TimeZone>(zone: &Z, local: NaiveDateTime) -> DateTime<Utc> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(time) | LocalResult::Ambiguous(_, time) => time.with_timezone(&Utc),
        LocalResult::None => {
            let before = local - TimeDelta::hours(3);
            let before = zone.from_local_datetime(&before).latest();
            before.map_or_else(
                || Utc.from_utc_datetime(&local),
                |time| time.with_timezone(&Utc) + TimeDelta::hours(3),
            )
        }
    }
}

impl Scope {
    /// The blackouts that are on at this time, with their ends.
    pub fn blackouts_at(
        &self,
        now: DateTime<Utc>,
    ) -> impl Iterator<Item = (&Blackout, DateTime<Utc>)> {
        self.blackouts
            .iter()
            .filter_map(move |blackout| Some((blackout, blackout.until(now)?)))
    }

    /// Until when this target is left alone, and why.
    pub fn blackout(
        &self,
        name: Option<&str>,
        addresses: &[IpAddr],
        now: DateTime<Utc>,
    ) -> Option<(DateTime<Utc>, &Blackout)> {
        self.blackouts_at(now)
            .filter(|(blackout, _)| blackout.covers(name, addresses))
            .map(|(blackout, until)| (until, blackout))
            .max_by_key(|(until, _)| *until)
    }
}

/// Reads `[[scope.blackout]]`.
pub(super) fn read(scope: &mut Section<'_>) -> Vec<Blackout> {
    let items = scope.items("blackout").unwrap_or_default();
    items
        .iter()
        .filter_map(|item| one(scope.element("blackout", item)?, item))
        .collect()
}

fn one(mut section: Section<'_>, item: &Node) -> Option<Blackout> {
    let days = days(&mut section);
    let from = time(&mut section, "from", item);
    let to = time(&mut section, "to", item);
    let timezone = timezone(&mut section);
    let targets = targets(&mut section);
    let reason = section.line("reason").unwrap_or_default().to_owned();
    if from.is_some()
        && from == to
        && let Some(node) = section.node("to")
    {
        let all_day = "must differ from \"from\"; a whole day is from \"00:00\" to \"24:00\"";
        section.error(node, "to", all_day);
    }
    section.finish();
    Some(Blackout {
        days,
        // 24:00 is 00:00 of the day after, as which it is read when it is not later than the begin.
        from: from?.0,
        to: to?.0,
        timezone,
        targets,
        reason,
    })
}

/// A time of day, and whether it was written as 24:00.
type Time = (NaiveTime, bool);

fn time(section: &mut Section<'_>, key: &'static str, item: &Node) -> Option<Time> {
    let Some(node) = section.node(key) else {
        section.error(
            item,
            key,
            "is missing: a blackout has from and to, like \"22:00\"",
        );
        return None;
    };
    let text = section.text(key)?;
    match (text, NaiveTime::parse_from_str(text, "%H:%M")) {
        ("24:00", _) if key == "to" => Some((NaiveTime::MIN, true)),
        (_, Ok(time)) => Some((time, false)),
        _ => {
            section.error(
                node,
                key,
                format!("{text:?} is not a time of day like \"22:00\""),
            );
            None
        }
    }
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Mon),
    ("tue", Weekday::Tue),
    ("wed", Weekday::Wed),
    ("thu", Weekday::Thu),
    ("fri", Weekday::Fri),
    ("sat", Weekday::Sat),
    ("sun", Weekday::Sun),
];

fn days(section: &mut Section<'_>) -> Vec<Weekday> {
    let mut days = Vec::new();
    for (node, text) in section.texts("days").unwrap_or_default() {
        match DAYS.iter().find(|(name, _)| *name == text) {
            Some((_, day)) => days.push(*day),
            None => {
                let known = DAYS.iter().map(|(name, _)| *name);
                section.error(node, "days", unknown("day", text, known));
            }
        }
    }
    days
}

fn timezone(section: &mut Section<'_>) -> Timezone {
    let node = section.node("timezone");
    match (section.text("timezone"), node) {
        (None | Some("local"), _) => Timezone::Local,
        (Some("UTC"), _) => Timezone::Utc,
        (Some(other), Some(node)) => {
            let message = format!("{other:?} is neither \"local\" nor \"UTC\"");
            section.error(node, "timezone", message);
            Timezone::Local
        }
        (Some(_), None) => Timezone::Local,
    }
}

fn targets(section: &mut Section<'_>) -> Vec<Rule> {
    let mut targets = Vec::new();
    for (node, text) in section.texts("targets").unwrap_or_default() {
        match text.parse() {
            Ok(rule) => targets.push(rule),
            Err(error) => section.error(node, "targets", format!("{error}")),
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::*;

    fn blackout(days: &[Weekday], from: &str, to: &str, targets: &[&str]) -> Blackout {
        let time = |text| NaiveTime::parse_from_str(text, "%H:%M").unwrap();
        Blackout {
            days: days.to_vec(),
            from: time(from),
            to: time(to),
            timezone: Timezone::Utc,
            targets: targets.iter().map(|t| t.parse().unwrap()).collect(),
            reason: "backups".to_owned(),
        }
    }

    fn utc(text: &str) -> DateTime<Utc> {
        format!("{text}:00Z").parse().unwrap()
    }

    #[test]
    fn over_midnight_the_day_is_that_of_the_beginning() {
        // 2026-11-20 is a Friday.
        let night = blackout(&[Weekday::Fri], "22:00", "06:00", &[]);
        for (now, until) in [
            ("2026-11-20T21:59", None),
            ("2026-11-20T22:00", Some("2026-11-21T06:00")),
            ("2026-11-21T05:59", Some("2026-11-21T06:00")),
            ("2026-11-21T06:00", None),
            ("2026-11-21T22:00", None),
            ("2026-11-20T05:00", None),
        ] {
            assert_eq!(night.until(utc(now)), until.map(utc), "{now}");
        }
    }

    #[test]
    fn a_day_can_be_whole() {
        let day = blackout(&[Weekday::Sun], "00:00", "00:00", &[]);
        assert_eq!(
            day.until(utc("2026-11-22T23:59")),
            Some(utc("2026-11-23T00:00"))
        );
        assert_eq!(day.until(utc("2026-11-23T00:00")), None);
        let noon = blackout(&[], "12:00", "13:00", &[]);
        assert_eq!(
            noon.until(utc("2026-11-23T12:30")),
            Some(utc("2026-11-23T13:00"))
        );
    }

    #[test]
    fn a_clock_that_is_ahead_begins_earlier() {
        let zone = FixedOffset::east_opt(2 * 3600).unwrap();
        let noon = blackout(&[Weekday::Mon], "00:00", "02:00", &[]);
        let now = utc("2026-11-22T23:00");
        assert_eq!(noon.until_in(&zone, now), Some(utc("2026-11-23T00:00")));
        assert_eq!(noon.until(now), None);
    }

    /// On 2026-10-25 at 01:00 UTC clocks in Europe go back; UTC knows nothing of it.
    #[test]
    fn utc_has_no_summer() {
        let night = blackout(&[], "00:30", "03:30", &[]);
        for now in ["2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:59"] {
            assert_eq!(
                night.until(utc(now)),
                Some(utc("2026-10-25T03:30")),
                "{now}"
            );
        }
        assert_eq!(night.until(utc("2026-10-25T03:30")), None);
    }

    #[test]
    fn only_some_targets_are_spared() {
        let mut scope = Scope::default();
        scope.blackouts = vec![
            blackout(&[], "22:00", "06:00", &["10.0.0.0/24", "*.example.org"]),
            blackout(&[], "23:00", "07:00", &["10.0.0.7"]),
        ];
        let until = |name, addresses: &[&str]| {
            let addresses: Vec<_> = addresses.iter().map(|a| a.parse().unwrap()).collect();
            let found = scope.blackout(name, &addresses, utc("2026-11-20T23:30"));
            found.map(|(until, _)| until)
        };
        let six = Some(utc("2026-11-21T06:00"));
        assert_eq!(until(None, &["10.0.0.1"]), six);
        assert_eq!(until(None, &["10.0.1.1"]), None);
        assert_eq!(until(Some("WWW.example.org."), &[]), six);
        assert_eq!(until(Some("example.org"), &["::ffff:10.0.0.9"]), six);
        assert_eq!(
            until(None, &["10.0.0.7"]),
            Some(utc("2026-11-21T07:00")),
            "the longest"
        );
    }

    #[test]
    fn everybody_is_spared_without_targets() {
        let all = blackout(&[], "22:00", "06:00", &[]);
        assert!(all.covers(None, &[]) && all.networks().count() == 0);
        let some = blackout(&[], "22:00", "06:00", &["10.0.0.0/8"]);
        assert!(!some.covers(Some("a.b"), &[]));
        assert_eq!(some.networks().count(), 1);
        assert_eq!(
            some.says(utc("2026-11-21T06:00")),
            "a blackout until 2026-11-21T06:00:00Z: backups"
        );
    }
}
