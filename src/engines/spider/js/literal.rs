use std::borrow::Cow;

/// Bytes of the longest literal that is looked at: no URL is longer.
pub(super) const LONGEST: usize = 4096;

/// The text of a literal between its quotes, with its escapes undone.
pub(super) fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let mut after = rest[at + 1..].chars();
        let Some(escaped) = after.next() else {
            rest = "";
            break;
        };
        rest = after.as_str();
        let code = match escaped {
            'x' => take_hex(&mut rest, 2),
            'u' if rest.starts_with('{') => {
                rest[1..].find('}').filter(|end| *end <= 6).and_then(|end| {
                    let code = u32::from_str_radix(&rest[1..=end], 16).ok();
                    rest = &rest[end + 2..];
                    code
                })
            }
            'u' => take_hex(&mut rest, 4),
            _ => None,
        };
        match (code.and_then(char::from_u32), escaped) {
            (Some(c), _) => out.push(c),
            (None, 'n' | 'r' | 't' | 'b' | 'f' | 'v' | '0') => out.push(' '),
            (None, '\n' | '\r') => {}
            (None, other) => out.push(other),
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn take_hex(rest: &mut &str, digits: usize) -> Option<u32> {
    let code = rest
        .get(..digits)
        .and_then(|text| u32::from_str_radix(text, 16).ok())?;
    *rest = &rest[digits..];
    Some(code)
}

/// A literal that is a URL or path by how it looks, without anything else known of it.
pub(super) fn is_path(text: &str) -> bool {
    if text.len() < 2 || text.len() > LONGEST || !text.contains(['/', '.']) {
        return false;
    }
    if has_scheme(text) {
        return is_url(text);
    }
    if !text.bytes().all(is_path_byte) {
        return false;
    }
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let holes_out = path.replace("{}", "");
    if !holes_out.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        return false;
    }
    if let Some(rest) = text.strip_prefix("//") {
        // A host of its own: `//cdn.example.org/x`.
        let host = rest.split('/').next().unwrap_or_default();
        return host.contains('.') && rest.starts_with(|c: char| c.is_ascii_alphanumeric());
    }
    if let Some(rest) = path.strip_prefix('/') {
        return rest.starts_with(|c: char| c.is_ascii_alphanumeric() || "_~.{:@".contains(c))
            && !rest.ends_with(['=', ','])
            && !is_pattern(rest);
    }
    if path.starts_with("./") || path.starts_with("../") {
        return true;
    }
    is_relative(path)
}

/// `api/users`, `login.php`: a file that servers have, or a word that APIs begin with.
fn is_relative(path: &str) -> bool {
    if !path.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
        return false;
    }
    const STARTS: [&str; 10] = [
        "api/",
        "rest/",
        "graphql/",
        "v1/",
        "v2/",
        "v3/",
        "ajax/",
        "wp-json/",
        "rpc/",
        "services/",
    ];
    if STARTS.iter().any(|start| path.starts_with(start)) {
        return true;
    }
    const EXTENSIONS: [&str; 15] = [
        "php", "asp", "aspx", "ashx", "asmx", "jsp", "jspx", "do", "action", "cgi", "cfm", "json",
        "html", "htm", "xml",
    ];
    let Some((stem, extension)) = path.rsplit_once('.') else {
        return false;
    };
    // `app.action` and `e.do` are members of something.
    let words = matches!(extension, "do" | "action" | "json" | "xml" | "html");
    EXTENSIONS.contains(&extension) && !stem.is_empty() && (!words || path.contains('/'))
}

/// `http`, `https`, `ws`, `wss`.
fn has_scheme(text: &str) -> bool {
    let scheme = text.split("://").next().unwrap_or_default();
    scheme.len() < text.len()
        && ["http", "https", "ws", "wss"]
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known))
}

/// With a host, and not the name of something in XML.
fn is_url(text: &str) -> bool {
    const NAMES: [&str; 6] = [
        "www.w3.org/",
        "ns.adobe.com/",
        "schemas.",
        "purl.org/",
        "xmlns.",
        "xml.apache.org/",
    ];
    let Some((_, rest)) = text.split_once("://") else {
        return false;
    };
    let known = NAMES.iter().any(|name| rest.starts_with(name));
    !known
        && rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[' || c == '{')
        && text.bytes().all(|byte| is_path_byte(byte) || byte >= 0x80)
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/._-~%?&=+:;,@!$*#{}[]()".contains(&byte)
}

/// A piece of a regular expression or of a message, not a path.
fn is_pattern(rest: &str) -> bool {
    rest.contains("(?")
        || rest.contains(")+")
        || rest.contains("]*")
        || rest.contains("$/")
        || rest.contains(",/")
}

/// What may be requested though it looks like nothing: the argument of `fetch`.
pub(super) fn is_target(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST
        && text
            .replace("{}", "")
            .bytes()
            .any(|byte| byte.is_ascii_alphanumeric() || byte == b'/')
        && !text
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || "<>\"`\\^|".contains(c))
        && !text.starts_with("data:")
        && !text.starts_with("blob:")
        && !text.starts_with("javascript:")
}

/// A method of HTTP, however it is spelled.
pub(super) fn method(text: &str) -> Option<&'static str> {
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
        .into_iter()
        .find(|method| method.eq_ignore_ascii_case(text))
}
