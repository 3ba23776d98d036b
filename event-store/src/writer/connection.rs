//! The writer's own connection.
//!
//! It is a tokio-postgres connection, the only one in the program (all others are sqlx): the next batch is sent while
//! the previous one commits, on the same connection, which sqlx cannot do. That alone is worth 15 % of the append rate,
//! and the leaner client about as much again on a machine that it shares with the database.

use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_postgres::{Client, Config, NoTls, Statement};

use super::request::Fence;
use crate::StoreError;

pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) fenced: Statement,
    pub(super) fenced_checked: Statement,
    pub(super) lock_head: Statement,
    pub(super) versions: Statement,
    pub(super) grown: Statement,
    pub(super) known_commands: Statement,
    pub(super) insert: Statement,
    pub(super) move_head: Statement,
    pub(super) claims: Statement,
    pub(super) claims_delete: Statement,
    pub(super) claims_insert: Statement,
    driver: AbortHandle,
}

impl Drop for Connection {
    /// What is still unread on the connection serves nobody.
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Reads the same URLs as sqlx does, as far as they concern a tokio-postgres connection.
///
/// The two drivers differ in this: to sqlx a parameter `host` replaces the host before the path, to tokio-postgres it is
/// another one to be tried; each refuses or ignores parameters that the other knows; and sqlx takes a password from the
/// environment.
///
/// # Errors
/// When the URL cannot be read.
pub fn parse(url: &str) -> Result<Config, StoreError> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let parameters: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let has = |name: &str| parameters.iter().any(|(key, _)| *key == name);
    let mut own = base.to_owned();
    let mut port = None;
    if has("host")
        && let Some((scheme, rest)) = base.split_once("://")
    {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        port = host.rsplit_once(':').map(|(_, port)| port).filter(|_| !has("port"));
        own = format!("{scheme}://{user}@/{path}");
    }
    let known = ["host", "port", "dbname", "user", "password", "options", "application_name", "hostaddr"];
    let kept = parameters.iter().copied().filter(|(key, _)| known.contains(key));
    let kept = kept.chain(port.map(|port| ("port", port)));
    for (index, (key, value)) in kept.enumerate() {
        own.push(if index == 0 { '?' } else { '&' });
        own.push_str(&format!("{key}={value}"));
    }
    let mut config: Config = own.parse()?;
    if config.get_password().is_none()
        && let Ok(password) = std::env::var("PGPASSWORD")
    {
        config.password(password);
    }
    config.connect_timeout(Duration::from_secs(5)).tcp_user_timeout(Duration::from_secs(30));
    Ok(config)
}

impl Connection {
    pub(super) async fn open(config: &Config) -> Result<(Self, Fence), StoreError> {
        let (client, connection) = config.connect(NoTls).await?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::warn!(%error, "the writer's connection is lost");
            }
        });
        let driver = driver.abort_handle();
        // Every statement here is run thousands of times with arrays of any size: planning each anew gains nothing.
        // An acknowledged append is on disk, whatever the default of this database says. A writer that hangs with the
        // head locked must not stop the other nodes.
        client
            .batch_execute(
                "SET application_name = 'annals writer';
                 SET plan_cache_mode = force_generic_plan; SET enable_hashjoin = off; SET enable_mergejoin = off;
                 SET idle_in_transaction_session_timeout = '10s';
                 SELECT set_config('synchronous_commit', 'on', false)
                 WHERE current_setting('synchronous_commit') IN ('off', 'local')",
            )
            .await?;
        let prepare = async |sql: &str| client.prepare(sql).await;
        let fence = client.query_one("SELECT position, recorded_at, batch FROM annals.head", &[]).await?;
        let connection = Self {
            fenced: prepare(include_str!("../sql/fenced.sql")).await?,
            fenced_checked: prepare(include_str!("../sql/fenced_checked.sql")).await?,
            lock_head: prepare("SELECT position, recorded_at, batch FROM annals.head FOR UPDATE").await?,
            versions: prepare(include_str!("../sql/versions.sql")).await?,
            grown: prepare(include_str!("../sql/grown.sql")).await?,
            known_commands: prepare(
                "SELECT command_id FROM annals.events WHERE command_id = ANY($1) AND command_index = 0",
            )
            .await?,
            insert: prepare(include_str!("../sql/insert.sql")).await?,
            move_head: prepare("UPDATE annals.head SET position = $1, recorded_at = $2, batch = $3").await?,
            claims: prepare(
                "SELECT key, seat, holder_type, holder_id FROM annals.claims WHERE key = ANY($1)",
            )
            .await?,
            claims_delete: prepare(include_str!("../sql/claims_delete.sql")).await?,
            claims_insert: prepare(include_str!("../sql/claims_insert.sql")).await?,
            client,
            driver,
        };
        Ok((connection, Fence::from_row(&fence)?))
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::Host;

    use super::*;

    #[test]
    fn a_host_parameter_replaces_the_host_as_it_does_for_sqlx() {
        let config = parse("postgres://me@localhost/log?host=/run/pg&port=5433&sslmode=disable").unwrap();
        assert_eq!(config.get_hosts(), [Host::Unix("/run/pg".into())]);
        assert_eq!(config.get_ports(), [5433]);
        assert_eq!((config.get_user(), config.get_dbname()), (Some("me"), Some("log")));
        let config = parse("postgres://me:word@localhost:5434/log?host=/run/pg").unwrap();
        assert_eq!((config.get_hosts().len(), config.get_ports()), (1, &[5434][..]));
        assert_eq!(config.get_password(), Some(&b"word"[..]));
    }

    #[test]
    fn a_plain_url_stays_as_it_is() {
        let config = parse("postgres://me@db.example:5433/log?statement-cache-capacity=10").unwrap();
        assert_eq!(config.get_hosts(), [Host::Tcp("db.example".into())]);
        assert_eq!(config.get_ports(), [5433]);
    }
}
