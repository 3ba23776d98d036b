//! Those who manage users, and what becomes of an account.

use super::*;

#[test]
fn idn_a3_an_administrator_ends_a_lock_early() {
    let lock = E::AccountLocked { until: at("2026-01-01T13:00:00Z"), failures: 10 };
    let unlock = || C::UnlockAccount { reason: "called".into() };
    let state = managed([lock]).when(unlock()).then_names(["AccountUnlocked"]);
    assert_eq!(state.locked_until, None);
    managed([]).when(unlock()).then([]);
}

#[test]
fn idn_a7_what_changes_what_the_holder_may_do_raises_the_version() {
    let manager = |command: C| {
        let facts = AccountFacts { other_admin: true, ..reaching() };
        active([role("student", None)]).by(Actor::user(ROOT, &["admin"])).knowing(facts).when(command)
    };
    let reason = || "because".to_owned();
    for command in [
        assign("staff", None),
        C::RevokeRole { role: "student".into(), within: None },
        C::SuspendAccount { reason: reason(), until: None },
        C::DeactivateAccount { reason: reason() },
        C::RevokeAllTokens { reason: reason() },
    ] {
        let name: &'static str = (&command).into();
        let before = active([role("student", None)]).state().token_version;
        let events = manager(command).events();
        let after = active([role("student", None)].into_iter().chain(events)).state().token_version;
        assert_eq!(after, before + 1, "{name}");
    }
}

#[test]
fn idn_a7_sessions_that_began_before_a_revocation_do_not_count_and_roles_end_none() {
    let revoked = E::TokensRevoked { reason: "stolen".into(), token_version: 2 };
    let state = active([role("student", None), revoked]).state().clone();
    assert_eq!((state.token_version, state.sessions_since), (2, 2));
    assert_eq!(active([role("student", None)]).state().sessions_since, 0);
}

#[test]
fn idn_a8_nobody_assigns_a_role_with_a_scope_that_they_lack_or_to_themselves() {
    let manager = |roles: &[&str]| active([]).by(Actor::user(ROOT, roles)).knowing(reaching());
    manager(&["department_admin"]).when(assign("staff", None)).refused(R::OutsideOwnScope {});
    manager(&["department_admin"]).when(assign("admin", None)).refused(R::OutsideOwnScope {});
    manager(&["department_admin", "staff"]).when(assign("staff", None)).then_names(["RoleAssigned"]);
    manager(&["admin"]).when(assign("compliance", None)).then_names(["RoleAssigned"]);
    manager(&["admin"]).when(assign("emperor", None)).refused(R::UnknownRole {});
    manager(&["admin"]).when(assign("member", None)).refused(R::UnknownRole {});
    active([])
        .by(Actor::user(ME, &["admin"]))
        .knowing(reaching())
        .when(assign("staff", None))
        .refused(R::SelfElevation {});
    let past = C::AssignRole { role: "staff".into(), within: None, until: Some(at(NOON)) };
    manager(&["admin"]).when(past).invalid("until");
}

const TOP: Uuid = Uuid::from_u128(0x07);
const OTHER: Uuid = Uuid::from_u128(0x08);

/// Two org units and one below the first, to which the person belongs.
fn member() -> World {
    let unit = |parent| OrgUnit { exists: true, active: true, parent, ..OrgUnit::default() };
    let mut member = Profile::default();
    member.evolve(&crate::identity::ProfileEvent::OrgUnitJoined {
        org: ORG,
        relation: crate::identity::Relation::Student,
        from: "2025-09-01".parse().unwrap(),
    });
    let units = World::default().with(ORG, unit(Some(TOP))).with(TOP, unit(None)).with(OTHER, unit(None));
    units.with(ME, member)
}

/// Who administers an org unit.
fn head(within: Uuid) -> Actor {
    let grant = RoleGrant { role: "department_admin".into(), within: Some(within) };
    Actor::with_roles(ROOT, vec![grant])
}

fn suspend() -> C {
    C::SuspendAccount { reason: "asked".into(), until: None }
}

#[test]
fn idn_a8_who_administers_an_org_unit_acts_on_nobody_who_holds_more_elsewhere() {
    let mut policy = SecurityPolicy::default();
    policy.evolve(&SecurityPolicyEvent::RoleDefined {
        role: "registrar".into(),
        scopes: vec!["manage:users".into()],
        mfa_required: false,
    });
    let mut world = member().with(security_policy_id(), policy);
    for (name, within, acts) in [
        ("student", None, true),
        ("reviewer", None, true),
        ("staff", Some(ORG), true),
        ("admin", Some(ORG), true),
        ("admin", None, false),
        ("compliance", None, false),
        ("operator", None, false),
        ("registrar", None, false),
        ("department_admin", Some(TOP), false),
    ] {
        let command = C::RevokeAllTokens { reason: "asked".into() };
        let scenario = active([role(name, within)]).by(head(ORG)).looking_up(&command, &mut world);
        match acts {
            true => drop(scenario.when(command).then_names(["TokensRevoked"])),
            false => scenario.when(command).forbidden(),
        }
    }
    let ended =
        E::RoleAssigned { role: "compliance".into(), within: None, until: Some(at(NOON)), token_version: 1 };
    let scenario = active([ended]).by(head(ORG)).looking_up(&suspend(), &mut world);
    scenario.when(suspend()).then_names(["AccountSuspended"]);
}

#[test]
fn idn_a8_who_manages_users_everywhere_acts_on_nobody_who_runs_the_house() {
    let mut world = member().with(security_policy_id(), SecurityPolicy::default());
    let everywhere = || Actor::user(ROOT, &["department_admin"]);
    for (name, by, acts) in [
        ("admin", everywhere(), false),
        ("compliance", everywhere(), false),
        ("operator", everywhere(), false),
        ("staff", everywhere(), true),
        ("department_admin", everywhere(), true),
        ("compliance", Actor::user(ROOT, &["admin"]), true),
    ] {
        let command = C::RevokeAllTokens { reason: "asked".into() };
        let scenario = active([role(name, None)]).by(by).looking_up(&command, &mut world);
        match acts {
            true => drop(scenario.when(command).then_names(["TokensRevoked"])),
            false => scenario.when(command).forbidden(),
        }
    }
}

#[test]
fn an_account_that_nobody_verified_frees_its_address_when_it_ends_and_does_not_come_back() {
    let deactivate = C::DeactivateAccount { reason: "the address was not verified".into() };
    let ended = given::<Account>([registered()])
        .with_id(ME)
        .by(Actor::scheduler("timers"))
        .knowing(reaching())
        .at(NOON)
        .when(deactivate.clone());
    assert_eq!(ended.claims(), [Claim::Free(email_claim("mac of ada"))]);
    let gone = given::<Account>([registered()])
        .with_id(ME)
        .by(Actor::scheduler("timers"))
        .knowing(reaching())
        .at(NOON)
        .when(deactivate)
        .events();
    let back = C::ReinstateAccount { reason: "back".into() };
    let events: Vec<E> = [registered()].into_iter().chain(gone).collect();
    given::<Account>(events)
        .with_id(ME)
        .by(Actor::user(ROOT, &["admin"]))
        .knowing(reaching())
        .when(back)
        .invalid_state("deactivated");
    assert!(managed([]).when(C::DeactivateAccount { reason: "left".into() }).claims().is_empty());
    let late = C::VerifyEmail { token: said("mailed") };
    let gone = E::AccountDeactivated { reason: "late".into(), token_version: 1, freed: Some(told(vec![])) };
    given::<Account>([registered(), gone])
        .with_id(ME)
        .by(edge())
        .at(NOON)
        .when(late)
        .refused(R::TokenInvalid {});
    // One that ended before addresses were freed comes back as it was: unverified.
    let gone = E::AccountDeactivated { reason: "late".into(), token_version: 1, freed: None };
    let back = E::AccountReinstated { reason: "back".into() };
    let state = given::<Account>([registered(), gone, back]).state().clone();
    assert_eq!(state.status, AccountStatus::Pending);
}

#[test]
fn idn_a8_role_holders_of_an_org_unit_act_within_it_and_below() {
    let (top, other) = (TOP, OTHER);
    for (within, reaches) in [(ORG, true), (top, true), (other, false)] {
        let scenario = active([]).by(head(within)).looking_up(&suspend(), &mut member());
        match reaches {
            true => drop(scenario.when(suspend()).then_names(["AccountSuspended"])),
            false => scenario.when(suspend()).forbidden(),
        }
    }
    for (within, command, fits) in [
        (top, assign("department_admin", Some(ORG)), true),
        (top, assign("department_admin", Some(other)), false),
        (top, assign("department_admin", None), false),
        (ORG, assign("department_admin", Some(top)), false),
    ] {
        let scenario = active([]).by(head(within)).looking_up(&command, &mut member());
        match fits {
            true => drop(scenario.when(command).then_names(["RoleAssigned"])),
            false => scenario.when(command).refused(R::OutsideOwnScope {}),
        }
    }
}

#[test]
fn idn_a8_a_role_of_this_deployment_brings_what_was_defined() {
    let mut policy = SecurityPolicy::default();
    policy.evolve(&SecurityPolicyEvent::RoleDefined {
        role: "librarian".into(),
        scopes: vec!["write:content".into()],
        mfa_required: true,
    });
    let mut world = World::default().with(security_policy_id(), policy.clone());
    let command = assign("librarian", None);
    let claims =
        active([]).by(Actor::user(ROOT, &["admin"])).looking_up(&command, &mut world).when(command).claims();
    assert_eq!(claims, [Claim::Seat { key: "role:librarian".into(), limit: u32::MAX }]);
    let state = active([role("librarian", None)]).state().clone();
    assert!(state.needs_mfa(&policy, at(NOON)) && !state.needs_mfa(&SecurityPolicy::default(), at(NOON)));
}

#[test]
fn idn_a9_the_roles_that_need_a_second_factor_say_so_while_they_are_held() {
    let policy = SecurityPolicy::default();
    for name in ["admin", "compliance", "operator"] {
        assert!(active([role(name, None)]).state().needs_mfa(&policy, at(NOON)), "{name}");
    }
    let ended =
        E::RoleAssigned { role: "admin".into(), within: None, until: Some(at(NOON)), token_version: 1 };
    assert!(!active([ended, role("staff", None)]).state().needs_mfa(&policy, at(NOON)));
    let remove = C::RemoveWebAuthnCredential { credential_id: "key 1".into() };
    active([with_key(1), role("admin", None)]).when(remove.clone()).refused(R::LastFactor {});
    active([with_key(1)]).when(remove).then_names(["WebAuthnCredentialRemoved"]);
}

#[test]
fn idn_a10_the_last_active_administrator_stays() {
    let claim = Question::Holders { claim: "role:admin".into() };
    let commands = || {
        [
            C::RevokeRole { role: "admin".into(), within: None },
            C::SuspendAccount { reason: "left".into(), until: None },
            C::DeactivateAccount { reason: "left".into() },
            C::AssignRole { role: "admin".into(), within: None, until: Some(at("2026-01-01T12:00:02Z")) },
        ]
    };
    let ends = E::RoleAssigned {
        role: "admin".into(),
        within: None,
        until: Some(at("2026-06-01T12:00:00Z")),
        token_version: 1,
    };
    let other = Uuid::from_u128(0xB0);
    let admin = || active([role("admin", None)]);
    let acting = || admin().by(Actor::user(ROOT, &["admin"]));
    for (second, holders, stays) in [
        (None, vec![ME], true),
        (Some(vec![registered(), role("admin", None)]), vec![ME, other], true),
        (Some(vec![registered(), E::EmailVerified {}, ends.clone()]), vec![ME, other], true),
        (Some(vec![registered(), E::EmailVerified {}, role("admin", None)]), vec![ME, other], false),
    ] {
        for command in commands() {
            let mut world = World::default().answering(claim.clone(), Answer::References(holders.clone()));
            if let Some(events) = &second {
                world = world.with(other, given::<Account>(events.clone()).state().clone());
            }
            let outcome = acting().looking_up(&command, &mut world).when(command);
            match stays {
                true => outcome.refused(R::LastAdmin {}),
                false => {
                    outcome.events();
                    assert_eq!(world.pinned, [other], "two cannot end each other");
                }
            }
        }
    }
    // Where both have an end, each may go before it, and may be given another.
    let second = given::<Account>([registered(), E::EmailVerified {}, ends.clone()]).state().clone();
    for command in commands() {
        let mut world = World::default()
            .answering(claim.clone(), Answer::References(vec![ME, other]))
            .with(other, second.clone());
        let both = active([ends.clone()]).by(Actor::user(ROOT, &["admin"]));
        both.looking_up(&command, &mut world).when(command).events();
    }
}

#[test]
fn what_the_edge_brings_nobody_else_may_and_administration_needs_the_scope() {
    let person = Actor::user(ME, &[]);
    let account = active([]);
    assert!(!account.permits(&person, &right()) && account.permits(&edge(), &right()));
    assert!(!account.permits(&Actor::user(ROOT, &["admin"]), &right()));
    assert!(!account.permits(&person, &assign("staff", None)));
    assert!(account.permits(&Actor::user(ROOT, &["department_admin"]), &assign("staff", None)));
    let revoke = C::RevokeAllTokens { reason: "stolen".into() };
    assert!(account.permits(&person, &revoke) && !account.permits(&Actor::user(ROOT, &[]), &revoke));
    active([]).by(person).when(revoke).then_names(["TokensRevoked"]);
}

#[test]
fn a_suspension_ends_by_itself_and_a_deactivated_account_comes_back() {
    let until = Some(at("2026-01-02T00:00:00Z"));
    let suspended = E::AccountSuspended { reason: "asked".into(), until, token_version: 1 };
    active([suspended.clone()]).when(right()).refused(R::AccountNotActive {});
    active([suspended]).at("2026-01-02T00:00:00Z").when(right()).then_names(["LoginSucceeded"]);
    let gone = E::AccountDeactivated { reason: "left".into(), token_version: 1, freed: None };
    let back = C::ReinstateAccount { reason: "back".into() };
    assert!(managed([gone]).when(back.clone()).then_names(["AccountReinstated"]).is_active(at(NOON)));
    managed([]).when(back).invalid_state("active");
}

#[test]
fn an_erased_account_takes_nothing_more_and_remembers_nothing() {
    let erased = active([]).when(C::EraseAccount { privacy_request: Uuid::nil() }).events();
    let after = active(with_totp().into_iter().chain(erased));
    let state = after.state().clone();
    assert!(state.email.is_erased() && state.passwords.is_empty() && state.totp.is_none());
    after.when(right()).invalid_state("erased");
}

#[test]
fn idn_a8_only_who_has_every_scope_grants_and_only_what_can_be_granted_on_one_resource() {
    let grant = |resource_type: &str, action: &str| C::GrantPermission {
        resource_type: resource_type.into(),
        resource_id: ORG,
        action: action.into(),
        until: None,
    };
    let good = || grant("identity.org_unit", "ReviseOrgUnit");
    let by = |roles: &[&str]| active([]).by(Actor::user(ROOT, roles)).knowing(reaching());
    let state = by(&["admin"]).when(good()).then_names(["PermissionGranted"]);
    assert_eq!(state.permissions_at(at(NOON)).len(), 1);
    by(&["department_admin"]).when(good()).refused(R::OutsideOwnScope {});
    active([])
        .by(Actor::user(ME, &["admin"]))
        .knowing(reaching())
        .when(good())
        .refused(R::OutsideOwnScope {});
    by(&["admin"]).when(grant("identity.account", "AssignRole")).invalid("action");
    by(&["admin"]).when(grant("identity.nothing", "read")).invalid("resource_type");
    let until = Some(at("2026-01-01T13:00:00Z"));
    let (resource_type, action) = ("identity.org_unit".to_owned(), "ReviseOrgUnit".to_owned());
    let held = E::PermissionGranted { resource_type, resource_id: ORG, action, until };
    let state = active([held]).state().clone();
    assert_eq!(state.permissions_at(at("2026-01-01T12:59:59Z")).len(), 1);
    assert!(state.permissions_at(at("2026-01-01T13:00:00Z")).is_empty());
}
