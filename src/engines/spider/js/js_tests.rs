use super::{EndpointKind, Findings, scan};
use crate::engines::ports::fuzz::fuzz;

fn read(code: &str) -> Findings {
    let mut findings = Findings::default();
    scan(code, &mut findings);
    findings
}

/// One line for each endpoint: kind, method, URL, parameters.
#[track_caller]
fn says(code: &str, expected: &[&str]) {
    let found: Vec<String> = read(code)
        .endpoints
        .iter()
        .map(|endpoint| {
            let kind = match endpoint.kind {
                EndpointKind::Request => "request",
                EndpointKind::WebSocket => "websocket",
                EndpointKind::EventSource => "events",
                EndpointKind::Script => "script",
                EndpointKind::Navigation => "go",
                EndpointKind::Route => "route",
                EndpointKind::Literal => "literal",
            };
            let mut line = format!("{kind} {}", endpoint.url);
            for part in endpoint.method.iter().chain(&endpoint.parameters) {
                line = format!("{line} {part}");
            }
            line
        })
        .collect();
    assert_eq!(found, expected, "{code}");
}

#[test]
fn requests() {
    says("fetch('/api/users')", &["request /api/users"]);
    says(
        "fetch('users?page=1&q=' + q)",
        &["request users?page=1&q={} page q"],
    );
    says(
        "fetch('/login', {method: 'post', headers: {}, body: JSON.stringify({user, pass: p})})",
        &["request /login POST user pass"],
    );
    says("axios.post('/a', {b: 1, c})", &["request /a POST b c"]);
    says("axios.get('/a', {params: {q: 1}})", &["request /a GET q"]);
    says(
        "axios({method: 'put', url: '/a', data: {x: 1}})",
        &["request /a PUT x"],
    );
    says(
        "$.ajax({url: '/a', type: 'DELETE'})",
        &["request /a DELETE"],
    );
    says("$.ajax({url: '/a'})", &["request /a"]);
    says("$.post('/a', {b: 1})", &["request /a POST b"]);
    says(
        "var x = new XMLHttpRequest; x.open('PATCH', '/a/' + id, true)",
        &["request /a/{} PATCH"],
    );
    says("request.get('url'); $.get('x.php')", &["request x.php GET"]);
    says("navigator.sendBeacon('/b', d)", &["request /b"]);
    says(
        "this.http.get(`${this.base}/v1/${id}/x`)",
        &["request /v1/{}/x GET"],
    );
    says(
        "fetch(new Request('/r', {method: 'PUT'}))",
        &["request /r PUT"],
    );
}

#[test]
fn other_ways() {
    says(
        "new WebSocket('wss://a.example/ws')",
        &["websocket wss://a.example/ws"],
    );
    says("new EventSource(\"/events\")", &["events /events"]);
    says(
        "import('./chunk.js'); import x from '../y.js'\nrequire('react')",
        &["script ./chunk.js", "script ../y.js"],
    );
    says(
        "importScripts('/sw.js'); new Worker('w.js')",
        &["script /sw.js", "script w.js"],
    );
    says(
        "window.location.href = '/out?next=' + n",
        &["go /out?next={} next"],
    );
    says(
        "location = '/x'; location.replace(\"/y\")",
        &["go /x", "go /y"],
    );
    says("window.open('/pop')", &["go /pop"]);
}

#[test]
fn routes() {
    says(
        "const r = [{path: '/users/:id', component: U}, {path: '/plain'}]",
        &["route /users/:id", "literal /plain"],
    );
    says("<Route path=\"/about\" element={<A/>}/>", &["route /about"]);
    says("router.push('/next')", &["route /next"]);
}

#[test]
fn literals_that_are_put_together() {
    says("x = '/a/' + id + '/b'", &["literal /a/{}/b"]);
    says(
        "x = base + '/a/' + (b || c).d + f(e, '/inner')",
        &["literal /inner", "literal /a/{}"],
    );
    says(
        "x = `/a/${b + `/c/${d}`}/e`",
        &["literal /c/{}", "literal /a/{}/e"],
    );
    says("x = c ? '/one' : '/two'", &["literal /one", "literal /two"]);
    says("x = '\\/a\\u002fb\\x2Fc'", &["literal /a/b/c"]);
    says("u = '/a' + '/b'", &["literal /a/b"]);
}

#[test]
fn what_is_no_path() {
    for code in [
        "'text/html'",
        "'application/json'",
        "'image/svg+xml'",
        "'a/b'",
        "'/'",
        "'//'",
        "'/>'",
        "'</div>'",
        "'http://www.w3.org/2000/svg'",
        "'and/or'",
        "'M/d/yyyy'",
        "'1/2'",
        "x = /\\/a\\/b/",
        "'e.do'",
        "'https://'",
        "'/* x */'",
        "'/ a'",
        "'use strict'",
        "// '/x'",
        "/* '/x' */",
        "'react/jsx'",
    ] {
        says(code, &[]);
    }
}

#[test]
fn parameters() {
    let found = read(
        "p = new URLSearchParams('a=1&b=2'); params.append('c', 1); formData.append('d', x);
         url.searchParams.get('e'); map.get('no'); new URLSearchParams({f: 1, g})",
    );
    let names: Vec<_> = found.parameters.iter().map(String::as_str).collect();
    assert_eq!(names, ["a", "b", "c", "d", "e", "f", "g"]);
}

#[test]
fn source_maps() {
    assert_eq!(
        read("x\n//# sourceMappingURL=x.js.map")
            .source_map
            .as_deref(),
        Some("x.js.map")
    );
    assert_eq!(
        read("//# sourceMappingURL=data:application/json;base64,e30=").source_map,
        None
    );
}

#[test]
fn what_is_there_twice_is_told_once() {
    says(
        "fetch('/a?b=1');fetch('/a?b=1');x='/a?b=1'",
        &["request /a?b=1 b"],
    );
}

#[test]
fn code_without_end() {
    let deep = format!(
        "{}fetch('/in'){};fetch('/out')",
        "([".repeat(50_000),
        "])".repeat(50_000)
    );
    assert_eq!(read(&deep).endpoints.len(), 1);
    let many: String = (0..20_000).map(|n| format!("'/p/{n}',")).collect();
    let found = read(&many);
    assert!(found.truncated && found.endpoints.len() == 5000);
    let long = format!("'/{}'", "x".repeat(1 << 20));
    assert!(read(&long).endpoints.is_empty());
}

/// Ten megabytes on one line, as a bundle has them; how long it takes is a benchmark's matter.
#[test]
fn a_long_line() {
    let piece = "function a(b,c){return b?fetch(\"/api/v1/\"+c+`/x${b}`,{method:\"POST\"}):/[/\"]/.test(c)/2}";
    let code = piece.repeat(10_000);
    let found = read(&code);
    assert_eq!(found.endpoints.len(), 1);
}

/// What `make fuzz` runs.
mod fuzz_tests {
    use super::*;

    #[test]
    fn scan() {
        let seeds: [&[u8]; 6] = [
            b"fetch(`/a/${b}?c=${d}`, {method: 'POST', body: JSON.stringify({e, f: 1})})",
            b"axios({url: '/x', type: \"get\", params: {q: a ? '/1' : '/2'}}); x.open('GET', '/y')",
            b"const r = [{path: '/u/:id', component: U, children: [{path: 'x'}]}]; <Route path=\"/z\"/>",
            b"p = new URLSearchParams('a=1&b'); window.location = base + '/go/' + (x || y) + '/end';",
            b"import a from './b.js'; export * from \"/c.mjs\"; import('d/e.js') //# sourceMappingURL=f",
            b"'\\u{2f}x\\x2fy\\/z\\u00e9' + \"\\\n/a\" + `}${{a:`${'/b'}`}}`",
        ];
        fuzz(&seeds, |bytes| {
            let code = String::from_utf8_lossy(bytes);
            let found = read(&code);
            for endpoint in &found.endpoints {
                assert!(!endpoint.url.is_empty() && endpoint.offset < code.len());
                assert!(endpoint.parameters.len() <= 64);
            }
        });
    }
}
