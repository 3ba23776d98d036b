use super::{SecurityPolicyCommand as C, SecurityPolicyEvent as E, SecurityPolicyRefusal as R, *};
use crate::kernel::testing::{Scenario, World, given, keeps_history};

fn policy(events: impl IntoIterator<Item = E>) -> Scenario<SecurityPolicy> {
    given(events.into_iter().chain([requests()])).with_id(security_policy_id())
}

fn requests() -> E {
    E::RequestPolicySet {
        max_body_bytes: 1_048_576,
        cors_origins: vec!["https://app.example.edu".into()],
        registration: Registration::Invite,
    }
}

fn librarian() -> E {
    E::RoleDefined { role: "librarian".into(), scopes: vec!["write:content".into()], mfa_required: true }
}

fn define(role: &str, scope: &str) -> C {
    C::DefineRole { role: role.into(), scopes: vec![scope.into()], mfa_required: true }
}

fn retire(role: &str) -> C {
    C::RetireRole { role: role.into() }
}

#[test]
fn a_deployment_defines_roles_of_scopes_that_there_are() {
    policy([]).when(define("librarian", "write:content")).then([librarian()]);
    policy([librarian()]).when(define("librarian", "write:content")).refused(R::Duplicate {});
    policy([]).when(define("admin", "write:content")).refused(R::Duplicate {});
    policy([])
        .when(define("librarian", "rule:world"))
        .refused(R::UnknownScope { scope: "rule:world".into() });
    for name in ["", "x", "Librarian", "9lives", "a b"] {
        policy([]).when(define(name, "write:content")).invalid("role");
    }
    let state = policy([librarian()]).state().clone();
    assert_eq!(state.scopes_of("librarian"), Some(vec!["write:content"]));
    assert!(state.needs_mfa("librarian") && !state.needs_mfa("staff"));
}

#[test]
fn what_is_built_in_stays_and_what_somebody_holds_is_not_retired() {
    policy([]).when(retire("staff")).refused(R::BuiltInRole {});
    policy([]).when(retire("librarian")).refused(R::UnknownRole {});
    let change = |role: &str| C::ChangeRoleScopes { role: role.into(), scopes: Vec::new() };
    policy([]).when(change("admin")).refused(R::BuiltInRole {});
    policy([librarian()]).when(change("librarian")).then_names(["RoleScopesChanged"]);
    let held = |by: Vec<Uuid>| {
        let question = Question::Holders { claim: "role:librarian".into() };
        World::default().answering(question, Answer::References(by))
    };
    let retiring = |world: &mut World| {
        policy([librarian()]).looking_up(&retire("librarian"), world).when(retire("librarian"))
    };
    retiring(&mut held(vec![Uuid::nil()])).refused(R::RoleInUse {});
    retiring(&mut held(Vec::new())).then_names(["RoleRetired"]);
}

#[test]
fn every_role_of_the_house_has_scopes_and_the_administrator_needs_none() {
    let policy = SecurityPolicy::default();
    for role in ROLES.into_iter().filter(|role| *role != "admin") {
        let scopes = policy.scopes_of(role).unwrap();
        assert!(!scopes.is_empty() && scopes.into_iter().all(is_known_scope), "{role}");
    }
    assert_eq!(policy.scopes_of("emperor"), None);
}

#[test]
fn an_allow_list_never_locks_its_maker_out() {
    let set = |cidrs: &[&str]| C::SetIpAllowlist {
        audience: IpAudience::Admin,
        cidrs: cidrs.iter().map(|range| (*range).to_owned()).collect(),
        caller_ip: "192.0.2.7".into(),
    };
    policy([]).when(set(&["10.0.0.0/8"])).refused(R::WouldLockOutCaller {});
    policy([]).when(set(&["10.0.0.0/8", "nowhere"])).refused(R::InvalidCidr {});
    let state = policy([]).when(set(&["10.0.0.0/8", "192.0.2.0/24"])).then_names(["IpAllowlistSet"]);
    let admits = |address: &str| state.admits(IpAudience::Admin, address.parse().unwrap());
    assert!(admits("10.9.9.9") && admits("192.0.2.200") && !admits("203.0.113.1"));
    assert!(state.admits(IpAudience::All, "203.0.113.1".parse().unwrap()));
    let open = policy([]).when(set(&[])).then_names(["IpAllowlistSet"]);
    assert!(open.admits(IpAudience::Admin, "203.0.113.1".parse().unwrap()));
}

#[test]
fn idn_a2_a_password_policy_never_asks_less_than_the_rules() {
    let set = |min_length, history| C::SetPasswordPolicy { min_length, history, breached_check: false };
    policy([]).when(set(11, 5)).refused(R::BelowFloor {});
    policy([]).when(set(12, 4)).refused(R::BelowFloor {});
    let state = policy([]).when(set(16, 10)).then_names(["PasswordPolicySet"]);
    assert_eq!(state.passwords, PasswordPolicy { min_length: 16, history: 10, breached_check: false });
}

#[test]
fn idn_p1_limits_hold_as_built_in_until_they_are_set() {
    let ten = RateLimit { per: RateKey::Ip, limit: 10, window_s: 60 };
    assert_eq!(SecurityPolicy::default().limit("auth"), Some(ten));
    let set = C::SetRateLimit { route_class: "auth".into(), per: RateKey::Ip, limit: 5, window_s: 60 };
    let state = policy([]).when(set).then_names(["RateLimitSet"]);
    assert_eq!(state.limit("auth").map(|limit| limit.limit), Some(5));
    assert_eq!(state.limit("no such class"), None);
}

#[test]
fn a_limit_is_set_for_a_class_that_routes_are_of() {
    let set =
        |class: &str| C::SetRateLimit { route_class: class.into(), per: RateKey::Ip, limit: 5, window_s: 60 };
    for (class, _) in LIMITS {
        policy([]).when(set(class)).then_names(["RateLimitSet"]);
    }
    for unknown in ["", "write", "Writes", "client", "no such class"] {
        policy([]).when(set(unknown)).invalid("route_class");
    }
}

#[test]
fn an_origin_is_a_scheme_and_a_host() {
    let set = |origin: &str| C::SetRequestPolicy {
        max_body_bytes: 1_048_576,
        cors_origins: vec![origin.into()],
        registration: Registration::Open,
    };
    policy([]).when(set("https://app.example.edu:8443")).then_names(["RequestPolicySet"]);
    policy([]).when(set("http://localhost:3000")).then_names(["RequestPolicySet"]);
    for wrong in ["*", "https://", "http://app.example.edu", "https://app.example.edu/path", "null"] {
        policy([]).when(set(wrong)).invalid("cors_origins");
    }
}

#[test]
fn only_an_administrator_of_everything_sets_it_and_there_is_one() {
    let permits = |actor: &Actor| policy([]).permits(actor, &retire("librarian"));
    assert!(permits(&Actor::user(Uuid::from_u128(1), &["admin"])));
    assert!(!permits(&Actor::user(Uuid::from_u128(1), &["operator"])));
    given::<SecurityPolicy>([]).with_id(Uuid::from_u128(9)).when(define("x_role", "own")).invalid("id");
}

#[test]
fn every_event_reads_as_it_was_stored() {
    keeps_history::<SecurityPolicy>([
        librarian(),
        E::RoleScopesChanged { role: "librarian".into(), scopes: vec!["publish:content".into()] },
        E::RoleRetired { role: "librarian".into() },
        E::IpAllowlistSet { audience: IpAudience::Admin, cidrs: vec!["10.0.0.0/8".into()] },
        E::RateLimitSet { route_class: "auth".into(), per: RateKey::Ip, limit: 5, window_s: 60 },
        E::PasswordPolicySet { min_length: 16, history: 10, breached_check: true },
        requests(),
    ]);
}

#[test]
fn what_roles_with_a_second_factor_bring_is_guarded_however_somebody_comes_by_it() {
    let defined =
        E::RoleDefined { role: "auditor".into(), scopes: vec!["read:analytics".into()], mfa_required: true };
    let policy = given::<SecurityPolicy>([defined]).state().clone();
    for guarded in ["read:audit", "manage:ops", "read:analytics"] {
        assert!(policy.guards(guarded), "{guarded}");
    }
    assert!(!policy.guards("manage:scholarships") && !policy.guards("read:public"));
}
