use ipnet::IpNet;
use zbus::{OwnedVariant, Variant};

use super::manager::read;
use super::name::unit_path;
use super::{Error, Manager};

/// The interface and the property of a slice's allowed addresses.
const SLICE: &str = "org.freedesktop.systemd1.Slice";
const ALLOW: &str = "IPAddressAllow";

/// An address as systemd takes it: family (AF_INET, AF_INET6), bytes, length of the prefix.
type Entry = (i32, Vec<u8>, u32);

const AF_INET: i32 = rustix::net::AddressFamily::INET.as_raw() as i32;
const AF_INET6: i32 = rustix::net::AddressFamily::INET6.as_raw() as i32;

impl Manager {
    /// The addresses that a slice allows to all units in it, besides what each allows itself.
    ///
    /// # Errors
    /// systemd cannot be asked, or answers something else.
    pub async fn allowed_addresses(&self, slice: &str) -> Result<Vec<IpNet>, Error> {
        let what = "reading the addresses that a slice allows";
        let proxy = self
            .properties(&unit_path(slice))
            .await
            .map_err(read(what))?;
        let value = proxy.get(SLICE, ALLOW).await.map_err(read(what))?;
        let entries = Vec::<Entry>::try_from(value)
            .map_err(|error| Error::Bus(format!("{what}: {error}")))?;
        let mut nets: Vec<IpNet> = entries.iter().filter_map(net).collect();
        nets.sort();
        Ok(nets)
    }

    /// Sets them anew, until the next boot. The lists of a unit and of the slices around it add up
    /// (systemd.resource-control(5)): this changes the firewall of all units in the slice at once,
    /// those that run and those that will, and a daemon-reload leaves it alone.
    ///
    /// # Errors
    /// Not permitted, systemd cannot be asked.
    pub async fn set_allowed_addresses(&self, slice: &str, nets: &[IpNet]) -> Result<(), Error> {
        let entries: Vec<Entry> = nets.iter().map(entry).collect();
        // An empty list resets what was there.
        let lists = [Vec::new(), entries];
        let properties = lists
            .into_iter()
            .map(|list| {
                let value = OwnedVariant::try_from(Variant::from(list));
                value.map(|value| (ALLOW, value))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Error::Bus(format!("writing addresses: {error}")))?;
        self.set_properties(slice, true, &properties).await
    }
}

fn entry(net: &IpNet) -> Entry {
    let net = net.trunc();
    let length = u32::from(net.prefix_len());
    match net {
        IpNet::V4(v4) => (AF_INET, v4.addr().octets().to_vec(), length),
        IpNet::V6(v6) => (AF_INET6, v6.addr().octets().to_vec(), length),
    }
}

fn net((family, bytes, length): &Entry) -> Option<IpNet> {
    let length = u8::try_from(*length).ok()?;
    let net = match *family {
        AF_INET => IpNet::new(<[u8; 4]>::try_from(bytes.as_slice()).ok()?.into(), length),
        AF_INET6 => IpNet::new(<[u8; 16]>::try_from(bytes.as_slice()).ok()?.into(), length),
        _ => return None,
    };
    net.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_there_and_back() {
        for text in ["10.20.0.0/16", "203.0.113.2/32", "fd00::/8", "::1/128"] {
            let network: IpNet = text.parse().unwrap();
            assert_eq!(net(&entry(&network)), Some(network));
        }
        assert_eq!(
            entry(&"10.0.0.1/32".parse().unwrap()),
            (2, vec![10, 0, 0, 1], 32)
        );
        assert_eq!(net(&(1, vec![10, 0, 0, 1], 32)), None);
        assert_eq!(net(&(2, vec![10, 0, 0], 32)), None);
    }
}
