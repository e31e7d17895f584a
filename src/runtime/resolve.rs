use std::net::IpAddr;
use std::time::Duration;

use crate::fleet::{Refusal, Scope};

use super::Heart;

/// Longest wait for a name.
const LOOKUP_LIMIT: Duration = Duration::from_secs(10);

/// Why a target has no address that may be touched.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The scope refuses it.
    #[error(transparent)]
    OutOfScope(#[from] Refusal),
    /// The name leads nowhere.
    #[error("cannot resolve {name}: {reason}")]
    Unresolved {
        /// The name.
        name: String,
        /// Why.
        reason: String,
    },
}

/// The addresses of a name, for who works by hand.
///
/// # Errors
/// Why there are none.
pub async fn lookup(name: &str) -> Result<Vec<IpAddr>, String> {
    match tokio::time::timeout(LOOKUP_LIMIT, tokio::net::lookup_host((name, 0))).await {
        Err(_) => Err("no answer from the resolver".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(found)) => Ok(found.map(|socket| socket.ip()).collect()),
    }
}

/// Resolves a target once and checks name and address against the scope; the address that comes
/// back is the one to use for the whole task. Of several addresses the first in scope is taken.
///
/// # Errors
/// The target is out of scope, or leads nowhere.
pub async fn resolve_in_scope(
    target: &str,
    scope: &Scope,
    heart: &Heart,
) -> Result<IpAddr, ResolveError> {
    if let Ok(addr) = target.parse::<IpAddr>() {
        scope.check_addr(addr)?;
        return Ok(addr);
    }
    // A name that a deny rule refuses is not even asked for.
    scope.check_name(target)?;
    let unresolved = |reason: String| ResolveError::Unresolved {
        name: target.to_owned(),
        reason,
    };
    let found = heart
        .bounded(LOOKUP_LIMIT, tokio::net::lookup_host((target, 0)))
        .await
        .ok_or_else(|| unresolved("no answer from the resolver".to_owned()))?
        .map_err(|error| unresolved(error.to_string()))?;
    let mut refusal = None;
    for addr in found.map(|socket| socket.ip()) {
        match scope.check_resolved(target, addr) {
            Ok(()) => return Ok(addr),
            Err(why) => refusal = refusal.or(Some(why)),
        }
    }
    Err(refusal.map_or_else(
        || unresolved("no address".to_owned()),
        ResolveError::OutOfScope,
    ))
}
