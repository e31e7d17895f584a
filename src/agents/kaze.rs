use crate::api::{Personality, WorkKind};
use crate::engines::ports::Nmap;
use crate::fleet::{AgentKind, Settings};
use crate::runtime::{Agent, Config, Context, CycleReport, Options, Outbox, Show, WorkError};

use super::engine;
use super::scan::{self, PortScanner};

/// The fastest port scan: our own engine, sweep and service probes.
#[derive(Debug)]
pub struct Kaze;

impl Agent for Kaze {
    const KIND: AgentKind = AgentKind::Kaze;
    const ABOUT: &'static str = "recon's fast port scanner";

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

impl PortScanner for Kaze {
    const PERSONALITY: Personality = Personality::Kaze;
    const KIND: WorkKind = WorkKind::KazePortScan;

    fn nmap(&self) -> Option<&Nmap> {
        None
    }
}
