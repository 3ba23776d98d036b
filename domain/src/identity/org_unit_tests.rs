use super::{OrgUnitCommand as C, OrgUnitEvent as E, *};
use crate::kernel::{
    RoleGrant,
    testing::{World, given, keeps_history, nothing},
};

fn create(kind: OrgKind, code: &str, parent: Option<Uuid>) -> C {
    C::CreateOrgUnit {
        kind,
        code: code.into(),
        name: "Pittsburg State University".into(),
        r#type: OrgType::University,
        parent,
        country: "US".into(),
        city: None,
        website: None,
        contact_email: None,
    }
}

fn created() -> E {
    nothing::<OrgUnit>().when(create(OrgKind::Institution, "PSU", None)).events().remove(0)
}

#[test]
fn idn_o1_a_code_is_claimed_and_a_code_of_other_letters_is_invalid() {
    let claims = nothing::<OrgUnit>().when(create(OrgKind::Institution, "PSU", None)).claims();
    assert_eq!(claims, [Claim::Take("orgcode:PSU".into())]);
    assert_eq!(OrgUnit::taken("orgcode:PSU"), Some(OrgUnitRefusal::CodeTaken {}));
    for code in ["AB", "PSU-2", &"A".repeat(32)] {
        nothing::<OrgUnit>().when(create(OrgKind::Institution, code, None)).then_names(["OrgUnitCreated"]);
    }
    for code in ["psu", "A", &"A".repeat(33), "PSU 2", "PSÜ", ""] {
        nothing::<OrgUnit>().when(create(OrgKind::Institution, code, None)).invalid("code");
    }
}

#[test]
fn idn_o1_a_code_never_changes() {
    let revision = r#"{"ReviseOrgUnit":{"code":"KU"}}"#;
    let refused = serde_json::from_str::<C>(revision).unwrap_err();
    assert!(refused.to_string().contains("unknown field `code`"), "{refused}");
}

#[test]
fn idn_o2_an_institution_has_no_parent_and_a_program_has_one() {
    let below =
        OrgUnitFacts { parent: Some(OrgKind::Institution), parent_active: true, ..OrgUnitFacts::default() };
    let parent = Some(Uuid::from_u128(2));
    let refusal = OrgUnitRefusal::CycleInHierarchy {};
    nothing::<OrgUnit>()
        .knowing(below)
        .when(create(OrgKind::Institution, "PSU", parent))
        .refused(refusal.clone());
    nothing::<OrgUnit>().when(create(OrgKind::Program, "CS", None)).refused(refusal);
}

#[test]
fn idn_o2_a_program_belongs_to_a_department_or_an_institution() {
    let program_below = |kind| {
        let facts = OrgUnitFacts { parent: Some(kind), parent_active: true, ..OrgUnitFacts::default() };
        nothing::<OrgUnit>().knowing(facts).when(create(OrgKind::Program, "CS", Some(Uuid::from_u128(2))))
    };
    for kind in [OrgKind::Department, OrgKind::Institution] {
        program_below(kind).then_names(["OrgUnitCreated"]);
    }
    for kind in [OrgKind::Faculty, OrgKind::Program, OrgKind::Employer, OrgKind::Sponsor] {
        program_below(kind).refused(OrgUnitRefusal::CycleInHierarchy {});
    }
}

#[test]
fn a_unit_is_never_moved_below_itself() {
    let facts = OrgUnitFacts {
        parent: Some(OrgKind::Faculty),
        parent_active: true,
        below_itself: true,
        ..OrgUnitFacts::default()
    };
    let faculty = nothing::<OrgUnit>().when(create(OrgKind::Faculty, "SCI", None)).events();
    let moved = C::MoveOrgUnit { parent: Some(Uuid::from_u128(3)) };
    given::<OrgUnit>(faculty).knowing(facts).when(moved).refused(OrgUnitRefusal::CycleInHierarchy {});
}

#[test]
fn idn_o3_a_unit_stands_below_an_active_parent_that_exists() {
    let (id, below) = (Uuid::from_u128(2), create(OrgKind::Faculty, "SCI", Some(Uuid::from_u128(2))));
    let parent = |active| OrgUnit { exists: true, active, ..OrgUnit::default() };
    let look = |mut world: World| nothing::<OrgUnit>().looking_up(&below, &mut world).when(below.clone());
    look(World::default()).refused(OrgUnitRefusal::UnknownParent {});
    look(World::default().with(id, parent(false))).refused(OrgUnitRefusal::ParentInactive {});
    look(World::default().with(id, parent(true))).then_names(["OrgUnitCreated"]);
}

#[test]
fn a_unit_above_itself_is_found_however_far_up() {
    let (me, middle) = (Uuid::from_u128(0x1D), Uuid::from_u128(3));
    let unit = |parent| OrgUnit { exists: true, active: true, kind: OrgKind::Faculty, parent };
    let mut world = World::default().with(me, unit(None)).with(middle, unit(Some(me)));
    let moved = C::MoveOrgUnit { parent: Some(middle) };
    let faculty = nothing::<OrgUnit>().when(create(OrgKind::Faculty, "SCI", None)).events();
    given::<OrgUnit>(faculty)
        .looking_up(&moved, &mut world)
        .when(moved)
        .refused(OrgUnitRefusal::CycleInHierarchy {});
    assert_eq!(world.pinned, [middle, middle], "each stream that the answer rests on");
}

#[test]
fn hostile_words_are_refused() {
    let revise = |city: &str| C::ReviseOrgUnit {
        name: None,
        r#type: None,
        city: Some(city.into()),
        website: None,
        contact_email: None,
    };
    given::<OrgUnit>([created()]).when(revise("Pitts\0burg")).invalid("city");
    given::<OrgUnit>([created()]).when(revise(&"a".repeat(201))).invalid("city");
    let site = |address: &str| C::ReviseOrgUnit {
        name: None,
        r#type: None,
        city: None,
        website: Some(address.into()),
        contact_email: None,
    };
    for address in
        ["javascript:alert(1)", "file:///etc/passwd", "//x", "https://", "https://a b", "https://a\r\nb"]
    {
        given::<OrgUnit>([created()]).when(site(address)).invalid("website");
    }
    for address in ["", "http://example.edu", "https://example.edu/a?b#c"] {
        given::<OrgUnit>([created()]).when(site(address)).then_names(["OrgUnitRevised"]);
    }
}

#[test]
fn a_unit_with_active_children_is_not_deactivated() {
    let facts = OrgUnitFacts { active_children: true, ..OrgUnitFacts::default() };
    let command = C::DeactivateOrgUnit { reason: "merged".into() };
    given::<OrgUnit>([created()]).knowing(facts).when(command).refused(OrgUnitRefusal::HasActiveChildren {});
}

#[test]
fn a_deactivated_unit_comes_back_and_is_not_deactivated_twice() {
    let gone = E::OrgUnitDeactivated { reason: "merged".into() };
    given::<OrgUnit>([created(), gone.clone()])
        .when(C::ReactivateOrgUnit {})
        .then([E::OrgUnitReactivated {}]);
    given::<OrgUnit>([created(), gone])
        .when(C::DeactivateOrgUnit { reason: "again".into() })
        .invalid_state("inactive");
}

#[test]
fn only_those_who_manage_institutions_may_change_one() {
    let command = create(OrgKind::Institution, "PSU", None);
    assert!(!nothing::<OrgUnit>().permits(&Actor::user(Uuid::from_u128(1), &["staff"]), &command));
    assert!(nothing::<OrgUnit>().permits(&Actor::user(Uuid::from_u128(1), &["institution_admin"]), &command));
}

#[test]
fn idn_a8_whoever_manages_a_unit_manages_what_is_below_it_and_nothing_else() {
    let (top, middle, me, other) =
        (Uuid::from_u128(2), Uuid::from_u128(3), Uuid::from_u128(0x1D), Uuid::from_u128(4));
    let unit = |parent| OrgUnit { exists: true, active: true, kind: OrgKind::Faculty, parent };
    let mut world = World::default()
        .with(top, unit(None))
        .with(middle, unit(Some(top)))
        .with(me, unit(Some(middle)))
        .with(other, unit(None))
        .answering(Question::HasActiveChildren { org: me }, Answer::Flag(false));
    let at = |org| {
        let grant = RoleGrant { role: "institution_admin".into(), within: Some(org) };
        Actor::with_roles(Uuid::from_u128(1), vec![grant])
    };
    let below = || {
        let mut events = nothing::<OrgUnit>().when(create(OrgKind::Faculty, "SCI", None)).events();
        events.push(E::OrgUnitMoved { parent: Some(middle) });
        given::<OrgUnit>(events)
    };
    let close = || C::DeactivateOrgUnit { reason: "merged".into() };
    for org in [top, middle, me] {
        below().by(at(org)).looking_up(&close(), &mut world).when(close()).then_names(["OrgUnitDeactivated"]);
    }
    below().by(at(other)).looking_up(&close(), &mut world).when(close()).forbidden();
    let mv = |parent| C::MoveOrgUnit { parent };
    below()
        .by(at(top))
        .looking_up(&mv(Some(top)), &mut world)
        .when(mv(Some(top)))
        .then_names(["OrgUnitMoved"]);
    below().by(at(top)).looking_up(&mv(Some(other)), &mut world).when(mv(Some(other))).forbidden();
    below().by(at(top)).looking_up(&mv(None), &mut world).when(mv(None)).forbidden();
    let (inside, outside) =
        (create(OrgKind::Department, "CS", Some(me)), create(OrgKind::Department, "CS", None));
    nothing::<OrgUnit>()
        .with_id(Uuid::from_u128(9))
        .by(at(top))
        .looking_up(&inside, &mut world)
        .when(inside.clone())
        .then_names(["OrgUnitCreated"]);
    nothing::<OrgUnit>().by(at(top)).when(outside).forbidden();
}

#[test]
fn every_event_reads_as_it_was_stored() {
    let contact = || Some(Personal::about(Uuid::from_u128(5), "registrar@example.edu".into()));
    keeps_history::<OrgUnit>([
        E::OrgUnitCreated {
            kind: OrgKind::Department,
            code: "PSU-CS".into(),
            name: "Computer Science".into(),
            r#type: OrgType::University,
            parent: Some(Uuid::from_u128(1)),
            country: "US".into(),
            city: Some("Pittsburg".into()),
            website: Some("https://example.edu".into()),
            contact_email: contact(),
        },
        E::OrgUnitRevised {
            name: Some("Computing".into()),
            r#type: None,
            city: None,
            website: None,
            contact_email: contact(),
        },
        E::OrgUnitMoved { parent: None },
        E::OrgUnitDeactivated { reason: "merged".into() },
        E::OrgUnitReactivated {},
    ]);
}
