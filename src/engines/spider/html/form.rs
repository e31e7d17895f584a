use serde::{Deserialize, Serialize};
use url::Url;

use super::attributes::Attributes;
use super::{limits, shorten};

/// Characters of a value that is kept.
const VALUE: usize = 80;

/// A form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// Where it is sent, absolute; empty for what no request can be made of (`javascript:`).
    pub action: String,
    /// `GET`, `POST` or `DIALOG`.
    pub method: String,
    /// How it is encoded, if it says.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub enctype: String,
    /// Its `id`, else its `name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What is filled in.
    pub fields: Vec<Field>,
    /// Whether a password is.
    pub password: bool,
    /// Whether a file is.
    pub upload: bool,
    /// The field against cross-site request forgery, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csrf: Option<String>,
}

/// A field of a form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// `text`, `hidden`, `select`, `textarea` and so on.
    pub kind: String,
    /// Its value, shortened; none of a password's or a token's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// Whether it must be filled in.
    pub required: bool,
}

/// Names of the fields against request forgery: Django, Rails, Laravel, Symfony, ASP.NET, Spring,
/// WordPress, Drupal, Joomla, Phoenix.
const CSRF: [&str; 10] = [
    "csrf",
    "xsrf",
    "authenticity_token",
    "requestverificationtoken",
    "_token",
    "_wpnonce",
    "form_token",
    "form_build_id",
    "securitytoken",
    "nonce",
];

impl Form {
    pub(super) fn read(attributes: &Attributes, action: Option<Url>) -> Self {
        let method = attributes.get("method").unwrap_or_default();
        let method = ["POST", "DIALOG"]
            .into_iter()
            .find(|known| method.trim().eq_ignore_ascii_case(known));
        let name = attributes.get("id").or_else(|| attributes.get("name"));
        Self {
            action: action.map(String::from).unwrap_or_default(),
            method: method.unwrap_or("GET").to_owned(),
            enctype: shorten(attributes.get("enctype").unwrap_or_default(), VALUE),
            name: shorten(name.unwrap_or_default(), VALUE),
            ..Self::default()
        }
    }

    /// Adds a field; whether there was room.
    pub(super) fn add(&mut self, tag: &str, attributes: &Attributes) -> bool {
        let name = shorten(attributes.get("name").unwrap_or_default(), VALUE);
        let kind = match tag {
            "input" => shorten(attributes.get("type").unwrap_or("text"), 20).to_ascii_lowercase(),
            "button" => "submit".to_owned(),
            other => other.to_owned(),
        };
        self.password |= kind == "password";
        self.upload |= kind == "file";
        if name.is_empty() {
            return true;
        }
        if self.fields.len() >= limits::FIELDS {
            return false;
        }
        let lower = name.to_ascii_lowercase();
        let token = kind != "password" && CSRF.iter().any(|known| lower.contains(known));
        if token && self.csrf.is_none() {
            self.csrf = Some(name.clone());
        }
        let value = match attributes.get("value") {
            Some(value) if !token && kind != "password" => shorten(value, VALUE),
            _ => String::new(),
        };
        self.fields.push(Field {
            name,
            kind,
            value,
            required: attributes.get("required").is_some(),
        });
        true
    }
}
