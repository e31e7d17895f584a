//! Who talks to the hub, and what they may do.
//!
//! A caller is one of three: the bearer of a token, root (or the hub's own user) on the control
//! socket, or anybody on loopback where the settings let them in. [`Guard`](super::guard::Guard)
//! finds out which, and `routes::roles` says what each may do.

mod cache;
mod identity;
mod limiter;
mod local;
mod secret;

pub(super) use cache::TokenCache;
pub(super) use identity::{Identity, Peer, Proof};
pub(super) use limiter::{Key, Limiter, Rate, network};
pub(super) use local::{LocalToken, LocalTokenError};
pub(super) use secret::Secret;

/// Who is let in.
#[derive(Debug, Clone)]
pub(super) struct Access {
    /// Callers on loopback need no token.
    pub(super) anonymous_loopback: bool,
    /// Names, besides loopback's and any address, by which the hub may be called; `*` is all.
    pub(super) names: Vec<String>,
    /// Requests a second with one token, in the long run; twice as many at once. Without a token it
    /// is half of that for one address. 0 is no limit.
    pub(super) max_requests: u32,
    /// A body may pause for so long.
    pub(super) body_pause: std::time::Duration,
}

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: it says only that the hub lives.
    Nothing,
    /// To be an agent.
    Work,
    /// To be allowed to read.
    Look,
    /// Either of these.
    WorkOrLook,
    /// To be an operator.
    Operate,
    /// To be an operator who is known: rights are not given out anonymously.
    Administer,
}
