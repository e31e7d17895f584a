use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::api::{
    EggRecord, EggRecordList, ErrorBody, Heartbeat, HeartbeatAnswer, IDEMPOTENCY_KEY, Personality,
    WorkKind,
};

/// The hub as an agent sees it: ours, or the earlier Django server, which leases nothing and ignores
/// what it does not know.
#[derive(Debug, Clone)]
pub struct HubClient {
    http: Client,
    base: Url,
    caller: String,
}

/// Why the hub did not do it.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The URL is none.
    #[error("{url:?} is not a URL of a hub: {reason}")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No answer; worth another try.
    #[error("hub unreachable: {0}")]
    Unreachable(String),
    /// It cannot now; worth another try.
    #[error("hub busy ({status}): {message}")]
    Busy {
        /// HTTP status.
        status: StatusCode,
        /// What it said.
        message: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// It will not; the same request will fail again.
    #[error("hub refuses ({status}): {message}")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// What it said.
        message: String,
        /// Machine-readable reason, if it gave one.
        skip_reason: Option<String>,
    },
    /// The answer makes no sense.
    #[error("hub answered nonsense: {0}")]
    Nonsense(String),
}

impl HubError {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_) | Self::Busy { .. } | Self::Nonsense(_)
        )
    }

    /// When the hub wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// The hub stored it, now or before.
    Stored,
    /// The hub has a result of that kind from somebody else and does not want this one.
    Superseded,
}

/// Connecting takes longer than this only when nobody is there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Largest answer that is read, bytes: 1,000 records are below 1 MiB.
const MAX_ANSWER: usize = 8 << 20;

impl HubClient {
    /// Longest time for a request other than a submission (`api_timeout` of the earlier system).
    pub const TIMEOUT: Duration = Duration::from_secs(10);
    /// Longest time for a request for work: the hub may have to look up names, and an answer that
    /// nobody waits for leaves its leases to run out.
    pub const LEASE_TIMEOUT: Duration = Duration::from_secs(30);
    /// Longest time for a submission (`submit_timeout`).
    pub const SUBMIT_TIMEOUT: Duration = Duration::from_secs(30);

    /// A client for the hub at this URL; `caller` is `NAME@HOST`.
    ///
    /// # Errors
    /// The URL is none.
    pub fn new(url: &str, caller: String) -> Result<Self, HubError> {
        let bad = |reason: String| HubError::Url {
            url: url.to_owned(),
            reason,
        };
        let base = Url::parse(url.trim_end_matches('/')).map_err(|e| bad(e.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(bad("it must begin with http:// or https://".to_owned()));
        }
        let mut builder = Client::builder()
            .user_agent(concat!("recon/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(1);
        if base.scheme() == "http" {
            // Reading the system's certificates costs memory and start-up time for nothing.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|e| bad(chain(&e)))?;
        Ok(Self { http, base, caller })
    }

    /// The URL, for messages.
    pub fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Leases up to `limit` records for `lease` seconds.
    ///
    /// # Errors
    /// The hub did not answer as it should.
    pub async fn lease(
        &self,
        personality: Personality,
        kind: WorkKind,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<EggRecord>, HubError> {
        let request = self
            .http
            .get(self.path(&format!("daemon/{personality}/eggrecords/")))
            .query(&[
                ("limit", limit.to_string()),
                ("scan_type", kind.to_string()),
            ])
            .query(&[
                ("agent", &self.caller),
                ("lease", &lease.as_secs().to_string()),
            ])
            .timeout(Self::LEASE_TIMEOUT);
        let list: EggRecordList = answer(request).await?;
        if !list.success {
            return Err(HubError::Nonsense(
                "success is false in a list of records".to_owned(),
            ));
        }
        Ok(list.eggrecords)
    }

    /// Submits a result. The body is what the spool holds, byte for byte, so that a repetition is
    /// the same request.
    ///
    /// # Errors
    /// The hub did not take it.
    pub async fn submit(
        &self,
        path: &str,
        key: Uuid,
        body: Vec<u8>,
    ) -> Result<Submitted, HubError> {
        let request = self
            .http
            .post(self.path(path))
            .query(&[("agent", &self.caller)])
            .header(IDEMPOTENCY_KEY, key.to_string())
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .timeout(Self::SUBMIT_TIMEOUT)
            .body(body);
        match answer::<ErrorOrAnswer>(request).await {
            Ok(answer) if answer.success => Ok(Submitted::Stored),
            // The earlier server answers 200 with success: false on a route that it does not have.
            Ok(answer) => Err(HubError::Refused {
                status: StatusCode::OK,
                message: answer.error.unwrap_or_default(),
                skip_reason: None,
            }),
            Err(HubError::Refused {
                status: StatusCode::CONFLICT,
                skip_reason: Some(_),
                ..
            }) => Ok(Submitted::Superseded),
            Err(error) => Err(error),
        }
    }

    /// Gives a lease back. A server that knows no leases answers 404, which is as good.
    ///
    /// # Errors
    /// The hub did not answer.
    pub async fn release(&self, lease: Uuid) -> Result<(), HubError> {
        let request = self
            .http
            .delete(self.path(&format!("daemon/leases/{lease}/")))
            .query(&[("agent", &self.caller)])
            .timeout(Self::TIMEOUT);
        match answer::<ErrorOrAnswer>(request).await {
            Ok(_) | Err(HubError::Refused { .. }) => Ok(()),
            Err(HubError::Busy {
                status: StatusCode::NOT_FOUND,
                ..
            }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Says how the agent is; `None` when the server knows no heartbeat.
    ///
    /// # Errors
    /// The hub did not answer as it should.
    pub async fn heartbeat(
        &self,
        kind: &str,
        beat: &Heartbeat,
    ) -> Result<Option<HeartbeatAnswer>, HubError> {
        let request = self
            .http
            .post(self.path(&format!("daemon/{kind}/heartbeat/")))
            .timeout(Self::TIMEOUT)
            .json(beat);
        match answer(request).await {
            Ok(answer) => Ok(Some(answer)),
            Err(
                HubError::Refused {
                    status: StatusCode::NOT_FOUND,
                    ..
                }
                | HubError::Busy {
                    status: StatusCode::NOT_FOUND,
                    ..
                },
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn path(&self, path: &str) -> String {
        format!("{}/reconnaissance/api/{path}", self.url())
    }
}

#[derive(serde::Deserialize)]
struct ErrorOrAnswer {
    success: bool,
    error: Option<String>,
}

/// Sends a request and reads its JSON answer.
async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, HubError> {
    let response = request
        .send()
        .await
        .map_err(|e| HubError::Unreachable(chain(&e)))?;
    let status = response.status();
    let retry_after = retry_after(&response);
    let body = read(response).await?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|e| HubError::Nonsense(e.to_string()));
    }
    let error = serde_json::from_slice::<ErrorBody>(&body).ok();
    let message = error
        .as_ref()
        .map_or_else(|| status.to_string(), |e| e.error.clone());
    if is_final(status, error.is_some()) {
        return Err(HubError::Refused {
            status,
            message,
            skip_reason: error.and_then(|e| e.skip_reason),
        });
    }
    Err(HubError::Busy {
        status,
        message,
        retry_after,
    })
}

/// Whether the same request would get the same answer from a hub that works. What a proxy, a wrong
/// URL or a missing token may answer is none: it gets better when somebody mends that. A 403 or 404
/// is final only in the hub's own words.
fn is_final(status: StatusCode, own_words: bool) -> bool {
    match status {
        StatusCode::BAD_REQUEST
        | StatusCode::CONFLICT
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNPROCESSABLE_ENTITY => true,
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => own_words,
        _ => false,
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, HubError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|e| HubError::Unreachable(chain(&e)))?
    {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(HubError::Nonsense(format!(
                "an answer of more than {MAX_ANSWER} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response
        .headers()
        .get(reqwest::header::RETRY_AFTER)?
        .to_str()
        .ok()?;
    Some(Duration::from_secs(seconds.parse().ok()?))
}

/// An error with its causes: reqwest's own text leaves out why.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use wiremock::matchers::{method, path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    async fn server(template: ResponseTemplate) -> (MockServer, HubClient) {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .respond_with(template)
            .mount(&server)
            .await;
        let client = HubClient::new(&server.uri(), "kaze@here".into()).unwrap();
        (server, client)
    }

    async fn submit(template: ResponseTemplate) -> Result<Submitted, HubError> {
        let (_server, client) = server(template).await;
        client
            .submit("daemon/kaze/scan/", Uuid::nil(), b"{}".to_vec())
            .await
    }

    #[tokio::test]
    async fn leases_in_the_earlier_servers_shape() {
        let server = MockServer::start().await;
        let body = serde_json::json!({"success": true, "count": 1, "eggrecords": [{
            "id": "11111111-1111-4111-8111-111111111111", "subDomain": "127.0.0.1",
            "domainname": null, "alive": true, "updated_at": "2026-11-11T04:05:15.446860+00:00",
            "egg_id_id": null}]});
        Mock::given(method("GET"))
            .and(path("/reconnaissance/api/daemon/kaze/eggrecords/"))
            .and(query_param("limit", "10"))
            .and(query_param("agent", "kaze@here"))
            .respond_with(ResponseTemplate::new(200).set_body_json(body))
            .mount(&server)
            .await;
        let client = HubClient::new(&server.uri(), "kaze@here".into()).unwrap();
        let records = client
            .lease(
                Personality::Kaze,
                WorkKind::KazePortScan,
                10,
                Duration::from_secs(600),
            )
            .await
            .unwrap();
        assert_eq!(records[0].target().as_deref(), Some("127.0.0.1"));
        assert_eq!(records[0].lease_id, None);
    }

    #[tokio::test]
    async fn tells_final_from_transient() {
        let ok = ResponseTemplate::new(200).set_body_json(serde_json::json!({"success": true}));
        assert_eq!(submit(ok).await.unwrap(), Submitted::Stored);

        let recent = serde_json::json!({"success": false, "error": "x", "skip_reason": "very_recent_scan_exists"});
        let recent = ResponseTemplate::new(409).set_body_json(recent);
        assert_eq!(submit(recent).await.unwrap(), Submitted::Superseded);

        let busy = ResponseTemplate::new(503).insert_header("retry-after", "7");
        let busy = submit(busy).await.unwrap_err();
        assert!(busy.is_transient());
        assert_eq!(busy.retry_after(), Some(Duration::from_secs(7)));

        assert!(
            !submit(ResponseTemplate::new(422))
                .await
                .unwrap_err()
                .is_transient()
        );
        let shadowed = serde_json::json!({"success": false, "error": "Invalid personality"});
        let shadowed = ResponseTemplate::new(200).set_body_json(shadowed);
        assert!(!submit(shadowed).await.unwrap_err().is_transient());
    }

    #[tokio::test]
    async fn nobody_there_is_transient() {
        let client = HubClient::new("http://127.0.0.1:1/", "kaze@here".into()).unwrap();
        assert!(
            client
                .release(Uuid::nil())
                .await
                .unwrap_err()
                .is_transient()
        );
    }

    #[test]
    fn refuses_what_is_no_hub() {
        for url in ["", "hub:9000", "ftp://hub", "unix:/x"] {
            assert!(HubClient::new(url, String::new()).is_err(), "{url}");
        }
    }
}
