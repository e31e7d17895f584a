//! The enumerator: which paths a web server has that nothing links to.
//!
//! [`enumerate`] asks for the words of a list in each directory, tells what is there from what only
//! looks so, goes into the directories that it finds, and tells an [`Observer`] of each find at once.
//! What "not there" looks like is learned from paths that cannot exist and checked again while it runs:
//! what was found while the server behaved otherwise is taken back and asked for again. May depend on
//! `crate::api` and `crate::fleet` only. Requests go by [`web::Fetch`](crate::engines::web::Fetch),
//! which holds to scope and rate.

mod backups;
mod batch;
mod candidate;
mod cms;
mod detect;
mod echo;
mod features;
mod finds;
mod judge;
mod options;
mod place;
mod queue;
mod recover;
mod report;
mod run;
mod score;
mod send;
mod signature;
#[cfg(test)]
mod site;
mod words;

#[cfg(test)]
mod feature_tests;
#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod lane_tests;
#[cfg(test)]
mod resume_tests;
#[cfg(test)]
mod run_tests;

pub use cms::Cms;
pub use options::{Observer, Options, Progress, Unobserved};
pub use queue::Checkpoint;
pub use report::{Ended, Found, Interference, Report, Source, Strain};
pub use run::{EnumerateError, enumerate};
pub use words::{WordList, WordNotes};
