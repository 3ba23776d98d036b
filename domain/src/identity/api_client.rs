//! Another system that calls this one, with a key of its own (catalogue 2.1, ApiClient).
//!
//! Life cycle: `active -RotateApiKey-> active`; `active -RecordApiQuotaExhausted-> exhausted -(next month)-> active`; any
//! `-RevokeApiKey-> revoked`.
//!
//! - **IDN-C1** the key is shown once: it is the prefix and a MAC of [`api_key_label`], of which only the hash is stored.
//!   Whoever repeats the command that made it, having lost the answer, is shown it again for some minutes (the edge).
//!   After a rotation the old key works for a day at most.
//! - **IDN-C2** a key may be exchanged for an access token (OAuth 2.0 client credentials).
//! - Who makes clients for themselves gives them no more requests in a minute than they have themselves (the class `reads`,
//!   IDN-P1), and has ten of them at a time until they revoke one: [`OWN_CLIENTS_MAX`]. Operators (`manage:ops`) are trusted with
//!   more.
//! - **IDN-C3** a client that has not called for 180 days is found out: by then nobody may need its key any more.
//! - A key has no scope that whoever issues it, rotates it or changes it lacks (IDN-A8), and never what only a person can hold
//!   (`own`). What its owner gave it of their own ends when they lose it themselves; what somebody else gave it does not.
//! - Who has logged in makes and changes keys with a second factor only (IDN-S5): a key outlives the session.

use core::net::IpAddr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use super::{Account, Cidr, SecurityPolicy, is_known_scope, is_within, security_policy_id};
use crate::kernel::{
    Actor, ActorKind, Answer, Claim, Context, Decided, Decider, Event, Known, NotYet, Personal, Question,
    Refusal, RefusalKind, Refused, RefusedBy, bounds, class::Secret, schemas, sha256_hex,
};

/// The longest time for which a rotated key goes on to work, in seconds (IDN-C1).
pub const OVERLAP_MAX_S: u32 = 24 * 3600;

/// How many clients somebody has at a time that they made for themselves.
pub const OWN_CLIENTS_MAX: u32 = 10;

/// How long a key may go unused before somebody is told (IDN-C3).
pub const API_KEY_UNUSED_FOR: SignedDuration = SignedDuration::from_hours(180 * 24);

/// The scope of who deals with other people's clients.
const TRUSTED: &str = "manage:ops";
/// The most requests that a client may make in a minute.
const PER_MINUTE_MAX: i64 = 100_000;

/// The label of a key; see [`Question::TokenHash`].
pub fn api_key_label(client: Uuid, key_id: Uuid) -> String {
    format!("api-key|{client}|{key_id}")
}

/// What a key begins with: the client that it is of.
pub fn api_key_prefix(client: Uuid) -> String {
    format!("ak_{}", client.simple())
}

/// The claim on one of the clients that an account may have made for itself.
fn own_client_claim(owner: Uuid) -> String {
    format!("own-client:{owner}")
}

/// A key, by its hash.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientKey {
    /// The SHA-256 of the MAC.
    pub hash: Personal<String, Secret>,
    /// Until when it works; none for the newest.
    pub until: Option<Timestamp>,
}

/// The state that decisions, and the edge, need.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ApiClient {
    /// Who answers for it, once it exists.
    pub owner: Option<Uuid>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Who gave it that, where it was not the owner.
    pub granted_by: Option<Uuid>,
    /// Whether its owner made it, and it is one of those that they may have.
    #[serde(default)]
    pub counted: bool,
    /// How many requests it may make in a minute.
    pub per_minute: u32,
    /// How many requests it may make in a month.
    pub monthly_quota: Option<u64>,
    /// From where it may call; from everywhere where the list is empty.
    pub allowed_ips: Vec<String>,
    /// Until when its keys work.
    pub expires_at: Option<Timestamp>,
    /// Its keys, the newest first.
    pub keys: Vec<ClientKey>,
    /// How often another key was made: the number of the newest.
    pub rotations: u64,
    /// The month, `YYYY-MM`, whose quota is used up.
    pub exhausted: Option<String>,
    /// Whether it was revoked.
    pub revoked: bool,
}

impl ApiClient {
    /// The number of this key, if it is one that works now. A client of another name, or none, has none.
    pub fn opened_by(&self, key: &str, now: Timestamp) -> Option<u64> {
        let hash = sha256_hex(key);
        let mut working = self.working(now);
        working.find(|(_, known)| known.hash.get() == Some(&hash)).map(|(number, _)| number)
    }

    /// Whether the key of this number works now, and with it what was got for it.
    pub fn works(&self, number: u64, now: Timestamp) -> bool {
        self.working(now).any(|(working, _)| working == number)
    }

    /// The keys that work now, with their numbers.
    fn working(&self, now: Timestamp) -> impl Iterator<Item = (u64, &ClientKey)> {
        let numbers = (0..=self.rotations).rev();
        let live = self.is_live(now);
        numbers.zip(&self.keys).filter(move |(_, key)| live && key.until.is_none_or(|until| until > now))
    }

    /// Whether what was issued for it is accepted now.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.owner.is_some() && !self.revoked && self.expires_at.is_none_or(|end| end > now)
    }

    /// Whether it may call from there.
    pub fn may_call_from(&self, address: IpAddr) -> bool {
        self.allowed_ips.is_empty() || is_within(&self.allowed_ips, address)
    }

    /// Whether the quota of this month is used up.
    pub fn is_exhausted(&self, now: Timestamp) -> bool {
        let month = now.to_zoned(TimeZone::UTC).strftime("%Y-%m").to_string();
        self.exhausted.as_deref() == Some(&*month)
    }
}

/// What can be asked of an API client.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum ApiClientCommand {
    /// Makes a client and its first key.
    #[schemars(extend("x-elevated" = "login"))]
    IssueApiKey {
        /// The name, 1 to 100 characters.
        #[schemars(transform = schemas::line::<1, 100>)]
        name: String,
        /// The account that answers for it.
        owner: Uuid,
        /// What it may do.
        #[schemars(transform = schemas::some_texts::<50, 100>)]
        scopes: Vec<String>,
        /// How many requests it may make in a minute.
        #[schemars(transform = schemas::number::<1, 100_000>)]
        per_minute: u32,
        /// How many requests it may make in a month; as many as it likes where there is no number.
        #[serde(default)]
        #[schemars(transform = schemas::number::<1, 1_000_000_000>)]
        monthly_quota: Option<u64>,
        /// From where it may call, as ranges such as `10.0.0.0/8`; from everywhere where the list is empty.
        #[serde(default)]
        #[schemars(transform = schemas::texts::<50, 50>)]
        allowed_ips: Vec<String>,
        /// Until when its keys work.
        #[serde(default)]
        expires_at: Option<Timestamp>,
    },
    /// Makes another key.
    #[schemars(extend("x-elevated" = "login"))]
    RotateApiKey {
        /// For how many seconds the old one goes on to work.
        #[schemars(transform = schemas::number::<0, 86_400>)]
        overlap_s: u32,
    },
    /// Changes what the client may do, how often, and from where.
    #[schemars(extend("x-elevated" = "login"))]
    ChangeApiKeyLimits {
        /// What it may do.
        #[schemars(transform = schemas::some_texts::<50, 100>)]
        scopes: Vec<String>,
        /// How many requests it may make in a minute.
        #[schemars(transform = schemas::number::<1, 100_000>)]
        per_minute: u32,
        /// How many requests it may make in a month.
        #[serde(default)]
        #[schemars(transform = schemas::number::<1, 1_000_000_000>)]
        monthly_quota: Option<u64>,
        /// From where it may call.
        #[serde(default)]
        #[schemars(transform = schemas::texts::<50, 50>)]
        allowed_ips: Vec<String>,
    },
    /// Puts on record that the quota of a month is used up.
    #[schemars(extend("x-system" = true))]
    RecordApiQuotaExhausted {
        /// The month, `YYYY-MM`.
        month: String,
        /// How many requests there were.
        used: u64,
    },
    /// Looks whether the client has called since its key was made or last seen in use (IDN-C3).
    #[schemars(extend("x-system" = true))]
    ReviewApiKeyUse {
        /// Since when it is not known to have called.
        since: Timestamp,
    },
    /// Revokes the client's keys for good.
    RevokeApiKey {
        /// Why.
        #[schemars(transform = schemas::text::<1, 2000>)]
        reason: String,
    },
}

/// What can have happened to an API client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum ApiClientEvent {
    /// A client and its first key were made.
    ApiKeyIssued {
        name: String,
        owner: Uuid,
        scopes: Vec<String>,
        per_minute: u32,
        monthly_quota: Option<u64>,
        allowed_ips: Vec<String>,
        expires_at: Option<Timestamp>,
        key_id: Uuid,
        key_prefix: String,
        key_hash: Personal<String, Secret>,
        /// Who gave it its scopes, where that was not the owner.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        granted_by: Option<Uuid>,
        /// Whether it is one of those that its owner may make for themselves.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        counted: bool,
    },
    /// Another key was made; the old one works until `previous_until`.
    ApiKeyRotated {
        key_id: Uuid,
        key_prefix: String,
        key_hash: Personal<String, Secret>,
        previous_until: Timestamp,
    },
    /// What the client may do was changed.
    ApiKeyLimitsChanged {
        scopes: Vec<String>,
        per_minute: u32,
        monthly_quota: Option<u64>,
        allowed_ips: Vec<String>,
        /// Who gave it these scopes, where that was not the owner.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        granted_by: Option<Uuid>,
    },
    /// The quota of a month is used up.
    ApiQuotaExhausted { month: String, used: u64 },
    /// The client was found to have called.
    ApiKeyFoundInUse { last_used: Timestamp },
    /// The client was found not to have called for 180 days.
    ApiKeyFoundUnused { since: Timestamp },
    /// The client's keys were revoked.
    ApiKeyRevoked {
        reason: String,
        /// The owner, who may make another one in its place, where it was one of those.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        freed: Option<Uuid>,
    },
}

impl Event for ApiClientEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
pub enum ApiClientRefusal {
    /// There is no such scope, the caller lacks it, or a client cannot hold it.
    #[error("the scope {scope} cannot be given to a client by this caller")]
    ScopeNotGrantable {
        /// The scope.
        scope: String,
    },
    /// The owner has made as many as they may for themselves.
    #[error("there are {most} clients that were made by their owner: one of them has to be revoked first")]
    TooManyClients {
        /// How many there may be.
        most: u32,
    },
}

impl Refusal for ApiClientRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        match self {
            ApiClientRefusal::ScopeNotGrantable { .. } => RefusalKind::Forbidden,
            ApiClientRefusal::TooManyClients { .. } => RefusalKind::Conflict,
        }
    }
    fn field(&self) -> Option<&'static str> {
        match self {
            ApiClientRefusal::ScopeNotGrantable { .. } => Some("scopes"),
            ApiClientRefusal::TooManyClients { .. } => None,
        }
    }
}

/// What a decision about a client rests on besides its state.
#[derive(Clone, Debug, Default)]
pub struct ApiClientFacts {
    /// The hash of the key that is made.
    key_hash: Option<String>,
    /// When the client called last, where it has.
    last_used: Option<Timestamp>,
    /// Whether there is an account with the id of the client that is made: what one does would pass for the other's.
    is_account: bool,
    /// How often somebody may call.
    policy: Arc<SecurityPolicy>,
}

impl Decider for ApiClient {
    const TYPE: &'static str = "identity.api_client";
    type Command = ApiClientCommand;
    type Event = ApiClientEvent;
    type Refusal = ApiClientRefusal;
    type Facts = ApiClientFacts;

    /// Whoever answers for a client is a person whose client it is.
    fn concerns(event: &ApiClientEvent) -> &[Uuid] {
        match event {
            ApiClientEvent::ApiKeyIssued { owner, .. } => std::slice::from_ref(owner),
            ApiClientEvent::ApiKeyRotated { .. }
            | ApiClientEvent::ApiKeyLimitsChanged { .. }
            | ApiClientEvent::ApiQuotaExhausted { .. }
            | ApiClientEvent::ApiKeyFoundInUse { .. }
            | ApiClientEvent::ApiKeyFoundUnused { .. }
            | ApiClientEvent::ApiKeyRevoked { .. } => &[],
        }
    }

    fn creates(command: &ApiClientCommand) -> bool {
        matches!(command, ApiClientCommand::IssueApiKey { .. })
    }

    fn facts(
        &self,
        command: &ApiClientCommand,
        context: &Context,
        known: &mut impl Known,
    ) -> Result<ApiClientFacts, NotYet> {
        use ApiClientCommand as C;
        let mut facts = ApiClientFacts::default();
        if matches!(command, C::IssueApiKey { .. } | C::ChangeApiKeyLimits { .. }) {
            facts.policy = known.stream::<SecurityPolicy>(security_policy_id())?.state;
        }
        match command {
            C::IssueApiKey { .. } | C::RotateApiKey { .. } => {
                let label = api_key_label(context.id, context.derive("key"));
                if let Answer::Hash(hash) = known.ask(Question::TokenHash { label })? {
                    facts.key_hash = Some(hash);
                }
                if Self::creates(command) {
                    facts.is_account = known.pinned::<Account>(context.id)?.exists();
                }
            }
            C::ReviewApiKeyUse { .. } => {
                if let Answer::Instant(last) = known.ask(Question::LastCall { client: context.id })? {
                    facts.last_used = last;
                }
            }
            C::ChangeApiKeyLimits { .. } | C::RecordApiQuotaExhausted { .. } | C::RevokeApiKey { .. } => {}
        }
        Ok(facts)
    }

    fn may(&self, actor: &Actor, command: &ApiClientCommand) -> bool {
        use ApiClientCommand as C;
        // A client makes no clients: what is stolen should not multiply.
        let person = actor.kind == ActorKind::User;
        match command {
            C::RecordApiQuotaExhausted { .. } | C::ReviewApiKeyUse { .. } => actor.is_system(),
            C::IssueApiKey { owner, .. } => person && (actor.has(TRUSTED) || actor.is(*owner)),
            C::RevokeApiKey { .. } if actor.is_system() => true,
            C::RotateApiKey { .. } | C::ChangeApiKeyLimits { .. } | C::RevokeApiKey { .. } => {
                person && (actor.has(TRUSTED) || self.owner.is_some_and(|owner| actor.is(owner)))
            }
        }
    }

    fn decide(&self, command: ApiClientCommand, facts: &ApiClientFacts, context: &Context) -> Decided<Self> {
        use ApiClientCommand as C;
        use ApiClientEvent as E;
        let wrong_state = |state| Refused::InvalidState { state, command: (&command).into() };
        match (&command, self.owner) {
            (C::IssueApiKey { .. }, Some(_)) => return Err(wrong_state("active")),
            (C::RevokeApiKey { .. }, _) if self.revoked => return Ok(Vec::new()),
            _ if self.revoked => return Err(wrong_state("revoked")),
            _ => {}
        }
        let key = || {
            let hash = facts.key_hash.clone().ok_or(Refused::Forbidden)?;
            Ok::<_, RefusedBy<Self>>((context.derive("key"), Personal::about(context.id, hash)))
        };
        let granter = |owner: Uuid| context.actor.account().filter(|account| *account != owner);
        let key_prefix = api_key_prefix(context.id);
        Ok(vec![match command {
            C::IssueApiKey { name, owner, scopes, per_minute, monthly_quota, allowed_ips, expires_at } => {
                if facts.is_account {
                    return Err(Refused::invalid("id", "not that of an account"));
                }
                bounds::line("name", &name, 1..=100)?;
                check_limits(&scopes, monthly_quota, &allowed_ips, &context.actor)?;
                facts.check_pace(per_minute, 0, &context.actor)?;
                if let Some(end) = expires_at {
                    bounds::instant("expires_at", end)?;
                    if end <= context.now {
                        return Err(Refused::invalid("expires_at", "in the future"));
                    }
                }
                let (key_id, key_hash) = key()?;
                let granted_by = granter(owner);
                E::ApiKeyIssued {
                    name,
                    owner,
                    scopes,
                    per_minute,
                    monthly_quota,
                    allowed_ips,
                    expires_at,
                    key_id,
                    key_prefix,
                    key_hash,
                    granted_by,
                    counted: !context.actor.has(TRUSTED),
                }
            }
            C::RotateApiKey { overlap_s } => {
                bounds::number("overlap_s", overlap_s.into(), 0..=OVERLAP_MAX_S.into())?;
                // Whoever makes a key holds it.
                grantable(&self.scopes, &context.actor)?;
                let overlap = SignedDuration::from_secs(overlap_s.into());
                let previous_until = context.now.saturating_add(overlap).unwrap_or(context.now);
                let (key_id, key_hash) = key()?;
                E::ApiKeyRotated { key_id, key_prefix, key_hash, previous_until }
            }
            C::ChangeApiKeyLimits { scopes, per_minute, monthly_quota, allowed_ips } => {
                check_limits(&scopes, monthly_quota, &allowed_ips, &context.actor)?;
                facts.check_pace(per_minute, self.per_minute, &context.actor)?;
                let granted_by = self.owner.and_then(granter);
                E::ApiKeyLimitsChanged { scopes, per_minute, monthly_quota, allowed_ips, granted_by }
            }
            C::RecordApiQuotaExhausted { month, used } => {
                if self.exhausted.as_ref() == Some(&month) {
                    return Ok(Vec::new());
                }
                bounds::text("month", &month, 7..=7)?;
                E::ApiQuotaExhausted { month, used }
            }
            C::ReviewApiKeyUse { since } => match facts.last_used.filter(|last| *last > since) {
                Some(last_used) => E::ApiKeyFoundInUse { last_used },
                None if self.is_live(context.now)
                    && context.now.duration_since(since) >= API_KEY_UNUSED_FOR =>
                {
                    E::ApiKeyFoundUnused { since }
                }
                // What opens nothing any more need not be used.
                None => return Ok(Vec::new()),
            },
            C::RevokeApiKey { reason } => {
                bounds::text("reason", &reason, 1..=2000)?;
                E::ApiKeyRevoked { reason, freed: self.owner.filter(|_| self.counted) }
            }
        }])
    }

    fn evolve(&mut self, event: &ApiClientEvent) {
        use ApiClientEvent as E;
        match event {
            E::ApiKeyIssued {
                name: _,
                owner,
                scopes,
                per_minute,
                monthly_quota,
                allowed_ips,
                expires_at,
                key_id: _,
                key_prefix: _,
                key_hash,
                granted_by,
                counted,
            } => {
                *self = ApiClient {
                    owner: Some(*owner),
                    scopes: scopes.clone(),
                    granted_by: *granted_by,
                    counted: *counted,
                    per_minute: *per_minute,
                    monthly_quota: *monthly_quota,
                    allowed_ips: allowed_ips.clone(),
                    expires_at: *expires_at,
                    keys: vec![ClientKey { hash: key_hash.clone(), until: None }],
                    ..ApiClient::default()
                };
            }
            E::ApiKeyRotated { key_hash, previous_until, .. } => {
                self.keys.truncate(1);
                self.keys.iter_mut().for_each(|key| key.until = Some(*previous_until));
                self.keys.insert(0, ClientKey { hash: key_hash.clone(), until: None });
                self.rotations += 1;
            }
            E::ApiKeyLimitsChanged { scopes, per_minute, monthly_quota, allowed_ips, granted_by } => {
                self.granted_by = *granted_by;
                (self.scopes, self.allowed_ips) = (scopes.clone(), allowed_ips.clone());
                (self.per_minute, self.monthly_quota) = (*per_minute, *monthly_quota);
            }
            E::ApiQuotaExhausted { month, .. } => self.exhausted = Some(month.clone()),
            E::ApiKeyFoundInUse { .. } | E::ApiKeyFoundUnused { .. } => {}
            E::ApiKeyRevoked { .. } => {
                self.revoked = true;
                self.keys.clear();
            }
        }
    }

    fn claims(_: Uuid, event: &ApiClientEvent) -> Vec<Claim> {
        use ApiClientEvent as E;
        match event {
            E::ApiKeyIssued { owner, counted: true, .. } => {
                vec![Claim::Seat { key: own_client_claim(*owner), limit: OWN_CLIENTS_MAX }]
            }
            E::ApiKeyRevoked { freed: Some(owner), .. } => vec![Claim::Free(own_client_claim(*owner))],
            E::ApiKeyIssued { .. }
            | E::ApiKeyRotated { .. }
            | E::ApiKeyLimitsChanged { .. }
            | E::ApiQuotaExhausted { .. }
            | E::ApiKeyFoundInUse { .. }
            | E::ApiKeyFoundUnused { .. }
            | E::ApiKeyRevoked { .. } => Vec::new(),
        }
    }

    fn taken(key: &str) -> Option<ApiClientRefusal> {
        let own = key.starts_with("own-client:");
        own.then_some(ApiClientRefusal::TooManyClients { most: OWN_CLIENTS_MAX })
    }
}

impl ApiClientFacts {
    /// Who is not trusted with other people's clients gives their own no more than they have themselves, or than it had.
    fn check_pace(&self, per_minute: u32, had: u32, actor: &Actor) -> Result<(), RefusedBy<ApiClient>> {
        let own = self.policy.limit("reads").map_or(0, |reads| {
            let (limit, window) = (u64::from(reads.limit), u64::from(reads.window_s.max(1)));
            i64::try_from(limit * 60 / window).unwrap_or(i64::MAX).max(1)
        });
        let most = if actor.has(TRUSTED) { PER_MINUTE_MAX } else { own.max(had.into()).min(PER_MINUTE_MAX) };
        bounds::number("per_minute", per_minute.into(), 1..=most)
    }
}

/// Whether somebody can give these scopes to a client.
fn grantable(scopes: &[String], actor: &Actor) -> Result<(), RefusedBy<ApiClient>> {
    for scope in scopes {
        if scope == "own" || !is_known_scope(scope) || !actor.has(scope) {
            bounds::text("scopes", scope, 1..=100)?;
            return Err(ApiClientRefusal::ScopeNotGrantable { scope: scope.clone() }.into());
        }
    }
    Ok(())
}

fn check_limits(
    scopes: &[String],
    monthly_quota: Option<u64>,
    allowed_ips: &[String],
    actor: &Actor,
) -> Result<(), RefusedBy<ApiClient>> {
    if scopes.is_empty() {
        return Err(Refused::invalid("scopes", "at least one"));
    }
    bounds::count("scopes", scopes.len(), 50)?;
    grantable(scopes, actor)?;
    let quota = monthly_quota.map_or(1, |quota| i64::try_from(quota).unwrap_or(i64::MAX));
    bounds::number("monthly_quota", quota, 1..=1_000_000_000)?;
    bounds::count("allowed_ips", allowed_ips.len(), 50)?;
    if allowed_ips.iter().any(|range| range.parse::<Cidr>().is_err()) {
        return Err(Refused::invalid("allowed_ips", "ranges such as 10.0.0.0/8"));
    }
    Ok(())
}

#[cfg(test)]
#[path = "api_client_tests.rs"]
mod tests;
