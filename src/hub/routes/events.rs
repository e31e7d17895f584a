//! What happened.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use tokio::time::{Instant, sleep_until};

use super::super::error::ApiError;
use super::super::extract::Params;
use super::super::state::Hub;
use super::super::store::{EventFilter, EventPage, StoreError};
use super::{Reply, order};
use crate::api::EventList;

/// Types that one request can name.
const TYPES_MAX: usize = 50;
/// An answer comes before the request would run out of its time.
const ANSWER_BY: Duration = Duration::from_secs(28);

/// `GET /api/events`: with `wait`, an answer that would be empty waits so many seconds for an event.
pub(super) async fn list(State(hub): State<Arc<Hub>>, params: Params) -> Reply {
    order::only("created", &params)?;
    let since = params.time("since")?;
    let after = params.integer("after", 0, 0..=i64::MAX)?;
    let filter = EventFilter {
        after: match since {
            Some(time) => after.max(hub.store.last_seq_before(time).await?),
            None => after,
        },
        kinds: types(&params)?,
        limit: params.integer("limit", 100, 1..=1000)?,
    };
    let wait = Duration::from_secs(params.integer("wait", 0, 0..=30)?);
    let page = read(&hub, filter, wait.min(ANSWER_BY)).await?;
    Ok(Json(EventList {
        events: page.events,
        last_seq: page.last_seq,
        resync: page.resync,
    })
    .into_response())
}

/// `a,b`.
fn types(params: &Params) -> Result<Vec<String>, ApiError> {
    let list: Vec<_> = params
        .text("types")
        .into_iter()
        .flat_map(|text| text.split(','))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    let plain = |word: &String| word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if list.len() > TYPES_MAX || !list.iter().all(plain) {
        return Err(ApiError::bad_request(format!(
            "types must be up to {TYPES_MAX} types of events, separated by commas"
        )));
    }
    Ok(list)
}

/// The first page that is not empty, or the last one when the time is over.
async fn read(hub: &Hub, mut filter: EventFilter, wait: Duration) -> Result<EventPage, StoreError> {
    let start = Instant::now();
    let mut added = hub.store.events_added();
    loop {
        added.mark_unchanged();
        let page = hub.store.event_page(filter.clone()).await?;
        if !page.events.is_empty() || page.resync {
            return Ok(page);
        }
        filter.after = page.last_seq;
        if page.more && start.elapsed() < ANSWER_BY {
            continue;
        }
        if page.more || start.elapsed() >= wait {
            return Ok(page);
        }
        tokio::select! {
            _ = added.changed() => {}
            () = sleep_until(start + wait) => {}
            () = hub.stopping.cancelled() => return Ok(page),
        }
    }
}
