//! The spider (kumo): what a response says, and which URLs it leads to.
//!
//! Everything but [`mod@crawl`] is pure: a response in, what it says out, in bounded time and memory whatever
//! the server sent; [`extract()`] is the way in. [`mod@crawl`] asks, through [`super::web::Fetch`]; [`mod@url`] has
//! what it needs to tell pages apart and to leave traps.

pub mod browser;
pub mod crawl;
pub mod css;
pub mod documents;
mod extract;
pub mod facts;
pub mod html;
pub mod js;
pub mod json;
mod link;
pub mod openapi;
pub mod secrets;
pub mod sitemap;
pub mod technologies;
pub mod url;

#[cfg(test)]
mod extract_tests;

pub use extract::{Extracted, Kind, PageInput, extract};
pub use link::{Link, LinkKind};
