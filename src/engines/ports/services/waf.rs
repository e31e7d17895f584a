use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

/// `packaging/ports/waf.toml`.
const DATA: &str = include_str!("../../../../packaging/ports/waf.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    head: Option<String>,
    #[serde(default)]
    body: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    waf: Vec<Entry>,
}

struct Rule {
    name: String,
    head: Option<Regex>,
    body: Option<Regex>,
}

fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .multi_line(true)
        .case_insensitive(true)
        .build()
        .ok()
}

/// A test makes sure that all of the file reads and all patterns compile.
static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let file = toml::from_str::<File>(DATA);
    let entries = file.map_or_else(|_| Vec::new(), |file| file.waf);
    let rule = |entry: Entry| Rule {
        head: entry.head.as_deref().and_then(compile),
        body: entry.body.as_deref().and_then(compile),
        name: entry.name,
    };
    entries.into_iter().map(rule).collect()
});

/// The firewall or delivery network that an ordinary HTTP answer gives away.
pub fn hint(head: &[u8], body: &[u8]) -> Option<String> {
    let fits = |rule: &Option<Regex>, text| rule.as_ref().is_none_or(|rule| rule.is_match(text));
    let rule = RULES.iter().find(|rule| {
        (rule.head.is_some() || rule.body.is_some())
            && fits(&rule.head, head)
            && fits(&rule.body, body)
    })?;
    Some(rule.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_file_is_good() {
        let file: File = toml::from_str(DATA).unwrap();
        for entry in &file.waf {
            assert!(
                entry.head.is_some() || entry.body.is_some(),
                "{}",
                entry.name
            );
            let patterns = entry.head.iter().chain(&entry.body);
            assert!(
                patterns.into_iter().all(|p| compile(p).is_some()),
                "{}",
                entry.name
            );
        }
        assert_eq!(file.waf.len(), RULES.len());
    }

    #[test]
    fn by_header_cookie_and_body() {
        for (head, body, name) in [
            (
                "HTTP/1.1 403 Forbidden\r\nserver: cloudflare\r\n",
                "",
                Some("Cloudflare"),
            ),
            (
                "HTTP/1.1 200 OK\r\nSet-Cookie: incap_ses_1_2=x\r\n",
                "",
                Some("Imperva"),
            ),
            (
                "HTTP/1.1 200 OK\r\nX-Amz-Cf-Id: x\r\n",
                "",
                Some("AWS CloudFront"),
            ),
            (
                "HTTP/1.1 200 OK\r\nSet-Cookie: BIGipServerpool=1.2; path=/\r\n",
                "",
                Some("F5 BIG-IP"),
            ),
            (
                "HTTP/1.1 403 Forbidden\r\n",
                "blocked by mod_security",
                Some("ModSecurity"),
            ),
            ("HTTP/1.1 200 OK\r\n", "an article on mod_security", None),
            ("HTTP/1.1 200 OK\r\nServer: nginx\r\n", "hello", None),
        ] {
            assert_eq!(
                hint(head.as_bytes(), body.as_bytes()).as_deref(),
                name,
                "{head}"
            );
        }
    }
}
