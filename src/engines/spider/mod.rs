//! The spider (kumo): what a response says, and which URLs it leads to.
//!
//! Everything here is pure: a response in, what it says out, in bounded time and memory whatever the
//! server sent. Nothing is fetched here; the crawl does that through [`super::web::Fetch`]. The parts:
//! [`url`] (normalising, dedup, traps), [`html`], [`js`] (a tokenizer and what its tokens say).

pub mod css;
pub mod html;
pub mod js;
pub mod json;
mod link;
pub mod secrets;
pub mod url;

pub use link::{Link, LinkKind};
