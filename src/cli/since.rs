use std::str::FromStr;

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeDelta, Utc};

use crate::fleet::Span;

/// The begin of what is asked for: so long ago, or a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So long ago.
    Ago(TimeDelta),
    /// At this time.
    At(DateTime<Utc>),
}

impl Since {
    /// As the hub wants it.
    pub fn parameter(self) -> String {
        let time = match self {
            Self::Ago(length) => Utc::now()
                .checked_sub_signed(length)
                .unwrap_or(DateTime::UNIX_EPOCH),
            Self::At(time) => time,
        };
        time.to_rfc3339_opts(SecondsFormat::Micros, true)
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(time) = text.parse() {
            return Ok(Self::At(time));
        }
        let day = NaiveDate::from_str(text).map(|day| day.and_time(NaiveTime::MIN));
        let local = day
            .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M"))
            .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S"))
            .ok()
            .and_then(|time| time.and_local_timezone(Local).earliest());
        if let Some(time) = local {
            return Ok(Self::At(time.to_utc()));
        }
        text.trim_start_matches('-')
            .parse::<Span>()
            .ok()
            .and_then(|span| TimeDelta::from_std(span.0).ok())
            .map(Self::Ago)
            .ok_or_else(|| {
                "must be how long ago (30m, 24h, 7d) or a time (2026-11-21, 2026-11-21 05:00, \
                 2026-11-21T05:00:00Z)"
                    .to_owned()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_lengths_of_time() {
        let of = |text: &str| text.parse::<Since>();
        assert_eq!(of("24h"), Ok(Since::Ago(TimeDelta::hours(24))));
        assert_eq!(of("-30m"), Ok(Since::Ago(TimeDelta::minutes(30))));
        let at = "2026-11-21T05:00:00Z".parse().unwrap();
        assert_eq!(of("2026-11-21T05:00:00Z"), Ok(Since::At(at)));
        assert_eq!(of("2026-11-21T06:00:00+01:00"), Ok(Since::At(at)));
        assert!(matches!(of("2026-11-21"), Ok(Since::At(_))));
        assert!(matches!(of("2026-11-21 05:00"), Ok(Since::At(_))));
        for bad in ["", "yesterday", "2026-13-01"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
