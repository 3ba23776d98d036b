//! R-01 `accounts`, and the person's own part of R-03: which accounts there are, what they may do, how they are secured.
//! For those who manage users, in their org units those who belong to them, for compliance, and for each person their own.
//!
//! What never stands here: what proves who somebody is. Addresses and names stay sealed.

use domain::{
    Actor, Personal,
    class::Identity,
    identity::{AccountEvent as E, ProfileEvent},
    registry::AnyEvent,
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::Filter,
    row,
    row::Json,
    table::{Options, Table},
};

/// A role that an account holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoleHeld {
    /// The role.
    pub role: String,
    /// The org unit within which it is held; everywhere where there is none.
    pub within: Option<Uuid>,
    /// Until when.
    pub until: Option<Timestamp>,
}

/// An action on one resource that an account may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PermissionHeld {
    /// What it is called where it is revoked: its type, resource and action, with points between them.
    pub id: String,
    /// The type of the resource.
    pub resource_type: String,
    /// The resource.
    pub resource_id: Uuid,
    /// What may be done.
    pub action: String,
    /// Until when.
    pub until: Option<Timestamp>,
}

row! {
    /// An account.
    pub struct AccountRow {
        key {
            /// The account.
            account: Uuid,
        }
        columns {
            /// Where in its life it is: `pending`, `active`, `suspended`, `deactivated` or `erased`. Whether a lock or a
            /// suspension has run out, its time says.
            status: String => filter,
            /// The roles, whether they are held everywhere or within an org unit.
            roles: Vec<String> => filter index,
            /// The roles with the org unit within which each is held, and its end.
            grants: Json<Vec<RoleHeld>>,
            /// What may be done with single resources beside what the roles bring.
            permissions: Json<Vec<PermissionHeld>>,
            /// The org units that the person belongs to.
            orgs: Vec<Uuid> => filter index,
            /// Whether one-time codes are on.
            totp: bool => filter,
            /// The security keys, by their ids.
            keys: Vec<String>,
            /// Whether there is any second factor.
            mfa: bool => filter,
            /// How many recovery codes are left.
            recovery_codes: i32,
            /// The other providers whose identities are linked.
            linked: Vec<String>,
            /// Whether the e-mail address is verified.
            verified: bool => filter,
            /// Whether the password must be changed.
            must_change_password: bool => filter,
            /// ISO 3166-1 alpha-2.
            country: String => filter,
            /// A BCP 47 language tag.
            locale: String,
            /// An IANA time zone.
            tz: String,
            /// When somebody logged in last.
            last_login: Option<Timestamp> => filter sort,
            /// How many attempts failed since then.
            failures: i32,
            /// Until when it is locked, where it is.
            locked_until: Option<Timestamp> => filter,
            /// Until when it is suspended, where that was said.
            suspended_until: Option<Timestamp>,
            /// When it was registered.
            created: Timestamp => filter sort,
        }
        personal {
            /// The e-mail address.
            email: Personal<String, Identity>,
            /// The name that was given at the registration.
            display_name: Personal<String, Identity>,
        }
    }
}

///
pub struct Accounts;

impl Table for Accounts {
    const NAME: &'static str = "accounts";
    const VERSION: u32 = 4;
    const FED_BY: &'static [&'static str] = &["identity.account", "identity.profile"];
    const OPTIONS: Options =
        Options { sort: &["created"], time_travel: true, stream_column: Some("account"), ..Options::DEFAULT };
    type Row = AccountRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(key: &Uuid, row: Option<AccountRow>, fact: &Fact) -> Option<AccountRow> {
        // A profile has the id of its account.
        if let AnyEvent::Profile(event) = &fact.event {
            return row.map(|row| affiliated(row, event));
        }
        let AnyEvent::Account(event) = &fact.event else { return row };
        let E::AccountRegistered { email, display_name, country, locale, tz, .. } = event else {
            return row.map(|row| changed(row, event, fact.recorded_at));
        };
        Some(AccountRow {
            account: *key,
            status: "pending".to_owned(),
            roles: Vec::new(),
            grants: Json(Vec::new()),
            permissions: Json(Vec::new()),
            orgs: Vec::new(),
            totp: false,
            keys: Vec::new(),
            mfa: false,
            recovery_codes: 0,
            linked: Vec::new(),
            verified: false,
            must_change_password: false,
            country: country.clone(),
            locale: locale.clone(),
            tz: tz.clone(),
            last_login: None,
            failures: 0,
            locked_until: None,
            suspended_until: None,
            created: fact.recorded_at,
            email: email.clone(),
            display_name: display_name.clone(),
        })
    }

    fn visible(actor: &Actor) -> Filter {
        Filter::all_with(actor, "read:audit").or(Filter::own(actor, "account")).or(Filter::within(
            actor,
            "manage:users",
            "orgs",
        ))
    }
}

/// One may belong to an org unit in several ways: it is listed for each of them.
fn affiliated(mut row: AccountRow, event: &ProfileEvent) -> AccountRow {
    if let ProfileEvent::OrgUnitJoined { org, .. } = event {
        row.orgs.push(*org);
    }
    if let ProfileEvent::OrgUnitLeft { org, .. } = event
        && let Some(place) = row.orgs.iter().position(|known| known == org)
    {
        row.orgs.remove(place);
    }
    row
}

impl AccountRow {
    fn regrant(&mut self, change: impl FnOnce(&mut Vec<RoleHeld>)) {
        change(&mut self.grants.0);
        self.roles = self.grants.0.iter().map(|held| held.role.clone()).collect();
        self.roles.sort_unstable();
        self.roles.dedup();
    }

    fn without(&mut self, resource_type: &str, resource_id: Uuid, action: &str) {
        self.permissions.0.retain(|held| {
            (&*held.resource_type, held.resource_id, &*held.action) != (resource_type, resource_id, action)
        });
    }

    fn succeeded(&mut self) {
        (self.failures, self.locked_until) = (0, None);
    }
}

fn changed(mut row: AccountRow, event: &E, at: Timestamp) -> AccountRow {
    match event {
        E::AccountRegistered { .. }
        | E::RegistrationAttempted { .. }
        | E::VerificationRequested { .. }
        | E::EmailChangeRequested { .. }
        | E::IdentityProven { .. }
        | E::WebAuthnAsserted { .. }
        | E::WebAuthnCloneSuspected { .. }
        | E::PasswordRehashed { .. }
        | E::PasswordResetRequested { .. }
        | E::TotpEnrolmentStarted { .. }
        | E::TokensRevoked { .. } => {}
        E::PermissionGranted { resource_type, resource_id, action, until } => {
            row.without(resource_type, *resource_id, action);
            row.permissions.0.push(PermissionHeld {
                id: format!("{resource_type}.{resource_id}.{action}"),
                resource_type: resource_type.clone(),
                resource_id: *resource_id,
                action: action.clone(),
                until: *until,
            });
        }
        E::PermissionRevoked { resource_type, resource_id, action } => {
            row.without(resource_type, *resource_id, action);
        }
        E::EmailVerified {} => {
            row.verified = true;
            if row.status == "pending" {
                "active".clone_into(&mut row.status);
            }
        }
        E::EmailChanged { email, .. } => row.email = email.clone(),
        E::LoginSucceeded { .. } => {
            row.succeeded();
            row.last_login = Some(at);
        }
        E::LoginFailed { .. } => row.failures += 1,
        E::AccountLocked { until, .. } => row.locked_until = Some(*until),
        E::AccountUnlocked { .. } => row.succeeded(),
        E::RecoveryCodeUsed { remaining, .. } => {
            row.recovery_codes = i32::try_from(*remaining).unwrap_or(i32::MAX);
        }
        E::PasswordChanged { .. } | E::PasswordReset { .. } => {
            row.succeeded();
            row.must_change_password = false;
        }
        E::PasswordChangeRequired { .. } => row.must_change_password = true,
        E::TotpEnabled { .. } => (row.totp, row.recovery_codes) = (true, 10),
        E::TotpDisabled { .. } => (row.totp, row.recovery_codes) = (false, 0),
        E::RecoveryCodesRegenerated { .. } => row.recovery_codes = 10,
        E::WebAuthnCredentialRegistered { credential_id, .. } => row.keys.push(credential_id.clone()),
        E::WebAuthnCredentialRemoved { credential_id } => row.keys.retain(|key| key != credential_id),
        E::SsoIdentityLinked { provider, .. } => row.linked.push(word(provider)),
        E::SsoIdentityUnlinked { provider, .. } => {
            let gone = word(provider);
            let at = row.linked.iter().position(|linked| *linked == gone);
            at.into_iter().for_each(|at| drop(row.linked.remove(at)));
        }
        E::RoleAssigned { role, within, until, .. } => row.regrant(|held| {
            held.retain(|held| (&held.role, &held.within) != (role, within));
            held.push(RoleHeld { role: role.clone(), within: *within, until: *until });
        }),
        E::RoleRevoked { role, within, .. } => row.regrant(|held| {
            held.retain(|held| (&held.role, &held.within) != (role, within));
        }),
        E::AccountSuspended { until, .. } => {
            "suspended".clone_into(&mut row.status);
            row.suspended_until = *until;
        }
        E::AccountReinstated { .. } => {
            "active".clone_into(&mut row.status);
            row.suspended_until = None;
        }
        E::AccountDeactivated { .. } => "deactivated".clone_into(&mut row.status),
        E::AccountErased { .. } => {
            "erased".clone_into(&mut row.status);
            (row.email, row.display_name) = (Personal::Erased, Personal::Erased);
            (row.keys, row.linked, row.totp, row.recovery_codes) = (Vec::new(), Vec::new(), false, 0);
            row.regrant(Vec::clear);
            row.permissions.0.clear();
        }
    }
    row.mfa = row.totp || !row.keys.is_empty();
    row
}

fn word(provider: &domain::identity::SsoProvider) -> String {
    use domain::identity::SsoProvider as P;
    match provider {
        P::Google => "google",
        P::Microsoft => "microsoft",
        P::Oidc => "oidc",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    const ADA: Uuid = Uuid::from_u128(0xADA);

    fn told<T, K>(value: T) -> Personal<T, K> {
        Personal::about(ADA, value)
    }

    fn registered() -> E {
        E::AccountRegistered {
            account: ADA,
            email: told("ada@example.edu".into()),
            email_hmac: told("mac".into()),
            password_hash: told("hash".into()),
            display_name: told("Ada".into()),
            country: "US".into(),
            locale: "en-US".into(),
            tz: "America/Chicago".into(),
            token_id: Uuid::nil(),
            token_hash: told("hash".into()),
            expires_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn after(events: impl IntoIterator<Item = E>) -> AccountRow {
        let events = [registered()].into_iter().chain(events);
        given::<Accounts>(events.map(|event| (ADA, AnyEvent::Account(event)))).rows().remove(0)
    }

    fn role(role: &str, within: Option<Uuid>) -> E {
        E::RoleAssigned { role: role.into(), within, until: None, token_version: 1 }
    }

    #[test]
    fn an_account_is_pending_until_its_address_is_verified() {
        assert_eq!(after([]).status, "pending");
        let row = after([E::EmailVerified {}]);
        assert!(row.verified && row.status == "active");
    }

    #[test]
    fn a_role_is_listed_once_wherever_it_is_held() {
        let (here, there) = (Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2)));
        let row = after([role("staff", None), role("reviewer", here), role("reviewer", there)]);
        assert_eq!((row.roles, row.grants.0.len()), (vec!["reviewer".into(), "staff".into()], 3));
        let revoked =
            E::RoleRevoked { role: "reviewer".into(), within: here, elsewhere: true, token_version: 2 };
        let row = after([role("reviewer", here), role("reviewer", there), revoked]);
        assert_eq!((row.roles, row.grants.0.len()), (vec!["reviewer".into()], 1));
    }

    #[test]
    fn a_second_factor_is_one_of_either_kind() {
        let enabled = E::TotpEnabled { totp_step: 1, recovery_hashes: told(Vec::new()) };
        let disabled = E::TotpDisabled { reason: "lost".into() };
        let key = E::WebAuthnCredentialRegistered {
            credential_id: "k".into(),
            public_key: "p".into(),
            sign_count: 0,
            device_name: told("Key".into()),
        };
        assert!(after([enabled.clone()]).mfa && !after([enabled.clone(), disabled.clone()]).mfa);
        assert!(after([enabled, key, disabled]).mfa);
    }

    #[test]
    fn a_permission_is_listed_until_it_is_revoked() {
        let granted = |action: &str| E::PermissionGranted {
            resource_type: "opportunities.scholarship".into(),
            resource_id: Uuid::from_u128(7),
            action: action.into(),
            until: None,
        };
        let revoked = E::PermissionRevoked {
            resource_type: "opportunities.scholarship".into(),
            resource_id: Uuid::from_u128(7),
            action: "read".into(),
        };
        let row = after([granted("read"), granted("read"), granted("PublishScholarship"), revoked]);
        assert_eq!(row.permissions.0.len(), 1);
        assert_eq!(row.permissions.0[0].action, "PublishScholarship");
    }

    #[test]
    fn what_is_erased_keeps_no_name_and_no_role() {
        let erased = E::AccountErased {
            account: ADA,
            privacy_request: Uuid::nil(),
            freed: told(Vec::new()),
            token_version: 1,
        };
        let row = after([role("staff", None), erased]);
        assert!(row.email.is_erased() && row.display_name.is_erased() && row.roles.is_empty());
    }

    #[test]
    fn people_see_their_own_account_and_those_who_manage_users_those_of_their_units() {
        let sees = |actor: &Actor| Accounts::visible(actor);
        assert_eq!(sees(&Actor::user(ADA, &["admin"])), Filter::All);
        assert_eq!(sees(&Actor::user(ADA, &["student"])), Filter::Is("account", ADA.into()));
        let unit = Uuid::from_u128(1);
        let grant = domain::RoleGrant { role: "department_admin".into(), within: Some(unit) };
        let own = Filter::Is("account", ADA.into());
        assert_eq!(sees(&Actor::with_roles(ADA, vec![grant])), own.or(Filter::Below("orgs", vec![unit])));
    }
}
