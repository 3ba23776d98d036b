//! What the routes of identity take and give. Secrets in them print as a mark and are never part of a command.

use domain::{Stated, identity::ClientProfile, schemas};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Registers an account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// The e-mail address.
    #[schemars(transform = schemas::email)]
    pub email: Stated<String>,
    /// The password (IDN-A2).
    #[schemars(transform = schemas::text::<12, 128>)]
    pub password: Stated<String>,
    /// The name to show.
    #[schemars(transform = schemas::line::<1, 200>)]
    pub display_name: Stated<String>,
    /// ISO 3166-1 alpha-2.
    #[schemars(transform = schemas::country)]
    pub country: String,
    /// A BCP 47 language tag.
    #[schemars(transform = schemas::locale)]
    pub locale: String,
    /// An IANA time zone.
    #[schemars(transform = schemas::time_zone)]
    pub tz: String,
    /// The invitation as it was mailed, where nobody registers without one.
    #[serde(default)]
    #[schemars(transform = schemas::token::<200>)]
    pub invitation: Option<Stated<String>>,
}

/// An invitation that was mailed. What it says is for its reader alone.
#[derive(Serialize, JsonSchema)]
pub struct Invited {
    /// Until when it holds.
    pub expires_at: Timestamp,
}

/// A token that was mailed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mailed {
    /// The token as it was mailed: the account, a point, and a MAC.
    #[schemars(transform = schemas::token::<200>)]
    pub token: Stated<String>,
}

/// An e-mail address.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The e-mail address.
    #[schemars(transform = schemas::email)]
    pub email: Stated<String>,
}

/// Logs in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The e-mail address.
    #[schemars(transform = schemas::email)]
    pub email: Stated<String>,
    /// The password.
    #[schemars(transform = schemas::text::<1, 128>)]
    pub password: Stated<String>,
    /// The code that the authenticator shows.
    #[serde(default)]
    #[schemars(transform = schemas::token::<6>)]
    pub totp: Option<Stated<String>>,
    /// One of the recovery codes.
    #[serde(default)]
    #[schemars(transform = schemas::token::<50>)]
    pub recovery_code: Option<Stated<String>>,
    /// What a security key has signed.
    #[serde(default)]
    pub webauthn: Option<Signed>,
    /// With which kind of client: browsers are given cookies.
    #[serde(default)]
    pub client: ClientProfile,
}

/// What a security key has signed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// The ceremony, as it was begun.
    #[schemars(transform = schemas::token::<8000>)]
    pub ceremony: String,
    /// What the browser gave: `AuthenticationResponseJSON` of Web Authentication.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub assertion: serde_json::Value,
}

/// Logs in with a security key alone.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyLogin {
    /// The ceremony, as it was begun.
    #[schemars(transform = schemas::token::<8000>)]
    pub ceremony: String,
    /// What the browser gave: `AuthenticationResponseJSON` of Web Authentication.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub assertion: serde_json::Value,
    /// With which kind of client: browsers are given cookies.
    #[serde(default)]
    pub client: ClientProfile,
}

/// Registers a security key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRegistered {
    /// The ceremony, as it was begun.
    #[schemars(transform = schemas::token::<8000>)]
    pub ceremony: String,
    /// What the browser gave: `RegistrationResponseJSON` of Web Authentication.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub credential: serde_json::Value,
    /// What the person calls the key.
    #[schemars(transform = schemas::line::<1, 100>)]
    pub device_name: Stated<String>,
}

/// A ceremony that was begun.
#[derive(Serialize, JsonSchema)]
pub struct KeyBegun {
    /// The ceremony, to be sent back with what the key signed, within five minutes.
    pub ceremony: String,
    /// What the browser is given: `PublicKeyCredentialCreationOptionsJSON` or `PublicKeyCredentialRequestOptionsJSON`.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub options: serde_json::Value,
}

/// A security key was registered.
#[derive(Serialize, JsonSchema)]
pub struct Registered {
    /// The credential, in base64url.
    pub credential_id: String,
}

/// What came back from another provider.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SsoReturn {
    /// The code.
    #[schemars(transform = schemas::token::<4000>)]
    pub code: Stated<String>,
    /// The state, as it was begun with.
    #[schemars(transform = schemas::token::<500>)]
    pub state: Stated<String>,
    /// The secret that was given to who began it.
    #[schemars(transform = schemas::token::<200>)]
    pub flow: Stated<String>,
    /// The issuer, where it came back (RFC 9207).
    #[serde(default)]
    #[schemars(transform = schemas::token::<2048>)]
    pub iss: Option<String>,
}

/// Logs in with what came back from another provider.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SsoLogin {
    /// The code.
    #[schemars(transform = schemas::token::<4000>)]
    pub code: Stated<String>,
    /// The state, as it was begun with.
    #[schemars(transform = schemas::token::<500>)]
    pub state: Stated<String>,
    /// The secret that was given to who began it.
    #[schemars(transform = schemas::token::<200>)]
    pub flow: Stated<String>,
    /// The issuer, where it came back (RFC 9207).
    #[serde(default)]
    #[schemars(transform = schemas::token::<2048>)]
    pub iss: Option<String>,
    /// The code that the authenticator shows.
    #[serde(default)]
    #[schemars(transform = schemas::token::<6>)]
    pub totp: Option<Stated<String>>,
    /// One of the recovery codes.
    #[serde(default)]
    #[schemars(transform = schemas::token::<50>)]
    pub recovery_code: Option<Stated<String>>,
    /// With which kind of client: browsers are given cookies.
    #[serde(default)]
    pub client: ClientProfile,
}

/// A login at another provider was begun.
#[derive(Serialize, JsonSchema)]
pub struct SsoBegun {
    /// Where the person logs in.
    pub authorization_url: String,
    /// What comes back with them.
    pub state: String,
    /// A secret to be kept by who began it and sent back with what came back: without it, it is worth nothing.
    pub flow: String,
}

/// Exchanges a refresh token.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The token; browsers have it in a cookie.
    #[serde(default)]
    #[schemars(transform = schemas::token::<200>)]
    pub refresh_token: Option<Stated<String>>,
}

/// Replaces a forgotten password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetPassword {
    /// The token as it was mailed.
    #[schemars(transform = schemas::token::<200>)]
    pub token: Stated<String>,
    /// The new password (IDN-A2).
    #[schemars(transform = schemas::text::<12, 128>)]
    pub password: Stated<String>,
}

/// Changes the password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The current one.
    #[schemars(transform = schemas::text::<1, 128>)]
    pub current: Stated<String>,
    /// The new one (IDN-A2).
    #[schemars(transform = schemas::text::<12, 128>)]
    pub new: Stated<String>,
}

/// Proves again who somebody is: a code where there is a second factor, else the password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Again {
    /// The password.
    #[serde(default)]
    #[schemars(transform = schemas::text::<1, 128>)]
    pub password: Option<Stated<String>>,
    /// The code that the authenticator shows.
    #[serde(default)]
    #[schemars(transform = schemas::token::<6>)]
    pub totp: Option<Stated<String>>,
    /// One of the recovery codes.
    #[serde(default)]
    #[schemars(transform = schemas::token::<50>)]
    pub recovery_code: Option<Stated<String>>,
    /// What a security key has signed.
    #[serde(default)]
    pub webauthn: Option<Signed>,
}

/// Nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// A code that the authenticator shows.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// The code.
    #[schemars(transform = schemas::token::<6>)]
    pub code: Stated<String>,
}

/// Exchanges a key for an access token (RFC 6749, 4.4).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientGrant {
    /// `client_credentials`.
    #[schemars(extend("const" = "client_credentials"))]
    pub grant_type: String,
    /// The client's id; the key names it as well.
    #[serde(default)]
    #[schemars(transform = schemas::token::<200>)]
    pub client_id: Option<String>,
    /// The key, where it is not in the header `Authorization`.
    #[serde(default)]
    #[schemars(transform = schemas::token::<200>)]
    pub client_secret: Option<Stated<String>>,
    /// The scopes that the token should have, separated by spaces; all of the key's where it is left out.
    #[serde(default)]
    #[schemars(transform = schemas::text::<0, 2000>)]
    pub scope: Option<String>,
}

/// Something was taken on; more is said in a mail, if there is anybody to write to.
#[derive(Serialize, JsonSchema)]
pub struct Pending {
    /// Always `pending`.
    pub status: &'static str,
}

/// Something was done.
#[derive(Serialize, JsonSchema)]
pub struct Done {
    /// Always `done`.
    pub status: &'static str,
}

/// The tokens of a login. Browsers have them in cookies and not here.
#[derive(Serialize, JsonSchema)]
pub struct Tokens {
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// The access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
    /// For how many seconds it is valid.
    pub expires_in: i64,
    /// What it is exchanged with for the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// What browsers say in `X-CSRF-Token` with every request that changes something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csrf_token: Option<String>,
    /// The account.
    pub account: Uuid,
    /// The session.
    pub session: Uuid,
    /// Whether the password must be changed before the roles count.
    pub must_change_password: bool,
    /// Whether a second factor must be set up before all roles count (IDN-A9).
    pub must_enrol_mfa: bool,
}

/// The access token of a client.
#[derive(Serialize, JsonSchema)]
pub struct ClientToken {
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// The access token.
    pub access_token: String,
    /// For how many seconds it is valid.
    pub expires_in: i64,
    /// Its scopes, separated by spaces.
    pub scope: String,
}

/// Sensitive commands are let through.
#[derive(Serialize, JsonSchema)]
pub struct Elevated {
    /// Until when.
    pub until: Option<Timestamp>,
}

/// What an authenticator is set up with. It is shown once.
#[derive(Serialize, JsonSchema)]
pub struct Enrolment {
    /// The shared secret, in base32.
    pub secret: String,
    /// The same as an address to be shown as a QR code.
    pub address: String,
}

/// Recovery codes. They are shown once.
#[derive(Serialize, JsonSchema)]
pub struct RecoveryCodes {
    /// Ten codes, each good for one use.
    pub recovery_codes: Vec<String>,
}

/// The keys that access tokens are verified with (RFC 7517).
#[derive(Serialize, JsonSchema)]
pub struct JsonWebKeys {
    /// The public keys.
    pub keys: Vec<serde_json::Value>,
}
