//! The hub as a service: start, signals, watchdog, reload, stop.

use std::process::ExitCode as ProcessExit;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::access::LocalToken;
use super::clock::Clock;
use super::config::{self, Args, Config};
use super::retention::Retention;
use super::server::Server;
use super::state::Hub;
use crate::api::ExitCode;
use crate::runtime::notify::{self, Notifier};
use crate::runtime::{logging, text::grouped};

/// How often the status line is made anew.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// How long after the last time what is old is removed again, and how long after the start for the first time.
const PURGE_EVERY: Duration = Duration::from_secs(3600);
const PURGE_FIRST: Duration = Duration::from_secs(60);

/// Runs `recon-hub`.
pub fn main() -> ProcessExit {
    let args = Args::parse();
    if args.make_token {
        return make_token();
    }
    let config = match args.resolve() {
        Ok(config) => config,
        Err(problem) => {
            eprintln!("recon-hub: {problem}");
            return ExitCode::Config.into();
        }
    };
    if args.check_config {
        println!(
            "configuration is good: listen {}, database {}",
            config.listen, config.database
        );
        return ExitCode::Ok.into();
    }
    let name = std::env::var("RECON_AGENT").unwrap_or_else(|_| "hub".to_owned());
    if let Err(problem) = logging::init(&name, "hub") {
        eprintln!("recon-hub: cannot log: {problem}");
    }
    // What was found is nobody else's business.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(32)
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(serve(&args, config)),
        Err(problem) => Err(problem.to_string()),
    };
    match done {
        Ok(()) => ExitCode::Ok.into(),
        Err(problem) => {
            eprintln!("recon-hub: {problem}");
            ExitCode::Failure.into()
        }
    }
}

/// What recon-token.service does.
fn make_token() -> ProcessExit {
    let Some(path) = config::local_token() else {
        eprintln!("recon-hub: STATE_DIRECTORY does not say where the token is to be");
        return ExitCode::Usage.into();
    };
    match LocalToken::new(path).make_file() {
        Ok(()) => ExitCode::Ok.into(),
        Err(problem) => {
            eprintln!("recon-hub: {problem}");
            ExitCode::Failure.into()
        }
    }
}

async fn serve(args: &Args, config: Config) -> Result<(), String> {
    let signals = Signals::new().map_err(|e| format!("cannot handle signals: {e}"))?;
    let server = Server::bind(config, Clock::default())
        .await
        .map_err(|e| e.to_string())?;
    let hub = server.hub();
    let stop = CancellationToken::new();
    info!(address = %server.address(), "the hub listens");
    let serving = tokio::spawn(server.run(stop.clone()));
    let notifier = Arc::new(Notifier::default());
    notifier.ready_with(&status_line(&hub).await);
    let chores = tokio::spawn(chores(Arc::clone(&hub), Arc::clone(&notifier)));
    let cleaning = tokio::spawn(clean(Arc::clone(&hub)));
    let watchdog = tokio::spawn(watchdog(Arc::clone(&hub), Arc::clone(&notifier)));
    signals.wait(args, &hub, &notifier).await;
    notifier.stopping();
    notifier.status_now("stopping: finishing requests");
    info!("the hub stops");
    watchdog.abort();
    chores.abort();
    cleaning.abort();
    stop.cancel();
    serving
        .await
        .map_err(|e| format!("serving ended badly: {e}"))
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    // The hub cannot pause; what would end it by default is caught and ignored.
    _pause: [Signal; 2],
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _pause: [
                signal(SignalKind::user_defined1())?,
                signal(SignalKind::user_defined2())?,
            ],
        })
    }

    /// Reloads on SIGHUP; returns when it is time to stop.
    async fn wait(mut self, args: &Args, hub: &Hub, notifier: &Notifier) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => reload(args, hub, notifier).await,
            }
        }
    }
}

/// Puts a changed configuration in force; a bad one is refused, and the old one stays.
async fn reload(args: &Args, hub: &Hub, notifier: &Notifier) {
    notifier.reloading();
    match args.resolve() {
        Ok(config) => {
            hub.set_live(config.live);
            if let Err(problem) = hub.reload_certificate() {
                error!(%problem, "the new certificate is refused; the old one stays in force");
                notifier
                    .ready_with("degraded: new certificate refused, the old one stays in force");
                return;
            }
            info!("the configuration was read again");
            notifier.ready_with(&status_line(hub).await);
        }
        Err(problem) => {
            error!(%problem, "the new configuration is refused; the old one stays in force");
            notifier.ready_with("degraded: reload refused, the old configuration stays in force");
        }
    }
}

/// The status line.
async fn chores(hub: Arc<Hub>, notifier: Arc<Notifier>) {
    let mut pause = STATUS_EVERY;
    loop {
        tokio::time::sleep(pause).await;
        let start = Instant::now();
        notifier.status(&status_line(&hub).await);
        // Counting takes its time in a large database; it must not take a noticeable share of it.
        pause = STATUS_EVERY.max(start.elapsed() * 100);
    }
}

/// Removes what is old, however long it takes.
async fn clean(hub: Arc<Hub>) {
    let mut retention = Retention::default();
    tokio::time::sleep(PURGE_FIRST).await;
    loop {
        if let Err(problem) = retention.enforce(&hub).await {
            warn!(%problem, "what is old was not removed");
        }
        tokio::time::sleep(PURGE_EVERY).await;
    }
}

/// Tells systemd that the hub lives, each time only after work went the way that work goes.
async fn watchdog(hub: Arc<Hub>, notifier: Arc<Notifier>) {
    let Some(limit) = notify::watchdog_interval() else {
        return;
    };
    let mut ticks = interval(limit / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if hub.is_at_long_work() {
            // It was asked for, and being killed would only begin it anew.
            notifier.watchdog();
            continue;
        }
        match timeout(limit / 2, hub.store.check()).await {
            Ok(Ok(())) => notifier.watchdog(),
            Ok(Err(problem)) => error!(%problem, "the self-check failed"),
            Err(_) => error!("the self-check took too long"),
        }
    }
}

async fn status_line(hub: &Hub) -> String {
    let counts = hub.store.counts(hub.clock.now()).await;
    let agents = hub.store.daemons().await;
    match (counts, agents) {
        (Ok(counts), Ok(agents)) => format!(
            "{} targets, {} leases, {} scans; {} agents",
            grouped(counts.targets),
            grouped(counts.leases),
            grouped(counts.scans),
            agents.len()
        ),
        _ => "the database does not answer".to_owned(),
    }
}
