use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// What this agent knows of itself: written by the work loop, read by the heartbeat and by the
/// status line.
#[derive(Debug, Clone)]
pub struct Vitals(Arc<Mutex<Facts>>);

/// The facts.
#[derive(Debug, Clone)]
pub struct Facts {
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Number of the current cycle, from 1.
    pub cycle: u64,
    /// Targets finished since the start.
    pub completed: u64,
    /// Findings since the start: open ports for a scanner.
    pub found: u64,
    /// Errors since the start.
    pub errors: u64,
    /// Target in hand.
    pub target: Option<String>,
    /// Progress of the task in hand, 0 to 100.
    pub progress_percent: Option<f64>,
    /// Results that the hub has not taken yet.
    pub spooled: u64,
    /// Leases in hand.
    pub leases: Vec<Uuid>,
    /// Leases that the hub took back while they were in hand.
    pub lost: HashSet<Uuid>,
    /// What it is doing, for the status line.
    pub doing: String,
    /// Why it is degraded, if it is.
    pub degraded: Option<String>,
    /// The line that `systemctl status` shows.
    pub status_text: String,
}

impl Facts {
    /// With those of what goes on beside it, which says what it is doing only while it has a target.
    pub fn join(&mut self, beside: Self) {
        self.completed += beside.completed;
        self.found += beside.found;
        self.errors += beside.errors;
        self.spooled += beside.spooled;
        self.leases.extend(beside.leases);
        self.degraded = self.degraded.take().or(beside.degraded);
        if beside.target.is_some() {
            self.doing = format!("{}; {}", self.doing, beside.doing);
        }
    }
}

impl Vitals {
    /// Facts of an agent that just started.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Facts {
            started_at: Utc::now(),
            cycle: 0,
            completed: 0,
            found: 0,
            errors: 0,
            target: None,
            progress_percent: None,
            spooled: 0,
            leases: Vec::new(),
            lost: HashSet::new(),
            doing: String::new(),
            degraded: None,
            status_text: String::new(),
        })))
    }

    /// Changes the facts.
    pub fn update<R>(&self, change: impl FnOnce(&mut Facts) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The facts now.
    pub fn get(&self) -> Facts {
        self.update(|facts| facts.clone())
    }
}

impl Default for Vitals {
    fn default() -> Self {
        Self::new()
    }
}
