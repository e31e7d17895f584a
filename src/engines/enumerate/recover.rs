use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::features::Seen;
use super::judge::{Judge, Trouble, random_name};
use super::place::{Place, PlaceKey};
use super::report::{Interference, Strain};
use super::run::Run;
use super::signature::{Likeness, Signature};

/// The longest time between two requests.
pub(super) const LONGEST_INTERVAL: Duration = Duration::from_secs(5);

/// The longest that a server is waited for at once.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// So many complaints within one stretch count as a block.
const MANY_STRAINS: u32 = 20;

/// After so many new answers for what is not there the server is taken for one that answers at random.
const MANY_CHANGES: u32 = 8;

/// Between looks whether the caller wants to end.
const SLICE: Duration = Duration::from_millis(50);

/// Something that is there: while it is, the server answers as it did.
#[derive(Debug, Clone)]
pub(super) struct Canary {
    path: String,
    status: u16,
}

impl Canary {
    /// A path that was answered so.
    pub fn new(path: &str, status: u16) -> Self {
        Self {
            path: path.to_owned(),
            status,
        }
    }
}

/// Whether the server still answers as it did when `reference` was learned: a path that cannot exist is
/// answered so, and one of the canaries is still there.
pub(super) async fn check(
    judge: &Judge<'_>,
    reference: &Place,
    canaries: &[Canary],
    base: &str,
) -> Result<(), Trouble> {
    let name = random_name(11);
    let answer = match judge.sender.get(&format!("{base}{name}")).await {
        Ok(answer) => answer,
        Err(error) => return Err(Trouble::silence(&error)),
    };
    let missing = Seen::new(&answer, &name);
    if !Judge::is_missing(reference, &answer, &name) {
        match reference.akin(&missing) {
            // Those differ from each other: one more of them.
            Some(signature) if !signature.is_far_from(&missing) => {
                reference.learn(&missing);
            }
            _ => return Err(Trouble::of(&answer)),
        }
    }
    let mut lost = None;
    let missing = Signature::new(&missing);
    for canary in canaries {
        match judge.sender.get(&canary.path).await {
            Err(error) => lost = Some(Trouble::silence(&error)),
            Ok(now) => {
                let relative = canary.path.strip_prefix(base).unwrap_or_default();
                let as_missing = missing.likeness(&Seen::new(&now, relative)) == Likeness::Same;
                if now.status == canary.status && !as_missing {
                    return Ok(());
                }
                lost = Some(Trouble::of(&now));
            }
        }
    }
    match lost {
        None => Ok(()),
        Some(trouble) => Err(Trouble {
            detail: format!("what was there is no more: {}", trouble.detail),
            ..trouble
        }),
    }
}

impl Run<'_> {
    /// The server does not answer as it did, and nothing is under way. Waits until it does, or takes how
    /// it answers now for granted if that still tells what is there; then what was found since all was
    /// well is asked for again. Says whether it can go on.
    pub(super) async fn recover(&mut self) -> bool {
        let Some(mut trouble) = self.trouble.take() else {
            return true;
        };
        let now = check(self.judge, &self.reference, &self.canaries, &self.base).await;
        let told = trouble.strain == Strain::RateLimited || std::mem::take(&mut self.check_failed);
        if now.is_ok() && !told {
            // It was over at once, or one place of the server has one more answer for what is not there.
            // That is known now; what was decided meanwhile may have been taken for it.
            self.changes += 1;
            if self.changes == MANY_CHANGES {
                self.judge.fickle.store(true, Ordering::Relaxed);
                self.notes
                    .push("what is not there is answered in ever new ways".to_owned());
            }
            let good = self.good.clone();
            self.rewind(&good);
            return true;
        }
        if let Err(now) = now {
            trouble = now;
        }
        self.interference.push(Interference {
            strain: trouble.strain,
            at_request: self.sender.sent(),
            detail: trouble.detail.clone(),
            retry_after: trouble.retry_after,
            taken_back: 0,
            recovered: false,
        });
        self.strains += 1;
        let mut retry_after = trouble.retry_after;
        let back = loop {
            if trouble.strain == Strain::Changed && self.take_for_granted().await {
                break true;
            }
            self.slow_down();
            let gives_up = self.waits >= self.options.patience || self.strains > MANY_STRAINS;
            if gives_up || !self.wait(retry_after.take()).await {
                break false;
            }
            self.waits += 1;
            match check(self.judge, &self.reference, &self.canaries, &self.base).await {
                Ok(()) => break true,
                Err(now) => {
                    retry_after = now.retry_after;
                    trouble = now;
                }
            }
        };
        if back {
            self.judge.forget();
            let good = self.good.clone();
            let taken_back = self.rewind(&good);
            if let Some(last) = self.interference.last_mut() {
                last.recovered = true;
                last.taken_back = taken_back;
            }
        }
        back
    }

    /// What is not there looks otherwise than before, in the same way each time, and what is there is
    /// still there: then it is so from now on.
    async fn take_for_granted(&mut self) -> bool {
        let key = PlaceKey::plain(&self.base);
        if self.canaries.is_empty() {
            return false;
        }
        let Ok(reference) = self.judge.fresh_place(&key).await else {
            return false;
        };
        let well = check(self.judge, &reference, &self.canaries, &self.base)
            .await
            .is_ok();
        if well {
            self.reference = Arc::clone(&reference);
        }
        well
    }

    fn slow_down(&mut self) {
        if let Some(last) = self.interference.last() {
            self.observer.slow_down(last);
            if last.strain != Strain::Changed {
                self.limit = (self.limit / 2).max(1);
                self.interval = (self.interval * 2)
                    .max(self.options.interval)
                    .min(LONGEST_INTERVAL);
            }
        }
    }

    /// Waits as long as the server says, else longer each time. Whether the time was there.
    async fn wait(&self, retry_after: Option<u64>) -> bool {
        let own = self.options.cooldown * 2u32.saturating_pow(self.waits.min(8));
        let wait = retry_after
            .map_or(own, Duration::from_secs)
            .min(LONGEST_WAIT);
        let until = Instant::now() + wait;
        while Instant::now() < until {
            if self.is_over().is_some() {
                return false;
            }
            tokio::time::sleep(SLICE.min(until.saturating_duration_since(Instant::now()))).await;
        }
        self.is_over().is_none()
    }
}
