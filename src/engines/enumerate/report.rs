use serde::{Deserialize, Serialize};

use serde_json::{Value, json};

use super::{Cms, WordNotes};

/// Where a candidate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Found on other servers.
    Learned,
    /// Seen by the spider.
    Spidered,
    /// Usual for the CMS that the server runs.
    Cms,
    /// A backup of something found.
    Backup,
    /// The word list.
    Words,
}

/// A path that is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// From the server's root, percent-encoded.
    pub path: String,
    /// The status of the answer to GET.
    pub status: u16,
    /// Bytes of the body: as Content-Length says, else as read; with `truncated` at least so many.
    pub size: u64,
    /// Whether there was more of the body than was read.
    pub truncated: bool,
    /// `text/html`
    pub content_type: Option<String>,
    /// Where it redirects to.
    pub location: Option<String>,
    /// The title of the page.
    pub title: Option<String>,
    /// Milliseconds from the first byte sent to the last byte read.
    pub response_time_ms: f64,
    /// Directories between the base and it.
    pub depth: u32,
    /// Whether it is a directory.
    pub directory: bool,
    /// Where the candidate came from.
    pub source: Source,
    /// All that begins with this path is answered alike: a rule of the server rather than one file.
    pub prefix: bool,
    /// The methods that it allows, if asked.
    pub methods: Option<Vec<String>>,
    /// How much it deserves a look, 0 to 1.
    pub priority_score: f64,
    /// Why, one sentence each.
    pub priority_factors: Vec<String>,
}

/// What got in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strain {
    /// Status 429.
    RateLimited,
    /// A page of a firewall or a captcha in place of all others, or 403 for all.
    Blocked,
    /// Status 503 or 502 for all.
    Unavailable,
    /// No answers: connections refused, reset or silent.
    Unanswered,
    /// The server answers otherwise than before, in no way that is known.
    Changed,
}

/// The server's behaviour changed while it was enumerated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interference {
    /// What it was.
    pub strain: Strain,
    /// After so many requests.
    pub at_request: u64,
    /// A sentence for people: status, words of the page, or the error.
    pub detail: String,
    /// Seconds that the server asked to wait.
    pub retry_after: Option<u64>,
    /// Found paths that were taken back and asked for again.
    pub taken_back: u64,
    /// Whether the server came back.
    pub recovered: bool,
}

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// All was asked for.
    Complete,
    /// The caller wanted so.
    Cancelled,
    /// The time was over.
    Deadline,
    /// The server blocks, see [`Report::interference`].
    Blocked,
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Where it began.
    pub base: String,
    /// Why it ended.
    pub ended: Ended,
    /// The paths, sorted.
    pub found: Vec<Found>,
    /// What got in the way.
    pub interference: Vec<Interference>,
    /// Other things worth knowing, for people.
    pub notes: Vec<String>,
    /// What the site is made with.
    pub cms: Option<Cms>,
    /// Requests sent.
    pub requests: u64,
    /// Candidates that were decided.
    pub candidates: u64,
    /// Candidates that were given up, as there was no answer.
    pub unanswered: u64,
    /// Whether paths differ by case only mean the same.
    pub case_insensitive: bool,
    /// What was left out of the word list.
    pub words: WordNotes,
    /// Where to go on, if it did not end complete.
    pub resume: Option<super::Checkpoint>,
}

/// As many paths as the hub takes in one submission.
const MOST_SUBMITTED: usize = 10_000;

impl Report {
    /// The result as the hub takes it: `result` of `POST /daemon/enumeration/`, heuristics format. A run
    /// that was blocked before it found anything is a failed attempt. Of more paths than the hub takes
    /// those of the highest priority are sent.
    pub fn heuristics(&self, wordlist: &str) -> Value {
        let mut found: Vec<_> = self.found.iter().collect();
        found.sort_by(|a, b| b.priority_score.total_cmp(&a.priority_score));
        let paths = found.iter().take(MOST_SUBMITTED).map(|found| {
            json!({
                "path": found.path,
                "status": found.status,
                "size": found.size,
                "content_type": found.content_type,
                "response_time": found.response_time_ms,
                "priority_score": found.priority_score,
                "priority_factors": found.priority_factors,
            })
        });
        let paths: Vec<_> = paths.collect();
        let cms = self.cms.as_ref().map(
            |cms| json!({"cms": cms.name, "version": cms.version, "confidence": cms.confidence}),
        );
        let blocked = self.ended == Ended::Blocked && self.found.is_empty();
        let reason = self.interference.last().map(|last| &last.detail);
        json!({
            "success": !blocked,
            "reason": reason.filter(|_| blocked),
            "target": self.base,
            "paths_discovered": paths,
            "enumeration_results": [{
                "tool": "recon-suzu",
                "paths_found": self.found.len(),
                "requests": self.requests,
                "ended": self.ended,
                "interference": self.interference,
            }],
            "cms_detection": cms,
            "enumeration_metadata": {"tool_used": "recon-suzu", "wordlist_used": wordlist},
        })
    }
}
