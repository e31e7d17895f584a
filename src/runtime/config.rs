use crate::fleet::{
    self, Agent, AgentKind, AgentName, Diagnostics, Fleet, ScanSettings, Scope, Settings, Sources,
};

use super::{Credentials, HubClient, HubError, Options, process};

/// Where an agent's configuration comes from; read at start and at every reload.
#[derive(Debug, Clone)]
pub struct ConfigSource {
    kind: AgentKind,
    name: AgentName,
    options: Options,
}

/// The configuration in force. It is swapped as a whole, so that a task sees either the old or the
/// new one.
#[derive(Debug, Clone)]
pub struct Config {
    /// This agent.
    pub agent: Agent,
    /// What may be touched.
    pub scope: Scope,
    /// Packets/s or requests/s that this agent may send to one target host.
    pub max_rate: u32,
    /// Run by a person (`--once`), not as a daemon.
    pub by_hand: bool,
    /// The hub.
    pub hub: HubClient,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The fleet file is broken.
    #[error(transparent)]
    Fleet(#[from] Diagnostics),
    /// It names no such agent.
    #[error("the fleet has no agent {name}; add [agents.{name}] with kind = \"{kind}\" to it")]
    NoSuchAgent {
        /// The instance name.
        name: AgentName,
        /// The kind of this program.
        kind: &'static str,
    },
    /// The name is that of an agent of another kind.
    #[error("agent {name} is of kind {is}, but this is recon-{kind}")]
    WrongKind {
        /// The instance name.
        name: AgentName,
        /// The kind in the fleet.
        is: &'static str,
        /// The kind of this program.
        kind: &'static str,
    },
    /// The agent refuses its settings.
    #[error("agents.{name}.config: {reason}")]
    Settings {
        /// The instance name.
        name: AgentName,
        /// What is wrong.
        reason: String,
    },
    /// The hub's URL cannot be used.
    #[error("fleet.hub: {0}")]
    Hub(#[from] HubError),
}

impl ConfigSource {
    /// The configuration of the agent that the command line (or `$RECON_AGENT`) names; its kind's
    /// own name when it names none.
    ///
    /// # Errors
    /// The name is not an agent name.
    pub fn new(kind: AgentKind, options: Options) -> Result<Self, String> {
        let name = options.name.as_deref().unwrap_or(kind.as_str()).parse()?;
        Ok(Self {
            kind,
            name,
            options,
        })
    }

    /// The instance name.
    pub fn name(&self) -> &AgentName {
        &self.name
    }

    /// Reads it; `check` is the agent's own look at its settings.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load(
        &self,
        check: impl Fn(&Settings) -> Result<(), String>,
    ) -> Result<Config, ConfigError> {
        let options = &self.options;
        let sources = Sources {
            root: options.root.clone(),
            file: options.fleet.clone(),
            ..Sources::system()
        };
        let mut fleet = fleet::load(&sources)?.fleet;
        let share = max_rate_share(&fleet);
        let mut agent =
            fleet
                .agents
                .remove(&self.name)
                .ok_or_else(|| ConfigError::NoSuchAgent {
                    name: self.name.clone(),
                    kind: self.kind.as_str(),
                })?;
        if agent.kind != self.kind {
            return Err(ConfigError::WrongKind {
                name: self.name.clone(),
                is: agent.kind.as_str(),
                kind: self.kind.as_str(),
            });
        }
        options.override_settings(&mut agent.settings);
        check(&agent.settings).map_err(|reason| ConfigError::Settings {
            name: self.name.clone(),
            reason,
        })?;
        let scope = fleet.scope.allowing(options.scope.clone());
        let caller = format!("{}@{}", self.name, process::host_name());
        let credentials = Credentials::find(options.token_file.as_deref(), options.ca.as_deref());
        let url = options.hub.as_deref().unwrap_or(&fleet.hub);
        let hub = HubClient::new(url, caller, &credentials)?;
        let by_hand = options.once;
        let max_rate = options
            .max_rate
            .unwrap_or(if by_hand { scope.max_rate } else { share });
        Ok(Config {
            agent,
            scope,
            max_rate,
            by_hand,
            hub,
        })
    }
}

/// `scope.max_rate` holds for one target host over all agents. Nothing coordinates them packet by
/// packet, so each agent of the fleet that sends, running or not, gets an equal share.
fn max_rate_share(fleet: &Fleet) -> u32 {
    let sends = |kind: AgentKind| !matches!(kind, AgentKind::Hub | AgentKind::Sentinel);
    let sharing = fleet
        .agents
        .values()
        .filter(|agent| sends(agent.kind))
        .count();
    let sharing = u32::try_from(sharing).unwrap_or(u32::MAX).max(1);
    (fleet.scope.max_rate / sharing).max(1)
}

impl Options {
    /// The command line is stronger than every file.
    fn override_settings(&self, settings: &mut Settings) {
        match settings {
            Settings::Scan(scan) => self.override_scan(scan),
            Settings::Assess(assess) => {
                let mut scan = assess.scan();
                self.override_scan(&mut scan);
                assess.set_scan(scan);
            }
            Settings::Spider(spider) => {
                self.spider.override_settings(&self.web, spider);
                spider.max_time = self.max_time.unwrap_or(spider.max_time);
            }
            Settings::Enum(enumeration) => {
                self.enumeration.override_settings(&self.web, enumeration);
                enumeration.max_time = self.max_time.unwrap_or(enumeration.max_time);
            }
            Settings::Hub(_) | Settings::Sentinel(_) | Settings::Custom(_) => {}
        }
    }

    /// What the command line says of a port scan.
    pub fn override_scan(&self, scan: &mut ScanSettings) {
        let texts = [
            (&self.ports, &mut scan.ports),
            (&self.exclude_ports, &mut scan.exclude_ports),
            (&self.udp_ports, &mut scan.udp_ports),
        ];
        for (said, setting) in texts {
            if let Some(said) = said {
                setting.clone_from(said);
            }
        }
        scan.services &= !self.no_services;
        scan.engine = self.engine.unwrap_or(scan.engine);
        scan.packet_ring |= self.packet_ring;
        scan.max_rate_total = self.max_rate_total.unwrap_or(scan.max_rate_total);
        scan.retries = self.retries.unwrap_or(scan.retries);
        scan.max_time = self.max_time.unwrap_or(scan.max_time);
    }
}
