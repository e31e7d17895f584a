/// The first value of BER data (X.690): its tag, what is in it, and what comes after it. Tags of more
/// than one byte and indefinite lengths are not used by the protocols that are read here.
pub fn value(data: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = data.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            let length = bytes.iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (inner, after) = rest.split_at_checked(length)?;
    Some((*tag, inner, after))
}

/// The same, if it has that tag.
pub fn tagged(data: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, inner, after) = value(data)?;
    (tag == wanted).then_some((inner, after))
}

/// All values in a row; stops at what is not whole.
pub fn values(mut data: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, inner, after) = value(data)?;
        data = after;
        Some((tag, inner))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_both_forms() {
        assert_eq!(value(&[4, 2, 1, 2, 9]), Some((4, &[1, 2][..], &[9][..])));
        assert_eq!(value(&[4, 0x82, 0, 1, 7]), Some((4, &[7][..], &[][..])));
        assert_eq!(value(&[4, 0x84, 0xff, 0xff, 0xff, 0xff, 7]), None);
        assert_eq!(value(&[4, 0x80, 0, 0]), None);
        assert_eq!(values(&[2, 1, 1, 4, 0, 9, 9]).count(), 2);
    }
}
