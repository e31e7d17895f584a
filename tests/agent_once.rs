//! Agents by hand: no systemd, no hub, no fleet file. Only ports that the test itself opened, or had
//! open a moment ago, are touched.
#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, TcpListener};
use std::process::{Command, Output};

use serde_json::Value;

fn once(agent: &str, arguments: &[&str]) -> Output {
    let root = tempfile::tempdir().unwrap();
    Command::new(agent)
        .args(["--once", "--root"])
        .arg(root.path())
        .args(arguments)
        .env_remove("RECON_AGENT")
        .env_remove("RECON_FLEET")
        .env_remove("NOTIFY_SOCKET")
        .output()
        .unwrap()
}

const KAZE: &str = env!("CARGO_BIN_EXE_recon-kaze");
const KAGE: &str = env!("CARGO_BIN_EXE_recon-kage");
const RYU: &str = env!("CARGO_BIN_EXE_recon-ryu");

/// One port that is open and one that is not.
fn ports(addr: IpAddr) -> (TcpListener, String) {
    let open = TcpListener::bind((addr, 0)).unwrap();
    let closed = TcpListener::bind((addr, 0)).unwrap();
    let ports = format!(
        "{},{}",
        open.local_addr().unwrap().port(),
        closed.local_addr().unwrap().port()
    );
    (open, ports)
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn finds_what_is_open_and_nothing_else() {
    for addr in ["127.0.0.1", "::1"] {
        let (open, ports) = ports(addr.parse().unwrap());
        let port = open.local_addr().unwrap().port();
        for agent in [KAZE, KAGE] {
            let arguments = [
                "--target",
                addr,
                "--ports",
                &ports,
                "--no-services",
                "--json",
            ];
            let scan = &json(&once(agent, &arguments))["scans"][0];
            assert_eq!(scan["open_ports"][0]["port"], port, "{scan}");
            assert_eq!(scan["open_ports"].as_array().unwrap().len(), 1, "{scan}");
            assert_eq!(scan["port_counts"]["closed"], 1, "{scan}");
            assert_eq!(scan["ports_scanned"], 2, "{scan}");
            assert_eq!(scan["target"], addr);
        }
    }
}

/// A user namespace has no say in the network that it did not make: a program in it has no raw sockets,
/// whoever runs the test.
#[test]
fn without_raw_sockets_every_scanner_connects_and_says_so_once() {
    let unshared = Command::new("unshare").args(["--user", "true"]).status();
    if !unshared.is_ok_and(|status| status.success()) {
        return; // a machine that gives no user namespaces
    }
    let (open, ports) = ports("127.0.0.1".parse().unwrap());
    let port = open.local_addr().unwrap().port();
    for agent in [KAZE, KAGE, RYU] {
        let root = tempfile::tempdir().unwrap();
        let output = Command::new("unshare")
            .args(["--user", agent, "--once", "--json", "--root"])
            .arg(root.path())
            .args(["--target", "127.0.0.1", "--ports", &ports])
            .args(["--udp-ports", "", "--no-services"])
            .env_remove("RECON_FLEET")
            .output()
            .unwrap();
        let found = json(&output);
        let scan = &found["scans"][0];
        assert_eq!(scan["engine"], "connect", "{scan}");
        assert_eq!(scan["open_ports"][0]["port"], port, "{scan}");
        let notes = found["notes"].as_array().unwrap();
        assert_eq!(notes.len(), 1, "{found}");
        let note = notes[0].as_str().unwrap();
        assert!(note.contains("CAP_NET_RAW is needed"), "{note}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.matches("CAP_NET_RAW").count(), 1, "{said}");
    }
}

#[test]
fn shows_a_table_to_people() {
    let (open, ports) = ports("127.0.0.1".parse().unwrap());
    let output = once(
        KAZE,
        &["--target", "127.0.0.1", "--ports", &ports, "--no-services"],
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("1 open, 1 closed"), "{text}");
    assert!(
        text.contains(&format!("{}/tcp", open.local_addr().unwrap().port())),
        "{text}"
    );
}

#[test]
fn refuses_what_is_out_of_scope_and_says_how_to_allow_it() {
    for target in ["192.0.2.1", "169.254.169.254"] {
        let output = once(KAZE, &["--target", target, "--ports", "80"]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text.contains("out of scope") && text.contains("--scope"),
            "{text}"
        );
    }
    let output = once(
        KAZE,
        &[
            "--target",
            "127.0.0.1",
            "--scope",
            "192.0.2.0/24",
            "--ports",
            "80",
        ],
    );
    assert_eq!(
        output.status.code(),
        Some(1),
        "--scope replaces the default"
    );
}

#[test]
fn bad_usage_and_bad_settings_are_2() {
    assert_eq!(once(KAZE, &[]).status.code(), Some(2), "no target");
    assert_eq!(
        once(KAZE, &["--target", "x", "--scope", "a b"])
            .status
            .code(),
        Some(2)
    );
    let output = once(KAZE, &["--target", "127.0.0.1", "--ports", "99999"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("recon-kaze: ports: "), "{said}");
}
