//! Feeds that look like NVD's, CISA's and FIRST's, of any size: as long as the real ones (2.6 kB of JSON a
//! CVE), with as many products, and with texts that pack about as well. The same each time.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

/// Feeds of so many CVEs.
pub struct Generator {
    count: u64,
    random: Random,
    words: Vec<String>,
}

/// xorshift64*: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    /// Small numbers far more often, as words and products are.
    fn skewed(&mut self, end: u64) -> u64 {
        let (a, b, c) = (self.below(end), self.below(end), self.below(end));
        a * b / end * c / end
    }
}

/// `vendor:product` by number.
pub fn product(n: u64) -> String {
    format!("{}:{}_{}", name(n / 3 + 7), name(n), n % 10)
}

fn name(mut n: u64) -> String {
    const PARTS: [&str; 16] = [
        "ba", "co", "di", "fu", "ga", "lo", "mi", "net", "or", "pa", "ri", "soft", "ta", "vel",
        "web", "xi",
    ];
    let mut name = String::new();
    for _ in 0..4 {
        name.push_str(PARTS[usize::try_from(n % 16).unwrap()]);
        n /= 16;
    }
    name
}

impl Generator {
    pub fn new(count: u64) -> Self {
        let mut random = Random(0x5eed_1234_5678_9abc);
        let words = (0..6000).map(|_| {
            let length = 2 + random.below(9);
            let letters =
                (0..length).map(|_| char::from(b'a' + u8::try_from(random.below(26)).unwrap()));
            letters.collect()
        });
        let words = words.collect();
        Self {
            count,
            random,
            words,
        }
    }

    /// Writes feeds below a directory; answers with the bytes of JSON.
    pub fn write(mut self, place: &Path) -> u64 {
        std::fs::create_dir_all(place).unwrap();
        let years = 25;
        let mut bytes = 0;
        for year in 0..years {
            let of_year = self.count / years + u64::from(year < self.count % years);
            let file =
                File::create(place.join(format!("nvdcve-2.0-{}.json.gz", 2001 + year))).unwrap();
            let mut out = Counted(GzEncoder::new(file, Compression::fast()), 0);
            write!(out, r#"{{"resultsPerPage":{of_year},"startIndex":0,"totalResults":{of_year},"format":"NVD_CVE","version":"2.0","timestamp":"2026-11-22T00:00:00.000","vulnerabilities":["#).unwrap();
            for n in 0..of_year {
                if n > 0 {
                    out.write_all(b",").unwrap();
                }
                let entry = self.entry(&format!("CVE-{}-{:04}", 2001 + year, n + 1), 2001 + year);
                serde_json::to_writer(&mut out, &entry).unwrap();
            }
            out.write_all(b"]}").unwrap();
            bytes += out.1;
            out.0.finish().unwrap();
        }
        self.scores(place, years);
        bytes
    }

    fn scores(&mut self, place: &Path, years: u64) {
        let file = File::create(place.join("epss_scores-current.csv.gz")).unwrap();
        let mut out = GzEncoder::new(file, Compression::fast());
        writeln!(
            out,
            "#model_version:v2025.03.14,score_date:2026-11-22T00:00:00+0000\ncve,epss,percentile"
        )
        .unwrap();
        let mut exploited = Vec::new();
        for year in 0..years {
            for n in 0..self.count / years {
                let id = format!("CVE-{}-{:04}", 2001 + year, n + 1);
                let (score, percentile) = (self.random.skewed(100_000), self.random.below(100_000));
                writeln!(out, "{id},0.{score:05},0.{percentile:05}").unwrap();
                if self.random.below(220) == 0 {
                    exploited.push(json!({
                        "cveID": id, "vulnerabilityName": self.text(6), "dateAdded": "2024-05-06",
                        "dueDate": "2024-05-27", "knownRansomwareCampaignUse": "Unknown",
                        "requiredAction": self.text(12), "shortDescription": self.text(30),
                    }));
                }
            }
        }
        out.finish().unwrap();
        let catalogue = json!({
            "catalogVersion": "2026.11.22", "dateReleased": "2026-11-22T00:00:00.000Z",
            "count": exploited.len(), "vulnerabilities": exploited,
        });
        std::fs::write(
            place.join("known_exploited_vulnerabilities.json"),
            catalogue.to_string(),
        )
        .unwrap();
    }

    fn text(&mut self, words: u64) -> String {
        let count = self.words.len() as u64;
        let mut text = String::new();
        for _ in 0..words {
            let at = self.random.skewed(count);
            text.push_str(&self.words[usize::try_from(at).unwrap()]);
            text.push(' ');
        }
        text.trim_end().to_owned()
    }

    fn version(&mut self) -> String {
        format!(
            "{}.{}.{}",
            self.random.below(12),
            self.random.below(20),
            self.random.below(40)
        )
    }

    fn criteria(&mut self) -> Value {
        let product = product(self.random.skewed(60_000));
        let id = format!("{:016X}-{:016X}", self.random.next(), self.random.next());
        let (vendor, name) = product.split_once(':').unwrap();
        if self.random.below(3) == 0 {
            let version = self.version();
            return json!({"vulnerable": true, "matchCriteriaId": id,
                "criteria": format!("cpe:2.3:a:{vendor}:{name}:{version}:*:*:*:*:*:*:*")});
        }
        json!({"vulnerable": true, "matchCriteriaId": id,
            "criteria": format!("cpe:2.3:a:{vendor}:{name}:*:*:*:*:*:*:*:*"),
            "versionStartIncluding": self.version(), "versionEndExcluding": self.version()})
    }

    fn node(&mut self) -> Value {
        let matches: Vec<Value> = (0..=self.random.skewed(16))
            .map(|_| self.criteria())
            .collect();
        json!({"operator": "OR", "negate": false, "cpeMatch": matches})
    }

    fn configuration(&mut self) -> Value {
        let vulnerable = self.node();
        if self.random.below(8) > 0 {
            return json!({"nodes": [vulnerable]});
        }
        let platform = json!({"operator": "OR", "negate": false, "cpeMatch": [
            {"vulnerable": false, "criteria": "cpe:2.3:o:microsoft:windows:-:*:*:*:*:*:*:*",
             "matchCriteriaId": "A2572D17-1DE6-457B-99CC-64AFD54487EA"}]});
        json!({"operator": "AND", "nodes": [vulnerable, platform]})
    }

    fn reference(&mut self) -> Value {
        const HOSTS: [&str; 6] = [
            "https://github.com/advisories/",
            "https://lists.example.org/archives/",
            "https://www.example.com/security/",
            "https://vuldb.example.net/?id.",
            "https://plugins.example.org/changeset/",
            "https://bugzilla.example.org/show_bug.cgi?id=",
        ];
        let host = HOSTS[usize::try_from(self.random.below(6)).unwrap()];
        json!({"url": format!("{host}{:x}", self.random.next() >> 24), "source": "cve@mitre.org", "tags": ["Vendor Advisory"]})
    }

    fn entry(&mut self, id: &str, year: u64) -> Value {
        let words = 20 + self.random.below(50);
        let (month, day) = (1 + self.random.below(12), 1 + self.random.below(28));
        let published = format!("{year}-{month:02}-{day:02}T10:15:06.467");
        let one = |random: &mut Random, all: &[&'static str]| {
            all[usize::try_from(random.below(all.len() as u64)).unwrap()]
        };
        let vector = format!(
            "CVSS:3.1/AV:{}/AC:L/PR:{}/UI:{}/S:U/C:{}/I:{}/A:{}",
            one(&mut self.random, &["N", "N", "L"]),
            one(&mut self.random, &["N", "L", "H"]),
            one(&mut self.random, &["N", "R"]),
            one(&mut self.random, &["H", "L", "N"]),
            one(&mut self.random, &["H", "L", "N"]),
            one(&mut self.random, &["H", "L"])
        );
        let configurations: Vec<Value> = (0..=self.random.skewed(3))
            .map(|_| self.configuration())
            .collect();
        let references: Vec<Value> = (0..2 + self.random.below(4))
            .map(|_| self.reference())
            .collect();
        json!({"cve": {
            "id": id, "sourceIdentifier": "cve@mitre.org", "published": published, "lastModified": published,
            "vulnStatus": "Analyzed", "cveTags": [],
            "descriptions": [{"lang": "en", "value": self.text(words)}, {"lang": "es", "value": self.text(words)}],
            "metrics": {"cvssMetricV31": [{"source": "nvd@nist.gov", "type": "Primary", "cvssData": {
                "version": "3.1", "vectorString": vector, "baseScore": 7.5, "baseSeverity": "HIGH",
                "attackVector": "NETWORK", "attackComplexity": "LOW", "privilegesRequired": "NONE",
                "userInteraction": "NONE", "scope": "UNCHANGED", "confidentialityImpact": "HIGH",
                "integrityImpact": "NONE", "availabilityImpact": "NONE"},
                "exploitabilityScore": 3.9, "impactScore": 3.6}]},
            "weaknesses": [{"source": "nvd@nist.gov", "type": "Primary",
                "description": [{"lang": "en", "value": format!("CWE-{}", 20 + self.random.skewed(900))}]}],
            "configurations": configurations, "references": references,
        }})
    }
}

/// Bytes that go through.
struct Counted<W>(W, u64);

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.1 += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
