use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;
use serde_json::json;

use super::names;
use crate::api::ExitCode;
use crate::cli::table::{display, table};
use crate::cli::{Global, Outcome, check, output};
use crate::fleet::{Refusal, Rule, Scope};

/// Say whether targets may be touched, and by which rule; exit 1 when one may not.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A name is resolved, as an agent would, and each of its addresses is checked as well: the agent takes
the first that is allowed. Nothing else is sent anywhere.")]
pub struct Args {
    /// Addresses, networks and names.
    #[arg(required = true, value_name = "TARGET")]
    pub targets: Vec<String>,
}

/// What the scope says of a target or of one address of it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Verdict {
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    allowed: bool,
    rule: String,
}

impl Verdict {
    fn new(target: &str, address: Option<IpAddr>, rule: Result<&Rule, Refusal>) -> Self {
        let (allowed, rule) = match rule {
            Ok(rule) => (true, format!("scope.allow {rule}")),
            Err(refusal) => (false, refusal.rule),
        };
        Self {
            target: target.to_owned(),
            address,
            allowed,
            rule,
        }
    }
}

pub async fn run(global: &Global, args: Args) -> Outcome {
    let loaded = check::load(global)?;
    let scope = &loaded.fleet.scope;
    let mut all_allowed = true;
    let mut verdicts = Vec::new();
    for target in &args.targets {
        let found = verdicts_of(scope, target).await;
        all_allowed &= found.iter().any(|verdict| verdict.allowed);
        verdicts.extend(found);
    }
    if global.jsonl {
        for verdict in &verdicts {
            output::text(&(serde_json::to_string(verdict)? + "\n"))?;
        }
    } else if global.json {
        output::json(&json!({ "targets": verdicts }))?;
    } else {
        let rows = verdicts.iter().map(row).collect();
        let head = ["TARGET", "ADDRESS", "VERDICT", "RULE"];
        output::text(&table(global, &head, rows))?;
    }
    Ok(if all_allowed {
        ExitCode::Ok
    } else {
        ExitCode::Failure
    })
}

fn row(verdict: &Verdict) -> Vec<String> {
    let word = if verdict.allowed { "allowed" } else { "denied" };
    vec![
        display(&verdict.target),
        verdict
            .address
            .map_or(String::new(), |addr| addr.to_string()),
        word.to_owned(),
        verdict.rule.clone(),
    ]
}

async fn verdicts_of(scope: &Scope, target: &str) -> Vec<Verdict> {
    if let Ok(addr) = target.parse::<IpAddr>() {
        return vec![Verdict::new(target, None, scope.rule_for_addr(addr))];
    }
    if let Ok(net) = target.parse::<IpNet>() {
        return vec![Verdict::new(target, None, scope.rule_for_net(net))];
    }
    let by_name = match scope.rule_for_name(target) {
        Ok(rule) => rule,
        Err(refusal) => return vec![Verdict::new(target, None, Err(refusal))],
    };
    let answers = names::resolve(&[target.to_owned()].into()).await;
    let (addresses, problem) = match answers.into_values().next() {
        Some(Ok(addresses)) => (addresses, None),
        Some(Err(problem)) => (Vec::new(), Some(problem)),
        None => (Vec::new(), None),
    };
    if addresses.is_empty() {
        return vec![unresolved(target, by_name, problem)];
    }
    let each = addresses.into_iter().map(|addr| {
        let rule = scope.rule_for_resolved(target, addr);
        Verdict::new(target, Some(addr), rule)
    });
    each.collect()
}

/// A name that leads nowhere is allowed when a rule names it.
fn unresolved(target: &str, by_name: Option<&Rule>, problem: Option<String>) -> Verdict {
    let why = problem.unwrap_or_else(|| "it has no address".to_owned());
    let mut verdict = Verdict::new(
        target,
        None,
        by_name.ok_or_else(|| Refusal {
            target: target.to_owned(),
            rule: "no scope.allow entry names it".to_owned(),
        }),
    );
    verdict.rule = format!("{} (does not resolve: {})", verdict.rule, display(&why));
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said(target: &str) -> Vec<(bool, String)> {
        let rules = |list: &[&str]| list.iter().map(|r| r.parse().unwrap()).collect();
        let scope = Scope::new(
            rules(&["10.0.0.0/8", "127.0.0.1", "x.invalid"]),
            rules(&["10.9.0.0/16", "*.secret.invalid"]),
        );
        let verdicts = verdicts_of(&scope, target).await;
        verdicts.into_iter().map(|v| (v.allowed, v.rule)).collect()
    }

    #[tokio::test]
    async fn every_kind_of_target() {
        for (target, allowed, rule) in [
            ("10.1.2.3", true, "scope.allow 10.0.0.0/8"),
            ("10.9.2.3", false, "scope.deny 10.9.0.0/16"),
            ("10.1.0.0/16", true, "scope.allow 10.0.0.0/8"),
            (
                "11.0.0.0/8",
                false,
                "no scope.allow entry covers the whole of it",
            ),
            ("a.secret.invalid", false, "scope.deny *.secret.invalid"),
        ] {
            assert_eq!(said(target).await, [(allowed, rule.to_owned())], "{target}");
        }
        let local = said("localhost").await;
        assert!(
            local.contains(&(true, "scope.allow 127.0.0.1".to_owned())),
            "{local:?}"
        );
    }

    #[test]
    fn a_name_that_leads_nowhere() {
        let rule: Rule = "x.invalid".parse().unwrap();
        let named = unresolved("x.invalid", Some(&rule), Some("no such name".to_owned()));
        assert!(named.allowed);
        assert_eq!(
            named.rule,
            "scope.allow x.invalid (does not resolve: no such name)"
        );
        assert!(!unresolved("y.invalid", None, None).allowed);
    }
}
