use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::api::Token;

/// A token is asked of the database again after this long: what another hub on the same database
/// revokes is out then. What this hub revokes is out at once.
const KEEP: Duration = Duration::from_secs(3);
/// Tokens that are kept.
const KEEP_MOST: usize = 10_000;

/// A token, and since when it is known.
type Known = (Instant, Arc<Token>);

/// Tokens that were used just now, by the SHA-256 of their secrets.
#[derive(Debug, Default)]
pub(in super::super) struct TokenCache {
    known: Mutex<HashMap<[u8; 32], Known>>,
}

impl TokenCache {
    pub(in super::super) fn get(&self, sha256: &[u8; 32], now: Instant) -> Option<Arc<Token>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(sha256)
            .filter(|(since, _)| now.saturating_duration_since(*since) < KEEP)
            .map(|(_, token)| Arc::clone(token))
    }

    pub(in super::super) fn put(&self, sha256: [u8; 32], token: Arc<Token>, now: Instant) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEEP_MOST {
            known.clear();
        }
        known.insert(sha256, (now, token));
    }

    /// Forgets everything: something was revoked.
    pub(in super::super) fn clear(&self) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use uuid::Uuid;

    use super::*;
    use crate::api::Role;

    #[test]
    fn keeps_a_token_for_seconds() {
        let token = Arc::new(Token {
            id: Uuid::nil(),
            name: "x".to_owned(),
            role: Role::Viewer,
            agent: None,
            host: None,
            created_at: Utc::now(),
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        });
        let (cache, start) = (TokenCache::default(), Instant::now());
        cache.put([1; 32], Arc::clone(&token), start);
        assert!(cache.get(&[1; 32], start + KEEP / 2).is_some());
        assert!(cache.get(&[2; 32], start).is_none());
        assert!(cache.get(&[1; 32], start + KEEP).is_none());
        cache.clear();
        assert!(cache.get(&[1; 32], start).is_none());
    }
}
