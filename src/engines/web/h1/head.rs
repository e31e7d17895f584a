use std::mem::MaybeUninit;

use http::{HeaderMap, HeaderName, HeaderValue, Version};
use httparse::{EMPTY_HEADER, Header, ParserConfig, Status};

/// More headers than this are not read; Apache httpd stops at 100 of a request's, browsers at a few
/// hundred.
const MOST_HEADERS: usize = 256;

/// What the head of a response says about the rest of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// 100 to 999, as it came.
    pub status: u16,
    pub version: Version,
    /// Where the body ends.
    pub framing: Framing,
    /// Whether the connection may be used again.
    pub keep: bool,
    /// Whether there is a Content-Encoding to take off.
    pub encoded: bool,
}

/// How long the body is (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Nothing,
    Length(u64),
    Chunked,
    UntilClosed,
}

/// Takes what browsers take.
fn config() -> ParserConfig {
    let mut config = ParserConfig::default();
    config
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .ignore_invalid_headers_in_responses(true);
    config
}

/// Where the head ends, if it does: after the first empty line. What lies before `from` was looked at
/// already.
pub(super) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let from = from.saturating_sub(3);
    memchr::memchr_iter(b'\n', &bytes[from..])
        .map(|at| from + at + 1)
        .find_map(|next| match &bytes[next..] {
            [b'\n', ..] => Some(next + 1),
            [b'\r', b'\n', ..] => Some(next + 2),
            _ => None,
        })
}

/// Whether these may be the first bytes of a response.
pub(super) fn may_be_http(bytes: &[u8]) -> bool {
    let most = bytes.len().min(7);
    bytes[..most] == b"HTTP/1."[..most]
}

impl Head {
    /// Reads a whole head. `to_head`: it answers a HEAD.
    ///
    /// # Errors
    ///
    /// It is none that can be understood; says why.
    pub(super) fn read(bytes: &[u8], to_head: bool) -> Result<Self, String> {
        let mut room = [const { MaybeUninit::uninit() }; MOST_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        match config().parse_response_with_uninit_headers(&mut response, bytes, &mut room) {
            Ok(Status::Complete(_)) => {}
            Ok(Status::Partial) => return Err("its head is cut off".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
        let status = response.code.unwrap_or(0);
        let modern = response.version == Some(1);
        let mut seen = Seen::default();
        for header in response.headers.iter() {
            seen.look(header)?;
        }
        if !(100..=999).contains(&status) {
            return Err(format!("status {status}"));
        }
        let framing = match (status, &seen) {
            (101, _) => Framing::UntilClosed,
            (100..200 | 204 | 304, _) => Framing::Nothing,
            _ if to_head => Framing::Nothing,
            (
                _,
                Seen {
                    coded: true,
                    chunked,
                    ..
                },
            ) => match chunked {
                true => Framing::Chunked,
                false => Framing::UntilClosed,
            },
            (
                _,
                Seen {
                    length: Some(length),
                    ..
                },
            ) => Framing::Length(*length),
            _ => Framing::UntilClosed,
        };
        // Two ways to say the length are how responses are smuggled (RFC 9112 §6.1): what comes after
        // is not trusted, nor is what HTTP/1.0 says of transfer codings.
        let doubtful = seen.coded && (seen.length.is_some() || !modern);
        let wanted = match modern {
            true => !seen.close,
            false => seen.keep_alive && !seen.close,
        };
        Ok(Self {
            status,
            version: if modern {
                Version::HTTP_11
            } else {
                Version::HTTP_10
            },
            framing,
            keep: wanted && !doubtful && framing != Framing::UntilClosed,
            encoded: seen.encoded,
        })
    }
}

/// What the headers said so far.
#[derive(Debug, Default)]
struct Seen {
    length: Option<u64>,
    coded: bool,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    encoded: bool,
}

impl Seen {
    fn look(&mut self, header: &Header<'_>) -> Result<(), String> {
        // Most headers are none of these; their lengths tell at once.
        match header.name.len() {
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                for length in tokens(header.value) {
                    let length = number(length).ok_or("its Content-Length is no number")?;
                    if self
                        .length
                        .replace(length)
                        .is_some_and(|before| before != length)
                    {
                        return Err("it has two different Content-Lengths".to_owned());
                    }
                }
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                for coding in tokens(header.value) {
                    self.coded = true;
                    self.chunked = coding.eq_ignore_ascii_case(b"chunked");
                }
            }
            10 if header.name.eq_ignore_ascii_case("connection") => {
                for option in tokens(header.value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            16 if header.name.eq_ignore_ascii_case("content-encoding") => {
                self.encoded |=
                    tokens(header.value).any(|coding| !coding.eq_ignore_ascii_case(b"identity"));
            }
            _ => {}
        }
        Ok(())
    }
}

/// The members of a list (RFC 9110 §5.6.1), the empty ones left out.
fn tokens(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

/// Digits only: `+5`, which `parse` takes, is none.
fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The first header of this name, its value as it came.
pub(crate) fn value<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut room = [EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut room);
    config().parse_response(&mut response, head).ok()?;
    let mut headers = response.headers.iter();
    headers
        .find(|header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value)
}

/// All headers; those that no `HeaderMap` takes are left out.
pub(crate) fn headers(head: &[u8]) -> HeaderMap {
    let mut map = HeaderMap::new();
    let mut room = [EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut room);
    if config().parse_response(&mut response, head).is_err() {
        return map;
    }
    for header in response.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(header.value)) {
            map.append(name, value);
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Head {
        Head::read(text.as_bytes(), false).unwrap()
    }

    #[test]
    fn ends() {
        assert_eq!(
            end(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\r\n\r\n", 0),
            Some(25)
        );
        assert_eq!(end(b"HTTP/1.1 200 OK\n\nx", 0), Some(17));
        let bytes = b"HTTP/1.1 200 OK\r\n\r\n";
        // However it was cut.
        for cut in 0..bytes.len() {
            assert_eq!(end(&bytes[..cut], 0), None);
            assert_eq!(end(bytes, cut), Some(bytes.len()), "{cut}");
        }
        assert!(may_be_http(b"") && may_be_http(b"HT") && may_be_http(b"HTTP/1.0 200"));
        assert!(!may_be_http(b"SSH-2.0") && !may_be_http(b"http/1.1"));
    }

    #[test]
    fn framings() {
        let of = |rest: &str| read(&format!("HTTP/1.1 200 OK\r\n{rest}\r\n")).framing;
        assert_eq!(of("Content-Length: 5\r\n"), Framing::Length(5));
        assert_eq!(
            of("Content-Length: 5, 5\r\nContent-Length: 5\r\n"),
            Framing::Length(5)
        );
        assert_eq!(of(""), Framing::UntilClosed);
        assert_eq!(of("Transfer-Encoding: gzip, Chunked\r\n"), Framing::Chunked);
        assert_eq!(
            of("Transfer-Encoding: chunked, gzip\r\n"),
            Framing::UntilClosed
        );
        for status in ["100 x", "204 x", "304 x"] {
            let head = read(&format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n"));
            assert_eq!((head.framing, head.keep), (Framing::Nothing, true));
        }
        let head = Head::read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true).unwrap();
        assert_eq!(head.framing, Framing::Nothing);
    }

    #[test]
    fn whether_the_connection_stays() {
        let keep = |text: &str| read(&format!("{text}\r\nContent-Length: 0\r\n\r\n")).keep;
        assert!(keep("HTTP/1.1 200 OK"));
        assert!(!keep("HTTP/1.1 200 OK\r\nConnection: foo, Close"));
        assert!(!keep("HTTP/1.0 200 OK"));
        assert!(keep("HTTP/1.0 200 OK\r\nConnection: Keep-Alive"));
        // Both ways to say the length.
        assert!(!keep("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"));
    }

    #[test]
    fn what_is_wrong() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n",
        ] {
            assert!(Head::read(text.as_bytes(), false).is_err(), "{text:?}");
        }
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(300));
        assert!(Head::read(many.as_bytes(), false).is_err());
    }

    #[test]
    fn single_headers() {
        let head = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nSet-Cookie: a\r\nset-cookie: b\r\nbad header\r\n\r\n";
        assert_eq!(value(head, "location"), Some(&b"/x"[..]));
        assert_eq!(value(head, "server"), None);
        let all = headers(head);
        assert_eq!(all.len(), 3);
        assert_eq!(all.get_all("set-cookie").iter().count(), 2);
    }
}
