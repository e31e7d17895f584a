use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::ScanOptions;
use super::limits::{FdBudget, Groups};

/// The hard caps on connection attempts (or packets) a second, of each host and in all. One of these
/// is shared by all that sends in a scan: the sweep, whichever engine makes it, and the service
/// probes.
///
/// Generic cell rate algorithms (ITU-T I.371), one a host and one for all. Leave is given up to
/// [`AHEAD`] before its time and credit is kept for [`SLACK`], so that leave is given for at most
/// `kept × (T + 8 ms) + 1` attempts in a stretch of time T. `kept` is less than the cap ([`interval`]), by
/// as many attempts as may have leave and not have left: a thread that the system stops with leave in its
/// hand sends in a later second than was meant, and in that, too, there are no more than the cap.
#[derive(Debug)]
pub(crate) struct Rates {
    epoch: Instant,
    /// Nanoseconds between attempts at one host; 0 = no cap.
    host_interval: u64,
    /// The same in all.
    total_interval: u64,
    /// When the next attempt may be made, nanoseconds after `epoch`.
    total: AtomicU64,
    /// The same for each group of hosts; none without a cap.
    hosts: Box<[AtomicU64]>,
    groups: Groups,
    /// Service probes that may run at the same time.
    seats: Semaphore,
}

/// How much of missed time may be made up for, nanoseconds.
pub(in crate::engines) const SLACK: u64 = 4_000_000;

/// How long before its time leave is given, nanoseconds. Who has it sleeps until then by a precise
/// clock; who has it not need not be woken for each single attempt.
pub(in crate::engines) const AHEAD: u64 = 4_000_000;

/// Service probes at the same time, where file descriptors allow it; each needs two at most.
const MOST_SEATS: usize = 256;

/// Whether an attempt may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Now.
    Now,
    /// At this time, very soon; it need not be asked for again.
    At(Instant),
    /// Nothing may be sent to this host; to be asked again then.
    HostLater(Instant),
    /// Nothing may be sent at all; to be asked again then.
    AllLater(Instant),
}

impl Rates {
    /// The caps of a scan of so many targets.
    pub(crate) fn new(options: &ScanOptions, targets: u64) -> Self {
        let groups = Groups::of(targets);
        let host_interval = interval(options.max_rate);
        let buckets = if host_interval == 0 { 0 } else { groups.len() };
        Self {
            epoch: Instant::now(),
            host_interval,
            total_interval: interval(options.max_rate_total),
            total: AtomicU64::new(0),
            hosts: (0..buckets).map(|_| AtomicU64::new(0)).collect(),
            groups,
            seats: Semaphore::new((FdBudget::of_process().limit() / 2).clamp(1, MOST_SEATS)),
        }
    }

    /// The caps as they are for one host, by its number among the targets.
    pub(crate) fn of(self: &Arc<Self>, host: u64) -> RateLimiter {
        RateLimiter {
            rates: Arc::clone(self),
            host,
        }
    }

    /// Whether `cost` packets may go to a host.
    pub(crate) fn leave(&self, host: u64, cost: u32, now: Instant) -> Leave {
        self.leave_until(host, cost, now, AHEAD)
    }

    /// Whether a packet may go to a host at once: for who sends to others meanwhile, and would keep them
    /// waiting for this one.
    pub(crate) fn leave_at_once(&self, host: u64, now: Instant) -> Leave {
        self.leave_until(host, 1, now, 0)
    }

    /// Leave for a host is given so long before its time.
    fn leave_until(&self, host: u64, cost: u32, now: Instant, early: u64) -> Leave {
        if self.host_interval == 0 && self.total_interval == 0 {
            return Leave::Now;
        }
        let clock = nanos(now.saturating_duration_since(self.epoch));
        let ahead = clock + AHEAD;
        let all = self.total.load(Ordering::Relaxed);
        if self.total_interval > 0 && all > ahead {
            return Leave::AllLater(self.time(all - AHEAD));
        }
        let mut at = 0;
        if let Some(bucket) = self.hosts.get(self.groups.index(host)) {
            match reserve(
                bucket,
                self.host_interval * u64::from(cost),
                clock,
                clock + early,
            ) {
                Ok(start) => at = start,
                Err(next) => return Leave::HostLater(self.time(next - early)),
            }
        }
        if self.total_interval > 0 {
            // What others took since the look above only moves the time a little.
            let cost = self.total_interval * u64::from(cost);
            if let Ok(start) = reserve(&self.total, cost, clock, u64::MAX) {
                at = at.max(start);
            }
        }
        match at <= clock {
            true => Leave::Now,
            false => Leave::At(self.time(at)),
        }
    }

    fn time(&self, clock: u64) -> Instant {
        self.epoch + Duration::from_nanos(clock)
    }
}

/// Takes the next free time of a bucket, unless that is after `latest`: then says when it is.
pub(in crate::engines) fn reserve(
    bucket: &AtomicU64,
    interval: u64,
    now: u64,
    latest: u64,
) -> Result<u64, u64> {
    let mut next = bucket.load(Ordering::Relaxed);
    loop {
        let start = next.max(now.saturating_sub(SLACK));
        if start > latest {
            return Err(start);
        }
        let after = start + interval;
        match bucket.compare_exchange_weak(next, after, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return Ok(start),
            Err(seen) => next = seen,
        }
    }
}

/// Nanoseconds between attempts: 1.3 % less often than the cap would have it, and at low rates four
/// attempts a second less, or a quarter.
pub(in crate::engines) fn interval(rate: u32) -> u64 {
    let thousandths = u64::from(rate) * 1000;
    let less = (thousandths / 4).min(4000).max(thousandths / 77);
    match rate {
        0 => 0,
        _ => 1_000_000_000_000_u64.div_ceil(thousandths - less),
    }
}

pub(in crate::engines) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}

/// The caps as they are for one host.
#[derive(Debug, Clone)]
pub(crate) struct RateLimiter {
    rates: Arc<Rates>,
    host: u64,
}

impl RateLimiter {
    /// Whether there is any cap.
    pub(crate) fn is_capped(&self) -> bool {
        self.rates.host_interval.max(self.rates.total_interval) > 0
    }

    /// Waits for leave for one attempt.
    pub(crate) async fn take(&self) {
        loop {
            match self.rates.leave(self.host, 1, Instant::now()) {
                Leave::Now => return,
                Leave::At(at) => return tokio::time::sleep_until(at.into()).await,
                Leave::HostLater(at) | Leave::AllLater(at) => {
                    tokio::time::sleep_until(at.into()).await;
                }
            }
        }
    }

    /// Keeps so long a silence as so many attempts would take. On both sides of a burst of at most half
    /// a second's attempts, by somebody who asks for no leave, it keeps the caps.
    pub(crate) async fn silence(&self, attempts: u32) {
        let start = loop {
            let now = Instant::now();
            match self.rates.leave(self.host, attempts, now) {
                Leave::Now => break now,
                Leave::At(at) => break at,
                Leave::HostLater(at) | Leave::AllLater(at) => {
                    tokio::time::sleep_until(at.into()).await;
                }
            }
        };
        let interval = self.rates.host_interval.max(self.rates.total_interval);
        let span = Duration::from_nanos(interval * u64::from(attempts));
        tokio::time::sleep_until((start + span).into()).await;
    }

    /// Waits until one more port may be probed for its service. Always `Some`: nobody closes the
    /// semaphore.
    pub(crate) async fn seat(&self) -> Option<SemaphorePermit<'_>> {
        self.rates.seats.acquire().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rates(host: u32, total: u32, targets: u64) -> Rates {
        let options = ScanOptions {
            max_rate: host,
            max_rate_total: total,
            ..ScanOptions::default()
        };
        Rates::new(&options, targets)
    }

    /// Asks at these times, as often as leave is given; returns when the attempts are made: at the
    /// time of leave, or later, when the next question comes after that.
    fn grants(rates: &Rates, host: u64, at: &[u64]) -> Vec<u64> {
        let mut grants = Vec::new();
        for clock in at {
            for _ in 0..250 {
                match rates.leave(host, 1, rates.time(*clock)) {
                    Leave::Now => grants.push(*clock),
                    Leave::At(time) => grants.push(nanos(time - rates.epoch)),
                    _ => break,
                }
            }
        }
        grants.sort_unstable();
        grants
    }

    fn keeps(grants: &[u64], rate: u32) -> Result<(), TestCaseError> {
        for (index, first) in grants.iter().enumerate().step_by(7) {
            for (further, last) in grants.iter().enumerate().skip(index).step_by(13) {
                let stretch = (last - first + SLACK + AHEAD) as f64 / 1e9;
                let most = 1e9 / interval(rate) as f64 * stretch + 1.000_1;
                prop_assert!((further - index + 1) as f64 <= most);
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn never_more_than_the_cap(
            rate in 1_u32..20_000,
            steps in prop::collection::vec(0_u64..30_000_000, 1..20),
        ) {
            let times: Vec<u64> = steps
                .iter()
                .scan(0, |sum, step| { *sum += step; Some(*sum) })
                .collect();
            keeps(&grants(&rates(rate, 0, 1), 0, &times), rate)?;
            keeps(&grants(&rates(0, rate, 1), 0, &times), rate)?;
        }
    }

    #[test]
    fn comes_near_the_cap_and_not_above() {
        for rates in [rates(5000, 0, 1), rates(0, 5000, 1)] {
            let times: Vec<u64> = (0..1000).map(|ms| ms * 1_000_000).collect();
            let granted = grants(&rates, 0, &times)
                .into_iter()
                .filter(|at| *at < 1_000_000_000)
                .count();
            assert!((4930..=4970).contains(&granted), "{granted}");
        }
    }

    #[test]
    fn both_caps_hold() {
        let rates = rates(100, 150, 2);
        let times: Vec<u64> = (0..1000).map(|ms| ms * 1_000_000).collect();
        let mut sent = [0; 2];
        for clock in times {
            for host in [0, 1] {
                let leave = rates.leave(host, 1, rates.time(clock));
                sent[usize::from(host == 1)] +=
                    u32::from(matches!(leave, Leave::Now | Leave::At(_)));
            }
        }
        assert!(sent.iter().all(|n| *n <= 100), "{sent:?}");
        assert!((144..=148).contains(&(sent[0] + sent[1])), "{sent:?}");
    }

    #[test]
    fn nobody_sleeps_for_one_host_of_several() {
        let rates = rates(100, 0, 2);
        let start = rates.time(0);
        let next = rates.time(interval(100));
        let soon = next - Duration::from_millis(1);
        assert_eq!(rates.leave_at_once(0, start), Leave::Now);
        // For `leave` this is time enough before.
        assert_eq!(rates.leave_at_once(0, soon), Leave::HostLater(next));
        assert_eq!(rates.leave_at_once(1, soon), Leave::Now);
        assert_eq!(rates.leave_at_once(0, next), Leave::Now);
    }

    #[test]
    fn a_host_that_waits_does_not_hold_the_others() {
        let rates = rates(1, 0, 2);
        let now = rates.time(0);
        assert_eq!(rates.leave(0, 1, now), Leave::Now);
        assert!(matches!(rates.leave(0, 1, now), Leave::HostLater(_)));
        assert_eq!(rates.leave(1, 1, now), Leave::Now);
    }

    #[tokio::test]
    async fn a_silence_is_as_long_as_the_attempts_would_take() {
        let limiter = Arc::new(rates(1000, 100, 1)).of(0);
        limiter.take().await;
        let start = Instant::now();
        limiter.silence(10).await;
        let least = Duration::from_millis(100);
        assert!(start.elapsed() >= least, "the lower of both caps counts");
        let free = Arc::new(rates(0, 0, 1)).of(0);
        free.silence(u32::MAX).await;
    }

    #[test]
    fn stays_below_the_cap_by_what_may_be_late() {
        let kept = |rate| (1e9 / interval(rate) as f64).round() as u32;
        assert_eq!([4, 100, 300].map(kept), [3, 96, 296]);
        assert_eq!([1000, 10_000].map(kept), [987, 9870]);
        assert_eq!(interval(1), 1_333_333_334);
        assert!(interval(u32::MAX) <= 1);
    }

    #[test]
    fn no_cap() {
        let rates = rates(0, 0, 1);
        let now = Instant::now();
        assert!((0..100_000).all(|_| rates.leave(0, 1, now) == Leave::Now));
    }
}
