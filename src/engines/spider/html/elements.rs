use super::super::LinkKind;
use super::attributes::{Attributes, refresh, srcset};
use super::collect::{Inside, Reader};
use super::form::Form;
use super::{Script, limits, shorten};

/// Attributes with one URL: element, attribute, kind; in order of elements.
const URLS: [(&str, &str, LinkKind); 44] = [
    ("a", "href", LinkKind::Page),
    ("a", "ping", LinkKind::Ping),
    ("applet", "archive", LinkKind::Object),
    ("applet", "code", LinkKind::Object),
    ("applet", "codebase", LinkKind::Object),
    ("area", "href", LinkKind::Page),
    ("area", "ping", LinkKind::Ping),
    ("audio", "src", LinkKind::Media),
    ("blockquote", "cite", LinkKind::Cite),
    ("body", "background", LinkKind::Image),
    ("button", "formaction", LinkKind::Form),
    ("command", "icon", LinkKind::Image),
    ("del", "cite", LinkKind::Cite),
    ("embed", "src", LinkKind::Object),
    ("feimage", "href", LinkKind::Image),
    ("feimage", "xlink:href", LinkKind::Image),
    ("frame", "longdesc", LinkKind::Page),
    ("frame", "src", LinkKind::Frame),
    ("html", "manifest", LinkKind::Manifest),
    ("iframe", "longdesc", LinkKind::Page),
    ("iframe", "src", LinkKind::Frame),
    ("image", "href", LinkKind::Image),
    ("image", "xlink:href", LinkKind::Image),
    ("img", "longdesc", LinkKind::Page),
    ("img", "lowsrc", LinkKind::Image),
    ("img", "src", LinkKind::Image),
    ("input", "formaction", LinkKind::Form),
    ("input", "src", LinkKind::Image),
    ("ins", "cite", LinkKind::Cite),
    ("isindex", "action", LinkKind::Form),
    ("object", "codebase", LinkKind::Object),
    ("object", "data", LinkKind::Object),
    ("portal", "src", LinkKind::Frame),
    ("q", "cite", LinkKind::Cite),
    ("script", "href", LinkKind::Script),
    ("script", "xlink:href", LinkKind::Script),
    ("source", "src", LinkKind::Media),
    ("table", "background", LinkKind::Image),
    ("td", "background", LinkKind::Image),
    ("track", "src", LinkKind::Media),
    ("use", "href", LinkKind::Image),
    ("use", "xlink:href", LinkKind::Image),
    ("video", "poster", LinkKind::Image),
    ("video", "src", LinkKind::Media),
];

impl Reader<'_> {
    /// What an element says by its name.
    pub(super) fn element(&mut self, tag: &str, attributes: &Attributes) {
        self.inside = Inside::Body;
        match tag {
            "title" => self.inside = Inside::Title,
            "style" => self.inside = Inside::Style,
            "script" => self.script(attributes),
            "meta" => self.meta(attributes),
            "base" => {
                let href = attributes
                    .get("href")
                    .and_then(|href| self.url.join(href).ok());
                // The first one counts (HTML §4.2.3).
                if self.page.base.is_none() && !self.hidden {
                    self.page.base = href;
                }
            }
            "link" => self.link_element(attributes),
            "html" => {
                let language = attributes
                    .get("lang")
                    .or_else(|| attributes.get("xml:lang"));
                self.page.language = language.map(|language| shorten(language, 35));
            }
            "form" => self.form(attributes),
            "input" | "select" | "textarea" | "button" => {
                if self.in_form
                    && let Some(form) = self.page.forms.last_mut()
                {
                    self.page.truncated |= !form.add(tag, attributes);
                }
            }
            "iframe" => {
                // A page of its own, on this one's base.
                if let Some(inner) = attributes.get("srcdoc") {
                    for url in super::super::json::urls_in_text(inner) {
                        self.link(url, LinkKind::Frame);
                    }
                }
            }
            _ => {}
        }
        self.urls(tag, attributes);
    }

    fn urls(&mut self, tag: &str, attributes: &Attributes) {
        let first = URLS.partition_point(|(element, _, _)| *element < tag);
        let of_this = URLS[first..]
            .iter()
            .take_while(|(element, _, _)| *element == tag);
        for (_, name, kind) in of_this {
            let Some(value) = attributes.get(name) else {
                continue;
            };
            match *kind {
                LinkKind::Ping => value
                    .split_ascii_whitespace()
                    .for_each(|url| self.link(url, LinkKind::Ping)),
                kind => self.link(value, kind),
            }
        }
        if matches!(tag, "img" | "source" | "link") {
            for name in ["srcset", "imagesrcset"] {
                let set = attributes.get(name).unwrap_or_default();
                srcset(set)
                    .take(64)
                    .for_each(|url| self.link(url, LinkKind::Image));
            }
        }
    }

    fn script(&mut self, attributes: &Attributes) {
        let kind = attributes.get("type").unwrap_or_default().trim();
        let kind = kind.split(';').next().unwrap_or_default();
        let kind = kind.trim_end().to_ascii_lowercase();
        self.inside = if is_javascript(&kind) {
            Inside::Script
        } else if kind.ends_with("json")
            || kind.ends_with("importmap")
            || kind == "speculationrules"
        {
            Inside::Json
        } else {
            Inside::Other
        };
        let src = attributes.get("src").filter(|src| !src.is_empty());
        if let Some(src) = src {
            self.link(src, LinkKind::Script);
        }
        if self.page.scripts.len() >= limits::SCRIPTS {
            self.page.truncated = true;
            return;
        }
        self.page.scripts.push(Script {
            src: src.map(|src| shorten(src, limits::TEXT)),
            kind: if kind == "text/javascript" {
                String::new()
            } else {
                shorten(&kind, 60)
            },
            length: 0,
            integrity: attributes.get("integrity").is_some(),
        });
    }

    fn meta(&mut self, attributes: &Attributes) {
        if let Some(charset) = attributes.get("charset") {
            self.page.charset = Some(shorten(charset, 40));
        }
        let content = attributes.get("content").unwrap_or_default();
        let equivalent = attributes.get("http-equiv").unwrap_or_default().trim();
        if equivalent.eq_ignore_ascii_case("refresh") {
            if let Some(url) = refresh(content) {
                self.link(url, LinkKind::Redirect);
            }
        } else if equivalent.eq_ignore_ascii_case("content-security-policy") {
            self.page.meta_csp = true;
        }
        let name = attributes
            .get("name")
            .or_else(|| attributes.get("property"));
        let Some(name) = name else { return };
        match name.trim().to_ascii_lowercase().as_str() {
            "generator" if self.page.generators.len() < 8 => {
                self.page.generators.push(shorten(content, limits::TEXT));
            }
            "og:url" | "og:video" | "og:video:url" | "og:audio" | "twitter:player" => {
                self.link(content, LinkKind::Related);
            }
            "og:image" | "og:image:url" | "twitter:image" | "msapplication-tileimage" => {
                self.link(content, LinkKind::Image);
            }
            "msapplication-config" => self.link(content, LinkKind::Data),
            _ => {}
        }
    }

    fn link_element(&mut self, attributes: &Attributes) {
        let Some(href) = attributes.get("href") else {
            return;
        };
        let relations = attributes
            .get("rel")
            .unwrap_or_default()
            .to_ascii_lowercase();
        let is = |relation: &str| {
            relations
                .split_ascii_whitespace()
                .any(|one| one == relation)
        };
        if is("canonical") && self.page.canonical.is_none() {
            self.page.canonical = self.resolve(href);
        }
        let as_kind = match attributes.get("as").unwrap_or_default() {
            "script" | "worker" => Some(LinkKind::Script),
            "style" => Some(LinkKind::Style),
            "image" => Some(LinkKind::Image),
            "font" | "video" | "audio" | "track" => Some(LinkKind::Media),
            _ => None,
        };
        let kind = if is("stylesheet") {
            LinkKind::Style
        } else if is("icon") || is("apple-touch-icon") || is("mask-icon") {
            LinkKind::Image
        } else if is("manifest") {
            LinkKind::Manifest
        } else if is("modulepreload") {
            LinkKind::Script
        } else if is("dns-prefetch") || is("preconnect") {
            // A host, no page.
            return;
        } else {
            as_kind.unwrap_or(LinkKind::Related)
        };
        self.link(href, kind);
    }

    fn form(&mut self, attributes: &Attributes) {
        // A form in a form is none (HTML §13.2.6.4.7).
        if self.in_form {
            return;
        }
        self.in_form = true;
        let action = attributes.get("action").unwrap_or_default().trim();
        let target = if action.is_empty() {
            // It goes to the page itself.
            Some(super::super::url::normalise(self.url.clone()))
        } else {
            self.link(action, LinkKind::Form);
            self.resolve(action)
        };
        if self.page.forms.len() >= limits::FORMS {
            self.page.truncated = true;
            self.in_form = false;
            return;
        }
        self.page.forms.push(Form::read(attributes, target));
    }
}

fn is_javascript(kind: &str) -> bool {
    matches!(
        kind,
        "" | "module"
            | "text/javascript"
            | "application/javascript"
            | "application/x-javascript"
            | "text/ecmascript"
            | "application/ecmascript"
            | "text/jscript"
            | "text/babel"
            | "text/jsx"
            | "text/x-javascript"
    )
}

#[cfg(test)]
mod tests {
    use super::URLS;

    #[test]
    fn the_table_is_in_order() {
        assert!(URLS.is_sorted_by_key(|(element, _, _)| element));
    }
}
