/// What to tell systemd after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The first good answer: it is ready.
    Ready,
    /// It is well.
    Well {
        /// It was not, the last time.
        again: bool,
    },
    /// It has never been well so far.
    Starting,
    /// It is not well, for so many answers in a row.
    Unwell(u32),
    /// It has not been well for too long.
    Lost,
}

/// Counts answers.
#[derive(Debug)]
pub struct Judge {
    limit: u32,
    ready: bool,
    failed: u32,
}

impl Judge {
    /// A judge to whom so many failures in a row are too many.
    pub fn new(limit: u32) -> Self {
        Self {
            limit,
            ready: false,
            failed: 0,
        }
    }

    /// Whether it has ever been well.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// What an answer means.
    pub fn hear(&mut self, well: bool) -> Verdict {
        if well {
            let again = self.failed > 0;
            self.failed = 0;
            return match std::mem::replace(&mut self.ready, true) {
                true => Verdict::Well { again },
                false => Verdict::Ready,
            };
        }
        if !self.ready {
            return Verdict::Starting;
        }
        self.failed = self.failed.saturating_add(1);
        if self.failed < self.limit {
            Verdict::Unwell(self.failed)
        } else {
            Verdict::Lost
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_count_from_the_first_good_answer_and_only_in_a_row() {
        let mut judge = Judge::new(2);
        let mut hear = |well| judge.hear(well);
        for _ in 0..5 {
            assert_eq!(hear(false), Verdict::Starting);
        }
        assert_eq!(hear(true), Verdict::Ready);
        assert_eq!(hear(true), Verdict::Well { again: false });
        assert_eq!(hear(false), Verdict::Unwell(1));
        assert_eq!(hear(true), Verdict::Well { again: true });
        assert_eq!(hear(false), Verdict::Unwell(1));
        assert_eq!(hear(false), Verdict::Lost);
        assert_eq!(hear(false), Verdict::Lost);
        assert_eq!(hear(true), Verdict::Well { again: true });
    }

    #[test]
    fn one_failure_may_be_enough() {
        let mut judge = Judge::new(1);
        assert_eq!(judge.hear(true), Verdict::Ready);
        assert_eq!(judge.hear(false), Verdict::Lost);
    }
}
