use std::sync::Arc;

use super::place::Place;
use super::queue::JobId;
use super::report::Source;
use super::words::EXTENSION_MARK;

/// One path to ask for.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// The whole path, percent-encoded.
    pub path: String,
    /// Where the part begins that is below the directory being enumerated.
    pub below: usize,
    /// The job that it is of.
    pub job: JobId,
    /// Its place in the job's list.
    pub position: u64,
    /// Directories between the base and it.
    pub depth: u32,
    /// Where it comes from.
    pub source: Source,
    /// What is not there in that directory.
    pub base: Arc<Place>,
}

/// The words of a list with their extensions: each word has a place for itself and one for it with each
/// extension.
pub(super) fn word_at(word: &str, variant: usize, extensions: &[String]) -> Option<String> {
    let extension = variant.checked_sub(1).map(|i| &extensions[i]);
    if word.contains(EXTENSION_MARK) {
        return Some(word.replace(EXTENSION_MARK, extension?));
    }
    let Some(extension) = extension else {
        return Some(word.to_owned());
    };
    let name = word.rsplit('/').next().unwrap_or_default();
    // A name with a dot has its extension, and a directory needs none.
    let plain = !name.is_empty() && !name.contains(['.', '?']);
    plain.then(|| format!("{word}.{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_go_where_they_may() {
        let extensions = ["php".to_owned(), "bak".to_owned()];
        let all = |word| -> Vec<_> {
            (0..3)
                .filter_map(|variant| word_at(word, variant, &extensions))
                .collect()
        };
        assert_eq!(all("admin"), ["admin", "admin.php", "admin.bak"]);
        assert_eq!(all("index.%EXT%"), ["index.php", "index.bak"]);
        assert_eq!(all("robots.txt"), ["robots.txt"]);
        assert_eq!(all("images/"), ["images/"]);
        assert_eq!(
            all(".git/HEAD"),
            [".git/HEAD", ".git/HEAD.php", ".git/HEAD.bak"]
        );
    }
}
