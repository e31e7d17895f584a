use std::sync::LazyLock;

use http::header;
use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::send::{Answer, Sender};

/// `packaging/web/cms.toml`.
const DATA: &str = include_str!("../../../packaging/web/cms.toml");

/// What a sign is worth, as in the earlier system: a cookie or header, words of the page, the generator,
/// a file that says so itself.
const HEADER: f64 = 0.7;
const BODY: f64 = 0.8;
const GENERATOR: f64 = 0.9;
const FILE: f64 = 0.9;

/// The system that a site is made with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cms {
    /// `WordPress`
    pub name: String,
    /// The version, as far as it is told.
    pub version: Option<String>,
    /// 0 to 1: one less the product of what each sign leaves open.
    pub confidence: f64,
    /// The signs, a few words each.
    pub evidence: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    cms: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    generator: Option<String>,
    #[serde(default)]
    headers: Vec<String>,
    #[serde(default)]
    cookies: Vec<String>,
    #[serde(default)]
    body: Vec<String>,
    #[serde(default)]
    files: Vec<File>,
    paths: Vec<String>,
}

/// A file whose text tells.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    path: String,
    /// What it says; its first group, if there is one, is the version.
    says: String,
}

/// A test makes sure that all of it reads and compiles.
static SYSTEMS: LazyLock<Vec<Entry>> = LazyLock::new(|| match toml::from_str::<Data>(DATA) {
    Ok(data) => data.cms,
    Err(_) => Vec::new(),
});

fn pattern(text: &str) -> Option<Regex> {
    let mut builder = RegexBuilder::new(text);
    builder
        .case_insensitive(true)
        .unicode(false)
        .size_limit(1 << 20)
        .build()
        .ok()
}

/// The paths that are usual for a system, without the slash at their beginning.
pub(super) fn paths(name: &str) -> &'static [String] {
    let entry = SYSTEMS.iter().find(|entry| entry.name == name);
    entry.map_or(&[], |entry| &entry.paths)
}

/// Which system the site below a path is made with, by its first page and by files that say so. Files are
/// asked for only of systems that the page speaks of, and of all, one each, if it speaks of none.
pub(super) async fn detect(sender: &Sender<'_>, base: &str, root: &Answer) -> Option<Cms> {
    let mut best: Option<Cms> = None;
    for entry in &*SYSTEMS {
        let cms = entry.by_page(root);
        if best.as_ref().map_or(0.0, |best| best.confidence) < cms.confidence {
            best = Some(cms);
        }
    }
    let known = best.as_ref().map(|cms| cms.name.clone());
    for entry in &*SYSTEMS {
        let mine = known.as_ref().is_none_or(|name| *name == entry.name);
        let files = if known.is_some() {
            entry.files.len()
        } else {
            1
        };
        for file in entry.files.iter().take(files).filter(|_| mine) {
            let Some(version) = file.look(sender, base).await else {
                continue;
            };
            let mut cms = best.take().unwrap_or_else(|| entry.cms());
            cms.sign(FILE, file.path.clone());
            cms.version = cms.version.or(version);
            let found = cms.version.is_some();
            best = Some(cms);
            if found {
                return best;
            }
        }
        if known.is_none() && best.is_some() {
            break;
        }
    }
    best
}

impl File {
    /// None: it does not say so.
    async fn look(&self, sender: &Sender<'_>, base: &str) -> Option<Option<String>> {
        let answer = sender.get(&format!("{base}{}", self.path)).await.ok()?;
        let says = pattern(&self.says)?;
        let found = says
            .captures(&answer.body)
            .filter(|_| answer.status == 200)?;
        Some(version(found.get(1).map(|group| group.as_bytes())))
    }
}

fn version(bytes: Option<&[u8]>) -> Option<String> {
    let text = std::str::from_utf8(bytes?).ok()?.trim_end_matches('.');
    let fit = |c: char| c.is_ascii_alphanumeric() || ".-_+".contains(c);
    let short = !text.is_empty() && text.len() <= 32;
    (short && text.chars().all(fit)).then(|| text.to_owned())
}

impl Entry {
    fn cms(&self) -> Cms {
        Cms {
            name: self.name.clone(),
            version: None,
            confidence: 0.0,
            evidence: Vec::new(),
        }
    }

    fn by_page(&self, root: &Answer) -> Cms {
        let mut cms = self.cms();
        for name in &self.headers {
            let (name, value) = name.split_once(':').unwrap_or((name, ""));
            let values = root.headers.get_all(name.trim()).iter();
            let mut texts = values.filter_map(|text| text.to_str().ok());
            let value = value.trim().to_ascii_lowercase();
            if texts.any(|text| text.to_ascii_lowercase().contains(&value)) {
                cms.sign(HEADER, format!("header {name}"));
            }
        }
        for cookie in &self.cookies {
            let values = root.headers.get_all(header::SET_COOKIE).iter();
            let mut names = values.filter_map(|value| value.to_str().ok());
            if names.any(|text| text.starts_with(cookie.as_str())) {
                cms.sign(HEADER, format!("cookie {cookie}"));
            }
        }
        for words in &self.body {
            if memchr::memmem::find(&root.body, words.as_bytes()).is_some() {
                cms.sign(BODY, format!("'{words}' in the page"));
            }
        }
        let generator = self.generator.as_deref().and_then(|says| {
            let tag = r#"<meta[^>]{0,200}name=["']?generator["']?[^>]{0,200}content=["']?"#;
            pattern(&format!("{tag}{says}"))
        });
        if let Some(found) = generator.and_then(|says| says.captures(&root.body)) {
            cms.version = version(found.get(1).map(|group| group.as_bytes()));
            cms.sign(GENERATOR, "generator".to_owned());
        }
        cms
    }
}

impl Cms {
    fn sign(&mut self, worth: f64, what: String) {
        let open = (1.0 - self.confidence) * (1.0 - worth);
        self.confidence = ((1.0 - open) * 1000.0).round() / 1000.0;
        self.evidence.push(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_reads_and_its_patterns_compile() {
        let data: Data = toml::from_str(DATA).unwrap();
        assert!(data.cms.len() >= 12);
        for entry in data.cms {
            let patterns = entry
                .files
                .iter()
                .map(|file| &file.says)
                .chain(&entry.generator);
            patterns.for_each(|says| assert!(pattern(says).is_some(), "{says}"));
            assert!(
                !entry.paths.is_empty() && !entry.files.is_empty(),
                "{}",
                entry.name
            );
            for path in &entry.paths {
                assert!(super::super::words::is_usable(path.as_bytes()), "{path}");
            }
        }
    }

    #[test]
    fn version_is_one() {
        assert_eq!(version(Some(b"6.4.2.")), Some("6.4.2".to_owned()));
        assert_eq!(version(Some(b"<b>\x1b")), None);
        assert_eq!(version(None), None);
    }
}
