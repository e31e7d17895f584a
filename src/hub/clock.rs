use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

/// The time. Tests can move it on, so that they need not wait for a lease to run out.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    ahead_us: Arc<AtomicI64>,
}

impl Clock {
    /// Now, to the microsecond, which is what databases keep.
    pub fn now(&self) -> DateTime<Utc> {
        let now = Utc::now().timestamp_micros() + self.ahead_us.load(Ordering::Relaxed);
        DateTime::from_timestamp_micros(now).unwrap_or_default()
    }

    /// Moves it on.
    pub fn advance(&self, by: TimeDelta) {
        let by = by.num_microseconds().unwrap_or(0);
        self.ahead_us.fetch_add(by, Ordering::Relaxed);
    }
}
