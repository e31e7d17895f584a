use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context as _, anyhow};
use chrono::Utc;
use serde::{Deserialize, Serialize};

use super::Args;
use crate::api::{ExitCode, WorkKind};
use crate::cli::Failure;
use crate::cli::table::printable;
use crate::engines::ports::{Inputs, ScanOptions, Targets, in_scope, settle};
use crate::fleet::{Rule, ScanSettings, Scope};
use crate::runtime::lookup;

/// How thorough a scan is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// As kaze.
    Fast,
    /// As kage.
    #[default]
    Balanced,
    /// As ryu.
    Accurate,
}

impl Quality {
    fn settings(self) -> ScanSettings {
        match self {
            Self::Fast => ScanSettings::kaze(),
            Self::Balanced => ScanSettings::kage(),
            Self::Accurate => ScanSettings::ryu(),
        }
    }

    /// What such a scan is called where scans are stored.
    pub fn scan_type(self) -> &'static str {
        match self {
            Self::Fast => WorkKind::KazePortScan,
            Self::Balanced => WorkKind::KagePortScan,
            Self::Accurate => WorkKind::RyuPortScan,
        }
        .as_str()
    }
}

/// All that decides which probes are sent. It is kept in the file to resume from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// How thorough.
    pub quality: Quality,
    /// The addresses.
    pub targets: String,
    /// Those that were named, with their names.
    pub names: BTreeMap<IpAddr, String>,
    /// The rules of `--scope`.
    pub scope: Vec<String>,
    /// Ports, engine and limits.
    pub settings: ScanSettings,
    /// Ask the DNS for the names of hosts with open ports.
    #[serde(default)]
    pub dns: bool,
    /// Packets/s to one host; 0: no limit.
    pub max_rate: u32,
    /// The command line.
    pub command: String,
}

/// What the command line orders, cut to the scope.
///
/// # Errors
/// It does not read, or it names what may not be touched.
pub async fn of(args: &Args, fleet: Scope) -> Result<Order, Failure> {
    let scope = fleet.allowing(args.scope.clone());
    let usage = |error: anyhow::Error| Failure::new(ExitCode::Usage, error);
    let read = |texts: &[String]| Inputs::parse(texts).map_err(|e| usage(e.into()));
    let (wanted, excluded) = (read(&args.targets)?, read(&args.exclude)?);
    let settings = settings(args);
    let max_rate = args.max_rate.unwrap_or(scope.max_rate);
    ScanOptions::of(&settings, max_rate).map_err(|e| usage(e.into()))?;
    let settled = settle(&wanted, &excluded, &scope, Utc::now(), async |name| {
        lookup(name).await
    });
    let settled = settled
        .await
        .context("nothing was sent (reconctl scope show tells what may be touched; --scope names other networks)")?;
    for refused in &settled.refused {
        eprintln!("reconctl: left out: {}", printable(&refused.to_string()));
    }
    let command: Vec<String> = std::env::args().skip(1).collect();
    Ok(Order {
        quality: args.quality,
        targets: settled.targets.to_string(),
        names: settled.names,
        scope: args.scope.iter().map(ToString::to_string).collect(),
        settings,
        dns: !args.no_dns,
        max_rate,
        command: format!("reconctl {}", command.join(" ")),
    })
}

fn settings(args: &Args) -> ScanSettings {
    let mut settings = args.quality.settings();
    let texts = [
        (&args.ports, &mut settings.ports),
        (&args.exclude_ports, &mut settings.exclude_ports),
        (&args.udp, &mut settings.udp_ports),
    ];
    for (said, setting) in texts {
        if let Some(said) = said {
            setting.clone_from(said);
        }
    }
    if args.no_udp {
        settings.udp_ports.clear();
    }
    settings.services = !args.no_services;
    settings.engine = args.engine.unwrap_or(settings.engine);
    settings.packet_ring = args.packet_ring;
    settings.max_rate_total = args.max_rate_total.unwrap_or(0);
    settings.retries = args.retries.unwrap_or(settings.retries);
    settings
}

impl Order {
    /// The addresses.
    ///
    /// # Errors
    /// The file to resume from has been meddled with.
    pub fn targets(&self) -> Result<Targets, Failure> {
        let read = self.targets.parse();
        read.map_err(|error| Failure::new(ExitCode::Usage, anyhow::Error::from(error)))
    }

    /// What the engine is told.
    ///
    /// # Errors
    /// The file to resume from has been meddled with.
    pub fn options(&self) -> Result<ScanOptions, Failure> {
        let read = ScanOptions::of(&self.settings, self.max_rate);
        let mut options = read.map_err(|error| Failure::new(ExitCode::Usage, error))?;
        options.names.clone_from(&self.names);
        options.dns = self.dns;
        Ok(options)
    }

    /// Number of TCP ports tried on each address.
    pub fn tcp_ports(&self) -> u64 {
        self.options()
            .map_or(0, |options| options.ports.len() as u64)
    }

    /// Number of ports tried on each address.
    pub fn ports(&self) -> u64 {
        let options = self.options();
        options.map_or(0, |o| (o.ports.len() + o.udp_ports.len()) as u64)
    }

    /// Number of probes in all.
    pub fn probes(&self) -> u64 {
        let hosts = self.targets().map_or(0, |targets| targets.len());
        hosts.saturating_mul(self.ports())
    }

    /// Whether all of it may be touched now: the fleet file may say otherwise than when the scan
    /// began.
    ///
    /// # Errors
    /// The first rule that refuses a part of it.
    pub fn check_scope(&self, fleet: Scope) -> Result<(), Failure> {
        let rules: Result<Vec<Rule>, _> = self.scope.iter().map(|rule| rule.parse()).collect();
        let rules = rules.map_err(|error| Failure::new(ExitCode::Usage, error))?;
        let scope = fleet.allowing(rules);
        for (addr, name) in &self.names {
            let checked = scope.check_resolved(name, *addr);
            checked.map_err(|refusal| anyhow!("nothing was sent: {refusal}"))?;
            if let Some((until, blackout)) = scope.blackout(Some(name), &[*addr], Utc::now()) {
                return Err(anyhow!("nothing was sent: {name}: {}", blackout.says(until)).into());
            }
        }
        let named: Targets = self.names.keys().copied().collect();
        let cut = in_scope(&self.targets()?.without(&named), &scope, Utc::now());
        match cut.refused.first() {
            None => Ok(()),
            Some(refused) => Err(anyhow!("nothing was sent: {refused}").into()),
        }
    }
}
