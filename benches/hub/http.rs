//! The least HTTP that a load needs: it must cost little beside the hub.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that is kept.
pub struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            request: Vec::new(),
            answer: Vec::new(),
        }
    }

    /// Gives the body of a successful answer.
    pub async fn get(&mut self, path: &str) -> &[u8] {
        self.request.clear();
        self.request.extend_from_slice(
            format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes(),
        );
        self.exchange(path).await
    }

    pub async fn post(&mut self, path: &str, key: &str, body: &[u8]) -> &[u8] {
        self.request.clear();
        self.request.extend_from_slice(
            format!(
                "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
                 Idempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            )
            .as_bytes(),
        );
        self.request.extend_from_slice(body);
        self.exchange(path).await
    }

    async fn exchange(&mut self, path: &str) -> &[u8] {
        self.stream.write_all(&self.request).await.unwrap();
        self.answer.clear();
        let (status, body, end) = loop {
            let read = self.stream.read_buf(&mut self.answer).await.unwrap();
            assert!(read > 0, "the hub closed the connection");
            if let Some((status, body, length)) = head(&self.answer)
                && self.answer.len() >= body + length
            {
                break (status, body, body + length);
            }
        };
        let body = &self.answer[body..end];
        let text = || String::from_utf8_lossy(body);
        assert_eq!(status, 200, "{path}: {}", text());
        body
    }
}

/// Status, start and length of the body, once the headers are there.
fn head(answer: &[u8]) -> Option<(u16, usize, usize)> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap()[9..12].parse().unwrap();
    let length = lines
        .find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse().unwrap())
        })
        .expect("an answer without a length");
    Some((status, end + 4, length))
}
