//! A bus with a systemd on it that does exactly what a test says, in the order that it says: the
//! races that a real one does not produce on demand. It speaks D-Bus on a socket of its own, so the
//! real client and the real `reconctl` can be pointed at it.

// A test program uses a part of it; clippy does not take a module of tests for a test.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::StreamExt;
use recon::systemd::{Bus, Manager, Options};
use tempfile::TempDir;
use tokio::sync::oneshot;
use zbus::connection::Builder;
use zbus::message::Type;
use zbus::{Connection, Guid, Message, ObjectPath, OwnedVariant, Variant};

const SYSTEMD: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// What the fake does in answer to a call, one after the other.
pub enum Out {
    /// The path of this job.
    Job(u32),
    /// An empty answer.
    Done,
    /// An error.
    Error(&'static str, &'static str),
    JobRemoved(u32, &'static str, &'static str),
    Reloading(bool),
    UnitNew(&'static str),
    UnitRemoved(&'static str),
    UnitFilesChanged,
    /// PropertiesChanged of a unit.
    Changed(&'static str),
}

pub type Handler = Box<dyn FnMut(&mut World, &Call) -> Vec<Out> + Send>;

/// A call of a method that changes something.
pub struct Call {
    pub unit: String,
    /// Of KillUnit.
    pub signal: i32,
}

/// Properties of one unit.
#[derive(Default)]
pub struct Unit {
    pub unit: HashMap<&'static str, OwnedVariant>,
    pub service: HashMap<&'static str, OwnedVariant>,
    /// Listed as loaded.
    pub loaded: bool,
}

pub fn value(v: impl Into<Variant<'static>>) -> OwnedVariant {
    OwnedVariant::try_from(v.into()).unwrap()
}

impl Unit {
    pub fn new(active: &'static str, sub: &'static str) -> Self {
        Self {
            loaded: true,
            ..Self::default()
        }
        .with("LoadState", "loaded")
        .with("ActiveState", active)
        .with("SubState", sub)
    }

    pub fn running(pid: u32) -> Self {
        Self::new("active", "running").and("MainPID", pid)
    }

    pub fn failed(result: &'static str, code: i32, status: i32) -> Self {
        Self::new("failed", "failed")
            .and("Result", result)
            .and("ExecMainCode", code)
            .and("ExecMainStatus", status)
    }

    /// Adds a property of the interface Unit.
    pub fn with(mut self, key: &'static str, v: impl Into<Variant<'static>>) -> Self {
        self.unit.insert(key, value(v));
        self
    }

    /// Adds a property of the interface Service.
    pub fn and(mut self, key: &'static str, v: impl Into<Variant<'static>>) -> Self {
        self.service.insert(key, value(v));
        self
    }

    fn word(&self, key: &str) -> String {
        match self.unit.get(key).map(|v| &**v) {
            Some(Variant::Str(s)) => s.as_str().to_owned(),
            _ => "inactive".to_owned(),
        }
    }
}

#[derive(Default)]
pub struct World {
    pub units: BTreeMap<String, Unit>,
    /// Jobs that have an object.
    pub jobs: BTreeSet<u32>,
    /// What happens when a job is looked at.
    pub on_look: Option<Handler>,
    pub handlers: HashMap<&'static str, Handler>,
    pub version: String,
    pub already_subscribed: bool,
    /// systemd is not on the bus.
    pub absent: bool,
    /// ActiveState of the unit that a caller belongs to.
    pub own_state: String,
    /// `METHOD UNIT` of the calls that change something.
    pub calls: Vec<String>,
}

impl World {
    pub fn put(&mut self, name: &str, unit: Unit) {
        self.units.insert(format!("recon@{name}.service"), unit);
    }
}

/// The bus; it ends with this value.
pub struct Fake {
    dir: TempDir,
    world: Arc<Mutex<World>>,
    _stop: oneshot::Sender<()>,
}

impl Fake {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = Arc::new(Mutex::new(World {
            version: "252.39-1~deb12u2".to_owned(),
            ..World::default()
        }));
        let listener = std::os::unix::net::UnixListener::bind(dir.path().join("bus")).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (stop, stopped) = oneshot::channel();
        let shared = world.clone();
        std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(async {
                    tokio::select! {
                        _ = stopped => {}
                        () = accept(listener, shared) => {}
                    }
                });
        });
        Self {
            dir,
            world,
            _stop: stop,
        }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub fn on(
        &self,
        method: &'static str,
        handler: impl FnMut(&mut World, &Call) -> Vec<Out> + Send + 'static,
    ) {
        self.world().handlers.insert(method, Box::new(handler));
    }

    pub fn address(&self) -> String {
        format!("unix:path={}", self.socket().display())
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("bus")
    }

    /// An empty directory for `--root`.
    pub fn root(&self) -> PathBuf {
        let root = self.dir.path().join("root");
        std::fs::create_dir_all(&root).unwrap();
        root
    }

    pub async fn manager(&self) -> Manager {
        Manager::connect(Options {
            bus: Bus::Address(self.address()),
            job_poll: Some(std::time::Duration::from_millis(5)),
            ..Options::default()
        })
        .await
        .unwrap()
    }
}

async fn accept(listener: std::os::unix::net::UnixListener, world: Arc<Mutex<World>>) {
    let listener = tokio::net::UnixListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let world = world.clone();
        let stream = stream.into_std().unwrap();
        tokio::spawn(async move {
            let builder = Builder::unix_stream(stream).server(Guid::generate()).p2p();
            // The stream comes with the connection: the client's Hello follows at once.
            let Ok(mut messages) = builder.build_message_stream().await else {
                return;
            };
            let conn = Connection::from(&messages);
            while let Some(Ok(message)) = messages.next().await {
                if message.message_type() == Type::MethodCall {
                    answer(&conn, &message, &world).await;
                }
            }
        });
    }
}

async fn answer(conn: &Connection, message: &Message, world: &Mutex<World>) {
    let header = message.header();
    let body = message.body();
    let member = header.member().unwrap().as_str().to_owned();
    let path = header.path().unwrap().as_str().to_owned();
    let to_bus = path == "/org/freedesktop/DBus";
    if !to_bus && world.lock().unwrap().absent {
        let text = "The name org.freedesktop.systemd1 was not provided by any .service files";
        let name = "org.freedesktop.DBus.Error.ServiceUnknown";
        return conn.reply_error(&header, name, &text).await.unwrap();
    }
    match (member.as_str(), to_bus) {
        ("Hello", true) => conn.reply(&header, &":1.7").await.unwrap(),
        ("GetNameOwner", true) => conn.reply(&header, &":1.1").await.unwrap(),
        (_, true) => conn.reply(&header, &()).await.unwrap(),
        ("Subscribe", _) if world.lock().unwrap().already_subscribed => {
            let name = "org.freedesktop.systemd1.AlreadySubscribed";
            conn.reply_error(&header, name, &"Client is already subscribed.")
                .await
                .unwrap();
        }
        ("Subscribe", _) => conn.reply(&header, &()).await.unwrap(),
        ("GetAll", _) => {
            let interface: String = body.deserialize().unwrap();
            let props = properties(world, &path, &interface);
            conn.reply(&header, &props).await.unwrap();
        }
        ("Get", _) if path == SYSTEMD => {
            let version = world.lock().unwrap().version.clone();
            conn.reply(&header, &Variant::from(version)).await.unwrap();
        }
        ("Get", _) if path == format!("{SYSTEMD}/unit/self") => {
            let state = world.lock().unwrap().own_state.clone();
            conn.reply(&header, &Variant::from(state)).await.unwrap();
        }
        ("Get", _) => look_at_job(conn, &header, &path, world).await,
        ("ListUnitsByPatterns", _) => {
            let rows = rows(world, |_, unit| unit.loaded);
            conn.reply(&header, &rows).await.unwrap();
        }
        ("GetUnit", _) => {
            let name: String = body.deserialize().unwrap();
            let loaded = rows(world, |n, unit| n == name && unit.loaded);
            match loaded.first() {
                Some(row) => conn.reply(&header, &row.6).await.unwrap(),
                None => {
                    let error = "org.freedesktop.systemd1.NoSuchUnit";
                    let text = "Unit not loaded.";
                    conn.reply_error(&header, error, &text).await.unwrap();
                }
            }
        }
        ("GetUnitFileState", _) => {
            conn.reply(&header, &"disabled").await.unwrap();
        }
        ("ListUnitFilesByPatterns", _) => {
            let none: Vec<(String, String)> = Vec::new();
            conn.reply(&header, &none).await.unwrap();
        }
        ("ListUnitsByNames", _) => {
            let names: Vec<String> = body.deserialize().unwrap();
            let rows = rows(world, |name, _| names.iter().any(|n| n == name));
            conn.reply(&header, &rows).await.unwrap();
        }
        _ => {
            let call = match body.deserialize::<(String, String, i32)>() {
                Ok((unit, _, signal)) => Call { unit, signal },
                Err(_) => Call {
                    unit: first_text(message),
                    signal: 0,
                },
            };
            let outs = handle(world, &member, &call);
            send(conn, &header, outs).await;
        }
    }
}

fn first_text(message: &Message) -> String {
    let body = message.body();
    body.deserialize::<(String, String)>()
        .map(|(unit, _)| unit)
        .or_else(|_| body.deserialize::<String>())
        .unwrap_or_default()
}

fn handle(world: &Mutex<World>, member: &str, call: &Call) -> Vec<Out> {
    let mut world = world.lock().unwrap();
    world.calls.push(format!("{member} {}", call.unit));
    let Some((key, mut handler)) = world.handlers.remove_entry(member) else {
        if member == "ResetFailedUnit" {
            return vec![Out::Done];
        }
        return vec![Out::Error(
            "org.freedesktop.DBus.Error.UnknownMethod",
            "the test has no answer for this",
        )];
    };
    let outs = handler(&mut world, call);
    world.handlers.insert(key, handler);
    outs
}

async fn look_at_job(
    conn: &Connection,
    header: &zbus::message::Header<'_>,
    path: &str,
    world: &Mutex<World>,
) {
    let id: u32 = path.rsplit('/').next().unwrap().parse().unwrap();
    let outs = {
        let mut world = world.lock().unwrap();
        match world.on_look.take() {
            Some(mut handler) => {
                let call = Call {
                    unit: String::new(),
                    signal: 0,
                };
                let outs = handler(&mut world, &call);
                world.on_look = Some(handler);
                outs
            }
            None => Vec::new(),
        }
    };
    send(conn, header, outs).await;
    if world.lock().unwrap().jobs.contains(&id) {
        conn.reply(header, &Variant::from("running")).await.unwrap();
    } else {
        let name = "org.freedesktop.DBus.Error.UnknownObject";
        let text = format!("Unknown object '{path}'.");
        conn.reply_error(header, name, &text).await.unwrap();
    }
}

async fn send(conn: &Connection, header: &zbus::message::Header<'_>, outs: Vec<Out>) {
    for out in outs {
        match out {
            Out::Job(id) => conn.reply(header, &job_path(id)).await.unwrap(),
            Out::Done => conn.reply(header, &()).await.unwrap(),
            Out::Error(name, text) => conn.reply_error(header, name, &text).await.unwrap(),
            Out::JobRemoved(id, unit, result) => {
                signal(conn, "JobRemoved", &(id, job_path(id), unit, result)).await;
            }
            Out::Reloading(active) => signal(conn, "Reloading", &active).await,
            Out::UnitNew(unit) => signal(conn, "UnitNew", &(unit, unit_path(unit))).await,
            Out::UnitRemoved(unit) => signal(conn, "UnitRemoved", &(unit, unit_path(unit))).await,
            Out::UnitFilesChanged => signal(conn, "UnitFilesChanged", &()).await,
            Out::Changed(unit) => {
                let changed: HashMap<&str, Variant<'_>> = HashMap::new();
                let body = (
                    "org.freedesktop.systemd1.Unit",
                    changed,
                    Vec::<String>::new(),
                );
                let interface = "org.freedesktop.DBus.Properties";
                let message = Message::signal(unit_path(unit), interface, "PropertiesChanged")
                    .sender(":1.1")
                    .build(&body)
                    .unwrap();
                conn.send(&message).await.unwrap();
            }
        }
    }
}

async fn signal<B>(conn: &Connection, member: &str, body: &B)
where
    B: serde::Serialize + zbus::DynamicType,
{
    let message = Message::signal(SYSTEMD, MANAGER, member)
        .sender(":1.1")
        .build(body)
        .unwrap();
    conn.send(&message).await.unwrap();
}

fn job_path(id: u32) -> ObjectPath<'static> {
    ObjectPath::try_from(format!("{SYSTEMD}/job/{id}")).unwrap()
}

fn unit_path(unit: &str) -> ObjectPath<'static> {
    let label: String = unit
        .bytes()
        .map(|b| match b {
            b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
            b => format!("_{b:02x}"),
        })
        .collect();
    ObjectPath::try_from(format!("{SYSTEMD}/unit/{label}")).unwrap()
}

/// As systemd, which loads a unit when its properties are asked for: one that has no file is
/// `not-found`.
fn properties(world: &Mutex<World>, path: &str, interface: &str) -> HashMap<String, OwnedVariant> {
    let world = world.lock().unwrap();
    let unit = world
        .units
        .iter()
        .find(|(name, _)| unit_path(name).as_str() == path)
        .map(|(_, unit)| unit);
    // The empty name is every interface.
    let (of_unit, of_service) = match interface {
        "org.freedesktop.systemd1.Unit" => (true, false),
        "" => (true, true),
        _ => (false, true),
    };
    let props = match unit {
        Some(unit) => {
            let of_unit = unit.unit.iter().filter(|_| of_unit);
            of_unit.chain(unit.service.iter().filter(|_| of_service))
        }
        None => {
            return HashMap::from([
                ("LoadState".to_owned(), value("not-found")),
                ("ActiveState".to_owned(), value("inactive")),
                ("SubState".to_owned(), value("dead")),
            ]);
        }
    };
    props
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect()
}

type Row = (
    String,
    String,
    String,
    String,
    String,
    String,
    ObjectPath<'static>,
    u32,
    String,
    ObjectPath<'static>,
);

fn rows(world: &Mutex<World>, keep: impl Fn(&str, &Unit) -> bool) -> Vec<Row> {
    let world = world.lock().unwrap();
    world
        .units
        .iter()
        .filter(|(name, unit)| keep(name, unit))
        .map(|(name, unit)| {
            (
                name.clone(),
                String::new(),
                unit.word("LoadState"),
                unit.word("ActiveState"),
                unit.word("SubState"),
                String::new(),
                unit_path(name),
                0,
                String::new(),
                ObjectPath::try_from("/").unwrap(),
            )
        })
        .collect()
}
