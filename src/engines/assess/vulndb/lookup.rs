use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::aliases;
use super::cpe::{Cpe, Value};
use super::details::{Details, details};
use super::error::Error;
use super::matching::{self, End, Fit, Installed};
use super::model::{Cve, CveId, Distribution, FixState};
use super::packaged::{Packaged, Verdict, plain_version};
use super::store::{Info, Store};
use super::version::compare;

/// A vulnerability database, open for reading. All of it may be used by several threads at once.
#[derive(Debug)]
pub struct Vulndb {
    pub(super) store: Store,
}

/// A product as a scan or a spider found it. What is not known is empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct Product<'a> {
    /// CPE names, 2.2 or 2.3, of the product and of the system that it runs on.
    pub cpes: &'a [String],
    /// What it is called (`OpenSSH`).
    pub name: &'a str,
    /// Its version (`9.2p1`, `9.2p1 Debian-2+deb12u3`).
    pub version: &'a str,
    /// What it said of itself (`SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3`).
    pub banner: &'a str,
}

/// How certain it is that a product has a vulnerability.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Certainty {
    /// Its version is one that is affected; a distribution, where one is known, says so too.
    Affected,
    /// Its version is one that is affected, but something else that it takes is not known.
    Likely {
        /// What is not known (`runs with linux:linux_kernel`).
        unknown: String,
    },
    /// Its version is one that is affected, but a distribution made the package, and may have put the
    /// correction into it.
    PossiblyFixed {
        /// Whose package it is.
        distribution: Distribution,
    },
    /// Its version is one that is affected, but the distribution that made the package rates it as nothing to
    /// act on there: what is vulnerable is not built, or no fault in practice.
    Unimportant {
        /// Whose package it is.
        distribution: Distribution,
    },
    /// The distribution says that it is not in this package: no finding.
    Fixed {
        /// Whose package it is.
        distribution: Distribution,
        /// The package version that brought the correction; `None`: it never was in it.
        version: Option<String>,
    },
}

/// A vulnerability that a product has, or may have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Known {
    /// The vulnerability.
    #[serde(flatten)]
    pub cve: Details,
    /// How certain it is.
    pub certainty: Certainty,
    /// The same as a number, 0 to 1. Of what is fixed: how sure that is.
    pub confidence: f64,
    /// Which product of the database fits (`openbsd:openssh`).
    pub product: String,
    /// What fits (`8.5 <= 9.2p1 < 9.8`).
    pub why: String,
    /// The version that was compared (`9.2p1`).
    #[serde(skip)]
    pub version: String,
    /// Where what is affected ends.
    #[serde(skip)]
    pub end: End,
}

/// A package whose distribution may have put a correction into it.
const POSSIBLY_FIXED: f64 = 0.4;
/// A distribution knows it, and sees nothing to act on.
const UNIMPORTANT: f64 = 0.2;
/// What a distribution says of its own package.
const DISTRIBUTION: f64 = 0.99;
/// From here on a fit is certain.
const CERTAIN: f64 = 0.9;

impl Vulndb {
    /// Opens a database. Some thousand bytes are read; the rest when it is asked for.
    ///
    /// # Errors
    ///
    /// It cannot be read, is no database of this version, or damaged.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let store = Store::open(path)?;
        Ok(Self { store })
    }

    /// A database that is in memory.
    ///
    /// # Errors
    ///
    /// It is no database of this version, or damaged.
    pub fn of_bytes(bytes: Vec<u8>) -> Result<Self, Error> {
        let store = Store::of_bytes(bytes)?;
        Ok(Self { store })
    }

    /// What is in it: counts, dates of the feeds, size.
    pub fn info(&self) -> &Info {
        &self.store.info
    }

    /// Reads all of it and compares the checksums.
    ///
    /// # Errors
    ///
    /// It is damaged, or cannot be read.
    pub fn verify(&self) -> Result<(), Error> {
        self.store.verify()
    }

    /// What is known of one CVE.
    ///
    /// # Errors
    ///
    /// The file is damaged, or cannot be read.
    pub fn by_id(&self, id: &str) -> Result<Option<Details>, Error> {
        let Some(id) = CveId::parse(id) else {
            return Ok(None);
        };
        match self.store.find(id)? {
            Some(found) => Ok(Some(details(found.id, self.store.head(&found)?))),
            None => Ok(None),
        }
    }

    /// The vulnerabilities of a product, in order of CVE; none where its version is not known. Those
    /// that its distribution fixed are among them and say so.
    ///
    /// # Errors
    ///
    /// The file is damaged, or cannot be read.
    pub fn of(&self, product: &Product) -> Result<Vec<Known>, Error> {
        let cpes: Vec<Cpe> = product
            .cpes
            .iter()
            .filter_map(|text| Cpe::parse(text))
            .collect();
        let packaged = Packaged::read(product.version, product.banner, &cpes);
        let systems: Vec<Cpe> = cpes.iter().filter(|cpe| cpe.part == 'o').cloned().collect();
        let distribution = packaged.as_ref().map(|packaged| packaged.distribution);
        let family = matching::family_of(&systems, distribution);
        let mut known: BTreeMap<CveId, Known> = BTreeMap::new();
        for candidate in candidates(product, &cpes) {
            let of = Installed {
                key: &candidate.key,
                version: &candidate.version,
                // sshd names the release without its p-level, unless a distribution made it.
                level_untold: candidate.key == "openbsd:openssh"
                    && !candidate.version.contains('p'),
                target: candidate.target.as_deref(),
                family,
                systems: &systems,
            };
            self.search(&of, packaged.as_ref(), &mut known)?;
        }
        Ok(known.into_values().collect())
    }

    fn search(
        &self,
        of: &Installed,
        packaged: Option<&Packaged>,
        known: &mut BTreeMap<CveId, Known>,
    ) -> Result<(), Error> {
        for (at, found) in self.fitting(of)? {
            let Some(entry) = self.store.cve(at)? else {
                continue;
            };
            let Some((fit, needs)) = self.with_condition(&entry, found, of)? else {
                continue;
            };
            let cve = self.store.head(&entry)?;
            let new = judge(entry.id, cve, of, packaged, fit, needs);
            match known.entry(entry.id) {
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(new);
                }
                std::collections::btree_map::Entry::Occupied(mut place) => {
                    if place.get().confidence < new.confidence {
                        place.insert(new);
                    }
                }
            }
        }
        Ok(())
    }

    /// By place of the CVE, what fits best, and whether that needs something else.
    fn fitting(&self, of: &Installed) -> Result<BTreeMap<u32, (Option<Fit>, bool)>, Error> {
        let mut fits: BTreeMap<u32, (Option<Fit>, bool)> = BTreeMap::new();
        let mut named: BTreeMap<u32, String> = BTreeMap::new();
        self.store.criteria(of.key, |criterion| {
            // An operating system is not found by the version of a service.
            let Some(fit) = matching::fit(&criterion, of) else {
                if let Some(later) = matching::named_later(&criterion, of) {
                    let last = named
                        .entry(criterion.cve)
                        .or_insert_with(|| later.to_owned());
                    if compare(criterion.scheme(), later, last).is_gt() {
                        later.clone_into(last);
                    }
                }
                return;
            };
            let kept = fits.entry(criterion.cve).or_insert((None, true));
            if criterion.except() {
                // Nothing that comes after changes that.
                *kept = (
                    Some(Fit {
                        weight: -1.0,
                        why: String::new(),
                        end: matching::End::Open,
                    }),
                    false,
                );
            } else if criterion.condition() {
                kept.0.get_or_insert(fit);
            } else if kept.1
                || kept
                    .0
                    .as_ref()
                    .is_some_and(|k| k.weight >= 0.0 && k.weight < fit.weight)
            {
                *kept = (Some(fit), false);
            }
        })?;
        fits.retain(|_, (fit, _)| fit.as_ref().is_some_and(|fit| fit.weight >= 0.0));
        // Where versions are listed one by one, what comes after this one may be on the list.
        for (cve, later) in named {
            if let Some((Some(fit), _)) = fits.get_mut(&cve)
                && fit.end == End::With(of.version.to_owned())
            {
                fit.end = End::With(later);
            }
        }
        Ok(fits)
    }

    /// Looks after what else must be there.
    fn with_condition(
        &self,
        entry: &super::store::Found,
        (fit, condition): (Option<Fit>, bool),
        of: &Installed,
    ) -> Result<Option<(Fit, Option<String>)>, Error> {
        if !condition {
            return Ok(fit.map(|fit| (fit, None)));
        }
        let (nvd, cna) = self.store.tail(entry)?;
        let configurations = if nvd.is_empty() { cna } else { nvd };
        Ok(matching::condition(&configurations, of, |name| {
            name == of.key
        }))
    }
}

/// A name in the database that a product may have, with its version.
struct Candidate {
    key: String,
    version: String,
    target: Option<String>,
}

fn candidates(product: &Product, cpes: &[Cpe]) -> Vec<Candidate> {
    let told = plain_version(product.version);
    let is_version = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
    let mut all: Vec<Candidate> = Vec::new();
    let mut push = |keys: &[String], version: &str, target: Option<String>| {
        for key in keys.iter().filter(|_| is_version(version)) {
            if all.iter().all(|other| other.key != *key) {
                let (key, version) = (key.clone(), version.to_owned());
                let target = target.clone();
                all.push(Candidate {
                    key,
                    version,
                    target,
                });
            }
        }
    };
    for cpe in cpes {
        let Some(key) = cpe.key() else {
            continue;
        };
        let own = match (&cpe.version, &cpe.update) {
            (Value::Is(version), Value::Is(update)) => format!("{version}{update}"),
            (Value::Is(version), _) => version.clone(),
            // A system's version is not that of what runs on it.
            _ if cpe.part == 'o' && cpes.len() > 1 => continue,
            _ => told.to_owned(),
        };
        let keys = match aliases::of_cpe(&key) {
            Some(alias) => alias.cpe.clone(),
            None => vec![key],
        };
        push(
            &keys,
            plain_version(&own),
            cpe.target_sw.text().map(str::to_owned),
        );
    }
    if !cpes.iter().any(|cpe| cpe.part == 'a')
        && let Some(alias) = aliases::of_name(product.name)
    {
        push(&alias.cpe, told, None);
    }
    all
}

/// What there is to say of a CVE that fits.
fn judge(
    id: CveId,
    cve: Cve,
    of: &Installed,
    packaged: Option<&Packaged>,
    fit: Fit,
    needs: Option<String>,
) -> Known {
    let is_package = |package: &str| aliases::is_package(of.key, package);
    let verdict = packaged.map(|p| (p, p.verdict(&cve.fixes, is_package)));
    let (certainty, confidence) = match verdict {
        Some((packaged, Verdict::Fixed)) => {
            let fixes = cve.fixes.iter().filter(|fix| {
                let release = packaged.release.as_ref();
                fix.distribution == packaged.distribution
                    && is_package(&fix.package)
                    && release.is_none_or(|release| *release == fix.release)
            });
            let version = fixes.filter_map(|fix| match &fix.state {
                FixState::Fixed(version) => Some(version.clone()),
                _ => None,
            });
            let certainty = Certainty::Fixed {
                distribution: packaged.distribution,
                version: version.into_iter().next(),
            };
            (certainty, DISTRIBUTION)
        }
        // It may still need what is not known.
        Some((_, Verdict::Affected)) if needs.is_none() => (Certainty::Affected, DISTRIBUTION),
        Some((packaged, Verdict::Unimportant)) => {
            let distribution = packaged.distribution;
            (Certainty::Unimportant { distribution }, UNIMPORTANT)
        }
        Some((packaged, Verdict::Unknown)) => {
            let distribution = packaged.distribution;
            (
                Certainty::PossiblyFixed { distribution },
                fit.weight * POSSIBLY_FIXED,
            )
        }
        _ => match needs {
            Some(needs) => {
                let unknown = format!("whether it runs with {needs}");
                (Certainty::Likely { unknown }, fit.weight)
            }
            None if fit.weight >= CERTAIN => (Certainty::Affected, fit.weight),
            None => {
                let unknown = match fit.why.as_str() {
                    "every version" => "whether later versions are affected still",
                    _ => "its edition, its patch level or what it runs in",
                };
                let unknown = unknown.to_owned();
                (Certainty::Likely { unknown }, fit.weight)
            }
        },
    };
    Known {
        cve: details(id, cve),
        certainty,
        // Two digits are more than anybody knows.
        confidence: (confidence * 100.0).round() / 100.0,
        product: of.key.to_owned(),
        why: fit.why,
        version: of.version.to_owned(),
        end: fit.end,
    }
}
