//! What several parts of the page show in the same way.

use maud::{Markup, html};

use crate::api::RiskLevel;
use crate::report::Text;
pub(super) use crate::report::prose::figure;
use crate::report::text::web_address;

/// A level in its colour; the word says it as well.
pub(super) fn level(level: RiskLevel) -> Markup {
    html! { span class={ "sev " (level.as_str()) } { (level.as_str()) } }
}

/// The risk of a target.
pub(super) fn risk(risk: Option<RiskLevel>) -> Markup {
    match risk {
        Some(risk) => level(risk),
        None => html! { span.soft { "not assessed" } },
    }
}

/// References: those of the web lead there, and their address is what is shown.
pub(super) fn references(all: &[Text]) -> Markup {
    html! {
        ul { @for reference in all {
            li {
                @match web_address(reference) {
                    Some(address) => {
                        a href=(address) rel="noopener noreferrer" { (Text::new(&address)) }
                    }
                    None => (reference),
                }
            }
        } }
    }
}
