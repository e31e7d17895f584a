use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::time::Instant;

use super::judge::{Judge, Verdict};
use super::options::Options;
use super::probe::{Answer, Probe};
use crate::fleet::Health;
use crate::runtime::logging;
use crate::runtime::notify::Notifier;
use crate::systemd::{self, Bus, Manager};

/// How often a program that is not ready yet is asked: its dependents wait.
const WHILE_STARTING: Duration = Duration::from_secs(1);

/// Asks until the program, whose pidfd is the standard input, has ended.
pub fn run(options: &Options) -> ExitCode {
    let name = std::env::var("RECON_AGENT").unwrap_or_else(|_| "recon".to_owned());
    if let Err(error) = logging::init(&name, "custom") {
        eprintln!("recon-shim: {error}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime.and_then(|runtime| {
        let outcome = runtime.block_on(watch(&options.health()));
        // A lookup that hangs in a resolver's thread must not hold up the end.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the health probe cannot go on; the watchdog will act");
            ExitCode::FAILURE
        }
    }
}

async fn watch(health: &Health) -> io::Result<()> {
    let program = io::stdin().as_fd().try_clone_to_owned()?;
    let ended = tokio::task::spawn_blocking(move || wait_for_end(&program));
    let prober = Prober {
        probe: Probe::new(health).map_err(io::Error::other)?,
        judge: Judge::new(health.failures),
        notifier: Notifier::default(),
        health,
    };
    tokio::select! {
        ended = ended => ended.map_err(io::Error::other)?,
        never = prober.ask_for_ever() => match never {},
    }
}

/// A pidfd becomes readable when its process ends (pidfd_open(2)).
fn wait_for_end(program: &OwnedFd) -> io::Result<()> {
    let mut fds = [PollFd::new(program, PollFlags::IN)];
    loop {
        match poll(&mut fds, None) {
            Err(Errno::INTR) => {}
            result => return Ok(result.map(drop)?),
        }
    }
}

struct Prober<'h> {
    health: &'h Health,
    probe: Probe,
    judge: Judge,
    notifier: Notifier,
}

impl Prober<'_> {
    async fn ask_for_ever(mut self) -> std::convert::Infallible {
        loop {
            let began = Instant::now();
            let answer = self.probe.ask().await;
            self.tell(&answer).await;
            let interval = self.health.interval.0;
            let pause = match self.judge.is_ready() {
                true => interval,
                false => interval.min(WHILE_STARTING),
            };
            // Counted from question to question, so that slow answers do not stretch the time in
            // which a hang is found.
            tokio::time::sleep_until(began + pause).await;
        }
    }

    async fn tell(&mut self, answer: &Answer) {
        let verdict = self.judge.hear(answer.is_ok());
        let (Ok(words) | Err(words)) = answer;
        let limit = self.health.failures;
        match verdict {
            Verdict::Ready => {
                tracing::info!(EVENT = "healthy", "ready: {words}");
                self.notifier.ready_with(&format!("healthy: {words}"));
                self.notifier.watchdog();
            }
            Verdict::Well { again } => {
                if again {
                    tracing::info!(EVENT = "healthy", "healthy again: {words}");
                }
                self.notifier.alive_with(&format!("healthy: {words}"));
            }
            Verdict::Starting => {
                let status = format!("not ready yet, its health probe says: {words}");
                self.notifier.status_now(&status);
            }
            Verdict::Unwell(failed) => {
                let status = format!("unhealthy ({failed} of {limit}): {words}");
                tracing::warn!(EVENT = "unhealthy", "{status}");
                self.notifier.status_now(&status);
            }
            Verdict::Lost => self.give_up(words).await,
        }
    }

    async fn give_up(&self, words: &str) {
        let limit = self.health.failures;
        let status = format!("unhealthy ({limit} of {limit}): {words}");
        match is_active().await {
            Ok(true) => {
                tracing::error!(EVENT = "unhealthy", "{status}; it is to be restarted");
                self.notifier.status_now(&status);
                self.notifier.trigger_watchdog();
            }
            // A trigger would kill a program that is just finishing, and call its stop a failure.
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(EVENT = "unhealthy", %error, "{status}; the watchdog will act");
                self.notifier.status_now(&status);
            }
        }
    }
}

/// Whether our unit is up and nobody is stopping it.
async fn is_active() -> Result<bool, systemd::Error> {
    // Set by a user's own systemd only (systemd.exec(5)).
    let bus = match std::env::var_os("MANAGERPID") {
        Some(_) => Bus::User,
        None => Bus::System,
    };
    let options = systemd::Options {
        bus,
        ..systemd::Options::default()
    };
    let state = Manager::connect(options).await?.own_active_state().await?;
    Ok(state == "active")
}
