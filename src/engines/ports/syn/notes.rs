use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// What the user should hear when the sweep is over, said once, whoever of the workers finds it.
#[derive(Debug, Clone, Default)]
pub struct Notes(Arc<Mutex<BTreeSet<String>>>);

impl Notes {
    /// Says something.
    pub fn say(&self, note: String) {
        self.lock().insert(note);
    }

    /// What was said.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lock()).into_iter().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
