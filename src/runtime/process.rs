use std::path::PathBuf;

/// Resident memory of this process, bytes (proc_pid_statm(5)).
pub fn rss_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

/// Processor time of this process, seconds.
pub fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    // Seconds of processor time fit a float exactly for longer than any machine lives.
    #[allow(clippy::cast_precision_loss)]
    let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    seconds
}

/// Name of this host.
pub fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// The first directory of a variable such as `$STATE_DIRECTORY`, which systemd fills with a
/// colon-separated list (systemd.exec(5)).
pub fn directory(variable: &str) -> Option<PathBuf> {
    let list = std::env::var(variable).ok()?;
    list.split(':')
        .next()
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
}
