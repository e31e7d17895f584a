//! Which way packets take: asked of the kernel's tables, remembered for a while.

use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::link::{LinkAttribute, LinkLayerType, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use super::notes::Notes;

/// The address of a card.
pub type Mac = [u8; 6];

/// A way to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// By a link: to a router on it, or to the address itself.
    Link {
        /// The interface.
        interface: u32,
        /// The router.
        gateway: Option<Ipv4Addr>,
    },
    /// To this very machine, or through a tunnel.
    Other,
}

/// What the kernel knows.
pub trait Tables {
    /// The way to an address, if there is one.
    fn route(&mut self, to: Ipv4Addr) -> Option<Route>;
    /// The card that has an address, if the kernel is sure of it.
    fn neighbour(&mut self, interface: u32, addr: Ipv4Addr) -> Option<Mac>;
    /// The name of an interface, and whether it is one of Ethernet.
    fn interface(&mut self, interface: u32) -> Option<(String, bool)>;
}

/// How long an answer of the kernel's holds.
const HOLDS: Duration = Duration::from_secs(5);

/// When a neighbour that was not known is asked for again: a packet over a raw socket has the kernel
/// find out.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// Places for routes and for neighbours that are remembered; each goes into one of them.
const ROUTES: usize = 4096;
const NEIGHBOURS: usize = 1024;

/// The kernel's answers.
pub struct Ways<T> {
    tables: T,
    routes: Box<[Option<Known>]>,
    neighbours: Box<[Option<Near>]>,
    /// Interfaces of Ethernet and others.
    interfaces: Vec<(u32, bool)>,
    /// It was said that some ways are no matter of a link.
    told: bool,
    notes: Notes,
}

/// The route to an address, or the one of a whole /24; `None`: none, or not the same.
#[derive(Debug, Clone, Copy)]
struct Known {
    addr: Ipv4Addr,
    whole: bool,
    route: Option<Route>,
    until: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Near {
    interface: u32,
    addr: Ipv4Addr,
    mac: Option<Mac>,
    until: Instant,
}

impl<T: Tables> Ways<T> {
    /// Nothing is known yet.
    pub fn new(tables: T, notes: Notes) -> Self {
        Self {
            tables,
            routes: vec![None; ROUTES].into_boxed_slice(),
            neighbours: vec![None; NEIGHBOURS].into_boxed_slice(),
            interfaces: Vec::new(),
            told: false,
            notes,
        }
    }

    /// The interface and the card by which an address is reached; `None` where that is not known, or
    /// where the link is not Ethernet. `narrow`: others of its /24 may be reached in another way.
    pub fn card_for(&mut self, to: Ipv4Addr, narrow: bool, now: Instant) -> Option<(u32, Mac)> {
        let whole = match narrow {
            true => None,
            false => self.route(Ipv4Addr::from_bits(to.to_bits() & !0xff), true, now),
        };
        let Route::Link { interface, gateway } = whole.or_else(|| self.route(to, false, now))?
        else {
            self.tell_of_others();
            return None;
        };
        let next = gateway.unwrap_or(to);
        if !self.is_ethernet(interface) {
            return None;
        }
        let slot = place(next, NEIGHBOURS);
        let known = self.neighbours[slot]
            .filter(|near| near.interface == interface && near.addr == next && near.until > now);
        let near = known.unwrap_or_else(|| {
            let mac = self.tables.neighbour(interface, next);
            Near {
                interface,
                addr: next,
                mac,
                until: now + if mac.is_some() { HOLDS } else { ASK_AGAIN },
            }
        });
        self.neighbours[slot] = Some(near);
        Some((interface, near.mac?))
    }

    fn route(&mut self, addr: Ipv4Addr, whole: bool, now: Instant) -> Option<Route> {
        let slot = place(addr, ROUTES);
        let known = self.routes[slot]
            .filter(|known| known.addr == addr && known.whole == whole && known.until > now);
        let known = known.unwrap_or_else(|| Known {
            addr,
            whole,
            route: match whole {
                true => self.route_of_all(addr),
                false => self.tables.route(addr),
            },
            until: now + HOLDS,
        });
        self.routes[slot] = Some(known);
        known.route
    }

    /// The route of a /24, as far as can be seen from its ends.
    fn route_of_all(&mut self, net: Ipv4Addr) -> Option<Route> {
        let [first, last] = [1, 254].map(|last| Ipv4Addr::from_bits(net.to_bits() | last));
        let route = self.tables.route(first)?;
        (self.tables.route(last)? == route).then_some(route)
    }

    fn tell_of_others(&mut self) {
        if !self.told {
            self.told = true;
            let note = "no packet ring to this very machine and through tunnels: scanned over raw sockets there";
            self.notes.say(note.to_owned());
        }
    }

    fn is_ethernet(&mut self, interface: u32) -> bool {
        let known = self
            .interfaces
            .iter()
            .find(|(index, _)| *index == interface);
        if let Some((_, ethernet)) = known {
            return *ethernet;
        }
        let (name, ethernet) = self.tables.interface(interface).unwrap_or_default();
        if !ethernet {
            self.notes.say(format!(
                "no packet ring on {name}, which is no Ethernet: scanned over raw sockets there"
            ));
        }
        self.interfaces.push((interface, ethernet));
        ethernet
    }
}

/// Where an address is remembered. Multiplied, as neighbours follow each other (Knuth, TAOCP 6.4).
fn place(addr: Ipv4Addr, places: usize) -> usize {
    let hash = addr.to_bits().wrapping_mul(0x9e37_79b1);
    (hash >> 16) as usize % places
}

/// The tables of this machine, over `rtnetlink(7)`.
pub struct Kernel {
    socket: Socket,
    answer: Vec<u8>,
    /// Number of the last question.
    number: u32,
}

/// Longer than what is said of one route, neighbour or interface.
const ANSWER_LEN: usize = 1 << 15;

impl Kernel {
    /// A way to ask.
    ///
    /// # Errors
    /// EAFNOSUPPORT where a sandbox does not allow it.
    pub fn open() -> io::Result<Self> {
        let socket = Socket::new(NETLINK_ROUTE)?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self {
            socket,
            answer: Vec::with_capacity(ANSWER_LEN),
            number: 0,
        })
    }

    fn ask(&mut self, question: RouteNetlinkMessage) -> Option<RouteNetlinkMessage> {
        self.number = self.number.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        header.sequence_number = self.number;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(question));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0).ok()?;
        loop {
            self.answer.clear();
            // The kernel has answered before `send` returned.
            self.socket
                .recv(&mut self.answer, libc::MSG_DONTWAIT)
                .ok()?;
            let (header, payload) = NetlinkMessage::deserialize(&self.answer).ok()?.into_parts();
            match payload {
                // An answer to an earlier question, which was not waited for.
                _ if header.sequence_number != self.number => {}
                NetlinkPayload::InnerMessage(answer) => return Some(answer),
                _ => return None,
            }
        }
    }
}

impl Tables for Kernel {
    fn route(&mut self, to: Ipv4Addr) -> Option<Route> {
        let mut question = RouteMessage::default();
        question.header.address_family = AddressFamily::Inet;
        question.header.destination_prefix_length = 32;
        question
            .attributes
            .push(RouteAttribute::Destination(RouteAddress::Inet(to)));
        match self.ask(RouteNetlinkMessage::GetRoute(question))? {
            RouteNetlinkMessage::NewRoute(answer) => Some(route_in(&answer)),
            _ => None,
        }
    }

    fn neighbour(&mut self, interface: u32, addr: Ipv4Addr) -> Option<Mac> {
        let mut question = NeighbourMessage::default();
        question.header.family = AddressFamily::Inet;
        question.header.ifindex = interface;
        question
            .attributes
            .push(NeighbourAttribute::Destination(NeighbourAddress::Inet(
                addr,
            )));
        match self.ask(RouteNetlinkMessage::GetNeighbour(question))? {
            RouteNetlinkMessage::NewNeighbour(answer) => card_in(&answer),
            _ => None,
        }
    }

    fn interface(&mut self, interface: u32) -> Option<(String, bool)> {
        let mut question = LinkMessage::default();
        question.header.index = interface;
        let RouteNetlinkMessage::NewLink(answer) =
            self.ask(RouteNetlinkMessage::GetLink(question))?
        else {
            return None;
        };
        let name = answer.attributes.into_iter().find_map(|it| match it {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        });
        let ethernet = answer.header.link_layer_type == LinkLayerType::Ether;
        Some((name.unwrap_or_default(), ethernet))
    }
}

fn route_in(answer: &RouteMessage) -> Route {
    let (mut link, mut router) = (None, None);
    let mut plain = answer.header.kind == RouteType::Unicast;
    for attribute in &answer.attributes {
        match attribute {
            RouteAttribute::Oif(index) => link = Some(*index),
            RouteAttribute::Gateway(RouteAddress::Inet(addr)) => router = Some(*addr),
            RouteAttribute::Gateway(_)
            | RouteAttribute::Via(_)
            | RouteAttribute::Encap(_)
            | RouteAttribute::EncapType(_) => plain = false,
            _ => {}
        }
    }
    match link {
        Some(interface) if plain => Route::Link {
            interface,
            gateway: router,
        },
        _ => Route::Other,
    }
}

/// The card, in a state in which the kernel itself would send to it and finds out when it is gone. An
/// entry that is stale it verifies only when it sends something: then the packet is left to it.
fn card_in(answer: &NeighbourMessage) -> Option<Mac> {
    let sure = matches!(
        answer.header.state,
        NeighbourState::Permanent
            | NeighbourState::Reachable
            | NeighbourState::Delay
            | NeighbourState::Probe
    );
    let mac = answer.attributes.iter().find_map(|it| match it {
        NeighbourAttribute::LinkLayerAddress(bytes) => Mac::try_from(bytes.as_slice()).ok(),
        _ => None,
    });
    mac.filter(|_| sure)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
    const CARD: Mac = [2, 0, 0, 0, 0, 9];

    /// 10.0.0.0/24 is on interface 2, 127.0.0.0/8 on 1, the rest behind the gateway.
    #[derive(Default)]
    struct Fake {
        gateway: Option<Mac>,
        routes: usize,
        neighbours: usize,
    }

    impl Tables for Fake {
        fn route(&mut self, to: Ipv4Addr) -> Option<Route> {
            self.routes += 1;
            let (interface, gateway) = match to.octets() {
                [192, ..] => return None,
                [127, ..] => (1, None),
                [10, 0, 0, _] => (2, None),
                _ => (2, Some(GATEWAY)),
            };
            Some(Route::Link { interface, gateway })
        }

        fn neighbour(&mut self, _: u32, addr: Ipv4Addr) -> Option<Mac> {
            self.neighbours += 1;
            self.gateway.filter(|_| addr == GATEWAY)
        }

        fn interface(&mut self, interface: u32) -> Option<(String, bool)> {
            Some((format!("if{interface}"), interface == 2))
        }
    }

    #[test]
    fn a_gateway_is_asked_for_until_it_is_known() {
        let mut ways = Ways::new(Fake::default(), Notes::default());
        let to = Ipv4Addr::new(8, 8, 8, 8);
        let now = Instant::now();
        for _ in 0..3 {
            assert_eq!(ways.card_for(to, false, now), None);
        }
        assert_eq!((ways.tables.routes, ways.tables.neighbours), (2, 1));
        ways.tables.gateway = Some(CARD);
        let later = now + ASK_AGAIN;
        for last in 0..9 {
            let to = Ipv4Addr::new(8, 8, 8, last);
            assert_eq!(ways.card_for(to, false, later), Some((2, CARD)));
        }
        assert_eq!((ways.tables.routes, ways.tables.neighbours), (2, 2));
        // Where single addresses have ways of their own each is asked for.
        for last in 0..9 {
            let to = Ipv4Addr::new(8, 8, 8, last);
            assert_eq!(ways.card_for(to, true, later), Some((2, CARD)));
        }
        assert_eq!((ways.tables.routes, ways.tables.neighbours), (11, 2));
        // What was known may not hold for ever.
        ways.tables.gateway = None;
        assert_eq!(ways.card_for(to, false, later + HOLDS), None);
    }

    #[test]
    fn other_links_are_not_for_packet_sockets() {
        let notes = Notes::default();
        let mut ways = Ways::new(Fake::default(), notes.clone());
        let now = Instant::now();
        for _ in 0..2 {
            assert_eq!(ways.card_for(Ipv4Addr::LOCALHOST, false, now), None);
        }
        let nowhere = Ipv4Addr::new(192, 0, 2, 1);
        assert_eq!(ways.card_for(nowhere, false, now), None);
        let said = notes.take();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("if1"), "{said:?}");
    }

    #[test]
    fn answers_are_read() {
        let mut answer = RouteMessage::default();
        answer.header.kind = RouteType::Unicast;
        answer.attributes = vec![
            RouteAttribute::Oif(2),
            RouteAttribute::Gateway(RouteAddress::Inet(GATEWAY)),
        ];
        let link = |gateway| Route::Link {
            interface: 2,
            gateway,
        };
        assert_eq!(route_in(&answer), link(Some(GATEWAY)));
        answer.header.kind = RouteType::Local;
        assert_eq!(route_in(&answer), Route::Other);
        answer.header.kind = RouteType::Unicast;
        answer.attributes.remove(1);
        assert_eq!(route_in(&answer), link(None));

        let mut answer = NeighbourMessage::default();
        answer.attributes = vec![NeighbourAttribute::LinkLayerAddress(CARD.to_vec())];
        for (state, card) in [
            (NeighbourState::Reachable, Some(CARD)),
            (NeighbourState::Stale, None),
            (NeighbourState::Failed, None),
        ] {
            answer.header.state = state;
            assert_eq!(card_in(&answer), card);
        }
    }

    #[test]
    fn the_kernel_is_asked() {
        let mut kernel = Kernel::open().unwrap();
        assert_eq!(kernel.route(Ipv4Addr::LOCALHOST), Some(Route::Other));
        assert_eq!(kernel.interface(1), Some(("lo".to_owned(), false)));
        assert_eq!(kernel.neighbour(1, Ipv4Addr::new(127, 9, 9, 9)), None);
    }
}
