//! Identity: a profile for every account, an end for those that nobody verifies, the mails that carry tokens and warnings,
//! and an end for the sessions of those whose tokens were revoked (catalogue 3.1).

use domain::{
    Answer, Question, Stated,
    identity::{
        Account, AccountCommand, AccountEvent, ProfileCommand, Session, SessionCommand, SessionEnd,
        SessionEvent, TokenPurpose, account_token_label,
    },
    registry::{AnyCommand, AnyEvent},
    sha256_hex,
};
use jiff::SignedDuration;
use uuid::Uuid;

use super::{
    Fact, Issue, Policy, Reaction, Reactions, Timer, World, mail::hand_over, notices::post, timer_id,
};
use crate::{CommandError, execute::now, ports::Mail};

/// How long an account may wait for its address to be verified.
const UNVERIFIED: SignedDuration = SignedDuration::from_hours(14 * 24);

/// P-01: who registers has a profile; who does not verify the address within 14 days has no account.
pub(super) struct WelcomeAccounts;

impl Policy for WelcomeAccounts {
    fn name(&self) -> &'static str {
        "welcome_accounts"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["AccountRegistered", "EmailVerified"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, _: &'a World) -> Reactions<'a> {
        let timer = timer_id(self.name(), &[&fact.id.to_string()]);
        let AnyEvent::Account(event) = &fact.event else {
            return Box::pin(std::future::ready(Ok(Vec::new())));
        };
        let reactions = match event {
            AccountEvent::AccountRegistered { display_name, .. } => {
                let due_at = fact.recorded_at.saturating_add(UNVERIFIED).unwrap_or(fact.recorded_at);
                let reason = "the address was not verified".to_owned();
                let command = AnyCommand::Account(AccountCommand::DeactivateAccount { reason });
                let end = Reaction::Arm(Timer { id: timer, due_at, aggregate: fact.id, command });
                // Whose name is erased already has nothing to be welcomed with.
                let named = display_name.get().cloned().map(|name| {
                    let create = ProfileCommand::CreateProfile { display_name: Stated(name) };
                    Reaction::from(Issue::new(fact.id, AnyCommand::Profile(create), "profile"))
                });
                named.into_iter().chain([end]).collect()
            }
            AccountEvent::EmailVerified {} => vec![Reaction::Disarm(timer)],
            _ => Vec::new(),
        };
        Box::pin(std::future::ready(Ok(reactions)))
    }
}

/// P-03: the sessions of an account whose tokens were revoked are ended. Nobody lets them through in the meantime either
/// (IDN-S4): this puts on record that they are over.
pub(super) struct EndSessions;

impl Policy for EndSessions {
    fn name(&self) -> &'static str {
        "end_sessions"
    }

    fn interests(&self) -> &'static [&'static str] {
        &[
            "PasswordChanged",
            "PasswordReset",
            "AccountSuspended",
            "AccountDeactivated",
            "TokensRevoked",
            "AccountErased",
            "RoleRevoked",
        ]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let question = Question::LiveSessions { account: fact.id };
            let Answer::References(sessions) = world.ask(question, fact).await? else {
                return Ok(Vec::new());
            };
            let mut reactions = Vec::new();
            for session in sessions {
                // One that began since is not meant.
                let state = world.state::<Session>(session).await?.state;
                let account = world.state::<Account>(fact.id).await?.state;
                let since = match &fact.event {
                    AnyEvent::Account(AccountEvent::RoleRevoked { token_version, .. }) => *token_version,
                    _ => account.sessions_since,
                };
                if state.version < since {
                    let end = SessionCommand::EndSession { reason: SessionEnd::Revoked };
                    reactions.push(Issue::new(session, AnyCommand::Session(end), session.to_string()).into());
                }
            }
            Ok(reactions)
        })
    }
}

/// P-01, IDN-A4: the tokens that verify an address or replace a password go to the address that they are about, and
/// nowhere else.
pub(super) struct MailTokens;

impl Policy for MailTokens {
    fn name(&self) -> &'static str {
        "mail_account_tokens"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["AccountRegistered", "VerificationRequested", "EmailChangeRequested", "PasswordResetRequested"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::Account(event) = &fact.event else { return Ok(Vec::new()) };
            let (purpose, token_id, to) = match event {
                AccountEvent::AccountRegistered { email, token_id, .. } => {
                    (TokenPurpose::VerifyEmail, *token_id, email.get().cloned())
                }
                AccountEvent::VerificationRequested { token_id, .. } => {
                    (TokenPurpose::VerifyEmail, *token_id, address_of(fact.id, world).await?)
                }
                AccountEvent::EmailChangeRequested { new_email, token_id, .. } => {
                    (TokenPurpose::ChangeEmail, *token_id, new_email.get().cloned())
                }
                AccountEvent::PasswordResetRequested { token_id, .. } => {
                    (TokenPurpose::ResetPassword, *token_id, address_of(fact.id, world).await?)
                }
                _ => return Ok(Vec::new()),
            };
            let label = account_token_label(purpose, fact.id, token_id);
            let token = world.ports().tokens.token(&label);
            // One that was used, replaced or came too late confirms nothing: history that is imported mails nobody.
            let account = world.state::<Account>(fact.id).await?.state;
            if !account.awaits(purpose, &sha256_hex(&token), now()) {
                return Ok(Vec::new());
            }
            let token = format!("{}.{token}", fact.id);
            let (subject, why) = match purpose {
                TokenPurpose::VerifyEmail => {
                    ("Verify your address", "An account was registered with this address.")
                }
                TokenPurpose::ChangeEmail => {
                    ("Confirm your address", "This address is to become that of an account.")
                }
                TokenPurpose::ResetPassword => ("Your password", "A new password was asked for."),
            };
            let text = format!(
                "{why} If that was you, this token confirms it, once and for a short time:\n\n{token}\n\nIf it was \
                 not, do nothing, and give the token to nobody.\n"
            );
            send(to, subject, text, fact, world).await
        })
    }
}

/// P-02: what may be the doing of somebody else is told to the holder of the account.
pub(super) struct WarnHolders;

impl Policy for WarnHolders {
    fn name(&self) -> &'static str {
        "warn_account_holders"
    }

    fn interests(&self) -> &'static [&'static str] {
        &[
            "AccountLocked",
            "RefreshTokenReuseDetected",
            "WebAuthnCloneSuspected",
            "TotpEnabled",
            "TotpDisabled",
            "RecoveryCodeUsed",
            "RecoveryCodesRegenerated",
            "WebAuthnCredentialRegistered",
            "WebAuthnCredentialRemoved",
            "EmailChangeRequested",
            "EmailChanged",
            "PasswordChanged",
            "PasswordReset",
            "SsoIdentityLinked",
            "SsoIdentityUnlinked",
            "SessionStarted",
            "RegistrationAttempted",
        ]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let (account, what) = match &fact.event {
                AnyEvent::Session(SessionEvent::RefreshTokenReuseDetected { .. }) => {
                    let session = world.state::<Session>(fact.id).await?.state;
                    (session.account, "A session was ended because its token was used twice.")
                }
                AnyEvent::Session(SessionEvent::SessionStarted { account, .. }) => {
                    let question = Question::IsNewDevice { account: *account, session: fact.id };
                    if world.ask(question, fact).await? != Answer::Flag(true) {
                        return Ok(Vec::new());
                    }
                    (Some(*account), "Somebody logged in with a device that had not been used before.")
                }
                AnyEvent::Account(AccountEvent::RegistrationAttempted { .. }) => {
                    return tell_of_attempt(fact, world).await;
                }
                AnyEvent::Account(event) => {
                    let what = match event {
                        AccountEvent::AccountLocked { .. } => "It was locked after too many failed logins.",
                        AccountEvent::WebAuthnCloneSuspected { .. } => "A security key may have been copied.",
                        AccountEvent::TotpEnabled { .. } => "One-time codes were switched on.",
                        AccountEvent::TotpDisabled { .. } => "One-time codes were switched off.",
                        AccountEvent::RecoveryCodeUsed { .. } => "A recovery code was used.",
                        AccountEvent::RecoveryCodesRegenerated { .. } => "It has new recovery codes.",
                        AccountEvent::WebAuthnCredentialRegistered { .. } => "A security key was added.",
                        AccountEvent::WebAuthnCredentialRemoved { .. } => "A security key was removed.",
                        AccountEvent::EmailChangeRequested { .. } => "Another e-mail address was asked for.",
                        AccountEvent::EmailChanged { .. } => "This address is now its e-mail address.",
                        AccountEvent::PasswordChanged { .. } => "The password was changed.",
                        AccountEvent::PasswordReset { .. } => "The password was replaced.",
                        AccountEvent::SsoIdentityLinked { .. } => "Another way to log in was linked.",
                        AccountEvent::SsoIdentityUnlinked { .. } => "A way to log in was taken away.",
                        _ => return Ok(Vec::new()),
                    };
                    (Some(fact.id), what)
                }
                _ => return Ok(Vec::new()),
            };
            let to = match (&fact.event, account) {
                // Whatever it was changed to since.
                (AnyEvent::Account(AccountEvent::EmailChanged { email, .. }), _) => email.get().cloned(),
                (_, Some(account)) => address_of(account, world).await?,
                (_, None) => None,
            };
            let text = format!(
                "Something happened to your account: {what} If that was you, there is nothing to do. If it was not, \
                 log out everywhere and replace your password.\n"
            );
            send(to, "Your account", text, fact, world).await
        })
    }
}

/// P-02: that an account has another address is told at the former one too: whoever took the account over reads only the new
/// one. It opens nothing any more, so that its reader can only turn to people; and it may not take mail any more, which is
/// why many change it.
pub(super) struct TellFormerAddresses;

impl Policy for TellFormerAddresses {
    fn name(&self) -> &'static str {
        "tell_former_addresses"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["EmailChanged"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let former = world.before::<Account>(fact).await?.email.get().cloned();
            if let Some(to) = former {
                let text = "Your account has another e-mail address now, and this one does not open it any more. If that was \
                            you, there is nothing to do. If it was not, tell those who look after accounts at once.\n";
                post(to, "Your former address", text.to_owned(), (fact, fact.id), world).await?;
            }
            Ok(Vec::new())
        })
    }
}

/// Registering with an address that is taken is answered as any other: only its holder learns of it.
async fn tell_of_attempt(fact: &Fact, world: &World) -> Result<Vec<Reaction>, CommandError> {
    let text = "Somebody tried to register with this address, which has an account already. If that was you, log in, or \
                ask for a new password. If it was not, there is nothing to do: they were told nothing, and nothing was \
                changed. However often it is tried, you are told once a day.\n";
    send(address_of(fact.id, world).await?, "Your address", text.to_owned(), fact, world).await
}

/// The address of an account, unless it is erased.
pub(super) async fn address_of(account: Uuid, world: &World) -> Result<Option<String>, CommandError> {
    Ok(world.state::<Account>(account).await?.state.email.get().cloned())
}

/// Where somebody is written to about a request of theirs: at the [`proven_address`], and where there is none, at the account's
/// as it is.
pub(super) async fn address_for_request(
    account: Uuid,
    on_file: Option<String>,
    world: &World,
) -> Result<Option<String>, CommandError> {
    match proven_address(account, on_file, world).await? {
        None => address_of(account, world).await,
        proven => Ok(proven),
    }
}

/// The address whose reader is the person (GOV-P2): the one that they have verified themselves, and where there is none, the
/// one on file that staff gave.
pub(super) async fn proven_address(
    account: Uuid,
    on_file: Option<String>,
    world: &World,
) -> Result<Option<String>, CommandError> {
    let account = world.state::<Account>(account).await?.state;
    // A token that was never used is still there.
    let verified = account.verification.is_none();
    Ok(account.email.get().cloned().filter(|_| verified).or(on_file))
}

/// Sends a mail, at least once; whose address was erased meanwhile is not written to.
async fn send(
    to: Option<String>,
    subject: &str,
    text: String,
    fact: &Fact,
    world: &World,
) -> Result<Vec<Reaction>, CommandError> {
    if let Some(to) = to {
        let message_id = Uuid::new_v5(&fact.event_id, subject.as_bytes());
        let mail = Mail { to, subject: subject.to_owned(), text, html: None, message_id };
        hand_over(&mail, fact, world).await?;
    }
    Ok(Vec::new())
}
