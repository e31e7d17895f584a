use std::io;
use std::path::PathBuf;

use uuid::Uuid;

/// The leases that this agent holds, on disk, so that one that was killed gives back at its next
/// start what it held, instead of the hub waiting for the leases to run out.
#[derive(Debug)]
pub struct Leases {
    path: PathBuf,
}

impl Leases {
    /// The file in this state directory.
    pub fn new(state_dir: &std::path::Path) -> Self {
        Self {
            path: state_dir.join("leases.json"),
        }
    }

    /// What was held when the process ended. A file that cannot be read means nothing: the leases
    /// end by time.
    pub fn left_over(&self) -> Vec<Uuid> {
        let Ok(bytes) = std::fs::read(&self.path) else {
            return Vec::new();
        };
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Records what is held now. It need not survive a power cut, so there is no fsync.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn record(&self, held: &[Uuid]) -> io::Result<()> {
        let temporary = self.path.with_extension("tmp");
        std::fs::write(&temporary, serde_json::to_vec(held)?)?;
        std::fs::rename(temporary, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let held = vec![Uuid::now_v7(), Uuid::now_v7()];
        Leases::new(dir.path()).record(&held).unwrap();
        assert_eq!(Leases::new(dir.path()).left_over(), held);
        std::fs::write(dir.path().join("leases.json"), "[").unwrap();
        assert!(Leases::new(dir.path()).left_over().is_empty());
    }
}
