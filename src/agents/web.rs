//! What the spider and the enumerator have in common: whom they speak to, and how.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use url::Url;

use super::screenshots::Screenshots;
use crate::api::{Personality, WebContext};
use crate::engines::spider::{browser, crawl};
use crate::engines::web::{Auth, Client, ClientOptions, Pace, Robots, ask_robots};
use crate::fleet::{EnumSettings, Settings, SpiderSettings};
use crate::runtime::{Config, Context, HubClient, Task};

/// The settings of a spider.
pub fn spider(settings: &Settings) -> Result<&SpiderSettings, String> {
    match settings {
        Settings::Spider(settings) => Ok(settings),
        _ => Err("these are not the settings of a spider".to_owned()),
    }
}

/// The settings of an enumerator.
pub fn enumerator(settings: &Settings) -> Result<&EnumSettings, String> {
    match settings {
        Settings::Enum(settings) => Ok(settings),
        _ => Err("these are not the settings of an enumerator".to_owned()),
    }
}

/// Whether a spider that is to load pages in a browser can.
pub fn check_browser(settings: &SpiderSettings) -> Result<(), String> {
    match settings.browser {
        true => browser::find().map(drop),
        false => Ok(()),
    }
}

/// What a spider loads pages in, if it is told to. All that they ask for goes through the client.
pub fn browser(
    settings: &SpiderSettings,
    client: &Client,
    screenshots: bool,
) -> Result<Option<browser::Browser>, String> {
    if !settings.browser {
        return Ok(None);
    }
    let options = browser::BrowserOptions {
        user_agent: settings.user_agent.clone(),
        screenshots,
        robots: settings.robots,
        logged_in: Manners::from(settings).logged_in(),
        ..browser::BrowserOptions::default()
    };
    browser::Browser::new(Arc::new(client.clone()), options).map(Some)
}

/// Keeps the picture of a page, and says in which file.
pub fn keep_screenshot(kept: &Screenshots, page: &str, png: &[u8]) -> Result<String, String> {
    let failed = |error: &dyn std::fmt::Display| format!("a screenshot cannot be kept: {error}");
    let page = Url::parse(page).map_err(|error| failed(&error))?;
    let path = kept.keep(&page, png).map_err(|error| failed(&error))?;
    Ok(path.display().to_string())
}

/// How both speak HTTP.
#[derive(Debug, Clone, Copy)]
pub struct Manners<'a> {
    /// The User-Agent; empty: that of recon.
    pub user_agent: &'a str,
    /// `Name: value`
    pub headers: &'a [String],
    /// URL; empty: none.
    pub proxy: &'a str,
    /// Offer HTTP/2.
    pub http2: bool,
    /// Keep cookies.
    pub cookies: bool,
    /// Requests under way.
    pub concurrency: u32,
    /// Longest wait for a response.
    pub request_timeout: Duration,
    /// Bytes of a body that are read; the client's own default where it is not said.
    pub max_body: Option<usize>,
}

impl<'a> From<&'a SpiderSettings> for Manners<'a> {
    fn from(settings: &'a SpiderSettings) -> Self {
        Self {
            user_agent: &settings.user_agent,
            headers: &settings.headers,
            proxy: &settings.proxy,
            http2: settings.http2,
            cookies: settings.cookies,
            concurrency: settings.concurrency,
            request_timeout: settings.request_timeout.0,
            max_body: Some(crawl::BODY_LIMIT),
        }
    }
}

impl<'a> From<&'a EnumSettings> for Manners<'a> {
    fn from(settings: &'a EnumSettings) -> Self {
        Self {
            user_agent: &settings.user_agent,
            headers: &settings.headers,
            proxy: &settings.proxy,
            // What is asked is tiny, and HTTP/1.1 the faster way.
            http2: false,
            cookies: false,
            concurrency: settings.concurrency,
            request_timeout: settings.request_timeout.0,
            max_body: None,
        }
    }
}

impl Manners<'_> {
    /// Whether they can be used.
    pub fn check(&self) -> Result<(), String> {
        self.headers().map(drop)?;
        self.proxy().map(drop)?;
        HeaderValue::from_str(self.user_agent)
            .map(drop)
            .map_err(|_| "user_agent: not a text that a header can hold".to_owned())
    }

    fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for header in self.headers {
            let read = || {
                let (name, value) = header.split_once(':')?;
                let name: HeaderName = name.trim().parse().ok()?;
                Some((name, HeaderValue::from_str(value.trim()).ok()?))
            };
            // It may hold a password.
            let (name, value) =
                read().ok_or("headers: each must be written as \"Name: value\"".to_owned())?;
            headers.append(name, value);
        }
        Ok(headers)
    }

    fn proxy(&self) -> Result<Option<Url>, String> {
        if self.proxy.is_empty() {
            return Ok(None);
        }
        let url = Url::parse(self.proxy).ok();
        let good = url.filter(|url| url.scheme() == "http" && url.has_host());
        good.map(Some)
            .ok_or("proxy: must be http://host:port".to_owned())
    }

    /// Whether credentials are sent along.
    pub fn logged_in(&self) -> bool {
        let secret = |header: &String| {
            let name = header.split(':').next().unwrap_or_default();
            let name = name.trim().to_ascii_lowercase();
            ["authorization", "cookie"].contains(&name.as_str())
        };
        self.headers.iter().any(secret)
    }

    /// A client for one target, whose host is at `addr`; looked up, if that is not known.
    pub fn client(
        &self,
        config: &Config,
        site: &Site,
        addr: Option<IpAddr>,
    ) -> Result<Client, String> {
        let mut options = ClientOptions::new(config.scope.clone());
        if !self.user_agent.is_empty() {
            self.user_agent.clone_into(&mut options.user_agent);
        }
        options.headers = self.headers()?;
        options.proxy = self.proxy()?;
        options.http2 = self.http2;
        options.cookies = self.cookies;
        options.connections = (self.concurrency as usize).max(1);
        options.max_body = self.max_body.unwrap_or(options.max_body);
        options.total_timeout = self.request_timeout;
        options.read_timeout = options.read_timeout.min(self.request_timeout);
        options.connect_timeout = options.connect_timeout.min(self.request_timeout);
        options.max_rate = config.max_rate;
        options.home = Some(site.host.clone());
        options.auth.clone_from(&site.auth);
        options.addresses = addr
            .map(|addr| (site.host.clone(), addr))
            .into_iter()
            .collect::<HashMap<_, _>>();
        Ok(Client::new(options))
    }
}

/// What a target is begun with.
#[derive(Debug, Clone)]
pub struct Site {
    /// The host, as it stands in URLs.
    pub host: String,
    /// User and password of the URL that was written, which the others do not have.
    pub auth: Option<Auth>,
    /// URLs to begin with.
    pub start: Vec<Url>,
    /// Paths that were found on others, with their weight, 0 to 1.
    pub learned: Vec<(String, f64)>,
    /// Paths that a spider saw.
    pub spidered: Vec<String>,
}

impl Site {
    /// What the hub says of a leased target, or its usual ports.
    pub async fn of(task: &Task<'_>, ctx: &Context, who: Personality) -> Result<Self, String> {
        let mut site = Self::written(task.target)?;
        let asked = task.config.hub.web_context(who, task.record.id);
        let context = match ctx.heart.bounded(HubClient::TIMEOUT, asked).await {
            Some(Ok(context)) => context.unwrap_or_default(),
            // It is the better for it, and does without.
            Some(Err(error)) => {
                tracing::debug!(%error, "the hub does not say what it knows of the target");
                WebContext::default()
            }
            None => WebContext::default(),
        };
        site.learn(context);
        Ok(site)
    }

    /// The ports that speak HTTP, in the place of the usual ones, and what else is known.
    fn learn(&mut self, context: WebContext) {
        let mut start = Vec::new();
        for port in context.ports {
            // Where it is not known, both are tried.
            for scheme in ["https", "http"] {
                if port.tls.is_none_or(|tls| tls == (scheme == "https"))
                    && let Ok(url) = Url::parse(&format!("{scheme}://{}:{}/", self.host, port.port))
                {
                    start.push(url);
                }
            }
        }
        if !start.is_empty() {
            self.start = start;
        }
        let learned = context.learned.into_iter();
        self.learned = learned.map(|path| (path.path, path.weight)).collect();
        self.spidered = context.paths;
    }

    /// A URL as somebody writes it, or a host, whose usual ports are tried.
    pub fn written(text: &str) -> Result<Self, String> {
        let read = |text: &str| Url::parse(text).ok().filter(Url::has_host);
        let mut start = match text.contains("://") {
            true => read(text).into_iter().collect(),
            false => {
                let host = match text.parse::<Ipv6Addr>() {
                    Ok(addr) => format!("[{addr}]"),
                    Err(_) => text.to_owned(),
                };
                ["https", "http"]
                    .iter()
                    .filter_map(|scheme| read(&format!("{scheme}://{host}/")))
                    .collect::<Vec<_>>()
            }
        };
        let good = |url: &&Url| matches!(url.scheme(), "http" | "https");
        let Some(host) = start.iter().find(good).and_then(|url| url.host_str()) else {
            // It may begin with a password.
            let shown = text.rsplit('@').next().unwrap_or_default();
            let shown: String = shown.chars().take(200).collect();
            return Err(format!(
                "{shown:?} is no URL: write https://host/path, or a host"
            ));
        };
        let host = host.to_owned();
        let auth = start.iter_mut().filter_map(take_auth).last();
        Ok(Self {
            host,
            auth,
            start,
            learned: Vec::new(),
            spidered: Vec::new(),
        })
    }
}

/// Takes user and password out of a URL: they are sent as a header, and shown nowhere.
fn take_auth(url: &mut Url) -> Option<Auth> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let auth = Auth::Basic {
        user: decoded(url.username()),
        password: decoded(url.password().unwrap_or_default()),
    };
    let there = !url.username().is_empty() || url.password().is_some();
    // Neither fails for a URL that had them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    there.then_some(auth)
}

/// What robots.txt says.
pub async fn robots(client: &Client, base: &Url) -> Option<Arc<Robots>> {
    let robots = ask_robots(client, base, "recon").await;
    let (robots, _) = robots.unwrap_or_else(|_| (Robots::unreachable(), 0));
    Some(Arc::new(robots))
}

/// The cap of a reload holds at once.
pub fn follow_rate(ctx: &Context, client: &Client) {
    let wanted = ctx.config().max_rate;
    if client.paces().iter().any(|pace| pace.max_rate != wanted) {
        client.set_max_rate(wanted);
    }
}

/// Why a server was asked more slowly than it might have been.
pub fn slowed(client: &Client) -> Vec<String> {
    let reason = |pace: &Pace| pace.reason.clone();
    client.paces().iter().filter_map(reason).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::WebPort;

    #[test]
    fn targets_as_they_are_written() {
        let starts = |text: &str| {
            let site = Site::written(text).unwrap();
            let start: Vec<String> = site.start.iter().map(Url::to_string).collect();
            (site.host, start.join(" "))
        };
        assert_eq!(
            starts("http://a.test:8080/x?y=1"),
            ("a.test".to_owned(), "http://a.test:8080/x?y=1".to_owned())
        );
        for text in ["http://me:p%40ss@a.test/x", "me:p%40ss@a.test"] {
            let site = Site::written(text).unwrap();
            let (user, password) = ("me".to_owned(), "p@ss".to_owned());
            assert_eq!(site.auth, Some(Auth::Basic { user, password }));
            assert!(site.start.iter().all(|url| !url.as_str().contains('@')));
        }
        let error = Site::written("http://me:secret@[a").unwrap_err();
        assert!(!error.contains("secret"), "{error}");
        assert_eq!(starts("a.test").1, "https://a.test/ http://a.test/");
        assert_eq!(starts("::1").0, "[::1]");
        assert_eq!(
            starts("192.0.2.1:8080").1,
            "https://192.0.2.1:8080/ http://192.0.2.1:8080/"
        );
        assert!(Site::written("ftp://a.test/").is_err());
        assert!(Site::written("http://").is_err() && Site::written("a b").is_err());
    }

    #[test]
    fn what_the_hub_knows_is_begun_with() {
        let mut site = Site::written("a.test").unwrap();
        site.learn(WebContext::default());
        assert_eq!(site.start.len(), 2);
        let port = |port, tls| WebPort {
            port,
            tls,
            service: String::new(),
        };
        site.learn(WebContext {
            ports: vec![
                port(443, Some(true)),
                port(8080, Some(false)),
                port(3000, None),
            ],
            paths: vec!["/a".to_owned()],
            ..WebContext::default()
        });
        let start: Vec<String> = site.start.iter().map(Url::to_string).collect();
        assert_eq!(
            start.join(" "),
            "https://a.test/ http://a.test:8080/ https://a.test:3000/ http://a.test:3000/"
        );
        assert_eq!(site.spidered, ["/a"]);
    }

    #[test]
    fn headers_are_checked() {
        let check = |header: &str, proxy: &str| {
            let settings = SpiderSettings {
                headers: vec![header.to_owned()],
                proxy: proxy.to_owned(),
                ..SpiderSettings::default()
            };
            let manners = Manners::from(&settings);
            manners.check().map(|()| manners.logged_in())
        };
        assert_eq!(check("X-Team: red", ""), Ok(false));
        assert_eq!(check("cookie: a=b", "http://127.0.0.1:3128"), Ok(true));
        assert!(check("no colon", "").unwrap_err().contains("Name: value"));
        assert!(check("a b: c", "").is_err());
        assert!(check("A: b", "socks5://x:1").unwrap_err().contains("proxy"));
    }
}
