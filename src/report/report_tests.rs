use serde_json::{Value, json};

use super::samples::{all, at, full, old, plain, settings, written};
use super::{AtLength, Format, Known, Report, Settings, Shown};
use crate::api::RiskLevel;

const FORMATS: [(Format, &str); 5] = [
    (Format::Html, "html"),
    (Format::Markdown, "md"),
    (Format::Json, "json"),
    (Format::Sarif, "sarif"),
    (Format::Csv, "csv"),
];

/// `UPDATE_EXPECT=1` writes the expected files anew.
#[test]
fn reports_are_as_expected() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report");
    for (format, extension) in FORMATS {
        let text = written(settings(format), &all());
        let path = dir.join(format!("report.{extension}"));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap();
        assert!(
            text == expected,
            "report.{extension} is not as expected; UPDATE_EXPECT=1 writes it anew:\n{text}"
        );
        assert_eq!(written(settings(format), &all()), text);
    }
}

fn json(settings: Settings, targets: &[Known]) -> Value {
    assert_eq!(settings.format, Format::Json);
    serde_json::from_str(&written(settings, targets)).unwrap()
}

/// The findings of the first target: their titles by status.
fn titles(report: &Value, status: &str) -> Vec<String> {
    let findings = report["targets"][0]["findings"].as_array().unwrap();
    let of = findings.iter().filter(|f| f["status"] == status);
    of.map(|f| f["title"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_worst_comes_first_and_the_time_is_that_of_the_newest() {
    let report = json(settings(Format::Json), &all());
    let targets = report["targets"].as_array().unwrap();
    let names: Vec<_> = targets.iter().map(|t| &t["target"]).collect();
    assert_eq!(names, ["shop.example.org", "198.51.100.4", "203.0.113.9"]);
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["generated_at"], "2026-11-21T06:00:00Z");
    let now = Settings {
        now: Some(at("2027-03-01T00:00:00Z")),
        ..settings(Format::Json)
    };
    let later = json(now, &all());
    assert_eq!(later["generated_at"], "2027-03-01T00:00:00Z");
    // What was accepted until February is not any more.
    assert!(titles(&later, "open").contains(&"Directory listing".to_owned()));
    assert!(titles(&report, "accepted").contains(&"Directory listing".to_owned()));
}

#[test]
fn the_hub_knows_the_life_of_a_finding_and_the_assessment_the_rest() {
    let report = json(settings(Format::Json), &[full()]);
    let findings = report["targets"][0]["findings"].as_array().unwrap();
    let of = |key: &str| findings.iter().find(|f| f["key"] == key).unwrap();
    let redis = of("redis-no-auth tcp/6379");
    assert_eq!(redis["priority"]["factors"][1]["name"], "exposure");
    assert_eq!(redis["first_seen_at"], "2026-11-20T06:00:00Z");
    assert_eq!(redis["new"], true);
    assert_eq!(redis["evidence"][0]["fields"]["keys"], "12");
    let apache = of("CVE-2021-41773 tcp/80");
    assert_eq!(
        (&apache["kev"], &apache["new"]),
        (&json!(true), &json!(false))
    );
    // Accepted until a day before the newest of the data.
    assert_eq!(of("telnet tcp/23")["status"], "open");
    assert_eq!(of("telnet tcp/23")["decision"]["lapsed"], true);
    assert_eq!(titles(&report, "fixed"), ["AWS access key in a script"]);
    assert_eq!(titles(&report, "false_positive"), ["Cookie without Secure"]);
    let summary = &report["summary"]["findings"];
    assert_eq!(
        (&summary["new"], &summary["exploited"]),
        (&json!(1), &json!(1))
    );
    // Of each type of scan the last that came to its end.
    let ports = report["targets"][0]["open_ports"].as_array().unwrap();
    let ports: Vec<_> = ports.iter().map(|p| p["port"].as_u64().unwrap()).collect();
    assert_eq!(ports, [23, 80, 443, 6379]);
    assert_eq!(report["targets"][0]["open_ports"][3]["product"], "Redis");
}

/// Hubs before this one do not tell the key, nor status and decision as we know them.
#[test]
fn without_keys_findings_are_known_by_what_and_where() {
    let mut known = full();
    for kept in &mut known.findings {
        if kept["discovered_by"] == "ryu" {
            kept.as_object_mut().unwrap().remove("evidence");
        }
    }
    let report = json(settings(Format::Json), &[known]);
    let with_keys = json(settings(Format::Json), &[full()]);
    assert_eq!(
        report["summary"]["findings"]["open"],
        with_keys["summary"]["findings"]["open"]
    );
    assert_eq!(titles(&report, "open"), titles(&with_keys, "open"));
}

/// Two cookies of a page are called the same; the one that is fixed does not take what is said of the other.
/// What a hub has tidied is not another finding.
#[test]
fn findings_that_are_called_the_same_are_told_apart_by_their_keys() {
    let entry = |key: &str, reason: &str| {
        json!({ "key": key, "type": "cookie", "title": "Cookie without Secure", "severity": "low",
                "location": "https://a/", "reason": reason, "priority": { "score": 5.0 },
                "evidence": [{ "sources": ["s"], "fields": { "cookie": key } }] })
    };
    let kept = |n: u64, status: &str, said: Value| {
        json!({ "id": format!("019a9b3c-0000-7000-8000-{n:012}"), "type": "cookie", "severity": "low",
                "title": "Cookie without Secure, tidied", "location": "https://a/", "status": status,
                "discovered_by": "ryu", "priority": 5.0, "evidence": said })
    };
    let mut known = plain();
    known.assessments = vec![json!({
        "risk_level": "low", "created_at": "2026-11-20T06:00:00Z",
        "vulnerabilities": [entry("cookie sid", "now")],
    })];
    known.findings = vec![
        kept(1, "fixed", entry("cookie lang", "then")),
        kept(2, "open", entry("cookie sid", "earlier")),
    ];
    let before = json(settings(Format::Json), &[known.clone()]);
    let findings = before["targets"][0]["findings"].as_array().unwrap();
    let told: Vec<_> = findings
        .iter()
        .map(|f| (&f["status"], &f["key"], &f["reason"]))
        .collect();
    let expected = [
        (&json!("open"), &json!("cookie sid"), &json!("now")),
        (&json!("fixed"), &json!("cookie lang"), &json!("then")),
    ];
    assert_eq!(told, expected);
    // What was seen, and not the whole of what the hub keeps.
    assert_eq!(
        findings[1]["evidence"][0]["fields"],
        json!({ "cookie": "cookie lang" })
    );
    // It is the same finding when no assessment names it any more.
    known.assessments[0]["vulnerabilities"] = json!([]);
    let after = json(settings(Format::Json), &[known]);
    let prints = |report: &Value| {
        let findings = report["targets"][0]["findings"].as_array().unwrap().clone();
        findings
            .iter()
            .map(|f| f["fingerprint"].to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(prints(&before), prints(&after));
}

#[test]
fn two_secrets_on_a_page_are_two() {
    let secret = |id: &str, hash: &str| {
        json!({ "id": id, "type": "exposed_secret", "title": "Key", "location": "https://a/",
                "severity": "high", "status": "open", "evidence": { "value_sha256": hash } })
    };
    let a = "019a9b3c-0000-7000-8000-00000000000a";
    let b = "019a9b3c-0000-7000-8000-00000000000b";
    let mut known = plain();
    known.findings = vec![secret(a, "1"), secret(b, "2"), secret(b, "2")];
    let prints = |known: Known| {
        let report = json(settings(Format::Json), &[known]);
        let findings = report["targets"][0]["findings"].as_array().unwrap().clone();
        let mut prints: Vec<_> = findings
            .iter()
            .map(|f| f["fingerprint"].to_string())
            .collect();
        prints.sort_unstable();
        prints.dedup();
        (findings.len(), prints.len())
    };
    assert_eq!(prints(known.clone()), (2, 2));
    // Nothing tells them apart but that there are two.
    known.findings = vec![secret(a, "1"), secret(b, "1")];
    assert_eq!(prints(known), (2, 2));
}

#[test]
fn less_is_left_out_and_counted() {
    let few = Settings {
        min_severity: RiskLevel::High,
        shown: Shown::Open,
        ..settings(Format::Json)
    };
    let report = json(few.clone(), &[full()]);
    assert_eq!(
        titles(&report, "open"),
        [
            "Redis answers without a login",
            "Apache httpd 2.4.49: path traversal and file disclosure"
        ]
    );
    let left = &report["targets"][0]["left_out"];
    assert_eq!(
        (&left["less_severe"], &left["not_open"]),
        (&json!(4), &json!(1))
    );
    let mut whole = Report::new(few).unwrap();
    whole.add(full()).unwrap();
    // Whatever is left out: what is to fail a pipeline fails it.
    let totals = whole.finish(&mut Vec::new()).unwrap();
    let at_least = RiskLevel::ALL.map(|level| totals.at_least(level));
    assert_eq!(at_least, [4, 4, 3, 2, 1]);
}

/// What a distribution may have mended is told, and no alarm: as for the level of the target.
#[test]
fn what_is_hardly_sure_does_not_count() {
    let entry = |title: &str, severity: &str, sure: f64| {
        json!({ "key": title, "title": title, "severity": severity, "location": "tcp/22",
                "confidence": sure })
    };
    let known = Known {
        assessments: vec![json!({
            "risk_level": "medium",
            "vulnerabilities": [entry("maybe", "high", 0.38), entry("sure", "medium", 0.5)],
        })],
        ..plain()
    };
    let mut report = Report::new(settings(Format::Markdown)).unwrap();
    report.add(known).unwrap();
    let mut text = Vec::new();
    let totals = report.finish(&mut text).unwrap();
    assert_eq!(
        (
            totals.at_least(RiskLevel::High),
            totals.at_least(RiskLevel::Medium)
        ),
        (0, 1)
    );
    let text = String::from_utf8(text).unwrap();
    for told in [
        "Risk: medium, that of its worst: 1 open finding is medium, of 2 that are open.",
        "1 finding is less than 50 % sure, and does not count.",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
}

#[test]
fn an_assessment_without_findings_counts_by_its_risk() {
    let bare = |risk: &str| Known {
        assessments: vec![json!({ "risk_level": risk, "vulnerabilities": {} })],
        ..plain()
    };
    let at_least = |known: Known, level| {
        let mut report = Report::new(settings(Format::Csv)).unwrap();
        report.add(known).unwrap();
        report.totals().at_least(level)
    };
    assert_eq!(at_least(bare("high"), RiskLevel::High), 1);
    assert_eq!(at_least(bare("high"), RiskLevel::Critical), 0);
    assert_eq!(at_least(old(), RiskLevel::High), 0);
    assert_eq!(at_least(old(), RiskLevel::Medium), 1);
}

#[test]
fn of_too_many_the_worst_are_told() {
    let finding = |n: u64| {
        let severity = if n == 3500 { "critical" } else { "low" };
        json!({ "id": n, "title": format!("t{n}"), "severity": severity, "status": "open" })
    };
    let mut known = plain();
    known.findings = (0..=3500).map(finding).collect();
    let report = json(settings(Format::Json), &[known]);
    assert_eq!(report["summary"]["findings"]["no_room_left_out"], 501);
    assert_eq!(titles(&report, "open")[0], "t3500");
    assert_eq!(titles(&report, "open").len(), 3000);
}

#[test]
fn a_report_of_nothing_is_one() {
    for (format, _) in FORMATS {
        let text = written(settings(format), &[]);
        match format {
            Format::Json | Format::Sarif => {
                let _: Value = serde_json::from_str(&text).unwrap();
            }
            Format::Csv => assert_eq!(text.lines().count(), 1),
            Format::Html => assert!(text.ends_with("</html>\n")),
            Format::Markdown => assert!(text.contains("There is none to tell of.")),
        }
    }
}

/// Targets with a finding each, each of 20 KiB in a report for people; the last is the worst.
fn many(n: u64) -> impl Iterator<Item = Known> {
    (0..n).map(move |at| {
        let mut known = plain();
        known.id = uuid::Uuid::from_u128(u128::from(at) + 1);
        known.target = format!("h{at}.example.org");
        known.assessments[0]["narrative"] = json!("word ".repeat(4000));
        known.findings = vec![json!({
            "id": uuid::Uuid::from_u128(u128::from(at) + 1), "title": "T", "severity": "high", "status": "open",
            "priority": at as f64 / n as f64,
        })];
        known
    })
}

fn sections(text: &str) -> usize {
    text.matches("<section class=\"target\"").count() + text.matches("\n## Target ").count()
}

#[test]
fn of_many_targets_the_worst_are_told_at_length_and_all_are_counted() {
    for format in [Format::Html, Format::Markdown] {
        let with = |at_length| Settings {
            at_length,
            ..settings(format)
        };
        let targets: Vec<_> = many(60).collect();
        let whole = written(with(AtLength::All), &targets);
        assert_eq!(sections(&whole), 60);
        assert_eq!(written(with(AtLength::USUAL), &targets), whole);
        let ten = written(with(AtLength::Worst(10)), &targets);
        assert_eq!(sections(&ten), 10);
        assert!(ten.contains("Of the worst 10 targets all is told below, of the other 50 no more"));
        assert!(ten.contains("60 findings are open: 60 high."), "{ten}");
        assert!(!ten.contains("#t-00000000-0000-0000-0000-000000000001"));
        for name in ["h0.example", "h59.example"] {
            assert!(ten.contains(name), "{name}");
        }
        // Of those that stay the room is used, wherever among the others they came.
        let some = written(with(AtLength::Bytes(100_000)), &targets);
        assert_eq!(sections(&some), 4);
        let backwards: Vec<_> = targets.iter().rev().cloned().collect();
        assert_eq!(written(with(AtLength::Bytes(100_000)), &backwards), some);
        assert_eq!(sections(&written(with(AtLength::Bytes(1)), &targets)), 1);
        assert_eq!(sections(&written(with(AtLength::Worst(0)), &targets)), 0);
    }
    // What is for programs has all of it.
    let few = Settings {
        at_length: AtLength::Worst(1),
        ..settings(Format::Json)
    };
    let targets: Vec<_> = many(9).collect();
    assert_eq!(json(few, &targets)["targets"].as_array().unwrap().len(), 9);
}

#[test]
fn a_report_of_many_targets_takes_no_more_of_the_disk() {
    let some = Settings {
        at_length: AtLength::Bytes(100_000),
        ..settings(Format::Markdown)
    };
    let mut report = Report::new(some).unwrap();
    for known in many(300) {
        report.add(known).unwrap();
        assert!(report.size() < 500_000, "{}", report.size());
    }
}

#[test]
fn a_list_of_very_many_targets_ends() {
    let mut report = Report::new(settings(Format::Html)).unwrap();
    for known in many(10_003) {
        let bare = Known {
            assessments: vec![json!({ "risk_level": "low" })],
            ..known
        };
        report.add(bare).unwrap();
    }
    let mut text = Vec::new();
    report.finish(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("3 more targets are not in this list"));
    assert!(text.len() < 24 << 20, "{}", text.len());
}
