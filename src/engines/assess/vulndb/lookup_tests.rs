use super::details::score;
use super::referee_tests::database;
use super::{Certainty, Distribution, Known, Product, Vulndb};

const ALL: [&str; 5] = [
    "nvd.json",
    "debian.json",
    "kev.json",
    "epss.csv",
    "cve-record.json",
];

#[track_caller]
fn one(db: &Vulndb, cpes: &[&str], version: &str, banner: &str, id: &str) -> Known {
    let cpes: Vec<String> = cpes.iter().map(|&cpe| cpe.to_owned()).collect();
    let product = Product {
        cpes: &cpes,
        name: "",
        version,
        banner,
    };
    let known = db.of(&product).unwrap();
    let ids: Vec<String> = known.iter().map(|known| known.cve.id.clone()).collect();
    let found = known.into_iter().find(|known| known.cve.id == id);
    found.unwrap_or_else(|| panic!("{ids:?}"))
}

#[test]
fn everything_that_is_known_of_one() {
    let db = database(&ALL);
    let known = one(
        &db,
        &["cpe:/a:openssl:openssl:1.0.1f"],
        "",
        "",
        "CVE-2014-0160",
    );
    assert_eq!(known.certainty, Certainty::Affected);
    assert_eq!(known.why, "1.0.1 <= 1.0.1f < 1.0.1g");
    assert_eq!(known.product, "openssl:openssl");
    let cve = known.cve;
    assert_eq!((cve.cvss[0].version, cve.cvss[0].score), ("3.1", 7.5));
    assert_eq!(cve.cwe, [125]);
    let kev = cve.kev.unwrap();
    assert_eq!(
        (kev.added.as_str(), kev.due.as_str(), kev.ransomware),
        ("2022-05-04", "2022-05-25", false)
    );
    assert_eq!(
        cve.epss.map(|e| (e.score, e.percentile)),
        Some((0.944_53, 0.999_89))
    );
    assert_eq!(cve.title, "OpenSSL Information Disclosure Vulnerability");
    assert!(cve.description.contains("Heartbleed"));
    assert_eq!(cve.published.unwrap().format("%Y").to_string(), "2014");
    assert_eq!(cve.references.len(), 1);
    assert_eq!(
        db.by_id("cve-2014-0160").unwrap().unwrap().id,
        "CVE-2014-0160"
    );
    assert_eq!(db.by_id("CVE-2014-0161").unwrap(), None);
    assert_eq!(db.by_id("nonsense").unwrap(), None);
    let info = db.info();
    assert_eq!(
        (info.cves, info.parts["nvd"].cves, info.parts["kev"].cves),
        (87, 85, 3)
    );
    assert_eq!(info.parts["epss"].date.as_deref(), Some("2025-07-01"));
    db.verify().unwrap();
}

#[test]
fn distributions_put_corrections_into_what_they_released() {
    let db = database(&ALL);
    let ssh = ["cpe:/a:openbsd:openssh:9.2p1", "cpe:/o:debian:debian_linux"];
    let of = |banner: &str, id: &str| one(&db, &ssh, "", banner, id).certainty;
    let debian = Distribution::Debian;
    let fixed = |version: &str| Certainty::Fixed {
        distribution: debian,
        version: Some(version.to_owned()),
    };
    assert_eq!(
        of("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3", "CVE-2024-6387"),
        fixed("1:9.2p1-2+deb12u3")
    );
    assert_eq!(
        of("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u2", "CVE-2024-6387"),
        Certainty::Affected
    );
    assert_eq!(
        of("SSH-2.0-OpenSSH_9.2p1 Debian-2", "CVE-2024-6387"),
        Certainty::Affected
    );
    // The tracker's extract has nothing of it.
    assert_eq!(
        of("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3", "CVE-2023-38408"),
        Certainty::PossiblyFixed {
            distribution: debian
        }
    );
    let never = one(
        &db,
        &["cpe:/a:openbsd:openssh:8.6p1"],
        "8.6p1 Debian-5+deb11u3",
        "",
        "CVE-2024-6387",
    );
    assert_eq!(
        never.certainty,
        Certainty::Fixed {
            distribution: debian,
            version: None
        }
    );
    // The tracker rates it "unimportant": an open issue that nobody has to act on.
    let unimportant = Certainty::Unimportant {
        distribution: debian,
    };
    for banner in [
        "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3",
        "SSH-2.0-OpenSSH_9.2p1 Debian-2",
        "",
    ] {
        let known = one(&db, &ssh, "", banner, "CVE-2007-2768");
        assert_eq!(known.certainty, unimportant, "{banner}");
        assert!(known.confidence < 0.3, "{banner}");
    }
    // Without the tracker nothing is sure.
    let db = database(&["nvd.json"]);
    for (cpe, banner, id) in [
        (
            "cpe:/a:apache:http_server:2.4.52",
            "Apache/2.4.52 (Ubuntu)",
            "CVE-2023-25690",
        ),
        (
            "cpe:/a:f5:nginx:1.18.0",
            "nginx/1.18.0 (Ubuntu)",
            "CVE-2021-23017",
        ),
        (
            "cpe:/a:openbsd:openssh:8.9p1",
            "SSH-2.0-OpenSSH_8.9p1 Ubuntu-3ubuntu0.6",
            "CVE-2024-6387",
        ),
        (
            "cpe:/a:php:php:8.2.7",
            "PHP/8.2.7-1+deb12u1",
            "CVE-2023-3824",
        ),
        (
            "cpe:/a:apache:http_server:2.4.37",
            "Apache/2.4.37 (Red Hat Enterprise Linux)",
            "CVE-2021-44790",
        ),
    ] {
        let known = one(&db, &[cpe], "", banner, id);
        assert!(
            matches!(known.certainty, Certainty::PossiblyFixed { .. }),
            "{banner}"
        );
        assert!(known.confidence < 0.5, "{banner}");
    }
}

#[test]
fn what_needs_more_than_the_product_is_not_claimed() {
    let db = database(&["nvd.json"]);
    let php = one(&db, &["cpe:/a:php:php:8.1.28"], "", "", "CVE-2024-4577");
    assert_eq!(
        php.certainty,
        Certainty::Likely {
            unknown: "whether it runs with microsoft:windows".to_owned()
        }
    );
    assert!(php.confidence < 0.6);
    let windows = ["cpe:/a:php:php:8.1.28", "cpe:/o:microsoft:windows:-"];
    let every = one(
        &db,
        &["cpe:/a:openbsd:openssh:9.8p1"],
        "",
        "",
        "CVE-2007-2768",
    );
    assert!(matches!(every.certainty, Certainty::Likely { .. }) && every.confidence < 0.5);
    let php = one(&db, &windows, "", "", "CVE-2024-4577");
    assert!(php.confidence > 0.5);
    // A p-level that sshd does not tell.
    let ssh = one(
        &db,
        &["cpe:/a:openbsd:openssh:9.3"],
        "",
        "",
        "CVE-2023-38408",
    );
    assert!(matches!(ssh.certainty, Certainty::Likely { .. }));
}

#[test]
fn without_a_version_nothing_is_said() {
    let db = database(&["nvd.json"]);
    for cpe in [
        "cpe:/a:f5:nginx",
        "cpe:/o:debian:debian_linux",
        "cpe:2.3:a:f5:nginx:-",
        "nonsense",
        "cpe:/a:nobody:nothing:1",
    ] {
        let cpes = [cpe.to_owned()];
        let product = Product {
            cpes: &cpes,
            ..Product::default()
        };
        assert_eq!(db.of(&product).unwrap(), [], "{cpe}");
    }
}

/// FIRST's own examples: CVSS v3.1 Examples, v4.0 Examples, v2 Guide §3.3.
#[test]
fn scores_are_computed_from_the_vectors() {
    for (vector, expected) in [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1),
        ("CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", 3.1),
        ("CVSS:3.0/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 6.4),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0),
        ("AV:N/AC:L/Au:N/C:N/I:N/A:C", 7.8),
        ("AV:N/AC:L/Au:N/C:C/I:C/A:C", 10.0),
        ("AV:L/AC:H/Au:N/C:C/I:C/A:C", 6.2),
        (
            "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
            9.3,
        ),
        (
            "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H",
            10.0,
        ),
        (
            "CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
            7.3,
        ),
    ] {
        let scored = score(vector.to_owned(), 0);
        assert!(
            (scored.score - expected).abs() < 1e-9,
            "{vector}: {}",
            scored.score
        );
    }
    assert!((score("CVSS:3.1/AV:X".to_owned(), 55).score - 5.5).abs() < 1e-9);
}
