use url::Url;

use super::{Fetch, FetchError, ROBOTS_LIMIT, Request, Robots, redirect_target};

/// Redirects that are followed to a robots.txt: RFC 9309 §2.3.1.2 asks for five at least.
const MOST_HOPS: u32 = 5;

/// Asks the server of a URL for what its robots.txt says to the crawler of this product token, and says
/// how many requests that took. Redirects are followed, to other servers in scope as well; after more of
/// them than five there is none (RFC 9309 §2.3.1.2), one that leads out of scope is like no answer.
///
/// # Errors
///
/// The work was stopped before there was an answer.
pub async fn ask_robots(
    fetch: &dyn Fetch,
    server: &Url,
    agent: &str,
) -> Result<(Robots, u64), FetchError> {
    let Ok(mut url) = server.join("/robots.txt") else {
        return Ok((Robots::unreachable(), 0));
    };
    let mut asked = 0;
    while asked <= u64::from(MOST_HOPS) {
        asked += 1;
        let request = Request {
            body_limit: Some(ROBOTS_LIMIT),
            ..Request::get(url)
        };
        let response = match fetch.fetch(request).await {
            Ok(response) => response,
            Err(error @ FetchError::Stopped(_)) => return Err(error),
            Err(_) => return Ok((Robots::unreachable(), asked)),
        };
        match redirect_target(&response) {
            Some(next) => url = next,
            None => {
                let robots = Robots::of(response.status.as_u16(), &response.body, agent);
                return Ok((robots, asked));
            }
        }
    }
    Ok((Robots::default(), asked))
}
