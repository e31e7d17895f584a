use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use super::limits::PRESCAN;

/// The text of a body and the name of its charset, in the order of the WHATWG: byte order mark, the
/// `charset` of Content-Type, `<meta>`; else UTF-8 if it is, else windows-1252.
pub fn decode<'a>(body: &'a [u8], content_type: &str) -> (Cow<'a, str>, &'static str) {
    if let Some((encoding, length)) = Encoding::for_bom(body) {
        let (text, _) = encoding.decode_without_bom_handling(&body[length..]);
        return (text, encoding.name());
    }
    let named = parameter(content_type).or_else(|| declared(body));
    // Most pages are: no table is needed then, nor a copy.
    if named.is_none_or(|encoding| encoding == UTF_8)
        && let Ok(text) = std::str::from_utf8(body)
    {
        return (Cow::Borrowed(text), UTF_8.name());
    }
    let encoding = named.unwrap_or(WINDOWS_1252);
    let (text, _) = encoding.decode_without_bom_handling(body);
    (text, encoding.name())
}

/// The charset of a Content-Type.
fn parameter(content_type: &str) -> Option<&'static Encoding> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        let charset = name.trim().eq_ignore_ascii_case("charset");
        charset.then(|| Encoding::for_label(value.as_bytes()))?
    })
}

/// The charset that the beginning of a body declares: `<meta charset>`, `<meta http-equiv>` or the XML
/// declaration.
pub fn declared(body: &[u8]) -> Option<&'static Encoding> {
    let head = &body[..body.len().min(PRESCAN)];
    let start = head.trim_ascii_start();
    let name: &[u8] = if start.starts_with(b"<?xml") {
        b"encoding"
    } else {
        b"charset"
    };
    let mut rest = head;
    loop {
        let at = rest
            .windows(name.len())
            .position(|window| window.eq_ignore_ascii_case(name))?;
        rest = &rest[at + name.len()..];
        let after = rest.trim_ascii_start();
        let Some(value) = after.strip_prefix(b"=") else {
            continue;
        };
        let value = value.trim_ascii_start();
        let value = value.strip_prefix(b"\"").unwrap_or(value);
        let value = value.strip_prefix(b"'").unwrap_or(value);
        let end = value
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric() && !b"-_:.".contains(byte))
            .unwrap_or(value.len());
        if let Some(encoding) = Encoding::for_label(&value[..end]) {
            // A page that could be read until here is not UTF-16, whatever it says (WHATWG).
            return Some(if encoding.is_ascii_compatible() {
                encoding
            } else {
                UTF_8
            });
        }
    }
}
