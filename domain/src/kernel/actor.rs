//! Who acts, with which roles and scopes (catalogue 1.3).

use std::{collections::BTreeSet, fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What kind of actor issued a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ActorKind {
    /// A person.
    User,
    /// Another system, with a key.
    ApiClient,
    /// A policy of ours that reacts to an event.
    Policy,
    /// The clock: timers and schedules.
    Scheduler,
    /// A worker that carries out a task.
    Worker,
}

/// A role, held everywhere or within one org unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RoleGrant {
    /// The role's name.
    pub role: String,
    /// The org unit it is held in; everywhere where there is none.
    pub within: Option<Uuid>,
}

/// Who issues a command or reads a row. It goes along with every command, and so its parts are shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The kind.
    pub kind: ActorKind,
    /// The account, the API client, or the name of a policy.
    pub id: Arc<str>,
    /// The roles held. A client's are `service`, in the org units for which it acts.
    pub roles: Arc<[RoleGrant]>,
    /// The scopes held everywhere: those of roles that are held everywhere, or of the API key.
    pub scopes: Arc<BTreeSet<String>>,
    /// The person for whom the actor acts, where it is another.
    pub on_behalf_of: Option<Uuid>,
    /// What the actor may do with single resources beside what the roles bring.
    #[serde(default)]
    pub permissions: Vec<Permission>,
    /// Whether a permission brings what is being decided. Only [`Actor::permitted`] says so.
    #[serde(skip)]
    pub by_permission: bool,
}

/// An action on one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// The type of the resource, `context.aggregate`.
    pub resource_type: String,
    /// The resource.
    pub resource_id: Uuid,
    /// The name of a command, or [`READ`].
    pub action: String,
}

/// The action of a permission to read a resource.
pub const READ: &str = "read";

impl Actor {
    /// A person with roles that hold everywhere; their scopes follow from the roles.
    pub fn user(id: Uuid, roles: &[&str]) -> Self {
        let grants = roles.iter().map(|role| RoleGrant { role: (*role).to_owned(), within: None }).collect();
        Self::with_roles(id, grants)
    }

    /// A person with roles, some of them within org units. Every person is a `member`.
    pub fn with_roles(id: Uuid, roles: Vec<RoleGrant>) -> Self {
        let everywhere = roles.iter().filter(|grant| grant.within.is_none());
        let everywhere = everywhere.map(|grant| grant.role.as_str()).chain(["member"]);
        let everywhere = everywhere.flat_map(scopes_of_role).copied();
        // What people do with what is their own, they do wherever they hold the role.
        let own = roles.iter().flat_map(|grant| scopes_of_role(&grant.role)).copied();
        let own = own.filter(|scope| is_about_ones_own(scope));
        let scopes = Arc::new(everywhere.chain(own).map(str::to_owned).collect());
        Actor { id: id.to_string().into(), roles: roles.into(), scopes, ..Self::system(ActorKind::User, "") }
    }

    /// One of our policies.
    pub fn policy(name: &str) -> Self {
        Self::system(ActorKind::Policy, name)
    }

    /// The clock.
    pub fn scheduler(name: &str) -> Self {
        Self::system(ActorKind::Scheduler, name)
    }

    fn system(kind: ActorKind, name: &str) -> Self {
        Actor {
            kind,
            id: name.into(),
            roles: Arc::default(),
            scopes: Arc::default(),
            on_behalf_of: None,
            permissions: Vec::new(),
            by_permission: false,
        }
    }

    /// Another system, with exactly these scopes, acting for the org units of its roles.
    pub fn client(id: Uuid, scopes: BTreeSet<String>, roles: Vec<RoleGrant>) -> Self {
        Actor {
            scopes: Arc::new(scopes),
            roles: roles.into(),
            ..Self::system(ActorKind::ApiClient, &id.to_string())
        }
    }

    /// The actor as the aggregate sees them that decides this command: whoever has a permission for it on this very
    /// resource passes for somebody with the scopes that it takes, and for nobody else: roles, and whose something is, are
    /// asked as ever. Of the permissions only those count that the aggregate lets be granted.
    pub fn permitted(
        &self,
        resource_type: &str,
        resource_id: Uuid,
        action: &str,
        grantable: &[&str],
    ) -> Self {
        let fits = |held: &Permission| {
            (&*held.resource_type, held.resource_id, &*held.action) == (resource_type, resource_id, action)
        };
        let by_permission = grantable.contains(&action) && self.permissions.iter().any(fits);
        Actor { by_permission, ..self.clone() }
    }

    /// Whether the actor has any permission on this resource.
    pub fn has_permission_on(&self, resource_type: &str, resource_id: Uuid) -> bool {
        self.permissions
            .iter()
            .any(|held| (&*held.resource_type, held.resource_id) == (resource_type, resource_id))
    }

    /// The resources of this type that the actor has a permission to read.
    pub fn readable(&self, resource_type: &str) -> Vec<Uuid> {
        let fits = |held: &&Permission| held.resource_type == resource_type && held.action == READ;
        self.permissions.iter().filter(fits).map(|held| held.resource_id).collect()
    }

    /// Whether it is a part of the system itself, which alone may issue system commands.
    pub fn is_system(&self) -> bool {
        matches!(self.kind, ActorKind::Policy | ActorKind::Scheduler | ActorKind::Worker)
    }

    /// The acting person's account: the user, or whom the actor acts for.
    pub fn account(&self) -> Option<Uuid> {
        match self.kind {
            ActorKind::User => self.on_behalf_of.or_else(|| self.id.parse().ok()),
            ActorKind::ApiClient | ActorKind::Policy | ActorKind::Scheduler | ActorKind::Worker => {
                self.on_behalf_of
            }
        }
    }

    /// Whether the acting person is this one (`own`).
    pub fn is(&self, subject: Uuid) -> bool {
        self.account() == Some(subject)
    }

    /// Whether the actor holds a scope everywhere. `admin` holds every scope.
    ///
    /// A role within an org unit counts there only (IDN-A8): whoever holds it is asked with [`Actor::has_within`], which
    /// takes the org unit that a thing belongs to. Where a thing belongs to none, such a role brings nothing, but for what
    /// people do with what is their own.
    pub fn has(&self, scope: &str) -> bool {
        self.by_permission || self.scopes.contains(scope) || self.has_role("admin")
    }

    /// Whether the actor holds a scope everywhere or within some org unit. Whether it is the right one, the decision or
    /// the rows' filter tells.
    pub fn has_somewhere(&self, scope: &str) -> bool {
        self.has(scope) || self.kind == ActorKind::User && self.roles.iter().any(|grant| grant.brings(scope))
    }

    /// Whether the actor holds a role everywhere.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|grant| grant.role == role && grant.within.is_none())
    }

    /// Whether the actor holds a role everywhere or within this org unit.
    pub fn has_role_within(&self, role: &str, org: Uuid) -> bool {
        self.roles.iter().any(|grant| grant.role == role && grant.within.is_none_or(|within| within == org))
    }

    /// Whether a scope is held for what belongs to an org unit, given that unit and all that it is below: a role holds at
    /// its org unit and below (IDN-A8). Of what belongs to none (`[]`) only a role that is held everywhere counts. A client
    /// acts for the org units that its token names and for no others.
    pub fn has_within(&self, scope: &str, lineage: &[Uuid]) -> bool {
        let holds = |grant: &RoleGrant| grant.within.is_none_or(|within| lineage.contains(&within));
        if self.by_permission {
            return true;
        }
        match self.kind {
            ActorKind::User => {
                // What a role of this deployment brings is known to the token alone; such a role is held everywhere.
                self.scopes.contains(scope) && !is_about_ones_own(scope)
                    || self.roles.iter().any(|grant| holds(grant) && grant.brings(scope))
            }
            ActorKind::ApiClient => {
                self.scopes.contains(scope)
                    && self.roles.iter().any(|grant| grant.role == SERVICE && holds(grant))
            }
            ActorKind::Policy | ActorKind::Scheduler | ActorKind::Worker => false,
        }
    }

    /// The org units at which a scope is held, where it is not held everywhere.
    pub fn units_with(&self, scope: &str) -> Vec<Uuid> {
        let mut units: Vec<Uuid> = self.roles.iter().filter_map(|grant| grant.within).collect();
        units.retain(|org| self.has_within(scope, &[*org]));
        units
    }
}

/// The role of API clients (catalogue 1.3).
pub const SERVICE: &str = "service";

impl RoleGrant {
    /// Whether the role brings a scope. `admin` brings every scope.
    fn brings(&self, scope: &str) -> bool {
        self.role == "admin" || scopes_of_role(&self.role).contains(&scope)
    }
}

/// Whether a scope lets people do something with what is their own, or was assigned to them by name: then it matters not
/// in which org unit they hold it.
pub(crate) fn is_about_ones_own(scope: &str) -> bool {
    const OWN: &[&str] = &[
        "apply:opportunities",
        "read:projects",
        "offer:mentoring",
        "read:transactions",
        "write:transactions",
        "read:budget",
        "manage:budget",
        "review:applications",
        "supervise:projects",
        "score:defenses",
    ];
    OWN.contains(&scope)
}

/// As it stands in the envelope: `user:<id>`, `policy:<name>`.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind: &'static str = self.kind.into();
        write!(f, "{kind}:{}", self.id)
    }
}

/// The scopes of the built-in roles (catalogue 1.3). An unknown role has none.
pub fn scopes_of_role(role: &str) -> &'static [&'static str] {
    match role {
        "member" => &["own", "read:public", "write:community", "use:assistant"],
        "student" => &["apply:opportunities", "read:projects"],
        "alumni" => &["apply:opportunities", "read:projects", "offer:mentoring"],
        "employer" => &["manage:jobs", "read:applicants"],
        "staff" => &["manage:scholarships", "manage:events", "send:announcements"],
        "reviewer" => &["review:applications"],
        "budget_user" => &["read:transactions", "write:transactions", "read:budget", "manage:budget"],
        "institution_admin" => &[
            "manage:institution",
            "approve:recognition",
            "approve:pathway",
            "write:credentials",
            "write:pathways",
        ],
        "program_coordinator" => &["write:credentials", "write:pathways"],
        "advisor" => &["supervise:projects"],
        "committee" => &["score:defenses"],
        "department_admin" => &["manage:projects", "schedule:defenses", "manage:users"],
        "author" => &["write:content", "publish:content"],
        "moderator" => &["moderate:community"],
        "analyst" => &["read:analytics", "export:analytics"],
        "compliance" => &["read:audit", "replay:history", "manage:privacy", "manage:governance"],
        "operator" => &["manage:ops", "manage:flags", "read:metrics"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_within_an_org_unit_counts_there_only() {
        let (here, there) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let grant = RoleGrant { role: "institution_admin".into(), within: Some(here) };
        let actor = Actor::with_roles(Uuid::from_u128(9), vec![grant]);
        let approves = |lineage: &[Uuid]| actor.has_within("approve:recognition", lineage);
        assert!(approves(&[here]) && approves(&[there, here]), "at the unit and below");
        assert!(!approves(&[there]) && !approves(&[]));
        assert!(!actor.has("approve:recognition") && actor.has_somewhere("approve:recognition"));
        assert_eq!(actor.units_with("approve:recognition"), [here]);
    }

    #[test]
    fn an_admin_of_an_org_unit_is_admin_there_only() {
        let here = Uuid::from_u128(1);
        let grant = RoleGrant { role: "admin".into(), within: Some(here) };
        let actor = Actor::with_roles(Uuid::from_u128(9), vec![grant]);
        assert!(actor.has_within("manage:institution", &[here]) && !actor.has("manage:institution"));
        assert!(!actor.has_role("admin") && !actor.has("replay:history"));
    }

    #[test]
    fn what_is_ones_own_is_so_in_every_org_unit() {
        let grant = |role: &str| RoleGrant { role: role.into(), within: Some(Uuid::from_u128(1)) };
        let actor = Actor::with_roles(Uuid::from_u128(9), vec![grant("student"), grant("staff")]);
        assert!(actor.has("apply:opportunities") && !actor.has("manage:scholarships"));
    }

    #[test]
    fn a_client_acts_for_the_org_units_of_its_token_and_for_no_others() {
        let here = Uuid::from_u128(1);
        let client = |roles: Vec<RoleGrant>| Actor {
            kind: ActorKind::ApiClient,
            roles: roles.into(),
            scopes: BTreeSet::from(["write:credentials".to_owned()]).into(),
            ..Actor::user(Uuid::from_u128(9), &[])
        };
        let service = |within| vec![RoleGrant { role: SERVICE.into(), within }];
        let writes = |actor: Actor, org| actor.has_within("write:credentials", &[org]);
        assert!(!writes(client(Vec::new()), here));
        assert!(writes(client(service(Some(here))), here));
        assert!(!writes(client(service(Some(here))), Uuid::from_u128(2)));
        assert!(writes(client(service(None)), here));
        assert!(!client(service(None)).has_within("approve:recognition", &[here]));
    }

    #[test]
    fn every_person_is_a_member_and_no_person_is_the_system() {
        let actor = Actor::user(Uuid::from_u128(9), &[]);
        assert!(actor.has("read:public") && !actor.has("manage:scholarships") && !actor.is_system());
    }

    #[test]
    fn a_permission_brings_scopes_for_one_command_to_one_resource_and_no_role() {
        let (it, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let permission = Permission {
            resource_type: "identity.org_unit".into(),
            resource_id: it,
            action: "ReviseOrgUnit".into(),
        };
        let actor = Actor { permissions: vec![permission], ..Actor::user(Uuid::from_u128(9), &[]) };
        let has = |id, action: &str, grantable: &[&str]| {
            let actor = actor.permitted("identity.org_unit", id, action, grantable);
            assert!(!actor.has_role("admin") && !actor.is_system() && !actor.is(it));
            actor.has("manage:institution") && actor.has_within("manage:institution", &[it])
        };
        assert!(has(it, "ReviseOrgUnit", &["ReviseOrgUnit"]));
        assert!(!has(other, "ReviseOrgUnit", &["ReviseOrgUnit"]));
        assert!(!has(it, "MoveOrgUnit", &["ReviseOrgUnit", "MoveOrgUnit"]));
        assert!(!has(it, "ReviseOrgUnit", &[]), "what the aggregate does not let be granted");
        assert!(!actor.has("manage:institution"), "nothing by itself");
    }

    #[test]
    fn an_actor_reads_as_kind_and_id() {
        assert_eq!(Actor::policy("score_application").to_string(), "policy:score_application");
    }
}
