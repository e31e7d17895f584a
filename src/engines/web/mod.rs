//! What the spider and the enumerator speak HTTP with.
//!
//! [`Fetch`] is all that the engines know of it: one request, one response, no redirect followed
//! unasked, nothing sent outside scope or above the cap. Here live the client behind it, the limits
//! of what a server may make us read, the pace for each host, and robots.txt. May depend on
//! `crate::api` and `crate::fleet` only.

mod message;

pub use message::{Fetch, FetchError, Request, Response, TlsSeen};
