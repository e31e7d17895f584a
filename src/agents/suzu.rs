use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::web::{self, Manners, Site};
use super::web_by_hand;
use crate::api::{EggRecord, Personality, WorkKind};
use crate::engines::enumerate::{
    self, Checkpoint, Ended, Interference, Observer, Progress, Report, WordList,
};
use crate::engines::web::Client;
use crate::fleet::{AgentKind, EnumSettings, Settings};
use crate::runtime::{
    Agent, Config, Context, CycleReport, Done, LeasedWork, Options, Outbox, Phase, Show, Task,
    WorkError, lease_cycle, text,
};

/// The directory enumerator.
#[derive(Debug, Default)]
pub struct Suzu {
    /// The words, and the files that they are of.
    words: Option<(Vec<String>, Arc<WordList>)>,
}

impl Agent for Suzu {
    const KIND: AgentKind = AgentKind::Suzu;
    const ABOUT: &'static str = "recon's directory enumerator";

    fn check(settings: &Settings) -> Result<(), String> {
        let settings = web::enumerator(settings)?;
        Manners::from(settings).check()?;
        words(&settings.wordlists).map(drop)
    }

    async fn new(_: &Config) -> Result<Self, String> {
        Ok(Self::default())
    }

    async fn cycle(&mut self, ctx: &Context, outbox: &mut Outbox) -> CycleReport {
        lease_cycle(self, ctx, outbox).await;
        let config = ctx.config();
        let settings = web::enumerator(&config.agent.settings);
        let wait = settings.map_or(Duration::from_secs(60), |s| s.enum_interval.0);
        CycleReport { wait }
    }

    async fn once(
        &mut self,
        options: &Options,
        ctx: &Context,
        show: &dyn Show,
    ) -> Result<(), Vec<WorkError>> {
        web_by_hand::enumerate(options, ctx, show).await
    }
}

/// The words of these files, or those that recon brings along.
pub fn words(files: &[String]) -> Result<WordList, String> {
    if files.is_empty() {
        return Ok(WordList::packaged());
    }
    let open = |path: &String| {
        let file = File::open(path).map_err(|error| format!("wordlists: {path}: {error}"))?;
        Ok(BufReader::new(file))
    };
    let files = files.iter().map(open).collect::<Result<Vec<_>, String>>()?;
    let words = WordList::read_all(files).map_err(|error| format!("wordlists: {error}"))?;
    match words.is_empty() {
        true => Err("wordlists: there is no word in them".to_owned()),
        false => Ok(words),
    }
}

/// How settings enumerate a site.
pub fn options(
    settings: &EnumSettings,
    base: &url::Url,
    words: Arc<WordList>,
) -> enumerate::Options {
    enumerate::Options {
        extensions: settings.extensions.clone(),
        detect_extensions: settings.extensions.is_empty(),
        depth: settings.depth,
        max_time: settings.max_time.0,
        concurrency: settings.concurrency as usize,
        backups: settings.backups,
        methods: settings.methods,
        ..enumerate::Options::new(base.clone(), words)
    }
}

impl Suzu {
    /// Read once, and again when others are wanted.
    fn words(&mut self, files: &[String]) -> Result<Arc<WordList>, String> {
        if let Some((of, known)) = &self.words
            && of == files
        {
            return Ok(Arc::clone(known));
        }
        let read = Arc::new(words(files)?);
        self.words = Some((files.to_vec(), Arc::clone(&read)));
        Ok(read)
    }
}

impl LeasedWork for Suzu {
    const PERSONALITY: Personality = Personality::Suzu;
    const KIND: WorkKind = WorkKind::SuzuEnum;
    const SUBMIT: &'static str = "enumeration";
    const DOING: &'static str = "enumerating";

    fn batch(config: &Config) -> (u32, Duration) {
        web::enumerator(&config.agent.settings)
            .map_or((1, Duration::from_secs(600)), |s| (s.max_enums, s.lease.0))
    }

    async fn work(&mut self, task: &Task<'_>, ctx: &Context) -> Result<Done, WorkError> {
        let failed = WorkError::Failed;
        let settings = web::enumerator(&task.config.agent.settings).map_err(failed)?;
        let words = self.words(&settings.wordlists).map_err(failed)?;
        let site = Site::of(task, ctx, Self::PERSONALITY)
            .await
            .map_err(failed)?;
        let client = Manners::from(settings)
            .client(task.config, &site, Some(task.addr))
            .map_err(failed)?;
        let mut reports = Vec::new();
        let mut errors = Vec::new();
        let kept = Kept::of(task);
        // For all ports of the target together.
        let began = Instant::now();
        let mut not_begun = 0;
        for base in &site.start {
            if kept.done.iter().any(|done| done.base == base.as_str()) {
                continue;
            }
            let max_time = settings.max_time.0.saturating_sub(began.elapsed());
            if max_time.is_zero() && !settings.max_time.0.is_zero() {
                not_begun += 1;
                continue;
            }
            let watch = Watch::new(task, ctx, &client, base, &kept, &reports);
            let options = enumerate::Options {
                learned: site.learned.clone(),
                spidered: site.spidered.clone(),
                robots: match settings.robots {
                    true => web::robots(&client, base).await,
                    false => None,
                },
                resume: kept.place(base),
                max_time,
                ..options(settings, base, Arc::clone(&words))
            };
            match enumerate::enumerate(&options, &client, &watch).await {
                Ok(report) if report.ended == Ended::Cancelled => {
                    watch.keep(report.resume.as_ref());
                    return Err(WorkError::Interrupted);
                }
                Ok(report) => reports.push(report),
                Err(error) => errors.push(error.to_string()),
            }
        }
        reports.splice(0..0, kept.done);
        if reports.is_empty() {
            return Err(failed(errors.join("; ")));
        }
        let lists = match settings.wordlists.as_slice() {
            [] => "recon".to_owned(),
            files => files.join(", "),
        };
        let mut notes = web::slowed(&client);
        if not_begun > 0 {
            notes.push(format!("{not_begun} ports not begun: the time was over"));
        }
        Ok(done(task, &reports, &lists, (notes, not_begun == 0)))
    }

    fn failure(target: &str, record: &EggRecord, reason: &str) -> Value {
        json!({
            "eggrecord_id": record.id,
            "target": target,
            "result": { "success": false, "reason": reason },
        })
    }
}

/// How far an enumeration is, as it is kept on disk.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Kept {
    target: String,
    /// Sites of the target that are done.
    done: Vec<Report>,
    /// Where the one in hand is.
    place: Option<(String, Checkpoint)>,
}

impl Kept {
    fn of(task: &Task<'_>) -> Self {
        let kept = task.checkpoints.load::<Self>(task.record.id);
        let kept = kept.filter(|kept| kept.target == task.target);
        if kept.is_some() {
            tracing::info!(
                EVENT = "enumeration_resumed",
                TARGET = %text::display(task.target, 120),
                EGGRECORD_ID = %task.record.id,
                "{}: goes on where it was",
                text::display(task.target, 120)
            );
        }
        kept.unwrap_or_else(|| Self {
            target: task.target.to_owned(),
            ..Self::default()
        })
    }

    fn place(&self, base: &url::Url) -> Option<Checkpoint> {
        let (of, place) = self.place.as_ref()?;
        (of == base.as_str()).then(|| place.clone())
    }
}

/// A leased enumeration of one site under way.
struct Watch<'a> {
    task: &'a Task<'a>,
    ctx: &'a Context,
    client: &'a Client,
    base: &'a url::Url,
    kept: Mutex<Kept>,
    kept_at: Mutex<Instant>,
}

/// Between two writings of how far it is.
const KEEP_EVERY: Duration = Duration::from_secs(5);

impl<'a> Watch<'a> {
    fn new(
        task: &'a Task<'a>,
        ctx: &'a Context,
        client: &'a Client,
        base: &'a url::Url,
        kept: &Kept,
        reports: &[Report],
    ) -> Self {
        let mut kept = kept.clone();
        kept.done.extend(reports.iter().cloned());
        Self {
            task,
            ctx,
            client,
            base,
            kept: Mutex::new(kept),
            kept_at: Mutex::new(Instant::now()),
        }
    }

    fn keep(&self, place: Option<&Checkpoint>) {
        let Some(place) = place else { return };
        let record = self.task.record;
        let Ok(mut kept) = self.kept.lock() else {
            return;
        };
        kept.place = Some((self.base.to_string(), place.clone()));
        let saved = self
            .task
            .checkpoints
            .save(record.id, record.lease_id, &*kept);
        if let Err(error) = saved {
            tracing::debug!(%error, "cannot write a checkpoint: after a crash it begins anew");
        }
    }
}

impl Observer for Watch<'_> {
    fn progress(&self, progress: &dyn Fn() -> Progress) {
        self.ctx.heart.beat();
        let now = progress();
        if now.total > 0 {
            let percent = now.done as f64 * 100.0 / now.total as f64;
            self.ctx
                .vitals
                .update(|facts| facts.progress_percent = Some(percent));
        }
    }

    fn slow_down(&self, interference: &Interference) {
        tracing::warn!(
            EVENT = "enumeration_interfered",
            TARGET = %text::display(self.task.target, 120),
            "{}: {}",
            text::display(self.task.target, 120),
            text::display(&interference.detail, 200)
        );
    }

    fn checkpoint(&self, checkpoint: &Checkpoint) {
        let due = self.kept_at.lock().is_ok_and(|mut at| {
            let due = at.elapsed() >= KEEP_EVERY;
            if due {
                *at = Instant::now();
            }
            due
        });
        if due {
            self.keep(Some(checkpoint));
        }
    }

    fn cancelled(&self) -> bool {
        self.ctx.heart.beat();
        web::follow_rate(self.ctx, self.client);
        self.ctx.control.phase() == Phase::Stop
    }
}

/// The result of all sites of a target.
fn done(task: &Task<'_>, reports: &[Report], lists: &str, how: (Vec<String>, bool)) -> Done {
    let Task { record, target, .. } = *task;
    let found = reports.iter().map(|report| report.found.len() as u64).sum();
    let requests: u64 = reports.iter().map(|report| report.requests).sum();
    tracing::info!(
        EVENT = "enumeration_completed",
        TARGET = %text::display(target, 120),
        EGGRECORD_ID = %record.id,
        "{}: {found} paths by {requests} requests",
        text::display(target, 120),
    );
    let (notes, all) = how;
    let mut result = result(reports, lists, notes);
    if !all {
        result["complete"] = json!(false);
    }
    let body = json!({ "eggrecord_id": record.id, "target": target, "result": result });
    Done {
        parts: Vec::new(),
        body,
        found,
    }
}

/// As many paths as the hub takes in one result.
const MOST_PATHS: usize = 10_000;

/// The result of several sites of a target as one. Paths of a port of its own are told with it.
fn result(reports: &[Report], lists: &str, mut notes: Vec<String>) -> Value {
    let mut whole = json!({});
    let mut known = HashSet::new();
    for report in reports {
        let mut part = report.heuristics(lists);
        let url = url::Url::parse(&report.base).ok();
        let own_port = url.filter(|url| url.port().is_some());
        if let Some(paths) = part["paths_discovered"].as_array_mut() {
            if let Some(url) = own_port {
                for found in paths.iter_mut() {
                    let path = found["path"].as_str().unwrap_or_default();
                    found["path"] = json!(format!("{}{path}", url.origin().ascii_serialization()));
                }
            }
            paths.retain(|found| known.insert(found["path"].to_string()));
        }
        notes.extend(report.notes.iter().cloned());
        if whole["success"].is_null() {
            whole = part;
            continue;
        }
        for list in ["paths_discovered", "enumeration_results"] {
            let more = part[list].as_array_mut().map(std::mem::take);
            if let (Some(all), Some(more)) = (whole[list].as_array_mut(), more) {
                all.extend(more);
            }
        }
        if whole["cms_detection"].is_null() {
            whole["cms_detection"] = part["cms_detection"].take();
        }
        whole["success"] = json!(whole["success"] == true || part["success"] == true);
    }
    if let Some(paths) = whole["paths_discovered"].as_array_mut()
        && paths.len() > MOST_PATHS
    {
        let score = |path: &Value| path["priority_score"].as_f64().unwrap_or_default();
        paths.sort_by(|one, other| score(other).total_cmp(&score(one)));
        let left_out = paths.len() - MOST_PATHS;
        paths.truncate(MOST_PATHS);
        notes.push(format!(
            "{left_out} paths left out: the hub takes {MOST_PATHS}"
        ));
    }
    whole["complete"] = json!(reports.iter().all(|report| report.ended == Ended::Complete));
    whole["notes"] = json!(notes);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::enumerate::{Found, Source, WordNotes};

    fn found(path: String, priority_score: f64) -> Found {
        Found {
            path,
            status: 200,
            size: 1,
            truncated: false,
            content_type: None,
            location: None,
            title: None,
            response_time_ms: 1.0,
            depth: 0,
            directory: false,
            source: Source::Words,
            prefix: false,
            methods: None,
            priority_score,
            priority_factors: Vec::new(),
        }
    }

    fn report(base: &str, paths: usize, score: f64) -> Report {
        Report {
            base: base.to_owned(),
            ended: Ended::Complete,
            found: (0..paths).map(|n| found(format!("/{n}"), score)).collect(),
            interference: Vec::new(),
            notes: Vec::new(),
            cms: None,
            requests: 1,
            candidates: 1,
            unanswered: 0,
            case_insensitive: false,
            words: WordNotes::default(),
            resume: None,
        }
    }

    /// More than it takes would have the hub refuse all of it.
    #[test]
    fn all_ports_together_have_no_more_paths_than_the_hub_takes() {
        let reports = [
            report("http://a.test/", 8000, 0.1),
            report("http://a.test:8080/", 8000, 0.9),
        ];
        let whole = result(&reports, "recon", Vec::new());
        let paths = whole["paths_discovered"].as_array().unwrap();
        assert_eq!(paths.len(), MOST_PATHS);
        let best = paths.iter().filter(|path| path["priority_score"] == 0.9);
        assert_eq!(best.count(), 8000);
        assert_eq!(
            whole["notes"][0],
            "6000 paths left out: the hub takes 10000"
        );
        assert_eq!(whole["complete"], true);
    }
}
