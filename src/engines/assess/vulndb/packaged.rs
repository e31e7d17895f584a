//! Whose package a service is, by what it says of itself.
//!
//! Distributions put corrections into the version that they released; the number that a service
//! names stays, the package's revision grows: deb-version(7), rpm-version(7).

use std::sync::LazyLock;

use regex::Regex;

use super::cpe::Cpe;
use super::model::{Distribution, Fix, FixState};
use super::version::{Scheme, compare};

/// A package of a distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packaged {
    /// Whose.
    pub distribution: Distribution,
    /// Of which release (`12`, `22.04`, `9`), if that is told.
    pub release: Option<String>,
    /// Its version with the revision (`9.2p1-2+deb12u3`), without an epoch, if that is told.
    pub version: Option<String>,
}

/// What a distribution says of a CVE in a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is fixed in it, or never was in it.
    Fixed,
    /// It is in it.
    Affected,
    /// It may be in it, and is rated as nothing to act on.
    Unimportant,
    /// It does not say.
    Unknown,
}

#[allow(clippy::expect_used)]
fn pattern(text: &str) -> Regex {
    // A test goes through all of them.
    Regex::new(text).expect("a pattern of this file")
}

/// `9.2p1 Debian-2+deb12u3`, `OpenSSH_8.9p1 Ubuntu-3ubuntu0.6`.
static NAMED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)(\d[\w.+~]*)[ _](debian|ubuntu|raspbian)-(\d[\w.+~-]*)"));
/// `8.2.7-1+deb12u1`, `8.0.32-0ubuntu0.22.04.2`, `10.11.4-MariaDB-1~deb12u1`.
static REVISION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)(\d[\w.+~-]*-[\w.+~]*(?:[+~]deb\d+u\d+|~bpo\d+\+\d+|ubuntu[\w.+~]*))")
});
static DEBIAN_RELEASE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)(?:deb|bpo)(\d+)(?:u|\+)"));
static UBUNTU_RELEASE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)ubuntu\d+\.(\d\d\.\d\d)"));
/// `8.0p1-19.el8_9.2`, `2.4.57-1.fc38`, `1.20.0-1.amzn2`.
static RPM: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?:(\d[\w.+~]*-[\w.+~]*))?\.(el|fc|amzn)(\d+)((?:_\d+)?[\w.]*)"));
/// `(Debian)`, `(Red Hat Enterprise Linux)`.
static BRACKETS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\((debian|ubuntu|raspbian|red hat|centos|rocky|alma ?linux|oracle linux|scientific linux|fedora|opensuse|suse|linux/suse|amazon|alpine|freebsd)[^)]{0,30}\)",
    )
});
/// `OpenSSH_9.3 FreeBSD-20230719`.
static FREEBSD: LazyLock<Regex> = LazyLock::new(|| pattern(r"(\d[\w.]*)[ _]FreeBSD-\d+"));

impl Packaged {
    /// Reads what a service says of itself; `None`: nothing of a distribution.
    pub fn read(version: &str, banner: &str, cpes: &[Cpe]) -> Option<Self> {
        let texts = [version, banner];
        let find = |of: fn(&str) -> Option<Self>| texts.iter().find_map(|text| of(text));
        find(named)
            .or_else(|| find(revision))
            .or_else(|| find(rpm))
            .or_else(|| find(brackets))
            .or_else(|| by_system(cpes))
    }

    /// What the distribution says, by its fixes of this CVE in the package of one of these names.
    pub fn verdict(&self, fixes: &[Fix], is_package: impl Fn(&str) -> bool) -> Verdict {
        let ours = |fix: &&Fix| fix.distribution == self.distribution && is_package(&fix.package);
        let fixes: Vec<&Fix> = fixes.iter().filter(ours).collect();
        if let Some(release) = &self.release {
            let same = |fix: &&&Fix| fix.release == *release || is_minor(&fix.release, release);
            let of_release: Vec<&&Fix> = fixes.iter().filter(same).collect();
            let verdicts = of_release.iter().map(|fix| self.by(&fix.state));
            if let Some(verdict) = agreed(verdicts) {
                return verdict;
            }
        }
        let states = || fixes.iter().map(|fix| self.by(&fix.state));
        let Some(version) = &self.version else {
            // Whatever the release is, it is no more than that.
            return match agreed(states()) {
                Some(Verdict::Unimportant) => Verdict::Unimportant,
                _ => Verdict::Unknown,
            };
        };
        // Which release it is of shows by the version from which its packages are made.
        let upstream = upstream(version);
        let sibling = |fix: &&&Fix| match &fix.state {
            FixState::Fixed(fixed) | FixState::Unimportant(Some(fixed)) => {
                self::upstream(without_epoch(fixed)) == upstream
            }
            _ => false,
        };
        let siblings: Vec<&&Fix> = fixes.iter().filter(sibling).collect();
        if self.release.is_none()
            && let Some(verdict) = agreed(siblings.iter().map(|fix| self.by(&fix.state)))
        {
            return verdict;
        }
        // Later than what is fixed in every release.
        match agreed(states()) {
            Some(verdict @ (Verdict::Fixed | Verdict::Unimportant)) => verdict,
            _ => Verdict::Unknown,
        }
    }

    fn by(&self, state: &FixState) -> Verdict {
        match (state, &self.version) {
            (FixState::NotAffected, _) => Verdict::Fixed,
            (FixState::Open, _) => Verdict::Affected,
            (FixState::Fixed(fixed), Some(version)) => match self.is_before(version, fixed) {
                true => Verdict::Affected,
                false => Verdict::Fixed,
            },
            (FixState::Unimportant(Some(fixed)), Some(version)) => {
                match self.is_before(version, fixed) {
                    true => Verdict::Unimportant,
                    false => Verdict::Fixed,
                }
            }
            (FixState::Unimportant(_), _) => Verdict::Unimportant,
            _ => Verdict::Unknown,
        }
    }

    fn is_before(&self, version: &str, fixed: &str) -> bool {
        let scheme = match self.distribution {
            Distribution::Debian | Distribution::Ubuntu => Scheme::Dpkg,
            Distribution::Alpine | Distribution::FreeBsd => Scheme::Generic,
            _ => Scheme::Rpm,
        };
        // No service tells its package's epoch.
        compare(scheme, version, without_epoch(fixed)).is_lt()
    }
}

/// What all say; "fixed" and "unimportant" together are "unimportant". `None`: they differ, or nobody speaks.
fn agreed(mut verdicts: impl Iterator<Item = Verdict>) -> Option<Verdict> {
    use Verdict::{Fixed, Unimportant};
    let first = verdicts.next()?;
    verdicts.try_fold(first, |all, verdict| match (all, verdict) {
        (Fixed, Unimportant) | (Unimportant, Fixed) => Some(Unimportant),
        _ => (all == verdict).then_some(all),
    })
}

/// `8.9` of `8`.
fn is_minor(release: &str, major: &str) -> bool {
    release
        .strip_prefix(major)
        .is_some_and(|rest| rest.starts_with('.'))
}

fn without_epoch(version: &str) -> &str {
    match version.split_once(':') {
        Some((epoch, rest)) if epoch.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => version,
    }
}

fn upstream(version: &str) -> &str {
    version
        .rsplit_once('-')
        .map_or(version, |(upstream, _)| upstream)
}

fn debian(version: String) -> Packaged {
    let release = DEBIAN_RELEASE.captures(&version).map(|c| c[1].to_owned());
    Packaged {
        distribution: Distribution::Debian,
        release,
        version: Some(version),
    }
}

fn ubuntu(version: String) -> Packaged {
    let release = UBUNTU_RELEASE.captures(&version).map(|c| c[1].to_owned());
    Packaged {
        distribution: Distribution::Ubuntu,
        release,
        version: Some(version),
    }
}

fn named(text: &str) -> Option<Packaged> {
    if let Some(found) = NAMED.captures(text) {
        let version = format!("{}-{}", &found[1], &found[3]);
        let is_ubuntu = found[2].eq_ignore_ascii_case("ubuntu");
        return Some(if is_ubuntu {
            ubuntu(version)
        } else {
            debian(version)
        });
    }
    FREEBSD.captures(text).map(|_| Packaged {
        distribution: Distribution::FreeBsd,
        release: None,
        version: None,
    })
}

fn revision(text: &str) -> Option<Packaged> {
    let found = REVISION.captures(text)?;
    let version = of_mariadb(&found[1]);
    let is_ubuntu = version.to_ascii_lowercase().contains("ubuntu");
    Some(if is_ubuntu {
        ubuntu(version)
    } else {
        debian(version)
    })
}

/// A MariaDB server says `5.5.5-10.11.4-MariaDB-1~deb12u1`, so that old clients understand it.
fn of_mariadb(version: &str) -> String {
    let own = match version.to_ascii_lowercase().contains("mariadb") {
        true => version.strip_prefix("5.5.5-").unwrap_or(version),
        false => version,
    };
    own.replace("-MariaDB", "").replace("-mariadb", "")
}

fn rpm(text: &str) -> Option<Packaged> {
    let found = RPM.captures(text)?;
    let distribution = match &found[2] {
        "el" => Distribution::RedHat,
        "fc" => Distribution::Fedora,
        _ => Distribution::Amazon,
    };
    let version = found.get(1).map(|start| {
        let (kind, release, rest) = (&found[2], &found[3], &found[4]);
        format!("{}.{kind}{release}{rest}", start.as_str())
    });
    Some(Packaged {
        distribution,
        release: Some(found[3].to_owned()),
        version,
    })
}

fn brackets(text: &str) -> Option<Packaged> {
    let found = BRACKETS.captures(text)?;
    let name = found[1].to_ascii_lowercase();
    let distribution = match name.as_str() {
        "debian" | "raspbian" => Distribution::Debian,
        "ubuntu" => Distribution::Ubuntu,
        "fedora" => Distribution::Fedora,
        "opensuse" | "suse" | "linux/suse" => Distribution::Suse,
        "amazon" => Distribution::Amazon,
        "alpine" => Distribution::Alpine,
        "freebsd" => Distribution::FreeBsd,
        _ => Distribution::RedHat,
    };
    Some(Packaged {
        distribution,
        release: None,
        version: None,
    })
}

fn by_system(cpes: &[Cpe]) -> Option<Packaged> {
    let systems = cpes.iter().filter(|cpe| cpe.part == 'o');
    let mut distributions = systems.filter_map(|cpe| {
        Some(match cpe.key()?.as_str() {
            "debian:debian_linux" => Distribution::Debian,
            "canonical:ubuntu_linux" => Distribution::Ubuntu,
            "redhat:enterprise_linux"
            | "centos:centos"
            | "rocky:linux"
            | "almalinux:almalinux"
            | "oracle:linux" => Distribution::RedHat,
            "fedoraproject:fedora" => Distribution::Fedora,
            "suse:linux_enterprise_server" | "opensuse:leap" => Distribution::Suse,
            "alpinelinux:alpine_linux" => Distribution::Alpine,
            _ => return None,
        })
    });
    Some(Packaged {
        distribution: distributions.next()?,
        release: None,
        version: None,
    })
}

/// The version that a package was made from: without revision and what packagers append.
pub fn plain_version(text: &str) -> &str {
    let mut token = text.split_whitespace().next().unwrap_or_default();
    if token.to_ascii_lowercase().contains("mariadb") {
        token = token.strip_prefix("5.5.5-").unwrap_or(token);
        token = token.split("-MariaDB").next().unwrap_or(token);
    }
    // What MySQL appends where it keeps a log.
    token = token.strip_suffix("-log").unwrap_or(token);
    if REVISION.is_match(token) || RPM.is_match(token) {
        token = upstream(token);
    }
    let appended = [
        "+dfsg", "+ds", "~dfsg", "+repack", "+really", "-log", "-debian", "-fips",
    ];
    let end = appended.iter().filter_map(|mark| token.find(mark)).min();
    without_epoch(&token[..end.unwrap_or(token.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, distribution: Distribution, release: &str, version: &str) {
        let found = Packaged::read("", text, &[]).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(found.distribution, distribution, "{text}");
        assert_eq!(found.release.as_deref().unwrap_or(""), release, "{text}");
        assert_eq!(found.version.as_deref().unwrap_or(""), version, "{text}");
    }

    #[test]
    fn banners_name_their_distribution() {
        use Distribution::*;
        check(
            "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3",
            Debian,
            "12",
            "9.2p1-2+deb12u3",
        );
        check("9.2p1 Debian-2", Debian, "", "9.2p1-2");
        check(
            "SSH-2.0-OpenSSH_8.9p1 Ubuntu-3ubuntu0.6",
            Ubuntu,
            "",
            "8.9p1-3ubuntu0.6",
        );
        check("Apache/2.4.57 (Debian)", Debian, "", "");
        check("nginx/1.18.0 (Ubuntu)", Ubuntu, "", "");
        check("PHP/8.2.7-1+deb12u1", Debian, "12", "8.2.7-1+deb12u1");
        check(
            "8.0.32-0ubuntu0.22.04.2",
            Ubuntu,
            "22.04",
            "8.0.32-0ubuntu0.22.04.2",
        );
        check(
            "5.5.5-10.11.4-MariaDB-1~deb12u1",
            Debian,
            "12",
            "10.11.4-1~deb12u1",
        );
        check(
            "Apache/2.4.37 (Red Hat Enterprise Linux) OpenSSL/1.1.1k",
            RedHat,
            "",
            "",
        );
        check("Apache/2.4.6 (CentOS)", RedHat, "", "");
        check("8.0p1-19.el8_9.2", RedHat, "8", "8.0p1-19.el8_9.2");
        check("nginx 1.20.0-1.amzn2", Amazon, "2", "1.20.0-1.amzn2");
        check("SSH-2.0-OpenSSH_9.3 FreeBSD-20230719", FreeBsd, "", "");
        for nothing in [
            "Apache/2.4.57 (Unix)",
            "nginx/1.25.1",
            "SSH-2.0-OpenSSH_9.6",
            "Win64",
        ] {
            assert_eq!(Packaged::read("", nothing, &[]), None, "{nothing}");
        }
        let system = [Cpe::parse("cpe:/o:debian:debian_linux").unwrap()];
        assert_eq!(
            Packaged::read("", "", &system).unwrap().distribution,
            Debian
        );
    }

    #[test]
    fn unimportant_wherever_it_is_no_more() {
        let fix = |release: &str, state| Fix {
            distribution: Distribution::Debian,
            release: release.to_owned(),
            package: "x".to_owned(),
            state,
        };
        let verdict = |banner: &str, fixes: &[Fix]| {
            let packaged = Packaged::read("", banner, &[]).unwrap();
            packaged.verdict(fixes, |name| name == "x")
        };
        let later = || FixState::Unimportant(Some("1.3-1".to_owned()));
        let all = [fix("12", FixState::Unimportant(None)), fix("sid", later())];
        assert_eq!(verdict("1.2-1+deb12u1", &all), Verdict::Unimportant);
        assert_eq!(verdict("x/1.2 (Debian)", &all), Verdict::Unimportant);
        assert_eq!(verdict("1.3-2+deb13u1", &all[1..]), Verdict::Fixed);
        // In one release it is no trifle, and which this is nobody knows.
        let mixed = [
            fix("12", FixState::Unimportant(None)),
            fix("11", FixState::Open),
        ];
        assert_eq!(verdict("x/1.2 (Debian)", &mixed), Verdict::Unknown);
        assert_eq!(verdict("1.2-1+deb11u1", &mixed), Verdict::Affected);
    }

    #[test]
    fn versions_without_what_packagers_append() {
        for (text, plain) in [
            ("9.2p1 Debian-2+deb12u3", "9.2p1"),
            ("8.2.7-1+deb12u1", "8.2.7"),
            ("5.5.5-10.11.4-MariaDB-1~deb12u1", "10.11.4"),
            ("10.6.12-MariaDB-log", "10.6.12"),
            ("8.0.32-0ubuntu0.22.04.2", "8.0.32"),
            ("8.0p1-19.el8_9.2", "8.0p1"),
            ("1:2.3.4+dfsg-3+deb11u1", "2.3.4"),
            ("5.7.42-0ubuntu0.18.04.1-log", "5.7.42"),
            ("1.0.2k-fips", "1.0.2k"),
            ("7.0.8-12", "7.0.8-12"),
            ("5.0-rc1", "5.0-rc1"),
            ("", ""),
        ] {
            assert_eq!(plain_version(text), plain, "{text}");
        }
    }
}
