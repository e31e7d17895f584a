//! Assessments, taken and listed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::access::Identity;
use super::super::error::ApiError;
use super::super::extract::{Caller, Params, Post};
use super::super::state::Hub;
use super::super::store::{Assessed, AssessmentQuery, Attempt, NewAssessment, StoreError};
use super::export::{self, Format, Row};
use super::fields::{Fields, OBJECT_MAX};
use super::findings::{level, of_target};
use super::order::oldest_first;
use super::results::{Subject, attempt_message};
use super::{Reply, kept, repeated, to_keep};
use crate::api::{
    Assessment, AssessmentAnswer, AssessmentList, LookedFor, Personality, RiskLevel, WorkKind,
};

/// Rules that an assessment may say that it looked for.
const RULES_MAX: usize = 20_000;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    eggrecord_id: Value,
    target: Value,
    success: Value,
    reason: Value,
    error: Value,
    risk_level: Value,
    threat_summary: Value,
    vulnerabilities: Value,
    attack_vectors: Value,
    remediation_priorities: Value,
    narrative: Value,
    lease_id: Value,
    looked_for: Value,
}

/// `POST /daemon/ryu/assessment/`.
pub(super) async fn submit(
    State(hub): State<Arc<Hub>>,
    identity: Identity,
    caller: Caller,
    post: Post,
) -> Reply {
    // Not every path of it names its agent.
    identity.may_work_as(Personality::Ryu)?;
    let (body, key) = post.json::<Body>()?;
    let mut fields = Fields::default();
    let id = fields.record(&body.eggrecord_id)?;
    let called = fields.target(&body.target);
    let outcome = if fields.flag("success", &body.success) == Some(false) {
        let reason = fields
            .text("reason", &body.reason)
            .or_else(|| fields.text("error", &body.error));
        Err(Attempt {
            reason: reason.unwrap_or_else(|| "the agent gave no reason".to_owned()),
        })
    } else {
        Ok(fields.assessment(body))
    };
    fields.finish()?;
    if let Some(answer) = repeated(&hub, key.as_ref()).await? {
        return kept(answer);
    }
    let subject = Subject::find(&hub, id, called).await?;
    let called = subject.called.clone();
    let kind = WorkKind::RyuAssessment;
    let result = subject.deliver(&hub, &caller, Personality::Ryu, kind, outcome);
    let counting = Arc::clone(&hub);
    let render = Box::new(move |done: &Assessed| {
        let stored = matches!(done, Assessed::Stored);
        counting.metrics.delivered(kind, stored);
        let message = match done {
            Assessed::Stored => format!("Assessment submitted for eggrecord {id}"),
            Assessed::Late => format!("Eggrecord {id} was assessed by a later lease since"),
            Assessed::Attempt => attempt_message(&called),
        };
        let success = true;
        to_keep(StatusCode::OK, &AssessmentAnswer { success, message })
    });
    kept(hub.store.submit_assessment(result, key, render).await?)
}

impl Fields {
    fn assessment(&mut self, body: Body) -> NewAssessment {
        let risk = match &body.risk_level {
            Value::Null => Ok(RiskLevel::default()),
            Value::String(text) => text.trim().to_ascii_lowercase().parse(),
            _ => Err("must be text".to_owned()),
        };
        let risk_level = risk.unwrap_or_else(|message| {
            self.wrong("risk_level", "value", &message);
            RiskLevel::default()
        });
        let findings = self.named_findings(&body.vulnerabilities);
        let max = match findings.as_ref().is_some_and(|found| !found.is_empty()) {
            true => Max::OURS,
            false => Max::OTHERS,
        };
        NewAssessment {
            risk_level,
            threat_summary: self.prose("threat_summary", &body.threat_summary, OBJECT_MAX),
            vulnerabilities: self.list("vulnerabilities", body.vulnerabilities, max.list),
            attack_vectors: self.list("attack_vectors", body.attack_vectors, max.other),
            remediation_priorities: self.list(
                "remediation_priorities",
                body.remediation_priorities,
                max.other,
            ),
            narrative: self.prose("narrative", &body.narrative, max.other),
            findings,
            lease_id: self.lease(&body.lease_id),
            looked_for: self.looked_for(body.looked_for),
        }
    }

    fn lease(&mut self, value: &Value) -> Option<Uuid> {
        let text = self.text("lease_id", value)?;
        let lease = text.parse().ok();
        if lease.is_none() {
            self.wrong("lease_id", "value", "must be a UUID");
        }
        lease
    }

    fn looked_for(&mut self, value: Value) -> Option<LookedFor> {
        if value.is_null() {
            return None;
        }
        match serde_json::from_value::<LookedFor>(value) {
            Ok(looked) if looked.rules.len() > RULES_MAX => {
                let message = format!("must have {RULES_MAX} entries at most");
                self.wrong("looked_for.rules", "range", &message);
                None
            }
            Ok(looked) => Some(LookedFor {
                database_date: looked.database_date.as_deref().map(day).map(str::to_owned),
                ..looked
            }),
            Err(problem) => {
                self.wrong("looked_for", "type", &problem.to_string());
                None
            }
        }
    }

    /// A list or an object of the agent's own making.
    fn list(&mut self, field: &str, value: Value, max: usize) -> Value {
        match value {
            Value::Null => json!({}),
            Value::Array(_) | Value::Object(_) => {
                if value.to_string().len() > max {
                    self.wrong(field, "range", &format!("must be {max} bytes at most"));
                }
                value
            }
            _ => {
                self.wrong(field, "type", "must be a list or an object");
                Value::Null
            }
        }
    }
}

/// The day of a time; empty, which is before all days, for what is none.
fn day(text: &str) -> &str {
    let day = text.get(..10).unwrap_or_default();
    let digits = |c: char| c.is_ascii_digit() || c == '-';
    if day.chars().all(digits) { day } else { "" }
}

/// How large the parts of an assessment may be, in bytes as JSON.
#[derive(Clone, Copy)]
struct Max {
    /// The list of findings.
    list: usize,
    /// Each of the other parts.
    other: usize,
}

impl Max {
    /// One that names findings. 2,000 of them with evidence and references are below 4 MiB.
    const OURS: Self = Self {
        list: 4 << 20,
        other: 1 << 20,
    };
    const OTHERS: Self = Self {
        list: OBJECT_MAX,
        other: OBJECT_MAX,
    };
}

/// `GET /assessments`.
pub(super) async fn list(State(hub): State<Arc<Hub>>, params: Params) -> Reply {
    let format = Format::of(&params)?;
    let (target, record_id) = of_target(&params)?;
    let mut query = AssessmentQuery {
        limit: 0,
        before: params.cursor()?,
        oldest_first: oldest_first(&params)?,
        target,
        record_id,
        risk_level: level(&params, "risk_level")?.or(level(&params, "risk")?),
    };
    if format != Format::Json {
        let rows = params.integer("limit", u64::MAX, 1..=u64::MAX)?;
        let page = move |query, limit| page(Arc::clone(&hub), AssessmentQuery { limit, ..query });
        return Ok(export::stream(format, rows, query, page));
    }
    query.limit = params.integer("limit", 100, 1..=1000)?;
    let page = hub.store.assessments(query).await.map_err(ApiError::from)?;
    Ok(Json(AssessmentList {
        assessments: page.items,
        next_cursor: page.next.map(|id| id.to_string()),
    })
    .into_response())
}

async fn page(
    hub: Arc<Hub>,
    query: AssessmentQuery,
) -> Result<(Vec<Assessment>, Option<AssessmentQuery>), StoreError> {
    let found = hub.store.assessments(query.clone()).await?;
    let rest = found.next.map(|id| AssessmentQuery {
        before: Some(id),
        ..query
    });
    Ok((found.items, rest))
}

impl Row for Assessment {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "eggrecord_id",
        "target",
        "risk_level",
        "threat_summary",
        "vulnerabilities",
        "attack_vectors",
        "remediation_priorities",
        "narrative",
        "agent",
        "created_at",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.eggrecord_id.to_string(),
            self.target.clone(),
            self.risk_level.as_str().to_owned(),
            self.threat_summary.clone().unwrap_or_default(),
            export::json(&self.vulnerabilities),
            export::json(&self.attack_vectors),
            export::json(&self.remediation_priorities),
            self.narrative.clone().unwrap_or_default(),
            self.agent.clone().unwrap_or_default(),
            self.created_at.to_rfc3339(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_looked_for_is_read() {
        let mut fields = Fields::default();
        let looked = fields.looked_for(json!({
            "rules": ["a"], "database": true, "database_date": "2026-11-21T06:00:00Z", "new": 1,
        }));
        let wanted = LookedFor {
            rules: vec!["a".to_owned()],
            database: true,
            database_date: Some("2026-11-21".to_owned()),
            left_out: 0,
        };
        assert_eq!(looked, Some(wanted));
        assert_eq!(fields.looked_for(json!(null)), None);
        assert_eq!(day("9999-zz-zz"), "");
        assert_eq!(fields.errors.len(), 0);
        for wrong in [
            json!("x"),
            json!({ "rules": "a" }),
            json!({ "left_out": -1 }),
        ] {
            assert_eq!(fields.looked_for(wrong), None);
        }
        assert_eq!(fields.lease(&json!("x")), None);
        assert_eq!(fields.errors.len(), 4);
    }
}
