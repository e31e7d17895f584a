//! Transactions. PostgreSQL lets several write at once and shares one flush among those that commit
//! together, so each job has a connection of its own.

use futures_util::future::BoxFuture;

use super::dialect::{Conn, Pool, failed};
use crate::hub::store::Result;
use crate::hub::store::bell::{self, Bell};

/// The way to a transaction.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    pool: Pool,
    bell: Bell,
}

impl Writer {
    /// Over these connections.
    pub(super) fn new(pool: Pool, bell: Bell) -> Self {
        Self { pool, bell }
    }

    /// Runs a job in a transaction and gives its result once that is committed. A caller that goes
    /// away does not interrupt it.
    pub(super) async fn run<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        let Self { pool, bell } = self.clone();
        let work = tokio::spawn(async move {
            let mut tx = pool.begin().await.map_err(failed)?;
            let (result, events) = bell::noting(job(&mut tx)).await;
            let result = result?;
            tx.commit().await.map_err(failed)?;
            bell.ring(events);
            Ok(result)
        });
        work.await.map_err(|problem| {
            crate::hub::store::StoreError::Internal(format!("a write job failed: {problem}"))
        })?
    }

    /// The same, for a job that leaves nothing behind when it fails: nothing is saved by it here.
    pub(super) async fn run_tidy<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        self.run(job).await
    }

    /// Runs a statement that may not be in a transaction.
    pub(super) async fn run_alone(&self, sql: &'static str) -> Result<()> {
        let done = sqlx::query(sql).execute(&self.pool).await;
        done.map(drop).map_err(failed)
    }

    /// Finishes what is under way and closes the connections.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}
