//! Logins at other providers that speak OpenID Connect: Google, Microsoft, and any other by its configuration.
//!
//! The authorization code flow with PKCE (RFC 7636). Issuer and audience are those of the configuration, the provider's keys
//! are remembered, and what is not signed with one of them proves nothing.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use commands::ports::{IdentityProviders, PortError, SsoError, SsoFlow, SsoIdentity, SsoProvider};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use openidconnect::{
    AccessTokenHash, AdditionalProviderMetadata, AuthorizationCode, ClaimsVerificationError, ClientId,
    ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, ProviderMetadata, RedirectUrl,
    RequestTokenError, Scope, SignatureVerificationError, TokenResponse,
    core::{
        CoreAuthDisplay, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient,
        CoreClientAuthMethod, CoreGrantType, CoreIdTokenClaims, CoreIdTokenVerifier, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm,
        CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType, CoreTokenResponse,
    },
};
use serde::{Deserialize, Serialize};

use super::outside::Outside;

/// How long what a provider says of itself is believed, its keys among it.
const KEPT: Duration = Duration::from_secs(600);
/// How soon it is asked again where its token names a key that is not known: keys are rotated.
const KEPT_AT_LEAST: Duration = Duration::from_secs(30);
/// By how many seconds the clock of a provider may be ahead.
const LEEWAY_S: i64 = 60;

/// The ways to sign that are believed. None of them is one that a client's secret could have made.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 6] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// A provider, as an operator configures it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcSettings {
    /// Its name in paths, `[a-z0-9-]`, such as `google`.
    pub name: String,
    /// What kind of provider it is.
    pub kind: SsoProvider,
    /// Who issues its tokens, such as `https://accounts.google.com`.
    pub issuer: String,
    /// As whom this deployment is known there.
    pub client_id: String,
    /// With which secret; none where it is known as a public client.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// The address of this deployment's web pages to which people come back.
    pub redirect_uri: String,
}

/// Why providers cannot be used as they are configured.
#[derive(Debug, thiserror::Error)]
#[error("the identity provider {name} cannot be used: {reason}")]
pub struct OidcConfigError {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What a provider says of itself beside what OpenID Connect Discovery has.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Beside {
    /// Whether its answers say who they are from (RFC 9207, 3).
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for Beside {}

/// What a provider says of itself.
type Metadata = ProviderMetadata<
    Beside,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

type Said = Option<(Instant, Arc<Metadata>)>;

struct Provider {
    settings: OidcSettings,
    issuer: IssuerUrl,
    redirect: RedirectUrl,
    outside: Outside,
    /// What it said of itself, and when.
    said: Mutex<Said>,
}

/// The providers that are configured.
#[derive(Default)]
pub struct OpenIdConnect {
    providers: BTreeMap<String, Provider>,
}

impl OpenIdConnect {
    /// These providers. None of them is asked anything before somebody logs in there.
    ///
    /// # Errors
    /// A name, an issuer or an address that cannot be one, or a name that is there twice.
    pub fn new(settings: Vec<OidcSettings>) -> Result<Self, OidcConfigError> {
        let mut providers = BTreeMap::new();
        for settings in settings {
            let wrong = |reason: String| OidcConfigError { name: settings.name.clone(), reason };
            let letter =
                |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
            if !(1..=40).contains(&settings.name.len()) || !settings.name.bytes().all(letter) {
                return Err(wrong("a name is of a-z, 0-9 and -".to_owned()));
            }
            let issuer = IssuerUrl::new(settings.issuer.clone()).map_err(|error| wrong(error.to_string()))?;
            let redirect =
                RedirectUrl::new(settings.redirect_uri.clone()).map_err(|error| wrong(error.to_string()))?;
            let outside = Outside::to(issuer.url()).map_err(wrong)?;
            let name = settings.name.clone();
            let provider = Provider { settings, issuer, redirect, outside, said: Mutex::new(None) };
            if providers.insert(name.clone(), provider).is_some() {
                return Err(OidcConfigError { name, reason: "the name is there twice".to_owned() });
            }
        }
        Ok(OpenIdConnect { providers })
    }

    fn named(&self, name: &str) -> Result<&Provider, SsoError> {
        self.providers.get(name).ok_or(SsoError::Unknown)
    }
}

impl IdentityProviders for OpenIdConnect {
    fn provider(&self, name: &str) -> Option<(SsoProvider, String)> {
        let settings = &self.providers.get(name)?.settings;
        Some((settings.kind, settings.issuer.clone()))
    }

    fn begin<'a>(&'a self, name: &'a str, flow: &'a SsoFlow) -> BoxFuture<'a, Result<String, SsoError>> {
        Box::pin(async move {
            let provider = self.named(name)?;
            let metadata = provider.metadata(KEPT).await?;
            let challenge =
                PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(flow.verifier.clone()));
            let (state, nonce) = (flow.state.clone(), flow.nonce.clone());
            let (url, _, _) = provider
                .client(&metadata)
                .authorize_url(
                    CoreAuthenticationFlow::AuthorizationCode,
                    move || CsrfToken::new(state),
                    move || Nonce::new(nonce),
                )
                .add_scope(Scope::new("email".to_owned()))
                .set_pkce_challenge(challenge)
                .url();
            Ok(url.to_string())
        })
    }

    fn finish<'a>(
        &'a self,
        name: &'a str,
        code: String,
        issuer: Option<&'a str>,
        flow: &'a SsoFlow,
    ) -> BoxFuture<'a, Result<SsoIdentity, SsoError>> {
        Box::pin(async move {
            let provider = self.named(name)?;
            let metadata = provider.metadata(KEPT).await?;
            // Before the code is given to anybody: it may be another provider's.
            let says = metadata.additional_metadata().authorization_response_iss_parameter_supported;
            match issuer {
                Some(issuer) if issuer != provider.settings.issuer => {
                    return Err(SsoError::Rejected("it is another provider's answer"));
                }
                None if says => return Err(SsoError::Rejected("it does not say whose answer it is")),
                Some(_) | None => {}
            }
            let tokens = provider.redeem(&metadata, code, flow).await?;
            match provider.verified(&metadata, &tokens, flow) {
                Err(Unproven::UnknownKey) => {
                    let metadata = provider.metadata(KEPT_AT_LEAST).await?;
                    provider.verified(&metadata, &tokens, flow).map_err(Unproven::told)
                }
                other => other.map_err(Unproven::told),
            }
        })
    }
}

/// Why a token proves nothing.
enum Unproven {
    /// It is signed with a key that is not known.
    UnknownKey,
    /// Anything else.
    Because(&'static str),
}

impl Unproven {
    fn told(self) -> SsoError {
        SsoError::Rejected(match self {
            Unproven::UnknownKey => "its key is not known",
            Unproven::Because(why) => why,
        })
    }
}

impl From<ClaimsVerificationError> for Unproven {
    fn from(error: ClaimsVerificationError) -> Self {
        use ClaimsVerificationError as E;
        Unproven::Because(match error {
            E::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
                return Unproven::UnknownKey;
            }
            E::SignatureVerification(_) => "its signature does not verify",
            E::Expired(_) => "it has expired",
            E::InvalidAudience(_) => "it is for another audience",
            E::InvalidIssuer(_) => "its issuer is another one",
            E::InvalidNonce(_) => "it answers another request",
            _ => "it is malformed",
        })
    }
}

/// A client of which it is known where people log in; where tokens are, the provider may say.
type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

impl Provider {
    fn client(&self, metadata: &Metadata) -> Client {
        CoreClient::from_provider_metadata(
            metadata.clone(),
            ClientId::new(self.settings.client_id.clone()),
            self.settings.client_secret.clone().map(ClientSecret::new),
        )
        .set_redirect_uri(self.redirect.clone())
    }

    fn unreachable(&self, reason: impl std::fmt::Display) -> SsoError {
        let reason = format!("{}: {reason}", self.settings.name);
        PortError { port: "identity provider", reason }.into()
    }

    /// What the provider says of itself, as it was said within this time.
    async fn metadata(&self, kept: Duration) -> Result<Arc<Metadata>, SsoError> {
        let known = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((when, said)) = known
            && when.elapsed() < kept
        {
            return Ok(said);
        }
        // It checks that the document names this very issuer, and fetches the keys.
        let said = Metadata::discover_async(self.issuer.clone(), &self.outside).await;
        let said = Arc::new(said.map_err(|error| self.unreachable(error))?);
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), Arc::clone(&said)));
        Ok(said)
    }

    async fn redeem(
        &self,
        metadata: &Metadata,
        code: String,
        flow: &SsoFlow,
    ) -> Result<CoreTokenResponse, SsoError> {
        let client = self.client(metadata);
        let request = client.exchange_code(AuthorizationCode::new(code));
        let request = request.map_err(|_| self.unreachable("it names no place for tokens"))?;
        let request = request.set_pkce_verifier(PkceCodeVerifier::new(flow.verifier.clone()));
        request.request_async(&self.outside).await.map_err(|error| match error {
            RequestTokenError::ServerResponse(_) => SsoError::Rejected("the code is not accepted"),
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                SsoError::Rejected("the answer is no token")
            }
            RequestTokenError::Request(error) => self.unreachable(error),
        })
    }

    fn verified(
        &self,
        metadata: &Metadata,
        tokens: &CoreTokenResponse,
        flow: &SsoFlow,
    ) -> Result<SsoIdentity, Unproven> {
        let client = self.client(metadata);
        let verifier: CoreIdTokenVerifier<'_> = client.id_token_verifier().set_allowed_algs(ALGORITHMS);
        let token = tokens.id_token().ok_or(Unproven::Because("there is no token of who it is"))?;
        let nonce = Nonce::new(flow.nonce.clone());
        let claims: &CoreIdTokenClaims = token.claims(&verifier, &nonce)?;
        // OpenID Connect Core 3.1.3.7, 5 and 10.
        if claims.authorized_party().is_some_and(|party| **party != self.settings.client_id) {
            return Err(Unproven::Because("it is for another client"));
        }
        if claims.issue_time().timestamp() > Timestamp::now().as_second() + LEEWAY_S {
            return Err(Unproven::Because("it is of the future"));
        }
        if let Some(expected) = claims.access_token_hash() {
            let malformed = |_| Unproven::Because("it is malformed");
            let signed_with = token.signing_key(&verifier).map_err(malformed)?;
            let algorithm = token.signing_alg().map_err(malformed)?;
            let actual = AccessTokenHash::from_token(tokens.access_token(), algorithm, signed_with);
            if actual.ok().as_ref() != Some(expected) {
                return Err(Unproven::Because("it belongs to another access token"));
            }
        }
        Ok(SsoIdentity {
            issuer: self.settings.issuer.clone(),
            subject: claims.subject().to_string(),
            email: claims.email().map(|email| email.to_string()).unwrap_or_default(),
        })
    }
}

/// Reads the providers that an operator configured, in TOML: `[[provider]]` with the fields of [`OidcSettings`].
///
/// # Errors
/// When the file cannot be read or says something else.
pub fn providers_in(text: &str, file: &Path) -> Result<Vec<OidcSettings>, OidcConfigError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        provider: Vec<OidcSettings>,
    }
    // What is wrong with it is told by its place: values may be secrets.
    let wrong = |error: toml::de::Error| {
        let line = error.span().map_or(0, |span| text[..span.start].lines().count());
        OidcConfigError { name: file.display().to_string(), reason: format!("line {line} is not understood") }
    };
    Ok(toml::from_str::<File>(text).map_err(wrong)?.provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(name: &str, issuer: &str) -> OidcSettings {
        OidcSettings {
            name: name.into(),
            kind: SsoProvider::Oidc,
            issuer: issuer.into(),
            client_id: "annals".into(),
            client_secret: None,
            redirect_uri: "https://records.example.edu/back".into(),
        }
    }

    #[test]
    fn only_providers_that_can_be_trusted_are_taken() {
        let taken = |settings| OpenIdConnect::new(settings).map(drop).map_err(|error| error.to_string());
        let one = settings("campus", "https://login.example.edu");
        assert_eq!(taken(vec![one.clone()]), Ok(()));
        for wrong in [
            vec![settings("Campus", "https://login.example.edu")],
            vec![settings("campus", "http://login.example.edu")],
            vec![settings("campus", "login.example.edu")],
            vec![one.clone(), one],
        ] {
            assert!(taken(wrong).is_err());
        }
    }

    #[test]
    fn a_mistake_in_the_file_is_told_by_its_line_and_no_secret_of_it() {
        let good = "[[provider]]\nname = \"google\"\nkind = \"google\"\nissuer = \"https://accounts.google.com\"\n\
                    client_id = \"a\"\nclient_secret = \"hush\"\nredirect_uri = \"https://records.example.edu/back\"\n";
        assert_eq!(providers_in(good, Path::new("x")).unwrap()[0].name, "google");
        let error = providers_in(&good.replace("client_secret", "client_secrets"), Path::new("sso.toml"));
        let text = error.err().unwrap().to_string();
        assert!(text.contains("sso.toml") && text.contains("line") && !text.contains("hush"), "{text}");
    }
}
