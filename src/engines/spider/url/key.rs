use std::borrow::Cow;
use std::hash::Hasher;

use siphasher::sip::SipHasher13;
use url::Url;

/// Parameters by which visits are counted, not pages told apart. From the documentation of Google
/// Analytics and Ads, Meta, Microsoft Advertising, Mailchimp, HubSpot, Matomo, Yandex, Adobe.
const TRACKING: [&str; 28] = [
    "_ga",
    "_gl",
    "_hsenc",
    "_hsmi",
    "_openstat",
    "dclid",
    "fbclid",
    "gad_source",
    "gbraid",
    "gclid",
    "gclsrc",
    "hsctatracking",
    "igshid",
    "li_fat_id",
    "mc_cid",
    "mc_eid",
    "mkt_tok",
    "msclkid",
    "mtm_campaign",
    "oly_anon_id",
    "oly_enc_id",
    "piwik_campaign",
    "rb_clickid",
    "s_cid",
    "ttclid",
    "twclid",
    "wbraid",
    "yclid",
];

/// Parameters that carry a session, whatever their value: PHP, Java servlets, ColdFusion, osCommerce,
/// Zen Cart, IIS.
const SESSION: [&str; 12] = [
    "phpsessid",
    "jsessionid",
    "cfid",
    "cftoken",
    "oscsid",
    "zenid",
    "sessionid",
    "session_id",
    "asp.net_sessionid",
    "osadminid",
    "sess_id",
    "sessid",
];

/// Names that carry a session or a cache buster only when their value looks like one.
const SESSION_BY_VALUE: [&str; 9] = [
    "sid", "s", "session", "sess", "token", "phpsess", "nonce", "csrf", "_token",
];
const BUSTER: [&str; 9] = [
    "_",
    "_t",
    "t",
    "ts",
    "cb",
    "rand",
    "rnd",
    "nocache",
    "timestamp",
];

/// Letters and digits of the shortest value that is a session's.
const SHORTEST_SESSION: usize = 16;

/// Digits of a time in seconds since 1970: ten until the year 2286; milliseconds have 13.
const TIME_DIGITS: [usize; 2] = [10, 13];

/// Parameters that are put in order; a URL with more of them keeps them as they stand.
const MOST_SORTED: usize = 64;

/// What tells this page from others, as 64 bits: two of 10 million URLs have the same by chance in
/// one of 370,000 sites.
pub fn key(url: &Url) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x7265_636f_6e20_7765, 0x6220_7370_6964_6572);
    write_canonical(url, |part| hasher.write(part.as_bytes()));
    hasher.finish()
}

/// The text that [`key`] is the hash of: without session ids, tracking parameters and cache busters,
/// the query in order of names.
pub fn canonical(url: &Url) -> String {
    let mut text = String::with_capacity(url.as_str().len());
    write_canonical(url, |part| text.push_str(part));
    text
}

fn write_canonical(url: &Url, mut put: impl FnMut(&str)) {
    put(&url[..url::Position::BeforePath]);
    put(&without_session(url.path()));
    let Some(query) = url.query() else { return };
    let mut parameters: Vec<(&str, &str)> = query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .filter(|(name, value)| !is_noise(name, value))
        .collect();
    if parameters.len() <= MOST_SORTED {
        // Stable: `a=1&a=2` may mean another thing than `a=2&a=1`.
        parameters.sort_by_key(|(name, _)| *name);
    }
    let mut before = "?";
    for (name, value) in parameters {
        put(before);
        put(name);
        put("=");
        put(value);
        before = "&";
    }
}

/// The path without `;jsessionid=…` and ASP.NET's `(S(…))`.
fn without_session(path: &str) -> Cow<'_, str> {
    if !path.contains([';', '(']) {
        return Cow::Borrowed(path);
    }
    let kept = path.split('/').filter_map(|segment| {
        if segment.starts_with("(S(") && segment.ends_with("))") {
            return None;
        }
        match segment.split_once(';') {
            Some((name, parameters)) if is_session_parameter(parameters) => Some(name),
            _ => Some(segment),
        }
    });
    Cow::Owned(kept.collect::<Vec<_>>().join("/"))
}

fn is_session_parameter(parameters: &str) -> bool {
    let (name, value) = parameters.split_once('=').unwrap_or((parameters, ""));
    is_session(name, value)
}

fn is_noise(name: &str, value: &str) -> bool {
    let tracking = |name: &str| name.starts_with("utm_") || TRACKING.contains(&name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        let lower = name.to_ascii_lowercase();
        return tracking(&lower) || is_session(name, value);
    }
    tracking(name) || is_session(name, value) || is_buster(name, value)
}

fn is_session(name: &str, value: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    SESSION.contains(&lower.as_str())
        || lower.starts_with("aspsessionid")
        || SESSION_BY_VALUE.contains(&lower.as_str()) && looks_random(value)
}

/// A value that nobody chose: long, letters and digits mixed.
pub(super) fn looks_random(value: &str) -> bool {
    value.len() >= SHORTEST_SESSION
        && value.bytes().any(|byte| byte.is_ascii_digit())
        && value.bytes().any(|byte| byte.is_ascii_alphabetic())
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'%'))
}

fn is_buster(name: &str, value: &str) -> bool {
    BUSTER.contains(&name)
        && (TIME_DIGITS.contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit())
            || value.starts_with("0.") && value.len() >= 8)
}
