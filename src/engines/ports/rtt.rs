use std::time::Duration;

/// Retransmission timeout by RFC 6298 §2 from the round-trip times of one host. It fits a word, so
/// that the workers can share it without a lock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RttEstimator {
    /// Microseconds; 0 = no measurement.
    smoothed: u32,
    /// Microseconds.
    variation: u32,
}

/// Shorter waits save nothing (thousands of ports wait at the same time) and would take a busy host
/// for a silent one.
pub const MIN_TIMEOUT: Duration = Duration::from_millis(100);

/// The timeout until there is a measurement. RFC 6298 §2 (2.1) says one second; that is when the
/// kernel sends its SYN again (`TCP_TIMEOUT_INIT`), which is ours to decide.
pub const FIRST_TIMEOUT: Duration = Duration::from_millis(950);

impl RttEstimator {
    /// As stored.
    pub fn from_bits(bits: u64) -> Self {
        // Each half is what it was made from.
        #[allow(clippy::cast_possible_truncation)]
        let (smoothed, variation) = (bits as u32, (bits >> 32) as u32);
        Self {
            smoothed,
            variation,
        }
    }

    /// To store.
    pub fn to_bits(self) -> u64 {
        u64::from(self.smoothed) | u64::from(self.variation) << 32
    }

    /// With one more measured round trip.
    #[must_use]
    pub fn sample(self, rtt: Duration) -> Self {
        let rtt = u32::try_from(rtt.as_micros())
            .unwrap_or(u32::MAX / 8)
            .max(1);
        match self.smoothed {
            0 => Self {
                smoothed: rtt,
                variation: rtt / 2,
            },
            smoothed => Self {
                smoothed: mean(smoothed, 7, rtt),
                variation: mean(self.variation, 3, smoothed.abs_diff(rtt)),
            },
        }
    }

    /// How long to wait for an answer, without any floor; `None` before the first measurement.
    pub fn timeout(self) -> Option<Duration> {
        self.smoothed()
            .map(|smoothed| smoothed + Duration::from_micros(u64::from(self.variation)) * 4)
    }

    /// Smoothed round-trip time, once there is a measurement.
    pub fn smoothed(self) -> Option<Duration> {
        (self.smoothed > 0).then(|| Duration::from_micros(u64::from(self.smoothed)))
    }
}

/// `old` weighs `weight` times as much as `new`.
fn mean(old: u32, weight: u64, new: u32) -> u32 {
    let mean = (u64::from(old) * weight + u64::from(new)).div_ceil(weight + 1);
    u32::try_from(mean).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn follows_the_rfc() {
        let rtt = RttEstimator::default();
        assert_eq!(rtt.timeout(), None);
        let rtt = rtt.sample(ms(200));
        assert_eq!(rtt.timeout(), Some(ms(200 + 4 * 100)));
        let rtt = rtt.sample(ms(280));
        // RTTVAR = 3/4·100 + 1/4·80 = 95; SRTT = 7/8·200 + 1/8·280 = 210.
        assert_eq!(rtt.smoothed(), Some(ms(210)));
        assert_eq!(rtt.timeout(), Some(ms(210 + 4 * 95)));
        assert_eq!(RttEstimator::from_bits(rtt.to_bits()), rtt);
    }

    #[test]
    fn a_measurement_is_never_taken_for_none() {
        let rtt = RttEstimator::default().sample(Duration::ZERO);
        assert!(rtt.sample(Duration::ZERO).smoothed().is_some());
    }
}
