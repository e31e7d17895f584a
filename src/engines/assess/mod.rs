//! The assessment engine: what is wrong with a record, how bad it is and why.
//!
//! `facts` makes typed facts of what the hub knows ([`crate::api::AssessmentContext`]); `rules` says which
//! of them are findings; `vulndb` is the offline database of known vulnerabilities, and which of them hold for a
//! product; `assessment` makes findings with their weight, ways in, what to do and a text of all that.
//! Nothing here sends anything, reads a clock or knows the hub: the same context gives the same
//! bytes.

mod assessment;
pub mod facts;
pub mod rules;
pub mod vulndb;

pub use assessment::assess;
