use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use url::Url;

use crate::engines::web::Response;

/// Bytes of one part that are kept, and of all.
const LARGEST: usize = 2 * 1024 * 1024;
const MOST: usize = 32 * 1024 * 1024;

/// Bytes that a part takes besides its body, about.
const OVERHEAD: usize = 2048;

/// What the pages of a site have in common, so that each of it is asked for once in a crawl: scripts,
/// styles, pictures, fonts.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Parts>);

#[derive(Debug, Default)]
struct Parts {
    parts: HashMap<Url, Response>,
    bytes: usize,
}

impl Kept {
    pub(super) fn get(&self, url: &Url) -> Option<Response> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.parts.get(url).cloned()
    }

    /// Keeps it, while there is room. What the server may answer otherwise next time is not kept.
    pub(super) fn keep(&self, response: &Response) {
        let status = response.status.as_u16();
        let size = response.body.len() + OVERHEAD;
        if !matches!(status, 200 | 404 | 410) || size > LARGEST {
            return;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.bytes + size > MOST || all.parts.contains_key(&response.url) {
            return;
        }
        all.bytes += size;
        all.parts.insert(response.url.clone(), response.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::{HeaderMap, StatusCode, Version};

    use super::*;

    fn response(name: &str, status: u16, body: &Bytes) -> Response {
        Response {
            url: Url::parse(&format!("http://a.test/{name}")).unwrap(),
            status: StatusCode::from_u16(status).unwrap(),
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
            body: body.clone(),
            truncated: false,
            elapsed: Duration::ZERO,
            peer: None,
            tls: None,
        }
    }

    #[test]
    fn parts_are_kept_while_there_is_room() {
        let kept = Kept::default();
        let body = Bytes::from(vec![0; LARGEST - OVERHEAD]);
        for (name, status) in [("good", 200), ("none", 404), ("busy", 503)] {
            kept.keep(&response(name, status, &Bytes::new()));
            let there = kept.get(&response(name, status, &body).url);
            assert_eq!(there.is_some(), status != 503, "{name}");
        }
        for number in 0..2 * MOST / LARGEST {
            kept.keep(&response(&number.to_string(), 200, &body));
        }
        let all = kept.0.lock().unwrap();
        assert!(all.bytes <= MOST && all.bytes > MOST - LARGEST);
        assert!(all.parts.len() <= MOST / LARGEST + 2);
    }
}
