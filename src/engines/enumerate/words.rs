use std::hash::BuildHasher;
use std::io::{self, BufRead};

use hashbrown::{DefaultHashBuilder, HashTable};
use serde::{Deserialize, Serialize};

/// Longer words are skipped: servers refuse paths of a few thousand bytes, and nothing is called so.
const LONGEST: usize = 1024;

/// As many words are kept; a longer list is cut off there, with a note.
const MOST_WORDS: usize = 10_000_000;

/// As many bytes of words are kept.
const MOST_BYTES: usize = 256 << 20;

/// What stands for each of the extensions, as in dirsearch's lists.
pub(super) const EXTENSION_MARK: &str = "%EXT%";

/// A list of paths to ask for in each directory, in the order in which they are asked for.
///
/// The words are one text with the places where each ends: a million of them take about their own size
/// and 4 MB. While the list is read, 5 to 10 bytes a word go for finding those that are there twice.
#[derive(Debug, Clone, Default)]
pub struct WordList {
    text: Vec<u8>,
    ends: Vec<u32>,
    notes: WordNotes,
}

/// What was left out of a word list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WordNotes {
    /// Lines of more than 1,024 bytes.
    pub too_long: u64,
    /// Words that were there before.
    pub repeated: u64,
    /// Words that lead out of their directory (`..`) or name nothing.
    pub unusable: u64,
    /// The list is longer than what is kept.
    pub cut_off: bool,
}

impl WordList {
    /// Reads a list, one word a line. Comments begin with `#`; a slash at the beginning is not part of
    /// the word; bytes that a path may not hold are percent-encoded. `%EXT%` stands for each extension.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn read(source: impl BufRead) -> io::Result<Self> {
        Self::read_all([source])
    }

    /// Reads several lists as one, a word that is in more than one only where it is first.
    ///
    /// # Errors
    /// When a source cannot be read.
    pub fn read_all<R: BufRead>(sources: impl IntoIterator<Item = R>) -> io::Result<Self> {
        let mut reader = Reader::default();
        for source in sources {
            reader.read(source)?;
        }
        let mut list = reader.list;
        list.text.shrink_to_fit();
        list.ends.shrink_to_fit();
        Ok(list)
    }

    /// The list that is packaged. See its header for how it was made.
    pub fn packaged() -> Self {
        let text = include_bytes!("../../../packaging/web/paths.txt");
        Self::of_text(text)
    }

    /// A list that is in memory.
    pub fn of_text(text: &[u8]) -> Self {
        // Memory can always be read.
        Self::read(text).unwrap_or_default()
    }

    /// How many words there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The word at a place.
    pub fn get(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)? as usize;
        let start = match at {
            0 => 0,
            at => self.ends[at - 1] as usize,
        };
        // Only ASCII is put in.
        std::str::from_utf8(&self.text[start..end]).ok()
    }

    /// The words in their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    /// What was left out.
    pub fn notes(&self) -> WordNotes {
        self.notes
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    /// Tells this list from others; the same on every host.
    pub(super) fn hash(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64_with_seed(&self.text, self.ends.len() as u64)
    }
}

#[derive(Default)]
struct Reader {
    list: WordList,
    known: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Reader {
    fn read(&mut self, mut source: impl BufRead) -> io::Result<()> {
        let mut line = Vec::with_capacity(256);
        let mut begin = true;
        while !self.list.notes.cut_off {
            line.clear();
            let mut whole = read_line(&mut source, &mut line)?;
            if line.is_empty() && whole == Line::End {
                return Ok(());
            }
            if begin && line.starts_with(b"\xef\xbb\xbf") {
                line.drain(..3);
            }
            begin = false;
            let word = line.trim_ascii();
            if word.first() == Some(&b'#') || word.is_empty() {
                continue;
            }
            let word = encode(word.strip_prefix(b"/").unwrap_or(word));
            if word.len() > LONGEST {
                whole = Line::TooLong;
            }
            match whole {
                Line::TooLong => self.list.notes.too_long += 1,
                _ => self.take(&word),
            }
        }
        Ok(())
    }

    fn take(&mut self, word: &[u8]) {
        let list = &mut self.list;
        if !is_usable(word) {
            list.notes.unusable += 1;
            return;
        }
        if list.len() == MOST_WORDS || list.text.len() + word.len() > MOST_BYTES {
            list.notes.cut_off = true;
            return;
        }
        let hash = self.hasher.hash_one(word);
        let same = |at: &u32| list.get(*at as usize).is_some_and(|w| w.as_bytes() == word);
        if self.known.find(hash, same).is_some() {
            list.notes.repeated += 1;
            return;
        }
        // Both are below the limits above, which are below 2³².
        let (Ok(at), Ok(end)) = (
            u32::try_from(list.len()),
            u32::try_from(list.text.len() + word.len()),
        ) else {
            return;
        };
        list.text.extend_from_slice(word);
        list.ends.push(end);
        let hasher = &self.hasher;
        self.known.insert_unique(hash, at, |at| {
            hasher.hash_one(list.get(*at as usize).unwrap_or_default().as_bytes())
        });
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Whole,
    TooLong,
    End,
}

/// Reads up to the end of a line, of which no more is kept than can be used.
fn read_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    let mut state = Line::Whole;
    loop {
        let buffer = source.fill_buf()?;
        if buffer.is_empty() {
            return Ok(match state {
                Line::TooLong => state,
                _ => Line::End,
            });
        }
        let end = memchr::memchr(b'\n', buffer);
        let piece = &buffer[..end.unwrap_or(buffer.len())];
        let room = LONGEST + 3 - line.len();
        line.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() > room {
            state = Line::TooLong;
        }
        let used = piece.len() + usize::from(end.is_some());
        source.consume(used);
        if end.is_some() {
            return Ok(state);
        }
    }
}

/// A word as it may stand in a request line. What is percent-encoded already stays so.
pub(super) fn encode(word: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(word.len());
    for (i, byte) in word.iter().enumerate() {
        let rest = &word[i + 1..];
        let escape = match byte {
            b'%' => {
                let hex = rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit);
                !(hex || rest.starts_with(b"EXT%") || word[..=i].ends_with(b"%EXT%"))
            }
            b'"' | b'#' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => true,
            byte => !byte.is_ascii_graphic(),
        };
        if escape {
            out.extend(format!("%{byte:02X}").bytes());
        } else {
            out.push(*byte);
        }
    }
    out
}

/// Whether a word names something below its directory: dots do not, neither plain nor encoded, nor do two
/// slashes.
pub(super) fn is_usable(word: &[u8]) -> bool {
    let path = word.split(|byte| *byte == b'?').next().unwrap_or_default();
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let mut segments = path.split(|byte| *byte == b'/');
    !path.is_empty()
        && segments.all(|segment| {
            let plain = super::echo::decode(segment);
            !plain.is_empty() && plain != b"." && plain != b".."
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[u8]) -> (Vec<String>, WordNotes) {
        let list = WordList::of_text(text);
        (list.iter().map(str::to_owned).collect(), list.notes())
    }

    #[test]
    fn lists_of_all_kinds_are_read() {
        let long = "x".repeat(LONGEST + 1);
        let text = format!(
            "\u{feff}# a list\r\nadmin\r\n\r\n/login.%EXT%\nadmin\n../x\n%2e%2E/y\na b\n100%\ncaf\u{e9}\n{long}\n#x\nlast"
        );
        let (words, notes) = words(text.as_bytes());
        let expected = [
            "admin",
            "login.%EXT%",
            "a%20b",
            "100%25",
            "caf%C3%A9",
            "last",
        ];
        assert_eq!(words, expected);
        let counts = (
            notes.too_long,
            notes.repeated,
            notes.unusable,
            notes.cut_off,
        );
        assert_eq!(counts, (1, 1, 2, false));
    }

    #[test]
    fn bytes_that_are_no_text_are_encoded() {
        assert_eq!(words(b"\xff\xfe\x00a\n").0, ["%FF%FE%00a"]);
    }

    #[test]
    fn packaged_list_is_whole() {
        let list = WordList::packaged();
        assert!((8_000..=20_000).contains(&list.len()), "{}", list.len());
        assert_eq!(list.notes(), WordNotes::default());
        assert_eq!(list.get(0), Some("robots.txt"));
    }

    #[test]
    fn million_words_fit() {
        let text: String = (0..1_000_000).map(|i| format!("word-{i:07}\n")).collect();
        let list = WordList::of_text(text.as_bytes());
        assert_eq!(list.len(), 1_000_000);
        assert_eq!(list.get(999_999), Some("word-0999999"));
        assert!(list.bytes() <= 17_000_000, "{}", list.bytes());
    }
}
