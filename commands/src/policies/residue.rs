//! Whether anything is left after a destruction of keys (catalogue 3.8, P-58).

use domain::{
    governance::{
        CHECK_RESIDUE_AFTER, IncidentKind, SecurityIncidentCommand, Severity, SubjectKeyCommand,
        SubjectKeyEvent,
    },
    registry::{AnyCommand, AnyEvent},
};
use jiff::Timestamp;
use uuid::Uuid;

use super::{Fact, Issue, Policy, Reaction, Reactions, Timer, World, timer_id};

/// P-58, GOV-K3: within a day after keys were destroyed it is looked whether anything tells what they had sealed; what is
/// found is a breach.
pub(super) struct CheckResidue;

impl CheckResidue {
    fn check(&self, fact: &Fact, event: &SubjectKeyEvent) -> Vec<Reaction> {
        match event {
            SubjectKeyEvent::SubjectKeysDestroyed { cause, record_classes, .. } => {
                let (cause, record_classes) = (*cause, record_classes.clone());
                vec![Reaction::Arm(Timer {
                    id: timer_id(self.name(), &[&fact.event_id.to_string()]),
                    due_at: fact.recorded_at.checked_add(CHECK_RESIDUE_AFTER).unwrap_or(Timestamp::MAX),
                    aggregate: fact.id,
                    command: AnyCommand::SubjectKey(SubjectKeyCommand::CheckKeyResidue {
                        cause,
                        record_classes,
                    }),
                })]
            }
            SubjectKeyEvent::KeyResidueChecked { residue: 1.., .. } => {
                let open = SecurityIncidentCommand::OpenSecurityIncident {
                    kind: IncidentKind::DataBreach,
                    severity: Severity::High,
                    summary: "Data whose keys were destroyed can still be read in some place".to_owned(),
                    evidence: vec![fact.event_id],
                    aware_at: None,
                };
                let incident = Uuid::new_v5(&fact.event_id, b"incident");
                vec![Issue::new(incident, AnyCommand::SecurityIncident(open), "incident").into()]
            }
            SubjectKeyEvent::KeyResidueChecked { .. }
            | SubjectKeyEvent::SubjectKeyProvisioned { .. }
            | SubjectKeyEvent::SubjectKeyRotated { .. }
            | SubjectKeyEvent::SubjectKeyShredded { .. } => Vec::new(),
        }
    }
}

impl Policy for CheckResidue {
    fn name(&self) -> &'static str {
        "check_residue"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["SubjectKeysDestroyed", "KeyResidueChecked"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, _: &'a World) -> Reactions<'a> {
        let reactions = match &fact.event {
            AnyEvent::SubjectKey(event) => self.check(fact, event),
            _ => Vec::new(),
        };
        Box::pin(std::future::ready(Ok(reactions)))
    }
}
