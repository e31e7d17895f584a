use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// What the bearer of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Lease work, submit results, say how it is.
    Agent,
    /// Read everything that was found.
    Viewer,
    /// Everything.
    Operator,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Agent, Self::Viewer, Self::Operator];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no role: agent, viewer or operator"))
    }
}

/// A token, without its secret: nobody has that but its bearer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    /// Id.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// The only agent that its bearer may act as.
    #[serde(default)]
    pub agent: Option<String>,
    /// The only host that this agent may be on.
    #[serde(default)]
    pub host: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    #[serde(default)]
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    #[serde(default)]
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Body of `POST /api/tokens`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CreateToken {
    /// What its bearer may do.
    pub role: Role,
    /// What people call it; default: the agent's name, else the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The only agent that its bearer may act as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The only host that this agent may be on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Seconds until it ends; default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
}

/// Answer to it: the only time that the secret is shown.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CreatedToken {
    /// Always true.
    pub success: bool,
    /// The token.
    pub token: Token,
    /// What its bearer sends as `Authorization: Bearer …`.
    pub secret: String,
}

/// Answer to `GET /api/tokens`, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenList {
    /// The tokens.
    pub tokens: Vec<Token>,
    /// Where the next page begins.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// What somebody changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// Id; later entries have greater ones.
    pub id: Uuid,
    /// When.
    pub time: DateTime<Utc>,
    /// Who: the name of a token, of a user of this host, or `anonymous`.
    pub who: String,
    /// As what.
    pub role: Role,
    /// From where: an address, or `control socket`.
    pub peer: String,
    /// What was done: `target.create`, `token.revoke`, …
    pub action: String,
    /// To what.
    pub object: String,
    /// How it was before.
    #[serde(default)]
    pub old: Option<Value>,
    /// How it is now.
    #[serde(default)]
    pub new: Option<Value>,
    /// The request, as the hub's log names it.
    pub request_id: Uuid,
}

/// Answer to `GET /api/audit`, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AuditList {
    /// The entries.
    pub audit: Vec<AuditEntry>,
    /// Where the next page begins.
    #[serde(default)]
    pub next_cursor: Option<String>,
}
