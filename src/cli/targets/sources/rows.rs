//! CSV (RFC 4180).

use std::io::{self, BufRead};

use super::{Counted, Found};
use crate::api::NewTarget;

/// Names of columns that hold a target; of several that are filled the first of this list counts.
const TARGET_COLUMNS: [&str; 12] = [
    "target",
    "host",
    "hostname",
    "subdomain",
    "name",
    "ip",
    "ip_address",
    "address",
    "cidr",
    "network",
    "domain",
    "domainname",
];

/// Where in a row what stands.
struct Columns {
    targets: Vec<usize>,
    group: Option<usize>,
    project: Option<usize>,
}

impl Columns {
    /// By the head of a file; `None` when its first row is no head.
    fn of(head: &csv::StringRecord) -> Option<Self> {
        let find = |names: &[&str]| {
            names
                .iter()
                .filter_map(|name| head.iter().position(|cell| cell.eq_ignore_ascii_case(name)))
                .collect::<Vec<_>>()
        };
        let targets = find(&TARGET_COLUMNS);
        (!targets.is_empty()).then(|| Self {
            targets,
            group: find(&["group", "eggname"]).first().copied(),
            project: find(&["project", "projectegg"]).first().copied(),
        })
    }

    fn found(&self, line: u64, row: &csv::StringRecord) -> Found {
        let cell = |at: usize| row.get(at).filter(|cell| !cell.is_empty());
        let Some(target) = self.targets.iter().find_map(|at| cell(*at)) else {
            return Found::bad(line, "has no target");
        };
        let text = |at: Option<usize>| at.and_then(cell).map(str::to_owned);
        Found {
            line,
            target: Ok(NewTarget {
                target: target.to_owned(),
                group: text(self.group),
                project: text(self.project),
                alive: true,
            }),
        }
    }
}

/// The rows of a table.
pub(super) fn rows<R: BufRead>(reader: Counted<R>) -> impl Iterator<Item = io::Result<Found>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_reader(reader);
    let mut columns: Option<Columns> = None;
    let mut row = csv::StringRecord::new();
    std::iter::from_fn(move || {
        loop {
            let line = reader.position().line();
            match reader.read_record(&mut row) {
                Ok(false) => return None,
                Ok(true) => {}
                Err(error) => {
                    return Some(match error.into_kind() {
                        csv::ErrorKind::Io(error) => Err(error),
                        csv::ErrorKind::Utf8 { .. } => Ok(Found::bad(line, "is not UTF-8")),
                        _ => Ok(Found::bad(line, "is not CSV")),
                    });
                }
            }
            let line = row.position().map_or(line, csv::Position::line);
            if let Some(columns) = &columns {
                return Some(Ok(columns.found(line, &row)));
            }
            let head = Columns::of(&row);
            let is_head = head.is_some();
            let columns = columns.insert(head.unwrap_or(Columns {
                targets: vec![0],
                group: None,
                project: None,
            }));
            if !is_head {
                return Some(Ok(columns.found(line, &row)));
            }
        }
    })
}
