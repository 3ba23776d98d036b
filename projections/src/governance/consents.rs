//! R-66 `consents`: what people have consented to, and whether the consent stood at a moment. For the person and for
//! compliance. A consent with an end stands until then, whatever its state says: the clock may come late. One that a
//! restriction or an objection came after does not stand until that is lifted.

use domain::{
    Actor, Personal,
    class::Identity,
    governance::{ConsentLedgerEvent as E, ConsentPurpose},
    registry::AnyEvent,
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::Filter,
    row,
    table::{Options, Table},
    words,
};

/// Whether a consent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsentState {
    /// It was given.
    Granted,
    /// It was withdrawn, or revoked.
    Withdrawn,
    /// Its time is over.
    Expired,
}

words!(ConsentPurpose, ConsentState);

row! {
    /// A consent of a person: to a purpose, or to disclose education records.
    pub struct ConsentRow {
        key {
            /// The person.
            subject: Uuid => filter,
            /// The purpose, or the id of the consent to disclose.
            item: String => filter,
        }
        columns {
            /// The purpose; none for a consent to disclose.
            purpose: Option<ConsentPurpose> => filter,
            /// Whether it stands.
            state: ConsentState => filter,
            /// The version of the text consented to.
            version: Option<String>,
            /// The SHA-256 of that text.
            text_hash: Option<String>,
            /// Since when it stands, or does not.
            since: Timestamp => filter sort,
            /// Until when; without an end where there is none.
            until: Option<Timestamp> => filter sort,
            /// The consent to disclose; none for a purpose.
            consent: Option<Uuid> => filter,
            /// The records that may be disclosed, separated by commas.
            records: Option<String>,
            /// For what they may be disclosed.
            disclosed_for: Option<String>,
            /// When it was signed.
            signed_at: Option<Timestamp>,
            /// The document that is signed.
            signature: Option<Uuid>,
            /// The privacy request by which the person had the purpose restricted or objected to it since.
            stopped_by: Option<Uuid> => filter,
        }
        personal {
            /// To whom the records may be disclosed.
            party: Option<Personal<String, Identity>>,
        }
    }
}

///
pub struct Consents;

impl Table for Consents {
    const NAME: &'static str = "consents";
    const VERSION: u32 = 2;
    const FED_BY: &'static [&'static str] = &["governance.consent_ledger"];
    const OPTIONS: Options =
        Options { time_travel: true, stream_column: Some("subject"), ..Options::DEFAULT };
    type Row = ConsentRow;

    fn keys(fact: &Fact, out: &mut Vec<(Uuid, String)>) {
        let AnyEvent::ConsentLedger(event) = &fact.event else { return };
        if let E::ProcessingRestricted { purposes, .. } | E::ProcessingReleased { purposes, .. } = event {
            let purposes = if purposes.is_empty() { &ConsentPurpose::ALL[..] } else { &purposes[..] };
            out.extend(purposes.iter().map(|purpose| (fact.id, purpose.name().to_owned())));
            return;
        }
        let item = match event {
            E::ConsentGranted { purpose, .. }
            | E::ConsentWithdrawn { purpose }
            | E::ConsentExpired { purpose } => purpose.name().to_owned(),
            E::DisclosureConsentGranted { consent, .. } | E::DisclosureConsentRevoked { consent } => {
                consent.to_string()
            }
            E::ProcessingRestricted { .. } | E::ProcessingReleased { .. } => return,
        };
        out.push((fact.id, item));
    }

    fn fold(key: &(Uuid, String), row: Option<ConsentRow>, fact: &Fact) -> Option<ConsentRow> {
        let AnyEvent::ConsentLedger(event) = &fact.event else { return row };
        let ended = |state| {
            let since = fact.occurred_at();
            row.clone().map(|row| ConsentRow { state, since, ..row })
        };
        match event {
            E::ConsentGranted { subject: _, purpose, text_version, text_hash, until } => Some(ConsentRow {
                subject: key.0,
                item: key.1.clone(),
                purpose: Some(*purpose),
                state: ConsentState::Granted,
                version: Some(text_version.clone()),
                text_hash: Some(text_hash.clone()),
                since: fact.occurred_at(),
                until: *until,
                consent: None,
                records: None,
                disclosed_for: None,
                signed_at: None,
                signature: None,
                stopped_by: None,
                party: None,
            }),
            E::ConsentWithdrawn { .. } | E::DisclosureConsentRevoked { .. } => ended(ConsentState::Withdrawn),
            E::ConsentExpired { .. } => ended(ConsentState::Expired),
            E::DisclosureConsentGranted {
                subject: _,
                consent,
                records,
                purpose,
                party,
                signed_at,
                signature,
                until,
            } => Some(ConsentRow {
                subject: key.0,
                item: key.1.clone(),
                purpose: None,
                state: ConsentState::Granted,
                version: None,
                text_hash: None,
                since: fact.occurred_at(),
                until: *until,
                consent: Some(*consent),
                records: Some(records.clone()),
                disclosed_for: Some(purpose.clone()),
                signed_at: Some(*signed_at),
                signature: Some(*signature),
                stopped_by: None,
                party: Some(party.clone()),
            }),
            // Where classes are named, the purpose goes on for the others.
            E::ProcessingRestricted { classes, .. } if !classes.is_empty() => row,
            E::ProcessingRestricted { request, .. } => {
                row.map(|row| ConsentRow { stopped_by: Some(*request), ..row })
            }
            E::ProcessingReleased { request, .. } => row.map(|row| ConsentRow {
                stopped_by: row.stopped_by.filter(|stopped| stopped != request),
                ..row
            }),
        }
    }

    fn visible(actor: &Actor) -> Filter {
        Filter::own(actor, "subject").or(Filter::all_with(actor, "manage:privacy"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    const ADA: Uuid = Uuid::from_u128(0xADA);

    fn of(event: E) -> (Uuid, AnyEvent) {
        (ADA, AnyEvent::ConsentLedger(event))
    }

    fn granted() -> E {
        E::ConsentGranted {
            subject: ADA,
            purpose: ConsentPurpose::Marketing,
            text_version: "2".into(),
            text_hash: "ab".into(),
            until: None,
        }
    }

    fn disclosure() -> E {
        E::DisclosureConsentGranted {
            subject: ADA,
            consent: Uuid::from_u128(7),
            records: "transcript".into(),
            purpose: "Work".into(),
            party: Personal::about(Uuid::from_u128(8), "Acme".into()),
            signed_at: "2025-12-01T00:00:00Z".parse().unwrap(),
            signature: Uuid::from_u128(9),
            until: None,
        }
    }

    fn folded<const N: usize>(events: [E; N]) -> Vec<ConsentRow> {
        given::<Consents>(events.map(of)).rows()
    }

    #[test]
    fn gov_c3_the_latest_event_of_a_purpose_decides() {
        let row = folded([granted()]).remove(0);
        assert_eq!((row.state, row.item.as_str()), (ConsentState::Granted, "marketing"));
        let withdrawn = E::ConsentWithdrawn { purpose: ConsentPurpose::Marketing };
        let row = folded([granted(), withdrawn.clone()]).remove(0);
        assert_eq!(row.state, ConsentState::Withdrawn);
        assert_eq!(row.since, "2026-01-01T12:00:01Z".parse().unwrap());
        assert_eq!(folded([granted(), withdrawn, granted()])[0].state, ConsentState::Granted);
        let expired = E::ConsentExpired { purpose: ConsentPurpose::Marketing };
        assert_eq!(folded([granted(), expired])[0].state, ConsentState::Expired);
    }

    #[test]
    fn a_consent_to_disclose_stands_apart_under_its_own_id() {
        let revoked = E::DisclosureConsentRevoked { consent: Uuid::from_u128(7) };
        let rows = folded([granted(), disclosure(), revoked]);
        assert_eq!(rows.len(), 2);
        let row = rows.iter().find(|row| row.consent.is_some()).unwrap();
        assert_eq!((row.state, row.records.as_deref()), (ConsentState::Withdrawn, Some("transcript")));
        assert_eq!(row.party.as_ref().and_then(Personal::get).map(String::as_str), Some("Acme"));
    }

    #[test]
    fn people_see_their_own_consents_and_compliance_all() {
        assert_eq!(Consents::visible(&Actor::user(ADA, &["staff"])), Filter::Is("subject", ADA.into()));
        assert_eq!(Consents::visible(&Actor::user(ADA, &["compliance"])), Filter::All);
        assert_eq!(Consents::visible(&Actor::policy("x")), Filter::Nothing);
    }
}
