use std::sync::{Mutex, PoisonError};

use super::features::Seen;
use super::signature::{Likeness, Signature};

/// Where servers answer alike for what is not there: a directory, and in it an extension, a slash at the
/// end, a dot at the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PlaceKey {
    /// The directory, with the slash at its end.
    pub directory: String,
    /// The extension with its dot, if there is one.
    pub extension: String,
    /// Whether the name has a slash at its end.
    pub slash: bool,
    /// Whether the name begins with a dot.
    pub dot: bool,
}

impl PlaceKey {
    /// Plain names in a directory.
    pub fn plain(directory: &str) -> Self {
        Self {
            directory: directory.to_owned(),
            extension: String::new(),
            slash: false,
            dot: false,
        }
    }

    /// The place of a path.
    pub fn of(path: &str) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        let (path, slash) = match path.strip_suffix('/') {
            Some(path) => (path, true),
            None => (path, false),
        };
        let (directory, name) = path.split_at(path.rfind('/').map_or(0, |at| at + 1));
        let dot = name.starts_with('.');
        let stem = name.trim_start_matches('.');
        Self {
            directory: directory.to_owned(),
            extension: stem.rfind('.').map_or("", |at| &stem[at..]).to_owned(),
            slash,
            dot,
        }
    }

    /// The path of a name in this place.
    pub fn path(&self, stem: &str) -> String {
        format!(
            "{}{}{stem}{}{}",
            self.directory,
            if self.dot { "." } else { "" },
            self.extension,
            if self.slash { "/" } else { "" },
        )
    }

    /// The name of a path of this place without what makes it one of this place.
    pub fn stem<'a>(&self, path: &'a str) -> &'a str {
        let name = path.split('?').next().unwrap_or_default();
        let name = name.strip_prefix(&*self.directory).unwrap_or(name);
        let name = name.trim_start_matches('.').trim_end_matches('/');
        name.strip_suffix(&*self.extension).unwrap_or(name)
    }
}

/// With so many different redirects for what is not there, where they lead to is taken for chance.
const REDIRECTS: usize = 3;

/// What is known of a place.
#[derive(Debug, Default)]
pub(super) struct Place {
    signatures: Mutex<Vec<Signature>>,
}

/// What a place has to say of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Not there.
    Missing,
    /// Not there, as what is there is only with a slash: to be asked for so.
    MissingWithoutSlash,
    /// Perhaps not there.
    Perhaps,
    /// Unlike all that is not there.
    Unlike,
}

impl Place {
    /// Whether an answer is one of those for what is not there.
    pub fn known(&self, seen: &Seen) -> Known {
        let signatures = self.lock();
        let mut perhaps = Known::Unlike;
        for signature in &*signatures {
            match signature.likeness(seen) {
                Likeness::Same if signature.appends_slash() => return Known::MissingWithoutSlash,
                Likeness::Same => return Known::Missing,
                Likeness::Perhaps => perhaps = Known::Perhaps,
                Likeness::Other => {}
            }
        }
        perhaps
    }

    /// Learns the answer for a path that is not there. Says whether there was none of the kind before.
    pub fn learn(&self, seen: &Seen) -> bool {
        let mut signatures = self.lock();
        if let Some(signature) = signatures.iter_mut().find(|s| s.is_akin(seen)) {
            signature.learn(seen);
            return false;
        }
        let redirects = signatures
            .iter()
            .filter(|s| s.redirects() && s.has_status(seen));
        if redirects.clone().count() >= REDIRECTS {
            // Each leads elsewhere: what they have in common is where they begin.
            let common = Signature::with_common_begin(redirects, seen);
            signatures.retain(|s| !s.redirects() || !s.has_status(seen));
            signatures.push(common);
            return false;
        }
        signatures.push(Signature::new(seen));
        true
    }

    /// Whether it is, but for the path and what changes by itself, one that was learned.
    pub fn knows_body(&self, seen: &Seen) -> bool {
        let signatures = self.lock();
        let mut akin = signatures.iter().filter(|s| s.is_akin(seen));
        akin.any(|signature| signature.has_body(seen))
    }

    /// The same path was asked for again and answered otherwise.
    pub fn is_volatile(&self, seen: &Seen) {
        if let Some(signature) = self.lock().iter_mut().find(|s| s.is_akin(seen)) {
            signature.volatile = true;
        }
    }

    /// The signature that could be mistaken for an answer: of the same status and redirect.
    pub fn akin(&self, seen: &Seen) -> Option<Signature> {
        self.lock().iter().find(|s| s.is_akin(seen)).cloned()
    }

    /// Whether what is not there is answered with bodies that differ.
    pub fn varies(&self) -> bool {
        self.lock().iter().any(Signature::varies)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Signature>> {
        self.signatures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_of_a_path_and_back() {
        for (path, directory, extension, stem) in [
            ("/admin", "/", "", "admin"),
            ("/a/b.tar.gz", "/a/", ".gz", "b.tar"),
            ("/.env", "/", "", "env"),
            ("/.env.bak", "/", ".bak", "env"),
            ("/a/b.php/", "/a/", ".php", "b"),
            ("/x.php?a=/b", "/", ".php", "x"),
        ] {
            let key = PlaceKey::of(path);
            assert_eq!(
                (&*key.directory, &*key.extension),
                (directory, extension),
                "{path}"
            );
            assert_eq!(key.stem(path), stem);
            assert_eq!(key.path(stem), path.split('?').next().unwrap());
        }
    }
}
