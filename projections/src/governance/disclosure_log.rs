//! R-68 `disclosure_log`: who asked for a student's education records, and who got them on which basis: the record of 34
//! CFR 99.32. For compliance, and for the student. What a court forbids to tell (99.31(a)(9)(ii)), the student is not told.

use domain::{
    Actor, Personal,
    class::{Education, Identity},
    governance::{DisclosureBasis, DisclosureEvent as E, DisclosureStatus, PartyKind, REDISCLOSURE_NOTICE},
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

words!(DisclosureBasis, DisclosureStatus, PartyKind);

/// That a party handed the records on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Redisclosure {
    /// To whom.
    pub party: Personal<String, Identity>,
    /// Their legitimate interest.
    pub interest: String,
    /// When.
    pub at: Timestamp,
    /// Whether 99.33 allowed it.
    pub allowed: bool,
}

row! {
    /// A request for education records, and what became of it.
    pub struct DisclosureRow {
        key {
            /// The disclosure.
            id: Uuid,
        }
        columns {
            /// The student.
            subject: Uuid => filter index,
            /// What kind of party.
            party_kind: PartyKind => filter,
            /// Where in its life it is.
            state: DisclosureStatus => filter,
            /// The basis, by its paragraph of 34 CFR.
            basis: DisclosureBasis => filter,
            /// The records.
            records: Vec<String>,
            /// The legitimate interest in them.
            interest: String,
            /// When they were asked for.
            requested_at: Timestamp => filter sort,
            /// Who authorised it.
            authorized_by: Option<Uuid>,
            /// The consent that it rests on.
            consent: Option<Uuid>,
            /// The written agreement that it rests on.
            agreement: Option<Uuid>,
            /// When the student was told of the order.
            notified_at: Option<Timestamp>,
            /// Why it was refused.
            refusal: Option<String>,
            /// When they were disclosed.
            at: Option<Timestamp> => filter sort,
            /// How.
            method: Option<String>,
            /// The documents.
            documents: Vec<Uuid>,
            /// Whether 99.32(d) asks for no record of it; such entries are shown apart.
            exempt: bool => filter,
            /// What the party is told with the records, where 99.33(d) asks for it.
            redisclosure_notice: Option<String>,
            /// The privacy requests with the student's statements on these records, which went with them (99.21(c)(2)).
            statements: Vec<Uuid>,
            /// To whom the party may hand them on.
            redisclosure_to: Vec<String>,
        }
        personal {
            /// Who asked.
            party: Personal<String, Identity>,
            /// The threat, in an emergency.
            threat: Option<Personal<String, Education>>,
            /// To whom the party handed them on.
            redisclosures: Vec<Redisclosure>,
        }
    }
}

///
pub struct DisclosureLog;

impl Table for DisclosureLog {
    const NAME: &'static str = "disclosure_log";
    const VERSION: u32 = 2;
    const FED_BY: &'static [&'static str] = &["governance.disclosure"];
    const OPTIONS: Options =
        Options { stream_column: Some("id"), sort: &["-requested_at"], ..Options::DEFAULT };
    type Row = DisclosureRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(key: &Uuid, row: Option<DisclosureRow>, fact: &Fact) -> Option<DisclosureRow> {
        let AnyEvent::Disclosure(event) = &fact.event else { return row };
        let E::DisclosureRequested {
            subject,
            party,
            party_kind,
            records,
            interest,
            basis,
            redisclosure_to,
            address: _,
        } = event
        else {
            return row.map(|row| changed(row, event));
        };
        Some(DisclosureRow {
            id: *key,
            subject: *subject,
            party_kind: *party_kind,
            state: DisclosureStatus::Requested,
            basis: *basis,
            records: records.clone(),
            interest: interest.clone(),
            requested_at: fact.occurred_at(),
            authorized_by: None,
            consent: None,
            agreement: None,
            notified_at: None,
            refusal: None,
            at: None,
            method: None,
            documents: Vec::new(),
            exempt: basis.exempt(),
            redisclosure_notice: None,
            statements: Vec::new(),
            redisclosure_to: redisclosure_to.clone(),
            party: party.clone(),
            threat: None,
            redisclosures: Vec::new(),
        })
    }

    fn visible(actor: &Actor) -> Filter {
        let told = DisclosureBasis::ALL.into_iter().filter(|basis| !basis.forbids_to_tell());
        let told = Filter::In("basis", told.map(|basis| basis.citation().into()).collect());
        Filter::own(actor, "subject").and(told).or(Filter::all_with(actor, "manage:privacy"))
    }
}

fn changed(mut row: DisclosureRow, event: &E) -> DisclosureRow {
    match event {
        E::DisclosureRequested { .. } => {}
        E::DisclosureAuthorized { by, consent, agreement, notified_at, authorized_at: _ } => {
            row.agreement = *agreement;
            row.notified_at = *notified_at;
            row.state = DisclosureStatus::Authorized;
            row.authorized_by = Some(*by);
            row.consent = *consent;
        }
        E::DisclosureRefused { reason } => {
            row.state = DisclosureStatus::Refused;
            row.refusal = Some(reason.clone());
        }
        E::DisclosureRecorded {
            documents,
            method,
            at,
            threat,
            subject: _,
            party_kind: _,
            basis: _,
            exempt,
            redisclosure_notice,
            statements,
            statements_on_file: _,
        } => {
            row.statements.clone_from(statements);
            row.state = DisclosureStatus::Recorded;
            row.documents.clone_from(documents);
            row.method = Some(method.clone());
            row.at = Some(*at);
            row.threat.clone_from(threat);
            row.exempt = *exempt;
            row.redisclosure_notice = redisclosure_notice.then(|| REDISCLOSURE_NOTICE.to_owned());
        }
        E::RedisclosureAppended { party, interest, at, allowed } => {
            let (party, interest) = (party.clone(), interest.clone());
            row.redisclosures.push(Redisclosure { party, interest, at: *at, allowed: *allowed });
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    const ADA: Uuid = Uuid::from_u128(0xADA);

    fn folded<const N: usize>(events: [E; N]) -> DisclosureRow {
        let id = Uuid::from_u128(5);
        given::<DisclosureLog>(events.map(|event| (id, AnyEvent::Disclosure(event)))).rows().remove(0)
    }

    fn requested(basis: DisclosureBasis) -> E {
        E::DisclosureRequested {
            subject: ADA,
            party: Personal::about(Uuid::from_u128(7), "Acme".into()),
            party_kind: PartyKind::OtherSchool,
            records: vec!["transcript".into()],
            interest: "Transfer".into(),
            basis,
            redisclosure_to: vec![],
            address: None,
        }
    }

    fn recorded(basis: DisclosureBasis) -> E {
        E::DisclosureRecorded {
            documents: vec![Uuid::from_u128(9)],
            method: "mail".into(),
            at: "2026-01-02T00:00:00Z".parse().unwrap(),
            threat: None,
            subject: ADA,
            party_kind: PartyKind::OtherSchool,
            basis,
            exempt: basis.exempt(),
            redisclosure_notice: basis.limits_redisclosure(),
            statements: vec![Uuid::from_u128(0x57)],
            statements_on_file: 1,
        }
    }

    #[test]
    fn gov_d5_a_request_and_its_refusal_stay() {
        let refused = E::DisclosureRefused { reason: "No basis".into() };
        let row = folded([requested(DisclosureBasis::Study), refused]);
        assert_eq!((row.state, row.refusal.as_deref()), (DisclosureStatus::Refused, Some("No basis")));
        assert_eq!(row.party.get().map(String::as_str), Some("Acme"));
    }

    #[test]
    fn a_disclosure_shows_its_basis_and_the_notice_that_went_with_it() {
        let basis = DisclosureBasis::OtherSchool;
        let (by, agreement) = (Uuid::from_u128(8), None);
        let authorized =
            E::DisclosureAuthorized { by, consent: None, agreement, notified_at: None, authorized_at: None };
        let again = E::RedisclosureAppended {
            party: Personal::about(Uuid::from_u128(6), "A newspaper".into()),
            interest: "News".into(),
            at: "2026-01-03T00:00:00Z".parse().unwrap(),
            allowed: false,
        };
        let row = folded([requested(basis), authorized, recorded(basis), again]);
        assert_eq!((row.basis, row.exempt, row.state), (basis, false, DisclosureStatus::Recorded));
        assert_eq!(row.redisclosure_notice.as_deref(), Some(REDISCLOSURE_NOTICE));
        assert_eq!(row.statements, [Uuid::from_u128(0x57)]);
        assert!(!row.redisclosures[0].allowed);
        let court = DisclosureBasis::JudicialOrder;
        assert_eq!(folded([requested(court), recorded(court)]).redisclosure_notice, None);
    }

    #[test]
    fn students_see_their_own_record_but_what_a_court_forbids_to_tell() {
        let Filter::Every(parts) = DisclosureLog::visible(&Actor::user(ADA, &["student"])) else {
            panic!("two conditions")
        };
        assert_eq!(parts[0], Filter::Is("subject", ADA.into()));
        let Filter::In("basis", told) = &parts[1] else { panic!("{parts:?}") };
        assert!(told.contains(&"99.31(a)(9)(i)".into()) && !told.contains(&"99.31(a)(9)(ii)(A)".into()));
        assert_eq!(told.len(), DisclosureBasis::ALL.len() - 3);
        assert_eq!(DisclosureLog::visible(&Actor::user(ADA, &["compliance"])), Filter::All);
        assert_eq!(DisclosureLog::visible(&Actor::policy("x")), Filter::Nothing);
    }
}
