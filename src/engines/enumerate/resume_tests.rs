use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use proptest::prelude::ProptestConfig;
use url::Url;

use super::site::{Page, Site, html};
use super::{
    Checkpoint, Ended, EnumerateError, Observer, Options, Progress, Unobserved, WordList, enumerate,
};

fn site() -> Site {
    let mut site = Site::normal();
    for directory in ["/a", "/a/b", "/c"] {
        site.page(
            directory,
            Page {
                status: 301,
                ..Page::redirect(format!("{directory}/"))
            },
        );
    }
    for (i, path) in [
        "/w7",
        "/a/w9.php",
        "/a/b/w1",
        "/a/b/w39",
        "/c/w20",
        "/w38.php",
    ]
    .iter()
    .enumerate()
    {
        site.page(path, Page::new(200, html(&format!("Page {i}"), "text")));
    }
    site.page("/w7.bak", Page::new(200, html("Old", "text of old")));
    site
}

fn options() -> Options {
    let words = (0..40)
        .map(|i| format!("w{i}"))
        .chain(["a", "b", "c"].map(str::to_owned));
    let words = words.collect::<Vec<_>>().join("\n");
    Options {
        extensions: vec!["php".to_owned()],
        check_every: 25,
        concurrency: 7,
        cooldown: Duration::ZERO,
        interval: Duration::ZERO,
        ..Options::new(
            Url::parse("http://site.test/").unwrap(),
            Arc::new(WordList::of_text(words.as_bytes())),
        )
    }
}

/// Wants it to end after so many answers; keeps the last checkpoint, as it would be on a disk.
struct Stop {
    after: u64,
    count: AtomicU64,
    kept: Mutex<Option<String>>,
}

impl Observer for Stop {
    fn progress(&self, progress: &dyn Fn() -> Progress) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let progress = progress();
        assert!(progress.done <= progress.total, "{progress:?}");
    }

    fn checkpoint(&self, checkpoint: &Checkpoint) {
        let text = serde_json::to_string(checkpoint).unwrap();
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    fn cancelled(&self) -> bool {
        self.count.load(Ordering::Relaxed) >= self.after
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.unwrap().block_on(work)
}

/// Runs with stops after so many answers each, going on from what was reported or, killed, from what was
/// last kept. Returns the paths and the statuses.
fn in_pieces(stops: &[u64], killed: bool) -> BTreeSet<(String, u16)> {
    let (site, mut options) = (site(), options());
    for after in stops {
        let stop = Stop {
            after: *after,
            count: AtomicU64::new(0),
            kept: Mutex::default(),
        };
        let report = block_on(enumerate(&options, &site, &stop)).unwrap();
        if report.ended == Ended::Complete {
            return report
                .found
                .into_iter()
                .map(|f| (f.path, f.status))
                .collect();
        }
        assert_eq!(report.ended, Ended::Cancelled);
        let kept = stop.kept.into_inner().unwrap();
        match killed {
            false => options.resume = report.resume,
            true => {
                let kept = kept.map(|text| serde_json::from_str(&text).unwrap());
                options.resume = kept.or(options.resume);
            }
        }
    }
    let report = block_on(enumerate(&options, &site, &Unobserved)).unwrap();
    assert_eq!(report.ended, Ended::Complete);
    report
        .found
        .into_iter()
        .map(|f| (f.path, f.status))
        .collect()
}

proptest::proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn stopped_anywhere_it_finds_the_same(
        stops in proptest::collection::vec(0u64..500, 1..4),
        killed in proptest::bool::ANY,
    ) {
        let whole = in_pieces(&[], false);
        assert_eq!(whole.len(), 10);
        assert_eq!(in_pieces(&stops, killed), whole);
    }
}

#[test]
fn checkpoint_of_other_words_is_refused() {
    let stop = Stop {
        after: 60,
        count: AtomicU64::new(0),
        kept: Mutex::default(),
    };
    let report = block_on(enumerate(&options(), &site(), &stop)).unwrap();
    let other = Options {
        resume: report.resume,
        words: Arc::new(WordList::of_text(b"x\ny")),
        ..options()
    };
    let refused = block_on(enumerate(&other, &site(), &Unobserved));
    assert_eq!(refused.unwrap_err(), EnumerateError::OtherRun);
}

#[test]
fn deadline_keeps_what_was_found() {
    let options = Options {
        max_time: Duration::from_nanos(1),
        ..options()
    };
    let report = block_on(enumerate(&options, &site(), &Unobserved)).unwrap();
    assert_eq!(report.ended, Ended::Deadline);
    assert!(report.resume.is_some());
}
