use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use http::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use url::Url;

use super::BrowserOptions;
use super::answer::{Verdict, Ways, answer};
use super::connection::{CallError, Connection, Event};
use super::paused::{Paused, Wants};
use super::process::{HEIGHT, WIDTH};
use crate::engines::spider::crawl::Rendered;

/// A page is at rest when it asked for nothing for so long and does not say that it was loaded: a frame
/// that never ends, say, or a script.
const LONG_REST: Duration = Duration::from_secs(3);

/// Time for what takes no time.
const SOON: Duration = Duration::from_secs(5);

/// Requests that one page may make; heavy ones make 300.
const MOST_REQUESTS: usize = 1000;

/// URLs of it that are told.
const MOST_URLS: usize = 1000;

/// Characters of a document that are taken.
const HTML: usize = 8 * 1024 * 1024;

/// Bytes of a picture. One of noise alone has 4 MB.
const PICTURE: usize = 4 * 1024 * 1024;

/// Runs before the page's own scripts: nobody is there to answer, and who asks in a loop could not be
/// stopped while the question stands.
const NO_QUESTIONS: &str = "window.alert = window.print = () => {};
window.confirm = () => false;
window.prompt = () => null;";

/// The document as it is now. What shadow trees show, the links in them too, is no part of its outer
/// HTML.
const DOCUMENT: &str = "(most => {
    const top = document.documentElement;
    if (!top) return '';
    const roots = [];
    const walk = tree => {
        for (const element of tree.querySelectorAll('*')) {
            if (element.shadowRoot) {
                roots.push(element.shadowRoot);
                walk(element.shadowRoot);
            }
        }
    };
    walk(document);
    if (!roots.length || !top.getHTML) return top.outerHTML.slice(0, most);
    const inner = top.getHTML({ shadowRoots: roots });
    return (top.cloneNode(false).outerHTML.replace('</html>', '') + inner + '</html>').slice(0, most);
})";

/// Why there is no page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// The browser is gone.
    #[error("the browser ended")]
    Lost,
    /// It does not answer.
    #[error("the browser hangs")]
    Hangs,
    /// The page's process ended: it took too much memory, or found a bug.
    #[error("the page crashed")]
    Crashed,
    /// More happens in it than anybody can follow.
    #[error("the page makes too many events")]
    Floods,
    /// Its scripts can be stopped by nothing.
    #[error("the page hangs")]
    PageHangs,
    /// There is no such page, or it is none.
    #[error("{0}")]
    NoPage(String),
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Lost => Self::Lost,
            CallError::Refused(why) => Self::NoPage(why),
        }
    }
}

/// One page, with cookies and storage of its own.
pub(super) struct Tab<'a> {
    connection: &'a Connection,
    ways: Ways<'a>,
    /// Who is asked about it.
    context: String,
    session: String,
    /// Its main frame, which is called like it.
    frame: String,
    events: mpsc::Receiver<Event>,
    /// Requests that are being answered.
    answers: FuturesUnordered<BoxFuture<'a, ()>>,
    requests: usize,
    requested: Vec<Url>,
    /// The page itself was asked for.
    begun: bool,
    loaded: bool,
    quiet_since: Instant,
}

/// The text of a field.
fn text(value: &Value, field: &str) -> Result<String, Trouble> {
    let text = value[field].as_str().map(str::to_owned);
    text.ok_or_else(|| Trouble::NoPage(format!("the browser said no {field}")))
}

impl<'a> Tab<'a> {
    pub(super) async fn open(connection: &'a Connection, ways: Ways<'a>) -> Result<Self, Trouble> {
        let call = |method, params| connection.call(None, method, params);
        let context = call("Target.createBrowserContext", json!({})).await?;
        let context = text(&context, "browserContextId")?;
        let deny = json!({"behavior": "deny", "browserContextId": context});
        call("Browser.setDownloadBehavior", deny).await?;
        let target = json!({
            "url": "about:blank", "browserContextId": context, "width": WIDTH, "height": HEIGHT
        });
        let target = text(&call("Target.createTarget", target).await?, "targetId")?;
        let attach = json!({"targetId": target, "flatten": true});
        let session = call("Target.attachToTarget", attach).await?;
        let session = text(&session, "sessionId")?;
        let tab = Self {
            events: connection.events(&session),
            connection,
            ways,
            context,
            session,
            frame: target,
            answers: FuturesUnordered::new(),
            requests: 0,
            requested: Vec::new(),
            begun: false,
            loaded: false,
            quiet_since: Instant::now(),
        };
        let all = json!({"patterns": [{"urlPattern": "*"}]});
        tab.call("Fetch.enable", all).await?;
        tab.call("Page.enable", json!({})).await?;
        let source = json!({"source": NO_QUESTIONS});
        tab.call("Page.addScriptToEvaluateOnNewDocument", source)
            .await?;
        let size = json!({
            "width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": false
        });
        tab.call("Emulation.setDeviceMetricsOverride", size).await?;
        Ok(tab)
    }

    /// The future borrows the connection, and not the tab.
    fn call(
        &self,
        method: &'static str,
        params: Value,
    ) -> impl Future<Output = Result<Value, CallError>> + Send + use<'a> {
        let (connection, session) = (self.connection, self.session.clone());
        async move { connection.call(Some(&session), method, params).await }
    }

    /// Loads a page.
    pub(super) async fn load(
        &mut self,
        url: &Url,
        options: &BrowserOptions,
    ) -> Result<Rendered, Trouble> {
        let until = Instant::now() + options.limit;
        let mut there = url.clone();
        there.set_fragment(None);
        let navigate = self.call("Page.navigate", json!({"url": url.as_str()}));
        let Ok(answer) = self.meanwhile(timeout_at(until, navigate)).await? else {
            return Err(Trouble::NoPage("the page did not come in time".to_owned()));
        };
        let answer = answer?;
        if answer["isDownload"].as_bool() == Some(true) {
            return Err(Trouble::NoPage("it is a download".to_owned()));
        }
        match answer["errorText"].as_str() {
            Some("net::ERR_ABORTED") => {
                let why = "it is no page now: a redirect, or nothing";
                return Err(Trouble::NoPage(why.to_owned()));
            }
            Some(error) => return Err(Trouble::NoPage(error.to_owned())),
            None => {}
        }
        self.settle(until, options.rest).await?;
        let html = self.document(until).await?;
        let screenshot = match options.screenshots {
            true => self.picture().await?,
            false => None,
        };
        let requested = std::mem::take(&mut self.requested);
        Ok(Rendered {
            html,
            requested: requested.into_iter().filter(|url| *url != there).collect(),
            screenshot,
        })
    }

    /// Waits until nothing happens any more.
    async fn settle(&mut self, until: Instant, rest: Duration) -> Result<(), Trouble> {
        loop {
            let rest = if self.loaded { rest } else { LONG_REST };
            let wake = match self.answers.is_empty() {
                true => until.min(self.quiet_since + rest),
                false => until,
            };
            tokio::select! {
                step = self.step() => step?,
                () = sleep_until(wake) => return Ok(()),
            }
        }
    }

    /// The document. Who never comes to an end until then is stopped.
    async fn document(&mut self, until: Instant) -> Result<String, Trouble> {
        let until = until.max(Instant::now() + SOON);
        let html = self.evaluate();
        if let Ok(html) = self.meanwhile(timeout_at(until, html)).await? {
            return Ok(html?);
        }
        let stop = self.call("Runtime.terminateExecution", json!({}));
        let again = self.evaluate();
        let stopped = async move {
            stop.await?;
            again.await
        };
        match self.meanwhile(timeout(SOON, stopped)).await? {
            Ok(html) => Ok(html?),
            Err(_) => Err(Trouble::PageHangs),
        }
    }

    /// In a world of its own, whose functions the page cannot have changed.
    fn evaluate(&self) -> impl Future<Output = Result<String, CallError>> + Send + use<'a> {
        let world = self.call(
            "Page.createIsolatedWorld",
            json!({"frameId": self.frame, "worldName": "recon"}),
        );
        let (connection, session) = (self.connection, self.session.clone());
        async move {
            let world = world.await?;
            let params = json!({
                "expression": format!("{DOCUMENT}({HTML})"),
                "contextId": world["executionContextId"],
                "returnByValue": true,
            });
            let session = Some(session.as_str());
            let value = connection.call(session, "Runtime.evaluate", params).await?;
            Ok(value["result"]["value"]
                .as_str()
                .unwrap_or_default()
                .to_owned())
        }
    }

    /// What it looks like. A page of which there is none is a page all the same.
    async fn picture(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        let take = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let taken = self.meanwhile(timeout(SOON, take)).await?;
        let Ok(Ok(taken)) = taken else {
            return Ok(None);
        };
        let data = taken["data"].as_str().unwrap_or_default();
        if data.len() / 4 * 3 > PICTURE {
            return Ok(None);
        }
        Ok(STANDARD.decode(data).ok().filter(|png| !png.is_empty()))
    }

    /// Waits for something while the tab lives on.
    async fn meanwhile<F: Future>(&mut self, future: F) -> Result<F::Output, Trouble> {
        let mut future = std::pin::pin!(future);
        loop {
            tokio::select! {
                biased;
                output = future.as_mut() => return Ok(output),
                step = self.step() => step?,
            }
        }
    }

    /// The next thing that happens.
    async fn step(&mut self) -> Result<(), Trouble> {
        tokio::select! {
            event = self.events.recv() => match event {
                Some(event) => self.take(&event),
                None if self.connection.is_closed() => Err(Trouble::Lost),
                None => Err(Trouble::Floods),
            },
            Some(()) = self.answers.next(), if !self.answers.is_empty() => {
                self.quiet_since = Instant::now();
                Ok(())
            }
        }
    }

    fn take(&mut self, event: &Event) -> Result<(), Trouble> {
        match event.method.as_str() {
            "Fetch.requestPaused" => {
                if let Some(paused) = Paused::read(&event.params) {
                    self.asked(paused);
                }
            }
            "Page.loadEventFired" => {
                self.loaded = true;
                self.quiet_since = Instant::now();
            }
            "Page.javascriptDialogOpening" => {
                // A page that is left, most likely: it may be.
                let no = self.call("Page.handleJavaScriptDialog", json!({"accept": false}));
                self.answers.push(Box::pin(async move {
                    let _ = no.await;
                }));
            }
            "Page.windowOpen" => {
                let url = event.params["url"].as_str();
                if let Some(url) = url.and_then(|url| Url::parse(url).ok()) {
                    self.tell(url);
                }
            }
            "Inspector.targetCrashed" => return Err(Trouble::Crashed),
            _ => {}
        }
        Ok(())
    }

    /// The page asks for something.
    fn asked(&mut self, paused: Paused) {
        self.requests += 1;
        self.quiet_since = Instant::now();
        let (main, begun) = (paused.document && paused.frame == self.frame, self.begun);
        self.begun |= main;
        let verdict = match paused.wants {
            Wants::Inner => Verdict::GoOn,
            Wants::Other => Verdict::Fail,
            Wants::Web {
                method,
                url,
                headers,
            } => {
                self.tell(url.clone());
                if main && begun {
                    Verdict::Stay
                } else if ![Method::GET, Method::HEAD, Method::OPTIONS].contains(&method)
                    || self.requests > MOST_REQUESTS
                {
                    Verdict::Fail
                } else {
                    Verdict::Ask {
                        method,
                        url,
                        headers,
                        page: main,
                        part: paused.part,
                    }
                }
            }
        };
        let (connection, session) = (self.connection, self.session.clone());
        let ways = self.ways;
        self.answers.push(Box::pin(async move {
            answer(connection, &session, ways, paused.id, verdict).await;
        }));
    }

    fn tell(&mut self, mut url: Url) {
        url.set_fragment(None);
        let web = matches!(url.scheme(), "http" | "https");
        if web && self.requested.len() < MOST_URLS && !self.requested.contains(&url) {
            self.requested.push(url);
        }
    }

    /// Ends it, whatever it does.
    pub(super) async fn close(self) -> Result<(), Trouble> {
        self.connection.forget(&self.session);
        let context = json!({"browserContextId": self.context});
        let disposed = self
            .connection
            .call(None, "Target.disposeBrowserContext", context);
        match timeout(SOON, disposed).await {
            Ok(Err(CallError::Lost)) => Err(Trouble::Lost),
            Ok(_) => Ok(()),
            Err(_) => Err(Trouble::Hangs),
        }
    }
}
