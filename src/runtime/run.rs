use std::path::{Path, PathBuf};
use std::process::ExitCode as ProcessExit;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::api::ExitCode;
use crate::fleet::{AgentKind, Settings};

use super::heartbeat::{self, Pulse};
use super::notify::Notifier;
use super::outbox::Outbox;
use super::signals::Signals;
use super::{
    Config, ConfigSource, Context, Control, Options, Phase, WorkError, logging, manual, process,
};

/// An engine as an agent: what differs between them. Everything else is [`main`].
pub trait Agent: Sized {
    /// Its kind, and with it its name, binary and settings.
    const KIND: AgentKind;
    /// One line for `--help`.
    const ABOUT: &'static str;

    /// Whether these settings can be used; asked at start and at every reload.
    ///
    /// # Errors
    /// What is wrong with them, and what to write instead.
    fn check(settings: &Settings) -> Result<(), String>;

    /// Makes the agent, after a look at whether its engine can work at all.
    ///
    /// # Errors
    /// What is missing, and what to do about it.
    fn new(config: &Config) -> impl Future<Output = Result<Self, String>>;

    /// One cycle of work. It must call [`super::Heart::beat`] whenever it gets somewhere.
    fn cycle(&mut self, ctx: &Context, outbox: &mut Outbox) -> impl Future<Output = CycleReport>;

    /// Work of another kind that goes on beside its cycles, if it has any: neither waits for the other.
    fn beside(&self) -> Option<Box<dyn Beside>> {
        None
    }

    /// Called once the loop has ended, before the last results are sent.
    fn stopping(&mut self) -> impl Future<Output = ()> {
        std::future::ready(())
    }

    /// Works by hand on all targets that the command line names; what there is to show of each is
    /// given to `show` as soon as it is known.
    ///
    /// # Errors
    /// Some target could not be worked on, for these reasons.
    fn once(
        &mut self,
        options: &Options,
        ctx: &Context,
        show: &dyn manual::Show,
    ) -> impl Future<Output = Result<(), Vec<WorkError>>>;
}

/// Work that goes on beside an agent's own, with a loop, a spool and leases of its own. It must not take
/// the thread for longer than a moment: the agent's own work runs there, too.
#[async_trait(?Send)]
pub trait Beside {
    /// Its name, and that of its directory below the state directory.
    fn name(&self) -> &'static str;

    /// One cycle of work.
    async fn cycle(&mut self, ctx: &Context, outbox: &mut Outbox) -> CycleReport;
}

/// What a cycle says to the loop.
#[derive(Debug, Clone, Copy)]
pub struct CycleReport {
    /// Pause until the next one.
    pub wait: Duration,
}

/// How long the first heartbeat may hold up readiness.
const FIRST_CONTACT: Duration = Duration::from_millis(50);
/// What the loop gets beyond the task's own time.
const OVERDUE: Duration = Duration::from_secs(1);
/// How long sending what waits may take at the end, after the task in hand.
const LAST_FLUSH: Duration = Duration::from_secs(4);

/// Runs an agent: the whole of its binary.
pub fn main<A: Agent>() -> ProcessExit {
    let options = Options::parse_for(A::KIND, A::ABOUT);
    let source = match ConfigSource::new(A::KIND, options.clone()) {
        Ok(source) => source,
        Err(error) => return fail(A::KIND, ExitCode::Usage, &error),
    };
    if options.check_config {
        return match source.load(A::check) {
            Ok(_) => ExitCode::Ok.into(),
            Err(error) => fail(A::KIND, ExitCode::Config, &error.to_string()),
        };
    }
    // One thread: an agent waits for the network, and what is not there cannot race. Engines that
    // need more start their own threads.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(A::KIND, ExitCode::Failure, &error.to_string()),
    };
    let code = if options.once {
        runtime.block_on(manual::once::<A>(&source, &options))
    } else {
        runtime.block_on(daemon::<A>(source))
    };
    // A lookup that hangs in a resolver's thread must not hold up the end.
    runtime.shutdown_background();
    code.into()
}

fn fail(kind: AgentKind, code: ExitCode, message: &str) -> ProcessExit {
    eprintln!("recon-{}: {message}", kind.as_str());
    code.into()
}

async fn daemon<A: Agent>(source: ConfigSource) -> ExitCode {
    if let Err(error) = logging::init(source.name().as_str(), A::KIND.as_str()) {
        eprintln!("recon-{}: cannot log: {error}", A::KIND.as_str());
    }
    // First of all: a signal that finds no handler would end the process.
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return broken(&format!("cannot handle signals: {error}")),
    };
    let notifier = Arc::new(Notifier::default());
    let (config, mut agent) = match start::<A>(&source).await {
        Ok(started) => started,
        Err(message) => {
            // The agent cannot run until somebody mends this: exit 78 is never restarted.
            notifier.status_now(&format!("bad configuration: {message}"));
            tracing::error!(EVENT = "bad_configuration", "{message}");
            return ExitCode::Config;
        }
    };
    let state_dir = state_directory(&source);
    let control = Control::new(process::directory("RUNTIME_DIRECTORY"));
    let ctx = Arc::new(Context::new(config, control, notifier));
    let mut beside = agent.beside();
    let outbox = open(&state_dir, &ctx);
    let side = beside
        .as_ref()
        .map(|work| open(&state_dir.join(work.name()), &Arc::new(ctx.beside())));
    let (outbox, side) = match (outbox, side.transpose()) {
        (Ok(outbox), Ok(side)) => (outbox, side),
        (Err(message), _) | (_, Err(message)) => return broken(&message),
    };
    tokio::spawn(signals.watch(Arc::clone(&ctx), source, A::check));
    first_contact(&ctx, &outbox.1).await;
    let outboxes: Vec<Place> = std::iter::once(outbox).chain(side).collect();
    tokio::spawn(heartbeat::keep(Arc::clone(&ctx), outboxes.clone()));
    let all = async {
        let own = work(&outboxes[0], async |ctx, outbox| {
            agent.cycle(ctx, outbox).await
        });
        match (&mut beside, outboxes.get(1)) {
            (Some(beside), Some(place)) => {
                let side = work(place, async |ctx, outbox| beside.cycle(ctx, outbox).await);
                tokio::join!(own, side);
            }
            _ => own.await,
        }
    };
    tokio::select! {
        () = all => {}
        () = overdue(&ctx) => tracing::warn!("given up what was going on: time to stop"),
    }
    agent.stopping().await;
    finish(&ctx, &outboxes).await;
    ExitCode::Ok
}

/// A context, and what goes to the hub from there.
type Place = (Arc<Context>, Arc<Mutex<Outbox>>);

fn open(state_dir: &Path, ctx: &Arc<Context>) -> Result<Place, String> {
    match Outbox::open(state_dir) {
        Ok(outbox) => Ok((Arc::clone(ctx), Arc::new(Mutex::new(outbox)))),
        Err(error) => Err(format!(
            "cannot use state directory {}: {error}",
            state_dir.display()
        )),
    }
}

fn broken(message: &str) -> ExitCode {
    tracing::error!("{message}");
    ExitCode::Failure
}

async fn start<A: Agent>(source: &ConfigSource) -> Result<(Config, A), String> {
    let config = source.load(A::check).map_err(|e| e.to_string())?;
    let agent = A::new(&config).await?;
    Ok((config, agent))
}

/// Where results wait: systemd's `$STATE_DIRECTORY`, by hand the XDG state directory.
fn state_directory(source: &ConfigSource) -> PathBuf {
    process::directory("STATE_DIRECTORY").unwrap_or_else(|| {
        let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
        process::directory("XDG_STATE_HOME")
            .unwrap_or_else(|| home.join(".local/state"))
            .join("recon")
            .join(source.name().as_str())
    })
}

/// One heartbeat before READY=1. A hub that is down refuses at once, one that does not answer gets
/// [`FIRST_CONTACT`]: neither delays the start.
async fn first_contact(ctx: &Context, outbox: &Mutex<Outbox>) {
    let answer = tokio::time::timeout(FIRST_CONTACT, heartbeat::send(ctx)).await;
    let mut outbox = outbox.lock().await;
    outbox.count(ctx);
    match answer {
        Ok(Pulse::Failed(error)) => outbox.hub_failed(ctx, &error),
        Ok(_) => {}
        Err(_) => ctx
            .vitals
            .update(|f| f.degraded = Some("hub has not answered yet".to_owned())),
    }
    drop(outbox);
    ctx.doing_now(match ctx.control.phase() {
        Phase::Paused => "takes no new work",
        _ => "waiting for work",
    });
    ctx.notifier().ready();
    let config = ctx.config();
    tracing::info!(
        EVENT = "daemon_started",
        "{} {} is ready; hub {}",
        config.agent.name,
        env!("CARGO_PKG_VERSION"),
        config.hub.url()
    );
}

/// A work loop.
async fn work(
    (ctx, outbox): &Place,
    mut cycle: impl AsyncFnMut(&Context, &mut Outbox) -> CycleReport,
) {
    let started = Instant::now();
    let mut next_cycle = started;
    // The process is one, and says so once.
    let mut stable = ctx.is_beside();
    loop {
        if !stable && started.elapsed() >= ctx.config().agent.stable_after.0 {
            ctx.notifier().restart_reset();
            stable = true;
        }
        let mut wake = next_cycle;
        let version = ctx.control.version();
        match ctx.control.phase() {
            Phase::Stop => return,
            Phase::Paused => {
                outbox.lock().await.drain(ctx).await;
                ctx.doing_now("takes no new work");
                wake = Instant::now() + heartbeat::INTERVAL;
            }
            Phase::Run if next_cycle <= Instant::now() => {
                ctx.vitals.update(|f| f.cycle += 1);
                let mut outbox = outbox.lock().await;
                outbox.drain(ctx).await;
                let report = cycle(ctx, &mut outbox).await;
                // A hub that could not be asked for work is asked again as soon as it may be.
                next_cycle = Instant::now() + retry(&outbox, report.wait).min(report.wait);
                wake = next_cycle;
            }
            Phase::Run => {
                let mut outbox = outbox.lock().await;
                outbox.drain(ctx).await;
                wake = wake.min(Instant::now() + retry(&outbox, heartbeat::INTERVAL));
            }
        }
        ctx.wait_until(wake, version).await;
    }
}

/// The task in hand gives up by itself when its time is over; this is for whatever else may hold the
/// loop up, such as a hub that takes a request and does not answer.
async fn overdue(ctx: &Context) {
    ctx.out_of_time().await;
    tokio::time::sleep(OVERDUE).await;
}

/// When the outbox wants to be looked at again.
fn retry(outbox: &Outbox, otherwise: Duration) -> Duration {
    let wait = outbox.retry_in();
    if wait.is_zero() { otherwise } else { wait }
}

/// The last things: send what waits, give leases back, within what is left of the stop timeout.
async fn finish(ctx: &Context, outboxes: &[Place]) {
    ctx.doing_now("sending what waits");
    let flush = async {
        for (of, outbox) in outboxes {
            outbox.lock().await.drain(of).await;
        }
        heartbeat::send(ctx).await;
    };
    if tokio::time::timeout(LAST_FLUSH, flush).await.is_err() {
        tracing::warn!("the hub did not take everything; the rest waits in the spool");
    }
    let facts = ctx.facts();
    tracing::info!(
        EVENT = "daemon_stopped",
        "stopped after {} done, {} found, {} spooled",
        facts.completed,
        facts.found,
        facts.spooled
    );
}
