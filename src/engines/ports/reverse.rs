//! The names that the DNS has for addresses. May depend on `services` for escaping only.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use super::services::escaped;

/// Lookups at the same time. Each is a thread that waits for the system's resolver.
const AT_ONCE: usize = 16;

/// How long a name is waited for, its turn included.
const LIMIT: Duration = Duration::from_secs(2);

/// After so many lookups in a row that took too long the resolver is taken to be dead.
const MOST_LATE: u32 = 32;

/// Longest name (RFC 1035 §2.3.4), bytes.
const MOST_BYTES: usize = 255;

/// How an address is looked up.
type Lookup = fn(&IpAddr) -> Option<String>;

/// Names of addresses, from the system's resolver.
#[derive(Debug)]
pub(super) struct Reverse {
    seats: Arc<Semaphore>,
    late: AtomicU32,
    /// Lookups that took too long, in all.
    missed: AtomicU32,
    /// How long a name is waited for, its turn included.
    limit: Duration,
    lookup: Lookup,
}

impl Reverse {
    /// By getnameinfo(3).
    pub fn of_system() -> Self {
        Self::by(|addr| dns_lookup::lookup_addr(addr).ok(), LIMIT)
    }

    fn by(lookup: Lookup, limit: Duration) -> Self {
        Self {
            seats: Arc::new(Semaphore::new(AT_ONCE)),
            late: AtomicU32::new(0),
            missed: AtomicU32::new(0),
            limit,
            lookup,
        }
    }

    /// The name of an address, escaped; `None` when there is none, or none in time. Loopback is not
    /// asked for.
    pub async fn name(&self, addr: IpAddr) -> Option<String> {
        let addr = addr.to_canonical();
        if addr.is_loopback() || addr.is_unspecified() || self.gave_up() {
            return None;
        }
        match tokio::time::timeout(self.limit, self.ask(addr)).await {
            Ok(name) => {
                self.late.store(0, Relaxed);
                name.and_then(|name| tidy(&name))
            }
            Err(_) => {
                self.late.fetch_add(1, Relaxed);
                self.missed.fetch_add(1, Relaxed);
                None
            }
        }
    }

    /// What to tell of names that are missing because the resolver was too slow.
    pub fn note(&self) -> Option<String> {
        if self.gave_up() {
            return Some("the resolver does not answer: some hosts have no name".to_owned());
        }
        let missed = self.missed.load(Relaxed);
        let limit = self.limit.as_secs();
        (missed > 0).then(|| {
            format!("the resolver did not answer within {limit} s for {missed} addresses: they have no name")
        })
    }

    /// The resolver did not answer for so long that it is not asked any more.
    fn gave_up(&self) -> bool {
        self.late.load(Relaxed) >= MOST_LATE
    }

    async fn ask(&self, addr: IpAddr) -> Option<String> {
        let seat = Arc::clone(&self.seats).acquire_owned().await.ok()?;
        let (sender, name) = oneshot::channel();
        let lookup = self.lookup;
        // A thread of its own: the runtime would wait for one of its pool when it ends, and the
        // resolver may take half a minute. The seat is taken as long as the thread is there.
        std::thread::Builder::new()
            .name("reverse-dns".to_owned())
            .spawn(move || {
                let _seat = seat;
                // Nobody waits any more: it was too late.
                let _ = sender.send(lookup(&addr));
            })
            .ok()?;
        name.await.ok().flatten()
    }
}

/// A name as it may be shown. getnameinfo(3) gives the address where there is no name.
pub(super) fn tidy(name: &str) -> Option<String> {
    let name = name.trim_end_matches('.');
    let sound = !name.is_empty() && name.len() <= MOST_BYTES && name.parse::<IpAddr>().is_err();
    // A zone is the only thing with % in it, and belongs to an address.
    (sound && !name.contains('%')).then(|| escaped(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[tokio::test]
    async fn names_are_tidy_and_loopback_is_not_asked_for() {
        let names = Reverse::by(|_| Some("db.example.org.".to_owned()), LIMIT);
        assert_eq!(names.name(ADDR).await.unwrap(), "db.example.org");
        assert_eq!(names.name([127, 0, 0, 1].into()).await, None);
        assert_eq!(tidy("192.0.2.1"), None);
        assert_eq!(tidy("fe80::1%eth0"), None);
        assert_eq!(tidy(""), None);
        assert_eq!(tidy(&"a".repeat(300)), None);
        let steered = tidy("\x1b[31mx").unwrap();
        assert!(!steered.contains('\x1b'), "{steered}");
    }

    #[tokio::test]
    async fn a_resolver_that_hangs_is_given_up() {
        let names = Reverse::by(|_| None, Duration::from_millis(1));
        // As if by lookups that do not end.
        let _seats = Arc::clone(&names.seats)
            .acquire_many_owned(u32::try_from(AT_ONCE).unwrap())
            .await
            .unwrap();
        for _ in 0..MOST_LATE {
            assert!(!names.gave_up());
            assert_eq!(names.name(ADDR).await, None);
            assert!(names.note().unwrap().contains("resolver"));
        }
        assert!(names.gave_up());
    }
}
