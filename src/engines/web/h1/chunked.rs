use memchr::memchr;

/// Longest line of a chunk's size with its extensions, and most bytes of trailers: nobody sends any of
/// them, who sends many means harm.
const LONGEST_LINE: usize = 4096;
const MOST_TRAILERS: usize = 16 * 1024;

/// Takes the chunked coding (RFC 9112 §7.1) off a body that comes in pieces.
#[derive(Debug)]
pub(super) struct Chunked {
    state: State,
    /// Bytes of the line or of the trailers so far.
    seen: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the line with the size: its value so far, and whether a digit was there.
    Size(u64, bool),
    /// After the size, until the end of the line.
    Extension(u64),
    /// As many bytes are still to come.
    Data(u64),
    /// The line end after the data.
    DataEnd,
    /// Trailers: whether the line is empty so far.
    Trailer(bool),
    Done,
}

/// How far a piece went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// All of it was taken, there must be more.
    More,
    /// The body ended after so many bytes of the piece.
    Done(usize),
    /// There is more of the body than is wanted.
    Full,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self {
            state: State::Size(0, false),
            seen: 0,
        }
    }

    /// Takes the next piece and appends what is data to `out`, which gets no longer than `most`.
    ///
    /// # Errors
    ///
    /// It is not the chunked coding; says why.
    pub(super) fn take(
        &mut self,
        piece: &[u8],
        out: &mut Vec<u8>,
        most: usize,
    ) -> Result<Progress, &'static str> {
        let mut at = 0;
        while let Some(byte) = piece.get(at).copied() {
            match self.state {
                State::Data(left) => {
                    let wanted = usize::try_from(left).unwrap_or(usize::MAX);
                    let have = wanted.min(piece.len() - at);
                    let room = most.saturating_sub(out.len());
                    out.extend_from_slice(&piece[at..at + have.min(room)]);
                    if have > room {
                        return Ok(Progress::Full);
                    }
                    at += have;
                    self.state = match left - have as u64 {
                        0 => State::DataEnd,
                        left => State::Data(left),
                    };
                }
                State::Extension(size) => {
                    let end = memchr(b'\n', &piece[at..]);
                    let length = end.map_or(piece.len() - at, |end| end + 1);
                    self.count(length, LONGEST_LINE)?;
                    at += length;
                    if end.is_some() {
                        self.line_ended(size);
                    }
                }
                State::Done => return Ok(Progress::Done(at)),
                _ => {
                    self.step(byte)?;
                    at += 1;
                }
            }
        }
        match self.state {
            State::Done => Ok(Progress::Done(at)),
            _ => Ok(Progress::More),
        }
    }

    /// One byte of what is not data.
    fn step(&mut self, byte: u8) -> Result<(), &'static str> {
        match self.state {
            State::Size(size, any) => {
                self.count(1, LONGEST_LINE)?;
                match (char::from(byte).to_digit(16), byte) {
                    (Some(digit), _) => {
                        let next = size.checked_mul(16).ok_or("a chunk's size is too large")?;
                        self.state = State::Size(next + u64::from(digit), true);
                    }
                    _ if !any => return Err("a chunk has no size"),
                    (None, b'\n') => self.line_ended(size),
                    (None, b';' | b' ' | b'\t' | b'\r') => self.state = State::Extension(size),
                    _ => return Err("a chunk's size is no number"),
                }
            }
            State::DataEnd => match byte {
                b'\r' => {}
                b'\n' => self.state = State::Size(0, false),
                _ => return Err("a chunk is longer than its size"),
            },
            State::Trailer(empty) => {
                self.count(1, MOST_TRAILERS)?;
                self.state = match byte {
                    b'\n' if empty => State::Done,
                    b'\n' => State::Trailer(true),
                    b'\r' => self.state,
                    _ => State::Trailer(false),
                };
            }
            // These are taken by the piece.
            State::Data(_) | State::Extension(_) | State::Done => {}
        }
        Ok(())
    }

    fn line_ended(&mut self, size: u64) {
        self.seen = 0;
        self.state = match size {
            0 => State::Trailer(true),
            size => State::Data(size),
        };
    }

    fn count(&mut self, bytes: usize, most: usize) -> Result<(), &'static str> {
        self.seen += bytes;
        match self.seen <= most {
            true => Ok(()),
            false => Err("chunk extensions or trailers without end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(coded: &[u8], most: usize) -> (Result<Progress, &'static str>, Vec<u8>) {
        let mut out = Vec::new();
        (Chunked::new().take(coded, &mut out, most), out)
    }

    #[test]
    fn bodies() {
        let coded = b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\nHTTP";
        let (progress, out) = whole(coded, 100);
        assert_eq!(progress, Ok(Progress::Done(coded.len() - 4)));
        assert_eq!(out, b"hello world");
        // Bare line feeds, as some servers send.
        assert_eq!(whole(b"A\n0123456789\n0\n\n", 99).0, Ok(Progress::Done(16)));
    }

    #[test]
    fn no_more_than_is_wanted() {
        let coded = b"5\r\nhello\r\n0\r\n\r\n";
        assert_eq!(whole(coded, 4), (Ok(Progress::Full), b"hell".to_vec()));
        assert_eq!(whole(coded, 5).0, Ok(Progress::Done(coded.len())));
        let endless = b"FFFFFFFFFFFFFFFF\r\nx";
        assert_eq!(whole(endless, 9), (Ok(Progress::More), b"x".to_vec()));
    }

    #[test]
    fn nonsense() {
        for coded in [
            &b"\r\n"[..],
            b"x\r\n",
            b"5z\r\n",
            b"-1\r\n",
            b"10000000000000000\r\n",
            b"1\r\nabc\r\n",
        ] {
            assert!(whole(coded, 99).0.is_err(), "{coded:?}");
        }
        let long = [b"1;".as_slice(), &[b'x'; 5000]].concat();
        assert!(whole(&long, 99).0.is_err());
        let trailers = [b"0\r\n".as_slice(), &b"a: b\r\n".repeat(5000)].concat();
        assert!(whole(&trailers, 99).0.is_err());
    }
}
