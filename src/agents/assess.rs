use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::api::{
    AssessmentContext, AssessmentSubmission, EggRecord, LookedFor, Personality, WorkKind,
};
use crate::engines::assess::assess;
use crate::engines::assess::rules::{Loaded, RuleSet};
use crate::engines::assess::vulndb::{self, Vulndb};
use crate::fleet::{AssessSettings, Settings};
use crate::runtime::{
    Beside, Config, Context, CycleReport, Done, HubClient, HubError, LeasedWork, Outbox, Task,
    WorkError, lease_cycle, text,
};

/// Assessments, which go on beside ryu's own scans. All that they need is in files and at the hub:
/// nothing is sent to a target.
#[derive(Debug, Default)]
pub struct Assessor {
    rules: Kept<RuleSet>,
    database: Kept<Vulndb>,
    /// An earlier hub does not tell what it knows. That is said once.
    told: bool,
}

/// So long no record takes, a thousandth of it is usual. What takes longer is given up, and tried again
/// as a record is whose assessments fail.
const TOO_LONG: Duration = Duration::from_secs(120);

/// What was read of files, and which they were then.
#[derive(Debug)]
struct Kept<T> {
    of: Option<Vec<Stamp>>,
    read: Option<Arc<T>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            of: None,
            read: None,
        }
    }
}

/// A file as it was: name, time of its last change, bytes.
type Stamp = (PathBuf, Option<SystemTime>, u64);

/// The settings of an assessor.
pub fn of(settings: &Settings) -> Result<&AssessSettings, String> {
    match settings {
        Settings::Assess(settings) => Ok(settings),
        _ => Err("these are not the settings of an assessor".to_owned()),
    }
}

/// Whether an assessor can use these settings.
pub fn check(settings: &Settings) -> Result<(), String> {
    let settings = of(settings)?;
    let rules = settings.rules.iter().map(|path| ("rules", path));
    for (key, path) in rules.chain([("database", &settings.database)]) {
        if !Path::new(path).is_absolute() {
            return Err(format!("{key}: {path:?} is no absolute path"));
        }
    }
    match settings.rules.is_empty() {
        true => Err("rules: name a directory of rules".to_owned()),
        false => Ok(()),
    }
}

#[async_trait(?Send)]
impl Beside for Assessor {
    fn name(&self) -> &'static str {
        "assess"
    }

    async fn cycle(&mut self, ctx: &Context, outbox: &mut Outbox) -> CycleReport {
        lease_cycle(self, ctx, outbox).await;
        let config = ctx.config();
        let wait = of(&config.agent.settings).map(|s| s.assessment_interval.0);
        CycleReport {
            wait: wait.unwrap_or(Duration::from_secs(60)),
        }
    }
}

impl LeasedWork for Assessor {
    const PERSONALITY: Personality = Personality::Ryu;
    const KIND: WorkKind = WorkKind::RyuAssessment;
    const SUBMIT: &'static str = "assessment";
    const DOING: &'static str = "assessing";
    const SENDS: bool = false;

    fn batch(config: &Config) -> (u32, Duration) {
        of(&config.agent.settings).map_or((1, Duration::from_secs(600)), |s| {
            (s.max_assessments, s.lease.0)
        })
    }

    async fn work(&mut self, task: &Task<'_>, ctx: &Context) -> Result<Done, WorkError> {
        let failed = WorkError::Failed;
        let settings = of(&task.config.agent.settings).map_err(failed)?;
        let context = self.context(task, ctx).await?;
        // That is no fault of the record, which else would wait for a day when the rules are back.
        let rules = self.rules(&settings.rules).map_err(WorkError::NotNow)?;
        let database = self.database(Path::new(&settings.database));
        let looked_for = looked_for(&rules, database.as_deref());
        // The thread of the loops is free meanwhile: a record may have thousands of facts.
        let work = tokio::task::spawn_blocking(move || {
            assess(&context, &rules, database.as_deref()).map_err(|error| error.to_string())
        });
        // A panic is an attempt as well, and so is a record that takes for ever: the others go on.
        let Some(assessed) = ctx.heart.bounded(TOO_LONG, work).await else {
            let limit = TOO_LONG.as_secs();
            return Err(failed(format!("not assessed within {limit} s")));
        };
        let assessed = assessed.map_err(|error| failed(error.to_string()))?;
        let mut assessed =
            assessed.map_err(|why| failed(format!("{}: {why}", settings.database)))?;
        // As the hub calls it in the list, whatever became of its name since.
        assessed.eggrecord_id = task.record.id;
        task.target.clone_into(&mut assessed.target);
        assessed.lease_id = task.record.lease_id;
        assessed.looked_for = Some(LookedFor {
            left_out: assessed.looked_for.map_or(0, |looked| looked.left_out),
            ..looked_for
        });
        tell(&assessed);
        Ok(Done {
            parts: Vec::new(),
            found: assessed.vulnerabilities.len() as u64,
            body: json!(assessed),
        })
    }

    fn failure(target: &str, record: &EggRecord, reason: &str) -> Value {
        json!({
            "eggrecord_id": record.id,
            "target": target,
            "success": false,
            "reason": reason,
        })
    }
}

/// What an assessment by these looks for.
fn looked_for(rules: &RuleSet, database: Option<&Vulndb>) -> LookedFor {
    let off = rules.disabled().map(|(id, _)| id.to_owned());
    // Only these say what software is affected.
    let parts = database.iter().flat_map(|database| &database.info().parts);
    let parts = parts.filter(|(name, _)| matches!(name.as_str(), "nvd" | "cve"));
    LookedFor {
        rules: rules
            .iter()
            .map(|rule| rule.id.clone())
            .chain(off)
            .collect(),
        database: database.is_some(),
        database_date: parts.filter_map(|(_, part)| part.date.clone()).max(),
        left_out: 0,
    }
}

fn tell(assessed: &AssessmentSubmission) {
    let target = text::display(&assessed.target, 120);
    tracing::info!(
        EVENT = "assessment_completed",
        TARGET = %target,
        EGGRECORD_ID = %assessed.eggrecord_id,
        RISK_LEVEL = %assessed.risk_level,
        "{target}: {}, {} findings, {} ways in",
        assessed.risk_level,
        assessed.vulnerabilities.len(),
        assessed.attack_vectors.len()
    );
}

impl Assessor {
    async fn context(
        &mut self,
        task: &Task<'_>,
        ctx: &Context,
    ) -> Result<AssessmentContext, WorkError> {
        let request = task.config.hub.assessment_context(task.record.id);
        match ctx.heart.bounded(HubClient::TIMEOUT, request).await {
            Some(Ok(context)) => Ok(context),
            // A failure is an attempt, and an earlier server takes any attempt for an assessment.
            Some(Err(error @ HubError::Refused { .. })) => {
                if !std::mem::replace(&mut self.told, true) {
                    tracing::warn!("no assessments: the hub does not tell what it knows: {error}");
                }
                Err(WorkError::NotNow(
                    "the hub does not tell what it knows".to_owned(),
                ))
            }
            Some(Err(error)) => Err(WorkError::NotNow(error.to_string())),
            None => Err(WorkError::NotNow("the hub does not answer".to_owned())),
        }
    }

    /// The rules, read again when a file has changed.
    fn rules(&mut self, directories: &[String]) -> Result<Arc<RuleSet>, String> {
        let directories: Vec<PathBuf> = directories.iter().map(PathBuf::from).collect();
        let stamps = stamps(&directories);
        if self.rules.of.as_ref() != Some(&stamps) {
            let Loaded {
                rules,
                errors,
                notes,
            } = RuleSet::load(&directories);
            for error in errors.iter().chain(&notes) {
                tracing::warn!(EVENT = "bad_rule", "{error}");
            }
            match rules.len() {
                0 => tracing::error!(
                    EVENT = "no_rules",
                    "no assessments: there are no rules in {}",
                    listed(&directories)
                ),
                number => tracing::info!("{number} rules in force"),
            }
            self.rules.read = Some(Arc::new(rules));
            self.rules.of = Some(stamps);
        }
        match &self.rules.read {
            Some(rules) if !rules.is_empty() => Ok(Arc::clone(rules)),
            _ => Err(format!("there are no rules in {}", listed(&directories))),
        }
    }

    /// The database, opened again when an import has put a new one in its place. Without one there are
    /// rules alone, and the assessment says so.
    fn database(&mut self, path: &Path) -> Option<Arc<Vulndb>> {
        let stamps: Vec<Stamp> = stamp(path).into_iter().collect();
        if self.database.of.as_ref() != Some(&stamps) {
            self.database.read = match Vulndb::open(path) {
                Ok(database) => Some(Arc::new(database)),
                Err(vulndb::Error::Read { source, .. })
                    if source.kind() == io::ErrorKind::NotFound =>
                {
                    tracing::info!(
                        "no vulnerability database: assessments rest on rules alone until \
                         `reconctl vulndb import` has made {}",
                        path.display()
                    );
                    None
                }
                Err(error) => {
                    tracing::error!(
                        EVENT = "bad_database",
                        "assessments rest on rules alone: {error}"
                    );
                    None
                }
            };
            self.database.of = Some(stamps);
        }
        self.database.read.clone()
    }
}

fn listed(directories: &[PathBuf]) -> String {
    let shown = directories.iter().map(|dir| dir.display().to_string());
    shown.collect::<Vec<_>>().join(" and ")
}

/// All rule files, by name.
fn stamps(directories: &[PathBuf]) -> Vec<Stamp> {
    let entries = directories
        .iter()
        .filter_map(|directory| std::fs::read_dir(directory).ok())
        .flat_map(|entries| entries.flatten());
    let mut stamps: Vec<Stamp> = entries.filter_map(|entry| stamp(&entry.path())).collect();
    stamps.sort();
    stamps
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = path.metadata().ok()?;
    Some((path.to_owned(), meta.modified().ok(), meta.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = include_str!("../../packaging/rules/redis-no-auth.toml");

    #[test]
    fn rules_are_read_again_when_they_change() {
        let dir = tempfile::tempdir().unwrap();
        let directories = [dir.path().display().to_string()];
        let mut assessor = Assessor::default();
        assert!(
            assessor.rules(&directories).is_err(),
            "an assessment by no rules would find nothing to be wrong"
        );
        std::fs::write(dir.path().join("a.toml"), RULE).unwrap();
        let first = assessor.rules(&directories).unwrap();
        assert_eq!(first.len(), 1);
        let again = assessor.rules(&directories).unwrap();
        assert!(Arc::ptr_eq(&first, &again), "nothing has changed");
        std::fs::write(dir.path().join("b.toml"), "id = 3").unwrap();
        let broken = assessor.rules(&directories).unwrap();
        assert_eq!(broken.len(), 1, "a broken one leaves the others");
        std::fs::remove_file(dir.path().join("a.toml")).unwrap();
        assert!(assessor.rules(&directories).is_err());
    }

    #[test]
    fn what_is_looked_for_is_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.toml"), RULE).unwrap();
        let off = "id = \"telnet\"\nenabled = false\n";
        std::fs::write(dir.path().join("b.toml"), off).unwrap();
        let directories = [dir.path().display().to_string()];
        let rules = Assessor::default().rules(&directories).unwrap();
        let wanted = LookedFor {
            rules: vec!["redis-no-auth".to_owned(), "telnet".to_owned()],
            ..LookedFor::default()
        };
        assert_eq!(looked_for(&rules, None), wanted);
    }

    #[test]
    fn a_database_that_is_none_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vulndb");
        let mut assessor = Assessor::default();
        assert!(assessor.database(&path).is_none());
        std::fs::write(&path, "no database").unwrap();
        assert!(assessor.database(&path).is_none());
    }
}
