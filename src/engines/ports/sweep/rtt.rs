use std::time::Duration;

/// Retransmission timeout by RFC 6298 §2 from the round-trip times of one host.
#[derive(Debug, Clone, Copy)]
pub struct RttEstimator {
    smoothed: Option<Duration>,
    variation: Duration,
    max: Duration,
}

/// Shorter waits save nothing (thousands of ports wait at the same time) and would take a busy host
/// for a silent one.
pub const MIN_TIMEOUT: Duration = Duration::from_millis(100);

/// RFC 6298 §2 (2.1): the timeout until there is a measurement.
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);

impl RttEstimator {
    /// No measurement yet; no timeout will exceed `max`.
    pub fn new(max: Duration) -> Self {
        Self {
            smoothed: None,
            variation: Duration::ZERO,
            max,
        }
    }

    /// One more measured round trip.
    pub fn sample(&mut self, rtt: Duration) {
        match self.smoothed {
            None => {
                self.smoothed = Some(rtt);
                self.variation = rtt / 2;
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(rtt)) / 4;
                self.smoothed = Some((smoothed * 7 + rtt) / 8);
            }
        }
    }

    /// How long to wait for an answer.
    pub fn timeout(&self) -> Duration {
        let wanted = match self.smoothed {
            None => FIRST_TIMEOUT,
            Some(smoothed) => (smoothed + self.variation * 4).max(MIN_TIMEOUT),
        };
        wanted.min(self.max)
    }

    /// How long to wait for an answer to a later attempt: twice as long (RFC 6298 §5.5), but
    /// not twice the floor.
    pub fn later_timeout(&self) -> Duration {
        let wanted = match self.smoothed {
            None => FIRST_TIMEOUT * 2,
            Some(smoothed) => ((smoothed + self.variation * 4) * 2).max(MIN_TIMEOUT),
        };
        wanted.min(self.max)
    }

    /// Smoothed round-trip time, once there is a measurement.
    pub fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn follows_the_rfc() {
        let mut rtt = RttEstimator::new(ms(3000));
        assert_eq!(rtt.timeout(), ms(1000));
        rtt.sample(ms(200));
        assert_eq!(rtt.timeout(), ms(200 + 4 * 100));
        assert_eq!(rtt.later_timeout(), ms(2 * (200 + 4 * 100)));
        rtt.sample(ms(280));
        // RTTVAR = 3/4·100 + 1/4·80 = 95; SRTT = 7/8·200 + 1/8·280 = 210.
        assert_eq!(rtt.smoothed(), Some(ms(210)));
        assert_eq!(rtt.timeout(), ms(210 + 4 * 95));
    }

    #[test]
    fn stays_within_its_bounds() {
        let mut rtt = RttEstimator::new(ms(300));
        assert_eq!(rtt.timeout(), ms(300));
        rtt.sample(Duration::from_micros(20));
        assert_eq!(rtt.timeout(), MIN_TIMEOUT);
        assert_eq!(rtt.later_timeout(), MIN_TIMEOUT);
        rtt.sample(ms(5000));
        assert_eq!(rtt.timeout(), ms(300));
    }
}
