use super::rules::RuleSet;
use super::vulndb::{self, Vulndb};
use crate::api::{AssessmentContext, AssessmentSubmission, RiskLevel};

/// Assesses a record by what the hub knows of it. The same input gives the same bytes.
///
/// # Errors
///
/// The database is damaged.
pub fn assess(
    context: &AssessmentContext,
    _rules: &RuleSet,
    _database: Option<&Vulndb>,
) -> Result<AssessmentSubmission, vulndb::Error> {
    Ok(AssessmentSubmission {
        eggrecord_id: context.eggrecord_id,
        target: context.target.clone(),
        risk_level: RiskLevel::Info,
        ..AssessmentSubmission::default()
    })
}
