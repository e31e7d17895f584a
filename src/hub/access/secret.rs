use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::api::Role;

/// What every secret begins with, so that scanners of repositories and logs find one that leaked.
const PREFIX: &str = "recon_";
/// Random bytes of one.
const RANDOM: usize = 32;

/// What the bearer of a token sends. It is never logged and never kept, but for the file of the local
/// agents.
#[derive(Clone, PartialEq, Eq)]
pub(in super::super) struct Secret(String);

impl Secret {
    /// A new one: its role's first letter, then 256 random bits.
    pub(in super::super) fn generate(role: Role) -> Self {
        let bytes: [u8; RANDOM] = rand::random();
        let letter = match role {
            Role::Agent => 'a',
            Role::Viewer => 'v',
            Role::Operator => 'o',
        };
        Self(format!("{PREFIX}{letter}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// One that somebody sent or that a file holds; `None` when it cannot be one of ours.
    pub(in super::super) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?;
        let random = rest.strip_prefix(['a', 'v', 'o'])?;
        let bytes = URL_SAFE_NO_PAD.decode(random).ok()?;
        (bytes.len() == RANDOM).then(|| Self(text.to_owned()))
    }

    /// What is kept of it. There is nothing to be guessed in 256 random bits, so that a slow hash
    /// would only slow down the hub; and to look a token up by it tells no time about the secret.
    pub(in super::super) fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// Itself, for the one who is to have it.
    pub(in super::super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike_and_each_says_its_role() {
        let one = Secret::generate(Role::Operator);
        let other = Secret::generate(Role::Operator);
        assert_ne!(one, other);
        assert!(one.reveal().starts_with("recon_o"));
        assert_eq!(one.reveal().len(), "recon_o".len() + 43);
        assert_eq!(Secret::parse(one.reveal()), Some(one.clone()));
        assert!(!format!("{one:?}").contains(one.reveal()));
    }

    #[test]
    fn others_are_none_of_ours() {
        for text in ["", "recon_", "recon_a", "recon_aabc", "ghp_aaaa", "recon_x"] {
            assert_eq!(Secret::parse(text), None, "{text}");
        }
        let long = format!("recon_a{}", "A".repeat(44));
        assert_eq!(Secret::parse(&long), None);
    }
}
