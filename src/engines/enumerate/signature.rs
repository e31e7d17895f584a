use super::echo::Echo;
use super::features::Seen;

/// As many bodies of one signature are known by their hash.
const MOST_HASHES: usize = 32;

/// As many tokens belong to what the answers of one signature may hold.
const MOST_WORDS: usize = 65_536;

/// From the so-manieth sample on it is measured what further ones have and lack: before, everything is
/// new.
const SETTLED: u32 = 4;

/// With fewer common tokens than these, having them all says little.
const FEW: usize = 12;

/// What an answer for a path that is not there looks like, learned from some of them.
#[derive(Debug, Clone)]
pub(super) struct Signature {
    status: u16,
    location: Option<Template>,
    raws: Vec<u64>,
    hashes: Vec<u64>,
    /// Tokens that all of them have.
    stable: Vec<u32>,
    /// Tokens that any of them has.
    words: Vec<u32>,
    samples: u32,
    /// The most tokens that a sample had and none before it.
    most_new: usize,
    /// The most tokens that a sample lacked and all before it had.
    most_missing: usize,
    /// The same path, asked for twice, is answered differently.
    pub volatile: bool,
}

/// How an answer compares with a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// It is one of those.
    Same,
    /// It may be: those are so different from each other that they would hide it.
    Perhaps,
    /// It is not.
    Other,
}

impl Signature {
    /// Of the first answer.
    pub fn new(seen: &Seen) -> Self {
        let parts = seen.parts();
        Self {
            status: seen.status,
            location: seen
                .location
                .as_deref()
                .map(|l| Template::new(l, &seen.echo)),
            raws: vec![seen.raw],
            hashes: vec![parts.hash],
            stable: without(&parts.tokens, &parts.own),
            words: without(&parts.tokens, &parts.own),
            samples: 1,
            most_new: 0,
            most_missing: 0,
            volatile: false,
        }
    }

    /// Whether it is of the same status and redirects to the same place, so that only the body can tell.
    pub fn is_akin(&self, seen: &Seen) -> bool {
        self.status == seen.status
            && match (&self.location, &seen.location) {
                (None, None) => true,
                (Some(template), Some(location)) => template.matches(location, &seen.echo),
                _ => false,
            }
    }

    /// Whether it is of redirects.
    pub fn redirects(&self) -> bool {
        self.location.is_some()
    }

    /// Whether the status is that of an answer.
    pub fn has_status(&self, seen: &Seen) -> bool {
        self.status == seen.status
    }

    /// A signature for redirects to wherever begins as all of these do.
    pub fn with_common_begin<'a>(redirects: impl Iterator<Item = &'a Self>, seen: &Seen) -> Self {
        let mut all = Self::new(seen);
        let begins = redirects
            .filter_map(|s| s.location.as_ref())
            .map(Template::begin);
        if let Some(location) = &mut all.location {
            let mut common = location.begin().to_owned();
            for begin in begins {
                let same = common
                    .chars()
                    .zip(begin.chars())
                    .take_while(|(a, b)| a == b);
                let length = same.map(|(c, _)| c.len_utf8()).sum();
                common.truncate(length);
            }
            location.parts = vec![common];
            location.open = true;
        }
        all
    }

    /// Whether it sends to the same path with a slash at its end.
    pub fn appends_slash(&self) -> bool {
        self.location.as_ref().is_some_and(Template::appends_slash)
    }

    /// Whether its samples differ from each other.
    pub fn varies(&self) -> bool {
        self.hashes.len() > 1
    }

    /// Whether one of its samples is the same but for the path.
    pub fn has_body(&self, seen: &Seen) -> bool {
        self.location.is_some() || self.hashes.contains(&seen.parts().hash)
    }

    /// Learns another answer of the kind.
    pub fn learn(&mut self, seen: &Seen) {
        self.samples = self.samples.saturating_add(1);
        let parts = seen.parts();
        if !self.raws.contains(&seen.raw) && self.raws.len() < MOST_HASHES {
            self.raws.push(seen.raw);
        }
        if self.hashes.contains(&parts.hash) {
            return;
        }
        if self.hashes.len() < MOST_HASHES {
            self.hashes.push(parts.hash);
        }
        let tokens = without(&parts.tokens, &parts.own);
        if self.samples > SETTLED {
            let (new, missing) = self.difference(seen);
            self.most_new = self.most_new.max(new);
            self.most_missing = self.most_missing.max(missing);
        }
        // Of its own tokens it is not known whether the template has them as well.
        self.stable
            .retain(|t| holds(&parts.tokens, *t) || holds(&parts.own, *t));
        self.words.extend(tokens);
        self.words.sort_unstable();
        self.words.dedup();
        self.words.truncate(MOST_WORDS);
    }

    /// How many tokens an answer has that none of these has, and lacks that all of these have.
    pub fn difference(&self, seen: &Seen) -> (usize, usize) {
        let parts = seen.parts();
        let new = |t: &&u32| !holds(&self.words, **t) && !holds(&parts.own, **t);
        let missing = |t: &&u32| !holds(&parts.tokens, **t) && !holds(&parts.own, **t);
        (
            parts.tokens.iter().filter(new).count(),
            self.stable.iter().filter(missing).count(),
        )
    }

    /// How an answer compares.
    pub fn likeness(&self, seen: &Seen) -> Likeness {
        if !self.is_akin(seen) {
            return Likeness::Other;
        }
        // What a redirect says besides is of no account.
        let known = self.location.is_some() || self.raws.contains(&seen.raw);
        if known || self.hashes.contains(&seen.parts().hash) {
            return Likeness::Same;
        }
        let (new, missing) = self.difference(seen);
        if new > self.most_new || missing > self.most_missing {
            Likeness::Other
        } else if self.varies() && self.stable.len() < FEW {
            Likeness::Perhaps
        } else {
            Likeness::Same
        }
    }

    /// Whether an answer lacks so much of what all of these have that chance is no explanation.
    pub fn is_far_from(&self, seen: &Seen) -> bool {
        let (_, missing) = self.difference(seen);
        missing > self.most_missing + 2 && missing * 4 > self.stable.len()
    }
}

/// Whether two answers for one path are the same but for a little: a counter, a time.
pub(super) fn is_steady(first: &Seen, second: &Seen) -> bool {
    if first.status != second.status || first.location.is_some() != second.location.is_some() {
        return false;
    }
    let (a, b) = (first.parts(), second.parts());
    if a.hash == b.hash {
        return true;
    }
    let changed = |a: &[u32], b: &[u32]| without(a, b).len() + without(b, a).len();
    if changed(&a.tokens, &b.tokens) * 20 > a.tokens.len() + b.tokens.len() {
        return false;
    }
    // Pages at random of a few dozen words have most of these words each.
    let (a, b) = (first.pairs(), second.pairs());
    changed(&a, &b) * 4 <= a.len() + b.len()
}

fn holds(sorted: &[u32], token: u32) -> bool {
    sorted.binary_search(&token).is_ok()
}

fn without(tokens: &[u32], others: &[u32]) -> Vec<u32> {
    let kept = tokens.iter().filter(|t| !holds(others, **t));
    kept.copied().collect()
}

/// Where answers redirect to, as what stands before, between and after the path that is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Template {
    parts: Vec<String>,
    /// Whatever may follow.
    open: bool,
}

impl Template {
    /// Of a path whose name is random: wherever it stands it is an echo.
    fn new(location: &str, echo: &Echo) -> Self {
        let location = settle(location);
        let stripped = echo.strip(location.as_bytes());
        let text = String::from_utf8_lossy(&stripped);
        let parts = text.split('\u{1}').enumerate();
        let last = text.split('\u{1}').count() - 1;
        // A run of gaps is one.
        let parts = parts.filter(|(i, part)| *i == 0 || *i == last || !part.is_empty());
        Self {
            parts: parts.map(|(_, part)| part.to_owned()).collect(),
            open: false,
        }
    }

    /// Whether a redirect is this one with the path of another request in it.
    fn matches(&self, location: &str, echo: &Echo) -> bool {
        fn go(parts: &[String], rest: &[u8], echo: &Echo, budget: &mut u32) -> bool {
            *budget = budget.saturating_sub(1);
            let Some((first, after)) = parts.split_first() else {
                return rest.is_empty();
            };
            let Some(rest) = rest.strip_prefix(first.as_bytes()) else {
                return false;
            };
            if after.is_empty() || *budget == 0 {
                return rest.is_empty();
            }
            let mut forms = echo.forms();
            forms.any(|form| {
                let (head, tail) = rest.split_at(form.len().min(rest.len()));
                head.eq_ignore_ascii_case(form) && go(after, tail, echo, budget)
            })
        }
        let location = settle(location);
        match self.open {
            true => location.starts_with(self.begin()),
            false => go(&self.parts, location.as_bytes(), echo, &mut 1000),
        }
    }

    fn begin(&self) -> &str {
        self.parts.first().map_or("", String::as_str)
    }

    fn appends_slash(&self) -> bool {
        matches!(&self.parts[..], [before, after] if after == "/" && before.ends_with('/'))
    }
}

/// A redirect without what is different each time: values that look like identifiers.
fn settle(location: &str) -> String {
    let mut out = String::with_capacity(location.len());
    let pieces = location.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    for piece in pieces {
        let word = piece.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        if word.len() >= 16 && digits > 1 {
            out.push('*');
            out.push_str(&piece[word.len()..]);
        } else {
            out.push_str(piece);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_with_the_path_in_it_is_the_same_for_every_path() {
        let seen = Template::new("/login?next=%2Fqwertyuiop", &Echo::new("qwertyuiop"));
        for (path, location) in [
            ("admin", "/login?next=%2Fadmin"),
            ("login", "/login?next=%2Flogin"),
            ("n", "/login?next=%2Fn"),
            ("a.php", "/login?next=%2Fa.php"),
        ] {
            assert!(seen.matches(location, &Echo::new(path)), "{location}");
        }
        for (path, location) in [
            ("admin", "/panel?next=%2Fadmin"),
            ("admin", "/login"),
            ("admin", "/login?next=%2Fother"),
        ] {
            assert!(!seen.matches(location, &Echo::new(path)), "{location}");
        }
    }

    #[test]
    fn slash_at_the_end_is_seen() {
        let slash = Template::new("/a/qwertyuiop/", &Echo::new("qwertyuiop"));
        assert!(slash.appends_slash());
        assert!(slash.matches("/a/x/", &Echo::new("x")));
        assert!(!Template::new("/", &Echo::new("qwertyuiop")).appends_slash());
    }
}
