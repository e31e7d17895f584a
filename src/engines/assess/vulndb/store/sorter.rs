use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Memory for what is not yet on disk. More of it makes nothing faster.
const ARENA: usize = 48 << 20;
/// Runs that are merged at once; each has an unpacker open.
const RUNS: usize = 32;

/// Sorts more than fits into memory by key; what has the same key stays in the order in which it came.
pub struct Sorter {
    directory: PathBuf,
    arena: Vec<u8>,
    /// Key, and where in the arena.
    entries: Vec<(u64, u32, u32)>,
    runs: Vec<File>,
    most: usize,
}

impl Sorter {
    /// Temporary files go to this directory, and are gone with the process.
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            arena: Vec::new(),
            entries: Vec::new(),
            runs: Vec::new(),
            most: ARENA,
        }
    }

    /// With less memory.
    #[cfg(test)]
    pub fn with_memory(directory: &Path, most: usize) -> Self {
        Self {
            most,
            ..Self::new(directory)
        }
    }

    /// Takes an entry.
    pub fn push(&mut self, key: u64, bytes: &[u8]) -> io::Result<()> {
        let too_long = |_| io::Error::other("an entry of 4 GiB");
        let at = u32::try_from(self.arena.len()).map_err(too_long)?;
        let length = u32::try_from(bytes.len()).map_err(too_long)?;
        self.arena.extend_from_slice(bytes);
        self.entries.push((key, at, length));
        if self.arena.len() + self.entries.len() * 16 >= self.most {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        // By place where the keys are the same: the order in which they came.
        self.entries.sort_unstable();
        let file = tempfile::tempfile_in(&self.directory)?;
        let mut out = zstd::Encoder::new(BufWriter::new(file), 1)?;
        for (key, at, length) in self.entries.drain(..) {
            let bytes = &self.arena[at as usize..at as usize + length as usize];
            write_entry(&mut out, key, bytes)?;
        }
        self.arena.clear();
        self.runs.push(
            out.finish()?
                .into_inner()
                .map_err(io::IntoInnerError::into_error)?,
        );
        if self.runs.len() > RUNS {
            self.compact()?;
        }
        Ok(())
    }

    /// All runs become one.
    fn compact(&mut self) -> io::Result<()> {
        let mut merge = Merge::new(std::mem::take(&mut self.runs))?;
        let file = tempfile::tempfile_in(&self.directory)?;
        let mut out = zstd::Encoder::new(BufWriter::new(file), 1)?;
        while let Some((key, bytes)) = merge.next()? {
            write_entry(&mut out, key, &bytes)?;
        }
        self.runs.push(
            out.finish()?
                .into_inner()
                .map_err(io::IntoInnerError::into_error)?,
        );
        Ok(())
    }

    /// All entries in order.
    pub fn finish(mut self) -> io::Result<Merge> {
        if !self.entries.is_empty() {
            self.spill()?;
        }
        // What it held is not needed any more.
        self.arena = Vec::new();
        self.entries = Vec::new();
        Merge::new(self.runs)
    }
}

/// Writes an entry: key, length, bytes.
pub fn write_entry(out: &mut impl Write, key: u64, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    out.write_all(&key.to_le_bytes())?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(bytes)
}

/// Reads what `write_entry` wrote; `None` at the end.
pub fn read_entry(from: &mut impl Read) -> io::Result<Option<(u64, Vec<u8>)>> {
    let mut head = [0; 12];
    let first = from.read(&mut head[..1])?;
    if first == 0 {
        return Ok(None);
    }
    from.read_exact(&mut head[1..])?;
    let [k0, k1, k2, k3, k4, k5, k6, k7, l0, l1, l2, l3] = head;
    let key = u64::from_le_bytes([k0, k1, k2, k3, k4, k5, k6, k7]);
    let mut bytes = vec![0; u32::from_le_bytes([l0, l1, l2, l3]) as usize];
    from.read_exact(&mut bytes)?;
    Ok(Some((key, bytes)))
}

type Run = BufReader<zstd::Decoder<'static, BufReader<File>>>;

/// Starts to read a file of entries that was written through zstd.
pub fn unpack(mut file: File) -> io::Result<Run> {
    file.seek(SeekFrom::Start(0))?;
    Ok(BufReader::new(zstd::Decoder::new(file)?))
}

/// Sorted runs as one.
pub struct Merge {
    runs: Vec<Run>,
    heads: BinaryHeap<Reverse<(u64, usize, Vec<u8>)>>,
}

impl Merge {
    fn new(files: Vec<File>) -> io::Result<Self> {
        let mut runs = Vec::with_capacity(files.len());
        let mut heads = BinaryHeap::new();
        for (at, file) in files.into_iter().enumerate() {
            let mut run = unpack(file)?;
            if let Some((key, bytes)) = read_entry(&mut run)? {
                heads.push(Reverse((key, at, bytes)));
            }
            runs.push(run);
        }
        Ok(Self { runs, heads })
    }

    /// The next entry.
    pub fn next(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        let Some(Reverse((key, at, bytes))) = self.heads.pop() else {
            return Ok(None);
        };
        if let Some((key, bytes)) = read_entry(&mut self.runs[at])? {
            self.heads.push(Reverse((key, at, bytes)));
        }
        Ok(Some((key, bytes)))
    }

    /// The next key and all that came with it, in the order in which it came.
    pub fn group(&mut self) -> io::Result<Option<(u64, Vec<Vec<u8>>)>> {
        let Some((key, first)) = self.next()? else {
            return Ok(None);
        };
        let mut group = vec![first];
        while self
            .heads
            .peek()
            .is_some_and(|Reverse((other, ..))| *other == key)
        {
            group.extend(self.next()?.map(|(_, bytes)| bytes));
        }
        Ok(Some((key, group)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]

        #[test]
        fn sorted_and_stable(entries in prop::collection::vec((0_u64..20, prop::collection::vec(any::<u8>(), 0..40)), 0..400)) {
            let place = tempfile::tempdir().unwrap();
            let mut sorter = Sorter::with_memory(place.path(), 400);
            for (key, bytes) in &entries {
                sorter.push(*key, bytes).unwrap();
            }
            let mut merge = sorter.finish().unwrap();
            let mut sorted = Vec::new();
            while let Some((key, group)) = merge.group().unwrap() {
                sorted.extend(group.into_iter().map(|bytes| (key, bytes)));
            }
            let mut expected = entries;
            expected.sort_by_key(|(key, _)| *key);
            prop_assert_eq!(sorted, expected);
        }
    }
}
