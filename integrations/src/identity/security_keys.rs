//! Security keys and passkeys (Web Authentication, level 3). Every key has to verify its user, so that each is good for a
//! login by itself as well as beside a password. Attestation is not asked for: any key of the person's own choice is good.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use commands::ports::{Ceremony, KnownKey, NotVerified, PortError, SecurityKeys};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;
use webauthn_rp::{
    AuthenticatedCredential, DiscoverableAuthenticationServerState, DiscoverableCredentialRequestOptions,
    NonDiscoverableAuthenticationServerState, NonDiscoverableCredentialRequestOptions,
    PublicKeyCredentialCreationOptions, RegistrationServerState,
    bin::{Decode, Encode},
    request::{
        AsciiDomain, BackupReq, Credentials, PublicKeyCredentialDescriptor, RpId,
        UserVerificationRequirement,
        auth::{AllowedCredentials, AuthenticationVerificationOptions, SignatureCounterEnforcement},
        register::{PublicKeyCredentialUserEntity, RegistrationVerificationOptions, UserHandle16, Username},
    },
    response::{
        AuthTransports, CredentialId,
        auth::ser_relaxed::AuthenticationRelaxed,
        register::{CompressedPubKey, DynamicState, StaticState, ser_relaxed::RegistrationRelaxed},
    },
};

/// All the ways in which a key may be connected: which of them it is, nobody keeps.
const ANY_WAY: u8 = 0b11_1111;
/// What a state begins with: which kind of ceremony it is of.
const ANY_KEY: u8 = 1;
const ONE_OF: u8 = 2;

/// The relying party of one web site.
pub struct WebAuthn {
    id: RpId,
    origin: String,
}

/// The origin cannot be that of a web site where keys are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an origin is https://host[:port], or http://localhost[:port]")]
pub struct NotAnOrigin;

/// A public key as it is stored: of Ed25519, P-256, P-384 or RSA.
type StoredKey = CompressedPubKey<[u8; 32], [u8; 32], [u8; 48], Vec<u8>>;

impl WebAuthn {
    /// For the web site with this origin, such as `https://records.example.edu`. Its keys are bound to the host.
    ///
    /// # Errors
    /// When it is no origin on which browsers offer keys.
    pub fn new(origin: &str) -> Result<Self, NotAnOrigin> {
        let origin = origin.trim_end_matches('/');
        let host = origin.strip_prefix("https://").or_else(|| {
            let local = origin.strip_prefix("http://")?;
            (local.split(':').next() == Some("localhost")).then_some(local)
        });
        let host = host.ok_or(NotAnOrigin)?;
        let (host, port) = match host.split_once(':') {
            Some((host, port)) => (host, port.parse::<u16>().is_ok()),
            None => (host, true),
        };
        let domain = AsciiDomain::try_from(host.to_owned()).map_err(|_| NotAnOrigin)?;
        if !port || host.contains('/') {
            return Err(NotAnOrigin);
        }
        Ok(WebAuthn { id: RpId::Domain(domain), origin: origin.to_owned() })
    }
}

fn failed(reason: &str) -> PortError {
    PortError { port: "security keys", reason: reason.to_owned() }
}

fn json(value: &impl Serialize) -> Result<Value, PortError> {
    serde_json::to_value(value).map_err(|_| failed("the options cannot be written"))
}

/// The person as keys know them: by the account's bytes.
fn handle(account: Uuid) -> UserHandle16 {
    let Ok(handle) = UserHandle16::decode(*account.as_bytes());
    handle
}

fn credential(id: &str) -> Option<CredentialId<Vec<u8>>> {
    CredentialId::<Vec<u8>>::decode(BASE64.decode(id).ok()?).ok()
}

fn descriptors(known: &[KnownKey]) -> Vec<PublicKeyCredentialDescriptor<Vec<u8>>> {
    let ids = known.iter().filter_map(|key| credential(&key.credential_id));
    let descriptor =
        |id| Some(PublicKeyCredentialDescriptor { id, transports: AuthTransports::decode(ANY_WAY).ok()? });
    ids.filter_map(descriptor).collect()
}

/// An answer as it was sent, whatever else stands in it.
fn read<T: serde::de::DeserializeOwned>(answer: &Value) -> Result<T, NotVerified> {
    serde_json::from_str(&answer.to_string()).map_err(|_| NotVerified)
}

impl SecurityKeys for WebAuthn {
    fn register(&self, account: Uuid, name: &str, known: &[KnownKey]) -> Result<Ceremony, PortError> {
        let id = handle(account);
        // What a key shows beside it; of a name that no key can show, the account.
        let plain = account.to_string();
        let name = Username::try_from(name).or_else(|_| Username::try_from(&*plain));
        let name = name.map_err(|_| failed("the name cannot be shown"))?;
        let user = PublicKeyCredentialUserEntity { name, id: &id, display_name: None };
        let options = PublicKeyCredentialCreationOptions::passkey(&self.id, user, descriptors(known));
        let (server, client) = options.start_ceremony().map_err(|_| failed("no ceremony begins"))?;
        let state = server.encode().map_err(|_| failed("the clock is wrong"))?;
        Ok(Ceremony { options: json(&client)?, state })
    }

    fn registered(&self, state: &[u8], answer: &Value) -> Result<KnownKey, NotVerified> {
        let state = RegistrationServerState::<16>::decode(state).map_err(|_| NotVerified)?;
        let RegistrationRelaxed(answer) = read(answer)?;
        let options = RegistrationVerificationOptions::<&str, &str> {
            allowed_origins: &[&*self.origin],
            error_on_unsolicited_extensions: false,
            ..RegistrationVerificationOptions::default()
        };
        let key = state.verify(&self.id, &answer, &options).map_err(|_| NotVerified)?;
        let (Ok(fixed), Ok(moving)) = (key.static_state().encode(), key.dynamic_state().encode());
        Ok(KnownKey {
            credential_id: BASE64.encode(key.id()),
            public_key: format!("{}.{}", BASE64.encode(fixed), BASE64.encode(moving)),
            sign_count: key.dynamic_state().sign_count,
        })
    }

    fn ask(&self, known: &[KnownKey]) -> Result<Ceremony, PortError> {
        let begun = |_| failed("no ceremony begins");
        let clock = "the clock is wrong";
        if known.is_empty() {
            let options = DiscoverableCredentialRequestOptions::passkey(&self.id);
            let (server, client) = options.start_ceremony().map_err(begun)?;
            let state = server.encode().map_err(|_| failed(clock))?;
            return Ok(Ceremony { options: json(&client)?, state: [&[ANY_KEY][..], &state].concat() });
        }
        let mut allowed = AllowedCredentials::with_capacity(known.len());
        for descriptor in descriptors(known) {
            _ = allowed.push(descriptor.into());
        }
        let options = NonDiscoverableCredentialRequestOptions::second_factor(&self.id, allowed);
        let mut options = options.map_err(|_| failed("none of the keys can be asked"))?;
        options.options().user_verification = UserVerificationRequirement::Required;
        let (server, client) = options.start_ceremony().map_err(begun)?;
        let state = server.encode().map_err(|_| failed(clock))?;
        Ok(Ceremony { options: json(&client)?, state: [&[ONE_OF][..], &state].concat() })
    }

    fn claimed(&self, answer: &Value) -> Option<(Option<Uuid>, String)> {
        let AuthenticationRelaxed(answer) = read::<AuthenticationRelaxed<16, false>>(answer).ok()?;
        let whose = answer.response().user_handle().map(|handle| {
            let Ok(bytes) = handle.encode();
            Uuid::from_bytes(bytes)
        });
        Some((whose, BASE64.encode(answer.raw_id())))
    }

    fn asserted(
        &self,
        state: &[u8],
        account: Uuid,
        key: &KnownKey,
        answer: &Value,
    ) -> Result<u32, NotVerified> {
        let not = |_| NotVerified;
        let id = credential(&key.credential_id).ok_or(NotVerified)?;
        let (fixed, moving) = key.public_key.split_once('.').ok_or(NotVerified)?;
        let (fixed, moving) = (BASE64.decode(fixed).map_err(not)?, BASE64.decode(moving).map_err(not)?);
        let fixed: StaticState<StoredKey> = StaticState::decode(&*fixed).map_err(|_| NotVerified)?;
        let mut moving =
            DynamicState::decode(moving.try_into().map_err(|_| NotVerified)?).map_err(|_| NotVerified)?;
        moving.sign_count = key.sign_count;
        let whose = handle(account);
        let mut known =
            AuthenticatedCredential::new((&id).into(), &whose, fixed, moving).map_err(|_| NotVerified)?;
        let options = AuthenticationVerificationOptions::<&str, &str> {
            allowed_origins: &[&*self.origin],
            // A passkey may be kept in a cloud later on; a count that does not grow is looked into by the account.
            backup_requirement: Some(BackupReq::None),
            error_on_unsolicited_extensions: false,
            sig_counter_enforcement: SignatureCounterEnforcement::Ignore,
            ..AuthenticationVerificationOptions::default()
        };
        match state.split_first() {
            Some((&ANY_KEY, state)) => {
                let state = DiscoverableAuthenticationServerState::decode(state).map_err(|_| NotVerified)?;
                let AuthenticationRelaxed(answer) = read::<AuthenticationRelaxed<16, true>>(answer)?;
                state.verify(&self.id, &answer, &mut known, &options).map_err(|_| NotVerified)?;
            }
            Some((&ONE_OF, state)) => {
                let state =
                    NonDiscoverableAuthenticationServerState::decode(state).map_err(|_| NotVerified)?;
                let AuthenticationRelaxed(answer) = read::<AuthenticationRelaxed<16, false>>(answer)?;
                state.verify(&self.id, &answer, &mut known, &options).map_err(|_| NotVerified)?;
            }
            _ => return Err(NotVerified),
        }
        Ok(known.dynamic_state().sign_count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_used_on_one_web_site() {
        for good in
            ["https://records.example.edu", "https://records.example.edu:8443/", "http://localhost:8080"]
        {
            assert!(WebAuthn::new(good).is_ok(), "{good}");
        }
        for wrong in
            ["records.example.edu", "http://records.example.edu", "https://a/b", "https://a:b", "https://"]
        {
            assert!(WebAuthn::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_answer_of_a_key_proves_nothing() {
        let site = WebAuthn::new("https://records.example.edu").unwrap();
        let account = Uuid::from_u128(7);
        let begun = site.register(account, "ada@example.edu", &[]).unwrap();
        assert_eq!(begun.options["rp"]["id"], "records.example.edu");
        assert_eq!(begun.options["authenticatorSelection"]["userVerification"], "required");
        assert_eq!(site.registered(&begun.state, &serde_json::json!({})), Err(NotVerified));
        assert_eq!(site.registered(b"", &serde_json::json!({})), Err(NotVerified));
        let asked = site.ask(&[]).unwrap();
        assert_eq!(asked.options["allowCredentials"], serde_json::json!([]));
        let key = KnownKey { credential_id: "AAAA".into(), public_key: "AA.AA".into(), sign_count: 0 };
        assert_eq!(site.asserted(&asked.state, account, &key, &serde_json::json!({})), Err(NotVerified));
        assert_eq!(site.claimed(&serde_json::json!({ "id": "AAAA" })), None);
    }
}
