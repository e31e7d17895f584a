//! What JavaScript says: the requests it makes, their methods and parameters, the routes of its
//! application, what it loads.
//!
//! `lexer` follows the lexical grammar of ECMA-262 §12; [`scan()`] reads its tokens in one pass, with a
//! stack of open brackets of bounded depth and nothing else kept. Nothing is parsed or run: code that
//! does not parse says what it can.

mod calls;
mod concat;
mod findings;
mod frame;
mod lexer;
mod literal;
mod scan;

#[cfg(test)]
mod js_tests;
#[cfg(test)]
mod lexer_tests;

pub use findings::{Endpoint, EndpointKind, Findings};
pub use lexer::{Lexer, Token, TokenKind};
pub use scan::scan;
pub(super) use scan::scan_piece;
