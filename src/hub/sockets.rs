//! The sockets that the hub listens on.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tracing::{debug, warn};

use super::access::Peer;

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 1024;
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
    pub(super) permit: OwnedSemaphorePermit,
}

/// Where connections come in.
pub(super) struct Sockets {
    network: TcpListener,
    control: Option<Control>,
    places: Arc<Semaphore>,
    control_places: Arc<Semaphore>,
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
    /// Listens on the network.
    pub(super) async fn listen(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            network: TcpListener::bind(address).await?,
            control: None,
            places: Arc::new(Semaphore::new(CONNECTIONS)),
            control_places: Arc::new(Semaphore::new(CONTROL_CONNECTIONS)),
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
                warn!(%error, "a connection could not be accepted");
                sleep(Duration::from_millis(100)).await;
                None
            }
        }
    }

    async fn accept_network(&self) -> io::Result<Accepted> {
        let permit = place(&self.places).await?;
        let (stream, peer) = self.network.accept().await?;
        // Answers are small and wanted at once.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%peer, %error, "TCP_NODELAY could not be set");
        }
        Ok(Accepted {
            stream: Stream::Tcp(stream),
            peer: Peer::Network(peer),
            permit,
        })
    }

    async fn accept_control(&self, listener: &UnixListener) -> io::Result<Accepted> {
        let permit = place(&self.control_places).await?;
        let (stream, _) = listener.accept().await?;
        let uid = stream.peer_cred()?.uid();
        Ok(Accepted {
            stream: Stream::Unix(stream),
            peer: Peer::Socket { uid },
            permit,
        })
    }
}

async fn place(places: &Arc<Semaphore>) -> io::Result<OwnedSemaphorePermit> {
    let permit = Arc::clone(places).acquire_owned().await;
    permit.map_err(io::Error::other)
}
