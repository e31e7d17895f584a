use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use super::process;

/// The credential (`LoadCredential=` of recon@.service) with the token for the hub.
const TOKEN: &str = "hub-token";
/// The credential with the certificate of who signed the hub's, for a hub with TLS.
const AUTHORITY: &str = "hub-ca";

/// Where what an agent shows to its hub is, and what it trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// File with the token.
    pub token: Option<PathBuf>,
    /// File with the certificates (PEM) that the hub's must be signed by.
    pub authority: Option<PathBuf>,
}

impl Credentials {
    /// What the command line names, else what systemd gave.
    pub fn find(token: Option<&Path>, authority: Option<&Path>) -> Self {
        let dir = process::directory("CREDENTIALS_DIRECTORY");
        let given = |name: &str| dir.as_ref().map(|dir| dir.join(name));
        Self {
            token: token.map(Path::to_owned).or_else(|| given(TOKEN)),
            authority: authority
                .map(Path::to_owned)
                .or_else(|| given(AUTHORITY).filter(|path| path.exists())),
        }
    }
}

/// The token in force, and the file that it came from. It is read again whenever the hub refuses it.
#[derive(Debug, Default)]
pub(super) struct TokenFile {
    path: Option<PathBuf>,
    token: RwLock<Option<String>>,
}

impl TokenFile {
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        let file = Self {
            path,
            token: RwLock::default(),
        };
        file.read_again();
        file
    }

    /// The token, if there is one.
    pub(super) fn get(&self) -> Option<String> {
        self.token
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads the file again; true when there is another token in it than before.
    pub(super) fn read_again(&self) -> bool {
        let Some(path) = &self.path else {
            return false;
        };
        let found = match fs::read_to_string(path) {
            // The unit's own default is an empty credential.
            Ok(text) => Some(text.trim().to_owned()).filter(|token| !token.is_empty()),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, file = %path.display(), "cannot read the token");
                }
                None
            }
        };
        let mut token = self.token.write().unwrap_or_else(PoisonError::into_inner);
        let changed = found.is_some() && *token != found;
        *token = found;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_changes_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let file = TokenFile::new(Some(path.clone()));
        assert_eq!(file.get(), None);
        fs::write(&path, "\n").unwrap();
        assert!(!file.read_again());
        fs::write(&path, "recon_a1\n").unwrap();
        assert!(file.read_again());
        assert_eq!(file.get().as_deref(), Some("recon_a1"));
        assert!(!file.read_again());
    }
}
