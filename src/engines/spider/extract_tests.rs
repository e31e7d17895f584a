use std::collections::BTreeSet;

use ::url::Url;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue, LOCATION};

use super::*;
use crate::engines::ports::fuzz::fuzz;

fn read(path: &str, content_type: &str, body: &[u8]) -> Extracted {
    let url = Url::parse("http://h.example").unwrap().join(path).unwrap();
    let mut headers = HeaderMap::new();
    if !content_type.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
    }
    extract(&PageInput {
        url: &url,
        headers: &headers,
        body,
    })
}

fn paths(found: &Extracted) -> Vec<&str> {
    found.links.iter().map(|link| link.url.path()).collect()
}

#[test]
fn a_page() {
    let found = read(
        "/a/b",
        "text/html; charset=utf-8",
        b"<title>T</title><a href=c>x</a><form action=/f></form><script>fetch('/api/'+x);axios.get('/api/y');
          var k='AKIAQ3EGRS5TUVWXYZ2A'</script><p>ng-version=\"1.2\"</p>",
    );
    assert_eq!(
        (found.kind, found.title.as_deref()),
        (Kind::Html, Some("T"))
    );
    assert_eq!(paths(&found), ["/a/c", "/f", "/api/y"]);
    assert_eq!(found.endpoints.len(), 2);
    assert_eq!(found.secrets.len(), 1);
    assert_eq!(found.forms.len(), 1);
    assert!(found.hash.words > 0 && !found.facts.headers.is_empty());
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Extracted>(&json).unwrap(), found);
}

#[test]
fn the_kind_of_a_body() {
    for (path, content_type, body, kind) in [
        ("/", "", "<!DOCTYPE html>", Kind::Html),
        ("/", "application/octet-stream", "<p>x", Kind::Html),
        ("/x.js", "text/plain", "var a", Kind::Script),
        ("/x", "application/javascript", "{}", Kind::Script),
        ("/x", "text/css", "a{}", Kind::Style),
        ("/x", "application/problem+json", "{}", Kind::Json),
        (
            "/x.map",
            "",
            "{\"version\":3,\"sources\":[\"a.ts\"],\"mappings\":\"\"}",
            Kind::SourceMap,
        ),
        (
            "/m",
            "application/manifest+json",
            "{\"start_url\":\"/go\"}",
            Kind::Manifest,
        ),
        (
            "/s",
            "application/xml",
            "<?xml version=\"1.0\"?><urlset></urlset>",
            Kind::Sitemap,
        ),
        ("/s", "text/xml", "<?xml version=\"1.0\"?><a/>", Kind::Xml),
        ("/s", "text/plain", "Contact: mailto:a@b", Kind::SecurityTxt),
        ("/s", "text/plain", "words", Kind::Text),
        ("/s", "image/png", "x", Kind::Binary),
        ("/s", "", "a\0b", Kind::Binary),
        ("/s", "text/html", "a\0b", Kind::Binary),
        ("/s", "text/html", "a\0b<a href=/c>", Kind::Html),
    ] {
        assert_eq!(
            read(path, content_type, body.as_bytes()).kind,
            kind,
            "{path} {content_type} {body}"
        );
    }
}

#[test]
fn links_of_every_document() {
    let links = |path: &str, content_type: &str, body: &str| {
        let found = read(path, content_type, body.as_bytes());
        found
            .links
            .iter()
            .map(|link| link.url.path().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        links("/d/x.css", "text/css", "@import 'a.css';b{c:url(/d)}"),
        ["/d/a.css", "/d"]
    );
    assert_eq!(
        links(
            "/x",
            "application/json",
            r#"{"a":"\/b","c":"http://h.example/d","e":"f/g"}"#
        ),
        ["/b", "/d"]
    );
    assert_eq!(
        links("/x", "text/xml", "<?xml?><a>http://h.example/b</a>"),
        ["/b"]
    );
    assert_eq!(
        links("/x.js", "", "fetch('/b')\n//# sourceMappingURL=x.js.map"),
        ["/b", "/x.js.map"]
    );
    assert_eq!(
        links(
            "/m.webmanifest",
            "",
            r#"{"start_url":"/a","icons":[{"src":"i.png"}]}"#
        ),
        ["/a", "/i.png"]
    );
    let map = r#"{"version":3,"sources":["a"],"sourcesContent":["fetch('/in')"],"mappings":""}"#;
    assert_eq!(links("/x.map", "", map), ["/in"]);
}

#[test]
fn a_redirect_is_a_link() {
    let url = Url::parse("http://h.example/a").unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(LOCATION, HeaderValue::from_static("../b"));
    let found = extract(&PageInput {
        url: &url,
        headers: &headers,
        body: b"",
    });
    assert_eq!(
        (paths(&found), found.links[0].kind),
        (vec!["/b"], LinkKind::Redirect)
    );
}

#[test]
fn sitemaps() {
    let found = sitemap::read(
        "<?xml version='1.0'?><urlset><url><loc> http://a/x?a=1&amp;b=2 </loc><lastmod>2024</lastmod></url>\
         <url><loc><![CDATA[http://a/y]]></loc></url></urlset>",
    );
    assert_eq!(found.pages, ["http://a/x?a=1&b=2", "http://a/y"]);
    let found =
        sitemap::read("<sitemapindex><sitemap><loc>http://a/s.xml</loc></sitemap></sitemapindex>");
    assert_eq!(
        (found.pages.len(), found.sitemaps.as_slice()),
        (0, ["http://a/s.xml".to_owned()].as_slice())
    );
    assert_eq!(sitemap::read("http://a/1\nhttp://a/2\nx").pages.len(), 2);
    // Broken off, it says what it said until then.
    assert_eq!(
        sitemap::read("<urlset><url><loc>http://a/x</loc></url><url><loc>http")
            .pages
            .len(),
        1
    );
    let many = "<url><loc>http://a/x</loc></url>".repeat(50_001);
    let found = sitemap::read(&format!("<urlset>{many}"));
    assert!(found.truncated && found.pages.len() == 50_000);
}

#[test]
fn api_documents() {
    let document = r##"{"openapi":"3.0.0","servers":[{"url":"/v1/"}],"paths":{"/pets/{id}":{
        "parameters":[{"$ref":"#/components/parameters/id"}],
        "get":{"parameters":[{"name":"full","in":"query"}]},
        "post":{"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Pet"}}}}}},
        "/pets":{"get":{}}},
        "components":{"parameters":{"id":{"name":"id","in":"path"}},"schemas":{"Pet":{"properties":{"name":{},"tag":{}}}}}}"##;
    let operations = openapi::read(document).unwrap();
    let lines: BTreeSet<_> = operations
        .iter()
        .map(|one| format!("{} {} {}", one.method, one.path, one.parameters.join(",")))
        .collect();
    let expected = [
        "GET /v1/pets ",
        "GET /v1/pets/{id} full,id",
        "POST /v1/pets/{id} id,name,tag",
    ];
    assert_eq!(lines.into_iter().collect::<Vec<_>>(), expected);
    let swagger = r#"{"swagger":"2.0","basePath":"/api","paths":{"/a":{"put":{"parameters":[
        {"in":"body","name":"b","schema":{"properties":{"x":{}}}}]}}}}"#;
    let operations = openapi::read(swagger).unwrap();
    assert_eq!(
        (
            operations[0].path.as_str(),
            operations[0].parameters.as_slice()
        ),
        ("/api/a", ["x".to_owned()].as_slice())
    );
    assert_eq!(openapi::read("{\"a\":1}"), None);
    let circle = r##"{"openapi":"3","paths":{"/a":{"get":{"parameters":[{"$ref":"#/c"}]}}},"c":{"$ref":"#/c"}}"##;
    assert_eq!(openapi::read(circle).unwrap().len(), 1);
    assert_eq!(
        read("/o", "application/json", document.as_bytes()).kind,
        Kind::OpenApi
    );
}

#[test]
fn api_documents_in_yaml() {
    let document = "# Ours\nopenapi: 3.1.0\nservers: [{url: /v1/}]\npaths:\n  /pets/{id}:\n    parameters:\n    \
                    - {name: id, in: path}\n    get: &get\n      parameters:\n      - name: full\n        in: query\n    \
                    head: *get\n";
    let operations = openapi::read_yaml(document).unwrap();
    let lines = operations
        .iter()
        .map(|one| format!("{} {} {}", one.method, one.path, one.parameters.join(",")));
    assert_eq!(
        lines
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>(),
        ["GET /v1/pets/{id} full,id", "HEAD /v1/pets/{id} full,id"]
    );
    for kind in ["application/yaml", "text/x-yaml", "text/plain", ""] {
        let found = read("/o.yaml", kind, document.as_bytes());
        assert_eq!(found.kind, Kind::OpenApi, "{kind}");
    }
    for other in [
        "a: b\n",
        "openapi: [",
        "says openapi:\nopenapi\n",
        "openapi: 3\npaths: 7\n",
    ] {
        assert_eq!(openapi::read_yaml(other), None, "{other:?}");
    }
}

#[test]
fn yaml_that_stands_for_much_more_is_not_read() {
    let mut bomb = "openapi: 3.0.0\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..10 {
        let all = vec![format!("*a{}", n - 1); 10].join(", ");
        bomb += &format!("a{n}: &a{n} [{all}]\n");
    }
    bomb += "paths: {/a: {get: {x: *a9}}}\n";
    assert_eq!(openapi::read_yaml(&bomb), None);
    let deep = format!(
        "openapi: 3.0.0\npaths: {}1{}\n",
        "[".repeat(5000),
        "]".repeat(5000)
    );
    assert_eq!(openapi::read_yaml(&deep), None);
}

#[test]
fn security_txt() {
    let found = documents::security_txt(
        "# c\nContact: mailto:s@a.example\nContact: https://a.example/r\nExpires: 2027-01-01T00:00:00Z\nPolicy: https://a.example/p\n",
    )
    .unwrap();
    assert_eq!(found.contact.len(), 2);
    assert_eq!(found.expires.as_deref(), Some("2027-01-01T00:00:00Z"));
    assert_eq!(found.urls, ["https://a.example/p"]);
    assert_eq!(documents::security_txt("Disallow: /"), None);
}

#[test]
fn secrets_of_the_sources_in_a_source_map() {
    let source = "const options = {\n  apiSecret: \"q9Zr4Vb7Lm2Xw8Kt5Np3Hd6J\",\n};\n";
    let map = serde_json::json!({
        "version": 3, "sources": ["src/a.js"], "sourcesContent": [source, source], "mappings": "",
    });
    let plain = secrets::find(source);
    assert_eq!(plain.len(), 1, "{plain:?}");
    let found = read("/a.js.map", "application/json", map.to_string().as_bytes());
    assert_eq!(found.kind, Kind::SourceMap);
    let hashes: Vec<&str> = found.secrets.iter().map(|s| s.sha256.as_str()).collect();
    assert_eq!(hashes, [plain[0].sha256.as_str()]);
}

/// What `make fuzz` runs.
mod fuzz_tests {
    use super::*;

    #[test]
    fn sitemap() {
        let seeds: [&[u8]; 3] = [
            b"<?xml version='1.0'?><urlset><url><loc>http://a/x?a=1&amp;b</loc></url></urlset>",
            b"<sitemapindex><sitemap><loc><![CDATA[http://a/y]]></loc></sitemap></sitemapindex>",
            b"<feed><entry><link href='http://a/z'/></entry></feed>",
        ];
        fuzz(&seeds, |bytes| {
            let found = sitemap::read(&String::from_utf8_lossy(bytes));
            assert!(
                found
                    .pages
                    .iter()
                    .chain(&found.sitemaps)
                    .all(|url| url.starts_with("http"))
            );
        });
    }

    #[test]
    fn openapi() {
        let seeds: [&[u8]; 2] = [
            br##"{"openapi":"3.0.0","servers":[{"url":"/v1"}],"paths":{"/a/{b}":{"get":{"parameters":[{"$ref":"#/c"}]}}},"c":{"name":"d","in":"query"}}"##,
            br#"{"swagger":"2.0","basePath":"/x","paths":{"/a":{"post":{"parameters":[{"in":"body","schema":{"properties":{"e":{}}}}]}}}}"#,
        ];
        fuzz(&seeds, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            for operation in openapi::read(&text).unwrap_or_default() {
                assert!(operation.parameters.len() <= 100);
            }
            let _ = (documents::source_map(&text), documents::web_manifest(&text));
        });
    }

    #[test]
    fn openapi_yaml() {
        let seeds: [&[u8]; 2] = [
            b"openapi: 3.0.0\nservers: [{url: /v1}]\npaths:\n  /a/{b}:\n    get: &g\n      parameters: [{name: d, in: query}]\n    put: *g\n",
            b"swagger: '2.0'\nbasePath: /x\npaths: {/a: {post: {parameters: [{in: body, schema: {properties: {e: {}}}}]}}}\n",
        ];
        fuzz(&seeds, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            for operation in openapi::read_yaml(&text).unwrap_or_default() {
                assert!(operation.parameters.len() <= 100);
            }
        });
    }

    /// Any bytes under any name.
    #[test]
    fn extract() {
        let types = [
            "text/html",
            "application/javascript",
            "text/css",
            "application/json",
            "text/xml",
            "text/plain",
            "",
        ];
        let seeds: [&[u8]; 4] = [
            b"<!DOCTYPE html><title>x</title><script>fetch('/a')</script><!-- <a href=b> --><p style='c:url(d)'>",
            b"{\"openapi\":\"3\",\"paths\":{\"/a\":{\"get\":{}}}}",
            b"Contact: mailto:a@b.example\nPolicy: http://a/p",
            b"\xef\xbb\xbf<?xml version='1.0' encoding='utf-16'?><urlset><url><loc>http://a/</loc></url>",
        ];
        fuzz(&seeds, |bytes| {
            let found = read("/d/x", types[bytes.len() % types.len()], bytes);
            assert!(
                found
                    .links
                    .iter()
                    .all(|link| matches!(link.url.scheme(), "http" | "https"))
            );
            assert!(serde_json::to_string(&found).is_ok());
        });
    }
}
