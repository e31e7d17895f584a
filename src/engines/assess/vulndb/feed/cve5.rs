//! Records of the CVE list, format 5: what the one who assigned a CVE says, and what CISA adds.

use serde::Deserialize;

use super::super::cpe::Cpe;
use super::super::model::{Advisory, Bound, Configuration, Cve, CveId, Match, Node, Versions};
use super::super::version::Scheme;
use super::nvd::{CvssData, NvdConfiguration, Reference, Text, configurations, english, id_of};
use super::text;

/// Products of one record that are kept: the largest real ones have some hundreds.
const MOST_MATCHES: usize = 5_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    cve_metadata: Metadata,
    containers: Containers,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    cve_id: String,
    state: String,
    date_published: Option<String>,
    date_updated: Option<String>,
}

#[derive(Deserialize)]
struct Containers {
    cna: Container,
    #[serde(default)]
    adp: Vec<Container>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Container {
    #[serde(default)]
    title: String,
    #[serde(default)]
    descriptions: Vec<Text>,
    #[serde(default)]
    affected: Vec<Affected>,
    #[serde(default)]
    cpe_applicability: Vec<NvdConfiguration>,
    #[serde(default)]
    problem_types: Vec<ProblemType>,
    #[serde(default)]
    metrics: Vec<Metric>,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Deserialize)]
struct ProblemType {
    #[serde(default)]
    descriptions: Vec<Problem>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Problem {
    #[serde(default)]
    cwe_id: String,
}

#[derive(Deserialize)]
struct Metric {
    #[serde(rename = "cvssV4_0")]
    v40: Option<CvssData>,
    #[serde(rename = "cvssV3_1")]
    v31: Option<CvssData>,
    #[serde(rename = "cvssV3_0")]
    v30: Option<CvssData>,
    #[serde(rename = "cvssV2_0")]
    v2: Option<CvssData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Affected {
    #[serde(default)]
    vendor: String,
    #[serde(default)]
    product: String,
    #[serde(default)]
    default_status: String,
    #[serde(default)]
    cpes: Vec<String>,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    version: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    version_type: String,
    less_than: Option<String>,
    less_than_or_equal: Option<String>,
    #[serde(default)]
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    at: String,
    status: String,
}

impl Record {
    /// What it says of which CVE.
    pub fn into_cve(self) -> Result<(CveId, Cve), String> {
        let id = id_of(&self.cve_metadata.cve_id)?;
        let time = |text: &Option<String>| text.as_deref().and_then(text::time).unwrap_or_default();
        let Containers { cna, adp } = self.containers;
        let all = || std::iter::once(&cna).chain(&adp);
        let problems = all()
            .flat_map(|c| &c.problem_types)
            .flat_map(|p| &p.descriptions);
        let references = all().flat_map(|c| &c.references);
        let mut advisory = Advisory {
            modified: time(&self.cve_metadata.date_updated),
            published: time(&self.cve_metadata.date_published),
            rejected: self.cve_metadata.state == "REJECTED",
            title: text::clean(&cna.title, text::TITLE),
            description: english(&cna.descriptions),
            cvss: vectors(all().flat_map(|c| &c.metrics)),
            cwe: text::cwes(problems.map(|problem| problem.cwe_id.as_str())),
            references: text::addresses(references.map(|r| (r.url.as_str(), &r.tags[..]))),
            configurations: Vec::new(),
        };
        // Ranges over CPE names say more than texts do; CISA's only where there is nothing else.
        let sources = std::iter::once(cna).chain(adp);
        for source in sources {
            if !advisory.configurations.is_empty() {
                break;
            }
            advisory.configurations = configurations(source.cpe_applicability);
            if advisory.configurations.is_empty() {
                let affected = source.affected.iter().filter_map(Affected::configuration);
                advisory.configurations = affected.collect();
            }
        }
        let cve = Cve {
            cna: Some(advisory),
            ..Cve::default()
        };
        Ok((id, cve))
    }
}

fn vectors<'a>(all: impl Iterator<Item = &'a Metric>) -> Vec<(String, u8)> {
    let mut of: [Option<(String, u8)>; 4] = [None, None, None, None];
    for metric in all {
        let found = [&metric.v40, &metric.v31, &metric.v30, &metric.v2];
        for (kept, found) in of.iter_mut().zip(found) {
            if kept.is_none() {
                *kept = found.as_ref().and_then(CvssData::vector);
            }
        }
    }
    of.into_iter().flatten().collect()
}

impl Affected {
    fn configuration(&self) -> Option<Configuration> {
        let mut products: Vec<(u8, String, bool)> = Vec::new();
        let plain = self.cpes.iter().filter(|cpe| text::is_plain(cpe));
        for cpe in plain.filter_map(|cpe| Cpe::parse(cpe)) {
            let part = u8::try_from(cpe.part).unwrap_or(b' ');
            if let Some(key) = cpe.key()
                && products.iter().all(|(_, other, _)| *other != key)
            {
                products.push((part, key, false));
            }
        }
        if products.is_empty() {
            products.push((b' ', text::product(&self.vendor, &self.product)?, true));
        }
        let ranges = self.ranges();
        let mut any_of = Vec::new();
        for (part, product, by_name) in products {
            any_of.extend(ranges.iter().map(|range| Match {
                part,
                product: product.clone(),
                vulnerable: true,
                versions: Versions {
                    by_name,
                    ..range.clone()
                },
            }));
        }
        any_of.truncate(MOST_MATCHES);
        let node = Node {
            negate: false,
            any_of,
        };
        (!node.any_of.is_empty()).then(|| Configuration { nodes: vec![node] })
    }

    /// CVE record format 5.1, "versions": status by range, changes within, and a default for the rest.
    fn ranges(&self) -> Vec<Versions> {
        let mut ranges = Vec::new();
        if self.default_status == "affected" {
            // Only where something is said of versions: else it would be all that ever were.
            ranges.push(Versions {
                version: "*".to_owned(),
                update: "*".to_owned(),
                ..Versions::default()
            });
        }
        for version in &self.versions {
            version.ranges(self.default_status == "affected", &mut ranges);
        }
        ranges
    }
}

impl Version {
    fn ranges(&self, by_default: bool, ranges: &mut Vec<Versions>) {
        let Some(scheme) = Scheme::of_version_type(&self.version_type) else {
            return;
        };
        let affected = match self.status.as_str() {
            "affected" => true,
            "unaffected" => false,
            _ => return,
        };
        let end = match (&self.less_than, &self.less_than_or_equal) {
            (Some(end), _) if end != "*" => text::version(end).map(Bound::Excluding),
            (None, Some(end)) if end != "*" => text::version(end).map(Bound::Including),
            (None, None) => None,
            _ => Some(Bound::Open),
        };
        let mut push = |affected: bool, from: Bound, to: Bound, version: &str| {
            // What the default says already needs no range.
            if affected != by_default {
                ranges.push(Versions {
                    version: version.to_owned(),
                    update: "*".to_owned(),
                    from,
                    to,
                    scheme,
                    except: !affected,
                    ..Versions::default()
                });
            }
        };
        let Some(end) = end else {
            // Not a range: one version, or a text about versions, which fits none.
            if let Some(version) = text::version(&self.version)
                && self.less_than.is_none()
                && self.less_than_or_equal.is_none()
            {
                push(affected, Bound::Open, Bound::Open, &version);
            }
            return;
        };
        let start = text::version(&self.version).filter(|v| v != "0" && v != "*");
        let mut from = start.map_or(Bound::Open, Bound::Including);
        let mut status = affected;
        for change in &self.changes {
            let Some(at) = text::version(&change.at) else {
                continue;
            };
            push(status, from, Bound::Excluding(at.clone()), "*");
            from = Bound::Including(at);
            status = change.status == "affected";
        }
        push(status, from, end, "*");
    }
}
