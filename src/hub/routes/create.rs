//! Targets, as the earlier server's form adds them.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::oneshot;

use super::super::access::Identity;
use super::super::error::{ApiError, field_error};
use super::super::extract::{Caller, Post, has_controls};
use super::super::plan::{Common, Plan, Written};
use super::super::state::Hub;
use super::super::store::{Created, NewRecord};
use super::targets::{names, note_created, refusal};
use super::{Reply, kept, repeated, to_keep};
use crate::api::FieldError;

/// Longest free text.
const TEXT_MAX: usize = 255;

/// Body of `POST /eggrecords/create/`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Form {
    #[serde(default)]
    domain: Option<String>,
    #[serde(default)]
    subdomain: Option<String>,
    #[serde(default)]
    ip_address: Option<String>,
    #[serde(default)]
    cidr: Option<String>,
    #[serde(default)]
    alive: Option<bool>,
    #[serde(default)]
    eggname: Option<String>,
    #[serde(default)]
    projectegg: Option<String>,
}

/// `POST /eggrecords/create/`.
pub(super) async fn create(
    State(hub): State<Arc<Hub>>,
    identity: Identity,
    caller: Caller,
    post: Post,
) -> Reply {
    let (form, key) = post.json::<Form>()?;
    if let Some(answer) = repeated(&hub, key.as_ref()).await? {
        return kept(answer);
    }
    let projectegg = text("projectegg", form.projectegg.as_ref())?;
    let common = Common {
        group: text("eggname", form.eggname.as_ref())?,
        projectegg: projectegg.clone(),
        alive: form.alive.unwrap_or(true),
    };
    let domain = name("domain", form.domain.as_ref())?;
    let subdomain = name("subdomain", form.subdomain.as_ref())?;
    let address = address(form.ip_address.as_ref())?;
    let cidr = network(form.cidr.as_ref())?;
    let mut plan = Plan::default();
    let wanted = (subdomain.or_else(|| domain.clone()), address, cidr);
    match wanted {
        (Some(name), address, _) => plan.push(NewRecord {
            ip_address: address,
            ..common.name(name, domain)
        }),
        (None, Some(address), _) => plan.add(&hub, "ip_address", &address.to_string(), &common),
        (None, None, Some(cidr)) => plan.add(&hub, "cidr", &cidr, &common),
        (None, None, None) => {
            return Err(ApiError::bad_request(
                "Either domain, IP address, or CIDR is required",
            ));
        }
    }
    let plan = plan.finish(&hub, caller.agent()).await?;
    if !plan.refused.is_empty() {
        return Err(refusal(plan.refused));
    }
    let (tell, created) = oneshot::channel();
    let render = move |made: &Created| {
        tell.send(names(made)).ok();
        let ids = |list: &[crate::api::Target]| list.iter().map(|t| t.id).collect::<Vec<_>>();
        let count = made.created.len();
        let body = json!({
            "success": true,
            "message": format!("Created {count} eggrecord(s)"),
            "created_count": count,
            "created_ids": ids(&made.created),
            "existing_ids": ids(&made.existing),
            "projectegg": projectegg,
        });
        to_keep(StatusCode::OK, &body)
    };
    let now = hub.clock.now();
    let answer = hub
        .store
        .create_records(plan.records, key, now, Box::new(render))
        .await?;
    note_created(&hub, &identity, created).await;
    kept(answer)
}

/// A form sends empty fields, too.
fn filled(value: Option<&String>) -> Option<&str> {
    value.map(|v| v.trim()).filter(|v| !v.is_empty())
}

fn text(field: &str, value: Option<&String>) -> Result<Option<String>, ApiError> {
    match filled(value) {
        Some(text) if text.len() > TEXT_MAX => Err(invalid(field_error(
            field,
            "range",
            format!("must be {TEXT_MAX} bytes at most"),
        ))),
        Some(text) if has_controls(text) => Err(invalid(field_error(
            field,
            "value",
            "must not have control characters",
        ))),
        other => Ok(other.map(str::to_owned)),
    }
}

/// A host name; old forms put an address here, too.
fn name(field: &str, value: Option<&String>) -> Result<Option<String>, ApiError> {
    match filled(value).map(Written::parse) {
        None => Ok(None),
        Some(Ok(written @ (Written::Name(_) | Written::Address(_)))) => Ok(Some(written.key())),
        Some(Ok(Written::Network(_)) | Err(_)) => Err(invalid(field_error(
            field,
            "value",
            "must be a host name or an address",
        ))),
    }
}

fn address(value: Option<&String>) -> Result<Option<IpAddr>, ApiError> {
    match filled(value).map(Written::parse) {
        None => Ok(None),
        Some(Ok(Written::Address(address))) => Ok(Some(address)),
        Some(_) => Err(invalid(field_error(
            "ip_address",
            "value",
            "must be an address",
        ))),
    }
}

fn network(value: Option<&String>) -> Result<Option<String>, ApiError> {
    match filled(value).map(Written::parse) {
        None => Ok(None),
        Some(Ok(written @ (Written::Network(_) | Written::Address(_)))) => Ok(Some(written.key())),
        Some(Ok(Written::Name(_)) | Err(_)) => Err(invalid(field_error(
            "cidr",
            "value",
            "must be a network (10.0.0.0/24)",
        ))),
    }
}

fn invalid(error: FieldError) -> ApiError {
    ApiError::invalid(vec![error])
}
