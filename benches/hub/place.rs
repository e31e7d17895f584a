//! Where a benchmark happens: a directory or a PostgreSQL server, and hubs over them.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

pub struct Place {
    pub engine: Engine,
    dir: TempDir,
    server: Option<(String, Child)>,
}

impl Place {
    pub fn new(engine: Engine) -> Self {
        let server = (engine == Engine::Postgres).then(|| {
            let mut child = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres"))
                .args(["shared_buffers=256MB", "max_wal_size=4GB"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let url = first_line(child.stdout.take().unwrap());
            (url.expect("tests/postgres did not start a server"), child)
        });
        Self {
            engine,
            dir: tempfile::tempdir().unwrap(),
            server,
        }
    }

    /// The URL of a new database of this name.
    pub async fn database(&self, name: &str) -> String {
        let Some((server, _)) = &self.server else {
            return format!("sqlite://{}/{name}.db", self.dir.path().display());
        };
        self.admin(&format!("CREATE DATABASE {name}")).await;
        format!("{server}/{name}")
    }

    /// Removes it.
    pub async fn drop(&self, name: &str) {
        if self.server.is_some() {
            self.admin(&format!("DROP DATABASE {name}")).await;
        }
        for end in ["db", "db-wal", "db-shm"] {
            // Not all of them are there, and none with PostgreSQL.
            let _ = std::fs::remove_file(self.dir.path().join(format!("{name}.{end}")));
        }
    }

    async fn admin(&self, sql: &str) {
        let (server, _) = self.server.as_ref().unwrap();
        let mut admin = PgConnection::connect(&format!("{server}/postgres"))
            .await
            .unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut admin)
            .await
            .unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((_, mut child)) = self.server.take() {
            // Its input ends, and with it the server.
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }
}

fn first_line(output: impl std::io::Read) -> Option<String> {
    BufReader::new(output).lines().next()?.ok()
}

/// The real program, listening.
pub struct Hub {
    child: Child,
    pub address: SocketAddr,
}

impl Hub {
    pub fn start(database: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_recon-hub"))
            .args(["--listen", "127.0.0.1:0", "--database", database])
            .args(["--scope", "10.0.0.0/8", "--anonymous-loopback"])
            .args(["--max-requests", "0"])
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let address = lines
            .find_map(|line| line.split_once("address=")?.1.trim().parse().ok())
            .expect("the hub did not start");
        // Its pipe must not fill. What goes wrong is for whoever reads the figures.
        std::thread::spawn(move || {
            lines
                .filter(|line| !line.contains(" INFO: "))
                .for_each(|line| eprintln!("{line}"));
        });
        Self { child, address }
    }

    /// Processor time that it has used, seconds (clock ticks of 10 ms, as Linux has them).
    pub fn processor(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name, which is in parentheses, could hold anything.
        let (_, rest) = stat.rsplit_once(')').unwrap();
        let ticks = |n: usize| -> f64 { rest.split_whitespace().nth(n).unwrap().parse().unwrap() };
        (ticks(11) + ticks(12)) / 100.0
    }

    /// A figure of its memory (`VmRSS`, `VmHWM`), MiB.
    pub fn memory(&self, figure: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(figure));
        let kib: f64 = line
            .and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
            .unwrap();
        kib / 1024.0
    }
}

impl Drop for Hub {
    /// As systemd does it: the database is closed.
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}
