use std::cmp::Ordering::{self, Equal, Greater, Less};

use proptest::prelude::*;

use super::{Scheme, at_most, compare, split_update};

#[track_caller]
fn rising(scheme: Scheme, versions: &[&str]) {
    for (at, a) in versions.iter().enumerate() {
        for (other, b) in versions.iter().enumerate() {
            assert_eq!(compare(scheme, a, b), at.cmp(&other), "{a} and {b}");
        }
    }
}

#[track_caller]
fn equal(scheme: Scheme, a: &str, b: &str) {
    assert_eq!(compare(scheme, a, b), Equal, "{a} and {b}");
    assert_eq!(compare(scheme, b, a), Equal, "{b} and {a}");
}

#[test]
fn generic_by_numbers_and_by_what_words_mean() {
    use Scheme::Generic;
    rising(
        Generic,
        &[
            "1.0.1", "1.0.2", "1.0.2a", "1.0.2k", "1.0.2u", "1.0.2za", "1.1.0",
        ],
    );
    rising(
        Generic,
        &["8.4", "9.1", "9.2", "9.2p1", "9.2p2", "9.3", "9.10"],
    );
    rising(
        Generic,
        &[
            "6.0-dev",
            "6.0-alpha1",
            "6.0-beta",
            "6.0-beta2",
            "6.0-beta10",
            "6.0-M1",
            "6.0-pre1",
            "6.0-rc1",
            "6.0.rc2",
            "6.0",
            "6.0p1",
            "6.0.1",
        ],
    );
    rising(
        Generic,
        &["3.12.0a7", "3.12.0b1", "3.12.0rc1", "3.12.0", "3.12.1"],
    );
    rising(Generic, &["7.0.8-11", "7.0.8-12", "7.0.9-1"]);
    rising(Generic, &["2.0", "1:1.0", "2:0.1"]);
    rising(Generic, &["1.8.0_202", "1.8.0_211", "11.0.2"]);
    rising(
        Generic,
        &["99999999999999999999999998", "99999999999999999999999999"],
    );
    rising(Generic, &["4.2.8p9", "4.2.8p15", "4.2.9"]);
    for (a, b) in [
        ("1.0", "1.0.0"),
        ("v1.2", "1.2"),
        ("1.0p1", "1.0.0p1"),
        ("1.0-rc1", "1.0rc1"),
        ("1.0.RC1", "1.0-rc.1"),
        ("5.3.0.Final", "5.3.0"),
        ("2.0.0.RELEASE", "2"),
        ("1.2.3+build7", "1.2.3"),
        ("007", "7"),
        ("1.0-sp1", "1.0.p1"),
    ] {
        equal(Generic, a, b);
    }
}

#[test]
fn semver_as_its_paragraph_11_says() {
    rising(
        Scheme::Semver,
        &[
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "2.0.0",
            "2.1.0",
            "2.1.1",
        ],
    );
    equal(Scheme::Semver, "1.0.0+a", "1.0.0+b");
    equal(Scheme::Semver, "v1.2", "1.2.0");
}

#[test]
fn dpkg_as_deb_version_7_says() {
    rising(
        Scheme::Dpkg,
        &[
            "1.0~~",
            "1.0~~a",
            "1.0~",
            "1.0~rc1-1",
            "1.0-1",
            "1.0-1+deb12u1",
            "1.0a",
            "1.0+dfsg",
        ],
    );
    rising(
        Scheme::Dpkg,
        &[
            "1:8.9p1-3ubuntu0.1",
            "1:8.9p1-3ubuntu0.10",
            "1:9.2p1-2",
            "1:9.2p1-2+deb12u2",
            "1:9.2p1-2+deb12u3",
            "1:9.2p1-3",
            "2:0.1-1",
        ],
    );
    rising(Scheme::Dpkg, &["2.4.57-2", "2.4.59-1~deb12u1", "2.4.59-1"]);
    equal(Scheme::Dpkg, "0:1.0-0", "1.0");
}

#[test]
fn rpm_as_rpmvercmp_does() {
    // From the tests of rpm itself (tests/rpmvercmp.at).
    for (a, b, order) in [
        ("1.0", "1.0", Equal),
        ("1.0", "2.0", Less),
        ("2.0.1a", "2.0.1", Greater),
        ("5.5p1", "5.5p2", Less),
        ("5.5p10", "5.5p1", Greater),
        ("10xyz", "10.1xyz", Less),
        ("xyz10", "xyz10.1", Less),
        ("xyz.4", "8", Less),
        ("8", "xyz.4", Greater),
        ("5.5p2", "5.6p1", Less),
        ("6.0.rc1", "6.0", Greater),
        ("10b2", "10a1", Greater),
        ("1.0aa", "1.0a", Greater),
        ("10.0001", "10.1", Equal),
        ("4.999.9", "5.0", Less),
        ("20101121", "20101122", Less),
        ("2_0", "2.0", Equal),
        ("1.0~rc1", "1.0", Less),
        ("1.0~rc1", "1.0~rc2", Less),
        ("1.0~rc1~git123", "1.0~rc1", Less),
        ("1.0^", "1.0", Greater),
        ("1.0^git1", "1.0^git2", Less),
        ("1.0^git1", "1.01", Less),
        ("1.0^20160101", "1.0.1", Less),
        ("1.0^20160101^git1", "1.0^20160102", Less),
        ("1.0~rc1^git1", "1.0~rc1", Greater),
        ("1.0^git1~pre", "1.0^git1", Less),
        ("1.0^", "1.0~rc1", Greater),
    ] {
        assert_eq!(super::rpm::rpmvercmp(a, b), order, "{a} and {b}");
        assert_eq!(super::rpm::rpmvercmp(b, a), order.reverse(), "{b} and {a}");
    }
    rising(
        Scheme::Rpm,
        &[
            "8.0p1-19.el8_8",
            "8.0p1-19.el8_9.2",
            "8.7p1-38.el9",
            "1:1.0-1",
        ],
    );
}

#[test]
fn bounds_with_a_star() {
    let cases = [
        ("6.1.9", "6.1.*", true),
        ("6.1", "6.1.*", true),
        ("6.0.99", "6.1.*", true),
        ("6.10", "6.1.*", false),
        ("6.2", "6.1.*", false),
        ("99", "*", true),
        ("1.2", "1.2", true),
        ("1.2.1", "1.2", false),
    ];
    for (version, bound, fits) in cases {
        assert_eq!(
            at_most(Scheme::Generic, version, bound),
            fits,
            "{version} {bound}"
        );
    }
}

#[test]
fn patch_levels_and_pre_releases_are_updates() {
    for (version, base, update) in [
        ("9.2p1", "9.2", "p1"),
        ("4.2.8p15", "4.2.8", "p15"),
        ("5.0-rc1", "5.0", "rc1"),
        ("5.0-beta", "5.0", "beta"),
        ("6.0.0.rc.2", "6.0.0", "rc.2"),
        ("1.0.2k", "1.0.2k", ""),
        ("3.12.0b2", "3.12.0", "b2"),
        ("8.2.7", "8.2.7", ""),
        ("1.9.5p2", "1.9.5", "p2"),
        ("5.3.0.Final", "5.3.0.Final", ""),
        ("rc1", "rc1", ""),
        ("2.4.57-debian", "2.4.57-debian", ""),
    ] {
        assert_eq!(split_update(version), (base, update), "{version}");
    }
}

fn any_version() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9]{1,2}(\\.[0-9]{1,2}){0,3}((-|\\.|~|)(rc|beta|alpha|p|a|b|k|z|dev|Final|xyz)[0-9]?)?",
        "([0-2]:)?[0-9.a-c~^+:_-]{0,8}(-[0-9a-c~^+.]{0,4})?",
        "\\PC{0,6}",
    ]
}

fn schemes() -> impl Strategy<Value = Scheme> {
    prop::sample::select(vec![
        Scheme::Generic,
        Scheme::Semver,
        Scheme::Dpkg,
        Scheme::Rpm,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// A total preorder: what is compared turned around is turned around, and order carries over.
    #[test]
    fn every_scheme_is_an_order(
        scheme in schemes(),
        a in any_version(),
        b in any_version(),
        c in any_version(),
    ) {
        let by = |x: &str, y: &str| compare(scheme, x, y);
        prop_assert_eq!(by(&a, &a), Equal);
        prop_assert_eq!(by(&a, &b), by(&b, &a).reverse());
        let mut sorted = [a.as_str(), &b, &c];
        sorted.sort_by(|x, y| by(x, y));
        let [low, middle, high] = sorted;
        prop_assert!(by(low, middle) != Greater && by(middle, high) != Greater);
        prop_assert!(by(low, high) != Greater, "{sorted:?}");
        if by(low, high) == Equal {
            prop_assert_eq!((by(low, middle), by(middle, high)), (Equal, Equal), "{:?}", sorted);
        }
    }

    #[test]
    fn an_update_is_later_or_earlier_than_what_it_is_of(version in any_version()) {
        let (base, update) = split_update(&version);
        if update.is_empty() {
            prop_assert_eq!(base, version.as_str());
        } else {
            prop_assert_ne!(compare(Scheme::Generic, &version, base), Ordering::Equal);
        }
    }
}
