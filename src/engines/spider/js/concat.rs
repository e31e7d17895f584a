/// A literal that is being put together: `"/user/" + id + "/edit"`, `` `/user/${id}` ``.
#[derive(Debug)]
pub(super) struct Concat {
    pub(super) text: String,
    pub(super) offset: usize,
    /// After a `+`.
    pub(super) expects: bool,
}

/// What stands for a value that is not known.
const HOLE: &str = "{}";

impl Concat {
    pub(super) fn new(offset: usize, behind_value: bool) -> Self {
        let text = if behind_value {
            HOLE.to_owned()
        } else {
            String::new()
        };
        Self {
            text,
            offset,
            expects: false,
        }
    }

    pub(super) fn push(&mut self, piece: &str) {
        self.expects = false;
        // What is longer is no URL; one more byte says so.
        if self.text.len() <= super::literal::LONGEST {
            self.text.push_str(piece);
        }
    }

    /// A value that is not known; two in a row are one.
    pub(super) fn hole(&mut self) {
        self.expects = false;
        if !self.text.ends_with(HOLE) {
            self.push(HOLE);
        }
    }

    /// The whole text. What it begins with is a base that is not known, when a path follows.
    pub(super) fn finish(self) -> String {
        match self.text.strip_prefix(HOLE) {
            Some(path) if path.starts_with('/') => path.to_owned(),
            _ => self.text,
        }
    }
}
