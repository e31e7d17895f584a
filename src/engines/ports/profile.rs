use std::time::Duration;

use crate::fleet::{EngineUse, ScanSettings};

use super::{Engine, PortSet, PortSetError, ScanOptions};

/// Longest wait for one service to say something.
const SERVICE_TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of a port scanner that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A list of ports does not read.
    #[error("{key}: {error}")]
    Ports {
        /// The setting.
        key: &'static str,
        /// What is wrong with it.
        error: PortSetError,
    },
    /// Nothing is left to try.
    #[error(
        "ports: none is left to scan: name some in ports or udp_ports that exclude_ports does not name"
    )]
    NoPorts,
}

impl ScanOptions {
    /// The options that settings mean. `max_rate` is packets a second to one host, 0 = no limit.
    ///
    /// # Errors
    /// A list of ports does not read, or no port is left.
    pub fn of(settings: &ScanSettings, max_rate: u32) -> Result<Self, SettingsError> {
        let read = |key, text: &str, read: fn(&str) -> Result<PortSet, PortSetError>| {
            read(text).map_err(|error| SettingsError::Ports { key, error })
        };
        let excluded = |parse| read("exclude_ports", &settings.exclude_ports, parse);
        let wanted = read("ports", &settings.ports, PortSet::tcp)?;
        let wanted_udp = read("udp_ports", &settings.udp_ports, PortSet::udp)?;
        // A name that only the other transport knows excludes nothing of this one.
        let (tcp, udp) = (excluded(PortSet::tcp), excluded(PortSet::udp));
        if let (Err(error), Err(_)) = (&tcp, &udp) {
            return Err(error.clone());
        }
        let ports = wanted.without(&tcp.unwrap_or_else(|_| PortSet::none()));
        let udp_ports = wanted_udp.without(&udp.unwrap_or_else(|_| PortSet::none()));
        if ports.is_empty() && udp_ports.is_empty() {
            return Err(SettingsError::NoPorts);
        }
        Ok(Self {
            engine: match settings.engine {
                EngineUse::Auto => Engine::Auto,
                EngineUse::Connect => Engine::Connect,
                EngineUse::Syn => Engine::Syn,
            },
            packet_ring: settings.packet_ring,
            ports,
            udp_ports,
            concurrency: settings.concurrency as usize,
            connect_timeout: settings.connect_timeout.0,
            retries: settings.retries,
            max_time: settings.max_time.0,
            max_rate,
            max_rate_total: settings.max_rate_total,
            services: settings.services,
            deep: settings.deep,
            service_timeout: SERVICE_TIMEOUT,
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles() {
        let kaze = ScanOptions::of(&ScanSettings::kaze(), 0).unwrap();
        assert_eq!((kaze.ports.len(), kaze.udp_ports.len()), (1000, 0));
        let kage = ScanOptions::of(&ScanSettings::kage(), 7).unwrap();
        assert_eq!((kage.ports.len(), kage.udp_ports.len()), (1000, 20));
        assert_eq!(kage.max_rate, 7);
        let ryu = ScanOptions::of(&ScanSettings::ryu(), 0).unwrap();
        assert_eq!((ryu.ports.len(), ryu.udp_ports.len()), (65_535, 100));
        assert!(ryu.deep && ryu.services && !kaze.deep);
    }

    #[test]
    fn exclusion_holds_for_both_transports() {
        let of = |ports: &str, udp: &str, exclude: &str| {
            let settings = ScanSettings {
                ports: ports.to_owned(),
                udp_ports: udp.to_owned(),
                exclude_ports: exclude.to_owned(),
                ..ScanSettings::kaze()
            };
            ScanOptions::of(&settings, 0)
        };
        let options = of("1-100", "53,161", "53,60-").unwrap();
        assert_eq!(options.ports.to_string(), "1-52,54-59");
        assert!(options.udp_ports.is_empty());
        // snmp is a UDP name, ssh a TCP one.
        assert!(of("22,23", "161", "snmp").unwrap().udp_ports.is_empty());
        assert_eq!(of("22,23", "161", "ssh").unwrap().ports.to_string(), "23");
        assert!(of("", "53", "").unwrap().ports.is_empty());
        assert_eq!(of("80", "", "-").unwrap_err(), SettingsError::NoPorts);
        let error = of("80", "", "nope").unwrap_err().to_string();
        assert!(error.starts_with("exclude_ports: \"nope\""), "{error}");
        let error = of("80", "ftp!", "").unwrap_err().to_string();
        assert!(error.starts_with("udp_ports: "), "{error}");
    }
}
