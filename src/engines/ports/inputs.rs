//! What a person names as targets, and what the scope leaves of it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use ipnet::IpNet;

use crate::fleet::{Rule, Scope};

use super::{Targets, TargetsError};

/// Targets as they were named: addresses in any form, and names that are yet to be resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Addresses, networks and ranges, each as it was written.
    parts: Vec<(String, Targets)>,
    /// Host names, in lower case, each once, in the order of their first mention.
    names: Vec<String>,
}

impl Inputs {
    /// Reads lists of addresses, networks, ranges and names, divided by commas.
    ///
    /// # Errors
    /// The first part that is none of these, or far too many addresses.
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, TargetsError> {
        let mut inputs = Self::default();
        for part in texts.iter().flat_map(|text| text.as_ref().split(',')) {
            let part = part.trim();
            match (part.parse::<Targets>(), part.parse::<Rule>()) {
                (Ok(addresses), _) => inputs.parts.push((part.to_owned(), addresses)),
                (Err(TargetsError::Unreadable(_)), Ok(Rule::Name(name))) => {
                    if !inputs.names.contains(&name) {
                        inputs.names.push(name);
                    }
                }
                (Err(error), _) => return Err(error),
            }
        }
        // One bound for the sum as for each part.
        match inputs.addresses().len() {
            0..=MOST => Ok(inputs),
            _ => Err(TargetsError::TooMany("the whole of the targets".to_owned())),
        }
    }

    /// All addresses together.
    pub fn addresses(&self) -> Targets {
        let parts = self.parts.iter();
        parts.fold(Targets::default(), |all, (_, part)| all.or(part))
    }

    /// The names.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// As many addresses as one part may have.
const MOST: u64 = 1 << 40;

/// What may be touched of some addresses, and what not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InScope {
    /// What may be touched.
    pub targets: Targets,
    /// What was cut, by rule.
    pub refused: Vec<Refused>,
}

/// Addresses that a rule refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The addresses.
    pub targets: Targets,
    /// The rule, in words.
    pub rule: String,
}

/// Ranges that a message names before it only counts.
const NAMED: usize = 4;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.targets.ranges().take(NAMED).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        if self.targets.ranges().count() > NAMED {
            f.write_str(", …")?;
        }
        let (verb, count) = match self.targets.len() {
            1 => ("is", String::new()),
            count => ("are", format!(" ({count} addresses)")),
        };
        write!(f, "{count} {verb} out of scope: {}", self.rule)
    }
}

/// Cuts addresses to what the scope allows by number at this time. As cheap for a /8 as for one
/// address; says of each the same as [`Scope::check_addr`].
pub fn in_scope(wanted: &Targets, scope: &Scope, now: DateTime<Utc>) -> InScope {
    let allowed: Targets = scope.networks().into_iter().collect();
    let mut result = InScope {
        targets: wanted.and(&allowed),
        refused: Vec::new(),
    };
    let mut rest = wanted.without(&allowed);
    let reasons = scope.denied_networks().chain(Scope::special_networks());
    for (net, rule) in reasons {
        result.refuse(&mut rest, &[net].into_iter().collect(), rule);
    }
    let all = rest.clone();
    result.refuse(&mut rest, &all, "no scope.allow entry covers it".to_owned());
    for (blackout, until) in scope.blackouts_at(now) {
        let spared: Targets = match blackout.targets.is_empty() {
            true => result.targets.clone(),
            false => blackout
                .networks()
                .collect::<Vec<IpNet>>()
                .into_iter()
                .collect(),
        };
        let mut targets = std::mem::take(&mut result.targets);
        result.refuse(&mut targets, &spared, blackout.says(until));
        result.targets = targets;
    }
    result
}

impl InScope {
    /// Moves what is in both to the refused.
    fn refuse(&mut self, from: &mut Targets, those: &Targets, rule: String) {
        let targets = from.and(those);
        if !targets.is_empty() {
            *from = from.without(&targets);
            self.refused.push(Refused { targets, rule });
        }
    }
}

/// What is scanned in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// The addresses.
    pub targets: Targets,
    /// Those that were named, with their names.
    pub names: BTreeMap<IpAddr, String>,
    /// What was cut.
    pub refused: Vec<Refused>,
}

/// Why targets cannot be scanned; nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// Some are out of scope as a whole, or lead nowhere: one line each.
    #[error("{}", .0.join("\n"))]
    Refused(Vec<String>),
    /// What is excluded is all there is.
    #[error("nothing is left to scan: every target is excluded")]
    NothingLeft,
}

/// Resolves names, once, takes away what is excluded, and cuts the rest to what the scope allows at
/// this time. `lookup` gives the addresses of a name, or says why there are none; a name that a deny
/// rule refuses is not even asked for. Of several addresses the first in scope is taken.
///
/// # Errors
/// A target is out of scope as a whole or leads nowhere, or all is excluded.
pub async fn settle(
    wanted: &Inputs,
    excluded: &Inputs,
    scope: &Scope,
    now: DateTime<Utc>,
    lookup: impl AsyncFn(&str) -> Result<Vec<IpAddr>, String>,
) -> Result<Settled, SettleError> {
    let mut problems = Vec::new();
    let mut without = excluded.addresses();
    for name in excluded.names() {
        match lookup(name).await {
            Ok(addrs) => without = without.or(&addrs.into_iter().collect()),
            // Whatever it leads to must not be touched: without knowing, nothing may be.
            Err(why) => problems.push(format!("cannot resolve {name}, which is excluded: {why}")),
        }
    }
    let mut settled = Settled::default();
    for (text, part) in &wanted.parts {
        let left = part.without(&without);
        let cut = in_scope(&left, scope, now);
        if cut.targets.is_empty() && !left.is_empty() {
            let rules: Vec<&str> = cut.refused.iter().map(|r| r.rule.as_str()).collect();
            problems.push(format!("{text} is out of scope: {}", rules.join("; ")));
        }
        settled.targets = settled.targets.or(&cut.targets);
        settled.refused.extend(cut.refused);
    }
    for name in wanted.names() {
        match resolve(name, scope, now, &lookup).await {
            Ok(addr) if without.place(addr).is_some() => {}
            Ok(addr) => {
                settled.targets = settled.targets.or(&Targets::from(addr));
                settled.names.entry(addr).or_insert_with(|| name.clone());
            }
            Err(why) => problems.push(why),
        }
    }
    match (problems.is_empty(), settled.targets.is_empty()) {
        (false, _) => Err(SettleError::Refused(problems)),
        (true, true) => Err(SettleError::NothingLeft),
        (true, false) => Ok(settled),
    }
}

/// The first address of a name that may be touched.
async fn resolve(
    name: &str,
    scope: &Scope,
    now: DateTime<Utc>,
    lookup: &impl AsyncFn(&str) -> Result<Vec<IpAddr>, String>,
) -> Result<IpAddr, String> {
    scope
        .check_name(name)
        .map_err(|refusal| refusal.to_string())?;
    let found = lookup(name).await;
    let found = found.map_err(|why| format!("cannot resolve {name}: {why}"))?;
    let mut refusal = None;
    for addr in found {
        let addr = addr.to_canonical();
        if let Err(why) = scope.check_resolved(name, addr) {
            refusal = refusal.or(Some(why.to_string()));
        } else if let Some((until, blackout)) = scope.blackout(Some(name), &[addr], now) {
            refusal = refusal.or(Some(format!("{name} ({addr}): {}", blackout.says(until))));
        } else {
            return Ok(addr);
        }
    }
    Err(refusal.unwrap_or_else(|| format!("cannot resolve {name}: no address")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope(allow: &[&str], deny: &[&str]) -> Scope {
        let rules = |list: &[&str]| list.iter().map(|rule| rule.parse().unwrap()).collect();
        Scope::new(rules(allow), rules(deny))
    }

    fn targets(text: &str) -> Targets {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_and_names_in_one_list() {
        let inputs = Inputs::parse(&[
            "10.0.0.0/30,Www.example.org",
            "10.0.0.9-12",
            "www.example.org.",
        ]);
        let inputs = inputs.unwrap();
        assert_eq!(inputs.addresses(), targets("10.0.0.0-3,10.0.0.9-12"));
        assert_eq!(inputs.names, ["www.example.org"]);
        for bad in [
            "",
            "a b",
            "*.example.org",
            "10.0.0.0/33",
            "10.0.0.9-1",
            "x,,y",
        ] {
            assert!(Inputs::parse(&[bad]).is_err(), "{bad:?}");
        }
        assert!(matches!(
            Inputs::parse(&["2001:db8::/64"]),
            Err(TargetsError::TooMany(_))
        ));
    }

    #[test]
    fn what_is_cut_names_its_rule() {
        let scope = scope(&["10.0.0.0/8", "0.0.0.0/0"], &["10.0.0.4/30"]);
        let cut = in_scope(
            &targets("10.0.0.0-10,169.254.0.1,fd00::1"),
            &scope,
            Utc::now(),
        );
        assert_eq!(cut.targets, targets("10.0.0.0-3,10.0.0.8-10"));
        let told: Vec<String> = cut.refused.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "10.0.0.4-10.0.0.7 (4 addresses) are out of scope: scope.deny 10.0.0.4/30",
                "169.254.0.1 is out of scope: link-local addresses need a scope.allow entry of \
                 their own, by number",
                "fd00::1 is out of scope: no scope.allow entry covers it",
            ]
        );
    }

    #[test]
    fn a_blackout_cuts_as_well() {
        let blackout = |targets: &[&str]| crate::fleet::Blackout {
            days: Vec::new(),
            from: chrono::NaiveTime::MIN,
            to: chrono::NaiveTime::MIN,
            timezone: crate::fleet::Timezone::Utc,
            targets: targets.iter().map(|rule| rule.parse().unwrap()).collect(),
            reason: "backups".to_owned(),
        };
        let mut scope = scope(&["10.0.0.0/8"], &[]);
        scope.blackouts = vec![blackout(&["10.0.0.0/31"])];
        let cut = in_scope(&targets("10.0.0.0/30"), &scope, Utc::now());
        assert_eq!(cut.targets, targets("10.0.0.2-3"));
        assert!(
            cut.refused[0].rule.ends_with("backups"),
            "{:?}",
            cut.refused
        );
        scope.blackouts = vec![blackout(&[])];
        assert!(
            in_scope(&targets("10.0.0.0/30"), &scope, Utc::now())
                .targets
                .is_empty()
        );
    }

    #[test]
    fn a_network_of_six_allows_nothing_of_four() {
        let cut = in_scope(
            &targets("10.0.0.1,fd00::1"),
            &scope(&["::/0"], &[]),
            Utc::now(),
        );
        assert_eq!(cut.targets, targets("fd00::1"));
    }

    fn settled(wanted: &[&str], excluded: &[&str], scope: &Scope) -> Result<Settled, SettleError> {
        let lookup = async |name: &str| match name {
            "www.example.org" => Ok(vec![
                IpAddr::from([203, 0, 113, 1]),
                IpAddr::from([10, 0, 0, 9]),
            ]),
            "secret.example.org" => panic!("a denied name is not asked for"),
            _ => Err("no such name".to_owned()),
        };
        let read = |texts: &[&str]| Inputs::parse(texts).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let (wanted, excluded) = (read(wanted), read(excluded));
        runtime.block_on(settle(&wanted, &excluded, scope, Utc::now(), lookup))
    }

    #[test]
    fn names_are_resolved_once_and_checked() {
        let inside = scope(&["10.0.0.0/24"], &["secret.example.org"]);
        let got = settled(&["10.0.0.1-3,www.example.org"], &["10.0.0.2"], &inside).unwrap();
        assert_eq!(got.targets, targets("10.0.0.1,10.0.0.3,10.0.0.9"));
        assert_eq!(got.names[&IpAddr::from([10, 0, 0, 9])], "www.example.org");
        let by_name = scope(&["*.example.org"], &[]);
        let got = settled(&["www.example.org"], &[], &by_name).unwrap();
        assert_eq!(got.targets, targets("203.0.113.1"));
        let Err(SettleError::Refused(why)) = settled(
            &[
                "10.9.0.0/16,10.0.0.1",
                "secret.example.org,nowhere.example.org",
            ],
            &[],
            &inside,
        ) else {
            panic!("not refused")
        };
        assert_eq!(
            why,
            [
                "10.9.0.0/16 is out of scope: no scope.allow entry covers it",
                "secret.example.org is out of scope: scope.deny secret.example.org",
                "cannot resolve nowhere.example.org: no such name",
            ]
        );
    }

    #[test]
    fn what_is_excluded_is_no_target_under_any_name() {
        let inside = scope(&["10.0.0.0/24"], &[]);
        let nothing = settled(&["10.0.0.9"], &["www.example.org"], &inside);
        assert_eq!(nothing, Err(SettleError::NothingLeft));
        let unknown = settled(&["10.0.0.9"], &["nowhere.example.org"], &inside);
        assert!(matches!(unknown, Err(SettleError::Refused(_))));
        // Excluded is not refused: no word about it.
        let got = settled(&["10.0.0.0/23"], &["10.0.1.0/24"], &inside).unwrap();
        assert_eq!((got.targets.len(), got.refused.len()), (256, 0));
    }

    proptest! {
        #[test]
        fn says_what_the_scope_says(
            allow in prop::collection::vec((0_u8..4, any::<u8>(), 20_u8..=32), 1..4),
            deny in prop::collection::vec((0_u8..4, any::<u8>(), 22_u8..=32), 0..4),
        ) {
            let rules = |list: Vec<(u8, u8, u8)>| {
                let nets = list.into_iter().map(|(c, d, len)| {
                    IpNet::new([10, 0, c, d].into(), len).unwrap().trunc()
                });
                nets.map(Rule::Net).collect::<Vec<_>>()
            };
            let scope = Scope::new(rules(allow), rules(deny));
            let wanted = targets("10.0.0.0/22");
            let cut = in_scope(&wanted, &scope, Utc::now());
            let refused: u64 = cut.refused.iter().map(|r| r.targets.len()).sum();
            prop_assert_eq!(cut.targets.len() + refused, wanted.len());
            for addr in wanted.iter() {
                let addr: IpAddr = addr;
                let allowed = scope.check_addr(addr);
                prop_assert_eq!(cut.targets.place(addr).is_some(), allowed.is_ok(), "{}", addr);
                if let Err(refusal) = allowed {
                    let by = cut.refused.iter().find(|r| r.targets.place(addr).is_some());
                    prop_assert_eq!(&by.unwrap().rule, &refusal.rule, "{}", addr);
                }
            }
        }
    }
}
