/// A random order of `0..len` that needs no list, and that can be asked both ways: a Feistel network
/// over the next even power of two, walked until it falls into the range ("cycle walking", Black
/// and Rogaway 2002). Any keyed bijection will do here; this one is not meant to withstand
/// cryptanalysis.
#[derive(Debug, Clone, Copy)]
pub struct Permutation {
    len: u64,
    half_bits: u32,
    keys: [u64; 4],
}

impl Permutation {
    /// The order of `len` things (at most 2^62) that belongs to this seed.
    pub fn new(len: u64, seed: u64) -> Self {
        let bits = u64::BITS - len.max(2).leading_zeros();
        // SplitMix64 (Steele, Lea and Flood 2014) makes the round keys.
        let mut state = seed;
        let keys = std::array::from_fn(|_| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        });
        Self {
            len,
            half_bits: bits.div_ceil(2),
            keys,
        }
    }

    /// The thing at this place; `None` past the end.
    pub fn nth(&self, place: u64) -> Option<u64> {
        if place >= self.len {
            return None;
        }
        let mut value = self.forth(place);
        while value >= self.len {
            value = self.forth(value);
        }
        Some(value)
    }

    /// The place of this thing; `None` when it is none of them.
    pub fn place(&self, thing: u64) -> Option<u64> {
        if thing >= self.len {
            return None;
        }
        let mut value = self.back(thing);
        while value >= self.len {
            value = self.back(value);
        }
        Some(value)
    }

    fn mask(&self) -> u64 {
        (1 << self.half_bits) - 1
    }

    fn round(&self, half: u64, key: u64) -> u64 {
        let hash = (half ^ key).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (hash ^ (hash >> 32)) & self.mask()
    }

    fn forth(&self, value: u64) -> u64 {
        let (mut left, mut right) = (value >> self.half_bits, value & self.mask());
        for key in self.keys {
            (left, right) = (right, left ^ self.round(right, key));
        }
        (left << self.half_bits) | right
    }

    fn back(&self, value: u64) -> u64 {
        let (mut left, mut right) = (value >> self.half_bits, value & self.mask());
        for key in self.keys.into_iter().rev() {
            (left, right) = (right ^ self.round(left, key), left);
        }
        (left << self.half_bits) | right
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_place_once_and_back(len in 0_u64..70_000, seed: u64) {
            let order = Permutation::new(len, seed);
            let mut seen = vec![false; usize::try_from(len).unwrap()];
            for place in 0..len {
                let thing = order.nth(place).unwrap();
                prop_assert!(!std::mem::replace(&mut seen[usize::try_from(thing).unwrap()], true));
                prop_assert_eq!(order.place(thing), Some(place));
            }
            prop_assert_eq!(order.nth(len), None);
            prop_assert_eq!(order.place(len), None);
        }

        #[test]
        fn large_ones_too(len in 1_u64..1 << 62, seed: u64, place: u64) {
            let order = Permutation::new(len, seed);
            let place = place % len;
            let thing = order.nth(place).unwrap();
            prop_assert!(thing < len);
            prop_assert_eq!(order.place(thing), Some(place));
        }
    }

    #[test]
    fn the_order_depends_on_the_seed() {
        let list = |seed| {
            (0..1000)
                .map(|i| Permutation::new(1000, seed).nth(i))
                .collect::<Vec<_>>()
        };
        assert_ne!(list(1), list(2));
    }
}
