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
        #[schemars(transform = schemas::line::<1, 200>)]
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
        #[schemars(transform = schemas::website)]
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
        #[schemars(transform = schemas::line::<1, 200>)]
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
        #[schemars(transform = schemas::website)]
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

/// The most units that a unit may be below of: a hierarchy that is deeper is taken for a cycle.
const MOST_ABOVE: usize = 64;

/// An org unit and all that it is below, from itself up to the top: a role that is held at one of these holds for what
/// belongs to the unit (IDN-A8, [`Actor::has_within`]).
pub fn lineage(unit: Uuid, known: &mut impl Known) -> Result<Vec<Uuid>, NotYet> {
    let (mut lineage, mut next) = (vec![unit], Some(unit));
    while let Some(unit) = next.filter(|_| lineage.len() <= MOST_ABOVE) {
        next = known.stream::<OrgUnit>(unit)?.state.parent;
        lineage.extend(next);
    }
    Ok(lineage)
}

/// The [`lineage`] that an actor's scope is held against; not looked up for whoever holds the scope everywhere, or for our
/// own policies.
pub fn lineage_for(
    actor: &Actor,
    scope: &str,
    unit: Uuid,
    known: &mut impl Known,
) -> Result<Vec<Uuid>, NotYet> {
    if actor.is_system() || actor.has_within(scope, &[]) { Ok(Vec::new()) } else { lineage(unit, known) }
}

/// What an org unit must know of others.
#[derive(Default)]
pub struct OrgUnitFacts {
    /// The unit and all that it is below; nothing where it is to be created.
    pub lineage: Vec<Uuid>,
    /// The proposed parent and all that it is below; nothing where it is to stand at the top.
    pub parent_lineage: Vec<Uuid>,
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
    const GRANTABLE: &'static [&'static str] = &["ReviseOrgUnit"];
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
                    facts.below_itself |= unit == context.id || steps > MOST_ABOVE;
                    if facts.below_itself {
                        break;
                    }
                    facts.parent_lineage.push(unit);
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
        if self.exists {
            facts.lineage.push(context.id);
        }
        if let Some(parent) = self.parent {
            facts.lineage.extend(lineage_for(&context.actor, "manage:institution", parent, known)?);
        }
        Ok(facts)
    }

    /// Of which unit, the decision tells.
    fn may(&self, actor: &Actor, _command: &OrgUnitCommand) -> bool {
        actor.has_somewhere("manage:institution")
    }

    fn decide(&self, command: OrgUnitCommand, facts: &OrgUnitFacts, context: &Context) -> Decided<Self> {
        use OrgUnitCommand as C;
        use OrgUnitEvent as E;
        let wrong_state = |command| Refused::InvalidState {
            state: if self.active { "active" } else { "inactive" },
            command,
        };
        // IDN-A8: at the unit, and wherever it is to stand.
        let manages = |lineage: &[Uuid]| context.actor.has_within("manage:institution", lineage);
        let moves = matches!(command, C::CreateOrgUnit { .. } | C::MoveOrgUnit { .. });
        if self.exists && !manages(&facts.lineage) || moves && !manages(&facts.parent_lineage) {
            return Err(Refused::Forbidden);
        }
        // The contact is a person without an account: a subject of its own, that can be erased on its own.
        let contact =
            |email: Option<Stated<String>>| email.map(|email| email.about(context.derive("contact")));
        let event = match command {
            C::CreateOrgUnit { .. } if self.exists => return Err(wrong_state("CreateOrgUnit")),
            C::CreateOrgUnit { kind, code, name, r#type, parent, country, city, website, contact_email } => {
                check_code(&code)?;
                bounds::line("name", &name, 1..=200)?;
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
    bounds::web_address("website", website.as_deref(), &["https", "http"])?;
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
#[path = "org_unit_tests.rs"]
mod tests;
