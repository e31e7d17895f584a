//! What the hub runs with: the command line before the fleet file before what systemd hands over.
//!
//! `from_fleet` reads the fleet file, `handed` what systemd gives (credentials, directories). May
//! depend on what holds the settings (`access`, `state`, `tls`, `webhooks`); these do not depend on
//! it.

mod database;
mod from_fleet;
mod handed;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;

use super::access::Access;
use super::retention::Keep;
use super::state::Live;
use super::tls::{Tls, TlsError, TlsFiles};
use crate::fleet::{self, Diagnostics, Rule, Scope, Sources};
use crate::systemd::Bus;
use from_fleet::{facts, hub_settings, rescan, webhook};
use handed::{credential, first_of, set, state_directory};

pub use database::Database;
pub use from_fleet::configured_database;
pub(super) use handed::local_token;

/// The hub: hands out work to agents and keeps what they find.
///
/// Without options it takes its settings from the fleet file (`[agents.hub.config]`, `[scope]`).
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "recon-hub", version)]
#[command(after_help = "Exit codes: 0 stopped; 1 failed; 2 bad usage; 78 bad configuration.")]
pub struct Args {
    /// Listen on this address and port.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Keep the data here: sqlite:///PATH, or postgres://USER@HOST/NAME (with a password: in the
    /// credential database-url, or in PGPASSFILE).
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// What may be touched: networks, addresses, names (may be repeated).
    #[arg(long, value_name = "CIDR", num_args = 1.., value_delimiter = ',')]
    pub scope: Vec<Rule>,
    /// What may not be touched, although --scope covers it (may be repeated).
    #[arg(long, value_name = "CIDR", num_args = 1.., value_delimiter = ',', requires = "scope")]
    pub deny: Vec<Rule>,
    /// Let callers on loopback in without a token.
    #[arg(long)]
    pub anonymous_loopback: bool,
    /// Requests a second with one token; half of that without one from one address. 0: no limit.
    #[arg(long, value_name = "N")]
    pub max_requests: Option<u32>,
    /// Listen on this Unix socket, too, where root and the hub's own user need no token (default:
    /// control.sock in RUNTIME_DIRECTORY).
    #[arg(long, value_name = "PATH")]
    pub control_socket: Option<PathBuf>,
    /// Speak TLS with this certificate chain, PEM (default: the credential tls-cert).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert, PEM (default: the credential tls-key).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Let the hub be called by this host name, too; * for any (may be repeated).
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<String>,
    /// Read this fleet file instead of /etc/recon/recon.toml.
    #[arg(long, value_name = "FILE", env = "RECON_FLEET")]
    pub fleet: Option<PathBuf>,
    /// Check the configuration and exit.
    #[arg(long)]
    pub check_config: bool,
    /// Make the token of this host's agents, if there is none in STATE_DIRECTORY yet, and exit.
    #[arg(long)]
    pub make_token: bool,
}

/// The credential (`LoadCredential=`) that names the database where no setting does.
const DATABASE_CREDENTIAL: &str = "database-url";
/// A body may pause for so long before it is given up.
const BODY_PAUSE: Duration = Duration::from_secs(10);
/// The first request of a connection must have come by then.
const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// The socket of root and the hub's own user, in the runtime directory.
const CONTROL_SOCKET: &str = "control.sock";

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The fleet file has errors.
    #[error(transparent)]
    Fleet(#[from] Diagnostics),
    /// Not an address to listen on.
    #[error("listen: {0:?} is not an address and port, like 127.0.0.1:9000")]
    Listen(String),
    /// Not a database that this version knows.
    #[error("database: {0:?} is neither sqlite:///PATH nor postgres://USER@HOST/NAME")]
    Database(String),
    /// A directory cannot be a database.
    #[error("database: {} is a directory; name a file in it", .0.display())]
    Directory(PathBuf),
    /// Not the address of a PostgreSQL server. It may hold a password, and is not repeated.
    #[error("database: the postgres:// address cannot be used: {0}")]
    Postgres(String),
    /// The same, from a credential.
    #[error(
        "database: the credential {DATABASE_CREDENTIAL} is neither sqlite:///PATH nor \
         postgres://USER:PASSWORD@HOST/NAME"
    )]
    SecretDatabase,
    /// A credential that cannot be read.
    #[error("credential {name}: {source}")]
    Credential {
        /// Its name.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// A certificate that cannot be used.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// A certificate without its key, or a key without its certificate.
    #[error("TLS takes both credentials, tls-cert and tls-key; {0} is missing")]
    HalfTls(&'static str),
    /// A webhook without a key.
    #[error(
        "webhooks: {webhook}: the credential {secret} is missing or empty; name its file in \
         [agents.hub] credentials"
    )]
    WebhookSecret {
        /// The webhook.
        webhook: String,
        /// Name of the credential.
        secret: String,
    },
    /// A webhook that leads nowhere.
    #[error("webhooks: {0}: its url cannot be used")]
    WebhookUrl(String),
    /// There is nowhere to keep the data.
    #[error("database: give one (sqlite:///PATH), or set STATE_DIRECTORY, XDG_STATE_HOME or HOME")]
    NoStateDirectory,
}

/// What the hub runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The database.
    pub database: Database,
    /// What a reload can change.
    pub live: Live,
    /// Where the agents' systemd is.
    pub bus: Bus,
    pub(super) access: Access,
    pub(super) control_socket: Option<PathBuf>,
    pub(super) local_token: Option<PathBuf>,
    pub(super) tls: Option<TlsFiles>,
    pub(super) first_request: Duration,
}

impl Config {
    /// A hub by hand: everything that is not named here has its default.
    pub fn new(listen: SocketAddr, database: PathBuf, live: Live) -> Self {
        Self {
            listen,
            database: Database::Sqlite(database),
            live,
            bus: Bus::System,
            access: Access {
                anonymous_loopback: true,
                names: Vec::new(),
                max_requests: 0,
                body_pause: BODY_PAUSE,
            },
            control_socket: None,
            local_token: None,
            tls: None,
            first_request: FIRST_REQUEST,
        }
    }

    /// The same where callers on loopback need a token, too.
    pub fn without_anonymous(mut self) -> Self {
        self.access.anonymous_loopback = false;
        self
    }

    /// The same with so many requests a second for one token.
    pub fn max_requests(mut self, most: u32) -> Self {
        self.access.max_requests = most;
        self
    }

    /// The same with so much patience for a body that pauses.
    pub fn body_pause(mut self, pause: Duration) -> Self {
        self.access.body_pause = pause;
        self
    }

    /// The same with so much patience for a connection without a request.
    pub fn first_request(mut self, patience: Duration) -> Self {
        self.first_request = patience;
        self
    }

    /// The same with a socket for root and the hub's own user.
    pub fn control_socket(mut self, path: PathBuf) -> Self {
        self.control_socket = Some(path);
        self
    }

    /// The same with a token for the agents of this host, kept in this file.
    pub fn local_token(mut self, path: PathBuf) -> Self {
        self.local_token = Some(path);
        self
    }

    /// The same with TLS.
    pub fn tls(mut self, certificate: PathBuf, key: PathBuf) -> Self {
        self.tls = Some(TlsFiles { certificate, key });
        self
    }

    /// Whether tokens and results can be read on their way by whoever carries them.
    pub(super) fn is_exposed(&self) -> bool {
        self.tls.is_none() && !self.listen.ip().to_canonical().is_loopback()
    }
}

impl Args {
    /// The settings in effect: the command line before the fleet file.
    ///
    /// # Errors
    /// What is wrong, in the user's terms.
    pub fn resolve(&self) -> Result<Config, ConfigError> {
        let by_hand = self.listen.is_some() && self.database.is_some() && !self.scope.is_empty();
        let (settings, scope, rescan, agents) = if by_hand && self.fleet.is_none() {
            Default::default()
        } else {
            let loaded = fleet::load(&Sources {
                file: self.fleet.clone(),
                ..Sources::system()
            })?;
            (
                hub_settings(&loaded),
                loaded.fleet.scope.clone(),
                rescan(&loaded),
                facts(&loaded),
            )
        };
        let listen = self.listen.as_ref().unwrap_or(&settings.listen);
        let database = match self.database.as_ref().or(settings.database.as_ref()) {
            Some(url) => Database::parse(url)?,
            None => match credential(DATABASE_CREDENTIAL)? {
                // It may contain a password, which no message may repeat.
                Some(url) => Database::parse(&url).map_err(|problem| match problem {
                    ConfigError::Database(_) => ConfigError::SecretDatabase,
                    other => other,
                })?,
                None => Database::Sqlite(state_directory()?.join("hub.db")),
            },
        };
        let scope = if self.scope.is_empty() {
            scope
        } else {
            let mut own = Scope::new(self.scope.clone(), self.deny.clone());
            // When to leave whom alone is not what --scope is about.
            own.blackouts = scope.blackouts;
            own
        };
        Ok(Config {
            listen: listen_address(listen)?,
            database,
            live: Live {
                scope,
                lease: settings.lease.0,
                rescan,
                keep: Keep::from(&settings),
                webhooks: settings
                    .webhooks
                    .iter()
                    .map(webhook)
                    .collect::<Result<_, _>>()?,
                agents,
            },
            bus: Bus::System,
            access: Access {
                anonymous_loopback: self.anonymous_loopback || settings.anonymous_loopback,
                names: self.allow_host.clone(),
                max_requests: self.max_requests.unwrap_or(settings.max_requests),
                body_pause: BODY_PAUSE,
            },
            control_socket: self
                .control_socket
                .clone()
                .or_else(|| Some(first_of("RUNTIME_DIRECTORY")?.join(CONTROL_SOCKET))),
            local_token: local_token(),
            tls: self.tls_files()?,
            first_request: FIRST_REQUEST,
        })
    }

    fn tls_files(&self) -> Result<Option<TlsFiles>, ConfigError> {
        let credential = |name| {
            let dir = set("CREDENTIALS_DIRECTORY")?;
            Some(Path::new(&dir).join(name)).filter(|path| path.exists())
        };
        let certificate = self.tls_cert.clone().or_else(|| credential("tls-cert"));
        let key = self.tls_key.clone().or_else(|| credential("tls-key"));
        match (certificate, key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                let files = TlsFiles { certificate, key };
                Tls::load(files.clone())?;
                Ok(Some(files))
            }
            (Some(_), None) => Err(ConfigError::HalfTls("tls-key")),
            (None, Some(_)) => Err(ConfigError::HalfTls("tls-cert")),
        }
    }
}

fn listen_address(text: &str) -> Result<SocketAddr, ConfigError> {
    // localhost is the one name that needs no resolver that is up.
    text.parse()
        .ok()
        .or_else(|| {
            let name = text.strip_prefix("localhost:")?;
            let port = name.parse().ok()?;
            ("localhost", port).to_socket_addrs().ok()?.next()
        })
        .ok_or_else(|| ConfigError::Listen(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::WorkKind;

    fn args(list: &[&str]) -> Args {
        Args::try_parse_from([&["recon-hub"], list].concat()).unwrap()
    }

    #[test]
    fn by_hand() {
        let config = args(&[
            "--listen",
            "127.0.0.1:0",
            "--database",
            "sqlite:///tmp/x.db",
            "--scope",
            "10.0.0.0/8",
            "127.0.0.1",
            "--deny",
            "10.9.0.0/16",
        ])
        .resolve()
        .unwrap();
        assert_eq!(config.database, Database::Sqlite("/tmp/x.db".into()));
        assert!(config.live.scope.check_addr([10, 1, 1, 1].into()).is_ok());
        assert!(config.live.scope.check_addr([10, 9, 1, 1].into()).is_err());
        assert!(config.live.scope.check_addr([127, 0, 0, 2].into()).is_err());
    }

    #[test]
    fn how_often_is_said_by_the_agents() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("recon.toml");
        let text = "[agents.kumo.config]\nrespider_after = \"7d\"\n\
                    [agents.kumo-2]\nkind = \"kumo\"\n\
                    [agents.kumo-2.config]\nrespider_after = \"5d\"\n\
                    [agents.suzu.config]\nreenumerate_after = \"3d\"\n\
                    [agents.ryu.config]\nrescan_after = \"2d\"\nreassess_after = \"4d\"\n\
                    [[scope.blackout]]\nfrom = \"22:00\"\nto = \"24:00\"\n";
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        let list = [
            "--fleet",
            file,
            "--database",
            "sqlite:///tmp/x.db",
            "--scope",
            "10.0.0.0/8",
        ];
        let live = args(&list).resolve().unwrap().live;
        let days = |kind| live.rescan_after(Some(kind)).as_secs() / 86_400;
        assert_eq!(WorkKind::ALL.map(days), [1, 1, 2, 5, 3, 4]);
        assert_eq!(live.scope.blackouts.len(), 1, "--scope does not undo them");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (list, says) in [
            (["--listen", "nowhere"], "listen"),
            (["--database", "mysql://me:secret@x/y"], "mysql://me@x/y"),
            (["--database", "sqlite://"], "sqlite:///PATH"),
        ] {
            let error = args(&list).resolve().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
