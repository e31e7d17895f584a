//! How much of the bodies of all requests is in memory at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use futures_util::StreamExt;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Bytes.
const MOST: usize = 64 * 1024 * 1024;
/// A body waits so long for others to be done with.
const PATIENCE: Duration = Duration::from_secs(5);

/// The bodies that are in memory.
#[derive(Debug, Clone)]
pub(super) struct Bodies {
    room: Arc<Semaphore>,
    patience: Duration,
}

/// There is no room for more of this body now.
#[derive(Debug, thiserror::Error)]
#[error("there is no room for this body now")]
pub(super) struct Crowded;

/// The room that one body takes, until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    bodies: Bodies,
    bytes: AtomicUsize,
}

impl Default for Bodies {
    fn default() -> Self {
        Self::new(MOST, PATIENCE)
    }
}

impl Bodies {
    fn new(bytes: usize, patience: Duration) -> Self {
        Self {
            room: Arc::new(Semaphore::new(bytes)),
            patience,
        }
    }

    /// A request whose body takes room as it comes, not as it announces itself: nobody can take all
    /// of it by promises. The room is free again when both the request and the rest are dropped.
    pub(super) fn hold(&self, request: Request) -> (Request, Option<Arc<Held>>) {
        if request.body().is_end_stream() {
            return (request, None);
        }
        let held = Arc::new(Held {
            bodies: self.clone(),
            bytes: AtomicUsize::new(0),
        });
        let counting = Arc::clone(&held);
        let request = request.map(|body| {
            let parts = body.into_data_stream().then(move |part| {
                let held = Arc::clone(&counting);
                async move {
                    let part = part?;
                    held.grow(part.len()).await?;
                    Ok::<_, BoxError>(part)
                }
            });
            Body::from_stream(parts)
        });
        (request, Some(held))
    }
}

impl Held {
    async fn grow(&self, by: usize) -> Result<(), Crowded> {
        let room = &self.bodies.room;
        let many = u32::try_from(by).map_err(|_| Crowded)?;
        let permit = timeout(self.bodies.patience, room.acquire_many(many)).await;
        permit.map_err(|_| Crowded)?.map_err(|_| Crowded)?.forget();
        self.bytes.fetch_add(by, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let bytes = self.bytes.load(Ordering::Relaxed);
        self.bodies.room.add_permits(bytes);
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::FromRequest;
    use axum::http::StatusCode;
    use axum::response::IntoResponse;

    use super::*;
    use crate::hub::extract::Post;

    /// One that comes in parts of four bytes.
    fn request(parts: usize) -> Request {
        let parts = (0..parts).map(|_| Ok::<_, BoxError>("1234"));
        let body = Body::from_stream(futures_util::stream::iter(parts));
        Request::post("/x").body(body).unwrap()
    }

    async fn read(request: Request) -> StatusCode {
        match Post::from_request(request, &()).await {
            Ok(post) => {
                assert!(post.bytes().starts_with(b"1234"));
                StatusCode::OK
            }
            Err(error) => error.into_response().status(),
        }
    }

    #[tokio::test]
    async fn what_does_not_fit_is_put_off() {
        let bodies = Bodies::new(10, Duration::ZERO);
        let (first, held) = bodies.hold(request(2));
        assert_eq!(read(first).await, 200);
        let (second, _also) = bodies.hold(request(1));
        assert_eq!(read(second).await, 503);
        drop(held);
        let (third, _also) = bodies.hold(request(2));
        assert_eq!(read(third).await, 200);
    }
}
