use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::Options;
use super::candidate::Candidate;
use super::features::{Seen, title};
use super::place::{Known, Place, PlaceKey};
use super::report::{Found, Strain};
use super::send::{Answer, Sender};
use super::signature::{Likeness, Signature, is_steady};
use crate::engines::web::FetchError;

/// Names that are asked for where it is not known what is missing looks like: lengths that differ, so
/// that what grows with the path is seen.
const LENGTHS: [usize; 6] = [8, 16, 24, 6, 12, 20];

/// As many further ones where the answers differ from each other.
const MORE: usize = 4;

/// A title is cut off there.
const LONGEST_TITLE: usize = 200;

/// What became of a candidate.
pub(super) enum Verdict {
    /// Not there.
    Missing,
    /// There.
    Found(Box<Found>),
    /// The server would not say.
    Strained(Trouble),
    /// What is not there is answered otherwise than before; this one could be one of those.
    Changed(Trouble),
    /// No answer.
    Failed(FetchError),
}

/// Why the server would not say.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub strain: Strain,
    pub detail: String,
    pub retry_after: Option<u64>,
}

impl Trouble {
    /// What an answer is, that comes in place of others.
    pub fn of(answer: &Answer) -> Self {
        let strain = match answer.status {
            429 => Strain::RateLimited,
            502..=504 => Strain::Unavailable,
            401 | 403 | 405 | 406 | 418 | 451 => Strain::Blocked,
            _ if wall(&answer.body).is_some() => Strain::Blocked,
            _ => Strain::Changed,
        };
        let words = match wall(&answer.body) {
            Some(words) => format!(", and the page says '{words}'"),
            None => String::new(),
        };
        Self {
            strain,
            detail: format!(
                "paths that cannot exist are answered with {}{words}",
                answer.status
            ),
            retry_after: answer.retry_after(),
        }
    }

    /// No answer at all.
    pub fn silence(error: &FetchError) -> Self {
        Self {
            strain: Strain::Unanswered,
            detail: error.to_string(),
            retry_after: None,
        }
    }
}

/// Words of the pages of firewalls and captchas, lower case; they only name what is noticed by behaviour.
const WALLS: [&str; 10] = [
    "captcha",
    "cf-chl",
    "attention required",
    "request blocked",
    "access denied",
    "incident id",
    "web application firewall",
    "too many requests",
    "unusual traffic",
    "under maintenance",
];

fn wall(body: &[u8]) -> Option<&'static str> {
    let text = body[..body.len().min(16 * 1024)].to_ascii_lowercase();
    let on = |words: &&&str| memchr::memmem::find(&text, words.as_bytes()).is_some();
    WALLS.iter().find(on).copied()
}

/// Tells what is there from what is not.
pub(super) struct Judge<'a> {
    pub sender: &'a Sender<'a>,
    places: Mutex<HashMap<PlaceKey, Arc<OnceCell<Arc<Place>>>>>,
    /// Beginnings of paths that a rule of the server answers alike, with the answer.
    rules: Mutex<Vec<(String, Signature)>>,
    /// The server answers at random: one more answer for what is not there is no change.
    pub fickle: AtomicBool,
    /// Ask by HEAD first.
    pub head: bool,
    force: bool,
    methods: bool,
}

impl<'a> Judge<'a> {
    /// That knows nothing yet.
    pub fn new(sender: &'a Sender<'a>, options: &Options) -> Self {
        Self {
            sender,
            places: Mutex::default(),
            rules: Mutex::default(),
            fickle: AtomicBool::new(false),
            head: options.head,
            force: options.force_recursion,
            methods: options.methods,
        }
    }

    /// Forgets what was learned, as the server answers otherwise now.
    pub fn forget(&self) {
        self.places
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        self.rules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// What is not there in a place; learned when it is asked for first.
    pub async fn place(&self, key: &PlaceKey) -> Result<Arc<Place>, FetchError> {
        let cell = {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            match places.get(key) {
                Some(cell) => Arc::clone(cell),
                None => Arc::clone(places.entry(key.clone()).or_default()),
            }
        };
        let place = cell.get_or_try_init(|| self.calibrate(key)).await?;
        Ok(Arc::clone(place))
    }

    /// The same, learned anew and kept by nobody.
    pub async fn fresh_place(&self, key: &PlaceKey) -> Result<Arc<Place>, FetchError> {
        self.calibrate(key).await
    }

    async fn calibrate(&self, key: &PlaceKey) -> Result<Arc<Place>, FetchError> {
        let place = Place::default();
        let mut first = None;
        let mut gone = 0;
        for (i, length) in LENGTHS.into_iter().enumerate() {
            let answer = self.random(key, length, &place).await?;
            gone += usize::from(answer.0.is_gone());
            first.get_or_insert(answer.1);
            if gone == 2 && i == 1 {
                // As it should be: no need to know more.
                return Ok(Arc::new(place));
            }
        }
        if let Some(path) = first {
            let relative = &path[key.directory.len()..];
            let again = self.sender.get(&path).await?;
            let again_is_gone = again.is_gone();
            let again = Seen::new(&again, relative);
            let known = place.knows_body(&again);
            if !again_is_gone {
                place.learn(&again);
            }
            if !known {
                place.is_volatile(&again);
            }
        }
        if place.varies() {
            for length in LENGTHS.into_iter().take(MORE) {
                self.random(key, length, &place).await?;
            }
        }
        Ok(Arc::new(place))
    }

    /// Asks for a path that cannot exist and learns the answer.
    async fn random(
        &self,
        key: &PlaceKey,
        length: usize,
        place: &Place,
    ) -> Result<(Answer, String), FetchError> {
        let path = key.path(&random_name(length));
        let answer = self.sender.get(&path).await?;
        if !answer.is_gone() {
            place.learn(&Seen::new(&answer, &path[key.directory.len()..]));
        }
        Ok((answer, path))
    }

    /// Whether an answer is that for something that is not there in this place.
    pub fn is_missing(place: &Place, answer: &Answer, relative: &str) -> bool {
        answer.is_gone()
            || matches!(
                place.known(&Seen::new(answer, relative)),
                Known::Missing | Known::MissingWithoutSlash
            )
    }

    /// Asks for a candidate.
    pub async fn judge(&self, candidate: &Candidate) -> Verdict {
        match self.try_judge(candidate).await {
            Ok(verdict) => verdict,
            Err(error) => Verdict::Failed(error),
        }
    }

    async fn try_judge(&self, candidate: &Candidate) -> Result<Verdict, FetchError> {
        if self.head {
            let head = self.sender.ask(http::Method::HEAD, &candidate.path).await?;
            if head.is_gone() {
                return Ok(Verdict::Missing);
            }
        }
        let mut path = candidate.path.clone();
        let mut answer = self.sender.get(&path).await?;
        if answer.is_gone() {
            return Ok(Verdict::Missing);
        }
        let mut seen = Seen::new(&answer, &path[candidate.below..]);
        let mut known = candidate.base.known(&seen);
        if known == Known::MissingWithoutSlash && !path.ends_with('/') {
            path.push('/');
            answer = self.sender.get(&path).await?;
            if answer.is_gone() {
                return Ok(Verdict::Missing);
            }
            seen = Seen::new(&answer, &path[candidate.below..]);
            known = candidate.base.known(&seen);
        }
        if matches!(known, Known::Missing | Known::MissingWithoutSlash) {
            return Ok(Verdict::Missing);
        }
        if answer.status == 429 {
            return Ok(Verdict::Strained(Trouble::of(&answer)));
        }
        let key = PlaceKey::of(&path);
        let place = self.place(&key).await?;
        let known = place.known(&seen);
        if matches!(known, Known::Missing | Known::MissingWithoutSlash)
            || self.has_rule(&path, &seen)
        {
            return Ok(Verdict::Missing);
        }
        self.confirm(candidate, &path, &key, &place, answer, seen)
            .await
    }

    /// Something answers unlike what is not there. It is there if a name that was made up is answered
    /// otherwise at the same moment, and the answer is no play of chance.
    async fn confirm(
        &self,
        candidate: &Candidate,
        path: &str,
        key: &PlaceKey,
        place: &Place,
        answer: Answer,
        seen: Seen,
    ) -> Result<Verdict, FetchError> {
        if place.known(&seen) == Known::Perhaps && place.akin(&seen).is_some_and(|s| s.volatile) {
            let again = self.sender.get(path).await?;
            if !is_steady(&seen, &Seen::new(&again, &path[key.directory.len()..])) {
                return Ok(Verdict::Missing);
            }
        }
        let stem = key.stem(path);
        let sibling = key.path(&random_name(stem.len().clamp(6, 24)));
        let other = self.sender.get(&sibling).await?;
        let mut fresh = false;
        if !other.is_gone() {
            let other_seen = Seen::new(&other, &sibling[key.directory.len()..]);
            let akin = place.akin(&other_seen);
            let far = akin.is_some_and(|s| s.is_far_from(&other_seen));
            fresh = place.learn(&other_seen) || far;
        }
        if fresh && !self.fickle.load(Ordering::Relaxed) {
            return Ok(Verdict::Changed(Trouble::of(&other)));
        }
        if matches!(
            place.known(&seen),
            Known::Missing | Known::MissingWithoutSlash
        ) {
            return Ok(Verdict::Missing);
        }
        if !self.is_no_chance(path, key, place, &seen).await? {
            return Ok(Verdict::Missing);
        }
        let prefix = self.is_rule(path, key, place, &seen).await?;
        if prefix && key.dot && answer.status == 403 {
            return Ok(Verdict::Missing);
        }
        let directory = self.is_directory(path, key, &answer, &seen).await?;
        let methods = match self.methods {
            true => self.methods(path).await,
            false => None,
        };
        let title = title(&answer.body).map(|text| {
            let text = String::from_utf8_lossy(text);
            let words: Vec<_> = text
                .split(|c: char| c.is_whitespace() || c.is_control())
                .collect();
            let text = words
                .into_iter()
                .filter(|w| !w.is_empty())
                .collect::<Vec<_>>()
                .join(" ");
            text.chars().take(LONGEST_TITLE).collect::<String>()
        });
        Ok(Verdict::Found(Box::new(Found {
            path: path.to_owned(),
            status: answer.status,
            size: answer.size(),
            truncated: answer.truncated,
            content_type: answer.content_type(),
            location: answer.location.clone(),
            title: title.filter(|title| !title.is_empty()),
            response_time_ms: answer.elapsed.as_secs_f64() * 1000.0,
            depth: candidate.depth,
            directory,
            source: candidate.source,
            prefix,
            methods,
            priority_score: 0.0,
            priority_factors: Vec::new(),
        })))
    }

    /// Where answers for what is not there differ from each other, one that is unlike them may be so by
    /// chance. What is there is answered twice alike, or lacks what all the others have.
    async fn is_no_chance(
        &self,
        path: &str,
        key: &PlaceKey,
        place: &Place,
        seen: &Seen,
    ) -> Result<bool, FetchError> {
        let again = self.sender.get(path).await?;
        if again.is_gone() || again.status != seen.status {
            return Ok(false);
        }
        if !place.akin(seen).is_some_and(|signature| signature.varies()) {
            return Ok(true);
        }
        let again = Seen::new(&again, &path[key.directory.len()..]);
        let steady = is_steady(seen, &again);
        self.random(key, 10, place).await?;
        let Some(signature) = place.akin(seen) else {
            return Ok(true);
        };
        let there = match signature.likeness(seen) {
            Likeness::Same => false,
            _ if signature.volatile => steady || signature.is_far_from(seen),
            likeness => likeness == Likeness::Other,
        };
        if !there {
            place.learn(seen);
        }
        Ok(there)
    }

    /// Whether the server has a rule for all that begins so. Only the first path of a rule is told of.
    async fn is_rule(
        &self,
        path: &str,
        key: &PlaceKey,
        place: &Place,
        seen: &Seen,
    ) -> Result<bool, FetchError> {
        let longer = key.path(&format!("{}{}", key.stem(path), random_name(5)));
        let other = self.sender.get(&longer).await?;
        if other.is_gone() {
            return Ok(false);
        }
        let other = Seen::new(&other, &longer[key.directory.len()..]);
        let signature = Signature::new(&other);
        if place.known(&other) != Known::Unlike || signature.likeness(seen) != Likeness::Same {
            return Ok(false);
        }
        let begin = path.trim_end_matches('/');
        let begin = begin.strip_suffix(&*key.extension).unwrap_or(begin);
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.push((begin.to_owned(), signature));
        Ok(true)
    }

    fn has_rule(&self, path: &str, seen: &Seen) -> bool {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rules = rules.iter();
        rules.any(|(begin, signature)| {
            path.starts_with(begin) && signature.likeness(seen) == Likeness::Same
        })
    }

    /// What the server says that may be done with a path.
    async fn methods(&self, path: &str) -> Option<Vec<String>> {
        let answer = self.sender.ask(http::Method::OPTIONS, path).await.ok()?;
        let allowed = answer.header(&http::header::ALLOW)?.split(',');
        let mut names: Vec<_> = allowed
            .map(|name| name.trim().to_ascii_uppercase())
            .collect();
        names.retain(|name| name.len() <= 20 && name.bytes().all(|b| b.is_ascii_uppercase()));
        names.truncate(20);
        Some(names)
    }

    /// What counts as a directory: a path that redirects to itself with a slash; one with a slash that is
    /// answered; and one without an extension whose form with a slash is answered otherwise, while a
    /// name made up below it is answered unlike either. A page that ignores what follows its path, or
    /// the slash, is none.
    async fn is_directory(
        &self,
        path: &str,
        key: &PlaceKey,
        answer: &Answer,
        seen: &Seen,
    ) -> Result<bool, FetchError> {
        let with_slash = match path.strip_suffix('/') {
            Some(_) => path.to_owned(),
            None => format!("{path}/"),
        };
        if path.contains('?') {
            return Ok(false);
        }
        if let Some(location) = &answer.location {
            return Ok(*location == with_slash);
        }
        if !key.extension.is_empty() || !matches!(answer.status, 200 | 401 | 403) {
            return Ok(false);
        }
        if self.force {
            return Ok(true);
        }
        let relative = |path: &str| path[key.directory.len()..].to_owned();
        if !key.slash {
            let slash = self.sender.get(&with_slash).await?;
            if !matches!(slash.status, 200 | 401 | 403) {
                return Ok(false);
            }
            let there = Seen::new(&slash, &relative(&with_slash));
            let place = self.place(&PlaceKey::of(&with_slash)).await?;
            let same = Signature::new(&there).likeness(seen) == Likeness::Same;
            if same || place.known(&there) != Known::Unlike {
                return Ok(false);
            }
        }
        let below = format!("{with_slash}{}", random_name(9));
        let below_answer = self.sender.get(&below).await?;
        if below_answer.is_gone() {
            return Ok(true);
        }
        let below = Signature::new(&Seen::new(&below_answer, &relative(&below)));
        Ok(below.likeness(seen) != Likeness::Same)
    }
}

/// A name that nothing has: lower-case letters that are no words.
pub(super) fn random_name(length: usize) -> String {
    let letters = b"bcdfghjklmnpqrstvwxzaeiouy";
    let letter = |_| char::from(letters[rand::random_range(0..letters.len())]);
    (0..length).map(letter).collect()
}
