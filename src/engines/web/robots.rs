use url::Url;

/// As much of a robots.txt is read (RFC 9309 §2.5 asks for 500 KiB at least).
pub const ROBOTS_LIMIT: usize = 500 * 1024;

/// Rules of one robots.txt that are kept, and sitemaps.
const MOST_RULES: usize = 10_000;
const MOST_SITEMAPS: usize = 1000;

/// Steps of matching a path with all patterns: `*` after `*` costs what pattern and path are long,
/// multiplied, and there may be thousands of rules. Real files need a few thousand.
const MOST_STEPS: usize = 1_000_000;

/// What a robots.txt (RFC 9309) says to one crawler.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Robots {
    rules: Vec<Rule>,
    sitemaps: Vec<String>,
    crawl_delay: Option<f64>,
    all_denied: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    /// As it is written, its escapes brought into one form.
    pattern: Vec<u8>,
    allow: bool,
}

/// What is collected for a crawler by its name, or for all.
#[derive(Debug, Default)]
struct Group {
    named: bool,
    rules: Vec<Rule>,
    crawl_delay: Option<f64>,
}

impl Robots {
    /// What follows from the status that robots.txt was answered with, after redirects (RFC 9309
    /// §2.3.1): none there (4xx) allows everything, a server in trouble (5xx) nothing.
    pub fn of(status: u16, body: &[u8], agent: &str) -> Self {
        match status {
            200..=299 => Self::parse(body, agent),
            500.. => Self::unreachable(),
            _ => Self::default(),
        }
    }

    /// There was no answer: nothing is allowed (RFC 9309 §2.3.1.4).
    pub fn unreachable() -> Self {
        Self {
            all_denied: true,
            ..Self::default()
        }
    }

    /// Reads what is said to the crawler of this product token (`recon`), or else to all (`*`).
    pub fn parse(body: &[u8], agent: &str) -> Self {
        let body = &body[..body.len().min(ROBOTS_LIMIT)];
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let (mut own, mut all) = (Group::default(), Group::default());
        let mut sitemaps = Vec::new();
        // Whom the group is for, and whether its rules have begun.
        let (mut for_own, mut for_all, mut in_rules) = (false, false, false);
        for line in body.split(|byte| matches!(byte, b'\n' | b'\r')) {
            let Some((key, value)) = field(line) else {
                continue;
            };
            if key.eq_ignore_ascii_case(b"user-agent") {
                if std::mem::take(&mut in_rules) {
                    (for_own, for_all) = (false, false);
                }
                for_all |= value == b"*";
                for_own |= product(value).eq_ignore_ascii_case(product(agent.as_bytes()));
                own.named |= for_own;
                continue;
            }
            // A sitemap belongs to no group and ends none.
            if key.eq_ignore_ascii_case(b"sitemap") {
                if sitemaps.len() < MOST_SITEMAPS && !value.is_empty() {
                    sitemaps.push(String::from_utf8_lossy(value).into_owned());
                }
                continue;
            }
            in_rules = true;
            if for_own {
                own.add(key, value);
            }
            if for_all {
                all.add(key, value);
            }
        }
        let group = if own.named { own } else { all };
        Self {
            rules: group.rules,
            sitemaps,
            crawl_delay: group.crawl_delay,
            all_denied: false,
        }
    }

    /// Whether a path with its query may be asked for: the longest rule that matches says so, of two
    /// equally long ones the one that allows (RFC 9309 §2.2.2).
    pub fn allowed(&self, path: &str) -> bool {
        let path = normal(path.as_bytes());
        if path == b"/robots.txt" {
            return true;
        }
        if self.all_denied {
            return false;
        }
        let mut steps = MOST_STEPS;
        let matching = self
            .rules
            .iter()
            .filter(|rule| matches(&rule.pattern, &path, &mut steps));
        let longest = matching.max_by_key(|rule| (rule.pattern.len(), rule.allow));
        let allowed = longest.is_none_or(|rule| rule.allow);
        // Who writes rules that nobody can read does not want to be visited.
        allowed && steps > 0
    }

    /// Where its sitemaps are, resolved against its own URL; only `http` and `https`.
    pub fn sitemaps(&self, robots: &Url) -> Vec<Url> {
        let urls = self
            .sitemaps
            .iter()
            .filter_map(|text| robots.join(text).ok());
        urls.filter(|url| matches!(url.scheme(), "http" | "https"))
            .collect()
    }

    /// The seconds between two requests that it asks for; no standard, but widely understood.
    pub fn crawl_delay(&self) -> Option<f64> {
        self.crawl_delay
    }

    /// The paths of its rules, which a server's owner thought worth naming.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.rules
            .iter()
            .filter_map(|rule| std::str::from_utf8(&rule.pattern).ok())
    }
}

impl Group {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        let allow = key.eq_ignore_ascii_case(b"allow");
        if allow || key.eq_ignore_ascii_case(b"disallow") {
            // An empty rule speaks of nothing.
            if !value.is_empty() && self.rules.len() < MOST_RULES {
                self.rules.push(Rule {
                    pattern: normal(value),
                    allow,
                });
            }
        } else if key.eq_ignore_ascii_case(b"crawl-delay") {
            let seconds = std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.parse::<f64>().ok());
            self.crawl_delay = seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        }
    }
}

/// `key: value`, without comment and white space.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.split(|byte| *byte == b'#').next()?;
    let colon = memchr::memchr(b':', line)?;
    Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()))
}

/// The product token: letters, `_` and `-` (RFC 9309 §2.2.1).
fn product(name: &[u8]) -> &[u8] {
    let is_part = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-');
    &name[..name.iter().take_while(|byte| is_part(byte)).count()]
}

/// Brings escapes into one form (RFC 9309 §2.2.2): letters that need none lose theirs, the digits of the
/// others are upper case, and what is not ASCII is escaped.
fn normal(text: &[u8]) -> Vec<u8> {
    let hex = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let mut out = Vec::with_capacity(text.len());
    let escape = |out: &mut Vec<u8>, byte: u8| out.extend(format!("%{byte:02X}").bytes());
    let mut at = 0;
    while let Some(byte) = text.get(at).copied() {
        let escaped = match text.get(at..at + 3) {
            Some([b'%', high, low]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match (escaped, byte) {
            (Some((high, low)), _) => {
                match high << 4 | low {
                    plain if plain.is_ascii_alphanumeric() || b"-._~".contains(&plain) => {
                        out.push(plain);
                    }
                    other => escape(&mut out, other),
                }
                at += 3;
                continue;
            }
            (None, b'!'..=b'~') => out.push(byte),
            (None, _) => escape(&mut out, byte),
        }
        at += 1;
    }
    out
}

/// Whether a pattern with `*` and a last `$` matches the beginning of a path. Takes its steps from those
/// that are left; without any nothing matches.
fn matches(pattern: &[u8], path: &[u8], steps: &mut usize) -> bool {
    let (pattern, whole) = match pattern.strip_suffix(b"$") {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let (mut at, mut wanted) = (0, 0);
    // Where the last `*` is, and what it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while *steps > 0 {
        *steps -= 1;
        match (pattern.get(wanted), path.get(at)) {
            (None, None) => return true,
            (None, Some(_)) if !whole => return true,
            (Some(b'*'), _) => {
                wanted += 1;
                star = Some((wanted, at));
                continue;
            }
            (Some(a), Some(b)) if a == b => {
                (at, wanted) = (at + 1, wanted + 1);
                continue;
            }
            _ => {}
        }
        let Some((after, taken)) = star.filter(|(_, taken)| *taken < path.len()) else {
            return false;
        };
        star = Some((after, taken + 1));
        (wanted, at) = (after, taken + 1);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(body: &str, path: &str) -> bool {
        Robots::parse(body.as_bytes(), "recon").allowed(path)
    }

    #[test]
    fn groups() {
        let body = "User-agent: *\nDisallow: /all\n\nUser-Agent: other\nUser-agent: RECON/1.0 # us\nDisallow: /own\n\nuser-agent: recon\nDisallow: /more\n";
        assert!(
            allowed(body, "/all"),
            "a group of one's own is instead of that for all"
        );
        assert!(!allowed(body, "/own/x") && !allowed(body, "/more"));
        assert!(!Robots::parse(body.as_bytes(), "third").allowed("/all"));
        assert!(allowed("Disallow: /x", "/x"), "for nobody");
        assert!(allowed("User-agent: *\nDisallow:\n", "/x"));
    }

    #[test]
    fn longest_match_and_wildcards() {
        let body = "User-agent: *\r\nDisallow: /\r\nAllow: /a\r\nDisallow: /a/b\r\nAllow: /a/b$\r\nDisallow: /*.php$\r\nAllow: /same\r\nDisallow: /same\r\nDisallow: /%7Ex/\u{e9}\r\n";
        assert!(!allowed(body, "/"));
        assert!(allowed(body, "/a") && allowed(body, "/a/c"));
        assert!(!allowed(body, "/a/b/c") && allowed(body, "/a/b"));
        assert!(!allowed(body, "/a.php") && allowed(body, "/a.php?x=1"));
        assert!(allowed(body, "/same"));
        assert!(!allowed(body, "/~x/%c3%a9"));
        assert!(allowed(body, "/robots.txt"));
        let matches = |pattern: &[u8], path: &[u8]| matches(pattern, path, &mut 1000);
        assert!(matches(b"/*/x*y$", b"/a/x/by") && !matches(b"/*/x*y$", b"/a/x/b"));
    }

    #[test]
    fn the_rest() {
        let body = b"\xef\xbb\xbfSitemap: /map.xml\nUser-agent: *\nSitemap: https://b.example/m.xml#x\nSitemap: ftp://x/\nCrawl-delay: 2.5\n";
        let robots = Robots::parse(body, "recon");
        let base = Url::parse("https://a.example/robots.txt").unwrap();
        let maps: Vec<String> = robots.sitemaps(&base).iter().map(Url::to_string).collect();
        assert_eq!(
            maps,
            ["https://a.example/map.xml", "https://b.example/m.xml"]
        );
        assert_eq!(robots.crawl_delay(), Some(2.5));
        let none = Robots::parse(b"User-agent: *\nCrawl-delay: NaN\n", "recon");
        assert_eq!(none.crawl_delay(), None);
    }

    #[test]
    fn statuses() {
        let body = b"User-agent: *\nDisallow: /";
        assert!(!Robots::of(200, body, "recon").allowed("/x"));
        assert!(Robots::of(404, body, "recon").allowed("/x"));
        assert!(!Robots::of(503, body, "recon").allowed("/x"));
    }

    #[test]
    fn no_pattern_takes_long() {
        let pattern = b"*a".repeat(2000);
        assert!(!matches(&pattern, &b"a".repeat(1999), &mut 1_000_000));
        // Nor do many of them: all have the same steps to share.
        let line = format!("Disallow: /{}b\n", "*a".repeat(100));
        let body = format!("User-agent: *\n{}", line.repeat(2000));
        let robots = Robots::parse(body.as_bytes(), "recon");
        assert!(robots.allowed("/x") && !robots.allowed(&format!("/{}", "a".repeat(4000))));
        let line = [
            b"User-agent: *\nDisallow: /".as_slice(),
            &b"x".repeat(ROBOTS_LIMIT),
        ]
        .concat();
        assert!(Robots::parse(&line, "recon").allowed("/y"));
    }
}
