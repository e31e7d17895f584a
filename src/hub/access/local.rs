use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use tempfile::NamedTempFile;
use tracing::{info, warn};

use super::super::store::{NewToken, Store, StoreError};
use super::Secret;
use crate::api::{Role, Token};

/// The token of the agents of this host, in a file that systemd hands to each of them as a credential
/// (`LoadCredential=` of recon@.service). It stays over restarts; nobody has to make it.
#[derive(Debug, Clone)]
pub(in super::super) struct LocalToken {
    path: PathBuf,
}

/// Why there is no such token.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum LocalTokenError {
    /// Its file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LocalToken {
    /// The one in this file.
    pub(in super::super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Sees to it that there is one. One that an operator revoked stays revoked.
    pub(in super::super) async fn keep(
        &self,
        store: &dyn Store,
        now: DateTime<Utc>,
    ) -> Result<(), LocalTokenError> {
        let Some(secret) = self.read()? else {
            self.make(store, now).await?;
            info!(file = %self.path.display(), "made a token for the agents of this host");
            return Ok(());
        };
        // Another database may not know it yet.
        let token = store.create_token(new(&secret), None, now).await?;
        if token.revoked_at.is_some() {
            warn!(
                "the token of this host's agents is revoked; reconctl hub token rotate-local makes a \
                 new one"
            );
        }
        Ok(())
    }

    /// Makes the file, if there is none: so that agents that start before the hub have one that the
    /// hub then takes as it is.
    pub(in super::super) fn make_file(&self) -> Result<(), LocalTokenError> {
        if self.read()?.is_some() {
            return Ok(());
        }
        write(&self.path, &Secret::generate(Role::Agent)).map_err(|source| self.failed(source))
    }

    /// Makes a new one and revokes the old one.
    pub(in super::super) async fn rotate(
        &self,
        store: &dyn Store,
        now: DateTime<Utc>,
    ) -> Result<Token, LocalTokenError> {
        let old = self.read()?;
        let made = self.make(store, now).await?;
        if let Some(old) = old
            && let Some(old) = store.token_by_secret(old.sha256()).await?
        {
            store.revoke_token(old.id, now).await?;
        }
        Ok(made)
    }

    /// The database first: a file must never hold what the hub does not know.
    async fn make(&self, store: &dyn Store, now: DateTime<Utc>) -> Result<Token, LocalTokenError> {
        let secret = Secret::generate(Role::Agent);
        let token = store.create_token(new(&secret), None, now).await?;
        write(&self.path, &secret).map_err(|source| self.failed(source))?;
        Ok(token)
    }

    /// The secret; `None` when there is no file or nonsense in it.
    fn read(&self) -> Result<Option<Secret>, LocalTokenError> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Ok(Secret::parse(text.trim())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.failed(source)),
        }
    }

    fn failed(&self, source: io::Error) -> LocalTokenError {
        LocalTokenError::File {
            path: self.path.clone(),
            source,
        }
    }
}

fn new(secret: &Secret) -> NewToken {
    NewToken {
        name: "agents of this host".to_owned(),
        role: Role::Agent,
        secret_sha256: secret.sha256(),
        agent: None,
        host: None,
        expires_at: None,
    }
}

/// Whole or not at all, and readable by nobody else: a temporary file has mode 0600.
fn write(path: &Path, secret: &Secret) -> io::Result<()> {
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = NamedTempFile::new_in(dir)?;
    writeln!(file, "{}", secret.reveal())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    std::fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::hub::store::sqlite::SqliteStore;
    use crate::hub::store::{AccessStore, PageQuery};

    async fn valid(store: &dyn Store) -> Vec<Token> {
        let query = PageQuery {
            limit: 100,
            before: None,
        };
        let all = store.tokens(query).await.unwrap().items;
        all.into_iter().filter(|t| t.revoked_at.is_none()).collect()
    }

    #[tokio::test]
    async fn it_stays_until_it_is_rotated() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("hub.db")).await.unwrap();
        let path = dir.path().join("agent-token");
        let local = LocalToken::new(path.clone());
        local.keep(&store, Utc::now()).await.unwrap();
        let first = std::fs::read_to_string(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        local.keep(&store, Utc::now()).await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), first);
        assert_eq!(valid(&store).await.len(), 1);

        let made = local.rotate(&store, Utc::now()).await.unwrap();
        let second = std::fs::read_to_string(&path).unwrap();
        assert_ne!(second, first);
        let left = valid(&store).await;
        assert_eq!(left, std::slice::from_ref(&made));
        let secret = Secret::parse(second.trim()).unwrap();
        let found = store.token_by_secret(secret.sha256()).await.unwrap();
        assert_eq!(found.unwrap().id, made.id);

        // What an operator revoked does not come back with a restart.
        store.revoke_token(made.id, Utc::now()).await.unwrap();
        local.keep(&store, Utc::now()).await.unwrap();
        assert!(valid(&store).await.is_empty());

        // Another database.
        let other = SqliteStore::open(&dir.path().join("2.db")).await.unwrap();
        local.keep(&other, Utc::now()).await.unwrap();
        assert_eq!(valid(&other).await.len(), 1);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), second);
    }

    #[tokio::test]
    async fn agents_that_come_first_have_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("hub.db")).await.unwrap();
        let path = dir.path().join("agent-token");
        let local = LocalToken::new(path.clone());
        local.make_file().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        local.make_file().unwrap();
        local.keep(&store, Utc::now()).await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        let secret = Secret::parse(text.trim()).unwrap();
        let found = store.token_by_secret(secret.sha256()).await.unwrap();
        assert_eq!(found.unwrap().role, Role::Agent);
    }

    #[tokio::test]
    async fn nonsense_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("hub.db")).await.unwrap();
        let path = dir.path().join("agent-token");
        std::fs::write(&path, "").unwrap();
        LocalToken::new(path.clone())
            .keep(&store, Utc::now())
            .await
            .unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(Secret::parse(text.trim()).is_some());
    }
}
