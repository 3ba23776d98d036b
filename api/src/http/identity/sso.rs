//! Logins at other providers. Nothing is kept from the beginning of one to its end: what is needed is computed from the
//! state that comes back and from a secret that only who began it has, so that any node can end it, and nobody else's
//! browser can be made to. Each is good for one use, on whichever node (RFC 9700).

use actix_web::HttpResponse;
use commands::{
    CommandError,
    ports::{SsoError, SsoFlow, SsoIdentity},
};
use domain::{
    Stated,
    identity::{AccountCommand, LoginMethod, Proof, SsoProvider, sso_claim},
    sha256_hex,
};
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    account, answer,
    bodies::{SsoBegun, SsoLogin, SsoReturn},
    done,
    login::{begin as begin_session, code_proof, method, told},
    once, to_account, unproven,
};
use crate::{
    http::{Api, Call},
    problem::{ID_TOKEN_INVALID, INVALID_PARAMETER, NOT_FOUND, Problem},
};

/// For how many seconds somebody may be away at the provider.
const AWAY_S: i64 = 600;

/// What a login at a provider is for.
#[derive(Clone, Copy)]
enum Purpose {
    /// To log in here.
    Login,
    /// To link the identity to this account.
    Link(Uuid),
}

/// Begins a login at a provider.
pub(super) async fn start(api: &Api, call: &Call<'_>) -> Result<HttpResponse, Problem> {
    begin(api, call.parameter("provider"), Purpose::Login).await
}

/// Begins to link an identity.
pub(super) async fn start_link(api: &Api, call: &Call<'_>) -> Result<HttpResponse, Problem> {
    call.elevated()?;
    begin(api, call.parameter("provider"), Purpose::Link(call.account()?)).await
}

/// Logs in with what came back from a provider.
pub(super) async fn log_in(
    api: &Api,
    call: &Call<'_>,
    provider: &str,
    body: SsoLogin,
) -> Result<HttpResponse, Problem> {
    let SsoLogin { code, state, flow, iss, totp, recovery_code, client } = body;
    let back = SsoReturn { code, state, flow, iss };
    let used = format!("sso|{}", back.state.0);
    let identity = finish(api, provider, Purpose::Login, back).await.map_err(|error| match error {
        Finished::Rejected => unproven("what came back from the provider is not accepted"),
        Finished::Problem(problem) => problem,
    })?;
    let subject_hash = api.credentials.subject_hash(&identity.issuer, &identity.subject);
    let holders = api.commands.store().holders(&sso_claim(&subject_hash)).await;
    let holders = holders.map_err(CommandError::from)?;
    let id: Option<Uuid> = holders.first().and_then(|held| held.by.aggregate_id.parse().ok());
    let id = id.ok_or_else(|| unproven("nobody here has linked this identity"))?;
    let known = account(api, id).await?;
    let mut proofs = vec![Proof::Sso { subject_hash: Stated(subject_hash) }];
    proofs.extend(code_proof(api, id, &known, &totp, &recovery_code));
    let method = method(LoginMethod::Sso, proofs.get(1).filter(|_| known.has_mfa()));
    let command = AccountCommand::Authenticate { proofs, client, rehash: None };
    once(api, call, id, command, &used).await.map_err(|error| told(api, id, error, &known))?;
    begin_session(api, call, id, client, method, known.token_version).await
}

/// Links an identity to the caller's account.
pub(super) async fn link(api: &Api, call: &Call<'_>, body: SsoReturn) -> Result<HttpResponse, Problem> {
    call.elevated()?;
    let (own, name) = (call.account()?, call.parameter("provider"));
    let used = format!("sso|{}", body.state.0);
    let identity = finish(api, name, Purpose::Link(own), body).await.map_err(|error| match error {
        Finished::Rejected => {
            Problem::new(ID_TOKEN_INVALID, "what came back from the provider is not accepted")
        }
        Finished::Problem(problem) => problem,
    })?;
    let (provider, _) = api.credentials.providers.provider(name).ok_or_else(unknown)?;
    let subject_hash = Stated(api.credentials.subject_hash(&identity.issuer, &identity.subject));
    let email = Stated(identity.email.chars().take(254).collect());
    let command = AccountCommand::LinkSsoIdentity { provider, issuer: identity.issuer, subject_hash, email };
    once(api, call, own, command, &used).await?;
    Ok(done())
}

/// Unlinks the identity of a kind of provider.
pub(super) async fn unlink(api: &Api, call: &Call<'_>) -> Result<HttpResponse, Problem> {
    call.elevated()?;
    let word = serde_json::Value::from(call.parameter("provider"));
    let provider: SsoProvider = serde_json::from_value(word)
        .map_err(|_| Problem::new(INVALID_PARAMETER, "expected google, microsoft or oidc").at("provider"))?;
    to_account(api, call, call.account()?, AccountCommand::UnlinkSsoIdentity { provider }).await?;
    Ok(done())
}

fn unknown() -> Problem {
    Problem::new(NOT_FOUND, "no identity provider of this name is configured")
}

fn unreachable(error: SsoError) -> Finished {
    match error {
        SsoError::Unknown => Finished::Problem(unknown()),
        SsoError::Rejected(why) => {
            tracing::info!(why, "an identity provider's answer was not accepted");
            Finished::Rejected
        }
        SsoError::Unreachable(error) => Finished::Problem(CommandError::from(error).into()),
    }
}

/// Why a login at a provider came to nothing.
enum Finished {
    /// What came back proves nothing.
    Rejected,
    /// Anything else.
    Problem(Problem),
}

async fn begin(api: &Api, name: &str, purpose: Purpose) -> Result<HttpResponse, Problem> {
    let expires = Timestamp::now().as_second() + AWAY_S;
    let (nonce, secret): ([u8; 16], [u8; 32]) = (rand::random(), rand::random());
    let flow: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let begun = format!("{expires}.{:032x}", u128::from_be_bytes(nonce));
    let state = format!("{begun}.{}", api.credentials.bound(&bound(name, purpose, &begun, &flow)));
    let carried = carried(api, &state, &flow);
    let authorization_url =
        api.credentials.providers.begin(name, &carried).await.map_err(|error| match unreachable(error) {
            Finished::Rejected => unknown(),
            Finished::Problem(problem) => problem,
        })?;
    Ok(answer(&SsoBegun { authorization_url, state, flow }))
}

/// What the state is bound to: the provider, what it is for, when it ends, and the secret of who began it.
fn bound(name: &str, purpose: Purpose, begun: &str, flow: &str) -> String {
    let purpose = match purpose {
        Purpose::Login => "login".to_owned(),
        Purpose::Link(account) => format!("link {account}"),
    };
    format!("sso|{name}|{purpose}|{begun}|{}", sha256_hex(flow))
}

fn carried(api: &Api, state: &str, flow: &str) -> SsoFlow {
    let derived = |what: &str| api.credentials.bound(&format!("{what}|{state}|{flow}"));
    SsoFlow { state: state.to_owned(), nonce: derived("nonce"), verifier: derived("verifier") }
}

/// Whom the provider says somebody to be, where what came back is the answer to what this person began here.
async fn finish(api: &Api, name: &str, purpose: Purpose, back: SsoReturn) -> Result<SsoIdentity, Finished> {
    if api.credentials.providers.provider(name).is_none() {
        return Err(Finished::Problem(unknown()));
    }
    let (state, flow) = (&back.state.0, &back.flow.0);
    let (begun, mac) = state.rsplit_once('.').ok_or(Finished::Rejected)?;
    if !api.credentials.is_bound(&bound(name, purpose, begun, flow), mac) {
        return Err(Finished::Rejected);
    }
    let expires = begun.split('.').next().and_then(|expires| expires.parse().ok());
    if expires.is_none_or(|expires: i64| expires < Timestamp::now().as_second()) {
        return Err(Finished::Rejected);
    }
    let carried = carried(api, state, flow);
    let providers = &api.credentials.providers;
    providers.finish(name, back.code.0, back.iss.as_deref(), &carried).await.map_err(unreachable)
}
