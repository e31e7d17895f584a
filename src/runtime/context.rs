use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::control::Phase;
use super::notify::Notifier;
use super::text::grouped;
use super::vitals::Facts;
use super::{Config, Control, Heart, Vitals};

/// What the work loop hands to an agent: its configuration, its heart, what the operator wants, and
/// the status line.
#[derive(Debug)]
pub struct Context {
    /// What the operator wants.
    pub control: Control,
    /// Proof of progress.
    pub heart: Heart,
    /// What this agent knows of itself.
    pub vitals: Vitals,
    notifier: Arc<Notifier>,
    config: Arc<RwLock<Arc<Config>>>,
    /// What goes on beside this.
    beside: OnceLock<Vitals>,
    /// Beside what this goes on.
    front: Option<Weak<Self>>,
}

/// Share of the stop timeout that the task in hand may use; the rest is for sending its result and
/// giving leases back before systemd loses patience.
const STOP_SHARE: f64 = 0.8;

impl Context {
    /// A context with this configuration.
    pub fn new(config: Config, control: Control, notifier: Arc<Notifier>) -> Self {
        Self {
            control,
            heart: Heart::new(Arc::clone(&notifier)),
            vitals: Vitals::new(),
            notifier,
            config: Arc::new(RwLock::new(Arc::new(config))),
            beside: OnceLock::new(),
            front: None,
        }
    }

    /// A context for work that goes on beside this one's: what the operator wants and the configuration
    /// are the same, and what it says of itself is told with this one's status and heartbeat. Only the
    /// first is told of.
    pub fn beside(self: &Arc<Self>) -> Self {
        let vitals = Vitals::new();
        let _ = self.beside.set(vitals.clone());
        Self {
            control: self.control.clone(),
            heart: Heart::silent(),
            vitals,
            notifier: Arc::default(),
            config: Arc::clone(&self.config),
            beside: OnceLock::new(),
            front: Some(Arc::downgrade(self)),
        }
    }

    /// Whether this goes on beside another.
    pub fn is_beside(&self) -> bool {
        self.front.is_some()
    }

    /// What this process knows of itself, with what goes on beside.
    pub fn facts(&self) -> Facts {
        let mut facts = self.vitals.get();
        if let Some(beside) = self.beside.get() {
            facts.join(beside.get());
        }
        facts
    }

    /// The hub took these leases back.
    pub fn lost(&self, leases: &[Uuid]) {
        for vitals in std::iter::once(&self.vitals).chain(self.beside.get()) {
            vitals.update(|f| f.lost.extend(leases));
        }
    }

    /// The configuration in force now. Take it once for a task.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a new configuration in force.
    pub fn set_config(&self, config: Config) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        self.control.nudge();
    }

    /// The sd_notify side.
    pub fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// Ends when the task in hand must be given up: the stop was asked for and the task's share of
    /// the stop timeout has passed.
    pub async fn out_of_time(&self) {
        loop {
            let version = self.control.version();
            if let Some(since) = self.control.stop_requested() {
                let budget = self.config().agent.stop_timeout.0.mul_f64(STOP_SHARE);
                return tokio::time::sleep_until((since + budget).into()).await;
            }
            self.control.changed_since(version).await;
        }
    }

    /// Waits until then, or until something has changed since this version of the control.
    pub async fn wait_until(&self, then: Instant, version: u64) {
        let rest = self
            .heart
            .rest(then.saturating_duration_since(Instant::now()));
        tokio::select! {
            () = rest => {}
            () = self.control.changed_since(version) => {}
        }
    }

    /// Says what it is doing now: the middle part of the status line.
    pub fn doing(&self, what: &str) {
        self.vitals
            .update(|facts| what.clone_into(&mut facts.doing));
        if let Some(front) = &self.front {
            if let Some(front) = front.upgrade() {
                front.refresh();
            }
            return;
        }
        let line = status_line(&self.facts(), self.control.phase());
        self.vitals
            .update(|facts| facts.status_text.clone_from(&line));
        self.notifier.status(&line);
    }

    /// Says the same as before, with what has changed around it.
    pub fn refresh(&self) {
        self.doing(&self.vitals.get().doing);
    }

    /// The same, shown at once.
    pub fn doing_now(&self, what: &str) {
        self.doing(what);
        if self.is_beside() {
            return;
        }
        self.notifier.status_now(&self.vitals.get().status_text);
    }

    /// Time that a stop may take in all.
    pub fn stop_timeout(&self) -> Duration {
        self.config().agent.stop_timeout.0
    }
}

/// `paused; …`, `degraded: WHY; …` or just what it is doing, then the sum of the work. The first
/// word is what `reconctl` reads the state from, so it must not change.
fn status_line(facts: &Facts, phase: Phase) -> String {
    let doing = &facts.doing;
    let mut line = match (&facts.degraded, phase) {
        (_, Phase::Stop) => format!("stopping: {doing}"),
        (_, Phase::Paused) => format!("paused: {doing}"),
        (Some(why), Phase::Run) => format!("degraded: {why}; {doing}"),
        (None, Phase::Run) => doing.clone(),
    };
    if facts.completed > 0 {
        line += &format!(
            ", {} done, {} found",
            grouped(facts.completed),
            grouped(facts.found)
        );
    }
    match facts.spooled {
        0 => {}
        1 => line += ", 1 result spooled",
        n => line += &format!(", {} results spooled", grouped(n)),
    }
    if facts.degraded.is_none() && phase == Phase::Run {
        line += ", hub ok";
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_begins_with_the_state() {
        let mut facts = Vitals::new().get();
        "waiting".clone_into(&mut facts.doing);
        assert_eq!(status_line(&facts, Phase::Run), "waiting, hub ok");
        (facts.completed, facts.found) = (12, 1204);
        facts.degraded = Some("hub unreachable".into());
        facts.spooled = 2;
        "scanning 10.0.0.7 (3/10)".clone_into(&mut facts.doing);
        assert_eq!(
            status_line(&facts, Phase::Run),
            "degraded: hub unreachable; scanning 10.0.0.7 (3/10), 12 done, 1,204 found, \
             2 results spooled"
        );
        assert!(status_line(&facts, Phase::Paused).starts_with("paused"));
        assert!(status_line(&facts, Phase::Stop).starts_with("stopping"));
    }

    #[test]
    fn what_goes_on_beside_is_told_with_the_rest() {
        let mut facts = Vitals::new().get();
        "scanning 10.0.0.7".clone_into(&mut facts.doing);
        (facts.completed, facts.found, facts.spooled) = (3, 40, 1);
        let mut beside = Vitals::new().get();
        beside.spooled = 1;
        (beside.completed, beside.found) = (2, 9);
        let leases = [Uuid::now_v7(), Uuid::now_v7()];
        facts.leases.push(leases[0]);
        beside.leases.push(leases[1]);
        let mut idle = facts.clone();
        idle.join(beside.clone());
        assert_eq!(
            status_line(&idle, Phase::Run),
            "scanning 10.0.0.7, 5 done, 49 found, 2 results spooled, hub ok"
        );
        beside.target = Some("web.example".to_owned());
        "assessing web.example".clone_into(&mut beside.doing);
        beside.degraded = Some("hub unreachable".to_owned());
        facts.join(beside);
        assert_eq!(
            status_line(&facts, Phase::Run),
            "degraded: hub unreachable; scanning 10.0.0.7; assessing web.example, 5 done, \
             49 found, 2 results spooled"
        );
        assert_eq!(facts.leases, leases);
    }
}
