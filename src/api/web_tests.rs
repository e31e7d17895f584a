use super::*;

fn port(number: u16, service: &str, confidence: f64) -> ScanPort {
    ScanPort {
        port: number,
        protocol: "tcp".to_owned(),
        service: service.to_owned(),
        product: String::new(),
        version: String::new(),
        cpe: Vec::new(),
        banner: String::new(),
        tls: None,
        confidence,
        waf: None,
        details: Default::default(),
    }
}

#[test]
fn the_service_decides_before_the_number() {
    for (number, service, confidence, wanted) in [
        (80, "http", 1.0, Some(Some(false))),
        (4711, "http", 0.0, Some(Some(false))),
        (4711, "ssl/http", 0.9, Some(Some(true))),
        (443, "https", 0.9, Some(Some(true))),
        (443, "https", 0.3, Some(None)),
        (443, "", 0.0, Some(None)),
        (3000, "ppp", 0.3, Some(None)),
        (3000, "ppp", 0.9, None),
        (8080, "ssh", 0.0, None),
        (22, "", 0.0, None),
    ] {
        let web = WebPort::of(&port(number, service, confidence));
        let tls = web.map(|web| web.tls);
        assert_eq!(tls, wanted, "{number} {service} {confidence}");
    }
    let mut udp = port(443, "https", 1.0);
    udp.protocol = "udp".to_owned();
    assert_eq!(WebPort::of(&udp), None);
}

#[test]
fn what_was_recognised_comes_first() {
    let ports = [
        port(9000, "", 0.0),
        port(80, "", 0.0),
        port(4711, "http", 1.0),
        port(22, "ssh", 1.0),
        port(443, "", 0.0),
        port(8443, "https", 1.0),
    ];
    let numbers: Vec<_> = WebPort::all_of(&ports).iter().map(|p| p.port).collect();
    assert_eq!(numbers, [8443, 4711, 80, 443, 9000]);
}

#[test]
fn what_an_older_program_does_not_send_is_empty() {
    let context: WebContext = serde_json::from_str(r#"{"ports":[{"port":80}],"new":1}"#).unwrap();
    assert_eq!(context.ports[0].tls, None);
    assert!(context.learned.is_empty());
    let page: SpiderPage = serde_json::from_str(r#"{"url":"/"}"#).unwrap();
    assert_eq!((page.status, page.truncated), (0, false));
}
