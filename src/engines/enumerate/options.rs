use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::engines::web::Robots;

use super::{Checkpoint, Found, Interference, WordList};

/// How to enumerate.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to begin: what is after its last slash does not count.
    pub base: Url,
    /// The words to ask for in each directory.
    pub words: Arc<WordList>,
    /// Extensions, without their dot, that each word without one is tried with besides.
    pub extensions: Vec<String>,
    /// Without any: those of the technology that the server shows.
    pub detect_extensions: bool,
    /// Find out the CMS and ask for its usual paths.
    pub cms: bool,
    /// Paths from the server's root that were found on others, with the weight that they got from that
    /// (0 to 1): asked for first, the heaviest first, and their weight counts in the priority.
    pub learned: Vec<(String, f64)>,
    /// Paths of this server that a spider saw: their names are tried in each directory, and their
    /// directories are gone into.
    pub spidered: Vec<String>,
    /// Requests under way at the same time.
    pub concurrency: usize,
    /// Directories below the base that are gone into, one within the other; 0: only the base.
    pub depth: u32,
    /// Directories that are gone into at most.
    pub max_directories: usize,
    /// A directory in which more is found than this is left, with a note.
    pub max_found_per_directory: u64,
    /// Words asked for in each directory below the base; 0: all.
    pub words_below: u64,
    /// Go into everything that has no extension, whether it looks like a directory or not.
    pub force_recursion: bool,
    /// Ask for backups of the files that are found.
    pub backups: bool,
    /// Ask by HEAD first, and by GET only for what is not 404. Servers lie to HEAD: not the default.
    pub head: bool,
    /// Ask what is found for its methods (OPTIONS).
    pub methods: bool,
    /// Bytes of each body that are read and compared.
    pub body_limit: usize,
    /// What robots.txt says, where it is kept to.
    pub robots: Option<Arc<Robots>>,
    /// All of it ends after this, and what was found is kept. Zero: no limit.
    pub max_time: Duration,
    /// After so many candidates it is checked that the server still answers as it did.
    pub check_every: u64,
    /// How long to wait when the server blocks, the first time; each further time twice as long.
    pub cooldown: Duration,
    /// The time between requests after the server complained first, doubled with each further time; at
    /// most 5 s.
    pub interval: Duration,
    /// How often to wait for a server that blocks before giving up.
    pub patience: u32,
    /// Where an earlier run with the same options and words had got to.
    pub resume: Option<Checkpoint>,
}

impl Options {
    /// The default for a server and a list.
    pub fn new(base: Url, words: Arc<WordList>) -> Self {
        Self {
            base,
            words,
            extensions: Vec::new(),
            detect_extensions: true,
            cms: true,
            learned: Vec::new(),
            spidered: Vec::new(),
            concurrency: 50,
            depth: 4,
            max_directories: 256,
            max_found_per_directory: 2000,
            words_below: 0,
            force_recursion: false,
            backups: true,
            head: false,
            methods: false,
            body_limit: 64 * 1024,
            robots: None,
            max_time: Duration::ZERO,
            check_every: 1000,
            cooldown: Duration::from_secs(10),
            interval: Duration::from_millis(10),
            patience: 4,
            resume: None,
        }
    }
}

/// How far it has got.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// Requests sent, those for calibration and checks among them.
    pub sent: u64,
    /// Candidates that were decided.
    pub done: u64,
    /// Candidates in all that is known by now; grows with each directory.
    pub total: u64,
    /// Paths found.
    pub found: u64,
    /// Requests a second, over the whole run.
    pub rate: f64,
    /// The directory in hand.
    pub directory: String,
    /// The time that the rest will take at this rate, if nothing is added.
    pub remaining: Option<Duration>,
}

/// What the caller hears while it runs. The methods must be cheap.
pub trait Observer: Send + Sync {
    /// It got further. Called for each answer.
    fn progress(&self, _progress: &dyn Fn() -> Progress) {}

    /// A path was found. It may be taken back.
    fn found(&self, _found: &Found) {}

    /// The server did not behave when this was found: it will be asked for again.
    fn taken_back(&self, _found: &Found) {}

    /// The server defends itself or is not well. Whoever sends should do so at a lower rate from now on;
    /// the enumerator itself slows down as well.
    fn slow_down(&self, _interference: &Interference) {}

    /// A run that ends now could go on from here.
    fn checkpoint(&self, _checkpoint: &Checkpoint) {}

    /// The caller wants it to end now. Asked at least ten times a second.
    fn cancelled(&self) -> bool {
        false
    }
}

/// An observer that does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}
