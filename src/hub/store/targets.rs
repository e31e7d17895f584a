//! Targets at scale: many at once, whole networks, and what is changed about them later.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ipnet::IpNet;
use uuid::Uuid;

use super::{Claim, Claimed, NewRecord, Result};
use crate::api::{Target, WorkKind};

/// What a store does with targets beyond one at a time.
#[async_trait]
pub trait Targets: Send + Sync {
    /// Adds records in few statements; one whose key is known is left as it is. Gives the number of
    /// new ones.
    async fn import(&self, records: Vec<NewRecord>, now: DateTime<Utc>) -> Result<u64>;

    /// Leases due records as [`super::Store::claim`] does. When there are fewer than asked for, the
    /// next addresses of networks become records first, as far as they are in reach; each network
    /// has its turn. When there are enough, a quarter of what is asked for is still such addresses,
    /// counted over all claims: what is due could come due again as fast as it is done, for ever.
    async fn claim_expanding(&self, claim: Claim, reach: Reach) -> Result<Vec<Claimed>>;

    /// Changes a target; `None` when there is none. Nothing is due for one that takes no part any
    /// more (a lease that somebody holds ends as leases do), and one that takes part again is due
    /// when it would have been. While a network takes no part, nor does any address in it, whichever
    /// way it came.
    async fn change_target(
        &self,
        id: Uuid,
        change: TargetChange,
        now: DateTime<Utc>,
    ) -> Result<Option<Target>>;

    /// Makes the same change to some of the records that the addresses of a network became, those
    /// after this one; gives the last of them, `None` when there was none.
    async fn change_expanded(
        &self,
        network: Uuid,
        after: Option<Uuid>,
        limit: u32,
        change: TargetChange,
        now: DateTime<Utc>,
    ) -> Result<Option<Uuid>>;

    /// Stops a network and removes some of the records that its addresses became; gives how many
    /// these were. Zero: none is left.
    async fn delete_expanded(&self, network: Uuid, limit: u32) -> Result<u64>;
}

/// Addresses from the first to the last, those of IPv4 as `::ffff:a.b.c.d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressRange {
    /// The first.
    pub first: u128,
    /// The last.
    pub last: u128,
}

impl AddressRange {
    /// Every address of a network, the first and the last included, as nmap does.
    pub fn of(net: IpNet) -> Self {
        Self {
            first: number(net.network()),
            last: number(net.broadcast()),
        }
    }

    /// Whether all of the other is in it.
    pub fn covers(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }
}

/// Which addresses of networks may become records.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// Those that may at all, in order and without overlaps. Others are jumped over.
    pub allowed: Arc<[AddressRange]>,
    /// Those that must not for now. A network that has come to one waits.
    pub not_now: Vec<Spared>,
}

/// Addresses that are left alone for some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spared {
    /// Which.
    pub range: AddressRange,
    /// Until when.
    pub until: DateTime<Utc>,
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The address of a number.
pub fn address(number: u128) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(number)).to_canonical()
}

/// What is to be changed about a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetChange {
    /// Whether it takes part at all.
    pub alive: Option<bool>,
    /// Whether it is set aside.
    pub skip_scan: Option<bool>,
    /// Its group; the inner `None` takes it out of any.
    pub group: Option<Option<String>>,
}

/// The order of a list of targets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TargetSort {
    /// Oldest first.
    #[default]
    Created,
    /// Newest first.
    Newest,
    /// By name, address or network as text.
    Target,
    /// The same, backwards.
    TargetBackwards,
}

/// Which targets.
#[derive(Debug, Clone, Default)]
pub struct TargetQuery {
    /// At most so many.
    pub limit: u32,
    /// After this one, in lists by time.
    pub after: Option<Uuid>,
    /// After this one, in lists by text.
    pub after_key: Option<String>,
    /// Of this id.
    pub id: Option<Uuid>,
    /// Of exactly this key.
    pub key: Option<String>,
    /// Name, address or group contains this.
    pub text: Option<String>,
    /// Of this group.
    pub group: Option<String>,
    /// Of this project.
    pub project: Option<String>,
    /// Whether it takes part.
    pub alive: Option<bool>,
    /// Whether it is set aside.
    pub skip_scan: Option<bool>,
    /// This kind of work is due at this time.
    pub due: Option<(WorkKind, DateTime<Utc>)>,
    /// The order.
    pub sort: TargetSort,
}

/// One page of a list of targets.
#[derive(Debug, Clone)]
pub struct TargetPage {
    /// Its targets; there may be none, although there are more.
    pub items: Vec<Target>,
    /// The id to go on after; `None` on the last page.
    pub next: Option<Uuid>,
    /// Its key, for lists by text.
    pub next_key: Option<String>,
}
