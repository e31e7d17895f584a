use futures_util::stream::{self, BoxStream, select_all};
use futures_util::{Stream, StreamExt, future};
use tokio::sync::mpsc;
use zbus::{MatchRule, Message, MessageStream, ObjectPath};

use super::error::Error;
use super::job::JobResult;
use super::manager::Manager;
use super::name::{agent_of_unit, unit_of_path};

/// Something that happened to an agent's unit, whoever caused it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A property changed: read the unit again. Figures (memory, CPU, watchdog) never say so.
    Changed {
        /// The unit.
        unit: String,
    },
    /// The unit was loaded.
    Loaded {
        /// The unit.
        unit: String,
    },
    /// The unit was unloaded.
    Unloaded {
        /// The unit.
        unit: String,
    },
    /// A job for the unit was queued.
    JobQueued {
        /// Number of the job.
        id: u32,
        /// The unit.
        unit: String,
    },
    /// A job for the unit ended.
    JobEnded {
        /// Number of the job.
        id: u32,
        /// The unit.
        unit: String,
        /// How.
        result: JobResult,
    },
    /// systemd begins to read all unit files again; what it says until it is done means nothing.
    Reloading,
    /// That is over: list the units again.
    Reloaded,
    /// Something was enabled, disabled or masked.
    UnitFilesChanged,
}

impl Manager {
    /// What happens to the agents' units from now on. The stream ends with the connection.
    ///
    /// Events are hints to look: read the state with [`Manager::unit`] afterwards. A slow reader
    /// holds nothing up.
    ///
    /// # Errors
    /// systemd cannot be asked.
    pub async fn events(&self) -> Result<impl Stream<Item = Event> + Send + Unpin + use<>, Error> {
        self.subscribe().await?;
        let streams = self.raw_events().await;
        let streams = streams.map_err(|e| Error::from_bus(&e, &self.call("watching", "units")))?;
        let (sender, mut receiver) = mpsc::unbounded_channel();
        // zbus stops reading the connection when the queue of a stream is full, and with it the
        // answers to calls that the reader of the events makes; so they are taken off at once. What
        // is kept is little: only the agents' units.
        tokio::spawn(forward(streams, sender));
        Ok(stream::poll_fn(move |cx| receiver.poll_recv(cx)))
    }

    async fn raw_events(&self) -> zbus::Result<Vec<BoxStream<'static, Event>>> {
        let signals = self.proxy.inner().receive_all_signals().await?;
        let manager = signals.filter_map(|m| future::ready(manager_event(&m)));
        let rule = MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .sender("org.freedesktop.systemd1")
            .interface("org.freedesktop.DBus.Properties")
            .member("PropertiesChanged")
            .path_namespace("/org/freedesktop/systemd1/unit")
            .build()?;
        // Another program could send such a signal straight to us; it would only make us look.
        let changes = MessageStream::for_match_rule(rule, &self.conn, None).await?;
        let changes = changes.filter_map(|m| future::ready(m.ok().and_then(|m| change_event(&m))));
        Ok(vec![manager.boxed(), changes.boxed()])
    }
}

async fn forward(streams: Vec<BoxStream<'static, Event>>, sender: mpsc::UnboundedSender<Event>) {
    let mut events = select_all(streams);
    let mut reloading = false;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = sender.closed() => None,
        };
        let Some(event) = event else { return };
        match event {
            Event::Reloading => reloading = true,
            Event::Reloaded => reloading = false,
            // Inside a reload every unit goes and comes back.
            Event::Loaded { .. } | Event::Unloaded { .. } if reloading => continue,
            _ => {}
        }
        if sender.send(event).is_err() {
            return;
        }
    }
}

fn manager_event(message: &Message) -> Option<Event> {
    let header = message.header();
    let body = message.body();
    let agent = |unit: &str| agent_of_unit(unit).map(|_| unit.to_owned());
    match header.member()?.as_str() {
        "JobNew" => {
            let (id, _, unit): (u32, ObjectPath<'_>, &str) = body.deserialize().ok()?;
            agent(unit).map(|unit| Event::JobQueued { id, unit })
        }
        "JobRemoved" => {
            let (id, _, unit, result): (u32, ObjectPath<'_>, &str, &str) =
                body.deserialize().ok()?;
            let result = result.into();
            agent(unit).map(|unit| Event::JobEnded { id, unit, result })
        }
        "UnitNew" => {
            let (unit, _): (&str, ObjectPath<'_>) = body.deserialize().ok()?;
            agent(unit).map(|unit| Event::Loaded { unit })
        }
        "UnitRemoved" => {
            let (unit, _): (&str, ObjectPath<'_>) = body.deserialize().ok()?;
            agent(unit).map(|unit| Event::Unloaded { unit })
        }
        "Reloading" => Some(match body.deserialize().ok()? {
            true => Event::Reloading,
            false => Event::Reloaded,
        }),
        "UnitFilesChanged" => Some(Event::UnitFilesChanged),
        _ => None,
    }
}

fn change_event(message: &Message) -> Option<Event> {
    let header = message.header();
    let unit = unit_of_path(header.path()?.as_str())?;
    agent_of_unit(&unit).map(|_| Event::Changed { unit })
}
