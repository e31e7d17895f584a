//! The sd_notify(3) protocol: what a service tells systemd about itself.
//!
//! A failure to notify is logged and never ends the service; without `$NOTIFY_SOCKET` (run by hand)
//! everything here does nothing.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// Tells systemd about this service. `STATUS=` goes out at most once a second, and only when it
/// changed.
#[derive(Debug, Default)]
pub struct Notifier {
    status: Mutex<StatusLine>,
}

#[derive(Debug, Default)]
struct StatusLine {
    sent: String,
    pending: Option<String>,
    at: Option<Instant>,
}

/// Least time between two STATUS= datagrams: more often tells nobody more, and each wakes PID 1.
pub const STATUS_INTERVAL: Duration = Duration::from_secs(1);

impl Notifier {
    /// Start-up or reload is over.
    pub fn ready(&self) {
        send(&[NotifyState::Ready]);
    }

    /// The same with a status line, in one datagram: whoever sees the one sees the other.
    pub fn ready_with(&self, status: &str) {
        send(&[NotifyState::Ready, NotifyState::Status(status)]);
        if let Ok(mut line) = self.status.lock() {
            line.sent(status.to_owned());
        }
    }

    /// A reload begins. RELOADING=1 and MONOTONIC_USEC= must be in one datagram (systemd ≥ 253,
    /// `Type=notify-reload`).
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => send(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!(%error, "cannot read the monotonic clock"),
        }
    }

    /// The service is going away; final from systemd 259 on.
    pub fn stopping(&self) {
        send(&[NotifyState::Stopping]);
    }

    /// The service is alive.
    pub fn watchdog(&self) {
        send(&[NotifyState::Watchdog]);
    }

    /// The same with a status line, in one datagram: each wakes PID 1.
    pub fn alive_with(&self, status: &str) {
        send(&[NotifyState::Watchdog, NotifyState::Status(status)]);
        if let Ok(mut line) = self.status.lock() {
            line.sent(status.to_owned());
        }
    }

    /// The service is not alive: systemd is to act as if the watchdog had run out.
    pub fn trigger_watchdog(&self) {
        send(&[NotifyState::WatchdogTrigger]);
    }

    /// Start-up or stop needs this much longer, counted from now.
    pub fn extend_timeout(&self, by: Duration) {
        send(&[NotifyState::ExtendTimeoutUsec(
            u32::try_from(by.as_micros()).unwrap_or(u32::MAX),
        )]);
    }

    /// The restart count may start afresh (systemd ≥ 258; earlier ones ignore it).
    pub fn restart_reset(&self) {
        send(&[NotifyState::Custom("RESTART_RESET=1")]);
    }

    /// The one line that `systemctl status` shows.
    pub fn status(&self, text: &str) {
        let Ok(mut line) = self.status.lock() else {
            return;
        };
        if line.sent == text {
            line.pending = None;
            return;
        }
        if line.at.is_some_and(|at| at.elapsed() < STATUS_INTERVAL) {
            line.pending = Some(text.to_owned());
            return;
        }
        line.send(text.to_owned());
    }

    /// The same, at once: for a change that must be seen before the next step.
    pub fn status_now(&self, text: &str) {
        if let Ok(mut line) = self.status.lock()
            && line.sent != text
        {
            line.send(text.to_owned());
        }
    }

    /// Whether a status line is held back.
    pub fn is_pending(&self) -> bool {
        self.status.lock().is_ok_and(|line| line.pending.is_some())
    }

    /// Sends a status line that was held back; called from the work loop's steps.
    pub fn flush(&self) {
        if let Ok(mut line) = self.status.lock()
            && line.at.is_none_or(|at| at.elapsed() >= STATUS_INTERVAL)
            && let Some(text) = line.pending.take()
        {
            line.send(text);
        }
    }
}

impl StatusLine {
    fn send(&mut self, text: String) {
        send(&[NotifyState::Status(&text)]);
        self.sent(text);
    }

    fn sent(&mut self, text: String) {
        self.sent = text;
        self.pending = None;
        self.at = Some(Instant::now());
    }
}

/// The interval within which systemd wants `WATCHDOG=1`, if it watches this process.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot notify systemd");
    }
}
