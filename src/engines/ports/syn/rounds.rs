//! The rounds of a block: when one is over, which probes are sent again, and when what is left is silent.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::engines::ports::rtt::{MIN_TIMEOUT, RttEstimator};

use super::block::Block;
use super::hosts::TOO_LATE;
use super::wire::Unreachable;
use super::worker::{LONGEST_SLEEP, Worker};

/// Rounds beyond those asked for, when answers get lost.
const LOSS_ROUNDS: u32 = 7;

/// A later round waits so many times as long as its slowest answer took.
const HURRY: u32 = 3;

impl Worker {
    /// Ends the blocks that are decided, and begins the next round of those that waited long enough.
    pub(super) fn turn_rounds(&mut self, now: Instant) {
        let mut at = 0;
        while at < self.blocks.len() {
            let done = self.blocks[at].unanswered() == 0;
            if done || (self.is_over(at, now) && !self.again(at, now)) {
                self.retire(at);
            } else {
                at += 1;
            }
        }
    }

    /// Whether the round of a block has waited long enough for answers: as long as it takes most hosts,
    /// and then as long as it takes those of which one is missing.
    fn is_over(&mut self, at: usize, now: Instant) -> bool {
        let block = &self.blocks[at];
        let (patience, typical) = self.patience(block);
        let Some(sent) = block.sent_at.filter(|at| now >= *at + patience) else {
            return false;
        };
        let key = typical.is_some();
        let known = block.wait.filter(|(hurried, _)| *hurried == key);
        let (_, wait) = known.unwrap_or_else(|| (key, self.shared.longest_wait(block, typical)));
        self.blocks[at].wait = Some((key, wait));
        now >= sent + wait
    }

    /// How long a round of a block waits for answers after its last packet, by what all hosts take; and
    /// what the typical host seemed to take, if that was more than it takes now.
    fn patience(&self, block: &Block) -> (Duration, Option<RttEstimator>) {
        let wanted = self.shared.patience(self.rtt, block.round);
        // While first rounds are sent they fill a queue, and late answers are of the round before.
        let quiet = self.blocks.iter().all(|block| block.round > 0)
            && self.shared.next_place() >= self.shared.plan.len();
        let took = block
            .again_took()
            .filter(|_| quiet && self.loss.share() < TOO_LATE);
        let hurried = took.map(|took| (took * HURRY).max(MIN_TIMEOUT));
        match hurried.filter(|hurried| *hurried < wanted) {
            Some(hurried) => (hurried, Some(self.rtt)),
            None => (wanted, None),
        }
    }

    /// Begins the next round of a block, where there is one to be made.
    fn again(&mut self, at: usize, now: Instant) -> bool {
        let shared = &self.shared;
        let block = &mut self.blocks[at];
        self.stats.timeouts += u64::from(block.unanswered());
        let (rounds, start) = (block.round + 1, block.start);
        if shared.retries == 0 || rounds > shared.retries + LOSS_ROUNDS {
            return false;
        }
        let all = self.loss;
        let elapsed = now.saturating_duration_since(shared.began);
        block.next_round(self.pace.least(), |index| {
            if rounds <= shared.retries {
                return true;
            }
            let Some(probe) = shared.plan.at(start + u64::from(index)) else {
                return false;
            };
            let host = shared.hosts.of(probe.host);
            if host.slow_down(elapsed) {
                return true;
            }
            // Where anything is lost at all, what is missing may be anybody's.
            (all.late > 0 && all.wants_more(rounds)) || host.loss().wants_more(rounds)
        })
    }

    /// What is left of a block is silent.
    fn retire(&mut self, at: usize) {
        let block = self.blocks.remove(at);
        for index in block.silent() {
            if let Some(probe) = self.shared.plan.at(block.start + u64::from(index)) {
                let host = self.shared.hosts.of(probe.host);
                match host.absent() {
                    true => host.has_no_way(Unreachable::Host),
                    false => drop(host.silent.fetch_add(1, Ordering::Relaxed)),
                }
            }
        }
        self.shared
            .decided
            .fetch_add(u64::from(block.unanswered()), Ordering::Relaxed);
        self.moved = true;
        self.publish_low();
    }

    pub(super) fn publish_low(&self) {
        let low = self
            .blocks
            .iter()
            .map(|block| block.start)
            .min()
            .unwrap_or(u64::MAX);
        self.low.store(low, Ordering::SeqCst);
    }

    /// When the next round may begin.
    pub(super) fn next_due(&self, now: Instant) -> Instant {
        let due = |block: &Block| {
            let (patience, typical) = self.patience(block);
            let known = block
                .wait
                .filter(|(hurried, _)| *hurried == typical.is_some());
            Some(block.sent_at? + known.map_or(patience, |(_, wait)| wait.max(patience)))
        };
        let next = self.blocks.iter().filter_map(due).min();
        next.unwrap_or(now + LONGEST_SLEEP).min(now + LONGEST_SLEEP)
    }
}
