/// Exit codes of all binaries; scripts rely on them, so a code never changes its meaning.
///
/// 69 and 78 are `EX_UNAVAILABLE` and `EX_CONFIG` of sysexits.h(3head); 3 and 4 are what systemctl
/// answers for an inactive and an unknown unit (LSB status codes); 130 is 128 + SIGINT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done.
    Ok = 0,
    /// Something failed.
    Failure = 1,
    /// Bad usage or bad configuration; from `reconctl health`, CRITICAL.
    Usage = 2,
    /// The unit is not active (`reconctl status`).
    NotActive = 3,
    /// No such agent.
    NoSuchAgent = 4,
    /// Not permitted.
    NotPermitted = 5,
    /// The hub cannot be reached.
    HubUnreachable = 6,
    /// Findings are as bad as `--fail-on` says: all went well, and a pipeline is to stop.
    Findings = 7,
    /// systemd cannot be reached.
    SystemdUnreachable = 69,
    /// Bad configuration, as agents report it to systemd (never restarted); by hand it is `Usage`.
    Config = 78,
    /// Interrupted by the user.
    Interrupted = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
