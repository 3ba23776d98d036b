//! The ways in beside passwords: the identity providers of the operator's file, and security keys on a web site.

use std::{path::PathBuf, sync::Arc};

use integrations::identity::{NotAnOrigin, OidcConfigError, OpenIdConnect, WebAuthn, providers_in};

use crate::{auth::Entrances, config::Config};

/// Why the ways in cannot be used as they are configured.
#[derive(Debug, thiserror::Error)]
pub enum EntranceError {
    /// The file of the identity providers.
    #[error("cannot read {path} (ANNALS_SSO_PROVIDERS_FILE): {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A provider in it.
    #[error(transparent)]
    Provider(#[from] OidcConfigError),
    /// The web site.
    #[error("ANNALS_WEB_ORIGIN: {0}")]
    Origin(#[from] NotAnOrigin),
}

/// The ways in that a configuration opens.
pub(super) fn entrances(config: &Config) -> Result<Entrances, EntranceError> {
    let providers = match &config.sso_providers_file {
        Some(path) => {
            let unreadable = |source| EntranceError::Unreadable { path: path.clone(), source };
            providers_in(&std::fs::read_to_string(path).map_err(unreadable)?, path)?
        }
        None => Vec::new(),
    };
    let mut entrances =
        Entrances { providers: Arc::new(OpenIdConnect::new(providers)?), ..Entrances::default() };
    if let Some(origin) = config.web_origin.as_deref().filter(|origin| !origin.is_empty()) {
        entrances.security_keys = Some(Arc::new(WebAuthn::new(origin)?));
    }
    Ok(entrances)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_configured_is_closed_and_what_is_misconfigured_is_told() {
        let closed = entrances(&Config::default()).unwrap();
        assert!(closed.security_keys.is_none() && closed.providers.provider("google").is_none());
        let open = Config { web_origin: Some("https://records.example.edu".into()), ..Config::default() };
        assert!(entrances(&open).unwrap().security_keys.is_some());
        let wrong = Config { web_origin: Some("records".into()), ..Config::default() };
        assert!(entrances(&wrong).err().unwrap().to_string().contains("ANNALS_WEB_ORIGIN"));
        let missing = Config { sso_providers_file: Some("/nowhere.toml".into()), ..Config::default() };
        assert!(entrances(&missing).err().unwrap().to_string().contains("/nowhere.toml"));
    }
}
