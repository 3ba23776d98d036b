//! What those who manage users may do with an account, and to whom they may do it (IDN-A7, IDN-A8, IDN-A10).

use jiff::Timestamp;
use uuid::Uuid;

use super::{rules::check_reason, *};
use crate::{
    identity::{Profile, lineage},
    kernel::is_about_ones_own,
    registry::grantable,
};

/// The most roles, and the most permissions, of an account.
const GRANTS_MAX: usize = 100;

impl Account {
    /// What a decision of an administrator's must know: whom they reach, which role they name, who else administers.
    pub(super) fn look_around(
        &self,
        command: &AccountCommand,
        context: &Context,
        known: &mut impl Known,
        facts: &mut AccountFacts,
    ) -> Result<(), NotYet> {
        use AccountCommand as C;
        let actor = &context.actor;
        let names_policy = matches!(
            command,
            C::AssignRole { .. } | C::DisableTotp { .. } | C::RemoveWebAuthnCredential { .. }
        );
        if names_policy {
            facts.policy = known.stream::<SecurityPolicy>(security_policy_id())?.state;
        }
        if issuer(command) != Issuer::Edge {
            facts.reaches_person = manages(actor, &[]);
            if !facts.reaches_person && actor.has_somewhere("manage:users") {
                let affiliations = known.stream::<Profile>(context.id)?.state.affiliations.clone();
                for belongs in affiliations {
                    facts.reaches_person |= manages(actor, &lineage(belongs.org, known)?);
                }
            }
            // Whoever says that they belong to a unit does not put themselves below its administrators by that, and nobody
            // acts on those who run the house by managing users alone.
            if facts.reaches_person && !actor.is_system() {
                facts.reaches_person = !self.outranks(context, known)?;
            }
        }
        if let C::AssignRole { within: Some(unit), .. } | C::RevokeRole { within: Some(unit), .. } = command {
            facts.units = lineage(*unit, known)?;
        }
        facts.reaches_unit = manages(actor, &facts.units);
        if self.may_end_an_admin(command, context.now) {
            let claim = role_claim("admin").expect("administrators are claimed");
            let holders = match known.ask(Question::Holders { claim })? {
                Answer::References(holders) => holders,
                _ => Vec::new(),
            };
            for other in holders.into_iter().filter(|holder| *holder != context.id) {
                // Pinned: two administrators cannot end each other at the same time.
                let other = known.pinned::<Account>(other)?.state;
                // Whoever is one for good is followed by one who is.
                let follows = match self.is_lasting_admin(context.now) {
                    true => other.is_lasting_admin(context.now),
                    false => other.is_admin(context.now),
                };
                if follows {
                    facts.other_admin = true;
                    break;
                }
            }
        }
        Ok(())
    }

    /// IDN-A8: whether the holder has, outside the units in which the caller manages users, what the caller lacks there; or a
    /// role that is held everywhere, asks for a second factor and brings a scope that the caller lacks.
    fn outranks(&self, context: &Context, known: &mut impl Known) -> Result<bool, NotYet> {
        let policy = known.stream::<SecurityPolicy>(security_policy_id())?.state;
        for RoleGrant { role, within } in self.roles_at(context.now).map(|held| &held.grant) {
            let units = within.map_or(Ok(Vec::new()), |unit| lineage(unit, known))?;
            let lacks = |scope: &&str| !is_about_ones_own(scope) && !context.actor.has_within(scope, &units);
            let more = role == "admin" && !context.actor.has_role("admin")
                || policy.scopes_of(role).unwrap_or_default().iter().any(lacks);
            let runs_the_house = within.is_none() && policy.needs_mfa(role);
            if more && (runs_the_house || !manages(&context.actor, &units)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether this would end what may be the last administrator.
    fn may_end_an_admin(&self, command: &AccountCommand, now: Timestamp) -> bool {
        use AccountCommand as C;
        let ends = match command {
            C::RevokeRole { role, within: None } => role == "admin",
            // One who is for good gets an end.
            C::AssignRole { role, within: None, until: Some(_) } => {
                role == "admin" && self.is_lasting_admin(now)
            }
            C::SuspendAccount { .. } | C::DeactivateAccount { .. } => true,
            _ => false,
        };
        ends && self.is_admin(now)
    }

    /// What an administrator's command comes to. Whether they reach the person was asked before.
    pub(super) fn administer(
        &self,
        command: AccountCommand,
        facts: &AccountFacts,
        context: &Context,
    ) -> Decided<Self> {
        use AccountCommand as C;
        use AccountEvent as E;
        use AccountRefusal as R;
        let (now, token_version) = (context.now, self.token_version + 1);
        let wrong_state = Refused::InvalidState { state: self.status.into(), command: (&command).into() };
        if self.may_end_an_admin(&command, now) && !facts.other_admin {
            return Err(R::LastAdmin {}.into());
        }
        Ok(match command {
            C::UnlockAccount { reason } => {
                check_reason(&reason)?;
                if self.locked_until.is_none() && self.failures.is_empty() {
                    return Ok(Vec::new());
                }
                vec![E::AccountUnlocked { reason }]
            }
            C::RequirePasswordChange { reason } => {
                check_reason(&reason)?;
                vec![E::PasswordChangeRequired { reason }]
            }
            C::AssignRole { role, within, until } => {
                self.check_role(&role, facts, context)?;
                if until.is_some_and(|until| until <= now) {
                    return Err(Refused::invalid("until", "in the future"));
                }
                until.map_or(Ok(()), |until| bounds::instant("until", until))?;
                vec![E::RoleAssigned { role, within, until, token_version }]
            }
            C::RevokeRole { role, within } => {
                if !facts.reaches_unit {
                    return Err(R::OutsideOwnScope {}.into());
                }
                let grant = RoleGrant { role, within };
                if !self.roles.iter().any(|held| held.grant == grant) {
                    return Ok(Vec::new());
                }
                let RoleGrant { role, within } = grant;
                let elsewhere =
                    self.roles.iter().any(|held| held.grant.role == role && held.grant.within != within);
                vec![E::RoleRevoked { role, within, elsewhere, token_version }]
            }
            C::GrantPermission { resource_type, resource_id, action, until } => {
                let grantable = grantable(&resource_type).ok_or_else(|| {
                    Refused::invalid("resource_type", "a type of resources, context.aggregate")
                })?;
                if !grantable.contains(&&*action) {
                    return Err(Refused::invalid("action", "one that can be granted on such a resource"));
                }
                if until.is_some_and(|until| until <= now) {
                    return Err(Refused::invalid("until", "in the future"));
                }
                until.map_or(Ok(()), |until| bounds::instant("until", until))?;
                bounds::count("resource_id", self.permissions.len() + 1, GRANTS_MAX)?;
                // IDN-A8: which scopes an action takes only its aggregate knows, so whoever grants has all of them.
                let all = context.actor.is_system() || context.actor.has_role("admin");
                if !all || context.actor.is(context.id) {
                    return Err(R::OutsideOwnScope {}.into());
                }
                vec![E::PermissionGranted { resource_type, resource_id, action, until }]
            }
            C::RevokePermission { resource_type, resource_id, action } => {
                let held = self.permissions.iter().any(|held| {
                    (&held.resource_type, held.resource_id, &held.action)
                        == (&resource_type, resource_id, &action)
                });
                if held {
                    vec![E::PermissionRevoked { resource_type, resource_id, action }]
                } else {
                    Vec::new()
                }
            }
            C::SuspendAccount { .. } if !self.is_active(now) => return Err(wrong_state),
            C::SuspendAccount { reason, until } => {
                check_reason(&reason)?;
                if until.is_some_and(|until| until <= now) {
                    return Err(Refused::invalid("until", "in the future"));
                }
                vec![E::AccountSuspended { reason, until, token_version }]
            }
            C::ReinstateAccount { reason } => {
                check_reason(&reason)?;
                match self.status {
                    // What nobody ever verified was given up, and its address with it.
                    AccountStatus::Deactivated if self.given_up => return Err(wrong_state),
                    AccountStatus::Suspended | AccountStatus::Deactivated => {
                        vec![E::AccountReinstated { reason }]
                    }
                    AccountStatus::Unregistered
                    | AccountStatus::Pending
                    | AccountStatus::Active
                    | AccountStatus::Erased => return Err(wrong_state),
                }
            }
            C::DeactivateAccount { reason } => {
                check_reason(&reason)?;
                match self.status {
                    AccountStatus::Pending | AccountStatus::Active | AccountStatus::Suspended => {
                        let unverified = self.status == AccountStatus::Pending;
                        let email =
                            self.email_hmac.get().map(|hmac| email_claim(hmac)).filter(|_| unverified);
                        let freed = email.map(|email| Personal::about(context.id, vec![email]));
                        vec![E::AccountDeactivated { reason, token_version, freed }]
                    }
                    AccountStatus::Unregistered | AccountStatus::Deactivated | AccountStatus::Erased => {
                        return Err(wrong_state);
                    }
                }
            }
            C::RevokeAllTokens { reason } => {
                check_reason(&reason)?;
                vec![E::TokensRevoked { reason, token_version }]
            }
            C::EraseAccount { privacy_request } => {
                let emails = self.email_hmac.get().map(|hmac| email_claim(hmac));
                let linked = self.identities.iter().filter_map(|linked| linked.subject_hash.get());
                let roles = self.roles.iter().filter_map(|held| role_claim(&held.grant.role));
                let keys = self.keys.iter().map(|key| key_claim(&key.credential_id));
                let linked = linked.map(|hash| sso_claim(hash));
                let freed: Vec<String> = emails.into_iter().chain(linked).chain(roles).chain(keys).collect();
                vec![E::AccountErased {
                    account: context.id,
                    privacy_request,
                    freed: Personal::about(context.id, freed),
                    token_version,
                }]
            }
            // The person's own, decided elsewhere.
            _ => return Err(wrong_state),
        })
    }

    /// IDN-A8: the role exists, the caller has all its scopes where it is to be held, and it is not for themselves.
    fn check_role(&self, role: &str, facts: &AccountFacts, context: &Context) -> Result<(), RefusedBy<Self>> {
        use AccountRefusal as R;
        let actor = &context.actor;
        let scopes = facts.policy.scopes_of(role).ok_or(R::UnknownRole {})?;
        if actor.is(context.id) {
            return Err(R::SelfElevation {}.into());
        }
        let is_admin = actor.has_role("admin");
        let allowed = actor.is_system()
            || is_admin
            || (role != "admin"
                && facts.reaches_unit
                && scopes.iter().all(|scope| actor.has_within(scope, &facts.units)));
        if !allowed {
            return Err(R::OutsideOwnScope {}.into());
        }
        bounds::count("role", self.roles.len() + 1, GRANTS_MAX)
    }
}

/// Whether the caller manages users of a unit, given that unit and all that it is below; everywhere, where none is given.
fn manages(actor: &Actor, lineage: &[Uuid]) -> bool {
    actor.is_system() || actor.has_within("manage:users", lineage)
}
