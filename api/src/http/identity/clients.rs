//! The keys of API clients: shown once, and good for calls or for an access token (IDN-C1, IDN-C2).
//!
//! A token is given as RFC 6749 has it (4.4), to whoever sends JSON as everywhere here, and to standard clients: these send a
//! form, and their id and key in it or in `Authorization: Basic`. That a form can be sent from any web site gives nothing
//! away: no cookie counts here, the key is in the request, and no other site reads the answer.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use actix_web::{
    HttpResponse,
    http::header::{AUTHORIZATION, HeaderMap, HeaderValue, PRAGMA, WWW_AUTHENTICATE},
    web,
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use commands::{Accepted, CommandError};
use domain::{
    Actor, Decider, Stated,
    identity::{ApiClient, api_key_label, api_key_prefix},
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{
    answer,
    bodies::{ClientGrant, ClientToken},
    read, unproven,
};
use crate::{
    auth::{Claims, Ticket},
    http::{
        Api, Call,
        body::{Body, is_form, single},
        overload::Kind,
    },
    problem::{
        FORBIDDEN, INTERNAL, INVALID_SCOPE, LOGIN_REFUSED, MALFORMED, Problem, UNSUPPORTED_GRANT_TYPE,
    },
};

/// How long a client's access token lives, in seconds (IDN-C2).
const TOKEN_S: i64 = 7200;

/// For how long a repeat of the command that made a key shows it again, to whoever lost the first answer.
const SHOWN_AGAIN_FOR: SignedDuration = SignedDuration::from_mins(10);

/// A key that a command has made.
pub(in crate::http) enum MadeKey {
    /// Here it is.
    Shown(String),
    /// It was shown before, and is not shown again (IDN-C1).
    Withheld,
}

/// The key that a command has made, if it has made one: its label is that of the command.
///
/// # Errors
/// The command is a repeat, and whether the key is still shown cannot be looked up.
pub(in crate::http) async fn key_of(
    api: &Api,
    aggregate_type: &str,
    command: &str,
    accepted: &Accepted,
    command_id: Uuid,
) -> Result<Option<MadeKey>, Problem> {
    if aggregate_type != ApiClient::TYPE || !matches!(command, "IssueApiKey" | "RotateApiKey") {
        return Ok(None);
    }
    if accepted.repeated && !is_shown_again(api, accepted, command_id).await? {
        return Ok(Some(MadeKey::Withheld));
    }
    let label = api_key_label(accepted.id, Uuid::new_v5(&command_id, b"key"));
    let key = format!("{}.{}", api_key_prefix(accepted.id), api.credentials.tokens.token(&label));
    Ok(Some(MadeKey::Shown(key)))
}

/// Whether a repeat shows the key again: it was made just now, and nothing has happened to the client since.
async fn is_shown_again(api: &Api, accepted: &Accepted, command_id: Uuid) -> Result<bool, Problem> {
    let current = api.commands.state::<ApiClient>(accepted.id).await?.version;
    let made = api.commands.store().outcome(command_id).await.map_err(CommandError::from)?;
    let recent = made.is_some_and(|made| is_recent(made.recorded_at, Timestamp::now()));
    Ok(recent && current == accepted.version)
}

fn is_recent(made: Timestamp, now: Timestamp) -> bool {
    now.duration_since(made) <= SHOWN_AGAIN_FOR
}

/// The caller that a key names.
///
/// # Errors
/// None that works now has such a key, or the quota of its month is used up.
pub(in crate::http) async fn caller(api: &Api, key: &str) -> Result<Ticket, Problem> {
    let (id, client, number) = holder(api, key).await?;
    let now = Timestamp::now();
    Ok(Ticket {
        actor: actor(id, client.scopes.iter().cloned().collect()),
        session: None,
        version: Some(number),
        elevated_at: None,
        operator: false,
        brought: BTreeSet::new(),
        expires: now.as_second().saturating_add(60),
    })
}

/// Exchanges a key for an access token. What is wrong is told in the words of OAuth as well.
pub(super) async fn token(api: &Api, call: &Call<'_>, body: Body) -> Result<HttpResponse, Problem> {
    granted(api, call, body).await.map_err(|problem| match oauth_error(&problem) {
        Some(error) => problem.oauth(error),
        None => problem,
    })
}

/// How RFC 6749, 5.2 calls what is wrong with the request; nothing where it is not the request that is wrong.
fn oauth_error(problem: &Problem) -> Option<&'static str> {
    let code = problem.code();
    match problem.status().as_u16() {
        _ if code == UNSUPPORTED_GRANT_TYPE.name => Some("unsupported_grant_type"),
        _ if code == INVALID_SCOPE.name => Some("invalid_scope"),
        401 => Some("invalid_client"),
        403 => Some("unauthorized_client"),
        400 | 408 | 413 | 415 | 422 => Some("invalid_request"),
        _ => None,
    }
}

async fn granted(api: &Api, call: &Call<'_>, body: Body) -> Result<HttpResponse, Problem> {
    let limit = api.body_limit().await;
    let body: ClientGrant = match is_form(call.request.headers()) {
        true => in_form(body.form(call.request, limit).await?)?,
        false => read(body.fields(call.request, limit).await?.get())?,
    };
    let _under_way = api.overload.enter(Kind::Command)?;
    if body.grant_type != "client_credentials" {
        return Err(Problem::new(UNSUPPORTED_GRANT_TYPE, "expected `client_credentials`").at("grant_type"));
    }
    let (id, client, number) = authenticated(api, call.request.headers(), &body).await?;
    let address = call.request.address().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    if !client.may_call_from(address) {
        return Err(Problem::new(FORBIDDEN, "this caller is not let in from there"));
    }
    let scopes: Vec<String> = match &body.scope {
        None => client.scopes.clone(),
        Some(asked) => {
            let asked: Vec<String> = asked.split_ascii_whitespace().map(str::to_owned).collect();
            if asked.is_empty() || !asked.iter().all(|scope| client.scopes.contains(scope)) {
                return Err(Problem::new(INVALID_SCOPE, "the key has no such scope").at("scope"));
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
        // A token does not outlive the key either that it was got with.
        version: Some(number),
        ..Claims::new(id, Vec::new(), SignedDuration::from_secs(expires_in), now)
    };
    let access_token = api.keys.sign(&claims).map_err(|error| {
        tracing::error!(%error, "a token could not be signed");
        Problem::new(INTERNAL, "the token could not be signed")
    })?;
    let mut response = answer(&ClientToken { token_type: "Bearer", access_token, expires_in, scope });
    response.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// What a form asks for: nothing of it twice. What else it says is passed over (RFC 6749, 3.2).
fn in_form(fields: Vec<(String, String)>) -> Result<ClientGrant, Problem> {
    let one = |name: &'static str| {
        let mut values = fields.iter().filter(|(own, _)| own == name).map(|(_, value)| value.clone());
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Problem::new(MALFORMED, "duplicate field").at(name)),
        }
    };
    let missing = || Problem::new(MALFORMED, "missing field").at("grant_type");
    Ok(ClientGrant {
        grant_type: one("grant_type")?.ok_or_else(missing)?,
        client_id: one("client_id")?,
        client_secret: one("client_secret")?.map(Stated),
        scope: one("scope")?,
    })
}

/// The client that asks, by the key in its body or in its header. Where it says who it is, it is whom the key names.
async fn authenticated(
    api: &Api,
    headers: &HeaderMap,
    body: &ClientGrant,
) -> Result<(Uuid, Arc<ApiClient>, u64), Problem> {
    let (named, key) = match (basic(headers)?, &body.client_secret) {
        (Some(_), Some(_)) => {
            return Err(Problem::new(MALFORMED, "the key is sent in two places").at("client_secret"));
        }
        (Some((user, key)), None) => (vec![user], key),
        (None, Some(key)) => (Vec::new(), key.0.clone()),
        (None, None) => return Err(unproven("the key is needed, as `client_secret` or in `Authorization`")),
    };
    let by_header = body.client_secret.is_none();
    let found = async {
        let (id, client, number) = holder(api, &key).await?;
        let itself = |name: &String| *name == id.to_string() || *name == api_key_prefix(id);
        if !named.iter().chain(&body.client_id).all(itself) {
            return Err(unproven("the key is another client's"));
        }
        // As where the token would be used: the owner answers for it.
        match client.owner {
            Some(owner) if api.standing.is_out_of_use(owner, Timestamp::now()).await? => {
                Err(unproven("the key is not accepted"))
            }
            _ => Ok((id, client, number)),
        }
    };
    found.await.map_err(|problem| if by_header && problem.status() == 401 { not_basic() } else { problem })
}

/// The user and the password of `Authorization: Basic`, each of them encoded as in a form (RFC 6749, 2.3.1).
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, Problem> {
    let header = single(headers, AUTHORIZATION.as_str())?.unwrap_or_default();
    let (scheme, pair) = header.split_once(' ').unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let bytes = BASE64.decode(pair.trim()).map_err(|_| not_basic())?;
    let pair = String::from_utf8(bytes).map_err(|_| not_basic())?;
    let (user, password) = pair.split_once(':').ok_or_else(not_basic)?;
    Ok(Some((decoded(user).ok_or_else(not_basic)?, decoded(password).ok_or_else(not_basic)?)))
}

/// A text that is encoded as the value of a form.
fn decoded(text: &str) -> Option<String> {
    let pair = format!("text={}", text.replace('&', "%26"));
    let pairs = web::Query::<Vec<(String, String)>>::from_query(&pair).ok()?;
    pairs.into_inner().pop().map(|(_, value)| value)
}

/// 401 for whoever said by `Authorization: Basic` who they are: it is asked for in the same way.
fn not_basic() -> Problem {
    Problem::new(LOGIN_REFUSED, "the client's id or its key is not accepted")
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"annals\", charset=\"UTF-8\""))
}

/// Whose key this is, and which of theirs. Only its hash is compared: how long that takes tells nothing of the key.
async fn holder(api: &Api, key: &str) -> Result<(Uuid, Arc<ApiClient>, u64), Problem> {
    let refused = || unproven("the key is not accepted");
    let (prefix, mac) = key.split_once('.').ok_or_else(refused)?;
    let id = prefix.strip_prefix("ak_").filter(|id| id.len() == 32).and_then(|id| id.parse().ok());
    let id: Uuid = id.ok_or_else(refused)?;
    let client = api.standing.client(id).await?;
    let number = client.opened_by(mac, Timestamp::now()).ok_or_else(refused)?;
    Ok((id, client, number))
}

fn actor(id: Uuid, scopes: BTreeSet<String>) -> Actor {
    Actor::client(id, scopes, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(header: &str) -> Result<Option<(String, String)>, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(header).unwrap());
        basic(&headers)
    }

    #[test]
    fn idn_c1_a_repeat_shows_a_key_again_for_ten_minutes() {
        let made: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let after = |seconds| {
            let now = made.saturating_add(SignedDuration::from_secs(seconds)).unwrap();
            is_recent(made, now)
        };
        assert!(after(0) && after(600) && !after(601));
    }

    #[test]
    fn rfc6749_231_the_id_and_the_key_are_encoded_as_in_a_form() {
        let header = |pair: &str| format!("Basic {}", BASE64.encode(pair));
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(said(&header("ak_7:a.b")).unwrap(), pair("ak_7", "a.b"));
        assert_eq!(said(&header("a%3Ab+c:%25&d:e")).unwrap(), pair("a:b c", "%&d:e"));
        assert_eq!(said("bAsIc Og==").unwrap(), pair("", ""));
        assert_eq!(said("Bearer a.b.c").unwrap(), None);
        assert_eq!(basic(&HeaderMap::new()).unwrap(), None);
        for wrong in ["Basic", "Basic !", &header("no colon"), &format!("Basic {}", BASE64.encode([255, 58]))]
        {
            let read = said(wrong).map_err(|problem| problem.status().as_u16());
            assert!(matches!(read, Err(401) | Ok(None)), "{wrong}: {read:?}");
        }
    }
}
