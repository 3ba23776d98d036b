//! The tokens of a session: what an access token says follows from the session, the account and the policy.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use domain::{
    identity::{Account, ClientProfile, SecurityPolicy, Session, refresh_token_label},
    scopes_of_role,
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{answer, bodies::Tokens, cookies};
use crate::{
    auth::Claims,
    http::Api,
    problem::{INTERNAL, Problem},
};

/// The answer to a login or a rotation: tokens in the body, or for browsers in cookies.
pub(super) fn issued(
    api: &Api,
    id: Uuid,
    session: &Session,
    account: &Account,
    policy: &SecurityPolicy,
) -> Result<HttpResponse, Problem> {
    let now = Timestamp::now();
    let owner = session.account.unwrap_or_default();
    let (claims, expires_in) = claims(id, session, account, policy, now);
    let access = api.keys.sign(&claims).map_err(|error| {
        tracing::error!(%error, "a token could not be signed");
        Problem::new(INTERNAL, "the token could not be signed")
    })?;
    let label = refresh_token_label(id, session.generation);
    let refresh = format!("{id}.{}.{}", session.generation, api.credentials.tokens.token(&label));
    let mut tokens = Tokens {
        token_type: "Bearer",
        access_token: None,
        expires_in,
        refresh_token: None,
        csrf_token: None,
        account: owner,
        session: id,
        must_change_password: account.must_change_password,
        must_enrol_mfa: !account.has_mfa() && account.needs_mfa(policy, now),
    };
    match session.client {
        ClientProfile::Web => {
            tokens.csrf_token = Some(api.credentials.csrf(&id.to_string()));
            let mut response = answer(&tokens);
            let left = session.refresh_expires_at.map_or(0, |end| end.duration_since(now).as_secs());
            cookies::give(&mut response, &access, expires_in, &refresh, left);
            Ok(response)
        }
        ClientProfile::Mobile | ClientProfile::Api => {
            (tokens.access_token, tokens.refresh_token) = (Some(access), Some(refresh));
            Ok(answer(&tokens))
        }
    }
}

/// What the access token says, and for how many seconds. A role that needs a second factor sleeps until one was shown in this
/// session, and all of them do while the password must be changed (IDN-A9).
fn claims(
    id: Uuid,
    session: &Session,
    account: &Account,
    policy: &SecurityPolicy,
    now: Timestamp,
) -> (Claims, i64) {
    let shown = session.second_factor && account.has_mfa();
    let awake: Vec<_> = account
        .roles_at(now)
        .filter(|_| !account.must_change_password)
        .filter(|held| shown || !policy.needs_mfa(&held.grant.role))
        .collect();
    // A role that ends sooner ends the token.
    let ends = awake.iter().filter_map(|held| held.until).map(|until| until.duration_since(now).as_secs());
    let lifetime = ends.fold(session.client.access_ttl_s().into(), i64::min).max(1);
    let roles = awake.iter().map(|held| match held.grant.within {
        Some(within) => format!("{}@{within}", held.grant.role),
        None => held.grant.role.clone(),
    });
    // What roles of this deployment bring, nobody else knows.
    let own = awake.iter().filter(|held| held.grant.within.is_none());
    let own = own.filter_map(|held| policy.roles.get(&held.grant.role)).flat_map(|role| role.scopes.clone());
    let own: BTreeSet<String> = own.collect();
    let everywhere = awake.iter().filter(|held| held.grant.within.is_none());
    let names = everywhere.map(|held| held.grant.role.as_str()).chain(["member"]);
    let brought = names.flat_map(|role| scopes_of_role(role).iter().copied());
    let scope: BTreeSet<&str> = brought.chain(own.iter().map(String::as_str)).collect();
    let scope = scope.into_iter().collect::<Vec<_>>().join(" ");
    let owner = session.account.unwrap_or_default();
    let fresh = Claims::new(owner, roles.collect(), SignedDuration::from_secs(lifetime), now);
    let client: &'static str = session.client.into();
    let claims = Claims {
        jti: session.jti,
        sid: Some(id.to_string()),
        version: Some(account.token_version),
        scope: Some(scope).filter(|scope| !scope.is_empty()),
        user_id: Some(owner),
        scopes: own,
        client_id: Some(client.to_owned()),
        token_type: Some("access".to_owned()),
        ..fresh
    };
    (claims, lifetime)
}
