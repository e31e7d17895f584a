//! EPSS's CSV, Debian's security tracker and OSV.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::super::model::{Cve, CveId, Distribution, Epss, Fix, FixState};
use super::Take;
use super::nvd::id_of;
use super::text;

/// Reads EPSS's CSV; answers with the day of its scores.
pub(super) fn epss(content: impl Read, take: &mut Take) -> Result<Option<String>, String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(content);
    let (mut day, mut row, mut rows) = (None, csv::StringRecord::new(), 0_u64);
    let mut head = false;
    while reader
        .read_record(&mut row)
        .map_err(|error| error.to_string())?
    {
        take.meter.next_entry();
        let first = row.get(0).unwrap_or_default();
        if first.starts_with('#') {
            let dates = row
                .iter()
                .filter_map(|cell| cell.strip_prefix("score_date:"));
            day = dates.filter_map(text::date).next();
            continue;
        }
        if first == "cve" {
            head = true;
            continue;
        }
        if !head || row.len() < 3 {
            return Err("not a row of cve,epss,percentile".to_owned());
        }
        let share = |at: usize| {
            let text = row.get(at).unwrap_or_default();
            millionths(text).ok_or_else(|| format!("{:?} is no probability", text::clean(text, 20)))
        };
        let epss = Epss {
            score: share(1)?,
            percentile: share(2)?,
        };
        let id = id_of(first)?;
        rows += 1;
        take.cve(
            id,
            Cve {
                epss: Some(epss),
                ..Cve::default()
            },
        )?;
    }
    if rows == 0 {
        return Err("it holds no scores".to_owned());
    }
    Ok(day)
}

fn millionths(text: &str) -> Option<u32> {
    let share: f64 = text.parse().ok()?;
    // In range.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (0.0..=1.0)
        .contains(&share)
        .then(|| (share * 1e6).round() as u32)
}

/// Debian's release of a code name; others (`sid`) go by theirs.
pub(super) fn debian_release(code_name: &str) -> &str {
    match code_name {
        "stretch" => "9",
        "buster" => "10",
        "bullseye" => "11",
        "bookworm" => "12",
        "trixie" => "13",
        "forky" => "14",
        other => other,
    }
}

/// The tracker: packages, in each CVEs, in each releases.
pub(super) struct Debian<'a, 'b>(pub &'a mut Take<'b>);

impl<'de> DeserializeSeed<'de> for Debian<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Debian<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the packages of Debian's security tracker")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.meter.next_entry();
        while let Some(package) = map.next_key::<String>()? {
            let package = text::clean(&package, 80);
            let take = &mut *self.0;
            map.next_value_seed(Package { take, package })?;
            self.0.meter.next_entry();
        }
        Ok(())
    }
}

struct Package<'a, 'b> {
    take: &'a mut Take<'b>,
    package: String,
}

#[derive(Deserialize)]
struct Issue {
    releases: BTreeMap<String, Release>,
}

#[derive(Deserialize)]
struct Release {
    status: String,
    #[serde(default)]
    fixed_version: String,
    #[serde(default)]
    urgency: String,
}

impl<'de> DeserializeSeed<'de> for Package<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Package<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the issues of a package")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.take.meter.next_entry();
        while let Some(name) = map.next_key::<String>()? {
            let issue: Issue = map.next_value()?;
            self.take.meter.next_entry();
            // TEMP-… have no number yet.
            let Some(id) = CveId::parse(&name) else {
                continue;
            };
            let fixes = issue.releases.iter().map(|(release, of)| Fix {
                distribution: Distribution::Debian,
                release: text::clean(debian_release(release), 20),
                package: self.package.clone(),
                state: of.state(),
            });
            let cve = Cve {
                fixes: fixes.collect(),
                ..Cve::default()
            };
            self.take.cve(id, cve).map_err(serde::de::Error::custom)?;
        }
        Ok(())
    }
}

impl Release {
    fn state(&self) -> FixState {
        let unimportant = self.urgency == "unimportant";
        match (self.status.as_str(), text::version(&self.fixed_version)) {
            ("resolved", Some(version)) if version == "0" => FixState::NotAffected,
            ("resolved", Some(version)) if unimportant => FixState::Unimportant(Some(version)),
            ("open" | "undetermined", _) if unimportant => FixState::Unimportant(None),
            ("resolved", Some(version)) => FixState::Fixed(version),
            ("open", _) => FixState::Open,
            _ => FixState::Undetermined,
        }
    }
}

/// An advisory of a distribution in OSV's format 1.x.
#[derive(Deserialize)]
pub(super) struct Osv {
    id: String,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    upstream: Vec<String>,
    #[serde(default)]
    related: Vec<String>,
    withdrawn: Option<String>,
    #[serde(default)]
    severity: Vec<OsvSeverity>,
    #[serde(default)]
    affected: Vec<OsvAffected>,
}

#[derive(Deserialize)]
struct OsvAffected {
    package: Option<OsvPackage>,
    #[serde(default)]
    severity: Vec<OsvSeverity>,
    #[serde(default)]
    ranges: Vec<OsvRange>,
    /// Debian puts the urgency of its tracker there; other ecosystems put what they like.
    #[serde(default)]
    ecosystem_specific: serde_json::Value,
}

/// Ubuntu's priority is one of type `Ubuntu`; others are vectors.
#[derive(Deserialize)]
struct OsvSeverity {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    score: String,
}

/// Ubuntu sees no need to act.
fn is_negligible(all: &[OsvSeverity]) -> bool {
    all.iter()
        .any(|severity| severity.kind == "Ubuntu" && severity.score == "negligible")
}

#[derive(Deserialize)]
struct OsvPackage {
    ecosystem: String,
    name: String,
}

#[derive(Deserialize)]
struct OsvRange {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    events: Vec<OsvEvent>,
}

#[derive(Deserialize)]
struct OsvEvent {
    fixed: Option<String>,
}

impl Osv {
    /// What it says, for each CVE that it is about.
    pub fn into_cves(self) -> Vec<(CveId, Cve)> {
        if self.withdrawn.is_some() {
            return Vec::new();
        }
        let own = self
            .id
            .find("CVE-")
            .and_then(|at| CveId::parse(&self.id[at..]));
        let mut ids: Vec<CveId> = own.into_iter().collect();
        // What is merely related counts only where nothing else says what it is about.
        for names in [&self.aliases, &self.upstream, &self.related] {
            if ids.is_empty() {
                ids.extend(names.iter().filter_map(|name| CveId::parse(name)));
            }
        }
        ids.sort_unstable();
        ids.dedup();
        let negligible = is_negligible(&self.severity);
        let fixes = self.affected.iter().filter_map(|one| one.fix(negligible));
        let fixes: Vec<Fix> = fixes.collect();
        let cve = |id| {
            let fixes = fixes.clone();
            (
                id,
                Cve {
                    fixes,
                    ..Cve::default()
                },
            )
        };
        ids.into_iter().map(cve).collect()
    }
}

impl OsvAffected {
    /// `negligible`: of all packages of this advisory.
    fn fix(&self, negligible: bool) -> Option<Fix> {
        let package = self.package.as_ref()?;
        let mut parts = package.ecosystem.split(':');
        let distribution = match parts.next()? {
            "Debian" => Distribution::Debian,
            "Ubuntu" => Distribution::Ubuntu,
            "Red Hat" | "AlmaLinux" | "Rocky Linux" => Distribution::RedHat,
            "SUSE" | "openSUSE" => Distribution::Suse,
            "Alpine" => Distribution::Alpine,
            _ => return None,
        };
        // "Ubuntu:Pro:18.04:LTS", "Red Hat:enterprise_linux:9::baseos", "Alpine:v3.18".
        let number = |part: &&str| {
            part.trim_start_matches('v')
                .starts_with(|c: char| c.is_ascii_digit())
        };
        let release = parts
            .find(number)
            .unwrap_or_default()
            .trim_start_matches('v');
        let mut events = self
            .ranges
            .iter()
            .filter(|range| range.kind != "GIT")
            .flat_map(|range| &range.events);
        let fixed = events.find_map(|event| event.fixed.as_deref());
        let unimportant = match distribution {
            Distribution::Debian => self.ecosystem_specific["urgency"] == "unimportant",
            Distribution::Ubuntu => negligible || is_negligible(&self.severity),
            _ => false,
        };
        let state = match fixed.and_then(text::version) {
            version if unimportant => FixState::Unimportant(version),
            Some(version) => FixState::Fixed(version),
            None => FixState::Open,
        };
        Some(Fix {
            distribution,
            release: text::clean(release, 20),
            package: text::clean(&package.name, 80),
            state,
        })
    }
}
