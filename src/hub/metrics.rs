//! What the hub counts, for Prometheus.
//!
//! Labels are bounded: kinds, outcomes, route templates, agents; never a target or a path as sent.

use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::cached::Cached;
use super::state::Hub;
use super::store::{Counts, FindingCount, QueueDepth, Submitted};
use crate::api::{FleetHealth, WorkKind};

/// How long what needs the database or systemd is good for.
const EVERY: Duration = Duration::from_secs(10);
/// Upper ends of the classes of latency, in seconds.
const LATENCIES: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];
/// States of an agent, as labels.
const STATES: [&str; 9] = [
    "STOPPED",
    "STARTING",
    "RUNNING",
    "STOPPING",
    "RESTARTING",
    "PAUSED",
    "DEGRADED",
    "FAILED",
    "IMPORT_FAILED",
];

/// What counts from the start of the hub.
#[derive(Debug)]
pub(super) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    latencies: Family<RouteLabels, Histogram, fn() -> Histogram>,
    results: Family<ResultLabels, Counter>,
    ports: Family<KindLabels, Counter>,
    seen: Cached<Seen>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: String,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

/// What became of a result that was sent in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    /// Stored.
    Stored,
    /// An attempt that did not become a result.
    Attempt,
    /// Not stored: there is a recent one, or a later one.
    Recent,
    /// What there was so far.
    Part,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Attempt => "attempt",
            Self::Recent => "recent",
            Self::Part => "partial",
        }
    }
}

/// What is looked up when somebody asks.
#[derive(Debug, Clone)]
struct Seen {
    fleet: Option<FleetHealth>,
    queue: Vec<QueueDepth>,
    findings: Vec<FindingCount>,
    counts: Counts,
    size: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            latencies: Family::new_with_constructor(|| Histogram::new(LATENCIES)),
            results: Family::default(),
            ports: Family::default(),
            seen: Cached::new(EVERY),
        }
    }
}

impl Metrics {
    /// Counts a request. The route is the template that it matched.
    pub(super) fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let labels = RouteLabels {
            method: method.to_owned(),
            route: route.to_owned(),
        };
        self.latencies
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
        let RouteLabels { method, route } = labels;
        let labels = RequestLabels {
            method,
            route,
            status,
        };
        self.requests.get_or_create(&labels).inc();
    }

    /// Counts a scan that was sent in; a repetition is none.
    pub(super) fn submitted(&self, kind: WorkKind, done: &Submitted, ports: u64) {
        match done {
            Submitted::Stored { .. } => self.result(kind, Outcome::Stored, ports),
            Submitted::Attempt => self.result(kind, Outcome::Attempt, 0),
            Submitted::Recent(_) | Submitted::Late => self.result(kind, Outcome::Recent, 0),
            Submitted::Part { .. } => self.result(kind, Outcome::Part, 0),
        }
    }

    /// Counts another result that was sent in; a repetition is none.
    pub(super) fn delivered(&self, kind: WorkKind, stored: bool) {
        let outcome = match stored {
            true => Outcome::Stored,
            false => Outcome::Attempt,
        };
        self.result(kind, outcome, 0);
    }

    /// Counts a result that was sent in, and the ports that it looked at.
    fn result(&self, kind: WorkKind, outcome: Outcome, ports: u64) {
        let kind = kind.as_str();
        let outcome = outcome.as_str();
        let labels = ResultLabels { kind, outcome };
        self.results.get_or_create(&labels).inc();
        if ports > 0 {
            self.ports.get_or_create(&KindLabels { kind }).inc_by(ports);
        }
    }
}

/// All metrics as text. Without the database those are left out that come from it.
pub(super) async fn text(hub: &Hub) -> Result<String, std::fmt::Error> {
    let metrics = &hub.metrics;
    let mut registry = Registry::with_prefix("recon");
    registry.register(
        "http_requests",
        "Requests by route and status",
        metrics.requests.clone(),
    );
    registry.register_with_unit(
        "http_request_duration",
        "How long requests took",
        Unit::Seconds,
        metrics.latencies.clone(),
    );
    registry.register(
        "results",
        "Results that were sent in",
        metrics.results.clone(),
    );
    registry.register(
        "ports_scanned",
        "Ports that stored scans looked at",
        metrics.ports.clone(),
    );
    match metrics.seen.get(look(hub)).await {
        Ok(seen) => registry.register_collector(Box::new(Shown {
            now: hub.clock.now(),
            seen,
        })),
        Err(problem) => {
            tracing::warn!(%problem, "metrics go without what the database knows");
        }
    }
    let rss = crate::runtime::rss_bytes().unwrap_or_default();
    registry.register_with_unit(
        "hub_resident_memory",
        "Memory of the hub",
        Unit::Bytes,
        gauge(rss),
    );
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

async fn look(hub: &Hub) -> Result<Seen, super::store::StoreError> {
    let now = hub.clock.now();
    hub.store.expire_decisions(now).await?;
    Ok(Seen {
        queue: hub.store.queue(now).await?,
        findings: hub.store.finding_counts().await?,
        counts: hub.store.counts(now).await?,
        size: hub.store.size().await?,
        fleet: super::routes::fleet(hub).await.ok(),
    })
}

/// The looked-up metrics, at the time of asking.
#[derive(Debug)]
struct Shown {
    now: chrono::DateTime<chrono::Utc>,
    seen: Seen,
}

type Labels = [(&'static str, String); 2];

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let encoder = &mut encoder;
        let one =
            |name: &str, help: &str, unit: Option<&Unit>, n: u64, e: &mut DescriptorEncoder<'_>| {
                let gauge = gauge(n);
                gauge.encode(e.encode_descriptor(name, help, unit, gauge.metric_type())?)
            };
        one(
            "database_size",
            "Size of the database",
            Some(&Unit::Bytes),
            self.seen.size,
            encoder,
        )?;
        one(
            "targets",
            "Targets that are known",
            None,
            self.seen.counts.targets,
            encoder,
        )?;
        one(
            "scans",
            "Scans that are stored",
            None,
            self.seen.counts.scans,
            encoder,
        )?;
        one(
            "leases",
            "Leases that agents hold",
            None,
            self.seen.counts.leases,
            encoder,
        )?;
        self.queue(encoder)?;
        self.findings(encoder)?;
        self.fleet(encoder)
    }
}

impl Shown {
    fn queue(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let depth = |d: &QueueDepth, state: &str, n: u64| {
            let labels = [
                ("kind", d.kind.as_str().to_owned()),
                ("state", state.to_owned()),
            ];
            (labels, whole(n))
        };
        let all = self.seen.queue.iter();
        let all = all.flat_map(|d| [depth(d, "due", d.due), depth(d, "leased", d.leased)]);
        gauges(
            encoder,
            "queue_depth",
            "Work by kind; 100000 means that many or more",
            None,
            all,
        )
    }

    fn findings(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let all = self.seen.findings.iter().map(|f| {
            let labels = [
                ("severity", f.severity.as_str().to_owned()),
                ("status", f.status.to_owned()),
            ];
            (labels, whole(f.count))
        });
        gauges(
            encoder,
            "findings",
            "Findings by severity and state; 100000 means that many or more",
            None,
            all,
        )
    }

    fn fleet(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(fleet) = &self.seen.fleet else {
            return Ok(());
        };
        let labels = |d: &crate::api::DaemonHealth| -> Labels {
            [
                ("agent", d.name.clone()),
                ("host", d.host.clone().unwrap_or_default()),
            ]
        };
        let all = || fleet.daemons.iter();
        let states = all().flat_map(|d| {
            STATES.iter().map(move |state| {
                let [agent, host] = labels(d);
                let labels = [agent, host, ("state", (*state).to_owned())];
                (labels, whole(u64::from(d.status == *state)))
            })
        });
        let name = "agent_state";
        gauges(
            encoder,
            name,
            "1 for the state that the agent is in",
            None,
            states,
        )?;
        let healthy = all().map(|d| (labels(d), whole(u64::from(d.healthy))));
        gauges(
            encoder,
            "agent_healthy",
            "1 when it does its work",
            None,
            healthy,
        )?;
        let restarts = all().filter_map(|d| Some((labels(d), whole(d.restarts?.into()))));
        let help = "Restarts by systemd since somebody started it; can go back";
        gauges(encoder, "agent_restarts", help, None, restarts)?;
        let ages = all().filter_map(|d| {
            let age = self.now - d.last_heartbeat?;
            Some((labels(d), age.as_seconds_f64().max(0.0)))
        });
        gauges(
            encoder,
            "agent_heartbeat_age",
            "Since the hub last heard of it",
            Some(&Unit::Seconds),
            ages,
        )
    }
}

fn gauges<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    all: impl Iterator<Item = ([(&'static str, String); N], f64)>,
) -> Result<(), std::fmt::Error> {
    let kind = prometheus_client::metrics::MetricType::Gauge;
    let mut metric = encoder.encode_descriptor(name, help, unit, kind)?;
    for (labels, value) in all {
        ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

fn gauge(n: u64) -> ConstGauge<f64> {
    ConstGauge::new(whole(n))
}

/// Counts and sizes fit a float exactly up to 2^53.
#[allow(clippy::cast_precision_loss)]
fn whole(n: u64) -> f64 {
    n as f64
}
