use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{ConfigSource, Context};
use crate::fleet::Settings;

/// The signals that an agent understands. Streams exist from `new` on, so that none is lost between
/// start and readiness.
pub struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
    usr1: Signal,
    usr2: Signal,
}

/// While a stop makes progress it asks systemd for this much more time at each step.
const EXTEND_STOP: Duration = Duration::from_secs(10);

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
            usr1: signal(SignalKind::user_defined1())?,
            usr2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Turns signals into what the operator wants, for ever.
    pub async fn watch(
        mut self,
        ctx: Arc<Context>,
        source: ConfigSource,
        check: fn(&Settings) -> Result<(), String>,
    ) {
        loop {
            tokio::select! {
                _ = self.term.recv() => stop(&ctx, "SIGTERM"),
                _ = self.int.recv() => stop(&ctx, "SIGINT"),
                _ = self.hup.recv() => reload(&ctx, &source, check),
                _ = self.usr1.recv() => pause(&ctx, true),
                _ = self.usr2.recv() => pause(&ctx, false),
            }
        }
    }

    /// By hand: the first Ctrl-C stops after what is in hand, the second ends at once.
    pub async fn watch_by_hand(mut self, ctx: Arc<Context>) {
        loop {
            tokio::select! {
                _ = self.term.recv() => {}
                _ = self.int.recv() => {}
            }
            if ctx.control.stop_requested().is_some() {
                std::process::exit(crate::api::ExitCode::Interrupted as i32);
            }
            ctx.control.stop();
        }
    }
}

fn stop(ctx: &Context, signal: &str) {
    tracing::info!(EVENT = "stopping", "{signal}: finishing the task in hand");
    ctx.notifier().stopping();
    ctx.heart.extend_while_progressing(Some(EXTEND_STOP));
    ctx.control.stop();
    ctx.doing_now("finishing the task in hand");
}

fn pause(ctx: &Context, paused: bool) {
    tracing::info!(
        EVENT = if paused {
            "daemon_paused"
        } else {
            "daemon_resumed"
        }
    );
    let in_hand = ctx.vitals.get().target;
    ctx.control.pause(paused);
    if !paused {
        return ctx.doing_now("resumed");
    }
    // PAUSED is said only when it is true: not while a task is in hand.
    match in_hand {
        Some(target) => tracing::info!(TARGET = target, "pausing after the task in hand"),
        None => ctx.doing_now("takes no new work"),
    }
}

/// Reads the configuration again. A bad one is refused and the old one stays; `ExecReload=` runs
/// the same check first, which is what makes the reload itself fail.
fn reload(ctx: &Context, source: &ConfigSource, check: fn(&Settings) -> Result<(), String>) {
    ctx.notifier().reloading();
    match source.load(check) {
        Ok(config) => {
            ctx.set_config(config);
            tracing::info!(EVENT = "reloaded", "configuration reloaded");
        }
        Err(error) => {
            ctx.vitals.update(|f| f.errors += 1);
            tracing::error!(
                EVENT = "reload_refused",
                "reload refused, the old one stays: {error}"
            );
        }
    }
    ctx.notifier().ready();
}
