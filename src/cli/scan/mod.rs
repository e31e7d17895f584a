//! `reconctl scan`: a scan by hand, in this process; no hub, no systemd. What it may touch is what the
//! fleet file says, as for the agents.
//!
//! `order`: what is to be done, from the command line or from the file of a scan that was interrupted;
//! `gather`: what was found so far, over interruptions; `resume`: the file; `watch`: progress, and
//! saving; `show`: where results go.

mod gather;
mod interrupt;
mod order;
mod resume;
mod show;
mod table;
mod watch;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};

use super::{Failure, Global, Outcome, check};
use crate::api::ExitCode;
use crate::engines::ports::{Nmap, find_nmap, scan_streamed, scan_targets};
use crate::fleet::{EngineUse, NmapUse, Rule, Span};

use gather::Gathered;
use order::{Order, Quality};
use resume::Saved;
use show::{Form, Outputs};
use watch::Watch;

/// Scan targets now, from here, and show what is open.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing outside the scope of the fleet file is touched (loopback, without a fleet file): what is cut is
told, with the rule, and a target that lies outside as a whole ends the scan before it begins. --scope
names other networks for this scan; what the fleet file denies stays denied.

Ctrl-C keeps what was found: it is shown, marked as incomplete, and a file is left to go on from
(reconctl scan --resume FILE); a second Ctrl-C ends at once. The file is also written every few seconds
while a scan runs.

Exit codes: 0 the scan is complete; 1 it is not (--max-time), or something failed; 2 bad usage; 130
interrupted.")]
pub struct Args {
    /// Addresses, networks (10.0.0.0/24), ranges (10.0.0.1-20), names, or lists of them.
    #[arg(
        value_name = "TARGET",
        required_unless_present = "resume",
        conflicts_with = "resume"
    )]
    targets: Vec<String>,
    /// How thorough: fast is as kaze scans (1,000 ports), balanced as kage (and common UDP services,
    /// nmap's opinion where it is installed), accurate as ryu (all ports, deep services, more UDP).
    #[arg(long, value_enum, default_value_t, conflicts_with = "resume")]
    quality: Quality,
    /// TCP ports: top1000, 1-65535, 22,80,443, ssh,http; none with "".
    #[arg(short, long, value_name = "PORTS", conflicts_with = "resume")]
    ports: Option<String>,
    /// Ports not to scan, TCP and UDP; written as --ports.
    #[arg(long, value_name = "PORTS", conflicts_with = "resume")]
    exclude_ports: Option<String>,
    /// UDP ports: --udp alone is top20; --udp=53,161, --udp=snmp,ntp.
    #[arg(long, visible_alias = "udp-ports", value_name = "PORTS", num_args = 0..=1,
          require_equals = true, default_missing_value = "top20", conflicts_with = "resume")]
    udp: Option<String>,
    /// No UDP ports, whatever the quality.
    #[arg(long, conflicts_with_all = ["udp", "resume"])]
    no_udp: bool,
    /// Leave these out; written as TARGET. A name stands for all its addresses.
    #[arg(long, value_name = "TARGETS", conflicts_with = "resume")]
    exclude: Vec<String>,
    /// What sends the probes of TCP: syn needs CAP_NET_RAW, connect nothing.
    #[arg(long, value_enum, conflicts_with = "resume")]
    engine: Option<EngineUse>,
    /// Send IPv4 probes of the SYN engine by packet sockets, with less CPU: they bypass the machine's
    /// firewall (nftables, IPAddressDeny=), and recon alone keeps them inside the scope.
    #[arg(long, conflicts_with = "resume")]
    packet_ring: bool,
    /// Most packets/s to one host (default: scope.max_rate); 0: no limit.
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    max_rate: Option<u32>,
    /// Most packets/s to all hosts together; 0: no limit.
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    max_rate_total: Option<u32>,
    /// Attempts after the first for ports that do not answer, 0 to 10.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=10),
          conflicts_with = "resume")]
    retries: Option<u32>,
    /// End after this time (30s, 10m, 2h) with what was found until then.
    #[arg(long, value_name = "TIME")]
    max_time: Option<Span>,
    /// Find out what listens on the open ports (as every quality does).
    #[arg(long, overrides_with = "no_services", conflicts_with = "resume")]
    services: bool,
    /// Do not find out what listens on the open ports.
    #[arg(long, overrides_with = "services", conflicts_with = "resume")]
    no_services: bool,
    /// Do not ask the DNS for the names of hosts that have open ports.
    #[arg(long, conflicts_with = "resume")]
    no_dns: bool,
    /// What may be touched, instead of what the fleet file allows: address, network or name.
    #[arg(long, value_name = "RULE", value_parser = |s: &str| s.parse::<Rule>(),
          conflicts_with = "resume")]
    scope: Vec<Rule>,
    /// How to show what was found.
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    format: Option<Form>,
    /// Write it to this file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write all formats as well: BASENAME.txt, .json, .jsonl, .xml, .gnmap, .csv.
    #[arg(long, value_name = "BASENAME")]
    all_formats: Option<PathBuf>,
    /// Go on with a scan that was interrupted: the file that it left.
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Do not ask before a scan of more than 20 million probes.
    #[arg(short, long)]
    yes: bool,
    /// Show no progress.
    #[arg(short, long)]
    quiet: bool,
    /// Show open ports as they are found.
    #[arg(short, long)]
    verbose: bool,
}

/// More probes than this are asked about: a /16 with 300 ports, a /24 with all.
const MANY: u64 = 20_000_000;

pub async fn run(global: &Global, args: Args) -> Outcome {
    let fleet_scope = check::load(global)?.fleet.scope;
    let (order, saved, file) = match &args.resume {
        Some(path) => {
            let saved = Saved::read(path).map_err(|e| Failure::new(ExitCode::Usage, e))?;
            let order = saved.order.clone();
            (order, Some(saved), path.clone())
        }
        None => (
            order::of(&args, fleet_scope.clone()).await?,
            None,
            resume::new_path(),
        ),
    };
    let order = Order {
        settings: crate::fleet::ScanSettings {
            max_time: args.max_time.unwrap_or_default(),
            ..order.settings
        },
        ..order
    };
    order.check_scope(fleet_scope)?;
    confirm(&order, args.yes || saved.is_some())?;
    let outputs = Outputs::new(global, &args).context("cannot write the results")?;
    scan(global, &args, order, saved, file, outputs).await
}

/// Asks before a scan that will take long and send much.
fn confirm(order: &Order, yes: bool) -> Result<(), Failure> {
    let probes = order.probes();
    if yes || probes <= MANY {
        return Ok(());
    }
    let what = format!("{} addresses, {probes} probes", order.targets()?.len());
    if !std::io::stdin().is_terminal() {
        let error = anyhow!("this is a large scan ({what}): say --yes if that is meant");
        return Err(Failure::new(ExitCode::Usage, error));
    }
    eprint!("This is a large scan ({what}). Go on? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new(ExitCode::Failure, anyhow!("nothing was sent"))),
    }
}

/// The nmap that is asked about services.
async fn nmap(order: &Order) -> Option<Nmap> {
    let wanted = order.quality == Quality::Balanced && order.settings.nmap != NmapUse::Never;
    match wanted && order.settings.services {
        true => find_nmap().await,
        false => None,
    }
}

async fn scan(
    global: &Global,
    args: &Args,
    order: Order,
    saved: Option<Saved>,
    file: PathBuf,
    outputs: Outputs,
) -> Outcome {
    let nmap = nmap(&order).await;
    let mut gathered = Gathered::new(order.clone(), saved);
    let (targets, options) = gathered.rest()?;
    let second = gathered.unprobed();
    let watch = Arc::new(Watch::new(
        gathered,
        outputs,
        file,
        args.quiet,
        args.verbose,
    ));
    interrupt::watch(Arc::clone(&watch)).context("cannot handle signals")?;
    let ticker = watch::Ticker::start(Arc::clone(&watch));
    let mut failed = None;
    if !targets.is_empty() {
        match scan_streamed(&targets, &options, nmap.as_ref(), &*watch).await {
            Ok(run) => {
                watch.say(&run.notes);
                watch.gathered().finish(&run);
            }
            Err(error) => failed = Some(error),
        }
    }
    // What an earlier part found open but had no time to ask.
    if let (None, false, Some((targets, options))) = (&failed, watch.ended(), second) {
        match scan_targets(&targets, &options, nmap.as_ref(), &watch.services_only()).await {
            Ok(run) => watch.gathered().take_services(&run),
            Err(error) => failed = Some(error),
        }
    }
    ticker.stop();
    end(global, &watch, failed.map(Into::into))
}

/// Shows what there is, and leaves or removes the file to go on from.
fn end(global: &Global, watch: &Watch, failed: Option<anyhow::Error>) -> Outcome {
    let interrupted = watch.interrupted();
    let results = watch.gathered().results();
    let complete = !results.run.incomplete;
    let kept = watch.keep(complete);
    watch
        .show(global, &results)
        .context("cannot write the results")?;
    match kept {
        Ok(None) => {}
        Ok(Some(path)) => eprintln!(
            "reconctl: incomplete; go on with: reconctl scan --resume {}",
            path.display()
        ),
        Err(error) => eprintln!("reconctl: incomplete, and cannot be resumed: {error:#}"),
    }
    match (failed, interrupted, complete) {
        (Some(error), ..) => Err(Failure::new(ExitCode::Failure, error)),
        (None, true, false) => Ok(ExitCode::Interrupted),
        (None, false, false) => Ok(ExitCode::Failure),
        (None, _, true) => Ok(ExitCode::Ok),
    }
}
