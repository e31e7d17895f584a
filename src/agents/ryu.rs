use crate::api::{Personality, WorkKind};
use crate::engines::ports::Nmap;
use crate::fleet::{AgentKind, Settings};
use crate::runtime::{Agent, Config, Context, CycleReport, Options, Outbox, Show, WorkError};

use super::engine;
use super::scan::{self, PortScanner};

/// The complete port scan: all 65,535 TCP ports, the UDP ports of common services, and every service by
/// our own probes. It does not assess threats yet, and leases no assessments.
#[derive(Debug)]
pub struct Ryu;

impl Agent for Ryu {
    const KIND: AgentKind = AgentKind::Ryu;
    const ABOUT: &'static str = "recon's complete port scanner (it does not assess threats yet)";

    fn check(settings: &Settings) -> Result<(), String> {
        scan::check(settings)
    }

    async fn new(config: &Config) -> Result<Self, String> {
        engine::announce(config);
        Ok(Self)
    }

    async fn cycle(&mut self, ctx: &Context, outbox: &mut Outbox) -> CycleReport {
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

impl PortScanner for Ryu {
    const PERSONALITY: Personality = Personality::Ryu;
    const KIND: WorkKind = WorkKind::RyuPortScan;

    fn nmap(&self) -> Option<&Nmap> {
        None
    }
}
