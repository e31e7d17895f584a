use std::time::{Duration, Instant};

use crate::fleet::{AgentKind, SentinelSettings, Settings};
use crate::runtime::{
    Agent, Config, Context, CycleReport, Options, Outbox, Show, WorkError, rss_bytes,
};

/// The test agent: it logs, counts pretended jobs, and misbehaves when told to, so that supervision
/// can be tried and shown without a network.
#[derive(Debug)]
pub struct Sentinel {
    started: Instant,
    iteration: u64,
    next_job: Instant,
    job: Option<Job>,
    leaked: Vec<Vec<u8>>,
    refuse_stop: bool,
}

/// A pretended job: five steps, one an iteration.
#[derive(Debug)]
struct Job {
    number: u64,
    steps_left: u32,
}

/// Steps of a job.
const JOB_STEPS: u32 = 5;
/// Every so many iterations there is a line at info.
const INFO_EVERY: u64 = 5;
/// Every so many iterations there is a line at warning.
const WARN_EVERY: u64 = 10;
/// Every so many iterations there is a simulated error.
const FAIL_EVERY: u64 = 20;

impl Agent for Sentinel {
    const KIND: AgentKind = AgentKind::Sentinel;
    const ABOUT: &'static str =
        "recon's test agent: logs, pretends to work, misbehaves when told to";

    fn check(settings: &Settings) -> Result<(), String> {
        let settings = of(settings)?;
        if settings.log_interval.0.is_zero() {
            return Err("log_interval must be longer than 0s".to_owned());
        }
        Ok(())
    }

    async fn new(_: &Config) -> Result<Self, String> {
        let started = Instant::now();
        Ok(Self {
            started,
            iteration: 0,
            next_job: started,
            job: None,
            leaked: Vec::new(),
            refuse_stop: false,
        })
    }

    async fn cycle(&mut self, ctx: &Context, _: &mut Outbox) -> CycleReport {
        let config = ctx.config();
        let Ok(settings) = of(&config.agent.settings) else {
            // `check` refused anything else, so that this cannot be; rest rather than spin.
            return CycleReport {
                wait: Duration::from_secs(1),
            };
        };
        self.misbehave(settings, ctx).await;
        self.iteration += 1;
        self.speak(settings, ctx);
        self.work(settings, ctx);
        let doing = match &self.job {
            Some(job) => format!("job {}, {} steps to go", job.number, job.steps_left),
            None => format!("iteration {}", self.iteration),
        };
        ctx.doing(&doing);
        CycleReport {
            wait: settings.log_interval.0,
        }
    }

    async fn stopping(&mut self) {
        if self.refuse_stop {
            tracing::error!("refusing to stop, as configured");
            std::future::pending::<()>().await;
        }
    }

    async fn once(
        &mut self,
        options: &Options,
        _: &Context,
        show: &dyn Show,
    ) -> Result<(), Vec<WorkError>> {
        for target in &options.target {
            let item = serde_json::json!({ "target": target, "touched": false });
            let text = || format!("{target}: nothing is sent by the test agent");
            show.item("checks", &item, text);
        }
        Ok(())
    }
}

fn of(settings: &Settings) -> Result<&SentinelSettings, String> {
    match settings {
        Settings::Sentinel(settings) => Ok(settings),
        _ => Err("these are not the settings of a sentinel".to_owned()),
    }
}

impl Sentinel {
    /// The switches.
    async fn misbehave(&mut self, settings: &SentinelSettings, ctx: &Context) {
        let due = |after: crate::fleet::Span| self.started.elapsed() >= after.0;
        if settings.crash_after.is_some_and(due) {
            tracing::error!("crashing, as configured");
            std::process::abort();
        }
        if settings.hang_after.is_some_and(due) {
            tracing::error!("the work loop hangs now, as configured; signals still work");
            ctx.doing_now("hanging, as configured");
            std::future::pending::<()>().await;
        }
        if settings.leak_bytes > 0
            && let Ok(bytes) = usize::try_from(settings.leak_bytes)
        {
            self.leaked.push(vec![1; bytes]);
        }
        self.refuse_stop = settings.refuse_stop;
    }

    fn speak(&self, settings: &SentinelSettings, ctx: &Context) {
        let n = self.iteration;
        tracing::debug!(iteration = n, "iteration {n}");
        if n.is_multiple_of(INFO_EVERY) {
            let mib = rss_bytes().unwrap_or(0) >> 20;
            tracing::info!(iteration = n, "iteration {n}, {mib} MiB resident");
        }
        if n.is_multiple_of(WARN_EVERY) {
            tracing::warn!(
                iteration = n,
                "iteration {n}: a warning, for the sake of it"
            );
        }
        if settings.simulate_errors && n.is_multiple_of(FAIL_EVERY) {
            ctx.vitals.update(|f| f.errors += 1);
            tracing::error!(iteration = n, "iteration {n}: a simulated error");
        }
    }

    fn work(&mut self, settings: &SentinelSettings, ctx: &Context) {
        if let Some(job) = &mut self.job {
            job.steps_left -= 1;
            if job.steps_left == 0 {
                tracing::info!(
                    EVENT = "job_finished",
                    job = job.number,
                    "job {} done",
                    job.number
                );
                ctx.vitals.update(|f| f.completed += 1);
                self.job = None;
            }
        } else if self.next_job <= Instant::now() {
            let number = ctx.vitals.get().completed + 1;
            tracing::info!(EVENT = "job_launched", job = number, "job {number} begins");
            self.job = Some(Job {
                number,
                steps_left: JOB_STEPS,
            });
            self.next_job = Instant::now() + settings.job_interval.0;
        }
    }
}
