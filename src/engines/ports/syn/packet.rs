//! `packet(7)`: a socket below the IP layer, with its ring of received packets. The one place of the
//! packet ring with `unsafe`: the ring is memory that the kernel writes to.
#![allow(unsafe_code)]

use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::{Domain, SockFilter, Socket, Type};

/// Bytes of a place for one packet: the kernel's header, 16 bytes, and as much of the packet as is of
/// use, with room for IP options.
const FRAME: usize = 256;

/// Places in the ring. At 200,000 answers a second it is full after 80 ms.
const FRAMES: usize = 16_384;

/// The kernel gives memory in blocks of this size, a multiple of the page.
const BLOCK: usize = 1 << 16;

const RING: usize = FRAME * FRAMES;

/// A packet socket that hears, on all interfaces, the IPv4 packets that a filter lets through, without
/// what the link puts around them.
#[derive(Debug)]
pub struct PacketSocket {
    socket: Socket,
    ring: NonNull<u8>,
    /// The place that the kernel fills next.
    next: usize,
}

// SAFETY: the ring is memory of this value alone, which unmaps it when it is dropped; the kernel does
// not mind which thread reads.
unsafe impl Send for PacketSocket {}

impl PacketSocket {
    /// Opens one; needs CAP_NET_RAW.
    ///
    /// # Errors
    /// EPERM without the right, EAFNOSUPPORT where a sandbox does not allow it; else what the kernel
    /// says.
    pub fn open(filter: &[SockFilter]) -> io::Result<Self> {
        // Of no protocol it hears nothing until it is bound.
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, None)?;
        socket.attach_filter(filter)?;
        // Version 2: a packet is seen as soon as it is there. Version 3 hands over blocks, of which the
        // last one waits for its timer, and would spoil the round trips; it was no faster.
        set(
            &socket,
            libc::PACKET_VERSION,
            &libc::tpacket_versions::TPACKET_V2,
        )?;
        // No queue on the way out: what the interface has no room for is told and not dropped.
        set(&socket, libc::PACKET_QDISC_BYPASS, &1_i32)?;
        let request = libc::tpacket_req {
            tp_block_size: BLOCK as libc::c_uint,
            tp_block_nr: (RING / BLOCK) as libc::c_uint,
            tp_frame_size: FRAME as libc::c_uint,
            tp_frame_nr: FRAMES as libc::c_uint,
        };
        set(&socket, libc::PACKET_RX_RING, &request)?;
        // SAFETY: a new mapping at an address that the kernel chooses; the ring that was asked for
        // above is as long as that.
        let ring = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                RING,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.as_raw_fd(),
                0,
            )
        };
        if ring == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let Some(ring) = NonNull::new(ring.cast()) else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        let socket = Self {
            socket,
            ring,
            next: 0,
        };
        socket.bind()?;
        Ok(socket)
    }

    /// From now on it hears IPv4 on all interfaces. A socket for one protocol, unlike one for all of
    /// them, does not hear what this machine sends.
    fn bind(&self) -> io::Result<()> {
        let addr = link(0, [0; 6]);
        // SAFETY: an address of the family of the socket that lives until the call returns, with its
        // length.
        let result = unsafe {
            libc::bind(
                self.socket.as_raw_fd(),
                (&raw const addr).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        match result {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// To wait for packets, and to send.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Has each packet that has come looked at, from its IP header on; at most as many as the ring
    /// holds.
    pub fn receive(&mut self, mut look: impl FnMut(&[u8])) {
        for _ in 0..FRAMES {
            // SAFETY: `next` is below FRAMES, so that the place is inside the mapping, and at a
            // multiple of FRAME, so that it is aligned for its header.
            let place = unsafe { self.ring.add(self.next * FRAME) };
            // SAFETY: the header begins with the status, a u32 that the kernel and we change in turns.
            let status = unsafe { AtomicU32::from_ptr(status_of(place)) };
            if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
                return;
            }
            // SAFETY: while the status says that the place is ours the kernel does not write to it,
            // and it lives as long as `self`, which `look` cannot keep it beyond.
            let bytes = unsafe { std::slice::from_raw_parts(place.as_ptr(), FRAME) };
            if let Some(packet) = packet(bytes) {
                look(packet);
            }
            status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
            self.next = (self.next + 1) % FRAMES;
        }
    }
}

impl Drop for PacketSocket {
    fn drop(&mut self) {
        // SAFETY: mapped with this length by `open`, and no slice of it is left.
        unsafe { libc::munmap(self.ring.as_ptr().cast(), RING) };
    }
}

fn status_of(place: NonNull<u8>) -> *mut u32 {
    let status = place.as_ptr().cast::<libc::tpacket2_hdr>();
    // SAFETY: the address of a field, inside the place.
    unsafe { &raw mut (*status).tp_status }
}

/// The packet in a place of the ring, by what its header says.
fn packet(place: &[u8]) -> Option<&[u8]> {
    let long = |at: usize| Some(u32::from_ne_bytes(*place.get(at..)?.first_chunk()?) as usize);
    let half = |at: usize| Some(u16::from_ne_bytes(*place.get(at..)?.first_chunk()?) as usize);
    let len = long(offset_of!(libc::tpacket2_hdr, tp_snaplen))?;
    let begin = half(offset_of!(libc::tpacket2_hdr, tp_net))?;
    place.get(begin..begin + len)
}

/// The address of a neighbour on the link of an interface.
pub fn link(interface: u32, mac: [u8; 6]) -> libc::sockaddr_ll {
    let mut addr = [0; 8];
    addr[..6].copy_from_slice(&mac);
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as libc::c_ushort,
        sll_protocol: (libc::ETH_P_IP as u16).to_be(),
        // The kernel's numbers of interfaces are positive ints.
        sll_ifindex: interface.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: addr,
    }
}

fn set<T>(socket: &Socket, option: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: a C structure or an int, which lives until the call returns, with its length.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_holds_a_packet() {
        let mut place = vec![0; FRAME];
        let mut put = |at: usize, bytes: &[u8]| place[at..at + bytes.len()].copy_from_slice(bytes);
        put(
            offset_of!(libc::tpacket2_hdr, tp_snaplen),
            &3_u32.to_ne_bytes(),
        );
        put(
            offset_of!(libc::tpacket2_hdr, tp_net),
            &80_u16.to_ne_bytes(),
        );
        put(80, &[1, 2, 3, 4]);
        assert_eq!(packet(&place), Some(&[1, 2, 3][..]));
        place[offset_of!(libc::tpacket2_hdr, tp_snaplen)] = 255;
        assert_eq!(packet(&place), None);
    }

    #[test]
    fn a_neighbour_is_named_by_interface_and_address() {
        let addr = link(7, [2, 0, 0, 0, 0, 9]);
        assert_eq!((addr.sll_ifindex, addr.sll_halen), (7, 6));
        assert_eq!(addr.sll_protocol.to_be(), 0x0800);
        assert_eq!(addr.sll_addr, [2, 0, 0, 0, 0, 9, 0, 0]);
    }
}
