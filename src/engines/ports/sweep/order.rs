/// A random order of `0..len` that needs no list: a Feistel network over the next even power of
/// two, walked until it falls into the range ("cycle walking", Black and Rogaway 2002). Any
/// secret-keyed bijection will do here; this one is not meant to withstand cryptanalysis.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    len: u32,
    half_bits: u32,
    keys: [u32; 4],
}

impl Order {
    /// The order of `len` things that belongs to these keys.
    pub fn new(len: u32, keys: [u32; 4]) -> Self {
        let bits = u32::BITS - len.max(2).leading_zeros();
        Self {
            len,
            half_bits: bits.div_ceil(2),
            keys,
        }
    }

    /// The thing at this place; `None` past the end.
    pub fn nth(&self, index: u32) -> Option<u32> {
        if index >= self.len {
            return None;
        }
        let mut value = self.mix(index);
        while value >= self.len {
            value = self.mix(value);
        }
        Some(value)
    }

    fn mix(&self, value: u32) -> u32 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        for key in self.keys {
            let hash = (right ^ key).wrapping_mul(0x9E37_79B1);
            (left, right) = (right, left ^ ((hash ^ (hash >> 15)) & mask));
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
        fn every_place_once(len in 0_u32..70_000, keys in any::<[u32; 4]>()) {
            let order = Order::new(len, keys);
            let mut seen = vec![false; len as usize];
            for index in 0..len {
                let value = order.nth(index).unwrap();
                prop_assert!(!std::mem::replace(&mut seen[value as usize], true));
            }
            prop_assert_eq!(order.nth(len), None);
        }
    }

    #[test]
    fn the_order_depends_on_the_keys() {
        let list = |keys| {
            (0..1000)
                .map(|i| Order::new(1000, keys).nth(i))
                .collect::<Vec<_>>()
        };
        assert_ne!(list([1, 2, 3, 4]), list([5, 6, 7, 8]));
    }
}
