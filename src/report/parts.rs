//! The parts of the targets, kept in a file without a name until it is known what goes before them.
//!
//! Where there is room for some only, those of the worst targets stay: the file is made anew whenever it has
//! grown to several times that room, so it takes no more of the disk, however many targets there are.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use uuid::Uuid;

use super::facts::{Counts, Subject};
use super::{AtLength, Text};
use crate::api::RiskLevel;

/// How often the room that there is the file takes before it is made anew.
const GROWS_TO: u64 = 4;

/// Longest name of a target in the list of all, characters; those of the DNS are not longer.
const NAME_LONGEST: usize = 255;

/// A target in the list of all.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) id: Uuid,
    pub(super) target: Text,
    pub(super) group: Option<Text>,
    /// The risk that the assessment says; none: nobody has assessed it.
    pub(super) risk: Option<RiskLevel>,
    /// The highest priority of what is open.
    pub(super) score: f64,
    /// What is open and told, by severity.
    pub(super) open: Counts,
    /// Its part is in the report.
    pub(super) told: bool,
    worst: Option<RiskLevel>,
    at: u64,
    length: u64,
}

impl Part {
    /// The entry of a target.
    pub(super) fn of(subject: &Subject) -> Self {
        let mut open = Counts::new();
        for issue in subject.open_issues() {
            *open.entry(issue.severity).or_default() += 1;
        }
        Self {
            id: subject.eggrecord_id,
            target: Text::cut(subject.target.raw(), NAME_LONGEST),
            group: (subject.group.as_ref()).map(|group| Text::cut(group.raw(), NAME_LONGEST)),
            risk: subject.risk_level,
            score: subject
                .open_issues()
                .map(|issue| issue.score())
                .fold(0.0, f64::max),
            open,
            told: true,
            worst: subject.worst(),
            at: 0,
            length: 0,
        }
    }
}

/// All parts.
#[derive(Debug)]
pub(super) struct Parts {
    file: BufWriter<File>,
    length: u64,
    parts: Vec<Part>,
    wanted: AtLength,
    /// The file is made anew when it is longer.
    anew_at: u64,
}

impl Parts {
    pub(super) fn new(wanted: AtLength) -> io::Result<Self> {
        Ok(Self {
            file: BufWriter::new(unnamed()?),
            length: 0,
            parts: Vec::new(),
            wanted,
            anew_at: match wanted {
                AtLength::Bytes(room) => room.saturating_mul(GROWS_TO),
                AtLength::Worst(_) | AtLength::All => u64::MAX,
            },
        })
    }

    /// How many bytes they are.
    pub(super) fn size(&self) -> u64 {
        self.length
    }

    /// Adds one; a text without anything in it is no part of the report, but one of the list.
    pub(super) fn add(&mut self, part: Part, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        let length = text.len() as u64;
        let at = self.length;
        self.length += length;
        self.parts.push(Part { at, length, ..part });
        match self.length > self.anew_at {
            true => self.make_anew(),
            false => Ok(()),
        }
    }

    /// Leaves out what there is no room for, now that all are there.
    pub(super) fn choose(&mut self) {
        self.sort();
        let told = self.fitting();
        for part in &mut self.parts[told..] {
            (part.told, part.length) = (false, 0);
        }
    }

    /// How many of the first there is room for: one at least. What was left out once stays so, as more
    /// targets leave no more room for it.
    fn fitting(&self) -> usize {
        let most = match self.wanted {
            AtLength::Worst(most) => most,
            AtLength::Bytes(_) | AtLength::All => usize::MAX,
        };
        let room = match self.wanted {
            AtLength::Bytes(room) => room,
            AtLength::Worst(_) | AtLength::All => u64::MAX,
        };
        let mut taken: u64 = 0;
        let fits = self.parts.iter().enumerate().take_while(|(at, part)| {
            taken = taken.saturating_add(part.length);
            part.told && *at < most && (taken <= room || *at == 0)
        });
        fits.count()
    }

    /// Writes what there is room for into a new file.
    fn make_anew(&mut self) -> io::Result<()> {
        self.choose();
        let mut file = BufWriter::new(unnamed()?);
        self.copy("", &mut file)?;
        self.file = file;
        self.length = 0;
        for part in self.parts.iter_mut().filter(|part| part.told) {
            part.at = self.length;
            self.length += part.length;
        }
        self.anew_at = self.anew_at.max(self.length.saturating_mul(GROWS_TO));
        Ok(())
    }

    /// First the worst.
    fn sort(&mut self) {
        self.parts.sort_by(|a, b| {
            (b.worst.cmp(&a.worst))
                .then_with(|| b.score.total_cmp(&a.score))
                .then_with(|| a.target.cmp(&b.target))
                .then_with(|| a.id.cmp(&b.id))
        });
    }

    pub(super) fn all(&self) -> &[Part] {
        &self.parts
    }

    /// Writes them one after the other, with something between them.
    pub(super) fn copy(&mut self, between: &str, out: &mut dyn Write) -> io::Result<()> {
        self.file.flush()?;
        let mut file = self.file.get_ref();
        let mut first = true;
        for part in self.parts.iter().filter(|part| part.length > 0) {
            if !first {
                out.write_all(between.as_bytes())?;
            }
            first = false;
            file.seek(SeekFrom::Start(part.at))?;
            let mut text = BufReader::new(file.take(part.length));
            let copied = io::copy(&mut text, out)?;
            if copied != part.length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}

/// Where large files are to go that nobody keeps (systemd's file-hierarchy(7)): /tmp may be in memory.
const LARGE: &str = "/var/tmp";

fn unnamed() -> io::Result<File> {
    match std::env::var_os("TMPDIR") {
        Some(_) => tempfile::tempfile(),
        None => tempfile::tempfile_in(LARGE).or_else(|_| tempfile::tempfile()),
    }
}
