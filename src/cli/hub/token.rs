use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::hub_client::{HubClient, Refused};
use super::super::table::{display, table};
use super::super::targets::{json_line, time};
use super::super::{Failure, Global, Outcome, output};
use crate::api::{CreateToken, CreatedToken, ExitCode, Role, Token, TokenList};
use crate::fleet::Span;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a token. Its secret is shown this once and kept nowhere.
    Create {
        /// What its bearer may do: agent (lease work and submit results), viewer (read), operator
        /// (everything).
        #[arg(long, value_name = "ROLE")]
        role: Role,
        /// What to call it (default: the agent's name, else the role).
        #[arg(long)]
        name: Option<String>,
        /// Only this agent may use it.
        #[arg(long, value_name = "NAME")]
        agent: Option<String>,
        /// Only agents on this host may use it.
        #[arg(long, value_name = "HOST")]
        on_host: Option<String>,
        /// It ends after this long: 90d, 12h (default: never).
        #[arg(long, value_name = "TIME")]
        expires: Option<Span>,
        /// Write the secret to this new file, which only you can read, and not to the terminal.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// List tokens, newest first; never their secrets.
    List {
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 1000)]
        limit: usize,
    },
    /// Revoke tokens: whoever uses them is out at once.
    Revoke {
        /// Ids of tokens.
        #[arg(value_name = "ID", required = true)]
        ids: Vec<Uuid>,
    },
    /// Give the agents of the hub's own host another token; each takes it at its next start.
    RotateLocal,
}

pub async fn run(global: &Global, hub: &HubClient, command: Command) -> Outcome {
    match command {
        Command::Create {
            role,
            name,
            agent,
            on_host,
            expires,
            out,
        } => {
            let wish = CreateToken {
                role,
                name,
                agent,
                host: on_host,
                expires_in_s: expires.map(|span| span.0.as_secs()),
            };
            create(global, hub, &wish, out.as_deref()).await
        }
        Command::List { limit } => list(global, hub, limit).await,
        Command::Revoke { ids } => {
            for id in ids {
                hub.delete(&format!("/api/tokens/{id}")).await?;
                if global.json || global.jsonl {
                    json_line(&json!({ "revoked": id }))?;
                } else {
                    output::text(&format!("revoked {id}\n"))?;
                }
            }
            Ok(ExitCode::Ok)
        }
        Command::RotateLocal => rotate_local(global, hub).await,
    }
}

async fn create(
    global: &Global,
    hub: &HubClient,
    wish: &CreateToken,
    out: Option<&Path>,
) -> Outcome {
    // The file first: a token whose secret is lost is of no use.
    let file = out.map(new_file).transpose()?;
    let made: Result<CreatedToken, Refused> = match hub.post("/api/tokens", wish).await {
        Ok(made) => made,
        Err(failure) => return Err(without(out, failure)),
    };
    let made = made.map_err(|refused| without(out, refused.into_failure()))?;
    if let (Some(mut file), Some(path)) = (file, out) {
        writeln!(file, "{}", made.secret)
            .and_then(|()| file.sync_all())
            .with_context(|| format!("cannot write {}", path.display()))?;
        if global.json || global.jsonl {
            output::json(&made.token)?;
        } else {
            let name = display(&made.token.name);
            let text = format!(
                "token {name} ({}) is in {}\n",
                made.token.id,
                path.display()
            );
            output::text(&text)?;
        }
    } else if global.json || global.jsonl {
        output::json(&made)?;
    } else {
        eprintln!("This is shown only once:");
        output::text(&format!("{}\n", made.secret))?;
    }
    Ok(ExitCode::Ok)
}

fn new_file(path: &Path) -> anyhow::Result<std::fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let file = options.open(path);
    file.with_context(|| format!("cannot make {}", path.display()))
}

/// A failure that leaves no empty file behind.
fn without(out: Option<&Path>, failure: Failure) -> Failure {
    if let Some(path) = out {
        let _ = std::fs::remove_file(path);
    }
    failure
}

async fn list(global: &Global, hub: &HubClient, limit: usize) -> Outcome {
    let (mut tokens, mut cursor) = (Vec::new(), None);
    while tokens.len() < limit {
        let mut params = vec![("limit", (limit - tokens.len()).min(1000).to_string())];
        params.extend(cursor.take().map(|c| ("cursor", c)));
        let page: TokenList = hub.get("/api/tokens", &params).await?;
        tokens.extend(page.tokens);
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    if global.json {
        output::json(&TokenList {
            tokens,
            next_cursor: None,
        })?;
    } else if global.jsonl {
        tokens.iter().try_for_each(json_line)?;
    } else {
        let now = Utc::now();
        let rows = tokens.iter().map(|token| row(token, now)).collect();
        let head = ["NAME", "ROLE", "FOR", "STATE", "LAST USED", "ID"];
        output::text(&table(global, &head, rows))?;
    }
    Ok(ExitCode::Ok)
}

fn row(token: &Token, now: DateTime<Utc>) -> Vec<String> {
    let bound = match (&token.agent, &token.host) {
        (None, None) => "-".to_owned(),
        (agent, host) => format!(
            "{}@{}",
            agent.as_deref().unwrap_or("*"),
            host.as_deref().unwrap_or("*")
        ),
    };
    vec![
        token.name.clone(),
        token.role.to_string(),
        bound,
        state(token, now),
        token.last_used_at.map_or_else(|| "never".to_owned(), time),
        token.id.to_string(),
    ]
}

fn state(token: &Token, now: DateTime<Utc>) -> String {
    match (token.revoked_at, token.expires_at) {
        (Some(at), _) => format!("revoked {}", time(at)),
        (None, Some(at)) if at <= now => format!("expired {}", time(at)),
        (None, Some(at)) => format!("good until {}", time(at)),
        (None, None) => "good".to_owned(),
    }
}

async fn rotate_local(global: &Global, hub: &HubClient) -> Outcome {
    let done: Result<Value, Refused> = hub.post("/api/tokens/local", &json!({})).await?;
    let done = done.map_err(Refused::into_failure)?;
    if global.json || global.jsonl {
        output::json(&done)?;
        return Ok(ExitCode::Ok);
    }
    output::text(
        "The agents of the hub's host have another token; the old one is revoked. Each takes the new \
         one at its next start: reconctl restart all\n",
    )?;
    Ok(ExitCode::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_token_is_good_for() {
        let now = Utc::now();
        let mut token = Token {
            id: Uuid::nil(),
            name: "x".to_owned(),
            role: Role::Agent,
            agent: Some("kaze".to_owned()),
            host: None,
            created_at: now,
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        };
        assert_eq!(state(&token, now), "good");
        assert_eq!(row(&token, now)[2], "kaze@*");
        token.expires_at = Some(now + chrono::TimeDelta::hours(1));
        assert!(state(&token, now).starts_with("good until"));
        token.expires_at = Some(now);
        assert!(state(&token, now).starts_with("expired"));
        token.revoked_at = Some(now);
        assert!(state(&token, now).starts_with("revoked"));
    }
}
