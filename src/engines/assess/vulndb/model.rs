//! What is known of a CVE, as it is stored: each source's part by itself, so that a newer one can take
//! the place of an older one.

use serde::{Deserialize, Serialize};

use super::version::Scheme;

/// A CVE by number; in order of year, then number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CveId(pub(super) u64);

impl CveId {
    /// Reads `CVE-2024-6387`, in upper or lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.get(..4).filter(|s| s.eq_ignore_ascii_case("CVE-"));
        rest?;
        let (year, number) = text[4..].split_once('-')?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let fits = year.len() == 4 && (4..=9).contains(&number.len());
        if !fits || !digits(year) || !digits(number) {
            return None;
        }
        let (year, number) = (year.parse::<u64>().ok()?, number.parse::<u64>().ok()?);
        Some(Self(year << 32 | number))
    }
}

impl std::fmt::Display for CveId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CVE-{}-{:04}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// A CVE with the part of each source.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cve {
    /// NVD's.
    pub nvd: Option<Advisory>,
    /// The CVE list's: of who assigned it.
    pub cna: Option<Advisory>,
    /// In CISA's catalogue of those that are exploited.
    pub kev: Option<Kev>,
    /// How likely it is to be exploited soon.
    pub epss: Option<Epss>,
    /// What distributions say of their packages.
    pub fixes: Vec<Fix>,
}

/// What is said of a CVE.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Advisory {
    /// When it was last changed, seconds since 1970; a newer one takes its place.
    pub modified: i64,
    /// When it was published, seconds since 1970.
    pub published: i64,
    /// It is no vulnerability after all.
    pub rejected: bool,
    /// In a few words; may be empty.
    pub title: String,
    /// In some sentences.
    pub description: String,
    /// Vectors and the scores that the source gives (tenths), best first.
    pub cvss: Vec<(String, u8)>,
    /// Numbers of the kinds of weakness (CWE).
    pub cwe: Vec<u32>,
    /// Where there is more, what helps most first.
    pub references: Vec<String>,
    /// What is affected: any of these. Kept apart from the rest in the file.
    #[serde(skip)]
    pub configurations: Vec<Configuration>,
}

/// In CISA's catalogue of known exploited vulnerabilities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kev {
    /// Since when (`2024-07-01`).
    pub added: String,
    /// Until when US agencies have to act.
    pub due: String,
    /// Ransomware uses it.
    pub ransomware: bool,
    /// Its name there.
    pub name: String,
}

/// FIRST's estimate that it is exploited within 30 days, millionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epss {
    /// Probability.
    pub score: u32,
    /// Share of all CVEs with the same or a lower score.
    pub percentile: u32,
}

/// Whose packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// Debian.
    Debian,
    /// Ubuntu.
    Ubuntu,
    /// Red Hat Enterprise Linux and those that are built from it.
    RedHat,
    /// Fedora.
    Fedora,
    /// SUSE Linux Enterprise and openSUSE.
    Suse,
    /// Alpine Linux.
    Alpine,
    /// Amazon Linux.
    Amazon,
    /// FreeBSD's base system and ports.
    FreeBsd,
}

impl Distribution {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debian => "Debian",
            Self::Ubuntu => "Ubuntu",
            Self::RedHat => "Red Hat",
            Self::Fedora => "Fedora",
            Self::Suse => "SUSE",
            Self::Alpine => "Alpine",
            Self::Amazon => "Amazon Linux",
            Self::FreeBsd => "FreeBSD",
        }
    }
}

/// What a distribution says of a CVE in one of its packages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fix {
    /// Whose package.
    pub distribution: Distribution,
    /// Release (`12`, `22.04`).
    pub release: String,
    /// Source package.
    pub package: String,
    /// How it is there.
    pub state: FixState,
}

/// How a CVE is in a package of a release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FixState {
    /// Fixed from this package version on.
    Fixed(String),
    /// It never was in it.
    NotAffected,
    /// Not fixed.
    Open,
    /// Nobody has looked.
    Undetermined,
    /// The distribution rates it as nothing that its users need to act on (Debian: "unimportant",
    /// Ubuntu: "negligible"); from this package version on it is fixed all the same.
    Unimportant(Option<String>),
}

/// All of these together are affected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// What must be there.
    pub nodes: Vec<Node>,
}

/// Any of these.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// None of these, rather.
    pub negate: bool,
    /// The alternatives.
    pub any_of: Vec<Match>,
}

/// Versions of a product.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// `a`, `o`, `h`; a space where it is not said.
    pub part: u8,
    /// `vendor:product`.
    pub product: String,
    /// Which versions.
    pub versions: Versions,
    /// It is what is vulnerable, rather than what that runs on.
    pub vulnerable: bool,
}

/// Which versions of a product.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// One version; `*`: by the bounds, `-`: what has none.
    pub version: String,
    /// Its update (`p1`); `*` any, `-` none.
    pub update: String,
    /// From this one on.
    pub from: Bound,
    /// To this one.
    pub to: Bound,
    /// What it runs in or on; empty: anything.
    pub target: String,
    /// Edition; empty: any.
    pub edition: String,
    /// By whose rules versions compare.
    pub scheme: Scheme,
    /// These are the ones that are not affected.
    pub except: bool,
    /// The name is what somebody wrote, no CPE name.
    pub by_name: bool,
}

/// An end of a range.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bound {
    /// None.
    #[default]
    Open,
    /// With this version.
    Including(String),
    /// Without this version.
    Excluding(String),
}

impl Cve {
    /// Takes over what another import says: the newer of each part; where both are as new, the other's.
    pub fn merge(&mut self, other: Self) {
        let newer = |old: &mut Option<Advisory>, new: Option<Advisory>| {
            if let Some(new) = new
                && old.as_ref().is_none_or(|old| old.modified <= new.modified)
            {
                *old = Some(new);
            }
        };
        newer(&mut self.nvd, other.nvd);
        newer(&mut self.cna, other.cna);
        if other.kev.is_some() {
            self.kev = other.kev;
        }
        if other.epss.is_some() {
            self.epss = other.epss;
        }
        self.fixes.extend(other.fixes);
    }

    /// What is affected: NVD's word, where it has one.
    pub fn configurations(&self) -> &[Configuration] {
        match (&self.nvd, &self.cna) {
            (Some(nvd), _) if !nvd.configurations.is_empty() => &nvd.configurations,
            (_, Some(cna)) => &cna.configurations,
            _ => &[],
        }
    }

    /// It was withdrawn.
    pub fn is_rejected(&self) -> bool {
        [&self.nvd, &self.cna]
            .into_iter()
            .flatten()
            .any(|advisory| advisory.rejected)
    }
}
