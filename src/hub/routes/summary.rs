//! All that is known of a record, as the earlier server's page of it shows.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::super::error::ApiError;
use super::super::extract;
use super::super::state::Hub;
use super::super::store::{Record, StoredPath, StoredRequest, Summary};
use super::Reply;
use crate::api::{Assessment, Scan, ScanPort};

/// `GET /eggrecords/{uuid}/summary/`.
pub(super) async fn show(State(hub): State<Arc<Hub>>, Path(id): Path<String>) -> Reply {
    hub.store.expire_decisions(hub.clock.now()).await?;
    let summary = hub.store.summary(extract::id(&id)?).await?;
    let summary =
        summary.ok_or_else(|| ApiError::not_found("there is no eggrecord with this id"))?;
    Ok(Json(json!({ "success": true, "data": data(&summary) })).into_response())
}

fn data(s: &Summary) -> Value {
    let list = s.assessment.as_ref().map(|a| &a.vulnerabilities);
    let vulnerabilities = match list {
        Some(Value::Array(list)) => list.len(),
        Some(Value::Object(map)) => map.len(),
        _ => 0,
    };
    json!({
        "eggrecord_id": s.record.id,
        "basic_info": basic_info(&s.record),
        "nmap_scans": s.scans.iter().map(scan).collect::<Vec<_>>(),
        "request_metadata": s.requests.iter().map(request).collect::<Vec<_>>(),
        "ryu_assessment": s.assessment.as_ref().map(assessment),
        "technology_fingerprints": s.technologies,
        "directory_enumeration": s.paths.iter().map(path).collect::<Vec<_>>(),
        "findings": s.findings,
        "web_runs": s.web_runs,
        "statistics": {
            "nmap_scans_count": s.counts.scans,
            "request_metadata_count": s.counts.requests,
            "technology_fingerprints_count": s.counts.technologies,
            "directory_enumeration_count": s.counts.paths,
            "vulnerabilities_count": vulnerabilities,
            "javascript_secrets_count": s.counts.secrets,
            "javascript_endpoints_count": s.counts.endpoints,
        },
    })
}

fn basic_info(record: &Record) -> Value {
    let data = &record.data;
    json!({
        "id": record.id,
        "subDomain": data.sub_domain,
        "domainname": data.domainname,
        "ip_address": data.ip_address,
        "ip": data.ip_address.map(|a| [a]),
        "cidr": data.cidr,
        "alive": data.alive,
        "eggname": data.group,
        "projectegg": data.projectegg,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
    })
}

/// `port` and `service_name` are the first port's, and `open_ports` is JSON in a text: so it was.
fn scan(scan: &Scan) -> Value {
    let first = scan.open_ports.first();
    let ports: Vec<_> = scan.open_ports.iter().map(port).collect();
    json!({
        "id": scan.id,
        "target": scan.target,
        "scan_type": scan.scan_type,
        "scan_status": scan.scan_status,
        "port": first.map(|p| p.port.to_string()).unwrap_or_default(),
        "service_name": first.map(|p| p.service.as_str()).unwrap_or_default(),
        "open_ports": Value::from(ports).to_string(),
        "created_at": scan.finished_at,
        "updated_at": scan.finished_at,
    })
}

fn port(port: &ScanPort) -> Value {
    json!({
        "port": port.port,
        "protocol": port.protocol,
        "service": port.service,
        "version": port.version,
        "state": "open",
        "banner": port.banner,
    })
}

fn request(r: &StoredRequest) -> Value {
    json!({
        "id": r.id,
        "target_url": r.target_url,
        "request_method": r.method,
        "response_status": r.response_status,
        "response_time_ms": r.response_time_ms,
        "user_agent": r.user_agent,
        "request_headers": r.request_headers,
        "response_headers": r.response_headers,
        "javascript_analysis": r.javascript,
        // The earlier server kept the analysis of scripts here, secrets and all.
        "response_body": null,
        "timestamp": r.created_at,
        "created_at": r.created_at,
    })
}

fn assessment(a: &Assessment) -> Value {
    json!({
        "id": a.id,
        "risk_level": a.risk_level,
        "threat_summary": a.threat_summary,
        "vulnerabilities": a.vulnerabilities,
        "attack_vectors": a.attack_vectors,
        "remediation_priorities": a.remediation_priorities,
        "narrative": a.narrative,
        "created_at": a.created_at,
        "updated_at": a.created_at,
    })
}

fn path(p: &StoredPath) -> Value {
    json!({
        "id": p.id,
        "discovered_path": p.path,
        "path_status_code": p.status,
        "path_content_length": p.size,
        "path_content_type": p.content_type,
        "detected_cms": p.cms,
        "priority_score": p.priority_score,
        "priority_factors": p.priority_factors,
        "enumeration_tool": p.tool,
        "created_at": p.discovered_at,
        "last_seen_at": p.last_seen_at,
    })
}
