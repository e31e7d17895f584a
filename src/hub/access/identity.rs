use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use uuid::Uuid;

use super::super::error::ApiError;
use super::Need;
use crate::api::{Personality, Role, Token};

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Peer {
    /// An address.
    Network(SocketAddr),
    /// A process of this host, on the control socket, as the kernel says whose it is (`SO_PEERCRED`
    /// of unix(7)).
    Socket {
        /// Its user.
        uid: u32,
    },
}

impl Peer {
    /// Its address, when it has one.
    pub(in super::super) fn address(self) -> Option<IpAddr> {
        match self {
            Self::Network(address) => Some(address.ip().to_canonical()),
            Self::Socket { .. } => None,
        }
    }
}

/// How a caller showed who it is.
#[derive(Debug, Clone)]
pub(in super::super) enum Proof {
    /// By a token.
    Token(Arc<Token>),
    /// By being root or the hub's own user.
    Socket {
        /// Which.
        uid: u32,
    },
    /// Not at all; it is on this host, and that is enough here.
    Anonymous,
}

/// Who makes a request.
#[derive(Debug, Clone)]
pub(in super::super) struct Identity {
    pub(in super::super) proof: Proof,
    pub(in super::super) peer: Peer,
    pub(in super::super) request_id: Uuid,
}

impl<S: Sync> FromRequestParts<S> for Identity {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let own = parts.extensions.get::<Self>().cloned();
        own.ok_or_else(|| ApiError::new(StatusCode::UNAUTHORIZED, "the caller is not known"))
    }
}

impl Identity {
    /// As what it is here.
    pub(in super::super) fn role(&self) -> Role {
        match &self.proof {
            Proof::Token(token) => token.role,
            Proof::Socket { .. } | Proof::Anonymous => Role::Operator,
        }
    }

    /// Its name in the audit trail.
    pub(in super::super) fn name(&self) -> String {
        match &self.proof {
            Proof::Token(token) => format!("token {} ({})", token.name, token.id),
            Proof::Socket { uid: 0 } => "root".to_owned(),
            Proof::Socket { uid } => format!("uid {uid}"),
            Proof::Anonymous => "anonymous".to_owned(),
        }
    }

    /// From where it calls.
    pub(in super::super) fn place(&self) -> String {
        match self.peer.address() {
            Some(address) => address.to_string(),
            None => "control socket".to_owned(),
        }
    }

    /// Whether it may do what asks this.
    ///
    /// # Errors
    /// 403 that says what it lacks.
    pub(in super::super) fn check(&self, need: Need) -> Result<(), ApiError> {
        let role = self.role();
        let operator = role == Role::Operator;
        let (may, wanted) = match need {
            Need::Nothing => (true, ""),
            Need::Work => (operator || role == Role::Agent, "agent or operator"),
            Need::Look => (operator || role == Role::Viewer, "viewer or operator"),
            Need::WorkOrLook => (true, ""),
            Need::Operate => (operator, "operator"),
            Need::Administer if matches!(self.proof, Proof::Anonymous) => {
                return Err(ApiError::insufficient(
                    "this is not done anonymously: send an operator's token, or use the control \
                     socket as root",
                ));
            }
            Need::Administer => (operator, "operator"),
        };
        if may {
            return Ok(());
        }
        Err(ApiError::insufficient(format!(
            "this takes the role {wanted}, and the token's is {role}"
        )))
    }

    /// The agent that it must be, when its token is bound to one.
    fn bound(&self) -> (Option<&str>, Option<&str>) {
        match &self.proof {
            Proof::Token(token) => (token.agent.as_deref(), token.host.as_deref()),
            Proof::Socket { .. } | Proof::Anonymous => (None, None),
        }
    }

    /// Whether it can only be one agent, or only one on one host.
    pub(in super::super) fn is_bound(&self) -> bool {
        self.bound() != (None, None)
    }

    /// Who it is when it does not say so.
    pub(in super::super) fn own_agent(&self) -> Option<String> {
        let (agent, host) = self.bound();
        let host = match host {
            Some(host) => host.to_owned(),
            None => self.place(),
        };
        agent.map(|agent| format!("{agent}@{host}"))
    }

    /// Whether it may act as this agent.
    ///
    /// # Errors
    /// 403: its token belongs to another.
    pub(in super::super) fn may_be(&self, name: &str, host: &str) -> Result<(), ApiError> {
        let (own_name, own_host) = self.bound();
        if own_name.is_none_or(|own| own == name) && own_host.is_none_or(|own| own == host) {
            return Ok(());
        }
        Err(ApiError::insufficient(format!(
            "the token is for {}, not for {name}@{host}",
            self.whose()
        )))
    }

    /// Whether it may act as what calls itself so (`NAME@HOST`).
    ///
    /// # Errors
    /// 403: its token belongs to another.
    pub(in super::super) fn may_call_itself(&self, agent: &str) -> Result<(), ApiError> {
        let (name, host) = agent.split_once('@').unwrap_or((agent, ""));
        self.may_be(name, host)
    }

    /// Whether it may do the work of this kind of agent. An agent that bears the name of one kind is
    /// of no other.
    ///
    /// # Errors
    /// 403: its token belongs to another.
    pub(in super::super) fn may_work_as(&self, kind: Personality) -> Result<(), ApiError> {
        let (own, _) = self.bound();
        let own: Option<Personality> = own.and_then(|name| name.parse().ok());
        if own.is_none_or(|own| own == kind) {
            return Ok(());
        }
        Err(ApiError::insufficient(format!(
            "the token is for {}, not for {kind}",
            self.whose()
        )))
    }

    fn whose(&self) -> String {
        let (name, host) = self.bound();
        format!("{}@{}", name.unwrap_or("*"), host.unwrap_or("*"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(role: Role, agent: Option<&str>, host: Option<&str>) -> Identity {
        identity(Proof::Token(Arc::new(Token {
            id: Uuid::nil(),
            name: "x".to_owned(),
            role,
            agent: agent.map(str::to_owned),
            host: host.map(str::to_owned),
            created_at: chrono::Utc::now(),
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        })))
    }

    fn identity(proof: Proof) -> Identity {
        Identity {
            proof,
            peer: Peer::Network(([10, 0, 0, 9], 1).into()),
            request_id: Uuid::nil(),
        }
    }

    #[test]
    fn what_each_may_do() {
        use Need::*;
        let all = [Nothing, Work, Look, WorkOrLook, Operate, Administer];
        let may = |who: &Identity| all.map(|need| who.check(need).is_ok());
        let (yes, no) = (true, false);
        let of = |role| token(role, None, None);
        assert_eq!(may(&of(Role::Agent)), [yes, yes, no, yes, no, no]);
        assert_eq!(may(&of(Role::Viewer)), [yes, no, yes, yes, no, no]);
        assert_eq!(may(&of(Role::Operator)), [yes; 6]);
        let root = identity(Proof::Socket { uid: 0 });
        assert_eq!(may(&root), [yes; 6]);
        let anonymous = identity(Proof::Anonymous);
        assert_eq!(may(&anonymous), [yes, yes, yes, yes, yes, no]);
    }

    #[test]
    fn a_bound_token_is_one_agent_only() {
        let both = token(Role::Agent, Some("kaze"), Some("here"));
        assert!(both.may_be("kaze", "here").is_ok());
        assert!(both.may_call_itself("kaze@here").is_ok());
        for other in ["kage@here", "kaze@there", "kaze", ""] {
            assert!(both.may_call_itself(other).is_err(), "{other}");
        }
        assert_eq!(both.own_agent().as_deref(), Some("kaze@here"));
        assert!(both.may_work_as(Personality::Kaze).is_ok());
        assert!(both.may_work_as(Personality::Kage).is_err());

        let named = token(Role::Agent, Some("kaze-dmz"), None);
        assert!(named.may_be("kaze-dmz", "anywhere").is_ok());
        assert!(named.may_work_as(Personality::Kaze).is_ok());
        assert_eq!(named.own_agent().as_deref(), Some("kaze-dmz@10.0.0.9"));

        let on_host = token(Role::Agent, None, Some("here"));
        assert!(on_host.may_be("kage", "here").is_ok());
        assert!(on_host.may_be("kage", "there").is_err());
        assert_eq!(on_host.own_agent(), None);

        let free = token(Role::Agent, None, None);
        assert!(!free.is_bound());
        assert!(free.may_be("kage", "there").is_ok());
    }
}
