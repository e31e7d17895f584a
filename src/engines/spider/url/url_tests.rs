use super::*;
use crate::engines::ports::fuzz::fuzz;
use url::Url;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[track_caller]
fn resolves(base: &str, link: &str, to: &str) {
    let found = resolve(&url(base), link).map(String::from);
    assert_eq!(found.as_deref(), (!to.is_empty()).then_some(to), "{link}");
}

#[test]
fn links_are_resolved_as_rfc_3986_5_4_has_it() {
    let base = "http://a/b/c/d;p?q";
    for (link, to) in [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g/"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("g#s", "http://a/b/c/g"),
        (";x", "http://a/b/c/;x"),
        ("..", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../../../g", "http://a/g"),
        ("/./g", "http://a/g"),
        ("./g/.", "http://a/b/c/g/"),
        ("g;x=1/../y", "http://a/b/c/y"),
        ("#s", ""),
        ("", ""),
        ("g:h", ""),
        ("javascript:void(0)", ""),
        ("mailto:a@b", ""),
        ("data:text/html,x", ""),
        ("  /g\n", "http://a/g"),
        ("http://", ""),
    ] {
        resolves(base, link, to);
    }
}

#[test]
fn names_of_one_resource_become_one() {
    for (link, to) in [
        ("HTTP://EXAMPLE.org:80/a", "http://example.org/a"),
        ("https://example.org:443", "https://example.org/"),
        ("http://example.org./a", "http://example.org/a"),
        ("http://u:p@example.org/", "http://example.org/"),
        ("/%7euser/%c3%a4", "http://a/~user/%C3%A4"),
        ("/a%2fb%2E%2e", "http://a/a%2Fb%2E%2E"),
        ("/ä b", "http://a/%C3%A4%20b"),
        ("/x?", "http://a/x"),
        ("/x?%61=%62%3d", "http://a/x?a=b%3D"),
        ("/%zz%", "http://a/%zz%"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
    ] {
        resolves("http://a/", link, to);
    }
    resolves("http://a/", &format!("/{}", "x".repeat(LONGEST_URL)), "");
}

#[test]
fn the_key_leaves_out_what_is_not_the_page() {
    let same = |one: &str, other: &str| key(&url(one)) == key(&url(other));
    assert!(same("http://a/x?b=2&a=1", "http://a/x?a=1&b=2"));
    assert!(same(
        "http://a/x?utm_source=m&a=1&fbclid=x",
        "http://a/x?a=1"
    ));
    assert!(same("http://a/x;jsessionid=0AB1?a=1", "http://a/x?a=1"));
    assert!(same("http://a/(S(lit3py55t21z5v55))/x", "http://a/x"));
    assert!(same("http://a/x?PHPSESSID=1f3870be", "http://a/x"));
    assert!(same("http://a/?sid=1f3870be274f6c49b3e31a0c", "http://a/"));
    assert!(same("http://a/a.js?_=1700000000123", "http://a/a.js"));
    // A short sid is a number of something.
    assert!(!same("http://a/?sid=12", "http://a/?sid=13"));
    assert!(!same("http://a/?a=1&a=2", "http://a/?a=2&a=1"));
    assert!(!same("http://a/?t=2", "http://a/"));
    assert!(!same("http://a/x;v=1", "http://a/x;v=2"));
    assert!(!same("https://a/", "http://a/"));
    assert!(!same("http://a:81/", "http://a/"));
    assert_eq!(
        canonical(&url("http://a/x?b&a=1&gclid=1")),
        "http://a/x?a=1&b="
    );
}

#[test]
fn a_host_is_a_name_and_a_port() {
    assert!(same_host(&url("http://a/x"), &url("http://a:80/y")));
    assert!(!same_host(&url("http://a/"), &url("https://a/")));
    assert!(!same_host(&url("http://a/"), &url("http://b.a/")));
}

#[test]
fn shapes() {
    for (of, is) in [
        ("/user/17/edit", "a/user/{n}/edit"),
        ("/2024-01-02/x", "a/{n}-{n}-{n}/x"),
        ("/f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "a/{uuid}"),
        ("/d41d8cd98f00b204e9800998ecf8427e.js", "a/{hash}.js"),
        ("/news/how-to-win-it", "a/news/{slug}"),
        ("/s?page=3&q=x&e", "a/s?e&page={n}&q={s}"),
        ("/about", "a/about"),
    ] {
        assert_eq!(shape(&url(&format!("http://a{of}"))), is);
    }
    assert_eq!(
        Shape::of(&url("http://a/1")),
        Shape::of(&url("http://a/22"))
    );
}

#[test]
fn five_thousand_numbered_pages_are_no_trap() {
    let mut guard = TrapGuard::new(TrapLimits::in_year(2026));
    for page in 1..=5000 {
        let url = url(&format!("http://a/page/{page}"));
        guard.check(&url).unwrap();
        let shape = Shape::of(&url);
        assert_eq!(guard.ask(shape), Ok(page - 1));
        guard.learned(shape, u64::from(page));
    }
}

#[test]
fn a_shape_of_equal_pages_is_left() {
    let limits = TrapLimits::in_year(2026);
    let mut guard = TrapGuard::new(limits);
    let shape = Shape::of(&url("http://a/s?sid=1"));
    let mut asked = 0;
    while guard.ask(shape).is_ok() {
        guard.learned(shape, 7);
        asked += 1;
    }
    assert_eq!(asked, limits.free);
    assert_eq!(guard.ask(shape), Err(Trap::SameContent));
    // Others go on.
    assert_eq!(guard.ask(Shape::of(&url("http://a/other"))), Ok(0));
}

#[test]
fn a_shape_has_a_last_page() {
    let mut guard = TrapGuard::new(TrapLimits {
        pages: 3,
        ..TrapLimits::in_year(2026)
    });
    let shape = Shape(1);
    let all: Vec<_> = (0..4).map(|_| guard.ask(shape)).collect();
    assert_eq!(all, [Ok(0), Ok(1), Ok(2), Err(Trap::TooMany)]);
}

#[test]
fn urls_that_are_traps_by_themselves() {
    let guard = TrapGuard::new(TrapLimits::in_year(2026));
    for (path, trap) in [
        ("/a/a/a/a", Some(Trap::Repeats)),
        ("/a/b/a/b/a/b", Some(Trap::Repeats)),
        ("/x/1/x/2/x/3/x/4/x", Some(Trap::Repeats)),
        ("/2024/01/01/01", None),
        ("/a/a", None),
        ("/cal/2031/04", Some(Trap::FarDate)),
        ("/cal?year=2031&month=4", Some(Trap::FarDate)),
        ("/cal/2031-04-01", Some(Trap::FarDate)),
        ("/cal/1969-12", Some(Trap::FarDate)),
        ("/cal/2026/04", None),
        ("/page/5000", None),
        ("/page/2999/13", None),
        (
            "/l?next=%2Fl%3Fnext%3D%252Fl%253Fnext%253D%25252Fl",
            Some(Trap::GrowingQuery),
        ),
        ("/?a=1&a=2&a=3&a=4&a=5&a=6", Some(Trap::GrowingQuery)),
        ("/?a[]=1&a[]=2&a[]=3&a[]=4&a[]=5&a[]=6", None),
    ] {
        let found = guard.check(&url(&format!("http://a{path}"))).err();
        assert_eq!(found, trap, "{path}");
    }
    let deep = format!(
        "http://a{}",
        (0..30).map(|n| format!("/d{n}")).collect::<String>()
    );
    assert_eq!(guard.check(&url(&deep)), Err(Trap::Deep));
    let long = (0..50).map(|n| format!("&p{n}=1")).collect::<String>();
    assert_eq!(
        guard.check(&url(&format!("http://a/?{long}"))),
        Err(Trap::GrowingQuery)
    );
}

#[test]
fn the_seen_set_keeps_keys() {
    let mut seen = SeenSet::default();
    assert!(seen.is_empty());
    assert!(seen.insert(1) && seen.insert(2) && !seen.insert(1));
    assert!(seen.contains(2) && !seen.contains(3));
    let again: SeenSet = seen.iter().collect();
    assert_eq!(again.len(), 2);
}

/// What `make fuzz` runs.
mod fuzz_tests {
    use super::*;

    #[test]
    fn links() {
        let seeds: [&[u8]; 8] = [
            b"../a/./b/%7e%2f%zz?b=2&a=1&utm_source=x#f",
            b"//user:pw@EXAMPLE.org.:443/x;jsessionid=1/y",
            b"/(S(abc))/2031/04/01?next=%2Fa%3Fnext%3D",
            b"http://[::1]:8080/a/a/a/a",
            "/ä/\u{202e}?ü=ß".as_bytes(),
            b"\x00\t /a\nb\r",
            b"?sid=1f3870be274f6c49b3e31a0c&_=1700000000123",
            b"/f81d4fae-7dec-11d0-a765-00a0c91e6bf6/a-b-c-d.html",
        ];
        let guard = TrapGuard::new(TrapLimits::in_year(2026));
        fuzz(&seeds, |bytes| {
            let link = String::from_utf8_lossy(bytes);
            let Some(found) = resolve(&url("http://a.example/b/c"), &link) else {
                return;
            };
            // What is normalised stays as it is, parses to itself, and keeps its key.
            assert_eq!(normalise(found.clone()), found);
            assert_eq!(Url::parse(found.as_str()).as_ref(), Ok(&found));
            assert_eq!(url(&canonical(&found)).scheme(), found.scheme());
            assert!(found.fragment().is_none() && found.as_str().len() <= 3 * LONGEST_URL);
            let _ = (guard.check(&found), Shape::of(&found), key(&found));
        });
    }
}
