use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::Finding;
use super::display::escape;
use super::wire::{ANSWER, Context};

/// Our side of the version exchange (RFC 4253 §4.2).
const HELLO: &[u8] = concat!("SSH-2.0-recon_", env!("CARGO_PKG_VERSION"), "\r\n").as_bytes();

/// SSH_MSG_KEXINIT.
const KEXINIT: u8 = 20;

/// The name lists of KEXINIT (RFC 4253 §7.1), in order; those for the way to us are as those for the
/// way back wherever it matters, so that one of each is kept.
const LISTS: [(usize, &str); 5] = [
    (0, "ssh.kex"),
    (1, "ssh.hostkey"),
    (3, "ssh.cipher"),
    (5, "ssh.mac"),
    (7, "ssh.compression"),
];

/// Says hello and reads what algorithms the server offers. `said` is what it said already.
pub async fn algorithms(
    context: &Context<'_>,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    said: &[u8],
    deadline: Instant,
    finding: &mut Finding,
) {
    if !context.say(stream, HELLO).await {
        return;
    }
    let already = said
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(said.len(), |at| at + 1);
    let mut packet = said[already..].to_vec();
    let start = packet.clone();
    let whole = |more: &[u8]| whole(&start, more);
    let more = context.listen(stream, ANSWER, deadline, whole).await;
    packet.extend(more);
    if let Some(lists) = key_exchange(&packet) {
        for (name, list) in lists {
            finding.detail(name, list);
        }
    }
}

fn whole(start: &[u8], more: &[u8]) -> bool {
    let byte = |at: usize| {
        start
            .iter()
            .chain(more)
            .nth(at)
            .copied()
            .unwrap_or_default()
    };
    let length = u32::from_be_bytes([byte(0), byte(1), byte(2), byte(3)]) as usize;
    let have = start.len() + more.len();
    have >= 4 && have - 4 >= length
}

/// The algorithms in a binary packet (RFC 4253 §6) with KEXINIT.
pub fn key_exchange(packet: &[u8]) -> Option<Vec<(&'static str, String)>> {
    let length = u32::from_be_bytes(packet.get(..4)?.try_into().ok()?) as usize;
    let padding = usize::from(*packet.get(4)?);
    let payload = packet.get(5..4 + length.checked_sub(padding)?)?;
    if *payload.first()? != KEXINIT {
        return None;
    }
    // Type and cookie, then ten lists.
    let mut rest = payload.get(17..)?;
    let mut lists = Vec::new();
    for _ in 0..10 {
        let (length, after) = rest.split_at_checked(4)?;
        let length = u32::from_be_bytes(length.try_into().ok()?) as usize;
        let (list, after) = after.split_at_checked(length)?;
        lists.push(list);
        rest = after;
    }
    let text = |index: usize| {
        let names = lists[index].split(|byte| *byte == b',');
        // RFC 4251 §6: a name is of at most 64 printable characters.
        let names = names.filter(|name| name.len() <= 64).take(64);
        names.map(escape).collect::<Vec<_>>().join(" ")
    };
    Some(LISTS.map(|(index, name)| (name, text(index))).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_of_a_server() {
        let mut payload = vec![KEXINIT];
        payload.extend([0; 16]);
        let long = "y".repeat(65);
        for list in [
            format!("curve25519-sha256,{long},x").as_str(),
            "ssh-ed25519",
            "a",
            "aes128-ctr",
            "m",
            "hmac-sha2-256",
            "none",
            "none",
            "",
            "",
        ] {
            payload.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
            payload.extend(list.bytes());
        }
        payload.extend([0; 5]);
        let mut packet = u32::try_from(payload.len() + 1 + 4)
            .unwrap()
            .to_be_bytes()
            .to_vec();
        packet.push(4);
        packet.extend(payload);
        assert!(!whole(&packet[..3], &packet[3..40]));
        packet.extend([0; 4]);
        assert!(whole(&packet[..3], &packet[3..]));
        let lists = key_exchange(&packet).unwrap();
        assert_eq!(lists[0], ("ssh.kex", "curve25519-sha256 x".to_owned()));
        assert_eq!(lists[2], ("ssh.cipher", "aes128-ctr".to_owned()));
        assert!(key_exchange(&packet[..50]).is_none());
    }
}
