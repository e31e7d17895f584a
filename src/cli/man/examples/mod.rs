//! Examples for the manual pages: for each verb, command lines and what they do. A test parses them.

mod fleet;
mod hub;

/// Examples of one verb.
pub type Examples = &'static [(&'static str, &'static str)];

/// The examples of a verb (`config set`); of none, for reconctl(1) itself.
pub fn of(verb: &str) -> Examples {
    all()
        .find(|(name, _)| *name == verb)
        .map_or(&[], |(_, examples)| *examples)
}

fn all() -> impl Iterator<Item = &'static (&'static str, Examples)> {
    fleet::ALL.iter().chain(hub::ALL)
}
