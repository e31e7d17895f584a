//! How many files this process may have open (`RLIMIT_NOFILE` of getrlimit(2)). It is in no room and
//! needs none: both the engines and the hub live by it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one (`setrlimit(2)`) and says what it is now. systemd keeps the
/// soft limit at 1024 for programs that use select(2), which none of ours does.
pub(crate) fn raise_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // No limit at all is reported as none.
    current.map_or(usize::MAX / 2, |n| {
        usize::try_from(n).unwrap_or(usize::MAX / 2)
    })
}
