//! The spider and the enumerator by hand: a URL in, what was found out, line by line.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::har::Har;
use super::screenshots::Screenshots;
use super::web::{self, Manners, Site};
use super::{kumo, suzu};
use crate::engines::enumerate::{self, Found, Interference};
use crate::engines::spider::crawl::{self, PageReport, Render};
use crate::engines::web::Response;
use crate::fleet::SpiderSettings;
use crate::runtime::{Context, Options, Phase, Show, WorkError, text};

/// What is shown of how far it is.
const TEMPLATE: &str = "{spinner} {elapsed} {msg}";

fn bar() -> ProgressBar {
    let bar = match std::io::stderr().is_terminal() {
        true => ProgressBar::new_spinner(),
        false => ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
    };
    // It is a constant, and good.
    if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
        bar.set_style(style);
    }
    bar
}

fn one(why: String) -> Vec<WorkError> {
    vec![WorkError::Failed(why)]
}

/// Spiders all that the command line names.
pub async fn spider(
    options: &Options,
    ctx: &Context,
    show: &dyn Show,
) -> Result<(), Vec<WorkError>> {
    let config = ctx.config();
    let settings = web::spider(&config.agent.settings).map_err(one)?;
    let har = options.spider.har.as_deref().map(Har::create).transpose();
    let har = har.map_err(|error| one(format!("--har: {error}")))?;
    let watch = Pages {
        ctx,
        show,
        bar: bar(),
        har: Mutex::new(har.map(Ok)),
        screenshots: screenshots(options, settings, show),
    };
    let mut errors = Vec::new();
    for target in &options.target {
        let done = async {
            let site = Site::written(target)?;
            let client = Manners::from(settings).client(&config, &site, None)?;
            let options = kumo::options(settings, &site);
            let browser = web::browser(settings, &client, watch.screenshots.is_some())?;
            let render = browser.as_ref().map(|browser| browser as &dyn Render);
            let report = crawl::crawl(&options, &client, render, &watch).await;
            let report = report.map_err(|error| format!("{}: {error}", site.host))?;
            // Where to go on is of no use to who reads it, and has what is redacted elsewhere.
            let report = crawl::Report {
                resume: None,
                ..report
            };
            for note in report.notes.iter().chain(&web::slowed(&client)) {
                watch.bar.suspend(|| show.note(&text::display(note, 300)));
            }
            watch
                .bar
                .suspend(|| show.summary("summary", &report, || summary(&report)));
            match report.ended {
                crawl::Ended::Unanswered => Err(format!("{}: does not answer any more", site.host)),
                _ => Ok(()),
            }
        };
        if let Err(error) = done.await {
            errors.push(WorkError::Failed(error));
        }
        if ctx.control.phase() == Phase::Stop {
            break;
        }
    }
    watch.bar.finish_and_clear();
    let har = watch
        .har
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(Err(error)) = har.map(|har| har.and_then(Har::end)) {
        errors.push(WorkError::Failed(format!("--har: {error}")));
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(errors),
    }
}

/// Where the pictures of pages go, if anywhere.
fn screenshots(
    options: &Options,
    settings: &SpiderSettings,
    show: &dyn Show,
) -> Option<Screenshots> {
    let dir = options.spider.screenshots.clone()?;
    if !settings.browser {
        show.note("--screenshots: there are none without --browser");
        return None;
    }
    Some(Screenshots::by_hand(dir))
}

/// A crawl as somebody watches it.
struct Pages<'a> {
    ctx: &'a Context,
    show: &'a dyn Show,
    bar: ProgressBar,
    har: Mutex<Option<Result<Har, String>>>,
    screenshots: Option<Screenshots>,
}

impl crawl::Observer for Pages<'_> {
    fn progress(&self, progress: &crawl::Progress) {
        self.ctx.heart.beat();
        let rate = progress.pages as f64 / self.bar.elapsed().as_secs_f64().max(1e-3);
        self.bar.set_message(format!(
            "{} pages, {} wait, {rate:.0}/s, {} forms, endpoints and secrets",
            text::grouped(progress.pages),
            text::grouped(progress.waiting),
            text::grouped(progress.found),
        ));
        self.bar.tick();
    }

    fn page(&self, page: PageReport, response: Option<&Response>) {
        self.bar.suspend(|| {
            let cells = || page_cells(&page);
            self.show.row("pages", &page, || line(&page), &PAGE, cells);
        });
        let mut har = self.har.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(Ok(file)), Some(response)) = (har.as_mut(), response)
            && let Err(error) = file.add(response, Utc::now())
        {
            *har = Some(Err(error.to_string()));
        }
    }

    fn screenshot(&self, page: &str, png: &[u8]) -> Option<String> {
        let kept = web::keep_screenshot(self.screenshots.as_ref()?, page, png);
        kept.inspect_err(|error| {
            let error = text::display(error, 300);
            self.bar.suspend(|| self.show.note(&error));
        })
        .ok()
    }

    fn cancelled(&self) -> bool {
        self.ctx.control.phase() == Phase::Stop
    }
}

/// Columns of a page.
const PAGE: [&str; 14] = [
    "url",
    "status",
    "depth",
    "kind",
    "content_type",
    "length",
    "content_hash",
    "title",
    "redirect",
    "forms",
    "endpoints",
    "secrets",
    "technologies",
    "error",
];

fn page_cells(page: &PageReport) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let kind = json!(page.kind);
    let technologies = page.technologies.iter();
    let technologies: Vec<&str> = technologies.map(|found| found.name.as_str()).collect();
    vec![
        page.url.clone(),
        page.status.to_string(),
        page.depth.to_string(),
        kind.as_str().unwrap_or_default().to_owned(),
        text(&page.content_type),
        page.length.to_string(),
        page.content_hash.clone(),
        text(&page.title),
        text(&page.redirect),
        page.forms.len().to_string(),
        (page.endpoints.len() + page.operations.len()).to_string(),
        page.secrets.len().to_string(),
        technologies.join(" "),
        text(&page.error),
    ]
}

/// One page for people.
fn line(page: &PageReport) -> String {
    let mut out = match (&page.error, page.status) {
        (Some(error), _) => format!(
            "---  {}  {}",
            text::display(&page.url, 200),
            text::display(error, 200)
        ),
        (None, status) => {
            let title = page.title.as_deref().or(page.redirect.as_deref());
            format!(
                "{status}  {:>8}  {}  {}",
                text::grouped(page.length as u64),
                text::display(&page.url, 200),
                text::display(title.unwrap_or_default(), 80)
            )
        }
    };
    for form in &page.forms {
        let names: Vec<&str> = form
            .fields
            .iter()
            .map(|field| field.name.as_str())
            .collect();
        let _ = write!(
            out,
            "\n     form {} {} ({})",
            form.method,
            text::display(&form.action, 120),
            text::display(&names.join(", "), 120)
        );
    }
    for secret in &page.secrets {
        let _ = write!(
            out,
            "\n     {} {} in line {}",
            secret.name,
            text::display(&secret.redacted, 40),
            secret.line
        );
    }
    if let Some(listing) = &page.facts.directory_listing {
        let _ = write!(out, "\n     directory listing ({listing})");
    }
    if let Some(error) = &page.facts.error_page {
        let _ = write!(out, "\n     error page with inner details ({error})");
    }
    out
}

/// The end of a crawl, for people.
fn summary(report: &crawl::Report) -> String {
    let mut out = format!(
        "{} pages by {} requests in {:.2} s",
        text::grouped(report.pages),
        text::grouped(report.requests),
        report.duration
    );
    if report.ended != crawl::Ended::Complete {
        let ended = json!(report.ended);
        let _ = write!(out, " (incomplete: {})", ended.as_str().unwrap_or_default());
    }
    let names: Vec<String> = report
        .technologies
        .iter()
        .map(|found| match &found.version {
            Some(version) => format!("{} {version}", found.name),
            None => found.name.clone(),
        })
        .collect();
    if !names.is_empty() {
        let _ = write!(
            out,
            "\nmade with {}",
            text::display(&names.join(", "), 1000)
        );
    }
    out
}

/// Enumerates all that the command line names.
pub async fn enumerate(
    options: &Options,
    ctx: &Context,
    show: &dyn Show,
) -> Result<(), Vec<WorkError>> {
    let config = ctx.config();
    let settings = web::enumerator(&config.agent.settings).map_err(one)?;
    let words = Arc::new(suzu::words(&settings.wordlists).map_err(one)?);
    let watch = Paths { ctx, bar: bar() };
    let mut errors = Vec::new();
    for target in &options.target {
        let site = match Site::written(target) {
            Ok(site) => site,
            Err(error) => {
                errors.push(WorkError::Failed(error));
                continue;
            }
        };
        let (mut done_any, mut failed) = (false, Vec::<String>::new());
        for base in &site.start {
            let done = async {
                let client = Manners::from(settings).client(&config, &site, None)?;
                let options = enumerate::Options {
                    robots: match settings.robots {
                        true => web::robots(&client, base).await,
                        false => None,
                    },
                    ..suzu::options(settings, base, Arc::clone(&words))
                };
                let report = enumerate::enumerate(&options, &client, &watch).await;
                let report = report.map_err(|error| format!("{base}: {error}"))?;
                watch
                    .bar
                    .suspend(|| tell(&report, &web::slowed(&client), show));
                Ok(())
            };
            match done.await {
                Ok(()) => done_any = true,
                Err(error) => failed.push(error),
            }
            if ctx.control.phase() == Phase::Stop {
                break;
            }
        }
        for error in failed {
            match done_any {
                // Of a host both of its usual ports were tried.
                true => show.note(&text::display(&error, 300)),
                false => errors.push(WorkError::Failed(error)),
            }
        }
        if ctx.control.phase() == Phase::Stop {
            break;
        }
    }
    watch.bar.finish_and_clear();
    match errors.is_empty() {
        true => Ok(()),
        false => Err(errors),
    }
}

fn tell(report: &enumerate::Report, slowed: &[String], show: &dyn Show) {
    for found in &report.found {
        let cells = || found_cells(found);
        show.row("paths", found, || found_line(found), &PATH, cells);
    }
    for note in report.notes.iter().chain(slowed) {
        show.note(&text::display(note, 300));
    }
    let rest = enumerate::Report {
        found: Vec::new(),
        resume: None,
        ..report.clone()
    };
    show.summary("summary", &rest, || {
        let mut out = format!(
            "{} paths by {} requests",
            report.found.len(),
            text::grouped(report.requests)
        );
        if let Some(cms) = &report.cms {
            let version = cms.version.as_deref().unwrap_or_default();
            let _ = write!(out, "; {} {version}", cms.name);
        }
        if report.ended != enumerate::Ended::Complete {
            let ended = json!(report.ended);
            let _ = write!(out, " (incomplete: {})", ended.as_str().unwrap_or_default());
        }
        out
    });
}

/// Columns of a path.
const PATH: [&str; 9] = [
    "path",
    "status",
    "size",
    "content_type",
    "location",
    "title",
    "priority_score",
    "depth",
    "source",
];

fn found_cells(found: &Found) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let source = json!(found.source);
    vec![
        found.path.clone(),
        found.status.to_string(),
        found.size.to_string(),
        text(&found.content_type),
        text(&found.location),
        text(&found.title),
        format!("{:.2}", found.priority_score),
        found.depth.to_string(),
        source.as_str().unwrap_or_default().to_owned(),
    ]
}

/// One path for people.
fn found_line(found: &Found) -> String {
    let more = found.location.as_deref().or(found.title.as_deref());
    format!(
        "{}  {:>8}  {:.2}  {}  {}",
        found.status,
        text::grouped(found.size),
        found.priority_score,
        text::display(&found.path, 200),
        text::display(more.unwrap_or_default(), 80)
    )
}

/// An enumeration as somebody watches it.
struct Paths<'a> {
    ctx: &'a Context,
    bar: ProgressBar,
}

impl enumerate::Observer for Paths<'_> {
    fn progress(&self, progress: &dyn Fn() -> enumerate::Progress) {
        self.ctx.heart.beat();
        if self.bar.is_hidden() {
            return;
        }
        let now = progress();
        let left = now.remaining.map_or(String::new(), |left| {
            format!(
                ", {} left",
                humantime::format_duration(Duration::from_secs(left.as_secs()))
            )
        });
        self.bar.set_message(format!(
            "{} of {} ({:.0}/s{left}), {} found, in {}",
            text::grouped(now.done),
            text::grouped(now.total),
            now.rate,
            text::grouped(now.found),
            text::display(&now.directory, 60)
        ));
        self.bar.tick();
    }

    fn slow_down(&self, interference: &Interference) {
        let detail = text::display(&interference.detail, 200);
        self.bar.suspend(|| eprintln!("{detail}"));
    }

    fn cancelled(&self) -> bool {
        self.ctx.control.phase() == Phase::Stop
    }
}
