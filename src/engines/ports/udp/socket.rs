use std::io;
use std::net::SocketAddr;

use nix::sys::socket::{setsockopt, sockopt};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recvfrom};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// TFTP: a server answers from a port of its own for each transfer (RFC 1350 §4).
const TFTP: u16 = 69;

/// Longest part of an answer that is looked at, bytes.
const MOST_READ: usize = 4096;

/// A socket for one port of one host.
#[derive(Debug)]
pub struct Socket {
    inner: UdpSocket,
    peer: SocketAddr,
    /// Answers may come from another port of the host.
    loose: bool,
}

impl Socket {
    /// A socket that hears what `peer` answers and which ICMP errors there are about it.
    ///
    /// # Errors
    /// No descriptor, no local port, or no route.
    pub fn open(peer: SocketAddr) -> io::Result<Self> {
        let any: SocketAddr = match peer {
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
        };
        let socket = std::net::UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        // "Host unreachable" and "network unreachable" are told only to those that ask (ip(7)).
        match peer {
            SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?,
            SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?,
        }
        let loose = peer.port() == TFTP;
        if !loose {
            socket.connect(peer)?;
        }
        Ok(Self {
            inner: UdpSocket::from_std(socket)?,
            peer,
            loose,
        })
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// Also what an earlier datagram met.
    pub async fn send(&self, payload: &[u8]) -> io::Result<()> {
        match self.loose {
            true => self.inner.send_to(payload, self.peer).await,
            false => self.inner.send(payload).await,
        }
        .map(drop)
    }

    /// Waits for an answer, and gives it to `read`.
    ///
    /// # Errors
    /// What ICMP tells: `ECONNREFUSED` is "port unreachable".
    pub async fn answer<T>(&self, read: impl Fn(&[u8]) -> T) -> io::Result<T> {
        // A socket that has an error, but nothing to read, is not "readable".
        let interest = Interest::READABLE | Interest::ERROR;
        loop {
            let heard = self.inner.async_io(interest, || self.receive(&read));
            if let Some(answer) = heard.await? {
                return Ok(answer);
            }
        }
    }

    /// What there is now; `None` when it came from somebody else.
    fn receive<T>(&self, read: impl Fn(&[u8]) -> T) -> io::Result<Option<T>> {
        // Not kept over a wait: thousands of probes wait at the same time.
        let mut buffer = [0; MOST_READ];
        let (len, _, from) = recvfrom(&self.inner, &mut buffer[..], RecvFlags::empty())?;
        let from = from.and_then(|from| SocketAddr::try_from(from).ok());
        let known = from.is_some_and(|from| from.ip() == self.peer.ip());
        Ok(known.then(|| read(&buffer[..len.min(MOST_READ)])))
    }
}

/// The number of an error of the system; `EIO` of any other.
pub fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
