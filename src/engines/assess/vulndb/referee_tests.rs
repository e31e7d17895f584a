//! The referee: real versions, and which of the CVEs of `testdata/nvd.json` they have, by the advisories
//! that the entries' descriptions name. The expectations were written from the advisories, not from
//! what the code answers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Certainty, Known, Product, Vulndb, import};

/// The test data, as one database.
pub fn database(files: &[&str]) -> Vulndb {
    let place = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engines/assess/vulndb/testdata");
    let feeds: Vec<PathBuf> = files.iter().map(|name| data.join(name)).collect();
    let path = place.path().join("vulndb");
    import(&path, &feeds, &()).unwrap();
    Vulndb::of_bytes(std::fs::read(path).unwrap()).unwrap()
}

struct Case {
    cpe: &'static str,
    name: &'static str,
    version: &'static str,
    banner: &'static str,
    /// CVEs without the prefix.
    has: &'static str,
}

impl Case {
    fn known(&self, db: &Vulndb) -> Vec<Known> {
        let cpes: Vec<String> = self.cpe.split_whitespace().map(str::to_owned).collect();
        let product = Product {
            cpes: &cpes,
            name: self.name,
            version: self.version,
            banner: self.banner,
        };
        db.of(&product).unwrap()
    }
}

/// By CPE name, as our detection gives it.
const fn cpe(cpe: &'static str, has: &'static str) -> Case {
    Case {
        cpe,
        name: "",
        version: "",
        banner: "",
        has,
    }
}

/// By what the service says.
const fn says(
    cpe: &'static str,
    version: &'static str,
    banner: &'static str,
    has: &'static str,
) -> Case {
    Case {
        cpe,
        name: "",
        version,
        banner,
        has,
    }
}

/// By name.
const fn named(name: &'static str, version: &'static str, has: &'static str) -> Case {
    Case {
        cpe: "",
        name,
        version,
        banner: "",
        has,
    }
}

const SSH: &str = "cpe:/a:openbsd:openssh";
const DEBIAN_SSH: &str = "cpe:/a:openbsd:openssh:9.2p1 cpe:/o:debian:debian_linux";

/// CVE-2007-2768 is of all versions of OpenSSH that use OPIE: NVD never narrowed it down, so that it is
/// found, with little confidence, in all of them.
const CASES: &[Case] = &[
    // OpenSSH: p-levels, both ranges of regreSSHion, versions without a p-level.
    says(
        SSH,
        "4.3p2",
        "SSH-2.0-OpenSSH_4.3p2",
        "2024-6387 2023-38408 2018-15473 2023-48795 2007-2768",
    ),
    says(
        SSH,
        "4.4p1",
        "SSH-2.0-OpenSSH_4.4p1",
        "2023-38408 2018-15473 2023-48795 2007-2768",
    ),
    says(
        SSH,
        "6.6p1",
        "SSH-2.0-OpenSSH_6.6p1",
        "2016-0777 2023-38408 2018-15473 2023-48795 2007-2768",
    ),
    says(
        SSH,
        "7.1p1",
        "SSH-2.0-OpenSSH_7.1p1",
        "2016-0777 2023-38408 2018-15473 2023-48795 2007-2768",
    ),
    says(
        SSH,
        "7.1p2",
        "SSH-2.0-OpenSSH_7.1p2",
        "2023-38408 2018-15473 2023-48795 2007-2768",
    ),
    says(
        SSH,
        "7.7",
        "SSH-2.0-OpenSSH_7.7",
        "2023-38408 2018-15473 2023-48795 2007-2768",
    ),
    says(
        SSH,
        "7.8",
        "SSH-2.0-OpenSSH_7.8",
        "2023-38408 2023-48795 2007-2768",
    ),
    says(
        SSH,
        "8.4p1",
        "SSH-2.0-OpenSSH_8.4p1",
        "2023-38408 2023-48795 2007-2768",
    ),
    says(
        SSH,
        "8.5p1",
        "SSH-2.0-OpenSSH_8.5p1",
        "2024-6387 2023-38408 2023-48795 2007-2768",
    ),
    says(
        SSH,
        "9.3p1",
        "SSH-2.0-OpenSSH_9.3p1",
        "2024-6387 2023-38408 2023-48795 2007-2768",
    ),
    says(
        SSH,
        "9.3p2",
        "SSH-2.0-OpenSSH_9.3p2",
        "2024-6387 2023-48795 2007-2768",
    ),
    says(SSH, "9.6", "SSH-2.0-OpenSSH_9.6", "2024-6387 2007-2768"),
    says(SSH, "9.7p1", "SSH-2.0-OpenSSH_9.7p1", "2024-6387 2007-2768"),
    says(SSH, "9.8p1", "SSH-2.0-OpenSSH_9.8p1", "2007-2768"),
    cpe(
        "cpe:2.3:a:openbsd:openssh:8.5:p1:*:*:*:*:*:*",
        "2024-6387 2023-38408 2023-48795 2007-2768",
    ),
    // Back-ports: what Debian's tracker says is fixed is no finding.
    says(
        DEBIAN_SSH,
        "9.2p1 Debian-2+deb12u3",
        "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3",
        "2023-38408 2007-2768",
    ),
    says(
        DEBIAN_SSH,
        "9.2p1 Debian-2+deb12u2",
        "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u2",
        "2024-6387 2023-38408 2007-2768",
    ),
    says(
        DEBIAN_SSH,
        "9.2p1 Debian-2",
        "SSH-2.0-OpenSSH_9.2p1 Debian-2",
        "2024-6387 2023-38408 2023-48795 2007-2768",
    ),
    says(
        "cpe:/a:openbsd:openssh:8.4p1 cpe:/o:debian:debian_linux",
        "8.4p1 Debian-5+deb11u3",
        "",
        "2023-38408 2007-2768",
    ),
    // Apache: two exact versions, inclusive ends, the names of both distributions.
    cpe(
        "cpe:/a:apache:http_server:2.4.49",
        "2021-41773 2021-42013 2021-44790 2023-25690 2024-38475",
    ),
    cpe(
        "cpe:/a:apache:http_server:2.4.50",
        "2021-42013 2021-44790 2023-25690 2024-38475",
    ),
    cpe(
        "cpe:/a:apache:http_server:2.4.51",
        "2021-44790 2023-25690 2024-38475",
    ),
    cpe("cpe:/a:apache:http_server:2.4.55", "2023-25690 2024-38475"),
    cpe("cpe:/a:apache:http_server:2.4.56", "2024-38475"),
    cpe("cpe:/a:apache:http_server:2.4.60", ""),
    cpe(
        "cpe:/a:apache:http_server:2.2.34",
        "2017-9798 2021-40438 2021-44790",
    ),
    says(
        "cpe:/a:apache:http_server:2.4.27",
        "2.4.27",
        "Apache/2.4.27 (Unix)",
        "2017-9798 2021-40438 2021-44790 2023-25690 2024-38475",
    ),
    named("Apache httpd", "2.4.58", "2024-38475"),
    // nginx under the three names that NVD gave it.
    cpe("cpe:/a:f5:nginx:1.20.0", "2021-23017 2022-41741 2023-44487"),
    cpe("cpe:/a:f5:nginx:1.20.1", "2022-41741 2023-44487"),
    cpe("cpe:/a:nginx:nginx:1.22.1", "2023-44487"),
    cpe(
        "cpe:/a:f5:nginx:1.12.0",
        "2017-7529 2019-9511 2021-23017 2022-41741 2023-44487",
    ),
    cpe("cpe:/a:f5:nginx:1.17.3", "2021-23017 2022-41741 2023-44487"),
    cpe(
        "cpe:/a:igor_sysoev:nginx:1.4.0",
        "2013-2028 2017-7529 2021-23017 2022-41741",
    ),
    cpe("cpe:/a:f5:nginx:1.25.3", ""),
    named(
        "nginx",
        "1.13.2",
        "2017-7529 2019-9511 2021-23017 2022-41741 2023-44487",
    ),
    // OpenSSL: letters, two of them, pre-releases.
    named("OpenSSL", "1.0.1f", "2014-0160 2016-2107"),
    named("OpenSSL", "1.0.1g", "2016-2107"),
    named("OpenSSL", "1.0.1t", ""),
    named("OpenSSL", "1.0.2g", "2016-2107 2022-0778"),
    named("OpenSSL", "1.0.2zc", "2022-0778"),
    named("OpenSSL", "1.0.2zd", ""),
    named("OpenSSL", "1.1.1k", "2021-3711 2022-0778"),
    named("OpenSSL", "1.1.1n", ""),
    named("OpenSSL", "3.0.6", "2022-3602"),
    named("OpenSSL", "3.0.7", ""),
    // PHP: one that is of Windows only.
    named("PHP", "8.1.28", "2024-4577"),
    says(
        "cpe:/a:php:php:8.1.28 cpe:/o:microsoft:windows",
        "8.1.28",
        "",
        "2024-4577",
    ),
    says(
        "cpe:/a:php:php:8.1.28 cpe:/o:debian:debian_linux",
        "8.1.28",
        "",
        "",
    ),
    named("PHP", "8.1.29", ""),
    named("PHP", "7.3.10", "2019-11043"),
    named("PHP", "7.4.29", "2022-31626"),
    named("PHP", "5.4.1", "2012-1823"),
    named("PHP", "5.4.2", ""),
    named("PHP", "8.0.19", "2022-31626 2023-3824"),
    // Milestones and release candidates.
    cpe("cpe:/a:apache:tomcat:9.0.30", "2020-1938 2025-24813"),
    cpe("cpe:/a:apache:tomcat:9.0.31", "2025-24813"),
    cpe(
        "cpe:/a:apache:tomcat:9.0.0:milestone1",
        "2020-1938 2017-12617 2025-24813",
    ),
    named("Apache Tomcat", "8.0.0.RC1", "2017-12617"),
    named(
        "Apache Tomcat",
        "9.0.0.M1",
        "2020-1938 2017-12617 2025-24813",
    ),
    cpe("cpe:/a:apache:tomcat:8.5.50", "2020-1938"),
    cpe("cpe:/a:apache:tomcat:10.1.34", "2025-24813"),
    cpe("cpe:/a:apache:tomcat:11.0.3", ""),
    cpe("cpe:/a:vsftpd:vsftpd:2.3.4", "2011-2523"),
    cpe("cpe:/a:vsftpd:vsftpd:3.0.3", ""),
    cpe("cpe:/a:proftpd:proftpd:1.3.3b", "2010-4221"),
    cpe("cpe:/a:proftpd:proftpd:1.3.3c", ""),
    cpe("cpe:/a:proftpd:proftpd:1.3.2rc3", "2010-4221"),
    cpe("cpe:/a:proftpd:proftpd:1.3.2rc2", ""),
    cpe("cpe:/a:proftpd:proftpd:1.3.5", "2015-3306"),
    cpe("cpe:/a:exim:exim:4.91", "2019-10149 2019-15846 2023-42115"),
    cpe(
        "cpe:/a:exim:exim:4.90",
        "2018-6789 2019-10149 2019-15846 2023-42115",
    ),
    cpe("cpe:/a:exim:exim:4.92.2", "2023-42115"),
    cpe("cpe:/a:exim:exim:4.96.1", ""),
    cpe(
        "cpe:/a:redis:redis:6.2.6",
        "2022-24735 2023-28856 2024-46981",
    ),
    cpe("cpe:/a:redis:redis:7.0-rc2", "2022-24735"),
    cpe("cpe:/a:redis:redis:7.2.5", "2024-46981 2024-31449"),
    cpe("cpe:/a:redis:redis:7.2.6", "2024-46981"),
    cpe("cpe:/a:redis:redis:7.4.2", ""),
    cpe("cpe:/a:elastic:elasticsearch:1.4.2", "2015-1427"),
    cpe("cpe:/a:elastic:elasticsearch:1.1.1", "2014-3120 2015-1427"),
    cpe("cpe:/a:elastic:kibana:6.6.0", "2019-7609"),
    cpe("cpe:/a:grafana:grafana:8.2.6", "2021-43798"),
    cpe("cpe:/a:grafana:grafana:8.3.0", "2021-43798"),
    cpe("cpe:/a:grafana:grafana:8.3.1", ""),
    cpe("cpe:/a:grafana:grafana:8.0.0-beta1", "2021-43798"),
    // Jenkins: two lines of versions, told apart by how many numbers they have.
    cpe("cpe:/a:jenkins:jenkins:2.441", "2024-23897"),
    cpe("cpe:/a:jenkins:jenkins:2.426.2", "2024-23897"),
    cpe("cpe:/a:jenkins:jenkins:2.426.3", ""),
    cpe("cpe:/a:jenkins:jenkins:2.442", ""),
    cpe("cpe:/a:atlassian:confluence:7.18.0", "2022-26134"),
    cpe("cpe:/a:atlassian:confluence:7.13.7", ""),
    cpe("cpe:/a:atlassian:confluence:8.5.1", "2023-22515"),
    cpe("cpe:/a:atlassian:confluence:6.14.1", "2019-3396 2022-26134"),
    cpe("cpe:/a:gitlab:gitlab:13.10.2", "2021-22205"),
    cpe("cpe:/a:gitlab:gitlab:16.7.1", "2023-7028"),
    cpe("cpe:/a:drupal:drupal:7.57", "2018-7600"),
    cpe("cpe:/a:drupal:drupal:7.58", ""),
    cpe("cpe:/a:drupal:drupal:8.5.0", "2018-7600 2019-6340"),
    cpe("cpe:/a:wordpress:wordpress:5.0", "2019-8942"),
    cpe("cpe:/a:wordpress:wordpress:5.8.2", "2022-21661"),
    cpe("cpe:/a:wordpress:wordpress:4.9.9", ""),
    named("jQuery", "1.12.4", "2020-11022 2019-11358 2015-9251"),
    named("jQuery", "3.4.1", "2020-11022"),
    named("jQuery", "3.5.0", ""),
    named("Lodash", "4.17.20", "2021-23337"),
    named("Bootstrap", "3.4.0", "2019-8331"),
    cpe("cpe:/a:libssh:libssh:0.8.3", "2018-10933"),
    cpe("cpe:/a:libssh:libssh:0.7.6", ""),
    named("Samba", "4.6.3", "2017-7494 2021-44142"),
    named("Samba", "4.15.5", ""),
    named("ISC BIND", "9.10.2-P2", "2015-5477 2020-8617"),
    named("ISC BIND", "9.10.2-P3", "2020-8617"),
    named("ISC BIND", "9.16.2", "2020-8617"),
    named("Oracle WebLogic", "12.2.1.3.0", "2020-14882"),
    says(
        "cpe:/a:microsoft:internet_information_services:6.0 cpe:/o:microsoft:windows",
        "6.0",
        "Microsoft-IIS/6.0",
        "2017-7269",
    ),
    cpe("cpe:/a:apache:activemq:5.16.6", "2023-46604"),
    cpe("cpe:/a:apache:activemq:5.16.7", ""),
    cpe("cpe:/a:apache:couchdb:2.1.0", "2017-12635 2022-24706"),
    named("PostgreSQL", "16.4", "2024-10979"),
    named("PostgreSQL", "17.1", ""),
    named("MySQL", "5.5.23", "2012-2122"),
    named("MariaDB", "5.5.5-10.5.8-MariaDB", "2021-27928"),
    named("MariaDB", "5.5.22", "2012-2122"),
    cpe("cpe:/a:openbsd:opensmtpd:6.6", "2020-7247"),
    cpe(
        "cpe:/a:matt_johnston:dropbear_ssh_server:2015.71",
        "2016-3116",
    ),
    cpe("cpe:/a:matt_johnston:dropbear_ssh_server:2022.83", ""),
    cpe("cpe:/a:eclipse:jetty:9.4.38.v20210224", "2021-28164"),
    cpe("cpe:/a:webmin:webmin:1.920", "2019-15107"),
    cpe("cpe:/a:webmin:webmin:1.930", ""),
    cpe("cpe:/a:joomla:joomla%21:3.4.5", "2015-8562"),
    cpe("cpe:/a:joomla:joomla%21:4.2.7", "2023-23752"),
    cpe("cpe:/a:erlang:erlang%2fotp:26.2.5.10", "2025-32433"),
    cpe("cpe:/a:jetbrains:teamcity:2023.11.3", "2024-27198"),
    cpe("cpe:/a:apache:solr:8.3.1", "2019-17558"),
    cpe("cpe:/a:apache:solr:8.4.0", ""),
    named("Spring", "5.3.17", "2022-22965"),
    cpe("cpe:/a:nazgul:nostromo_nhttpd:1.9.6", "2019-16278"),
];

const FEEDS: [&str; 5] = [
    "nvd.json",
    "debian.json",
    "kev.json",
    "epss.csv",
    "cve-record.json",
];

#[test]
fn precision_and_recall() {
    let db = database(&FEEDS);
    let (mut right, mut wrong, mut missed) = (0_u32, Vec::new(), Vec::new());
    for case in CASES {
        let what = format!(
            "{} {} {} {}",
            case.cpe, case.name, case.version, case.banner
        );
        let known = case.known(&db);
        let found: BTreeSet<String> = known
            .into_iter()
            .filter(|known| !matches!(known.certainty, Certainty::Fixed { .. }))
            .map(|known| known.cve.id)
            .collect();
        let has: BTreeSet<String> = case
            .has
            .split_whitespace()
            .map(|id| format!("CVE-{id}"))
            .collect();
        right += u32::try_from(found.intersection(&has).count()).unwrap();
        wrong.extend(found.difference(&has).map(|id| format!("{what}: {id}")));
        missed.extend(has.difference(&found).map(|id| format!("{what}: {id}")));
    }
    let share = |others: &[String]| {
        f64::from(right) / (f64::from(right) + f64::from(u32::try_from(others.len()).unwrap()))
    };
    let (precision, recall) = (share(&wrong), share(&missed));
    eprintln!(
        "{} versions, {right} right, precision {precision:.3}, recall {recall:.3}",
        CASES.len()
    );
    eprintln!("not had: {wrong:#?}\nmissed: {missed:#?}");
    assert!(CASES.len() >= 60 && right > 150);
    assert!(precision >= 0.95 && recall >= 0.95);
}
