use std::net::IpAddr;
use std::time::Duration;

use tokio::time::timeout;
use url::{Host as UrlHost, Url};

use crate::fleet::Refusal;

use super::{ClientOptions, FetchError};

/// Longest wait for a name's addresses.
const LOOKUP: Duration = Duration::from_secs(10);

/// Where a URL leads: what distinguishes one host handle from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub https: bool,
    /// The name or the address, IPv6 without brackets.
    pub name: String,
    pub port: u16,
}

impl Origin {
    pub(super) fn of(url: &Url) -> Result<Self, FetchError> {
        let https = match url.scheme() {
            "http" => false,
            "https" => true,
            other => {
                let why = format!("{other} is not spoken");
                return Err(FetchError::Connect(shown(url), why));
            }
        };
        let name = match url.host() {
            Some(UrlHost::Domain(name)) => name.to_owned(),
            Some(UrlHost::Ipv4(addr)) => addr.to_string(),
            Some(UrlHost::Ipv6(addr)) => addr.to_string(),
            None => return Err(FetchError::Unresolved(shown(url))),
        };
        let port = url.port().unwrap_or(if https { 443 } else { 80 });
        Ok(Self { https, name, port })
    }

    /// The Host header (RFC 9110 §7.2).
    pub(super) fn authority(&self) -> String {
        let usual = if self.https { 443 } else { 80 };
        let name = match self.name.contains(':') {
            true => format!("[{}]", self.name),
            false => self.name.clone(),
        };
        match self.port == usual {
            true => name,
            false => format!("{name}:{}", self.port),
        }
    }

    pub(super) fn url(&self, path: &[u8]) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!(
            "{scheme}://{}{}",
            self.authority(),
            String::from_utf8_lossy(path)
        )
    }
}

/// A URL for people: its password is nobody's business.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // A URL that can have none has none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// The address to connect to: name and address are in scope. Nothing is sent to an address that is not,
/// and a name that scope denies is not even asked for.
pub(super) async fn locate(name: &str, options: &ClientOptions) -> Result<IpAddr, NoPlace> {
    if let Ok(addr) = name.parse::<IpAddr>() {
        // `::ffff:192.0.2.1` is 192.0.2.1: one host, one cap.
        let addr = addr.to_canonical();
        options.scope.check_addr(addr)?;
        return Ok(addr);
    }
    options.scope.check_name(name)?;
    let found: Vec<IpAddr> = match options.addresses.get(name.trim_end_matches('.')) {
        Some(addr) => vec![*addr],
        None => {
            let looked_up = timeout(LOOKUP, tokio::net::lookup_host((name, 0))).await;
            let found = looked_up
                .map_err(|_| NoPlace::Unresolved("no answer from the resolver".to_owned()))?
                .map_err(|error| NoPlace::Unresolved(error.to_string()))?;
            found.map(|socket| socket.ip()).collect()
        }
    };
    let mut refusal = None;
    for addr in found.iter().map(IpAddr::to_canonical) {
        match options.scope.check_resolved(name, addr) {
            Ok(()) => return Ok(addr),
            Err(why) => refusal = refusal.or(Some(why)),
        }
    }
    Err(refusal.map_or_else(
        || NoPlace::Unresolved("no address".to_owned()),
        NoPlace::Refused,
    ))
}

/// Why there is no address.
#[derive(Debug)]
pub(super) enum NoPlace {
    Refused(Refusal),
    Unresolved(String),
}

impl From<Refusal> for NoPlace {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl NoPlace {
    pub(super) fn of(self, origin: &Origin) -> FetchError {
        match self {
            Self::Refused(refusal) => FetchError::OutsideScope {
                url: origin.url(b"/"),
                rule: refusal.to_string(),
            },
            Self::Unresolved(why) => FetchError::Unresolved(format!("{} ({why})", origin.name)),
        }
    }
}
