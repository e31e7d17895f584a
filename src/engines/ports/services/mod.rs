//! Service probes: what an open port carries.

use std::sync::Arc;
use std::time::Instant;

use super::rate::RateLimiter;
use super::report::ScanReport;
use super::{Observer, ScanOptions};

/// How sure a service is that is named by its port number only.
pub const BY_NUMBER: f64 = 0.3;

/// Finds out which services the open ports of a report carry.
pub(super) async fn detect(
    report: &mut ScanReport,
    _target: &str,
    _options: &ScanOptions,
    _limiter: &Arc<RateLimiter>,
    _deadline: Option<Instant>,
    observer: &dyn Observer,
) {
    let open = report.open.len() as u64;
    observer.progress(
        u64::from(report.counts.total()),
        u64::from(report.counts.total()),
        open,
    );
}
