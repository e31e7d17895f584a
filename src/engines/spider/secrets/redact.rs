use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};

use super::Secret;

/// Takes the secrets of a page out of whatever else is told of it: what is a secret in a script may stand
/// in a comment, a form or the address of an endpoint as well.
#[derive(Debug)]
pub(in super::super) struct Redactor {
    values: Option<AhoCorasick>,
    shown: Vec<String>,
}

impl Redactor {
    /// Of these secrets of a text.
    pub(in super::super) fn new(text: &str, found: &[(Secret, Range<usize>)]) -> Self {
        let values = found
            .iter()
            .map(|(_, range)| &text.as_bytes()[range.clone()]);
        let values = (!found.is_empty()).then(|| {
            AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(values)
        });
        Self {
            // A few hundred short texts can always be built of.
            values: values.and_then(Result::ok),
            shown: found
                .iter()
                .map(|(secret, _)| secret.redacted.clone())
                .collect(),
        }
    }

    /// A text with each of them cut down to what is shown of it.
    pub(in super::super) fn apply(&self, text: &mut String) {
        if let Some(values) = self
            .values
            .as_ref()
            .filter(|values| values.is_match(&**text))
        {
            *text = values.replace_all(text, &self.shown);
        }
    }
}
