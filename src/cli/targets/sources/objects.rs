//! JSON of masscan (-oJ).

use std::io::{self, BufRead};

use serde::Deserialize;

use super::{Counted, Found, LONGEST, Position};

/// What masscan says of an address.
#[derive(Deserialize)]
struct Seen {
    ip: Option<String>,
    finished: Option<serde::de::IgnoredAny>,
}

/// The objects of a file of JSON, whatever stands between them: masscan's lists had a comma too many
/// or too few in one version or another.
pub(super) fn objects<R: BufRead>(
    mut reader: Counted<R>,
) -> impl Iterator<Item = io::Result<Found>> {
    let position = reader.position();
    let mut last = None;
    std::iter::from_fn(move || {
        loop {
            let (line, text) = match object(&mut reader, &position) {
                Ok(Some(found)) => found,
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            };
            let found = match serde_json::from_slice::<Seen>(&text) {
                Ok(Seen { ip: Some(ip), .. }) if !ip.trim().is_empty() => Found::new(line, ip),
                Ok(Seen {
                    finished: Some(_), ..
                }) => continue,
                // As masscan 1.0 ends its list.
                Err(_) if text.trim_ascii().starts_with(b"{finished") => continue,
                Ok(_) => Found::bad(line, "has no \"ip\""),
                Err(error) => Found::bad(line, format!("is not JSON: {error}")),
            };
            // One object a port: the same address comes many times in a row.
            if let Ok(new) = &found.target {
                if last.as_ref() == Some(&new.target) {
                    continue;
                }
                last = Some(new.target.clone());
            }
            return Some(Ok(found));
        }
    })
}

/// The next object and its line.
fn object<R: BufRead>(
    reader: &mut Counted<R>,
    position: &Position,
) -> io::Result<Option<(u64, Vec<u8>)>> {
    let mut text = Vec::new();
    let (mut line, mut depth, mut quoted, mut escaped) = (0, 0_u32, false, false);
    loop {
        let Some(byte) = reader.fill_buf()?.first().copied() else {
            // An object that was cut off is reported as what it is: no JSON.
            return Ok((!text.is_empty()).then_some((line, text)));
        };
        if depth == 0 && byte == b'{' {
            line = position.line();
        }
        reader.consume(1);
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if depth > 0 => quoted = !quoted,
            b'{' if !quoted => depth += 1,
            b'}' if !quoted && depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    text.push(byte);
                    return Ok(Some((line, text)));
                }
            }
            _ => {}
        }
        if depth > 0 {
            if text.len() >= LONGEST {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("line {line}: an object is longer than {LONGEST} bytes"),
                ));
            }
            text.push(byte);
        }
    }
}
