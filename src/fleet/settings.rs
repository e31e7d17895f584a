use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AgentKind, EnumSettings, Span, SpiderSettings};

/// The agent's own settings (`[agents.NAME.config]`), by kind of agent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Settings {
    /// hub
    Hub(HubSettings),
    /// kage, kaze
    Scan(ScanSettings),
    /// kumo
    Spider(SpiderSettings),
    /// suzu
    Enum(EnumSettings),
    /// ryu
    Assess(AssessSettings),
    /// sentinel
    Sentinel(SentinelSettings),
    /// A program of the user's own: passed on as it is.
    Custom(toml::Table),
}

impl Settings {
    /// Whether the agent sends anything to targets.
    pub fn sends(&self) -> bool {
        match self {
            Self::Hub(_) => false,
            Self::Assess(settings) => settings.scans,
            _ => true,
        }
    }

    /// Whether its probes may go past the machine's firewall, by packet sockets.
    pub fn packet_ring(&self) -> bool {
        let (asked_for, engine) = match self {
            Self::Scan(scan) => (scan.packet_ring, scan.engine),
            Self::Assess(assess) => (assess.packet_ring, assess.engine),
            _ => return false,
        };
        asked_for && engine != EngineUse::Connect
    }

    /// Whether it loads pages in a browser.
    pub fn browser(&self) -> bool {
        matches!(self, Self::Spider(spider) if spider.browser)
    }
}

/// When kage uses nmap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NmapUse {
    /// When it is installed.
    #[default]
    Auto,
    /// Always; without it the agent refuses to start.
    Always,
    /// Never: the own engine.
    Never,
}

/// Which engine of a port scanner sends the probes of TCP.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum EngineUse {
    /// SYN where the agent has CAP_NET_RAW, else connect.
    #[default]
    Auto,
    /// Whole connections; needs no privilege.
    Connect,
    /// Half-open connections; needs CAP_NET_RAW.
    Syn,
}

/// Settings of a port scanner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScanSettings {
    /// Pause between cycles.
    pub scan_interval: Span,
    /// Targets in one cycle, 1 to 1000.
    pub max_scans: u32,
    /// A target is scanned again after this long; the hub keeps to it.
    pub rescan_after: Span,
    /// TCP ports: `top1000`, `1-65535`, `22,80,443,8000-8100`, `ssh,http`.
    pub ports: String,
    /// Ports that are never tried, TCP and UDP; written as `ports`.
    pub exclude_ports: String,
    /// UDP ports: `top20`, `53,161`, `snmp,ntp`; none when empty.
    pub udp_ports: String,
    /// Which engine sends the probes of TCP.
    pub engine: EngineUse,
    /// IPv4 probes of the SYN engine go by packet sockets (AF_PACKET), with a sixth less CPU, and bypass
    /// the machine's firewall: neither nftables nor systemd's IPAddressDeny= sees them, and recon alone
    /// keeps them inside the scope. Needs CAP_NET_RAW.
    pub packet_ring: bool,
    /// Find out what listens on the open ports.
    pub services: bool,
    /// Ask services for all that they tell, such as every TLS version, at the cost of more connections.
    pub deep: bool,
    /// When kage uses nmap; kaze never does.
    pub nmap: NmapUse,
    /// Connections at a time; 0 derives it from the file limit.
    pub concurrency: u32,
    /// Packets/s or connection attempts/s to all targets together; 0 is no limit of its own
    /// (`scope.max_rate` holds for each target).
    pub max_rate_total: u32,
    /// Longest wait for an answer to one connection attempt.
    pub connect_timeout: Span,
    /// Attempts after the first for ports that do not answer, 0 to 10.
    pub retries: u32,
    /// Longest time for one target; what was found until then is kept and marked incomplete.
    pub max_time: Span,
    /// How long a lease is asked for; heartbeats renew it.
    pub lease: Span,
}

impl ScanSettings {
    /// The thorough one: the usual ports and UDP services, nmap's opinion where it is installed.
    pub fn kage() -> Self {
        Self {
            udp_ports: "top20".to_owned(),
            ..Self::kaze()
        }
    }

    /// The fast one: the usual ports.
    pub fn kaze() -> Self {
        Self {
            scan_interval: Span::secs(30),
            max_scans: 5,
            rescan_after: Span::secs(24 * 3600),
            ports: "top1000".to_owned(),
            exclude_ports: String::new(),
            udp_ports: String::new(),
            engine: EngineUse::Auto,
            packet_ring: false,
            services: true,
            deep: false,
            nmap: NmapUse::Auto,
            concurrency: 0,
            max_rate_total: 0,
            connect_timeout: Span::secs(1),
            retries: 2,
            max_time: Span::secs(3600),
            lease: Span::secs(600),
        }
    }

    /// The complete one: every port, the usual UDP services, and all that a service tells.
    pub fn ryu() -> Self {
        Self {
            ports: "1-65535".to_owned(),
            udp_ports: "top100".to_owned(),
            deep: true,
            nmap: NmapUse::Never,
            retries: 3,
            max_time: Span::secs(4 * 3600),
            ..Self::kaze()
        }
    }

    /// What holds for this kind of agent when the fleet file says nothing.
    pub fn of(kind: AgentKind) -> Self {
        match kind {
            AgentKind::Kage => Self::kage(),
            AgentKind::Ryu => Self::ryu(),
            _ => Self::kaze(),
        }
    }
}

impl Default for ScanSettings {
    fn default() -> Self {
        Self::kaze()
    }
}

/// Settings of ryu: threat assessment, and its own complete port scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AssessSettings {
    /// Scan ports itself. Without it ryu only assesses what others found, and its unit lets it reach
    /// nothing but the hub.
    pub scans: bool,
    /// Pause between scan cycles.
    pub scan_interval: Span,
    /// Scans in one cycle, 1 to 1000.
    pub max_scans: u32,
    /// TCP ports: `top1000`, `1-65535`, `22,80,443,8000-8100`, `ssh,http`.
    pub ports: String,
    /// Ports that are never tried, TCP and UDP; written as `ports`.
    pub exclude_ports: String,
    /// UDP ports: `top20`, `53,161`, `snmp,ntp`; none when empty.
    pub udp_ports: String,
    /// Which engine sends the probes of TCP.
    pub engine: EngineUse,
    /// IPv4 probes of the SYN engine go by packet sockets (AF_PACKET), with a sixth less CPU, and bypass
    /// the machine's firewall: neither nftables nor systemd's IPAddressDeny= sees them, and recon alone
    /// keeps them inside the scope. Needs CAP_NET_RAW.
    pub packet_ring: bool,
    /// Find out what listens on the open ports.
    pub services: bool,
    /// Ask services for all that they tell, such as every TLS version, at the cost of more connections.
    pub deep: bool,
    /// Connections at a time; 0 derives it from the file limit.
    pub concurrency: u32,
    /// Packets/s or connection attempts/s to all targets together; 0 is no limit of its own
    /// (`scope.max_rate` holds for each target).
    pub max_rate_total: u32,
    /// Longest wait for an answer to one connection attempt.
    pub connect_timeout: Span,
    /// Attempts after the first for ports that do not answer, 0 to 10.
    pub retries: u32,
    /// Longest time for one target; what was found until then is kept and marked incomplete.
    pub max_time: Span,
    /// How long a lease is asked for; heartbeats renew it.
    pub lease: Span,
    /// Pause between assessment cycles.
    pub assessment_interval: Span,
    /// Assessments in one cycle, 1 to 1000.
    pub max_assessments: u32,
    /// Directories of rule files (`*.toml`); a rule of a later one takes the place of one of the same id.
    pub rules: Vec<String>,
    /// The vulnerability database that `reconctl vulndb import` makes. Without it there are rules alone.
    pub database: String,
    /// A target is scanned again after this long; the hub keeps to it.
    pub rescan_after: Span,
    /// A target is assessed again after this long; the hub keeps to it.
    pub reassess_after: Span,
}

impl Default for AssessSettings {
    fn default() -> Self {
        let scan = ScanSettings {
            // All ports of a host that filters, at the rate of a careful scope.
            max_time: Span::secs(12 * 3600),
            ..ScanSettings::ryu()
        };
        Self::of(scan)
    }
}

impl AssessSettings {
    /// With this port scan.
    fn of(scan: ScanSettings) -> Self {
        Self {
            scans: true,
            scan_interval: scan.scan_interval,
            max_scans: scan.max_scans,
            ports: scan.ports,
            exclude_ports: scan.exclude_ports,
            udp_ports: scan.udp_ports,
            engine: scan.engine,
            packet_ring: scan.packet_ring,
            services: scan.services,
            deep: scan.deep,
            concurrency: scan.concurrency,
            max_rate_total: scan.max_rate_total,
            connect_timeout: scan.connect_timeout,
            retries: scan.retries,
            max_time: scan.max_time,
            lease: scan.lease,
            assessment_interval: Span::secs(60),
            max_assessments: 2,
            rules: vec![
                "/usr/share/recon/rules".to_owned(),
                "/etc/recon/rules.d".to_owned(),
            ],
            database: "/var/lib/recon/vulndb/vulndb".to_owned(),
            rescan_after: scan.rescan_after,
            reassess_after: Span::secs(7 * 24 * 3600),
        }
    }

    /// The settings of its port scan.
    pub fn scan(&self) -> ScanSettings {
        ScanSettings {
            scan_interval: self.scan_interval,
            max_scans: self.max_scans,
            rescan_after: self.rescan_after,
            ports: self.ports.clone(),
            exclude_ports: self.exclude_ports.clone(),
            udp_ports: self.udp_ports.clone(),
            engine: self.engine,
            packet_ring: self.packet_ring,
            services: self.services,
            deep: self.deep,
            nmap: NmapUse::Never,
            concurrency: self.concurrency,
            max_rate_total: self.max_rate_total,
            connect_timeout: self.connect_timeout,
            retries: self.retries,
            max_time: self.max_time,
            lease: self.lease,
        }
    }

    /// Changes the settings of its port scan.
    pub fn set_scan(&mut self, scan: ScanSettings) {
        *self = Self {
            scans: self.scans,
            assessment_interval: self.assessment_interval,
            max_assessments: self.max_assessments,
            rules: std::mem::take(&mut self.rules),
            database: std::mem::take(&mut self.database),
            reassess_after: self.reassess_after,
            ..Self::of(scan)
        };
    }
}

const DAY: u64 = 24 * 3600;

/// Settings of the hub.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HubSettings {
    /// Address and port to listen on.
    pub listen: String,
    /// Where the data is: `sqlite:///PATH` or `postgres://USER@HOST/NAME`. Default: what the credential `database-url` says, else
    /// `hub.db` in the state directory.
    pub database: Option<String>,
    /// Whether callers on loopback need no token. For the agents of the earlier system, which have
    /// none; every user of the host is let in with them.
    pub anonymous_loopback: bool,
    /// Requests a second with one token, twice as many for a moment; without a token half of that for one address. 0: no limit.
    pub max_requests: u32,
    /// How long a lease lasts when the caller names none.
    pub lease: Span,
    /// Events are kept for this long; 0 keeps them for ever.
    pub keep_events: Span,
    /// Changes are kept for this long; 0 keeps them for ever.
    pub keep_changes: Span,
    /// Scans, requests of spiders and assessments are kept for this long, and the last ones of a target
    /// for ever; 0 keeps them all.
    pub keep_scans: Span,
    /// Findings that are fixed are kept for this long after, unless somebody decided about them, and
    /// those of a deleted target after they were last seen; 0 keeps them for ever.
    pub keep_findings: Span,
    /// Answers to submissions are kept for this long, to be given again to a repetition; 0 keeps them
    /// for ever. Longer than an agent may be without the hub: it then sends again what it sent before.
    pub keep_answers: Span,
    /// What operators changed (`reconctl hub audit`) is kept for this long; 0 keeps it for ever.
    pub keep_audit: Span,
    /// Whom to tell of events, over HTTP.
    pub webhooks: Vec<WebhookSettings>,
}

/// One URL that is told of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// Name, by which the hub remembers how far it is.
    pub name: String,
    /// Where the events go (`http://` or `https://`). The hub's firewall allows it if the host is an
    /// address.
    pub url: String,
    /// Types of events.
    #[serde(default = "webhook_types")]
    pub types: Vec<String>,
    /// Name of the credential that holds the key of the signatures.
    pub secret: String,
}

fn webhook_types() -> Vec<String> {
    [
        "change_detected",
        "finding_created",
        "scope_violation_blocked",
    ]
    .map(str::to_owned)
    .into()
}

impl Default for HubSettings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9000".to_owned(),
            database: None,
            anonymous_loopback: false,
            max_requests: 2000,
            lease: Span::secs(600),
            keep_events: Span::secs(90 * DAY),
            keep_changes: Span::secs(365 * DAY),
            keep_scans: Span::secs(365 * DAY),
            keep_findings: Span::secs(365 * DAY),
            keep_answers: Span::secs(90 * DAY),
            keep_audit: Span::secs(365 * DAY),
            webhooks: Vec::new(),
        }
    }
}

/// Settings of the test agent. The last four make it misbehave on purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SentinelSettings {
    /// Between log lines.
    pub log_interval: Span,
    /// Between jobs.
    pub job_interval: Span,
    /// Between heartbeats.
    pub heartbeat_interval: Span,
    /// Every 20th iteration fails, is logged as an error, and work goes on.
    pub simulate_errors: bool,
    /// After this long the work loop hangs while the process lives.
    pub hang_after: Option<Span>,
    /// After this long it crashes (abort).
    pub crash_after: Option<Span>,
    /// Leaks so many bytes each iteration.
    pub leak_bytes: u64,
    /// Does not end when told to.
    pub refuse_stop: bool,
}

impl Default for SentinelSettings {
    fn default() -> Self {
        Self {
            log_interval: Span::secs(5),
            job_interval: Span::secs(30),
            heartbeat_interval: Span::secs(10),
            simulate_errors: false,
            hang_after: None,
            crash_after: None,
            leak_bytes: 0,
            refuse_stop: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_scan_leaves_what_is_no_part_of_it() {
        let mut settings = AssessSettings {
            scans: false,
            assessment_interval: Span::secs(1),
            max_assessments: 7,
            rules: vec!["/rules".to_owned()],
            database: "/database".to_owned(),
            reassess_after: Span::secs(2),
            ..AssessSettings::default()
        };
        let before = settings.clone();
        settings.set_scan(before.scan());
        assert_eq!(settings, before);
        let ports = "80".to_owned();
        settings.set_scan(ScanSettings {
            ports: ports.clone(),
            ..before.scan()
        });
        assert_eq!(settings, AssessSettings { ports, ..before });
    }
}
