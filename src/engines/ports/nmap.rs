use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::nmap_xml::{NmapHost, NmapRun, NmapXmlError, parse_nmap_xml};
use super::output::visible;
use super::rate::RateLimiter;
use super::report::ScanReport;
use super::{Observer, PortSet, Progress, ScanOptions};

/// An nmap program that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nmap {
    /// Where it is.
    pub path: PathBuf,
    /// Its version (`7.93`).
    pub version: String,
}

/// A run of nmap that gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum NmapError {
    /// It could not be started, or its output not read.
    #[error("cannot run {}: {source}", path.display())]
    Run {
        /// The program.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It ended with an error.
    #[error("nmap failed ({status}): {stderr}")]
    Failed {
        /// Exit status or signal.
        status: ExitStatus,
        /// The last of what it wrote to standard error.
        stderr: String,
    },
    /// Its output is no nmap XML.
    #[error("nmap's output cannot be read: {source} (exit: {status}; {stderr})")]
    Output {
        /// What is wrong.
        source: NmapXmlError,
        /// Exit status or signal.
        status: ExitStatus,
        /// The last of what it wrote to standard error.
        stderr: String,
    },
}

/// XML of one host with every port open and every script on stays far below this.
const MOST_OUTPUT: usize = 64 << 20;

/// Kept of what nmap writes to standard error.
const MOST_STDERR: usize = 4096;

/// Connections that nmap makes to a port at most to find out what it carries, at the intensity that it
/// is given: to see whether it is open, for each of its probes that may be sent there, for each once more
/// inside TLS, and for its scripts of the category `version`.
const MOST_A_PORT: u32 = 48;

/// How often the observer is asked whether the scan shall end.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// How long nmap may say nothing: it prints only when one of its own waits ends, the longest of which
/// is below this (`totalwaitms` of nmap-service-probes). A longer silence ends it.
const MOST_SILENCE: Duration = Duration::from_secs(20);

/// How long nmap may take to end after SIGTERM.
const TERM_WAIT: Duration = Duration::from_secs(3);

/// Looks for nmap on `PATH` and asks it for its version.
pub async fn find_nmap() -> Option<Nmap> {
    let dirs = std::env::var_os("PATH")?;
    let path = std::env::split_paths(&dirs)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join("nmap"))
        .find(|path| is_program(path))?;
    let mut command = Command::new(&path);
    command
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(5), command.output())
        .await
        .ok()?
        .ok()?;
    let version = version_in(&String::from_utf8_lossy(&output.stdout))?;
    Some(Nmap { path, version })
}

fn is_program(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() && path.is_file()
}

/// `Nmap version 7.93 ( https://nmap.org )`
fn version_in(text: &str) -> Option<String> {
    let rest = text.strip_prefix("Nmap version ")?;
    rest.split_whitespace().next().map(str::to_owned)
}

impl Nmap {
    /// The lowest cap that it can keep to, packets a second.
    pub const LEAST_RATE: u32 = 2 * MOST_A_PORT;

    /// Whether it can keep to the caps of a scan.
    pub fn keeps_to(options: &ScanOptions) -> bool {
        let caps = [options.max_rate, options.max_rate_total];
        caps.into_iter().all(|cap| ports_a_run(cap).is_some())
    }

    /// The nmap of a scan, unless it could not keep to its caps, and what there is to say about that.
    pub(super) fn within<'a>(
        options: &ScanOptions,
        nmap: Option<&'a Self>,
    ) -> (Option<&'a Self>, Vec<String>) {
        match nmap {
            Some(_) if options.services && !Self::keeps_to(options) => {
                let least = Self::LEAST_RATE;
                let note =
                    format!("nmap is not asked: it cannot keep to less than {least} packets/s");
                (None, vec![note])
            }
            nmap => (nmap, Vec::new()),
        }
    }
}

/// How many ports one nmap may be asked about at these packets a second (0: no cap), `None` when it
/// could not keep to them even for one. It heeds `--max-rate` only while it looks which ports are open:
/// when it talks to services, all its connections may come at once. So they must not be more than half
/// a second's (`RateLimiter::silence`).
fn ports_a_run(max_rate: u32) -> Option<NonZeroUsize> {
    let ports = match max_rate {
        0 => usize::MAX,
        rate => usize::try_from(rate / Nmap::LEAST_RATE).unwrap_or(usize::MAX),
    };
    NonZeroUsize::new(ports)
}

/// Has nmap find out which services the open ports of a report carry whose product or version is not
/// known yet, and puts that into the report. Ports of which nmap knows no more keep what is there.
/// Facts of TLS are not nmap's to find.
///
/// Every event that nmap writes (it writes its statistics from its own event loop) counts as
/// progress. When the scan is cancelled or its time is over, nmap gets SIGTERM and what it wrote so
/// far is kept.
///
/// # Errors
/// When nmap cannot be run, fails, or writes no XML. The report is then as it was.
pub(super) async fn detect_with_nmap(
    nmap: &Nmap,
    report: &mut ScanReport,
    options: &ScanOptions,
    limiter: &RateLimiter,
    observer: &dyn Observer,
) -> Result<(), NmapError> {
    let unknown = report.open.iter().filter(|open| {
        open.protocol == "tcp"
            && (open.service_product.is_empty() || open.service_version.is_empty())
    });
    let ports: Vec<u16> = unknown.map(|open| open.port).collect();
    let Some(most) = ports_a_run(options.max_rate).filter(|_| !ports.is_empty()) else {
        return Ok(());
    };
    let start = Instant::now();
    let open = report.open.len() as u64;
    let scanned = u64::from(report.counts.total());
    let at = |done| Progress {
        done,
        total: scanned + open,
        open,
        ..Progress::default()
    };
    let progress = |_events: u64| observer.progress(&at(scanned));
    let end = (!options.max_time.is_zero()).then(|| start + options.max_time);
    for (run, ports) in ports.chunks(most.get()).enumerate() {
        let connections = u32::try_from(ports.len()).unwrap_or(u32::MAX);
        let connections = connections.saturating_mul(MOST_A_PORT);
        let args = arguments(report.addr, &ports.iter().copied().collect(), options);
        limiter.silence(connections).await;
        let found = execute(nmap, &args, end, observer, &progress).await;
        limiter.silence(connections).await;
        let found = found?;
        if run == 0 {
            report.engine = format!("{} + nmap {}", report.engine, nmap.version);
        }
        let both = [std::mem::take(&mut report.command), command_line(&args)];
        let both = both.into_iter().filter(|command| !command.is_empty());
        report.command = both.collect::<Vec<_>>().join("; ");
        report.incomplete |= !found.complete;
        if let Some(host) = host_of(found, report.addr) {
            report.merge_services(host);
        }
        if report.incomplete {
            break;
        }
    }
    report.finish(start);
    observer.progress(&at(scanned + open));
    Ok(())
}

impl ScanReport {
    /// Takes what nmap says about ports that are open in both.
    fn merge_services(&mut self, host: NmapHost) {
        for found in host.open {
            let ours = self.open.iter_mut();
            let mut ours = ours.filter(|ours| ours.port == found.port && ours.protocol == "tcp");
            let Some(ours) = ours.next() else { continue };
            // nmap's guess by number is no better than ours, and what the service told us stays.
            let tells_more = if ours.service_product.is_empty() {
                found.confidence > ours.confidence || !found.service_product.is_empty()
            } else {
                ours.service_version.is_empty() && !found.service_version.is_empty()
            };
            if tells_more {
                ours.service_name = found.service_name;
                ours.service_product = found.service_product;
                ours.service_version = found.service_version;
                ours.service_cpe = found.service_cpe;
                ours.confidence = found.confidence;
                if ours.service_info.is_empty() {
                    ours.service_info = found.service_info;
                }
            }
        }
    }
}

fn host_of(run: NmapRun, addr: IpAddr) -> Option<NmapHost> {
    let wanted = addr.to_canonical();
    run.hosts
        .into_iter()
        .find(|host| host.addr.map(|addr| addr.to_canonical()) == Some(wanted))
}

/// The arguments of a run. `--unprivileged`: no raw sockets even for root, which the sandbox
/// forbids.
fn arguments(addr: IpAddr, ports: &PortSet, options: &ScanOptions) -> Vec<String> {
    let addr = addr.to_canonical();
    let mut args: Vec<String> = ["-n", "-Pn", "-sT", "--unprivileged", "-T4"]
        .map(str::to_owned)
        .into();
    args.extend(["-sV", "--version-intensity", "5"].map(str::to_owned));
    args.push("--max-retries".to_owned());
    args.push(options.retries.to_string());
    if options.max_rate > 0 {
        args.push("--max-rate".to_owned());
        args.push(options.max_rate.to_string());
    }
    args.extend(["--stats-every", "2s", "-oX", "-", "-p"].map(str::to_owned));
    args.push(ports.to_numbers());
    if addr.is_ipv6() {
        args.push("-6".to_owned());
    }
    args.push(match options.scope_id {
        0 => addr.to_string(),
        scope => format!("{addr}%{scope}"),
    });
    args
}

fn command_line(args: &[String]) -> String {
    format!("nmap {}", args.join(" "))
}

/// Runs nmap to its end, or to the scan's.
async fn execute(
    nmap: &Nmap,
    args: &[String],
    end: Option<Instant>,
    observer: &dyn Observer,
    progress: &dyn Fn(u64),
) -> Result<NmapRun, NmapError> {
    let failed = |source| NmapError::Run {
        path: nmap.path.clone(),
        source,
    };
    let mut child = Command::new(&nmap.path)
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(failed(std::io::ErrorKind::BrokenPipe.into()));
    };
    let mut events = 0;
    let heard = std::cell::Cell::new(Instant::now());
    let mut read = std::pin::pin!(async {
        let on_chunk = |chunk: &[u8]| {
            events += chunk.iter().filter(|byte| **byte == b'<').count() as u64;
            heard.set(Instant::now());
            progress(events);
        };
        tokio::join!(collect(stdout, MOST_OUTPUT, on_chunk), last_of(stderr))
    });
    let mut tick = tokio::time::interval(ASK_EVERY);
    let mut terminated: Option<Instant> = None;
    let (xml, stderr) = loop {
        tokio::select! {
            both = &mut read => break both,
            _ = tick.tick() => {
                // A silence within its limit is a wait that will end.
                let silent = heard.get().elapsed() > MOST_SILENCE;
                if !silent {
                    progress(0);
                }
                let late = end.is_some_and(|end| Instant::now() >= end);
                let over = silent || late || observer.cancelled();
                match terminated {
                    None if over => {
                        terminate(&child);
                        terminated = Some(Instant::now());
                    }
                    Some(at) if at.elapsed() >= TERM_WAIT => {
                        child.start_kill().map_err(failed)?;
                    }
                    _ => {}
                }
            }
        }
    };
    let status = child.wait().await.map_err(failed)?;
    let mut run = match parse_nmap_xml(&String::from_utf8_lossy(&xml)) {
        Ok(run) => run,
        Err(_) if terminated.is_some() => NmapRun::default(),
        Err(source) => {
            return Err(NmapError::Output {
                source,
                status,
                stderr,
            });
        }
    };
    if terminated.is_some() {
        run.complete = false;
    } else if !status.success() {
        return Err(NmapError::Failed { status, stderr });
    }
    Ok(run)
}

/// Asks nmap to end.
fn terminate(child: &Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = pid.and_then(Pid::from_raw) {
        // It may just have ended.
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// Reads to the end, keeps at most `most` bytes.
async fn collect(
    mut from: impl AsyncRead + Unpin,
    most: usize,
    mut on_chunk: impl FnMut(&[u8]),
) -> Vec<u8> {
    let mut to = Vec::new();
    let mut chunk = [0; 8192];
    // An error on a pipe is its end.
    while let Ok(len @ 1..) = from.read(&mut chunk).await {
        on_chunk(&chunk[..len]);
        let room = most.saturating_sub(to.len());
        to.extend_from_slice(&chunk[..len.min(room)]);
    }
    to
}

/// Reads to the end and returns the last of it on one line.
async fn last_of(from: impl AsyncRead + Unpin) -> String {
    let text = collect(from, MOST_OUTPUT, |_| {}).await;
    let start = text.len().saturating_sub(MOST_STDERR);
    let lines = String::from_utf8_lossy(&text[start..]).into_owned();
    let line = lines.split_whitespace().collect::<Vec<_>>().join(" ");
    visible(&line).into_owned()
}

#[cfg(test)]
#[path = "nmap_tests.rs"]
mod tests;
