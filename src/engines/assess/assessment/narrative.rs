//! The assessment as a text: plain sentences from facts alone, each with the numbers of what it rests on,
//! and the list of those at the end. At most [`MOST`] bytes: what there is no room for is left out, sentence
//! by sentence, from the end of each part.

use std::collections::BTreeMap;

use crate::api::{AssessmentContext, AttackVector, RemediationStep, RiskLevel, Vulnerability};

use super::super::facts::Facts;
use super::super::vulndb::Vulndb;
use super::found::{Found, Remedy};
use super::known::Answers;
use super::software::Software;
use super::text::{count, list, prose, word};

/// Bytes of the text.
pub const MOST: usize = 12 * 1024;
/// Bytes after which nothing is begun that can be left out.
const FULL: usize = MOST - 2 * 1024;
/// Findings, ways and steps that are told.
const TOLD: usize = 5;
/// References of a sentence.
const REFERENCES: usize = 4;

/// All that is told of.
pub struct Told<'a> {
    pub context: &'a AssessmentContext,
    pub facts: &'a Facts,
    pub database: Option<&'a Vulndb>,
    pub software: &'a [Software],
    pub answers: &'a Answers<'a>,
    pub found: &'a [Found],
    /// Findings that there was no room for.
    pub left_out: usize,
    pub level: RiskLevel,
    pub ways: &'a [AttackVector],
    pub steps: &'a [RemediationStep],
    /// Steps that there was no room for.
    pub steps_left_out: usize,
}

/// Sentences with what they rest on.
#[derive(Default)]
struct Text {
    body: String,
    references: Vec<String>,
    numbers: BTreeMap<String, usize>,
    length: usize,
}

impl Text {
    fn head(&mut self, title: &str) {
        if !self.body.is_empty() {
            self.body.push_str("\n\n");
        }
        self.body.push_str(title);
        self.body.push_str("\n\n");
        self.length += title.len() + 4;
    }

    /// A sentence, if there is room.
    fn say(&mut self, sentence: &str, sources: &[String]) {
        let mut told: Vec<String> = Vec::new();
        for source in sources {
            let source = prose(source, 160);
            if told.len() < REFERENCES && !told.contains(&source) {
                told.push(source);
            }
        }
        let sources = told;
        let new = sources
            .iter()
            .filter(|source| !self.numbers.contains_key(*source));
        let more: usize = new.map(|source| source.len() + 8).sum();
        let needs = sentence.len() + sources.len() * 5 + 2 + more;
        if self.length + needs > FULL {
            return;
        }
        self.length += needs;
        if !self.body.ends_with('\n') {
            self.body.push(' ');
        }
        self.body.push_str(sentence);
        self.body.push(' ');
        for source in sources {
            let next = self.references.len() + 1;
            let number = *self.numbers.entry(source.clone()).or_insert(next);
            if number == next {
                self.references.push(source);
            }
            self.body.push_str(&format!("[{number}]"));
        }
    }

    fn finish(mut self) -> String {
        self.body.push_str("\n\nReferences\n\n");
        for (number, source) in (1..).zip(&self.references) {
            self.body.push_str(&format!("[{number}] {source}\n"));
        }
        self.body
    }
}

fn of(source: &str) -> [String; 1] {
    [source.to_owned()]
}

/// The whole text.
pub fn tell(told: &Told) -> String {
    let mut text = Text::default();
    text.head("What is known");
    seen(told, &mut text);
    looked_up(told, &mut text);
    missing(told, &mut text);
    text.head("What is worst");
    worst(told, &mut text);
    text.head("Ways in");
    ways(told, &mut text);
    text.head("What to do first");
    steps(told, &mut text);
    text.finish()
}

/// Scans, ports and web data.
fn seen(told: &Told, text: &mut Text) {
    let context = told.context;
    let host = of(&format!("host:{}", context.target));
    let reach = match told.facts.public {
        Some(true) => "the whole Internet can reach its address",
        Some(false) => "its address is not public",
        None => "whether its address is public is not known",
    };
    let about = format!(
        "This is about \"{}\" as of {}: {reach}.",
        word(&context.target),
        context.as_of.format("%Y-%m-%d %H:%M UTC"),
    );
    text.say(&about, &host);
    for scan in &context.scans {
        let ports = match scan.ports_scanned {
            0 => String::new(),
            number => format!(" and looked at {}", count(number as usize, "port", "ports")),
        };
        let sentence = format!(
            "The last {} ended on {}{ports}.",
            word(&scan.scan_type),
            scan.finished_at.format("%Y-%m-%d"),
        );
        text.say(&sentence, &of(&format!("scan:{}", scan.scan_type)));
    }
    if context.scans.is_empty() {
        text.say("No scan of its ports is known.", &of("context:scans"));
    }
    let open = count(context.ports.len(), "port is", "ports are");
    let ports = context.ports.iter().map(|seen| {
        let place = super::super::facts::port_place(&seen.port);
        format!("scan:{}/{place}", seen.scan_type)
    });
    let ports: Vec<String> = ports.take(REFERENCES).collect();
    match ports.is_empty() {
        true => text.say("No open port is known.", &of("context:ports")),
        false => text.say(&format!("{open} known to be open."), &ports),
    }
    let web = [
        (context.exchanges.len(), "answer", "answers", "exchanges"),
        (context.pages.len(), "page", "pages", "pages"),
        (context.forms.len(), "form", "forms", "forms"),
        (
            context.paths.len(),
            "path that an enumeration found",
            "paths that an enumeration found",
            "paths",
        ),
    ];
    let there = web.iter().filter(|(number, ..)| *number > 0);
    let parts: Vec<String> = there
        .clone()
        .map(|(n, one, many, _)| count(*n, one, many))
        .collect();
    let sources: Vec<String> = there.map(|(.., name)| format!("context:{name}")).collect();
    match parts.is_empty() {
        true => text.say(
            "There is no web data: nothing is said of pages, headers, cookies and forms.",
            &of("context:exchanges"),
        ),
        false => text.say(
            &format!("Of the web there is known: {}.", list(&parts, 4)),
            &sources,
        ),
    }
}

/// `2025-07-01` of `2025-07-01T00:00:00.0000Z`.
fn day(time: &str) -> &str {
    time.split('T').next().unwrap_or_default()
}

/// The database, and what it was asked for.
fn looked_up(told: &Told, text: &mut Text) {
    let Some(database) = told.database else {
        text.say(
            "There was no vulnerability database: versions were held against rules only.",
            &of("vulndb:none"),
        );
        return;
    };
    let info = database.info();
    let dates = info.parts.iter().filter_map(|(name, part)| {
        Some(format!(
            "{} of {}",
            word(name),
            word(day(part.date.as_ref()?))
        ))
    });
    let dates: Vec<String> = dates.collect();
    let of_feeds = match dates.is_empty() {
        true => String::new(),
        false => format!(" ({})", list(&dates, 8)),
    };
    let asked = count(told.software.len(), "version was", "versions were");
    let sentence = format!(
        "{asked} looked up among {} known vulnerabilities{of_feeds}.",
        info.cves
    );
    text.say(&sentence, &of("vulndb:feeds"));
    for ((name, version), fixed) in told.answers.fixed.iter().take(TOLD) {
        let known = told
            .software
            .iter()
            .find(|one| one.key().0 == *name && one.key().1 == *version);
        let sources: Vec<String> = known
            .map(|software| software.sources.iter().cloned().collect())
            .unwrap_or_default();
        let ids: Vec<String> = fixed.iter().cloned().collect();
        let sentence = format!(
            "Its distribution has mended {} in \"{} {}\", which is no finding.",
            list(&ids, 4),
            word(name),
            word(version)
        );
        text.say(&sentence, &sources);
    }
}

/// What there was no room for.
fn missing(told: &Told, text: &mut Text) {
    let left_out = &told.context.left_out;
    if !left_out.is_empty() {
        let parts: Vec<String> = left_out
            .iter()
            .map(|(name, number)| format!("{number} of its {}", word(name)))
            .collect();
        let sources: Vec<String> = left_out
            .keys()
            .map(|name| format!("context:left_out/{name}"))
            .collect();
        let sentence = format!(
            "The hub had no room for {}: they were not looked at.",
            list(&parts, 8)
        );
        text.say(&sentence, &sources);
    }
    if told.left_out > 0 {
        let sentence = format!(
            "{} of lower priority were left out of this assessment, which has {}.",
            count(told.left_out, "finding", "findings"),
            told.found.len()
        );
        text.say(&sentence, &of("assessment:vulnerabilities"));
    }
    if told.steps_left_out > 0 {
        let sentence = format!(
            "{} of lower priority were left out of what to do.",
            count(told.steps_left_out, "step", "steps")
        );
        text.say(&sentence, &of("assessment:remediation_priorities"));
    }
}

/// What a finding was seen in.
fn sources(finding: &Vulnerability) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for source in finding.evidence.iter().flat_map(|seen| &seen.sources) {
        if !all.contains(source) {
            all.push(source.clone());
        }
    }
    if all.is_empty() {
        all.push(format!("finding:{}", finding.key));
    }
    all
}

/// `9.5 (critical by the rule) × …`, without what changes nothing.
pub fn arithmetic(finding: &Vulnerability) -> String {
    let factors = finding.priority.factors.iter();
    let parts: Vec<String> = factors
        .map(|factor| format!("{:.2} {} ({})", factor.value, factor.name, factor.why))
        .collect();
    format!("{:.1} = 10 × {}", finding.priority.score, parts.join(" × "))
}

fn worst(told: &Told, text: &mut Text) {
    let sure = || told.found.iter().filter(|found| found.is_sure());
    match sure().find(|found| found.wire.severity == told.level) {
        Some(found) => {
            let sentence = format!(
                "The record's level is {}: that of its worst finding with a confidence of 0.5 or more, \"{}\".",
                told.level,
                prose(&found.wire.key, 160)
            );
            text.say(&sentence, &sources(&found.wire));
        }
        None => text.say(
            "The record's level is info, as no finding has a confidence of 0.5 or more.",
            &of("assessment:vulnerabilities"),
        ),
    }
    for found in sure().take(TOLD) {
        let wire = &found.wire;
        let title = prose(&wire.title, 200);
        let mut sentence = format!(
            "{title} ({}, {}), confidence {:.2}; its priority is {}.",
            prose(&wire.location, 100),
            wire.severity,
            wire.confidence,
            prose(&arithmetic(wire), 500)
        );
        if let Some(first) = sentence.get(..1) {
            let upper = first.to_uppercase();
            sentence.replace_range(..1, &upper);
        }
        text.say(&sentence, &sources(wire));
    }
    let more = sure().count().saturating_sub(TOLD);
    if more > 0 {
        let rest: Vec<String> = sure()
            .skip(TOLD)
            .flat_map(|f| sources(&f.wire))
            .take(REFERENCES)
            .collect();
        let sentence = format!(
            "{} of lower priority.",
            count(more, "more finding is", "more findings are")
        );
        text.say(&sentence, &rest);
    }
    let unsure: Vec<&Found> = told.found.iter().filter(|found| !found.is_sure()).collect();
    if !unsure.is_empty() {
        let said = [
            ("possibly fixed by the distribution", false),
            ("rated unimportant by the distribution", true),
        ];
        let mut why = String::new();
        for (said, nothing) in said {
            let of = unsure.iter().filter(|f| f.wire.distribution.is_some());
            match of
                .filter(|f| (f.remedy == Remedy::Nothing) == nothing)
                .count()
            {
                0 => {}
                number => why.push_str(&format!("; {said}: {number}")),
            }
        }
        let rest: Vec<String> = unsure
            .iter()
            .flat_map(|f| sources(&f.wire))
            .take(REFERENCES)
            .collect();
        let sentence = format!(
            "{} a confidence below 0.5 and does not count for the level{why}.",
            count(unsure.len(), "finding has", "findings have")
        );
        text.say(
            &sentence.replace(
                "have a confidence below 0.5 and does",
                "have a confidence below 0.5 and do",
            ),
            &rest,
        );
    }
}

fn ways(told: &Told, text: &mut Text) {
    let by_key: BTreeMap<&str, &Vulnerability> = told
        .found
        .iter()
        .map(|found| (found.wire.key.as_str(), &found.wire))
        .collect();
    for way in told.ways.iter().take(TOLD) {
        let does: Vec<String> = way
            .steps
            .iter()
            .map(|step| format!("{} ({})", step.does, step.technique))
            .collect();
        let rests = way.steps.iter().filter_map(|step| step.findings.first());
        let mut rests_on: Vec<String> = Vec::new();
        for source in rests
            .filter_map(|key| by_key.get(key.as_str()))
            .flat_map(|f| sources(f).into_iter().take(1))
        {
            if !rests_on.contains(&source) {
                rests_on.push(source);
            }
        }
        let sentence = format!(
            "{}, {}: somebody could {}.",
            way.title,
            way.severity,
            does.join(", then ")
        );
        text.say(&sentence, &rests_on);
    }
    let more = told.ways.len().saturating_sub(TOLD);
    if more > 0 {
        let sentence = format!("{} open besides.", count(more, "way is", "ways are"));
        text.say(&sentence, &of("assessment:attack_vectors"));
    }
    if told.ways.is_empty() {
        text.say(
            "No findings were seen to combine to a way in.",
            &of("assessment:attack_vectors"),
        );
    }
}

fn steps(told: &Told, text: &mut Text) {
    let by_key: BTreeMap<&str, &Vulnerability> = told
        .found
        .iter()
        .map(|found| (found.wire.key.as_str(), &found.wire))
        .collect();
    for step in told.steps.iter().take(TOLD) {
        let first = step
            .findings
            .first()
            .and_then(|key| by_key.get(key.as_str()));
        let sentence = format!(
            "{}. {}: it {} (effort {}).",
            step.rank,
            prose(step.action.trim_end_matches('.'), 400),
            prose(&step.reason, 400),
            step.effort
        );
        let rests_on = first.map(|finding| sources(finding)).unwrap_or_default();
        text.say(&sentence, &rests_on);
    }
    let more = told.steps.len().saturating_sub(TOLD);
    if more > 0 {
        let sentence = format!(
            "{} after these.",
            count(more, "more step comes", "more steps come")
        );
        text.say(&sentence, &of("assessment:remediation_priorities"));
    }
    if told.steps.is_empty() {
        text.say(
            "There is nothing to do that these facts call for.",
            &of("assessment:remediation_priorities"),
        );
    }
}
