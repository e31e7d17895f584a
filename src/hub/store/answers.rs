//! Answers that are kept, to be given again to a repetition of their request.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Answer, Idempotency, Result};

/// For requests whose work is more than one transaction, or that are refused before it when what they
/// speak of has gone. All others have their answers kept in the transaction that does their work.
#[async_trait]
pub trait Answers: Send + Sync {
    /// The answer that is kept under this key.
    async fn kept_answer(&self, key: Idempotency) -> Result<Option<Answer>>;

    /// Keeps an answer; gives the one that is kept, which is the first.
    async fn keep_answer(
        &self,
        key: Idempotency,
        answer: Answer,
        now: DateTime<Utc>,
    ) -> Result<Answer>;
}
