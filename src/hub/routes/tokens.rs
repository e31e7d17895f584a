//! Tokens.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use chrono::TimeDelta;
use serde_json::json;

use super::super::access::{Identity, LocalTokenError, Secret};
use super::super::error::{ApiError, field_error};
use super::super::extract::{self, Params, Post, is_agent_name, is_host};
use super::super::state::Hub;
use super::super::store::{NewToken, PageQuery};
use super::{Reply, order};
use crate::api::{CreateToken, CreatedToken, Role, TokenList};

/// Longest name, and longest life: ten years.
const NAME_MAX: usize = 128;
const LIFE_MAX: u64 = 10 * 366 * 86_400;

/// `POST /api/tokens`. The secret is not kept, so that the first answer cannot be given again: a
/// repetition is refused, and names the token.
pub(super) async fn create(State(hub): State<Arc<Hub>>, identity: Identity, post: Post) -> Reply {
    let (wish, key) = post.json::<CreateToken>()?;
    check(&wish)?;
    let now = hub.clock.now();
    let secret = Secret::generate(wish.role);
    let name = wish.name.or_else(|| wish.agent.clone());
    let life = wish.expires_in_s.and_then(|s| i64::try_from(s).ok());
    let token = NewToken {
        name: name.unwrap_or_else(|| wish.role.to_string()),
        role: wish.role,
        secret_sha256: secret.sha256(),
        agent: wish.agent,
        host: wish.host,
        expires_at: life.map(|seconds| now + TimeDelta::seconds(seconds)),
    };
    let token = hub.store.create_token(token, key, now).await?;
    let (id, new) = (token.id.to_string(), json!(token));
    hub.audit(&identity, "token.create", id, None, Some(new))
        .await;
    let answer = CreatedToken {
        success: true,
        token,
        secret: secret.reveal().to_owned(),
    };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

fn check(wish: &CreateToken) -> Result<(), ApiError> {
    let bound = wish.agent.is_some() || wish.host.is_some();
    let rules = [
        (
            "name",
            wish.name
                .as_ref()
                .is_none_or(|n| (1..=NAME_MAX).contains(&n.len()) && !n.contains(char::is_control)),
            "must be 1 to 128 bytes of text",
        ),
        (
            "agent",
            wish.agent.as_deref().is_none_or(is_agent_name),
            "must be 1 to 64 of a-z, 0-9, '-', '_'",
        ),
        (
            "host",
            wish.host.as_deref().is_none_or(is_host),
            "must be a host name",
        ),
        (
            "role",
            !bound || wish.role == Role::Agent,
            "must be agent for a token that is bound to an agent or a host",
        ),
        (
            "expires_in_s",
            wish.expires_in_s
                .is_none_or(|s| (1..=LIFE_MAX).contains(&s)),
            "must be from 1 s to ten years",
        ),
    ];
    let errors: Vec<_> = rules
        .into_iter()
        .filter(|(_, good, _)| !good)
        .map(|(field, _, message)| field_error(field, "value", message))
        .collect();
    match errors.is_empty() {
        true => Ok(()),
        false => Err(ApiError::invalid(errors)),
    }
}

/// `GET /api/tokens`.
pub(super) async fn list(State(hub): State<Arc<Hub>>, params: Params) -> Reply {
    order::only("-created", &params)?;
    let query = PageQuery {
        limit: params.integer("limit", 100, 1..=1000)?,
        before: params.cursor()?,
    };
    let page = hub.store.tokens(query).await?;
    Ok(Json(TokenList {
        tokens: page.items,
        next_cursor: page.next.map(|id| id.to_string()),
    })
    .into_response())
}

/// `DELETE /api/tokens/{id}`. The token stays in the list: the audit trail speaks of it.
pub(super) async fn revoke(
    State(hub): State<Arc<Hub>>,
    identity: Identity,
    Path(id): Path<String>,
) -> Reply {
    let id = extract::id(&id)?;
    let revoked = hub.store.revoke_token(id, hub.clock.now()).await?;
    hub.guard.forget_tokens();
    let Some(token) = revoked else {
        return Err(ApiError::not_found("there is no token with this id"));
    };
    let new = json!({ "name": token.name, "revoked_at": token.revoked_at });
    hub.audit(&identity, "token.revoke", id.to_string(), None, Some(new))
        .await;
    Ok(Json(json!({ "success": true, "token": token })).into_response())
}

/// `POST /api/tokens/local`: another token for the agents of the hub's host, in place of theirs.
pub(super) async fn rotate_local(State(hub): State<Arc<Hub>>, identity: Identity) -> Reply {
    let Some(local) = &hub.local else {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "this hub keeps no token for local agents: it does so under systemd only",
        ));
    };
    let rotated = local.rotate(hub.store.as_ref(), hub.clock.now()).await;
    hub.guard.forget_tokens();
    let token = rotated.map_err(|problem| match problem {
        LocalTokenError::Store(problem) => problem.into(),
        LocalTokenError::File { .. } => {
            tracing::error!(%problem, "the local agents' token could not be changed");
            ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the hub cannot write the file of the token; its log says why",
            )
        }
    })?;
    let new = json!({ "id": token.id });
    hub.audit(
        &identity,
        "token.rotate_local",
        "agents of this host",
        None,
        Some(new),
    )
    .await;
    Ok(Json(json!({ "success": true, "token": token })).into_response())
}
