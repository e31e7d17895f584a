//! A report for programs: one document, whose `schema_version` says how to read it.

use std::io;

use serde_json::json;

use super::facts::{Counts, Subject};
use super::{Head, SCHEMA_VERSION, Shown};
use crate::api::RiskLevel;
use crate::runtime::text::safe_json;

/// The end of the document.
pub(super) const AFTER: &str = "\n]}\n";

/// All that goes before the targets.
pub(super) fn before(head: &Head<'_>) -> io::Result<String> {
    let totals = head.totals;
    let (accepted, false_positives, fixed) = totals.not_open();
    let (less_severe, no_room) = totals.left_out();
    let history: Vec<_> = (totals.history().iter())
        .map(|p| json!({ "from": p.begin, "found": p.found, "fixed": p.fixed, "open": p.open }))
        .collect();
    let head = json!({
        "schema_version": SCHEMA_VERSION,
        "tool": { "name": "recon", "version": env!("CARGO_PKG_VERSION") },
        "generated_at": head.time,
        "asked": head.settings.asked,
        "filter": {
            "min_severity": head.settings.min_severity,
            "status": match head.settings.shown { Shown::Open => "open", Shown::All => "all" },
        },
        "summary": {
            "targets": totals.targets(),
            "assessed": totals.assessed(),
            "not_assessed_left_out": head.settings.not_assessed,
            "risk": levels(totals.risks()),
            "findings": {
                "open": levels(totals.open()),
                "new": totals.fresh(),
                "exploited": totals.exploited(),
                "accepted": accepted,
                "false_positive": false_positives,
                "fixed": fixed,
                "less_severe_left_out": less_severe,
                "no_room_left_out": no_room,
            },
            "history": history,
        },
    });
    let mut text = safe_json(serde_json::to_string(&head)?);
    text.pop();
    text.push_str(",\"targets\":[\n");
    Ok(text)
}

/// One target, on a line.
pub(super) fn target(subject: &Subject) -> io::Result<String> {
    Ok(safe_json(serde_json::to_string(subject)?))
}

/// Every level, so that no reader must ask whether it is there.
fn levels(counts: &Counts) -> serde_json::Value {
    let of = |level: RiskLevel| counts.get(&level).copied().unwrap_or(0);
    let all = RiskLevel::ALL.into_iter();
    all.map(|level| (level.as_str().to_owned(), json!(of(level))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
