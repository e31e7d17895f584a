//! What the spider and the enumerator speak HTTP with.
//!
//! [`Fetch`] is all that the engines know of it: one request, one response, no redirect followed
//! unasked, nothing sent outside scope or above the cap. Here live the client behind it, the limits
//! of what a server may make us read, the pace for each host, and robots.txt. May depend on
//! `crate::api` and `crate::fleet` only.
//!
//! [`Client`] speaks HTTP/1.1 with code of its own (`h1`), since that is the hot path, and HTTP/2
//! by hyper, over connections that are made in one place: so scope, TLS and proxy are the same for both.
//! Who sends very many requests to one host takes a [`Lane`] of its [`Host`].

mod adapt;
mod ask_robots;
mod client;
mod cookies;
mod decode;
mod dial;
#[cfg(test)]
mod fuzz_tests;
mod h1;
mod h2;
mod host;
#[cfg(test)]
mod hostile_tests;
mod lane;
mod message;
mod options;
mod pace;
mod place;
mod redirect;
mod retry_after;
mod robots;
mod tls;
#[cfg(test)]
mod tls_tests;
#[cfg(test)]
mod way_tests;

pub use ask_robots::ask_robots;
pub use client::Client;
pub use lane::{Answer, Host, Lane};
pub use message::{Fetch, FetchError, Request, Response, TlsSeen};
pub use options::{Auth, ClientOptions};
pub use pace::Pace;
pub use redirect::{redirect_target, resolve as resolve_location};
pub use robots::{ROBOTS_LIMIT, Robots};
