//! The sockets that the hub listens on.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::sleep;
use tracing::{debug, warn};

use super::access::Peer;
use super::places::{Place, Places};
use crate::descriptors::raise_limit;

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 1024;
/// Those of one address; more are closed. Many agents can be behind one.
const CONNECTIONS_OF_ONE: usize = 256;
/// Open files that are not for the network: the database, the control socket, webhooks.
const OTHER_FILES: usize = 128;
/// Connections, however few files may be open.
const AT_LEAST: usize = 16;
/// The same warning comes no more often.
const WARN_EVERY: Duration = Duration::from_secs(60);
/// Those on the control socket, which an administrator gets even when all others are taken.
const CONTROL_CONNECTIONS: usize = 64;

/// A connection that came in.
pub(super) enum Stream {
    /// Over the network.
    Tcp(TcpStream),
    /// On the control socket.
    Unix(UnixStream),
}

/// One that came in, from whom, and its place among those at once.
pub(super) struct Accepted {
    pub(super) stream: Stream,
    pub(super) peer: Peer,
    pub(super) place: Place,
}

/// Where connections come in.
pub(super) struct Sockets {
    network: TcpListener,
    control: Option<Control>,
    places: Places,
    control_places: Places,
    failures: Seldom,
    crowds: Seldom,
}

struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for Control {
    fn drop(&mut self) {
        // A socket that nobody listens on would only mislead; the next hub replaces it anyway.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Sockets {
    /// Listens on the network, for as many as there can be files.
    pub(super) async fn listen(address: SocketAddr) -> io::Result<Self> {
        let most = CONNECTIONS
            .min(raise_limit().saturating_sub(OTHER_FILES))
            .max(AT_LEAST);
        Ok(Self {
            network: TcpListener::bind(address).await?,
            control: None,
            places: Places::new(most, CONNECTIONS_OF_ONE.min(most / 2)),
            control_places: Places::new(CONTROL_CONNECTIONS, CONTROL_CONNECTIONS),
            failures: Seldom::default(),
            crowds: Seldom::default(),
        })
    }

    /// And on a Unix socket that only root and the own user can open.
    pub(super) async fn listen_control(&mut self, path: &Path) -> io::Result<()> {
        let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
        if is_socket {
            if UnixStream::connect(path).await.is_ok() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        // The kernel says who connects, too; this is so that nobody else can hold a place.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        self.control = Some(Control {
            listener,
            path: path.to_owned(),
        });
        Ok(())
    }

    /// Where it listens on the network.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.network.local_addr()
    }

    /// The next connection. Running out of file descriptors passes; giving up would not.
    pub(super) async fn accept(&self) -> Option<Accepted> {
        let accepted = match &self.control {
            None => self.accept_network().await,
            Some(control) => tokio::select! {
                accepted = self.accept_network() => accepted,
                accepted = self.accept_control(&control.listener) => accepted,
            },
        };
        match accepted {
            Ok(accepted) => Some(accepted),
            Err(error) => {
                if self.failures.due(Instant::now()) {
                    warn!(%error, "connections cannot be accepted");
                }
                sleep(Duration::from_millis(100)).await;
                None
            }
        }
    }

    async fn accept_network(&self) -> io::Result<Accepted> {
        let (stream, peer, place) = loop {
            let place = self.places.next().await?;
            let (stream, peer) = self.network.accept().await?;
            if let Some(place) = self.places.give(place, peer.ip()) {
                break (stream, peer, place);
            }
            if self.crowds.due(Instant::now()) {
                warn!(%peer, "an address has too many connections; more of it are closed");
            }
        };
        // Answers are small and wanted at once.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%peer, %error, "TCP_NODELAY could not be set");
        }
        Ok(Accepted {
            stream: Stream::Tcp(stream),
            peer: Peer::Network(peer),
            place,
        })
    }

    async fn accept_control(&self, listener: &UnixListener) -> io::Result<Accepted> {
        let place = self.control_places.next().await?;
        let (stream, _) = listener.accept().await?;
        let uid = stream.peer_cred()?.uid();
        Ok(Accepted {
            stream: Stream::Unix(stream),
            peer: Peer::Socket { uid },
            place,
        })
    }
}

/// When something was last said that is true many times a second.
#[derive(Default)]
struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    fn due(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.saturating_duration_since(last) >= WARN_EVERY);
        if due {
            *last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_comes_once_a_minute() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        assert!(seldom.due(start));
        assert!(!seldom.due(start + WARN_EVERY / 2));
        assert!(seldom.due(start + WARN_EVERY));
    }
}
