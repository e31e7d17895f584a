use std::time::Duration;

use zbus::Connection;
use zbus::connection::Builder;

use super::error::Error;

/// systemd answers within microseconds; a bus that takes longer than this to say hello is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(2500);

/// Over SSH a person may have to find a password.
const SSH_TIMEOUT: Duration = Duration::from_secs(120);

/// Default limit of a call, that of libdbus: PID 1 may be in the middle of a daemon-reload.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(25);

/// Which systemd to talk to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Bus {
    /// The system's (PID 1).
    #[default]
    System,
    /// The user's own (`systemctl --user`).
    User,
    /// That of another host, over SSH, as `systemctl -H` does: the bridge on the other side speaks
    /// the bus's protocol on its standard input and output (systemd-stdio-bridge(1)).
    Ssh {
        /// `[USER@]HOST[:PORT]`
        host: String,
        /// The user's own systemd over there.
        user: bool,
    },
    /// The one at a D-Bus address.
    Address(String),
}

impl Bus {
    /// The clock of another host is not ours.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self, Self::Ssh { .. })
    }

    fn connect_timeout(&self) -> Duration {
        if self.is_remote() {
            SSH_TIMEOUT
        } else {
            CONNECT_TIMEOUT
        }
    }
}

/// The words of an SSH command that runs a program on `[USER@]HOST[:PORT]`.
pub(super) fn ssh_args(host: &str) -> Vec<String> {
    let mut args = vec!["-xT".to_owned()];
    let (host, port) = match host.rsplit_once(':') {
        // An address of IPv6 is no host and port.
        Some((name, port)) if !name.contains(':') && port.parse::<u16>().is_ok() => {
            (name, Some(port))
        }
        _ => (host, None),
    };
    if let Some(port) = port {
        args.extend(["-p".to_owned(), port.to_owned()]);
    }
    args.extend(["--".to_owned(), host.to_owned()]);
    args
}

fn ssh_address(host: &str, user: bool) -> String {
    let mut args = ssh_args(host);
    args.push("systemd-stdio-bridge".to_owned());
    if user {
        args.push("--user".to_owned());
    }
    let words = args.iter().enumerate();
    let words = words.map(|(i, arg)| format!(",argv{}={}", i + 1, escape(arg)));
    format!("unixexec:path=ssh{}", words.collect::<String>())
}

/// Escapes a value in a D-Bus address (D-Bus specification, "Server Addresses").
fn escape(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_/.\\*".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02x}"));
        }
    }
    out
}

/// Connects, or says quickly why not.
pub(super) async fn connect(bus: &Bus) -> Result<Connection, Error> {
    let builder = match bus {
        Bus::System => Builder::system(),
        Bus::User => Builder::session(),
        Bus::Ssh { host, user } => Builder::address(ssh_address(host, *user).as_str()),
        Bus::Address(address) => Builder::address(address.as_str()),
    };
    let limit = bus.connect_timeout();
    let building = builder.method_timeout(CALL_TIMEOUT).build();
    match tokio::time::timeout(limit, building).await {
        Ok(result) => result.map_err(|e| Error::connecting(&e)),
        Err(_) => Err(Error::Unreachable {
            reason: format!("no answer from the bus within {limit:?}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_is_called_as_systemctl_calls_it() {
        assert_eq!(
            ssh_address("ops@dmz:2222", false),
            "unixexec:path=ssh,argv1=-xT,argv2=-p,argv3=2222,argv4=--,argv5=ops%40dmz,\
             argv6=systemd-stdio-bridge"
        );
        assert_eq!(ssh_args("fd20::1"), ["-xT", "--", "fd20::1"]);
        // A host cannot become an option or a setting of the address.
        assert!(ssh_address("-oProxyCommand=x,argv9=y", true).contains(
            "argv2=--,argv3=-oProxyCommand%3dx%2cargv9%3dy,argv4=systemd-stdio-bridge,argv5=--user"
        ));
    }
}
