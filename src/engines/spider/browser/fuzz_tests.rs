//! Fuzz targets: what a browser that a page took over might send.

use super::connection::fuzzing;
use super::frames::Frames;
use super::paused::{Paused, Wants};
use crate::engines::ports::fuzz::fuzz;

const MESSAGES: [&[u8]; 3] = [
    br#"{"id":1,"result":{"a":[1,2]},"sessionId":"S"}"#,
    br#"{"id":1,"error":{"code":-32000,"message":"no"}}"#,
    br#"{"method":"Target.targetCreated","params":{"targetInfo":{"targetId":"T","openerId":"O"}}}"#,
];

#[test]
fn frames() {
    fuzz(&[b"one\0two\0three", b"\0\0"], |bytes| {
        let whole: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
        let short = whole[..whole.len() - 1]
            .iter()
            .filter(|message| message.len() <= 100);
        let short: Vec<Vec<u8>> = short.map(|message| message.to_vec()).collect();
        let (mut frames, mut read) = (Frames::new(100), Vec::new());
        for piece in bytes.chunks(7) {
            frames.push(piece, |message| read.push(message.to_vec()));
        }
        assert_eq!(read, short);
    });
}

#[test]
fn messages() {
    fuzz(&MESSAGES, fuzzing::take);
}

#[test]
fn requests() {
    let seeds: [&[u8]; 2] = [
        br#"{"requestId":"i","frameId":"f","resourceType":"Document","request":{"url":"http://a.test/x?y#z","method":"GET","headers":{"Accept":"*/*","X-A":"b"}}}"#,
        br#"{"requestId":"i","request":{"url":"data:text/html,x","method":"POST","headers":{}}}"#,
    ];
    fuzz(&seeds, |bytes| {
        let Ok(params) = serde_json::from_slice(bytes) else {
            return;
        };
        if let Some(Paused {
            wants: Wants::Web { url, headers, .. },
            ..
        }) = Paused::read(&params)
        {
            assert!(matches!(url.scheme(), "http" | "https") && url.fragment().is_none());
            assert!(!headers.contains_key("cookie") && !headers.contains_key("host"));
        }
    });
}
