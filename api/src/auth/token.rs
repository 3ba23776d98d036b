//! What an access token says (RFC 9068), and whom it makes the caller.

use std::{collections::BTreeSet, sync::Arc};

use domain::{Actor, RoleGrant, SERVICE, scopes_of_role};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, Validation, errors::ErrorKind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AUDIENCE, ISSUER};

/// The type of an access token (`typ`).
pub(super) const MEDIA_TYPE: &str = "at+jwt";

/// How that may be written (RFC 9068, 4).
pub(super) const MEDIA_TYPES: [&str; 2] = [MEDIA_TYPE, "application/at+jwt"];

/// How far clocks may differ, in seconds.
const LEEWAY: u64 = 30;

/// For how many seconds somebody who has shown a second factor is elevated (IDN-S5).
pub const ELEVATED_FOR: i64 = 300;

/// The client of tokens that the operator's command line signs.
const OPERATOR: &str = "operator";

/// What `amr` says where a second factor was shown (RFC 8176).
const SECOND_FACTOR: &str = "mfa";

/// The claims of an access token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// Whom it is for.
    pub aud: String,
    /// The account, or the API client.
    pub sub: String,
    /// Until when it is valid, in seconds of Unix time.
    pub exp: i64,
    /// From when on it is valid.
    pub nbf: i64,
    /// When it was issued.
    pub iat: i64,
    /// Its own identity.
    pub jti: Uuid,
    /// The roles of a person, `role` or `role@<org unit>`; of a client, the org units that it acts for, `service@<org unit>`.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The scopes of a client, or what a person's token is narrowed to; separated by spaces. In the token of a login session it
    /// tells what the roles bring that are held everywhere (RFC 9068, 2.2.3), and narrows nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The client; where it is the subject, the caller is that client and no person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The login session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// When the person last showed who they are, in seconds of Unix time (RFC 9068, 2.2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// How they did; `mfa` where a second factor was among it (RFC 8176).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// The token version of the account when it was issued (IDN-A7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// What the roles of this deployment bring, beside those of the house.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub scopes: BTreeSet<String>,
    /// The account, once more (IDN-S2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Uuid>,
    /// `access`: what else is signed here is no access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_type: Option<String>,
}

impl Claims {
    /// A token of the operator's for a person with these roles, valid from now on for a while.
    pub fn new(subject: Uuid, roles: Vec<String>, lifetime: SignedDuration, now: Timestamp) -> Self {
        let now = now.as_second();
        Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: subject.to_string(),
            exp: now.saturating_add(lifetime.as_secs()),
            nbf: now,
            iat: now,
            jti: Uuid::now_v7(),
            roles,
            scope: None,
            client_id: Some(OPERATOR.to_owned()),
            sid: None,
            auth_time: None,
            amr: Vec::new(),
            version: None,
            scopes: BTreeSet::new(),
            user_id: None,
            token_type: None,
        }
    }

    /// The same, for somebody who showed a second factor at this moment.
    pub fn elevated_at(mut self, moment: Timestamp) -> Self {
        self.auth_time = Some(moment.as_second());
        self.amr = vec![SECOND_FACTOR.to_owned()];
        self
    }
}

/// Why a token is not accepted, in words that may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rejected(pub &'static str);

impl Rejected {
    /// The time of a token that was given out here is over.
    pub const EXPIRED: Rejected = Rejected("it has expired");
}

impl From<jsonwebtoken::errors::Error> for Rejected {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        Rejected(match error.kind() {
            ErrorKind::InvalidSignature => "its signature does not verify",
            ErrorKind::ExpiredSignature => return Rejected::EXPIRED,
            ErrorKind::ImmatureSignature => "it is not valid yet",
            ErrorKind::InvalidIssuer => "its issuer is another one",
            ErrorKind::InvalidAudience => "it is for another audience",
            ErrorKind::MissingRequiredClaim(_) => "a claim is missing",
            _ => "it is malformed",
        })
    }
}

/// A verified token: who calls, and until when that holds.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// The caller.
    pub actor: Actor,
    /// The login session.
    pub session: Option<String>,
    /// The token version of the account when it was issued; of a client, the number of the key that it was issued for.
    pub version: Option<u64>,
    /// When the token expires, in seconds of Unix time.
    pub expires: i64,
    /// When the caller showed a second factor, in seconds of Unix time.
    pub elevated_at: Option<i64>,
    /// Whether the operator's command line signed it: those have limits of their own.
    pub operator: bool,
    /// The scopes that roles of this deployment brought when it was issued.
    pub brought: BTreeSet<String>,
}

impl Ticket {
    /// Whether the caller has shown a second factor just now (IDN-S5).
    pub fn is_elevated(&self, now: Timestamp) -> bool {
        let since = self.elevated_at.map(|then| now.as_second().saturating_sub(then));
        since.is_some_and(|seconds| (-(LEEWAY as i64)..=ELEVATED_FOR).contains(&seconds))
    }

    /// Whether the token's time is over.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires <= now.as_second()
    }

    /// The caller that verified claims name.
    pub(super) fn of(claims: Claims) -> Result<Self, Rejected> {
        let now = Timestamp::now().as_second();
        if claims.iat > now.saturating_add(LEEWAY as i64) {
            return Err(Rejected("it was issued in the future"));
        }
        // No leeway: a role that ends sooner ends the token.
        if claims.exp <= now {
            return Err(Rejected::EXPIRED);
        }
        if claims.token_type.as_deref().is_some_and(|kind| kind != "access") {
            return Err(Rejected("it is not an access token"));
        }
        // RFC 9068, 2.2.
        let Some(client) = claims.client_id.as_deref() else { return Err(Rejected("a claim is missing")) };
        let subject: Uuid = claims.sub.parse().map_err(|_| Rejected("its subject is not a UUID"))?;
        let scopes: Option<BTreeSet<String>> = claims
            .scope
            .as_deref()
            .map(|scopes| scopes.split_ascii_whitespace().map(str::to_owned).collect());
        let mut brought = BTreeSet::new();
        let operator = client == OPERATOR;
        let actor = if client == claims.sub {
            let roles = claims.roles.iter().map(|role| grant(role)).collect::<Result<Vec<_>, _>>()?;
            if roles.iter().any(|grant| grant.role != SERVICE) {
                return Err(Rejected("a client has no role but service"));
            }
            Actor::client(subject, scopes.unwrap_or_default(), roles)
        } else {
            let roles = claims.roles.iter().map(|role| grant(role)).collect::<Result<_, _>>()?;
            let mut actor = Actor::with_roles(subject, roles);
            brought = claims.scopes.into_iter().filter(|scope| !actor.scopes.contains(scope)).collect();
            Arc::make_mut(&mut actor.scopes).extend(brought.iter().cloned());
            narrowed(actor, scopes.filter(|_| claims.sid.is_none()))
        };
        let elevated = claims.amr.iter().any(|method| method == SECOND_FACTOR);
        let elevated_at = claims.auth_time.filter(|_| elevated);
        let (session, version) = (claims.sid, claims.version);
        Ok(Ticket { actor, session, version, expires: claims.exp, elevated_at, operator, brought })
    }
}

/// `staff`, or `institution_admin@<org unit>`.
fn grant(text: &str) -> Result<RoleGrant, Rejected> {
    let (role, within) = match text.split_once('@') {
        Some((role, org)) => {
            (role, Some(org.parse().map_err(|_| Rejected("a role is held in what is not a UUID"))?))
        }
        None => (text, None),
    };
    Ok(RoleGrant { role: role.to_owned(), within })
}

/// A token can be narrowed to some of the scopes that its subject's roles bring. A role counts only as a whole, so it
/// goes when one of its scopes is not among them, and `admin`, which has all there are, goes in any case.
fn narrowed(mut actor: Actor, scopes: Option<BTreeSet<String>>) -> Actor {
    if let Some(scopes) = scopes {
        Arc::make_mut(&mut actor.scopes).retain(|scope| scopes.contains(scope));
        let whole = |grant: &&RoleGrant| {
            let brings = scopes_of_role(&grant.role);
            !brings.is_empty() && brings.iter().all(|scope| scopes.contains(*scope))
        };
        actor.roles = actor.roles.iter().filter(whole).cloned().collect();
    }
    actor
}

/// What a token must fulfil.
pub(super) fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
    validation
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::ActorKind;

    use super::{super::SigningKeys, *};

    fn verified(change: impl FnOnce(&mut Claims)) -> Result<Arc<Ticket>, Rejected> {
        let keys = SigningKeys::single(&[9; 32]).unwrap();
        let lifetime = SignedDuration::from_mins(5);
        let roles = vec!["admin".into(), "institution_admin@00000000-0000-0000-0000-000000000005".into()];
        let mut claims = Claims::new(Uuid::from_u128(7), roles, lifetime, Timestamp::now());
        change(&mut claims);
        keys.verify(&keys.sign(&claims).unwrap())
    }

    #[test]
    fn a_role_may_be_held_within_an_org_unit() {
        let ticket = verified(|claims| drop(claims.roles.remove(0))).unwrap();
        let actor = &ticket.actor;
        assert!(actor.has_within("approve:recognition", &[Uuid::from_u128(5)]));
        assert!(!actor.has_within("approve:recognition", &[Uuid::from_u128(6)]));
    }

    #[test]
    fn each_registered_claim_is_checked() {
        let hour = 3600;
        for (change, why) in [
            ((|claims| claims.exp -= 3600) as fn(&mut Claims), "it has expired"),
            (|claims| claims.exp -= 300, "it has expired"),
            (|claims| claims.nbf += 3600, "it is not valid yet"),
            (|claims| claims.iat += 3600, "it was issued in the future"),
            (|claims| claims.iss = "somebody".into(), "its issuer is another one"),
            (|claims| claims.aud = "others".into(), "it is for another audience"),
            (|claims| claims.client_id = None, "a claim is missing"),
            (|claims| claims.sub = "anna".into(), "its subject is not a UUID"),
            (|claims| claims.roles = vec!["staff@here".into()], "a role is held in what is not a UUID"),
        ] {
            assert_eq!(verified(change).unwrap_err(), Rejected(why), "{hour}");
        }
    }

    #[test]
    fn a_narrowed_token_holds_no_more_than_its_scopes() {
        let narrow = |scope: &'static str| {
            let narrowed = verified(move |claims| {
                claims.roles = vec!["admin".into(), "institution_admin".into()];
                claims.scope = Some(scope.into());
            });
            narrowed.unwrap().actor.clone()
        };
        let actor = narrow("read:public approve:recognition");
        assert!(actor.has("approve:recognition") && actor.has("read:public"));
        assert!(!actor.has("manage:scholarships") && !actor.has("own") && actor.roles.is_empty());
    }

    #[test]
    fn idn_s5_who_showed_a_second_factor_is_elevated_for_five_minutes() {
        let now = Timestamp::now();
        let at = |seconds: i64| now + SignedDuration::from_secs(seconds);
        let ticket = verified(|claims| *claims = claims.clone().elevated_at(now)).unwrap();
        assert!(ticket.is_elevated(now) && ticket.is_elevated(at(ELEVATED_FOR)));
        assert!(!ticket.is_elevated(at(ELEVATED_FOR + 1)) && !ticket.is_elevated(at(-60)));
        assert!(!verified(|_| {}).unwrap().is_elevated(now), "a token that says nothing of it");
        let password = verified(|claims| {
            claims.auth_time = Some(now.as_second());
            claims.amr = vec!["pwd".into()];
        });
        assert!(!password.unwrap().is_elevated(now), "one factor is not two");
    }

    #[test]
    fn a_client_acts_for_the_org_units_of_its_token() {
        let client = |roles: &[&str]| {
            let roles = roles.iter().map(|role| (*role).to_owned()).collect();
            verified(|claims| {
                claims.client_id = Some(claims.sub.clone());
                claims.scope = Some("write:credentials".into());
                claims.roles = roles;
            })
        };
        let here = Uuid::from_u128(5);
        let bound = client(&[&format!("service@{here}")]).unwrap();
        assert!(bound.actor.has_within("write:credentials", &[here]));
        assert!(!bound.actor.has_within("write:credentials", &[Uuid::from_u128(6)]));
        assert!(!client(&[]).unwrap().actor.has_within("write:credentials", &[here]));
        assert_eq!(client(&["admin"]).unwrap_err(), Rejected("a client has no role but service"));
    }

    #[test]
    fn a_client_has_exactly_the_scopes_of_its_token() {
        let ticket = verified(|claims| {
            claims.roles.clear();
            claims.client_id = Some(claims.sub.clone());
            claims.scope = Some("write:transactions".into());
        });
        let actor = ticket.unwrap().actor.clone();
        assert_eq!(actor.kind, ActorKind::ApiClient);
        assert!(actor.has("write:transactions") && !actor.has("own") && !actor.has_role("admin"));
    }
}
