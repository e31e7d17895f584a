use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::mmsg;

/// The raw sockets of one worker for one family: TCP to send and hear, ICMP to hear of what did not
/// arrive. The kernel delivers to them only what is for a port of our own.
///
/// They are raw IP sockets and no packet sockets, so that the machine's firewall and systemd's
/// `IPAddressDeny=` hold for what is sent.
#[derive(Debug)]
pub struct RawSockets {
    tcp: Socket,
    icmp: Socket,
    /// Bound and never listening: keeps the port from other programs, and lets the kernel reset
    /// half-open connections, as nobody has asked for them.
    _reserved: Socket,
    /// Our port.
    pub port: u16,
}

/// Room for answers, bytes; the kernel gives what it may.
const RECEIVE_BUFFER: usize = 8 << 20;

/// Offset of the checksum in a TCP header (RFC 9293 §3.1).
const TCP_CHECKSUM: i32 = 16;

impl RawSockets {
    /// Opens them; needs CAP_NET_RAW.
    ///
    /// # Errors
    /// EPERM and EACCES without the right; else what the kernel says.
    pub fn open(domain: Domain) -> io::Result<Self> {
        let v6 = domain == Domain::IPV6;
        let any: SocketAddr = if v6 {
            (Ipv6Addr::UNSPECIFIED, 0).into()
        } else {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        };
        let reserved = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        reserved.bind(&any.into())?;
        let port = reserved
            .local_addr()?
            .as_socket()
            .map_or(0, |addr| addr.port());
        let tcp = Socket::new(domain, Type::RAW, Some(Protocol::TCP))?;
        let icmp = if v6 {
            Protocol::ICMPV6
        } else {
            Protocol::ICMPV4
        };
        let icmp = Socket::new(domain, Type::RAW, Some(icmp))?;
        if v6 {
            tcp.attach_filter(&tcp_to(port, false))?;
            icmp.attach_filter(&about(port, 1, 48, false))?;
            mmsg::checksum_at(tcp.as_fd(), TCP_CHECKSUM)?;
        } else {
            tcp.set_header_included_v4(true)?;
            tcp.attach_filter(&tcp_to(port, true))?;
            icmp.attach_filter(&about(port, 3, 28, true))?;
        }
        for socket in [&tcp, &icmp] {
            // Without CAP_NET_ADMIN the first is refused; the second gives what net.core.rmem_max
            // allows.
            if rustix::net::sockopt::set_socket_recv_buffer_size_force(socket, RECEIVE_BUFFER)
                .is_err()
            {
                socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
            }
        }
        Ok(Self {
            tcp,
            icmp,
            _reserved: reserved,
            port,
        })
    }

    /// From now on hears no TCP, for the sake of another socket that does: each that hears has the kernel
    /// copy every packet. IPv4 only.
    ///
    /// # Errors
    /// `socket(2)`'s.
    pub fn send_only(&mut self) -> io::Result<()> {
        self.tcp = Socket::new(
            Domain::IPV4,
            Type::RAW,
            Some(Protocol::from(libc::IPPROTO_RAW)),
        )?;
        self.tcp.set_header_included_v4(true)
    }

    /// To send SYNs, and to hear the answers.
    pub fn tcp(&self) -> BorrowedFd<'_> {
        self.tcp.as_fd()
    }

    /// To hear of what did not arrive.
    pub fn icmp(&self) -> BorrowedFd<'_> {
        self.icmp.as_fd()
    }
}

// Operations of classic BPF, as in bpf(4) and linux/bpf_common.h.
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE_AT_X: u16 = 0x50;
const LOAD_HALF_AT_X: u16 = 0x48;
/// X = 4 × (the low four bits of the byte): the length of an IPv4 header.
const LOAD_X_HEADER_LEN: u16 = 0xb1;
const LOAD_X: u16 = 0x01;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_SET: u16 = 0x45;
const RETURN: u16 = 0x06;

/// The whole packet.
const WHOLE: u32 = 0x0004_0000;

/// X = where the content begins. A raw IPv4 socket is given the IP header, too, an IPv6 one is not.
fn to_content(with_header: bool) -> SockFilter {
    if with_header {
        SockFilter::new(LOAD_X_HEADER_LEN, 0, 0, 0)
    } else {
        SockFilter::new(LOAD_X, 0, 0, 0)
    }
}

/// Lets TCP through that goes to this port and acknowledges something.
fn tcp_to(port: u16, with_header: bool) -> [SockFilter; 7] {
    [
        to_content(with_header),
        SockFilter::new(LOAD_HALF_AT_X, 0, 0, 2),
        SockFilter::new(JUMP_EQUAL, 0, 3, u32::from(port)),
        SockFilter::new(LOAD_BYTE_AT_X, 0, 0, 13),
        SockFilter::new(JUMP_SET, 0, 1, 0x10),
        SockFilter::new(RETURN, 0, 0, WHOLE),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

/// Lets IPv4 packets through, from their header on, that [`tcp_to`] would let through to a raw socket.
pub fn ipv4_tcp_to(port: u16) -> [SockFilter; 11] {
    let [content, load, is_port, flags, is_ack, whole, none] = tcp_to(port, true);
    [
        SockFilter::new(LOAD_BYTE, 0, 0, 9),
        SockFilter::new(JUMP_EQUAL, 0, 8, 6),
        // No later fragments.
        SockFilter::new(LOAD_HALF, 0, 0, 6),
        SockFilter::new(JUMP_SET, 6, 0, 0x1fff),
        content,
        load,
        is_port,
        flags,
        is_ack,
        whole,
        none,
    ]
}

/// Lets ICMP of this type through that quotes, at this offset, a packet from this port.
fn about(port: u16, kind: u32, quoted: u32, with_header: bool) -> [SockFilter; 7] {
    [
        to_content(with_header),
        SockFilter::new(LOAD_BYTE_AT_X, 0, 0, 0),
        SockFilter::new(JUMP_EQUAL, 0, 3, kind),
        SockFilter::new(LOAD_HALF_AT_X, 0, 0, quoted),
        SockFilter::new(JUMP_EQUAL, 0, 1, u32::from(port)),
        SockFilter::new(RETURN, 0, 0, WHOLE),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}
