//! Who may talk to the hub, and what operators did.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Idempotency, Page, Result};
use crate::api::{AuditEntry, Role, Token};

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What people call it.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// SHA-256 of the secret.
    pub secret_sha256: [u8; 32],
    /// The only agent that its bearer may act as.
    pub agent: Option<String>,
    /// The only host that this agent may be on.
    pub host: Option<String>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Which part of a list, newest first.
#[derive(Debug, Clone)]
pub struct PageQuery {
    /// At most so many.
    pub limit: u32,
    /// Only what is older than this one.
    pub before: Option<Uuid>,
}

/// Tokens and the audit trail.
#[async_trait]
pub trait AccessStore {
    /// Makes a token; one with this secret that is there already is left as it is. A repetition is
    /// refused ([`MadeBefore`](super::StoreError::MadeBefore)): its secret would be another.
    async fn create_token(
        &self,
        token: NewToken,
        key: Option<Idempotency>,
        now: DateTime<Utc>,
    ) -> Result<Token>;

    /// The token with this secret, be it good or not.
    async fn token_by_secret(&self, sha256: [u8; 32]) -> Result<Option<Token>>;

    /// Tokens, newest first; revoked ones, too.
    async fn tokens(&self, query: PageQuery) -> Result<Page<Token>>;

    /// Revokes a token; a second time changes nothing. `None` when there is no such token.
    async fn revoke_token(&self, id: Uuid, now: DateTime<Utc>) -> Result<Option<Token>>;

    /// Notes that a token was used.
    async fn token_used(&self, id: Uuid, now: DateTime<Utc>) -> Result<()>;

    /// Who holds a lease.
    async fn lease_owner(&self, lease: Uuid) -> Result<Option<String>>;

    /// Notes what an operator did.
    async fn add_audit(&self, entry: AuditEntry) -> Result<()>;

    /// What operators did, newest first.
    async fn audit(&self, query: PageQuery) -> Result<Page<AuditEntry>>;
}
