//! All routes of the hub. A new one is one entry here: its documentation, then its handler.

use axum::http::StatusCode;

use super::super::openapi::{Doc, Routes};
use super::{
    assessment, audit, changes, control, create, eggrecords, enumeration, events, findings,
    fleet_health, health, heartbeat, leases, metrics, openapi, progress, scan_submit, scans,
    spider, storage, summary, target_import, targets, tokens, web, webhooks,
};
use crate::api::{
    AssessmentAnswer, AssessmentContext, AssessmentList, AuditList, ChangeList, ChangeTarget,
    ControlAnswer, CreateTargets, CreateTargetsAnswer, CreateToken, CreatedToken, DecideFinding,
    EggRecordList, EnumerationAnswer, EventList, Finding, FindingList, FleetHealth, Heartbeat,
    HeartbeatAnswer, ImportAnswer, LeaseAnswer, LogAnswer, Scan, ScanAnswer, ScanList,
    ScanSubmission, SpiderAnswer, StoreReport, Target, TargetList, TokenList, WebContext,
    WebEndpointList, WebFormList, WebPageList, WebhookList,
};

/// Largest body of a result: the earlier daemons send a line for each of 65,535 ports (10.6 MB), and
/// the texts of scripts.
const RESULT_BODY_MAX: usize = 32 * 1024 * 1024;

/// Largest body of an import.
const IMPORT_BODY_MAX: usize = 32 * 1024 * 1024;

/// Every route.
pub(super) fn all() -> Routes {
    Routes::default()
        .nest("/reconnaissance/api", recon_api())
        .nest("/api", recon_api().merge(own_api()))
        .route(
            Doc::get("/healthz", "The hub lives.").object(),
            health::alive,
        )
        .route(
            Doc::get("/readyz", "The hub does its work: a write goes through.").object(),
            health::ready,
        )
        .route(
            Doc::get("/metrics", "Metrics for Prometheus.").other(metrics::CONTENT_TYPE),
            metrics::show,
        )
        .route(
            Doc::get("/openapi.json", "This document.").object(),
            openapi::show,
        )
}

/// The routes of the earlier server, at their old paths and under `/api`.
fn recon_api() -> Routes {
    Routes::default()
        .route(
            Doc::get("/daemon/{personality}/eggrecords", "Leases what is due.")
                .personalities(&["kage", "kaze", "kumo", "ryu", "suzu"])
                .integer("limit", 0..=1000, "At most so many; 10 if not given.")
                .word(
                    "scan_type",
                    &["ryu_port_scan", "assessment"],
                    "For ryu: which of its lists.",
                )
                .text("agent", "NAME@HOST of the caller.")
                .integer("lease", 10..=86_400, "Seconds.")
                .text(
                    "resume",
                    "Leases that the caller held when it ended, with commas: it goes on with their \
                     records, which come first.",
                )
                .no_head()
                .answer::<EggRecordList>(),
            eggrecords::list,
        )
        .route(
            Doc::get(
                "/daemon/{personality}/context/{id}",
                "What is known of a record before an agent begins.",
            )
            .personalities(&["kumo", "suzu"])
            .answer::<WebContext>(),
            web::context,
        )
        .route(
            Doc::get(
                "/daemon/ryu/context/{id}",
                "Everything that an assessment reads of a record, within bounds.",
            )
            .unhurried()
            .answer::<AssessmentContext>(),
            web::evidence,
        )
        .route(
            Doc::post("/daemon/{personality}/scan", "Takes the result of a scan.")
                .personalities(&["kage", "kaze", "ryu"])
                .body::<ScanSubmission>()
                .body_max(RESULT_BODY_MAX)
                .answer::<ScanAnswer>(),
            scan_submit::submit,
        )
        .route(
            Doc::post("/daemon/{personality}/heartbeat", "Takes a sign of life.")
                .body::<Heartbeat>()
                .answer::<HeartbeatAnswer>(),
            heartbeat::take,
        )
        .route(
            Doc::get("/daemon/{personality}/health", "How an agent is.").object(),
            health::agent,
        )
        .route(
            Doc::delete("/daemon/leases/{id}", "Gives a record back.").answer::<LeaseAnswer>(),
            leases::end,
        )
        .route(
            Doc::post("/eggrecords/create", "Adds a target.")
                .body::<create::Form>()
                .object(),
            create::create,
        )
        .merge(results_api())
        .merge(control_api())
}

/// Results other than scans, and what became of them. The second path of each is where the earlier
/// documents or daemons look for it.
fn results_api() -> Routes {
    let result = |path, what| {
        Doc::post(path, what)
            .body_object()
            .body_max(RESULT_BODY_MAX)
    };
    let spider = |path| result(path, "Takes what a spider found.").answer::<SpiderAnswer>();
    let assessment = |path| result(path, "Takes an assessment.").answer::<AssessmentAnswer>();
    let enumeration = |path| {
        result(path, "Takes the paths that an enumerator found.").answer::<EnumerationAnswer>()
    };
    Routes::default()
        .route(spider("/daemon/kumo/spider"), spider::submit)
        .route(spider("/daemon/spider"), spider::submit)
        .route(assessment("/daemon/ryu/assessment"), assessment::submit)
        .route(assessment("/daemon/assessment"), assessment::submit)
        .route(enumeration("/daemon/enumeration"), enumeration::submit)
        .route(enumeration("/daemon/suzu/enumeration"), enumeration::submit)
        .route(
            Doc::post(
                "/daemon/{personality}/progress",
                "Takes how far an agent is.",
            )
            .body_object()
            .object(),
            progress::take,
        )
        .route(
            Doc::get("/{personality}/progress", "How far an agent is.").object(),
            progress::show,
        )
        .route(
            Doc::get(
                "/eggrecords/{uuid}/summary",
                "All that is known of a target.",
            )
            .object(),
            summary::show,
        )
        .route(
            of_target(Doc::get("/findings", "Findings, newest first.").pages())
                .text("group", "Of the targets of this group.")
                .text("severity", "Of this severity.")
                .text("min_severity", "Of this severity or worse.")
                .text("type", "Of this type.")
                .text("category", "Of this category.")
                .text("cve", "Of this known vulnerability (CVE-2021-41773).")
                .flag("kev", "Only what is exploited in the wild.")
                .text(
                    "status",
                    "In this state: open, fixed, accepted, false_positive.",
                )
                .text("since", "First seen at this time or later.")
                .word(
                    "sort",
                    &["-created", "created", "-priority"],
                    "In this order; by priority: what to see to first.",
                )
                .export()
                .answer::<FindingList>(),
            findings::list,
        )
        .route(
            Doc::get("/findings/{id}", "One finding.").answer::<Finding>(),
            findings::show,
        )
        .route(
            Doc::post(
                "/findings/{id}/decision",
                "Accepts a finding, calls it a false positive, or opens it again.",
            )
            .body::<DecideFinding>()
            .answer::<Finding>(),
            findings::decide,
        )
        .route(
            of_target(Doc::get("/assessments", "Assessments, newest first.").pages())
                .text("risk_level", "Of this risk.")
                .by_time()
                .export()
                .answer::<AssessmentList>(),
            assessment::list,
        )
}

/// The parameters by which a list is that of one target.
fn of_target(doc: Doc) -> Doc {
    doc.text("target", "Of this target: name or address.")
        .text("record", "Of the target with this id.")
}

/// Driving agents, as the earlier server does.
fn control_api() -> Routes {
    Routes::default()
        .route(
            Doc::get("/{personality}/status", "What an agent does.").answer::<ControlAnswer>(),
            control::status,
        )
        .route(
            Doc::get("/{personality}/logs", "The last lines of its journal.")
                .integer("limit", 1..=1000, "At most so many; 50 if not given.")
                .answer::<LogAnswer>(),
            control::logs,
        )
        .route(action("/{personality}/start", "Starts it."), control::start)
        .route(
            action("/{personality}/stop", "Stops it after the task in hand."),
            control::stop,
        )
        .route(
            action("/{personality}/kill", "Stops it, by force after 5 s."),
            control::kill,
        )
        .route(
            action("/{personality}/restart", "Stops and starts it."),
            control::restart,
        )
        .route(
            action("/{personality}/pause", "Pauses it after the task in hand."),
            control::pause,
        )
        .route(
            action("/{personality}/resume", "Lets it go on."),
            control::resume,
        )
}

/// An action is done (200), or goes on when the request ends (202).
fn action(path: &'static str, what: &'static str) -> Doc {
    Doc::post(path, what)
        .answer::<ControlAnswer>()
        .answers_with::<ControlAnswer>(StatusCode::ACCEPTED)
}

/// The routes that the earlier server has not.
fn own_api() -> Routes {
    Routes::default()
        .route(
            Doc::get("/targets", "Targets, by time of creation.")
                .pages()
                .text("q", "Name, address or group contains this.")
                .text("target", "This one, by name or address.")
                .text("id", "This one, by id.")
                .text("group", "Of this group.")
                .text("project", "Of this project.")
                .flag("alive", "Those that take part, or those that do not.")
                .flag("skip", "Those that are set aside, or those that are not.")
                .text("due", "Those for which this kind of work is due.")
                .word(
                    "sort",
                    &["created", "-created", "target", "-target"],
                    "In this order.",
                )
                .export()
                .answer::<TargetList>(),
            targets::list,
        )
        .route(
            Doc::post("/targets", "Adds targets, all or none.")
                .body::<CreateTargets>()
                .answer::<CreateTargetsAnswer>(),
            targets::create,
        )
        .route(
            Doc::post("/targets/import", "Adds targets, one as JSON a line.")
                .body_text("application/x-ndjson")
                .body_max(IMPORT_BODY_MAX)
                .answer::<ImportAnswer>(),
            target_import::import,
        )
        .route(
            Doc::patch("/targets/{id}", "Changes a target.")
                .body::<ChangeTarget>()
                .flag("expanded", "Of a network: its addresses, too.")
                .object(),
            targets::change,
        )
        .route(
            Doc::get("/targets/{id}", "One target.").answer::<Target>(),
            targets::show,
        )
        .route(
            Doc::delete("/targets/{id}", "Removes a target; its scans stay.")
                .flag("expanded", "Of a network: its addresses, too.")
                .object(),
            targets::remove,
        )
        .route(
            Doc::get("/scans", "Scans, newest first.")
                .pages()
                .text("target", "Of this target: name, address or id.")
                .text("scan_type", "Of this type.")
                .by_time()
                .export()
                .answer::<ScanList>(),
            scans::list,
        )
        .route(
            Doc::get("/scans/{id}", "One scan.").answer::<Scan>(),
            scans::show,
        )
        .route(
            Doc::get("/events", "What happened, oldest first.")
                .integer("after", 0..=i64::MAX, "last_seq of the answer before.")
                .integer("limit", 1..=1000, "At most so many; 100 if not given.")
                .integer("wait", 0..=30, "Wait so many seconds for one.")
                .text("types", "Of these types, with commas between them.")
                .text("since", "From this time on.")
                .answer::<EventList>(),
            events::list,
        )
        .route(
            of_target(Doc::get("/changes", "Changes, newest first.").pages())
                .text("type", "Of this type.")
                .text("since", "From this time on.")
                .by_time()
                .export()
                .answer::<ChangeList>(),
            changes::list,
        )
        .route(
            Doc::get("/webhooks", "Who is told of events, and how far they are.")
                .answer::<WebhookList>(),
            webhooks::list,
        )
        .route(
            Doc::get("/health", "How the fleet is.").answer::<FleetHealth>(),
            fleet_health::show,
        )
        .merge(web_api())
        .merge(access_api())
        .merge(storage_api())
}

/// What spiders found on a target.
fn web_api() -> Routes {
    let list = |path, what| {
        Doc::get(path, what)
            .pages()
            .text("q", "Something of it contains this.")
            .by_time()
            .export()
    };
    let method = "Of this method.";
    Routes::default()
        .route(
            list("/targets/{id}/pages", "Pages, those found last first.")
                .integer("status", 0..=999, "That answered with this status.")
                .answer::<WebPageList>(),
            web::pages,
        )
        .route(
            list("/targets/{id}/forms", "Forms, those found last first.")
                .text("method", method)
                .answer::<WebFormList>(),
            web::forms,
        )
        .route(
            list(
                "/targets/{id}/endpoints",
                "Endpoints, those found last first.",
            )
            .text("method", method)
            .answer::<WebEndpointList>(),
            web::endpoints,
        )
}

/// Who may use the hub, and what they changed.
fn access_api() -> Routes {
    Routes::default()
        .route(
            Doc::get("/tokens", "Tokens, newest first.")
                .pages()
                .answer::<TokenList>(),
            tokens::list,
        )
        .route(
            Doc::post("/tokens", "Makes a token; its secret is told once.")
                .body::<CreateToken>()
                .answers_with::<CreatedToken>(StatusCode::CREATED),
            tokens::create,
        )
        .route(
            Doc::delete("/tokens/{id}", "Revokes a token.").object(),
            tokens::revoke,
        )
        .route(
            Doc::post(
                "/tokens/local",
                "Another token for the agents of this host.",
            )
            .object(),
            tokens::rotate_local,
        )
        .route(
            Doc::get("/audit", "What operators changed, newest first.")
                .pages()
                .answer::<AuditList>(),
            audit::list,
        )
}

/// Care of the database, for operators.
fn storage_api() -> Routes {
    Routes::default()
        .route(
            Doc::post("/hub/backup", "A copy of the database as of now (SQLite).")
                .unhurried()
                .other("application/vnd.sqlite3"),
            storage::backup,
        )
        .route(
            Doc::post("/hub/check", "Looks for damage in the database.")
                .unhurried()
                .answer::<StoreReport>(),
            storage::check,
        )
        .route(
            Doc::post("/hub/vacuum", "Gives the database's free space back.")
                .unhurried()
                .answer::<StoreReport>(),
            storage::vacuum,
        )
}
