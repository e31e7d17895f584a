use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::screenshots::Screenshots;
use super::web::{self, Manners, Site};
use super::web_by_hand;
use super::web_rows::{Rows, Run};
use crate::api::{EggRecord, Personality, WorkKind};
use crate::engines::spider::crawl::{
    self, Checkpoint, Ended, Observer, PageReport, Progress, Render, Report,
};
use crate::engines::web::{Client, Response};
use crate::fleet::{AgentKind, Settings, SpiderSettings};
use crate::runtime::{
    Agent, Config, Context, CycleReport, Done, LeasedWork, Options, Outbox, Phase, Show, Task,
    WorkError, lease_cycle, text,
};

/// The spider.
#[derive(Debug)]
pub struct Kumo;

impl Agent for Kumo {
    const KIND: AgentKind = AgentKind::Kumo;
    const ABOUT: &'static str = "recon's web spider";

    fn check(settings: &Settings) -> Result<(), String> {
        let settings = web::spider(settings)?;
        Manners::from(settings).check()?;
        web::check_browser(settings)
    }

    async fn new(_: &Config) -> Result<Self, String> {
        Ok(Self)
    }

    async fn cycle(&mut self, ctx: &Context, outbox: &mut Outbox) -> CycleReport {
        lease_cycle(self, ctx, outbox).await;
        let config = ctx.config();
        let settings = web::spider(&config.agent.settings);
        let wait = settings.map_or(Duration::from_secs(45), |s| s.spider_interval.0);
        CycleReport { wait }
    }

    async fn once(
        &mut self,
        options: &Options,
        ctx: &Context,
        show: &dyn Show,
    ) -> Result<(), Vec<WorkError>> {
        web_by_hand::spider(options, ctx, show).await
    }
}

/// How settings crawl a site.
pub fn options(settings: &SpiderSettings, site: &Site) -> crawl::Options {
    crawl::Options {
        depth: settings.depth,
        max_pages: settings.max_pages.into(),
        max_time: settings.max_time.0,
        concurrency: settings.concurrency as usize,
        robots: settings.robots,
        logged_in: Manners::from(settings).logged_in() || site.auth.is_some(),
        ..crawl::Options::new(site.start.clone())
    }
}

impl LeasedWork for Kumo {
    const PERSONALITY: Personality = Personality::Kumo;
    const KIND: WorkKind = WorkKind::KumoSpider;
    const SUBMIT: &'static str = "spider";
    const DOING: &'static str = "spidering";

    fn batch(config: &Config) -> (u32, Duration) {
        web::spider(&config.agent.settings).map_or((1, Duration::from_secs(600)), |s| {
            (s.max_spiders, s.lease.0)
        })
    }

    async fn work(&mut self, task: &Task<'_>, ctx: &Context) -> Result<Done, WorkError> {
        let settings = web::spider(&task.config.agent.settings).map_err(WorkError::Failed)?;
        let site = Site::of(task, ctx, Self::PERSONALITY)
            .await
            .map_err(WorkError::Failed)?;
        let client = Manners::from(settings)
            .client(task.config, &site, Some(task.addr))
            .map_err(WorkError::Failed)?;
        let watch = Watch::begin(task, ctx, &client);
        let options = crawl::Options {
            resume: watch.resume(),
            ..options(settings, &site)
        };
        let browser = web::browser(settings, &client, true).map_err(WorkError::Failed)?;
        let render = browser.as_ref().map(|browser| browser as &dyn Render);
        let report = crawl::crawl(&options, &client, render, &watch)
            .await
            .map_err(|error| WorkError::Failed(error.to_string()))?;
        if report.ended == Ended::Cancelled {
            if let Some(place) = &report.resume {
                watch.keep(place);
            }
            return Err(WorkError::Interrupted);
        }
        Ok(watch.done(&report, web::slowed(&client)))
    }

    fn failure(target: &str, record: &EggRecord, reason: &str) -> Value {
        json!({
            "eggrecord_id": record.id,
            "target": target,
            "result": { "success": false, "reason": reason },
        })
    }
}

/// How far a crawl is, as it is kept on disk.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Kept {
    target: String,
    run: Uuid,
    place: Checkpoint,
    rows: Rows,
}

/// The same as it is written.
#[derive(Debug, Serialize)]
struct Keep<'a> {
    target: &'a str,
    run: Uuid,
    place: &'a Checkpoint,
    rows: &'a Rows,
}

/// Writing how far it is takes no more than one part in so many of the time.
const KEEP_SHARE: u32 = 20;

/// A leased crawl under way.
struct Watch<'a> {
    task: &'a Task<'a>,
    ctx: &'a Context,
    client: &'a Client,
    run: Uuid,
    resume: Option<Checkpoint>,
    rows: Mutex<Rows>,
    /// Before then how far it is is not written again.
    keep_at: Mutex<Instant>,
    screenshots: Screenshots,
    /// Either is said once for a crawl: a disk that is full stays so, and so does a browser that does not
    /// start.
    screenshot_failed: AtomicBool,
    not_rendered: AtomicBool,
}

impl<'a> Watch<'a> {
    fn begin(task: &'a Task<'a>, ctx: &'a Context, client: &'a Client) -> Self {
        let kept = task.checkpoints.load::<Kept>(task.record.id);
        let kept = kept.filter(|kept| kept.target == task.target);
        if let Some(kept) = &kept {
            tracing::info!(
                EVENT = "spider_resumed",
                TARGET = %text::display(task.target, 120),
                EGGRECORD_ID = %task.record.id,
                "{}: goes on after {} pages",
                text::display(task.target, 120),
                kept.place.pages
            );
        }
        let (run, rows, resume) = match kept {
            Some(kept) => (kept.run, kept.rows, Some(kept.place)),
            None => (Uuid::now_v7(), Rows::default(), None),
        };
        Self {
            task,
            ctx,
            client,
            run,
            resume,
            rows: Mutex::new(rows),
            keep_at: Mutex::new(Instant::now()),
            screenshots: Screenshots::of_agent(task.state_dir),
            screenshot_failed: AtomicBool::new(false),
            not_rendered: AtomicBool::new(false),
        }
    }

    fn resume(&self) -> Option<Checkpoint> {
        self.resume.clone()
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, place: &Checkpoint) {
        let record = self.task.record;
        let rows = self.rows();
        let kept = Keep {
            target: self.task.target,
            run: self.run,
            place,
            rows: &rows,
        };
        let saved = self.task.checkpoints.save(record.id, record.lease_id, kept);
        if let Err(error) = saved {
            tracing::debug!(%error, "cannot write a checkpoint: after a crash the crawl begins anew");
        }
    }

    fn done(&self, report: &Report, slowed: Vec<String>) -> Done {
        let Task { record, target, .. } = *self.task;
        let rows = std::mem::take(&mut *self.rows());
        let found = rows.pages();
        let mut notes = report.notes.clone();
        notes.extend(slowed);
        notes.extend(rows.note());
        tracing::info!(
            EVENT = "spider_completed",
            TARGET = %text::display(target, 120),
            EGGRECORD_ID = %record.id,
            "{}: {} pages, {} forms, {} endpoints, {} secrets in {:.2} s ({:?})",
            text::display(target, 120),
            report.pages,
            rows.forms(),
            rows.endpoints(),
            rows.secrets(),
            report.duration,
            report.ended
        );
        let finished_at = Utc::now();
        let (parts, mut result) = rows.into_parts(&Run {
            record: record.id,
            target,
            id: self.run,
            finished_at,
        });
        let complete = report.ended == Ended::Complete;
        let more = json!({
            "success": true,
            "target": target,
            "run_id": self.run,
            "complete": complete,
            "ended": report.ended,
            "pages_spidered": report.pages,
            "spider_duration": report.duration,
            "technologies": report.technologies,
            "robots": report.robots,
            "external_hosts": report.external,
            "notes": notes,
            "finished_at": finished_at,
        });
        if let (Value::Object(result), Value::Object(more)) = (&mut result, more) {
            result.extend(more);
        }
        let body = json!({ "eggrecord_id": record.id, "target": target, "result": result });
        Done { parts, body, found }
    }
}

impl Observer for Watch<'_> {
    fn progress(&self, progress: &Progress) {
        self.ctx.heart.beat();
        let known = progress.pages + progress.waiting;
        if known > 0 {
            let percent = progress.pages as f64 * 100.0 / known as f64;
            self.ctx
                .vitals
                .update(|facts| facts.progress_percent = Some(percent));
        }
    }

    fn page(&self, page: PageReport, _: Option<&Response>) {
        if let Some(why) = &page.not_rendered
            && !self.not_rendered.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                EVENT = "page_not_rendered",
                "the browser does not load {} (others may follow): {}",
                text::display(&page.url, 200),
                text::display(why, 300)
            );
        }
        self.rows().add(&page);
    }

    fn screenshot(&self, page: &str, png: &[u8]) -> Option<String> {
        let kept = web::keep_screenshot(&self.screenshots, page, png);
        kept.inspect_err(|error| {
            if !self.screenshot_failed.swap(true, Ordering::Relaxed) {
                tracing::warn!("{error}");
            }
        })
        .ok()
    }

    fn checkpoint(&self, checkpoint: &dyn Fn() -> Checkpoint) {
        let mut at = self.keep_at.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        if began >= *at {
            self.keep(&checkpoint());
            *at = Instant::now() + began.elapsed() * KEEP_SHARE;
        }
    }

    fn cancelled(&self) -> bool {
        self.ctx.heart.beat();
        web::follow_rate(self.ctx, self.client);
        self.ctx.control.phase() == Phase::Stop
    }
}
