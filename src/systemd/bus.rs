use std::time::Duration;

use zbus::Connection;
use zbus::connection::Builder;

use super::error::Error;

/// systemd answers within microseconds; a bus that takes longer than this to say hello is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(2500);

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
    let building = builder.method_timeout(CALL_TIMEOUT).build();
    match tokio::time::timeout(CONNECT_TIMEOUT, building).await {
        Ok(result) => result.map_err(|e| Error::connecting(&e)),
        Err(_) => Err(Error::Unreachable {
            reason: format!("no answer from the bus within {CONNECT_TIMEOUT:?}"),
        }),
    }
}
