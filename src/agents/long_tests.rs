use std::net::TcpListener;
use std::path::Path;

use futures_util::FutureExt;
use serde_json::Value;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::agents::Ryu;
use crate::api::EggRecord;
use crate::engines::ports::Plan;
use crate::fleet::AgentKind;
use crate::runtime::{Checkpoints, Config, ConfigSource, Control, Options};

const SOON: Duration = Duration::from_millis(10);

/// An agent with this hub, in this directory.
struct Bed {
    ctx: Context,
    checkpoints: Checkpoints,
    config: std::sync::Arc<Config>,
    record: EggRecord,
}

impl Bed {
    fn new(hub: &str, dir: &Path, ports: &str) -> Self {
        let options = Options {
            hub: Some(hub.to_owned()),
            root: dir.to_owned(),
            ports: Some(ports.to_owned()),
            ..Options::default()
        };
        let source = ConfigSource::new(AgentKind::Ryu, options).unwrap();
        let config = source.load(|_| Ok(())).unwrap();
        let ctx = Context::new(config, Control::new(None), Default::default());
        let record = serde_json::json!({ "id": Uuid::now_v7(), "lease_id": Uuid::now_v7() });
        Self {
            config: ctx.config(),
            ctx,
            checkpoints: Checkpoints::new(dir),
            record: serde_json::from_value(record).unwrap(),
        }
    }

    fn task(&self) -> Task<'_> {
        Task {
            record: &self.record,
            target: "127.0.0.1",
            addr: [127, 0, 0, 1].into(),
            config: &self.config,
            checkpoints: &self.checkpoints,
            state_dir: Path::new("."),
        }
    }

    fn options(&self) -> ScanOptions {
        let settings = scan::of(&self.config.agent.settings).unwrap();
        ScanOptions {
            services: false,
            udp_ports: std::iter::empty().collect(),
            ..ScanOptions::of(&settings, self.config.max_rate).unwrap()
        }
    }
}

async fn hub(status: u16) -> MockServer {
    let server = MockServer::start().await;
    let answer = serde_json::json!({ "success": status == 200, "error": "x" });
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(status).set_body_json(answer))
        .mount(&server)
        .await;
    server
}

/// Waits for so many requests; works on meanwhile.
async fn requests(server: &MockServer, count: usize, long: &Long<'_>) -> Vec<Request> {
    let arrive = async {
        loop {
            let all = server.received_requests().await.unwrap();
            if all.len() >= count {
                return all;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        all = arrive => all,
        never = long.tell() => match never {},
    }
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

fn found(long: &Long<'_>, port: u16) {
    let port = OpenPort {
        port,
        protocol: "tcp".to_owned(),
        ..OpenPort::default()
    };
    long.open([127, 0, 0, 1].into(), &|| port.clone());
}

fn key(request: &Request) -> String {
    let key = &request.headers["idempotency-key"];
    key.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_new_goes_to_the_hub() {
    let dir = tempfile::tempdir().unwrap();
    let server = hub(200).await;
    let bed = Bed::new(&server.uri(), dir.path(), "1-100");
    let (task, options) = (bed.task(), bed.options());
    let long = Long::begin::<Ryu>(&task, &bed.ctx, &options, SOON);
    assert!(long.part().is_none(), "nothing found, nothing told");
    found(&long, 22);
    let first = requests(&server, 1, &long).await;
    let told = body(&first[0]);
    assert_eq!(first[0].url.path(), "/reconnaissance/api/daemon/ryu/scan/");
    assert_eq!(told["scan_type"], "ryu_port_scan");
    let result = &told["result"];
    assert_eq!(
        (&result["partial"], &result["open_ports"][0]["port"]),
        (&true.into(), &22.into())
    );
    // A request under way was given up when the test had seen it: it may come again.
    found(&long, 80);
    let last = loop {
        let seen = server.received_requests().await.unwrap().len();
        let all = requests(&server, seen + 1, &long).await;
        if body(&all[seen])["result"]["open_ports_count"] == 2 {
            break all;
        }
    };
    let second = &last[last.len() - 1];
    assert_ne!(
        key(&first[0]),
        key(second),
        "each is a submission of its own"
    );
    assert_eq!(body(second)["result"]["run"], result["run"]);
}

#[tokio::test]
async fn what_the_hub_knows_is_not_told_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = hub(200).await;
    let bed = Bed::new(&server.uri(), dir.path(), "1-100");
    let (task, options) = (bed.task(), bed.options());
    let long = Long::begin::<Ryu>(&task, &bed.ctx, &options, SOON);
    found(&long, 22);
    let (part, count) = long.part().unwrap();
    long.submit(part).await.unwrap();
    long.now().told = count;
    found(&long, 22);
    assert!(long.part().is_none());
}

/// The earlier server leases nothing; it would store each part as a scan.
#[tokio::test]
async fn the_earlier_server_gets_no_parts() {
    let dir = tempfile::tempdir().unwrap();
    let mut bed = Bed::new("http://127.0.0.1:1", dir.path(), "1-100");
    bed.record.lease_id = None;
    let (task, options) = (bed.task(), bed.options());
    let long = Long::begin::<Ryu>(&task, &bed.ctx, &options, Duration::ZERO);
    found(&long, 22);
    for _ in 0..10 {
        assert!(long.tell().now_or_never().is_none());
    }
    assert!(!long.now().streamed);
}

#[tokio::test]
async fn a_hub_that_is_away_or_wants_nothing_stops_nothing() {
    for status in [503, 409, 422] {
        let dir = tempfile::tempdir().unwrap();
        let server = hub(status).await;
        let bed = Bed::new(&server.uri(), dir.path(), "1-100");
        let (task, options) = (bed.task(), bed.options());
        let long = Long::begin::<Ryu>(&task, &bed.ctx, &options, SOON);
        found(&long, 22);
        requests(&server, 1, &long).await;
        assert_eq!(long.now().told, 0);
        assert!(!dir.path().join("spool").exists(), "parts are not spooled");
    }
}

/// As if it was long ago.
fn let_time_pass(long: &Long<'_>) {
    let mut now = long.now();
    now.kept_at = now.kept_at.checked_sub(KEEP_EVERY).unwrap();
}

fn at(place: u64, total: u64) -> Checkpoint {
    Checkpoint {
        seed: 9,
        place,
        total,
    }
}

#[tokio::test]
async fn how_far_it_is_is_kept_every_two_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let bed = Bed::new("http://127.0.0.1:1", dir.path(), "1-100");
    let (task, options) = (bed.task(), bed.options());
    let long = Long::begin::<Ryu>(&task, &bed.ctx, &options, SOON);
    let kept = || bed.checkpoints.load::<Kept>(bed.record.id);
    long.checkpoint(&at(10, 100));
    assert!(kept().is_none(), "it has just begun");
    found(&long, 22);
    let_time_pass(&long);
    long.checkpoint(&at(20, 100));
    long.checkpoint(&at(30, 100));
    let first = kept().unwrap();
    assert_eq!((first.engine.place, first.open[0].port), (20, 22));
    assert_eq!(first.run, long.begun.run);
    let_time_pass(&long);
    long.now().sweeping = false;
    long.checkpoint(&at(1, 1));
    assert_eq!(kept().unwrap().engine.place, 20, "of another scan");
}

#[tokio::test]
async fn the_next_process_goes_on_and_its_result_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let listeners = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let mut ports = listeners
        .iter()
        .map(|l| l.local_addr().unwrap().port().to_string())
        .collect::<Vec<_>>();
    ports.sort();
    let ports = ports.join(",");
    let bed = Bed::new("http://127.0.0.1:1", dir.path(), &ports);
    let (task, mut options) = (bed.task(), bed.options());
    // The first process found the port that comes first in its order, and was killed.
    let plan = Plan::new("127.0.0.1".parse().unwrap(), &options.ports, 9);
    let first = Long::begin::<Ryu>(&task, &bed.ctx, &options, SOON);
    found(&first, plan.at(0).unwrap().port);
    let_time_pass(&first);
    first.checkpoint(&at(1, 2));

    let second = Long::begin::<Ryu>(&task, &bed.ctx, &options, SOON);
    assert_eq!(second.begun.run, first.begun.run);
    options.resume = second.begun.engine();
    assert_eq!(options.resume, Some(at(1, 2)));
    let report = second.run(&Ryu, &options).await.unwrap();
    let result = second.result(report);
    assert_eq!((result.open_ports.len(), result.ports_scanned), (2, 2));
    assert_eq!((result.run, result.partial), (Some(first.begun.run), false));
    assert_eq!(result.started_at, Some(first.begun.started_at));
}
