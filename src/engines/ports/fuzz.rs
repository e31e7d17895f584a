//! What the fuzz targets share: inputs made of real ones, and what must hold of all of them.
//!
//! A target is a test in a module called `fuzz_tests`. A few thousand inputs of it run under `cargo test`,
//! ten minutes under `make fuzz`; guided by coverage, `cargo bolero test PATH::OF::THE::TARGET`.

use std::panic::RefUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bolero::TypeGenerator;
use rustix::time::{ClockId, clock_gettime};

/// More than this is read of no answer: inputs grow to it and no further.
const LARGEST: usize = 16 * 1024;

/// Processor time that one input may take, in a debug build. Those of the largest size take a few
/// milliseconds where nothing is wrong.
const LONGEST: Duration = Duration::from_secs(2);

/// A change of an input: where, with what, and which.
#[derive(Debug, Clone, TypeGenerator)]
struct Edit {
    at: u16,
    byte: u8,
    kind: u8,
}

/// A real input with some bytes changed, cut, moved and doubled, or any bytes at all.
#[derive(Debug, Clone, TypeGenerator)]
pub struct Input {
    seed: u8,
    edits: Vec<Edit>,
    cut: u16,
    tail: Vec<u8>,
    grow: u8,
}

/// Bytes at which lengths, numbers and texts break.
const INTERESTING: [u8; 16] = [
    0, 1, 2, 4, 16, 0x7f, 0x80, 0x81, 0x84, 0xfe, 0xff, 0x1b, 0x9b, b'\n', b'\\', b'<',
];

/// As many changes of one input.
const MOST_EDITS: usize = 8;

impl Input {
    /// The bytes.
    pub fn bytes(&self, seeds: &[&[u8]]) -> Vec<u8> {
        let seed = usize::from(self.seed) % (seeds.len() + 1);
        let mut bytes = seeds.get(seed).map_or_else(Vec::new, |seed| seed.to_vec());
        for edit in self.edits.iter().take(MOST_EDITS) {
            edit.apply(&mut bytes);
        }
        if self.cut & 3 == 0 {
            bytes.truncate(usize::from(self.cut >> 2) % (bytes.len() + 1));
        }
        // Most of what is wrong is found without; not all seeds shall end in noise.
        if self.seed & 0x40 != 0 || bytes.is_empty() {
            bytes.extend(&self.tail);
        }
        if self.grow == 0 && !bytes.is_empty() {
            let all = bytes.iter().copied().cycle().take(LARGEST);
            bytes = all.collect();
        }
        bytes
    }
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let Some(at) = usize::from(self.at).checked_rem(bytes.len()) else {
            return;
        };
        let value = match self.kind & 8 {
            0 => self.byte,
            _ => INTERESTING[usize::from(self.byte) % INTERESTING.len()],
        };
        match self.kind & 7 {
            0..=3 => bytes[at] = value,
            4 => bytes[at] ^= 1 << (self.byte & 7),
            5 => bytes.insert(at, value),
            6 => {
                bytes.remove(at);
            }
            // A piece of it once more.
            _ => {
                let end = bytes.len().min(at + 1 + usize::from(self.byte & 63));
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

/// Runs a check over inputs that are made of these seeds, the seeds first.
pub fn fuzz(seeds: &[&[u8]], check: impl Fn(&[u8]) + RefUnwindSafe) {
    seeds.iter().for_each(|seed| check(seed));
    let (count, slowest) = (AtomicU64::new(0), AtomicU64::new(0));
    let start = Instant::now();
    bolero::check!()
        .with_type::<Input>()
        .with_iterations(2000)
        .with_test_time(Duration::from_millis(300))
        .for_each(|input: &Input| {
            let bytes = input.bytes(seeds);
            let before = processor_time();
            check(&bytes);
            let took = processor_time().saturating_sub(before);
            assert!(took < LONGEST, "{took:?} for {} bytes", bytes.len());
            count.fetch_add(1, Relaxed);
            slowest.fetch_max(u64::try_from(took.as_micros()).unwrap(), Relaxed);
        });
    if std::env::var_os("BOLERO_RANDOM_TEST_TIME_MS").is_some() {
        let (count, seconds) = (count.into_inner(), start.elapsed().as_secs_f64());
        eprintln!(
            "{}: {count} inputs in {seconds:.0} s, the slowest {} µs",
            std::thread::current().name().unwrap_or("?"),
            slowest.into_inner()
        );
    }
}

/// The processor time of this thread: what others do to the machine is no fault of a parser.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}

/// A text that came from a stranger can be shown: it steers no terminal, turns nothing around, hides
/// nothing, and is not long.
#[track_caller]
pub fn is_fit_to_show(text: &str, most: usize) {
    let count = text.chars().count();
    assert!(count <= most, "{count} characters: {text:?}");
    // Nearly all of it is ASCII, and there may be much of it.
    let acts = |c: char| !matches!(c, ' '..='~') && crate::api::hides(c);
    assert!(!text.contains(acts), "{text:?}");
}
