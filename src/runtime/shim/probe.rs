use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use reqwest::redirect::Policy;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use crate::fleet::{Health, HealthProbe};
use crate::runtime::text;

/// Longest piece of what a probe says, in characters.
const LONGEST_WORDS: usize = 200;

/// Of a command's output only the end is kept.
const KEPT_OUTPUT: usize = 4096;

/// Asks the program whether it is well.
#[derive(Debug)]
pub struct Probe {
    what: What,
    limit: Duration,
}

#[derive(Debug)]
enum What {
    Http {
        client: reqwest::Client,
        url: String,
    },
    Exec(Vec<String>),
}

/// A full pipe holds no more than so many reads (pipe(7)).
const READS_AT_THE_END: usize = 16;

/// What came of it, in words: `HTTP 200 in 3 ms`, or why not.
pub type Answer = Result<String, String>;

impl Probe {
    /// A probe of this kind.
    ///
    /// # Errors
    /// There is no HTTP client to be had.
    pub fn new(health: &Health) -> Result<Self, reqwest::Error> {
        let limit = health.timeout().0;
        let what = match &health.probe {
            HealthProbe::Http(url) => What::Http {
                client: client(limit)?,
                url: url.clone(),
            },
            HealthProbe::Exec(command) => What::Exec(command.clone()),
        };
        Ok(Self { what, limit })
    }

    /// Asks once; always answers within the limit.
    pub async fn ask(&self) -> Answer {
        let began = Instant::now();
        let answer = match &self.what {
            What::Http { client, url } => http(client, url, self.limit).await,
            What::Exec(command) => self.exec(command).await,
        };
        let took = began.elapsed().as_millis();
        answer.map(|(head, tail)| format!("{head} in {took} ms{tail}"))
    }

    async fn exec(&self, command: &[String]) -> Result<(String, String), String> {
        let mut running = Running::start(command).map_err(|error| {
            let program = command.first().map_or("", String::as_str);
            format!("cannot run {program}: {}", plain(&error))
        })?;
        let ended = tokio::time::timeout(self.limit, running.end()).await;
        let last = |head: String, output: &[u8]| match last_line(output) {
            Some(line) => (head, format!(": {line}")),
            None => (head, String::new()),
        };
        match ended {
            Ok(Ok(status)) if status.success() => {
                Ok(last("exit status 0".to_owned(), &running.output))
            }
            Ok(Ok(status)) => {
                let (head, tail) = last(ended_with(status), &running.output);
                Err(head + &tail)
            }
            Ok(Err(error)) => Err(plain(&error)),
            Err(_) => {
                running.kill();
                let (head, tail) = last(no_answer(self.limit), &running.output);
                Err(head + &tail)
            }
        }
    }
}

fn client(limit: Duration) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .timeout(limit)
        // Each time anew: a program that takes no connections any more is not well.
        .pool_max_idle_per_host(0)
        // Whether it answers is asked, not who it is; and nothing secret is sent.
        .tls_danger_accept_invalid_certs(true)
        .user_agent(concat!("recon-shim/", env!("CARGO_PKG_VERSION")))
        .build()
}

async fn http(
    client: &reqwest::Client,
    url: &str,
    limit: Duration,
) -> Result<(String, String), String> {
    match client.get(url).send().await {
        Ok(response) if response.status().is_success() => Ok((
            format!("HTTP {}", response.status().as_u16()),
            String::new(),
        )),
        Ok(response) => Err(format!("HTTP {}", response.status())),
        Err(error) if error.is_timeout() => Err(no_answer(limit)),
        Err(error) => Err(innermost(&error)),
    }
}

fn no_answer(limit: Duration) -> String {
    format!("no answer within {}", humantime::format_duration(limit))
}

fn ended_with(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// The innermost cause says it best.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    match cause.downcast_ref::<io::Error>() {
        Some(error) => plain(error),
        None => text::display(&cause.to_string(), LONGEST_WORDS),
    }
}

/// What the kernel said, for people.
fn plain(error: &io::Error) -> String {
    if error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()) {
        return "not permitted: the unit's firewall or sandbox forbids it".to_owned();
    }
    let words = error.to_string();
    let words = words.split(" (os error").next().unwrap_or_default();
    let mut letters = words.chars();
    let lower = letters
        .next()
        .map(|first| first.to_lowercase().chain(letters).collect::<String>());
    text::display(&lower.unwrap_or_default(), LONGEST_WORDS)
}

/// What a read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Some,
    Nothing,
    End,
}

/// A command that runs, in a process group of its own so that all of it can be killed, with both its
/// outputs in one pipe.
struct Running {
    child: Child,
    pipe: pipe::Receiver,
    output: Vec<u8>,
}

impl Running {
    fn start(command: &[String]) -> io::Result<Self> {
        let (program, arguments) = command
            .split_first()
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let (reader, writer) = io::pipe()?;
        let child = Command::new(program)
            .args(arguments)
            // It speaks to nobody but us.
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self {
            child,
            pipe: pipe::Receiver::from_owned_fd(reader.into())?,
            output: Vec::new(),
        })
    }

    /// Waits for its end, reading what it says. What a process that it left behind might still say
    /// is not waited for.
    async fn end(&mut self) -> io::Result<ExitStatus> {
        let mut open = true;
        loop {
            tokio::select! {
                status = self.child.wait() => {
                    for _ in 0..READS_AT_THE_END {
                        if self.read()? != Read::Some {
                            break;
                        }
                    }
                    return status;
                }
                ready = self.pipe.readable(), if open => {
                    ready?;
                    open = self.read()? != Read::End;
                }
            }
        }
    }

    /// Takes what is there.
    fn read(&mut self) -> io::Result<Read> {
        let mut buffer = [0; KEPT_OUTPUT];
        match self.pipe.try_read(&mut buffer) {
            Ok(0) => Ok(Read::End),
            Ok(n) => {
                self.output.extend_from_slice(&buffer[..n]);
                let surplus = self.output.len().saturating_sub(KEPT_OUTPUT);
                self.output.drain(..surplus);
                Ok(Read::Some)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Read::Nothing),
            Err(error) => Err(error),
        }
    }

    fn kill(&mut self) {
        let group = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = group.and_then(Pid::from_raw) {
            // It may have ended by itself in this moment.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// The last line that says something, fit to be shown.
fn last_line(output: &[u8]) -> Option<String> {
    let output = String::from_utf8_lossy(output);
    let line = output.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(text::display(line.trim(), LONGEST_WORDS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Span;

    fn exec(script: &str, interval: Span) -> Probe {
        Probe::new(&Health {
            probe: HealthProbe::Exec(["/bin/sh", "-c", script].map(str::to_owned).to_vec()),
            interval,
            failures: 1,
        })
        .unwrap()
    }

    async fn ask(script: &str) -> Answer {
        exec(script, Span::secs(30)).ask().await
    }

    #[tokio::test]
    async fn a_command_says_it_with_its_status_and_its_last_line() {
        let well = ask("echo one; echo two >&2; echo").await.unwrap();
        assert!(
            well.starts_with("exit status 0 in ") && well.ends_with(" ms: two"),
            "{well}"
        );
        let quiet = ask("exit 0").await.unwrap();
        assert!(quiet.ends_with(" ms"), "{quiet}");
        let unwell = ask("echo '3 jobs\x1b[2J stuck'; exit 7").await.unwrap_err();
        assert_eq!(unwell, "exit status 7: 3 jobs\\x1b[2J stuck");
        assert_eq!(ask("kill -9 $$").await.unwrap_err(), "killed by signal 9");
        let much = ask("yes | head -c 1000000; echo end").await.unwrap();
        assert!(much.ends_with(" ms: end"), "{much}");
    }

    #[tokio::test]
    async fn what_it_leaves_behind_holds_up_nothing() {
        let began = Instant::now();
        let well = ask("sleep 60 & echo done").await.unwrap();
        assert!(well.ends_with(": done"), "{well}");
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[tokio::test]
    async fn a_command_that_does_not_end_is_killed_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let alive = dir.path().join("alive");
        let status = std::process::Command::new("mkfifo").arg(&alive).status();
        assert!(status.unwrap().success());
        let script = format!(
            "echo waiting; (exec 3>{}; sleep 60) & wait",
            alive.display()
        );
        let probe = exec(&script, Span::secs(1));
        let reader = tokio::task::spawn_blocking(move || std::fs::read(alive));
        let answer = probe.ask().await.unwrap_err();
        assert_eq!(answer, "no answer within 1s: waiting");
        // The end of the file comes when the last writer, the grandchild, is gone.
        let end = tokio::time::timeout(Duration::from_secs(30), reader).await;
        assert_eq!(end.unwrap().unwrap().unwrap(), b"");
    }

    #[tokio::test]
    async fn a_command_that_is_not_there() {
        let health = Health {
            probe: HealthProbe::Exec(vec!["/nonexistent/check".to_owned()]),
            interval: Span::secs(1),
            failures: 1,
        };
        let answer = Probe::new(&health).unwrap().ask().await;
        assert_eq!(
            answer.unwrap_err(),
            "cannot run /nonexistent/check: no such file or directory"
        );
    }

    async fn get(url: String) -> Answer {
        let health = Health {
            probe: HealthProbe::Http(url),
            interval: Span::secs(1),
            failures: 1,
        };
        Probe::new(&health).unwrap().ask().await
    }

    #[tokio::test]
    async fn http_is_well_with_2xx_and_follows_nobody() {
        use wiremock::matchers::path;
        use wiremock::{Mock, MockServer, ResponseTemplate};
        let server = MockServer::start().await;
        for (at, answer) in [
            ("/well", ResponseTemplate::new(204)),
            (
                "/moved",
                ResponseTemplate::new(302).insert_header("location", "/well"),
            ),
            ("/broken", ResponseTemplate::new(503)),
            (
                "/slow",
                ResponseTemplate::new(200).set_delay(Duration::from_secs(60)),
            ),
        ] {
            Mock::given(path(at))
                .respond_with(answer)
                .mount(&server)
                .await;
        }
        let well = get(format!("{}/well", server.uri())).await.unwrap();
        assert!(well.starts_with("HTTP 204 in "), "{well}");
        for (at, why) in [
            ("/moved", "HTTP 302 Found"),
            ("/broken", "HTTP 503 Service Unavailable"),
            ("/slow", "no answer within 1s"),
        ] {
            assert_eq!(get(format!("{}{at}", server.uri())).await.unwrap_err(), why);
        }
        let nobody = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        assert_eq!(
            get(format!("http://{nobody}/")).await.unwrap_err(),
            "connection refused"
        );
    }
}
