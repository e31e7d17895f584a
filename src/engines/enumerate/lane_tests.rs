//! The enumerator over real connections, as it runs: by lanes, many requests one after the other.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::site::{Page, Site, html};
use super::{Ended, Options, Report, Unobserved, WordList, enumerate};
use crate::engines::web::{Client, ClientOptions, Fetch, Request};
use crate::fleet::Scope;

/// Serves a site on a port of 127.0.0.1.
async fn serve(site: Arc<Site>) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let at = base.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (site, at) = (Arc::clone(&site), at.clone());
            tokio::spawn(async move { answer(stream, &site, &at).await });
        }
    });
    base
}

/// Answers what comes over one connection.
async fn answer(mut stream: TcpStream, site: &Site, base: &Url) -> Option<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap();
        let request = Request::get(base.join(path).unwrap());
        let response = site.fetch(request).await.ok()?;
        let mut out = format!("HTTP/1.1 {} X\r\n", response.status.as_u16());
        for (name, value) in &response.headers {
            out += &format!("{name}: {}\r\n", value.to_str().unwrap());
        }
        out += &format!("Content-Length: {}\r\n\r\n", response.body.len());
        let body = match head.starts_with("HEAD") {
            true => &[][..],
            false => &response.body,
        };
        let bytes = [out.as_bytes(), body].concat();
        stream.write_all(&bytes).await.ok()?;
    }
}

async fn run(site: Site, words: &[String], with: impl FnOnce(&mut Options)) -> Report {
    let base = serve(Arc::new(site)).await;
    let client = Client::new(ClientOptions {
        max_rate: 0,
        connections: 8,
        adaptive: false,
        ..ClientOptions::new(Scope::default())
    });
    let list = WordList::of_text(words.join("\n").as_bytes());
    let mut options = Options {
        concurrency: 8,
        backups: false,
        depth: 0,
        cooldown: Duration::ZERO,
        interval: Duration::ZERO,
        ..Options::new(base, Arc::new(list))
    };
    with(&mut options);
    enumerate(&options, &client, &Unobserved).await.unwrap()
}

fn words() -> Vec<String> {
    (0..1500).map(|i| format!("word{i}")).collect()
}

/// Every hundredth word is there, each second one as a page.
fn hide(site: &mut Site, words: &[String]) -> Vec<String> {
    let hidden: Vec<_> = words.iter().step_by(100).map(|w| format!("/{w}")).collect();
    for (i, path) in hidden.iter().enumerate() {
        let page = match i % 2 {
            0 => Page::new(200, html(&format!("Room {i}"), "what is in this room")),
            _ => Page::redirect(format!("/elsewhere/{i}")),
        };
        site.page(path, page);
    }
    hidden
}

fn paths(report: &Report) -> Vec<String> {
    let mut paths: Vec<_> = report.found.iter().map(|f| f.path.clone()).collect();
    paths.sort_by_key(|path| (path.len(), path.clone()));
    paths
}

#[tokio::test]
async fn all_is_found_and_nothing_else_whatever_is_said_of_what_is_not_there() {
    for missing in [
        (|_: &str, _| Page::new(404, html("Not found", "There is nothing here")))
            as fn(&str, u64) -> Page,
        |path, _| Page::new(200, html("Sorry", &format!("There is no page {path} here"))),
        |path, _| Page::redirect(format!("/login?next={path}")),
    ] {
        for head in [false, true] {
            let words = words();
            let mut site = Site::new(missing);
            let hidden = hide(&mut site, &words);
            let report = run(site, &words, |options| options.head = head).await;
            assert_eq!(report.ended, Ended::Complete, "{report:?}");
            assert_eq!(paths(&report), hidden, "HEAD first: {head}");
        }
    }
}

#[tokio::test]
async fn close_looks_at_all_at_once_do_not_wait_for_each_other() {
    let words: Vec<_> = words().into_iter().take(200).collect();
    let mut site = Site::normal();
    for (i, word) in words.iter().enumerate() {
        let text = format!("what is in room {i} and nowhere else");
        site.page(&format!("/{word}"), Page::new(200, html(word, &text)));
    }
    let report = run(site, &words, |_| {}).await;
    assert_eq!(report.ended, Ended::Complete);
    assert_eq!(report.found.len(), words.len());
}

#[tokio::test]
async fn server_that_says_too_much_is_not_asked_for_the_same_at_once() {
    let words = words();
    let mut site = Site::normal().before(|_, number| {
        (300..330)
            .contains(&number)
            .then(|| Page::new(429, "too many"))
    });
    let hidden = hide(&mut site, &words);
    let report = run(site, &words, |options| options.patience = 200).await;
    assert_eq!(report.ended, Ended::Complete, "{:?}", report.interference);
    assert_eq!(paths(&report), hidden);
    assert!(!report.interference.is_empty());
}
