//! Typed facts: what rules read.
//!
//! A fact is a [`Subject`] of some [`Kind`] with the fields that [`schema`](Kind::fields) lists. Each knows its
//! sources, so that every sentence of a report can be traced to what was seen:
//!
//! ```text
//! scan:kaze_port_scan/tcp/6379    an open port, as that kind of scan saw it
//! http:GET https://host/path      an answer of a web server
//! page:https://host/path          a page of the spider, of which no headers are known
//! form:POST https://host/login    a form, by method and action
//! cookie:https://host#sid         a cookie of an origin
//! path:/.git/HEAD                 what an enumeration found
//! web:nginx, cms:WordPress        software, by name
//! finding:ID                      a finding of another agent
//! host:10.20.0.7                  the host itself
//! ```
//!
//! The references do not change from scan to scan, and neither does the order of the facts.

mod build;
mod net;
mod ports;
mod schema;
mod software;
mod subject;
mod web;

#[cfg(test)]
mod facts_tests;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::api::AssessmentContext;

pub use net::is_public;
pub(super) use ports::{is_recognised, place as port_place};
pub use schema::{Field, Kind, Type};
pub(super) use software::{DISTRIBUTIONS, current, name as software_name, told_cpes, told_version};
pub use subject::{Slot, Subject, Value};

/// All facts of a record.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// The name of the record.
    pub target: String,
    /// Time of the assessment: that of the newest evidence.
    pub as_of: DateTime<Utc>,
    /// Whether the record has a public address; `None`: it has none that is known.
    pub public: Option<bool>,
    /// The facts by kind.
    subjects: BTreeMap<Kind, Vec<Subject>>,
}

impl Facts {
    /// The facts of what a hub knows.
    pub fn of(context: &AssessmentContext) -> Self {
        build::facts(context)
    }

    /// No facts yet.
    pub fn new(target: &str, as_of: DateTime<Utc>, public: Option<bool>) -> Self {
        Self {
            target: target.to_owned(),
            as_of,
            public,
            subjects: BTreeMap::new(),
        }
    }

    /// Those of a kind, in a fixed order.
    pub fn all(&self, kind: Kind) -> &[Subject] {
        self.subjects.get(&kind).map_or(&[], Vec::as_slice)
    }

    /// Number of facts.
    pub fn len(&self) -> usize {
        self.subjects.values().map(Vec::len).sum()
    }

    /// Nothing is known.
    pub fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }

    /// Adds a fact; it learns whether the record is public.
    pub fn add(&mut self, mut subject: Subject) {
        if let Some(public) = self.public {
            subject.set("public", public);
        }
        self.subjects.entry(subject.kind).or_default().push(subject);
    }
}
