//! The alarm: a log that the notary refuses to sign is an incident (GOV-I2), once a day for as long as it does.

use std::time::Duration;

use commands::{CommandError, Commands, Request};
use domain::{
    Actor, derived_id,
    governance::{IncidentKind, SecurityIncident, SecurityIncidentCommand, Severity},
};
use event_store::integrity::NotaryState;
use jiff::{Timestamp, tz::TimeZone};
use tokio::sync::watch;

/// How long it waits before it tries again to put an incident on record.
const RETRY: Duration = Duration::from_secs(5);
/// How long it waits before it looks whether the notary still refuses.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Watches the notary for as long as it runs.
pub(super) async fn watch(mut notary: watch::Receiver<NotaryState>, commands: Commands) {
    loop {
        let reason = match notary.wait_for(|state| matches!(state, NotaryState::Refused(_))).await {
            Ok(state) => match &*state {
                NotaryState::Refused(reason) => reason.clone(),
                NotaryState::Standby | NotaryState::Signed(_) | NotaryState::Interrupted(_) => continue,
            },
            Err(_) => return,
        };
        while let Err(error) = open(&commands, &reason).await {
            tracing::error!(%error, "the incident that the notary refuses the log is not on record");
            tokio::time::sleep(RETRY).await;
        }
        tokio::time::sleep(DAY).await;
    }
}

/// Opens the incident of this log, reason and day, unless another node, or this one before, has done so.
async fn open(commands: &Commands, reason: &str) -> Result<(), CommandError> {
    let incarnation = commands.store().head().await?.incarnation.to_string();
    // A notary that is started again tells the first reason after its own words.
    let cause = reason.rsplit_once("is cleared): ").map_or(reason, |(_, cause)| cause);
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date().to_string();
    let incident = derived_id(&["incident", "notary", &incarnation, cause, &today]);
    let command = SecurityIncidentCommand::OpenSecurityIncident {
        kind: IncidentKind::Integrity,
        severity: Severity::Critical,
        summary: format!("The notary refuses to sign the log: {cause}"),
        evidence: Vec::new(),
        aware_at: None,
    };
    let request =
        Request::by(Actor::policy("notary")).under(derived_id(&["open", &incident.to_string()]), None);
    match commands.execute::<SecurityIncident>(incident, command, &request).await {
        Ok(_) | Err(CommandError::InvalidState { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
