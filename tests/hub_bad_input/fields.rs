//! The fields of every POST route, and what each must not take.

use serde_json::{Value, json};

/// What a field takes, by which it is known what it must not take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Takes {
    /// The id of a record.
    Record,
    Text,
    Flag,
    /// 0 or more.
    Number,
    /// A whole one, 0 or more.
    Count,
    List,
    Object,
    /// A list or an object.
    Either,
    /// From 1 to 65535.
    Port,
    /// What is in this list (JSON) is wrong.
    Not(&'static str),
}
use Takes::{Count, Either, Flag, List, Not, Number, Object, Port, Record, Text};

impl Takes {
    /// Wrong values, and the statuses that they get.
    pub fn wrong(self) -> Vec<(Value, u16)> {
        let list = |values: Value| -> Vec<(Value, u16)> {
            let values = values.as_array().unwrap().clone();
            values.into_iter().map(|v| (v, 422)).collect()
        };
        let unknown = "99999999-9999-4999-8999-999999999999";
        match self {
            Record => vec![
                (Value::Null, 400),
                (json!(""), 400),
                (json!(0), 400),
                (json!(false), 400),
                (json!(true), 422),
                (json!(-1), 422),
                (json!("x"), 422),
                (json!("' OR 1=1 --"), 422),
                (json!("11111111-1111-4111-8111-11111111111"), 422),
                (json!("\u{0}"), 422),
                (json!([unknown]), 422),
                (json!({ "id": unknown }), 422),
                (json!("9".repeat(100_000)), 422),
                (json!(unknown), 404),
            ],
            Text => list(json!([5, -1.5, true, [], ["x"], {}, { "$ne": null }])),
            Flag => list(json!(["yes", "", 1, 0, [], {}])),
            Number => list(json!(["x", "1", -1, -0.001, -1e300, true, [], [1], {}])),
            Count => list(json!([
                "x",
                "1",
                -1,
                1.5,
                1e30,
                18_446_744_073_709_551_615_u64,
                true,
                [],
                {}
            ])),
            List => list(json!(["x", "", 5, true, {}, { "0": 1 }])),
            Object => list(json!(["x", "", 5, true, [], [{}]])),
            Either => list(json!([
                "x",
                "",
                5,
                false,
                "y".repeat(70_000),
                ["z".repeat(70_000)]
            ])),
            Port => list(json!([
                null,
                0,
                -1,
                65_536,
                80.5,
                1e10,
                "",
                "x",
                "80/tcp",
                true,
                [80],
                {}
            ])),
            Not(values) => list(serde_json::from_str(values).unwrap()),
        }
    }
}

pub const SCAN: &[(&str, Takes)] = &[
    ("/eggrecord_id", Record),
    ("/target", Text),
    ("/scan_type", Not(r#"[5, [], "a b", "kumo_spider", "ä"]"#)),
    ("/result", Object),
    ("/result/success", Flag),
    ("/result/open_ports", List),
    ("/result/open_ports/0", Not(r#"[null, 80, "80", true, []]"#)),
    ("/result/open_ports/0/port", Port),
    ("/result/open_ports/0/protocol", Not(r#"["icmp", 6, []]"#)),
    ("/result/open_ports/0/service_name", Text),
    ("/result/scan_duration", Number),
    (
        "/result/ports_scanned",
        Not(r#"[-1, 65537, "many", [], 1e300]"#),
    ),
    (
        "/result/ip_address",
        Not(r#"["localhost", 5, "1.2.3", "::g"]"#),
    ),
    (
        "/result/started_at",
        Not(r#"["yesterday", 5, "2026-13-01T00:00:00Z"]"#),
    ),
];

pub const SPIDER: &[(&str, Takes)] = &[
    ("/eggrecord_id", Record),
    ("/target", Text),
    ("/result", Object),
    ("/result/success", Flag),
    ("/result/run_id", Text),
    ("/result/technologies", List),
    (
        "/result/technologies/0",
        Not(r#"[null, 5, "", {}, [], {"name": 5}]"#),
    ),
    ("/result/technologies/0/version", Text),
    ("/result/request_metadata", List),
    (
        "/result/request_metadata/0",
        Not(r#"["x", 5, [], null, true]"#),
    ),
    ("/result/request_metadata/0/target_url", Text),
    (
        "/result/request_metadata/0/request_method",
        Not(r#"[5, "G T", "G\u0000T", "ä", []]"#),
    ),
    ("/result/request_metadata/0/request_headers", Object),
    ("/result/request_metadata/0/response_headers", Object),
    ("/result/request_metadata/0/response_status", Count),
    (
        "/result/request_metadata/0/response_status",
        Not("[1000, 70000]"),
    ),
    ("/result/request_metadata/0/response_time_ms", Number),
    ("/result/request_metadata/0/user_agent", Text),
    ("/result/request_metadata/0/javascript_analysis", Object),
    (
        "/result/request_metadata/0/javascript_analysis/secrets_found",
        List,
    ),
    (
        "/result/request_metadata/0/javascript_analysis/secrets_found/0",
        Not(r#"[null, "AKIA", 5, [], {}, {"value": 5}, {"value": ""}, {"type": "t"}]"#),
    ),
    (
        "/result/request_metadata/0/javascript_analysis/secrets_found/0/type",
        Text,
    ),
    (
        "/result/request_metadata/0/javascript_analysis/api_endpoints",
        List,
    ),
    (
        "/result/request_metadata/0/javascript_analysis/external_js_files",
        List,
    ),
];

pub const ENUMERATION: &[(&str, Takes)] = &[
    ("/eggrecord_id", Record),
    ("/target", Text),
    ("/result", Object),
    ("/result/success", Flag),
    (
        "/result/paths_discovered",
        Not(r#"["x", true, {}, -1, 1.5]"#),
    ),
    ("/result/paths_discovered/0", Not("[5, true, []]")),
    ("/result/paths_discovered/0/path", Text),
    ("/result/paths_discovered/0/status", Count),
    ("/result/paths_discovered/0/status", Not("[1000, 65536]")),
    ("/result/paths_discovered/0/size", Count),
    ("/result/paths_discovered/0/content_type", Text),
    ("/result/paths_discovered/0/priority_score", Number),
    (
        "/result/paths_discovered/0/priority_score",
        Not("[1.01, 1e300]"),
    ),
    ("/result/paths_discovered/0/priority_factors", Either),
    ("/result/paths_discovered/0/response_time", Number),
    ("/result/enumeration_results", List),
    (
        "/result/enumeration_results/0",
        Not(r#"["x", 5, [], null]"#),
    ),
    ("/result/enumeration_metadata", Object),
    ("/result/enumeration_metadata/tool_used", Text),
    ("/result/enumeration_metadata/wordlist_used", Text),
    ("/result/cms_detection", Object),
    ("/result/cms_detection/cms", Text),
    ("/result/cms_detection/version", Text),
    ("/result/cms_detection/confidence", Number),
];

pub const ASSESSMENT: &[(&str, Takes)] = &[
    ("/eggrecord_id", Record),
    ("/target", Text),
    (
        "/risk_level",
        Not(r#"["banana", "", "medium high", 5, true, [], ["low"], {}]"#),
    ),
    ("/threat_summary", Text),
    ("/narrative", Text),
    ("/vulnerabilities", Either),
    ("/attack_vectors", Either),
    ("/remediation_priorities", Either),
];

pub const PROGRESS: &[(&str, Takes)] = &[
    ("/status", Text),
    ("/current_target", Text),
    ("/current_eggrecord_id", Text),
    ("/current_step", Text),
    ("/progress_percent", Number),
    ("/progress_percent", Not("[101, 1e300]")),
    ("/cycle_number", Count),
    ("/enumerated_this_cycle", Count),
    ("/total_in_queue", Count),
    ("/paths_found", Count),
];

pub const HEARTBEAT: &[(&str, Takes)] = &[
    ("/agent", Not(r#"[null, 5, "", "A B", "ä", []]"#)),
    ("/host", Not(r#"[null, 5, "", "a b", []]"#)),
    ("/pid", Not(r#"[null, -1, "x", 1e30, []]"#)),
    ("/status", Not(r#"["fine", "", "HEALTHY"]"#)),
    ("/started_at", Not(r#"[null, "x", 5]"#)),
    ("/interval_s", Not(r#"[null, -1, 0, 1e300, "x"]"#)),
    ("/leases", Not(r#"["x", ["x"], [5], {}]"#)),
];

pub const TARGETS: &[(&str, Takes)] = &[
    ("/targets", Not(r#"[null, [], "x", 5, {}, ["127.0.0.9"]]"#)),
    (
        "/targets/0/target",
        Not(r#"[null, "", "a b", "http://x/", "10.0.0.0/33", 5, [], "x\u0000"]"#),
    ),
    ("/targets/0/group", Text),
    ("/targets/0/alive", Flag),
];

pub const CREATE: &[(&str, Takes)] = &[
    (
        "/domain",
        Not(r#"["a b", 5, [], {}, "http://x/", "10.0.0.0/8"]"#),
    ),
    ("/ip_address", Not(r#"["x", 5, [], "10.0.0.0/8"]"#)),
    ("/cidr", Not(r#"["x", 5, [], "10.0.0.0/33"]"#)),
    ("/alive", Flag),
    ("/eggname", Text),
];
