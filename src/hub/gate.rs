//! Scope, applied to records: at entry and again each time that one is to be handed out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::store::NewRecord;
use crate::fleet::{Refusal, Scope};

/// A name is looked up for so long at most.
const LOOKUP_TIME: Duration = Duration::from_secs(2);
/// All names of one request together.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Names looked up at once.
const LOOKUPS: usize = 16;
/// How long an answer is good for. Short: a name that leads elsewhere should be noticed.
const KEEP: Duration = Duration::from_secs(60);
/// Answers that are kept.
const KEEP_MOST: usize = 10_000;

/// What scope says of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may be touched.
    Allowed,
    /// It may not.
    Refused(Refusal),
    /// A name that no rule speaks of, and whose addresses are not known now.
    Unresolved(Refusal),
}

/// Checks records, with a short memory for names.
#[derive(Debug, Default)]
pub(super) struct Gate {
    known: Mutex<HashMap<String, (Instant, Vec<IpAddr>)>>,
}

impl Gate {
    /// Checks all of them; verdicts come in the order of the records.
    pub(super) async fn check_all(&self, scope: &Scope, records: &[&NewRecord]) -> Vec<Verdict> {
        let first: Vec<_> = records.iter().map(|r| by_rules(scope, r)).collect();
        let mut names: Vec<String> = first.iter().filter_map(|f| f.clone().err()).collect();
        names.sort_unstable();
        names.dedup();
        let known = self.addresses(names).await;
        first
            .into_iter()
            .map(|first| first.unwrap_or_else(|name| by_addresses(scope, &name, known.get(&name))))
            .collect()
    }

    /// The addresses of names, as far as they are found in time.
    pub(super) async fn addresses(&self, names: Vec<String>) -> HashMap<String, Vec<IpAddr>> {
        let deadline = Instant::now() + REQUEST_TIME;
        stream::iter(names)
            .map(|name| self.resolve(name, deadline))
            .buffer_unordered(LOOKUPS)
            .collect()
            .await
    }

    /// The addresses of a name; none when it has none or nobody answers in time.
    async fn resolve(&self, name: String, deadline: Instant) -> (String, Vec<IpAddr>) {
        if let Some(addresses) = self.remembered(&name) {
            return (name, addresses);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let lookup = async { lookup_host((name.as_str(), 0)).await.map(|a| a.collect()) };
        let found: Option<std::io::Result<Vec<_>>> =
            timeout(LOOKUP_TIME.min(left), lookup).await.ok();
        // Too slow is not an answer to be remembered.
        let Some(found) = found else {
            return (name, Vec::new());
        };
        let addresses: Vec<_> = found
            .unwrap_or_default()
            .into_iter()
            .map(|a: std::net::SocketAddr| a.ip())
            .collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEEP_MOST {
            known.clear();
        }
        known.insert(name.clone(), (Instant::now(), addresses.clone()));
        (name, addresses)
    }

    fn remembered(&self, name: &str) -> Option<Vec<IpAddr>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(name)
            .filter(|(since, _)| since.elapsed() < KEEP)
            .map(|(_, addresses)| addresses.clone())
    }
}

/// The verdict, when rules alone decide; else the name whose addresses do.
pub(super) fn by_rules(scope: &Scope, record: &NewRecord) -> Result<Verdict, String> {
    let name = record.name();
    let literal = record.target().and_then(|t| t.parse::<IpAddr>().ok());
    for address in [literal, record.ip_address].into_iter().flatten() {
        let checked = match name {
            Some(name) => scope.check_resolved(name, address),
            None => scope.check_addr(address),
        };
        if let Err(refusal) = checked {
            return Ok(Verdict::Refused(refusal));
        }
    }
    let Some(name) = name else {
        return Ok(Verdict::Allowed);
    };
    match scope.check_name(name) {
        Err(refusal) => Ok(Verdict::Refused(refusal)),
        // The agent checks the address that it then goes to.
        Ok(true) => Ok(Verdict::Allowed),
        Ok(false) => Err(name.to_owned()),
    }
}

/// The verdict on a name that no rule speaks of. All its addresses count: an old agent takes
/// whichever comes first and does not check it.
fn by_addresses(scope: &Scope, name: &str, addresses: Option<&Vec<IpAddr>>) -> Verdict {
    let Some(addresses) = addresses.filter(|a| !a.is_empty()) else {
        return Verdict::Unresolved(Refusal {
            target: name.to_owned(),
            rule: "no scope.allow entry covers the name, and it leads to no address now".to_owned(),
        });
    };
    let refusal = addresses
        .iter()
        .find_map(|address| scope.check_resolved(name, *address).err());
    refusal.map_or(Verdict::Allowed, Verdict::Refused)
}
