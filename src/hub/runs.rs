//! Scans whose agents went away are not shown as if they went on.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::state::Hub;

/// Between two looks. Their leases end later than that anyway.
const EVERY: Duration = Duration::from_secs(10);

/// Looks for them until the hub stops.
pub(super) async fn run(hub: Arc<Hub>) {
    loop {
        tokio::select! {
            () = hub.stopping.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        match hub.store.interrupt_runs(hub.clock.now()).await {
            Ok(0) => {}
            Ok(count) => info!(
                count,
                "scans were interrupted: their agents lost their leases"
            ),
            Err(problem) => warn!(%problem, "interrupted scans are not marked"),
        }
    }
}
