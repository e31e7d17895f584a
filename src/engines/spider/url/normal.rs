use std::borrow::Cow;

use url::Url;

/// Bytes of the longest URL that is looked at. Servers commonly refuse a request line above 8 KiB
/// (nginx `large_client_header_buffers`, Apache `LimitRequestLine`).
pub const LONGEST_URL: usize = 4096;

/// Where a link leads, as it is asked for: absolute, `http` or `https`, normalised, without fragment.
/// `None` for what no request can be made of: other schemes, what does not parse, what is too long.
///
/// `base` is the page's URL, or what its `<base href>` says.
pub fn resolve(base: &Url, link: &str) -> Option<Url> {
    let link = link.trim_matches(|c: char| c.is_ascii_whitespace() || c.is_control());
    if link.is_empty() || link.starts_with('#') || link.len() > LONGEST_URL {
        return None;
    }
    let url = base.join(link).ok()?;
    let asked = matches!(url.scheme(), "http" | "https") && url.has_host();
    (asked && url.as_str().len() <= LONGEST_URL).then(|| normalise(url))
}

/// The same resource by its plainest name: RFC 3986 §6.2.2 (percent-encoding: upper case digits, no
/// unreserved character encoded), no empty query, no fragment, no credentials, no dot at the end of
/// the host's name.
pub fn normalise(mut url: Url) -> Url {
    if url.fragment().is_some() {
        url.set_fragment(None);
    }
    if url.query() == Some("") {
        url.set_query(None);
    }
    if !url.username().is_empty() || url.password().is_some() {
        // Neither fails for a URL that has a host, and then nothing would be wrong but the name.
        let _ = url.set_username("");
        let _ = url.set_password(None);
    }
    let undotted = url
        .host_str()
        .and_then(|host| host.strip_suffix('.'))
        .filter(|host| !host.is_empty())
        .map(str::to_owned);
    if let Some(host) = undotted {
        let _ = url.set_host(Some(&host));
    }
    if !url.as_str().contains('%') {
        return url;
    }
    if let Cow::Owned(path) = decode_unreserved(url.path()) {
        url.set_path(&path);
    }
    let query = url.query().map(decode_unreserved);
    if let Some(Cow::Owned(query)) = query {
        url.set_query(Some(&query));
    }
    url
}

/// Whether both are served by one host: the same name or address at the same port. The scheme may
/// differ only as far as the port shows it.
pub fn same_host(one: &Url, other: &Url) -> bool {
    one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// Decodes what need not be encoded, and writes the digits of the rest in upper case. A dot stays
/// encoded, as decoding it could make a dot segment after those were removed.
fn decode_unreserved(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut changed: Option<String> = None;
    let mut copied = 0;
    let mut at = 0;
    // The end of what a percent sign without digits could take for its digits: `%%36` stays, as `%6` and
    // what follows would be another encoding.
    let mut loose = 0;
    while at + 2 < bytes.len() {
        let digits = (bytes[at] == b'%')
            .then(|| Some((hex(bytes[at + 1])?, hex(bytes[at + 2])?)))
            .flatten();
        let Some((high, low)) = digits else {
            if bytes[at] == b'%' {
                loose = at + 3;
            }
            at += 1;
            continue;
        };
        let byte = high << 4 | low;
        let written = &text[at..at + 3];
        let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~');
        let decoded = unreserved && at >= loose;
        if decoded || written.bytes().any(|b| b.is_ascii_lowercase()) {
            let out = changed.get_or_insert_default();
            out.push_str(&text[copied..at]);
            if decoded {
                out.push(char::from(byte));
            } else {
                out.push_str(&written.to_ascii_uppercase());
            }
            copied = at + 3;
        }
        at += 3;
    }
    match changed {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.push_str(&text[copied..]);
            Cow::Owned(out)
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}
