//! What every store must do, whichever database is under it: one file a subject, each test run once
//! for SQLite and once for a real PostgreSQL, which the tests start themselves.

mod access;
mod again;
mod answers;
mod evidence;
mod fairness;
mod findings;
mod history;
mod late;
mod lists;
mod networks;
mod ops;
mod paths;
mod reach;
mod results;
mod runs;
mod samples;
pub(super) mod spine;
mod targets;
mod upgrade;
mod web;
mod web_learned;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::Store;
use super::postgres::PostgresStore;
use super::sqlite::SqliteStore;

/// A store, with what goes with it.
pub(super) struct Bed {
    pub(super) store: Arc<dyn Store>,
    _dir: Option<tempfile::TempDir>,
}

pub(super) async fn sqlite() -> Bed {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("hub.db")).await.unwrap();
    Bed {
        store: Arc::new(store),
        _dir: Some(dir),
    }
}

pub(super) async fn postgres() -> Bed {
    let url = new_database().await;
    Bed {
        store: Arc::new(PostgresStore::open(&url).await.unwrap()),
        _dir: None,
    }
}

/// The address of a new, empty database.
pub(in crate::hub) async fn new_database() -> String {
    let server = tokio::task::spawn_blocking(server).await.unwrap();
    let name = format!("test_{}", Uuid::now_v7().simple());
    let mut admin = PgConnection::connect(&format!("{server}/postgres"))
        .await
        .unwrap();
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .execute(&mut admin)
        .await
        .unwrap();
    format!("{server}/{name}")
}

/// One server for all tests of the program. It ends when its standard input does, which is when the
/// program ends, however that comes.
fn server() -> &'static str {
    static SERVER: OnceLock<(String, Child)> = OnceLock::new();
    let (url, _) = SERVER.get_or_init(|| {
        let mut child = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres"))
            .args(["fsync=off", "shared_buffers=32MB"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut url).unwrap();
        assert!(!url.is_empty(), "tests/postgres did not start a server");
        (url.trim().to_owned(), child)
    });
    url
}

/// The same tests for each database.
macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        contract!(@ sqlite: $($name),*);
        contract!(@ postgres: $($name),*);
    };
    (@ $open:ident: $($name:ident),*) => {
        mod $open {
            $(
                #[tokio::test]
                async fn $name() {
                    let bed = $crate::hub::store::contract::$open().await;
                    super::$name(bed.store.as_ref()).await;
                }
            )*
        }
    };
}
use contract;
