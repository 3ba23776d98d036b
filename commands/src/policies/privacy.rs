//! Consent and the deadlines of the law: end what rests on a consent with it, end consents in time, escalate what is due
//! (catalogue 3.8).

use domain::{
    Decider,
    governance::{
        ConsentLedgerCommand, ConsentLedgerEvent, ConsentPurpose, ESCALATE_BEFORE, ESCALATE_HOURS,
        NOTIFY_WITHIN, PrivacyRequest, PrivacyRequestCommand, PrivacyRequestEvent, SecurityIncident,
        SecurityIncidentCommand, SecurityIncidentEvent, escalations,
    },
    identity::ProfileCommand,
    registry::{AnyCommand, AnyEvent},
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{Fact, Issue, Policy, Reaction, Reactions, Timer, World, timer_id};

/// What a policy of this context comes to: none of them looks anything up.
fn reactions<'a>(reactions: Vec<Reaction>) -> Reactions<'a> {
    Box::pin(std::future::ready(Ok(reactions)))
}

/// A consent with an end is marked as expired then (catalogue 3.10). That it has ended, every decision sees by itself.
pub(super) struct ExpireConsents;

impl Policy for ExpireConsents {
    fn name(&self) -> &'static str {
        "expire_consents"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["ConsentGranted", "ConsentWithdrawn", "ConsentExpired"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, _: &'a World) -> Reactions<'a> {
        use ConsentLedgerEvent as E;
        let AnyEvent::ConsentLedger(event) = &fact.event else { return reactions(Vec::new()) };
        let (purpose, until) = match event {
            E::ConsentGranted { purpose, until, .. } => (*purpose, *until),
            E::ConsentWithdrawn { purpose } | E::ConsentExpired { purpose } => (*purpose, None),
            E::DisclosureConsentGranted { .. }
            | E::DisclosureConsentRevoked { .. }
            | E::ProcessingRestricted { .. }
            | E::ProcessingReleased { .. } => return reactions(Vec::new()),
        };
        let id = timer_id(self.name(), &[&fact.id.to_string(), purpose.name()]);
        let command = AnyCommand::ConsentLedger(ConsentLedgerCommand::ExpireConsent { purpose });
        reactions(vec![match until {
            Some(due_at) => Reaction::Arm(Timer { id, due_at, aggregate: fact.id, command }),
            None => Reaction::Disarm(id),
        }])
    }
}

/// P-57: what rests on a consent ends with it.
pub(super) struct EndWithConsent;

impl Policy for EndWithConsent {
    fn name(&self) -> &'static str {
        "end_with_consent"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["ConsentWithdrawn", "ConsentExpired"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, _: &'a World) -> Reactions<'a> {
        use ConsentLedgerEvent as E;
        let AnyEvent::ConsentLedger(E::ConsentWithdrawn { purpose } | E::ConsentExpired { purpose }) =
            &fact.event
        else {
            return reactions(Vec::new());
        };
        reactions(match purpose {
            // Where nothing was declared, the refusal says so, and that is that.
            ConsentPurpose::BiasMonitoring => {
                let withdraw = AnyCommand::Profile(ProfileCommand::WithdrawDemographics {});
                vec![Issue::new(fact.id, withdraw, "demographics").into()]
            }
            // What these carry asks for the consent whenever it acts (GOV-C1), and leaves nothing to be undone.
            ConsentPurpose::AiProcessing
            | ConsentPurpose::Marketing
            | ConsentPurpose::Analytics
            | ConsentPurpose::ExternalSync
            | ConsentPurpose::Leaderboard
            | ConsentPurpose::SmsDetail => Vec::new(),
        })
    }
}

/// P-55, GOV-P6: a request is escalated before it is due; and one that was heard is complete.
pub(super) struct EscalateRequests;

impl EscalateRequests {
    fn timer(&self, request: Uuid, days_left: i32) -> Uuid {
        timer_id(self.name(), &[&request.to_string(), &days_left.to_string()])
    }

    /// Timers for a due date. What is in the past already when it is set is not made up for, but for the due date itself.
    fn arm(&self, fact: &Fact, due_at: Timestamp) -> Vec<Reaction> {
        let each = escalations(due_at).map(|(days_left, at)| {
            let id = self.timer(fact.id, days_left);
            if days_left > 0 && at < fact.recorded_at {
                return Reaction::Disarm(id);
            }
            let escalate = PrivacyRequestCommand::EscalatePrivacyRequest { days_left };
            let command = AnyCommand::PrivacyRequest(escalate);
            Reaction::Arm(Timer { id, due_at: at, aggregate: fact.id, command })
        });
        each.into()
    }

    fn disarm(&self, request: Uuid) -> Vec<Reaction> {
        ESCALATE_BEFORE.map(|days_left| Reaction::Disarm(self.timer(request, days_left))).into()
    }
}

impl Policy for EscalateRequests {
    fn name(&self) -> &'static str {
        "escalate_requests"
    }

    fn times(&self) -> Option<&'static str> {
        Some(PrivacyRequest::TYPE)
    }

    fn interests(&self) -> &'static [&'static str] {
        &[
            "PrivacyRequestOpened",
            "PrivacyRequestExtended",
            "HearingScheduled",
            "HearingDecided",
            "PrivacyRequestDenied",
            "PrivacyRequestCompleted",
            "PrivacyRequestCancelled",
        ]
    }

    fn react<'a>(&'a self, fact: &'a Fact, _: &'a World) -> Reactions<'a> {
        use PrivacyRequestEvent as E;
        let AnyEvent::PrivacyRequest(event) = &fact.event else { return reactions(Vec::new()) };
        reactions(match event {
            E::PrivacyRequestOpened { due_at, .. }
            | E::PrivacyRequestExtended { due_at, .. }
            | E::HearingScheduled { at: due_at, .. } => self.arm(fact, *due_at),
            E::HearingDecided { amended, .. } => {
                let summary = match amended {
                    true => "The hearing amended the record",
                    false => "The hearing left the record; a statement may be placed with it (34 CFR 99.21)",
                };
                let complete = PrivacyRequestCommand::CompletePrivacyRequest { summary: summary.to_owned() };
                let complete = Issue::new(fact.id, AnyCommand::PrivacyRequest(complete), "complete");
                self.disarm(fact.id).into_iter().chain([complete.into()]).collect()
            }
            E::PrivacyRequestDenied { .. }
            | E::PrivacyRequestCompleted { .. }
            | E::PrivacyRequestCancelled { .. } => self.disarm(fact.id),
            E::RequesterVerified { .. }
            | E::PrivacyRequestApproved { .. }
            | E::FulfilmentStepRecorded { .. }
            | E::PrivacyPackageAttached { .. }
            | E::StatementAttached { .. }
            | E::PrivacyRequestEscalated { .. }
            | E::FulfilmentStalled { .. }
            | E::RestrictionLiftAnnounced { .. } => Vec::new(),
        })
    }
}

/// GOV-P5: a correction is complete when staff have said that every record is corrected.
pub(super) struct CompleteCorrections;

impl Policy for CompleteCorrections {
    fn name(&self) -> &'static str {
        "complete_corrections"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["FulfilmentStepRecorded"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let request = world.state::<PrivacyRequest>(fact.id).await?.state;
            if !request.r#type.is_correction() {
                return Ok(Vec::new());
            }
            // Refused while a step is partial: then the last one completes it.
            let summary =
                "the record was corrected, and the person is told so (34 CFR 99.20(b), Art. 16 GDPR)";
            let complete = PrivacyRequestCommand::CompletePrivacyRequest { summary: summary.to_owned() };
            Ok(vec![Issue::new(fact.id, AnyCommand::PrivacyRequest(complete), "corrected").into()])
        })
    }
}

/// P-59, GOV-I1: an incident is escalated 48 and 72 hours after it was opened, unless the authority was told or need not be,
/// and 24 hours before the people are to be told and when they are, unless they were.
pub(super) struct WatchIncidents;

impl WatchIncidents {
    fn timer(&self, incident: Uuid, hours_left: i32, people: bool) -> Uuid {
        let (incident, hours_left) = (incident.to_string(), hours_left.to_string());
        let parts = [&*incident, &*hours_left, "people"];
        timer_id(self.name(), if people { &parts } else { &parts[..2] })
    }

    fn arm(&self, incident: Uuid, due: Timestamp, people: bool) -> Vec<Reaction> {
        let each = ESCALATE_HOURS.map(|hours_left| {
            let before = SignedDuration::from_hours(hours_left.into());
            let escalate = SecurityIncidentCommand::EscalateIncident { hours_left, people };
            Reaction::Arm(Timer {
                id: self.timer(incident, hours_left, people),
                due_at: due.checked_sub(before).unwrap_or(due),
                aggregate: incident,
                command: AnyCommand::SecurityIncident(escalate),
            })
        });
        each.into()
    }

    fn disarm(&self, incident: Uuid, people: bool) -> Vec<Reaction> {
        ESCALATE_HOURS.map(|hours_left| Reaction::Disarm(self.timer(incident, hours_left, people))).into()
    }

    /// A timer that has fired fires again, and the incident says that it was escalated already.
    fn follow(&self, incident: Uuid, due: Option<Timestamp>, people: bool) -> Vec<Reaction> {
        due.map_or_else(|| self.disarm(incident, people), |due| self.arm(incident, due, people))
    }
}

impl Policy for WatchIncidents {
    fn name(&self) -> &'static str {
        "watch_incidents"
    }

    fn times(&self) -> Option<&'static str> {
        Some(SecurityIncident::TYPE)
    }

    fn interests(&self) -> &'static [&'static str] {
        &[
            "SecurityIncidentOpened",
            "IncidentClassified",
            "AuthorityNotified",
            "SubjectsNotified",
            "SecurityIncidentClosed",
        ]
    }

    fn react<'a>(&'a self, fact: &'a Fact, _: &'a World) -> Reactions<'a> {
        use SecurityIncidentEvent as E;
        let AnyEvent::SecurityIncident(event) = &fact.event else { return reactions(Vec::new()) };
        reactions(match event {
            E::SecurityIncidentOpened { opened_at, .. } => {
                self.arm(fact.id, opened_at.checked_add(NOTIFY_WITHIN).unwrap_or(Timestamp::MAX), false)
            }
            E::IncidentClassified { authority_due_at, subjects_due_at, high_risk, .. } => {
                // An older event does not say when the people are due: with the authority.
                let people = subjects_due_at.or(authority_due_at.filter(|_| *high_risk));
                let authority = self.follow(fact.id, *authority_due_at, false);
                authority.into_iter().chain(self.follow(fact.id, people, true)).collect()
            }
            E::AuthorityNotified { .. } => self.disarm(fact.id, false),
            E::SubjectsNotified { .. } => self.disarm(fact.id, true),
            E::SecurityIncidentClosed { .. } => {
                self.disarm(fact.id, false).into_iter().chain(self.disarm(fact.id, true)).collect()
            }
            E::IncidentContained { .. } | E::SubjectNoticesMailed { .. } | E::IncidentEscalated { .. } => {
                Vec::new()
            }
        })
    }
}
