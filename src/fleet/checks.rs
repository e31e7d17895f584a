use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use reqwest::Url;

use super::WebhookSettings;
use super::fragments::Value;
use super::section::{Section, expected, unknown};

/// Names of capabilities(7) up to Linux 6.18.
const CAPABILITIES: [&str; 41] = [
    "CAP_AUDIT_CONTROL",
    "CAP_AUDIT_READ",
    "CAP_AUDIT_WRITE",
    "CAP_BLOCK_SUSPEND",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_KILL",
    "CAP_LEASE",
    "CAP_LINUX_IMMUTABLE",
    "CAP_MAC_ADMIN",
    "CAP_MAC_OVERRIDE",
    "CAP_MKNOD",
    "CAP_NET_ADMIN",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_RAW",
    "CAP_PERFMON",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYSLOG",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_CHROOT",
    "CAP_SYS_MODULE",
    "CAP_SYS_NICE",
    "CAP_SYS_PACCT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_WAKE_ALARM",
];

/// Capabilities that an agent keeps, sorted, each once.
pub(super) fn capabilities(section: &mut Section<'_>, key: &'static str) -> Vec<String> {
    let mut names = Vec::new();
    for (node, text) in section.texts(key).unwrap_or_default() {
        if CAPABILITIES.contains(&text) {
            names.push(text.to_owned());
        } else {
            let guess = format!(
                "CAP_{}",
                text.to_ascii_uppercase().trim_start_matches("CAP_")
            );
            let message = if CAPABILITIES.contains(&guess.as_str()) {
                format!("unknown capability {text:?}; did you mean {guess:?}?")
            } else {
                match unknown("capability", &guess, CAPABILITIES) {
                    near if near.contains("did you mean") => near.replace(&guess, text),
                    _ => format!("unknown capability {text:?}; see capabilities(7)"),
                }
            };
            section.error(node, key, message);
        }
    }
    names.sort();
    names.dedup();
    names
}

/// An amount of memory as systemd writes it.
pub(super) fn memory(section: &mut Section<'_>, key: &'static str) -> Option<String> {
    let node = section.node(key)?;
    let text = match &node.value {
        Value::Scalar(toml::Value::Integer(bytes)) => bytes.to_string(),
        _ => section.text(key)?.trim().to_owned(),
    };
    if is_memory(&text) {
        return Some(text);
    }
    let message = format!(
        "{text:?} is not an amount of memory: write it like \"512M\", \"2G\", \"10%\" or \"infinity\""
    );
    section.error(node, key, message);
    None
}

fn is_memory(text: &str) -> bool {
    if text == "infinity" {
        return true;
    }
    if let Some(percent) = text.strip_suffix('%') {
        return percent.parse::<u32>().is_ok_and(|p| (1..=100).contains(&p));
    }
    let number = text.strip_suffix(['K', 'M', 'G', 'T']).unwrap_or(text);
    number.starts_with(|c: char| c.is_ascii_digit())
        && number
            .parse::<f64>()
            .is_ok_and(|n| n > 0.0 && n.is_finite())
        && number.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// A share of CPU time as systemd writes it, in percent of one CPU.
pub(super) fn cpu_quota(section: &mut Section<'_>, key: &'static str) -> Option<String> {
    let node = section.node(key)?;
    let text = section.text(key)?.trim();
    // 100 000 %: a thousand CPUs; systemd itself takes any number.
    let percent = text.strip_suffix('%').filter(|n| is_digits(n));
    if percent.is_some_and(|n| n.parse::<u32>().is_ok_and(|n| (1..=100_000).contains(&n))) {
        return Some(text.to_owned());
    }
    let message = format!(
        "{text:?} is not a share of CPU time: write whole percent of one CPU, like \"50%\" or \"200%\""
    );
    section.error(node, key, message);
    None
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Secrets by name, each a file that systemd reads as root and hands to the agent alone.
pub(super) fn credentials(
    section: &mut Section<'_>,
    key: &'static str,
) -> BTreeMap<String, String> {
    let section = section.section(key);
    let mut found = BTreeMap::new();
    for (name, node) in section.entries() {
        let problem = match node.as_str() {
            _ if !is_credential_name(name) => {
                "is not a name of a credential: use letters, digits, -, _ and . (at most 64)"
                    .to_owned()
            }
            None => expected("the path of a file", node),
            Some(path) => match credential_path(path) {
                Some(problem) => format!("{path:?} {problem}"),
                None => {
                    found.insert(name.clone(), path.to_owned());
                    continue;
                }
            },
        };
        section.error(node, name, problem);
    }
    found
}

/// Why systemd would refuse a program, and the whole unit with it.
pub(super) fn program_path(path: &str) -> Option<&'static str> {
    if path.contains(['"', '\'', '\\']) {
        return Some("must not contain quotes or backslashes: systemd runs no such program");
    }
    if path.ends_with('/') {
        return Some("is a directory");
    }
    too_long(path)
}

fn is_credential_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// What is wrong with a path: systemd takes it as it is, so it must mean itself.
fn credential_path(path: &str) -> Option<&'static str> {
    let parts = || path.split('/').skip(1);
    if !path.starts_with('/') {
        return Some("must be an absolute path");
    }
    if parts().any(|part| matches!(part, "" | "." | "..")) {
        return Some("must not contain //, . or .. nor end in /");
    }
    if path.chars().any(char::is_control) {
        return Some("must be one line without control characters");
    }
    // Tried on 257, which splits and unescapes the line once more on its way to the executor.
    if path.contains([' ', '\\']) {
        return Some("must not contain blanks or backslashes: systemd trips over them");
    }
    too_long(path)
}

fn too_long(path: &str) -> Option<&'static str> {
    let too_long = path.len() > 4000 || path.split('/').any(|part| part.len() > 255);
    too_long.then_some("is too long for a path")
}

/// A URL of http or https.
pub(super) fn http_url(section: &mut Section<'_>, key: &'static str) -> Option<String> {
    let node = section.node(key)?;
    let text = section.line(key)?;
    match parse_http(text) {
        Ok(_) => Some(text.to_owned()),
        Err(message) => {
            section.error(node, key, message);
            None
        }
    }
}

/// Base URL of a hub, without a slash at the end.
pub(super) fn hub_url(text: &str) -> Result<String, String> {
    let url = parse_http(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{text:?} must not have a query or a fragment"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a password: the token comes as a credential".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn parse_http(text: &str) -> Result<Url, String> {
    let problem = match Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            "it must begin with http:// or https://"
        }
        Ok(url) if url.host_str().is_none_or(str::is_empty) => "it names no host",
        Ok(url) => return Ok(url),
        Err(_) => "write it like \"http://127.0.0.1:9000\"",
    };
    Err(format!("{text:?} is not a URL: {problem}"))
}

/// An address and port to listen on.
pub(super) fn listen(text: &str) -> Result<(), String> {
    text.parse::<SocketAddr>().map(|_| ()).map_err(|_| {
        format!("{text:?} is not an address to listen on: write it like \"127.0.0.1:9000\" or \"[::1]:9000\"")
    })
}

/// Where the data is, with no secret in a file that everybody may read.
pub(super) fn database(text: &str) -> Result<(), String> {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let who = rest.rsplit_once('@').map_or("", |(who, _)| who);
    if who.contains(':') {
        return Err(
            "a password does not belong here: put the URL into a file that only root reads and \
             name it in credentials = { database-url = \"/etc/recon/database-url\" }"
                .to_owned(),
        );
    }
    Ok(())
}

/// Names that can be files and words in a log, and URLs that can be asked.
pub(super) fn webhooks(list: &[WebhookSettings]) -> Result<(), String> {
    let plain = |text: &str| {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        (1..=64).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(good)
    };
    let mut names = BTreeSet::new();
    for hook in list {
        let name = &hook.name;
        if !plain(name) {
            return Err(format!(
                "name {name:?}: must be 1 to 64 letters, digits, '-', '_' or '.'"
            ));
        }
        if !names.insert(name) {
            return Err(format!("two webhooks have the name {name:?}"));
        }
        let url = Url::parse(&hook.url).ok();
        if !url.is_some_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host()) {
            return Err(format!(
                "url of {name:?}: must be like https://host.example/path"
            ));
        }
        if !plain(&hook.secret) {
            return Err(format!(
                "secret of {name:?}: must be the name of a credential, not the secret itself"
            ));
        }
        let word = |t: &String| t.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if hook.types.is_empty() || !hook.types.iter().all(|t| !t.is_empty() && word(t)) {
            return Err(format!(
                "types of {name:?}: must be types of events (change_detected)"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_as_systemd_reads_it() {
        for good in ["512M", "1.5G", "4096", "10%", "infinity", "2T"] {
            assert!(is_memory(good), "{good}");
        }
        for bad in [
            "", "M", "12 MB", "0", "-1", "101%", "1e9", "inf", "512m", "nan",
        ] {
            assert!(!is_memory(bad), "{bad}");
        }
    }

    #[test]
    fn credentials_mean_themselves_in_a_unit_file() {
        for good in ["/etc/a", "/etc/100%", "/run/ünï$x\"'"] {
            assert_eq!(credential_path(good), None, "{good}");
        }
        for bad in [
            "", "etc/a", "/", "/a/", "/a//b", "/a/../b", "/a/.", "/a\nb", "/a ", "/a b", "/a\\b",
            "/a\0",
        ] {
            assert!(credential_path(bad).is_some(), "{bad:?}");
        }
        for (name, good) in [
            ("hub-token", true),
            ("a.b_C9", true),
            ("", false),
            ("..", false),
            ("a:b", false),
            ("a/b", false),
            ("a b", false),
            ("ä", false),
        ] {
            assert_eq!(is_credential_name(name), good, "{name:?}");
        }
    }

    #[test]
    fn hub_urls() {
        assert_eq!(hub_url("http://h:1/").as_deref(), Ok("http://h:1"));
        assert_eq!(hub_url("https://h/base").as_deref(), Ok("https://h/base"));
        for bad in [
            "",
            "h:9000",
            "ftp://h",
            "http://",
            "http://u:p@h",
            "http://h?x",
        ] {
            assert!(hub_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn webhooks_that_cannot_work_are_refused() {
        let good = WebhookSettings {
            name: "soc".to_owned(),
            url: "https://soc.example/x".to_owned(),
            types: vec!["change_detected".to_owned()],
            secret: "webhook-soc".to_owned(),
        };
        assert_eq!(webhooks(std::slice::from_ref(&good)), Ok(()));
        let text = str::to_owned;
        let bad = [
            (vec![good.clone(), good.clone()], "two webhooks"),
            (
                vec![WebhookSettings {
                    name: text(""),
                    ..good.clone()
                }],
                "name",
            ),
            (
                vec![WebhookSettings {
                    url: text("soc.example"),
                    ..good.clone()
                }],
                "url",
            ),
            (
                vec![WebhookSettings {
                    url: text("file:///x"),
                    ..good.clone()
                }],
                "url",
            ),
            (
                vec![WebhookSettings {
                    secret: text("../x"),
                    ..good.clone()
                }],
                "credential",
            ),
            (
                vec![WebhookSettings {
                    types: Vec::new(),
                    ..good.clone()
                }],
                "types",
            ),
            (
                vec![WebhookSettings {
                    types: vec![text("X y")],
                    ..good
                }],
                "types",
            ),
        ];
        for (list, says) in bad {
            let error = webhooks(&list).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
