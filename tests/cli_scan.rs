//! `reconctl scan` and `--once` of the agents. Only ports that the test itself opened, or had open a
//! moment ago, are touched.
#![allow(clippy::unwrap_used)]

#[path = "cli_support/mod.rs"]
mod cli_support;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use cli_support::Bed;
use serde_json::Value;

/// A port that is open and one that is not, on 127.0.0.1.
struct Ports {
    open: TcpListener,
    /// The same port on other addresses.
    _others: Vec<TcpListener>,
    list: String,
}

impl Ports {
    fn new() -> Self {
        let open = TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap();
        let ports = [&open, &closed].map(|l| l.local_addr().unwrap().port().to_string());
        Self {
            open,
            _others: Vec::new(),
            list: ports.join(","),
        }
    }

    /// Open on 127.0.0.1 to 127.0.0.HOSTS.
    fn on(hosts: u8) -> Self {
        let mut ports = Self::new();
        let port = ports.port();
        let addr = |host| std::net::IpAddr::from([127, 0, 0, host]);
        let bind = |host| TcpListener::bind((addr(host), port)).unwrap();
        ports._others = (2..=hosts).map(bind).collect();
        ports
    }

    fn port(&self) -> u16 {
        self.open.local_addr().unwrap().port()
    }

    /// A scan of just these ports.
    fn scan<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let scan = [
            "scan",
            "--no-udp",
            "--no-services",
            "--engine",
            "connect",
            "--ports",
        ];
        [&scan, &[self.list.as_str()][..], more].concat()
    }
}

#[test]
fn a_table_for_people_and_every_format_for_programs() {
    let (bed, ports) = (Bed::empty(), Ports::new());
    let text = bed.stdout(&ports.scan(&["127.0.0.1"]));
    assert!(text.starts_with("HOST"), "{text}");
    assert!(
        text.contains(&format!("127.0.0.1  {}/tcp  open", ports.port())),
        "{text}"
    );
    assert!(text.contains("1 open, 1 closed, 0 filtered"), "{text}");

    let scans = bed.json(&ports.scan(&["127.0.0.1"]));
    let scan = &scans["scans"][0];
    assert_eq!(scan["open_ports"][0]["port"], ports.port(), "{scans}");
    assert_eq!(scan["open_ports"][0]["state"], "open", "{scans}");
    assert_eq!(scan["port_counts"]["closed"], 1, "{scans}");
    assert_eq!(scan["status"], "up", "{scans}");
    assert_eq!(scans["run"]["incomplete"], false, "{scans}");

    let line = bed.stdout(&ports.scan(&["127.0.0.1", "--format", "jsonl"]));
    let host: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(host["scan_status"], "completed");
    let csv = bed.stdout(&ports.scan(&["127.0.0.1", "-f", "csv"]));
    assert_eq!(csv.lines().count(), 2, "{csv}");

    let base = bed.root().join("all");
    let file = bed.root().join("out.xml");
    let (base_text, file_text) = (base.to_str().unwrap(), file.to_str().unwrap());
    let more = [
        "127.0.0.1",
        "--all-formats",
        base_text,
        "-f",
        "xml",
        "-o",
        file_text,
    ];
    assert_eq!(bed.stdout(&ports.scan(&more)), "");
    let xml = std::fs::read_to_string(&file).unwrap();
    let run = recon::engines::ports::parse_nmap_xml(&xml).unwrap();
    assert!(run.complete && run.args.starts_with("reconctl "), "{xml}");
    assert_eq!(run.hosts[0].open[0].port, ports.port());
    for end in ["txt", "json", "jsonl", "xml", "gnmap", "csv"] {
        let text = std::fs::read_to_string(base.with_extension(end)).unwrap();
        assert!(text.contains(&ports.port().to_string()), "{end}: {text}");
    }
    // No file to resume from, no temporary file.
    let left = std::fs::read_dir(bed.root()).unwrap();
    assert_eq!(left.count(), 7);
}

#[test]
fn scope_first() {
    let fleet = "[scope]\nallow = [\"127.0.0.0/8\"]\ndeny = [\"127.0.0.4/30\"]\n";
    let (bed, ports) = (Bed::new(fleet), Ports::new());
    let refused = |target: &[&str]| {
        let output = bed.run(&ports.scan(target)).failure().code(1);
        String::from_utf8(output.get_output().stderr.clone()).unwrap()
    };
    for (target, rule) in [
        (&["192.0.2.1"][..], "no scope.allow entry covers it"),
        (&["127.0.0.1", "127.0.0.5"], "scope.deny 127.0.0.4/30"),
        (&["127.0.0.5", "--scope", "127.0.0.0/8"], "scope.deny"),
        (&["127.0.0.1", "--scope", "192.0.2.0/24"], "no scope.allow"),
        (
            &["127.0.0.1", "--exclude", "127.0.0.0/8"],
            "every target is excluded",
        ),
    ] {
        let said = refused(target);
        assert!(said.contains(rule), "{target:?}: {said}");
    }
    // In part: what is cut is told, the rest is scanned.
    let output = bed
        .run(&ports.scan(&["127.0.0.3-127.0.0.6", "-f", "jsonl"]))
        .success();
    let said = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert!(
        said.contains("127.0.0.4-127.0.0.6 (3 addresses) are out of scope: scope.deny"),
        "{said}"
    );
    let hosts = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    assert_eq!(hosts.lines().count(), 1, "{hosts}");
}

#[test]
fn bad_usage_is_2_and_nothing_is_sent() {
    let bed = Bed::empty();
    for (args, says) in [
        (&["scan"][..], "TARGET"),
        (
            &["scan", "127.0.0.1", "--ports", "top9999"],
            "top1 to top1000",
        ),
        (&["scan", "127.0.0.1", "--udp=top9999"], "udp_ports"),
        (
            &[
                "scan",
                "127.0.0.1",
                "--ports",
                "80",
                "--no-udp",
                "--exclude-ports",
                "-",
            ],
            "none is left to scan",
        ),
        (&["scan", "10.0.0.0/33"], "is no address, network or range"),
        (
            &["scan", "127.0.0.0/12", "--quality", "accurate"],
            "say --yes",
        ),
        (&["scan", "--resume", "/nonexistent"], "cannot read"),
        (
            &["scan", "--resume", "x", "127.0.0.1", "--ports", "1"],
            "cannot be used with",
        ),
    ] {
        let output = bed.run(args).failure().code(2);
        let said = String::from_utf8(output.get_output().stderr.clone()).unwrap();
        assert!(said.contains(says), "{args:?}: {said}");
    }
    // An output that cannot be written is found before anything is sent.
    let args = ["scan", "127.0.0.1", "-o", "/nonexistent/out"];
    let output = bed.run(&args).failure().code(1);
    let said = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert!(said.contains("cannot write the results"), "{said}");
}

/// A scan of 20 hosts that is so slow, one attempt a second, that it does not end by itself.
fn slow(bed: &Bed, ports: &Ports, more: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_reconctl"))
        .arg("--root")
        .arg(bed.root())
        .args(ports.scan(&["127.0.0.1-20", "--max-rate", "1", "--max-rate-total", "1"]))
        .arg("--verbose")
        .args(more)
        .current_dir(bed.root())
        .env_remove("RECON_FLEET")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn ctrl_c_keeps_what_was_found_and_resume_goes_on() {
    let (bed, ports) = (Bed::empty(), Ports::on(20));
    let mut child = slow(&bed, &ports, &["--json"]);
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    // The first port that is found.
    let first = said
        .by_ref()
        .map(Result::unwrap)
        .find(|line| line.starts_with("open "));
    let first = first.unwrap();
    assert!(first.starts_with("open 127.0.0."), "{first}");
    // Its usual service, if it has one, comes after it.
    assert!(first.contains(&format!(" {}/tcp", ports.port())), "{first}");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let mut out = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    let status = child.wait().unwrap();
    let said: Vec<String> = said.map(Result::unwrap).collect();
    assert_eq!(status.code(), Some(130), "{said:?}");
    let partial: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(partial["run"]["incomplete"], true, "{partial}");
    let found = partial["scans"].as_array().unwrap().iter();
    let mut found = found.filter_map(|scan| scan["open_ports"][0]["port"].as_u64());
    assert!(
        found.all(|port| port == u64::from(ports.port())),
        "{partial}"
    );
    assert_ne!(partial["run"]["port_counts"]["open"], 0, "{partial}");
    let last = said.last().unwrap();
    let file = last.split("--resume ").nth(1).unwrap().to_owned();
    assert!(
        file.starts_with("recon-scan-") && file.ends_with(".resume"),
        "{last}"
    );
    let path = bed.root().join(&file);

    // At another pace, or it would take as long; all that matters is in the file.
    let text = std::fs::read_to_string(&path).unwrap();
    let faster = text.replace("\"max_rate\":1,", "\"max_rate\":0,");
    let faster = faster.replace("\"max_rate_total\":1,", "\"max_rate_total\":0,");
    assert_ne!(text, faster);
    std::fs::write(&path, faster).unwrap();
    let whole = bed.json(&["scan", "--resume", path.to_str().unwrap()]);
    assert_eq!(whole["run"]["incomplete"], false, "{whole}");
    assert_eq!(whole["run"]["targets"], 20, "{whole}");
    assert_eq!(whole["scans"].as_array().unwrap().len(), 20, "{whole}");
    assert_eq!(whole["run"]["port_counts"]["open"], 20, "{whole}");
    assert_eq!(whole["run"]["port_counts"]["closed"], 20, "{whole}");
    assert!(!path.exists(), "a scan that is complete leaves no file");

    // What the fleet file denies by now is not touched again.
    std::fs::write(&path, text).unwrap();
    bed.write("etc/recon/recon.toml", "[scope]\ndeny = [\"127.0.0.2\"]\n");
    let output = bed
        .run(&["scan", "--resume", path.to_str().unwrap()])
        .failure()
        .code(1);
    let said = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert!(
        said.contains("nothing was sent: 127.0.0.2 is out of scope"),
        "{said}"
    );
}

#[test]
fn a_scan_that_is_killed_leaves_its_file() {
    let (bed, ports) = (Bed::empty(), Ports::on(20));
    let mut child = slow(&bed, &ports, &["--quiet"]);
    let read = || {
        let mut files = std::fs::read_dir(bed.root())
            .unwrap()
            .map(|e| e.unwrap().path());
        let file = files.find(|path| path.extension().is_some_and(|end| end == "resume"))?;
        // Replaced as a whole: it can be read at any time.
        let text = std::fs::read_to_string(file).unwrap();
        let saved: Value = serde_json::from_str(&text).unwrap();
        let mut hosts = saved["hosts"].as_array().unwrap().iter();
        let found = hosts.any(|host| host["open_ports"][0]["port"] == ports.port());
        found.then_some(saved)
    };
    let saved = loop {
        if let Some(saved) = read() {
            break saved;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        // Looked for again and again, not waited for: it comes when it comes.
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(saved["version"], 1);
    assert_eq!(saved["order"]["targets"], "127.0.0.1-127.0.0.20");
}

#[test]
fn the_agents_take_networks_lists_and_exclusions() {
    let (bed, ports) = (Bed::empty(), Ports::new());
    for agent in [
        env!("CARGO_BIN_EXE_recon-kaze"),
        env!("CARGO_BIN_EXE_recon-kage"),
    ] {
        let once = |more: &[&str]| {
            let mut command = Command::new(agent);
            command.args(["--once", "--no-services", "--udp-ports", "", "--root"]);
            command
                .arg(bed.root())
                .args(["--ports", &ports.list])
                .args(more);
            command.env_remove("RECON_AGENT").env_remove("RECON_FLEET");
            command.output().unwrap()
        };
        let targets = [
            "--target",
            "127.0.0.4/30,127.0.0.9",
            "--target",
            "127.0.0.20-21",
        ];
        let more = ["--exclude", "127.0.0.5-6", "--engine", "connect", "--json"];
        let output = once(&[&targets[..], &more].concat());
        assert!(output.status.success(), "{output:?}");
        let scans: Value = serde_json::from_slice(&output.stdout).unwrap();
        let hosts: Vec<&str> = scans["scans"]
            .as_array()
            .unwrap()
            .iter()
            .map(|scan| scan["ip_address"].as_str().unwrap())
            .collect();
        let mut sorted = hosts.clone();
        sorted.sort_unstable();
        assert_eq!(
            sorted,
            [
                "127.0.0.20",
                "127.0.0.21",
                "127.0.0.4",
                "127.0.0.7",
                "127.0.0.9"
            ]
        );
        // Excluded ports are left out, too.
        let open = ports.port().to_string();
        let more = ["--target", "127.0.0.1", "--exclude-ports", &open, "--jsonl"];
        let output = once(&more);
        let scan: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(scan["ports_scanned"], 1, "{scan}");
        assert_eq!(scan["open_ports"].as_array().unwrap().len(), 0, "{scan}");
        // Text: of many only those with something open.
        let output = once(&["--target", "127.0.0.1-127.0.0.3"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.matches(" open, ").count(), 1, "{text}");
    }
}
