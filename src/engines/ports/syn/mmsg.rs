//! `sendmmsg(2)` and `recvmmsg(2)`: many packets for one system call. With [`super::packet`] the place
//! of the engines with `unsafe`, because no safe wrapper takes packets without copying them or allocating.
#![allow(unsafe_code)]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Packets of one call.
pub const BATCH: usize = 32;

/// Longest packet that is sent: IPv4 header, TCP header and one option.
pub const SEND_LEN: usize = 44;

/// As much of a received packet as is of use: two IPv6 headers and 8 bytes (an ICMP error that
/// quotes ours), with room for options.
pub const RECEIVE_LEN: usize = 160;

/// A packet to send.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing {
    /// What is sent.
    pub bytes: [u8; SEND_LEN],
    /// How much of it.
    pub len: usize,
    /// Where to; the port is ignored by raw sockets.
    pub to: SocketAddr,
}

/// Packets that came.
#[derive(Debug)]
pub struct Incoming {
    /// Made when the first packet is awaited.
    bytes: Vec<[u8; RECEIVE_LEN]>,
    lens: [usize; BATCH],
    from: [IpAddr; BATCH],
    count: usize,
}

impl Default for Incoming {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            lens: [0; BATCH],
            from: [IpAddr::V4(Ipv4Addr::UNSPECIFIED); BATCH],
            count: 0,
        }
    }
}

impl Incoming {
    /// The packets of the last call, each with its sender.
    pub fn packets(&self) -> impl Iterator<Item = (&[u8], IpAddr)> {
        let lens = self.lens.iter().zip(&self.from);
        self.bytes
            .iter()
            .zip(lens)
            .take(self.count)
            .map(|(bytes, (len, from))| (&bytes[..*len], *from))
    }

    /// Takes as many packets as there are, at most [`BATCH`]; 0 when there is none.
    ///
    /// # Errors
    /// `recvmmsg(2)`'s, but for EAGAIN.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.count = 0;
        self.bytes.resize(BATCH, [0; RECEIVE_LEN]);
        let mut addrs = [const { MaybeUninit::<libc::sockaddr_in6>::zeroed() }; BATCH];
        // SAFETY: both are C structures of integers and pointers, for which zeros are valid.
        let (mut slices, mut headers): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        for (index, bytes) in self.bytes.iter_mut().enumerate() {
            slices[index].iov_base = bytes.as_mut_ptr().cast();
            slices[index].iov_len = RECEIVE_LEN;
            let header = &mut headers[index].msg_hdr;
            header.msg_name = addrs[index].as_mut_ptr().cast();
            header.msg_namelen = len_of::<libc::sockaddr_in6>();
            header.msg_iov = &raw mut slices[index];
            header.msg_iovlen = 1;
        }
        // SAFETY: each header points at an address and a slice that live until the end of this
        // function, with their right lengths; the kernel keeps none of them.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                // BATCH is 32.
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        };
        for index in 0..count {
            self.lens[index] = (headers[index].msg_len as usize).min(RECEIVE_LEN);
            // SAFETY: zeroed at first, and then at most written by the kernel.
            self.from[index] = address(&unsafe { addrs[index].assume_init() });
        }
        self.count = count;
        Ok(count)
    }
}

/// Sends packets; says how many of them, from the first on, have left.
///
/// # Errors
/// What the first packet met, when not even that one has left.
pub fn send(socket: BorrowedFd<'_>, packets: &[Outgoing]) -> io::Result<usize> {
    send_each(socket, packets, |index, addr| addr.put(&packets[index].to))
}

/// Sends packets by a packet socket, each to a neighbour (there must be as many); says how many of
/// them, from the first on, have left.
///
/// # Errors
/// What the first packet met, when not even that one has left.
pub fn send_on_link(
    socket: BorrowedFd<'_>,
    packets: &[Outgoing],
    neighbours: &[libc::sockaddr_ll],
) -> io::Result<usize> {
    let packets = &packets[..packets.len().min(neighbours.len())];
    send_each(socket, packets, |index, addr| {
        addr.link = neighbours[index];
        len_of::<libc::sockaddr_ll>()
    })
}

/// Sends packets, of each of which `put` writes the address and says its length.
fn send_each(
    socket: BorrowedFd<'_>,
    packets: &[Outgoing],
    put: impl Fn(usize, &mut Addr) -> libc::socklen_t,
) -> io::Result<usize> {
    let packets = &packets[..packets.len().min(BATCH)];
    let mut addrs = [Addr::NONE; BATCH];
    // SAFETY: C structures of integers and pointers, for which zeros are valid.
    let (mut slices, mut headers): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) =
        unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    for (index, packet) in packets.iter().enumerate() {
        // The kernel does not write to what is sent.
        slices[index].iov_base = packet.bytes.as_ptr().cast_mut().cast();
        slices[index].iov_len = packet.len.min(SEND_LEN);
        let header = &mut headers[index].msg_hdr;
        header.msg_namelen = put(index, &mut addrs[index]);
        header.msg_name = (&raw mut addrs[index]).cast();
        header.msg_iov = &raw mut slices[index];
        header.msg_iovlen = 1;
    }
    // SAFETY: each header points at an address and a slice that live until the end of this function,
    // with their right lengths; the kernel keeps none of them. There are at most BATCH = 32.
    let count = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            packets.len() as libc::c_uint,
            libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// The way out is full for the moment.
pub fn is_short_of_room(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOBUFS | libc::EAGAIN | libc::ENOMEM | libc::EINTR)
    )
}

/// Has the kernel put the checksum of what this raw IPv6 socket sends at this offset (ipv6(7),
/// RFC 3542 §3.1).
///
/// # Errors
/// `setsockopt(2)`'s.
pub fn checksum_at(socket: BorrowedFd<'_>, offset: libc::c_int) -> io::Result<()> {
    // SAFETY: the option's value is an int that lives until the call returns, with its length.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IPV6,
            libc::IPV6_CHECKSUM,
            (&raw const offset).cast(),
            len_of::<libc::c_int>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A socket address of any of these families.
#[derive(Clone, Copy)]
union Addr {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
    link: libc::sockaddr_ll,
}

impl Addr {
    // SAFETY: C structures of integers, for which zeros are valid.
    const NONE: Self = Self {
        v6: unsafe { std::mem::zeroed() },
    };

    /// Puts an address in; says how long it is.
    fn put(&mut self, addr: &SocketAddr) -> libc::socklen_t {
        match addr {
            SocketAddr::V4(addr) => {
                self.v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: 0,
                    sin_addr: libc::in_addr {
                        s_addr: u32::from_ne_bytes(addr.ip().octets()),
                    },
                    sin_zero: [0; 8],
                };
                len_of::<libc::sockaddr_in>()
            }
            SocketAddr::V6(addr) => {
                self.v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: 0,
                    sin6_flowinfo: 0,
                    sin6_addr: libc::in6_addr {
                        s6_addr: addr.ip().octets(),
                    },
                    sin6_scope_id: addr.scope_id(),
                };
                len_of::<libc::sockaddr_in6>()
            }
        }
    }
}

/// The address in what the kernel wrote; the family tells how to read it.
fn address(from: &libc::sockaddr_in6) -> IpAddr {
    if i32::from(from.sin6_family) == libc::AF_INET6 {
        return Ipv6Addr::from(from.sin6_addr.s6_addr).into();
    }
    // SAFETY: sockaddr_in is the smaller of the two, of the same alignment, and all integers.
    let from = unsafe { &*std::ptr::from_ref(from).cast::<libc::sockaddr_in>() };
    Ipv4Addr::from(from.sin_addr.s_addr.to_ne_bytes()).into()
}

const fn len_of<T>() -> libc::socklen_t {
    // Socket structures are short.
    size_of::<T>() as libc::socklen_t
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    /// Datagrams take the same way as raw packets, and need no privilege.
    #[track_caller]
    fn there_and_back(local: &str) {
        let (Ok(sender), Ok(receiver)) = (UdpSocket::bind(local), UdpSocket::bind(local)) else {
            return; // a machine without IPv6
        };
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        let mut packets = [Outgoing {
            bytes: [7; SEND_LEN],
            len: 0,
            to: receiver.local_addr().unwrap(),
        }; 5];
        for (index, packet) in packets.iter_mut().enumerate() {
            packet.len = index + 1;
        }
        // A UDP socket would look at the port of the address, which raw sockets do not have.
        assert!(send(sender.as_fd(), &packets).is_err());
        for len in 1..=5 {
            sender.send(&[7; SEND_LEN][..len]).unwrap();
        }
        let mut incoming = Incoming::default();
        assert_eq!(incoming.receive(receiver.as_fd()).unwrap(), 5);
        let got: Vec<_> = incoming
            .packets()
            .map(|(bytes, from)| (bytes.to_vec(), from))
            .collect();
        for (index, (bytes, from)) in got.iter().enumerate() {
            assert_eq!(bytes, &vec![7; index + 1]);
            assert_eq!(*from, sender.local_addr().unwrap().ip());
        }
        assert_eq!(incoming.receive(receiver.as_fd()).unwrap(), 0);
        assert_eq!(incoming.packets().count(), 0);
    }

    #[test]
    fn packets_go_there_and_come_back() {
        there_and_back("127.0.0.1:0");
        there_and_back("[::1]:0");
    }
}
