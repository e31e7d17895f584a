//! A report for a browser: one file that asks for nothing, has no scripts, and prints.
//!
//! What goes between tags is a [`Text`] or of our own making, and maud escapes both. The page may not load
//! anything either way: its policy says so.

mod charts;
mod pieces;
mod target;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::parts::Part;
use super::{Head, Text, amount, time};
use crate::api::RiskLevel;
pub(super) use target::target;

/// Things to do first that are told of all targets.
const ACTIONS_MOST: usize = 20;

/// What this page may load: its own style.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

const STYLE: &str = include_str!("style.css");

/// The end of the page.
pub(super) const AFTER: &str = "<section aria-labelledby=\"reading\">\n\
<h2 id=\"reading\">How to read this</h2>\n\
<p>The risk of a target is that of its worst open finding that is sure by 50 % at least. What to see to first is said by the priority of a \
finding, 0 to 100: the product of its factors with 10, at most 100. The factors are its base (the CVSS score \
of a known vulnerability, or what the rule says), whether it is exploited in the wild (CISA’s list), how \
likely that is within 30 days (EPSS), whether the address is public, and how sure the finding is; each is \
given with its reason.</p>\n\
<p>Findings rest on versions, settings and answers to ordinary requests. Nothing was exploited. What a service \
does not show is not in here.</p>\n\
<p>Texts that came from the network are shown as they were written; characters that would hide or turn text \
around stand as <code>\\x1b</code> or <code>\\u{202e}</code>.</p>\n\
</section>\n</main>\n<footer><p>Made by recon.</p></footer>\n</body>\n</html>\n";

/// All that goes before the targets.
pub(super) fn before(head: &Head<'_>) -> String {
    let page = html! {
        (DOCTYPE)
        (PreEscaped("<html lang=\"en\">\n"))
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta http-equiv="Content-Security-Policy" content=(POLICY);
            meta name="referrer" content="no-referrer";
            meta name="color-scheme" content="light dark";
            meta name="generator" content=(concat!("recon ", env!("CARGO_PKG_VERSION")));
            title { "Attack surface: " (asked(head)) }
            style { (PreEscaped(STYLE)) }
        }
        (PreEscaped("\n<body>\n"))
        a.skip href="#targets" { "To the targets" }
        header {
            h1 { "Attack surface: " (asked(head)) }
            p.soft {
                @if let Some(at) = head.time { "As of " (time(at)) ". " }
                (looked_at(head))
            }
        }
        (PreEscaped("\n<main>\n"))
        (summary(head))
        (first(head))
        (list(head))
    };
    page.into_string()
}

/// What the report is of.
fn asked(head: &Head<'_>) -> Text {
    const MOST: usize = 120;
    match head.settings.asked.as_slice() {
        [] => Text::new("all that was assessed"),
        names => Text::cut(&names.join(", "), MOST),
    }
}

fn looked_at(head: &Head<'_>) -> String {
    let mut text = super::prose::looked_at(head);
    text.push(' ');
    text.push_str(&super::prose::filter(head));
    text.trim().to_owned()
}

fn summary(head: &Head<'_>) -> Markup {
    let totals = head.totals;
    let (accepted, false_positives, fixed) = totals.not_open();
    let tiles = [
        ("Targets", totals.targets()),
        ("Open findings", totals.open_told()),
        ("Exploited in the wild", totals.exploited()),
        ("New", totals.fresh()),
        ("Accepted or false", accepted + false_positives),
        ("Fixed", fixed),
    ];
    html! {
        section aria-labelledby="summary" {
            h2 id="summary" { "Summary" }
            @for sentence in super::prose::summary(head) {
                p.lead { (sentence) }
            }
            dl.tiles {
                @for (name, n) in tiles {
                    div { dt { (name) } dd { (crate::runtime::text::grouped(n)) } }
                }
            }
            div.charts {
                (charts::bars("by-severity", "Open findings by severity", "finding", "findings", totals.open()))
                (charts::bars("by-risk", "Targets by risk", "target", "targets", totals.risks()))
                (charts::history(&totals.history()))
            }
        }
    }
}

fn first(head: &Head<'_>) -> Markup {
    let actions = head.totals.actions(ACTIONS_MOST);
    html! {
        @if !actions.is_empty() {
            section.keep aria-labelledby="first" {
                h2 id="first" { "What to do first" }
                table {
                    caption { "Over all targets, most useful first." }
                    thead { tr {
                        th.n scope="col" { "Priority" }
                        th scope="col" { "What to do" }
                        th scope="col" { "Work" }
                        th scope="col" { "Where" }
                    } }
                    tbody { @for action in actions { tr {
                        td.n { (priority(action.priority)) }
                        td { (action.action) }
                        td.w { (action.effort) }
                        td.wide {
                            (action.target)
                            @if action.targets > 1 { " and " (amount(action.targets - 1, "other", "others")) }
                        }
                    } } }
                }
            }
        }
    }
}

fn list(head: &Head<'_>) -> Markup {
    html! {
        section aria-labelledby="targets" {
            h2 id="targets" { "Targets" }
            @let (listed, more) = head.listed();
            @if let Some(sentence) = super::prose::at_length(head) { p { (sentence) } }
            @if listed.is_empty() {
                p { "There is none to tell of." }
            } @else {
                table {
                    caption { "The worst first. Findings are those that are open." }
                    thead { tr {
                        th scope="col" { "Risk" }
                        th scope="col" { "Target" }
                        th.n scope="col" { "Priority" }
                        @for level in RiskLevel::ALL.into_iter().rev() {
                            th.n scope="col" { (capital(level)) }
                        }
                    } }
                    tbody { @for part in listed { (row(part)) } }
                }
                @if let Some(sentence) = super::prose::unlisted(more) { p { (sentence) } }
            }
        }
    }
}

fn row(part: &Part) -> Markup {
    html! {
        tr {
            td { (pieces::risk(part.risk)) }
            th scope="row" {
                @if part.told {
                    a href={ "#t-" (part.id) } { (part.target) }
                } @else {
                    (part.target)
                }
                @if let Some(group) = &part.group { " " span.soft { (group) } }
            }
            td.n { (priority(part.score)) }
            @for level in RiskLevel::ALL.into_iter().rev() {
                td.n { (part.open.get(&level).copied().unwrap_or(0)) }
            }
        }
        "\n"
    }
}

/// A priority; 0 is that of what has none.
fn priority(score: f64) -> String {
    match score > 0.0 {
        true => pieces::figure(score),
        false => "–".to_owned(),
    }
}

/// `Critical`.
fn capital(level: RiskLevel) -> &'static str {
    match level {
        RiskLevel::Info => "Info",
        RiskLevel::Low => "Low",
        RiskLevel::Medium => "Medium",
        RiskLevel::High => "High",
        RiskLevel::Critical => "Critical",
    }
}
