//! The packet ring, for who has asked for it: IPv4 by a packet socket (`packet(7)`), which costs a sixth
//! less than raw IP sockets, and which passes by the machine's firewall, nftables and systemd's
//! `IPAddressDeny=` alike. The scope is then held here alone.
//!
//! Packets are sent by `sendmmsg(2)` and not through a transmit ring (`PACKET_TX_RING`): of packets this
//! short a ring saves nothing (measured on veth: 4 to 5 % more CPU), and its places are still read by
//! the driver when the next packet is written to them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use super::mmsg::{self, BATCH, Outgoing};
use super::notes::Notes;
use super::packet::{self, PacketSocket};
use super::shared::Shared;
use super::socket::ipv4_tcp_to;
use super::ways::{Kernel, Mac, Tables, Ways};

/// The packet socket of one worker, and the ways from it.
pub struct Ring {
    socket: PacketSocket,
    paths: Paths<Kernel>,
    notes: Notes,
    /// The last packets went on the link, not over the raw socket.
    on_link: bool,
    /// The link did not take packets: from then on all go over the raw socket.
    off: bool,
}

/// Which of the packets may go on the link, and to which card.
struct Paths<T> {
    shared: Arc<Shared>,
    ways: Ways<T>,
}

impl Ring {
    /// A ring that hears answers to this port.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW, EAFNOSUPPORT where a sandbox does not allow it; else what the kernel
    /// says.
    pub fn open(port: u16, shared: Arc<Shared>, notes: Notes) -> io::Result<Self> {
        Ok(Self {
            socket: PacketSocket::open(&ipv4_tcp_to(port))?,
            paths: Paths {
                shared,
                ways: Ways::new(Kernel::open()?, notes.clone()),
            },
            notes,
            on_link: false,
            off: false,
        })
    }

    /// Sends IPv4 packets, each to the card by which its target is reached, or where that is not known
    /// over the raw socket: the kernel finds out then. Says how many, from the first on, have left.
    ///
    /// # Errors
    /// What the first packet met, when not even that one has left.
    pub fn send(&mut self, raw: BorrowedFd<'_>, packets: &[Outgoing]) -> io::Result<usize> {
        let packets = &packets[..packets.len().min(BATCH)];
        let now = Instant::now();
        let mut cards = [packet::link(0, [0; 6]); BATCH];
        let mut count = 0;
        let mut over_raw = 0;
        for packet in packets {
            let card = match self.off {
                true => None,
                false => self.paths.card_for(&packet.to, now),
            };
            match card {
                Some((interface, mac)) if over_raw == 0 => {
                    cards[count] = packet::link(interface, mac);
                    count += 1;
                }
                None if count == 0 => over_raw += 1,
                _ => break,
            }
        }
        self.on_link = count > 0;
        if count == 0 {
            return mmsg::send(raw, &packets[..over_raw]);
        }
        match mmsg::send_on_link(self.socket.fd(), &packets[..count], &cards[..count]) {
            Err(error) if !mmsg::is_short_of_room(&error) => {
                self.notes.say(format!(
                    "the packet socket failed ({error}): the rest was scanned over raw sockets"
                ));
                self.off = true;
                self.on_link = false;
                mmsg::send(raw, &packets[..count])
            }
            result => result,
        }
    }

    /// Whether the last packets went on the link: then no packets wait in the kernel for a neighbour.
    pub fn was_on_link(&self) -> bool {
        self.on_link
    }

    /// Has each packet that has come looked at, from its IP header on.
    pub fn receive(&mut self, look: impl FnMut(&[u8])) {
        self.socket.receive(look);
    }

    /// To wait for answers.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.fd()
    }
}

impl<T: Tables> Paths<T> {
    fn card_for(&mut self, to: &SocketAddr, now: Instant) -> Option<(u32, Mac)> {
        let IpAddr::V4(addr) = to.ip() else {
            return None;
        };
        // Nothing behind this line would stop it: what is no target of this scan, all of which are in
        // scope, stays where the firewall sees it.
        self.shared.plan.targets().place(addr.into())?;
        let narrow = self.shared.sources.is_narrow(addr);
        self.ways.card_for(addr, narrow, now)
    }
}

#[cfg(test)]
mod tests {
    use crate::engines::ports::rate::Rates;
    use crate::engines::ports::{Plan, PortSet, ScanOptions, Targets};

    use std::net::Ipv4Addr;

    use super::super::ways::Route;
    use super::*;

    struct Near;

    impl Tables for Near {
        fn route(&mut self, _: Ipv4Addr) -> Option<Route> {
            Some(Route::Link {
                interface: 2,
                gateway: None,
            })
        }
        fn neighbour(&mut self, _: u32, _: Ipv4Addr) -> Option<Mac> {
            Some([7; 6])
        }
        fn interface(&mut self, _: u32) -> Option<(String, bool)> {
            Some(("eth0".to_owned(), true))
        }
    }

    #[test]
    fn only_targets_go_on_the_link() {
        let targets: Targets = "10.0.0.0/30".parse().unwrap();
        let plan = Plan::new(targets, &PortSet::tcp("80").unwrap(), 1);
        let options = ScanOptions::default();
        let rates = Arc::new(Rates::new(&options, 4));
        let mut paths = Paths {
            shared: Arc::new(Shared::new(Arc::new(plan), rates, &options, 1)),
            ways: Ways::new(Near, Notes::default()),
        };
        let mut card = |to: &str| paths.card_for(&to.parse().unwrap(), Instant::now());
        assert_eq!(card("10.0.0.3:0"), Some((2, [7; 6])));
        assert_eq!(card("10.0.0.4:0"), None);
        assert_eq!(card("[::1]:0"), None);
    }
}
