//! Hubs that share a database tell one another of events, so that whoever waits at one hears at once
//! of what came in at another.
//!
//! A notification inside a submission's own transaction would make all commits of the database queue
//! for one lock (PostgreSQL, `PreCommit_Notify`); it is sent after the commit instead, one for all
//! events of a moment. If it is lost, the next event's or the end of the wait brings the news.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgListener;
use tracing::warn;
use uuid::Uuid;

use super::dialect::{Pool, failed};
use crate::hub::store::Result;
use crate::hub::store::bell::Bell;

/// The channel.
const CHANNEL: &str = "recon_events";
/// One call is for all events of so long.
const MOMENT: Duration = Duration::from_millis(20);
/// Pause before another attempt.
const RETRY: Duration = Duration::from_secs(2);

/// Starts both directions; they end when the pool is closed.
pub(super) fn start(pool: &Pool, bell: &Bell) {
    let hub = Uuid::new_v4().to_string();
    tokio::spawn(listen(pool.clone(), bell.clone(), hub.clone()));
    tokio::spawn(tell(pool.clone(), bell.clone(), hub));
}

async fn listen(pool: Pool, bell: Bell, own: String) {
    while !pool.is_closed() {
        let problem = hear(&pool, &bell, &own).await;
        if let Err(problem) = problem
            && !pool.is_closed()
        {
            warn!(%problem, "other hubs' events come late: cannot listen to the database");
            let closed = pool.close_event();
            let _ = tokio::time::timeout(RETRY, closed).await;
        }
    }
}

async fn hear(pool: &Pool, bell: &Bell, own: &str) -> Result<()> {
    let mut listener = PgListener::connect_with(pool).await.map_err(failed)?;
    listener.listen(CHANNEL).await.map_err(failed)?;
    loop {
        // Whatever was said while nobody listened.
        bell.ring_here();
        while let Some(call) = listener.try_recv().await.map_err(failed)? {
            if call.payload() != own {
                bell.ring_here();
            }
        }
    }
}

async fn tell(pool: Pool, bell: Bell, own: String) {
    loop {
        let closed = pool.close_event();
        tokio::select! {
            () = closed => return,
            () = bell.rang_here() => {}
        }
        if let Err(problem) = send(&pool, &own).await
            && !pool.is_closed()
        {
            warn!(%problem, "other hubs were not told of an event");
        }
        let closed = pool.close_event();
        let _ = tokio::time::timeout(MOMENT, closed).await;
    }
}

async fn send(pool: &Pool, own: &str) -> Result<()> {
    // A call that a crash swallows is no loss. All in one message; the name is a UUID.
    let script = format!(
        "BEGIN; SET LOCAL synchronous_commit TO off; SELECT pg_notify('{CHANNEL}', '{own}'); COMMIT"
    );
    sqlx::raw_sql(AssertSqlSafe(script))
        .execute(pool)
        .await
        .map(drop)
        .map_err(failed)
}
