//! What this deployment asks of callers: roles, passwords, addresses, limits (catalogue 2.1, SecurityPolicy).
//!
//! One stream for the deployment ([`security_policy_id`]); always active, and in force as built in before anything was set.
//!
//! - The built-in roles (catalogue 1.3) cannot be changed; a role that somebody holds cannot be retired.
//! - **IDN-A2** the password policy never asks less than 12 characters and the last five.
//! - **IDN-A9** `admin`, `compliance` and `operator` need a second factor, and so does every role that says so.
//! - **IDN-P1** the default limits of classes of routes ([`SecurityPolicy::limit`]); documents that everybody reads and tokens
//!   of the operator's command line have limits of our own choice.

mod messages;

use core::net::IpAddr;
use std::{collections::BTreeMap, sync::LazyLock};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use messages::*;

use super::{Cidr, is_within, role_claim};
use crate::kernel::{
    Actor, Answer, Context, Decided, Decider, Known, NotYet, Question, Refused, RefusedBy, RoleGrant, bounds,
    derived_id, scopes_of_role,
};

/// The built-in roles that can be assigned (catalogue 1.3).
pub const ROLES: [&str; 17] = [
    "admin",
    "advisor",
    "alumni",
    "analyst",
    "author",
    "budget_user",
    "committee",
    "compliance",
    "department_admin",
    "employer",
    "institution_admin",
    "moderator",
    "operator",
    "program_coordinator",
    "reviewer",
    "staff",
    "student",
];

/// The built-in roles that need a second factor before first use (IDN-A9).
pub const MFA_ROLES: [&str; 3] = ["admin", "compliance", "operator"];

/// The most roles that a deployment defines.
const ROLES_MAX: usize = 200;

/// Where the security policy of this deployment stands.
pub fn security_policy_id() -> Uuid {
    static ID: LazyLock<Uuid> = LazyLock::new(|| derived_id(&["security-policy"]));
    *ID
}

/// Whether a role is part of the house, and not of this deployment.
pub fn is_built_in(role: &str) -> bool {
    ROLES.contains(&role) || matches!(role, "member" | "service")
}

/// Whether any role of the house has this scope.
pub fn is_known_scope(scope: &str) -> bool {
    ROLES.iter().chain(&["member"]).any(|role| scopes_of_role(role).contains(&scope))
}

/// What a password must be (IDN-A2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordPolicy {
    /// How many characters it has at least.
    pub min_length: u32,
    /// How many of the last ones are not used again.
    pub history: u32,
    /// Whether it must not be known to be breached.
    pub breached_check: bool,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        PasswordPolicy { min_length: 12, history: 5, breached_check: true }
    }
}

/// How often something may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// By what calls are counted.
    pub per: RateKey,
    /// How many calls.
    pub limit: u32,
    /// Within how many seconds.
    pub window_s: u32,
}

const fn limit(per: RateKey, limit: u32, window_s: u32) -> RateLimit {
    RateLimit { per, limit, window_s }
}

/// How often classes of routes may be called where nothing else was set (IDN-P1). Routes are of these classes and of no others.
pub const LIMITS: [(&str, RateLimit); 11] = [
    ("auth", limit(RateKey::Ip, 10, 60)),
    ("assistant", limit(RateKey::Account, 20, 60)),
    ("messages", limit(RateKey::Account, 30, 3600)),
    ("receipts", limit(RateKey::Account, 30, 3600)),
    ("notifications", limit(RateKey::Account, 30, 3600)),
    ("bulk", limit(RateKey::Account, 10, 3600)),
    ("flags", limit(RateKey::Account, 20, 3600)),
    ("writes", limit(RateKey::Account, 120, 60)),
    ("reads", limit(RateKey::Account, 600, 60)),
    ("public", limit(RateKey::Ip, 3000, 60)),
    // Tokens of the operator's command line: loaders and measurements, which nobody should notice.
    ("operator", limit(RateKey::Account, 100_000, 1)),
];

/// A role of this deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinedRole {
    /// What it may do.
    pub scopes: Vec<String>,
    /// Whether it needs a second factor.
    pub mfa_required: bool,
}

/// The state that decisions, and the edge, need.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SecurityPolicy {
    /// The roles of this deployment.
    pub roles: BTreeMap<String, DefinedRole>,
    /// What a password must be.
    pub passwords: PasswordPolicy,
    /// From where somebody may call.
    pub allowlists: BTreeMap<IpAudience, Vec<String>>,
    /// The limits that were set, by class of routes.
    pub limits: BTreeMap<String, RateLimit>,
    /// Who may register.
    pub registration: Registration,
    /// From which web sites browsers may call.
    pub cors_origins: Vec<String>,
    /// How many bytes a body has at most, where that was said.
    pub max_body_bytes: Option<u64>,
}

impl SecurityPolicy {
    /// What a role may do; none where there is no such role that can be assigned.
    pub fn scopes_of(&self, role: &str) -> Option<Vec<&str>> {
        if ROLES.contains(&role) {
            return Some(scopes_of_role(role).to_vec());
        }
        self.roles.get(role).map(|role| role.scopes.iter().map(String::as_str).collect())
    }

    /// Whether a role needs a second factor before first use (IDN-A9).
    pub fn needs_mfa(&self, role: &str) -> bool {
        MFA_ROLES.contains(&role) || self.roles.get(role).is_some_and(|role| role.mfa_required)
    }

    /// Whether a role that needs a second factor brings a scope.
    pub fn guards(&self, scope: &str) -> bool {
        MFA_ROLES.iter().any(|role| scopes_of_role(role).contains(&scope))
            || self.roles.values().any(|role| role.mfa_required && role.scopes.iter().any(|own| own == scope))
    }

    /// Whether a role of this deployment brings a scope to whoever holds it everywhere.
    pub fn brings(&self, grant: &RoleGrant, scope: &str) -> bool {
        let role = self.roles.get(&grant.role).filter(|_| grant.within.is_none());
        role.is_some_and(|role| role.scopes.iter().any(|brought| brought == scope))
    }

    /// Whether those of this audience may call from there.
    pub fn admits(&self, audience: IpAudience, address: IpAddr) -> bool {
        let list = self.allowlists.get(&audience).filter(|list| !list.is_empty());
        list.is_none_or(|list| is_within(list, address))
    }

    /// How often a class of routes may be called; unlimited where nobody said (IDN-P1).
    pub fn limit(&self, route_class: &str) -> Option<RateLimit> {
        let built_in = || LIMITS.iter().find(|(class, _)| *class == route_class).map(|(_, limit)| *limit);
        self.limits.get(route_class).copied().or_else(built_in)
    }
}

impl Decider for SecurityPolicy {
    const TYPE: &'static str = "identity.security_policy";
    type Command = SecurityPolicyCommand;
    type Event = SecurityPolicyEvent;
    type Refusal = SecurityPolicyRefusal;
    /// Whether somebody holds the named role.
    type Facts = bool;

    fn creates(_: &SecurityPolicyCommand) -> bool {
        true
    }

    fn facts(
        &self,
        command: &SecurityPolicyCommand,
        _: &Context,
        known: &mut impl Known,
    ) -> Result<bool, NotYet> {
        let SecurityPolicyCommand::RetireRole { role } = command else { return Ok(false) };
        let Some(claim) = role_claim(role) else { return Ok(false) };
        let held = known.ask(Question::Holders { claim })?;
        Ok(matches!(held, Answer::References(holders) if !holders.is_empty()))
    }

    fn may(&self, actor: &Actor, _: &SecurityPolicyCommand) -> bool {
        actor.has_role("admin")
    }

    fn decide(&self, command: SecurityPolicyCommand, in_use: &bool, context: &Context) -> Decided<Self> {
        use SecurityPolicyCommand as C;
        use SecurityPolicyEvent as E;
        use SecurityPolicyRefusal as R;
        if context.id != security_policy_id() {
            return Err(Refused::invalid("id", "that of the one security policy"));
        }
        let own = |role: &str| {
            if is_built_in(role) {
                return Err(RefusedBy::<Self>::from(R::BuiltInRole {}));
            }
            self.roles.get(role).ok_or(R::UnknownRole {}.into())
        };
        let event = match command {
            C::DefineRole { role, scopes, mfa_required } => {
                check_name("role", &role)?;
                check_scopes(&scopes)?;
                bounds::count("role", self.roles.len() + 1, ROLES_MAX)?;
                if is_built_in(&role) || self.roles.contains_key(&role) {
                    return Err(R::Duplicate {}.into());
                }
                E::RoleDefined { role, scopes, mfa_required }
            }
            C::ChangeRoleScopes { role, scopes } => {
                own(&role)?;
                check_scopes(&scopes)?;
                E::RoleScopesChanged { role, scopes }
            }
            C::RetireRole { role } => {
                own(&role)?;
                if *in_use {
                    return Err(R::RoleInUse {}.into());
                }
                E::RoleRetired { role }
            }
            C::SetIpAllowlist { audience, cidrs, caller_ip } => {
                bounds::count("cidrs", cidrs.len(), 200)?;
                if cidrs.iter().any(|range| range.parse::<Cidr>().is_err()) {
                    return Err(R::InvalidCidr {}.into());
                }
                let caller = caller_ip.parse::<IpAddr>();
                if !cidrs.is_empty() && !caller.is_ok_and(|caller| is_within(&cidrs, caller)) {
                    return Err(R::WouldLockOutCaller {}.into());
                }
                E::IpAllowlistSet { audience, cidrs }
            }
            C::SetRateLimit { route_class, per, limit, window_s } => {
                check_class(&route_class)?;
                bounds::number("limit", limit.into(), 1..=1_000_000)?;
                bounds::number("window_s", window_s.into(), 1..=86_400)?;
                E::RateLimitSet { route_class, per, limit, window_s }
            }
            C::SetPasswordPolicy { min_length, history, breached_check } => {
                let floor = PasswordPolicy::default();
                if min_length < floor.min_length || history < floor.history {
                    return Err(R::BelowFloor {}.into());
                }
                bounds::number("min_length", min_length.into(), 12..=64)?;
                bounds::number("history", history.into(), 5..=24)?;
                E::PasswordPolicySet { min_length, history, breached_check }
            }
            C::SetRequestPolicy { max_body_bytes, cors_origins, registration } => {
                let bytes = i64::try_from(max_body_bytes).unwrap_or(i64::MAX);
                bounds::number("max_body_bytes", bytes, 1024..=52_428_800)?;
                bounds::texts("cors_origins", &cors_origins, 50, 300)?;
                if !cors_origins.iter().all(|origin| is_origin(origin)) {
                    return Err(Refused::invalid("cors_origins", "origins such as https://example.edu"));
                }
                E::RequestPolicySet { max_body_bytes, cors_origins, registration }
            }
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &SecurityPolicyEvent) {
        use SecurityPolicyEvent as E;
        match event.clone() {
            E::RoleDefined { role, scopes, mfa_required } => {
                self.roles.insert(role, DefinedRole { scopes, mfa_required });
            }
            E::RoleScopesChanged { role, scopes } => {
                self.roles.entry(role).and_modify(|defined| defined.scopes = scopes);
            }
            E::RoleRetired { role } => drop(self.roles.remove(&role)),
            E::IpAllowlistSet { audience, cidrs } => drop(self.allowlists.insert(audience, cidrs)),
            E::RateLimitSet { route_class, per, limit, window_s } => {
                self.limits.insert(route_class, RateLimit { per, limit, window_s });
            }
            E::PasswordPolicySet { min_length, history, breached_check } => {
                self.passwords = PasswordPolicy { min_length, history, breached_check };
            }
            E::RequestPolicySet { max_body_bytes, cors_origins, registration } => {
                (self.max_body_bytes, self.cors_origins) = (Some(max_body_bytes), cors_origins);
                self.registration = registration;
            }
        }
    }
}

type Check = Result<(), RefusedBy<SecurityPolicy>>;

fn check_name(field: &'static str, name: &str) -> Check {
    let letter = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_';
    let fits = (2..=64).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(letter);
    if fits { Ok(()) } else { Err(Refused::invalid(field, "[a-z][a-z0-9_]{1,63}")) }
}

fn check_class(route_class: &str) -> Check {
    let classes = LIMITS.map(|(class, _)| class);
    if classes.contains(&route_class) {
        return Ok(());
    }
    Err(Refused::invalid("route_class", format!("one of {}", classes.join(", "))))
}

fn check_scopes(scopes: &[String]) -> Check {
    bounds::texts("scopes", scopes, 50, 100)?;
    match scopes.iter().find(|scope| !is_known_scope(scope)) {
        Some(unknown) => Err(SecurityPolicyRefusal::UnknownScope { scope: unknown.clone() }.into()),
        None => Ok(()),
    }
}

/// A scheme, a host and perhaps a port, and nothing more; `http` for this very machine only.
fn is_origin(origin: &str) -> bool {
    let host = origin.strip_prefix("https://").or_else(|| {
        let local = origin.strip_prefix("http://")?;
        ["localhost", "127.0.0.1"].contains(&local.split(':').next()?).then_some(local)
    });
    let letter = |letter: u8| letter.is_ascii_alphanumeric() || b".-:".contains(&letter);
    host.is_some_and(|host| !host.is_empty() && host.bytes().all(letter))
}

#[cfg(test)]
mod tests;
