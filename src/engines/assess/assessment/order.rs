//! One order for lists whose order means nothing, so that it changes nothing either.

use std::borrow::Cow;

use crate::api::{AssessedPort, AssessmentContext};

/// The context with ports, software, paths, endpoints and findings in order. Scans are the newest first,
/// answers and pages in the order in which they were seen, content management systems the surest first:
/// these orders say something and stay.
pub fn canonical(context: &AssessmentContext) -> Cow<'_, AssessmentContext> {
    let sorted = context.ports.is_sorted_by(|a, b| port(a) <= port(b))
        && is_sorted(&context.technologies, |one| {
            (one.name.clone(), one.version.clone(), one.category.clone())
        })
        && is_sorted(&context.paths, |one| (one.path.clone(), one.status))
        && is_sorted(&context.endpoints, |one| {
            (one.url.clone(), one.method.clone(), one.source.clone())
        })
        && is_sorted(&context.findings, |one| one.id);
    if sorted {
        return Cow::Borrowed(context);
    }
    let mut own = context.clone();
    own.ports.sort_by(|a, b| port(a).cmp(&port(b)));
    own.technologies
        .sort_by_cached_key(|one| (one.name.clone(), one.version.clone(), one.category.clone()));
    own.paths
        .sort_by_cached_key(|one| (one.path.clone(), one.status));
    own.endpoints
        .sort_by_cached_key(|one| (one.url.clone(), one.method.clone(), one.source.clone()));
    own.findings.sort_by_key(|one| one.id);
    Cow::Owned(own)
}

fn port(seen: &AssessedPort) -> (&str, u16, &str, &str) {
    let port = &seen.port;
    (&port.protocol, port.port, &seen.scan_type, &port.product)
}

fn is_sorted<T, K: Ord>(list: &[T], key: impl Fn(&T) -> K) -> bool {
    list.is_sorted_by_key(key)
}
