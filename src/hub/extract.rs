//! What a handler takes from a request, with errors in the hub's own shape.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use chrono::{DateTime, Datelike, Utc};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use sha2::{Digest, Sha256};
use tower_http::timeout::TimeoutError;
use uuid::Uuid;

use super::access::Identity;
use super::bodies::Crowded;
use super::error::ApiError;
use super::store::Idempotency;
use crate::api::{IDEMPOTENCY_KEY, RECON_AGENT};

/// Years that a time can be of: what is computed with it stays a time, and is written as RFC 3339.
pub(super) const YEARS: RangeInclusive<i32> = 1970..=9999;

/// The parameters after `?`.
#[derive(Debug, Clone, Default)]
pub(super) struct Params(BTreeMap<String, String>);

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Query(map) = Query::<BTreeMap<String, String>>::try_from_uri(&parts.uri)
            .map_err(|_| ApiError::bad_request("the parameters after ? cannot be read"))?;
        // No name has one, and a database may not take it.
        if let Some((name, _)) = map.iter().find(|(_, value)| has_controls(value)) {
            let name = name.escape_default();
            let problem = format!("{name} must not have control characters");
            return Err(ApiError::bad_request(problem));
        }
        Ok(Self(map))
    }
}

impl Params {
    /// A parameter that is there and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    }

    /// An integer within these bounds.
    pub(super) fn integer<T>(
        &self,
        name: &str,
        default: T,
        range: RangeInclusive<T>,
    ) -> Result<T, ApiError>
    where
        T: std::str::FromStr + PartialOrd + fmt::Display,
    {
        let Some(text) = self.0.get(name) else {
            return Ok(default);
        };
        text.parse()
            .ok()
            .filter(|n| range.contains(n))
            .ok_or_else(|| {
                ApiError::bad_request(format!(
                    "{name} must be an integer from {} to {}",
                    range.start(),
                    range.end()
                ))
            })
    }

    /// A time.
    pub(super) fn time(&self, name: &str) -> Result<Option<DateTime<Utc>>, ApiError> {
        self.text(name)
            .map(|text| {
                text.parse::<DateTime<Utc>>()
                    .ok()
                    .filter(|time| YEARS.contains(&time.year()))
                    .ok_or_else(|| {
                        ApiError::bad_request(format!(
                            "{name} must be an RFC 3339 time (2026-11-21T06:00:00Z)"
                        ))
                    })
            })
            .transpose()
    }

    /// Yes or no; `None` when it is not there.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.text(name) {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(_) => Err(ApiError::bad_request(format!(
                "{name} must be true or false"
            ))),
        }
    }

    /// A cursor, as an earlier page gave it.
    pub(super) fn cursor(&self) -> Result<Option<Uuid>, ApiError> {
        self.text("cursor")
            .map(|text| {
                text.parse().map_err(|_| {
                    ApiError::bad_request("cursor must be next_cursor of an earlier answer")
                })
            })
            .transpose()
    }
}

/// Whether a text has characters that no name has. PostgreSQL takes no NUL at all.
pub(super) fn has_controls(text: &str) -> bool {
    text.contains(char::is_control)
}

/// An id in the path.
pub(super) fn id(text: &str) -> Result<Uuid, ApiError> {
    text.parse()
        .map_err(|_| ApiError::bad_request("the id in the path must be a UUID"))
}

/// The body of a POST, and what makes it idempotent.
#[derive(Debug, Clone)]
pub(super) struct Post {
    bytes: Bytes,
    key: Option<Idempotency>,
}

impl<S: Send + Sync> FromRequest<S> for Post {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        json_or_nothing(request.headers())?;
        let key = key(request.headers())?;
        let route = route(request.method(), request.uri().path());
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|r| match r.status() {
                StatusCode::PAYLOAD_TOO_LARGE => {
                    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large")
                }
                _ if is_from::<Crowded>(&r) => ApiError::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the hub has too many bodies to read; try again",
                ),
                _ if is_from::<TimeoutError>(&r) => ApiError::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "the body came too slowly; send it again",
                ),
                _ => ApiError::bad_request("the body could not be read to its end"),
            })?;
        let key = key.map(|key| Idempotency {
            key,
            route,
            body_sha256: Sha256::digest(&bytes).into(),
        });
        Ok(Self { bytes, key })
    }
}

/// Whether a body was given up for this cause.
fn is_from<T: std::error::Error + 'static>(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<T>() || error.source().is_some_and(is_from::<T>)
}

impl Post {
    /// The hash of the body, as text.
    pub(super) fn sha256(&self) -> String {
        let hash = Sha256::digest(&self.bytes);
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The key.
    pub(super) fn key(&self) -> Option<&Idempotency> {
        self.key.as_ref()
    }

    /// The body as it came.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The body as this type, and the key.
    pub(super) fn json<T: DeserializeOwned>(self) -> Result<(T, Option<Idempotency>), ApiError> {
        if self.bytes.trim_ascii().is_empty() {
            return Err(ApiError::bad_request(
                "there is no body; send a JSON object",
            ));
        }
        let mut json = serde_json::Deserializer::from_slice(&self.bytes);
        let Object(value) = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            refused(&path, &error.into_inner())
        })?;
        json.end()
            .map_err(|e| ApiError::bad_request(format!("the body is not valid JSON: {e}")))?;
        Ok((value, self.key))
    }
}

/// What is wrong with a body, by field where it is one.
fn refused(path: &str, error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    if error.classify() != serde_json::error::Category::Data {
        return ApiError::bad_request(format!("the body is not valid JSON: {text}"));
    }
    let parent = Some(path).filter(|path| *path != ".");
    // The path leads to the object that lacks it.
    let missing = text.strip_prefix("missing field `");
    match (missing.and_then(|rest| rest.split('`').next()), parent) {
        (Some(name), Some(parent)) => {
            ApiError::field(format!("{parent}.{name}"), "missing", "is needed")
        }
        (Some(name), None) => ApiError::field(name, "missing", "is needed"),
        (None, parent) => ApiError::field(parent.unwrap_or("body"), "type", text),
    }
}

/// A JSON object as `T`. serde's derive would take an array for a struct, too.
#[derive(Debug, Clone, Default)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyMap<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyMap<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(OnlyMap(PhantomData))
    }
}

/// A browser's form can send text, but not JSON, to another site unasked; old daemons always name
/// the type or leave it out.
fn json_or_nothing(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = value
        .to_str()
        .ok()
        .and_then(|v| v.split(';').next())
        .map(|v| v.trim().to_ascii_lowercase());
    if matches!(
        essence.as_deref(),
        Some("application/json" | "application/x-ndjson")
    ) {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "send JSON, with Content-Type: application/json",
    ))
}

fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .filter(|v| (1..=255).contains(&v.len()))
        .map(|v| Some(v.to_owned()))
        .ok_or_else(|| {
            ApiError::bad_request(format!(
                "{IDEMPOTENCY_KEY} must be 1 to 255 printable ASCII characters"
            ))
        })
}

/// Method and path; a path and its alias are the same route.
fn route(method: &Method, path: &str) -> String {
    let path = path.strip_prefix("/reconnaissance").unwrap_or(path);
    let path = match path.trim_end_matches('/') {
        "/api/daemon/spider" => "/api/daemon/kumo/spider",
        "/api/daemon/assessment" => "/api/daemon/ryu/assessment",
        "/api/daemon/enumeration" => "/api/daemon/suzu/enumeration",
        path => path,
    };
    format!("{method} {path}")
}

/// Who calls.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    peer: SocketAddr,
    agent: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = Params::from_request_parts(parts, state).await?;
        let header = parts.headers.get(RECON_AGENT);
        let agent = match (params.text("agent"), header) {
            (Some(agent), _) => Some(agent.to_owned()),
            (None, Some(value)) => Some(value.to_str().unwrap_or_default().to_owned()),
            (None, None) => None,
        };
        if agent.as_deref().is_some_and(|a| !is_agent_id(a)) {
            return Err(ApiError::bad_request(
                "agent must be NAME@HOST (letters, digits, '.', '-', '_')",
            ));
        }
        // A token that is for one agent says who an old agent is, too.
        let agent = agent.or_else(|| parts.extensions.get::<Identity>()?.own_agent());
        let ConnectInfo(peer) = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .copied()
            .ok_or_else(|| ApiError::bad_request("the caller's address is not known"))?;
        Ok(Self { peer, agent })
    }
}

impl Caller {
    /// `NAME@HOST`, when the caller says so.
    pub(super) fn agent(&self) -> Option<&str> {
        self.agent.as_deref()
    }

    /// The name under which it holds leases: old daemons are known by address and personality.
    pub(super) fn owner(&self, personality: &str) -> String {
        match &self.agent {
            Some(agent) => agent.clone(),
            None => format!("{}/{personality}", self.peer.ip().to_canonical()),
        }
    }
}

fn is_agent_id(text: &str) -> bool {
    text.len() <= 255
        && text
            .split_once('@')
            .is_some_and(|(name, host)| is_agent_name(name) && is_host(host))
}

/// Whether this can be the name of an agent.
pub(super) fn is_agent_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

/// Whether this can be the name of a host.
pub(super) fn is_host(host: &str) -> bool {
    (1..=253).contains(&host.len())
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
}
