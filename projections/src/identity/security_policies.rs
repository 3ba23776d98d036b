//! R-05 `security_policies`: what this deployment asks of callers, now and at any time before. For operators, compliance and
//! administrators. Who holds which role, and which permission on which resource, R-01 says.
//!
//! There is one row, and none before anything was set: then what is built in is in force ([`SecurityPolicyRow::built_in`]).

use std::collections::BTreeMap;

use domain::{
    Actor,
    identity::{
        IpAudience, LIMITS, PasswordPolicy, RateKey, RateLimit, Registration, SecurityPolicyEvent as E,
        security_policy_id,
    },
    registry::AnyEvent,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::Filter,
    row,
    row::Json,
    table::{Options, Table},
    words,
};

words!(Registration);

/// A role of this deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoleSet {
    /// What it may do.
    pub scopes: Vec<String>,
    /// Whether it needs a second factor.
    pub mfa_required: bool,
}

/// How often a class of routes may be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitSet {
    /// By what calls are counted.
    pub per: RateKey,
    /// How many calls.
    pub limit: u32,
    /// Within how many seconds.
    pub window_s: u32,
}

row! {
    /// The security policy of this deployment.
    pub struct SecurityPolicyRow {
        key {
            /// The policy.
            policy: Uuid,
        }
        columns {
            /// The roles of this deployment, beside those of the house.
            roles: Json<BTreeMap<String, RoleSet>>,
            /// How often routes may be called, by their class.
            limits: Json<BTreeMap<String, LimitSet>>,
            /// From where those may call who hold a role that needs a second factor; from everywhere where it is empty.
            admin_allowlist: Vec<String>,
            /// From where anybody may call; from everywhere where it is empty.
            allowlist: Vec<String>,
            /// How many characters a password has at least.
            password_min_length: i32,
            /// How many of the last passwords are not used again.
            password_history: i32,
            /// Whether a password must not be known to be breached.
            breached_check: bool,
            /// Who may register.
            registration: Registration,
            /// From which web sites browsers may call.
            cors_origins: Vec<String>,
            /// How many bytes a body has at most; what the nodes are configured with where there is no number.
            max_body_bytes: Option<i64>,
        }
    }
}

///
pub struct SecurityPolicies;

impl Table for SecurityPolicies {
    const NAME: &'static str = "security_policies";
    const VERSION: u32 = 2;
    const FED_BY: &'static [&'static str] = &["identity.security_policy"];
    const OPTIONS: Options =
        Options { about_people: false, time_travel: true, stream_column: Some("policy"), ..Options::DEFAULT };
    type Row = SecurityPolicyRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(key: &Uuid, row: Option<SecurityPolicyRow>, fact: &Fact) -> Option<SecurityPolicyRow> {
        let AnyEvent::SecurityPolicy(event) = &fact.event else { return row };
        let mut row =
            row.unwrap_or_else(|| SecurityPolicyRow { policy: *key, ..SecurityPolicyRow::built_in() });
        match event.clone() {
            E::RoleDefined { role, scopes, mfa_required } => {
                row.roles.0.insert(role, RoleSet { scopes, mfa_required });
            }
            E::RoleScopesChanged { role, scopes } => {
                row.roles.0.entry(role).and_modify(|set| set.scopes = scopes);
            }
            E::RoleRetired { role } => drop(row.roles.0.remove(&role)),
            E::IpAllowlistSet { audience: IpAudience::Admin, cidrs } => row.admin_allowlist = cidrs,
            E::IpAllowlistSet { audience: IpAudience::All, cidrs } => row.allowlist = cidrs,
            E::RateLimitSet { route_class, per, limit, window_s } => {
                row.limits.0.insert(route_class, LimitSet { per, limit, window_s });
            }
            E::PasswordPolicySet { min_length, history, breached_check } => {
                row.password_min_length = i32::try_from(min_length).unwrap_or(i32::MAX);
                row.password_history = i32::try_from(history).unwrap_or(i32::MAX);
                row.breached_check = breached_check;
            }
            E::RequestPolicySet { max_body_bytes, cors_origins, registration } => {
                row.max_body_bytes = Some(i64::try_from(max_body_bytes).unwrap_or(i64::MAX));
                (row.cors_origins, row.registration) = (cors_origins, registration);
            }
        }
        Some(row)
    }

    fn visible(actor: &Actor) -> Filter {
        Filter::all_with(actor, "manage:ops").or(Filter::all_with(actor, "read:audit"))
    }
}

impl SecurityPolicyRow {
    /// What is in force before anything was set.
    pub fn built_in() -> Self {
        let PasswordPolicy { min_length, history, breached_check } = PasswordPolicy::default();
        let limit = |(class, limit): (&str, RateLimit)| {
            let RateLimit { per, limit, window_s } = limit;
            (class.to_owned(), LimitSet { per, limit, window_s })
        };
        SecurityPolicyRow {
            policy: security_policy_id(),
            roles: Json(BTreeMap::new()),
            limits: Json(LIMITS.map(limit).into()),
            admin_allowlist: Vec::new(),
            allowlist: Vec::new(),
            password_min_length: i32::try_from(min_length).unwrap_or(i32::MAX),
            password_history: i32::try_from(history).unwrap_or(i32::MAX),
            breached_check,
            registration: Registration::default(),
            cors_origins: Vec::new(),
            max_body_bytes: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    const ID: Uuid = Uuid::from_u128(1);

    fn after(events: impl IntoIterator<Item = E>) -> SecurityPolicyRow {
        let events = events.into_iter().map(|event| (ID, AnyEvent::SecurityPolicy(event)));
        given::<SecurityPolicies>(events).rows().remove(0)
    }

    #[test]
    fn r_05_a_role_is_listed_with_its_scopes_until_it_is_retired() {
        let defined = E::RoleDefined { role: "dean".into(), scopes: Vec::new(), mfa_required: true };
        let changed = E::RoleScopesChanged { role: "dean".into(), scopes: vec!["read:audit".into()] };
        let row = after([defined.clone(), changed.clone()]);
        assert_eq!(row.roles.0["dean"].scopes, ["read:audit"]);
        assert!(after([defined, changed, E::RoleRetired { role: "dean".into() }]).roles.0.is_empty());
    }

    #[test]
    fn r_05_what_was_not_set_is_as_it_is_built_in() {
        let cidrs = vec!["10.0.0.0/8".to_owned()];
        let row = after([E::IpAllowlistSet { audience: IpAudience::Admin, cidrs: cidrs.clone() }]);
        assert_eq!((row.admin_allowlist, row.allowlist.len(), row.password_min_length), (cidrs, 0, 12));
        assert_eq!((row.registration, row.breached_check), (Registration::Open, true));
        assert_eq!((row.limits.0["auth"].limit, row.limits.0.len()), (10, LIMITS.len()));
        let set = E::RateLimitSet { route_class: "auth".into(), per: RateKey::Ip, limit: 5, window_s: 60 };
        assert_eq!(after([set]).limits.0["auth"].limit, 5);
    }

    #[test]
    fn r_05_is_for_those_who_operate_and_those_who_audit() {
        let sees = |role| SecurityPolicies::visible(&Actor::user(ID, &[role]));
        for role in ["admin", "operator", "compliance"] {
            assert_eq!(sees(role), Filter::All, "{role}");
        }
        assert_eq!(sees("department_admin"), Filter::Nothing);
    }
}
