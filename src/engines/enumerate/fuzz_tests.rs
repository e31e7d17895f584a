//! Fuzz targets: word lists, which operators bring, and answers, which servers make up.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};

use super::echo::Echo;
use super::features::Seen;
use super::send::Answer;
use super::signature::{Likeness, Signature, is_steady};
use super::words::{WordList, encode, is_usable};
use crate::engines::ports::fuzz::fuzz;

/// Every word can stand in a request line, names something below its directory, and is there once.
#[test]
fn word_lists() {
    let seeds: [&[u8]; 3] = [
        b"# list\r\nadmin/\r\n/login.%EXT%\n\n../x\n%2e%2e/y\n\xff\xfe a\n100%\n",
        b"\xef\xbb\xbf#\nindex.php?id=1#x\na//b\n.\n",
        b"x",
    ];
    fuzz(&seeds, |bytes| {
        let list = WordList::of_text(bytes);
        let mut known = std::collections::HashSet::new();
        for word in list.iter() {
            assert!(word.bytes().all(|b| b.is_ascii_graphic()), "{word:?}");
            assert!(
                is_usable(word.as_bytes()) && known.insert(word.to_owned()),
                "{word:?}"
            );
            assert_eq!(encode(word.as_bytes()), word.as_bytes());
            let base = url::Url::parse("http://site.test/a/").unwrap();
            let path = format!("/a/{}", word.replace("%EXT%", "php"));
            let url = base.join(&path).unwrap();
            assert!(
                url.path().starts_with("/a/") && url.host_str() == Some("site.test"),
                "{url}"
            );
        }
        let lines = bytes.split(|b| *b == b'\n').count();
        assert!(list.len() <= lines);
    });
}

fn seen(body: &[u8], path: &str) -> Seen {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    let text = String::from_utf8_lossy(body);
    let location = text
        .strip_prefix("L:")
        .map(|rest| rest.lines().next().unwrap_or("").to_owned());
    let answer = Answer {
        status: if location.is_some() { 302 } else { 200 },
        location,
        headers,
        body: Bytes::copy_from_slice(body),
        truncated: false,
        elapsed: Duration::ZERO,
    };
    Seen::new(&answer, path)
}

/// Whatever a body is, an answer is like itself, like what was learned from it, and taking the path out
/// changes no length.
#[test]
fn answers() {
    let seeds: [&[u8]; 4] = [
        b"admin.php\n<html><title>No admin.php</title><p>Sorry, /admin.php 123456 deadbeef00</p>",
        b"a%27b\nL:/login?next=%2Fa%27b&s=0123456789abcdef01\n",
        b"x/y/\n{\"error\":\"x%2Fy\",\"time\":1700000000}",
        b"<title\n<title <TITLE>></title",
    ];
    fuzz(&seeds, |bytes| {
        let end = bytes
            .iter()
            .position(|b| *b == b'\n')
            .unwrap_or(bytes.len().min(40));
        let path = String::from_utf8_lossy(&encode(&bytes[..end])).into_owned();
        let body = &bytes[(end + 1).min(bytes.len())..];
        assert_eq!(Echo::new(&path).strip(body).len(), body.len());
        let one = seen(body, &path);
        let mut signature = Signature::new(&one);
        assert!(is_steady(&one, &seen(body, &path)));
        // A redirect is a template only if its path is random.
        if one.location.is_none() {
            assert_eq!(signature.likeness(&one), Likeness::Same);
            signature.learn(&seen(bytes, "other"));
            assert_eq!(signature.likeness(&one), Likeness::Same);
        }
        signature.learn(&seen(bytes, &path));
        let _ = super::features::title(body);
    });
}
