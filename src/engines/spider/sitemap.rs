//! Sitemaps and sitemap indexes (sitemaps.org, protocol 0.9), RSS and Atom, and sitemaps that are plain text.

use quick_xml::Reader;
use quick_xml::events::Event;
use serde::{Deserialize, Serialize};

/// URLs of one sitemap: the protocol's own limit.
const MOST: usize = 50_000;
/// Bytes of the longest URL that is kept; the protocol allows 2,048.
const LONGEST: usize = 4096;

/// What a sitemap says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sitemap {
    /// Pages.
    pub pages: Vec<String>,
    /// Other sitemaps, if it is an index.
    pub sitemaps: Vec<String>,
    /// Whether it has more than is kept.
    pub truncated: bool,
}

/// Reads a sitemap; what is not well formed is read as far as it is.
pub fn read(text: &str) -> Sitemap {
    let mut sitemap = Sitemap::default();
    if !text.trim_start().starts_with('<') {
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|line| line.starts_with("http")) {
            keep(&mut sitemap.pages, &mut sitemap.truncated, line);
        }
        return sitemap;
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = false;
    let mut in_index = false;
    let mut in_loc = false;
    let mut loc = String::new();
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => match tag.local_name().as_ref() {
                "sitemap" => in_index = true,
                "url" => in_index = false,
                "loc" | "link" | "guid" => in_loc = true,
                _ => {}
            },
            // `<xhtml:link href="…"/>`, Atom's `<link href="…"/>`.
            Ok(Event::Empty(tag)) if tag.local_name().as_ref() == "link" => {
                let href = tag
                    .attributes()
                    .flatten()
                    .find(|a| a.key.as_ref() == "href");
                let href = href.map(|href| href.value.replace("&amp;", "&"));
                if let Some(href) = href.filter(|href| href.starts_with("http")) {
                    keep(&mut sitemap.pages, &mut sitemap.truncated, &href);
                }
            }
            Ok(Event::Text(piece)) if in_loc => push(&mut loc, &piece),
            Ok(Event::CData(piece)) if in_loc => push(&mut loc, &piece),
            Ok(Event::GeneralRef(name)) if in_loc => loc.push_str(match name.as_ref() {
                "amp" => "&",
                "lt" => "<",
                "gt" => ">",
                "quot" => "\"",
                "apos" => "'",
                _ => "",
            }),
            Ok(Event::End(_)) if in_loc => {
                in_loc = false;
                let url = std::mem::take(&mut loc);
                let to = if in_index {
                    &mut sitemap.sitemaps
                } else {
                    &mut sitemap.pages
                };
                if url.trim().starts_with("http") {
                    keep(to, &mut sitemap.truncated, url.trim());
                }
            }
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    sitemap
}

fn push(loc: &mut String, piece: &str) {
    if loc.len() + piece.len() <= LONGEST {
        loc.push_str(piece);
    }
}

fn keep(to: &mut Vec<String>, truncated: &mut bool, url: &str) {
    if to.len() >= MOST {
        *truncated = true;
    } else if url.len() <= LONGEST {
        to.push(url.to_owned());
    }
}
