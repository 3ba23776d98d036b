//! R-02 `token_state` and the list of R-03: which sessions there are. For each person their own, and for the policies
//! that end them.

use domain::{
    Actor, Personal,
    class::SecurityLog,
    identity::{ClientProfile, LoginMethod, SessionEnd, SessionEvent as E},
    registry::AnyEvent,
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::Filter,
    row,
    table::{Options, Table},
    words,
};

words!(ClientProfile, LoginMethod, SessionEnd);

row! {
    /// A session.
    pub struct SessionRow {
        key {
            /// The session.
            session: Uuid,
        }
        columns {
            /// Whose it is.
            account: Uuid => filter index,
            /// With which kind of client.
            client: ClientProfile => filter,
            /// How the person proved who they are.
            method: LoginMethod => filter,
            /// Whether it was not ended. That it has run out, `expires_at` says.
            live: bool => filter,
            /// Why it ended.
            ended: Option<SessionEnd>,
            /// The access token that was issued last.
            jti: Uuid,
            /// When it began.
            started_at: Timestamp => filter sort,
            /// When its tokens were exchanged last.
            used_at: Timestamp => filter sort,
            /// Until when it can be gone on with.
            expires_at: Timestamp => filter sort,
        }
        personal {
            /// What the client said of itself.
            device: Personal<String, SecurityLog>,
        }
    }
}

///
pub struct Sessions;

impl Table for Sessions {
    const NAME: &'static str = "sessions";
    const VERSION: u32 = 1;
    const FED_BY: &'static [&'static str] = &["identity.session"];
    const OPTIONS: Options = Options { sort: &["started_at"], ..Options::DEFAULT };
    type Row = SessionRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(key: &Uuid, row: Option<SessionRow>, fact: &Fact) -> Option<SessionRow> {
        let AnyEvent::Session(event) = &fact.event else { return row };
        if let E::SessionStarted { account, client, method, device, jti, refresh_expires_at, .. } = event {
            return Some(SessionRow {
                session: *key,
                account: *account,
                client: *client,
                method: *method,
                live: true,
                ended: None,
                jti: *jti,
                started_at: fact.recorded_at,
                used_at: fact.recorded_at,
                expires_at: *refresh_expires_at,
                device: device.clone(),
            });
        }
        row.map(|mut row| {
            match event {
                E::SessionStarted { .. }
                | E::RefreshTokenReuseDetected { .. }
                | E::SessionElevated { .. } => {}
                E::RefreshTokenRotated { jti, refresh_expires_at, .. } => {
                    (row.jti, row.expires_at, row.used_at) = (*jti, *refresh_expires_at, fact.recorded_at);
                }
                E::SessionEnded { reason, .. } => (row.live, row.ended) = (false, Some(*reason)),
            }
            row
        })
    }

    fn visible(actor: &Actor) -> Filter {
        if actor.is_system() { Filter::All } else { Filter::own(actor, "account") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    const ADA: Uuid = Uuid::from_u128(0xADA);
    const ID: Uuid = Uuid::from_u128(0x5E);

    fn after(events: impl IntoIterator<Item = E>) -> SessionRow {
        let started = E::SessionStarted {
            account: ADA,
            client: ClientProfile::Web,
            method: LoginMethod::Password,
            device: Personal::about(ADA, "Firefox".into()),
            version: 0,
            jti: Uuid::from_u128(1),
            access_ttl_s: 900,
            refresh_expires_at: "2026-01-08T12:00:00Z".parse().unwrap(),
            ends_at: "2026-01-31T12:00:00Z".parse().unwrap(),
        };
        let events = [started].into_iter().chain(events);
        given::<Sessions>(events.map(|event| (ID, AnyEvent::Session(event)))).rows().remove(0)
    }

    #[test]
    fn a_session_is_live_until_it_ends_and_says_why_it_did() {
        assert!(after([]).live);
        let row = after([E::SessionEnded { reason: SessionEnd::Reuse, jti: Uuid::nil() }]);
        assert_eq!((row.live, row.ended), (false, Some(SessionEnd::Reuse)));
    }

    #[test]
    fn a_rotation_moves_its_end() {
        let later: Timestamp = "2026-01-09T12:00:00Z".parse().unwrap();
        let rotated =
            E::RefreshTokenRotated { generation: 1, jti: Uuid::from_u128(2), refresh_expires_at: later };
        let row = after([rotated]);
        assert_eq!((row.jti, row.expires_at), (Uuid::from_u128(2), later));
    }

    #[test]
    fn people_see_their_own_sessions_and_administrators_nobody_elses() {
        let own = Filter::Is("account", ADA.into());
        assert_eq!(Sessions::visible(&Actor::user(ADA, &["admin"])), own);
    }
}
