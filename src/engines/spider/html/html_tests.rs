use super::super::js::EndpointKind;
use super::super::{LinkKind, css};
use super::*;
use crate::engines::ports::fuzz::fuzz;

fn page(text: &str) -> Page {
    read(text, &Url::parse("http://h.example/dir/page?x=1").unwrap())
}

/// Links without the host.
fn links(text: &str) -> Vec<(LinkKind, String)> {
    let found = page(text).links.into_iter();
    found
        .map(|link| {
            let url = link.url.as_str();
            let path = url.strip_prefix("http://h.example").unwrap_or(url);
            (link.kind, path.to_owned())
        })
        .collect()
}

#[track_caller]
fn leads(text: &str, kind: LinkKind, to: &[&str]) {
    let expected: Vec<_> = to.iter().map(|to| (kind, (*to).to_owned())).collect();
    assert_eq!(links(text), expected, "{text}");
}

#[test]
fn elements_that_lead_somewhere() {
    use LinkKind::*;
    leads(
        "<a href=a>x</a><A HREF='../b'><a href=\"/c?d&amp;e#f\">",
        Page,
        &["/dir/a", "/b", "/c?d&e"],
    );
    leads("<area href=/a>", Page, &["/a"]);
    leads("<a ping='/p /q'>", Ping, &["/p", "/q"]);
    leads(
        "<script src=/a.js></script><link rel=modulepreload href=/b.js>",
        Script,
        &["/a.js", "/b.js"],
    );
    leads(
        "<link rel='stylesheet alternate' href=/a.css>",
        Style,
        &["/a.css"],
    );
    leads(
        "<img src=a srcset='/b 1x,/c, /d 2x' longdesc=''>",
        Image,
        &["/dir/a", "/b", "/c", "/d"],
    );
    leads(
        "<iframe src=/a></iframe><frame src=/b>",
        Frame,
        &["/a", "/b"],
    );
    leads(
        "<video src=/a><source src=/b><track src=/c></video><audio src=/d>",
        Media,
        &["/a", "/b", "/c", "/d"],
    );
    leads("<embed src=/a><object data=/b>", Object, &["/a", "/b"]);
    leads(
        "<blockquote cite=/a><q cite=/b><ins cite=/c><del cite=/d>",
        Cite,
        &["/a", "/b", "/c", "/d"],
    );
    leads(
        "<svg><use href='/s.svg#i'/><use xlink:href=/t.svg /><image href=/u /></svg>",
        Image,
        &["/s.svg", "/t.svg", "/u"],
    );
    leads("<link rel=manifest href=/m.json>", Manifest, &["/m.json"]);
    leads(
        "<meta http-equiv=Refresh content=\"0; URL='/r'\">",
        Redirect,
        &["/r"],
    );
    leads(
        "<input formaction=/a><button formaction=/b>",
        Form,
        &["/a", "/b"],
    );
    leads(
        "<p data-url=/a data-n=5 data-x='a/b' data-src=''>",
        Data,
        &["/a"],
    );
    leads(
        "<p style='background:url(/a.png)'><style>b{c:url( \"/d.png\" )}</style>",
        Image,
        &["/a.png", "/d.png"],
    );
    leads(
        "<style>@import '/a.css'; @import url(/b.css);</style>",
        Style,
        &["/a.css", "/b.css"],
    );
    leads(
        "<link rel=next href=/2><link rel=preconnect href=//cdn>",
        Related,
        &["/2"],
    );
    leads("<base href=/base/><a href=x>", Page, &["/base/x"]);
}

#[test]
fn links_of_data_and_comments() {
    leads(
        r#"<script type="application/ld+json">{"@id":"http:\/\/h.example\/a","n":"x/y"}</script>"#,
        LinkKind::Data,
        &["/a"],
    );
    leads(
        "<!-- <a href=/old>old</a> see http://h.example/b. --><!--[if IE]><script src=/ie.js></script><![endif]-->",
        LinkKind::Comment,
        &["/old", "/b", "/ie.js"],
    );
}

#[test]
fn a_link_is_told_once_and_not_if_nothing_can_be_asked() {
    leads(
        "<a href=/a><a href=/a#b><a href='#c'><a href='mailto:x@y'><a href='tel:1'><a href>",
        LinkKind::Page,
        &["/a"],
    );
}

#[test]
fn forms() {
    let found = page(
        "<form id=f action=/login method=Post enctype=multipart/form-data>
         <input name=user required value=bob><input type=PASSWORD name=pw value=secret>
         <input type=hidden name=csrf_token value=abc><select name=s></select><textarea name=t></textarea>
         <input type=file name=up><button name=b value=1>go</button></form><input name=outside>
         <form><input type=text></form>",
    );
    let [login, other] = found.forms.as_slice() else {
        panic!("{:?}", found.forms)
    };
    assert_eq!(
        (login.action.as_str(), login.method.as_str()),
        ("http://h.example/login", "POST")
    );
    assert_eq!(
        (login.enctype.as_str(), login.name.as_str()),
        ("multipart/form-data", "f")
    );
    let fields: Vec<_> = login
        .fields
        .iter()
        .map(|f| (f.name.as_str(), f.kind.as_str(), f.value.as_str()))
        .collect();
    assert_eq!(
        fields,
        [
            ("user", "text", "bob"),
            ("pw", "password", ""),
            ("csrf_token", "hidden", ""),
            ("s", "select", ""),
            ("t", "textarea", ""),
            ("up", "file", ""),
            ("b", "submit", "1"),
        ]
    );
    assert!(login.password && login.upload && login.fields[0].required);
    assert_eq!(login.csrf.as_deref(), Some("csrf_token"));
    assert_eq!(
        (other.action.as_str(), other.method.as_str()),
        ("http://h.example/dir/page?x=1", "GET")
    );
}

#[test]
fn scripts_handlers_and_what_they_say() {
    let found = page(
        "<script>fetch('/api/a')</script><script type=module src=/m.js integrity=x></script>
         <script type=text/template><a href=/t></script>
         <a onclick=\"fetch('/api/b')\" href=\"javascript:window.open('/api/c')\">",
    );
    let kinds: Vec<_> = found
        .scripts
        .iter()
        .map(|s| (s.kind.as_str(), s.length, s.integrity))
        .collect();
    assert_eq!(
        kinds,
        [
            ("", 15, false),
            ("module", 0, true),
            ("text/template", 11, false)
        ]
    );
    let code: Vec<_> = found
        .code
        .endpoints
        .iter()
        .map(|e| (e.kind, e.url.as_str()))
        .collect();
    assert_eq!(
        code,
        [
            (EndpointKind::Request, "/api/a"),
            (EndpointKind::Navigation, "/api/c"),
            (EndpointKind::Request, "/api/b"),
        ]
    );
    assert_eq!(found.events.get("onclick"), Some(&1));
}

#[test]
fn what_the_page_says_of_itself() {
    let found = page(
        "<!DOCTYPE html><html lang=de><head><meta charset=utf-8><title> A &amp;\n B\u{202e} </title>
         <meta name=Generator content='WordPress 6.4'><link rel=canonical href=/c>
         <meta http-equiv=content-security-policy content=x></head><!-- todo: remove -->",
    );
    assert_eq!(found.title.as_deref(), Some("A & B"));
    assert_eq!(found.generators, ["WordPress 6.4"]);
    assert_eq!(found.language.as_deref(), Some("de"));
    assert_eq!(found.canonical.unwrap().path(), "/c");
    assert_eq!(found.charset.as_deref(), Some("utf-8"));
    assert_eq!(found.comments, ["todo: remove"]);
    assert!(found.meta_csp);
}

#[test]
fn the_hash_leaves_volatile_parts_out() {
    let hash = |text: &str| page(text).hash;
    let one = "<p>Hello there, all of you</p><a href=/a?sid=1>x</a>\
               <input type=hidden name=csrf value=1><script nonce=1>a</script> 12:34:56 1700000000 \
               3f2a9c7d81e04b56aa10";
    let other = "<p>Hello   there, all of you</p>\n<a href=/a?sid=2>x</a>\
                 <input type=hidden name=csrf value=2><script nonce=2>b</script> 12:34:57 1700000001 \
                 99aac7d81e04b5611223";
    assert_eq!(hash(one), hash(other));
    assert_ne!(hash("<p>page 1</p>").exact, hash("<p>page 2</p>").exact);
    assert_ne!(
        hash("<a href=/a>x</a>").exact,
        hash("<a href=/b>x</a>").exact
    );
    let text: String = (0..400).map(|n| format!("word{n} ")).collect();
    let near = hash(&text).similar ^ hash(&format!("{text} one more")).similar;
    let far = hash(&text).similar ^ hash(&text.replace("word", "name")).similar;
    assert!(
        near.count_ones() <= 6 && far.count_ones() >= 16,
        "{near:x} {far:x}"
    );
}

#[test]
fn charsets() {
    let name = |body: &[u8], content_type: &str| decode(body, content_type).1;
    assert_eq!(name(b"x", "text/html"), "UTF-8");
    assert_eq!(name(b"\xfc", "text/html"), "windows-1252");
    assert_eq!(name(b"x", "text/html; charset=\"Shift_JIS\""), "Shift_JIS");
    assert_eq!(name(b"\xff\xfea\0", "text/html; charset=utf-8"), "UTF-16LE");
    assert_eq!(name(b"<meta charset=koi8-r>\xc1", ""), "KOI8-R");
    assert_eq!(
        name(b"<meta content='text/html; charset=gbk'>\xc1\xc1", ""),
        "GBK"
    );
    assert_eq!(
        name(b"<?xml version='1.0' encoding='iso-8859-2'?>\xe1", ""),
        "ISO-8859-2"
    );
    assert_eq!(decode(b"\xc4", "text/html; charset=koi8-r").0, "\u{434}");
    // What says that it is UTF-8 and is not.
    assert_eq!(
        decode(b"a\xffb", "text/html; charset=utf-8").0,
        "a\u{fffd}b"
    );
}

#[test]
fn style_sheets() {
    let urls = |style: &str| css::urls(style).map(|(url, _)| url).collect::<Vec<_>>();
    assert_eq!(
        urls("/* url(no) */ a{b:url(/x\\20y.png) url('z')}"),
        ["/x y.png", "z"]
    );
    assert_eq!(
        urls("@import 'a.css' screen; @font-face{src:url(b.woff2)}"),
        ["a.css", "b.woff2"]
    );
    assert_eq!(
        urls("a{b:url(data:x);content:'/not'} url("),
        Vec::<String>::new()
    );
    assert_eq!(urls("a{b:image-set(\"c.png\" 1x)}"), ["c.png"]);
}

#[test]
fn pages_without_measure() {
    let many: String = (0..30_000).map(|n| format!("<a href=/{n}>")).collect();
    let found = page(&many);
    assert!(found.truncated && found.links.len() == limits::LINKS);
    let long = format!(
        "<a href='/{}' {}>",
        "x".repeat(1 << 20),
        "a=b ".repeat(1 << 16)
    );
    assert!(page(&long).links.is_empty());
    // A handler on each element costs no more than one script with all of them.
    let handlers: String = (0..40_000)
        .map(|n| format!("<b onclick=\"fetch('/{}',{{method:'PUT'}})\">", n % 4000))
        .collect();
    let found = page(&handlers);
    assert_eq!(found.code.endpoints.len(), 4000);
    page(&"<".repeat(1 << 18));
    page(&"<!--".repeat(1 << 16));
    page(&"<form>".repeat(1 << 16));
    page(&"<script>".repeat(1 << 16));
    let comments = page(&"<!-- a <a href=/x> -->".repeat(10_000));
    assert_eq!(
        (comments.links.len(), comments.comments.len()),
        (1, limits::COMMENTS)
    );
}

/// What `make fuzz` runs.
mod fuzz_tests {
    use super::*;

    #[test]
    fn html() {
        let seeds: [&[u8]; 6] = [
            b"<!DOCTYPE html><html lang=en><head><title>x</title><base href=/b/><meta http-equiv=refresh content='0;url=/r'>",
            b"<a href='/x?a=1&amp;b'>y</a><img srcset='a 1x, b 2x'><form action=/f><input name=n value=v></form>",
            b"<script>fetch('/a')</script><style>@import 'x';a{b:url(c)}</style><p style='a:url(\"d\")' onclick='x()'>",
            b"<!--[if IE]><a href=/c><![endif]--><!-- http://a.example/x --><svg><use xlink:href=#a /></svg>",
            b"<script type=application/json>{\"a\":\"\\/b\"}</script><iframe srcdoc='<a href=http://x/y>'>",
            b"<meta charset=shift_jis>\x83\x5c\xff<a data-url=/d ping='/p /q'><textarea></a></textarea>",
        ];
        fuzz(&seeds, |bytes| {
            let (text, _) = decode(bytes, "text/html");
            let found = page(&text);
            for link in &found.links {
                assert!(matches!(link.url.scheme(), "http" | "https"));
            }
            for text in found
                .title
                .iter()
                .chain(&found.comments)
                .chain(&found.generators)
            {
                crate::engines::ports::fuzz::is_fit_to_show(text, limits::TEXT);
            }
        });
    }

    #[test]
    fn css() {
        let seeds: [&[u8]; 3] = [
            b"@import url(\"a.css\") screen; a { b: url( c\\20 d.png ) } /* url(x) */",
            b"@font-face { src: url('e.woff') format('woff'), src(\"f\") }",
            "a{b:image-set('ä.png' 1x)} \\".as_bytes(),
        ];
        fuzz(&seeds, |bytes| {
            let style = String::from_utf8_lossy(bytes);
            assert!(css::urls(&style).all(|(url, _)| !url.is_empty()));
        });
    }
}
