//! IDN-P3: whoever goes on over a limit is looked into. The incident names nobody: its evidence is the refusal on record,
//! where the caller's address is sealed.

use commands::{CommandError, Request};
use domain::{
    Actor, derived_id,
    governance::{IncidentKind, SecurityIncident, SecurityIncidentCommand, Severity},
};

use super::Quota;
use crate::{
    auth::Ticket,
    http::{Api, Incoming, Route, Trace, access},
    problem::Problem,
};

/// Puts the first refusal of a window on record where it guards something, or where it is one of a row of them: then it is
/// a suspicion of abuse. The caller is refused whether or not this succeeds.
pub(in crate::http) async fn look_into(
    api: &Api,
    request: &Incoming<'_>,
    route: &Route,
    ticket: Option<&Ticket>,
    (problem, quota): (&Problem, Quota),
    trace: &Trace,
) {
    let incident = api.is_suspicious(quota, request, ticket).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "whether a caller goes on over the limit could not be found out");
        None
    });
    let Some(incident) = incident else {
        return access::log_denial(api, request, route, ticket, problem, trace).await;
    };
    let caller = ticket.map(|ticket| &ticket.actor);
    let Some(position) = access::deny(api, request, route, caller, problem, trace).await else { return };
    let opened = async {
        let denied = api.commands.store().read_all(position - 1, 1).await?;
        let class: &str = quota.class.into();
        let command = SecurityIncidentCommand::OpenSecurityIncident {
            kind: IncidentKind::Abuse,
            severity: Severity::Medium,
            summary: format!(
                "One caller was over the limit of {class} in three windows of {} seconds one after the other",
                quota.limit.window_s
            ),
            evidence: denied.into_iter().map(|event| event.event_id).collect(),
            aware_at: None,
        };
        let request =
            Request::by(Actor::policy("limits")).under(derived_id(&["open", &incident.to_string()]), None);
        api.commands.execute::<SecurityIncident>(incident, command, &request).await.map(drop)
    };
    match opened.await {
        // Another node may have opened it at the same moment.
        Ok(()) | Err(CommandError::InvalidState { .. }) => {}
        Err(error) => tracing::error!(%error, "a suspicion of abuse is not on record"),
    }
}
