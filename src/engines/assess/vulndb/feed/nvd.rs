//! NVD's JSON 2.0: feeds and pages of its interface, and CISA's catalogue, whose list has the same name.

use serde::Deserialize;

use super::super::cpe::{Cpe, Value};
use super::super::model::{Advisory, Bound, Configuration, Cve, CveId, Kev, Match, Node, Versions};
use super::text;

/// An entry of `vulnerabilities`: of NVD, or of CISA.
#[derive(Deserialize)]
pub(super) struct Item {
    cve: Option<NvdCve>,
    #[serde(rename = "cveID")]
    cve_id: Option<String>,
    #[serde(rename = "dateAdded")]
    date_added: Option<String>,
    #[serde(rename = "dueDate")]
    due_date: Option<String>,
    #[serde(rename = "knownRansomwareCampaignUse")]
    ransomware: Option<String>,
    #[serde(rename = "vulnerabilityName")]
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NvdCve {
    id: String,
    published: String,
    last_modified: String,
    #[serde(default)]
    vuln_status: String,
    #[serde(default)]
    descriptions: Vec<Text>,
    #[serde(default)]
    metrics: Metrics,
    #[serde(default)]
    weaknesses: Vec<Weakness>,
    #[serde(default)]
    configurations: Vec<NvdConfiguration>,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Deserialize)]
pub(super) struct Text {
    #[serde(default)]
    pub lang: String,
    #[serde(default)]
    pub value: String,
}

#[derive(Deserialize, Default)]
struct Metrics {
    #[serde(default, rename = "cvssMetricV40")]
    v40: Vec<Metric>,
    #[serde(default, rename = "cvssMetricV31")]
    v31: Vec<Metric>,
    #[serde(default, rename = "cvssMetricV30")]
    v30: Vec<Metric>,
    #[serde(default, rename = "cvssMetricV2")]
    v2: Vec<Metric>,
}

#[derive(Deserialize)]
struct Metric {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(rename = "cvssData")]
    data: CvssData,
}

#[derive(Deserialize)]
pub(super) struct CvssData {
    #[serde(default, rename = "vectorString")]
    vector: String,
    #[serde(default, rename = "baseScore")]
    score: f64,
}

#[derive(Deserialize)]
struct Weakness {
    #[serde(default)]
    description: Vec<Text>,
}

#[derive(Deserialize)]
pub(super) struct Reference {
    pub url: String,
    #[serde(default)]
    pub tags: Vec<String>,
}

/// Also `cpeApplicability` of CVE record format 5.
#[derive(Deserialize)]
pub(super) struct NvdConfiguration {
    #[serde(default)]
    operator: String,
    #[serde(default)]
    negate: bool,
    #[serde(default)]
    nodes: Vec<NvdNode>,
}

#[derive(Deserialize)]
struct NvdNode {
    #[serde(default)]
    operator: String,
    #[serde(default)]
    negate: bool,
    #[serde(default, rename = "cpeMatch")]
    matches: Vec<CpeMatch>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CpeMatch {
    vulnerable: bool,
    criteria: String,
    version_start_including: Option<String>,
    version_start_excluding: Option<String>,
    version_end_including: Option<String>,
    version_end_excluding: Option<String>,
}

impl Item {
    /// What it says of which CVE.
    pub fn into_cve(self) -> Result<(CveId, Cve), String> {
        if let Some(nvd) = self.cve {
            return nvd.into_cve();
        }
        let id = self.cve_id.ok_or("an entry without a CVE number")?;
        let id = id_of(&id)?;
        let day = |name: &str, text: Option<String>| {
            let text = text.unwrap_or_default();
            text::date(&text).ok_or_else(|| format!("{name} of {id} is no date"))
        };
        let kev = Kev {
            added: day("dateAdded", self.date_added)?,
            due: day("dueDate", self.due_date)?,
            ransomware: self.ransomware.is_some_and(|used| used == "Known"),
            name: text::clean(&self.name.unwrap_or_default(), text::TITLE),
        };
        let cve = Cve {
            kev: Some(kev),
            ..Cve::default()
        };
        Ok((id, cve))
    }
}

/// The CVE of a text.
pub(super) fn id_of(text: &str) -> Result<CveId, String> {
    CveId::parse(text).ok_or_else(|| format!("{:?} is no CVE number", text::clean(text, 40)))
}

impl NvdCve {
    fn into_cve(self) -> Result<(CveId, Cve), String> {
        let id = id_of(&self.id)?;
        let time = |name: &str, text: &str| {
            text::time(text).ok_or_else(|| format!("{name} of {id} is no time"))
        };
        let weaknesses = self.weaknesses.iter().flat_map(|w| &w.description);
        let advisory = Advisory {
            modified: time("lastModified", &self.last_modified)?,
            published: time("published", &self.published)?,
            rejected: self.vuln_status == "Rejected",
            title: String::new(),
            description: english(&self.descriptions),
            cvss: self.metrics.vectors(),
            cwe: text::cwes(weaknesses.map(|text| text.value.as_str())),
            references: text::addresses(
                self.references
                    .iter()
                    .map(|r| (r.url.as_str(), &r.tags[..])),
            ),
            configurations: configurations(self.configurations),
        };
        let cve = Cve {
            nvd: Some(advisory),
            ..Cve::default()
        };
        Ok((id, cve))
    }
}

/// The English description.
pub(super) fn english(all: &[Text]) -> String {
    let english = all.iter().find(|text| text.lang.starts_with("en"));
    english.map_or_else(String::new, |d| text::clean(&d.value, text::DESCRIPTION))
}

impl Metrics {
    /// One of each version, NVD's own where there is one; the newest version first.
    fn vectors(&self) -> Vec<(String, u8)> {
        let all = [&self.v40, &self.v31, &self.v30, &self.v2];
        let best = |all: &'_ Vec<Metric>| {
            let own = all.iter().find(|metric| metric.kind == "Primary");
            own.or(all.first()).and_then(|metric| metric.data.vector())
        };
        all.into_iter().filter_map(best).collect()
    }
}

impl CvssData {
    /// The vector with the score in tenths.
    pub fn vector(&self) -> Option<(String, u8)> {
        let plain = self.vector.len() <= 200 && self.vector.bytes().all(|b| b.is_ascii_graphic());
        let tenths = (self.score * 10.0).round().clamp(0.0, 100.0);
        // In range, by the clamp.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let tenths = tenths as u8;
        (plain && !self.vector.is_empty()).then(|| (self.vector.clone(), tenths))
    }
}

/// Configurations as they are stored.
pub(super) fn configurations(all: Vec<NvdConfiguration>) -> Vec<Configuration> {
    let stored = all.into_iter().map(|configuration| {
        let and = configuration.operator.eq_ignore_ascii_case("and");
        let mut nodes: Vec<Node> = Vec::new();
        for node in configuration.nodes {
            let negate = node.negate != configuration.negate;
            let mut matches: Vec<Match> = node
                .matches
                .into_iter()
                .filter_map(|m| m.into_match())
                .collect();
            if matches.is_empty() {
                continue;
            }
            if node.operator.eq_ignore_ascii_case("and") {
                nodes.extend(matches.into_iter().map(|m| Node {
                    negate,
                    any_of: vec![m],
                }));
            } else if let Some(first) = nodes.first_mut().filter(|n| !and && n.negate == negate) {
                // Alternatives of alternatives.
                first.any_of.append(&mut matches);
            } else {
                nodes.push(Node {
                    negate,
                    any_of: matches,
                });
            }
        }
        Configuration { nodes }
    });
    stored.filter(|c| !c.nodes.is_empty()).collect()
}

impl CpeMatch {
    fn into_match(self) -> Option<Match> {
        let cpe = Cpe::parse(&self.criteria).filter(|_| text::is_plain(&self.criteria))?;
        let product = cpe.key()?;
        let bound = |including: Option<String>, excluding: Option<String>| {
            let bound = |text: Option<String>| text.as_deref().and_then(text::version);
            match (bound(including), bound(excluding)) {
                (Some(version), _) => Bound::Including(version),
                (_, Some(version)) => Bound::Excluding(version),
                _ => Bound::Open,
            }
        };
        let certain = |value: &Value| match value {
            Value::Any => String::new(),
            value => text::clean(&value.to_string(), 60),
        };
        let version = match &cpe.version {
            Value::Any | Value::Na => cpe.version.to_string(),
            value => text::version(&value.to_string())?,
        };
        let versions = Versions {
            version,
            update: cpe.update.to_string(),
            from: bound(self.version_start_including, self.version_start_excluding),
            to: bound(self.version_end_including, self.version_end_excluding),
            target: certain(&cpe.target_sw),
            edition: certain(&cpe.sw_edition),
            ..Versions::default()
        };
        Some(Match {
            // An ASCII letter, as the parser makes sure.
            part: u8::try_from(cpe.part).unwrap_or(b' '),
            product,
            versions,
            vulnerable: self.vulnerable,
        })
    }
}
