//! What is told of a CVE: of NVD and the CVE list what each has, NVD first.

use serde::Serialize;

use super::model::{Cve, CveId, Kev};

/// A CVSS vector and its score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cvss {
    /// `4.0`, `3.1`, `3.0` or `2.0`.
    pub version: &'static str,
    /// The vector (`CVSS:3.1/AV:N/…`).
    pub vector: String,
    /// Base score, 0 to 10, computed from the vector; the source's where the vector does not read.
    pub score: f64,
}

/// How likely it is that a vulnerability is exploited within 30 days, by FIRST's EPSS.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Epss {
    /// Probability, 0 to 1.
    pub score: f64,
    /// Share of all CVEs with the same or a lower score, 0 to 1.
    pub percentile: f64,
}

/// What is known of a CVE.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Details {
    /// `CVE-2024-6387`.
    pub id: String,
    /// In a few words, one line; empty where nobody gave it a title.
    pub title: String,
    /// In some sentences, one line of at most 500 characters.
    pub description: String,
    /// The newest version of CVSS first; at most one of each. Empty: not scored.
    pub cvss: Vec<Cvss>,
    /// Kinds of weakness: 79 is CWE-79.
    pub cwe: Vec<u32>,
    /// In CISA's catalogue of those that are exploited.
    pub kev: Option<Kev>,
    /// How likely it is to be exploited soon.
    pub epss: Option<Epss>,
    /// When it was published, UTC; `None`: not known.
    pub published: Option<chrono::DateTime<chrono::Utc>>,
    /// Web addresses, what helps most first; at most three.
    pub references: Vec<String>,
    /// It was withdrawn.
    pub rejected: bool,
}

/// What the database has of a CVE, for whoever asks.
pub(super) fn details(id: CveId, cve: Cve) -> Details {
    let rejected = cve.is_rejected();
    let Cve {
        nvd,
        cna,
        kev,
        epss,
        ..
    } = cve;
    let (nvd, cna) = (nvd.unwrap_or_default(), cna.unwrap_or_default());
    let mut cvss: Vec<Cvss> = Vec::new();
    for (vector, tenths) in nvd.cvss.into_iter().chain(cna.cvss) {
        let scored = score(vector, tenths);
        if cvss.iter().all(|other| other.version != scored.version) {
            cvss.push(scored);
        }
    }
    cvss.sort_by(|a, b| b.version.cmp(a.version));
    let mut cwe = nvd.cwe;
    cwe.extend(
        cna.cwe
            .into_iter()
            .filter(|number| !cwe.contains(number))
            .collect::<Vec<_>>(),
    );
    let published = if nvd.published != 0 {
        nvd.published
    } else {
        cna.published
    };
    let or = |a: String, b: String| if a.is_empty() { b } else { a };
    let kev_name = kev.as_ref().map(|kev| kev.name.clone()).unwrap_or_default();
    Details {
        id: id.to_string(),
        title: or(cna.title, or(nvd.title, kev_name)),
        description: or(nvd.description, cna.description),
        cvss,
        cwe,
        kev,
        epss: epss.map(|epss| Epss {
            score: f64::from(epss.score) / 1e6,
            percentile: f64::from(epss.percentile) / 1e6,
        }),
        published: (published != 0).then(|| super::time(published)).flatten(),
        references: if nvd.references.is_empty() {
            cna.references
        } else {
            nvd.references
        },
        rejected,
    }
}

/// The score of a vector; the source's, in tenths, where it does not read.
pub(super) fn score(vector: String, tenths: u8) -> Cvss {
    let version = match vector.as_str() {
        v if v.starts_with("CVSS:4.0/") => "4.0",
        v if v.starts_with("CVSS:3.1/") => "3.1",
        v if v.starts_with("CVSS:3.0/") => "3.0",
        _ => "2.0",
    };
    let score = match vector.trim_matches(['(', ')']).parse::<cvss::Cvss>() {
        Ok(parsed) => parsed.score(),
        Err(_) => f64::from(tenths) / 10.0,
    };
    Cvss {
        version,
        vector,
        score,
    }
}
