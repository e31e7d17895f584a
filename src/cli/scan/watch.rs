use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::gather::Gathered;
use super::show::Outputs;
use crate::api::OpenPort;
use crate::cli::Global;
use crate::cli::table::{display, duration};
use crate::engines::ports::output::Results;
use crate::engines::ports::{Checkpoint, Observer, Progress, ScanReport};

/// How often progress is drawn.
const TICK: Duration = Duration::from_millis(100);
/// How often what was found is saved: what a crash costs at most.
const SAVE_EVERY: Duration = Duration::from_secs(5);
/// Over how long the rate is taken.
const RATE_OVER: Duration = Duration::from_secs(1);

/// What hears of a scan while it runs. The engine's calls cost a few stores to memory; drawing and
/// saving is done by a [`Ticker`].
pub struct Watch {
    gathered: Mutex<Gathered>,
    outputs: Mutex<Outputs>,
    bar: ProgressBar,
    verbose: bool,
    /// The file to go on from.
    file: PathBuf,
    numbers: Numbers,
    interrupted: AtomicBool,
}

#[derive(Default)]
struct Numbers {
    done: AtomicU64,
    total: AtomicU64,
    sent: AtomicU64,
    answered: AtomicU64,
    open: AtomicU64,
}

impl Watch {
    /// Watches a scan that leaves its file there.
    pub fn new(
        gathered: Gathered,
        outputs: Outputs,
        file: PathBuf,
        quiet: bool,
        verbose: bool,
    ) -> Self {
        let mut outputs = outputs;
        for host in gathered.complete_before() {
            outputs.host(&host);
        }
        Self {
            gathered: Mutex::new(gathered),
            outputs: Mutex::new(outputs),
            bar: bar(quiet || !std::io::stderr().is_terminal()),
            verbose,
            file,
            numbers: Numbers::default(),
            interrupted: AtomicBool::new(false),
        }
    }

    /// What the user should know of how the scan went.
    pub fn say(&self, notes: &[String]) {
        for note in notes {
            self.bar
                .suspend(|| eprintln!("reconctl: {}", display(note)));
        }
    }

    /// What was found so far.
    pub fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outputs(&self) -> MutexGuard<'_, Outputs> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The user wants the scan to end; says whether that was known before.
    pub fn interrupt(&self) -> bool {
        self.interrupted.swap(true, Ordering::SeqCst)
    }

    /// The user has ended it.
    pub fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }

    /// It has ended before its end, for whatever reason.
    pub fn ended(&self) -> bool {
        self.interrupted() || !self.gathered().is_whole()
    }

    /// Removes the file of a scan that is complete, writes that of one that is not. `None`: nothing
    /// was sent, there is nothing to go on from.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, complete: bool) -> anyhow::Result<Option<PathBuf>> {
        if complete {
            // What is gone is gone.
            let _ = std::fs::remove_file(&self.file);
            return Ok(None);
        }
        let none = |number: &AtomicU64| number.load(Ordering::Relaxed) == 0;
        if none(&self.numbers.sent) && none(&self.numbers.done) && !self.file.exists() {
            return Ok(None);
        }
        let saved = self.gathered().saved();
        saved.write(&self.file)?;
        Ok(Some(self.file.clone()))
    }

    /// Writes the results to where they belong.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn show(&self, global: &Global, results: &Results) -> anyhow::Result<()> {
        self.outputs().finish(global, results)
    }

    /// The same, for a scan that only asks what is known to be open.
    pub fn services_only(&self) -> impl Observer + '_ {
        ServicesOnly(self)
    }

    fn draw(&self, rate: &mut Rate) {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let numbers = &self.numbers;
        let (done, total, sent) = (get(&numbers.done), get(&numbers.total), get(&numbers.sent));
        rate.update(sent);
        let eta = rate.left(done, total).map(duration);
        self.bar.set_length(total.max(1));
        self.bar.set_position(done);
        self.bar.set_message(format!(
            "{} sent, {}/s, {} answered, {} open, {}",
            HumanCount(sent),
            HumanCount(rate.per_second),
            HumanCount(get(&numbers.answered)),
            HumanCount(get(&numbers.open)),
            match (self.interrupted(), eta) {
                (true, _) => "ending".to_owned(),
                (false, Some(eta)) => format!("{eta} left"),
                (false, None) => "…".to_owned(),
            }
        ));
    }
}

impl Observer for Watch {
    fn progress(&self, progress: &Progress) {
        let set = |number: &AtomicU64, value| number.store(value, Ordering::Relaxed);
        set(&self.numbers.done, progress.done);
        set(&self.numbers.total, progress.total);
        set(&self.numbers.sent, progress.sent);
        set(&self.numbers.answered, progress.answered);
        set(&self.numbers.open, progress.open);
    }

    fn open(&self, addr: IpAddr, port: &dyn Fn() -> OpenPort) {
        let port = port();
        self.gathered().open(addr, port.clone().into());
        if self.verbose {
            let service = display(&port.service_name);
            let line = format!("open {addr} {}/{} {service}", port.port, port.protocol);
            self.bar.suspend(|| eprintln!("{}", line.trim_end()));
        }
    }

    fn host(&self, report: &ScanReport) {
        // Not while it is held: who reads standard output may be slow.
        let done = self.gathered().host(report);
        if let Some(host) = done {
            self.bar.suspend(|| self.outputs().host(&host));
        }
    }

    fn checkpoint(&self, checkpoint: &Checkpoint) {
        self.gathered().checkpoint(checkpoint);
    }

    fn cancelled(&self) -> bool {
        self.interrupted()
    }
}

struct ServicesOnly<'a>(&'a Watch);

impl Observer for ServicesOnly<'_> {
    fn progress(&self, progress: &Progress) {
        self.0.progress(progress);
    }

    fn cancelled(&self) -> bool {
        self.0.interrupted()
    }
}

fn bar(hidden: bool) -> ProgressBar {
    if hidden {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
    // The template is a constant of ours.
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {percent:>3}% {wide_msg}") {
        bar.set_style(style);
    }
    bar
}

/// Packets a second, and time left.
struct Rate {
    began: Instant,
    since: Instant,
    sent: u64,
    per_second: u64,
}

impl Rate {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            since: now,
            sent: 0,
            per_second: 0,
        }
    }

    fn update(&mut self, sent: u64) {
        let over = self.since.elapsed();
        if over >= RATE_OVER || self.per_second == 0 {
            let more = u128::from(sent.saturating_sub(self.sent));
            let rate = more * 1000 / over.as_millis().max(1);
            self.per_second = u64::try_from(rate).unwrap_or(u64::MAX);
            (self.since, self.sent) = (Instant::now(), sent);
        }
    }

    /// If it goes on as it went.
    fn left(&self, done: u64, total: u64) -> Option<Duration> {
        if done == 0 || total == 0 {
            return None;
        }
        // An estimate needs no more than the 52 bits that a float has.
        #[allow(clippy::cast_precision_loss)]
        let share = total.saturating_sub(done) as f64 / done as f64;
        Duration::try_from_secs_f64(self.began.elapsed().as_secs_f64() * share).ok()
    }
}

/// Draws progress and saves what was found, until it is stopped.
pub struct Ticker {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Ticker {
    /// Starts it.
    pub fn start(watch: Arc<Watch>) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || tick(&watch, &stopped));
        Self { stop, thread }
    }

    /// Stops it, and takes the progress off the screen.
    pub fn stop(self) {
        drop(self.stop);
        // It panics as little as any other code; then the results are still to be shown.
        let _ = self.thread.join();
    }
}

fn tick(watch: &Watch, stopped: &mpsc::Receiver<()>) {
    let mut rate = Rate::new();
    let mut last_save = Instant::now();
    let (mut told, mut ending) = (false, false);
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(TICK) {
        watch.draw(&mut rate);
        let first_time = watch.interrupted() && !ending;
        if first_time {
            ending = true;
            let says = "reconctl: ending; what was found is kept (Ctrl-C again ends at once)";
            watch.bar.suspend(|| eprintln!("{says}"));
        }
        if first_time || last_save.elapsed() >= SAVE_EVERY {
            let saved = watch.gathered().saved();
            if let Err(error) = saved.write(&watch.file)
                && !std::mem::replace(&mut told, true)
            {
                let says =
                    format!("reconctl: the scan cannot be resumed if it is killed: {error:#}");
                watch.bar.suspend(|| eprintln!("{says}"));
            }
            last_save = Instant::now();
        }
    }
    watch.bar.finish_and_clear();
}
