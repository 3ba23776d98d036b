//! The keys of API clients: shown once, and good for calls or for an access token (IDN-C1, IDN-C2).

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use actix_web::HttpResponse;
use domain::{
    Actor, Decider,
    identity::{ApiClient, api_key_label, api_key_prefix},
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{
    answer,
    bodies::{ClientGrant, ClientToken},
    unproven,
};
use crate::{
    auth::{Claims, Ticket},
    http::{Api, Call},
    problem::{FORBIDDEN, INTERNAL, INVALID_VALUE, Problem},
};

/// How long a client's access token lives, in seconds (IDN-C2).
const TOKEN_S: i64 = 7200;

/// The key that a command has just made, if it has made one: its label is that of the command.
pub(in crate::http) fn key_of(
    api: &Api,
    aggregate_type: &str,
    command: &str,
    id: Uuid,
    command_id: Uuid,
) -> Option<String> {
    let makes = aggregate_type == ApiClient::TYPE && matches!(command, "IssueApiKey" | "RotateApiKey");
    makes.then(|| {
        let label = api_key_label(id, Uuid::new_v5(&command_id, b"key"));
        format!("{}.{}", api_key_prefix(id), api.credentials.tokens.token(&label))
    })
}

/// The caller that a key names.
///
/// # Errors
/// None that works now has such a key, or the quota of its month is used up.
pub(in crate::http) async fn caller(api: &Api, key: &str) -> Result<Ticket, Problem> {
    let (id, client) = holder(api, key).await?;
    let now = Timestamp::now();
    Ok(Ticket {
        actor: actor(id, client.scopes.iter().cloned().collect()),
        session: None,
        version: None,
        elevated_at: None,
        operator: false,
        brought: BTreeSet::new(),
        expires: now.as_second().saturating_add(60),
    })
}

/// Exchanges a key for an access token.
pub(super) async fn token(api: &Api, call: &Call<'_>, body: ClientGrant) -> Result<HttpResponse, Problem> {
    if body.grant_type != "client_credentials" {
        return Err(Problem::new(INVALID_VALUE, "expected `client_credentials`").at("grant_type"));
    }
    let (id, client) = holder(api, &body.client_secret.0).await?;
    let address = call.request.address().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    if !client.may_call_from(address) {
        return Err(Problem::new(FORBIDDEN, "this caller is not let in from there"));
    }
    let scopes: Vec<String> = match &body.scope {
        None => client.scopes.clone(),
        Some(asked) => {
            let asked: Vec<String> = asked.split_ascii_whitespace().map(str::to_owned).collect();
            if asked.is_empty() || !asked.iter().all(|scope| client.scopes.contains(scope)) {
                return Err(Problem::new(INVALID_VALUE, "the key has no such scope").at("scope"));
            }
            asked
        }
    };
    let now = Timestamp::now();
    // A token does not outlive its key.
    let left = client.expires_at.map_or(TOKEN_S, |end| end.duration_since(now).as_secs());
    let expires_in = TOKEN_S.min(left).max(1);
    let scope = scopes.join(" ");
    let claims = Claims {
        scope: Some(scope.clone()),
        client_id: Some(id.to_string()),
        token_type: Some("access".to_owned()),
        ..Claims::new(id, Vec::new(), SignedDuration::from_secs(expires_in), now)
    };
    let access_token = api.keys.sign(&claims).map_err(|error| {
        tracing::error!(%error, "a token could not be signed");
        Problem::new(INTERNAL, "the token could not be signed")
    })?;
    Ok(answer(&ClientToken { token_type: "Bearer", access_token, expires_in, scope }))
}

/// Whose key this is. Only its hash is compared: how long that takes tells nothing of the key.
async fn holder(api: &Api, key: &str) -> Result<(Uuid, Arc<ApiClient>), Problem> {
    let refused = || unproven("the key is not accepted");
    let (prefix, mac) = key.split_once('.').ok_or_else(refused)?;
    let id = prefix.strip_prefix("ak_").filter(|id| id.len() == 32).and_then(|id| id.parse().ok());
    let id: Uuid = id.ok_or_else(refused)?;
    let client = api.standing.client(id).await?;
    if client.opens(mac, Timestamp::now()) { Ok((id, client)) } else { Err(refused()) }
}

fn actor(id: Uuid, scopes: BTreeSet<String>) -> Actor {
    Actor::client(id, scopes, Vec::new())
}
