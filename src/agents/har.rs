//! What was asked and answered, as HAR 1.2 (HTTP Archive, <http://www.softwareishard.com/blog/har-12-spec/>),
//! which browsers' developer tools and proxies read.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::engines::web::Response;

/// Bytes of a body that are written.
const BODY_BYTES: usize = 1024 * 1024;

/// A HAR file, written as answers come: a large crawl takes no more memory than a small one.
#[derive(Debug)]
pub struct Har {
    path: PathBuf,
    out: BufWriter<File>,
    entries: u64,
}

impl Har {
    /// Begins a file, which nobody else may read: it has cookies and whatever else servers say to who is
    /// logged in.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        let mut out = BufWriter::new(file);
        let creator = json!({"name": "recon-kumo", "version": env!("CARGO_PKG_VERSION")});
        write!(
            out,
            "{{\"log\":{{\"version\":\"1.2\",\"creator\":{creator},\"entries\":["
        )?;
        Ok(Self {
            path: path.to_owned(),
            out,
            entries: 0,
        })
    }

    /// One more answer, which came at this time.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, response: &Response, at: DateTime<Utc>) -> io::Result<()> {
        let comma = if self.entries > 0 { "," } else { "" };
        self.entries += 1;
        write!(self.out, "{comma}\n{}", entry(response, at))
    }

    /// Ends the file.
    ///
    /// # Errors
    /// It cannot be written, with its name.
    pub fn end(mut self) -> Result<(), String> {
        let ended = write!(self.out, "\n]}}}}\n").and_then(|()| self.out.flush());
        ended.map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

fn entry(response: &Response, at: DateTime<Utc>) -> Value {
    let took = response.elapsed.as_secs_f64() * 1e3;
    let began = at - chrono::Duration::from_std(response.elapsed).unwrap_or_default();
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| json!({"name": name.as_str(), "value": String::from_utf8_lossy(value.as_bytes())});
    let headers: Vec<Value> = response.headers.iter().map(header).collect();
    let of = |name: &str| {
        let value = response.headers.get(name);
        value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let query: Vec<Value> = response
        .url
        .query_pairs()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let shown = &response.body[..response.body.len().min(BODY_BYTES)];
    let mut content = json!({
        "size": response.body.len(),
        "mimeType": of("content-type").unwrap_or_default(),
    });
    match std::str::from_utf8(shown) {
        Ok(text) => content["text"] = json!(text),
        Err(_) => {
            use base64::Engine as _;
            content["text"] = json!(base64::engine::general_purpose::STANDARD.encode(shown));
            content["encoding"] = json!("base64");
        }
    }
    let protocol = format!("{:?}", response.version);
    json!({
        "startedDateTime": began.to_rfc3339(),
        "time": took,
        "serverIPAddress": response.peer.map(|peer| peer.ip().to_string()).unwrap_or_default(),
        "request": {
            "method": "GET",
            "url": response.url.as_str(),
            "httpVersion": protocol,
            "cookies": [],
            "headers": [],
            "queryString": query,
            "headersSize": -1,
            "bodySize": 0,
        },
        "response": {
            "status": response.status.as_u16(),
            "statusText": response.status.canonical_reason().unwrap_or_default(),
            "httpVersion": protocol,
            "cookies": [],
            "headers": headers,
            "content": content,
            "redirectURL": of("location").unwrap_or_default(),
            "headersSize": -1,
            "bodySize": -1,
        },
        "cache": {},
        "timings": {"send": 0, "wait": took, "receive": 0},
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_written_is_json() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.har");
        let mut har = Har::create(&path).unwrap();
        let response = |body: &'static [u8]| Response {
            url: "http://a.test/x?y=1&z".parse().unwrap(),
            status: http::StatusCode::OK,
            version: http::Version::HTTP_11,
            headers: [(http::header::SERVER, http::HeaderValue::from_static("x"))]
                .into_iter()
                .collect(),
            body: bytes::Bytes::from_static(body),
            truncated: false,
            elapsed: Duration::from_millis(7),
            peer: None,
            tls: None,
        };
        har.add(&response(b"text \"quoted\""), Utc::now()).unwrap();
        har.add(&response(b"\xff\xfe"), Utc::now()).unwrap();
        har.end().unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
        assert_eq!(mode & 0o077, 0);
        let har: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let entries = har["log"]["entries"].as_array().unwrap();
        assert_eq!(entries[0]["request"]["queryString"][0]["name"], "y");
        assert_eq!(entries[0]["response"]["content"]["text"], "text \"quoted\"");
        assert_eq!(entries[1]["response"]["content"]["encoding"], "base64");
    }
}
