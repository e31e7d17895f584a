use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::super::html::shorten;

/// A header that is missing or weak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The header, in lower case.
    pub header: String,
    /// What is wrong with it.
    pub problem: String,
}

/// A cookie that is set; its value is not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// Only sent by `https`.
    pub secure: bool,
    /// Not seen by scripts.
    pub http_only: bool,
    /// `Strict`, `Lax` or `None`, if it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_site: Option<String>,
    /// The domain, if it is told to more than the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether it outlives the session.
    pub persistent: bool,
}

/// What other origins may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cors {
    /// `Access-Control-Allow-Origin`.
    pub origin: String,
    /// Whether with cookies.
    pub credentials: bool,
    /// `Access-Control-Allow-Methods`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub methods: String,
}

/// Cookies of one answer that are told.
const MOST_COOKIES: usize = 50;
/// Characters of a value that is kept.
const VALUE: usize = 200;
/// Seconds for which HSTS must hold at least: half a year, as the preload list once asked for.
const HSTS: u64 = 15_552_000;

fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::trim)
}

/// Judged as the OWASP Secure Headers Project recommends. Those that protect pages are asked of HTML only.
pub(super) fn judge(headers: &HeaderMap, secure: bool, html: bool, meta_csp: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut wrong = |header: &str, problem: &str| {
        findings.push(Finding {
            header: header.to_owned(),
            problem: problem.to_owned(),
        });
    };
    if secure {
        let hsts = value(headers, "strict-transport-security");
        match hsts.map(max_age) {
            None => wrong("strict-transport-security", "missing"),
            Some(age) if age < HSTS => {
                wrong("strict-transport-security", "shorter than half a year")
            }
            Some(_) => {}
        }
    }
    if value(headers, "x-content-type-options").is_none_or(|v| !v.eq_ignore_ascii_case("nosniff")) {
        wrong("x-content-type-options", "missing");
    }
    if !html {
        return findings;
    }
    let csp = value(headers, "content-security-policy").map(str::to_ascii_lowercase);
    match &csp {
        None if meta_csp => {}
        None if headers.contains_key("content-security-policy-report-only") => {
            wrong("content-security-policy", "only reported");
        }
        None => wrong("content-security-policy", "missing"),
        Some(policy) => weak_policy(policy)
            .into_iter()
            .for_each(|problem| wrong("content-security-policy", problem)),
    }
    let framed = csp.is_some_and(|policy| policy.contains("frame-ancestors"));
    match value(headers, "x-frame-options").map(str::to_ascii_lowercase) {
        None if !framed => wrong("x-frame-options", "missing"),
        Some(option) if !matches!(option.as_str(), "deny" | "sameorigin") => {
            wrong("x-frame-options", "not understood by browsers");
        }
        _ => {}
    }
    match value(headers, "referrer-policy").map(str::to_ascii_lowercase) {
        None => wrong("referrer-policy", "missing"),
        Some(policy) if policy.contains("unsafe-url") => {
            wrong("referrer-policy", "tells whole URLs to others")
        }
        Some(_) => {}
    }
    for name in [
        "permissions-policy",
        "cross-origin-opener-policy",
        "cross-origin-embedder-policy",
        "cross-origin-resource-policy",
    ] {
        if !headers.contains_key(name) {
            wrong(name, "missing");
        }
    }
    findings
}

fn max_age(hsts: &str) -> u64 {
    let age = hsts.split(';').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let named = name.trim().eq_ignore_ascii_case("max-age");
        named.then(|| value.trim().trim_matches('"').parse().ok())?
    });
    age.unwrap_or(0)
}

/// What makes a policy let foreign scripts in.
fn weak_policy(policy: &str) -> Vec<&'static str> {
    let directive = |name: &str| {
        let of = |part: &&str| part.split_ascii_whitespace().next() == Some(name);
        policy
            .split(';')
            .find(of)
            .map(|part| part.split_ascii_whitespace().skip(1).collect::<Vec<_>>())
    };
    let Some(scripts) = directive("script-src").or_else(|| directive("default-src")) else {
        return vec!["scripts are not restricted"];
    };
    let mut problems = Vec::new();
    let strict = scripts
        .iter()
        .any(|source| source.starts_with("'nonce-") || source.starts_with("'sha"));
    if scripts.contains(&"'unsafe-inline'") && !strict {
        problems.push("inline scripts are allowed");
    }
    if scripts.contains(&"'unsafe-eval'") {
        problems.push("eval is allowed");
    }
    let anywhere = |source: &&str| matches!(*source, "*" | "http:" | "https:" | "data:");
    if scripts.iter().any(anywhere) && !scripts.contains(&"'strict-dynamic'") {
        problems.push("scripts from anywhere are allowed");
    }
    problems
}

pub(super) fn cookies(headers: &HeaderMap) -> Vec<Cookie> {
    let lines = headers.get_all("set-cookie").iter().take(MOST_COOKIES);
    lines
        .filter_map(|line| cookie(&String::from_utf8_lossy(line.as_bytes())))
        .collect()
}

/// RFC 6265 §5.2.
fn cookie(line: &str) -> Option<Cookie> {
    let mut parts = line.split(';');
    let (name, _) = parts.next()?.split_once('=')?;
    let mut cookie = Cookie {
        name: shorten(name, VALUE),
        ..Cookie::default()
    };
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = shorten(value, VALUE);
        match name.trim().to_ascii_lowercase().as_str() {
            "secure" => cookie.secure = true,
            "httponly" => cookie.http_only = true,
            "samesite" => cookie.same_site = Some(value),
            "domain" => cookie.domain = Some(value),
            "path" => cookie.path = Some(value),
            "expires" | "max-age" => cookie.persistent = true,
            _ => {}
        }
    }
    Some(cookie)
}

pub(super) fn cors(headers: &HeaderMap) -> Option<Cors> {
    let origin = value(headers, "access-control-allow-origin")?;
    Some(Cors {
        origin: shorten(origin, VALUE),
        credentials: value(headers, "access-control-allow-credentials") == Some("true"),
        methods: shorten(
            value(headers, "access-control-allow-methods").unwrap_or_default(),
            VALUE,
        ),
    })
}
