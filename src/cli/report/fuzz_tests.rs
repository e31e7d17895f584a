//! A fuzz target: whatever anybody says of a target is text in every form of a report, and nothing else.

use std::collections::BTreeMap;

use comrak::nodes::NodeValue;
use comrak::{Arena, Options, parse_document};
use html5gum::{Token, Tokenizer};
use serde_json::Value;

use crate::engines::ports::fuzz::{fuzz, is_fit_to_show};
use crate::report::samples::{full, settings, written};
use crate::report::{Format, Known};

/// What is not for strangers to say: identities, times, numbers and what is one of few words.
const OURS: [&str; 14] = [
    "id",
    "severity",
    "status",
    "risk_level",
    "created_at",
    "first_seen_at",
    "last_seen_at",
    "fixed_at",
    "reopened_at",
    "until",
    "finished_at",
    "scan_status",
    "scan_type",
    "not_after",
];

/// Tags of the page.
const TAGS: [&str; 46] = [
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "a",
    "header",
    "h1",
    "h2",
    "h3",
    "h4",
    "p",
    "main",
    "section",
    "article",
    "dl",
    "div",
    "dt",
    "dd",
    "figure",
    "figcaption",
    "svg",
    "desc",
    "text",
    "rect",
    "line",
    "polyline",
    "details",
    "summary",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "span",
    "strong",
    "code",
    "ol",
    "ul",
    "li",
    "footer",
    "nav",
    "br",
];

/// A target of which strangers say this wherever they say something.
fn saying(said: &str) -> Known {
    let mut known = full();
    // What has lines is told by the line.
    let flat = said.replace(['\r', '\n'], " ");
    said.clone_into(&mut known.target);
    known.group = Some(said.to_owned());
    known.address = Some(said.to_owned());
    let lists = [
        &mut known.assessments,
        &mut known.findings,
        &mut known.scans,
        &mut known.changes,
    ];
    for list in lists {
        for entry in list.iter_mut() {
            say(entry, &flat);
        }
    }
    known
}

fn say(value: &mut Value, said: &str) {
    match value {
        Value::String(text) => said.clone_into(text),
        Value::Array(entries) => entries.iter_mut().for_each(|entry| say(entry, said)),
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                // Evidence names its fields as strangers like.
                if name == "fields" {
                    *value =
                        Value::Object([(said.to_owned(), Value::from(said))].into_iter().collect());
                } else if !OURS.contains(&name.as_str()) {
                    say(value, said);
                }
            }
        }
        _ => {}
    }
}

/// The tags of a page, each looked at.
fn tags(page: &str) -> Vec<String> {
    let mut names = Vec::new();
    for Ok(token) in Tokenizer::new(page) {
        match token {
            Token::StartTag(tag) => {
                let name = String::from_utf8(tag.name.to_vec()).unwrap();
                assert!(TAGS.contains(&name.as_str()), "<{name}>");
                for (attribute, value) in &tag.attributes {
                    let attribute = String::from_utf8_lossy(attribute);
                    let value = String::from_utf8_lossy(&value.value);
                    assert!(
                        !attribute.starts_with("on") && attribute != "style",
                        "{attribute}"
                    );
                    let inside = ["#", "http://", "https://"];
                    let leads = inside.iter().any(|begin| value.starts_with(begin));
                    assert!(attribute != "href" || leads, "{value}");
                    assert!(!["src", "srcset", "action", "data"].contains(&attribute.as_ref()));
                }
                // Whether something is an address of the web is for strangers to say.
                if name != "a" {
                    names.push(name);
                }
            }
            Token::Comment(comment) => panic!("{comment:?}"),
            Token::String(text) => {
                let text = String::from_utf8_lossy(&text.value).replace('\n', "");
                is_fit_to_show(&text, usize::MAX);
            }
            _ => {}
        }
    }
    names
}

/// What a document is made of, but for its texts.
fn blocks(document: &str) -> Vec<String> {
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.strikethrough = true;
    options.extension.tasklist = true;
    options.extension.footnotes = true;
    options.extension.math_dollars = true;
    let arena = Arena::new();
    let root = parse_document(&arena, document, &options);
    let mut all = Vec::new();
    for node in root.descendants() {
        match &node.data().value {
            // Addresses are code, or links whose text is where they lead.
            NodeValue::Text(_) | NodeValue::Code(_) => {}
            NodeValue::Link(link) => {
                let text: String = node
                    .descendants()
                    .filter_map(|below| match &below.data().value {
                        NodeValue::Text(text) => Some(text.to_string()),
                        _ => None,
                    })
                    .collect();
                assert!(
                    link.url.starts_with("http") && link.title.is_empty(),
                    "{link:?}"
                );
                assert_eq!(link.url, text);
            }
            NodeValue::HtmlInline(html) => assert_eq!(html, "<!-- -->"),
            NodeValue::List(_) => all.push("list".to_owned()),
            NodeValue::Item(_) => all.push("item".to_owned()),
            NodeValue::Table(table) => all.push(format!("table {}", table.num_columns)),
            NodeValue::Heading(heading) => all.push(format!("heading {}", heading.level)),
            NodeValue::Document
            | NodeValue::Paragraph
            | NodeValue::ThematicBreak
            | NodeValue::TableRow(_)
            | NodeValue::TableCell
            | NodeValue::SoftBreak
            | NodeValue::Strong => all.push(format!("{:?}", node.data().value)),
            other => panic!("{other:?}"),
        }
    }
    all
}

/// The number of rows; each is as long as the others, and no cell is a formula.
fn rows(table: &str) -> usize {
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    // Where Excel parts cells at semicolons, those behind one are looked at, too.
    let begins = |cell: &str| {
        cell.trim_start_matches([' ', '"'])
            .starts_with(['=', '+', '-', '@'])
    };
    let formula = |cell: &str| begins(cell.trim_start()) || cell.split(';').skip(1).any(begins);
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        assert!(!row.iter().any(formula), "{row:?}");
    });
    rows.count()
}

/// What a document is made of, but for its texts.
fn shape(value: &Value) -> Value {
    match value {
        Value::String(_) => Value::from(""),
        Value::Array(entries) => entries.iter().map(shape).collect(),
        Value::Object(fields) => {
            let named = fields.values().map(shape).enumerate();
            let named: BTreeMap<_, _> = named.map(|(n, value)| (n.to_string(), value)).collect();
            serde_json::to_value(named).unwrap()
        }
        other => other.clone(),
    }
}

#[test]
fn report() {
    let seeds: [&[u8]; 8] = [
        b"nginx",
        b"</style></title><script>alert(1)</script><img src=x onerror=y>]]>-->",
        b"\" onload=\"x' javascript:alert(1) &lt;b&gt; &#60;",
        b"| a | b |\\| `c` ``d`` ~~e~~ **f** _g_ [h](i) ![j](http://k) <https://l> $m$ \\[n\\](o)",
        b"http://www.example.org/ www.example.org ftp://x a@b.example #1 @user - [ ] x 1. y",
        b"# h\r\n===\n---\n> q\n    code\n```\n[^1]: z",
        b"=cmd()|' /C calc'!A0\x00\x1b[31m\xc2\x9b\xe2\x80\xae\xef\xbb\xbf",
        b" +1 {0} {{x}} ](#f)",
    ];
    let forms = [
        Format::Html,
        Format::Markdown,
        Format::Json,
        Format::Sarif,
        Format::Csv,
    ];
    let documents = |said: &str| forms.map(|form| written(settings(form), &[saying(said)]));
    let [page, text, json, sarif, table] = documents("x");
    let (usual_tags, usual_blocks, usual_rows) = (tags(&page), blocks(&text), rows(&table));
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let (usual_json, usual_sarif) = (shape(&parse(&json)), shape(&parse(&sarif)));
    fuzz(&seeds, |bytes| {
        let said = String::from_utf8_lossy(&bytes[..bytes.len().min(400)]);
        if said.trim().is_empty() {
            return;
        }
        let documents = documents(&said);
        for document in &documents {
            is_fit_to_show(&document.replace(['\n', '\r'], ""), usize::MAX);
        }
        let [page, text, json, sarif, table] = &documents;
        assert_eq!(tags(page), usual_tags);
        assert_eq!(blocks(text), usual_blocks, "{text}");
        assert_eq!(rows(table), usual_rows);
        let json = parse(json);
        assert_eq!(shape(&json), usual_json);
        assert_eq!(json["targets"][0]["target"], *said);
        let mut sarif = parse(sarif);
        let run = &mut sarif["runs"][0];
        for result in run["results"].as_array().unwrap() {
            let place = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
            let place = place.as_str().unwrap();
            assert!(
                !place.starts_with('/') && !place.contains([':', '?', '#']),
                "{place}"
            );
            assert!(!result["message"]["text"].as_str().unwrap().contains("]("));
        }
        // It leads to a web address only if it is written so.
        for rule in run["tool"]["driver"]["rules"].as_array_mut().unwrap() {
            rule.as_object_mut().unwrap().remove("helpUri");
        }
        assert_eq!(shape(&sarif), usual_sarif);
    });
}

/// Texts of a megabyte make no report of megabytes.
#[test]
fn long_texts_are_cut() {
    let long = "<b>&|`".repeat(175_000);
    for form in [
        Format::Html,
        Format::Markdown,
        Format::Json,
        Format::Sarif,
        Format::Csv,
    ] {
        let document = written(settings(form), &[saying(&long)]);
        assert!(document.len() < 12 << 20, "{form:?}: {}", document.len());
    }
}
