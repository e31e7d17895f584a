use crate::api::{Personality, WorkKind};
use crate::engines::ports::{Nmap, ScanOptions, find_nmap};
use crate::fleet::{AgentKind, NmapUse, Settings};
use crate::runtime::{Agent, Config, Context, CycleReport, Options, Outbox, Show, WorkError};

use super::engine;
use super::scan::{self, PortScanner};

/// The thorough port scan: our own sweep finds the open ports, `nmap -sV` says what they are, when
/// nmap is installed; our own probes otherwise. Each result says which it was.
#[derive(Debug)]
pub struct Kage {
    wanted: NmapUse,
    nmap: Option<Nmap>,
}

impl Agent for Kage {
    const KIND: AgentKind = AgentKind::Kage;
    const ABOUT: &'static str = "recon's thorough port scanner";

    fn check(settings: &Settings) -> Result<(), String> {
        scan::check(settings)
    }

    async fn new(config: &Config) -> Result<Self, String> {
        let wanted = scan::of(&config.agent.settings)?.nmap;
        let nmap = match wanted {
            NmapUse::Never => None,
            NmapUse::Auto | NmapUse::Always => find_nmap().await,
        };
        match (&nmap, wanted) {
            // By hand the scan itself says so.
            (Some(_), _) if !config.by_hand && !nmap_keeps_to(config) => tracing::warn!(
                "services by own probes: nmap cannot keep to {} packets/s, this agent's share of \
                 scope.max_rate (or max_rate_total); it needs {}",
                config.max_rate,
                Nmap::LEAST_RATE
            ),
            (Some(nmap), _) => tracing::info!("services by own probes and nmap {}", nmap.version),
            (None, NmapUse::Always) => {
                return Err(
                    "nmap = \"always\", but nmap is not installed; install it or set \
                            nmap = \"auto\""
                        .to_owned(),
                );
            }
            (None, NmapUse::Auto) => {
                tracing::info!("nmap is not installed; services by own probes")
            }
            (None, NmapUse::Never) => tracing::info!("services by own probes, as configured"),
        }
        engine::announce(config);
        Ok(Self { wanted, nmap })
    }

    async fn cycle(&mut self, ctx: &Context, outbox: &mut Outbox) -> CycleReport {
        let config = ctx.config();
        if scan::of(&config.agent.settings).is_ok_and(|s| s.nmap != self.wanted) {
            match Self::new(&config).await {
                Ok(changed) => *self = changed,
                Err(error) => tracing::error!("{error}; going on as before"),
            }
        }
        scan::cycle(self, ctx, outbox).await
    }

    async fn once(
        &mut self,
        options: &Options,
        ctx: &Context,
        show: &dyn Show,
    ) -> Result<(), Vec<WorkError>> {
        scan::once(self, options, ctx, show).await
    }
}

/// Whether nmap can keep to the caps of this agent.
fn nmap_keeps_to(config: &Config) -> bool {
    let settings = scan::of(&config.agent.settings).ok();
    let options = settings.and_then(|s| ScanOptions::of(&s, config.max_rate).ok());
    options.is_none_or(|options| Nmap::keeps_to(&options))
}

impl PortScanner for Kage {
    const PERSONALITY: Personality = Personality::Kage;
    const KIND: WorkKind = WorkKind::KagePortScan;

    fn nmap(&self) -> Option<&Nmap> {
        self.nmap.as_ref()
    }
}
