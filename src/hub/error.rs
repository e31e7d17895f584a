//! Errors as callers see them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use tracing::{Instrument, debug, error, info_span, warn};
use uuid::Uuid;

use super::store::StoreError;
use crate::api::{ErrorBody, FieldError};

/// Seconds after which it is worth trying again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// An answer that says what is wrong.
#[derive(Debug, Clone)]
pub(super) struct ApiError {
    status: StatusCode,
    body: Box<ErrorBody>,
    extra: Map<String, Value>,
    challenge: Option<&'static str>,
    retry_after: Option<u64>,
}

/// The id of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RequestId(pub(super) Uuid);

impl ApiError {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        let body = ErrorBody {
            success: false,
            error: error.into(),
            detail: None,
            skip_reason: None,
            request_id: None,
            validation_errors: Vec::new(),
        };
        Self::of(status, body)
    }

    /// An error that a store kept.
    pub(super) fn of(status: StatusCode, body: ErrorBody) -> Self {
        Self {
            status,
            body: Box::new(body),
            extra: Map::new(),
            challenge: None,
            retry_after: None,
        }
    }

    pub(super) fn bad_request(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    pub(super) fn not_found(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    pub(super) fn forbidden(error: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, error)
    }

    /// 403: it is the token that does not suffice (RFC 6750 §3.1), not what was asked for. By that
    /// an agent knows that its result is good.
    pub(super) fn insufficient(error: impl Into<String>) -> Self {
        Self::forbidden(error).challenge("Bearer realm=\"recon\", error=\"insufficient_scope\"")
    }

    /// 429: it may come again after this.
    pub(super) fn too_many(wait: Duration) -> Self {
        let mut answer = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too many requests; come again after Retry-After seconds",
        );
        answer.retry_after = Some(wait.as_secs() + 1);
        answer
    }

    /// The same with what a token would have to be.
    pub(super) fn challenge(mut self, challenge: &'static str) -> Self {
        self.challenge = Some(challenge);
        self
    }

    /// 422 for these fields.
    pub(super) fn invalid(errors: Vec<FieldError>) -> Self {
        let first = errors
            .first()
            .map(|e| format!("{}: {}", e.field, e.message))
            .unwrap_or_default();
        let mut answer = Self::new(StatusCode::UNPROCESSABLE_ENTITY, first);
        answer.body.validation_errors = errors;
        answer
    }

    /// 422 for one field.
    pub(super) fn field(field: impl Into<String>, kind: &str, message: impl Into<String>) -> Self {
        Self::invalid(vec![field_error(field, kind, message)])
    }

    /// The same with more members in the body.
    pub(super) fn with(mut self, extra: Map<String, Value>) -> Self {
        self.extra = extra;
        self
    }

    fn into_json(mut self, request_id: Uuid) -> Response {
        self.body.request_id = Some(request_id.to_string());
        let mut body = self.extra;
        if let Ok(Value::Object(own)) = serde_json::to_value(&self.body) {
            body.extend(own);
        }
        let text = Value::Object(body).to_string();
        let mut response = (self.status, Body::from(text)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        let plain = (self.status == StatusCode::UNAUTHORIZED).then_some("Bearer realm=\"recon\"");
        if let Some(challenge) = self.challenge.or(plain) {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            );
        }
        response
    }
}

/// One field at fault.
pub(super) fn field_error(
    field: impl Into<String>,
    kind: &str,
    message: impl Into<String>,
) -> FieldError {
    FieldError {
        field: field.into(),
        message: message.into(),
        kind: kind.to_owned(),
    }
}

impl From<StoreError> for ApiError {
    fn from(problem: StoreError) -> Self {
        match problem {
            StoreError::Unavailable(_) => {
                warn!(%problem, "a request is put off");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the hub cannot reach its database now; try again",
                )
            }
            StoreError::Internal(_) => {
                error!(%problem, "a request failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL)
            }
            StoreError::KeyReused => Self::field(
                crate::api::IDEMPOTENCY_KEY,
                "value",
                "this key was used with another body; send a new key with a new body",
            ),
            StoreError::MadeBefore(id) => Self::new(
                StatusCode::CONFLICT,
                format!(
                    "{id} was made with this key; its secret was told then and is not kept: revoke \
                     it, and send another key for another"
                ),
            ),
            StoreError::Refused(refusal) => Self::forbidden(refusal.to_string()),
            StoreError::UnknownRecord => Self::not_found("there is no eggrecord with this id"),
        }
    }
}

const INTERNAL: &str = "the hub failed; its log says more under this request_id";

/// The body is made by [`shape`], which knows the request's id.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// Gives every request an id and every error the same shape, whichever layer it comes from.
pub(super) async fn shape(mut request: Request, next: Next) -> Response {
    let id = Uuid::now_v7();
    request.extensions_mut().insert(RequestId(id));
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let span = info_span!("request", request_id = %id, %method, path);
    let mut response = next.run(request).instrument(span).await;
    let status = response.status();
    let failed = status.is_client_error() || status.is_server_error();
    let own = response.extensions_mut().remove::<Arc<ApiError>>();
    if failed && (own.is_some() || !is_json(&response)) {
        let error = own.map_or_else(|| generic(status), Arc::unwrap_or_clone);
        let allow = response.headers_mut().remove(header::ALLOW);
        response = error.into_json(id);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    debug!(%method, path, %status, request_id = %id, "request");
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

fn is_json(response: &Response) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|v| v.as_bytes().starts_with(b"application/json"))
}

/// For an error of a layer that does not know our shape.
fn generic(status: StatusCode) -> ApiError {
    let text = match status {
        StatusCode::NOT_FOUND => "there is nothing at this path",
        StatusCode::METHOD_NOT_ALLOWED => {
            "this path does not take this method; the Allow header says which it takes"
        }
        StatusCode::PAYLOAD_TOO_LARGE => "the body is too large",
        StatusCode::SERVICE_UNAVAILABLE => "the hub took too long; try again",
        StatusCode::INTERNAL_SERVER_ERROR => INTERNAL,
        other => other.canonical_reason().unwrap_or("the request failed"),
    };
    ApiError::new(status, text)
}
