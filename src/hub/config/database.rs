//! Where the data is.

use std::fmt;
use std::path::PathBuf;

use sqlx::postgres::PgConnectOptions;

use super::ConfigError;

/// Where the data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A file of this hub alone.
    Sqlite(PathBuf),
    /// A server that several hubs can share: its URL, which may hold a password.
    Postgres(String),
}

impl Database {
    pub(super) fn parse(url: &str) -> Result<Self, ConfigError> {
        let scheme = |scheme: &str| {
            url.strip_prefix(scheme)
                .is_some_and(|rest| !rest.is_empty())
        };
        if scheme("postgres://") || scheme("postgresql://") {
            return match url.parse::<PgConnectOptions>() {
                Ok(_) => Ok(Self::Postgres(url.to_owned())),
                Err(sqlx::Error::Configuration(why)) => Err(ConfigError::Postgres(why.to_string())),
                Err(problem) => Err(ConfigError::Postgres(problem.to_string())),
            };
        }
        let path = url
            .strip_prefix("sqlite://")
            .or_else(|| url.strip_prefix("sqlite:"))
            .filter(|path| !path.is_empty() && !path.contains(['?', '\0']) && *path != ":memory:")
            .ok_or_else(|| ConfigError::Database(without_password(url)))?;
        let path = PathBuf::from(path);
        if path.is_dir() {
            return Err(ConfigError::Directory(path));
        }
        Ok(Self::Sqlite(path))
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(url) => f.write_str(&without_password(url)),
        }
    }
}

/// A URL as messages may show it, and commands can use it.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let Some((who, place)) = rest.rsplit_once('@') else {
        return format!("{scheme}://{rest}");
    };
    let user = who.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}@{place}")
}
