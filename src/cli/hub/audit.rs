use super::super::hub_client::HubClient;
use super::super::table::table;
use super::super::targets::{json_line, time};
use super::super::{Failure, Global, Outcome, output};
use crate::api::{AuditEntry, AuditList, ExitCode};

pub async fn run(global: &Global, hub: &HubClient, limit: usize) -> Outcome {
    let audit = fetch(hub, limit).await?;
    if global.json {
        output::json(&AuditList {
            audit,
            next_cursor: None,
        })?;
    } else if global.jsonl {
        audit.iter().try_for_each(json_line)?;
    } else {
        let rows = audit.iter().map(row).collect();
        let head = ["TIME", "WHO", "FROM", "ACTION", "OBJECT"];
        output::text(&table(global, &head, rows))?;
    }
    Ok(ExitCode::Ok)
}

async fn fetch(hub: &HubClient, limit: usize) -> Result<Vec<AuditEntry>, Failure> {
    let (mut all, mut cursor) = (Vec::new(), None);
    while all.len() < limit {
        let mut params = vec![("limit", (limit - all.len()).min(1000).to_string())];
        params.extend(cursor.take().map(|c| ("cursor", c)));
        let page: AuditList = hub.get("/api/audit", &params).await?;
        all.extend(page.audit);
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    Ok(all)
}

fn row(entry: &AuditEntry) -> Vec<String> {
    vec![
        time(entry.time),
        entry.who.clone(),
        entry.peer.clone(),
        entry.action.clone(),
        entry.object.clone(),
    ]
}
