//! `reconctl hub`: backup, restore, vacuum, check, with the real programs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

mod hub_support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use hub_support::{Bed, scope};
use recon::hub::restore::{RestoreError, restore};

async fn begin() -> Bed {
    Bed::over(tempfile::tempdir().unwrap(), scope(&["127.0.0.0/8"], &[])).await
}

/// The way of root to the hub.
fn socket(bed: &Bed) -> String {
    format!("unix:{}", bed.directory().join("control.sock").display())
}

/// Runs `reconctl` against a hub; no systemd is in its reach.
async fn reconctl(hub: String, args: &[&str]) -> Output {
    let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
    let run = move || {
        std::process::Command::new(env!("CARGO_BIN_EXE_reconctl"))
            .args(["--hub", &hub])
            .args(args)
            .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
            .output()
            .unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

async fn backup(bed: &Bed, file: &Path) -> Output {
    let file = file.to_str().unwrap();
    reconctl(socket(bed), &["hub", "backup", file]).await
}

fn entries(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_backup_is_of_one_moment_and_can_be_restored() {
    let bed = begin().await;
    let targets: Vec<_> = (0..100).map(|n| format!("127.0.1.{n}")).collect();
    bed.add(&targets).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("copy.db");
    let create = ["hub", "token", "create", "--role", "viewer"];
    assert!(reconctl(socket(&bed), &create).await.status.success());
    let done = backup(&bed, &file).await;
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!(entries(dir.path()), ["copy.db"], "nothing else is left");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let piped = reconctl(socket(&bed), &["hub", "backup", "-"]).await;
    assert!(piped.stdout.starts_with(b"SQLite format 3\0"));
    assert_eq!(piped.stdout.len() as u64, file.metadata().unwrap().len());
    assert!(
        entries(bed.directory())
            .iter()
            .all(|n| n.starts_with("hub.db") || n == "control.sock"),
        "the hub keeps no copy"
    );

    // Later than the backup.
    bed.add_one("127.0.9.9").await;
    let made = reconctl(socket(&bed), &["hub", "token", "list", "--jsonl"]).await;
    let token: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    let revoke = ["hub", "token", "revoke", token["id"].as_str().unwrap()];
    assert!(reconctl(socket(&bed), &revoke).await.status.success());
    let database = bed.directory().join("hub.db");
    let used = restore(&database, &file).await.unwrap_err();
    assert!(matches!(used, RestoreError::InUse { .. }), "{used}");
    let (url, kept_dir) = (socket(&bed), bed.end_and_keep().await);
    let database = kept_dir.path().join("hub.db");
    let args = [
        "hub",
        "restore",
        "--database",
        database.to_str().unwrap(),
        file.to_str().unwrap(),
    ];
    let done = reconctl(url, &args).await;
    assert!(done.status.success(), "{}", text(&done));
    assert!(
        text(&done).contains("1 tokens revoked since"),
        "{}",
        text(&done)
    );
    let kept = entries(kept_dir.path());
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept[1].starts_with("hub.db.before-restore-"), "{kept:?}");

    let again = Bed::over(kept_dir, scope(&["127.0.0.0/8"], &[])).await;
    assert_eq!(again.count_targets().await, 100);
    let list = reconctl(socket(&again), &["hub", "token", "list"]).await;
    assert!(text(&list).contains("revoked"), "{}", text(&list));
    let check = reconctl(socket(&again), &["hub", "check"]).await;
    assert!(check.status.success(), "{}", text(&check));
    let vacuum = reconctl(socket(&again), &["hub", "vacuum"]).await;
    assert!(vacuum.status.success(), "{}", text(&vacuum));
    assert_eq!(again.count_targets().await, 100);
}

/// A hub that was killed in the middle of a backup left its copy.
#[tokio::test]
async fn a_copy_that_was_left_goes_at_the_next_start() {
    let kept_dir = begin().await.end_and_keep().await;
    let left = kept_dir.path().join(".backup-xYz12");
    std::fs::create_dir(&left).unwrap();
    written(&left, "hub.db", b"half");
    let own = written(kept_dir.path(), ".backup-notes", b"an operator's");
    let bed = Bed::over(kept_dir, scope(&["127.0.0.0/8"], &[])).await;
    assert!(!left.exists());
    assert!(own.exists(), "no directory of ours");
    bed.end().await;
}

/// A file of these bytes.
fn written(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[tokio::test]
async fn what_is_no_sound_backup_is_refused_and_nothing_changes() {
    let bed = begin().await;
    let targets: Vec<_> = (0..200).map(|n| format!("127.0.1.{n}")).collect();
    bed.add(&targets).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("good.db");
    assert!(backup(&bed, &file).await.status.success());
    let kept_dir = bed.end_and_keep().await;
    let database = kept_dir.path().join("hub.db");
    let good = std::fs::read(&file).unwrap();
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8192].fill(0x55);
    for (name, bytes) in [
        ("empty", &b""[..]),
        (
            "text",
            b"this is no database, but a text that is long enough to be one, perhaps",
        ),
        ("half", &good[..good.len() / 2]),
        ("damaged", &damaged),
    ] {
        let refused = restore(&database, &written(dir.path(), name, bytes)).await;
        let error = refused.unwrap_err().to_string();
        assert!(
            error.contains(name) && error.contains("cannot be used"),
            "{error}"
        );
        assert_eq!(entries(kept_dir.path()), ["hub.db"], "{name}");
    }
    let again = Bed::over(kept_dir, scope(&["127.0.0.0/8"], &[])).await;
    assert_eq!(again.count_targets().await, 200);
}

#[tokio::test]
async fn a_hub_that_is_not_there_is_said() {
    let nowhere = "http://127.0.0.1:1".to_owned();
    for verb in ["check", "vacuum"] {
        assert_eq!(
            reconctl(nowhere.clone(), &["hub", verb])
                .await
                .status
                .code(),
            Some(6)
        );
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("copy.db");
    let failed = reconctl(nowhere, &["hub", "backup", file.to_str().unwrap()]).await;
    assert_eq!(failed.status.code(), Some(6));
    assert!(entries(dir.path()).is_empty());
}
