//! R-88, its second part: who looked into history, why, who approved it, what was shown, what was handed out, and whether the
//! log was found to be what it was. The first part, the events themselves, is read off the log.

use domain::{
    Actor,
    governance::{AuditReplayEvent as E, ReplayPurpose, ReplayScope},
    registry::AnyEvent,
};
use event_store::Position;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::Filter,
    row,
    row::Json,
    table::{Options, Table},
    words,
};

words!(ReplayPurpose);

/// One thing that was done with a replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum ReplayStep {
    /// Events were shown.
    Read {
        /// When.
        at: Timestamp,
        /// By whom, as the envelope has it.
        by: String,
        /// The position of the first.
        from_position: Position,
        /// The position of the last.
        to_position: Position,
        /// How many.
        events: u64,
        /// Of how many people.
        people: u64,
        /// Whether with their personal values.
        decrypted: bool,
    },
    /// A document was handed out.
    Package {
        /// When.
        at: Timestamp,
        /// Which.
        document: Uuid,
        /// Its SHA-256.
        sha256: String,
        /// The first position in it.
        first: Position,
        /// The last.
        last: Position,
    },
    /// The log was checked.
    IntegrityCheck {
        /// When.
        at: Timestamp,
        /// From this position.
        from_position: Position,
        /// Up to this one.
        to_position: Position,
        /// Whether it is what it was.
        ok: bool,
        /// The first position at which it is not.
        broken_at: Option<Position>,
    },
}

row! {
    /// A look into history.
    pub struct AuditReplayRow {
        key {
            /// The replay.
            id: Uuid,
        }
        columns {
            /// Why: ferpa, gdpr, incident, dispute or self_test.
            purpose: ReplayPurpose => filter,
            /// What is looked at.
            scope: Json<ReplayScope>,
            /// The person whom it is about, if it is about one.
            subject: Option<Uuid> => filter index,
            /// As of which moment.
            moment: Option<Timestamp>,
            /// Whether personal values are shown.
            decrypt: bool => filter,
            /// The reason in words.
            reason: String,
            /// Who opened it.
            opened_by: Uuid => filter,
            /// When.
            opened_at: Timestamp => filter sort,
            /// When it closes by itself.
            closes_at: Timestamp => filter sort,
            /// The second officer who approved it.
            approved_by: Option<Uuid> => filter,
            /// When.
            approved_at: Option<Timestamp> => filter sort,
            /// When it was closed.
            closed_at: Option<Timestamp> => filter sort,
            /// How many events were shown, counted each time.
            events_shown: i64 => sort,
            /// What was done with it, in order.
            steps: Json<Vec<ReplayStep>>,
        }
    }
}

///
pub struct AuditReplays;

impl Table for AuditReplays {
    const NAME: &'static str = "audit_replays";
    const VERSION: u32 = 1;
    const FED_BY: &'static [&'static str] = &["governance.audit_replay"];
    const OPTIONS: Options =
        Options { stream_column: Some("id"), sort: &["-opened_at"], names: &["subject"], ..Options::DEFAULT };
    type Row = AuditReplayRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(key: &Uuid, row: Option<AuditReplayRow>, fact: &Fact) -> Option<AuditReplayRow> {
        let AnyEvent::AuditReplay(event) = &fact.event else { return row };
        let at = fact.occurred_at();
        if let E::AuditReplayOpened { purpose, scope, as_of, decrypt, reason, opened_by, closes_at } = event {
            return Some(AuditReplayRow {
                id: *key,
                purpose: *purpose,
                subject: scope.subject,
                scope: Json(scope.clone()),
                moment: *as_of,
                decrypt: *decrypt,
                reason: reason.clone(),
                opened_by: *opened_by,
                opened_at: at,
                closes_at: *closes_at,
                approved_by: None,
                approved_at: None,
                closed_at: None,
                events_shown: 0,
                steps: Json(Vec::new()),
            });
        }
        let mut row = row?;
        match event {
            E::AuditReplayOpened { .. } => {}
            E::AuditReplayApproved { approved_by } => {
                (row.approved_by, row.approved_at) = (Some(*approved_by), Some(at));
            }
            E::AuditReplayRead { from_position, to_position, events, subjects, decrypted } => {
                row.events_shown += i64::try_from(*events).unwrap_or(i64::MAX);
                row.steps.0.push(ReplayStep::Read {
                    at,
                    by: reader(fact),
                    from_position: *from_position,
                    to_position: *to_position,
                    events: *events,
                    people: subjects.len() as u64,
                    decrypted: *decrypted,
                });
            }
            E::IntegrityVerified { from_position, to_position, ok, broken_at } => {
                row.steps.0.push(ReplayStep::IntegrityCheck {
                    at,
                    from_position: *from_position,
                    to_position: *to_position,
                    ok: *ok,
                    broken_at: *broken_at,
                });
            }
            E::AuditPackageExported { document, sha256, first, last } => {
                row.steps.0.push(ReplayStep::Package {
                    at,
                    document: *document,
                    sha256: sha256.clone(),
                    first: *first,
                    last: *last,
                });
            }
            E::AuditReplayClosed {} => row.closed_at = Some(at),
        }
        Some(row)
    }

    fn visible(actor: &Actor) -> Filter {
        Filter::all_with(actor, "replay:history").or(Filter::all_with(actor, "read:audit"))
    }
}

/// The person for whom the edge read, or whoever read at the machine.
fn reader(fact: &Fact) -> String {
    let envelope = fact.envelope();
    envelope.on_behalf_of.map_or_else(|| envelope.actor.clone(), |person| format!("user:{person}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    const ADA: Uuid = Uuid::from_u128(0xADA);
    const BEN: Uuid = Uuid::from_u128(0xBE);

    fn folded<const N: usize>(events: [E; N]) -> AuditReplayRow {
        let id = Uuid::from_u128(5);
        given::<AuditReplays>(events.map(|event| (id, AnyEvent::AuditReplay(event)))).rows().remove(0)
    }

    fn opened() -> E {
        E::AuditReplayOpened {
            purpose: ReplayPurpose::SelfTest,
            scope: ReplayScope { subject: Some(ADA), ..ReplayScope::default() },
            as_of: None,
            decrypt: true,
            reason: "To see that it works".into(),
            opened_by: ADA,
            closes_at: "2026-01-01T20:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_replay_shows_who_opened_and_who_approved_it_and_what_was_shown() {
        let read = |events| E::AuditReplayRead {
            from_position: 1,
            to_position: 9,
            events,
            subjects: vec![ADA, BEN],
            decrypted: true,
        };
        let row = folded([opened(), E::AuditReplayApproved { approved_by: BEN }, read(3), read(4)]);
        assert_eq!(
            (row.purpose, row.subject, row.approved_by),
            (ReplayPurpose::SelfTest, Some(ADA), Some(BEN))
        );
        assert_eq!((row.events_shown, row.steps.0.len(), row.closed_at), (7, 2, None));
        assert!(matches!(row.steps.0[0], ReplayStep::Read { events: 3, people: 2, .. }));
    }

    #[test]
    fn packages_and_checks_of_the_log_are_told_in_order() {
        let check = E::IntegrityVerified { from_position: 1, to_position: 9, ok: false, broken_at: Some(4) };
        let package = E::AuditPackageExported { document: BEN, sha256: "0".repeat(64), first: 2, last: 3 };
        let row = folded([opened(), check, package, E::AuditReplayClosed {}]);
        assert!(matches!(row.steps.0[0], ReplayStep::IntegrityCheck { ok: false, broken_at: Some(4), .. }));
        assert!(matches!(row.steps.0[1], ReplayStep::Package { first: 2, last: 3, .. }));
        assert!(row.closed_at.is_some());
    }

    #[test]
    fn replays_are_for_those_who_may_replay_or_audit() {
        for (role, seen) in [("compliance", Filter::All), ("student", Filter::Nothing)] {
            assert_eq!(AuditReplays::visible(&Actor::user(ADA, &[role])), seen, "{role}");
        }
    }
}
