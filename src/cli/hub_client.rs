//! Talking to the hub, with errors that say what to do.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, anyhow};
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::hub_place::{Place, authority, token};
use super::table::display;
use super::{Failure, Global};
use crate::api::{ErrorBody, ExitCode, ImportAnswer};

/// The hub ends a request after 30 s; this is the network's share on top.
const TIMEOUT: Duration = Duration::from_secs(40);
/// For what is as long as it is.
const LONG_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// For what copies or reads the whole database.
const UNHURRIED: Duration = Duration::from_secs(6 * 3600);

/// The hub counts requests by the second.
const AGAIN: Duration = Duration::from_secs(1);
/// A hub that others keep as busy as that is given up.
const AGAIN_MOST: u32 = 20;

/// A hub.
#[derive(Debug)]
pub struct HubClient {
    base: String,
    /// Its address for people.
    shown: String,
    http: reqwest::Client,
    token: Option<String>,
}

/// An answer that is not a success.
#[derive(Debug)]
pub struct Refused {
    /// Its status.
    pub status: StatusCode,
    /// Its body, as sent.
    pub body: String,
    /// Whether another token could have had it.
    not_permitted: bool,
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
        let advice = match self.status {
            StatusCode::UNAUTHORIZED => {
                "; be root on the hub's host, or name a token with --token-file"
            }
            _ => "",
        };
        let code = match self.not_permitted || self.status == StatusCode::UNAUTHORIZED {
            true => ExitCode::NotPermitted,
            false => ExitCode::Failure,
        };
        Failure::new(code, anyhow!("{}{advice}", self.message()))
    }
}

/// What to do about a hub that does not answer.
const START: &str = "start it (reconctl start hub) or name another with --hub URL";

/// What to do about one that answers something else than was expected: `None` when that is not known
/// from the words of rustls and hyper.
fn advice(why: &str) -> Option<&'static str> {
    if why.contains("InvalidContentType") {
        Some("it speaks no TLS: name it as http://…")
    } else if why.contains("invalid HTTP version") {
        Some("it may speak TLS: name it as https://…")
    } else if why.contains("CaUsedAsEndEntity") {
        Some(
            "its certificate is that of an authority: make one with basicConstraints=CA:FALSE, \
             signed by an authority or by itself",
        )
    } else if why.contains("UnknownIssuer") {
        Some("name the certificate of who signed it with --ca FILE")
    } else if why.contains("invalid peer certificate") {
        Some("see what its certificate says with: openssl s_client -connect HOST:PORT")
    } else {
        None
    }
}

impl HubClient {
    /// The hub of `--hub`, else of the fleet file. A token is sent if there is one; without one, root
    /// (and who runs a fleet of their own) talks to the hub of this host by its control socket.
    ///
    /// # Errors
    /// The fleet file has errors, the address is no URL, or a file that was named cannot be read.
    pub fn new(global: &Global) -> Result<Self, Failure> {
        let usage = |error: anyhow::Error| Failure::new(ExitCode::Usage, error);
        let place = Place::find(global)?;
        let url = reqwest::Url::parse(&place.url)
            .with_context(|| format!("{:?} is not a URL (http://127.0.0.1:9000)", place.url))
            .map_err(usage)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            let error = anyhow!(
                "{:?} is not the URL of a hub (http://127.0.0.1:9000)",
                place.url
            );
            return Err(usage(error));
        }
        let token = token(global).map_err(usage)?;
        // A hub is on this host or in this network; a proxy for the web does not lead to it.
        let mut builder = reqwest::Client::builder().no_proxy().timeout(TIMEOUT);
        if let Some(path) = &global.ca {
            builder = builder.tls_certs_only(authority(path).map_err(usage)?);
        }
        let mut base = url.as_str().trim_end_matches('/').to_owned();
        let mut shown = base.clone();
        if let Some(socket) = place
            .socket
            .filter(|socket| socket.required || token.is_none())
        {
            // TLS is for the network only.
            base = "http://localhost".to_owned();
            shown = format!("unix:{}", socket.path.display());
            builder = builder.unix_socket(socket.path);
        }
        let http = builder.build().context("cannot make an HTTP client")?;
        Ok(Self {
            base,
            shown,
            http,
            token,
        })
    }

    /// GET. A hub that was asked too much in a second is asked again in the next.
    ///
    /// # Errors
    /// The hub cannot be reached, refuses, or answers something else.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        let mut again = AGAIN_MOST;
        loop {
            let request = self.request(Method::GET, path).query(query);
            match self.send(request).await? {
                Err(refused) if refused.status == StatusCode::TOO_MANY_REQUESTS && again > 0 => {
                    again -= 1;
                    tokio::time::sleep(AGAIN).await;
                }
                answer => return answer.map_err(Refused::into_failure),
            }
        }
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

    /// Sends targets, one as JSON a line. An answer that is not a success is the inner error.
    ///
    /// # Errors
    /// The hub cannot be reached or answers something else.
    pub async fn import(&self, body: Vec<u8>) -> Result<Result<ImportAnswer, Refused>, Failure> {
        let request = self
            .request(Method::POST, "/api/targets/import")
            .header(reqwest::header::CONTENT_TYPE, "application/x-ndjson")
            .body(body);
        self.send(request).await
    }

    /// PATCH.
    ///
    /// # Errors
    /// The hub cannot be reached, refuses, or answers something else.
    pub async fn patch<T: DeserializeOwned, B: Serialize + Sync>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Failure> {
        let request = self.request(Method::PATCH, path).json(body);
        self.send(request).await?.map_err(Refused::into_failure)
    }

    /// GET of something that is passed on as it comes, however long it is.
    ///
    /// # Errors
    /// The hub cannot be reached, refuses, or stops in the middle; `out` cannot be written.
    pub async fn copy(
        &self,
        path: &str,
        query: &[(&str, String)],
        out: &mut (dyn Write + Send),
    ) -> Result<(), Failure> {
        let request = self.request(Method::GET, path).query(query);
        let request = request.timeout(LONG_TIMEOUT);
        let mut response = request.send().await.map_err(|e| self.unreachable(e))?;
        let status = response.status();
        let not_permitted = response.headers().contains_key(WWW_AUTHENTICATE);
        if !status.is_success() {
            let body = response.text().await.map_err(|e| self.unreachable(e))?;
            let refused = Refused {
                status,
                body,
                not_permitted,
            };
            return Err(refused.into_failure());
        }
        while let Some(some) = response.chunk().await.map_err(|e| self.unreachable(e))? {
            out.write_all(&some)?;
        }
        out.flush()?;
        Ok(())
    }

    /// POST of nothing, for what may take its time. An answer that is not a success is the inner error.
    ///
    /// # Errors
    /// The hub cannot be reached or answers something else.
    pub async fn post_unhurried<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Result<T, Refused>, Failure> {
        let request = self.request(Method::POST, path).timeout(UNHURRIED);
        self.send(request).await
    }

    /// POST of nothing, whose answer goes to `out`; gives its length.
    ///
    /// # Errors
    /// The hub cannot be reached, refuses, or breaks off; `out` cannot be written.
    pub async fn download(&self, path: &str, out: &mut impl Write) -> Result<u64, Failure> {
        let request = self.request(Method::POST, path).timeout(UNHURRIED);
        let mut response = request.send().await.map_err(|e| self.unreachable(e))?;
        let status = response.status();
        if !status.is_success() {
            let not_permitted = response.headers().contains_key(WWW_AUTHENTICATE);
            let body = response.text().await.map_err(|e| self.unreachable(e))?;
            return Err(Refused {
                status,
                body,
                not_permitted,
            }
            .into_failure());
        }
        let mut length = 0;
        loop {
            let chunk = response.chunk().await.map_err(|error| {
                anyhow!("the hub broke off after {length} bytes; its log says why ({error})")
            })?;
            let Some(chunk) = chunk else {
                out.flush()?;
                return Ok(length);
            };
            out.write_all(&chunk)?;
            length += chunk.len() as u64;
        }
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
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<Result<T, Refused>, Failure> {
        let response = request.send().await.map_err(|e| self.unreachable(e))?;
        let status = response.status();
        let not_permitted = response.headers().contains_key(WWW_AUTHENTICATE);
        let body = response.text().await.map_err(|e| self.unreachable(e))?;
        if !status.is_success() {
            return Ok(Err(Refused {
                status,
                body,
                not_permitted,
            }));
        }
        serde_json::from_str(&body).map(Ok).map_err(|error| {
            Failure::from(anyhow!(
                "{} answered something that is not a hub's answer: {error}",
                self.shown
            ))
        })
    }

    fn unreachable(&self, error: reqwest::Error) -> Failure {
        // The innermost cause says it best ("Connection refused").
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let (why, advice) = match advice(&cause.to_string()) {
            _ if error.is_timeout() => ("it did not answer in time".to_owned(), START),
            Some(advice) => (cause.to_string(), advice),
            None => (cause.to_string(), START),
        };
        Failure::new(
            ExitCode::HubUnreachable,
            anyhow!("cannot reach the hub at {}: {why}; {advice}", self.shown),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wiremock::matchers::path;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;

    #[tokio::test]
    async fn a_hub_that_was_asked_too_much_is_asked_again() {
        let server = MockServer::start().await;
        let busy = ResponseTemplate::new(429).set_body_json(json!({ "error": "too much" }));
        let at = || Mock::given(path("/api/x"));
        at().respond_with(busy)
            .up_to_n_times(2)
            .mount(&server)
            .await;
        let answer = ResponseTemplate::new(200).set_body_json(json!({ "a": 1 }));
        at().respond_with(answer).mount(&server).await;
        let hub = HubClient {
            base: server.uri(),
            shown: server.uri(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            token: None,
        };
        let answer: Value = hub.get("/api/x", &[]).await.unwrap();
        assert_eq!(answer["a"], 1);
    }
}
