//! Hubs and databases as real processes.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection, Row, SqliteConnection};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::sleep;

/// The real hub; killed when dropped.
pub struct Hub {
    child: Child,
    pub url: String,
}

impl Hub {
    /// Starts it, and again when it ends by itself, as systemd would: its database may be away.
    pub async fn start(database: &str) -> Self {
        for _ in 0..100 {
            if let Some(hub) = Self::start_once(database).await {
                return hub;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("the hub did not start");
    }

    async fn start_once(database: &str) -> Option<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_recon-hub"))
            .args(["--listen", "127.0.0.1:0", "--database", database])
            .args(["--scope", "10.0.0.0/8", "--anonymous-loopback"])
            .args(["--max-requests", "0"])
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some((_, address)) = line.split_once("address=") {
                let url = format!("http://{}", address.trim());
                // Its pipe must not fill.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return Some(Self { child, url });
            }
        }
        child.wait().await.unwrap();
        None
    }

    /// SIGKILL.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }
}

/// Where the hubs keep what they know.
pub struct Database {
    url: String,
    at: At,
}

enum At {
    Directory(TempDir),
    Server {
        child: Box<Child>,
        input: ChildStdin,
        output: Lines<BufReader<ChildStdout>>,
    },
}

impl Database {
    pub fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            url: format!("sqlite://{}", dir.path().join("hub.db").display()),
            at: At::Directory(dir),
        }
    }

    /// A server of its own, which flushes what it commits.
    pub fn postgres() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postgres");
        let mut child = Command::new(script)
            .arg("shared_buffers=32MB")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            url: String::new(),
            at: At::Server {
                input: child.stdin.take().unwrap(),
                output: BufReader::new(child.stdout.take().unwrap()).lines(),
                child: Box::new(child),
            },
        }
    }

    /// Waits until it is there.
    pub async fn ready(mut self) -> Self {
        if let At::Server { output, .. } = &mut self.at {
            let server = output.next_line().await.unwrap();
            let server = server.expect("tests/postgres did not start a server");
            let mut admin = PgConnection::connect(&format!("{server}/postgres"))
                .await
                .unwrap();
            sqlx::query("CREATE DATABASE chaos")
                .execute(&mut admin)
                .await
                .unwrap();
            self.url = format!("{server}/chaos");
        }
        self
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// SIGKILL to all of its processes, and a new start over the same files. False for a database
    /// that is no process: it dies with its hub.
    pub async fn crash(&mut self) -> bool {
        let At::Server { input, output, .. } = &mut self.at else {
            return false;
        };
        input.write_all(b"crash\n").await.unwrap();
        assert_eq!(output.next_line().await.unwrap().as_deref(), Some("again"));
        true
    }

    /// What waits for its time, and nobody holds, is due.
    pub async fn pass_time(&self) {
        let sql = "UPDATE work SET due_at = 0
                   WHERE due_at IS NOT NULL AND lease_id IS NULL AND last_done_at IS NULL";
        if matches!(self.at, At::Directory(_)) {
            let mut c = SqliteConnection::connect(&self.url).await.unwrap();
            c.execute(sql).await.unwrap();
        } else {
            let mut c = PgConnection::connect(&self.url).await.unwrap();
            c.execute(sql).await.unwrap();
        }
    }

    /// Nothing in it is damaged. Nobody uses it now.
    pub async fn check(self) {
        match self.at {
            At::Directory(_dir) => {
                let mut c = SqliteConnection::connect(&self.url).await.unwrap();
                let row = sqlx::query("PRAGMA integrity_check")
                    .fetch_one(&mut c)
                    .await;
                assert_eq!(row.unwrap().get::<&str, _>(0), "ok");
            }
            At::Server {
                mut child, input, ..
            } => {
                drop(input);
                assert!(child.wait().await.unwrap().success());
            }
        }
    }
}
