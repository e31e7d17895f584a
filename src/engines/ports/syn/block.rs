use std::time::{Duration, Instant};

/// A stretch of the plan that one worker sends and sends again until it is decided: a bit for each
/// probe, nothing more.
#[derive(Debug)]
pub struct Block {
    /// Place of its first probe in the plan.
    pub start: u64,
    len: u32,
    /// Probes without an answer.
    unanswered: Bits,
    /// Those that are still to be sent in this round.
    pending: Bits,
    /// Where the search for the next one to send begins.
    cursor: u32,
    /// 0 for the first round.
    pub round: u32,
    /// When the round was sent completely; until then `None`.
    pub sent_at: Option<Instant>,
    /// How long its hosts may take to answer in this round, once that was looked at, and whether hosts like
    /// the others were left out of it ([`super::rounds`]).
    pub wait: Option<(bool, Duration)>,
    /// When every `timed`-th probe of the first round was sent, microseconds after `began`.
    samples: Box<[u32]>,
    timed: u32,
    /// Start of the first round.
    pub began: Instant,
    /// When the first probe of a later round was sent.
    again_at: Option<Instant>,
    /// Answers in later rounds, and the longest time from the start of their round.
    again: (u32, Duration),
    /// No answer takes less time than this.
    least: Duration,
}

/// Of a large block every so many-th probe is timed; the others are taken to have been sent with the
/// timed one before them, as they mostly were: in the same batch.
const SAMPLE_EVERY: u32 = 16;

/// Up to this many probes each one is timed: few may answer, and slow ones are far apart.
const SMALL: u32 = 16_384;

/// So many answers tell how long they take.
const ENOUGH: u32 = 8;

/// An answer as the block sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The first one for its probe; with the microseconds since the probe was sent, if it was timed.
    First {
        /// It came after the probe had been sent again.
        late: bool,
        /// Microseconds from probe to answer.
        rtt: Option<u32>,
    },
    /// One more for the same probe.
    Again,
}

impl Block {
    /// A block of `len` probes from this place on, of which none was sent.
    pub fn new(start: u64, len: u32, now: Instant) -> Self {
        let timed = if len <= SMALL { 1 } else { SAMPLE_EVERY };
        Self {
            start,
            len,
            timed,
            unanswered: Bits::full(len),
            pending: Bits::full(len),
            cursor: 0,
            round: 0,
            sent_at: None,
            wait: None,
            samples: vec![u32::MAX; len.div_ceil(timed) as usize].into_boxed_slice(),
            began: now,
            again_at: None,
            again: (0, Duration::ZERO),
            least: Duration::ZERO,
        }
    }

    /// The number in this block of the probe at this place of the plan.
    pub fn index(&self, place: u64) -> Option<u32> {
        let index = u32::try_from(place.checked_sub(self.start)?).ok()?;
        (index < self.len).then_some(index)
    }

    /// Probes without an answer.
    pub fn unanswered(&self) -> u32 {
        self.unanswered.count
    }

    /// The next probe to send in this round; it stays pending until it is [`Self::sent`].
    pub fn next_pending(&mut self) -> Option<u32> {
        let next = self
            .pending
            .next(self.cursor)
            .or_else(|| self.pending.next(0))?;
        self.cursor = next;
        Some(next)
    }

    /// Passes over a probe that may not be sent yet; says how many are pending in all.
    pub fn pass_over(&mut self, index: u32) -> u32 {
        self.cursor = index + 1;
        self.pending.count
    }

    /// A probe was sent.
    pub fn sent(&mut self, index: u32, now: Instant) {
        self.pending.clear(index);
        self.cursor = index + 1;
        if self.round == 0 && index.is_multiple_of(self.timed) {
            self.samples[(index / self.timed) as usize] = self.micros(now);
        }
        if self.round > 0 {
            self.again_at.get_or_insert(now);
        }
        if self.pending.count == 0 {
            self.sent_at = Some(now);
        }
    }

    /// A probe that was taken to be sent has not left: it is sent again in this round.
    pub fn put_back(&mut self, index: u32) {
        if self.unanswered.has(index) {
            self.pending.put(index);
            self.sent_at = None;
        }
    }

    /// A probe was answered, or decided in another way.
    pub fn take(&mut self, index: u32, now: Instant) -> Taken {
        if !self.unanswered.clear(index) {
            return Taken::Again;
        }
        let still_pending = self.pending.clear(index);
        if self.pending.count == 0 && self.sent_at.is_none() {
            self.sent_at = Some(now);
        }
        let rtt = if self.round == 0 {
            let sent = self.samples[(index / self.timed) as usize];
            (sent != u32::MAX).then(|| self.micros(now).saturating_sub(sent))
        } else {
            // RFC 6298 §3, Karn: which probe is answered is not known.
            None
        };
        let late = self.round > 0 && !still_pending;
        if let Some(at) = self.again_at.filter(|_| late) {
            let (answers, longest) = self.again;
            let took = now.saturating_duration_since(at);
            // What comes sooner answers an earlier probe.
            if took >= self.least {
                self.again = (answers + 1, longest.max(took));
            }
        }
        Taken::First { late, rtt }
    }

    /// Begins the next round, with those of the unanswered probes that `again` wants sent again, on a way
    /// that takes `least`. Says whether there is any.
    pub fn next_round(&mut self, least: Duration, mut again: impl FnMut(u32) -> bool) -> bool {
        self.least = least;
        let mut pending = self.unanswered.clone();
        let mut at = 0;
        while let Some(index) = pending.next(at) {
            if !again(index) {
                pending.clear(index);
            }
            at = index + 1;
        }
        if pending.count == 0 {
            return false;
        }
        self.pending = pending;
        self.cursor = 0;
        self.round += 1;
        self.sent_at = None;
        self.wait = None;
        self.again_at = None;
        true
    }

    /// How long the answers to what was sent again have taken, if there were enough of them: few packets
    /// are sent then, and the queue of the first round is gone. Which probe each of them answers is not
    /// known (RFC 6298 §3), but as long as few are late in all, most answer the last one.
    pub fn again_took(&self) -> Option<Duration> {
        let (answers, longest) = self.again;
        (answers >= ENOUGH).then_some(longest)
    }

    /// The probes without an answer.
    pub fn silent(&self) -> impl Iterator<Item = u32> + '_ {
        let mut at = 0;
        std::iter::from_fn(move || {
            let index = self.unanswered.next(at)?;
            at = index + 1;
            Some(index)
        })
    }

    fn micros(&self, now: Instant) -> u32 {
        let micros = now.saturating_duration_since(self.began).as_micros();
        u32::try_from(micros).unwrap_or(u32::MAX - 1)
    }
}

/// A set of small numbers.
#[derive(Debug, Clone)]
struct Bits {
    words: Box<[u64]>,
    count: u32,
}

impl Bits {
    fn full(len: u32) -> Self {
        let mut words = vec![u64::MAX; len.div_ceil(64) as usize].into_boxed_slice();
        if let Some(last) = words.last_mut()
            && !len.is_multiple_of(64)
        {
            *last = (1 << (len % 64)) - 1;
        }
        Self { words, count: len }
    }

    /// Takes a number out; says whether it was in.
    fn clear(&mut self, index: u32) -> bool {
        let word = &mut self.words[(index / 64) as usize];
        let bit = 1_u64 << (index % 64);
        // An early return and no `count -= u32::from(was)`: of that, rustc 1.95 with -O made code that
        // left the count as it was.
        if *word & bit == 0 {
            return false;
        }
        *word ^= bit;
        self.count -= 1;
        true
    }

    fn has(&self, index: u32) -> bool {
        self.words[(index / 64) as usize] & (1 << (index % 64)) != 0
    }

    fn put(&mut self, index: u32) {
        if !self.has(index) {
            self.words[(index / 64) as usize] |= 1 << (index % 64);
            self.count += 1;
        }
    }

    /// The least number that is in and not less than this.
    fn next(&self, from: u32) -> Option<u32> {
        let first = (from / 64) as usize;
        let mut mask = u64::MAX << (from % 64);
        for (index, word) in self.words.iter().enumerate().skip(first) {
            let rest = word & mask;
            if rest != 0 {
                // There are fewer than 2^32 bits.
                #[allow(clippy::cast_possible_truncation)]
                return Some(index as u32 * 64 + rest.trailing_zeros());
            }
            mask = u64::MAX;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn send_all(block: &mut Block, now: Instant) -> Vec<u32> {
        let mut sent = Vec::new();
        while let Some(index) = block.next_pending() {
            block.sent(index, now);
            sent.push(index);
        }
        sent
    }

    #[test]
    fn rounds_send_only_what_got_no_answer() {
        let now = Instant::now();
        let mut block = Block::new(1000, 100, now);
        assert_eq!((block.index(1000), block.index(1099)), (Some(0), Some(99)));
        assert_eq!((block.index(1100), block.index(999)), (None, None));
        assert_eq!(send_all(&mut block, now), (0..100).collect::<Vec<_>>());
        assert_eq!(block.sent_at, Some(now));
        let later = now + Duration::from_millis(3);
        assert_eq!(
            block.take(16, later),
            Taken::First {
                late: false,
                rtt: Some(3000)
            }
        );
        assert_eq!(block.take(16, later), Taken::Again);
        for index in (0..100).filter(|index| ![5, 64, 99].contains(index)) {
            block.take(index, later);
        }
        assert!(block.next_round(Duration::ZERO, |index| index != 99));
        assert_eq!(block.sent_at, None);
        // Answered before it was sent again: slow, not lost.
        assert_eq!(
            block.take(5, later),
            Taken::First {
                late: false,
                rtt: None
            }
        );
        assert_eq!(send_all(&mut block, later), [64]);
        assert_eq!(
            block.take(64, later),
            Taken::First {
                late: true,
                rtt: None
            }
        );
        assert_eq!(block.silent().collect::<Vec<_>>(), [99]);
        assert!(!block.next_round(Duration::ZERO, |_| false));
    }

    #[test]
    fn what_is_sent_again_is_timed_from_the_start_of_its_round() {
        let now = Instant::now();
        let mut block = Block::new(0, 20, now);
        send_all(&mut block, now);
        block.take(0, now + Duration::from_secs(1));
        let again = now + Duration::from_secs(2);
        assert!(block.next_round(Duration::from_millis(2), |_| true));
        // Before anything was sent again: late by itself, and no measure.
        block.take(10, again);
        send_all(&mut block, again);
        for index in 1..9 {
            block.take(index, again + Duration::from_millis(index.into()));
        }
        assert_eq!(block.again_took(), None);
        block.take(9, again + Duration::from_millis(5));
        assert_eq!(block.again_took(), Some(Duration::from_millis(8)));
    }

    #[test]
    fn what_is_passed_over_comes_again() {
        let now = Instant::now();
        let mut block = Block::new(0, 3, now);
        assert_eq!(block.next_pending(), Some(0));
        assert_eq!(block.pass_over(0), 3);
        assert_eq!(block.next_pending(), Some(1));
        block.sent(1, now);
        assert_eq!(send_all(&mut block, now), [2, 0]);
        assert!(block.sent_at.is_some());
    }

    #[test]
    fn what_has_not_left_is_sent_again() {
        let now = Instant::now();
        let mut block = Block::new(0, 3, now);
        send_all(&mut block, now);
        block.take(0, now);
        block.put_back(0);
        block.put_back(2);
        assert_eq!(block.sent_at, None);
        assert_eq!(send_all(&mut block, now), [2]);
        assert!(block.sent_at.is_some());
    }

    #[test]
    fn an_answer_to_the_last_pending_one_ends_the_round() {
        let now = Instant::now();
        let mut block = Block::new(0, 2, now);
        block.sent(0, now);
        // Somebody answers what was never sent: as in a resumed scan.
        block.take(1, now);
        assert!(block.sent_at.is_some());
    }

    proptest! {
        #[test]
        fn bits_are_a_set(len in 1_u32..400, gone in prop::collection::btree_set(0_u32..400, 0..50)) {
            let mut bits = Bits::full(len);
            for index in gone.iter().filter(|index| **index < len) {
                prop_assert!(bits.clear(*index));
                prop_assert!(!bits.clear(*index));
            }
            let mut left = Vec::new();
            let mut at = 0;
            while let Some(index) = bits.next(at) {
                left.push(index);
                at = index + 1;
            }
            let expected: Vec<u32> = (0..len).filter(|index| !gone.contains(index)).collect();
            prop_assert_eq!(u32::try_from(left.len()).unwrap(), bits.count);
            prop_assert_eq!(left, expected);
        }
    }
}
