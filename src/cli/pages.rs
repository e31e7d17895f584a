//! Lists that the hub gives a page at a time.

use serde_json::Value;

use super::hub_client::HubClient;
use super::targets::json_line;
use super::{Failure, Global, output};

/// Rows of one page.
const PAGE: usize = 1000;

/// How many rows are wanted.
#[derive(Debug, Clone, clap::Args)]
pub struct Amount {
    /// At most so many.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// All there are.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl Amount {
    /// The number; without either option this one.
    pub fn or(&self, default: usize) -> usize {
        match self.limit {
            Some(limit) => limit,
            None if self.all => usize::MAX,
            None => default,
        }
    }
}

/// A list and how it is shown.
pub struct List<'a> {
    /// Where it is.
    pub path: &'a str,
    /// The name of the list in an answer.
    pub name: &'a str,
    /// What restricts it.
    pub filter: Vec<(&'a str, String)>,
    /// At most so many rows.
    pub limit: usize,
}

impl List<'_> {
    /// The rows as they are shown: with `--jsonl` they are printed as they come and not kept.
    ///
    /// # Errors
    /// The hub cannot be reached or refuses; standard output cannot be written.
    pub async fn fetch(self, global: &Global, hub: &HubClient) -> Result<Vec<Value>, Failure> {
        let mut rows = Vec::new();
        let mut seen = 0;
        let mut cursor: Option<String> = None;
        while seen < self.limit {
            let mut params = self.filter.clone();
            params.push(("limit", (self.limit - seen).min(PAGE).to_string()));
            params.extend(cursor.take().map(|c| ("cursor", c)));
            let mut page: Value = hub.get(self.path, &params).await?;
            let next = page["next_cursor"].as_str().or(page["next"].as_str());
            cursor = next.map(str::to_owned);
            let Value::Array(items) = page[self.name].take() else {
                let problem = anyhow::anyhow!("the hub's answer has no list {:?}", self.name);
                return Err(Failure::from(problem));
            };
            seen += items.len();
            if global.jsonl {
                items.iter().try_for_each(json_line)?;
            } else {
                rows.extend(items);
            }
            if cursor.is_none() {
                break;
            }
        }
        if cursor.is_some() {
            eprintln!("reconctl: {seen} shown, there are more; --all shows them");
        }
        Ok(rows)
    }
}

/// Prints rows as the JSON object that the hub's own answer is.
///
/// # Errors
/// Standard output cannot be written.
pub fn json(name: &str, rows: Vec<Value>) -> anyhow::Result<()> {
    output::json(&serde_json::Map::from_iter([(
        name.to_owned(),
        Value::Array(rows),
    )]))
}
