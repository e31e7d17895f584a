use std::collections::HashMap;
use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use url::Url;

use super::{SeenSet, Shape};

/// Why a URL is not worth a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Trap {
    /// More segments than a person's path has.
    #[error("the path has too many segments")]
    Deep,
    /// `/a/b/a/b/a/b`: a relative link that is resolved below itself over and over.
    #[error("segments of the path repeat")]
    Repeats,
    /// The query grows with each click.
    #[error("the query grows")]
    GrowingQuery,
    /// A calendar that can be turned for ever.
    #[error("the date is far away")]
    FarDate,
    /// Pages of this shape say the same over and over.
    #[error("pages of this shape are the same")]
    SameContent,
    /// More pages of one shape than any site's.
    #[error("too many pages of this shape")]
    TooMany,
}

/// When a site is taken to be without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrapLimits {
    /// Segments of a path.
    pub segments: usize,
    /// Parameters of a query.
    pub parameters: usize,
    /// Pages of one shape that are asked for whatever they say.
    pub free: u32,
    /// Of the pages of a shape above `free`, the share in percent that must say something new.
    pub fresh_percent: u32,
    /// Pages of one shape.
    pub pages: u32,
    /// The year that it is; dates more than two years after it, or before 1990, are a calendar's.
    pub year: u32,
}

impl TrapLimits {
    /// The defaults, in this year.
    pub fn in_year(year: u32) -> Self {
        Self {
            segments: 24,
            parameters: 40,
            free: 100,
            fresh_percent: 25,
            pages: 100_000,
            year,
        }
    }
}

/// Tells a large site from one without end.
///
/// Numbers alone do not: `/page/1` to `/page/5000` are pages as good as any. What tells a trap is
/// that its pages are the same when volatile parts are left out, that its paths repeat themselves, or
/// that its dates lie where nobody made appointments. So a shape of which the first pages differ has
/// no limit but the last one, and a shape whose pages repeat is left after `free` of them.
#[derive(Debug)]
pub struct TrapGuard {
    limits: TrapLimits,
    shapes: HashMap<Shape, Counts>,
    contents: SeenSet,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    asked: u32,
    read: u32,
    fresh: u32,
}

/// Shapes that are counted; what comes above is let through, under the limits on the URL itself.
const MOST_SHAPES: usize = 100_000;

impl TrapGuard {
    /// With nothing seen.
    pub fn new(limits: TrapLimits) -> Self {
        Self {
            limits,
            shapes: HashMap::new(),
            contents: SeenSet::default(),
        }
    }

    /// What can be told from the URL alone, when a link is found.
    ///
    /// # Errors
    ///
    /// The trap that it leads into.
    pub fn check(&self, url: &Url) -> Result<(), Trap> {
        let segments: Vec<&str> = url.path().split('/').skip(1).collect();
        if segments.len() > self.limits.segments {
            return Err(Trap::Deep);
        }
        if repeats(&segments) {
            return Err(Trap::Repeats);
        }
        let query = url.query().unwrap_or_default();
        if grows(query, self.limits.parameters) {
            return Err(Trap::GrowingQuery);
        }
        if self.is_far(&segments, query) {
            return Err(Trap::FarDate);
        }
        Ok(())
    }

    /// What was learned of the shape, just before a page of it is asked for, and counts it. The lower
    /// the number, the earlier: how many pages of the shape there were.
    ///
    /// # Errors
    ///
    /// The trap that the shape turned out to be.
    pub fn ask(&mut self, shape: Shape) -> Result<u32, Trap> {
        let limits = self.limits;
        if self.shapes.len() >= MOST_SHAPES && !self.shapes.contains_key(&shape) {
            return Ok(0);
        }
        let counts = self.shapes.entry(shape).or_default();
        if counts.asked >= limits.pages {
            return Err(Trap::TooMany);
        }
        // By pages read: those under way have not had their say.
        if counts.read >= limits.free
            && u64::from(counts.fresh) * 100
                < u64::from(counts.read) * u64::from(limits.fresh_percent)
        {
            return Err(Trap::SameContent);
        }
        counts.asked += 1;
        Ok(counts.asked - 1)
    }

    /// How many pages of this shape were asked for: new shapes go first.
    pub fn asked(&self, shape: Shape) -> u32 {
        self.shapes.get(&shape).map_or(0, |counts| counts.asked)
    }

    /// What a page said, by the hash of its content without volatile parts.
    pub fn learned(&mut self, shape: Shape, content: u64) {
        let Some(counts) = self.shapes.get_mut(&shape) else {
            return;
        };
        let mut hasher = SipHasher13::new();
        hasher.write_u64(shape.0);
        hasher.write_u64(content);
        counts.read += 1;
        counts.fresh += u32::from(self.contents.insert(hasher.finish()));
    }

    /// A date of a calendar: `/2031/04/`, `/2031-04-01`, `?year=2031`, `?date=2031-04-01`.
    fn is_far(&self, segments: &[&str], query: &str) -> bool {
        let far = |year: u32| year > self.limits.year + 2 && year < 10_000 || year < 1990;
        let by_path = segments.iter().enumerate().any(|(at, segment)| {
            let dated = date_year(segment);
            // A number alone may count anything; with a month behind it it is a year.
            let with_month = || {
                let month = segments.get(at + 1).and_then(|next| number(next, 2));
                month
                    .filter(|month| (1..=12).contains(month))
                    .and_then(|_| number(segment, 4))
                    .filter(|year| *year >= 1000)
            };
            dated.or_else(with_month).is_some_and(far)
        });
        by_path
            || query.split('&').any(|part| {
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                let name = name.to_ascii_lowercase();
                let year = if name.ends_with("year") || name == "y" {
                    number(value, 4).filter(|year| *year >= 1000)
                } else {
                    date_year(value)
                };
                year.is_some_and(far)
            })
    }
}

/// The number that all of the text is, if it has no more digits than these.
fn number(text: &str, digits: usize) -> Option<u32> {
    let fits = !text.is_empty() && text.len() <= digits;
    fits.then(|| text.parse().ok()).flatten()
}

/// The year of `2031-04` and `2031-04-01`, also with `_` or `.`, if the month is one.
fn date_year(text: &str) -> Option<u32> {
    let mut parts = text.splitn(3, ['-', '_', '.']);
    let year = number(parts.next()?, 4).filter(|year| *year >= 1000)?;
    let month = parts.next().filter(|month| month.len() == 2)?;
    let day = parts.next().map_or(Some(1), |day| number(day.get(..2)?, 2));
    let sound = number(month, 2).is_some_and(|month| (1..=12).contains(&month))
        && day.is_some_and(|day| (1..=31).contains(&day));
    sound.then_some(year)
}

/// Whether a run of segments comes three times in a row, four times if it is numbers, or one segment
/// five times anywhere.
fn repeats(segments: &[&str]) -> bool {
    for period in 1..=segments.len() / 3 {
        let mut run = 0;
        for at in period..segments.len() {
            let same = segments[at] == segments[at - period] && !segments[at].is_empty();
            run = if same { run + 1 } else { 0 };
            let block = &segments[at + 1 - period..=at];
            let numbers = block
                .iter()
                .all(|segment| segment.bytes().all(|byte| byte.is_ascii_digit()));
            let times = if numbers { 3 } else { 2 };
            if run >= period * times {
                return true;
            }
        }
    }
    segments.iter().any(|segment| {
        let wordy = segment.bytes().any(|byte| byte.is_ascii_alphabetic());
        wordy && segments.iter().filter(|other| *other == segment).count() >= 5
    })
}

/// Whether parameters were added over and over: many of them, one name four times (lists say `[]`), or
/// a URL in a URL in a URL.
fn grows(query: &str, most: usize) -> bool {
    let names: Vec<&str> = query
        .split('&')
        .map(|part| part.split_once('=').map_or(part, |(name, _)| name))
        .collect();
    if names.len() > most {
        return true;
    }
    let repeated = names.iter().any(|name| {
        let list = name.ends_with("[]") || name.ends_with("%5B%5D") || name.is_empty();
        !list && names.iter().filter(|other| *other == name).count() >= 6
    });
    // `next=/login?next=%2Flogin%3Fnext%3D…`: encoded once more at each turn.
    repeated || query.contains("%2525") || query.matches("%3F").count() >= 4
}
