//! What a privacy request is after each event.

use jiff::Timestamp;

use super::{PrivacyRequest, PrivacyRequestEvent, PrivacyRequestStatus, Verification};

impl PrivacyRequest {
    pub(super) fn fold(&mut self, event: &PrivacyRequestEvent) {
        use PrivacyRequestEvent as E;
        use PrivacyRequestStatus as S;
        match event {
            E::PrivacyRequestOpened {
                subject,
                regime,
                r#type,
                details: _,
                classes,
                opened_at,
                due_at,
                records,
                address,
                purposes,
                contests,
            } => {
                *self = PrivacyRequest {
                    records: records.clone(),
                    contests: contests.clone(),
                    purposes: purposes.clone(),
                    address: address.clone(),
                    status: S::Opened,
                    subject: *subject,
                    regime: *regime,
                    r#type: *r#type,
                    classes: classes.clone(),
                    opened_at: *opened_at,
                    due_at: *due_at,
                    ..PrivacyRequest::default()
                };
            }
            E::RequesterVerified { method, by } => {
                self.status = S::Verified;
                // The code of a verified address is known to its holder alone, whoever enters it.
                let rests_on_staff = *method == Verification::Document || self.address.is_some();
                self.vouched_by = by.filter(|_| rests_on_staff);
            }
            E::PrivacyRequestApproved { classes, .. } => {
                self.status = S::Approved;
                self.classes.clone_from(classes);
            }
            E::PrivacyRequestDenied { by, .. } => {
                self.status = S::Denied;
                self.denied_by = *by;
            }
            E::PrivacyRequestExtended { due_at, .. } => {
                self.extended = true;
                self.due(*due_at);
            }
            E::FulfilmentStepRecorded { context, outcome, .. } => {
                self.status = S::InFulfilment;
                self.steps.insert(context.clone(), *outcome);
            }
            E::PrivacyPackageAttached { .. } => {
                self.status = S::InFulfilment;
                self.package = true;
            }
            E::HearingScheduled { at, officer } => {
                self.status = S::Hearing;
                self.hearing = Some((*at, *officer));
                self.due(*at);
            }
            E::HearingDecided { amended, .. } => self.amended = Some(*amended),
            E::StatementAttached { .. } => {}
            E::PrivacyRequestCompleted { .. } => self.status = S::Completed,
            E::PrivacyRequestCancelled { .. } => self.status = S::Cancelled,
            E::PrivacyRequestEscalated { days_left } => {
                self.escalated.insert(*days_left);
            }
            E::FulfilmentStalled { hours, .. } => self.stalled_hours = *hours,
            E::RestrictionLiftAnnounced { at, .. } => self.lifted_at = Some(*at),
        }
    }

    fn due(&mut self, due_at: Timestamp) {
        self.due_at = due_at;
        self.escalated.clear();
    }
}
