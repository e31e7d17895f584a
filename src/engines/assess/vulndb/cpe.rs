//! CPE names: NISTIR 7695 (naming), formatted strings of 2.3 and URIs of 2.2, and of NISTIR 7696
//! (matching) what is needed here.

use std::fmt;

/// Longer names are none: no real one comes near.
const LONGEST: usize = 1000;

/// The value of one attribute of a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Value {
    /// Any value (`*`).
    #[default]
    Any,
    /// The attribute means nothing for it (`-`).
    Na,
    /// This one, lower case and without quoting.
    Is(String),
    /// A pattern, lower case; `*` is any text, `?` any character, a backslash quotes.
    Like(String),
}

impl Value {
    /// Whether a value is one of those that this one stands for; `None`: the value is not known.
    pub fn holds(&self, value: &Self) -> Option<bool> {
        Some(match (self, value) {
            (Self::Any, _) => true,
            (_, Self::Any | Self::Like(_)) => return None,
            (Self::Na, Self::Na) => true,
            (Self::Is(a), Self::Is(b)) => a == b,
            (Self::Like(pattern), Self::Is(value)) => fits(pattern, value),
            _ => false,
        })
    }

    /// The text of one certain value.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Is(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Na => f.write_str("-"),
            Self::Is(text) | Self::Like(text) => f.write_str(text),
        }
    }
}

/// A CPE name; of the attributes after the update only what tells products apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpe {
    /// `a` application, `o` operating system, `h` hardware.
    pub part: char,
    /// Who makes it.
    pub vendor: Value,
    /// What it is.
    pub product: Value,
    /// Its version.
    pub version: Value,
    /// Patch level, release candidate and the like.
    pub update: Value,
    /// Edition for a market (`enterprise`).
    pub sw_edition: Value,
    /// What it runs in (`wordpress`) or on (`windows`).
    pub target_sw: Value,
    /// Machine that it is for.
    pub target_hw: Value,
}

impl Cpe {
    /// Reads a formatted string (`cpe:2.3:a:…`) or a URI (`cpe:/a:…`); `None`: it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let cpe = match text.strip_prefix("cpe:2.3:") {
            Some(rest) => formatted(rest),
            None => uri(text.strip_prefix("cpe:/")?),
        }?;
        matches!(cpe.part, 'a' | 'o' | 'h').then_some(cpe)
    }

    /// `vendor:product`, where both are certain.
    pub fn key(&self) -> Option<String> {
        Some(format!("{}:{}", self.vendor.text()?, self.product.text()?))
    }
}

fn formatted(rest: &str) -> Option<Cpe> {
    let mut fields = Vec::with_capacity(11);
    let mut start = 0;
    let mut quoted = false;
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            _ if quoted => quoted = false,
            b'\\' => quoted = true,
            b':' => {
                fields.push(rest.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    fields.push(rest.get(start..)?);
    // Some feeds leave attributes at the end out.
    if fields.len() > 11 || fields.len() < 3 || quoted {
        return None;
    }
    let value = |at: usize| {
        fields
            .get(at)
            .map_or(Some(Value::Any), |text| value_of(text))
    };
    Some(Cpe {
        part: one(fields[0])?,
        vendor: value(1)?,
        product: value(2)?,
        version: value(3)?,
        update: value(4)?,
        sw_edition: value(7)?,
        target_sw: value(8)?,
        target_hw: value(9)?,
    })
}

fn one(text: &str) -> Option<char> {
    let mut chars = text.chars();
    let first = chars.next()?.to_ascii_lowercase();
    chars.next().is_none().then_some(first)
}

fn value_of(text: &str) -> Option<Value> {
    Some(match text {
        "*" => Value::Any,
        "-" => Value::Na,
        "" => return None,
        _ => {
            let mut plain = String::with_capacity(text.len());
            let mut pattern = false;
            let mut chars = text.chars();
            while let Some(c) = chars.next() {
                match c {
                    '\\' => plain.push(chars.next()?),
                    '*' | '?' => pattern = true,
                    c => plain.push(c),
                }
            }
            match pattern {
                true => Value::Like(text.to_lowercase()),
                false => Value::Is(plain.to_lowercase()),
            }
        }
    })
}

fn uri(rest: &str) -> Option<Cpe> {
    let mut fields = rest.split(':');
    let part = one(fields.next()?)?;
    let mut next = || fields.next().map_or(Some(Value::Any), decode);
    let (vendor, product, version, update) = (next()?, next()?, next()?, next()?);
    let mut cpe = Cpe {
        part,
        vendor,
        product,
        version,
        update,
        ..Cpe::default()
    };
    // Edition, or packed: ~edition~sw_edition~target_sw~target_hw~other.
    let edition = fields.next().unwrap_or_default();
    if let Some(packed) = edition.strip_prefix('~') {
        let mut packed = packed.split('~').skip(1);
        let mut next = || packed.next().map_or(Some(Value::Any), decode);
        (cpe.sw_edition, cpe.target_sw, cpe.target_hw) = (next()?, next()?, next()?);
    }
    // The language, then nothing.
    (fields.nth(1).is_none()).then_some(cpe)
}

fn decode(text: &str) -> Option<Value> {
    match text {
        "" => return Some(Value::Any),
        "-" => return Some(Value::Na),
        _ => {}
    }
    let (mut plain, mut like, mut pattern) = (Vec::new(), Vec::new(), false);
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            plain.push(*byte);
            like.push(*byte);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        rest = &rest[2..];
        match u8::from_str_radix(digits, 16).ok()? {
            1 => {
                pattern = true;
                like.push(b'?');
            }
            2 => {
                pattern = true;
                like.push(b'*');
            }
            byte => {
                plain.push(byte);
                like.extend([b'\\', byte]);
            }
        }
    }
    let text = String::from_utf8(if pattern { like } else { plain }).ok()?;
    let text = text.to_lowercase();
    Some(match pattern {
        true => Value::Like(text),
        false => Value::Is(text),
    })
}

/// Whether a pattern fits all of a text: linear but for the last star, which is tried again.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let mut marks = Vec::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        marks.push(match c {
            '\\' => chars.next().map(Some).map(Mark::One).unwrap_or(Mark::Many),
            '*' => Mark::Many,
            '?' => Mark::One(None),
            c => Mark::One(Some(c)),
        });
    }
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut mark) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match marks.get(mark) {
            Some(Mark::One(c)) if c.is_none_or(|c| c == text[at]) => {
                at += 1;
                mark += 1;
            }
            Some(Mark::Many) => {
                star = Some((mark, at));
                mark += 1;
            }
            _ => {
                let Some((star_mark, star_at)) = star else {
                    return false;
                };
                star = Some((star_mark, star_at + 1));
                at = star_at + 1;
                mark = star_mark + 1;
            }
        }
    }
    marks[mark..].iter().all(|mark| matches!(mark, Mark::Many))
}

enum Mark {
    One(Option<char>),
    Many,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(text: &str) -> Value {
        Value::Is(text.to_owned())
    }

    #[test]
    fn formatted_strings_and_uris() {
        let cpe = Cpe::parse("cpe:2.3:a:openbsd:openssh:7.2:p2:*:*:*:*:*:*").unwrap();
        assert_eq!(cpe.key().unwrap(), "openbsd:openssh");
        assert_eq!((cpe.version, cpe.update), (is("7.2"), is("p2")));
        let cpe = Cpe::parse("cpe:2.3:a:erlang:erlang\\/otp:-:*:*:*:*:*:*:*").unwrap();
        assert_eq!(
            (cpe.key().unwrap().as_str(), cpe.version),
            ("erlang:erlang/otp", Value::Na)
        );
        assert_eq!(
            Cpe::parse("cpe:/a:erlang:erlang%2fotp")
                .unwrap()
                .key()
                .unwrap(),
            "erlang:erlang/otp"
        );
        let cpe = Cpe::parse("cpe:2.3:a:x:a\\:b\\\\c:1:*:*:*:*:WordPress:*:*").unwrap();
        assert_eq!(
            (cpe.product, cpe.target_sw),
            (is("a:b\\c"), is("wordpress"))
        );
        let cpe = Cpe::parse("cpe:/o:x:y:1.0:sp1:~~pro~windows~x64~").unwrap();
        assert_eq!(
            (
                cpe.part,
                cpe.update,
                cpe.sw_edition,
                cpe.target_sw,
                cpe.target_hw
            ),
            ('o', is("sp1"), is("pro"), is("windows"), is("x64"))
        );
        let cpe = Cpe::parse("cpe:/a:microsoft:internet_explorer:8.%02:sp%01").unwrap();
        assert_eq!(
            (cpe.version.holds(&is("8.0")), cpe.update.holds(&is("sp3"))),
            (Some(true), Some(true))
        );
        for wrong in [
            "",
            "cpe:/",
            "cpe:2.3:a",
            "cpe:2.3:q:a:b:1",
            "cpe:/a:b:c%2",
            "cpe:2.3:a:b:c\\",
            "cpe:2.3:a::b:1",
            "cpe:2.3:a:b:c:1:2:3:4:5:6:7:8:9",
            "a:b:c",
            "cpe:/a:b:%ff",
        ] {
            assert_eq!(Cpe::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn any_na_and_wildcards() {
        let like = |text: &str| value_of(text).unwrap();
        assert_eq!(like("*").holds(&Value::Na), Some(true));
        assert_eq!(like("-").holds(&is("1")), Some(false));
        assert_eq!(like("1.0").holds(&Value::Any), None);
        assert_eq!(like("1.0").holds(&is("1.0")), Some(true));
        for (pattern, text, fit) in [
            ("8.*", "8.1", true),
            ("8.*", "9.1", false),
            ("*.1", "8.0.1", true),
            ("8.?", "8.12", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("1\\*2*", "1*2x", true),
            ("1\\*2*", "1x2x", false),
        ] {
            assert_eq!(
                like(pattern).holds(&is(text)),
                Some(fit),
                "{pattern} {text}"
            );
        }
    }
}
