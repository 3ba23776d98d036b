//! A login: from the first pair of tokens to the end of its family (catalogue 2.1, Session).
//!
//! Life cycle: `active -RotateRefreshToken-> active`; `active -EndSession-> ended`; a used refresh token `-> ended`.
//!
//! - **IDN-S1** access tokens live 15 minutes in browsers and two hours elsewhere; a refresh token seven days from each
//!   rotation; the session 30 days at most.
//! - **IDN-S2** a refresh token is (session, generation) under a MAC: see [`refresh_token_label`]. So an older generation
//!   is known for what it is, and no hash of any is kept.
//! - **IDN-S3** a refresh token works once; presenting an older generation ends the session.
//! - **IDN-S4** tokens of an ended session are refused, and so are those of a session that began before the account's
//!   tokens were revoked, also before anything has ended it.
//! - **IDN-A7** no session begins by a proof that was given before the account's tokens were revoked.
//! - **IDN-S5** sensitive commands need an elevation that is at most five minutes old.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use super::{Account, ClientProfile, LoginMethod};
use crate::kernel::{
    Actor, Answer, Context, Decided, Decider, Event, Known, NotYet, Personal, Question, RecordClass, Refusal,
    RefusalKind, Refused, Stated, bounds, class::SecurityLog, sha256_hex,
};

/// How long a refresh token lives (IDN-S1).
pub const REFRESH_LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long a session lasts at most (IDN-S1).
pub const SESSION_LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long an elevation lasts (IDN-S5).
pub const ELEVATION: SignedDuration = SignedDuration::from_mins(5);

/// The label of a session's refresh token of a generation; see [`Question::TokenHash`].
pub fn refresh_token_label(session: Uuid, generation: u32) -> String {
    format!("refresh|{session}|{generation}")
}

/// The state that decisions, and the edge, need.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Session {
    /// Whose it is.
    pub account: Option<Uuid>,
    /// With which kind of client.
    pub client: ClientProfile,
    /// The account's token version when it began.
    pub version: u64,
    /// The generation of the refresh token that works next.
    pub generation: u32,
    /// The access token that was issued last.
    pub jti: Uuid,
    /// When it ends at the latest.
    pub ends_at: Option<Timestamp>,
    /// Until when the refresh token works.
    pub refresh_expires_at: Option<Timestamp>,
    /// Until when sensitive commands are let through.
    pub elevated_until: Option<Timestamp>,
    /// Whether a second factor was shown in it (IDN-A9).
    #[serde(default)]
    pub second_factor: bool,
    /// Whether it has ended.
    pub ended: bool,
}

impl Session {
    /// Whether its tokens are accepted (IDN-S4).
    pub fn is_live(&self, account: &Account, now: Timestamp) -> bool {
        self.account.is_some()
            && !self.ended
            && account.is_active(now)
            && self.version >= account.sessions_since
            && self.ends_at.is_some_and(|end| end > now)
    }

    /// Whether sensitive commands are let through (IDN-S5).
    pub fn is_elevated(&self, now: Timestamp) -> bool {
        self.elevated_until.is_some_and(|until| until > now)
    }
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum SessionEnd {
    Logout,
    Expired,
    Revoked,
    /// A refresh token was used twice: one of the two was stolen.
    Reuse,
    Admin,
}

/// What can be asked of a session.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum SessionCommand {
    /// Begins a session after a login.
    #[schemars(extend("x-system" = true))]
    StartSession {
        /// Whose it is.
        account: Uuid,
        /// With which kind of client.
        client: ClientProfile,
        /// How the person proved who they are.
        method: LoginMethod,
        /// The account's token version before they did, as far as the edge knows.
        token_version: u64,
        /// What the client says of itself, up to 300 characters.
        device: Stated<String>,
    },
    /// Exchanges a refresh token for the next one.
    #[schemars(extend("x-system" = true))]
    RotateRefreshToken {
        /// The generation that the token names.
        generation: u32,
        /// The token.
        token: Stated<String>,
    },
    /// Lets sensitive commands through for a while, after the person has proven again who they are.
    #[schemars(extend("x-system" = true))]
    ElevateSession {
        /// Whether they did so with a second factor.
        second_factor: bool,
    },
    /// Ends the session. One that has ended stays so.
    EndSession {
        /// Why.
        reason: SessionEnd,
    },
}

/// What can have happened to a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum SessionEvent {
    /// A session began. `version` is the account's token version, `jti` the first access token.
    SessionStarted {
        account: Uuid,
        client: ClientProfile,
        method: LoginMethod,
        device: Personal<String, SecurityLog>,
        version: u64,
        jti: Uuid,
        access_ttl_s: u32,
        refresh_expires_at: Timestamp,
        ends_at: Timestamp,
    },
    /// The refresh token was exchanged for the one of this generation.
    RefreshTokenRotated { generation: u32, jti: Uuid, refresh_expires_at: Timestamp },
    /// A refresh token of an older generation was presented.
    RefreshTokenReuseDetected { generation: u32 },
    /// Sensitive commands are let through.
    SessionElevated {
        until: Timestamp,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        second_factor: bool,
    },
    /// The session ended. `jti` is the access token that was issued last.
    SessionEnded { reason: SessionEnd, jti: Uuid },
}

impl Event for SessionEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
pub enum SessionRefusal {
    /// The account is not in use.
    #[error("the account is not active")]
    AccountNotActive {},
    /// The account's tokens were revoked after the person had proven who they are.
    #[error("all sessions of the account were ended since that proof")]
    ProofOutdated {},
    /// The token is none of ours, was used, or was revoked.
    #[error("the refresh token is not valid")]
    TokenInvalid {},
    /// The token's time is over.
    #[error("the refresh token has expired")]
    TokenExpired {},
}

impl Refusal for SessionRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        match self {
            SessionRefusal::AccountNotActive {} => RefusalKind::Forbidden,
            SessionRefusal::ProofOutdated {} => RefusalKind::Conflict,
            SessionRefusal::TokenInvalid {} | SessionRefusal::TokenExpired {} => RefusalKind::Invalid,
        }
    }
}

/// What a session must know of others.
#[derive(Default)]
pub struct SessionFacts {
    /// The account's token version, where it is active.
    pub version: Option<u64>,
    /// The least token version that counts: older ones were revoked.
    pub sessions_since: u64,
    /// Whether the session's tokens count, as far as the account says.
    pub live: bool,
    /// The hash of the token of the generation that was presented.
    pub token_hash: Option<String>,
}

impl Decider for Session {
    const TYPE: &'static str = "identity.session";
    const CLASS: Option<RecordClass> = Some(RecordClass::SecurityLog);
    const RESTRICTABLE: bool = false;
    type Command = SessionCommand;
    type Event = SessionEvent;
    type Refusal = SessionRefusal;
    type Facts = SessionFacts;

    fn creates(command: &SessionCommand) -> bool {
        matches!(command, SessionCommand::StartSession { .. })
    }

    fn facts(
        &self,
        command: &SessionCommand,
        context: &Context,
        known: &mut impl Known,
    ) -> Result<SessionFacts, NotYet> {
        use SessionCommand as C;
        let mut facts = SessionFacts::default();
        let account = match command {
            C::StartSession { account, .. } => Some(*account),
            C::RotateRefreshToken { .. } | C::ElevateSession { .. } => self.account,
            C::EndSession { .. } => None,
        };
        if let Some(account) = account {
            // Pinned: a revocation meanwhile is not missed.
            let account = known.pinned::<Account>(account)?.state;
            facts.version = account.is_active(context.now).then_some(account.token_version);
            facts.sessions_since = account.sessions_since;
            facts.live = self.is_live(&account, context.now);
        }
        if let C::RotateRefreshToken { generation, .. } = command {
            let label = refresh_token_label(context.id, *generation);
            if let Answer::Hash(hash) = known.ask(Question::TokenHash { label })? {
                facts.token_hash = Some(hash);
            }
        }
        Ok(facts)
    }

    fn may(&self, actor: &Actor, command: &SessionCommand) -> bool {
        use SessionCommand as C;
        match command {
            C::StartSession { .. } | C::RotateRefreshToken { .. } | C::ElevateSession { .. } => {
                actor.is_system()
            }
            C::EndSession { .. } => {
                actor.is_system()
                    || actor.has_role("admin")
                    || self.account.is_some_and(|account| actor.is(account))
            }
        }
    }

    fn decide(&self, command: SessionCommand, facts: &SessionFacts, context: &Context) -> Decided<Self> {
        use SessionCommand as C;
        use SessionEvent as E;
        use SessionRefusal as R;
        let now = context.now;
        let after = |span: SignedDuration| now.saturating_add(span).unwrap_or(Timestamp::MAX);
        let ended = Refused::InvalidState { state: "ended", command: (&command).into() };
        let end = |reason| E::SessionEnded { reason, jti: self.jti };
        let event = match command {
            C::StartSession { .. } if self.account.is_some() => {
                return Err(Refused::InvalidState { state: "active", command: "StartSession" });
            }
            C::StartSession { account, client, method, token_version, device } => {
                bounds::text("device", &device.0, 0..=300)?;
                let version = facts.version.ok_or(R::AccountNotActive {})?;
                if token_version < facts.sessions_since {
                    return Err(R::ProofOutdated {}.into());
                }
                E::SessionStarted {
                    account,
                    client,
                    method,
                    device: device.about(account),
                    version,
                    jti: context.derive("jti"),
                    access_ttl_s: client.access_ttl_s(),
                    refresh_expires_at: after(REFRESH_LIFETIME),
                    ends_at: after(SESSION_LIFETIME),
                }
            }
            C::RotateRefreshToken { .. } if self.ended => return Err(R::TokenInvalid {}.into()),
            C::RotateRefreshToken { generation, token } => {
                // Before anything is believed of it, the token must be one that was issued here.
                if facts.token_hash.as_ref() != Some(&sha256_hex(&token.0)) || generation > self.generation {
                    return Err(R::TokenInvalid {}.into());
                }
                if generation < self.generation {
                    let detected = E::RefreshTokenReuseDetected { generation };
                    let events = vec![detected, end(SessionEnd::Reuse)];
                    return Err(Refused::OnRecord(R::TokenInvalid {}, events));
                }
                if self.refresh_expires_at.is_none_or(|end| end <= now) {
                    return Err(Refused::OnRecord(R::TokenExpired {}, vec![end(SessionEnd::Expired)]));
                }
                if !facts.live {
                    return Err(Refused::OnRecord(R::TokenInvalid {}, vec![end(SessionEnd::Revoked)]));
                }
                let last = self.ends_at.unwrap_or(now);
                E::RefreshTokenRotated {
                    generation: generation + 1,
                    jti: context.derive("jti"),
                    refresh_expires_at: after(REFRESH_LIFETIME).min(last),
                }
            }
            C::ElevateSession { .. } if self.ended || !facts.live => return Err(ended),
            C::ElevateSession { second_factor } => {
                E::SessionElevated { until: after(ELEVATION), second_factor }
            }
            C::EndSession { .. } if self.ended => return Ok(Vec::new()),
            C::EndSession { reason } => end(reason),
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &SessionEvent) {
        use SessionEvent as E;
        match event {
            E::SessionStarted {
                account, client, method, version, jti, refresh_expires_at, ends_at, ..
            } => {
                *self = Session {
                    account: Some(*account),
                    client: *client,
                    version: *version,
                    jti: *jti,
                    ends_at: Some(*ends_at),
                    refresh_expires_at: Some(*refresh_expires_at),
                    second_factor: method.has_second_factor(),
                    ..Session::default()
                };
            }
            E::RefreshTokenRotated { generation, jti, refresh_expires_at } => {
                (self.generation, self.jti) = (*generation, *jti);
                self.refresh_expires_at = Some(*refresh_expires_at);
            }
            E::RefreshTokenReuseDetected { .. } => {}
            E::SessionElevated { until, second_factor } => {
                self.elevated_until = Some(*until);
                self.second_factor |= *second_factor;
            }
            E::SessionEnded { .. } => self.ended = true,
        }
    }

    fn subject(&self) -> Option<Uuid> {
        self.account
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
