//! An institution, faculty, department, program, employer or sponsor (catalogue 2.1, OrgUnit).
//!
//! Life cycle: `active <-> inactive`.
//!
//! - **IDN-O1** the code is unique, `[A-Z0-9-]{2,32}`, and never changes.
//! - **IDN-O2** an institution has no parent; a program belongs to a department or an institution.
//! - **IDN-O3** an inactive unit keeps its history but takes no new members, credentials or jobs, nor units below it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use crate::kernel::{
    Actor, Answer, Claim, Context, Decided, Decider, Event, Known, NotYet, Personal, Question, RecordClass,
    Refusal, RefusalKind, Refused, RefusedBy, Stated, bounds, class::Identity, schemas,
};

/// What kind of unit it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum OrgKind {
    #[default]
    Institution,
    Faculty,
    Department,
    Program,
    Employer,
    Sponsor,
}

/// What type of organisation it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum OrgType {
    University,
    College,
    Institute,
    Polytechnic,
    External,
    Company,
    #[default]
    Other,
}

/// The state that decisions need.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct OrgUnit {
    /// Whether it was created.
    pub exists: bool,
    /// Whether it exists and is not deactivated.
    pub active: bool,
    /// Its kind.
    pub kind: OrgKind,
    /// Its parent.
    pub parent: Option<Uuid>,
}

/// What can be asked of an org unit.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum OrgUnitCommand {
    /// Creates the unit.
    CreateOrgUnit {
        /// What kind of unit it is.
        kind: OrgKind,
        /// The unique code, `[A-Z0-9-]{2,32}` (IDN-O1).
        #[schemars(transform = schemas::org_code)]
        code: String,
        /// The name, 1 to 200 characters.
        #[schemars(transform = schemas::text::<1, 200>)]
        name: String,
        /// What type of organisation it is.
        r#type: OrgType,
        /// The unit that it belongs to.
        #[serde(default)]
        parent: Option<Uuid>,
        /// ISO 3166-1 alpha-2.
        #[schemars(transform = schemas::country)]
        country: String,
        /// The city.
        #[serde(default)]
        #[schemars(transform = schemas::text::<0, 200>)]
        city: Option<String>,
        /// The web site.
        #[serde(default)]
        #[schemars(transform = schemas::text::<0, 2048>)]
        website: Option<String>,
        /// An address of a person to write to.
        #[serde(default)]
        #[schemars(transform = schemas::text::<0, 254>)]
        contact_email: Option<Stated<String>>,
    },
    /// Revises what the unit says of itself; a field that is left out stays.
    ReviseOrgUnit {
        /// The name.
        #[serde(default)]
        #[schemars(transform = schemas::text::<1, 200>)]
        name: Option<String>,
        /// The type of organisation.
        #[serde(default)]
        r#type: Option<OrgType>,
        /// The city.
        #[serde(default)]
        #[schemars(transform = schemas::text::<0, 200>)]
        city: Option<String>,
        /// The web site.
        #[serde(default)]
        #[schemars(transform = schemas::text::<0, 2048>)]
        website: Option<String>,
        /// An address of a person to write to.
        #[serde(default)]
        #[schemars(transform = schemas::text::<0, 254>)]
        contact_email: Option<Stated<String>>,
    },
    /// Moves the unit below another one, or to the top.
    MoveOrgUnit {
        /// The new parent.
        parent: Option<Uuid>,
    },
    /// Deactivates the unit.
    DeactivateOrgUnit {
        /// Why.
        #[schemars(transform = schemas::text::<1, 2000>)]
        reason: String,
    },
    /// Reactivates the unit.
    ReactivateOrgUnit {},
}

/// What can have happened to an org unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum OrgUnitEvent {
    /// The unit was created.
    OrgUnitCreated {
        kind: OrgKind,
        code: String,
        name: String,
        r#type: OrgType,
        parent: Option<Uuid>,
        country: String,
        city: Option<String>,
        website: Option<String>,
        contact_email: Option<Personal<String, Identity>>,
    },
    /// What the unit says of itself was revised.
    OrgUnitRevised {
        name: Option<String>,
        r#type: Option<OrgType>,
        city: Option<String>,
        website: Option<String>,
        contact_email: Option<Personal<String, Identity>>,
    },
    /// The unit was moved.
    OrgUnitMoved { parent: Option<Uuid> },
    /// The unit was deactivated.
    OrgUnitDeactivated { reason: String },
    /// The unit was reactivated.
    OrgUnitReactivated {},
}

impl Event for OrgUnitEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
pub enum OrgUnitRefusal {
    /// Another unit has this code (IDN-O1).
    #[error("another unit has this code")]
    CodeTaken {},
    /// The parent does not exist.
    #[error("there is no such parent")]
    UnknownParent {},
    /// The parent is inactive (IDN-O3).
    #[error("the parent is inactive")]
    ParentInactive {},
    /// The move would make the unit its own ancestor, or the kind does not fit the parent (IDN-O2).
    #[error("the unit cannot stand below that parent")]
    CycleInHierarchy {},
    /// Units below it are active.
    #[error("units below it are still active")]
    HasActiveChildren {},
}

impl Refusal for OrgUnitRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        match self {
            OrgUnitRefusal::UnknownParent {} => RefusalKind::NotFound,
            OrgUnitRefusal::CodeTaken {}
            | OrgUnitRefusal::ParentInactive {}
            | OrgUnitRefusal::CycleInHierarchy {}
            | OrgUnitRefusal::HasActiveChildren {} => RefusalKind::Conflict,
        }
    }
    fn field(&self) -> Option<&'static str> {
        match self {
            OrgUnitRefusal::CodeTaken {} => Some("code"),
            OrgUnitRefusal::UnknownParent {}
            | OrgUnitRefusal::ParentInactive {}
            | OrgUnitRefusal::CycleInHierarchy {} => Some("parent"),
            OrgUnitRefusal::HasActiveChildren {} => None,
        }
    }
}

/// What an org unit must know of others.
#[derive(Default)]
pub struct OrgUnitFacts {
    /// The proposed parent's kind, where there is a parent that exists.
    pub parent: Option<OrgKind>,
    /// Whether that parent is active.
    pub parent_active: bool,
    /// Whether the unit itself is among the proposed parent and its ancestors.
    pub below_itself: bool,
    /// Whether any unit below it is active.
    pub active_children: bool,
}

impl Decider for OrgUnit {
    const TYPE: &'static str = "identity.org_unit";
    const CLASS: Option<RecordClass> = Some(RecordClass::Identity);
    type Command = OrgUnitCommand;
    type Event = OrgUnitEvent;
    type Refusal = OrgUnitRefusal;
    type Facts = OrgUnitFacts;

    fn creates(command: &OrgUnitCommand) -> bool {
        matches!(command, OrgUnitCommand::CreateOrgUnit { .. })
    }

    fn facts(
        &self,
        command: &OrgUnitCommand,
        context: &Context,
        known: &mut impl Known,
    ) -> Result<OrgUnitFacts, NotYet> {
        let mut facts = OrgUnitFacts::default();
        match command {
            OrgUnitCommand::CreateOrgUnit { parent: Some(parent), .. }
            | OrgUnitCommand::MoveOrgUnit { parent: Some(parent) } => {
                let found = known.pinned::<OrgUnit>(*parent)?;
                facts.parent = found.exists().then_some(found.state.kind);
                facts.parent_active = found.state.active;
                let (mut next, mut steps) = (Some(*parent), 0);
                while let Some(unit) = next {
                    // The cycle guard: a hierarchy deeper than this is refused as if it were a cycle.
                    facts.below_itself |= unit == context.id || steps > 64;
                    if facts.below_itself {
                        break;
                    }
                    next = known.pinned::<OrgUnit>(unit)?.state.parent;
                    steps += 1;
                }
            }
            OrgUnitCommand::DeactivateOrgUnit { .. } => {
                facts.active_children =
                    known.ask(Question::HasActiveChildren { org: context.id })? == Answer::Flag(true);
            }
            OrgUnitCommand::CreateOrgUnit { parent: None, .. }
            | OrgUnitCommand::MoveOrgUnit { parent: None }
            | OrgUnitCommand::ReviseOrgUnit { .. }
            | OrgUnitCommand::ReactivateOrgUnit {} => {}
        }
        Ok(facts)
    }

    fn may(&self, actor: &Actor, _command: &OrgUnitCommand) -> bool {
        actor.has("manage:institution")
    }

    fn decide(&self, command: OrgUnitCommand, facts: &OrgUnitFacts, context: &Context) -> Decided<Self> {
        use OrgUnitCommand as C;
        use OrgUnitEvent as E;
        let wrong_state = |command| Refused::InvalidState {
            state: if self.active { "active" } else { "inactive" },
            command,
        };
        // The contact is a person without an account: a subject of its own, that can be erased on its own.
        let contact =
            |email: Option<Stated<String>>| email.map(|email| email.about(context.derive("contact")));
        let event = match command {
            C::CreateOrgUnit { .. } if self.exists => return Err(wrong_state("CreateOrgUnit")),
            C::CreateOrgUnit { kind, code, name, r#type, parent, country, city, website, contact_email } => {
                check_code(&code)?;
                bounds::text("name", &name, 1..=200)?;
                if country.len() != 2 || !country.bytes().all(|letter| letter.is_ascii_uppercase()) {
                    return Err(Refused::invalid("country", "two upper-case letters of ISO 3166-1"));
                }
                check_words(&city, &website, &contact_email)?;
                check_parent(kind, parent, facts)?;
                let contact_email = contact(contact_email);
                E::OrgUnitCreated { kind, code, name, r#type, parent, country, city, website, contact_email }
            }
            C::ReviseOrgUnit { name, r#type, city, website, contact_email } => {
                bounds::maybe_text("name", name.as_deref(), 1..=200)?;
                check_words(&city, &website, &contact_email)?;
                E::OrgUnitRevised { name, r#type, city, website, contact_email: contact(contact_email) }
            }
            C::MoveOrgUnit { parent } => {
                check_parent(self.kind, parent, facts)?;
                E::OrgUnitMoved { parent }
            }
            C::DeactivateOrgUnit { .. } if !self.active => return Err(wrong_state("DeactivateOrgUnit")),
            C::DeactivateOrgUnit { .. } if facts.active_children => {
                return Err(OrgUnitRefusal::HasActiveChildren {}.into());
            }
            C::DeactivateOrgUnit { reason } => {
                bounds::text("reason", &reason, 1..=2000)?;
                E::OrgUnitDeactivated { reason }
            }
            C::ReactivateOrgUnit {} if self.active => return Err(wrong_state("ReactivateOrgUnit")),
            C::ReactivateOrgUnit {} => E::OrgUnitReactivated {},
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &OrgUnitEvent) {
        match event {
            OrgUnitEvent::OrgUnitCreated { kind, parent, .. } => {
                *self = OrgUnit { exists: true, active: true, kind: *kind, parent: *parent }
            }
            OrgUnitEvent::OrgUnitRevised { .. } => {}
            OrgUnitEvent::OrgUnitMoved { parent } => self.parent = *parent,
            OrgUnitEvent::OrgUnitDeactivated { .. } => self.active = false,
            OrgUnitEvent::OrgUnitReactivated {} => self.active = true,
        }
    }

    fn claims(_id: Uuid, event: &OrgUnitEvent) -> Vec<Claim> {
        match event {
            OrgUnitEvent::OrgUnitCreated { code, .. } => vec![Claim::Take(format!("orgcode:{code}"))],
            OrgUnitEvent::OrgUnitRevised { .. }
            | OrgUnitEvent::OrgUnitMoved { .. }
            | OrgUnitEvent::OrgUnitDeactivated { .. }
            | OrgUnitEvent::OrgUnitReactivated {} => Vec::new(),
        }
    }

    fn taken(key: &str) -> Option<OrgUnitRefusal> {
        key.starts_with("orgcode:").then_some(OrgUnitRefusal::CodeTaken {})
    }
}

type Check = Result<(), RefusedBy<OrgUnit>>;

/// IDN-O1.
fn check_code(code: &str) -> Check {
    let allowed = |letter: u8| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == b'-';
    let fits = (2..=32).contains(&code.len()) && code.bytes().all(allowed);
    if fits { Ok(()) } else { Err(Refused::invalid("code", "2 to 32 of A-Z, 0-9 and -")) }
}

fn check_words(
    city: &Option<String>,
    website: &Option<String>,
    contact_email: &Option<Stated<String>>,
) -> Check {
    bounds::maybe_text("city", city.as_deref(), 0..=200)?;
    bounds::maybe_text("website", website.as_deref(), 0..=2048)?;
    bounds::maybe_text("contact_email", contact_email.as_ref().map(|email| email.0.as_str()), 0..=254)
}

/// IDN-O2, and no unit below itself.
fn check_parent(kind: OrgKind, parent: Option<Uuid>, facts: &OrgUnitFacts) -> Check {
    if parent.is_some() && facts.parent.is_none() {
        return Err(OrgUnitRefusal::UnknownParent {}.into());
    }
    if parent.is_some() && !facts.parent_active {
        return Err(OrgUnitRefusal::ParentInactive {}.into());
    }
    let fits = match (kind, parent.is_some(), facts.parent) {
        (OrgKind::Institution, has_parent, _) => !has_parent,
        (OrgKind::Program, _, parent) => matches!(parent, Some(OrgKind::Department | OrgKind::Institution)),
        (
            OrgKind::Faculty | OrgKind::Department | OrgKind::Employer | OrgKind::Sponsor,
            has_parent,
            parent,
        ) => has_parent == parent.is_some(),
    };
    if fits && !facts.below_itself { Ok(()) } else { Err(OrgUnitRefusal::CycleInHierarchy {}.into()) }
}

#[cfg(test)]
mod tests {
    use super::{OrgUnitCommand as C, OrgUnitEvent as E, *};
    use crate::kernel::testing::{World, given, keeps_history, nothing};

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
        nothing::<OrgUnit>().when(create(OrgKind::Institution, "psu", None)).invalid("code");
    }

    #[test]
    fn idn_o2_an_institution_has_no_parent_and_a_program_has_one() {
        let below = OrgUnitFacts {
            parent: Some(OrgKind::Institution),
            parent_active: true,
            ..OrgUnitFacts::default()
        };
        let parent = Some(Uuid::from_u128(2));
        let refusal = OrgUnitRefusal::CycleInHierarchy {};
        nothing::<OrgUnit>()
            .knowing(below)
            .when(create(OrgKind::Institution, "PSU", parent))
            .refused(refusal.clone());
        nothing::<OrgUnit>().when(create(OrgKind::Program, "CS", None)).refused(refusal);
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
    }

    #[test]
    fn a_unit_with_active_children_is_not_deactivated() {
        let facts = OrgUnitFacts { active_children: true, ..OrgUnitFacts::default() };
        let command = C::DeactivateOrgUnit { reason: "merged".into() };
        given::<OrgUnit>([created()])
            .knowing(facts)
            .when(command)
            .refused(OrgUnitRefusal::HasActiveChildren {});
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
        assert!(
            nothing::<OrgUnit>().permits(&Actor::user(Uuid::from_u128(1), &["institution_admin"]), &command)
        );
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
}
