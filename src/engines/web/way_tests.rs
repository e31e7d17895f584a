//! What goes out, to whom and when: connections that died, proxies, cookies, names of one host.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::{Client, ClientOptions, FetchError, Request, Robots, ask_robots};
use crate::fleet::{Rule, Scope};

type Heads = Arc<Mutex<Vec<String>>>;

/// A server whose connections answer as this says: by the number of the connection, the number of the
/// request on it, and the request's head; `None` closes.
async fn server(
    answer: impl Fn(usize, usize, &str) -> Option<String> + Send + Sync + 'static,
) -> (Url, Heads) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let heads = Heads::default();
    let (seen, answer) = (Arc::clone(&heads), Arc::new(answer));
    tokio::spawn(async move {
        let mut connection = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            let (seen, answer, of) = (Arc::clone(&seen), Arc::clone(&answer), connection);
            connection += 1;
            tokio::spawn(async move {
                for number in 0.. {
                    let head = head(&mut stream).await?;
                    seen.lock().unwrap().push(head.clone());
                    let said = answer(of, number, &head)?;
                    stream.write_all(said.as_bytes()).await.ok()?;
                }
                Some(())
            });
        }
    });
    (Url::parse(&url).unwrap(), heads)
}

async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

fn with(headers: &str, body: &str) -> Option<String> {
    let length = body.len();
    Some(format!(
        "HTTP/1.1 200 OK\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    ))
}

fn options() -> ClientOptions {
    ClientOptions {
        max_rate: 0,
        ..ClientOptions::new(Scope::default())
    }
}

async fn get(client: &Client, url: &Url) -> Result<super::Response, FetchError> {
    client.send(Request::get(url.clone())).await
}

/// As after a pause: all connections that are kept were closed meanwhile, not only the first.
#[tokio::test]
async fn of_many_connections_that_died_none_costs_an_answer() {
    let (url, _) = server(|_, number, _| (number == 0).then(|| with("", "x")).flatten()).await;
    let client = Client::new(options());
    for round in 0..3 {
        let asked = (0..8).map(|_| get(&client, &url));
        for answer in futures_util::future::join_all(asked).await {
            assert_eq!(answer.unwrap().body, "x", "{round}");
        }
    }
}

#[tokio::test]
async fn a_408_on_a_connection_that_was_idle_is_no_answer() {
    let (url, heads) = server(|_, number, _| match number {
        0 => with("", "x"),
        _ => Some("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n".to_owned()),
    })
    .await;
    let client = Client::new(options());
    for _ in 0..3 {
        assert_eq!(get(&client, &url).await.unwrap().status, 200);
    }
    assert_eq!(heads.lock().unwrap().len(), 5);
    // From one that is new it is one.
    let (url, _) =
        server(|_, _, _| Some("HTTP/1.1 408 x\r\nContent-Length: 0\r\n\r\n".into())).await;
    assert_eq!(get(&client, &url).await.unwrap().status, 408);
}

/// An IPv4 address written as IPv6 is the same host, under the same cap and the same rules.
#[tokio::test]
async fn a_mapped_address_is_no_other_host() {
    let (url, _) = server(|_, _, _| with("", "x")).await;
    let port = url.port().unwrap();
    let mapped = Url::parse(&format!("http://[::ffff:127.0.0.1]:{port}/")).unwrap();
    let client = Client::new(options());
    for url in [&url, &mapped] {
        assert_eq!(get(&client, url).await.unwrap().body, "x");
    }
    assert_eq!(client.paces().len(), 1);
    let denied = Client::new(ClientOptions {
        scope: Scope::new(
            vec![
                "::/0".parse::<Rule>().unwrap(),
                "127.0.0.0/8".parse().unwrap(),
            ],
            vec!["127.0.0.1".parse().unwrap()],
        ),
        ..options()
    });
    let error = get(&denied, &mapped).await.unwrap_err();
    assert!(matches!(error, FetchError::OutsideScope { .. }), "{error}");
}

#[tokio::test]
async fn user_and_password_of_a_link_are_not_sent() {
    let (url, heads) = server(|_, _, _| with("", "x")).await;
    let mut link = url.clone();
    link.set_username("me").unwrap();
    link.set_password(Some("secret")).unwrap();
    get(&Client::new(options()), &link).await.unwrap();
    let heads = heads.lock().unwrap();
    assert!(
        !heads[0].contains("secret") && !heads[0].contains("Authorization"),
        "{heads:?}"
    );
}

/// The tunnel leads to the address that was checked, and no credentials of the target go to the proxy.
#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel() {
    let (target, heads) = server(|_, _, _| with("", "x")).await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = proxy.local_addr().unwrap();
    let asked = Heads::default();
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = proxy.accept().await {
            let head = head(&mut stream).await?;
            let to = head.split(' ').nth(1)?.to_owned();
            seen.lock().unwrap().push(head);
            let mut on = TcpStream::connect(to).await.ok()?;
            stream
                .write_all(b"HTTP/1.1 200 fine\r\nX: y\r\n\r\n")
                .await
                .ok()?;
            tokio::io::copy_bidirectional(&mut stream, &mut on)
                .await
                .ok()?;
        }
        Some(())
    });
    let mut url = target.clone();
    url.set_host(Some("site.example")).unwrap();
    let through = ClientOptions {
        proxy: Some(Url::parse(&format!("http://us%40er:p%3Aw@{at}/")).unwrap()),
        scope: Scope::new(
            vec![
                "site.example".parse::<Rule>().unwrap(),
                "127.0.0.1".parse().unwrap(),
            ],
            Vec::new(),
        ),
        addresses: [("site.example".to_owned(), "127.0.0.1".parse().unwrap())].into(),
        home: Some("site.example".to_owned()),
        auth: Some(super::Auth::Bearer("token".to_owned())),
        ..options()
    };
    let client = Client::new(through);
    assert_eq!(get(&client, &url).await.unwrap().body, "x");
    let port = url.port().unwrap();
    {
        let asked = asked.lock().unwrap();
        let start = format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n");
        assert!(asked[0].starts_with(&start), "{asked:?}");
        // us@er:p:w
        assert!(
            asked[0].contains("Proxy-Authorization: Basic dXNAZXI6cDp3\r\n"),
            "{asked:?}"
        );
        assert!(!asked[0].contains("token"));
    }
    let head = heads.lock().unwrap()[0].clone();
    assert!(
        head.contains(&format!("Host: site.example:{port}\r\n")) && head.contains("Bearer token")
    );
    assert!(!head.contains("Proxy-"), "{head}");
    // What is out of scope is not asked of the proxy either.
    let outside = Url::parse("http://192.0.2.1/").unwrap();
    let error = get(&client, &outside).await.unwrap_err();
    assert!(matches!(error, FetchError::OutsideScope { .. }), "{error}");
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told_of() {
    let (proxy, _) = server(|_, _, _| Some("HTTP/1.1 407 \u{1b}[2Jno\r\n\r\n".to_owned())).await;
    let (target, heads) = server(|_, _, _| with("", "x")).await;
    let client = Client::new(ClientOptions {
        proxy: Some(proxy),
        ..options()
    });
    let error = get(&client, &target).await.unwrap_err().to_string();
    assert!(
        error.contains("407") && !error.contains('\u{1b}'),
        "{error:?}"
    );
    assert!(heads.lock().unwrap().is_empty());
}

fn cookies_of(head: &str) -> Vec<&str> {
    let line = head.lines().find_map(|line| line.strip_prefix("Cookie: "));
    let mut cookies: Vec<&str> = line
        .unwrap_or_default()
        .split("; ")
        .filter(|c| !c.is_empty())
        .collect();
    cookies.sort_unstable();
    cookies
}

#[tokio::test]
async fn cookies_go_back_to_their_host_and_path_alone() {
    let (url, heads) = server(|_, _, head| match head.starts_with("GET / ") {
        true => with(
            "Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2; Path=/deep\r\n\
             Set-Cookie: d=4; Domain=other.example\r\nSet-Cookie: e=5; Max-Age=0\r\nSet-Cookie: f\r\n",
            "",
        ),
        false => with("", ""),
    })
    .await;
    let client = Client::new(ClientOptions {
        cookies: true,
        ..options()
    });
    for path in ["/", "/x", "/deep/y"] {
        get(&client, &url.join(path).unwrap()).await.unwrap();
    }
    // Another host at the same address.
    let mut other = url.clone();
    other.set_host(Some("127.0.0.2")).unwrap();
    let _ = get(&client, &other).await;
    let heads = heads.lock().unwrap();
    assert_eq!(cookies_of(&heads[0]), [""; 0]);
    assert_eq!(cookies_of(&heads[1]), ["a=1"]);
    assert_eq!(cookies_of(&heads[2]), ["a=1", "b=2"]);
    assert!(heads.iter().skip(3).all(|head| cookies_of(head).is_empty()));
}

/// A server that sets ever new cookies fills no memory, and does not keep a session from going on.
#[tokio::test]
async fn cookies_without_end() {
    let (url, heads) = server(|_, _, head| {
        let path = head.split(' ').nth(1).unwrap();
        match path {
            "/" => with("Set-Cookie: session=first; Path=/\r\n", ""),
            "/renew" => with("Set-Cookie: session=second; Path=/\r\n", ""),
            "/last" => with("", ""),
            path => {
                let name = path.trim_start_matches('/');
                with(&format!("Set-Cookie: {name}=x; Path=/\r\n"), "")
            }
        }
    })
    .await;
    let client = Client::new(ClientOptions {
        cookies: true,
        ..options()
    });
    let more = (0..300).map(|n| format!("/c{n}"));
    for path in ["/".to_owned()]
        .into_iter()
        .chain(more)
        .chain(["/renew".to_owned(), "/last".to_owned()])
    {
        get(&client, &url.join(&path).unwrap()).await.unwrap();
    }
    let heads = heads.lock().unwrap();
    let last = cookies_of(heads.last().unwrap());
    assert_eq!(last.len(), 100);
    assert!(last.contains(&"session=second"), "{last:?}");
}

#[tokio::test]
async fn redirects_of_robots_are_followed_as_far_as_is_asked_for() {
    let (url, heads) = server(|_, _, head| match head.split(' ').nth(1).unwrap() {
        "/robots.txt" => {
            Some("HTTP/1.1 301 x\r\nLocation: /real\r\nContent-Length: 0\r\n\r\n".to_owned())
        }
        _ => with("", "User-agent: *\nDisallow: /x"),
    })
    .await;
    let client = Client::new(options());
    let (robots, asked) = ask_robots(&client, &url, "recon").await.unwrap();
    assert!(asked == 2 && !robots.allowed("/x") && robots.allowed("/y"));
    let round = "HTTP/1.1 301 x\r\nLocation: /robots.txt\r\nContent-Length: 0\r\n\r\n";
    let (round, _) = server(move |_, _, _| Some(round.to_owned())).await;
    let (robots, asked) = ask_robots(&client, &round, "recon").await.unwrap();
    assert_eq!((robots, asked), (Robots::default(), 6));
    let out = "HTTP/1.1 301 x\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n";
    let (out, _) = server(move |_, _, _| Some(out.to_owned())).await;
    let (robots, _) = ask_robots(&client, &out, "recon").await.unwrap();
    assert_eq!(robots, Robots::unreachable());
    assert_eq!(heads.lock().unwrap().len(), 2);
}

/// Work that is over is over: whoever waits for a connection, or for another's, is told at once.
#[tokio::test]
async fn nobody_connects_after_the_end() {
    for scheme in ["http", "https"] {
        // One that takes connections and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{scheme}://{}/", silent.local_addr().unwrap());
        let url = Url::parse(&url).unwrap();
        let ends = ClientOptions {
            deadline: Some(tokio::time::Instant::now() + std::time::Duration::from_millis(50)),
            connect_timeout: std::time::Duration::from_secs(3600),
            read_timeout: std::time::Duration::from_secs(3600),
            total_timeout: std::time::Duration::from_secs(3600),
            ..options()
        };
        let client = Client::new(ends);
        let asked = (0..8).map(|_| get(&client, &url));
        for answer in futures_util::future::join_all(asked).await {
            let error = answer.unwrap_err();
            let over = matches!(error, FetchError::Stopped(_) | FetchError::Timeout(_));
            assert!(over, "{scheme}: {error}");
        }
    }
}
