//! The second driver, tokio-postgres, for what sqlx cannot do: it reads the same URLs and honours the same `sslmode`.

mod tls;

use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_postgres::{
    Client, Config, NoTls, Socket,
    config::{Host, SslMode},
    tls::{MakeTlsConnect, TlsConnect},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::StoreError;

/// Where the database is and how to reach it.
#[derive(Clone)]
pub struct Database {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl Database {
    /// Reads a URL as sqlx does, as far as it concerns a tokio-postgres connection.
    ///
    /// # Errors
    /// When the URL cannot be read, or names certificates that cannot be.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        let (config, tls) = read(url)?;
        Ok(Self { config, tls })
    }

    /// Connects. What drives the connection ends with it, or when the handle aborts it.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses.
    pub async fn connect(&self) -> Result<(Client, AbortHandle), tokio_postgres::Error> {
        match &self.tls {
            Some(tls) => connect(&self.config, tls.clone()).await,
            None => connect(&self.config, NoTls).await,
        }
    }
}

impl std::fmt::Debug for Database {
    /// Without its password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Database({:?}, {:?})", self.config.get_hosts(), self.config.get_dbname())
    }
}

/// Reads the same URLs as sqlx does, as far as they concern a tokio-postgres connection.
///
/// The two drivers differ in this: to sqlx a parameter `host` replaces the host before the path, to tokio-postgres it is
/// another one to be tried; each refuses or ignores parameters that the other knows; and sqlx takes a password from the
/// environment.
fn read(url: &str) -> Result<(Config, Option<MakeRustlsConnect>), StoreError> {
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
    let value = |name: &str| parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let (mode, tls) = tls::connector(value("sslmode").or(value("ssl-mode")), value("sslrootcert"))?;
    // A socket in the file system needs no encryption, and no server offers it there.
    let local = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
    config.ssl_mode(if local { SslMode::Disable } else { mode });
    Ok((config, tls))
}

async fn connect<T>(config: &Config, tls: T) -> Result<(Client, AbortHandle), tokio_postgres::Error>
where
    T: MakeTlsConnect<Socket, Stream: Send, TlsConnect: Send> + 'static,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    let (client, connection) = config.connect(tls).await?;
    let driver = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(%error, "a connection to the database is lost");
        }
    });
    Ok((client, driver.abort_handle()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Config {
        read(url).unwrap().0
    }

    #[test]
    fn a_host_parameter_replaces_the_host_as_it_does_for_sqlx() {
        let config = config("postgres://me@localhost/log?host=/run/pg&port=5433&sslmode=disable");
        assert_eq!(config.get_hosts(), [Host::Unix("/run/pg".into())]);
        assert_eq!(config.get_ports(), [5433]);
        assert_eq!((config.get_user(), config.get_dbname()), (Some("me"), Some("log")));
    }

    #[test]
    fn a_port_before_the_path_goes_with_a_host_parameter() {
        let config = config("postgres://me:word@localhost:5434/log?host=/run/pg");
        assert_eq!((config.get_hosts().len(), config.get_ports()), (1, &[5434][..]));
        assert_eq!(config.get_password(), Some(&b"word"[..]));
    }

    #[test]
    fn a_plain_url_stays_as_it_is() {
        let config = config("postgres://me@db.example:5433/log?statement-cache-capacity=10");
        assert_eq!(config.get_hosts(), [Host::Tcp("db.example".into())]);
        assert_eq!(config.get_ports(), [5433]);
    }

    #[test]
    fn a_demand_for_encryption_is_never_dropped() {
        let mode = |url| config(url).get_ssl_mode();
        assert_eq!(mode("postgres://me@db.example/log"), SslMode::Prefer);
        assert_eq!(mode("postgres://me@db.example/log?sslmode=require"), SslMode::Require);
        assert_eq!(mode("postgres://me@db.example/log?sslmode=disable"), SslMode::Disable);
        assert_eq!(mode("postgres://me@db.example/log?host=/run/pg&sslmode=require"), SslMode::Disable);
        assert!(read("postgres://me@db.example/log?sslmode=perhaps").is_err());
        assert!(read("postgres://me@db.example/log?sslmode=verify-full&sslrootcert=/nowhere").is_err());
    }
}
