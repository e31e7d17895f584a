use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::descriptors::raise_limit;

/// File descriptors that scans leave to the rest of the process (hub client, spool, journal, …).
const HEADROOM: usize = 64;

/// A scan can always have this many, however tight the limit is; then it may meet EMFILE and waits.
const AT_LEAST: usize = 16;

/// File descriptors that all scans of this process may have together.
#[derive(Debug)]
pub(crate) struct FdBudget {
    limit: usize,
    used: AtomicUsize,
}

/// One file descriptor of the budget; given back on drop.
#[derive(Debug)]
pub(crate) struct FdPermit {
    budget: &'static FdBudget,
}

static BUDGET: LazyLock<FdBudget> = LazyLock::new(|| FdBudget {
    limit: raise_limit()
        .saturating_sub(open_descriptors() + HEADROOM)
        .max(AT_LEAST),
    used: AtomicUsize::new(0),
});

impl FdBudget {
    /// The budget of this process. The first call raises the soft RLIMIT_NOFILE to the hard one.
    pub(crate) fn of_process() -> &'static Self {
        &BUDGET
    }

    /// How many there are.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes one, if one is left.
    pub(crate) fn try_take(&'static self) -> Option<FdPermit> {
        let before = self.used.fetch_add(1, Ordering::Relaxed);
        // On failure the drop gives back what was added.
        let permit = FdPermit { budget: self };
        (before < self.limit).then_some(permit)
    }
}

impl Drop for FdPermit {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(1, Ordering::Relaxed);
    }
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(32, Iterator::count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_come_back() {
        let budget: &'static FdBudget = Box::leak(Box::new(FdBudget {
            limit: 2,
            used: AtomicUsize::new(0),
        }));
        let first = budget.try_take().unwrap();
        let second = budget.try_take().unwrap();
        assert!(budget.try_take().is_none());
        drop(first);
        let third = budget.try_take().unwrap();
        assert!(budget.try_take().is_none());
        drop((second, third));
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }
}
