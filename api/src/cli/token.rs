//! `annals token`: access tokens for development.

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::{
    auth::{Claims, KeyError, SigningKeys},
    config::Config,
    embedded::Keys,
};

/// For how long a token is valid where nobody said otherwise, in hours.
const HOURS: i64 = 12;

/// What a token says.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// A role, everywhere (`staff`) or within an org unit (`institution_admin@<org>`); repeat it for more.
    #[arg(long = "role")]
    roles: Vec<String>,
    /// The account; a new one where it is not said.
    #[arg(long)]
    subject: Option<Uuid>,
    /// For how many seconds the token is valid.
    #[arg(long, default_value_t = HOURS * 3600, value_parser = clap::value_parser!(i64).range(1..=31_536_000))]
    ttl: i64,
    /// As of somebody who has shown a second factor now; that counts for five minutes.
    #[arg(long)]
    elevated: bool,
}

/// Makes a token that an instance with this configuration accepts.
pub(super) fn mint(config: &Config, options: &Options) -> Result<String, String> {
    let own = crate::embedded::running(&config.data_dir);
    // A node on somebody else's database gives out no token, and writes none down.
    let own = own.as_ref().filter(|own| own.get("ANNALS_TOKEN").is_some_and(|token| !token.is_empty()));
    let own = own.and_then(|own| own.get("ANNALS_DATABASE_URL"));
    let foreign = |url: &&String| !url.is_empty() && Some(*url) != own;
    if config.database_url.as_ref().filter(foreign).is_some() {
        return Err(
            "tokens for development are made only for an instance with private servers; with a database of \
                    your own, get them from your identity provider"
                .into(),
        );
    }
    for role in &options.roles {
        if let Some((_, org)) = role.split_once('@')
            && org.parse::<Uuid>().is_err()
        {
            return Err(format!("{role}: an org unit is named by its UUID"));
        }
    }
    let keys = Keys::load(config).map_err(|error| error.to_string())?;
    let keys = SigningKeys::read(&keys.jwt).map_err(|error| error.to_string())?;
    let subject = options.subject.unwrap_or_else(Uuid::now_v7);
    let lifetime = SignedDuration::from_secs(options.ttl);
    let now = Timestamp::now();
    let claims = Claims::new(subject, options.roles.clone(), lifetime, now);
    let claims = if options.elevated { claims.elevated_at(now) } else { claims };
    keys.sign(&claims).map_err(|error| error.to_string())
}

/// The token in annals.env: an administrator who may also replay and audit.
pub(super) fn for_development(keys: &SigningKeys) -> Result<String, KeyError> {
    let subject = domain::derived_id(&["development administrator"]);
    let roles = ["admin", "compliance", "operator", "analyst", "staff", "budget_user", "student"];
    let roles = roles.map(str::to_owned).to_vec();
    keys.sign(&Claims::new(subject, roles, SignedDuration::from_hours(24 * 30), Timestamp::now()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn config(folder: &str) -> Config {
        let data_dir = std::env::temp_dir().join(format!("annals-{folder}-{}", Uuid::now_v7()));
        Config { data_dir, ..Config::default() }
    }

    fn options(role: &str) -> Options {
        Options { roles: vec![role.to_owned()], subject: Some(Uuid::from_u128(7)), ttl: 60, elevated: true }
    }

    struct Removed(PathBuf);

    impl Drop for Removed {
        fn drop(&mut self) {
            _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_token_for_development_is_one_that_the_instance_accepts() {
        let config = config("token");
        let _removed = Removed(config.data_dir.clone());
        let token = mint(&config, &options("staff")).unwrap();
        let keys = SigningKeys::read(&Keys::load(&config).unwrap().jwt).unwrap();
        let ticket = keys.verify(&token).unwrap();
        assert!(ticket.actor.is(Uuid::from_u128(7)) && ticket.actor.has("manage:scholarships"));
        assert!(ticket.is_elevated(Timestamp::now()));
        assert!(mint(&config, &options("institution_admin@nowhere")).is_err());
    }

    #[test]
    fn no_token_is_made_for_a_database_of_somebody_elses() {
        let database_url = Some("postgres://annals@db.example.org/annals".to_owned());
        let config = Config { database_url, ..config("foreign") };
        assert!(mint(&config, &options("staff")).unwrap_err().contains("identity provider"));
        assert!(!config.data_dir.exists());
    }
}
