//! What is known of a target's web side: what agents get before they begin, what spiders send, and what
//! lists show.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ScanPort, Technology};

/// Ports that are worth an HTTP request although nothing is known of their service: the first ones
/// before the others. From IANA's registry (http, https, http-alt, https-alt) and what web applications
/// listen on unless told otherwise.
pub const WEB_PORTS: [u16; 16] = [
    80, 443, 8080, 8443, 8000, 8008, 8888, 3000, 5000, 9000, 81, 8081, 8181, 9090, 9443, 10_000,
];

/// A service of this confidence or less is known by the number of its port only.
const GUESSED: f64 = 0.3;

/// Answer to `GET /daemon/{kumo,suzu}/context/{record_id}/`: what an agent wants to know of a record
/// before it begins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WebContext {
    /// The record is known.
    pub success: bool,
    /// The record.
    pub eggrecord_id: Uuid,
    /// Its name, address or network.
    pub target: String,
    /// Its open ports that speak HTTP, or may, the most certain first.
    pub ports: Vec<WebPort>,
    /// What it runs, as spiders found.
    pub technologies: Vec<Technology>,
    /// Paths that the newest run of a spider saw, without query, the shortest first; 2,000 at most. Only
    /// for suzu.
    pub paths: Vec<String>,
    /// Paths worth trying by what enumerations found elsewhere, best first; 1,000 at most. Only for suzu.
    pub learned: Vec<LearnedPath>,
}

/// An open port that speaks HTTP, or may.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WebPort {
    /// Its number; TCP.
    pub port: u16,
    /// Whether it speaks TLS; `null`: not known.
    pub tls: Option<bool>,
    /// The service as the scan names it; empty: it does not know it.
    pub service: String,
}

impl WebPort {
    /// Of an open port: none when it speaks something else. One whose service was not recognised may
    /// speak HTTP when its number says so ([`WEB_PORTS`]).
    pub fn of(port: &ScanPort) -> Option<Self> {
        if port.protocol != "tcp" {
            return None;
        }
        let http = port.service.contains("http");
        let detected = is_detected(port);
        if !(http || (!detected && WEB_PORTS.contains(&port.port))) {
            return None;
        }
        let tls = port.tls.is_some()
            || port.service.starts_with("ssl/")
            || port.service.starts_with("https");
        Some(Self {
            port: port.port,
            tls: (port.tls.is_some() || detected).then_some(tls),
            service: port.service.clone(),
        })
    }

    /// All of these, those that were recognised before those that only their number speaks for.
    pub fn all_of<'a>(ports: impl IntoIterator<Item = &'a ScanPort>) -> Vec<Self> {
        let mut found: Vec<_> = ports
            .into_iter()
            .filter_map(|port| {
                let web = Self::of(port)?;
                let place = WEB_PORTS.iter().position(|p| *p == port.port);
                let place = place.unwrap_or(WEB_PORTS.len());
                Some(((!is_detected(port), place, port.port), web))
            })
            .collect();
        found.sort_by_key(|(order, _)| *order);
        found.dedup_by_key(|(_, web)| web.port);
        found.into_iter().map(|(_, web)| web).collect()
    }
}

/// Whether the service was recognised, not guessed. Who names no confidence is believed.
fn is_detected(port: &ScanPort) -> bool {
    !port.service.is_empty() && (port.confidence <= 0.0 || port.confidence > GUESSED)
}

/// A path that was found elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LearnedPath {
    /// It begins with `/`.
    pub path: String,
    /// How likely it is here, 0 to 1.
    pub weight: f64,
}

/// A page in the result of a spider (`result.pages`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SpiderPage {
    /// Normalised URL, by which it is the same page again.
    pub url: String,
    /// Status of the answer; 0: there was none.
    pub status: u16,
    /// Type of the content.
    pub content_type: Option<String>,
    /// Bytes of the content.
    pub length: Option<i64>,
    /// Its title.
    pub title: Option<String>,
    /// Hash of the normalised content, hex: another one is a change.
    pub content_hash: Option<String>,
    /// Steps from where the spider began.
    pub depth: u32,
    /// There was more of it than was read.
    pub truncated: bool,
}

/// A form in the result of a spider (`result.forms`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SpiderForm {
    /// URL of the page that it is on.
    pub page: String,
    /// `GET` or `POST`, or what it says.
    pub method: String,
    /// URL that it sends to.
    pub action: String,
    /// How it encodes what it sends.
    pub enctype: String,
    /// Its fields, in their order.
    pub inputs: Vec<FormInput>,
}

/// A field of a form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FormInput {
    /// Its name.
    pub name: String,
    /// Its type (`text`, `hidden`).
    #[serde(rename = "type")]
    pub kind: String,
    /// What is in it already. That of a password is never kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// An endpoint in the result of a spider (`result.endpoints`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SpiderEndpoint {
    /// URL or path.
    pub url: String,
    /// Method; empty: not known.
    pub method: String,
    /// Names of its parameters.
    pub parameters: Vec<String>,
    /// URL of the page or script that names it.
    pub source: String,
    /// How it was found (`fetch`, `openapi`).
    pub kind: String,
}

/// A page as it was seen last, as `GET /api/targets/{id}/pages` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WebPage {
    /// Identity.
    pub id: Uuid,
    /// The record.
    pub eggrecord_id: Uuid,
    /// Normalised URL, by which it is the same page again.
    pub url: String,
    /// Status of the answer; 0: there was none.
    pub status: u16,
    /// Type of the content.
    pub content_type: Option<String>,
    /// Bytes of the content.
    pub length: Option<i64>,
    /// Its title.
    pub title: Option<String>,
    /// Hash of the normalised content, hex: another one is a change.
    pub content_hash: Option<String>,
    /// Steps from where the spider began.
    pub depth: u32,
    /// There was more of it than was read.
    pub truncated: bool,
    /// When it was first seen.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last seen.
    pub last_seen_at: DateTime<Utc>,
    /// Since when it is known not to be there.
    #[serde(default)]
    pub gone_at: Option<DateTime<Utc>>,
}

/// A form as it was seen last, as `GET /api/targets/{id}/forms` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WebForm {
    /// Identity.
    pub id: Uuid,
    /// The record.
    pub eggrecord_id: Uuid,
    /// URL of the page that it is on.
    pub page: String,
    /// `GET` or `POST`, or what it says.
    pub method: String,
    /// URL that it sends to.
    pub action: String,
    /// How it encodes what it sends.
    pub enctype: String,
    /// Its fields, in their order.
    pub inputs: Vec<FormInput>,
    /// When it was first seen.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last seen.
    pub last_seen_at: DateTime<Utc>,
}

/// An endpoint as it was seen last, as `GET /api/targets/{id}/endpoints` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WebEndpoint {
    /// Identity.
    pub id: Uuid,
    /// The record.
    pub eggrecord_id: Uuid,
    /// URL or path.
    pub url: String,
    /// Method; empty: not known.
    pub method: String,
    /// Names of its parameters.
    pub parameters: Vec<String>,
    /// URL of the page or script that names it.
    pub source: String,
    /// How it was found (`fetch`, `openapi`).
    pub kind: String,
    /// When it was first seen.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last seen.
    pub last_seen_at: DateTime<Utc>,
}

/// Answer to `GET /api/targets/{id}/pages`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct WebPageList {
    /// Those that were found last come first.
    pub pages: Vec<WebPage>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Answer to `GET /api/targets/{id}/forms`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct WebFormList {
    /// Those that were found last come first.
    pub forms: Vec<WebForm>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Answer to `GET /api/targets/{id}/endpoints`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct WebEndpointList {
    /// Those that were found last come first.
    pub endpoints: Vec<WebEndpoint>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// One run of a spider or an enumeration over a record, in its summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WebRun {
    /// Identity.
    pub id: Uuid,
    /// `kumo_spider` or `suzu_enum`.
    pub kind: String,
    /// As the agent names it.
    pub run: String,
    /// `NAME@HOST`, when known.
    pub agent: Option<String>,
    /// Whether it saw all that there is; `null`: it does not say.
    pub complete: Option<bool>,
    /// What there is to know of how it went.
    pub notes: Vec<String>,
    /// How it told pages that are there from those that are not.
    pub calibration: Vec<String>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
}

#[cfg(test)]
#[path = "web_tests.rs"]
mod tests;
