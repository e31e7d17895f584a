//! How much a path deserves a look: the earlier system's sum, so that old and new results compare.
//!
//! The weight of the path, the larger of [`WEIGHTS`]' and what was learned from other hosts; for paths of
//! the detected CMS 0.15, 0.2 × its confidence and 0.05 if its version is known; 0.10 for status 200 and
//! 0.05 more above 10,000 bytes, 0.05 for a redirect, 0.08 for 401 and 403, 0.03 for 500; 0.05 for an
//! extension of what is run rather than sent. At most 1, three decimals. The earlier system's 0.15 for a
//! port with a web server is left out: here all have one.

use super::cms::{self, Cms};
use super::report::{Found, Source};

/// What is in a path, lower case, and its weight; the first that fits counts.
const WEIGHTS: [(&str, f64); 37] = [
    ("/wp-config.php", 0.45),
    ("/.git/", 0.45),
    (".sql", 0.45),
    ("/.aws/", 0.45),
    ("id_rsa", 0.45),
    ("/wp-admin", 0.40),
    ("/wp-login", 0.40),
    ("/user/login", 0.40),
    ("/administrator", 0.40),
    ("/phpmyadmin", 0.40),
    ("/.htpasswd", 0.40),
    ("/actuator", 0.38),
    ("/.env", 0.35),
    ("/admin", 0.35),
    ("/backup", 0.35),
    (".bak", 0.35),
    ("/.svn", 0.35),
    ("/.hg", 0.35),
    ("/server-status", 0.30),
    ("/phpinfo", 0.30),
    ("/console", 0.30),
    ("/config", 0.30),
    ("/debug", 0.30),
    ("/install", 0.30),
    ("/manager", 0.30),
    ("/login", 0.30),
    ("/swagger", 0.25),
    ("/graphql", 0.25),
    ("/upload", 0.25),
    ("/api", 0.25),
    ("/private", 0.25),
    ("/secret", 0.25),
    ("/xmlrpc.php", 0.25),
    ("/dev", 0.20),
    ("/test", 0.20),
    ("/old", 0.20),
    ("/tmp", 0.20),
];

/// The weight of any other path.
const OTHER: f64 = 0.10;

/// Extensions of what is run.
const RUN: [&str; 10] = [
    ".php", ".asp", ".aspx", ".jsp", ".do", ".action", ".cgi", ".pl", ".py", ".rb",
];

/// Fills in score and factors. `learned`: the path's weight from other hosts.
pub(super) fn score(found: &mut Found, base: &str, cms: Option<&Cms>, learned: Option<f64>) {
    let path = found.path.to_ascii_lowercase();
    let mut factors = Vec::new();
    let mut sum = 0.0;
    let mut add = |worth: f64, why: String| {
        sum += worth;
        factors.push(format!("{why} (+{worth:.2})"));
    };
    let pattern = WEIGHTS.iter().find(|(part, _)| path.contains(part));
    let (weight, why) = match pattern {
        Some((part, weight)) => (*weight, format!("Path has '{part}' in it")),
        None => (OTHER, "Path of no special kind".to_owned()),
    };
    match learned {
        Some(learned) if learned > weight => {
            add(learned.min(1.0), "Found on other hosts".to_owned());
        }
        _ => add(weight, why),
    }
    if let Some(cms) = cms {
        let relative = found.path.strip_prefix(base).unwrap_or_default();
        let usual = cms::paths(&cms.name).iter().any(|path| path == relative);
        if usual || found.source == Source::Cms {
            add(0.15, format!("Usual path of {}", cms.name));
            add(0.2 * cms.confidence, format!("{} detected", cms.name));
            if let Some(version) = &cms.version {
                add(0.05, format!("Version {version} known"));
            }
        }
    }
    match found.status {
        200 => {
            add(0.10, "Status 200".to_owned());
            if found.size > 10_000 {
                add(0.05, "More than 10,000 bytes".to_owned());
            }
        }
        300..=399 => add(0.05, format!("Redirect {}", found.status)),
        401 | 403 => add(0.08, format!("Access refused with {}", found.status)),
        500 => add(0.03, "Status 500".to_owned()),
        _ => {}
    }
    if RUN.iter().any(|extension| path.ends_with(extension)) {
        add(0.05, "Run by the server".to_owned());
    }
    found.priority_score = (sum.min(1.0) * 1000.0).round() / 1000.0;
    found.priority_factors = factors;
}
