use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use url::Url;

use super::data::{TECHNOLOGIES, compile, file};
use super::find;
use crate::engines::spider::html;

fn names(headers: &[(&str, &str)], text: &str) -> Vec<String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    let page = html::read(text, &Url::parse("http://a/").unwrap());
    let found = find(&map, text, Some(&page)).into_iter();
    found
        .map(|one| match one.version {
            Some(version) => format!("{} {version}", one.name),
            None => one.name,
        })
        .collect()
}

#[test]
fn the_whole_file_is_good() {
    let entries = file().expect("technologies.toml reads").technology;
    let known: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
    for (at, entry) in entries.iter().enumerate() {
        assert!(
            !known[..at].contains(&entry.name.as_str()),
            "{} twice",
            entry.name
        );
        let patterns = entry
            .headers
            .values()
            .flatten()
            .chain(&entry.generator)
            .chain(&entry.scripts);
        for pattern in patterns {
            assert!(compile(pattern).is_some(), "{pattern}");
        }
        assert!(
            entry
                .headers
                .keys()
                .all(|name| *name == name.to_ascii_lowercase()),
            "{}",
            entry.name
        );
        assert!(
            entry.html.iter().all(|word| word.len() >= 6),
            "{}",
            entry.name
        );
        assert!(
            entry
                .implies
                .iter()
                .all(|name| known.contains(&name.as_str())),
            "{}",
            entry.name
        );
        assert!(
            entry
                .cpe
                .as_ref()
                .is_none_or(|cpe| cpe.split(':').count() == 2),
            "{}",
            entry.name
        );
    }
    assert!(entries.len() >= 150 && TECHNOLOGIES.all.len() == entries.len());
    assert_eq!(TECHNOLOGIES.script_set.len(), TECHNOLOGIES.scripts.len());
    assert!(TECHNOLOGIES.words.is_some());
}

#[test]
fn by_headers_and_cookies() {
    assert_eq!(
        names(
            &[
                ("server", "nginx/1.24.0"),
                ("x-powered-by", "PHP/8.2.7"),
                ("set-cookie", "laravel_session=x; path=/")
            ],
            ""
        ),
        ["Laravel", "PHP 8.2.7", "nginx 1.24.0"]
    );
    assert_eq!(
        names(&[("server", "Apache/2.4.57 (Debian) OpenSSL/3.0.9")], ""),
        ["Apache HTTP Server 2.4.57", "OpenSSL 3.0.9"]
    );
    assert_eq!(
        names(&[("server", "Microsoft-IIS/10.0")], ""),
        ["Microsoft IIS 10.0", "Windows Server"]
    );
}

#[test]
fn by_the_page() {
    assert_eq!(
        names(
            &[],
            "<meta name=generator content='WordPress 6.4.3'><script src=/wp-includes/js/jquery/jquery.min.js?ver=3.7.1></script>"
        ),
        ["PHP", "WordPress 6.4.3", "jQuery 3.7.1"]
    );
    assert_eq!(
        names(&[], "<app-root ng-version=\"17.3.0\">"),
        ["Angular 17.3.0"]
    );
    assert_eq!(
        names(
            &[],
            "<script src=https://cdn.example/npm/vue@3.4.21/dist/vue.global.js>"
        ),
        ["Vue.js 3.4.21"]
    );
    assert_eq!(
        names(&[], "<script id=\"__NEXT_DATA__\">"),
        ["Next.js", "React"]
    );
    assert_eq!(
        names(&[], "<p>We like WordPress and jQuery.</p>"),
        Vec::<String>::new()
    );
}

#[test]
fn the_cpe_name_has_the_version() {
    let mut headers = HeaderMap::new();
    headers.insert("server", HeaderValue::from_static("nginx/1.24.0"));
    let found = find(&headers, "", None);
    assert_eq!(found[0].cpe.as_deref(), Some("cpe:/a:f5:nginx:1.24.0"));
}
