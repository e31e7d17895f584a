//! The ways in, as data: packaging/assess/chains.toml says what must have been found for each of their steps.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::api::RiskLevel;

const DATA: &str = include_str!("../../../../packaging/assess/chains.toml");

/// A way in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// Its name, which does not change.
    pub id: String,
    /// In words.
    pub title: String,
    /// How bad it is where the address is public; one level less where it is known not to be.
    pub severity: RiskLevel,
    /// Where its findings must be.
    pub scope: Scope,
    /// As many findings must it rest on.
    pub least: usize,
    /// Step by step.
    pub steps: Vec<Step>,
}

/// Where findings must be.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// In the same place.
    Place,
    /// Anywhere on the record.
    Record,
}

/// A step of a way in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Technique of ATT&CK.
    pub technique: String,
    /// Its name.
    pub name: String,
    /// What somebody would do.
    pub does: String,
    /// What must have been found: any of these.
    pub any_of: Vec<Need>,
}

/// What must have been found.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub enum Need {
    /// A finding of this rule.
    Rule(String),
    /// A finding of a rule whose id begins so.
    Rules(String),
    /// A finding of this category.
    Category(String),
    /// A page that administers something.
    Panel,
    /// A vulnerability that is exploited in the wild, to be used from afar.
    Exploited,
    /// A known vulnerability, high or worse, to be used from afar.
    RemoteCve,
    /// A known vulnerability, high or worse, to be used on the host.
    LocalCve,
    /// A place to log in.
    Login,
}

impl TryFrom<String> for Need {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Ok(match text.split_once(':') {
            Some(("rule", id)) => Self::Rule(id.to_owned()),
            Some(("rules", start)) => Self::Rules(start.to_owned()),
            Some(("category", name)) => Self::Category(name.to_owned()),
            _ => match text.as_str() {
                "panel" => Self::Panel,
                "exploited" => Self::Exploited,
                "remote-cve" => Self::RemoteCve,
                "local-cve" => Self::LocalCve,
                "login" => Self::Login,
                _ => return Err(format!("{text:?} is nothing that can be found")),
            },
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    chain: Vec<Chain>,
}

fn load() -> Result<Vec<Chain>, toml::de::Error> {
    Ok(toml::from_str::<File>(DATA)?.chain)
}

/// All of them; a test makes sure that the file reads.
pub static CHAINS: LazyLock<Vec<Chain>> = LazyLock::new(|| load().unwrap_or_default());

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn the_file_reads() {
        let all = load().unwrap();
        assert!(all.len() >= 15);
        let ids: BTreeSet<&String> = all.iter().map(|chain| &chain.id).collect();
        assert_eq!(ids.len(), all.len());
        let mut names: BTreeMap<&String, &String> = BTreeMap::new();
        for step in all.iter().flat_map(|chain| &chain.steps) {
            let number = step.technique.strip_prefix('T').unwrap();
            assert!(number.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
            let name = names.entry(&step.technique).or_insert(&step.name);
            assert_eq!(*name, &step.name);
        }
    }
}
