//! Charts as SVG. Each says in words what it shows, too.

use maud::{Markup, html};

use super::super::amount;
use super::super::facts::Counts;
use super::super::totals::Period;
use super::capital;
use crate::api::RiskLevel;

/// Size of the bar charts, in units of their own.
const WIDTH: u64 = 420;
const ROW: u64 = 30;
/// Where bars begin, and how long the longest is.
const BAR_X: u64 = 76;
const BAR_LONGEST: u64 = 270;

/// Size of the history.
const HISTORY_WIDTH: u64 = 900;
const HISTORY_HEIGHT: u64 = 230;
/// The ground of its columns, and how high the highest is.
const GROUND: u64 = 190;
const HIGHEST: u64 = 150;
/// Where they begin.
const HISTORY_X: u64 = 44;

/// As many periods are shown, the last ones.
const PERIODS_MOST: usize = 53;

/// A bar for each level.
pub(super) fn bars(id: &str, title: &str, one: &str, many: &str, counts: &Counts) -> Markup {
    let of = |level: RiskLevel| counts.get(&level).copied().unwrap_or(0);
    let most = counts.values().copied().max().unwrap_or(0).max(1);
    let levels: Vec<_> = RiskLevel::ALL.into_iter().rev().collect();
    let words: Vec<_> = levels
        .iter()
        .map(|level| format!("{}: {}", level, amount(of(*level), one, many)))
        .collect();
    let height = ROW * levels.len() as u64;
    html! {
        figure {
            figcaption id={ (id) "-name" } { (title) }
            svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (WIDTH) " " (height) } role="img"
                aria-labelledby={ (id) "-title " (id) "-desc" } {
                title id={ (id) "-title" } { (title) }
                desc id={ (id) "-desc" } { (words.join(", ")) }
                @for (at, level) in levels.iter().enumerate() {
                    @let top = ROW * at as u64;
                    @let length = scaled(of(*level), most, BAR_LONGEST);
                    text x="0" y=(top + 20) { (capital(*level)) }
                    rect class={ "s-" (level.as_str()) } x=(BAR_X) y=(top + 5) width=(length) height="20" rx="3" {}
                    text x=(BAR_X + length + 8) y=(top + 20) { (crate::runtime::text::grouped(of(*level))) }
                }
            }
        }
    }
}

/// What was found and what was fixed, and what was open then.
pub(super) fn history(periods: &[Period]) -> Markup {
    let shown = &periods[periods.len().saturating_sub(PERIODS_MOST)..];
    html! {
        @if shown.len() > 1 {
            figure.wide {
                figcaption { "Findings found and fixed" }
                (columns(shown))
                details {
                    summary { "The numbers" }
                    table {
                        thead { tr {
                            th scope="col" { "From" }
                            th.n scope="col" { "Found" }
                            th.n scope="col" { "Fixed" }
                            th.n scope="col" { "Not fixed at the end" }
                        } }
                        tbody { @for period in shown { tr {
                            th scope="row" { (period.begin) }
                            td.n { (period.found) }
                            td.n { (period.fixed) }
                            td.n { (period.open) }
                        } } }
                    }
                }
            }
        }
    }
}

fn columns(shown: &[Period]) -> Markup {
    let numbers = shown.iter().flat_map(|p| [p.found, p.fixed, p.open]);
    let most = numbers.max().unwrap_or(0).max(1);
    let step = (HISTORY_WIDTH - HISTORY_X) / shown.len() as u64;
    let wide = (step * 2 / 5).clamp(2, 40);
    let left = |at: usize| HISTORY_X + step * at as u64;
    let line: Vec<_> = shown
        .iter()
        .enumerate()
        .map(|(at, p)| {
            format!(
                "{},{}",
                left(at) + wide,
                GROUND - scaled(p.open, most, HIGHEST)
            )
        })
        .collect();
    let found: u64 = shown.iter().map(|p| p.found).sum();
    let fixed: u64 = shown.iter().map(|p| p.fixed).sum();
    // Not more dates than there is room for.
    let each = (shown.len() * 80)
        .div_ceil((HISTORY_WIDTH - HISTORY_X) as usize)
        .max(1);
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (HISTORY_WIDTH) " " (HISTORY_HEIGHT) } role="img"
            aria-labelledby="history-title history-desc" {
            title id="history-title" { "Findings found and fixed" }
            desc id="history-desc" { (found) " found and " (fixed) " fixed; the numbers are in the table." }
            rect.found x=(HISTORY_X) y="4" width="12" height="12" {}
            text x=(HISTORY_X + 18) y="15" { "found" }
            rect.fixed x=(HISTORY_X + 80) y="4" width="12" height="12" {}
            text x=(HISTORY_X + 98) y="15" { "fixed" }
            line.open x1=(HISTORY_X + 156) y1="10" x2=(HISTORY_X + 172) y2="10" {}
            text x=(HISTORY_X + 178) y="15" { "not fixed yet" }
            line.axis x1=(HISTORY_X) y1=(GROUND) x2=(HISTORY_WIDTH) y2=(GROUND) {}
            line.axis x1=(HISTORY_X) y1=(GROUND - HIGHEST) x2=(HISTORY_WIDTH) y2=(GROUND - HIGHEST) {}
            text x=(HISTORY_X - 6) y=(GROUND - HIGHEST + 5) text-anchor="end" { (most) }
            text x=(HISTORY_X - 6) y=(GROUND) text-anchor="end" { "0" }
            @for (at, period) in shown.iter().enumerate() {
                @let high = scaled(period.found, most, HIGHEST);
                rect.found x=(left(at)) y=(GROUND - high) width=(wide) height=(high) {}
                @let high = scaled(period.fixed, most, HIGHEST);
                rect.fixed x=(left(at) + wide) y=(GROUND - high) width=(wide) height=(high) {}
                @if at.is_multiple_of(each) {
                    text x=(left(at)) y=(GROUND + 20) { (period.begin) }
                }
            }
            polyline.open points=(line.join(" ")) {}
        }
    }
}

/// How long a number is drawn; what is not nothing is to be seen.
fn scaled(n: u64, most: u64, longest: u64) -> u64 {
    let length = u128::from(n) * u128::from(longest) / u128::from(most.max(1));
    let length = u64::try_from(length).unwrap_or(longest);
    if n > 0 { length.max(2) } else { 0 }
}
