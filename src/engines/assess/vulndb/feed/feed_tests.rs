use std::io::Write;

use super::super::model::{Bound, CveId, FixState};
use super::*;

fn all(bytes: &[u8]) -> Result<Vec<(CveId, Cve)>, String> {
    let mut entries = Vec::new();
    fuzzing(bytes, |id, cve| entries.push((id, cve)))?;
    Ok(entries)
}

/// A record of the CVE list with this `affected`.
fn record(affected: &str) -> Cve {
    let text = format!(
        r#"{{"dataType":"CVE_RECORD","cveMetadata":{{"cveId":"CVE-2024-1000","state":"PUBLISHED",
        "dateUpdated":"2024-07-01T00:00:00.000Z"}},"containers":{{"cna":{{"affected":[{affected}]}}}}}}"#
    );
    all(text.as_bytes()).unwrap().remove(0).1
}

/// Ranges in short: `+[1.0, 2.0)`, `-` for those that are not affected.
fn ranges(cve: &Cve) -> Vec<String> {
    let configurations = &cve.cna.as_ref().unwrap().configurations;
    let nodes = configurations
        .iter()
        .flat_map(|c| &c.nodes)
        .flat_map(|n| &n.any_of);
    nodes
        .map(|m| {
            let sign = if m.versions.except { '-' } else { '+' };
            let from = match &m.versions.from {
                Bound::Open => "(".to_owned(),
                Bound::Including(v) => format!("[{v}"),
                Bound::Excluding(v) => format!("({v}"),
            };
            let to = match &m.versions.to {
                Bound::Open => ")".to_owned(),
                Bound::Including(v) => format!("{v}]"),
                Bound::Excluding(v) => format!("{v})"),
            };
            format!("{} {sign}{}{from}, {to}", m.product, m.versions.version)
        })
        .collect()
}

#[test]
fn versions_of_the_cve_list() {
    // What the default says anyway is left out.
    // From the format's documentation of "versions", docs/versions.md of CVEProject/cve-schema.
    let changes = r#"{"vendor":"Some One","product":"Thing","versions":[{"version":"1.0","lessThan":"3.0",
        "status":"affected","versionType":"custom","changes":[{"at":"1.5","status":"unaffected"},{"at":"2.0","status":"affected"}]}]}"#;
    assert_eq!(
        ranges(&record(changes)),
        ["some_one:thing +*[1.0, 1.5)", "some_one:thing +*[2.0, 3.0)"]
    );
    let default = r#"{"vendor":"a","product":"b","defaultStatus":"affected","versions":[
        {"version":"6.1.10","lessThanOrEqual":"6.1.*","status":"unaffected","versionType":"semver"},
        {"version":"6.2","lessThanOrEqual":"*","status":"unaffected","versionType":"original_commit_for_fix"}]}"#;
    assert_eq!(
        ranges(&record(default)),
        ["a:b +*(, )", "a:b -*[6.1.10, 6.1.*]", "a:b -*[6.2, )"]
    );
    let git = r#"{"vendor":"a","product":"b","versions":[{"version":"1da177e4","lessThan":"2f3c","status":"affected","versionType":"git"},
        {"version":"1.2","status":"affected"},{"version":"< 2.0","status":"affected"},{"version":"0","lessThanOrEqual":"3.1","status":"affected"}]}"#;
    assert_eq!(ranges(&record(git)), ["a:b +1.2(, )", "a:b +*(, 3.1]"]);
    let by_cpe = r#"{"vendor":"Apache Software Foundation","product":"Apache X","cpes":["cpe:2.3:a:apache:x:*:*:*:*:*:*:*:*"],
        "versions":[{"version":"1","status":"affected"}]}"#;
    assert_eq!(ranges(&record(by_cpe)), ["apache:x +1(, )"]);
    assert_eq!(
        ranges(&record(
            r#"{"vendor":"n/a","product":"n/a","versions":[{"version":"n/a","status":"affected"}]}"#
        )),
        [""; 0]
    );
}

#[test]
fn what_is_wrong_is_refused() {
    let refused = |bytes: &[u8], why: &str| {
        let error = all(bytes).unwrap_err();
        assert!(error.contains(why), "{error}");
    };
    refused(b"hello", "no feed that is known");
    refused(br#"{"CVE_data_type":"CVE","CVE_Items":[]}"#, "1.1");
    refused(br#"{"format":"NVD_CVE"}"#, "has no vulnerabilities");
    let nvd = |id: &str, time: &str| {
        format!(
            r#"{{"format":"NVD_CVE","resultsPerPage":1,"vulnerabilities":[{{"cve":{{"id":"{id}","published":"{time}","lastModified":"{time}"}}}}]}}"#
        )
    };
    let good = nvd("CVE-2024-1000", "2024-07-01T00:00:00.000");
    assert_eq!(all(good.as_bytes()).unwrap().len(), 1);
    refused(
        nvd("CVE-24-1", "2024-07-01T00:00:00.000").as_bytes(),
        "no CVE number",
    );
    refused(nvd("CVE-2024-1000", "yesterday").as_bytes(), "no time");
    refused(
        good.replace("Page\":1", "Page\":2").as_bytes(),
        "says that it has 2 entries, and has 1",
    );
    refused(&good.as_bytes()[..good.len() - 1], "EOF");
    refused(format!("{good}x").as_bytes(), "trailing");
    refused(b"#model_version:v1,score_date:2025-07-01T00:00:00+0000\ncve,epss,percentile\nCVE-2024-1000,1.5,0.5\n", "no probability");
    refused(b"cve,epss,percentile\n", "no scores");
}

#[test]
fn what_a_distribution_sees_no_need_to_act_on() {
    let states = |feed: &[u8]| -> Vec<FixState> {
        let entries = all(feed).unwrap();
        let fixes = entries.into_iter().flat_map(|(_, cve)| cve.fixes);
        fixes.map(|fix| fix.state).collect()
    };
    let debian = br#"{"x":{"CVE-2024-1000":{"releases":{
        "bookworm":{"status":"open","urgency":"unimportant"},
        "bullseye":{"status":"resolved","fixed_version":"0","urgency":"unimportant"},
        "sid":{"status":"resolved","fixed_version":"1-2","urgency":"unimportant"},
        "trixie":{"status":"open","urgency":"low"}}}}}"#;
    let fixed = || FixState::Unimportant(Some("1-2".to_owned()));
    assert_eq!(
        states(debian),
        [
            FixState::Unimportant(None),
            FixState::NotAffected,
            fixed(),
            FixState::Open
        ]
    );
    let osv = br#"{"schema_version":"1.7.0","id":"UBUNTU-CVE-2024-1000","severity":[{"type":"CVSS_V3","score":"x"},{"type":"Ubuntu","score":"negligible"}],
        "affected":[{"package":{"ecosystem":"Ubuntu:22.04:LTS","name":"x"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1-2"}]}]},
        {"package":{"ecosystem":"Debian:12","name":"x"},"ecosystem_specific":{"urgency":"unimportant"}},
        {"package":{"ecosystem":"Debian:11","name":"x"},"ecosystem_specific":{"urgency":"low"}},
        {"package":{"ecosystem":"Alpine:v3.18","name":"x"},"ecosystem_specific":{"urgency":"unimportant"}}]}"#;
    assert_eq!(
        states(osv),
        [
            fixed(),
            FixState::Unimportant(None),
            FixState::Open,
            FixState::Open
        ]
    );
}

#[test]
fn advisories_of_distributions() {
    let osv = br#"{"schema_version":"1.6.0","id":"DSA-1-1","aliases":["CVE-2024-1000","CVE-2024-1001"],"related":["CVE-2024-9999"],
        "affected":[{"package":{"ecosystem":"Debian:12","name":"x"},"ranges":[{"type":"GIT","events":[{"fixed":"abc"}]},{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1-2"}]}]},
        {"package":{"ecosystem":"Ubuntu:Pro:18.04:LTS","name":"x"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}]},
        {"package":{"ecosystem":"Red Hat:enterprise_linux:9::baseos","name":"x"}},{"package":{"ecosystem":"npm","name":"x"}}]}"#;
    let entries = all(osv).unwrap();
    assert_eq!(entries.len(), 2);
    let fixes: Vec<_> = entries[0]
        .1
        .fixes
        .iter()
        .map(|f| (f.release.as_str(), f.state.clone()))
        .collect();
    let fixed = FixState::Fixed("1-2".to_owned());
    assert_eq!(
        fixes,
        [
            ("12", fixed),
            ("18.04", FixState::Open),
            ("9", FixState::Open)
        ]
    );
}

#[derive(Default)]
struct Counting(Cell<u64>);

impl Tracker for Counting {
    fn read(&self, bytes: u64) {
        self.0.set(self.0.get() + bytes);
    }
}

/// Entries of a file, with these limits.
fn of_file(path: &std::path::Path, limits: &Limits) -> Result<usize, String> {
    let mut count = 0;
    let left = Cell::new(limits.entries);
    let tracker = Counting::default();
    let mut sink = |_, _| {
        count += 1;
        Ok(())
    };
    let read = read(path, limits, &left, &tracker, &mut sink);
    read.map_err(|error| error.to_string())?;
    assert!(tracker.0.get() > 0);
    Ok(count)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        out.start_file(*name, zip::write::SimpleFileOptions::default())
            .unwrap();
        out.write_all(bytes).unwrap();
    }
    out.finish().unwrap().into_inner()
}

const KEV: &[u8] = include_bytes!("../testdata/kev.json");
const RECORD: &[u8] = include_bytes!("../testdata/cve-record.json");

#[test]
fn packed_in_all_ways() {
    let place = tempfile::tempdir().unwrap();
    let xz: &[u8] = include_bytes!("../testdata/kev.json.xz");
    let records = zip_of(&[
        ("cves/2024/31xxx/CVE-2024-31449.json", RECORD),
        ("cves/delta.json", b"{}"),
        ("cves/readme.md", b"x"),
    ]);
    let nested = zip_of(&[("cves.zip", &records)]);
    let gz = gzip(KEV);
    let zst = zstd::bulk::compress(KEV, 3).unwrap();
    let limits = Limits::default();
    for (name, bytes, expected) in [
        ("plain", KEV, 3),
        ("gz", &gz, 3),
        ("zst", &zst, 3),
        ("xz", xz, 3),
        ("zip", &records, 1),
        ("zip.zip", &nested, 1),
    ] {
        let path = place.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(of_file(&path, &limits), Ok(expected), "{name}");
        // Cut off anywhere, it is refused, and says which file it is.
        for cut in [bytes.len() - 1, bytes.len() * 3 / 4, bytes.len() / 2] {
            // The last line's end is no loss.
            if name == "plain" && cut == bytes.len() - 1 {
                continue;
            }
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let error = of_file(&path, &limits).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
    }
    let inside = place.path().join("cves/2024");
    std::fs::create_dir_all(&inside).unwrap();
    std::fs::write(inside.join("CVE-2024-31449.json"), RECORD).unwrap();
    std::fs::write(place.path().join("kev.json.gz"), &gz).unwrap();
    assert_eq!(of_file(place.path(), &limits), Ok(4));
}

#[test]
fn an_offset_tells_where() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("kev.json");
    let text = String::from_utf8(KEV.to_vec())
        .unwrap()
        .replace("2022-05-25", "someday");
    std::fs::write(&path, &text).unwrap();
    let error = of_file(&path, &Limits::default()).unwrap_err();
    assert!(
        error.contains("dueDate of CVE-2014-0160 is no date"),
        "{error}"
    );
    let offset: usize = error
        .split("at byte ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let (entry, next) = (
        text.find("CVE-2014-0160").unwrap(),
        text.find("CVE-2023-46604").unwrap(),
    );
    assert!((entry..next).contains(&offset), "{offset}");
}

#[test]
fn bombs_are_not_unpacked() {
    let place = tempfile::tempdir().unwrap();
    let limits = Limits {
        content: 4 << 20,
        entry: 1 << 20,
        entries: 2,
        files: 3,
    };
    let write = |name: &str, bytes: &[u8]| {
        let path = place.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        of_file(&path, &limits).unwrap_err()
    };
    let long = format!(
        r#"{{"format":"NVD_CVE","vulnerabilities":[{{"x":"{}"}}]}}"#,
        "x".repeat(2 << 20)
    );
    assert!(write("long.gz", &gzip(long.as_bytes())).contains("longer than any real one"));
    let item = r#"{"cveID":"CVE-2024-1000","dateAdded":"2024-07-01","dueDate":"2024-07-01"},"#;
    let many = format!(
        r#"{{"catalogVersion":"1","vulnerabilities":[{}"#,
        item.repeat(100_000)
    );
    assert!(write("many.gz", &gzip(many.as_bytes())).contains("more entries"));
    let roomy = Limits {
        entries: 1 << 30,
        ..limits
    };
    let path = place.path().join("many.gz");
    assert!(
        of_file(&path, &roomy)
            .unwrap_err()
            .contains("unpacks to more")
    );
    let deep = format!(r#"{{"format":"NVD_CVE","x":{}"#, "[".repeat(100_000));
    assert!(write("deep.json", deep.as_bytes()).contains("EOF"));
    let files: Vec<(String, &[u8])> = (0..9).map(|n| (format!("{n}.json"), RECORD)).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (n.as_str(), *b)).collect();
    assert!(write("files.zip", &zip_of(&files)).contains("more files"));
    let mut nested = zip_of(&[("a.json", RECORD)]);
    for _ in 0..4 {
        nested = zip_of(&[("a.zip", &nested)]);
    }
    assert!(write("nested.zip", &nested).contains("archive in an archive"));
}
