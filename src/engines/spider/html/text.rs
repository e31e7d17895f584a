use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

/// What a page says, as numbers; the same in all versions of recon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextHash {
    /// Of all words, links and fields in their order, without what changes at each visit.
    pub exact: u64,
    /// A simhash (Charikar): few bits differ between pages of which few words do.
    pub similar: u64,
    /// Words that went into it.
    pub words: u32,
}

/// Words that a page's hash is made of; there are never more in what a person reads.
const MOST_WORDS: u32 = 200_000;

/// Hashes text without its volatile parts: tokens, times, counters of milliseconds.
#[derive(Debug)]
pub struct TextHasher {
    exact: SipHasher13,
    /// Of how many words each bit is set, the last 255 of them apart in bytes: eight to a number, so that
    /// a word costs eight additions and not 64.
    set: [u32; 64],
    recent: [u64; 8],
    recent_words: u8,
    words: u32,
}

/// Each bit of a byte in a byte of its own.
const SPREAD: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            table[byte] |= ((byte as u64 >> bit) & 1) << (bit * 8);
            bit += 1;
        }
        byte += 1;
    }
    table
};

impl Default for TextHasher {
    fn default() -> Self {
        Self {
            exact: SipHasher13::new(),
            set: [0; 64],
            recent: [0; 8],
            recent_words: 0,
            words: 0,
        }
    }
}

impl TextHasher {
    /// Adds text that is seen; how it is spaced does not count.
    pub fn text(&mut self, text: &str) {
        for word in text.split_ascii_whitespace() {
            if self.words >= MOST_WORDS {
                return;
            }
            if !is_volatile(word) {
                self.word(word);
            }
        }
    }

    /// Adds what counts for the page but is not read: where a link leads.
    pub fn mark(&mut self, mark: &str) {
        self.exact.write(mark.as_bytes());
        self.exact.write_u8(0xff);
    }

    fn word(&mut self, word: &str) {
        self.words += 1;
        self.exact.write(word.as_bytes());
        self.exact.write_u8(b' ');
        let hash = mix(word.as_bytes());
        for (lanes, byte) in self.recent.iter_mut().zip(hash.to_le_bytes()) {
            *lanes += SPREAD[usize::from(byte)];
        }
        self.recent_words += 1;
        if self.recent_words == u8::MAX {
            self.set = self.counts();
            self.recent = [0; 8];
            self.recent_words = 0;
        }
    }

    fn counts(&self) -> [u32; 64] {
        let mut counts = self.set;
        let recent = self.recent.iter().flat_map(|lanes| lanes.to_le_bytes());
        for (count, recent) in counts.iter_mut().zip(recent) {
            *count += u32::from(recent);
        }
        counts
    }

    /// The hash of all of it.
    pub fn finish(&self) -> TextHash {
        let counts = self.counts();
        let bits = counts.iter().enumerate();
        TextHash {
            exact: self.exact.finish(),
            similar: bits.fold(0, |all, (bit, count)| {
                all | u64::from(*count * 2 > self.words) << bit
            }),
            words: self.words,
        }
    }
}

/// A hash of a word for the simhash: FNV-1a over eight bytes at a time, then the finisher of
/// SplitMix64, as each bit of it must count.
fn mix(word: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for chunk in word.chunks(8) {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        hash = (hash ^ u64::from_le_bytes(bytes)).wrapping_mul(0x0100_0000_01b3);
        hash ^= hash >> 29;
    }
    hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

/// Whether a word is another one at each visit: a token, a time of day, a time since 1970.
fn is_volatile(word: &str) -> bool {
    let bytes = word.as_bytes();
    if bytes.len() < 8 {
        // `12:34:56` has eight; `12:34` may be an opening hour.
        return false;
    }
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return false;
    }
    let epoch = digits == bytes.len() && matches!(digits, 10 | 13) && bytes[0] == b'1';
    let clock = bytes.iter().filter(|byte| **byte == b':').count() >= 2 && digits >= 5;
    let token = bytes.len() >= 16
        && digits >= 2
        && bytes
            .iter()
            .filter(|byte| byte.is_ascii_alphabetic())
            .count()
            >= 2
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_+=/".contains(byte))
        && !word.contains('/');
    epoch || clock || token
}
