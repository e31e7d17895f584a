//! What a report needs of the hub.

use std::collections::HashSet;

use anyhow::anyhow;
use chrono::{DateTime, SecondsFormat, Utc};
use ipnet::IpNet;
use serde_json::Value;
use uuid::Uuid;

use super::super::Failure;
use super::super::hub_client::HubClient;
use super::super::targets::find;
use crate::api::{Target, TargetList, WorkKind};
use crate::report::Known;

/// Rows of one page.
const PAGE: usize = 1000;

/// As many scans of a target are looked at for the last of each type.
const SCANS: usize = 8;

/// As many changes are asked for: more than a report shows, so that it knows of more.
const CHANGES: usize = 201;

/// What a report is of.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) targets: Vec<One>,
    /// Those of groups and networks, or of all, that have no assessment.
    pub(super) not_assessed: u64,
    ids: HashSet<Uuid>,
}

/// A target.
#[derive(Debug)]
pub(super) struct One {
    id: Uuid,
    target: String,
    group: Option<String>,
    address: Option<String>,
}

impl Chosen {
    fn add(&mut self, target: Target) {
        if self.ids.insert(target.id) {
            self.targets.push(One {
                id: target.id,
                target: target.target,
                group: target.group,
                address: target.ip_address.map(|address| address.to_string()),
            });
        }
    }

    /// Adds those of a list that were assessed and that are wanted.
    async fn add_list(
        &mut self,
        hub: &HubClient,
        filter: &[(&str, String)],
        wanted: impl Fn(&Target) -> bool,
    ) -> Result<bool, Failure> {
        let mut any = false;
        let mut cursor = None;
        loop {
            let mut params = filter.to_vec();
            params.push(("limit", PAGE.to_string()));
            params.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let page: TargetList = hub.get("/api/targets", &params).await?;
            any |= !page.targets.is_empty();
            for target in page.targets.into_iter().filter(&wanted) {
                if assessed(&target) {
                    self.add(target);
                } else if target.network.is_none() && !self.ids.contains(&target.id) {
                    self.not_assessed += 1;
                }
            }
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(any),
            }
        }
    }
}

/// Whether somebody has assessed it.
pub fn assessed(target: &Target) -> bool {
    let mut work = target.work.iter();
    work.any(|w| w.kind == WorkKind::RyuAssessment && w.last_done_at.is_some())
}

/// The targets that these names mean; all that have an assessment, without any.
pub(super) async fn choose(hub: &HubClient, names: &[String]) -> Result<Chosen, Failure> {
    let mut chosen = Chosen::default();
    if names.is_empty() {
        chosen.add_list(hub, &[], |_| true).await?;
    }
    for name in names {
        // An empty variable of a script means neither the first target nor all groups.
        if name.trim().is_empty() {
            return Err(super::unknown(name));
        }
        let found = find(hub, name).await?;
        if let Some(network) = network(name, found.as_ref()) {
            let inside = |target: &Target| {
                let address = target.ip_address.filter(|_| target.network.is_none());
                address.is_some_and(|address| network.contains(&address))
            };
            chosen.add_list(hub, &[], inside).await?;
        } else if let Some(target) = found {
            chosen.add(target);
        } else {
            let group = [("group", name.clone())];
            if !chosen.add_list(hub, &group, |_| true).await? {
                return Err(super::unknown(name));
            }
        }
    }
    Ok(chosen)
}

/// The network that is meant: that of a target, or one that is no target itself.
fn network(name: &str, found: Option<&Target>) -> Option<IpNet> {
    match found {
        Some(target) => target
            .cidr
            .as_ref()
            .filter(|_| target.network.is_some())?
            .parse()
            .ok(),
        None => name.parse().ok(),
    }
}

/// What is known of a target; at length, its ports and changes, too.
pub(super) async fn known(hub: &HubClient, one: One, at_length: bool) -> Result<Known, Failure> {
    let record = |limit: usize| vec![("record", one.id.to_string()), ("limit", limit.to_string())];
    let (assessments, _) = page(hub, "assessments", &record(2)).await?;
    let findings = all(hub, "findings", &record(PAGE)).await?;
    let mut known = Known {
        id: one.id,
        target: one.target,
        group: one.group,
        address: one.address,
        assessments,
        findings,
        ..Known::default()
    };
    if at_length {
        let scans = [("target", one.id.to_string()), ("limit", SCANS.to_string())];
        known.scans = page(hub, "scans", &scans).await?.0;
        let before = known.assessments.get(1).map(|a| &a["created_at"]);
        let before: Option<DateTime<Utc>> = before
            .and_then(Value::as_str)
            .and_then(|time| time.parse().ok());
        if let Some(before) = before {
            let since = before.to_rfc3339_opts(SecondsFormat::Micros, true);
            let mut params = record(CHANGES);
            params.push(("since", since));
            known.changes = page(hub, "changes", &params).await?.0;
        }
    }
    Ok(known)
}

/// All entries of a list.
async fn all(
    hub: &HubClient,
    name: &str,
    filter: &[(&str, String)],
) -> Result<Vec<Value>, Failure> {
    let mut entries = Vec::new();
    let mut params = filter.to_vec();
    loop {
        let (more, cursor) = page(hub, name, &params).await?;
        entries.extend(more);
        let Some(cursor) = cursor else {
            return Ok(entries);
        };
        params = filter.to_vec();
        params.push(("cursor", cursor));
    }
}

/// A page of a list, and where the next one begins.
async fn page(
    hub: &HubClient,
    name: &str,
    params: &[(&str, String)],
) -> Result<(Vec<Value>, Option<String>), Failure> {
    let mut answer: Value = hub.get(&format!("/api/{name}"), params).await?;
    let cursor = answer["next_cursor"].as_str().map(str::to_owned);
    match answer[name].take() {
        Value::Array(entries) => Ok((entries, cursor)),
        _ => Err(Failure::from(anyhow!(
            "the hub's answer has no list {name:?}"
        ))),
    }
}
