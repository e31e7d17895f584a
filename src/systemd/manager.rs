use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures_util::future::try_join_all;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};
use zbus::proxy::{CacheProperties, MethodFlags};
use zbus::{Connection, DynamicType, OwnedVariant};

use super::bus::{self, Bus, CALL_TIMEOUT};
use super::ends::JobEnds;
use super::error::{Call, Error};
use super::name::{AGENT_UNITS, agent_of_unit, unit_path};
use super::props::Props;
use super::proxy::{ManagerProxy, PropertiesProxy, UnitRow};
use super::unit::{Clock, UnitState};

/// Polkit action for jobs, signals and runtime properties of units.
pub(super) const MANAGE_UNITS: &str = "org.freedesktop.systemd1.manage-units";
const RELOAD_DAEMON: &str = "org.freedesktop.systemd1.reload-daemon";
/// Reading needs no right; a bus policy may still refuse it.
const READ: &str = "(none: the bus refuses even to read)";

/// A reload of PID 1 runs the generators and reads every unit; the answer comes when it is done.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(180);

/// A person may have to find a password.
const INTERACTIVE_TIMEOUT: Duration = Duration::from_secs(120);

/// dbus-daemon refuses a call of a connection with 128 unanswered ones (dbus-daemon(1),
/// `max_replies_per_connection`).
const CALLS_AT_A_TIME: usize = 100;

/// How to connect.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which systemd.
    pub bus: Bus,
    /// Let polkit ask the user for a password. Only sensible with a terminal.
    pub interactive: bool,
    /// How often a job is looked at in case its signal was lost; default 2 s.
    pub job_poll: Option<Duration>,
}

/// Which processes of a unit a signal goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The main process.
    Main,
    /// All.
    All,
}

/// A client of systemd's manager (org.freedesktop.systemd1(5)). Cheap to clone; all clones share
/// one connection, and calls run in parallel.
#[derive(Debug, Clone)]
pub struct Manager {
    pub(super) conn: Connection,
    pub(super) proxy: ManagerProxy<'static>,
    pub(super) job_poll: Duration,
    interactive: bool,
    remote: bool,
    /// The unit directories are those of this host's system.
    pub(super) reads_links: bool,
    subscribed: Arc<OnceCell<()>>,
    ends: Arc<OnceCell<Arc<JobEnds>>>,
    calls: Arc<Semaphore>,
    version: Arc<OnceCell<u32>>,
}

impl Manager {
    /// Connects.
    ///
    /// # Errors
    /// [`Error::Unreachable`], within three seconds, when there is no bus.
    pub async fn connect(options: Options) -> Result<Self, Error> {
        let conn = bus::connect(&options.bus).await?;
        Self::over(conn, &options).await
    }

    /// Uses a connection that exists.
    ///
    /// # Errors
    /// None that depend on systemd: nothing is sent.
    pub async fn over(conn: Connection, options: &Options) -> Result<Self, Error> {
        let proxy = ManagerProxy::builder(&conn)
            .cache_properties(CacheProperties::No)
            .build()
            .await
            .map_err(|e| Error::connecting(&e))?;
        Ok(Self {
            conn,
            proxy,
            job_poll: options.job_poll.unwrap_or(Duration::from_secs(2)),
            interactive: options.interactive,
            remote: options.bus.is_remote(),
            reads_links: options.bus == Bus::System,
            subscribed: Arc::default(),
            ends: Arc::default(),
            calls: Arc::new(Semaphore::new(CALLS_AT_A_TIME)),
            version: Arc::default(),
        })
    }

    /// Version of systemd (`252`).
    ///
    /// # Errors
    /// systemd cannot be asked, or its version begins with no number.
    pub async fn version(&self) -> Result<u32, Error> {
        self.version
            .get_or_try_init(|| async {
                let text = self
                    .proxy
                    .version()
                    .await
                    .map_err(read("reading the version"))?;
                parse_version(&text)
                    .ok_or_else(|| Error::Bus(format!("systemd calls its version {text:?}")))
            })
            .await
            .copied()
    }

    /// How one unit is; a unit that does not exist is `not-found`, not an error.
    ///
    /// # Errors
    /// systemd cannot be asked.
    pub async fn unit(&self, name: &str) -> Result<UnitState, Error> {
        let mut all = self.states(&[name.to_owned()]).await?;
        all.pop().ok_or_else(|| Error::NoSuchUnit {
            unit: name.to_owned(),
        })
    }

    /// How a unit is that exists; one that systemd has unloaded has stopped, and is not loaded again.
    pub(super) async fn unit_if_loaded(&self, name: &str) -> Result<UnitState, Error> {
        let turn = self.turn(1).await;
        let found = self.proxy.get_unit(name).await;
        drop(turn);
        match found {
            Ok(_) => self.unit(name).await,
            Err(_) => Ok(UnitState::unloaded(name)),
        }
    }

    /// How the agents are: the loaded ones and those named in `expected` (names of units), by name.
    ///
    /// Units that nobody expects and that have no unit file are left out. Those that systemd has not
    /// loaded do not run and have not failed, so they are not loaded to be asked: loading one loads
    /// all that its targets pull in, and that anew for each.
    ///
    /// # Errors
    /// systemd cannot be asked.
    pub async fn units(&self, expected: &[String]) -> Result<Vec<UnitState>, Error> {
        let rows = self.loaded_units().await?;
        let loaded: BTreeSet<&str> = rows.iter().map(|row| row.0.as_str()).collect();
        let idle = expected.iter().map(String::as_str);
        let idle: Vec<&str> = idle.filter(|name| !loaded.contains(name)).collect();
        let files = self.agent_files(&idle).await?;
        let mut states: Vec<UnitState> = idle.iter().map(|name| files.idle(name)).collect();
        let expected: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
        let real = rows
            .iter()
            .filter(|row| row.2 != "not-found" || expected.contains(row.0.as_str()));
        let real: Vec<String> = real.map(|row| row.0.clone()).collect();
        states.extend(self.read_all(&real).await?);
        self.judge_dependencies(&mut states).await?;
        states.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(states)
    }

    /// Names of the loaded units that are agents.
    ///
    /// # Errors
    /// systemd cannot be asked.
    pub async fn agent_units(&self) -> Result<Vec<String>, Error> {
        let rows = self.loaded_units().await?;
        Ok(rows
            .into_iter()
            .filter(|row| row.2 != "not-found")
            .map(|row| row.0)
            .collect())
    }

    /// Names and active states of the loaded units that match a pattern.
    ///
    /// # Errors
    /// systemd cannot be asked.
    pub async fn loaded(&self, pattern: &str) -> Result<Vec<(String, String)>, Error> {
        let rows = self.proxy.list_units_by_patterns(&[], &[pattern]).await;
        let rows = rows.map_err(read("listing units"))?;
        Ok(rows.into_iter().map(|row| (row.0, row.3)).collect())
    }

    /// Names and active states of units, which are loaded if need be.
    ///
    /// # Errors
    /// systemd cannot be asked.
    pub async fn active_states(&self, names: &[&str]) -> Result<Vec<(String, String)>, Error> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let _turn = self.turn(1).await;
        let rows = self
            .proxy
            .list_units_by_names(names)
            .await
            .map_err(read("listing units"))?;
        Ok(rows.into_iter().map(|row| (row.0, row.3)).collect())
    }

    /// Sends a signal to the processes of a unit.
    ///
    /// # Errors
    /// Not permitted, not running, systemd cannot be asked.
    pub async fn kill(&self, unit: &str, signal: i32, who: Who) -> Result<(), Error> {
        let who = match who {
            Who::Main => "main",
            Who::All => "all",
        };
        let call = self.call("signalling", unit);
        self.act("KillUnit", &(unit, who, signal), call).await
    }

    /// Clears the failed state, the restart count and the start limit of a unit.
    ///
    /// # Errors
    /// Not permitted, not loaded, systemd cannot be asked.
    pub async fn reset_failed(&self, unit: &str) -> Result<(), Error> {
        let call = self.call("resetting", unit);
        self.act("ResetFailedUnit", &(unit,), call).await
    }

    /// Freezes the processes of a unit (cgroup v2).
    ///
    /// # Errors
    /// Not permitted, not running, not supported, systemd cannot be asked.
    pub async fn freeze(&self, unit: &str) -> Result<(), Error> {
        self.act("FreezeUnit", &(unit,), self.call("freezing", unit))
            .await
    }

    /// Thaws the processes of a unit.
    ///
    /// # Errors
    /// Not permitted, not running, not supported, systemd cannot be asked.
    pub async fn thaw(&self, unit: &str) -> Result<(), Error> {
        self.act("ThawUnit", &(unit,), self.call("thawing", unit))
            .await
    }

    /// Makes systemd read its unit files again; returns when it did.
    ///
    /// # Errors
    /// Not permitted, rate limited (253 and later), systemd cannot be asked.
    pub async fn daemon_reload(&self) -> Result<(), Error> {
        let call = Call {
            what: "reloading the unit files",
            unit: None,
            action: RELOAD_DAEMON,
            timeout: RELOAD_TIMEOUT,
        };
        self.act("Reload", &(), call).await
    }

    /// Changes properties of a running unit without a daemon-reload.
    ///
    /// # Errors
    /// Not permitted, no such property, systemd cannot be asked.
    pub async fn set_properties(
        &self,
        unit: &str,
        runtime: bool,
        properties: &[(&str, OwnedVariant)],
    ) -> Result<(), Error> {
        let call = self.call("changing", unit);
        self.act("SetUnitProperties", &(unit, runtime, properties), call)
            .await
    }

    /// Asks for signals. Once is enough; asking twice is not an error.
    pub(super) async fn subscribe(&self) -> Result<(), Error> {
        self.subscribed
            .get_or_try_init(|| async {
                match self.proxy.subscribe().await {
                    Err(zbus::Error::MethodError(name, ..))
                        if name.as_str() == "org.freedesktop.systemd1.AlreadySubscribed" =>
                    {
                        Ok(())
                    }
                    result => result.map_err(read("subscribing")),
                }
            })
            .await
            .copied()
    }

    /// Waits until so many calls may be made.
    pub(super) async fn turn(&self, calls: u32) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.calls.acquire_many(calls).await.ok()
    }

    /// How jobs end, from the first call on.
    pub(super) async fn job_ends(&self) -> Result<Arc<JobEnds>, Error> {
        let ends = self.ends.get_or_try_init(|| async {
            self.subscribe().await?;
            let removed = self.proxy.receive_job_removed().await;
            let removed = removed.map_err(read("watching jobs"))?;
            Ok(JobEnds::watch(removed))
        });
        ends.await.cloned()
    }

    /// A call that needs a right. It has its own limit: that of the connection is for reading.
    pub(super) async fn act<B, R>(
        &self,
        method: &str,
        body: &B,
        mut call: Call<'_>,
    ) -> Result<R, Error>
    where
        B: serde::Serialize + DynamicType,
        R: for<'d> zbus::wire::DynamicDeserialize<'d>,
    {
        let mut flags = MethodFlags::empty();
        if self.interactive {
            flags |= MethodFlags::ALLOW_INTERACTIVE_AUTH;
            call.timeout = call.timeout.max(INTERACTIVE_TIMEOUT);
        }
        let _turn = self.turn(1).await;
        let calling = self.proxy.inner().call_with_flags(method, flags, body);
        match tokio::time::timeout(call.timeout, calling).await {
            Ok(Ok(Some(reply))) => Ok(reply),
            Ok(Ok(None)) => Err(Error::Bus(format!("{method}: no reply"))),
            Ok(Err(error)) => Err(Error::from_bus(&error, &call)),
            Err(_) => Err(Error::Timeout {
                what: call.to_string(),
                after: call.timeout,
            }),
        }
    }

    pub(super) fn call<'a>(&self, what: &'static str, unit: &'a str) -> Call<'a> {
        Call {
            what,
            unit: Some(unit),
            action: MANAGE_UNITS,
            timeout: CALL_TIMEOUT,
        }
    }

    async fn loaded_units(&self) -> Result<Vec<UnitRow>, Error> {
        let mut rows = self
            .proxy
            .list_units_by_patterns(&[], &[AGENT_UNITS])
            .await
            .map_err(read("listing units"))?;
        rows.retain(|row| agent_of_unit(&row.0).is_some());
        Ok(rows)
    }

    /// How these units are, in this order; those that do not exist are `not-found`. What several
    /// that are not loaded depend on is not told: see [`Manager::units`].
    ///
    /// # Errors
    /// systemd cannot be asked.
    pub async fn states(&self, names: &[String]) -> Result<Vec<UnitState>, Error> {
        if names.len() <= 1 {
            let mut states = self.read_all(names).await?;
            self.judge_dependencies(&mut states).await?;
            return Ok(states);
        }
        let rows = self.loaded_units().await?;
        let loaded: BTreeSet<String> = rows.into_iter().map(|row| row.0).collect();
        let (there, idle): (Vec<String>, Vec<String>) = names
            .iter()
            .cloned()
            .partition(|name| loaded.contains(name));
        let idle: Vec<&str> = idle.iter().map(String::as_str).collect();
        let files = self.agent_files(&idle).await?;
        let rows = match idle.is_empty() {
            true => Vec::new(),
            false => {
                let rows = self.proxy.list_units_by_names(&idle).await;
                rows.map_err(read("listing units"))?
            }
        };
        let mut states = self.read_all(&there).await?;
        states.extend(rows.into_iter().map(|row| files.listed(row)));
        self.judge_dependencies(&mut states).await?;
        let place = |unit: &UnitState| names.iter().position(|name| *name == unit.unit);
        states.sort_by_cached_key(place);
        Ok(states)
    }

    async fn read_all(&self, names: &[String]) -> Result<Vec<UnitState>, Error> {
        try_join_all(names.iter().map(|name| self.read(name))).await
    }

    /// All properties of all interfaces in one call (the empty name means that to systemd, and
    /// `systemctl show` asks so): hundreds in one round trip.
    pub(super) async fn read(&self, name: &str) -> Result<UnitState, Error> {
        let proxy = self.properties(&unit_path(name)).await;
        let proxy = proxy.map_err(read("reading properties"))?;
        let _turn = self.turn(1).await;
        let props = props(proxy.get_all("").await)?;
        Ok(UnitState::from_properties(name, &props, self.clock()))
    }

    fn clock(&self) -> Clock {
        if self.remote {
            Clock::Realtime(Utc::now())
        } else {
            Clock::Monotonic(monotonic_us())
        }
    }

    pub(super) async fn properties(&self, path: &str) -> zbus::Result<PropertiesProxy<'static>> {
        PropertiesProxy::builder(&self.conn)
            .path(path.to_owned())
            .cache_properties(CacheProperties::No)
            .build()
            .await
    }
}

fn props(answer: zbus::Result<HashMap<String, OwnedVariant>>) -> Result<Props, Error> {
    match answer {
        Ok(map) => Ok(map.into()),
        // A name that cannot be a unit has no object; what is absent is told by its properties.
        Err(error) if Error::is_gone(&error) => Ok(Props::default()),
        Err(error) => Err(read("reading properties")(error)),
    }
}

pub(super) fn read(what: &'static str) -> impl Fn(zbus::Error) -> Error {
    move |error| {
        let call = Call {
            what,
            unit: None,
            action: READ,
            timeout: CALL_TIMEOUT,
        };
        Error::from_bus(&error, &call)
    }
}

/// Leading digits of systemd's version (`252.39-1~deb12u2`, `v257`).
fn parse_version(text: &str) -> Option<u32> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().ok()
}

/// The clock that systemd's `…Monotonic` properties count in.
pub(super) fn monotonic_us() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds * 1_000_000 + nanos / 1000
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn versions() {
        for (text, version) in [
            ("252.39-1~deb12u2", Some(252)),
            ("257.13-1", Some(257)),
            ("255 (255.4-1ubuntu8)", Some(255)),
            ("v258", Some(258)),
            ("249~rc1", Some(249)),
            ("systemd", None),
            ("", None),
        ] {
            assert_eq!(parse_version(text), version, "{text}");
        }
    }
}
