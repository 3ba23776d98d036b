use super::{ApiClientCommand as C, ApiClientEvent as E, ApiClientRefusal as R, *};
use crate::identity::{RateKey, RateLimit};
use crate::kernel::testing::{Scenario, World, given, keeps_history, nothing};

const ME: Uuid = Uuid::from_u128(0x1D);
const OWNER: Uuid = Uuid::from_u128(0x0E);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn owner() -> Actor {
    Actor::user(OWNER, &["budget_user"])
}

fn issue(scopes: &[&str]) -> C {
    C::IssueApiKey {
        name: "Import".into(),
        owner: OWNER,
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        per_minute: 60,
        monthly_quota: Some(1000),
        allowed_ips: vec!["10.0.0.0/8".into()],
        expires_at: None,
    }
}

fn key_id() -> Uuid {
    Uuid::new_v5(&Uuid::from_u128(0xC0), b"key")
}

/// A world in which the key that is made is this one.
fn world(key: &str) -> World {
    let label = api_key_label(ME, key_id());
    World::default().answering(Question::TokenHash { label }, Answer::Hash(sha256_hex(key)))
}

fn issued() -> Vec<E> {
    let command = issue(&["write:transactions"]);
    nothing::<ApiClient>().by(owner()).looking_up(&command, &mut world("first")).when(command).events()
}

fn after(events: impl IntoIterator<Item = E>) -> Scenario<ApiClient> {
    given(issued().into_iter().chain(events)).by(owner())
}

const NOON: &str = "2026-01-01T12:00:00Z";

#[test]
fn idn_c1_a_key_opens_by_its_hash_and_another_does_not() {
    let state = after([]).state().clone();
    assert!(
        state.opened_by("first", at(NOON)).is_some()
            && state.opened_by("second", at(NOON)).is_none()
            && state.opened_by("", at(NOON)).is_none()
    );
    assert!(ApiClient::default().opened_by("first", at(NOON)).is_none());
    assert!(format!("{:?}", state.keys[0].hash).contains("[personal]"));
}

#[test]
fn idn_c1_after_a_rotation_the_old_key_works_for_a_day_at_most() {
    let rotate = |overlap_s| C::RotateApiKey { overlap_s };
    let events = after([]).looking_up(&rotate(60), &mut world("second")).when(rotate(60)).events();
    let state = after(events).state().clone();
    assert!(
        state.opened_by("second", at(NOON)).is_some()
            && state.opened_by("first", at("2026-01-01T12:00:59Z")).is_some()
    );
    assert!(state.opened_by("first", at("2026-01-01T12:01:00Z")).is_none());
    // And with it whatever was got for it.
    let works = |number, instant| state.works(number, at(instant));
    assert!(works(1, NOON) && works(0, "2026-01-01T12:00:59Z") && !works(0, "2026-01-01T12:01:00Z"));
    assert!(works(1, "2026-01-01T12:01:00Z") && !works(2, NOON));
    after([]).looking_up(&rotate(86_401), &mut world("x")).when(rotate(86_401)).invalid("overlap_s");
}

#[test]
fn a_key_has_no_scope_that_its_maker_lacks_and_none_that_only_a_person_holds() {
    for scope in ["manage:ops", "no:such", "own"] {
        let command = issue(&[scope]);
        let refused = nothing::<ApiClient>().by(owner()).looking_up(&command, &mut world("x")).when(command);
        refused.refused(R::ScopeNotGrantable { scope: scope.into() });
    }
    nothing::<ApiClient>().by(owner()).when(issue(&[])).invalid("scopes");
    let more = C::ChangeApiKeyLimits {
        scopes: vec!["manage:ops".into()],
        per_minute: 60,
        monthly_quota: None,
        allowed_ips: Vec::new(),
    };
    after([]).when(more.clone()).refused(R::ScopeNotGrantable { scope: "manage:ops".into() });
    let operator = Actor::user(Uuid::from_u128(7), &["operator"]);
    after([]).by(operator).when(more).then_names(["ApiKeyLimitsChanged"]);
}

#[test]
fn no_client_has_the_id_of_an_account() {
    let account = Account { account: Some(ME), ..Account::default() };
    let command = issue(&["write:transactions"]);
    let taken = nothing::<ApiClient>().by(owner());
    taken.looking_up(&command, &mut world("first").with(ME, account)).when(command).invalid("id");
}

#[test]
fn idn_a8_whoever_makes_another_key_holds_what_it_opens() {
    let rotate = C::RotateApiKey { overlap_s: 0 };
    let by = |roles| after([]).by(Actor::user(Uuid::from_u128(7), roles));
    let rotated = |scenario: Scenario<ApiClient>| {
        scenario.looking_up(&rotate, &mut world("second")).when(rotate.clone())
    };
    rotated(by(&["operator"])).refused(R::ScopeNotGrantable { scope: "write:transactions".into() });
    rotated(by(&["operator", "budget_user"])).then_names(["ApiKeyRotated"]);
    rotated(after([])).then_names(["ApiKeyRotated"]);
}

#[test]
fn it_is_known_who_gave_a_client_its_scopes_where_it_was_not_the_owner() {
    assert_eq!(after([]).state().granted_by, None);
    let admin = Actor::user(Uuid::from_u128(7), &["admin"]);
    let command = issue(&["read:public"]);
    let made = nothing::<ApiClient>().by(admin.clone()).looking_up(&command, &mut world("first"));
    let made = given::<ApiClient>(made.when(command).events());
    assert_eq!(made.state().granted_by, Some(Uuid::from_u128(7)));
    let more = |by: Actor| {
        let (scopes, allowed_ips) = (vec!["write:transactions".to_owned()], Vec::new());
        let change = C::ChangeApiKeyLimits { scopes, per_minute: 60, monthly_quota: None, allowed_ips };
        after([]).by(by).when(change).then_names(["ApiKeyLimitsChanged"])
    };
    assert_eq!(more(admin).granted_by, Some(Uuid::from_u128(7)));
    assert_eq!(more(owner()).granted_by, None);
}

#[test]
fn only_the_owner_and_operators_deal_with_a_client_and_no_client_does() {
    let revoke = C::RevokeApiKey { reason: "leaked".into() };
    let permits = |actor: &Actor| after([]).permits(actor, &revoke);
    assert!(permits(&owner()) && permits(&Actor::user(Uuid::from_u128(7), &["operator"])));
    assert!(!permits(&Actor::user(Uuid::from_u128(7), &["staff"])));
    let client = Actor { kind: ActorKind::ApiClient, id: ME.to_string().into(), ..owner() };
    assert!(!permits(&client));
    assert!(!nothing::<ApiClient>().permits(&Actor::user(Uuid::from_u128(7), &[]), &issue(&["read:public"])));
}

#[test]
fn a_revoked_or_expired_key_opens_nothing() {
    let revoked = E::ApiKeyRevoked { reason: "leaked".into(), freed: None };
    let state = after([revoked.clone()]).state().clone();
    assert!(state.opened_by("first", at(NOON)).is_none() && !state.is_live(at(NOON)));
    after([revoked.clone()]).when(C::RevokeApiKey { reason: "again".into() }).then([]);
    after([revoked]).when(C::RotateApiKey { overlap_s: 0 }).invalid_state("revoked");
    let expired = ApiClient { expires_at: Some(at(NOON)), ..after([]).state().clone() };
    assert!(
        expired.opened_by("first", at(NOON)).is_none()
            && expired.opened_by("first", at("2026-01-01T11:59:59Z")).is_some()
    );
}

#[test]
fn a_client_calls_from_where_it_may_and_no_more_than_its_quota() {
    let state = after([]).state().clone();
    assert!(state.may_call_from("10.1.2.3".parse().unwrap()));
    assert!(!state.may_call_from("192.0.2.1".parse().unwrap()));
    let used = C::RecordApiQuotaExhausted { month: "2026-01".into(), used: 1000 };
    let edge = Actor::policy("api");
    let state = after([]).by(edge.clone()).when(used.clone()).then_names(["ApiQuotaExhausted"]);
    assert!(state.is_exhausted(at(NOON)) && !state.is_exhausted(at("2026-02-01T00:00:00Z")));
    let exhausted = E::ApiQuotaExhausted { month: "2026-01".into(), used: 1000 };
    after([exhausted]).by(edge).when(used).then([]);
}

#[test]
fn idn_c3_a_client_that_has_not_called_for_180_days_is_found_out() {
    let (since, later) = (at("2025-07-05T12:00:00Z"), at("2025-07-05T12:00:01Z"));
    let looked = |scenario: Scenario<ApiClient>, last: Option<Timestamp>, since: Timestamp| {
        let question = Question::LastCall { client: ME };
        let mut world = World::default().answering(question, Answer::Instant(last));
        let review = C::ReviewApiKeyUse { since };
        scenario.by(Actor::scheduler("review_api_keys")).looking_up(&review, &mut world).when(review)
    };
    for never_since in [None, Some(since), Some(at("2025-01-01T00:00:00Z"))] {
        looked(after([]), never_since, since).then([E::ApiKeyFoundUnused { since }]);
    }
    looked(after([]), Some(later), since).then([E::ApiKeyFoundInUse { last_used: later }]);
    looked(after([]), None, later).then([]);
    // What opens nothing any more need not be used.
    let revoked = E::ApiKeyRevoked { reason: "leaked".into(), freed: None };
    looked(after([revoked]), None, since).invalid_state("revoked");
    let mut expired = issued();
    if let E::ApiKeyIssued { expires_at, .. } = &mut expired[0] {
        *expires_at = Some(since);
    }
    looked(given(expired), None, since).then([]);
    assert!(!after([]).permits(&owner(), &C::ReviewApiKeyUse { since }));
}

/// A command that lets a client call so often.
fn so_often(often: u32) -> C {
    let C::IssueApiKey { name, owner, scopes, monthly_quota, allowed_ips, expires_at, .. } =
        issue(&["read:public"])
    else {
        unreachable!("an issue")
    };
    C::IssueApiKey { name, owner, scopes, per_minute: often, monthly_quota, allowed_ips, expires_at }
}

#[test]
fn who_makes_a_client_for_themselves_gives_it_no_more_calls_than_they_have() {
    let by = |actor: Actor, command: C, mut world: World| {
        nothing::<ApiClient>().by(actor).looking_up(&command, &mut world).when(command)
    };
    by(owner(), so_often(600), world("first")).then_names(["ApiKeyIssued"]);
    by(owner(), so_often(601), world("first")).invalid("per_minute");
    by(Actor::user(OWNER, &["admin"]), so_often(100_000), world("first")).then_names(["ApiKeyIssued"]);
    let change = |per_minute| C::ChangeApiKeyLimits {
        scopes: vec!["read:public".into()],
        per_minute,
        monthly_quota: None,
        allowed_ips: Vec::new(),
    };
    after([]).when(change(601)).invalid("per_minute");
    after([]).by(Actor::user(OWNER, &["admin"])).when(change(601)).then_names(["ApiKeyLimitsChanged"]);
    // Where the limit is another one, that one counts.
    let mut policy = SecurityPolicy::default();
    policy.limits.insert("reads".into(), RateLimit { per: RateKey::Account, limit: 36_000, window_s: 3600 });
    let less = || world("first").with(security_policy_id(), policy.clone());
    by(owner(), so_often(600), less()).then_names(["ApiKeyIssued"]);
    policy.limits.insert("reads".into(), RateLimit { per: RateKey::Account, limit: 10, window_s: 3600 });
    let less = || world("first").with(security_policy_id(), policy.clone());
    by(owner(), so_often(1), less()).then_names(["ApiKeyIssued"]);
    by(owner(), so_often(2), less()).invalid("per_minute");
}

#[test]
fn somebody_has_ten_clients_of_their_own_making_until_they_revoke_one() {
    let key = own_client_claim(OWNER);
    let claims = |event: &E| ApiClient::claims(ME, event);
    assert_eq!(claims(&issued()[0]), [Claim::Seat { key: key.clone(), limit: 10 }]);
    assert_eq!(ApiClient::taken(&key), Some(R::TooManyClients { most: 10 }));
    let revoke = || C::RevokeApiKey { reason: "leaked".into() };
    assert_eq!(claims(&after([]).when(revoke()).events()[0]), [Claim::Free(key)]);
    // What an operator makes is not counted, for themselves either.
    let command = issue(&["read:public"]);
    let admin = Actor::user(OWNER, &["admin"]);
    let made = nothing::<ApiClient>().by(admin).looking_up(&command, &mut world("first"));
    let made = made.when(command).events();
    assert!(claims(&made[0]).is_empty());
    assert!(claims(&given::<ApiClient>(made).by(owner()).when(revoke()).events()[0]).is_empty());
}

#[test]
fn ranges_that_are_none_are_refused() {
    let C::IssueApiKey { name, owner: by, scopes, per_minute, monthly_quota, expires_at, .. } =
        issue(&["read:budget"])
    else {
        unreachable!("an issue")
    };
    let allowed_ips = vec!["everywhere".to_owned()];
    let command =
        C::IssueApiKey { name, owner: by, scopes, per_minute, monthly_quota, allowed_ips, expires_at };
    nothing::<ApiClient>().by(owner()).when(command).invalid("allowed_ips");
}

#[test]
fn every_event_reads_as_it_was_stored() {
    let limits = E::ApiKeyLimitsChanged {
        scopes: vec!["read:budget".into()],
        per_minute: 10,
        monthly_quota: None,
        allowed_ips: vec!["2001:db8::/32".into()],
        granted_by: None,
    };
    let rotated = E::ApiKeyRotated {
        key_id: key_id(),
        key_prefix: api_key_prefix(ME),
        key_hash: Personal::about(ME, "hash".into()),
        previous_until: at(NOON),
    };
    let rest = [
        rotated,
        limits,
        E::ApiQuotaExhausted { month: "2026-01".into(), used: 1000 },
        E::ApiKeyFoundInUse { last_used: at(NOON) },
        E::ApiKeyFoundUnused { since: at(NOON) },
        E::ApiKeyRevoked { reason: "leaked".into(), freed: None },
    ];
    // As they were before it was counted how many an owner has made.
    let mut first = issued();
    if let E::ApiKeyIssued { counted, .. } = &mut first[0] {
        *counted = false;
    }
    assert!(ApiClient::claims(ME, &first[0]).is_empty());
    keeps_history::<ApiClient>(first.into_iter().chain(rest));
}
