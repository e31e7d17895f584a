//! What each route asks of its caller: one table, which must name every route.

use axum::http::Method;

use super::super::access::Need::{self, Administer, Look, Nothing, Operate, Work, WorkOrLook};

/// Method and path (below `/api` and `/reconnaissance/api`) of every route, and who may.
const NEEDS: &[(&str, &str, Need)] = &[
    ("GET", "/healthz", Nothing),
    ("GET", "/readyz", Nothing),
    // It hands out work, so that reading is not enough.
    ("GET", "/daemon/{personality}/eggrecords", Work),
    ("POST", "/daemon/{personality}/scan", Work),
    ("POST", "/daemon/{personality}/heartbeat", Work),
    ("GET", "/daemon/{personality}/health", WorkOrLook),
    ("DELETE", "/daemon/leases/{id}", Work),
    ("POST", "/daemon/{personality}/progress", Work),
    ("GET", "/{personality}/progress", WorkOrLook),
    ("GET", "/daemon/{personality}/context/{id}", Work),
    ("GET", "/daemon/ryu/context/{id}", Work),
    ("POST", "/daemon/kumo/spider", Work),
    ("POST", "/daemon/spider", Work),
    ("POST", "/daemon/ryu/assessment", Work),
    ("POST", "/daemon/assessment", Work),
    ("POST", "/daemon/enumeration", Work),
    ("POST", "/daemon/suzu/enumeration", Work),
    ("POST", "/eggrecords/create", Operate),
    ("GET", "/eggrecords/{uuid}/summary", Look),
    ("GET", "/findings", Look),
    ("GET", "/findings/{id}", Look),
    ("POST", "/findings/{id}/decision", Operate),
    ("GET", "/assessments", Look),
    ("GET", "/targets", Look),
    ("POST", "/targets", Operate),
    ("GET", "/targets/{id}", Look),
    ("GET", "/targets/{id}/pages", Look),
    ("GET", "/targets/{id}/forms", Look),
    ("GET", "/targets/{id}/endpoints", Look),
    ("POST", "/targets/import", Operate),
    ("PATCH", "/targets/{id}", Operate),
    ("DELETE", "/targets/{id}", Operate),
    ("GET", "/scans", Look),
    ("GET", "/scans/{id}", Look),
    ("GET", "/changes", Look),
    ("GET", "/events", Look),
    ("GET", "/webhooks", Look),
    ("GET", "/health", Look),
    ("GET", "/tokens", Administer),
    ("POST", "/tokens", Administer),
    ("DELETE", "/tokens/{id}", Administer),
    ("POST", "/tokens/local", Administer),
    ("GET", "/audit", Administer),
    ("GET", "/metrics", Look),
    ("GET", "/openapi.json", Look),
    ("GET", "/{personality}/status", Look),
    ("GET", "/{personality}/logs", Look),
    ("POST", "/{personality}/start", Operate),
    ("POST", "/{personality}/stop", Operate),
    ("POST", "/{personality}/kill", Operate),
    ("POST", "/{personality}/restart", Operate),
    ("POST", "/{personality}/pause", Operate),
    ("POST", "/{personality}/resume", Operate),
    // It has everything in it, the audit trail, too.
    ("POST", "/hub/backup", Administer),
    ("POST", "/hub/check", Operate),
    ("POST", "/hub/vacuum", Operate),
];

/// What the route asks that a request was matched to. What matches none gets its 404 whoever asks,
/// as long as they are known; what is in no table is an operator's.
pub(in super::super) fn need(method: &Method, route: Option<&str>) -> Need {
    let Some(route) = route else {
        return WorkOrLook;
    };
    let method = if *method == Method::HEAD {
        "GET"
    } else {
        method.as_str()
    };
    let path = below_prefix(route);
    let mut known = NEEDS.iter().filter(|(_, p, _)| *p == path).peekable();
    let of_path = known.peek().is_some();
    match known.find(|(m, _, _)| *m == method) {
        Some((_, _, need)) => *need,
        // 405 is for everybody who is known. A test sees to it that it is none that was forgotten.
        None if of_path => WorkOrLook,
        None => Operate,
    }
}

/// A path without what stands before every route of ours.
pub(in super::super) fn below_prefix(path: &str) -> &str {
    let rest = path.strip_prefix("/reconnaissance").unwrap_or(path);
    rest.strip_prefix("/api").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::table;
    use super::*;

    #[test]
    fn every_route_is_in_the_table_and_nothing_else() {
        let listed: Vec<_> = NEEDS
            .iter()
            .map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()))
            .collect();
        let table: BTreeSet<_> = listed.iter().cloned().collect();
        assert_eq!(table.len(), listed.len(), "no route is listed twice");
        let all = table::all();
        let routes: BTreeSet<_> = all
            .operations()
            .map(|(method, path)| (method, below_prefix(&path).to_owned()))
            .collect();
        assert!(routes.len() > 20);
        assert_eq!(table, routes);
    }

    #[test]
    fn both_prefixes_are_alike() {
        let scan = "/reconnaissance/api/daemon/{personality}/scan";
        assert_eq!(need(&Method::POST, Some(scan)), Work);
        assert_eq!(need(&Method::GET, Some("/api/targets")), Look);
        assert_eq!(need(&Method::HEAD, Some("/api/targets")), Look);
        assert_eq!(need(&Method::GET, Some("/healthz")), Nothing);
    }

    #[test]
    fn what_was_forgotten_is_an_operators() {
        assert_eq!(need(&Method::GET, Some("/api/new")), Operate);
        assert_eq!(need(&Method::GET, None), WorkOrLook);
    }
}
