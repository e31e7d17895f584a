//! Pages that want out, or want to stay for ever.

use tokio::net::{TcpListener, UdpSocket};

use super::browser_tests::{Bed, html};
use super::*;

/// Time enough for a page on a busy machine, and not for ever.
fn short() -> BrowserOptions {
    BrowserOptions {
        limit: Duration::from_secs(5),
        ..BrowserOptions::default()
    }
}

/// Nobody came by.
async fn nobody(listener: TcpListener, socket: UdpSocket) {
    let mut buffer = [0; 64];
    let came = tokio::select! {
        biased;
        came = listener.accept() => came.map(drop),
        came = socket.recv_from(&mut buffer) => came.map(drop),
        () = std::future::ready(()) => return,
    };
    panic!("something came: {came:?}");
}

#[tokio::test]
async fn nothing_gets_out_but_through_fetch() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let tcp = listener.local_addr().unwrap();
    let udp = socket.local_addr().unwrap();
    let body = format!(
        "<p>here<img src=http://outside.test/image><link rel=preconnect href=http://{tcp}/>\
         <link rel=dns-prefetch href=//outside.test><a ping=http://{tcp}/ping href=/x>x</a><script>
         try {{ new WebSocket('ws://{tcp}/socket') }} catch (e) {{}}
         try {{ new WebTransport('https://{udp}/') }} catch (e) {{}}
         const peer = new RTCPeerConnection({{iceServers: [
             {{urls: 'stun:{udp}'}},
             {{urls: 'turn:{tcp}?transport=tcp', username: 'a', credential: 'b'}}]}});
         peer.createDataChannel('x');
         peer.createOffer().then(offer => peer.setLocalDescription(offer));
         navigator.sendBeacon('http://{tcp}/beacon', 'x');
         fetch('http://{tcp}/post', {{method: 'POST', mode: 'no-cors', body: 'x'}}).catch(() => {{}});
         fetch('/post', {{method: 'DELETE'}}).catch(() => {{}});
         new SharedWorker('data:text/javascript,fetch(\"http://{tcp}/shared\",{{mode:\"no-cors\"}})');
         navigator.serviceWorker?.register('/service.js').catch(() => {{}});
         open('/window');
         </script><iframe src=/frame></iframe><iframe src=http://outside.test/frame></iframe>"
    );
    let Some(bed) = Bed::new(BrowserOptions::default(), move |path| match path {
        "/" => html(&body),
        "/frame" => html("<script>fetch('/of-frame')</script>"),
        _ => (404, "", String::new()),
    })
    .await
    else {
        return;
    };
    let page = bed.render("/").await.unwrap();
    assert!(
        page.html.contains("<p>here"),
        "it was not left: {}",
        page.html
    );
    assert_eq!(
        bed.fetch.asked("GET /image"),
        1,
        "scope is asked, and forbids it"
    );
    assert_eq!(bed.fetch.asked("GET /of-frame"), 1);
    for posted in ["POST /post", "DELETE /post", "POST /beacon"] {
        assert_eq!(bed.fetch.asked(posted), 0, "{posted}");
    }
    let window = bed.url("/window");
    assert!(page.requested.contains(&window), "{:?}", page.requested);
    bed.all_by_fetch();
    // It had all its time, and more when it ends.
    drop(bed);
    nobody(listener, socket).await;
}

/// Each way to leave has a page of its own: of two at a time the browser begins one.
#[tokio::test]
async fn a_page_is_left_for_no_other() {
    let Some(bed) = Bed::new(BrowserOptions::default(), |path| match path {
        "/script" => html("<p>here<script>location = 'http://outside.test/away'</script>"),
        "/form" => html(
            "<p>here<form action=/posted method=POST></form>\
             <script>document.forms[0].submit()</script>",
        ),
        "/framed" => html("<p>here<iframe src=/frame></iframe>"),
        "/frame" => html("<script>top.location = '/top'</script>"),
        _ => (404, "", String::new()),
    })
    .await
    else {
        return;
    };
    for (page, to) in [
        ("/script", "http://outside.test/away"),
        ("/form", bed.url("/posted").as_str()),
        ("/framed", bed.url("/top").as_str()),
    ] {
        let rendered = bed.render(page).await.unwrap();
        assert!(rendered.html.contains("<p>here"), "{page} was left");
        let told: Vec<&str> = rendered.requested.iter().map(Url::as_str).collect();
        assert!(told.contains(&to), "{to} in {told:?}");
    }
    for asked in ["GET /away", "POST /posted", "GET /top"] {
        assert_eq!(bed.fetch.asked(asked), 0, "{asked}");
    }
    bed.all_by_fetch();
}

#[tokio::test]
async fn files_of_this_machine_are_shut_and_downloads_are_not_made() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "<p>top secret").unwrap();
    let file = format!("file://{}", secret.path().display());
    let body = format!(
        "<p>here<p id=got></p><iframe src='{file}'></iframe><object data='{file}'></object>\
         <link rel=stylesheet href='{file}'><script>
         const got = text => document.getElementById('got').append(text);
         fetch('{file}').then(answer => answer.text()).then(got, () => got('refused'));
         const link = document.createElement('a');
         link.href = URL.createObjectURL(new Blob(['x'.repeat(1e6)]));
         link.download = 'from-a-page.exe';
         document.body.append(link);
         link.click();
         link.href = '/attached';
         link.click();
         setTimeout(() => {{ location = '{file}' }}, 100);
         setTimeout(() => {{ location = 'chrome://version' }}, 200);
         </script>"
    );
    let Some(bed) = Bed::new(short(), move |path| match path {
        "/" => html(&body),
        "/attached" => (
            200,
            "Content-Disposition: attachment; filename=from-a-server.exe\r\n",
            "x".to_owned(),
        ),
        _ => (404, "", String::new()),
    })
    .await
    else {
        return;
    };
    let page = bed.render("/").await.unwrap();
    assert!(page.html.contains("<p>here"), "{}", page.html);
    assert!(page.html.contains("refused"), "{}", page.html);
    assert!(!page.html.contains("top secret"), "{}", page.html);
    let process = bed.browser.running.lock().await.process.clone().unwrap();
    let saved = files_named(process.home(), ".exe");
    assert_eq!(saved, Vec::<std::path::PathBuf>::new());
}

fn files_named(dir: &std::path::Path, end: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files_named(&path, end));
        } else if path.to_string_lossy().contains(end) {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn of_a_huge_document_the_beginning_is_taken() {
    let Some(bed) = Bed::new(BrowserOptions::default(), |_| {
        html(
            "<a href=/first>1</a><script>document.body.append(...Array.from({length: 2e3}, () => {
            const p = document.createElement('p');
            p.textContent = 'x'.repeat(9000);
            return p;
        }))</script>",
        )
    })
    .await
    else {
        return;
    };
    let page = bed.render("/").await.unwrap();
    assert!(page.html.contains("/first"));
    assert_eq!(page.html.len(), 8 * 1024 * 1024);
}

#[tokio::test]
async fn pages_without_end_are_ended() {
    let Some(bed) = Bed::new(short(), |path| match path {
        "/loop" => html("<p>before<script>for (;;);</script>"),
        "/alert" => html("<p>before<script>for (;;) { alert(1); confirm(2); prompt(3); }</script>"),
        "/memory" => html(
            "<p>before<script>const all = []; for (;;) all.push(new Uint8Array(1 << 24).fill(7))</script>",
        ),
        "/objects" => html(
            "<p>before<script>const all = []; for (;;) all.push([1, 2, all.length])</script>",
        ),
        "/requests" => html(
            "<p>before<script>(async () => { for (let n = 0; ; n++) { await fetch('/x' + n) } })()</script>",
        ),
        "/console" => html("<p>before<script>setInterval(() => { for (let n = 0; n < 1e4; n++) console.log('x'.repeat(1e3)) }, 1)</script>"),
        "/nodes" => html("<p>before<script>for (;;) document.body.append(document.createElement('p'))</script>"),
        "/frames" => html("<p>before<script>if (top === window || parent.length < 50) for (let n = 0; n < 9; n++) {\
             const f = document.createElement('iframe'); f.src = '/frames?' + Math.random(); document.body.append(f) }</script>"),
        "/workers" => html("<p>before<script>for (let n = 0; n < 40; n++) new Worker('data:text/javascript,for(;;);')</script>"),
        "/windows" => html("<p>before<script>for (let n = 0; n < 100; n++) open('/windows?' + n)</script>"),
        "/reload" => html("<p>before<script>location.reload()</script>"),
        "/good" => html("<p>good<script>document.title = 'fine'</script>"),
        _ => (404, "", String::new()),
    })
    .await
    else {
        return;
    };
    for path in [
        "/loop",
        "/alert",
        "/memory",
        "/objects",
        "/requests",
        "/console",
        "/nodes",
        "/frames",
        "/workers",
        "/windows",
        "/reload",
    ] {
        let page = bed.render(path).await;
        eprintln!("{path}: {:?}", page.as_ref().map(|page| page.html.len()));
        // Who crashes has no document.
        if let Ok(page) = page {
            assert!(page.html.contains("<p>before"), "{path}: {}", page.html);
        }
        let good = bed.render("/good").await.unwrap();
        assert!(good.html.contains("fine"), "after {path}");
    }
}

#[tokio::test]
async fn a_browser_that_is_killed_is_replaced_and_leaves_nothing() {
    let Some(bed) = Bed::new(short(), |_| html("<p>good")).await else {
        return;
    };
    bed.render("/").await.unwrap();
    let first = bed.browser.running.lock().await.process.clone().unwrap();
    first.kill();
    // Either it is known to be gone by now, or this page finds out.
    let second = bed.render("/").await;
    assert!(second.is_ok() || second.is_err_and(|why| why.contains("browser")));
    bed.render("/").await.unwrap();
    let now = bed.browser.running.lock().await.process.clone().unwrap();
    assert!(!Arc::ptr_eq(&first, &now));
    let homes = [first.home().to_owned(), now.home().to_owned()];
    drop((first, now, bed));
    for home in homes {
        assert!(!home.exists(), "{home:?}");
    }
}
