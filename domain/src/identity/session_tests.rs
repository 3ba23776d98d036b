use super::{SessionCommand as C, SessionEvent as E, SessionRefusal as R, *};
use crate::{
    identity::AccountStatus,
    kernel::testing::{Scenario, World, given, keeps_history, nothing},
};

const ADA: Uuid = Uuid::from_u128(0xADA);
const ME: Uuid = Uuid::from_u128(0x1D);
const NOON: &str = "2026-01-01T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn account(status: AccountStatus) -> Account {
    Account { account: Some(ADA), status, token_version: 3, ..Account::default() }
}

fn edge() -> Actor {
    Actor { on_behalf_of: Some(ADA), ..Actor::policy("api") }
}

fn start() -> C {
    C::StartSession {
        account: ADA,
        client: ClientProfile::Web,
        method: LoginMethod::Password,
        token_version: 3,
        device: Stated("Firefox".into()),
    }
}

fn started() -> E {
    E::SessionStarted {
        account: ADA,
        client: ClientProfile::Web,
        method: LoginMethod::Password,
        device: Personal::about(ADA, "Firefox".into()),
        version: 3,
        jti: Uuid::new_v5(&Uuid::from_u128(0xC0), b"jti"),
        access_ttl_s: 900,
        refresh_expires_at: at("2026-01-08T12:00:00Z"),
        ends_at: at("2026-01-31T12:00:00Z"),
    }
}

fn rotated(generation: u32) -> E {
    let jti = Uuid::new_v5(&Uuid::from_u128(0xC0), b"jti");
    E::RefreshTokenRotated { generation, jti, refresh_expires_at: at("2026-01-08T12:00:00Z") }
}

/// A world in which the account is this one and tokens are `token of <generation>`.
fn world(account: Account) -> World {
    (0..5).fold(World::default().with(ADA, account), |world, generation| {
        let label = refresh_token_label(ME, generation);
        let hash = sha256_hex(&format!("token of {generation}"));
        world.answering(Question::TokenHash { label }, Answer::Hash(hash))
    })
}

fn rotate(generation: u32) -> C {
    C::RotateRefreshToken { generation, token: Stated(format!("token of {generation}")) }
}

fn after(events: impl IntoIterator<Item = E>) -> Scenario<Session> {
    given([started()].into_iter().chain(events)).by(edge())
}

/// What is decided in a world with this account.
fn decided(session: Scenario<Session>, command: C, account: Account, now: &str) -> Decided<Session> {
    let now = at(now);
    let command_id = Uuid::from_u128(0xC0);
    let context = Context { id: ME, command_id, actor: edge(), now, occurred_at: now };
    let facts = session.state().facts(&command, &context, &mut world(account)).unwrap();
    session.state().decide(command, &facts, &context)
}

fn active() -> Account {
    account(AccountStatus::Active)
}

#[test]
fn a_session_begins_for_an_active_account() {
    let mut known = world(active());
    nothing::<Session>().by(edge()).looking_up(&start(), &mut known).when(start()).then([started()]);
    assert_eq!(known.pinned, [ADA], "a revocation meanwhile is not missed");
    for status in [AccountStatus::Pending, AccountStatus::Suspended, AccountStatus::Deactivated] {
        let mut known = world(account(status));
        let nobody = nothing::<Session>().by(edge()).looking_up(&start(), &mut known);
        nobody.when(start()).refused(R::AccountNotActive {});
    }
}

#[test]
fn idn_a7_no_session_begins_by_a_proof_from_before_all_sessions_were_ended() {
    let begin = |account: Account| {
        let mut known = world(account);
        nothing::<Session>().by(edge()).looking_up(&start(), &mut known).when(start())
    };
    begin(Account { sessions_since: 4, token_version: 4, ..active() }).refused(R::ProofOutdated {});
    // What was ended before the proof was given is over, and another role is another version that ends none.
    let promoted = Account { sessions_since: 3, token_version: 9, ..active() };
    assert_eq!(begin(promoted).then_names(["SessionStarted"]).version, 9);
}

#[test]
fn idn_s1_access_lives_shorter_in_browsers_and_a_session_30_days_at_most() {
    assert_eq!(ClientProfile::Web.access_ttl_s(), 900);
    assert_eq!((ClientProfile::Mobile.access_ttl_s(), ClientProfile::Api.access_ttl_s()), (7200, 7200));
    // The last rotation before the end gives no more time than is left.
    let late = E::RefreshTokenRotated {
        generation: 1,
        jti: Uuid::nil(),
        refresh_expires_at: at("2026-01-31T12:00:00Z"),
    };
    let events = decided(after([late.clone()]), rotate(1), active(), "2026-01-30T00:00:00Z").unwrap();
    let [E::RefreshTokenRotated { refresh_expires_at, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(*refresh_expires_at, at("2026-01-31T12:00:00Z"));
    let outcome = decided(after([late]), rotate(1), active(), "2026-01-31T12:00:00Z");
    assert!(matches!(outcome, Err(Refused::OnRecord(R::TokenExpired {}, _))), "{outcome:?}");
}

#[test]
fn idn_s3_a_refresh_token_works_once_and_an_older_one_ends_the_session() {
    assert_eq!(decided(after([]), rotate(0), active(), NOON), Ok(vec![rotated(1)]));
    assert_eq!(decided(after([rotated(1)]), rotate(1), active(), NOON), Ok(vec![rotated(2)]));
    let Err(Refused::OnRecord(R::TokenInvalid {}, events)) =
        decided(after([rotated(1)]), rotate(0), active(), NOON)
    else {
        panic!("a used token was accepted")
    };
    assert_eq!(events[0], E::RefreshTokenReuseDetected { generation: 0 });
    assert!(matches!(events[1], E::SessionEnded { reason: SessionEnd::Reuse, .. }));
    // From then on not even the newest one works.
    let outcome = decided(after([rotated(1)].into_iter().chain(events)), rotate(1), active(), NOON);
    assert_eq!(outcome, Err(R::TokenInvalid {}.into()));
}

#[test]
fn idn_s2_a_token_that_was_not_issued_here_proves_nothing_and_ends_nothing() {
    let forged = C::RotateRefreshToken { generation: 0, token: Stated("guessed".into()) };
    assert_eq!(decided(after([rotated(1)]), forged, active(), NOON), Err(R::TokenInvalid {}.into()));
    // Nor does one of a generation that is yet to come.
    assert_eq!(decided(after([]), rotate(1), active(), NOON), Err(R::TokenInvalid {}.into()));
}

#[test]
fn idn_s4_a_session_from_before_a_revocation_gets_no_further_token() {
    let revoked = Account { sessions_since: 4, token_version: 4, ..active() };
    let suspended = account(AccountStatus::Suspended);
    for account in [revoked, suspended] {
        let outcome = decided(after([]), rotate(0), account, NOON);
        let Err(Refused::OnRecord(R::TokenInvalid {}, events)) = outcome else { panic!("{outcome:?}") };
        assert!(matches!(events[..], [E::SessionEnded { reason: SessionEnd::Revoked, .. }]));
    }
    // Another role is another version, and no revocation.
    let promoted = Account { token_version: 9, ..active() };
    assert!(decided(after([]), rotate(0), promoted, NOON).is_ok());
}

#[test]
fn idn_s5_an_elevation_lasts_five_minutes() {
    let events = decided(after([]), C::ElevateSession { second_factor: false }, active(), NOON).unwrap();
    assert_eq!(events, [E::SessionElevated { until: at("2026-01-01T12:05:00Z"), second_factor: false }]);
    let state = after(events).state().clone();
    assert!(state.is_elevated(at("2026-01-01T12:04:59Z")) && !state.is_elevated(at("2026-01-01T12:05:00Z")));
}

#[test]
fn a_session_is_ended_once_by_its_holder_or_an_administrator() {
    let end = || C::EndSession { reason: SessionEnd::Logout };
    let state = after([]).by(Actor::user(ADA, &[])).when(end()).then_names(["SessionEnded"]);
    assert!(state.ended && !state.is_live(&active(), at(NOON)));
    let ended = E::SessionEnded { reason: SessionEnd::Logout, jti: Uuid::nil() };
    after([ended]).by(Actor::user(ADA, &[])).when(end()).then([]);
    let permits = |actor: Actor| after([]).permits(&actor, &end());
    assert!(permits(Actor::user(ADA, &[])) && permits(Actor::user(ME, &["admin"])));
    assert!(!permits(Actor::user(ME, &["staff"])));
    assert!(!after([]).permits(&Actor::user(ADA, &["admin"]), &rotate(0)));
}

#[test]
fn every_event_reads_as_it_was_stored() {
    keeps_history::<Session>([
        started(),
        rotated(1),
        E::RefreshTokenReuseDetected { generation: 0 },
        E::SessionElevated { until: at("2026-01-01T12:05:00Z"), second_factor: false },
        E::SessionEnded { reason: SessionEnd::Reuse, jti: Uuid::from_u128(7) },
    ]);
}
