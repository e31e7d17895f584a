//! Candidates that are asked for one after the other over one connection: most of them are not there, and
//! to find that out must cost next to nothing.

use std::time::{Duration, Instant};

use http::Method;

use super::candidate::Candidate;
use super::features::Seen;
use super::judge::{Judge, Trouble, Verdict};
use super::place::Known;
use super::run::Run;
use crate::engines::web::{FetchError, Lane};

/// A batch is over after this, so that the caller's wishes and trouble elsewhere are heard of soon.
const STRETCH: Duration = Duration::from_millis(10);

/// Candidates in a batch at most. With more the cost of handing them out is not less any more.
const MOST: u32 = 16;

/// What became of a batch.
pub(super) struct Asked {
    pub candidates: Vec<Candidate>,
    /// So many of them, the first ones, are not there.
    pub missing: usize,
    /// What became of the one after these; the others were not asked for.
    pub verdict: Option<Verdict>,
    pub took: Duration,
}

/// How many candidates make a batch.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    /// What one candidate takes, on the average of late.
    each: Option<Duration>,
}

impl Size {
    /// As many as one connection gets done in a stretch. A server that is slow for each gets one at a time,
    /// so that the last ones go over all connections.
    pub fn get(self) -> usize {
        let each = match self.each {
            None => return 1,
            Some(each) => each.as_nanos().max(1),
        };
        let count = STRETCH.as_nanos() / each;
        u32::try_from(count).map_or(MOST, |count| count.clamp(1, MOST)) as usize
    }

    /// Learns from a batch.
    pub fn learn(&mut self, asked: &Asked) {
        let count = asked.missing + usize::from(asked.verdict.is_some());
        let each = asked.took / u32::try_from(count.max(1)).unwrap_or(MOST);
        self.each = Some(match self.each {
            None => each,
            Some(before) => (before * 7 + each) / 8,
        });
    }
}

impl Judge<'_> {
    /// Asks for candidates until one of them is something else than missing, or the time is over.
    pub async fn judge_all(&self, candidates: Vec<Candidate>) -> Asked {
        let began = Instant::now();
        let mut lane = None;
        let mut missing = 0;
        let mut verdict = None;
        for candidate in &candidates {
            match self.judge_over(&mut lane, candidate).await {
                Verdict::Missing => missing += 1,
                other => {
                    verdict = Some(other);
                    break;
                }
            }
            if began.elapsed() >= STRETCH {
                break;
            }
        }
        Asked {
            candidates,
            missing,
            verdict,
            took: began.elapsed(),
        }
    }

    async fn judge_over(&self, lane: &mut Option<Lane>, candidate: &Candidate) -> Verdict {
        if lane.is_none() {
            *lane = match self.sender.lane().await {
                Ok(lane) => lane,
                Err(error) => return Verdict::Failed(error),
            };
        }
        if let Some(lane) = lane
            && let Some(verdict) = self.glance(lane, candidate).await
        {
            return verdict;
        }
        // Its seat is needed for what comes now: all of them could be in the hands of who waits for one.
        *lane = None;
        self.judge(candidate).await
    }

    /// What one request can tell; none: it has to be looked at closely, from the beginning.
    async fn glance(&self, lane: &mut Lane, candidate: &Candidate) -> Option<Verdict> {
        let method = match self.head {
            true => Method::HEAD,
            false => Method::GET,
        };
        let answer = match self.sender.over(lane, &method, &candidate.path).await {
            Ok(None) => return Some(Verdict::Missing),
            Ok(Some(answer)) => answer,
            // A connection that was kept open may break.
            Err(FetchError::Closed(..)) => return None,
            Err(error) => return Some(Verdict::Failed(error)),
        };
        if self.head {
            return None;
        }
        let seen = Seen::new(&answer, &candidate.path[candidate.below..]);
        if candidate.base.known(&seen) == Known::Missing {
            return Some(Verdict::Missing);
        }
        // Not once more, of all things.
        (answer.status == 429).then(|| Verdict::Strained(Trouble::of(&answer)))
    }
}

impl Run<'_> {
    /// Candidates for a batch, at least one if there is one to be asked for now.
    pub(super) fn batch(&mut self, first: Candidate) -> Vec<Candidate> {
        // While the server complained there is time between requests, and batches have none.
        let size = match self.interval.is_zero() && self.sender.has_lanes() {
            true => self.size.get(),
            false => 1,
        };
        let mut candidates = Vec::with_capacity(size);
        candidates.push(first);
        while candidates.len() < size
            && let Some(candidate) = self.queue.next_candidate()
        {
            candidates.push(candidate);
        }
        candidates
    }

    /// Takes note of what became of a batch.
    pub(super) fn asked(&mut self, asked: Asked) {
        self.size.learn(&asked);
        let mut candidates = asked.candidates.into_iter();
        for candidate in candidates.by_ref().take(asked.missing) {
            self.judged(candidate, Verdict::Missing);
        }
        if let Some(verdict) = asked.verdict
            && let Some(candidate) = candidates.next()
        {
            self.judged(candidate, verdict);
        }
        // They come next, in their order.
        candidates
            .rev()
            .for_each(|candidate| self.queue.again(candidate));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(took: Duration, missing: usize) -> usize {
        let mut size = Size::default();
        assert_eq!(size.get(), 1);
        size.learn(&Asked {
            candidates: Vec::new(),
            missing,
            verdict: None,
            took,
        });
        size.get()
    }

    #[test]
    fn batch_is_what_a_connection_gets_done_in_a_stretch() {
        assert_eq!(after(Duration::from_millis(100), 1), 1);
        assert_eq!(after(Duration::from_millis(20), 10), 5);
        assert_eq!(after(Duration::from_micros(500), 10), 16);
        assert_eq!(after(Duration::ZERO, 0), 16);
    }
}
