use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// Which pages were met: 8 bytes for each, besides the table's spare room.
#[derive(Debug, Default)]
pub struct SeenSet {
    keys: HashSet<u64, BuildHasherDefault<AsItIs>>,
}

impl SeenSet {
    /// Whether this key is new; from now on it is not.
    pub fn insert(&mut self, key: u64) -> bool {
        self.keys.insert(key)
    }

    /// Whether it was met.
    pub fn contains(&self, key: u64) -> bool {
        self.keys.contains(&key)
    }

    /// How many were met.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// All of them, to be kept for a later run.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.keys.iter().copied()
    }
}

impl FromIterator<u64> for SeenSet {
    fn from_iter<I: IntoIterator<Item = u64>>(keys: I) -> Self {
        Self {
            keys: keys.into_iter().collect(),
        }
    }
}

/// The keys are hashes already.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only u64 is hashed, and that goes below; this keeps other types right, not fast.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}
