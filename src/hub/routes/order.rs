//! The order of a list (`?sort=`).

use super::super::error::ApiError;
use super::super::extract::Params;

/// Whether the oldest come first; without `sort` the newest do.
pub(super) fn oldest_first(params: &Params) -> Result<bool, ApiError> {
    match params.text("sort") {
        None | Some("-created") => Ok(false),
        Some("created") => Ok(true),
        Some(_) => Err(ApiError::bad_request("sort must be created or -created")),
    }
}

/// Refuses what a list cannot give: it has this one order, and is given as JSON, in pages.
pub(super) fn only(order: &str, params: &Params) -> Result<(), ApiError> {
    if params.text("sort").is_some_and(|sort| sort != order) {
        return Err(ApiError::bad_request(format!(
            "sort must be {order}: this list has no other order"
        )));
    }
    if params.text("format").is_some_and(|format| format != "json") {
        return Err(ApiError::bad_request(
            "format must be json: this list has no other form",
        ));
    }
    Ok(())
}
