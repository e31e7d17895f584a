//! Fuzz targets: rules, which operators bring, and facts, which strangers make up.

use std::path::Path;
use std::sync::LazyLock;

use super::super::facts::Facts;
use super::packaged_tests::packaged;
use super::{Rule, RuleSet, VersionRange, compare_versions};
use crate::api::AssessmentContext;
use crate::engines::ports::fuzz::fuzz;

static PACKAGED: LazyLock<RuleSet> = LazyLock::new(packaged);

/// Whatever a file is, it is a rule or has an error with a place; a rule runs its own tests.
#[test]
fn rules() {
    let seeds: [&[u8]; 3] = [
        include_bytes!("../../../../packaging/rules/redis-no-auth.toml"),
        include_bytes!("../../../../packaging/rules/ssh-terrapin.toml"),
        include_bytes!("../../../../packaging/rules/php-eol.toml"),
    ];
    fuzz(&seeds, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        match Rule::parse(Path::new("x.toml"), &text) {
            Ok(rule) => {
                assert!(!rule.id.is_empty() && !rule.samples().is_empty());
                let _ = rule.test();
            }
            Err(errors) => {
                assert!(!errors.is_empty());
                let lines = text.lines().count() + 1;
                assert!(errors.iter().all(|error| error.line <= lines), "{errors:?}");
            }
        }
    });
}

/// Whatever a context is, the same findings come of it twice, sorted, each with its sources.
#[test]
fn contexts() {
    let seeds: [&[u8]; 2] = [
        br#"{"target":"site.example","as_of":"2026-01-01T00:00:00Z","ip_address":"8.8.8.8","ports":[{"scan_type":"k","seen_at":"2026-01-01T00:00:00Z","port":{"port":6379,"protocol":"tcp","service":"redis","product":"Redis key-value store","version":"7.0.15","cpe":[],"banner":"+PONG","confidence":1.0}},{"scan_type":"k","seen_at":"2026-01-01T00:00:00Z","port":{"port":443,"protocol":"tcp","service":"https","product":"nginx","version":"1.18.0","cpe":[],"tls":{"version":"TLSv1.0","cipher":"TLS_RSA_WITH_RC4_128_MD5","problems":["expired"]},"details":{"http.status":"200"}}}]}"#,
        br#"{"target":"site.example","as_of":"2026-01-01T00:00:00Z","exchanges":[{"url":"http://site.example/","method":"GET","status":200,"headers":{"content-type":"text/html","server":"nginx/1.2"},"seen":{"cookies":[{"name":"sid"}],"directory_listing":"nginx"}}],"pages":[{"url":"http://site.example/","status":200,"title":"Index of /"}],"forms":[{"page":"http://site.example/","method":"GET","action":"/l","inputs":[{"name":"p","type":"password"}]}],"paths":[{"path":"/.git/HEAD","status":200}],"technologies":[{"name":"PHP","version":"7.4.1"}]}"#,
    ];
    fuzz(&seeds, |bytes| {
        let Ok(context) = serde_json::from_slice::<AssessmentContext>(bytes) else {
            return;
        };
        let facts = Facts::of(&context);
        assert_eq!(facts, Facts::of(&context));
        let found = PACKAGED.evaluate(&facts);
        assert!(
            found
                .windows(2)
                .all(|pair| pair[0].severity >= pair[1].severity)
        );
        for one in &found {
            assert!(one.total > 0 && !one.evidence.is_empty() && one.evidence.len() <= 10);
            assert!(
                one.evidence
                    .iter()
                    .all(|e| e.sources.iter().all(|s| !s.is_empty()))
            );
            assert!((0.0..=1.0).contains(&one.confidence), "{}", one.confidence);
        }
        let again = PACKAGED.evaluate(&facts);
        let json = |found| serde_json::to_string(found).unwrap();
        assert_eq!(json(&found), json(&again));
    });
}

/// Versions have an order, and ranges agree with it.
#[test]
fn versions() {
    let seeds: [&[u8]; 3] = [
        b"1.2.3\n1.2.3p1",
        b"9.2p1 Debian-2\nv1.2-rc1",
        b">= 2, < 3\n2.4b1",
    ];
    fuzz(&seeds, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let (a, b) = text.split_once('\n').unwrap_or((&text, ""));
        let order = compare_versions(a, b);
        assert_eq!(
            order,
            compare_versions(b, a).map(std::cmp::Ordering::reverse)
        );
        if let Ok(range) = VersionRange::parse(a) {
            let _ = range.has(b);
        }
    });
}
