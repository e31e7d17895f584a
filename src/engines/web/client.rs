use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, header};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;
use url::Url;

use super::adapt::Seen;
use super::cookies::Cookies;
use super::h1::Break;
use super::h2;
use super::host::{self, HostState};
use super::lane::{Ask, Host};
use super::pace::{Pace, Pacer};
use super::place::{Origin, locate};
use super::{ClientOptions, Fetch, FetchError, Request, Response};

/// Bodies above 128 KiB that are read at the same time: with the largest that the options allow, this
/// is what is in memory at most.
const LARGE_BODIES: usize = 8;

/// With more hosts than this, those that nobody is asking lose their idle connections.
const MANY_HOSTS: usize = 64;

/// The HTTP client. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

/// What all hosts have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub options: ClientOptions,
    pub large: Semaphore,
    cookies: Option<Cookies>,
    max_rate: Mutex<u32>,
    names: Mutex<HashMap<String, Arc<OnceCell<IpAddr>>>>,
    pacers: Mutex<HashMap<IpAddr, Arc<Pacer>>>,
    hosts: Mutex<HashMap<Origin, Arc<HostState>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Waits for what comes, unless the work is stopped first.
    pub(super) async fn unless_stopped<F: Future>(&self, future: F) -> Option<F::Output> {
        let deadline = self.options.deadline;
        let over = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.options.cancel.cancelled() => None,
            () = over => None,
            output = future => Some(output),
        }
    }

    /// Waits for leave to send one request.
    pub(super) async fn leave(&self, pacer: &Pacer) -> Result<(), Break> {
        let over = self
            .options
            .deadline
            .is_some_and(|deadline| deadline <= Instant::now());
        if over || self.options.cancel.is_cancelled() {
            return Err(Break::Stopped);
        }
        match pacer.is_free() {
            true => Ok(()),
            false => self
                .unless_stopped(pacer.take())
                .await
                .ok_or(Break::Stopped),
        }
    }

    pub(super) fn saw(&self, pacer: &Pacer, seen: Seen, now: Instant) {
        if self.options.adaptive {
            pacer.saw(seen, now);
        }
    }

    pub(super) fn failed(&self, pacer: &Pacer, why: &Break) {
        if matches!(why, Break::Timeout | Break::Connect(_) | Break::Closed(_)) {
            self.saw(pacer, Seen::Failure, Instant::now());
        }
    }

    /// The address of a host, looked up and checked once.
    async fn addr(&self, origin: &Origin) -> Result<IpAddr, FetchError> {
        let cell = Arc::clone(lock(&self.names).entry(origin.name.clone()).or_default());
        let found = cell
            .get_or_try_init(|| locate(&origin.name, &self.options))
            .await;
        found.copied().map_err(|why| why.of(origin))
    }

    fn pacer(&self, addr: IpAddr) -> Arc<Pacer> {
        let cap = *lock(&self.max_rate);
        let mut pacers = lock(&self.pacers);
        let pacer = pacers
            .entry(addr)
            .or_insert_with(|| Arc::new(Pacer::new(addr, cap)));
        Arc::clone(pacer)
    }
}

impl Client {
    /// A client with these options.
    pub fn new(options: ClientOptions) -> Self {
        Self {
            shared: Arc::new(Shared {
                large: Semaphore::new(LARGE_BODIES),
                cookies: options.cookies.then(Cookies::default),
                max_rate: Mutex::new(options.max_rate),
                names: Mutex::default(),
                pacers: Mutex::default(),
                hosts: Mutex::default(),
                options,
            }),
        }
    }

    /// The host of a URL; its address is looked up and checked when it is not known yet.
    ///
    /// # Errors
    ///
    /// It is out of scope, or has no address.
    pub async fn host(&self, url: &Url) -> Result<Host, FetchError> {
        let origin = Origin::of(url)?;
        let known = lock(&self.shared.hosts).get(&origin).cloned();
        let state = match known {
            Some(state) => state,
            None => {
                let addr = self.shared.unless_stopped(self.shared.addr(&origin)).await;
                let addr = addr.ok_or_else(|| FetchError::Stopped(origin.url(b"/")))??;
                self.add_host(origin, addr)
            }
        };
        Ok(Host {
            state,
            shared: Arc::clone(&self.shared),
        })
    }

    fn add_host(&self, origin: Origin, addr: IpAddr) -> Arc<HostState> {
        let pacer = self.shared.pacer(addr);
        let mut hosts = lock(&self.shared.hosts);
        if hosts.len() >= MANY_HOSTS {
            hosts.values().for_each(|host| lock(&host.idle).clear());
        }
        let socket = SocketAddr::new(addr, origin.port);
        let state = hosts.entry(origin.clone()).or_insert_with(|| {
            Arc::new(HostState::new(origin, socket, pacer, &self.shared.options))
        });
        Arc::clone(state)
    }

    /// Sends a request and reads the response.
    ///
    /// # Errors
    ///
    /// Without a response; [`FetchError`] says why.
    pub async fn send(&self, request: Request) -> Result<Response, FetchError> {
        let host = self.host(&request.url).await?;
        let limit = request
            .body_limit
            .unwrap_or(usize::MAX)
            .min(self.shared.options.max_body);
        let headers = self.headers(&host.state, &request);
        let response = match host.state.speaks_http2() {
            true => h2::send(&host, &request, &headers, limit).await?,
            false => None,
        };
        let response = match response {
            Some(response) => response,
            None => Self::send_http1(&host, request, &headers, limit).await?,
        };
        if let Some(cookies) = &self.shared.cookies {
            cookies.keep(&response);
        }
        Ok(response)
    }

    async fn send_http1(
        host: &Host,
        request: Request,
        headers: &HeaderMap,
        limit: usize,
    ) -> Result<Response, FetchError> {
        let path = path_of(&request.url);
        let mut lines = format!("Host: {}\r\n", host.state.origin.authority()).into_bytes();
        headers
            .iter()
            .for_each(|(name, value)| host::line(&mut lines, name, value));
        let ask = Ask {
            method: &request.method,
            path: path.as_bytes(),
            lines: &lines,
            body_limit: limit,
        };
        let mut lane = host.lane().await?;
        let (exchange, elapsed) = lane.exchange(&ask).await?;
        let tls = lane.tls();
        let (status, headers, body, truncated) = lane.owned(&exchange, limit).ok_or_else(|| {
            host.state
                .error(Break::Closed("no buffer".to_owned()), path.as_bytes())
        })?;
        Ok(Response {
            url: request.url,
            status,
            version: exchange.head.version,
            headers,
            body: Bytes::from(body),
            truncated,
            elapsed,
            peer: Some(host.state.addr),
            tls,
        })
    }

    /// The headers of a request, but Host.
    fn headers(&self, state: &HostState, request: &Request) -> HeaderMap {
        let mut all = state.defaults.clone();
        if self.shared.options.compression && !all.contains_key(header::ACCEPT_ENCODING) {
            let (name, value) = host::codings();
            all.insert(name, value);
        }
        if let Some(value) = self
            .shared
            .cookies
            .as_ref()
            .and_then(|kept| kept.of(&request.url))
        {
            all.entry(header::COOKIE).or_insert(value);
        }
        for name in request.headers.keys().filter(|name| !host::is_ours(name)) {
            all.remove(name);
            for value in request.headers.get_all(name) {
                all.append(name, value.clone());
            }
        }
        all
    }

    /// Sets the cap anew, for all hosts, at once.
    pub fn set_max_rate(&self, max_rate: u32) {
        *lock(&self.shared.max_rate) = max_rate;
        lock(&self.shared.pacers)
            .values()
            .for_each(|pacer| pacer.set_cap(max_rate));
    }

    /// How fast each address is asked, and why not faster.
    pub fn paces(&self) -> Vec<Pace> {
        let mut all: Vec<Pace> = lock(&self.shared.pacers)
            .values()
            .map(|pacer| pacer.report())
            .collect();
        all.sort_by_key(|pace| pace.addr);
        all
    }

    /// The options that it was made with.
    pub fn options(&self) -> &ClientOptions {
        &self.shared.options
    }
}

/// Path and query, as the request line has them.
pub(super) fn path_of(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

#[async_trait]
impl Fetch for Client {
    async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
        self.send(request).await
    }

    async fn lanes(&self, url: &Url) -> Result<Option<Host>, FetchError> {
        let host = self.host(url).await?;
        // A lane speaks HTTP/1.1 and knows no cookies.
        let alike = !host.state.speaks_http2() && self.shared.cookies.is_none();
        Ok(alike.then_some(host))
    }
}
