//! Tokens and the audit trail.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::contract;
use crate::api::{AuditEntry, Role, WorkKind};
use crate::hub::store::*;

fn t0() -> DateTime<Utc> {
    "2026-11-21T06:00:00Z".parse().unwrap()
}

fn later() -> DateTime<Utc> {
    t0() + TimeDelta::hours(1)
}

fn new(name: &str, secret: u8) -> NewToken {
    NewToken {
        name: name.to_owned(),
        role: Role::Agent,
        secret_sha256: [secret; 32],
        agent: Some("kaze".to_owned()),
        host: None,
        expires_at: Some(later()),
    }
}

async fn a_token_is_found_by_its_secret(store: &dyn Store) {
    let made = store.create_token(new("one", 1), None, t0()).await.unwrap();
    assert_eq!(made.name, "one");
    assert_eq!(made.role, Role::Agent);
    assert_eq!(made.agent.as_deref(), Some("kaze"));
    assert_eq!((made.created_at, made.expires_at), (t0(), Some(later())));
    let found = store.token_by_secret([1; 32]).await.unwrap();
    assert_eq!(found.as_ref(), Some(&made));
    assert_eq!(store.token_by_secret([2; 32]).await.unwrap(), None);

    let again = store
        .create_token(new("other", 1), None, later())
        .await
        .unwrap();
    assert_eq!(again, made, "the same secret is the same token");

    store.token_used(made.id, later()).await.unwrap();
    let revoked = store.revoke_token(made.id, later()).await.unwrap().unwrap();
    assert_eq!(revoked.revoked_at, Some(later()));
    assert_eq!(revoked.last_used_at, Some(later()));
    let twice = store
        .revoke_token(made.id, later() + TimeDelta::hours(1))
        .await
        .unwrap();
    assert_eq!(twice, Some(revoked.clone()));
    assert_eq!(store.token_by_secret([1; 32]).await.unwrap(), Some(revoked));
    assert_eq!(store.revoke_token(Uuid::nil(), t0()).await.unwrap(), None);
}

async fn tokens_page_from_the_newest(store: &dyn Store) {
    for secret in 0..5 {
        store
            .create_token(new(&format!("t{secret}"), secret), None, t0())
            .await
            .unwrap();
    }
    let (mut names, mut before) = (Vec::new(), None);
    loop {
        let page = store.tokens(PageQuery { limit: 2, before }).await.unwrap();
        names.extend(page.items.into_iter().map(|t| t.name));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(names, ["t4", "t3", "t2", "t1", "t0"]);
}

async fn the_audit_trail_keeps_what_was_noted(store: &dyn Store) {
    let entry = |object: &str| AuditEntry {
        id: Uuid::now_v7(),
        time: t0(),
        who: "root".to_owned(),
        role: Role::Operator,
        peer: "control socket".to_owned(),
        action: "target.delete".to_owned(),
        object: object.to_owned(),
        old: Some(json!({ "alive": true })),
        new: None,
        request_id: Uuid::now_v7(),
    };
    let (first, second) = (entry("10.0.0.1"), entry("10.0.0.2"));
    for entry in [&first, &second] {
        store.add_audit(entry.clone()).await.unwrap();
    }
    let query = |before| PageQuery { limit: 1, before };
    let page = store.audit(query(None)).await.unwrap();
    assert_eq!(page.items, [second]);
    let page = store.audit(query(page.next)).await.unwrap();
    assert_eq!(page.items, [first]);
    assert_eq!(page.next, None);
    let later = t0() + chrono::TimeDelta::seconds(1);
    for (before, n) in [(t0(), 0), (later, 2)] {
        let done = store.purge(Kept::Audit, before, None, 10).await.unwrap();
        assert_eq!(done.removed, n);
    }
    assert!(store.audit(query(None)).await.unwrap().items.is_empty());
}

async fn a_lease_has_an_owner(store: &dyn Store) {
    let record = NewRecord {
        key: "10.0.0.1".to_owned(),
        sub_domain: None,
        domainname: None,
        ip_address: Some([10, 0, 0, 1].into()),
        cidr: None,
        group: None,
        projectegg: None,
        alive: true,
    };
    let render = |_: &Created| Answer {
        status: 200,
        body: String::new(),
    };
    store
        .create_records(vec![record], None, t0(), Box::new(render))
        .await
        .unwrap();
    let claim = Claim {
        kind: WorkKind::KazePortScan,
        limit: 1,
        owner: "kaze@here".to_owned(),
        lease: Duration::from_secs(600),
        now: t0(),
    };
    let lease = store.claim(claim).await.unwrap().remove(0).lease_id;
    let owner = store.lease_owner(lease).await.unwrap();
    assert_eq!(owner.as_deref(), Some("kaze@here"));
    assert_eq!(store.lease_owner(Uuid::nil()).await.unwrap(), None);
}

contract!(
    a_token_is_found_by_its_secret,
    tokens_page_from_the_newest,
    the_audit_trail_keeps_what_was_noted,
    a_lease_has_an_owner,
);
