use std::collections::BTreeSet;

use anyhow::anyhow;
use clap_complete::engine::ArgValueCandidates;

use super::agents::{Roster, failed};
use super::control::{Driver, Report, Verb, dependencies_first, print_all, worst};
use super::{Failure, Global, Outcome, complete, output};
use crate::api::ExitCode;
use crate::systemd::{AgentState, JobKind, Manager, UnitState, agent_of_unit};

/// The target that stands for the whole fleet.
const FLEET: &str = "recon.target";

/// Targets of profiles; not that of the fleet.
const PROFILES: &str = "recon-*.target";

/// Start a profile's agents, and stop all others.
///
/// What is disabled or masked is not started, and a profile that is started so lasts until the next
/// boot: what starts then is fleet.profile of the fleet file.
#[derive(Debug, clap::Args)]
pub struct UpArgs {
    /// The profile (default: fleet.profile of the fleet file).
    #[arg(long, short, value_name = "PROFILE", add = ArgValueCandidates::new(complete::profiles))]
    pub profile: Option<String>,
}

/// Stop all agents, those first that need others.
#[derive(Debug, clap::Args)]
pub struct DownArgs {}

pub async fn up(global: &Global, args: UpArgs) -> Outcome {
    let fleet = Fleet::connect(global).await?;
    let chosen = fleet.chosen().await?;
    // Before the first apply systemd does not know which one the fleet file chooses.
    let in_file = fleet.roster.fleet().map(|f| f.profile.clone());
    let Some(profile) = args.profile.or(chosen.clone()).or(in_file) else {
        return Err(anyhow!("no profile is chosen: name one with --profile").into());
    };
    let target = format!("recon-{profile}.target");
    let part = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    if !profile.bytes().all(part) {
        return Err(fleet.no_profile(&profile).await);
    }
    let members = fleet.members(&profile, &target).await?;
    let (mut wanted, others) = fleet.split(&members).await?;
    let masked = wanted.extract_if(.., |u| u.load_state == "masked");
    let masked: Vec<String> = masked.map(|u| u.name).collect();
    let mut reports = fleet
        .driver(Verb::Stop { no_wait: false })
        .drive(others)
        .await?;
    let first = if Some(&profile) == chosen.as_ref() {
        FLEET
    } else {
        &target
    };
    let whole = fleet.manager.submit(JobKind::Start, first).await;
    let whole = whole.map_err(failed)?;
    let start = Verb::Start {
        force: false,
        no_wait: false,
    };
    reports.extend(fleet.driver(start).drive(wanted).await?);
    whole.wait().await.map_err(failed)?;
    fleet.end_other_profiles(&target).await?;
    fleet.tell_left_out(&profile, &members, &masked)?;
    finish(global, reports)
}

pub async fn down(global: &Global, _: DownArgs) -> Outcome {
    let fleet = Fleet::connect(global).await?;
    let mut running = fleet.units().await?;
    running.retain(|u| u.state != AgentState::Stopped && !u.state.is_failed());
    if running.is_empty() && !global.json && !global.jsonl {
        output::text("Nothing to do: no agent runs.\n")?;
    }
    let mut running = dependencies_first(running);
    running.reverse();
    let reports = fleet
        .driver(Verb::Stop { no_wait: false })
        .drive(running)
        .await?;
    // After their members: a target that stops takes them along, and each that is gone by the time
    // of its own job would be loaded again, with all that its target pulls in.
    let mut targets = fleet.active_profiles().await?;
    targets.push(FLEET.to_owned());
    for target in &targets {
        let job = fleet.manager.job(JobKind::Stop, target).await;
        job.map_err(failed)?;
    }
    finish(global, reports)
}

fn finish(global: &Global, reports: Vec<Report>) -> Outcome {
    let code = worst(&reports);
    print_all(global, reports)?;
    Ok(code)
}

/// What should run and what does.
struct Fleet<'a> {
    global: &'a Global,
    roster: Roster,
    manager: Manager,
}

impl<'a> Fleet<'a> {
    async fn connect(global: &'a Global) -> Result<Self, Failure> {
        Ok(Self {
            global,
            roster: Roster::load(global),
            manager: global.systemd().await?,
        })
    }

    fn driver(&self, verb: Verb) -> Driver<'_> {
        Driver {
            global: self.global,
            roster: &self.roster,
            manager: &self.manager,
            verb,
            all: true,
        }
    }

    async fn units(&self) -> Result<Vec<UnitState>, Failure> {
        let units = self.manager.units(&self.roster.units()).await;
        let mut units = units.map_err(failed)?;
        for unit in &mut units {
            self.roster.complete(unit);
        }
        Ok(units)
    }

    /// The profile that `recon.target` starts, as systemd knows it.
    async fn chosen(&self) -> Result<Option<String>, Failure> {
        let fleet = self.manager.unit(FLEET).await.map_err(failed)?;
        let profile = |unit: &String| Some(profile_of(unit)?.to_owned());
        Ok(fleet.wants.iter().find_map(profile))
    }

    /// The agents that the target of a profile starts: its members that are enabled.
    async fn members(&self, profile: &str, target: &str) -> Result<Vec<String>, Failure> {
        let unit = self.manager.unit(target).await.map_err(failed)?;
        if unit.load_state == "not-found" {
            return Err(self.no_profile(profile).await);
        }
        let mut members = unit.wants;
        members.retain(|name| agent_of_unit(name).is_some());
        Ok(members)
    }

    async fn no_profile(&self, profile: &str) -> Failure {
        let in_file = self.roster.fleet().map(|f| &f.profiles);
        let error = if in_file.is_some_and(|p| p.contains_key(profile)) {
            anyhow!(
                "profile {profile:?} is in the fleet file but not in systemd: run reconctl apply"
            )
        } else {
            let files = self.manager.unit_files(PROFILES).await.unwrap_or_default();
            let names = files.iter().filter_map(|(path, _)| profile_of(path));
            let names: BTreeSet<&str> = names.collect();
            let names: Vec<&str> = names.into_iter().collect();
            anyhow!("no profile {profile:?}: there are {}", names.join(", "))
        };
        Failure::new(ExitCode::Usage, error)
    }

    /// What is to run, with all that it depends on, in the order of its start; and what runs besides,
    /// in the order of its stop.
    async fn split(&self, members: &[String]) -> Result<(Vec<UnitState>, Vec<UnitState>), Failure> {
        let mut names: BTreeSet<String> = BTreeSet::new();
        let mut wanted = Vec::new();
        let mut next = members.to_vec();
        while !next.is_empty() {
            next.retain(|n| agent_of_unit(n).is_some() && names.insert(n.clone()));
            let mut states = self.manager.states(&next).await.map_err(failed)?;
            next = states
                .iter()
                .flat_map(|u| [&u.wants, &u.requires])
                .flatten()
                .cloned()
                .collect();
            states.iter_mut().for_each(|u| self.roster.complete(u));
            wanted.append(&mut states);
        }
        let mut others = self.units().await?;
        others.retain(|u| {
            let runs = u.state != AgentState::Stopped && !u.state.is_failed();
            runs && !names.contains(&u.unit)
        });
        let mut others = dependencies_first(others);
        others.reverse();
        Ok((dependencies_first(wanted), others))
    }

    async fn active_profiles(&self) -> Result<Vec<String>, Failure> {
        let loaded = self.manager.loaded(PROFILES).await.map_err(failed)?;
        let active = loaded.into_iter().filter(|(_, state)| state == "active");
        Ok(active.map(|(name, _)| name).collect())
    }

    /// The targets of other profiles would go on to say that they are active. Their members that
    /// were to stop have; stopping a target in the usual way would take the others along.
    async fn end_other_profiles(&self, target: &str) -> Result<(), Failure> {
        for other in self.active_profiles().await? {
            if other != target {
                self.manager.stop_alone(&other).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Members that were not started, and why.
    fn tell_left_out(
        &self,
        profile: &str,
        members: &[String],
        masked: &[String],
    ) -> anyhow::Result<()> {
        let all = self.roster.fleet().and_then(|f| f.profiles.get(profile));
        let left = all
            .into_iter()
            .flatten()
            .filter(|a| !members.contains(&a.unit()));
        if self.global.json || self.global.jsonl {
            return Ok(());
        }
        for agent in masked {
            output::text(&format!(
                "{agent}: not started: it is masked (reconctl unmask {agent})\n"
            ))?;
        }
        for agent in left {
            output::text(&format!(
                "{agent}: not started: it is disabled (reconctl enable {agent})\n"
            ))?;
        }
        Ok(())
    }
}

/// The profile of a target, or of its file.
fn profile_of(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next()?;
    name.strip_prefix("recon-")?.strip_suffix(".target")
}

#[cfg(test)]
mod tests {
    use super::profile_of;

    #[test]
    fn profiles_have_targets() {
        assert_eq!(
            profile_of("/etc/systemd/system/recon-dmz.target"),
            Some("dmz")
        );
        assert_eq!(profile_of("recon-full.target"), Some("full"));
        assert_eq!(profile_of("recon.target"), None);
        assert_eq!(profile_of("network.target"), None);
    }
}
