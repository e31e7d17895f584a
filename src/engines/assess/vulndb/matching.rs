//! Whether an installed version is one that a CVE is about.

use super::cpe::{self, Cpe, Value};
use super::model::{Bound, Configuration, Distribution, Match};
use super::store::Criterion;
use super::version::{Scheme, at_most, compare, split_update};

/// A product as it was found.
#[derive(Debug, Clone)]
pub struct Installed<'a> {
    /// `vendor:product`.
    pub key: &'a str,
    /// Its version, as its makers number it.
    pub version: &'a str,
    /// The version does not tell the patch level, though there may be one.
    pub level_untold: bool,
    /// What it runs in, if that is known (`wordpress`).
    pub target: Option<&'a str>,
    /// What kind of system it runs on, if that is known.
    pub family: Option<Family>,
    /// The system itself.
    pub systems: &'a [Cpe],
}

/// Systems that have nothing in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Linux, of any distribution.
    Linux,
    /// The BSDs.
    Bsd,
    /// Microsoft Windows.
    Windows,
    /// Apple's.
    Apple,
}

/// Where the affected versions end, of those that a product's version is among.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Nobody has named an end.
    #[default]
    Open,
    /// This version is the first that is not affected.
    Before(String),
    /// This version is affected still; which is the next is not said.
    With(String),
}

/// How a criterion fits.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// How sure it is, 0 to 1.
    pub weight: f64,
    /// In what way (`8.5 <= 9.2p1 < 9.8`).
    pub why: String,
    /// Where what is affected ends.
    pub end: End,
}

/// The range says so, and nothing speaks against it.
const SURE: f64 = 0.95;
/// All versions that there ever were, by the time of writing.
const EVERY_VERSION: f64 = 0.45;
/// It fits but for a patch level that is not told.
const LEVEL_UNTOLD: f64 = 0.7;
/// It holds where the product runs in or on something that is not known.
const ELSEWHERE: f64 = 0.6;
/// It holds for an edition, of which this may be one.
const EDITION: f64 = 0.8;
/// The name is not a CPE name, but the same.
const BY_NAME: f64 = 0.85;

/// How a criterion fits what is installed; `None`: not at all.
pub fn fit(criterion: &Criterion, of: &Installed) -> Option<Fit> {
    let (mut weight, why) = match criterion.version {
        "-" => return None,
        "*" | "" => by_range(criterion, of)?,
        pattern if is_pattern(pattern) => {
            let fits = cpe::fits(pattern, &of.version.to_lowercase());
            (
                fits.then_some(SURE)?,
                format!("{} is {pattern}", of.version),
            )
        }
        version => (exactly(criterion, version, of)?, exact_text(criterion)),
    };
    let end = match (criterion.version, criterion.to()) {
        ("*" | "", Some((version, true))) if version.contains('*') => End::Open,
        ("*" | "", Some((version, true))) => End::With(version.to_owned()),
        ("*" | "", Some((version, false))) => End::Before(version.to_owned()),
        ("*" | "", None) => End::Open,
        _ => End::With(of.version.to_owned()),
    };
    if !criterion.target.is_empty() {
        weight *= target(criterion.target, of)?;
    }
    match (criterion.edition, edition(of)) {
        ("", _) => {}
        (needed, Some(own)) if needed != own => return None,
        (_, Some(_)) => {}
        _ => weight *= EDITION,
    }
    if criterion.by_name() {
        weight *= BY_NAME;
    }
    Some(Fit { weight, why, end })
}

/// A later version of the same branch (`2.4.50` beside `2.4.49`) that a criterion names one by one.
pub fn named_later<'a>(criterion: &Criterion<'a>, of: &Installed) -> Option<&'a str> {
    let version = criterion.version;
    if matches!(version, "" | "*" | "-") || is_pattern(version) || criterion.except() {
        return None;
    }
    let branch =
        |version: &str| -> Vec<String> { version.split('.').take(2).map(str::to_owned).collect() };
    let later = compare(criterion.scheme(), version, of.version).is_gt();
    (later && branch(version) == branch(of.version)).then_some(version)
}

fn is_pattern(version: &str) -> bool {
    version.contains(['*', '?'])
}

fn by_range(criterion: &Criterion, of: &Installed) -> Option<(f64, String)> {
    let scheme = criterion.scheme();
    let (from, to) = (criterion.from(), criterion.to());
    let after = |(bound, with): (&str, bool)| {
        let order = compare(scheme, of.version, bound);
        order.is_gt() || (with && order.is_eq())
    };
    let before = |(bound, with): (&str, bool)| match with {
        true => at_most(scheme, of.version, bound),
        false => compare(scheme, of.version, bound).is_lt(),
    };
    if !from.is_none_or(after) || !to.is_none_or(before) {
        return None;
    }
    if from.is_none() && to.is_none() {
        return Some((EVERY_VERSION, "every version".to_owned()));
    }
    let sign = |with: bool| if with { "<=" } else { "<" };
    let mut why = from.map_or_else(String::new, |(v, with)| format!("{v} {} ", sign(with)));
    why.push_str(of.version);
    if let Some((version, with)) = to {
        why.push_str(&format!(" {} {version}", sign(with)));
    }
    // Before a patch level of the very version: so it would be after it.
    let untold = of.level_untold
        && to.is_some_and(|(to, _)| {
            split_update(to) != (to, "") && split_update(to).0 == of.version
        });
    Some((if untold { LEVEL_UNTOLD } else { SURE }, why))
}

fn exact_text(criterion: &Criterion) -> String {
    match criterion.update {
        "*" | "-" | "" => format!("= {}", criterion.version),
        update => format!("= {} {update}", criterion.version),
    }
}

fn exactly(criterion: &Criterion, version: &str, of: &Installed) -> Option<f64> {
    let scheme = criterion.scheme();
    let same = |a: &str, b: &str| compare(scheme, a, b).is_eq();
    let (base, update) = match scheme {
        Scheme::Generic => split_update(of.version),
        _ => (of.version, ""),
    };
    let untold = of.level_untold && same(base, version);
    match criterion.update {
        "*" | "" if same(of.version, version) || same(base, version) => Some(SURE),
        "-" if same(of.version, version) && update.is_empty() => {
            Some(if untold { LEVEL_UNTOLD } else { SURE })
        }
        "*" | "" | "-" => None,
        update if same(of.version, &format!("{version}-{update}")) => Some(SURE),
        update if untold && update.starts_with('p') && !update.starts_with("pre") => {
            Some(LEVEL_UNTOLD)
        }
        _ => None,
    }
}

/// The edition, where the version tells it: Jenkins' long-term line has a third number.
fn edition(of: &Installed) -> Option<&'static str> {
    let numbers = of.version.split('.').count();
    (of.key == "jenkins:jenkins").then_some(if numbers > 2 { "lts" } else { "-" })
}

fn target(target: &str, of: &Installed) -> Option<f64> {
    if let Some(own) = of.target {
        return (own == target).then_some(1.0);
    }
    let family = match target {
        "windows" => Some(Family::Windows),
        "linux" | "linux_kernel" => Some(Family::Linux),
        "macos" | "mac_os" | "mac_os_x" | "iphone_os" => Some(Family::Apple),
        "freebsd" | "openbsd" | "netbsd" => Some(Family::Bsd),
        _ => None,
    };
    match (family, of.family) {
        (Some(a), Some(b)) => (a == b).then_some(1.0),
        _ => Some(ELSEWHERE),
    }
}

/// What kind of system a `vendor:product` is.
fn family(key: &str) -> Option<Family> {
    let (vendor, product) = key.split_once(':')?;
    Some(match (vendor, product) {
        ("microsoft", product) if product.starts_with("windows") => Family::Windows,
        ("apple", _) => Family::Apple,
        ("freebsd" | "openbsd" | "netbsd", _) => Family::Bsd,
        ("linux", "linux_kernel")
        | ("debian", "debian_linux")
        | ("canonical", "ubuntu_linux")
        | ("redhat" | "fedoraproject" | "centos" | "suse" | "opensuse" | "alpinelinux", _)
        | ("oracle", "linux") => Family::Linux,
        _ => return None,
    })
}

/// The kind of system that one of these names is, or that a distribution is.
pub fn family_of(systems: &[Cpe], distribution: Option<Distribution>) -> Option<Family> {
    let told = distribution.map(|distribution| match distribution {
        Distribution::FreeBsd => Family::Bsd,
        _ => Family::Linux,
    });
    let named = systems.iter().filter(|cpe| cpe.part == 'o');
    told.or_else(|| named.filter_map(|cpe| family(&cpe.key()?)).next())
}

/// Of the configurations that need more than the product, the one that fits best: how sure, and what
/// else must be there. `None`: what is known of the system speaks against all of them.
pub fn condition(
    configurations: &[Configuration],
    of: &Installed,
    is_product: impl Fn(&str) -> bool,
) -> Option<(Fit, Option<String>)> {
    let mut best: Option<(Fit, Option<String>)> = None;
    for configuration in configurations {
        let mut own: Option<Fit> = None;
        let (mut holds, mut needs) = (Some(true), Vec::new());
        for node in &configuration.nodes {
            let ours = node
                .any_of
                .iter()
                .filter(|m| m.vulnerable && is_product(&m.product));
            let fits = ours.filter_map(|m| fit(&Criterion::new(0, m.part, &m.versions, false), of));
            let found = fits.max_by(|a, b| a.weight.total_cmp(&b.weight));
            if let Some(found) = found.filter(|_| !node.negate) {
                own = Some(found);
                continue;
            }
            let there = any(node.any_of.iter().map(|m| is_there(m, of)));
            let there = if node.negate {
                there.map(|there| !there)
            } else {
                there
            };
            match there {
                Some(true) => {}
                Some(false) => holds = Some(false),
                None => {
                    holds = holds.filter(|holds| !holds);
                    needs.extend(node.any_of.iter().map(|m| (node.negate, m.product.clone())));
                }
            }
        }
        let Some(mut own) = own.filter(|_| holds != Some(false)) else {
            continue;
        };
        if holds.is_none() {
            own.weight *= ELSEWHERE;
        }
        let needs = holds.is_none().then(|| needed(&needs));
        if best.as_ref().is_none_or(|(fit, _)| fit.weight < own.weight) {
            best = Some((own, needs));
        }
    }
    best
}

/// Whether one of these is true; `None`: it may be.
fn any(all: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut there = Some(false);
    for one in all {
        match one {
            Some(true) => return one,
            Some(false) => {}
            None => there = None,
        }
    }
    there
}

/// What else must be there, in words.
fn needed(needs: &[(bool, String)]) -> String {
    let mut names: Vec<String> = Vec::new();
    for (negate, name) in needs {
        let name = if *negate {
            format!("not {name}")
        } else {
            name.clone()
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let more = names.len().saturating_sub(3);
    names.truncate(3);
    let more = if more > 0 {
        format!(" or {more} more")
    } else {
        String::new()
    };
    format!("{}{more}", names.join(", "))
}

/// Whether what a CVE needs is there; `None`: nothing is known of it.
fn is_there(m: &Match, of: &Installed) -> Option<bool> {
    if let Some(system) = of
        .systems
        .iter()
        .find(|cpe| cpe.key().as_deref() == Some(&m.product))
    {
        let versions = &m.versions;
        if versions.version == "*" && versions.from == Bound::Open && versions.to == Bound::Open {
            return Some(true);
        }
        let Value::Is(version) = &system.version else {
            return None;
        };
        let criterion = Criterion::new(0, m.part, versions, false);
        let installed = Installed {
            key: &m.product,
            version,
            level_untold: false,
            ..of.clone()
        };
        return Some(fit(&criterion, &installed).is_some());
    }
    match (family(&m.product), of.family) {
        (Some(needed), Some(there)) if needed != there => Some(false),
        (Some(Family::Linux), Some(_)) if m.product == "linux:linux_kernel" => Some(true),
        // Another distribution than the one that it is.
        (Some(Family::Linux), Some(_)) if !of.systems.is_empty() => Some(false),
        _ => None,
    }
}
