use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use super::frames::{Frames, LONGEST};

/// Messages that wait to be written. Each may be a whole response.
const WAITING: usize = 16;

/// Events of a tab that wait to be looked at. A page that makes more of them at once is given up.
const EVENTS: usize = 4096;

/// Bytes that are read at once.
const READ: usize = 64 * 1024;

/// Why a command came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    /// The browser is gone.
    #[error("the browser is gone")]
    Lost,
    /// It does not do that.
    #[error("{0}")]
    Refused(String),
}

/// Something happened in a tab.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    pub method: String,
    pub params: Value,
}

/// What the browser says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Incoming {
    id: Option<u64>,
    session_id: Option<String>,
    method: Option<String>,
    #[serde(default)]
    params: Value,
    #[serde(default)]
    result: Value,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    message: String,
}

/// A connection to a browser. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    out: mpsc::Sender<Vec<u8>>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    number: AtomicU64,
    table: Mutex<Table>,
}

type Reply = oneshot::Sender<Result<Value, CallError>>;

#[derive(Debug, Default)]
struct Table {
    closed: bool,
    waiting: HashMap<u64, Reply>,
    sessions: HashMap<String, mpsc::Sender<Event>>,
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing comes any more.
    fn close(&self) {
        let mut table = self.table();
        table.closed = true;
        // Who waits hears of it by the end of its channel.
        table.waiting.clear();
        table.sessions.clear();
    }

    /// Gives a message to whom it is for. What nobody waits for, or cannot be read, is left.
    pub(super) fn take(&self, message: &[u8], out: &mpsc::Sender<Vec<u8>>) {
        let Ok(incoming) = serde_json::from_slice::<Incoming>(message) else {
            return;
        };
        if let Some(id) = incoming.id {
            let Some(reply) = self.table().waiting.remove(&id) else {
                return;
            };
            let result = match incoming.error {
                Some(refusal) => Err(CallError::Refused(refusal.message)),
                None => Ok(incoming.result),
            };
            // Who does not wait any more has no use for it.
            let _ = reply.send(result);
            return;
        }
        let (Some(method), params) = (incoming.method, incoming.params) else {
            return;
        };
        let Some(session) = incoming.session_id else {
            if let Some(target) = window(&method, &params) {
                // Should there be no room, the window stays: it has no network.
                let _ = out.try_send(self.close_target(target));
            }
            return;
        };
        let mut table = self.table();
        if let Some(events) = table.sessions.get(&session)
            && events.try_send(Event { method, params }).is_err()
        {
            // The tab hears that there is nothing more.
            table.sessions.remove(&session);
        }
    }

    fn close_target(&self, target: &str) -> Vec<u8> {
        let id = self.number.fetch_add(1, Ordering::Relaxed);
        let params = json!({ "targetId": target });
        write(&json!({"id": id, "method": "Target.closeTarget", "params": params}))
    }
}

/// A window that a page opened.
fn window<'a>(method: &str, params: &'a Value) -> Option<&'a str> {
    let info = &params["targetInfo"];
    let opened = method == "Target.targetCreated" && !info["openerId"].is_null();
    info["targetId"].as_str().filter(|_| opened)
}

fn write(message: &Value) -> Vec<u8> {
    let mut bytes = message.to_string().into_bytes();
    bytes.push(0);
    bytes
}

impl Connection {
    /// Speaks over these; reading and writing have tasks of their own, which end with the pipe.
    pub(super) fn new(
        read: impl AsyncRead + Unpin + Send + 'static,
        write: impl AsyncWrite + Unpin + Send + 'static,
    ) -> Self {
        let (out, messages) = mpsc::channel(WAITING);
        let shared = Arc::new(Shared::default());
        tokio::spawn(writes(write, messages));
        // It must not keep the writer alive when nobody else does.
        tokio::spawn(reads(read, Arc::clone(&shared), out.downgrade()));
        Self { out, shared }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.shared.table().closed
    }

    /// Has the browser do something, and waits for what came of it.
    pub(super) async fn call(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Value, CallError> {
        let id = self.shared.number.fetch_add(1, Ordering::Relaxed);
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let (reply, result) = oneshot::channel();
        let _waiting = Waiting {
            shared: &self.shared,
            id,
        };
        {
            let mut table = self.shared.table();
            if table.closed {
                return Err(CallError::Lost);
            }
            table.waiting.insert(id, reply);
        }
        let sent = self.out.send(write(&message)).await;
        sent.map_err(|_| CallError::Lost)?;
        result.await.unwrap_or(Err(CallError::Lost))
    }

    /// The events of a tab from now on.
    pub(super) fn events(&self, session: &str) -> mpsc::Receiver<Event> {
        let (events, receiver) = mpsc::channel(EVENTS);
        let mut table = self.shared.table();
        if !table.closed {
            table.sessions.insert(session.to_owned(), events);
        }
        receiver
    }

    /// No events of it any more.
    pub(super) fn forget(&self, session: &str) {
        self.shared.table().sessions.remove(session);
    }
}

/// Takes itself off the list, also when its caller stops waiting.
struct Waiting<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.table().waiting.remove(&self.id);
    }
}

async fn reads(
    mut read: impl AsyncRead + Unpin,
    shared: Arc<Shared>,
    out: mpsc::WeakSender<Vec<u8>>,
) {
    let mut frames = Frames::new(LONGEST);
    let mut buffer = vec![0; READ];
    while let Ok(count @ 1..) = read.read(&mut buffer).await
        && let Some(out) = out.upgrade()
    {
        frames.push(&buffer[..count], |message| shared.take(message, &out));
    }
    shared.close();
}

async fn writes(mut write: impl AsyncWrite + Unpin, mut messages: mpsc::Receiver<Vec<u8>>) {
    while let Some(message) = messages.recv().await {
        if write.write_all(&message).await.is_err() {
            break;
        }
    }
}

#[cfg(test)]
pub(super) mod fuzzing {
    use super::*;

    /// A message to somebody who waits for answer 1 and for events of `S`.
    pub(in super::super) fn take(message: &[u8]) {
        let shared = Shared::default();
        let (out, mut written) = mpsc::channel(1);
        let (reply, _result) = oneshot::channel();
        let (events, _received) = mpsc::channel(1);
        shared.table().waiting.insert(1, reply);
        shared.table().sessions.insert("S".to_owned(), events);
        shared.take(message, &out);
        if let Ok(message) = written.try_recv() {
            assert_eq!(message.last(), Some(&0));
            assert_eq!(message.iter().filter(|byte| **byte == 0).count(), 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex, split};

    use super::*;

    fn pair() -> (Connection, DuplexStream) {
        let (here, there) = duplex(4096);
        let (read, write) = split(here);
        (Connection::new(read, write), there)
    }

    async fn hears(browser: &mut DuplexStream) -> Value {
        let mut message = Vec::new();
        loop {
            match browser.read_u8().await.unwrap() {
                0 => return serde_json::from_slice(&message).unwrap(),
                byte => message.push(byte),
            }
        }
    }

    async fn says(browser: &mut DuplexStream, message: Value) {
        browser.write_all(&write(&message)).await.unwrap();
    }

    #[tokio::test]
    async fn answers_find_who_asked() {
        let (connection, mut browser) = pair();
        let other = async {
            let (first, second) = (hears(&mut browser).await, hears(&mut browser).await);
            assert_eq!(
                (&first["method"], &second["sessionId"]),
                (&json!("A.a"), &json!("S"))
            );
            says(
                &mut browser,
                json!({"id": second["id"], "error": {"message": "no", "code": 1}}),
            )
            .await;
            says(&mut browser, json!({"id": 77, "result": {}})).await;
            says(&mut browser, json!({"id": first["id"], "result": {"x": 1}})).await;
        };
        let (first, second, ()) = tokio::join!(
            connection.call(None, "A.a", json!({})),
            connection.call(Some("S"), "B.b", json!({})),
            other
        );
        assert_eq!(first, Ok(json!({"x": 1})));
        assert_eq!(second, Err(CallError::Refused("no".to_owned())));
    }

    #[tokio::test]
    async fn events_go_to_their_tab_and_windows_are_closed() {
        let (connection, mut browser) = pair();
        let mut events = connection.events("S");
        let info = json!({"targetId": "W", "openerId": "P", "type": "page"});
        says(
            &mut browser,
            json!({"method": "X.x", "params": {}, "sessionId": "other"}),
        )
        .await;
        says(
            &mut browser,
            json!({"method": "Target.targetCreated", "params": {"targetInfo": info}}),
        )
        .await;
        says(
            &mut browser,
            json!({"method": "Y.y", "params": {"n": 1}, "sessionId": "S"}),
        )
        .await;
        let event = events.recv().await.unwrap();
        assert_eq!(
            (event.method.as_str(), &event.params["n"]),
            ("Y.y", &json!(1))
        );
        let close = hears(&mut browser).await;
        assert_eq!(close["method"], "Target.closeTarget");
        assert_eq!(close["params"]["targetId"], "W");
    }

    #[tokio::test]
    async fn the_end_is_told_to_all() {
        let (connection, mut browser) = pair();
        let mut events = connection.events("S");
        let gone = async {
            hears(&mut browser).await;
            drop(browser);
        };
        let (result, ()) = tokio::join!(connection.call(None, "A.a", json!({})), gone);
        assert_eq!(result, Err(CallError::Lost));
        assert_eq!(events.recv().await, None);
        assert!(connection.is_closed());
        assert_eq!(
            connection.call(None, "A.a", json!({})).await,
            Err(CallError::Lost)
        );
    }
}
