use crate::api::{Personality, WorkKind};
use crate::engines::ports::Nmap;
use crate::fleet::{AgentKind, Settings};
use crate::runtime::{
    Agent, Beside, Config, Context, CycleReport, Options, Outbox, Show, WorkError,
};

use super::assess::{self, Assessor};
use super::engine;
use super::scan::{self, PortScanner};

/// The complete port scan: all 65,535 TCP ports, the UDP ports of common services, and every service by
/// our own probes. Beside it assessments go on, of all that the hub knows.
#[derive(Debug)]
pub struct Ryu;

impl Agent for Ryu {
    const KIND: AgentKind = AgentKind::Ryu;
    const ABOUT: &'static str = "recon's threat assessor, and its complete port scanner";

    fn check(settings: &Settings) -> Result<(), String> {
        assess::check(settings)?;
        scan::check(settings)
    }

    async fn new(config: &Config) -> Result<Self, String> {
        engine::announce(config);
        Ok(Self)
    }

    async fn cycle(&mut self, ctx: &Context, outbox: &mut Outbox) -> CycleReport {
        let config = ctx.config();
        match assess::of(&config.agent.settings) {
            Ok(settings) if !settings.scans => {
                ctx.doing("scans nothing");
                CycleReport {
                    wait: settings.scan_interval.0,
                }
            }
            _ => scan::cycle(self, ctx, outbox).await,
        }
    }

    fn beside(&self) -> Option<Box<dyn Beside>> {
        Some(Box::new(Assessor::default()))
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

impl PortScanner for Ryu {
    const PERSONALITY: Personality = Personality::Ryu;
    const KIND: WorkKind = WorkKind::RyuPortScan;

    fn nmap(&self) -> Option<&Nmap> {
        None
    }
}
