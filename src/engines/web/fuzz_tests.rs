//! Fuzz targets: what a server sends, however broken, panics nothing, takes no long time and no more
//! room than it is given.

use super::h1::fuzzing;
use super::{decode, redirect, retry_after, robots::Robots};
use crate::engines::ports::fuzz::fuzz;

const HEADS: [&[u8]; 3] = [
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
    b"HTTP/1.0 302 Found\nLocation: /x\nTransfer-Encoding: chunked\nContent-Encoding: gzip, br\n\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Slow\r\nRetry-After: 5\r\n folded\r\n\r\n",
];

#[test]
fn heads() {
    fuzz(&HEADS, fuzzing::head);
}

#[test]
fn chunked() {
    let seeds: [&[u8]; 2] = [
        b"5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\nrest",
        b"A\n0123456789\n0\n\n",
    ];
    fuzz(&seeds, fuzzing::chunked);
}

/// However it is coded, no more comes out than is let through.
#[test]
fn codings() {
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00";
    let zlib = b"\x78\x9c\xcb\x48\xcd\xc9\xc9\x07\x00\x06\x2c\x02\x15";
    let brotli = b"\x0b\x02\x80hello\x03";
    let zstd = b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello";
    let hello = |coding: &str, bytes: &[u8]| {
        let decoded = decode::decode(coding, bytes, 100).unwrap();
        assert_eq!(
            (decoded.body.as_slice(), decoded.truncated),
            (&b"hello"[..], false),
            "{coding}"
        );
    };
    hello("gzip", gzip);
    hello("deflate", zlib);
    hello("deflate", &zlib[2..9]);
    hello("br", brotli);
    hello("zstd", zstd);
    fuzz(&[gzip, zlib, brotli, zstd], |bytes| {
        for codings in [
            "gzip",
            "deflate",
            "br",
            "zstd",
            "gzip, br",
            "deflate,identity, x-gzip",
        ] {
            let decoded = decode::decode(codings, bytes, 1000);
            assert!(decoded.is_none_or(|decoded| decoded.body.len() <= 1000));
        }
    });
}

#[test]
fn robots() {
    let seeds: [&[u8]; 2] = [
        b"User-agent: *\nDisallow: /a*b$\nAllow: /%7e\xc3\xa9\nSitemap: /x.xml\nCrawl-delay: 1\n",
        b"\xef\xbb\xbfUSER-AGENT: recon/2\r\nuser-agent: x\rdisallow: *\n#",
    ];
    let base = url::Url::parse("http://a.example/robots.txt").unwrap();
    fuzz(&seeds, |bytes| {
        let robots = Robots::parse(bytes, "recon");
        assert!(robots.allowed("/robots.txt"));
        let _ = (
            robots.allowed("/a/b?c=d"),
            robots.sitemaps(&base),
            robots.paths().count(),
        );
        assert!(robots.crawl_delay().is_none_or(|delay| delay >= 0.0));
    });
}

#[test]
fn locations_and_waits() {
    let seeds: [&[u8]; 3] = [
        b"//b.example/x?y#z",
        b"https://[::1]:8/",
        b"Sun, 06 Nov 1994 08:49:37 GMT",
    ];
    let base = url::Url::parse("http://a.example/b/c?d#e").unwrap();
    fuzz(&seeds, |bytes| {
        if let Some(url) = redirect::resolve(&base, bytes) {
            assert!(matches!(url.scheme(), "http" | "https") && url.has_host());
        }
        let _ = retry_after::retry_after(Some(bytes));
    });
}
