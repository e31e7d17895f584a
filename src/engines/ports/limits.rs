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

/// Hosts of which a state is kept; of more targets neighbours share one, so that memory is bounded.
const MOST_GROUPS: u64 = 1 << 16;

/// Which state of a bounded table belongs to which target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Groups {
    targets: u64,
}

impl Groups {
    /// For so many targets (below 2^47).
    pub(crate) fn of(targets: u64) -> Self {
        Self {
            targets: targets.max(1),
        }
    }

    /// Number of states.
    pub(crate) fn len(self) -> usize {
        // At most 65,536.
        #[allow(clippy::cast_possible_truncation)]
        let len = self.targets.min(MOST_GROUPS) as usize;
        len
    }

    /// Each target has a state of its own.
    pub(crate) fn are_single(self) -> bool {
        self.targets <= MOST_GROUPS
    }

    /// The state of a target, by its number.
    pub(crate) fn index(self, host: u64) -> usize {
        let index = match self.are_single() {
            true => host,
            false => host * MOST_GROUPS / self.targets,
        };
        // At most 65,536.
        #[allow(clippy::cast_possible_truncation)]
        let index = index as usize;
        index
    }
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(32, Iterator::count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_targets_share_states_with_their_neighbours() {
        let few = Groups::of(256);
        assert_eq!(
            (few.len(), few.index(255), few.are_single()),
            (256, 255, true)
        );
        let many = Groups::of(1 << 24);
        assert_eq!((many.len(), many.are_single()), (65_536, false));
        assert_eq!((many.index(0), many.index(255), many.index(256)), (0, 0, 1));
        assert_eq!(many.index((1 << 24) - 1), 65_535);
        assert_eq!(Groups::of(1 << 40).index((1 << 40) - 1), 65_535);
    }

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
