//! Messages on the pipe: JSON, a NUL after each.

use memchr::memchr;

/// Bytes of a message; the longest that is waited for is a document as a JSON string. What is longer
/// (the body of a request, most likely) is thrown away as it comes.
pub(super) const LONGEST: usize = 64 * 1024 * 1024;

/// Room that is kept for the next message.
const USUAL: usize = 1024 * 1024;

/// Takes bytes as they come and gives messages.
#[derive(Debug)]
pub(super) struct Frames {
    kept: Vec<u8>,
    longest: usize,
    /// The rest of a message that is too long comes yet.
    skips: bool,
}

impl Frames {
    pub(super) fn new(longest: usize) -> Self {
        Self {
            kept: Vec::new(),
            longest,
            skips: false,
        }
    }

    /// Takes what came, and tells of each message that it ends.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut message: impl FnMut(&[u8])) {
        while let Some(end) = memchr(0, bytes) {
            let (last, rest) = (&bytes[..end], &bytes[end + 1..]);
            self.keep(last);
            if !self.skips {
                message(&self.kept);
            }
            self.skips = false;
            self.kept.clear();
            self.kept.shrink_to(USUAL);
            bytes = rest;
        }
        self.keep(bytes);
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.kept.len() + bytes.len() > self.longest {
            self.skips = true;
            self.kept.clear();
        }
        if !self.skips {
            self.kept.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(longest: usize, pieces: &[&[u8]]) -> Vec<String> {
        let (mut frames, mut all) = (Frames::new(longest), Vec::new());
        for piece in pieces {
            let mut take = |message: &[u8]| all.push(String::from_utf8(message.to_vec()).unwrap());
            frames.push(piece, &mut take);
        }
        all
    }

    #[test]
    fn messages_come_in_any_pieces() {
        assert_eq!(
            read(9, &[b"one\0two\0thr", b"ee", b"\0four"]),
            ["one", "two", "three"]
        );
        assert_eq!(read(9, &[b"\0", b"", b"a\0"]), ["", "a"]);
    }

    #[test]
    fn what_is_too_long_is_left_out_and_no_more_than_that() {
        assert_eq!(
            read(4, &[b"12345\0ab\0", b"123", b"45", b"6\0cd\0"]),
            ["ab", "cd"]
        );
        assert_eq!(read(4, &[b"1234\0"]), ["1234"]);
    }
}
