//! Where the hub is, and by what right one talks to it.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use reqwest::{Certificate, Url};
use rustix::fs::Access;

use super::{Failure, Global, check, user};
use crate::api::ExitCode;
use crate::fleet::{self, Fleet, Settings};

/// The socket of root and the hub's own user, in the hub's runtime directory.
const CONTROL_SOCKET: &str = "control.sock";

/// Where a hub is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its address.
    pub(super) url: String,
    /// Its control socket, when it is on this host and the socket may be used.
    pub(super) socket: Option<Socket>,
}

/// A control socket.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) path: PathBuf,
    /// Somebody asked for it.
    pub(super) required: bool,
}

impl Place {
    /// That of `--hub`, else of the fleet file.
    pub(super) fn find(global: &Global) -> Result<Self, Failure> {
        if let Some(url) = &global.hub {
            return Ok(match url.strip_prefix("unix:") {
                Some(path) => Self {
                    url: "http://localhost".to_owned(),
                    socket: Some(Socket {
                        path: PathBuf::from(path.strip_prefix("//").unwrap_or(path)),
                        required: true,
                    }),
                },
                None => Self {
                    url: url.clone(),
                    socket: None,
                },
            });
        }
        if let Some(host) = &global.host {
            let error = anyhow!(
                "-H {host} leads to that host's systemd, not to its hub: name the hub with --hub URL, \
                 or run this there"
            );
            return Err(Failure::new(ExitCode::Usage, error));
        }
        let loaded = fleet::load(&check::sources(global))
            .map_err(|errors| Failure::new(ExitCode::Usage, errors))?;
        let socket = local_hub(&loaded.fleet).map(|name| socket(global, name));
        let socket = socket.filter(|path| rustix::fs::access(path, Access::WRITE_OK).is_ok());
        Ok(Self {
            url: loaded.fleet.hub,
            socket: socket.map(|path| Socket {
                path,
                required: false,
            }),
        })
    }
}

fn socket(global: &Global, hub: &str) -> PathBuf {
    let dir = match global.user {
        true => user::runtime_dir(),
        false => global.root.join("run/recon"),
    };
    dir.join(hub).join(CONTROL_SOCKET)
}

/// The name of the hub that `fleet.hub` means, when that is an agent of this fleet on this host.
fn local_hub(fleet: &Fleet) -> Option<&str> {
    let url = Url::parse(&fleet.hub).ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']);
    let port = url.port_or_known_default()?;
    let address: Option<IpAddr> = host.parse().ok();
    let loopback = host == "localhost" || address.is_some_and(|a| a.is_loopback());
    fleet.agents.values().find_map(|agent| {
        let Settings::Hub(hub) = &agent.settings else {
            return None;
        };
        let listen = hub.listen.replacen("localhost:", "127.0.0.1:", 1);
        let listen: SocketAddr = listen.parse().ok()?;
        let here = || match address {
            Some(address) => loopback || address == listen.ip(),
            None => loopback || leads_here(host, port),
        };
        (listen.port() == port && here()).then(|| agent.name.as_str())
    })
}

/// Whether a name is one of this host's: only an address of its own can be bound.
fn leads_here(host: &str, port: u16) -> bool {
    let found = (host, port).to_socket_addrs();
    found.is_ok_and(|mut all| all.any(|a| UdpSocket::bind((a.ip(), 0)).is_ok()))
}

/// The token: of the file that was named, else of the user's own.
pub(super) fn token(global: &Global) -> anyhow::Result<Option<String>> {
    let own = user::token_file();
    let path = match &global.token_file {
        Some(path) => path,
        None if own.exists() => &own,
        None => return Ok(None),
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the token in {}", path.display()))?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(anyhow!("{} holds no token", path.display()));
    }
    Ok(Some(token.to_owned()))
}

/// The certificates in a file.
pub(super) fn authority(path: &Path) -> anyhow::Result<Vec<Certificate>> {
    let wrong = || format!("cannot read certificates from {}", path.display());
    let pem = std::fs::read(path).with_context(wrong)?;
    let all = Certificate::from_pem_bundle(&pem).with_context(wrong)?;
    if all.is_empty() {
        return Err(anyhow!("{} holds no certificate", path.display()));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Sources;

    fn hub_of(toml: &str) -> Option<String> {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("recon.toml");
        std::fs::write(&file, toml).unwrap();
        let sources = Sources {
            root: root.path().to_owned(),
            file: Some(file),
            env: Default::default(),
        };
        let fleet = fleet::load(&sources).unwrap().fleet;
        local_hub(&fleet).map(str::to_owned)
    }

    #[test]
    fn the_hub_of_this_host_is_known_by_its_address() {
        assert_eq!(hub_of("").as_deref(), Some("hub"));
        for (url, listen, local) in [
            ("http://localhost:9000", "127.0.0.1:9000", true),
            ("http://[::1]:9000", "[::1]:9000", true),
            ("http://127.0.0.1:9000", "0.0.0.0:9000", true),
            ("https://10.1.2.3:9000", "10.1.2.3:9000", true),
            ("http://127.0.0.1:9001", "127.0.0.1:9000", false),
            ("http://10.1.2.4:9000", "10.1.2.3:9000", false),
            ("http://hub.example.org:9000", "0.0.0.0:9000", false),
        ] {
            let toml =
                format!("[fleet]\nhub = {url:?}\n[agents.hub.config]\nlisten = {listen:?}\n");
            assert_eq!(hub_of(&toml).is_some(), local, "{url} {listen}");
        }
    }
}
