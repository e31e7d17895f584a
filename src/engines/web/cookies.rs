use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use cookie_store::{Cookie, CookieStore};
use http::{HeaderValue, header};
use url::Url;

use super::Response;

/// Cookies of one host; RFC 6265 §6.1 asks for 50 at least.
const MOST_COOKIES: usize = 100;

/// A longer one is not kept (RFC 6265 §6.1).
const LONGEST: usize = 4096;

/// What tells the cookies of a host apart.
fn place(cookie: &Cookie<'_>) -> (String, String, String) {
    (
        String::from(&cookie.domain),
        String::from(&cookie.path),
        cookie.name().to_owned(),
    )
}

/// The cookies of each host, which no other host gets to see: there is no list of public suffixes to
/// tell who is whose.
#[derive(Debug, Default)]
pub(super) struct Cookies(Mutex<HashMap<String, CookieStore>>);

impl Cookies {
    pub(super) fn keep(&self, response: &Response) {
        let mut set = response
            .headers
            .get_all(header::SET_COOKIE)
            .iter()
            .peekable();
        let Some(host) = response.url.host_str().filter(|_| set.peek().is_some()) else {
            return;
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let store = all.entry(host.to_owned()).or_default();
        for cookie in set.filter_map(|value| value.to_str().ok()) {
            if cookie.len() > LONGEST {
                continue;
            }
            // What is no cookie, or for another host, is none of ours.
            let Ok(cookie) = Cookie::parse(cookie.to_owned(), &response.url) else {
                continue;
            };
            if store.iter_any().count() >= MOST_COOKIES {
                // The expired ones are kept until somebody asks for their room.
                let expired: Vec<(String, String, String)> = store
                    .iter_any()
                    .filter(|kept| kept.is_expired())
                    .map(place)
                    .collect();
                for (domain, path, name) in expired {
                    store.remove(&domain, &path, &name);
                }
            }
            let (domain, path, name) = place(&cookie);
            let known = store.contains_any(&domain, &path, &name);
            // One that is there is changed or taken back, however many there are.
            if known || store.iter_any().count() < MOST_COOKIES {
                let _ = store.insert(cookie, &response.url);
            }
        }
    }

    /// The Cookie header for a URL.
    pub(super) fn of(&self, url: &Url) -> Option<HeaderValue> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let store = all.get(url.host_str()?)?;
        let pairs = store.get_request_values(url);
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if pairs.is_empty() {
            return None;
        }
        HeaderValue::from_str(&pairs.join("; ")).ok()
    }
}
