//! Whether anything is left after a destruction of keys (catalogue 3.8, P-58).

use domain::{
    Decider, RecordClass,
    governance::{
        CHECK_RESIDUE_AFTER, IncidentKind, IncidentStatus, SecurityIncident, SecurityIncidentCommand,
        Severity, SubjectKey, SubjectKeyCommand, SubjectKeyEvent,
    },
    registry::{AnyCommand, AnyEvent},
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{Fact, Issue, Policy, Reaction, Reactions, Timer, World, timer_id};
use crate::CommandError;

/// How long after a destruction a check is still made up for whose timer was lost.
const LOOKS_BACK: SignedDuration = SignedDuration::from_hours(30 * 24);

/// P-58, GOV-K3: within a day after keys were destroyed it is looked whether anything tells what they had sealed; what is
/// found is a breach: one for each person and what ordered the destruction, however many classes it was of.
pub(super) struct CheckResidue;

impl CheckResidue {
    fn timer(&self, destroyed: Uuid) -> Uuid {
        timer_id(self.name(), &[&destroyed.to_string()])
    }

    fn check(&self, fact: &Fact, cause: Uuid, record_classes: &[RecordClass]) -> Reaction {
        let record_classes = record_classes.to_vec();
        Reaction::Arm(Timer {
            id: self.timer(fact.event_id),
            due_at: fact.recorded_at.checked_add(CHECK_RESIDUE_AFTER).unwrap_or(Timestamp::MAX),
            aggregate: fact.id,
            command: AnyCommand::SubjectKey(SubjectKeyCommand::CheckKeyResidue { cause, record_classes }),
        })
    }

    /// Opens the incident of a destruction. One that was closed told of another finding.
    async fn tell(&self, fact: &Fact, cause: Uuid, world: &World) -> Result<Reaction, CommandError> {
        let mut incident = Uuid::new_v5(&cause, format!("incident|{}", fact.id).as_bytes());
        if world.state::<SecurityIncident>(incident).await?.state.status == IncidentStatus::Closed {
            incident = Uuid::new_v5(&fact.event_id, b"incident");
        }
        let open = SecurityIncidentCommand::OpenSecurityIncident {
            kind: IncidentKind::DataBreach,
            severity: Severity::High,
            summary: "Data whose keys were destroyed can still be read in some place".to_owned(),
            evidence: vec![fact.event_id],
            aware_at: None,
        };
        // Where it is open already the refusal says so, and that is that.
        Ok(Issue::new(incident, AnyCommand::SecurityIncident(open), "incident").into())
    }
}

impl Policy for CheckResidue {
    fn name(&self) -> &'static str {
        "check_residue"
    }

    fn times(&self) -> Option<&'static str> {
        Some(SubjectKey::TYPE)
    }

    fn looks_back(&self) -> Option<SignedDuration> {
        Some(LOOKS_BACK)
    }

    fn interests(&self) -> &'static [&'static str] {
        &["SubjectKeysDestroyed", "KeyResidueChecked"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        use SubjectKeyEvent as E;
        Box::pin(async move {
            let AnyEvent::SubjectKey(event) = &fact.event else { return Ok(Vec::new()) };
            Ok(match event {
                E::SubjectKeysDestroyed { cause, record_classes, .. } => {
                    vec![self.check(fact, *cause, record_classes)]
                }
                E::KeyResidueChecked { cause, residue, .. } => {
                    // The check follows from the destruction.
                    let timer = fact.envelope.causation_id.map(|destroyed| self.timer(destroyed));
                    let mut reactions: Vec<Reaction> = timer.map(Reaction::Disarm).into_iter().collect();
                    if *residue > 0 {
                        reactions.push(self.tell(fact, *cause, world).await?);
                    }
                    reactions
                }
                E::SubjectKeyProvisioned { .. }
                | E::SubjectKeyRotated { .. }
                | E::SubjectKeyShredded { .. } => Vec::new(),
            })
        })
    }
}
