use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::engines::ports::limits::{FdBudget, FdPermit};

/// A non-blocking TCP socket that makes one attempt after the other: on Linux a socket that was
/// refused may connect again, which saves opening and closing one for each closed port.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    _permit: FdPermit,
    /// In the epoll set.
    pub registered: bool,
}

/// What `connect(2)` says about an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Nothing yet.
    Pending,
    /// Accepted.
    Accepted,
    /// Reset by the other side.
    Refused,
    /// The network (or this machine's routing table) says that there is no way.
    NoRoute,
    /// This machine's firewall or sandbox says no.
    NotPermitted(Errno),
    /// No file descriptor, local port or memory: to be tried again later.
    NoResource(Errno),
    /// The kernel gave up, or the socket is in a state that it should not be in.
    Lost,
    /// Anything else.
    Failed(Errno),
}

impl Socket {
    /// Opens one. Connections that it makes are reset when it closes (SO_LINGER with zero), so that
    /// no local port is left in TIME-WAIT.
    pub fn open(target: &SocketAddr) -> Result<Self, Answer> {
        let permit = FdBudget::of_process()
            .try_take()
            .ok_or(Answer::NoResource(Errno::MFILE))?;
        let family = match target {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = rustix::net::socket_with(family, SocketType::STREAM, flags, None)
            .map_err(Answer::from_errno)?;
        sockopt::set_socket_linger(&fd, Some(Duration::ZERO)).map_err(Answer::from_errno)?;
        Ok(Self {
            fd,
            _permit: permit,
            registered: false,
        })
    }

    /// Starts an attempt, or, when one is under way, asks what became of it: a second `connect(2)`
    /// returns 0, the error, or EALREADY, and starts nothing.
    pub fn connect(&self, target: &SocketAddr) -> Answer {
        match rustix::net::connect(&self.fd, target) {
            Ok(()) => Answer::Accepted,
            Err(errno) => Answer::from_errno(errno),
        }
    }

    /// Own address of an accepted connection.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        SocketAddr::try_from(rustix::net::getsockname(&self.fd).ok()?).ok()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Answer {
    /// See `connect(2)`, `socket(2)` and, for ICMP errors, `ip(7)` and RFC 1122 §3.2.2.1.
    pub fn from_errno(errno: Errno) -> Self {
        match errno {
            Errno::INPROGRESS | Errno::ALREADY | Errno::INTR => Self::Pending,
            Errno::CONNREFUSED | Errno::CONNRESET => Self::Refused,
            Errno::HOSTUNREACH
            | Errno::NETUNREACH
            | Errno::HOSTDOWN
            | Errno::NETDOWN
            | Errno::NONET
            | Errno::PROTO
            | Errno::NOPROTOOPT => Self::NoRoute,
            Errno::PERM | Errno::ACCESS | Errno::AFNOSUPPORT => Self::NotPermitted(errno),
            Errno::MFILE
            | Errno::NFILE
            | Errno::NOBUFS
            | Errno::NOMEM
            | Errno::AGAIN
            | Errno::ADDRNOTAVAIL
            | Errno::ADDRINUSE => Self::NoResource(errno),
            Errno::TIMEDOUT | Errno::CONNABORTED | Errno::ISCONN => Self::Lost,
            other => Self::Failed(other),
        }
    }
}

/// Whether an accepted connection came from the target, and not from this machine itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The other side is another host.
    Remote,
    /// The other side is this host: it may be another of our own attempts in the middle of a
    /// simultaneous open (RFC 9293 §3.5), so that a second attempt must confirm it.
    SameHost,
    /// The socket is connected to itself.
    Itself,
}

impl Origin {
    /// By the two addresses of a connection.
    pub fn of(local: &SocketAddr, peer: &SocketAddr) -> Self {
        if local.ip().to_canonical() != peer.ip().to_canonical() {
            Self::Remote
        } else if local.port() == peer.port() {
            Self::Itself
        } else {
            Self::SameHost
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_connection_to_itself_is_seen() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let peer = at("127.0.0.1:40000");
        assert_eq!(Origin::of(&at("127.0.0.1:40000"), &peer), Origin::Itself);
        assert_eq!(Origin::of(&at("127.0.0.1:40001"), &peer), Origin::SameHost);
        assert_eq!(Origin::of(&at("10.0.0.1:40000"), &peer), Origin::Remote);
        assert_eq!(
            Origin::of(&at("[::ffff:10.0.0.1]:9"), &at("10.0.0.1:9")),
            Origin::Itself
        );
    }

    /// Binds to a port and connects to it: what the kernel does by chance in a sweep of loopback.
    #[test]
    fn the_kernel_does_connect_a_socket_to_itself() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let socket = Socket::open(&any).unwrap();
        rustix::net::bind(&socket, &any).unwrap();
        let own = socket.local_addr().unwrap();
        let mut answer = socket.connect(&own);
        while answer == Answer::Pending {
            answer = socket.connect(&own);
        }
        assert_eq!(answer, Answer::Accepted);
        assert_eq!(
            Origin::of(&socket.local_addr().unwrap(), &own),
            Origin::Itself
        );
    }

    #[test]
    fn a_refused_socket_connects_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        // Bound but not listening: refused, and no other program can take it meanwhile.
        let holder = Socket::open(&open).unwrap();
        rustix::net::bind(&holder, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
        let closed = holder.local_addr().unwrap();
        let socket = Socket::open(&open).unwrap();
        let ask = |target: &SocketAddr| {
            loop {
                match socket.connect(target) {
                    Answer::Pending => {}
                    answer => return answer,
                }
            }
        };
        for _ in 0..3 {
            assert_eq!(ask(&closed), Answer::Refused);
        }
        assert_eq!(ask(&open), Answer::Accepted);
    }
}
