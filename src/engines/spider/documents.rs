//! Small documents that sites have at known places: security.txt, web manifests, source maps.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::html::shorten;

/// Entries of one kind that are kept.
const MOST: usize = 2000;
/// Characters of an entry.
const LONGEST: usize = 1000;

/// What a security.txt says (RFC 9116 §2.5).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityTxt {
    /// Whom to tell of weaknesses: mail, telephone or URL.
    pub contact: Vec<String>,
    /// From when on it is not to be used, as it stands there (RFC 3339).
    pub expires: Option<String>,
    /// URLs of all other fields: policy, acknowledgments, encryption, hiring, canonical.
    pub urls: Vec<String>,
    /// Whether it is signed.
    pub signed: bool,
}

/// Reads a security.txt; `None` without a contact, which it must have.
pub fn security_txt(text: &str) -> Option<SecurityTxt> {
    let mut found = SecurityTxt {
        signed: text.starts_with("-----BEGIN PGP SIGNED MESSAGE-----"),
        ..SecurityTxt::default()
    };
    for line in text
        .lines()
        .take(MOST)
        .filter(|line| !line.starts_with('#'))
    {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let value = shorten(value, LONGEST);
        match name.trim().to_ascii_lowercase().as_str() {
            "contact" => found.contact.push(value),
            "expires" => found.expires = Some(value),
            "acknowledgments" | "canonical" | "encryption" | "hiring" | "policy" | "csaf"
                if value.starts_with("http") =>
            {
                found.urls.push(value);
            }
            _ => {}
        }
    }
    (!found.contact.is_empty()).then_some(found)
}

/// What a source map has (ECMA-426): names of sources, and their text where it has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SourceMap {
    /// Paths of the sources.
    pub sources: Vec<String>,
    /// Their text.
    pub contents: Vec<String>,
}

#[derive(Deserialize)]
struct RawMap {
    #[serde(default)]
    sources: Vec<Option<String>>,
    #[serde(default, rename = "sourcesContent")]
    contents: Vec<Option<String>>,
    #[serde(rename = "mappings")]
    _mappings: serde::de::IgnoredAny,
}

/// Reads a source map; `None` if it is none.
pub fn source_map(text: &str) -> Option<SourceMap> {
    // Against JSON that is read by browsers as a script.
    let text = text.strip_prefix(")]}'").unwrap_or(text);
    let raw: RawMap = serde_json::from_str(text).ok()?;
    let sources = raw.sources.into_iter().flatten().take(MOST);
    Some(SourceMap {
        sources: sources.map(|source| shorten(&source, LONGEST)).collect(),
        contents: raw.contents.into_iter().flatten().take(MOST).collect(),
    })
}

/// The URLs of a web app manifest: start page, scope, shortcuts, icons, share target. `None` if it is
/// none.
pub fn web_manifest(text: &str) -> Option<Vec<String>> {
    let manifest: Value = serde_json::from_str(text).ok()?;
    let fields = manifest.as_object()?;
    if !fields.contains_key("start_url") && !fields.contains_key("icons") {
        return None;
    }
    let mut urls = Vec::new();
    for name in ["start_url", "scope", "id"] {
        urls.extend(fields.get(name).and_then(Value::as_str));
    }
    for (list, name) in [
        ("icons", "src"),
        ("shortcuts", "url"),
        ("screenshots", "src"),
    ] {
        let entries = fields
            .get(list)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        urls.extend(entries.filter_map(|entry| entry.get(name)?.as_str()));
    }
    urls.extend(
        manifest
            .pointer("/share_target/action")
            .and_then(Value::as_str),
    );
    let kept = urls
        .into_iter()
        .filter(|url| url.len() <= LONGEST)
        .take(MOST);
    Some(kept.map(str::to_owned).collect())
}
