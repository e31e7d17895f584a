//! HTTP/1.1 (RFC 9112) on one connection: the hot path of the engines, without a task or a channel
//! between the one who asks and the socket.

mod chunked;
mod connection;
mod exchange;
mod head;

pub(super) use connection::{Break, Connection, Stream};
pub(super) use exchange::{Exchange, Limits};
pub(super) use head::{headers, value};
