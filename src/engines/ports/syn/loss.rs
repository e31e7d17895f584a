/// How much was lost on a way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loss {
    /// Answers.
    pub answered: u32,
    /// Those of them that came only to a later probe.
    pub late: u32,
}

/// As few answers as this are expected to be missed when no more is sent.
const MISSED: f64 = 0.01;

impl Loss {
    /// The share of probes that is lost, on the careful side: Laplace's rule of succession.
    pub fn share(self) -> f64 {
        (f64::from(self.late) + 1.0) / (f64::from(self.answered) + 2.0)
    }

    /// After so many rounds, whether another one may still bring an answer. Each round loses the same
    /// share, so that of the `answered` ones `answered × share^rounds` are still missing.
    pub fn wants_more(self, rounds: u32) -> bool {
        let rounds = i32::try_from(rounds).unwrap_or(i32::MAX);
        self.answered > 0 && f64::from(self.answered) * self.share().powi(rounds) > MISSED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_follow_from_the_loss() {
        let rounds = |answered, late| {
            let loss = Loss { answered, late };
            (1..).find(|rounds| !loss.wants_more(*rounds)).unwrap()
        };
        assert_eq!(rounds(0, 0), 1);
        // A host that is all closed and loses nothing: the second round is enough.
        assert_eq!(rounds(65_535, 0), 2);
        assert_eq!(rounds(20, 0), 3);
        // 5 % lost each way: 65,535 × 0.0975^7 = 0.005.
        assert_eq!(rounds(65_535, 6_390), 7);
        assert_eq!(rounds(200, 20), 5);
        // 256 hosts together need more than each by itself: 1 % lost each way.
        assert_eq!(rounds(1_000, 20), 3);
        assert_eq!(rounds(256_000, 5_120), 5);
    }
}
