//! Care of the database: backup, check, vacuum.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use futures_util::stream;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tracing::{error, info, warn};

use super::super::access::Identity;
use super::super::config::Database;
use super::super::error::ApiError;
use super::super::extract::Post;
use super::super::state::Hub;
use super::Reply;
use crate::api::StoreReport;

/// Read and sent at once.
const CHUNK: usize = 256 * 1024;

/// What the name of a copy that is being made begins with.
const COPY: &str = ".backup-";

fn beside(database: &Path) -> PathBuf {
    match database.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Removes copies that a hub left when it was killed: each is as large as the database.
pub(in super::super) fn remove_left_copies(database: &Path) {
    let entries = std::fs::read_dir(beside(database)).into_iter().flatten();
    for entry in entries.flatten() {
        let is_copy = entry.file_name().to_string_lossy().starts_with(COPY);
        // A link is none of ours.
        if !is_copy || !entry.file_type().is_ok_and(|t| t.is_dir()) {
            continue;
        }
        match std::fs::remove_dir_all(entry.path()) {
            Ok(()) => info!(copy = %entry.path().display(), "an unfinished backup is removed"),
            Err(problem) => warn!(%problem, "an unfinished backup is left"),
        }
    }
}

/// `POST /hub/backup`: a copy as of now. The copy is made while the answer is under way, so that
/// however long it takes the caller hears that something happens; what goes wrong breaks the answer
/// off in the middle of the body.
pub(super) async fn backup(State(hub): State<Arc<Hub>>, identity: Identity, _: Post) -> Reply {
    let path = match &hub.database {
        Database::Sqlite(path) => path.clone(),
        Database::Postgres(_) => {
            return Err(ApiError::new(
                StatusCode::CONFLICT,
                format!(
                    "this hub keeps its data in PostgreSQL, which has a tool for that: \
                     pg_dump --format=custom --file=recon.dump {}",
                    hub.database
                ),
            ));
        }
    };
    // Beside the database: it is as large, and nobody else may read it there.
    let directory = beside(&path);
    let directory = tempfile::Builder::new()
        .prefix(COPY)
        .tempdir_in(&directory)
        .map_err(|problem| {
            error!(%problem, "no directory for a backup");
            ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the hub cannot write beside its database; is the disk full?",
            )
        })?;
    hub.audit(&identity, "hub.backup", "database", None, None)
        .await;
    let body = stream::try_unfold(Copying::Begin(hub, directory), |copying| copying.step());
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.sqlite3"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"recon-hub.db\"",
        ),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// A copy on its way; its directory goes with it.
enum Copying {
    Begin(Arc<Hub>, tempfile::TempDir),
    Sending(File, tempfile::TempDir),
}

impl Copying {
    async fn step(self) -> io::Result<Option<(Bytes, Self)>> {
        let (mut file, directory) = match self {
            Self::Begin(hub, directory) => {
                let path = directory.path().join("hub.db");
                hub.store.backup(&path).await.map_err(|problem| {
                    error!(%problem, "the backup failed");
                    io::Error::other(problem)
                })?;
                (File::open(path).await?, directory)
            }
            Self::Sending(file, directory) => (file, directory),
        };
        let mut chunk = Vec::with_capacity(CHUNK);
        let mut part = (&mut file).take(CHUNK as u64);
        if part.read_to_end(&mut chunk).await? == 0 {
            return Ok(None);
        }
        Ok(Some((chunk.into(), Self::Sending(file, directory))))
    }
}

/// `POST /hub/check`.
pub(super) async fn check(State(hub): State<Arc<Hub>>, _: Post) -> Reply {
    let problems = hub.store.verify().await?;
    let message = match problems.len() {
        0 => "The database is sound".to_owned(),
        n => format!("The database has {n} problems"),
    };
    if !problems.is_empty() {
        error!(?problems, "the database is damaged");
    }
    let body = StoreReport {
        success: problems.is_empty(),
        message,
        problems,
        size_bytes: hub.store.size().await?,
    };
    Ok(Json(body).into_response())
}

/// `POST /hub/vacuum`.
pub(super) async fn vacuum(State(hub): State<Arc<Hub>>, identity: Identity, _: Post) -> Reply {
    let before = hub.store.size().await?;
    hub.audit(&identity, "hub.vacuum", "database", None, None)
        .await;
    // It goes on when the caller goes away.
    let work = {
        let hub = Arc::clone(&hub);
        tokio::spawn(async move {
            let _long = hub.long_work();
            hub.store.vacuum().await
        })
    };
    work.await.map_err(|problem| {
        error!(%problem, "the vacuum ended badly");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the vacuum ended badly")
    })??;
    let size = hub.store.size().await?;
    let body = StoreReport {
        success: true,
        message: format!("{} bytes given back", before.saturating_sub(size)),
        problems: Vec::new(),
        size_bytes: size,
    };
    Ok(Json(body).into_response())
}
