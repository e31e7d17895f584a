//! Leases.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;

use super::super::access::Identity;
use super::super::error::ApiError;
use super::super::extract;
use super::super::state::Hub;
use super::Reply;
use crate::api::LeaseAnswer;

/// `DELETE /daemon/leases/{id}`: an agent gives a record back.
pub(super) async fn end(
    State(hub): State<Arc<Hub>>,
    identity: Identity,
    Path(id): Path<String>,
) -> Reply {
    let id = extract::id(&id)?;
    if identity.is_bound()
        && let Some(owner) = hub.store.lease_owner(id).await?
    {
        identity.may_call_itself(&owner)?;
    }
    if !hub.store.release(id, hub.clock.now()).await? {
        return Err(ApiError::not_found(
            "there is no such lease; it ended, or another caller has the record",
        ));
    }
    Ok(Json(LeaseAnswer {
        success: true,
        message: "Lease ended; the record is due again".to_owned(),
    })
    .into_response())
}
