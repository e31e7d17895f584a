use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::candidate::{Candidate, word_at};
use super::place::Place;
use super::report::{Found, Source};
use super::{Cms, Options, WordList};
use crate::engines::web::Robots;

/// The number of a job.
pub(super) type JobId = u32;

/// The form of [`Checkpoint`]; another one is not gone on from.
const VERSION: u32 = 1;

/// Where a run had got to when the server was last seen to behave: it can be gone on from with the same
/// options and words. What not-there looks like is not kept: it is learned anew, for the server may have
/// changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    version: u32,
    /// Of base and words.
    identity: u64,
    jobs: Vec<Job>,
    /// What was found.
    pub found: Vec<Found>,
    extensions: Vec<String>,
    pub(super) cms: Option<Cms>,
}

/// A list to be asked for in a directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Job {
    id: JobId,
    directory: String,
    depth: u32,
    list: List,
    /// All before it is decided.
    position: u64,
    total: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum List {
    /// The word list with its extensions.
    Words,
    /// Whole paths.
    Paths {
        source: Source,
        #[serde(with = "shared")]
        paths: Arc<Vec<String>>,
    },
}

/// What a job is at, besides.
#[derive(Debug, Default)]
struct Running {
    cursor: u64,
    in_flight: BTreeSet<u64>,
    base: Option<Arc<Place>>,
    found: u64,
}

/// What is still to be asked for: what is likeliest first, then breadth first.
pub(super) struct Queue {
    words: Arc<WordList>,
    extensions: Vec<String>,
    words_below: u64,
    robots: Option<Arc<Robots>>,
    identity: u64,
    jobs: BTreeMap<JobId, (Job, Running)>,
    /// Bucket, depth and number of the jobs that are not handed out.
    open: BTreeSet<(u8, u32, JobId)>,
    /// Paths that are in lists of their own: the word list leaves them out.
    listed: HashSet<u64>,
    /// Directories that have their job.
    directories: HashSet<String>,
    again: Vec<Candidate>,
}

/// What comes next.
pub(super) enum Next {
    Ask(Candidate),
    /// This directory has to be calibrated first.
    Calibrate(String),
    /// All is handed out.
    Nothing,
}

impl Queue {
    /// With nothing in it.
    pub fn new(options: &Options, extensions: Vec<String>) -> Self {
        Self {
            words: Arc::clone(&options.words),
            words_below: options.words_below,
            robots: options.robots.clone(),
            identity: identity(options),
            extensions,
            jobs: BTreeMap::new(),
            open: BTreeSet::new(),
            listed: HashSet::new(),
            directories: HashSet::new(),
            again: Vec::new(),
        }
    }

    /// As it was.
    pub fn restore(&mut self, at: &Checkpoint) {
        self.jobs.clear();
        self.open.clear();
        self.listed.clear();
        self.directories.clear();
        self.again.clear();
        self.extensions.clone_from(&at.extensions);
        for job in &at.jobs {
            self.insert(job.clone());
        }
    }

    /// Whether a checkpoint is of a run with these options.
    pub fn is_mine(&self, at: &Checkpoint) -> bool {
        at.version == VERSION && at.identity == self.identity
    }

    /// As it is, with what was found.
    pub fn checkpoint(&self, found: &[Found], cms: Option<&Cms>) -> Checkpoint {
        let jobs = self.jobs.values().map(|(job, running)| Job {
            position: running.in_flight.first().map_or(running.cursor, |at| *at),
            ..job.clone()
        });
        Checkpoint {
            version: VERSION,
            identity: self.identity,
            jobs: jobs.collect(),
            found: found.to_vec(),
            extensions: self.extensions.clone(),
            cms: cms.cloned(),
        }
    }

    /// Adds the word list for a directory, unless it has it.
    pub fn add_directory(&mut self, directory: &str, depth: u32) -> bool {
        if self.directories.contains(directory) {
            return false;
        }
        let words = match self.words_below {
            most if most > 0 && depth > 0 => most.min(self.words.len() as u64),
            _ => self.words.len() as u64,
        };
        let total = words * (1 + self.extensions.len() as u64);
        self.push(directory, depth, List::Words, total);
        true
    }

    /// Adds paths of a directory.
    pub fn add_paths(&mut self, directory: &str, depth: u32, source: Source, paths: Vec<String>) {
        let fresh = |path: &String| {
            path.starts_with(directory) && !self.listed.contains(&xxh3_64(path.as_bytes()))
        };
        let paths: Vec<_> = paths.into_iter().filter(fresh).collect();
        if paths.is_empty() {
            return;
        }
        let total = paths.len() as u64;
        let paths = Arc::new(paths);
        self.push(directory, depth, List::Paths { source, paths }, total);
    }

    fn push(&mut self, directory: &str, depth: u32, list: List, total: u64) {
        let id = self.jobs.last_key_value().map_or(0, |(id, _)| id + 1);
        self.insert(Job {
            id,
            directory: directory.to_owned(),
            depth,
            list,
            position: 0,
            total,
        });
    }

    fn insert(&mut self, job: Job) {
        let bucket = match &job.list {
            List::Words => {
                self.directories.insert(job.directory.clone());
                u8::MAX
            }
            List::Paths { source, paths } => {
                let paths = paths.iter().map(|path| xxh3_64(path.as_bytes()));
                self.listed.extend(paths);
                *source as u8
            }
        };
        if job.position < job.total {
            self.open.insert((bucket, job.depth, job.id));
        }
        let running = Running {
            cursor: job.position,
            ..Running::default()
        };
        self.jobs.insert(job.id, (job, running));
    }

    /// The next candidate.
    pub fn next(&mut self) -> Next {
        if let Some(candidate) = self.again.pop() {
            return Next::Ask(candidate);
        }
        while let Some(key) = self.open.first().copied() {
            let Some((job, running)) = self.jobs.get_mut(&key.2) else {
                self.open.remove(&key);
                continue;
            };
            let Some(base) = running.base.clone() else {
                return Next::Calibrate(job.directory.clone());
            };
            while running.cursor < job.total {
                let position = running.cursor;
                running.cursor += 1;
                let path = match &job.list {
                    List::Words => {
                        let path = word_path(&self.words, &self.extensions, job, position);
                        path.filter(|path| !self.listed.contains(&xxh3_64(path.as_bytes())))
                    }
                    List::Paths { paths, .. } => usize::try_from(position)
                        .ok()
                        .and_then(|at| paths.get(at).cloned()),
                };
                let Some(path) = path.filter(|path| is_allowed(self.robots.as_deref(), path))
                else {
                    continue;
                };
                running.in_flight.insert(position);
                return Next::Ask(Candidate {
                    path,
                    below: job.directory.len(),
                    job: job.id,
                    position,
                    depth: job.depth,
                    source: match &job.list {
                        List::Words => Source::Words,
                        List::Paths { source, .. } => *source,
                    },
                    base,
                });
            }
            self.open.remove(&key);
        }
        Next::Nothing
    }

    /// The next candidate, if there is one before anything else comes.
    pub fn next_candidate(&mut self) -> Option<Candidate> {
        match self.next() {
            Next::Ask(candidate) => Some(candidate),
            // Both are told again.
            Next::Calibrate(_) | Next::Nothing => None,
        }
    }

    /// A directory was calibrated.
    pub fn calibrated(&mut self, directory: &str, base: &Arc<Place>) {
        for (job, running) in self.jobs.values_mut() {
            if job.directory == directory {
                running.base = Some(Arc::clone(base));
            }
        }
    }

    /// A directory cannot be calibrated: it is left. Returns how many candidates that gives up.
    pub fn leave(&mut self, directory: &str) -> u64 {
        let mut left = 0;
        for (job, running) in self.jobs.values_mut() {
            if job.directory == directory {
                left += job.total - running.cursor;
                running.cursor = job.total;
            }
        }
        left
    }

    /// A candidate is decided; `found` says how. Returns how many were found in its list.
    pub fn decided(&mut self, candidate: &Candidate, found: bool) -> u64 {
        let Some((_, running)) = self.jobs.get_mut(&candidate.job) else {
            return 0;
        };
        running.in_flight.remove(&candidate.position);
        running.found += u64::from(found);
        running.found
    }

    /// A candidate is to be asked for once more.
    pub fn again(&mut self, candidate: Candidate) {
        self.again.push(candidate);
    }

    /// Decided candidates, and all that are known of.
    pub fn counts(&self) -> (u64, u64) {
        self.jobs.values().fold((0, 0), |(done, total), (job, at)| {
            (
                done + at.cursor - at.in_flight.len() as u64,
                total + job.total,
            )
        })
    }

    /// The directory in hand.
    pub fn directory(&self) -> &str {
        let first = self.open.first().and_then(|key| self.jobs.get(&key.2));
        first.map_or("", |(job, _)| &job.directory)
    }

    /// Directories that have the word list.
    pub fn directories(&self) -> usize {
        self.directories.len()
    }
}

fn word_path(words: &WordList, extensions: &[String], job: &Job, at: u64) -> Option<String> {
    let variants = 1 + extensions.len();
    let at = usize::try_from(at).ok()?;
    let word = words.get(at / variants)?;
    let word = word_at(word, at % variants, extensions)?;
    Some(format!("{}{word}", job.directory))
}

fn is_allowed(robots: Option<&Robots>, path: &str) -> bool {
    robots.is_none_or(|robots| robots.allowed(path))
}

fn identity(options: &Options) -> u64 {
    let text = format!("{}\n{:?}", options.base, options.extensions);
    xxh3_64(text.as_bytes()) ^ options.words.hash()
}

/// Lists that are shared are written like others.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(list: &Arc<Vec<String>>, to: S) -> Result<S::Ok, S::Error> {
        list.as_slice().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Vec<String>>, D::Error> {
        Vec::deserialize(from).map(Arc::new)
    }
}
