//! HTTP/1.1 (RFC 9112) on one connection: the hot path of the engines, without a task or a channel
//! between the one who asks and the socket.

mod chunked;
mod connection;
mod exchange;
mod head;

pub(super) use connection::{Break, Connection, Stream};
pub(super) use exchange::{Exchange, Limits, SMALL};
pub(super) use head::{headers, value};

/// What the fuzz targets ask of the parsers here.
#[cfg(test)]
pub(super) mod fuzzing {
    use super::chunked::{Chunked, Progress};
    use super::head::{self, Head};

    pub(crate) fn head(bytes: &[u8]) {
        let Some(end) = head::end(bytes, 0) else {
            return;
        };
        // However it was cut, it ends there.
        assert!(
            (0..end)
                .step_by(end.div_ceil(50))
                .all(|cut| head::end(bytes, cut) == Some(end))
        );
        if Head::read(&bytes[..end], false).is_ok() {
            let all = head::headers(&bytes[..end]);
            let first = all.get("location").map(|value| value.as_bytes());
            assert!(first.is_none() || head::value(&bytes[..end], "location").is_some());
        }
    }

    /// In pieces it is the same as whole.
    pub(crate) fn chunked(bytes: &[u8]) {
        let mut whole = Vec::new();
        let progress = Chunked::new().take(bytes, &mut whole, 1000);
        assert!(whole.len() <= 1000);
        let (mut coding, mut pieces, mut last) = (Chunked::new(), Vec::new(), Ok(Progress::More));
        let mut at = 0;
        for piece in bytes.chunks(3) {
            last = coding.take(piece, &mut pieces, 1000);
            match last {
                Ok(Progress::More) => at += piece.len(),
                Ok(Progress::Done(end)) => last = Ok(Progress::Done(at + end)),
                _ => {}
            }
            if last != Ok(Progress::More) {
                break;
            }
        }
        assert_eq!((progress, whole), (last, pieces));
    }
}
