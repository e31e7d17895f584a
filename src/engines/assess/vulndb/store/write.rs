use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::super::model::{Advisory, Configuration, Cve};
use super::Info;
use super::format::{self, Criterion, HEADER, Place, SECTIONS, Section};
use super::sorter::{Sorter, read_entry, unpack, write_entry};

/// Bytes of records by which zstd learns how they look.
const SAMPLES: usize = 6 << 20;
/// Of one record, so that none of them teaches all.
const SAMPLE: usize = 4 << 10;
/// Bytes of the dictionary.
const DICTIONARY: usize = 96 << 10;
/// How hard zstd tries: more costs more time than it saves room.
const LEVEL: i32 = 6;

/// Takes CVEs in order and makes a file of them.
pub struct Writer {
    /// Heads and tails, unpacked, until the dictionary is known.
    records: zstd::Encoder<'static, BufWriter<File>>,
    criteria: Sorter,
    samples: Vec<u8>,
    lengths: Vec<usize>,
    count: u32,
    info: Info,
}

/// What is affected, by source.
pub type Tail = (Vec<Configuration>, Vec<Configuration>);

impl Writer {
    /// Temporary files go to this directory.
    pub fn new(directory: &Path, info: Info) -> io::Result<Self> {
        let file = tempfile::tempfile_in(directory)?;
        Ok(Self {
            records: zstd::Encoder::new(BufWriter::new(file), 1)?,
            criteria: Sorter::new(directory),
            samples: Vec::new(),
            lengths: Vec::new(),
            count: 0,
            info,
        })
    }

    /// The next CVE, whose key is greater than that of all before.
    pub fn push(&mut self, key: u64, mut cve: Cve) -> io::Result<()> {
        self.count_parts(&cve);
        if !cve.is_rejected() {
            self.push_criteria(&cve)?;
        }
        let take = |advisory: &mut Option<Advisory>| {
            let configurations = advisory
                .as_mut()
                .map(|a| std::mem::take(&mut a.configurations));
            configurations.unwrap_or_default()
        };
        let tail: Tail = (take(&mut cve.nvd), take(&mut cve.cna));
        // With the number, so that a place that is wrong leads to no other CVE.
        let head = postcard::to_stdvec(&(key, &cve)).map_err(io::Error::other)?;
        let tail = match tail {
            (nvd, cna) if nvd.is_empty() && cna.is_empty() => Vec::new(),
            tail => postcard::to_stdvec(&tail).map_err(io::Error::other)?,
        };
        for bytes in [&head, &tail] {
            self.sample(key, bytes);
        }
        write_entry(&mut self.records, key, &head)?;
        write_entry(&mut self.records, key, &tail)?;
        self.count += 1;
        Ok(())
    }

    fn count_parts(&mut self, cve: &Cve) {
        let info = &mut self.info;
        info.cves += 1;
        info.rejected += u64::from(cve.is_rejected());
        let mut count = |name: &str, there: bool, newest: Option<i64>| {
            if there {
                let part = info.parts.entry(name.to_owned()).or_default();
                part.cves += 1;
                let newest = newest.and_then(super::super::time);
                part.date = part
                    .date
                    .take()
                    .max(newest.map(|t| t.format("%F").to_string()));
            }
        };
        count(
            "nvd",
            cve.nvd.is_some(),
            cve.nvd.as_ref().map(|a| a.modified),
        );
        count(
            "cve",
            cve.cna.is_some(),
            cve.cna.as_ref().map(|a| a.modified),
        );
        count("kev", cve.kev.is_some(), None);
        count("epss", cve.epss.is_some(), None);
        let mut names: Vec<&str> = cve
            .fixes
            .iter()
            .map(|fix| fix.distribution.name())
            .collect();
        names.dedup();
        names.into_iter().for_each(|name| count(name, true, None));
    }

    fn push_criteria(&mut self, cve: &Cve) -> io::Result<()> {
        for configuration in cve.configurations() {
            let condition =
                configuration.nodes.len() > 1 || configuration.nodes.iter().any(|n| n.negate);
            let matches = configuration.nodes.iter().flat_map(|node| &node.any_of);
            for found in matches.filter(|found| found.vulnerable) {
                let criterion = Criterion::new(self.count, found.part, &found.versions, condition);
                let bytes = postcard::to_stdvec(&(found.product.as_str(), criterion));
                let bytes = bytes.map_err(io::Error::other)?;
                self.criteria
                    .push(format::product_hash(&found.product), &bytes)?;
                self.info.criteria += 1;
            }
        }
        Ok(())
    }

    /// One in some, always the same ones: the file shall come out the same again.
    fn sample(&mut self, key: u64, bytes: &[u8]) {
        let chosen = xxh3_64(&key.to_le_bytes()).is_multiple_of(24) || self.count < 2000;
        if chosen && !bytes.is_empty() && self.samples.len() < SAMPLES {
            let bytes = &bytes[..bytes.len().min(SAMPLE)];
            self.samples.extend(bytes);
            self.lengths.push(bytes.len());
        }
    }

    /// Writes the file, and answers with what is in it.
    pub fn finish(self, file: &mut File) -> io::Result<Info> {
        // Too few to learn from: each record by itself.
        let dictionary = zstd::dict::from_continuous(&self.samples, &self.lengths, DICTIONARY)
            .unwrap_or_default();
        drop((self.samples, self.lengths));
        let mut out = Out::new(file)?;
        let mut compressor = zstd::bulk::Compressor::with_dictionary(LEVEL, &dictionary)?;
        compressor.include_checksum(true)?;
        let packed = self.records.finish()?.into_inner();
        let mut records = unpack(packed.map_err(io::IntoInnerError::into_error)?)?;
        let mut cves = Vec::with_capacity(self.count as usize * format::CVE);
        while let Some((key, head)) = read_entry(&mut records)? {
            let Some((_, tail)) = read_entry(&mut records)? else {
                break;
            };
            let offset = out.at;
            cves.extend(key.to_le_bytes());
            cves.extend(offset.to_le_bytes());
            for bytes in [head, tail] {
                let packed = match bytes.as_slice() {
                    [] => Vec::new(),
                    bytes => compressor.compress(bytes)?,
                };
                out.write(&packed)?;
                cves.extend(
                    u32::try_from(packed.len())
                        .map_err(io::Error::other)?
                        .to_le_bytes(),
                );
            }
        }
        drop(records);
        out.end(Section::Records);
        out.section(Section::Cves, &cves)?;
        drop(cves);
        out.section(Section::Dictionary, &dictionary)?;
        let mut info = self.info;
        let products = criteria(self.criteria, &mut out)?;
        out.end(Section::Criteria);
        info.products = products.len() as u64;
        out.products(&products)?;
        let text = serde_json::to_vec(&info).map_err(io::Error::other)?;
        out.section(Section::Info, &text)?;
        info.size = out.finish()?;
        Ok(info)
    }
}

struct Product {
    hash: u64,
    offset: u64,
    length: u64,
    check: u64,
}

/// Writes each product's name and criteria.
fn criteria(sorter: Sorter, out: &mut Out) -> io::Result<Vec<Product>> {
    let mut merge = sorter.finish()?;
    let mut products = Vec::new();
    while let Some((hash, group)) = merge.group()? {
        // Of one name, but for those who look for names of the same hash.
        let mut lists: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for bytes in group {
            let (name, criterion): (&str, Criterion) =
                postcard::from_bytes(&bytes).map_err(io::Error::other)?;
            let list = match lists.get_mut(name) {
                Some(list) => list,
                None => {
                    let start = postcard::to_stdvec(name).map_err(io::Error::other)?;
                    lists.entry(name.to_owned()).or_insert(start)
                }
            };
            *list =
                postcard::to_extend(&criterion, std::mem::take(list)).map_err(io::Error::other)?;
        }
        for bytes in lists.into_values() {
            products.push(Product {
                hash,
                offset: out.at,
                length: bytes.len() as u64,
                check: xxh3_64(&bytes),
            });
            out.write(&bytes)?;
        }
    }
    Ok(products)
}

/// The file, as far as it is written.
struct Out<'a> {
    file: BufWriter<&'a mut File>,
    at: u64,
    start: u64,
    hash: Xxh3,
    places: [Place; SECTIONS],
}

impl<'a> Out<'a> {
    fn new(file: &'a mut File) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(256 * 1024, file);
        file.write_all(&[0; HEADER])?;
        Ok(Self {
            file,
            at: HEADER as u64,
            start: HEADER as u64,
            hash: Xxh3::new(),
            places: [Place::default(); SECTIONS],
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.at += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// What was written since the last section is this one.
    fn end(&mut self, section: Section) {
        self.places[section as usize] = Place {
            offset: self.start,
            length: self.at - self.start,
            hash: self.hash.digest(),
        };
        self.start = self.at;
        self.hash = Xxh3::new();
    }

    fn section(&mut self, section: Section, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes)?;
        self.end(section);
        Ok(())
    }

    fn products(&mut self, products: &[Product]) -> io::Result<()> {
        for product in products {
            for number in [product.hash, product.offset, product.length, product.check] {
                self.write(&number.to_le_bytes())?;
            }
        }
        self.end(Section::Products);
        let bits = format::bucket_bits(products.len() as u64);
        let mut at = 0;
        for bucket in 0..=1_u64 << bits {
            while products
                .get(at)
                .is_some_and(|p| format::bucket(p.hash, bits) < bucket)
            {
                at += 1;
            }
            self.write(&u32::try_from(at).map_err(io::Error::other)?.to_le_bytes())?;
        }
        self.end(Section::Buckets);
        Ok(())
    }

    fn finish(mut self) -> io::Result<u64> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file
            .write_all(&format::header(&self.places, self.at))?;
        self.file.flush()?;
        Ok(self.at)
    }
}
