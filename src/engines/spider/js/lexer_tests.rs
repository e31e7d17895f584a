use super::lexer::{ARROW, COMPARE, LOGICAL, Lexer, OPTIONAL, STEP, TokenKind};
use crate::engines::ports::fuzz::fuzz;

/// Each token with a letter for its kind: n d s t r p.
fn tokens(code: &str) -> Vec<(char, &str)> {
    Lexer::new(code)
        .map(|token| {
            let kind = match token.kind {
                TokenKind::Name => 'n',
                TokenKind::Number => 'd',
                TokenKind::String => 's',
                TokenKind::Template => 't',
                TokenKind::Regex => 'r',
                TokenKind::Punctuator(_) => 'p',
            };
            (kind, &code[token.start..token.end])
        })
        .collect()
}

fn regexes(code: &str) -> Vec<&str> {
    let all = tokens(code).into_iter();
    all.filter(|(kind, _)| *kind == 'r')
        .map(|(_, text)| text)
        .collect()
}

#[test]
fn each_kind_of_token() {
    assert_eq!(
        tokens("#!/bin/node\nlet a$_1 = 'x\\'y' + 0x1F - 1.5e-3 // no\n* .5n /* no */ #p \\u{61}b"),
        [
            ('n', "let"),
            ('n', "a$_1"),
            ('p', "="),
            ('s', "'x\\'y'"),
            ('p', "+"),
            ('d', "0x1F"),
            ('p', "-"),
            ('d', "1.5e-3"),
            ('p', "*"),
            ('d', ".5n"),
            ('n', "#p"),
            ('n', "\\u{61}b"),
        ]
    );
    let kinds: Vec<_> = Lexer::new("=> ++ ?. ?? && === != += =")
        .map(|token| token.kind)
        .collect();
    let expected = [
        ARROW, STEP, OPTIONAL, LOGICAL, LOGICAL, COMPARE, COMPARE, COMPARE, b'=',
    ];
    assert_eq!(kinds, expected.map(TokenKind::Punctuator));
}

#[test]
fn templates_nest() {
    assert_eq!(
        tokens("`a${ {b:`c${d}e`} }f`+`g`"),
        [
            ('t', "`a${"),
            ('p', "{"),
            ('n', "b"),
            ('p', ":"),
            ('t', "`c${"),
            ('n', "d"),
            ('t', "}e`"),
            ('p', "}"),
            ('t', "}f`"),
            ('p', "+"),
            ('t', "`g`"),
        ]
    );
}

#[test]
fn a_slash_divides_or_begins_a_regular_expression() {
    for (code, found) in [
        ("a / b / c", vec![]),
        ("x = /a\\/[/]b/gi.test(y)", vec!["/a\\/[/]b/gi"]),
        ("f(/'/, 1)", vec!["/'/"]),
        ("return /\"/g", vec!["/\"/g"]),
        ("a.return / b / c", vec![]),
        ("if (x) /re/.test(y)", vec!["/re/"]),
        ("(a + b) / c / d", vec![]),
        ("a[0] / b / c", vec![]),
        ("a++ / b / c", vec![]),
        ("x = {} / 1 / 2", vec![]),
        ("if (x) { y() } /re/.exec(z)", vec!["/re/"]),
        ("() => /re/", vec!["/re/"]),
        ("a ? /x/ : /y/", vec!["/x/", "/y/"]),
        ("`${/}/.source}` / 2 / 1", vec!["/}/"]),
        ("x = a\n/ b / c", vec![]),
        ("[/a/, !/b/]", vec!["/a/", "/b/"]),
        ("typeof /x/", vec!["/x/"]),
    ] {
        assert_eq!(regexes(code), found, "{code}");
    }
}

#[test]
fn what_is_not_closed_ends_with_its_line() {
    assert_eq!(
        tokens("<p>don't</p>\n'next'"),
        [
            ('p', "<"),
            ('n', "p"),
            ('p', ">"),
            ('n', "don"),
            ('s', "'t</p>"),
            ('s', "'next'")
        ]
    );
    assert_eq!(
        tokens("= /x\n1"),
        [('p', "="), ('p', "/"), ('n', "x"), ('d', "1")]
    );
    assert_eq!(tokens("`x"), [('t', "`x")]);
    assert_eq!(tokens("'\\"), [('s', "'\\")]);
    assert_eq!(tokens("'a\\\r\nb'"), [('s', "'a\\\r\nb'")]);
}

#[test]
fn the_source_map_is_the_last_one() {
    let mut lexer = Lexer::new("//@ sourceMappingURL=a.map\nx\n//# sourceMappingURL=b.js.map");
    assert_eq!(lexer.by_ref().count(), 1);
    assert_eq!(lexer.source_map(), Some("b.js.map"));
}

#[test]
fn brackets_without_end() {
    let code = format!("{}'x'{}", "([{".repeat(20_000), ")]}".repeat(20_000));
    assert_eq!(Lexer::new(&code).count(), 120_001);
    let code = "`${".repeat(20_000);
    assert!(Lexer::new(&code).count() <= 20_001);
}

/// What `make fuzz` runs.
mod fuzz_tests {
    use super::*;

    #[test]
    fn tokens() {
        let seeds: [&[u8]; 5] = [
            b"#!x\nconst a = `x${b + `y${c}`}` / 2; if (a) /re[/]/g.test('it\\'s');",
            b"fetch(\"/api/\" + id, {method: 'POST'}) // c\n/* d */ <!-- e\n//# sourceMappingURL=x.map",
            b"a?.b ?? c?.5:1; x => {}/1/2; a++ / b; 0x1f_fn; .5e+3; \\u{61}\\u0062",
            "ä\u{a0}\u{2028}\u{feff}'ö\\ü' `\\\u{1f600}`".as_bytes(),
            b"<div onClick={() => go(\"/x\")}>don't</div>",
        ];
        fuzz(&seeds, |bytes| {
            let code = String::from_utf8_lossy(bytes);
            let mut last = 0;
            for token in Lexer::new(&code) {
                // In order, none empty, each whole characters.
                assert!(token.start >= last && token.end > token.start);
                assert!(code.get(token.start..token.end).is_some());
                last = token.end;
            }
        });
    }
}
