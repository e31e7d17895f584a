//! Sockets: accepting, limits, and an end that loses nothing.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tower_http::normalize_path::NormalizePath;
use tracing::{debug, warn};

use super::clock::Clock;
use super::config::{Config, Database};
use super::routes;
use super::state::Hub;
use super::store::postgres::PostgresStore;
use super::store::sqlite::SqliteStore;
use super::store::{Store, StoreError};

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 1024;
/// A client must have sent its headers by then. It bounds a pause between two requests, too, and is
/// longer than that of any agent, so that no connection is closed under a request.
const HEADER_TIME: Duration = Duration::from_secs(75);
/// Headers of one request, at most: bytes and number.
const HEADER_BYTES: usize = 32 * 1024;
const HEADERS: usize = 100;
/// Requests under way have so long to end.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The socket.
    #[error("cannot listen on {address}: {source}{hint}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// The directory of the database.
    #[error("cannot make the directory {}: {source}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The database.
    #[error("cannot open the database {database}: {source}")]
    Database {
        /// Which.
        database: Database,
        /// Why not.
        source: StoreError,
    },
}

/// A hub that listens.
pub struct Server {
    hub: Arc<Hub>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Opens the database, brings it up to date, and listens.
    ///
    /// # Errors
    /// The database or the socket cannot be had.
    pub async fn bind(config: Config, clock: Clock) -> Result<Self, ServerError> {
        // The socket first: a second hub must not touch the first one's database.
        let listener = listen(config.listen).await?;
        let address = listener
            .local_addr()
            .map_err(|source| ServerError::Listen {
                address: config.listen,
                source,
                hint: "",
            })?;
        let store = open(&config.database).await?;
        Ok(Self {
            hub: Arc::new(Hub::new(store, config.live, config.access, clock)),
            listener,
            address,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it serves.
    pub fn hub(&self) -> Arc<Hub> {
        Arc::clone(&self.hub)
    }

    /// Serves until told to stop; then finishes the requests under way and closes the database.
    pub async fn run(self, stop: CancellationToken) {
        let service = routes::service(Arc::clone(&self.hub));
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accept(&self.listener, &connections) => accepted,
            };
            if let Some((stream, peer, permit)) = accepted {
                let connection = graceful.watch(connection(stream, peer, service.clone()));
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        debug!(%peer, %error, "a connection ended early");
                    }
                    drop(permit);
                });
            }
        }
        drop(self.listener);
        if timeout(DRAIN_TIME, graceful.shutdown()).await.is_err() {
            warn!("some requests did not end in time");
        }
        self.hub.store.close().await;
    }
}

type Permit = tokio::sync::OwnedSemaphorePermit;

/// The next connection. Running out of file descriptors passes; giving up would not.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, Permit)> {
    let permit = Arc::clone(connections).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, permit)),
        Err(error) => {
            warn!(%error, "a connection could not be accepted");
            sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    service: NormalizePath<Router>,
) -> http1::Connection<
    TokioIo<TcpStream>,
    impl hyper::service::HttpService<
        Incoming,
        ResBody = Body,
        Error = std::convert::Infallible,
        Future: Send,
    > + Send,
> {
    // Answers are small and wanted at once.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "TCP_NODELAY could not be set");
    }
    let handler = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        service.clone().oneshot(request)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_headers(HEADERS)
        .max_header_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), handler)
}

async fn open(database: &Database) -> Result<Arc<dyn Store>, ServerError> {
    let failed = |source| ServerError::Database {
        database: database.clone(),
        source,
    };
    Ok(match database {
        Database::Sqlite(path) => {
            make_parent(path)?;
            Arc::new(SqliteStore::open(path).await.map_err(failed)?)
        }
        Database::Postgres(url) => Arc::new(PostgresStore::open(url).await.map_err(failed)?),
    })
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ServerError::Listen {
            address,
            hint: match source.kind() {
                io::ErrorKind::AddrInUse => {
                    "; another program (or another hub) has it: stop that one, or choose another \
                     with --listen"
                }
                io::ErrorKind::PermissionDenied => "; choose a port above 1023 with --listen",
                _ => "",
            },
            source,
        })
}

fn make_parent(path: &Path) -> Result<(), ServerError> {
    match path.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(parent) => std::fs::create_dir_all(parent).map_err(|source| ServerError::Directory {
            path: parent.to_owned(),
            source,
        }),
        None => Ok(()),
    }
}
