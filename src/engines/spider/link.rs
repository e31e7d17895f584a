use serde::{Deserialize, Serialize};
use url::Url;

/// By what a page leads to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// `a`, `area`: something to click on.
    Page,
    /// The action of a form; the form says the method.
    Form,
    /// `iframe`, `frame`, `portal`.
    Frame,
    /// `script`, modules and workers.
    Script,
    /// A style sheet.
    Style,
    /// `img`, `srcset`, icons, posters.
    Image,
    /// `video`, `audio`, `source`, `track`.
    Media,
    /// `object`, `embed`, `applet`.
    Object,
    /// A web app manifest.
    Manifest,
    /// `link` with another relation: `canonical`, `next`, `alternate`, `preload`.
    Related,
    /// A `refresh` that leads elsewhere by itself, a `Location`.
    Redirect,
    /// The source of a quotation or change.
    Cite,
    /// Told of clicks.
    Ping,
    /// An URL among data: `data-*`, JSON, XML.
    Data,
    /// In a comment of the page.
    Comment,
    /// Told by a script.
    Code,
    /// In a sitemap.
    Sitemap,
}

/// A URL that a page leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Absolute and normalised.
    #[serde(with = "as_text")]
    pub url: Url,
    /// By what.
    pub kind: LinkKind,
}

mod as_text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use url::Url;

    pub fn serialize<S: Serializer>(url: &Url, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(url.as_str())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Url, D::Error> {
        let text = String::deserialize(from)?;
        Url::parse(&text).map_err(D::Error::custom)
    }
}
