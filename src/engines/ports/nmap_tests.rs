use crate::engines::ports::Unobserved;
use std::sync::Arc;

use crate::engines::ports::fake_nmap::fake_nmap as fake;
use crate::engines::ports::rate::Rates;
use crate::engines::ports::scan::open_port;

use super::*;

const START: &str = r#"<nmaprun scanner="nmap" args="x" version="7.93"><host><status state="up"/><address addr="127.0.0.1" addrtype="ipv4"/><ports>"#;
const SSH: &str = r#"<port protocol="tcp" portid="22"><state state="open" reason="syn-ack"/><service name="ssh" product="OpenSSH" conf="10"/></port>"#;
const END: &str =
    r#"</ports></host><runstats><finished time="1795244297" exit="success"/></runstats></nmaprun>"#;

fn report() -> ScanReport {
    let mut report = ScanReport::start([127, 0, 0, 1].into(), String::new());
    report.counts.open = 2;
    report.open = vec![open_port(22), open_port(40_000)];
    report
}

fn limiter(options: &ScanOptions) -> RateLimiter {
    Arc::new(Rates::new(options, 1)).of(0)
}

/// `--max-rate` does not hold for what it says to services.
#[tokio::test]
async fn a_cap_means_a_few_ports_at_a_time_and_silence_around_them() {
    let dir = tempfile::tempdir().unwrap();
    let nmap = fake(dir.path(), &format!("echo '{START}{SSH}{END}'"));
    let options = ScanOptions {
        max_rate: Nmap::LEAST_RATE,
        ..ScanOptions::default()
    };
    let mut report = report();
    let start = Instant::now();
    detect_with_nmap(
        &nmap,
        &mut report,
        &options,
        &limiter(&options),
        &Unobserved,
    )
    .await
    .unwrap();
    assert_eq!(report.engine, "connect + nmap 7.93");
    let (first, second) = ("-p 22 127.0.0.1; nmap", "-p 40000 127.0.0.1");
    let command = &report.command;
    assert!(
        command.contains(first) && command.ends_with(second),
        "{command}"
    );
    assert!(
        start.elapsed() >= Duration::from_secs(2),
        "four silences of half a second"
    );
}

#[test]
fn so_many_ports_that_the_cap_holds() {
    let ports = |rate| ports_a_run(rate).map(NonZeroUsize::get);
    assert_eq!(ports(0), Some(usize::MAX));
    assert_eq!(
        (ports(Nmap::LEAST_RATE - 1), ports(Nmap::LEAST_RATE)),
        (None, Some(1))
    );
    let most = ports(5000).unwrap() as u32 * MOST_A_PORT;
    assert!((2000..=2500).contains(&most), "{most}");
}

#[tokio::test]
async fn what_it_finds_goes_into_the_report() {
    let dir = tempfile::tempdir().unwrap();
    let nmap = fake(dir.path(), &format!("echo '{START}{SSH}{END}'"));
    let mut report = report();
    let options = ScanOptions::default();
    detect_with_nmap(
        &nmap,
        &mut report,
        &options,
        &limiter(&options),
        &Unobserved,
    )
    .await
    .unwrap();
    assert_eq!(report.engine, "connect + nmap 7.93");
    assert!(
        report.command.ends_with("-p 22,40000 127.0.0.1"),
        "{}",
        report.command
    );
    assert_eq!(report.open[0].service_product, "OpenSSH");
    assert_eq!(report.open[1].port, 40_000);
    assert!(!report.incomplete);
}

#[tokio::test]
async fn a_failure_tells_status_and_words() {
    let dir = tempfile::tempdir().unwrap();
    let nmap = fake(
        dir.path(),
        &format!("echo '{START}{END}'; echo 'no  way' >&2; exit 3"),
    );
    let options = ScanOptions::default();
    let mut report = report();
    let before = report.clone();
    let error = detect_with_nmap(
        &nmap,
        &mut report,
        &options,
        &limiter(&options),
        &Unobserved,
    )
    .await
    .unwrap_err();
    assert_eq!(error.to_string(), "nmap failed (exit status: 3): no way");
    assert_eq!(report, before);
    let nmap = fake(dir.path(), "echo hello");
    let error = detect_with_nmap(
        &nmap,
        &mut report,
        &options,
        &limiter(&options),
        &Unobserved,
    )
    .await;
    assert!(matches!(error, Err(NmapError::Output { .. })));
}

/// Calls the scan off as soon as this file is there.
struct CancelAt(PathBuf);

impl Observer for CancelAt {
    fn progress(&self, _: &Progress) {}

    fn cancelled(&self) -> bool {
        self.0.exists()
    }
}

#[tokio::test]
async fn what_it_wrote_before_it_was_ended_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let written = dir.path().join("written");
    let script = format!(
        "echo '{START}{SSH}'; : >'{}'; exec sleep 1000",
        written.display()
    );
    let nmap = fake(dir.path(), &script);
    let observer = CancelAt(written);
    let options = ScanOptions::default();
    let mut report = report();
    detect_with_nmap(&nmap, &mut report, &options, &limiter(&options), &observer)
        .await
        .unwrap();
    assert!(report.incomplete);
    assert_eq!(report.open[0].service_product, "OpenSSH");
}

#[test]
fn arguments_hold_the_options() {
    let options = ScanOptions {
        max_rate: 300,
        ..ScanOptions::default()
    };
    let ports = "80-82".parse().unwrap();
    let args = arguments("::1".parse().unwrap(), &ports, &options).join(" ");
    for part in ["-sV", "--max-rate 300", "-oX -", "-p 80-82", "-6 ::1"] {
        assert!(args.contains(part), "{args}");
    }
}

#[test]
fn versions() {
    let text = "Nmap version 7.93 ( https://nmap.org )\nPlatform: x";
    assert_eq!(version_in(text).as_deref(), Some("7.93"));
    assert_eq!(version_in("sh: not found"), None);
}
