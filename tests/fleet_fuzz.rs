//! Whatever is in a fleet file, it is read or refused with lines that exist; never a panic.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;

use proptest::prelude::*;
use recon::fleet::{Sources, load};

const EXAMPLE: &str = include_str!("../packaging/recon.toml");

fn check(text: &str) -> Result<(), TestCaseError> {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("fleet.toml");
    fs::write(&file, text).unwrap();
    let sources = Sources {
        root: root.path().to_owned(),
        file: Some(file),
        env: Default::default(),
    };
    if let Err(errors) = load(&sources) {
        prop_assert!(!errors.0.is_empty());
        let lines = text.split('\n').count();
        for error in errors.0 {
            prop_assert!(error.line <= lines, "{error}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn slips_in_a_good_file(
        at in 0..EXAMPLE.len(),
        cut in 0..8_usize,
        new in "[\\[\\]{}=\"'.,#a-z0-9 \n\\-]{0,6}",
    ) {
        let good = EXAMPLE.replace("# ", "");
        let at = (0..=at.min(good.len())).rev().find(|i| good.is_char_boundary(*i)).unwrap_or(0);
        let end = (at + cut..=good.len()).find(|i| good.is_char_boundary(*i)).unwrap_or(good.len());
        check(&format!("{}{new}{}", &good[..at], &good[end..]))?;
    }

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        check(&text)?;
    }

    #[test]
    fn any_value_for_any_key(
        key in prop::sample::select(vec![
            "fleet", "fleet.hub", "scope.allow", "scope.max_rate", "profiles.x", "agents",
            "agents.kaze", "agents.kaze.exec", "agents.kaze.backoff", "agents.kaze.health",
            "agents.kaze.depends_on", "agents.kaze.config", "agents.kaze.config.max_scans",
            "agents.kaze.kind", "agents.kaze.watchdog", "agents.x.exec",
        ]),
        value in prop::sample::select(vec![
            "1", "-1", "1e400", "99999999999999999999", "nan", "inf", "true", "\"\"", "\"x\"", "[]",
            "[[]]", "[{}]", "{}", "{ a = 1 }", "1979-05-27", "[1, \"a\"]", "{ agent = 1 }",
        ]),
    ) {
        check(&format!("{key} = {value}\n"))?;
    }
}
