use http::header;
use url::Url;

use super::Response;

/// Where a response leads (RFC 9110 §10.2.2): the Location of a 301, 302, 303, 307 or 308, resolved
/// against the URL that answered, whose fragment it inherits. Only `http` and `https`. Whether to go
/// there is for the engine to say, and for scope.
pub fn redirect_target(response: &Response) -> Option<Url> {
    if ![301, 302, 303, 307, 308].contains(&response.status.as_u16()) {
        return None;
    }
    let location = response.headers.get(header::LOCATION)?;
    resolve(&response.url, location.as_bytes())
}

/// A Location, resolved.
pub fn resolve(base: &Url, location: &[u8]) -> Option<Url> {
    let location = String::from_utf8_lossy(location);
    let mut target = base.join(location.trim()).ok()?;
    if !matches!(target.scheme(), "http" | "https") || !target.has_host() {
        return None;
    }
    if target.fragment().is_none() {
        target.set_fragment(base.fragment());
    }
    Some(target)
}
