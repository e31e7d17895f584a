use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser};

use crate::fleet::{AgentKind, EngineUse, Rule, Span};

use super::web_options::{ENUM, EnumOptions, SPIDER, SpiderOptions, WEB, WebOptions};

/// Command line of an agent. As a daemon it needs none of it; by hand it needs no fleet file, no hub
/// and no systemd.
#[derive(Debug, Clone, Default, Parser)]
#[command(version)]
#[command(after_help = "\
Without --once it runs as a daemon: it leases work from the hub until it is told to stop
(SIGTERM finishes the task in hand; SIGUSR1 pauses, SIGUSR2 resumes; SIGHUP reloads).

Exit codes: 0 done; 1 something failed; 2 bad usage, and with --once bad settings; 6 hub unreachable;
78 bad configuration; 130 interrupted.")]
pub struct Options {
    /// Instance name (the %i of recon@%i.service).
    #[arg(long, env = "RECON_AGENT", value_name = "NAME")]
    pub name: Option<String>,
    /// Base URL of the hub (default: the fleet file's).
    #[arg(long, value_name = "URL")]
    pub hub: Option<String>,
    /// File with the token for the hub (default: the credential hub-token).
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Certificates (PEM) that the hub's must be signed by (default: the credential hub-ca, else the
    /// system's).
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Work on --target once, print the result and end; nothing is sent to a hub.
    #[arg(long, requires = "target")]
    pub once: bool,
    /// Target for --once: a name, an address, for port scanners a network (10.0.0.0/24), a range
    /// (10.0.0.1-20) or a list of them, for the spider and the enumerator a URL; may be given several
    /// times.
    #[arg(long, value_name = "TARGET", requires = "once")]
    pub target: Vec<String>,
    /// Leave these out; written as --target.
    #[arg(long, value_name = "TARGETS", requires = "once")]
    pub exclude: Vec<String>,
    /// What may be touched: address, network or name (default: the fleet file's scope, else
    /// loopback only). What the fleet file denies stays denied.
    #[arg(long, value_name = "RULE", value_parser = |s: &str| s.parse::<Rule>())]
    pub scope: Vec<Rule>,
    /// Ports to scan: top1000, 1-65535, 22,80,443.
    #[arg(long, value_name = "PORTS")]
    pub ports: Option<String>,
    /// Ports not to scan, TCP and UDP; written as --ports.
    #[arg(long, value_name = "PORTS")]
    pub exclude_ports: Option<String>,
    /// UDP ports to scan: top20, 53,161, snmp; none with "".
    #[arg(long, value_name = "PORTS", visible_alias = "udp")]
    pub udp_ports: Option<String>,
    /// What sends the probes of TCP.
    #[arg(long, value_enum)]
    pub engine: Option<EngineUse>,
    /// Send IPv4 probes of the SYN engine by packet sockets, with less CPU: they bypass the machine's
    /// firewall (nftables, IPAddressDeny=), and recon alone keeps them inside the scope.
    #[arg(long)]
    pub packet_ring: bool,
    /// Do not find out what listens on the open ports.
    #[arg(long)]
    pub no_services: bool,
    /// Most packets/s or requests/s for one target host (default: scope.max_rate); 0: no limit.
    #[arg(long, value_name = "N")]
    pub max_rate: Option<u32>,
    /// Most packets/s to all targets together; 0: no limit.
    #[arg(long, value_name = "N")]
    pub max_rate_total: Option<u32>,
    /// Attempts after the first for ports that do not answer, 0 to 10.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=10))]
    pub retries: Option<u32>,
    /// Longest time for the scan (30s, 10m, 1h); what was found until then is kept.
    #[arg(long, value_name = "TIME")]
    pub max_time: Option<Span>,
    /// Of HTTP.
    #[command(flatten)]
    pub web: WebOptions,
    /// Of the spider.
    #[command(flatten)]
    pub spider: SpiderOptions,
    /// Of the enumerator.
    #[command(flatten)]
    pub enumeration: EnumOptions,
    /// Print JSON (with --once).
    #[arg(long)]
    pub json: bool,
    /// Print one JSON object a line, as each target is done (with --once).
    #[arg(long, conflicts_with = "json")]
    pub jsonl: bool,
    /// Check the configuration and end: 0 when it is good, 78 when it is not.
    #[arg(long, conflicts_with = "once")]
    pub check_config: bool,
    /// Read the configuration below this directory instead of /.
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Read this fleet file instead of /etc/recon/recon.toml.
    #[arg(long, value_name = "FILE", env = "RECON_FLEET")]
    pub fleet: Option<PathBuf>,
}

impl Options {
    /// Parses the command line of this process; ends it with usage on a mistake.
    pub fn parse_for(kind: AgentKind, about: &'static str) -> Self {
        // argv[0] is `kaze-recon-daemon` under systemd; help and errors name the real program.
        let name = format!("recon-{}", kind.as_str());
        let foreign = foreign(kind);
        let mut command = Self::command()
            .name(name.clone())
            .bin_name(name)
            .about(about);
        for argument in &foreign {
            command = command.mut_arg(argument, |arg| arg.hide(true));
        }
        let matches = command.get_matches_mut();
        let given = |id: &&&str| matches.value_source(id) == Some(ValueSource::CommandLine);
        if let Some(id) = foreign.iter().find(given) {
            let message = format!("--{} means nothing to it", id.replace('_', "-"));
            command.error(ErrorKind::UnknownArgument, message).exit();
        }
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// What only port scanners have a use for.
const PORTS_ONLY: [&str; 9] = [
    "exclude",
    "ports",
    "exclude_ports",
    "udp_ports",
    "engine",
    "packet_ring",
    "no_services",
    "max_rate_total",
    "retries",
];

/// The arguments that an agent of this kind has no use for.
fn foreign(kind: AgentKind) -> Vec<&'static str> {
    let [ports, web, spider, enumerator] = match kind {
        AgentKind::Kumo => [false, true, true, false],
        AgentKind::Suzu => [false, true, false, true],
        _ => [true, false, false, false],
    };
    let groups: [(bool, &[&str]); 4] = [
        (ports, &PORTS_ONLY),
        (web, &WEB),
        (spider, &SPIDER),
        (enumerator, &ENUM),
    ];
    groups
        .into_iter()
        .filter(|(used, _)| !used)
        .flat_map(|(_, ids)| ids.iter().copied())
        .collect()
}
