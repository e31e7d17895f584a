//! Fuzz targets: feeds, names and files of strangers, however broken, panic nothing, take no long time and
//! make nothing that acts on who reads it.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;

use super::cpe::Cpe;
use super::packaged::{Packaged, plain_version};
use super::version::{Scheme, compare};
use super::{Product, Vulndb, feed};
use crate::engines::ports::fuzz::{fuzz, is_fit_to_show};

const NVD: &[u8] = include_bytes!("testdata/nvd.json");
const DEBIAN: &[u8] = include_bytes!("testdata/debian.json");
const KEV: &[u8] = include_bytes!("testdata/kev.json");
const EPSS: &[u8] = include_bytes!("testdata/epss.csv");
const RECORD: &[u8] = include_bytes!("testdata/cve-record.json");
const OSV: &[u8] = br#"{"schema_version":"1.6.0","id":"UBUNTU-CVE-2024-6387","upstream":["CVE-2024-6387"],"affected":[{"package":{"ecosystem":"Ubuntu:22.04:LTS","name":"openssh"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1:8.9p1-3ubuntu0.10"}]}]}]}"#;

#[test]
fn feeds() {
    // A page with three entries of different kinds, so that changes hit what matters.
    let page = br#"{"resultsPerPage":1,"totalResults":1,"format":"NVD_CVE","vulnerabilities":[{"cve":{"id":"CVE-2024-4577","published":"2024-06-09T20:15:09.550","lastModified":"2025-03-28T15:12:48.097","vulnStatus":"Analyzed","descriptions":[{"lang":"en","value":"PHP on Windows"}],"metrics":{"cvssMetricV31":[{"type":"Primary","cvssData":{"vectorString":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H","baseScore":9.8}}]},"configurations":[{"operator":"AND","nodes":[{"operator":"OR","negate":false,"cpeMatch":[{"vulnerable":true,"criteria":"cpe:2.3:a:php:php:*:*:*:*:*:*:*:*","versionStartIncluding":"8.1.0","versionEndExcluding":"8.1.29"}]},{"operator":"OR","negate":true,"cpeMatch":[{"vulnerable":false,"criteria":"cpe:2.3:o:microsoft:windows:-:*:*:*:*:*:*:*"}]}]}],"references":[{"url":"https://example.org/","tags":["Patch"]}]}}]}"#;
    let seeds = [page.as_slice(), DEBIAN, KEV, EPSS, RECORD, OSV];
    for seed in seeds.iter().chain(&[NVD]) {
        feed::fuzzing(seed, |_, _| ()).unwrap();
    }
    fuzz(&seeds, |bytes| {
        let _ = feed::fuzzing(bytes, |_, cve| {
            for advisory in [&cve.nvd, &cve.cna].into_iter().flatten() {
                is_fit_to_show(&advisory.title, 160);
                is_fit_to_show(&advisory.description, 500);
                advisory
                    .references
                    .iter()
                    .for_each(|url| is_fit_to_show(url, 240));
                let nodes = advisory.configurations.iter().flat_map(|c| &c.nodes);
                for found in nodes.flat_map(|node| &node.any_of) {
                    is_fit_to_show(&found.versions.version, 1000);
                    is_fit_to_show(&found.versions.edition, 60);
                }
            }
            cve.fixes
                .iter()
                .for_each(|fix| is_fit_to_show(&fix.package, 80));
            if let Some(kev) = &cve.kev {
                is_fit_to_show(&kev.name, 160);
            }
        });
    });
}

#[test]
fn cpe_names() {
    let seeds: [&[u8]; 4] = [
        b"cpe:2.3:a:erlang:erlang\\/otp:26.*:*:*:*:*:wordpress:*:*",
        b"cpe:/a:joomla:joomla%21:3.4.5:~~pro~windows~x64~",
        b"cpe:/o:x:y:8.%02:sp%01",
        b"cpe:2.3:h:a:b:-:*",
    ];
    fuzz(&seeds, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        if let Some(cpe) = Cpe::parse(&text) {
            let _ = (
                cpe.key(),
                cpe.version.holds(&cpe.update),
                cpe.update.to_string(),
            );
        }
    });
}

#[test]
fn versions_and_banners() {
    let seeds: [&[u8]; 6] = [
        b"9.2p1\n9.3",
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\n1:9.2p1-2~bpo11+1",
        b"5.5.5-10.11.4-MariaDB-1~deb12u1\n8.0.32-0ubuntu0.22.04.2",
        b"1.0.0-rc.1+build\n1.0~rc1^git1",
        b"Apache/2.4.37 (Red Hat Enterprise Linux)\n8.0p1-19.el8_9.2",
        b"1.2.3.4.5.6.7.8.9a\n1.2.3.4.5.6.7.8.9b",
    ];
    fuzz(&seeds, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let (a, b) = text.split_once('\n').unwrap_or((&text, ""));
        for scheme in [Scheme::Generic, Scheme::Semver, Scheme::Dpkg, Scheme::Rpm] {
            assert_eq!(compare(scheme, a, b), compare(scheme, b, a).reverse());
        }
        let _ = (Packaged::read(a, b, &[]), plain_version(a));
    });
}

/// A database of three CVEs, as a file.
fn small() -> Vec<u8> {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("vulndb");
    let data =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engines/assess/vulndb/testdata");
    let feeds = ["cve-record.json", "kev.json", "debian.json"].map(|name| data.join(name));
    super::import(&path, &feeds, &()).unwrap();
    std::fs::read(path).unwrap()
}

/// A checksum stops nearly all of what a fuzzer does to a file, so that it is made right again after.
#[test]
fn files() {
    let file = small();
    let cpes = ["cpe:/a:redis:redis:7.2.5".to_owned()];
    let product = Product {
        cpes: &cpes,
        ..Product::default()
    };
    let ask = |db: &Vulndb| {
        let _ = (
            db.of(&product),
            db.by_id("CVE-2024-31449"),
            db.by_id("CVE-2024-6387"),
            db.verify(),
        );
    };
    let db = Vulndb::of_bytes(file.clone()).unwrap();
    assert_eq!(db.of(&product).unwrap().len(), 1);
    let count = AssertUnwindSafe(RefCell::new(0_u64));
    fuzz(&[&file], |bytes| {
        let mut bytes = bytes.to_vec();
        if let Ok(db) = Vulndb::of_bytes(bytes.clone()) {
            ask(&db);
        }
        // The header as it would have to be for this length.
        if bytes.len() > 200 {
            let at = bytes.len().min(super::store::HEADER);
            if at == super::store::HEADER && bytes.len() > at {
                let length = bytes.len() as u64;
                bytes[at - 16..at - 8].copy_from_slice(&length.to_le_bytes());
                let hash = xxhash_rust::xxh3::xxh3_64(&bytes[..at - 8]);
                bytes[at - 8..at].copy_from_slice(&hash.to_le_bytes());
            }
            if let Ok(db) = Vulndb::of_bytes(bytes) {
                ask(&db);
                *count.borrow_mut() += 1;
            }
        }
    });
    assert!(count.take() > 0, "the file itself is a database");
}
