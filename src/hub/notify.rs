//! What the hub tells systemd (sd_notify(3)). A message that cannot be sent is logged, never fatal.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

fn send(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "systemd could not be told");
    }
}

/// The hub serves.
pub(super) fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The line that `systemctl status` shows.
pub(super) fn status(status: &str) {
    send(&[NotifyState::Status(status)]);
}

/// The configuration is being read again. Type=notify-reload wants the time in the same message.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "the monotonic clock could not be read"),
    }
}

/// The hub is going away.
pub(super) fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// The hub is alive.
pub(super) fn watchdog() {
    send(&[NotifyState::Watchdog]);
}

/// Time after which systemd takes a silent hub for dead.
pub(super) fn watchdog_time() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}
