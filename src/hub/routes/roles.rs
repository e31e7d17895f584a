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
    ("POST", "/daemon/kumo/spider", Work),
    ("POST", "/daemon/spider", Work),
    ("POST", "/daemon/ryu/assessment", Work),
    ("POST", "/daemon/assessment", Work),
    ("POST", "/daemon/enumeration", Work),
    ("POST", "/daemon/suzu/enumeration", Work),
    ("POST", "/eggrecords/create", Operate),
    ("GET", "/eggrecords/{uuid}/summary", Look),
    ("GET", "/findings", Look),
    ("GET", "/assessments", Look),
    ("GET", "/targets", Look),
    ("POST", "/targets", Operate),
    ("GET", "/targets/{id}", Look),
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

    use regex::Regex;

    use super::*;

    /// Every `.route("PATH", METHODS)` in the sources of the routes.
    fn routes() -> BTreeSet<(String, String)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/hub/routes");
        let method = Regex::new(r"\b(get|post|put|patch|delete|any)\(").unwrap();
        let mut found = BTreeSet::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for route in text.split(".route(").skip(1).map(arguments) {
                let Some((path, methods)) = route.trim_start().split_once(',') else {
                    continue;
                };
                let Some(path) = path.strip_prefix('"').and_then(|p| p.strip_suffix('"')) else {
                    continue;
                };
                for method in method.captures_iter(methods) {
                    found.insert((method[1].to_ascii_uppercase(), path.to_owned()));
                }
            }
        }
        found
    }

    /// Up to the parenthesis that closes.
    fn arguments(text: &str) -> &str {
        let mut open = 1;
        let end = text.find(|c| {
            open += i32::from(c == '(') - i32::from(c == ')');
            open == 0
        });
        &text[..end.unwrap_or(text.len())]
    }

    #[test]
    fn every_route_is_in_the_table_and_nothing_else() {
        let listed: Vec<_> = NEEDS
            .iter()
            .map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()))
            .collect();
        let table: BTreeSet<_> = listed.iter().cloned().collect();
        assert_eq!(table.len(), listed.len(), "no route is listed twice");
        assert!(routes().len() > 20);
        assert_eq!(table, routes());
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
