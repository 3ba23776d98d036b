//! The clocks of a request, and what is checked of it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use uuid::Uuid;

use super::{ENTERED_WITHIN, INSPECT_WITHIN, PrivacyRequest, PrivacyRequestStatus};
use crate::{
    governance::{
        ConsentPurpose, PrivacyRegime, PrivacyRequestType, StepOutcome, legal_hold::inspected_key,
        months_after,
    },
    kernel::{Context, RecordClass, Refused, RefusedBy, bounds, sha256_hex},
};

/// GOV-P1.
pub(super) fn due(regime: PrivacyRegime, opened_at: Timestamp) -> Timestamp {
    match regime {
        PrivacyRegime::Gdpr => months_after(opened_at, 1),
        PrivacyRegime::Ferpa => opened_at.checked_add(INSPECT_WITHIN).unwrap_or(Timestamp::MAX),
    }
}

/// GOV-P1: since when the time runs. A request that came by letter or in person runs from the day of its receipt.
pub(super) fn received(
    stated: Option<Timestamp>,
    subject: Uuid,
    context: &Context,
) -> Result<Timestamp, RefusedBy<PrivacyRequest>> {
    let Some(at) = stated else { return Ok(context.now) };
    bounds::instant("received_at", at)?;
    if context.actor.is(subject) {
        return Err(Refused::invalid("received_at", "for a request that staff enter for the person"));
    }
    let earliest = context.now.checked_sub(ENTERED_WITHIN).unwrap_or(Timestamp::MIN);
    if at > context.now || at < earliest {
        return Err(Refused::invalid("received_at", "within the last year, and not in the future"));
    }
    Ok(at)
}

/// GOV-P5: an objection names what is to stop, and marketing by itself; a restriction may.
pub(super) fn check_purposes(r#type: PrivacyRequestType, purposes: &[ConsentPurpose]) -> Check {
    use PrivacyRequestType as T;
    let distinct: BTreeSet<_> = purposes.iter().collect();
    if distinct.len() != purposes.len() {
        return Err(Refused::invalid("purposes", "each one once"));
    }
    match r#type {
        T::Objection if purposes.is_empty() => {
            Err(Refused::invalid("purposes", "at least one: an objection is to a purpose"))
        }
        T::Objection if purposes.len() > 1 && purposes.contains(&ConsentPurpose::Marketing) => Err(
            Refused::invalid("purposes", "marketing in a request of its own: nothing is weighed against it"),
        ),
        T::Objection | T::Restriction => Ok(()),
        T::Access | T::Portability | T::Rectification | T::Erasure | T::Inspection | T::Amendment => {
            if purposes.is_empty() {
                Ok(())
            } else {
                Err(Refused::invalid("purposes", "for a restriction or an objection"))
            }
        }
    }
}

/// 34 CFR 99.20(a): an amendment says which records are contested.
pub(super) fn check_records(r#type: PrivacyRequestType, records: &[String]) -> Check {
    bounds::texts("records", records, 100, 200)?;
    match (r#type == PrivacyRequestType::Amendment, records.is_empty()) {
        (true, true) => Err(Refused::invalid("records", "at least one: an amendment names what it contests")),
        (false, false) => Err(Refused::invalid("records", "for an amendment, and for nothing else")),
        (true, false) | (false, true) => Ok(()),
    }
}

/// What stands for the contested records, in whatever order and however often they are named.
pub(super) fn contested(records: &[String]) -> Option<String> {
    let names: BTreeSet<String> = records.iter().map(|name| name.trim().to_lowercase()).collect();
    let names: Vec<String> = names.into_iter().collect();
    (!names.is_empty()).then(|| sha256_hex(&names.join("\n")))
}

/// One open request of a kind for each person. An objection to marketing is of a kind of its own, and so is an amendment of
/// each choice of records.
pub(super) fn open_key(
    subject: Uuid,
    regime: PrivacyRegime,
    r#type: PrivacyRequestType,
    purposes: &[ConsentPurpose],
    contests: Option<&str>,
) -> String {
    let marketing = r#type == PrivacyRequestType::Objection && *purposes == [ConsentPurpose::Marketing];
    let kind = if marketing { Some("marketing") } else { contests };
    let kind = kind.map(|kind| format!(":{kind}")).unwrap_or_default();
    let (regime, r#type): (&str, &str) = (regime.into(), r#type.into());
    format!("privacy:{subject}:{regime}:{type}{kind}")
}

/// What a request that is over may have held. Of an objection, its last event does not say which of the two.
pub(super) fn ended_keys(
    subject: Uuid,
    regime: PrivacyRegime,
    r#type: PrivacyRequestType,
    contests: Option<&str>,
) -> Vec<String> {
    let key = |purposes: &[ConsentPurpose]| open_key(subject, regime, r#type, purposes, contests);
    match r#type {
        PrivacyRequestType::Objection => vec![key(&[]), key(&[ConsentPurpose::Marketing])],
        _ => vec![key(&[])],
    }
}

/// What a request to inspect keeps from being destroyed (34 CFR 99.10(e)).
pub(super) fn inspected(r#type: PrivacyRequestType, subject: Uuid) -> Option<String> {
    (r#type == PrivacyRequestType::Inspection).then(|| inspected_key(subject))
}

type Check = Result<(), RefusedBy<PrivacyRequest>>;

pub(super) fn check_classes(classes: &[RecordClass]) -> Check {
    bounds::count("classes", classes.len(), RecordClass::ALL.len())?;
    let distinct: BTreeSet<_> = classes.iter().collect();
    if distinct.len() == classes.len() { Ok(()) } else { Err(Refused::invalid("classes", "each one once")) }
}

/// The classes whose keys go with an erasure of these; none means all. What proves who somebody is goes with who they are.
pub fn erased_classes(approved: &[RecordClass]) -> Vec<RecordClass> {
    let mut classes = if approved.is_empty() { RecordClass::ALL.to_vec() } else { approved.to_vec() };
    if classes.contains(&RecordClass::Identity) && !classes.contains(&RecordClass::Secret) {
        classes.push(RecordClass::Secret);
    }
    classes
}

/// The classes approved, and those refused.
type Classes = (Vec<RecordClass>, Vec<RecordClass>);

impl PrivacyRequest {
    /// GOV-P4: which classes are approved and which are refused; refusing some takes a note.
    pub(super) fn approved(
        &self,
        only: Option<Vec<RecordClass>>,
        noted: bool,
    ) -> Result<Classes, RefusedBy<PrivacyRequest>> {
        let Some(only) = only else { return Ok((self.classes.clone(), Vec::new())) };
        check_classes(&only)?;
        let asked = if self.classes.is_empty() { &RecordClass::ALL[..] } else { &self.classes[..] };
        if only.is_empty() || !only.iter().all(|class| asked.contains(class)) {
            return Err(Refused::invalid("classes", "some of those that the request is about"));
        }
        let carried_out = match self.r#type {
            PrivacyRequestType::Erasure => erased_classes(&only),
            _ => only.clone(),
        };
        let refused: Vec<RecordClass> =
            asked.iter().copied().filter(|class| !carried_out.contains(class)).collect();
        if refused.is_empty() || noted {
            Ok((only, refused))
        } else {
            Err(Refused::invalid("note", "the ground on which the other classes are refused"))
        }
    }

    /// A denied amendment, until its hearing is decided.
    pub(super) fn may_be_heard(&self) -> bool {
        use PrivacyRequestStatus as S;
        let denied = self.status == S::Denied && self.r#type == PrivacyRequestType::Amendment;
        denied || (self.status == S::Hearing && self.amended.is_none())
    }

    /// Whether the restriction or objection may be ended then; until it is over, it was not ended.
    pub(super) fn lifts_at(
        &self,
        at: Option<Timestamp>,
        context: &Context,
    ) -> Result<Timestamp, RefusedBy<PrivacyRequest>> {
        if context.actor.is(self.subject) {
            return Ok(at.filter(|at| *at > context.now).unwrap_or(context.now));
        }
        let at = at.ok_or(Refused::invalid("at", "the person is told before it ends (Art. 18(3))"))?;
        bounds::instant("at", at)?;
        if at > context.now { Ok(at) } else { Err(Refused::invalid("at", "after now")) }
    }

    /// What is not done yet.
    pub(super) fn waiting(&self) -> Vec<String> {
        let open = self.steps.iter().filter(|(_, outcome)| **outcome == StepOutcome::Partial);
        open.map(|(context, _)| context.clone()).collect()
    }

    pub(super) fn has_all_steps(&self) -> bool {
        if self.status == PrivacyRequestStatus::Hearing {
            return self.amended.is_some();
        }
        let settled = self.steps.values().all(|outcome| *outcome != StepOutcome::Partial);
        !self.steps.is_empty() && settled && (self.package || !self.r#type.wants_package())
    }
}
