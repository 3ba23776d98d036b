//! What can be asked of the security policy, what can have happened to it, and why a command was refused.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::json;
use strum::{IntoStaticStr, VariantNames};

use super::LIMITS;
use crate::kernel::{Event, Refusal, RefusalKind, schemas};

/// One of the classes that routes are of.
fn route_class(schema: &mut Schema) {
    schema.insert("enum".into(), json!(LIMITS.map(|(class, _)| class)));
}

/// Whose calls an allow-list is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IpAudience {
    /// Those who hold a role that needs a second factor.
    Admin,
    /// Everybody with a token.
    All,
}

/// By what calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum RateKey {
    Ip,
    Account,
    Client,
}

/// Who may register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Registration {
    #[default]
    Open,
    Invite,
    Closed,
}

/// What can be asked of the security policy. All of it needs a fresh proof of who asks (IDN-S5).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum SecurityPolicyCommand {
    /// Defines a role of this deployment.
    #[schemars(extend("x-elevated" = "always"))]
    DefineRole {
        /// The name, `[a-z][a-z0-9_]{1,63}`.
        #[schemars(transform = schemas::token::<64>)]
        role: String,
        /// What it may do.
        #[schemars(transform = schemas::texts::<50, 100>)]
        scopes: Vec<String>,
        /// Whether it needs a second factor.
        mfa_required: bool,
    },
    /// Changes what a role of this deployment may do.
    #[schemars(extend("x-elevated" = "always"))]
    ChangeRoleScopes {
        /// The name.
        #[schemars(transform = schemas::token::<64>)]
        role: String,
        /// What it may do.
        #[schemars(transform = schemas::texts::<50, 100>)]
        scopes: Vec<String>,
    },
    /// Retires a role of this deployment.
    #[schemars(extend("x-elevated" = "always"))]
    RetireRole {
        /// The name.
        #[schemars(transform = schemas::token::<64>)]
        role: String,
    },
    /// Says from where somebody may call. An empty list lets them call from everywhere.
    #[schemars(extend("x-elevated" = "always"))]
    SetIpAllowlist {
        /// Whose calls it is about.
        audience: IpAudience,
        /// Ranges such as `10.0.0.0/8`.
        #[schemars(transform = schemas::texts::<200, 50>)]
        cidrs: Vec<String>,
        /// From where the caller calls: it must be on the list.
        #[schemars(transform = schemas::token::<50>)]
        caller_ip: String,
    },
    /// Limits how often a class of routes may be called.
    #[schemars(extend("x-elevated" = "always"))]
    SetRateLimit {
        /// The class of routes.
        #[schemars(transform = route_class)]
        route_class: String,
        /// By what calls are counted.
        per: RateKey,
        /// How many calls.
        #[schemars(transform = schemas::number::<1, 1_000_000>)]
        limit: u32,
        /// Within how many seconds.
        #[schemars(transform = schemas::number::<1, 86_400>)]
        window_s: u32,
    },
    /// Says what a password must be; never less than IDN-A2 says.
    #[schemars(extend("x-elevated" = "always"))]
    SetPasswordPolicy {
        /// How many characters it has at least.
        #[schemars(transform = schemas::number::<12, 64>)]
        min_length: u32,
        /// How many of the last ones are not used again.
        #[schemars(transform = schemas::number::<5, 24>)]
        history: u32,
        /// Whether it must not be known to be breached.
        breached_check: bool,
    },
    /// Says what requests may be.
    #[schemars(extend("x-elevated" = "always"))]
    SetRequestPolicy {
        /// How many bytes a body has at most.
        #[schemars(transform = schemas::number::<1024, 52_428_800>)]
        max_body_bytes: u64,
        /// From which web sites browsers may call.
        #[schemars(transform = schemas::texts::<50, 300>)]
        cors_origins: Vec<String>,
        /// Who may register.
        registration: Registration,
    },
}

/// What can have happened to the security policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum SecurityPolicyEvent {
    /// A role was defined.
    RoleDefined { role: String, scopes: Vec<String>, mfa_required: bool },
    /// What a role may do was changed.
    RoleScopesChanged { role: String, scopes: Vec<String> },
    /// A role was retired.
    RoleRetired { role: String },
    /// It was said from where somebody may call.
    IpAllowlistSet { audience: IpAudience, cidrs: Vec<String> },
    /// It was limited how often a class of routes may be called.
    RateLimitSet { route_class: String, per: RateKey, limit: u32, window_s: u32 },
    /// It was said what a password must be.
    PasswordPolicySet { min_length: u32, history: u32, breached_check: bool },
    /// It was said what requests may be.
    RequestPolicySet { max_body_bytes: u64, cors_origins: Vec<String>, registration: Registration },
}

impl Event for SecurityPolicyEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
pub enum SecurityPolicyRefusal {
    /// There is such a role already.
    #[error("there is such a role already")]
    Duplicate {},
    /// There is no such role.
    #[error("there is no such role")]
    UnknownRole {},
    /// There is no such scope.
    #[error("there is no scope {scope}")]
    UnknownScope {
        /// The scope.
        scope: String,
    },
    /// The role is part of the house.
    #[error("the role is built in")]
    BuiltInRole {},
    /// Somebody holds the role.
    #[error("somebody holds the role")]
    RoleInUse {},
    /// What is listed is no range of addresses.
    #[error("what is listed is no range of addresses")]
    InvalidCidr {},
    /// The caller could not call any more.
    #[error("the caller's own address is not on the list")]
    WouldLockOutCaller {},
    /// It is less than the rules ask (IDN-A2).
    #[error("it is less than the rules ask")]
    BelowFloor {},
}

impl Refusal for SecurityPolicyRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        use SecurityPolicyRefusal as R;
        match self {
            R::UnknownScope { .. } | R::InvalidCidr {} | R::BelowFloor {} => RefusalKind::Invalid,
            R::UnknownRole {} => RefusalKind::NotFound,
            R::Duplicate {} | R::BuiltInRole {} | R::RoleInUse {} | R::WouldLockOutCaller {} => {
                RefusalKind::Conflict
            }
        }
    }
    fn field(&self) -> Option<&'static str> {
        use SecurityPolicyRefusal as R;
        match self {
            R::Duplicate {} | R::UnknownRole {} | R::BuiltInRole {} | R::RoleInUse {} => Some("role"),
            R::UnknownScope { .. } => Some("scopes"),
            R::InvalidCidr {} | R::WouldLockOutCaller {} => Some("cidrs"),
            R::BelowFloor {} => Some("min_length"),
        }
    }
}
