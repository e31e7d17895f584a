use std::path::Path;
use std::time::Duration;

use zbus::Connection;
use zbus::connection::Builder;

use super::error::Error;

/// systemd answers within microseconds; a bus that takes longer than this to say hello is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(2500);

/// Default limit of a call, that of libdbus: PID 1 may be in the middle of a daemon-reload.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(25);

/// systemd's own socket, for root only; it works where no D-Bus daemon is installed.
const PRIVATE_SOCKET: &str = "/run/systemd/private";

/// Which systemd to talk to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Bus {
    /// The system's (PID 1).
    #[default]
    System,
    /// The user's own (`systemctl --user`).
    User,
    /// The one at a D-Bus address, for instance `unixexec:path=ssh,…` or a test.
    Address(String),
}

/// Connects, or says quickly why not.
pub(super) async fn connect(bus: &Bus) -> Result<Connection, Error> {
    let builder = match bus {
        Bus::System => Builder::system(),
        Bus::User => Builder::session(),
        Bus::Address(address) => Builder::address(address.as_str()),
    };
    match (build(builder).await, bus) {
        (Err(error), Bus::System) if can_use_private_socket() => {
            let address = format!("unix:path={PRIVATE_SOCKET}");
            let builder = Builder::address(address.as_str()).p2p();
            build(builder).await.map_err(|_| error)
        }
        (result, _) => result,
    }
}

async fn build(builder: Builder<'_>) -> Result<Connection, Error> {
    let building = builder.method_timeout(CALL_TIMEOUT).build();
    match tokio::time::timeout(CONNECT_TIMEOUT, building).await {
        Ok(result) => result.map_err(|e| Error::connecting(&e)),
        Err(_) => Err(Error::Unreachable {
            reason: format!("no answer from the bus within {CONNECT_TIMEOUT:?}"),
        }),
    }
}

fn can_use_private_socket() -> bool {
    // An address given in the environment is meant; going elsewhere would drive the wrong systemd.
    std::env::var_os("DBUS_SYSTEM_BUS_ADDRESS").is_none()
        && rustix::process::geteuid().is_root()
        && Path::new(PRIVATE_SOCKET).exists()
}
