use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The five agents that the recon API knows by name (`/daemon/{personality}/…`).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Personality {
    /// Thorough port scan (nmap).
    Kage,
    /// Fast port scan.
    Kaze,
    /// HTTP spider.
    Kumo,
    /// Own scan and threat assessment.
    Ryu,
    /// Directory enumeration.
    Suzu,
}

impl Personality {
    /// All of them, in the order of the contract.
    pub const ALL: [Self; 5] = [Self::Kage, Self::Kaze, Self::Kumo, Self::Ryu, Self::Suzu];

    /// The name in paths, units and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kage => "kage",
            Self::Kaze => "kaze",
            Self::Kumo => "kumo",
            Self::Ryu => "ryu",
            Self::Suzu => "suzu",
        }
    }

    /// The kind of work that this personality gets when it names none in `scan_type`.
    pub fn default_work(self) -> WorkKind {
        match self {
            Self::Kage => WorkKind::KagePortScan,
            Self::Kaze => WorkKind::KazePortScan,
            Self::Kumo => WorkKind::KumoSpider,
            Self::Ryu => WorkKind::RyuAssessment,
            Self::Suzu => WorkKind::SuzuEnum,
        }
    }
}

impl fmt::Display for Personality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Personality {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|p| p.as_str() == s)
            .ok_or_else(|| "Invalid personality".to_owned())
    }
}

/// A kind of work that is due for a record; there is one `work` row for each (record, kind).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum WorkKind {
    /// Thorough port scan, due 24 h after the last.
    KagePortScan,
    /// Fast port scan, due 24 h after the last.
    KazePortScan,
    /// All 65,535 ports, due 24 h after the last.
    RyuPortScan,
    /// Spider, due 6 months after the last.
    KumoSpider,
    /// Directory enumeration, due 30 days after the last, once an HTTP port is known.
    SuzuEnum,
    /// Threat assessment, due 7 days after the last, once scan or HTTP data exists.
    RyuAssessment,
}

impl WorkKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::KagePortScan,
        Self::KazePortScan,
        Self::RyuPortScan,
        Self::KumoSpider,
        Self::SuzuEnum,
        Self::RyuAssessment,
    ];

    /// The name on the wire and in the database (`kage_port_scan`, …); for port scans it is the
    /// `scan_type` of the recon API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KagePortScan => "kage_port_scan",
            Self::KazePortScan => "kaze_port_scan",
            Self::RyuPortScan => "ryu_port_scan",
            Self::KumoSpider => "kumo_spider",
            Self::SuzuEnum => "suzu_enum",
            Self::RyuAssessment => "ryu_assessment",
        }
    }

    /// Whose work it is.
    pub fn personality(self) -> Personality {
        match self {
            Self::KagePortScan => Personality::Kage,
            Self::KazePortScan => Personality::Kaze,
            Self::RyuPortScan | Self::RyuAssessment => Personality::Ryu,
            Self::KumoSpider => Personality::Kumo,
            Self::SuzuEnum => Personality::Suzu,
        }
    }
}

impl fmt::Display for WorkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for WorkKind {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|k| k.as_str() == s)
            .ok_or_else(|| format!("unknown kind of work {s:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_agree_with_serde() {
        for kind in WorkKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert_eq!(kind.as_str().parse::<WorkKind>().unwrap(), kind);
        }
        for p in Personality::ALL {
            assert_eq!(serde_json::to_value(p).unwrap(), p.as_str());
            assert_eq!(p.as_str().parse::<Personality>().unwrap(), p);
            assert_eq!(p.default_work().personality(), p);
        }
    }
}
