use std::cmp::Ordering;

use super::{generic, numbers};

/// Compares by Semantic Versioning 2.0.0 §11; what is no semantic version (`1.2`, `1.2.3p4`) by the
/// generic rules, once one of the two is not.
pub fn compare(a: &str, b: &str) -> Ordering {
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => {
            let core = |x: &Parsed, y: &Parsed| {
                let pairs = x.core.iter().zip(y.core.iter());
                pairs.fold(Ordering::Equal, |order, (x, y)| {
                    order.then_with(|| numbers(x, y))
                })
            };
            core(&a, &b).then_with(|| pre_release(a.pre, b.pre))
        }
        // Mixed rules would not be one order; so all that is not semantic is before all that is, but
        // for its numbers.
        (x, y) => {
            let release = |text: &str| release(text).to_owned();
            generic::compare(&release(a), &release(b))
                .then_with(|| x.is_some().cmp(&y.is_some()))
                .then_with(|| generic::compare(a, b))
        }
    }
}

struct Parsed<'a> {
    core: [&'a str; 3],
    pre: &'a str,
}

fn release(text: &str) -> &str {
    let text = text.trim().trim_start_matches(['v', 'V']);
    let end = text.find(|c: char| c != '.' && !c.is_ascii_digit());
    &text[..end.unwrap_or(text.len())]
}

fn parse(text: &str) -> Option<Parsed<'_>> {
    let text = text.trim();
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let text = text.split_once('+').map_or(text, |(version, _)| version);
    let (core, pre) = text.split_once('-').unwrap_or((text, ""));
    let mut numbers = core.split('.');
    // "1.2" is read as 1.2.0: ranges are written so.
    let core = [
        numbers.next()?,
        numbers.next().unwrap_or("0"),
        numbers.next().unwrap_or("0"),
    ];
    let digits = |n: &&str| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit());
    (numbers.next().is_none() && core.iter().all(digits)).then_some(Parsed { core, pre })
}

fn pre_release(a: &str, b: &str) -> Ordering {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => identifier(a, b),
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn identifier(a: &str, b: &str) -> Ordering {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match (is_number(a), is_number(b)) {
        (true, true) => numbers(a, b),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => a.cmp(b),
    }
}
