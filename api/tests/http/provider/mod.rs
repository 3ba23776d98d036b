//! An OpenID Connect provider that keeps to the standards, on a port of this machine: discovery, authorization codes with
//! PKCE, tokens, keys. And one that does not, where a test says how.

use std::{
    collections::HashMap,
    net::TcpListener,
    sync::{Arc, Mutex},
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::PublicKeyData;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const CLIENT: &str = "annals";
const SECRET: &str = "a secret of the client's & the provider's";
/// A key that signs nothing but these tests.
const RSA: &[u8] = include_bytes!("rsa.der");
const MODULUS: &str = "nC_3MSfleS45f3UbLKmv1nHM30p7Y49jSUiUU8bh6W9tIZYVzDkxkmC5HVrYKk9wT751iWMI0R2H3mxpQcOOSbM_rk5tNvedzAekkROzbAIjMM2AWXMbiORHBJaGHR_4os9gT9U_wrf3euIMOHyYmMvL-d0H9y5mvD5BkjZ54FTrgBBdMu9leUJeyPJLmmTVJBG6UYkNtNAi3jQavjreW086DeKCXu3rYyfktplnYWDpn5z_YKVImUtAlivH4-G6I2gX80UIai_ojpHW8JwXSR4yzWzX2Y22zm0iFiVnhxuSPNT6M_2pjgPLWlSx1E_olSOxmpRPTjxKRsbcTA0nEw";

/// How a provider does not keep to the standards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Twist {
    /// It does.
    None,
    OtherNonce,
    NoNonce,
    OtherAudience,
    OneMoreAudience,
    /// `azp`: it was issued to another client.
    OtherParty,
    OtherIssuer,
    Expired,
    OfTheFuture,
    /// `alg: none`.
    Unsigned,
    /// HS256 under the client's secret.
    SharedSecret,
    /// HS256 under the public key, which everybody has.
    PublicKeyAsSecret,
    /// A key that is not among those that it publishes.
    OtherKey,
    OtherAccessToken,
    /// It takes a code as often as it comes.
    CodesForEver,
}

struct Granted {
    challenge: String,
    nonce: String,
    redirect: String,
    subject: String,
}

struct State {
    issuer: String,
    codes: Mutex<HashMap<String, Granted>>,
    twist: Mutex<Twist>,
    /// What the discovery document says to be the issuer, where that is another.
    named: Mutex<Option<String>>,
    /// Whether it says that its answers name it (RFC 9207).
    names_itself: Mutex<bool>,
    key: rcgen::KeyPair,
    stranger: rcgen::KeyPair,
    /// How often its keys were fetched.
    fetched: Mutex<usize>,
}

/// A provider that runs.
pub(crate) struct Provider {
    state: Arc<State>,
    server: ServerHandle,
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

impl Provider {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            issuer,
            codes: Mutex::default(),
            twist: Mutex::new(Twist::None),
            named: Mutex::default(),
            names_itself: Mutex::default(),
            key: rcgen::KeyPair::generate().unwrap(),
            stranger: rcgen::KeyPair::generate().unwrap(),
            fetched: Mutex::default(),
        });
        let data = web::Data::from(Arc::clone(&state));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .route("/.well-known/openid-configuration", web::get().to(discovery))
                .route("/keys", web::get().to(keys))
                .route("/token", web::post().to(token))
        })
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Provider { state, server: handle }
    }

    pub(crate) fn issuer(&self) -> String {
        self.state.issuer.clone()
    }

    pub(crate) fn twist(&self, twist: Twist) {
        *self.state.twist.lock().unwrap() = twist;
    }

    pub(crate) fn name_itself(&self, issuer: &str) {
        *self.state.named.lock().unwrap() = Some(issuer.to_owned());
    }

    /// From now on it says that its answers name it.
    pub(crate) fn announce_issuer(&self) {
        *self.state.names_itself.lock().unwrap() = true;
    }

    /// How often its keys were fetched.
    pub(crate) fn fetched(&self) -> usize {
        *self.state.fetched.lock().unwrap()
    }

    /// Somebody logs in at the address to which they were sent: what their browser brings back, code and state.
    pub(crate) fn log_in(&self, address: &str, subject: &str) -> (String, String) {
        let url: reqwest::Url = address.parse().unwrap();
        assert!(address.starts_with(&format!("{}/authorize?", self.state.issuer)), "{address}");
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!((asked["client_id"].as_str(), asked["response_type"].as_str()), (CLIENT, "code"));
        assert_eq!(asked["code_challenge_method"], "S256");
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"), "{asked:?}");
        let code = format!("code-{}", uuid::Uuid::now_v7().simple());
        let granted = Granted {
            challenge: asked["code_challenge"].clone(),
            nonce: asked["nonce"].clone(),
            redirect: asked["redirect_uri"].clone(),
            subject: subject.to_owned(),
        };
        self.state.codes.lock().unwrap().insert(code.clone(), granted);
        (code, asked["state"].clone())
    }
}

async fn discovery(state: web::Data<State>) -> HttpResponse {
    let at = |path: &str| format!("{}{path}", state.issuer);
    let issuer = state.named.lock().unwrap().clone().unwrap_or_else(|| state.issuer.clone());
    HttpResponse::Ok().json(json!({
        "issuer": issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "jwks_uri": at("/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "authorization_response_iss_parameter_supported": *state.names_itself.lock().unwrap(),
    }))
}

async fn keys(state: web::Data<State>) -> HttpResponse {
    *state.fetched.lock().unwrap() += 1;
    let point = state.key.der_bytes();
    let (x, y) = (BASE64.encode(&point[1..33]), BASE64.encode(&point[33..65]));
    HttpResponse::Ok().json(json!({ "keys": [
        { "kty": "EC", "crv": "P-256", "use": "sig", "kid": "ec", "alg": "ES256", "x": x, "y": y },
        { "kty": "RSA", "use": "sig", "kid": "rsa", "alg": "RS256", "n": MODULUS, "e": "AQAB" },
    ] }))
}

/// RFC 6749, 4.1.3 with RFC 7636.
async fn token(
    request: HttpRequest,
    form: web::Form<HashMap<String, String>>,
    state: web::Data<State>,
) -> HttpResponse {
    let refused = |error: &str| HttpResponse::BadRequest().json(json!({ "error": error }));
    let basic = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let basic = basic.and_then(|value| value.strip_prefix("Basic "));
    let expected = format!("{}:{}", CLIENT, "a+secret+of+the+client%27s+%26+the+provider%27s");
    let given = basic.and_then(|value| base64::engine::general_purpose::STANDARD.decode(value).ok());
    if given.as_deref() != Some(expected.as_bytes()) {
        return HttpResponse::Unauthorized().json(json!({ "error": "invalid_client" }));
    }
    let twist = *state.twist.lock().unwrap();
    let mut codes = state.codes.lock().unwrap();
    let Some(granted) = form.get("code").and_then(|code| codes.remove_entry(code)) else {
        return refused("invalid_grant");
    };
    let (code, granted) = granted;
    let proven = form.get("code_verifier").map(|verifier| BASE64.encode(Sha256::digest(verifier)));
    let same = proven.as_ref() == Some(&granted.challenge)
        && form.get("redirect_uri") == Some(&granted.redirect)
        && form.get("grant_type").is_some_and(|kind| kind == "authorization_code");
    if !same {
        return refused("invalid_grant");
    }
    let answer = tokens(&state, &granted, twist);
    if twist == Twist::CodesForEver {
        codes.insert(code, granted);
    }
    HttpResponse::Ok().json(answer)
}

fn tokens(state: &State, granted: &Granted, twist: Twist) -> Value {
    let access = "an access token";
    let half = &Sha256::digest(if twist == Twist::OtherAccessToken { "another" } else { access })[..16];
    let now = Timestamp::now().as_second();
    let mut claims = json!({
        "iss": state.issuer,
        "sub": granted.subject,
        "aud": CLIENT,
        "iat": now,
        "exp": now + 300,
        "nonce": granted.nonce,
        "at_hash": BASE64.encode(half),
        "email": format!("{}@provider.example", granted.subject),
    });
    match twist {
        Twist::OtherNonce => claims["nonce"] = "another".into(),
        Twist::NoNonce => drop(claims.as_object_mut().unwrap().remove("nonce")),
        Twist::OtherAudience => claims["aud"] = "another".into(),
        Twist::OneMoreAudience => claims["aud"] = json!([CLIENT, "another"]),
        Twist::OtherParty => claims["azp"] = "another".into(),
        Twist::OfTheFuture => {
            (claims["iat"], claims["exp"]) = ((now + 3600).into(), (now + 7200).into());
        }
        Twist::OtherIssuer => claims["iss"] = "https://another.example".into(),
        Twist::Expired => claims["exp"] = (now - 300).into(),
        _ => {}
    }
    let with = |algorithm, kid: &str| Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
    let hmac =
        |secret: &[u8]| encode(&with(Algorithm::HS256, "ec"), &claims, &EncodingKey::from_secret(secret));
    let ec = |key: &rcgen::KeyPair| {
        encode(&with(Algorithm::ES256, "ec"), &claims, &EncodingKey::from_ec_der(&key.serialize_der()))
    };
    let token = match twist {
        Twist::Unsigned => {
            let part = |value: Value| BASE64.encode(value.to_string());
            format!("{}.{}.", part(json!({ "alg": "none" })), part(claims.clone()))
        }
        Twist::SharedSecret => hmac(SECRET.as_bytes()).unwrap(),
        Twist::PublicKeyAsSecret => hmac(state.key.der_bytes()).unwrap(),
        Twist::OtherKey => ec(&state.stranger).unwrap(),
        // As Google and Microsoft sign.
        Twist::CodesForEver => {
            encode(&with(Algorithm::RS256, "rsa"), &claims, &EncodingKey::from_rsa_der(RSA)).unwrap()
        }
        _ => ec(&state.key).unwrap(),
    };
    json!({ "access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": token })
}

/// What an operator configures of it.
pub(crate) fn settings(provider: &Provider, name: &str) -> integrations::identity::OidcSettings {
    integrations::identity::OidcSettings {
        name: name.to_owned(),
        kind: commands::ports::SsoProvider::Oidc,
        issuer: provider.issuer(),
        client_id: CLIENT.to_owned(),
        client_secret: Some(SECRET.to_owned()),
        redirect_uri: "https://records.example.edu/back".to_owned(),
    }
}
