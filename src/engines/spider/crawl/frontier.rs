use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;

use super::super::url::{SeenSet, Shape, TrapGuard, key};

/// A URL to ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The URL.
    pub url: String,
    /// Links between a start page and it.
    pub depth: u32,
    /// Redirects that led to it, one after the other.
    pub hops: u8,
    /// Times that it was asked for without an answer that counts.
    pub tries: u8,
    /// It belongs to the pages: a script, a style; its own links lead no deeper.
    pub part: bool,
}

/// Where a crawl can go on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// What tells the options apart; another crawl's checkpoint is of no use.
    pub crawl: u64,
    /// Pages read.
    pub pages: u64,
    /// Keys of the URLs that were met.
    pub seen: Vec<u64>,
    /// URLs that were not asked for yet.
    pub waiting: Vec<Item>,
}

/// Which URL is next: those whose shape was asked for least, of those the nearest, of those the first
/// that was met. So a small budget sees something of everything, and a large one all, breadth first.
#[derive(Debug, Default)]
pub struct Frontier {
    waiting: BTreeMap<Rank, Item>,
    seen: SeenSet,
    /// Bytes that what waits takes.
    bytes: usize,
    met: u64,
    /// URLs that were dropped, as too many waited.
    pub dropped: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    class: u8,
    depth: u32,
    number: u64,
}

/// Bytes that what waits takes at most: some 400,000 URLs of common length.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// What one that waits takes besides its URL: itself, and its part of a tree whose nodes are two thirds
/// full, and of the keys of what was met.
const EACH: usize = (size_of::<Rank>() + size_of::<Item>()) * 3 / 2 + 2 * size_of::<u64>();

fn cost(item: &Item) -> usize {
    item.url.len() + EACH
}

/// What comes after everything else: what is to be tried again.
const LAST: u8 = u8::MAX;

impl Frontier {
    /// A URL was met; says whether it is news.
    pub fn add(&mut self, url: &Url, item: Item, guard: &TrapGuard) -> bool {
        let key = key(url);
        if self.seen.contains(key) {
            return false;
        }
        // It is not kept as met, either: the keys would be without end, and it may come again when there
        // is room.
        if self.bytes + cost(&item) > MOST_BYTES {
            self.dropped += 1;
            return false;
        }
        self.seen.insert(key);
        let class = class(guard.asked(Shape::of(url)));
        self.put(class, item);
        true
    }

    /// To be asked for after all; it has waited already.
    pub fn back(&mut self, item: Item) {
        self.put(0, item);
    }

    /// To be asked for once more, after all others.
    pub fn again(&mut self, item: Item) {
        self.put(LAST, item);
    }

    fn put(&mut self, class: u8, item: Item) {
        self.bytes += cost(&item);
        self.met += 1;
        let rank = Rank {
            class,
            depth: item.depth,
            number: self.met,
        };
        self.waiting.insert(rank, item);
    }

    /// The next one.
    pub fn next(&mut self, guard: &TrapGuard) -> Option<(Url, Item)> {
        loop {
            let (rank, item) = self.waiting.pop_first()?;
            // What was put in was a URL.
            let Ok(url) = Url::parse(&item.url) else {
                continue;
            };
            let class = class(guard.asked(Shape::of(&url)));
            if rank.class == LAST || class <= rank.class {
                self.bytes -= cost(&item);
                return Some((url, item));
            }
            // Others of its shape were asked for since it was met.
            self.waiting.insert(Rank { class, ..rank }, item);
        }
    }

    /// URLs that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a URL was met.
    pub fn has_met(&self, url: &Url) -> bool {
        self.seen.contains(key(url))
    }

    /// Where to go on; `under_way` was asked for and not answered.
    pub fn checkpoint<'a>(&'a self, under_way: impl Iterator<Item = &'a Item>) -> Checkpoint {
        Checkpoint {
            crawl: 0,
            pages: 0,
            seen: self.seen.iter().collect(),
            waiting: under_way.chain(self.waiting.values()).cloned().collect(),
        }
    }

    /// From there.
    pub fn restore(checkpoint: &Checkpoint) -> Self {
        let mut frontier = Self::default();
        for key in &checkpoint.seen {
            frontier.seen.insert(*key);
        }
        for item in &checkpoint.waiting {
            frontier.put(0, item.clone());
        }
        frontier
    }
}

/// Shapes that were asked for as often are equal: 0, 1-3, 4-15, 16-63 times and so on.
fn class(asked: u32) -> u8 {
    // At most 32.
    #[allow(clippy::cast_possible_truncation)]
    let bits = (u32::BITS - asked.leading_zeros()) as u8;
    bits.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::super::super::url::TrapLimits;
    use super::*;

    /// However many links a site has, what waits and what was met stay within bounds.
    #[test]
    fn what_waits_has_an_end() {
        let guard = TrapGuard::new(TrapLimits::in_year(2026));
        let mut frontier = Frontier::default();
        let mut number = 0;
        let item = |url: &Url| Item {
            url: url.to_string(),
            depth: 1,
            hops: 0,
            tries: 0,
            part: false,
        };
        while frontier.dropped < 1000 {
            number += 1;
            let url = Url::parse(&format!("http://a.test/{number}")).unwrap();
            frontier.add(&url, item(&url), &guard);
        }
        assert!(frontier.bytes <= MOST_BYTES && frontier.len() <= 700_000);
        assert_eq!(frontier.seen.len(), frontier.len());
        // There is room again, and what was dropped may come.
        let last = Url::parse(&format!("http://a.test/{number}")).unwrap();
        assert!(frontier.next(&guard).is_some());
        assert!(!frontier.has_met(&last) && frontier.add(&last, item(&last), &guard));
    }
}
