//! Texts of feeds: bounded, and without anything that acts on who reads them.

use chrono::NaiveDateTime;

use crate::api::hides;

/// Characters of a description that are kept: NVD's are of 300 on average.
pub(super) const DESCRIPTION: usize = 500;
/// Characters of a title.
pub(super) const TITLE: usize = 160;
/// Characters of an address.
const ADDRESS: usize = 240;
/// Addresses of a CVE.
const ADDRESSES: usize = 3;
/// Characters of a version; those that are longer are none.
const VERSION: usize = 100;
/// Characters of `vendor:product`.
const PRODUCT: usize = 160;

/// One line of at most so many characters; what controls, hides or turns text around is left out.
pub fn clean(text: &str, most: usize) -> String {
    let mut out = String::with_capacity(text.len().min(most * 2));
    let mut count = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        let word = word.chars().filter(|c| !hides(*c));
        let mut first = true;
        for c in word {
            if count + 2 > most {
                out.push('…');
                return out;
            }
            if first && !out.is_empty() {
                out.push(' ');
                count += 1;
            }
            first = false;
            out.push(c);
            count += 1;
        }
    }
    out
}

/// Whether a name has nothing in it that acts on who reads it.
pub fn is_plain(text: &str) -> bool {
    !text.chars().any(|c| hides(c) || c.is_whitespace())
}

/// A version as it is compared; `None`: it is none.
pub fn version(text: &str) -> Option<String> {
    let text = text.trim();
    let good = !text.is_empty() && text.chars().count() <= VERSION;
    (good && is_plain(text)).then(|| text.to_owned())
}

/// `vendor:product` of what somebody wrote, in the manner of CPE names.
pub fn product(vendor: &str, product: &str) -> Option<String> {
    let name = |text: &str| clean(text, PRODUCT).to_lowercase().replace(' ', "_");
    let (vendor, product) = (name(vendor), name(product));
    let none = |text: &str| matches!(text, "" | "n/a" | "-" | "*" | "unknown");
    (!none(&vendor) && !none(&product)).then(|| format!("{vendor}:{product}"))
}

/// Web addresses, what helps most first; what is no address of the web is left out.
pub fn addresses<'a>(all: impl Iterator<Item = (&'a str, &'a [String])>) -> Vec<String> {
    let rank = |tags: &[String]| {
        let has = |what: &[&str]| {
            let tag = |tag: &String| what.iter().any(|w| tag.eq_ignore_ascii_case(w));
            tags.iter().any(tag)
        };
        match () {
            () if has(&["Vendor Advisory", "vendor-advisory"]) => 0,
            () if has(&["Patch", "patch", "Release Notes", "release-notes"]) => 1,
            () if has(&["Third Party Advisory", "third-party-advisory"]) => 2,
            () if has(&["Broken Link", "broken-link"]) => 4,
            () => 3,
        }
    };
    let web = |url: &str| {
        let plain = url.bytes().all(|byte| byte.is_ascii_graphic());
        plain && url.len() <= ADDRESS && (url.starts_with("https://") || url.starts_with("http://"))
    };
    let mut kept: Vec<(u8, &str)> = Vec::new();
    for (url, tags) in all.filter(|(url, _)| web(url)) {
        if kept.iter().all(|(_, other)| *other != url) {
            kept.push((rank(tags), url));
        }
    }
    // Stable: in the feed's order where they are as good.
    kept.sort_by_key(|(rank, _)| *rank);
    let kept = kept.into_iter().take(ADDRESSES);
    kept.map(|(_, url)| url.to_owned()).collect()
}

/// A time as feeds write it (`2024-07-01T13:15:06.467`, with or without `Z`), seconds since 1970.
pub fn time(text: &str) -> Option<i64> {
    let seconds = text.get(..19)?;
    let time = NaiveDateTime::parse_from_str(seconds, "%Y-%m-%dT%H:%M:%S").ok()?;
    Some(time.and_utc().timestamp())
}

/// `2024-07-01`, or the like with a time behind it.
pub fn date(text: &str) -> Option<String> {
    let day = text.get(..10)?;
    chrono::NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?;
    Some(day.to_owned())
}

/// The number of `CWE-79`.
pub fn cwe(text: &str) -> Option<u32> {
    text.strip_prefix("CWE-")?.parse().ok()
}

/// Kinds of weakness, in the feed's order.
pub fn cwes<'a>(all: impl Iterator<Item = &'a str>) -> Vec<u32> {
    let mut kept = Vec::new();
    for number in all.filter_map(cwe) {
        if !kept.contains(&number) && kept.len() < 8 {
            kept.push(number);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_that_does_nothing() {
        assert_eq!(clean(" a\r\n b\x1b[31m\u{202e}c ", 20), "a b [31mc");
        assert_eq!(clean("abcdef", 4), "abc…");
        assert_eq!(clean("\u{200b} \u{feff}", 4), "");
    }

    #[test]
    fn times_dates_and_addresses() {
        assert_eq!(time("1970-01-02T00:00:01.5Z"), Some(86_401));
        assert_eq!(time("1970-01-02"), None);
        assert_eq!(
            date("2024-07-01T00:00:00+0000").as_deref(),
            Some("2024-07-01")
        );
        assert_eq!(date("2024-13-01"), None);
        let tags = [vec![], vec!["Vendor Advisory".to_owned()]];
        let all = [
            ("javascript:alert(1)", &tags[1][..]),
            ("https://a.example/", &tags[0]),
            ("https://b.example/", &tags[1]),
            ("https://a.example/", &tags[0]),
        ];
        assert_eq!(
            addresses(all.into_iter()),
            ["https://b.example/", "https://a.example/"]
        );
    }
}
