//! The URL side of the spider: what is asked for, what counts as the same page, which pages are of
//! one kind, and which of them never end.
//!
//! Parsing and resolving are the `url` crate's (WHATWG), which also does the case of scheme and host,
//! default ports and dot segments; the rest of RFC 3986 §6.2.2 is here. Two URLs are one page when
//! their [`key()`] is the same, and of one kind when their [`Shape`] is.

mod key;
mod normal;
mod seen;
mod shape;
mod trap;

#[cfg(test)]
mod url_tests;

pub use key::{canonical, key};
pub use normal::{LONGEST_URL, normalise, resolve, same_host};
pub use seen::SeenSet;
pub use shape::{Shape, shape};
pub use trap::{Trap, TrapGuard, TrapLimits};
