use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::engines::ports::limits::{FdBudget, FdPermit};

use super::hosts::NoWay;

/// A non-blocking TCP socket that makes one attempt after the other: on Linux a socket whose attempt
/// failed may connect again, to whatever address, which saves opening and closing one for each port
/// that is not open. The `connect(2)` that tells of the failure also gives local address, port and
/// route back (`tcp_disconnect` of the kernel), so that the next attempt chooses its own.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    _permit: FdPermit,
    /// In the epoll set.
    pub registered: bool,
    ipv6: bool,
    /// To be used once: a link-local target (RFC 4291 §2.5.6) binds it to an interface for good.
    once: bool,
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
    NoRoute(NoWay),
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
            ipv6: target.is_ipv6(),
            once: matches!(target, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local()),
        })
    }

    /// Whether it can make an attempt at this target, after one that failed.
    pub fn serves(&self, target: &SocketAddr) -> bool {
        let once = matches!(target, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local());
        self.ipv6 == target.is_ipv6() && !self.once && !once
    }

    /// Gives an attempt up that got no answer; false when the socket is of no further use.
    pub fn dissolve(&self) -> bool {
        // The kernel leaves ECONNRESET on the socket, which is of the attempt that is over.
        rustix::net::connect_unspec(&self.fd).is_ok() && sockopt::socket_error(&self.fd).is_ok()
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
    /// The answer to an attempt that had gone out: then it is not this machine that forbids it
    /// (ICMPv6 type 1 code 1, "administratively prohibited", is EACCES).
    pub fn heard_from_afar(self) -> Self {
        match self {
            Self::NotPermitted(_) => Self::NoRoute(NoWay::Prohibited),
            other => other,
        }
    }

    /// See `connect(2)`, `socket(2)` and, for ICMP errors, `ip(7)` and RFC 1122 §3.2.2.1.
    pub fn from_errno(errno: Errno) -> Self {
        match errno {
            Errno::INPROGRESS | Errno::ALREADY | Errno::INTR => Self::Pending,
            Errno::CONNREFUSED => Self::Refused,
            // A reset in SYN-SENT is ECONNREFUSED (`tcp_reset()` in the kernel): with these the
            // handshake was over, and the program behind the open port reset the connection.
            Errno::CONNRESET | Errno::PIPE => Self::Accepted,
            Errno::NETUNREACH | Errno::NETDOWN => Self::NoRoute(NoWay::Net),
            Errno::HOSTUNREACH
            | Errno::HOSTDOWN
            | Errno::NONET
            | Errno::PROTO
            | Errno::NOPROTOOPT => Self::NoRoute(NoWay::Host),
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

    /// A port that refuses, held so that no other program can take it.
    fn closed(addr: &str) -> (Socket, SocketAddr) {
        let any: SocketAddr = addr.parse().unwrap();
        let holder = Socket::open(&any).unwrap();
        rustix::net::bind(&holder, &any).unwrap();
        let closed = holder.local_addr().unwrap();
        (holder, closed)
    }

    fn ask(socket: &Socket, target: &SocketAddr) -> Answer {
        loop {
            match socket.connect(target) {
                Answer::Pending => {}
                answer => return answer,
            }
        }
    }

    #[test]
    fn a_refused_socket_connects_again_and_elsewhere() {
        let listener = TcpListener::bind("127.0.0.3:0").unwrap();
        let open = listener.local_addr().unwrap();
        let (_one, first) = closed("127.0.0.1:0");
        let (_two, second) = closed("127.0.0.2:0");
        let socket = Socket::open(&open).unwrap();
        for target in [first, first, second, first] {
            assert_eq!(ask(&socket, &target), Answer::Refused);
            // The next attempt chooses its own address.
            assert!(socket.local_addr().unwrap().ip().is_unspecified());
        }
        assert_eq!(ask(&socket, &open), Answer::Accepted);
    }

    #[test]
    fn an_attempt_that_was_given_up_leaves_nothing() {
        // One connection waits to be accepted: the next is not answered.
        let backlog = Socket::open(&"127.0.0.1:0".parse().unwrap()).unwrap();
        rustix::net::bind(&backlog, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
        rustix::net::listen(&backlog, 0).unwrap();
        let full = backlog.local_addr().unwrap();
        let first = Socket::open(&full).unwrap();
        assert_eq!(ask(&first, &full), Answer::Accepted);
        let (_holder, closed) = closed("127.0.0.1:0");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = Socket::open(&full).unwrap();
        assert_eq!(socket.connect(&full), Answer::Pending);
        assert!(socket.dissolve());
        assert_eq!(ask(&socket, &closed), Answer::Refused);
        assert_eq!(socket.connect(&full), Answer::Pending);
        assert!(socket.dissolve());
        assert_eq!(
            ask(&socket, &listener.local_addr().unwrap()),
            Answer::Accepted
        );
    }

    #[test]
    fn a_socket_serves_its_family_and_no_other_interface() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let socket = Socket::open(&at("127.0.0.1:1")).unwrap();
        assert!(socket.serves(&at("10.0.0.1:1")));
        assert!(!socket.serves(&at("[2001:db8::1]:1")));
        let Ok(socket) = Socket::open(&at("[fe80::1]:1")) else {
            return; // a machine without IPv6
        };
        assert!(!socket.serves(&at("[2001:db8::1]:1")));
    }
}
