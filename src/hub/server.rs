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
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tower_http::normalize_path::NormalizePath;
use tracing::{debug, error, warn};

use super::access::{LocalToken, Peer};
use super::clock::Clock;
use super::config::{Config, Database};
use super::lock::{DatabaseLock, InUse};
use super::routes;
use super::sockets::{Accepted, Sockets, Stream};
use super::state::Hub;
use super::store::postgres::PostgresStore;
use super::store::sqlite::SqliteStore;
use super::store::{Store, StoreError};
use super::tls::{Tls, TlsError};
use super::{journal, runs, skew, webhooks};

/// The headers of a request must have come by then. It bounds a pause between two requests, too, and
/// is longer than that of any agent, so that no connection is closed under a request. The first
/// request of a connection has less time (`Config::first_request`).
const HEADER_TIME: Duration = Duration::from_secs(75);
/// Headers of one request, at most: bytes and number.
const HEADER_BYTES: usize = 32 * 1024;
const HEADERS: usize = 100;
/// A client must have agreed on TLS by then.
const TLS_TIME: Duration = Duration::from_secs(10);
/// Requests under way have so long to end.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// What goes on beside requests has so long after them.
const CHORE_TIME: Duration = Duration::from_secs(5);

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
    /// The control socket.
    #[error("cannot listen on the socket {}: {source}", path.display())]
    Control {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The certificate.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// The directory of the database.
    #[error("cannot make the directory {}: {source}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another hub has the database.
    #[error(
        "another hub has the database {database} open; stop that one (reconctl stop hub), or choose \
         another database with --database"
    )]
    InUse {
        /// Which.
        database: Database,
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
    sockets: Sockets,
    address: SocketAddr,
    lock: Option<DatabaseLock>,
    first_request: Duration,
}

impl Server {
    /// Opens the database, brings it up to date, and listens.
    ///
    /// # Errors
    /// The database or a socket cannot be had, or the certificate cannot be used.
    pub async fn bind(config: Config, clock: Clock) -> Result<Self, ServerError> {
        if config.is_exposed() {
            warn!(
                listen = %config.listen,
                "tokens and results cross the network in the clear; give the hub a certificate \
                 (credentials tls-cert and tls-key)"
            );
        }
        let tls = config.tls.map(Tls::load).transpose()?;
        // The socket first: a second hub must not touch the first one's database.
        let failed = |source: io::Error| ServerError::Listen {
            address: config.listen,
            hint: listen_hint(&source),
            source,
        };
        let mut sockets = Sockets::listen(config.listen).await.map_err(failed)?;
        let address = sockets.address().map_err(failed)?;
        if let Some(path) = config.control_socket {
            let listening = sockets.listen_control(&path).await;
            listening.map_err(|source| ServerError::Control { path, source })?;
        }
        let (store, lock) = open(&config.database).await?;
        if let Database::Sqlite(path) = &config.database {
            routes::remove_left_copies(path);
        }
        let place = (config.database, config.bus);
        let mut hub = Hub::new(store, config.live, config.access, clock, place);
        hub.tls = tls;
        hub.local = config.local_token.map(LocalToken::new);
        if let Some(local) = &hub.local
            && let Err(problem) = local.keep(hub.store.as_ref(), hub.clock.now()).await
        {
            // Everything else works without it.
            error!(%problem, "there is no token for the agents of this host");
        }
        // Nothing is leased before this is known.
        let measured = hub.skew.measure(hub.store.as_ref(), &hub.clock).await;
        measured.map_err(|source| ServerError::Database {
            database: hub.database.clone(),
            source,
        })?;
        Ok(Self {
            hub: Arc::new(hub),
            sockets,
            address,
            lock,
            first_request: config.first_request,
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
        let serving = Serving {
            service: routes::service(Arc::clone(&self.hub)),
            hub: Arc::clone(&self.hub),
            first_request: self.first_request,
        };
        let graceful = GracefulShutdown::new();
        let mut chores = JoinSet::new();
        chores.spawn(journal::run(Arc::clone(&self.hub)));
        chores.spawn(webhooks::run(Arc::clone(&self.hub)));
        chores.spawn(skew::run(Arc::clone(&self.hub)));
        chores.spawn(runs::run(Arc::clone(&self.hub)));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.sockets.accept() => accepted,
            };
            if let Some(accepted) = accepted {
                tokio::spawn(serving.clone().connection(accepted, graceful.watcher()));
            }
        }
        drop(self.sockets);
        self.hub.stopping.cancel();
        if timeout(DRAIN_TIME, graceful.shutdown()).await.is_err() {
            warn!("some requests did not end in time");
        }
        let ended = timeout(CHORE_TIME, async {
            while chores.join_next().await.is_some() {}
        });
        if ended.await.is_err() {
            warn!("a webhook did not answer in time");
        }
        self.hub.store.close().await;
        drop(self.lock);
    }
}

/// What each connection is served with.
#[derive(Clone)]
struct Serving {
    hub: Arc<Hub>,
    service: NormalizePath<Router>,
    first_request: Duration,
}

impl Serving {
    /// One connection, from beginning to end.
    async fn connection(self, accepted: Accepted, watcher: Watcher) {
        let peer = accepted.peer;
        match accepted.stream {
            Stream::Unix(stream) => self.serve(stream, peer, watcher).await,
            Stream::Tcp(stream) => match &self.hub.tls {
                None => self.serve(stream, peer, watcher).await,
                Some(tls) => match timeout(TLS_TIME, tls.acceptor().accept(stream)).await {
                    Ok(Ok(stream)) => self.serve(stream, peer, watcher).await,
                    Ok(Err(error)) => debug!(?peer, %error, "no TLS with this client"),
                    Err(_) => debug!(?peer, "a client took too long to agree on TLS"),
                },
            },
        }
        drop(accepted.place);
    }

    async fn serve<S>(&self, stream: S, peer: Peer, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let address = match peer {
            Peer::Network(address) => address,
            // It is on this host.
            Peer::Socket { .. } => SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let (service, begun) = (self.service.clone(), Arc::new(Notify::new()));
        let begins = Arc::clone(&begun);
        let handler = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            begins.notify_one();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(address));
            request.extensions_mut().insert(peer);
            service.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .max_headers(HEADERS)
            .max_header_size(HEADER_BYTES)
            .serve_connection(TokioIo::new(stream), handler);
        // Whoever says nothing has no claim to a place.
        let silence = async {
            if timeout(self.first_request, begun.notified()).await.is_ok() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            ended = watcher.watch(connection) => {
                if let Err(error) = ended {
                    debug!(?peer, %error, "a connection ended early");
                }
            }
            () = silence => debug!(?peer, "a client took too long to send its first request"),
        }
    }
}

async fn open(database: &Database) -> Result<(Arc<dyn Store>, Option<DatabaseLock>), ServerError> {
    let failed = |source| ServerError::Database {
        database: database.clone(),
        source,
    };
    Ok(match database {
        Database::Sqlite(path) => {
            make_parent(path)?;
            let lock = DatabaseLock::take(path).map_err(|InUse| ServerError::InUse {
                database: database.clone(),
            })?;
            let store = SqliteStore::open(path).await.map_err(failed)?;
            (Arc::new(store), lock)
        }
        // Several hubs may share it.
        Database::Postgres(url) => {
            let store = PostgresStore::open(url).await.map_err(failed)?;
            (Arc::new(store), None)
        }
    })
}

fn listen_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program (or another hub) has it: stop that one, or choose another with \
             --listen"
        }
        io::ErrorKind::PermissionDenied => "; choose a port above 1023 with --listen",
        _ => "",
    }
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
