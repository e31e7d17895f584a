use std::path::{Path, PathBuf};

use super::super::{Product, Vulndb, import};
use super::*;

fn data(name: &str) -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engines/assess/vulndb/testdata");
    data.join(name)
}

const FEEDS: [&str; 5] = [
    "nvd.json",
    "kev.json",
    "epss.csv",
    "debian.json",
    "cve-record.json",
];

fn imported(path: &Path, feeds: &[PathBuf]) -> Vec<u8> {
    import(path, feeds, &()).unwrap();
    std::fs::read(path).unwrap()
}

#[test]
fn the_same_feeds_make_the_same_file_however_often() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a/b/vulndb");
    let feeds: Vec<PathBuf> = FEEDS.iter().map(|name| data(name)).collect();
    let first = imported(&path, &feeds);
    let again = import(&path, &feeds, &()).unwrap();
    assert!(!again.changed);
    assert_eq!(std::fs::read(&path).unwrap(), first);
    // One by one, and in another order.
    let other = place.path().join("other");
    for feed in feeds.iter().rev() {
        imported(&other, std::slice::from_ref(feed));
    }
    assert_eq!(std::fs::read(&other).unwrap(), first);
    // Nothing else is left, and everybody may read it.
    let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1);
    let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o644);
}

fn nvd(entries: &[(&str, &str, &str)]) -> String {
    let entry = |(id, modified, text): &(&str, &str, &str)| {
        format!(
            r#"{{"cve":{{"id":"{id}","published":"2024-01-01T00:00:00.000","lastModified":"{modified}T00:00:00.000","descriptions":[{{"lang":"en","value":"{text}"}}]}}}}"#
        )
    };
    let entries: Vec<String> = entries.iter().map(entry).collect();
    format!(
        r#"{{"format":"NVD_CVE","vulnerabilities":[{}]}}"#,
        entries.join(",")
    )
}

fn kev(day: &str, ids: &[&str]) -> String {
    let entry = |id: &&str| format!(r#"{{"cveID":"{id}","dateAdded":"{day}","dueDate":"{day}"}}"#);
    let entries: Vec<String> = ids.iter().map(entry).collect();
    format!(
        r#"{{"catalogVersion":"1","dateReleased":"{day}T00:00:00Z","vulnerabilities":[{}]}}"#,
        entries.join(",")
    )
}

#[test]
fn the_newer_of_two_wins() {
    let place = tempfile::tempdir().unwrap();
    let (path, feed) = (place.path().join("vulndb"), place.path().join("feed.json"));
    let read = |text: &str| {
        std::fs::write(&feed, text).unwrap();
        import(&path, std::slice::from_ref(&feed), &()).unwrap();
        Vulndb::open(&path).unwrap()
    };
    let text = |db: &Vulndb, id: &str| db.by_id(id).unwrap().map(|cve| cve.description);
    read(&nvd(&[
        ("CVE-2024-1000", "2024-05-01", "old"),
        ("CVE-2024-1001", "2024-05-01", "stays"),
    ]));
    let db = read(&nvd(&[("CVE-2024-1000", "2024-06-01", "new")]));
    assert_eq!(text(&db, "CVE-2024-1000").as_deref(), Some("new"));
    let db = read(&nvd(&[("CVE-2024-1000", "2024-04-01", "older")]));
    assert_eq!(text(&db, "CVE-2024-1000").as_deref(), Some("new"));
    assert_eq!(text(&db, "CVE-2024-1001").as_deref(), Some("stays"));
    // The catalogue is complete each time: what is no longer in it is gone; an older one says nothing.
    let has = |db: &Vulndb, id: &str| db.by_id(id).unwrap().is_some_and(|cve| cve.kev.is_some());
    let db = read(&kev("2024-05-01", &["CVE-2024-1000", "CVE-2024-1001"]));
    assert!(has(&db, "CVE-2024-1000") && has(&db, "CVE-2024-1001"));
    let db = read(&kev("2024-06-01", &["CVE-2024-1001", "CVE-2024-1002"]));
    assert!(!has(&db, "CVE-2024-1000") && has(&db, "CVE-2024-1001") && has(&db, "CVE-2024-1002"));
    let db = read(&kev("2024-05-15", &["CVE-2024-1000"]));
    assert!(!has(&db, "CVE-2024-1000") && has(&db, "CVE-2024-1002"));
    assert_eq!(
        db.info().parts["kev"].date.as_deref(),
        Some("2024-06-01T00:00:00Z")
    );
    // One that nobody speaks of any more is gone.
    let db = read(&kev("2024-07-01", &["CVE-2024-1001"]));
    assert_eq!(db.by_id("CVE-2024-1002").unwrap(), None);
}

#[test]
fn a_broken_feed_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("vulndb");
    let before = imported(&path, &[data("nvd.json")]);
    let broken = place.path().join("kev.json");
    let whole = std::fs::read(data("kev.json")).unwrap();
    std::fs::write(&broken, &whole[..whole.len() / 2]).unwrap();
    let error = import(&path, &[data("epss.csv"), broken.clone()], &()).unwrap_err();
    assert!(error.to_string().contains("kev.json"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().collect();
    assert_eq!(left.len(), 2);
    // What is no database is not written over.
    std::fs::write(&path, "something else entirely, of some length".repeat(10)).unwrap();
    assert!(
        import(&path, &[data("kev.json")], &())
            .unwrap_err()
            .to_string()
            .contains("no vulnerability database")
    );
}

#[test]
fn one_import_at_a_time() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("vulndb");
    let first = Importer::new(&path, super::super::Limits::default()).unwrap();
    let second = Importer::new(&path, super::super::Limits::default());
    assert!(second.is_err_and(|error| error.to_string().contains("under way")));
    drop(first);
    import(&path, &[data("kev.json")], &()).unwrap();
}

/// Who has the old file open goes on reading it.
#[test]
fn a_reader_is_not_disturbed() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("vulndb");
    imported(&path, &[data("nvd.json")]);
    let old = Vulndb::open(&path).unwrap();
    imported(&path, &[data("kev.json"), data("epss.csv")]);
    assert!(old.by_id("CVE-2021-41773").unwrap().unwrap().kev.is_none());
    assert!(
        Vulndb::open(&path)
            .unwrap()
            .by_id("CVE-2021-41773")
            .unwrap()
            .unwrap()
            .kev
            .is_some()
    );
    old.verify().unwrap();
}

#[test]
fn damage_is_told() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("vulndb");
    let bytes = imported(&path, &[data("nvd.json")]);
    assert!(
        Vulndb::of_bytes(bytes[..bytes.len() - 1].to_vec())
            .unwrap_err()
            .to_string()
            .contains("damaged")
    );
    assert!(Vulndb::of_bytes(Vec::new()).is_err());
    let cpes = ["cpe:/a:openbsd:openssh:9.7p1".to_owned()];
    let product = Product {
        cpes: &cpes,
        ..Product::default()
    };
    let whole = Vulndb::of_bytes(bytes.clone())
        .unwrap()
        .of(&product)
        .unwrap();
    // Whatever byte is another one: it is an error, or it is of something else.
    for at in (0..bytes.len()).step_by(31) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        let Ok(db) = Vulndb::of_bytes(bytes) else {
            continue;
        };
        assert!(db.verify().is_err(), "byte {at}");
        if let Ok(known) = db.of(&product) {
            assert!(
                known.iter().all(|k| whole.contains(k)),
                "byte {at}: {known:?}"
            );
        }
    }
}
