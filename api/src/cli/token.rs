//! `annals token`: access tokens for development.

use std::{collections::BTreeSet, time::Duration};

use clap::Args;
use domain::identity::{ROLES, is_built_in};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::{
    auth::{Claims, KeyError, SigningKeys},
    config::Config,
    embedded::Keys,
};

/// For how long a token is valid where nobody said otherwise, in hours.
const HOURS: i64 = 12;
/// For how long an instance is asked for its roles.
const PATIENCE: Duration = Duration::from_secs(5);

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

/// The roles that the security policy of the instance defines that serves from the data folder now; none where none serves
/// or it does not say.
pub(super) async fn defined_roles(config: &Config) -> Option<BTreeSet<String>> {
    let own = crate::embedded::running(&config.data_dir)?;
    let path = format!("{}/v1/security-policy", own.get("ANNALS_URL")?);
    let client = reqwest::Client::builder().timeout(PATIENCE).build().ok()?;
    let answer = client.get(path).bearer_auth(own.get("ANNALS_TOKEN")?).send().await.ok()?;
    let policy: serde_json::Value = answer.error_for_status().ok()?.json().await.ok()?;
    Some(policy["roles"].as_object()?.keys().cloned().collect())
}

/// Makes a token that an instance with this configuration accepts, which defines these roles beside those of the house.
pub(super) fn mint(
    config: &Config,
    options: &Options,
    defined: Option<&BTreeSet<String>>,
) -> Result<String, String> {
    if !config.data_dir.is_dir() {
        let folder = config.data_dir.display();
        return Err(format!("there is no data folder {folder}; ANNALS_DATA_DIR names another one"));
    }
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
        check_role(role.split('@').next().unwrap_or(role), defined)?;
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

/// A role is one of the house or of the deployment; where nobody can tell of the latter, it is only warned of.
fn check_role(role: &str, defined: Option<&BTreeSet<String>>) -> Result<(), String> {
    if is_built_in(role) {
        return Ok(());
    }
    let Some(defined) = defined else {
        eprintln!(
            "annals: {role} is no role of the house, and no instance runs that could tell whether it has it"
        );
        return Ok(());
    };
    if defined.contains(role) {
        return Ok(());
    }
    let known: Vec<&str> =
        ROLES.iter().copied().chain(["member"]).chain(defined.iter().map(String::as_str)).collect();
    Err(format!("{role}: there is no such role; there are {}", known.join(", ")))
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
        std::fs::create_dir(&config.data_dir).unwrap();
        let token = mint(&config, &options("staff"), None).unwrap();
        let keys = SigningKeys::read(&Keys::load(&config).unwrap().jwt).unwrap();
        let ticket = keys.verify(&token).unwrap();
        assert!(ticket.actor.is(Uuid::from_u128(7)) && ticket.actor.has("manage:scholarships"));
        assert!(ticket.is_elevated(Timestamp::now()));
        assert!(mint(&config, &options("institution_admin@nowhere"), None).is_err());
    }

    #[test]
    fn a_role_that_neither_the_house_nor_the_deployment_has_is_refused_with_those_that_there_are() {
        let config = config("roles");
        let _removed = Removed(config.data_dir.clone());
        std::fs::create_dir(&config.data_dir).unwrap();
        let defined = BTreeSet::from(["librarian".to_owned()]);
        let within = format!("librarian@{}", Uuid::from_u128(1));
        for role in ["librarian", &within, "member", "student"] {
            assert!(mint(&config, &options(role), Some(&defined)).is_ok(), "{role}");
        }
        let refused = mint(&config, &options("nonsense"), Some(&defined)).unwrap_err();
        assert!(refused.contains("nonsense") && refused.contains("student, member, librarian"), "{refused}");
        assert!(
            mint(&config, &options("nonsense"), None).is_ok(),
            "it may be one of an instance that is stopped"
        );
    }

    #[test]
    fn no_token_is_made_of_a_data_folder_that_is_not_there() {
        let config = config("nowhere");
        let refused = mint(&config, &options("staff"), None).unwrap_err();
        assert!(refused.contains("ANNALS_DATA_DIR"), "{refused}");
        assert!(!config.data_dir.exists());
    }

    #[test]
    fn no_token_is_made_for_a_database_of_somebody_elses() {
        let database_url = Some("postgres://annals@db.example.org/annals".to_owned());
        let config = Config { database_url, ..config("foreign") };
        let _removed = Removed(config.data_dir.clone());
        std::fs::create_dir(&config.data_dir).unwrap();
        assert!(mint(&config, &options("staff"), None).unwrap_err().contains("identity provider"));
        assert!(!config.data_dir.join("keys").exists());
    }
}
