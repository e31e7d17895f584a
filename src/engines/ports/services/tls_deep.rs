use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::api::TlsFacts;

use super::hello::{self, CIPHERS, ServerFlight, VERSIONS};
use super::wire::Context;
use super::{certificate, tls};

/// Time for all the connections of one port.
const TIME: Duration = Duration::from_secs(20);

/// How long a server may take to answer one hello.
const ANSWER: Duration = Duration::from_secs(3);

/// Which versions a server accepts and, for each, which cipher suites, in its own order or ours,
/// whichever it follows.
pub async fn enumerate(context: &Context<'_>, port: u16, facts: &mut TlsFacts) {
    let deadline = Instant::now() + TIME;
    let mut versions = Vec::new();
    let mut ciphers = BTreeMap::new();
    for (version, name) in VERSIONS {
        let accepted = accepted(context, port, version, deadline).await;
        if !accepted.is_empty() {
            versions.push(name.to_owned());
            ciphers.insert(name.to_owned(), accepted);
        }
    }
    // An interrupted search would look like a server that accepts less.
    if Instant::now() < deadline {
        facts.versions = versions;
        facts.ciphers = ciphers;
    }
}

/// The suites that a server accepts with a version: it is asked again without those that it chose.
async fn accepted(
    context: &Context<'_>,
    port: u16,
    version: u16,
    deadline: Instant,
) -> Vec<String> {
    let is_13 = version >= 0x0304;
    let all = CIPHERS.iter().map(|(cipher, _)| *cipher);
    let mut offered: Vec<u16> = all
        .filter(|cipher| hello::is_for_13(*cipher) == is_13)
        .collect();
    let mut accepted = Vec::new();
    while !offered.is_empty() {
        let Some(flight) = ask(context, port, version, &offered, deadline).await else {
            break;
        };
        let before = offered.len();
        offered.retain(|cipher| *cipher != flight.cipher);
        // A server that chooses what was not offered, or another version, would go on for ever.
        if offered.len() == before || flight.version != version {
            break;
        }
        accepted.push(hello::cipher_name(flight.cipher));
    }
    accepted
}

async fn ask(
    context: &Context<'_>,
    port: u16,
    version: u16,
    ciphers: &[u16],
    deadline: Instant,
) -> Option<ServerFlight> {
    let mut stream = context.connect(port, deadline).await?;
    let hello = hello::client_hello(version, ciphers, context.name());
    if !context.say(&mut stream, &hello).await {
        return None;
    }
    let answer = context
        .listen(&mut stream, ANSWER, deadline, hello::is_enough)
        .await;
    hello::server_flight(&answer)
}

/// The facts of a server that speaks only what rustls does not: its newest version, and the certificates
/// that those versions send in the clear.
pub async fn old(context: &Context<'_>, port: u16, deadline: Instant) -> Option<TlsFacts> {
    let before_13 = CIPHERS.iter().map(|(cipher, _)| *cipher);
    let ciphers: Vec<u16> = before_13
        .filter(|cipher| !hello::is_for_13(*cipher))
        .collect();
    for (version, _) in VERSIONS[..4].iter().rev() {
        let Some(flight) = ask(context, port, *version, &ciphers, deadline).await else {
            continue;
        };
        let chain: Vec<&[u8]> = flight.chain.iter().map(Vec::as_slice).collect();
        let mut facts = TlsFacts {
            version: hello::version_name(flight.version),
            cipher: hello::cipher_name(flight.cipher),
            ..TlsFacts::default()
        };
        certificate::describe(&chain, context.name(), &mut facts);
        return Some(facts);
    }
    None
}

/// Adds the facts of a deep scan, when one is wanted.
pub async fn deepen(context: &Context<'_>, port: u16, facts: Option<&mut TlsFacts>) {
    if let Some(facts) = facts.filter(|_| context.deep) {
        enumerate(context, port, facts).await;
    }
}

/// A port that shows TLS of some kind: the handshake of rustls, or else the old versions.
pub async fn any(context: &Context<'_>, port: u16, deadline: Instant) -> Option<TlsFacts> {
    let stream = context.connect(port, deadline).await?;
    match tls::handshake(context, stream, tls::Offer::Any, deadline).await {
        tls::Shaken::Done(shaken) => Some(shaken.1),
        tls::Shaken::Refused(_) => old(context, port, deadline).await,
        tls::Shaken::NotTls => None,
    }
}
