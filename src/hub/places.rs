//! Room for connections: so many in all, and so many of one address.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::access::network;

/// Room for connections from the network.
pub(super) struct Places {
    all: Arc<Semaphore>,
    of_one: usize,
    taken: Arc<Taken>,
}

/// How many each address has. An IPv6 address counts as its network.
#[derive(Default)]
struct Taken(Mutex<HashMap<IpAddr, usize>>);

/// A place that is kept for one connection; it is free again with the end of this.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    of: Option<(Arc<Taken>, IpAddr)>,
}

impl Places {
    /// So many in all, and so many of one address.
    pub(super) fn new(all: usize, of_one: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            of_one,
            taken: Arc::default(),
        }
    }

    /// A place for whoever comes next.
    pub(super) async fn next(&self) -> io::Result<Place> {
        let permit = Arc::clone(&self.all).acquire_owned().await;
        Ok(Place {
            _permit: permit.map_err(io::Error::other)?,
            of: None,
        })
    }

    /// Makes it the place of this address; `None` when that has as many as it can have.
    pub(super) fn give(&self, mut place: Place, to: IpAddr) -> Option<Place> {
        let address = network(to);
        let mut taken = self.taken.lock();
        let count = taken.entry(address).or_default();
        if *count >= self.of_one {
            return None;
        }
        *count += 1;
        place.of = Some((Arc::clone(&self.taken), address));
        Some(place)
    }
}

impl Taken {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((taken, address)) = &self.of else {
            return;
        };
        let mut taken = taken.lock();
        if let Some(count) = taken.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_address_has_its_share() {
        let places = Places::new(16, 2);
        let take = async |address: &str| {
            let place = places.next().await.unwrap();
            places.give(place, address.parse().unwrap())
        };
        let first = take("10.0.0.1").await;
        let second = take("::ffff:10.0.0.1").await;
        assert!(first.is_some() && second.is_some());
        assert!(take("10.0.0.1").await.is_none());
        let other = take("10.0.0.2").await;
        assert!(other.is_some());
        let v6 = [take("2001:db8::1").await, take("2001:db8::2").await];
        assert!(v6.iter().all(Option::is_some));
        assert!(take("2001:db8::3").await.is_none(), "the same network");
        let next = take("2001:db8:0:1::1").await;
        assert!(next.is_some());
        drop(first);
        let again = take("10.0.0.1").await;
        assert!(again.is_some());
        assert_eq!(places.all.available_permits(), 16 - 6);
        drop((second, other, v6, next, again));
        assert!(places.taken.lock().is_empty(), "nobody is remembered");
        assert_eq!(places.all.available_permits(), 16);
    }
}
