use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::batch::{Asked, Size};
use super::candidate::Candidate;
use super::judge::{Judge, Trouble, Verdict};
use super::place::{Place, PlaceKey};
use super::queue::{Next, Queue};
use super::recover::{Canary, LONGEST_INTERVAL, check};
use super::report::{Ended, Found, Interference, Report, Source, Strain};
use super::send::{Answer, Sender};
use super::{Checkpoint, Cms, Observer, Options, Progress, cms, detect};
use crate::engines::web::{Fetch, FetchError};

/// How often the caller is asked whether it wants to go on, when nothing else happens.
const TICK: Duration = Duration::from_millis(50);

/// With so many answers missing one after the other, and as many as may be under way, the server is
/// not well.
const FEW_FAILURES: u32 = 10;

/// As many candidates without an answer are kept to be asked for again at the end.
const MOST_LOST: usize = 1000;

/// Why there could be no enumeration at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnumerateError {
    /// The server does not answer.
    #[error("the server does not answer: {0}")]
    NoAnswer(#[from] FetchError),
    /// The checkpoint is of another server, other words or other extensions.
    #[error("the checkpoint is of another enumeration")]
    OtherRun,
    /// The URL has no path, so that nothing is below it.
    #[error("{0} is no URL of a web server")]
    NoBase(String),
}

/// Asks for the words of a list below a URL and returns what is there.
///
/// Needs a tokio runtime with time. One that is cancelled, exceeds its time or is blocked by the server
/// returns what it found, and where to go on.
///
/// # Errors
/// When there could be no enumeration at all.
pub async fn enumerate(
    options: &Options,
    fetch: &dyn Fetch,
    observer: &dyn Observer,
) -> Result<Report, EnumerateError> {
    let base = options.base.path();
    let base = &base[..=base.rfind('/').unwrap_or(0)];
    if options.base.cannot_be_a_base() || !base.starts_with('/') {
        return Err(EnumerateError::NoBase(options.base.to_string()));
    }
    let sender = Sender::new(fetch, &options.base, options.body_limit).await?;
    let judge = Judge::new(&sender, options);
    let root = sender.get(base).await?;
    let extensions = match options.extensions.is_empty() && options.detect_extensions {
        true => detect::extensions(&root, &options.spidered),
        false => options.extensions.clone(),
    };
    let queue = Queue::new(options, extensions);
    let reference = judge.fresh_place(&PlaceKey::plain(base)).await?;
    let mut run = Run::new(options, observer, &sender, &judge, queue, reference, base);
    run.begin(&root).await?;
    let ended = run.work().await;
    Ok(run.finish(ended))
}

/// The time between two requests that robots.txt asks for, where it is kept to; at most as long as a
/// server that complains gets.
fn asked_for(options: &Options) -> Duration {
    let seconds = options
        .robots
        .as_ref()
        .and_then(|robots| robots.crawl_delay());
    let delay = seconds.map(Duration::try_from_secs_f64);
    delay.map_or(Duration::ZERO, |delay| {
        delay.unwrap_or(LONGEST_INTERVAL).min(LONGEST_INTERVAL)
    })
}

/// What is under way.
type Flight<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = Done> + Send + 'a>>>;

enum Done {
    Asked(Asked),
    Calibrated(String, Result<Arc<Place>, FetchError>),
    Checked(Box<Checkpoint>, Result<(), Trouble>),
}

/// An enumeration that runs.
pub(super) struct Run<'a> {
    pub options: &'a Options,
    pub observer: &'a dyn Observer,
    pub sender: &'a Sender<'a>,
    pub judge: &'a Judge<'a>,
    pub queue: Queue,
    pub base: String,
    /// What is not there in the base, as it was learned first.
    pub reference: Arc<Place>,
    /// What is there and should be later on.
    pub canaries: Vec<Canary>,
    pub found: Vec<Found>,
    pub paths: HashMap<String, usize>,
    pub learned: HashMap<&'a str, f64>,
    pub cms: Option<Cms>,
    /// Where all was well last.
    pub good: Checkpoint,
    pub trouble: Option<Trouble>,
    pub interference: Vec<Interference>,
    pub notes: Vec<String>,
    /// Requests under way at most; only ever less.
    pub limit: usize,
    /// Time between requests, after the server complained.
    pub interval: Duration,
    pub next_send: Instant,
    /// Of the batches.
    pub size: Size,
    /// Times that the server was waited for since all was well.
    pub waits: u32,
    pub strains: u32,
    pub changes: u32,
    /// It was a check that told of the trouble.
    pub check_failed: bool,
    pub failures: u32,
    pub lost: Vec<Candidate>,
    pub lost_twice: bool,
    pub unanswered: u64,
    pub since_check: u64,
    pub checking: bool,
    pub calibrating: bool,
    pub stopped: bool,
    pub case_insensitive: bool,
    pub started: Instant,
}

impl<'a> Run<'a> {
    fn new(
        options: &'a Options,
        observer: &'a dyn Observer,
        sender: &'a Sender<'a>,
        judge: &'a Judge<'a>,
        queue: Queue,
        reference: Arc<Place>,
        base: &str,
    ) -> Self {
        Self {
            options,
            observer,
            sender,
            judge,
            base: base.to_owned(),
            reference,
            canaries: Vec::new(),
            found: Vec::new(),
            paths: HashMap::new(),
            learned: options
                .learned
                .iter()
                .map(|(path, weight)| (&**path, *weight))
                .collect(),
            cms: None,
            good: queue.checkpoint(&[], None),
            queue,
            trouble: None,
            interference: Vec::new(),
            notes: Vec::new(),
            limit: options.concurrency.max(1),
            interval: asked_for(options),
            next_send: Instant::now(),
            size: Size::default(),
            waits: 0,
            strains: 0,
            check_failed: false,
            changes: 0,
            failures: 0,
            lost: Vec::new(),
            lost_twice: false,
            unanswered: 0,
            since_check: 0,
            checking: false,
            calibrating: false,
            stopped: false,
            case_insensitive: false,
            started: Instant::now(),
        }
    }

    /// Fills the queue, anew or as it was.
    async fn begin(&mut self, root: &Answer) -> Result<(), EnumerateError> {
        if !Judge::is_missing(&self.reference, root, "") {
            self.canaries.push(Canary::new(&self.base, root.status));
        }
        if let Some(at) = &self.options.resume {
            if !self.queue.is_mine(at) {
                return Err(EnumerateError::OtherRun);
            }
            self.rewind(at);
            self.cms.clone_from(&at.cms);
            self.good = at.clone();
            return Ok(());
        }
        let mut learned = self.options.learned.clone();
        learned.sort_by(|a, b| b.1.total_cmp(&a.1));
        let learned = learned.into_iter().map(|(path, _)| path).collect();
        self.add_paths("", 0, Source::Learned, learned);
        if self.options.cms {
            self.cms = cms::detect(self.sender, &self.base, root).await;
            if let Some(cms) = &self.cms {
                let paths = cms::paths(&cms.name).iter();
                let paths = paths.map(|path| format!("{}{path}", self.base)).collect();
                self.add_paths("", 0, Source::Cms, paths);
            }
        }
        self.add_directory(&self.base.clone(), 0);
        self.good = self.queue.checkpoint(&self.found, self.cms.as_ref());
        Ok(())
    }

    /// Does all of it.
    async fn work(&mut self) -> Ended {
        let mut flight: Flight<'a> = FuturesUnordered::new();
        loop {
            if let Some(ended) = self.is_over() {
                return ended;
            }
            self.hand_out(&mut flight);
            if flight.is_empty() && Instant::now() >= self.next_send {
                if self.trouble.is_some() {
                    if !self.recover().await {
                        return self.is_over().unwrap_or(Ended::Blocked);
                    }
                    continue;
                }
                match self.end().await {
                    Some(ended) => return ended,
                    None => continue,
                }
            }
            let wait = match self.next_send.checked_duration_since(Instant::now()) {
                Some(wait) if !wait.is_zero() => wait.min(TICK),
                _ => TICK,
            };
            match tokio::time::timeout(wait, flight.next()).await {
                Ok(Some(done)) => self.settle(done),
                // Nothing is under way, and the time for the next has not come.
                Ok(None) => tokio::time::sleep(wait).await,
                Err(_) => {}
            }
        }
    }

    /// Nothing is under way and nothing more to ask for.
    async fn end(&mut self) -> Option<Ended> {
        if !self.lost.is_empty() {
            self.lost_twice = true;
            let lost = std::mem::take(&mut self.lost);
            lost.into_iter()
                .for_each(|candidate| self.queue.again(candidate));
            return None;
        }
        match check(self.judge, &self.reference, &self.canaries, &self.base).await {
            Ok(()) => {
                self.is_well(self.queue.checkpoint(&self.found, self.cms.as_ref()));
                Some(Ended::Complete)
            }
            Err(trouble) => {
                self.trouble = Some(trouble);
                None
            }
        }
    }

    pub(super) fn is_over(&self) -> Option<Ended> {
        let max = self.options.max_time;
        if self.stopped || self.observer.cancelled() {
            Some(Ended::Cancelled)
        } else if !max.is_zero() && self.started.elapsed() >= max {
            Some(Ended::Deadline)
        } else {
            None
        }
    }

    fn hand_out(&mut self, flight: &mut Flight<'a>) {
        let judge = self.judge;
        while self.trouble.is_none() && !self.calibrating && flight.len() < self.limit {
            if !self.interval.is_zero() {
                let now = Instant::now();
                if now < self.next_send {
                    return;
                }
                self.next_send = now + self.interval;
            }
            if self.since_check >= self.options.check_every && !self.checking {
                self.checking = true;
                self.since_check = 0;
                let at = Box::new(self.queue.checkpoint(&self.found, self.cms.as_ref()));
                let (reference, canaries) = (Arc::clone(&self.reference), self.canaries.clone());
                let base = self.base.clone();
                flight.push(Box::pin(async move {
                    let well = check(judge, &reference, &canaries, &base).await;
                    Done::Checked(at, well)
                }));
                continue;
            }
            match self.queue.next() {
                Next::Ask(candidate) => {
                    let candidates = self.batch(candidate);
                    flight.push(Box::pin(async move {
                        Done::Asked(judge.judge_all(candidates).await)
                    }));
                }
                Next::Calibrate(directory) => {
                    self.calibrating = true;
                    flight.push(Box::pin(async move {
                        let place = judge.place(&PlaceKey::plain(&directory)).await;
                        Done::Calibrated(directory, place)
                    }));
                }
                Next::Nothing => return,
            }
        }
    }

    fn settle(&mut self, done: Done) {
        match done {
            Done::Asked(asked) => self.asked(asked),
            Done::Calibrated(directory, place) => {
                self.calibrating = false;
                match place {
                    Ok(place) => self.queue.calibrated(&directory, &place),
                    Err(FetchError::Stopped(_)) => self.stopped = true,
                    Err(error) if self.lost_twice => {
                        self.unanswered += self.queue.leave(&directory);
                        self.notes.push(format!("{directory} left: {error}"));
                    }
                    Err(error) => {
                        self.lost_twice = true;
                        self.trouble = Some(Trouble::silence(&error));
                    }
                }
            }
            Done::Checked(at, well) => {
                self.checking = false;
                match well {
                    Ok(()) => self.is_well(*at),
                    Err(trouble) => {
                        self.check_failed = true;
                        self.trouble = Some(trouble);
                    }
                }
            }
        }
        self.observer.progress(&|| self.progress());
    }

    /// All was well when it was there.
    fn is_well(&mut self, at: Checkpoint) {
        self.good = at;
        self.waits = 0;
        self.strains = 0;
        self.observer.checkpoint(&self.good);
    }

    pub(super) fn judged(&mut self, candidate: Candidate, verdict: Verdict) {
        if !matches!(verdict, Verdict::Failed(_)) {
            self.failures = 0;
        }
        match verdict {
            Verdict::Missing => {
                self.since_check += 1;
                self.queue.decided(&candidate, false);
            }
            Verdict::Found(found) => {
                self.since_check += 1;
                let new = self.take(*found);
                let in_list = self.queue.decided(&candidate, new);
                if in_list > self.options.max_found_per_directory {
                    let directory = candidate.path[..candidate.below].to_owned();
                    self.queue.leave(&directory);
                    self.notes
                        .push(format!("{directory} left: {in_list} paths found in it"));
                }
            }
            Verdict::Strained(trouble) | Verdict::Changed(trouble) => {
                self.queue.again(candidate);
                self.trouble.get_or_insert(trouble);
            }
            Verdict::Failed(FetchError::Stopped(_)) => self.stopped = true,
            Verdict::Failed(error) => self.failed(candidate, &error),
        }
    }

    fn failed(&mut self, candidate: Candidate, error: &FetchError) {
        if self.lost_twice {
            self.unanswered += 1;
            self.queue.decided(&candidate, false);
        } else {
            self.lost.push(candidate);
        }
        self.failures += 1;
        let enough = u32::try_from(self.limit)
            .unwrap_or(u32::MAX)
            .max(FEW_FAILURES);
        if self.failures >= enough || self.lost.len() > MOST_LOST {
            self.trouble.get_or_insert(Trouble::silence(error));
        }
    }

    fn progress(&self) -> Progress {
        let (done, total) = self.queue.counts();
        let elapsed = self.started.elapsed().as_secs_f64();
        let sent = self.sender.sent();
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let (rate, speed) = (sent as f64 / elapsed, done as f64 / elapsed);
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let remaining = total.saturating_sub(done) as f64 / speed;
        Progress {
            sent,
            done,
            total,
            found: self.found.len() as u64,
            rate: if rate.is_finite() { rate } else { 0.0 },
            directory: self.queue.directory().to_owned(),
            remaining: Duration::try_from_secs_f64(remaining).ok(),
        }
    }

    fn finish(mut self, ended: Ended) -> Report {
        if ended == Ended::Blocked {
            let good = self.good.clone();
            let taken_back = self.rewind(&good);
            if let Some(last) = self.interference.last_mut() {
                last.taken_back += taken_back;
            }
        }
        let (candidates, _) = self.queue.counts();
        self.found.sort_by(|a, b| a.path.cmp(&b.path));
        if self
            .interference
            .iter()
            .any(|i| i.strain == Strain::RateLimited)
        {
            self.notes
                .push("the server limits the rate of requests".to_owned());
        }
        Report {
            base: self.options.base.to_string(),
            ended,
            found: self.found,
            interference: self.interference,
            notes: self.notes,
            cms: self.cms,
            requests: self.sender.sent(),
            candidates,
            unanswered: self.unanswered,
            case_insensitive: self.case_insensitive,
            words: self.options.words.notes(),
            resume: (ended != Ended::Complete).then_some(self.good),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::web::Robots;

    #[test]
    fn what_robots_asks_for() {
        let base = "http://a.test/".parse().unwrap();
        let mut options = Options::new(base, Arc::default());
        assert_eq!(asked_for(&options), Duration::ZERO);
        for (seconds, millis) in [("0.25", 250), ("3600", 5000), ("1e300", 5000)] {
            let text = format!("User-agent: *\nCrawl-delay: {seconds}\n");
            options.robots = Some(Arc::new(Robots::parse(text.as_bytes(), "recon")));
            assert_eq!(asked_for(&options), Duration::from_millis(millis));
        }
    }
}
