//! The one connection that writes.
//!
//! SQLite has one writer at a time; queueing for it here, in order, rather than in SQLite's busy
//! handler, is fair and lets one `fsync` carry many submissions. Each job runs in a savepoint of its
//! own, so that one that fails takes nothing with it, and hears back only after the commit. A job that
//! leaves nothing behind when it fails (`run_tidy`) needs none, which saves it a way to the database.

use std::num::NonZero;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::dialect::failed;
use super::impatient::impatiently;
use crate::hub::store::bell::{self, Bell, Told};
use crate::hub::store::{Result, StoreError};

/// Jobs that may wait; more callers wait outside.
const QUEUE: usize = 1024;
/// Jobs in one transaction, at most.
const BATCH_JOBS: usize = 128;
/// A transaction that is open for so long takes no further job.
const BATCH_TIME: Duration = Duration::from_millis(50);

/// Moves the write-ahead log into the database and gives its space back.
const CHECKPOINT: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// The way to the writing thread.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
}

enum Message {
    Job(Box<dyn Job>),
    /// A statement that may not be in a transaction.
    Alone(&'static str, oneshot::Sender<Result<()>>),
    Close(oneshot::Sender<()>),
}

impl Writer {
    /// Starts the thread. Each statement is a message to SQLite's own thread and one back; a task of
    /// the runtime would, each time, wait behind the requests that are being read.
    pub(super) fn start(connection: SqliteConnection, bell: Bell) -> Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || runtime.block_on(work(connection, jobs, bell)))
            .map_err(|e| StoreError::Unavailable(format!("the writer did not start: {e}")))?;
        Ok(Self { queue })
    }

    /// Runs a job in a transaction and gives its result once that is committed. A caller that goes
    /// away does not interrupt it.
    pub(super) async fn run<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        self.queue_up(job, false).await
    }

    /// The same, for a job that leaves nothing behind when it fails; but what makes the database
    /// unavailable takes the other jobs of the transaction with it.
    pub(super) async fn run_tidy<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        self.queue_up(job, true).await
    }

    async fn queue_up<T, F>(&self, job: F, tidy: bool) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Typed {
            work: Some(job),
            tidy,
            result: None,
            events: Vec::new(),
            reply,
        });
        let closed = || StoreError::Unavailable("the writer has stopped".to_owned());
        self.queue
            .send(Message::Job(job))
            .await
            .map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Runs a statement that may not be in a transaction; jobs wait meanwhile.
    pub(super) async fn run_alone(&self, sql: &'static str) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let closed = || StoreError::Unavailable("the writer has stopped".to_owned());
        let message = Message::Alone(sql, reply);
        self.queue.send(message).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Finishes what is queued, moves the write-ahead log into the database and ends the thread.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.queue.send(Message::Close(done)).await.is_ok() {
            // An error means that the thread is gone, which is what was wanted.
            let _ = closed.await;
        }
    }
}

/// A job whose result type is hidden.
trait Job: Send {
    /// Runs it and keeps its result; an error means that its changes must be undone.
    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<()>>;
    /// Whether it leaves nothing behind when it fails.
    fn is_tidy(&self) -> bool;
    /// Tells the caller, and whoever waits for events.
    fn finish(self: Box<Self>, committed: Result<()>, bell: &Bell);
}

struct Typed<T, F> {
    work: Option<F>,
    tidy: bool,
    result: Option<Result<T>>,
    events: Vec<Told>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Job for Typed<T, F>
where
    T: Send + 'static,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T>> + Send + 'static,
{
    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<()>> {
        Box::pin(async move {
            let Some(work) = self.work.take() else {
                return Ok(());
            };
            let work = AssertUnwindSafe(async { work(connection).await }).catch_unwind();
            let (result, events) = bell::noting(work).await;
            let result = result
                .unwrap_or_else(|_| Err(StoreError::Internal("a write job panicked".to_owned())));
            self.events = events;
            let done = result.as_ref().map(drop).map_err(StoreError::clone);
            self.result = Some(result);
            done
        })
    }

    fn is_tidy(&self) -> bool {
        self.tidy
    }

    fn finish(self: Box<Self>, committed: Result<()>, bell: &Bell) {
        let own = self
            .result
            .unwrap_or_else(|| Err(StoreError::Internal("a write job did not run".to_owned())));
        // A job's own error says more than the transaction's.
        let result = match (own, committed) {
            (Ok(_), Err(error)) | (Err(error), _) => Err(error),
            (ok, Ok(())) => ok,
        };
        if result.is_ok() {
            bell.ring(self.events);
        }
        // The caller may have gone away.
        let _ = self.reply.send(result);
    }
}

async fn work(mut connection: SqliteConnection, mut queue: mpsc::Receiver<Message>, bell: Bell) {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut next = None;
    loop {
        let message = match next.take() {
            Some(message) => message,
            None => match queue.recv().await {
                Some(message) => message,
                None => return close(connection).await,
            },
        };
        match message {
            Message::Job(first) => {
                let batch = batch(&mut connection, first, &mut queue, &bell);
                next = impatiently(batch, processors).await;
            }
            Message::Alone(sql, reply) => {
                // Whoever asked may have gone away.
                let _ = reply.send(execute(&mut connection, sql).await);
            }
            Message::Close(done) => {
                close(connection).await;
                // As above.
                let _ = done.send(());
                return;
            }
        }
    }
}

/// One transaction. Gives what it came across that is no job.
async fn batch(
    connection: &mut SqliteConnection,
    first: Box<dyn Job>,
    queue: &mut mpsc::Receiver<Message>,
    bell: &Bell,
) -> Option<Message> {
    let start = Instant::now();
    let mut other = None;
    let mut done = Vec::new();
    let mut next = Some(first);
    let mut committed = execute(connection, "BEGIN IMMEDIATE").await;
    while let Some(mut job) = next.take() {
        if committed.is_ok() {
            committed = match job.is_tidy() {
                true => tidy_step(connection, job.as_mut()).await,
                false => step(connection, job.as_mut()).await,
            };
        }
        done.push(job);
        if committed.is_ok() && done.len() < BATCH_JOBS && start.elapsed() < BATCH_TIME {
            match queue.try_recv() {
                Ok(Message::Job(job)) => next = Some(job),
                Ok(message) => other = Some(message),
                Err(_) => {}
            }
        }
    }
    if committed.is_ok() {
        committed = execute(connection, "COMMIT").await;
    }
    if let Err(problem) = &committed {
        error!(%problem, jobs = done.len(), "a transaction failed");
        // Fails when SQLite has rolled back by itself, as it does for a full disk.
        let _ = execute(connection, "ROLLBACK").await;
        // The disk may be full of the log itself, which SQLite empties only after a commit: so that
        // there may never be another one.
        if let Err(problem) = execute(connection, CHECKPOINT).await {
            error!(%problem, "the write-ahead log could not be emptied");
        }
    }
    for job in done {
        job.finish(committed.clone(), bell);
    }
    other
}

/// Runs one job in a savepoint. An error here is one of the whole transaction.
async fn step(connection: &mut SqliteConnection, job: &mut dyn Job) -> Result<()> {
    execute(connection, "SAVEPOINT job").await?;
    if let Err(problem) = job.run(connection).await
        && execute(connection, "ROLLBACK TO job").await.is_err()
    {
        // A full disk or a failing one: SQLite has rolled everything back by itself, the jobs
        // before this one, too, and this job's error says why.
        return Err(StoreError::Unavailable(problem.to_string()));
    }
    execute(connection, "RELEASE job").await
}

/// The same for one that undoes itself, if the database lets it.
async fn tidy_step(connection: &mut SqliteConnection, job: &mut dyn Job) -> Result<()> {
    match job.run(connection).await {
        Err(problem @ StoreError::Unavailable(_)) => Err(problem),
        _ => Ok(()),
    }
}

/// Statements with nothing to bind, in one go: each takes a way to SQLite's thread and back.
async fn execute(connection: &mut SqliteConnection, sql: &'static str) -> Result<()> {
    sqlx::query(sql)
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
}

async fn close(mut connection: SqliteConnection) {
    if let Err(problem) = execute(&mut connection, CHECKPOINT).await {
        error!(%problem, "the write-ahead log could not be moved into the database");
    }
    if let Err(problem) = connection.close().await {
        error!(%problem, "the database was not closed cleanly");
    }
}
