//! Talking to the hub, with errors that say what to do.

use std::time::Duration;

use anyhow::{Context, anyhow};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::table::display;
use super::{Failure, Global};
use crate::api::{ErrorBody, ExitCode};
use crate::fleet::{self, Sources};

/// The hub ends a request after 30 s; this is the network's share on top.
const TIMEOUT: Duration = Duration::from_secs(40);

/// A hub.
#[derive(Debug)]
pub struct HubClient {
    base: String,
    http: reqwest::Client,
}

/// An answer that is not a success.
#[derive(Debug)]
pub struct Refused {
    /// Its status.
    pub status: StatusCode,
    /// Its body, as sent.
    pub body: String,
}

impl Refused {
    /// What the hub says, or at least its status.
    pub fn message(&self) -> String {
        match serde_json::from_str::<ErrorBody>(&self.body) {
            Ok(body) => display(&body.error),
            Err(_) => format!("the hub answered {}", self.status),
        }
    }

    /// As the failure of a verb.
    pub fn into_failure(self) -> Failure {
        let code = match self.status {
            StatusCode::UNAUTHORIZED => ExitCode::NotPermitted,
            _ => ExitCode::Failure,
        };
        Failure::new(code, anyhow!("{}", self.message()))
    }
}

impl HubClient {
    /// The hub of `--hub`, else of the fleet file.
    ///
    /// # Errors
    /// The fleet file has errors, or the address is no URL.
    pub fn new(global: &Global) -> Result<Self, Failure> {
        let base = match &global.hub {
            Some(url) => url.clone(),
            None => {
                let sources = Sources {
                    root: global.root.clone(),
                    file: global.fleet.clone(),
                    ..Sources::system()
                };
                let loaded = fleet::load(&sources).map_err(|e| Failure::new(ExitCode::Usage, e))?;
                loaded.fleet.hub
            }
        };
        let url = reqwest::Url::parse(&base)
            .with_context(|| format!("{base:?} is not a URL (http://127.0.0.1:9000)"))
            .map_err(|e| Failure::new(ExitCode::Usage, e))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(Failure::new(
                ExitCode::Usage,
                anyhow!("{base:?} is not the URL of a hub (http://127.0.0.1:9000)"),
            ));
        }
        // A hub is on this host or in this network; a proxy for the web does not lead to it.
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(TIMEOUT)
            .build()
            .context("cannot make an HTTP client")?;
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            http,
        })
    }

    /// GET.
    ///
    /// # Errors
    /// The hub cannot be reached, refuses, or answers something else.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        let request = self.request(Method::GET, path).query(query);
        self.send(request).await?.map_err(Refused::into_failure)
    }

    /// POST. An answer that is not a success is the inner error.
    ///
    /// # Errors
    /// The hub cannot be reached or answers something else.
    pub async fn post<T: DeserializeOwned, B: Serialize + Sync>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<Result<T, Refused>, Failure> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// DELETE.
    ///
    /// # Errors
    /// The hub cannot be reached, refuses, or answers something else.
    pub async fn delete(&self, path: &str) -> Result<(), Failure> {
        let request = self.request(Method::DELETE, path);
        let done: Result<serde_json::Value, _> = self.send(request).await?;
        done.map(drop).map_err(Refused::into_failure)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<Result<T, Refused>, Failure> {
        let response = request.send().await.map_err(|e| self.unreachable(e))?;
        let status = response.status();
        let body = response.text().await.map_err(|e| self.unreachable(e))?;
        if !status.is_success() {
            return Ok(Err(Refused { status, body }));
        }
        serde_json::from_str(&body).map(Ok).map_err(|error| {
            Failure::from(anyhow!(
                "{} answered something that is not a hub's answer: {error}",
                self.base
            ))
        })
    }

    fn unreachable(&self, error: reqwest::Error) -> Failure {
        let why = if error.is_timeout() {
            "it did not answer in time".to_owned()
        } else {
            // The innermost cause says it best ("Connection refused").
            let mut cause: &dyn std::error::Error = &error;
            while let Some(inner) = cause.source() {
                cause = inner;
            }
            cause.to_string()
        };
        Failure::new(
            ExitCode::HubUnreachable,
            anyhow!(
                "cannot reach the hub at {}: {why}; start it (reconctl start hub) or name another \
                 with --hub URL",
                self.base
            ),
        )
    }
}
