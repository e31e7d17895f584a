use std::io::Read;

use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// Codings on top of each other that are taken off; one is usual.
const MOST_LAYERS: usize = 3;

/// Largest window of zstd, as a power of two: RFC 8878 §3.1.1.1.2 asks for no more of a decoder.
const ZSTD_WINDOW: u32 = 23;

/// A body with its codings taken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decoded {
    pub body: Vec<u8>,
    /// There is more than the limit lets through, or it broke off.
    pub truncated: bool,
}

/// Takes the codings of a Content-Encoding (RFC 9110 §8.4) off a body, as far as `most` bytes; none of
/// more is ever in memory. What cannot be decoded at all is left as it came: servers say gzip of what is
/// none.
///
/// It is done when the whole body is there, in one go: so there is one decoder with its window at a
/// time, not one for each connection.
pub(super) fn decode(codings: &str, body: &[u8], most: usize) -> Option<Decoded> {
    let codings = codings
        .split(',')
        .map(str::trim)
        .filter(|coding| !coding.is_empty());
    let mut layers: Vec<Coding> = codings.map(Coding::of).collect::<Option<_>>()?;
    layers.retain(|coding| *coding != Coding::Identity);
    if layers.is_empty() || layers.len() > MOST_LAYERS || body.is_empty() {
        return None;
    }
    let mut done: Option<Decoded> = None;
    for coding in layers.into_iter().rev() {
        let from = done.as_ref().map_or(body, |done| &done.body);
        let mut next = coding.decode(from, most)?;
        next.truncated |= done.is_some_and(|done| done.truncated);
        done = Some(next);
    }
    done
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        Some(match name.as_str() {
            "identity" => Self::Identity,
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" => Self::Deflate,
            "br" => Self::Brotli,
            "zstd" => Self::Zstd,
            _ => return None,
        })
    }

    fn decode(self, from: &[u8], most: usize) -> Option<Decoded> {
        match self {
            Self::Identity => None,
            Self::Gzip => read(MultiGzDecoder::new(from), most),
            // Some send the bare format (RFC 1951) for what is meant to be zlib's (RFC 1950).
            Self::Deflate if is_zlib(from) => read(ZlibDecoder::new(from), most),
            Self::Deflate => read(DeflateDecoder::new(from), most),
            Self::Brotli => read(brotli_decompressor::Decompressor::new(from, 4096), most),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(from).ok()?;
                decoder.window_log_max(ZSTD_WINDOW).ok()?;
                read(decoder, most)
            }
        }
    }
}

/// The header of RFC 1950 §2.2.
fn is_zlib(bytes: &[u8]) -> bool {
    match bytes {
        [method, flags, ..] => {
            method & 15 == 8 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0
        }
        _ => false,
    }
}

fn read(decoder: impl Read, most: usize) -> Option<Decoded> {
    let mut body = Vec::new();
    let wanted = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let broken = decoder.take(wanted).read_to_end(&mut body).is_err();
    if broken && body.is_empty() {
        return None;
    }
    let more = body.len() > most;
    body.truncate(most);
    body.shrink_to_fit();
    Some(Decoded {
        body,
        truncated: more || broken,
    })
}
