//! Whole assessments, as golden files: tests/assess has the inputs, and for each what comes of it with the
//! package's rules and the vulnerability database's test data. `UPDATE_EXPECT=1` renews them.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::super::rules::RuleSet;
use super::super::vulndb::{Vulndb, import};
use super::{assess, narrative};
use crate::api::{AssessmentContext, AssessmentSubmission, RiskLevel, Technology, Vulnerability};
use crate::engines::ports::fuzz::{fuzz, is_fit_to_show};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub static RULES: LazyLock<RuleSet> =
    LazyLock::new(|| RuleSet::load(&[here("packaging/rules")]).rules);

pub static DATABASE: LazyLock<Vulndb> = LazyLock::new(|| {
    let place = tempfile::tempdir().unwrap();
    let data = here("src/engines/assess/vulndb/testdata");
    let feeds = ["nvd.json", "debian.json", "kev.json", "epss.csv"].map(|name| data.join(name));
    let path = place.path().join("vulndb");
    import(&path, &feeds, &()).unwrap();
    Vulndb::of_bytes(std::fs::read(path).unwrap()).unwrap()
});

pub fn context(name: &str) -> AssessmentContext {
    let file = here("tests/assess").join(format!("{name}.context.json"));
    serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap()
}

fn of(context: &AssessmentContext) -> AssessmentSubmission {
    assess(context, &RULES, Some(&DATABASE)).unwrap()
}

pub fn named(name: &str) -> AssessmentSubmission {
    of(&context(name))
}

#[track_caller]
fn expect(file: &str, is: &str) {
    let path = here("tests/assess").join(file);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, is).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == is,
        "{file} is not what comes of it; UPDATE_EXPECT=1 renews it\n{is}"
    );
}

fn is_unimportant(one: &Vulnerability) -> bool {
    let said = one.distribution.as_deref().unwrap_or_default();
    said.starts_with("rated unimportant")
}

/// What must hold of every assessment.
#[track_caller]
fn sound(is: &AssessmentSubmission) {
    let json = serde_json::to_string(is).unwrap();
    assert!(json.len() < 3 * 1024 * 1024, "{}", json.len());
    assert!(is.vulnerabilities.len() <= 2000 && is.attack_vectors.len() <= 50);
    assert!(is.remediation_priorities.len() <= 200);
    assert!(is.narrative.len() <= narrative::MOST);
    let lines = is.narrative.lines().map(|line| (line, 12_288));
    let summary = [(is.threat_summary.as_str(), 1000)];
    lines
        .chain(summary)
        .for_each(|(line, most)| is_fit_to_show(line, most));
    assert!(!is.narrative.contains(['<', '`', '*']), "{}", is.narrative);
    let keys: Vec<&String> = is.vulnerabilities.iter().map(|v| &v.key).collect();
    let mut unique = keys.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), keys.len(), "{keys:?}");
    for one in &is.vulnerabilities {
        assert!(
            one.key.len() <= 1024 && one.key.contains(' '),
            "{}",
            one.key
        );
        for text in [&one.title, &one.reason, &one.remediation, &one.key] {
            is_fit_to_show(text, 3000);
        }
        is_fit_to_show(&one.location, 500);
        assert!(!one.title.contains('<'), "{}", one.title);
        assert!((0.0..=1.0).contains(&one.confidence));
        assert!((0.0..=100.0).contains(&one.priority.score));
        let product: f64 = one.priority.factors.iter().map(|f| f.value).product();
        let by_hand = (10.0 * product).min(100.0);
        assert!(
            (one.priority.score - by_hand).abs() < 0.051,
            "{:?}",
            one.priority
        );
        for seen in &one.evidence {
            assert!(!seen.sources.is_empty());
            seen.sources.iter().for_each(|s| is_fit_to_show(s, 500));
            for value in seen.fields.values() {
                match value {
                    serde_json::Value::String(text) => is_fit_to_show(text, 500),
                    serde_json::Value::Array(list) => {
                        let texts = list.iter().filter_map(|one| one.as_str());
                        texts.for_each(|text| is_fit_to_show(text, 500));
                    }
                    _ => {}
                }
            }
        }
    }
    let is_known = |key: &String| unique.binary_search(&key).is_ok();
    for way in &is.attack_vectors {
        is_fit_to_show(&way.title, 600);
        assert!(!way.steps.is_empty());
        for step in &way.steps {
            assert!(!step.findings.is_empty() && step.findings.iter().all(is_known));
        }
    }
    let mut ended: Vec<&String> = Vec::new();
    for (rank, step) in (1..).zip(&is.remediation_priorities) {
        assert_eq!(step.rank, rank);
        is_fit_to_show(&step.action, 1000);
        assert!(step.findings.iter().all(is_known) && !step.action.is_empty());
        ended.extend(&step.findings);
    }
    let total = ended.len();
    ended.sort();
    ended.dedup();
    assert_eq!(total, ended.len());
    if is.remediation_priorities.len() < 200 {
        // What a distribution sees no need to act on needs no step.
        let unimportant = is.vulnerabilities.iter().filter(|one| is_unimportant(one));
        let left: Vec<&String> = unimportant.map(|one| &one.key).collect();
        unique.retain(|key| !left.contains(key));
        assert_eq!(ended, unique);
    }
    let priorities = is.vulnerabilities.iter().map(|v| v.priority.score);
    assert!(priorities.is_sorted_by(|a, b| a >= b));
}

const ALL: [&str; 6] = ["empty", "redis", "old-tls", "web", "wordpress", "hostile"];

#[test]
fn golden() {
    for name in ALL {
        let is = named(name);
        sound(&is);
        let json = serde_json::to_string_pretty(&is).unwrap();
        expect(&format!("{name}.assessment.json"), &format!("{json}\n"));
        expect(&format!("{name}.narrative.txt"), &is.narrative);
    }
}

/// Lists whose order means nothing, turned around.
fn turned(context: &AssessmentContext) -> AssessmentContext {
    let mut turned = context.clone();
    turned.ports.reverse();
    turned.technologies.reverse();
    turned.paths.reverse();
    turned.endpoints.reverse();
    turned.findings.reverse();
    turned
}

#[test]
fn the_same_comes_of_the_same() {
    for name in ALL {
        let context = context(name);
        let text = |context: &AssessmentContext| serde_json::to_string(&of(context)).unwrap();
        let is = text(&context);
        assert_eq!(text(&context), is, "{name}");
        assert_eq!(text(&turned(&context)), is, "{name}");
    }
}

#[test]
fn what_a_distribution_mended_is_no_finding() {
    let is = named("redis");
    let has = |cve: &str| {
        let mut all = is.vulnerabilities.iter();
        all.find(|one| one.cve.as_deref() == Some(cve))
    };
    assert!(has("CVE-2024-6387").is_none());
    assert!(
        is.narrative
            .contains("mended CVE-2023-48795 and CVE-2024-6387"),
        "{}",
        is.narrative
    );
    let perhaps = has("CVE-2023-38408").unwrap();
    assert!(perhaps.confidence < 0.5);
    assert!(
        perhaps
            .distribution
            .as_ref()
            .unwrap()
            .starts_with("possibly fixed")
    );
    assert_eq!(is.risk_level, RiskLevel::Critical);
}

#[test]
fn what_a_distribution_rates_unimportant_counts_for_nothing() {
    let is = named("redis");
    let mut all = is.vulnerabilities.iter();
    let one = all.find(|one| one.cve.as_deref() == Some("CVE-2007-2768"));
    let one = one.unwrap();
    assert!(is_unimportant(one) && one.severity <= RiskLevel::Low);
    assert!(one.confidence < 0.5 && one.priority.score < 20.0);
    let mut steps = is.remediation_priorities.iter();
    assert!(!steps.any(|step| step.findings.contains(&one.key)));
    assert!(
        is.narrative
            .contains("rated unimportant by the distribution: 1"),
        "{}",
        is.narrative
    );
}

#[test]
fn an_upgrade_ends_what_rules_found_as_well() {
    // 6.2.17 is where the database's ranges end; the sandbox of Lua is mended in 6.2.20.
    let is = named("redis");
    let mut steps = is.remediation_priorities.iter();
    let step = steps.find(|step| {
        step.findings
            .contains(&"redis-lua-sandbox Redis".to_owned())
    });
    assert!(
        step.unwrap()
            .action
            .ends_with("the newest that is still maintained")
    );
}

#[test]
fn a_lone_first_number_is_no_version() {
    // nmap says "Samba smbd 4" since 7.95.
    for (version, known) in [("4", false), ("4.6.2", true)] {
        let mut context = context("redis");
        context.ports.truncate(1);
        let port = &mut context.ports[0].port;
        port.product = "Samba smbd".to_owned();
        port.version = version.to_owned();
        port.banner = format!("Samba {version}");
        port.cpe = vec![format!("cpe:/a:samba:samba:{version}")];
        let is = of(&context);
        assert_eq!(
            is.vulnerabilities.iter().any(|one| one.cve.is_some()),
            known,
            "{version}"
        );
    }
}

#[test]
fn many_technologies_take_no_long_time() {
    let mut context = context("empty");
    for number in 0..40_000 {
        let technology = Technology {
            name: "OpenSSH".to_owned(),
            version: format!("{}.{number}", number % 10),
            ..Technology::default()
        };
        context.technologies.push(technology);
        let bare = Technology {
            name: format!("thing {number}"),
            ..Technology::default()
        };
        context.technologies.push(bare);
    }
    // Each by each would be minutes.
    let begun = std::time::Instant::now();
    sound(&of(&context));
    assert!(begun.elapsed().as_secs() < 60);
}

#[test]
fn one_upgrade_ends_all_that_it_ends() {
    let is = named("web");
    let upgrade = is.remediation_priorities.iter();
    let mut upgrade = upgrade.filter(|step| step.action.contains("Apache HTTP Server 2.4.49 to"));
    let step = upgrade.next().unwrap();
    assert!(upgrade.next().is_none());
    assert!(step.findings.len() > 3, "{step:?}");
    assert!(step.action.contains(" or later"), "{}", step.action);
    // The rule says what the database says: it is no finding of its own.
    let mut kinds = is.vulnerabilities.iter().map(|one| one.kind.as_str());
    assert!(!kinds.any(|kind| kind == "httpd-traversal"));
    let one = is
        .vulnerabilities
        .iter()
        .find(|v| v.key == "CVE-2021-41773 tcp/80");
    let one = one.unwrap();
    assert!(one.kev && one.severity == RiskLevel::Critical);
    // Of what the server says of its modules.
    let mut keys = is.vulnerabilities.iter().map(|v| v.key.as_str());
    assert!(keys.any(|key| key == "CVE-2014-0160 tcp/80"));
}

#[test]
fn that_a_version_is_unsupported_is_part_of_its_worst_vulnerability() {
    let mut context = context("old-tls");
    for seen in &mut context.ports {
        seen.port.version = "1.18.0".to_owned();
        seen.port.banner = "nginx/1.18.0".to_owned();
        seen.port.cpe.retain(|cpe| cpe.starts_with("cpe:/a:"));
        seen.port.details.clear();
    }
    let is = of(&context);
    sound(&is);
    let mut all = is.vulnerabilities.iter();
    assert!(all.all(|one| one.kind != "nginx-eol" && one.distribution.is_none()));
    let mut all = is.vulnerabilities.iter();
    let worst = all.find(|one| one.cve.is_some()).unwrap();
    assert!(
        worst.reason.contains("no longer supported"),
        "{}",
        worst.reason
    );
    // Without the database it is a finding of its own, and one thing to do.
    let is = assess(&context, &RULES, None).unwrap();
    let mut all = is.vulnerabilities.iter();
    assert!(all.any(|one| one.kind == "nginx-eol"));
    let mut steps = is.remediation_priorities.iter();
    assert!(steps.any(|step| step.action == "Upgrade nginx 1.18.0 to a supported version"));
}

#[test]
fn ways_in_need_evidence_for_every_step() {
    let ids = |name: &str| -> Vec<String> {
        let is = named(name);
        is.attack_vectors.into_iter().map(|way| way.id).collect()
    };
    assert!(ids("empty").is_empty());
    assert!(ids("redis").contains(&"open-redis-to-shell".to_owned()));
    let web = ids("web");
    assert!(web.contains(&"listing-to-backup".to_owned()), "{web:?}");
    assert!(web.contains(&"vcs-source-exploit".to_owned()), "{web:?}");
    let mut alone = context("redis");
    alone.ports.retain(|seen| seen.port.port == 6379);
    let is = of(&alone);
    assert!(
        !is.attack_vectors
            .iter()
            .any(|way| way.id == "open-redis-to-shell")
    );
}

#[test]
fn without_a_database_the_rules_still_hold() {
    let is = assess(&context("web"), &RULES, None).unwrap();
    sound(&is);
    assert!(is.vulnerabilities.iter().all(|one| one.cve.is_none()));
    assert!(
        is.vulnerabilities
            .iter()
            .any(|one| one.kind == "httpd-traversal")
    );
    assert!(is.narrative.contains("no vulnerability database"));
}

/// A host that answers on every port and has thousands of paths: bounded, and what is left out is told.
#[test]
fn there_is_an_end_to_everything() {
    let mut context = context("hostile");
    let seen = context.ports.clone();
    let one = context.technologies[0].clone();
    context.ports = (1..2000)
        .map(|number| {
            let mut one = seen[usize::from(number % 2)].clone();
            one.port.port = number;
            one.port.banner = "\u{202e}<script>".repeat(60);
            one
        })
        .collect();
    context.technologies = (0..500)
        .map(|number| crate::api::Technology {
            version: format!("{number}.0"),
            ..one.clone()
        })
        .collect();
    let is = of(&context);
    sound(&is);
    assert!(
        is.narrative.contains("were left out of this assessment"),
        "{}",
        is.narrative
    );
}

#[test]
fn of_whatever_strangers_say() {
    let files: Vec<Vec<u8>> = ["redis", "web", "hostile"]
        .iter()
        .map(|name| {
            let file = here("tests/assess").join(format!("{name}.context.json"));
            let value: serde_json::Value =
                serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
            value.to_string().into_bytes()
        })
        .collect();
    let seeds: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
    LazyLock::force(&RULES);
    LazyLock::force(&DATABASE);
    fuzz(&seeds, |bytes| {
        if let Ok(context) = serde_json::from_slice::<AssessmentContext>(bytes) {
            let is = of(&context);
            sound(&is);
            assert_eq!(of(&turned(&context)), is);
        }
    });
}

/// Every rule, category and technique that a way in names is there.
#[test]
fn ways_in_name_what_there_is() {
    use super::chain_table::{CHAINS, Need};
    for chain in CHAINS.iter() {
        assert!(!chain.steps.is_empty() && chain.least > 0);
        for step in &chain.steps {
            assert!(!step.any_of.is_empty());
            for need in &step.any_of {
                let there = match need {
                    Need::Rule(id) => RULES.get(id).is_some(),
                    Need::Rules(start) => {
                        RULES.iter().any(|rule| rule.id.starts_with(start.as_str()))
                    }
                    Need::Category(name) => RULES.iter().any(|rule| rule.category == *name),
                    _ => true,
                };
                assert!(there, "{}: {need:?}", chain.id);
            }
        }
    }
    for id in super::chains::PANELS {
        assert!(RULES.get(id).is_some(), "{id}");
    }
}
