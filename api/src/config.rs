//! What an operator may set, and nothing else: one list, from which the struct, its defaults, the environment
//! variables, the help text and the example file all follow.
//!
//! Every setting `name` is the key `name` of one TOML file (`ANNALS_CONFIG`, or `./annals.toml` if that is
//! there) and the environment variable `ANNALS_NAME`. The environment wins. Nothing is required: an empty
//! configuration starts the embedded servers (see [`crate::embedded`]).
//!
//! What must never live here: a setting that nothing reads, and any reading of the environment elsewhere.

mod strays;

use std::fmt::{self, Write as _};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use domain::identity::Cidr;
use serde::Deserialize;

/// Where the API listens when nobody said otherwise and the port is free.
const USUAL_LISTEN: &str = "127.0.0.1:8080";

/// One line of [`SETTINGS`]: what an operator may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The key in the TOML file. The environment variable is `ANNALS_` and this in capitals.
    pub name: &'static str,
    /// What holds when it is not set, as it would be written; empty where there is nothing by default.
    pub default: &'static str,
    /// What it means, in a sentence or two.
    pub meaning: &'static str,
}

impl Setting {
    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        format!("ANNALS_{}", self.name.to_uppercase())
    }
}

macro_rules! settings {
    ($($(#[doc = $meaning:literal])+ $name:ident: $type:ty = $default:literal;)+) => {
        /// The configuration of one process, complete: what was not set holds its default.
        #[derive(Clone, Deserialize)]
        pub struct Config {
            $($(#[doc = $meaning])+ pub $name: $type,)+
        }

        /// Every setting, in the order in which help and the example file show them.
        pub const SETTINGS: &[Setting] = &[$(Setting {
            name: stringify!($name),
            default: $default,
            meaning: concat!($($meaning),+),
        }),+];
    };
}

settings! {
    /// Where the API listens, as address:port. Unset, it is 127.0.0.1:8080, or a free port of 127.0.0.1 if that
    /// is taken; data/annals.env has the one in use.
    listen: Option<SocketAddr> = "";
    /// The reverse proxies before this node, as addresses or ranges separated by commas. Only what they say in the
    /// forwarded_header counts for the address of a client; unset, a client is whoever connects.
    trusted_proxies: Option<Proxies> = "";
    /// The one header in which the trusted proxies say who called them: x-forwarded-for or forwarded. The other one is never
    /// read: proxies pass it on as a client sent it. They must add to this one, or write it anew, on every request. Unset,
    /// it is x-forwarded-for, and a start with trusted_proxies warns of that.
    forwarded_header: Option<ForwardedHeader> = "";
    /// Where Prometheus scrapes /metrics, as address:port. Port 0 takes a free one, so that several nodes fit on
    /// one machine; data/annals.env has the one in use.
    metrics_listen: SocketAddr = "127.0.0.1:0";
    /// The folder for all that this node keeps on disk: embedded servers, development keys, logs, annals.env.
    data_dir: PathBuf = "./data";
    /// The PostgreSQL database (15 or newer) that holds the log, as postgres://user:password@host:port/name.
    /// Unset, a private server runs under data_dir.
    database_url: Option<String> = "";
    /// The PostgreSQL database that holds the keys of personal data, with a backup life of its own. Unset, they are beside
    /// the log.
    keys_database_url: Option<String> = "";
    /// The NATS server with JetStream that carries the log to the projections, as nats://user:password@host:port.
    /// Unset, a private server runs beside the private PostgreSQL. "none" does without: the projections then
    /// follow the log directly.
    nats_url: Option<String> = "";
    /// A file with the master key that wraps the keys of personal data: 32 bytes, as they are or in base64 or
    /// hexadecimal.
    /// Unset, a development key is made in data_dir/keys.
    master_key_file: Option<PathBuf> = "";
    /// The master key itself, in place of a file.
    master_key: Option<String> = "";
    /// A file with the master key before this one, until `annals-replay rotate-keys` has wrapped everything anew.
    previous_master_key_file: Option<PathBuf> = "";
    /// A file with the key that signs access tokens: 32 bytes as they are, or 32 or more in base64 or hexadecimal; or
    /// with several of them, as a JSON list. The first one that can sign signs, all of them verify. It is read again
    /// within a second of a change. To rotate: add the new key as the second one for every node, then make it the first
    /// one, and take the old one out once its last token has expired; each time replace the file by renaming another.
    /// Unset, a development key is made in data_dir/keys.
    jwt_key_file: Option<PathBuf> = "";
    /// A file with the secret by which people are found: e-mail addresses are stored as hashes under it. 32 bytes, as
    /// they are or in base64 or hexadecimal. It must not change once somebody has registered.
    /// Unset, a development key is made in data_dir/keys.
    identity_key_file: Option<PathBuf> = "";
    /// The file of the ledger of erasures. Keep it on another disk than the log and the keys, and out of their backups:
    /// it keeps a restored backup from bringing back what was erased.
    /// Unset, it is data_dir/erasures/ledger.
    erasure_ledger: Option<PathBuf> = "";
    /// A file with the key that signs the log's checkpoints (Ed25519): 32 bytes, as they are or in base64 or
    /// hexadecimal.
    /// Unset, a development key is made in data_dir/keys.
    notary_key_file: Option<PathBuf> = "";
    /// The name of this log in its checkpoints, such as records.example.edu/annals, without spaces. Unset, it is
    /// "annals/" and the incarnation of the log. It must not change once something was signed.
    notary_origin: Option<String> = "";
    /// The folder where the log's signed checkpoint and its tiles are published. Nodes may share it: one signs, all
    /// serve it. Unset, it is data_dir/notary.
    notary_dir: Option<PathBuf> = "";
    /// The server that mail is sent by, as smtps://user:password@host, smtp://user:password@host:587?tls=required, or
    /// smtp://127.0.0.1:25 for a relay on this machine. Unset, a node with private servers writes mail into files under
    /// data_dir/outbox, and any other node sends none.
    smtp_url: Option<String> = "";
    /// In whose name mail is sent.
    mail_from: String = "Annals <annals@localhost>";
    /// A TOML file of the identity providers at which people may log in, such as Google, Microsoft or the campus: for each an
    /// entry of the array `provider` with name, kind (google, microsoft or oidc), issuer, client_id, client_secret and
    /// redirect_uri. Unset, there are none.
    sso_providers_file: Option<PathBuf> = "";
    /// The origin of the web pages on which people use security keys and passkeys: https, the host, and the port if it is not
    /// 443. Keys are bound to its host. Unset, there are none.
    web_origin: Option<String> = "";
    /// What is logged: a level (error, warn, info, debug, trace) or a filter such as "info,api=debug".
    log: String = "info";
    /// How log lines look: "text" for people, "json" for machines.
    log_format: LogFormat = "text";
    /// How many database connections this node reads with at most. Up to eleven more write, follow, listen, look out and fetch keys.
    database_pool: u32 = "16";
    /// How many partitions of a read model are rebuilt at the same time, 64 at most. 0 takes one for each processor.
    rebuild_workers: usize = "0";
    /// How many mebibytes of events and rows a rebuild holds in memory at most.
    rebuild_memory_mb: usize = "256";
    /// How many seconds after keys were destroyed the read models that held in the clear what they had sealed are rebuilt,
    /// all together, and their former rows dropped.
    rebuild_after_shred_s: u64 = "900";
    /// How many mebibytes of aggregate state are kept in memory to spare reading streams again.
    cache_memory_mb: usize = "64";
    /// How many kibibytes the body of a request may have at most, where the security policy does not say.
    request_body_kb: usize = "1024";
    /// How many commands, and how many queries, are under way at once at most; more are answered 503 with Retry-After.
    requests_under_way: u32 = "4096";
    /// How many milliseconds they may take before fewer are let through: when for half a second not even the quickest was
    /// done within that time, there is a queue that does not pass.
    overload_latency_ms: u64 = "1000";
}

/// Ranges of addresses, as written separated by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Proxies(pub Vec<Cidr>);

impl TryFrom<String> for Proxies {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let ranges = text.split(',').map(str::trim);
        let read = |range: &str| range.parse().map_err(|error| format!("trusted_proxies: {range}: {error}"));
        ranges.map(read).collect::<Result<_, _>>().map(Proxies)
    }
}

/// The header in which proxies say who called them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, as most of them write it.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line for each event.
    Text,
    /// One JSON object for each event.
    Json,
}

impl LogFormat {
    /// The one that is asked for, as far as that can be told where the configuration as a whole cannot be used.
    pub fn asked() -> Self {
        let written = || {
            let (_, text) = chosen_file().ok().flatten()?;
            let file = config::File::from_str(&text, config::FileFormat::Toml);
            config::Config::builder().add_source(file).build().ok()?.get_string("log_format").ok()
        };
        let said = std::env::var("ANNALS_LOG_FORMAT").ok().filter(|said| !said.is_empty()).or_else(written);
        if said.as_deref() == Some("json") { LogFormat::Json } else { LogFormat::Text }
    }
}

/// Why a configuration cannot be used. The message names the place to correct.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that `ANNALS_CONFIG` names cannot be read.
    #[error("cannot read the configuration file {path} (named by ANNALS_CONFIG): {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key of the file is no setting; most likely a typing error.
    #[error("{path}: there is no setting `{name}`; `annals serve --help` lists them all")]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The key as written.
        name: String,
    },
    /// A number that must not be 0.
    #[error("{0}: expected 1 or more; `annals serve --help` says what each setting takes")]
    Zero(&'static str),
    /// A number that is too large.
    #[error("{0}: expected {1} or less; `annals serve --help` says what each setting takes")]
    TooMany(&'static str, usize),
    /// Two settings that say different things of the same.
    #[error("master_key and master_key_file are both set: which is it?")]
    TwoMasterKeys,
    /// A value cannot be understood.
    #[error("{0}; `annals serve --help` says what each setting takes")]
    Invalid(#[from] config::ConfigError),
}

impl Config {
    /// Reads the file and the environment of this process.
    ///
    /// # Errors
    /// A file that `ANNALS_CONFIG` names and that cannot be read, an unknown key in it, or a value that its
    /// setting cannot take.
    pub fn load() -> Result<Self, ConfigError> {
        Self::from_sources(chosen_file()?, |name| std::env::var(name).ok())
    }

    /// The configuration that a file's path and text, if there is one, and the variables of an environment make.
    /// An empty variable counts as not set.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_sources(
        file: Option<(PathBuf, String)>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut sources = config::Config::builder();
        for setting in SETTINGS.iter().filter(|setting| !setting.default.is_empty()) {
            sources = sources.set_default(setting.name, setting.default)?;
        }
        if let Some((path, text)) = file {
            let text = config::File::from_str(&text, config::FileFormat::Toml);
            let written = config::Config::builder().add_source(text.clone()).build()?;
            let written: serde_json::Map<String, serde_json::Value> = written.try_deserialize()?;
            let known = |name: &String| SETTINGS.iter().any(|setting| setting.name == name);
            if let Some(name) = written.keys().find(|name| !known(name)) {
                return Err(ConfigError::Unknown { path, name: name.clone() });
            }
            sources = sources.add_source(text);
        }
        for setting in SETTINGS {
            let value = variable(&setting.variable()).filter(|value| !value.is_empty());
            sources = sources.set_override_option(setting.name, value)?;
        }
        sources.build()?.try_deserialize::<Self>()?.checked()
    }

    /// What makes sense only together, or not at all.
    fn checked(self) -> Result<Self, ConfigError> {
        let counts = [
            ("database_pool", self.database_pool == 0),
            ("rebuild_memory_mb", self.rebuild_memory_mb == 0),
            ("request_body_kb", self.request_body_kb == 0),
            ("requests_under_way", self.requests_under_way == 0),
            ("overload_latency_ms", self.overload_latency_ms == 0),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, is_zero)| *is_zero) {
            return Err(ConfigError::Zero(name));
        }
        if self.rebuild_workers > projections::THREADS_MOST {
            return Err(ConfigError::TooMany("rebuild_workers", projections::THREADS_MOST));
        }
        let key = self.master_key.as_ref().filter(|key| !key.is_empty());
        if key.and(self.master_key_file.as_ref()).is_some() {
            return Err(ConfigError::TwoMasterKeys);
        }
        Ok(self)
    }

    /// The file of the ledger of erasures.
    pub fn erasure_ledger(&self) -> PathBuf {
        self.erasure_ledger.clone().unwrap_or_else(|| self.data_dir.join("erasures").join("ledger"))
    }

    /// Where the API is to listen.
    pub fn address(&self) -> SocketAddr {
        self.listen.unwrap_or_else(|| USUAL_LISTEN.parse().expect("the usual address is well-formed"))
    }

    /// Opens the API's listener: at `listen`, or where that is not set at the usual port, or a free one if the
    /// usual one is taken.
    ///
    /// # Errors
    /// The address that was asked for cannot be had.
    pub fn bind(&self) -> std::io::Result<TcpListener> {
        let wanted = self.address();
        match TcpListener::bind(wanted) {
            Err(error) if self.listen.is_none() && error.kind() == ErrorKind::AddrInUse => {
                let free = TcpListener::bind(("127.0.0.1", 0))?;
                tracing::warn!(taken = %wanted, instead = %free.local_addr()?, "the usual port is taken");
                Ok(free)
            }
            other => other,
        }
    }

    /// Name, default and meaning of every setting, for `annals serve --help`.
    pub fn describe() -> String {
        let mut text =
            String::from("Settings, each an environment variable or a key of annals.toml (ANNALS_CONFIG):\n");
        for setting in SETTINGS {
            let default = match setting.default {
                "" => String::new(),
                default => format!(" [default: {default}]"),
            };
            let _ = write!(text, "\n  {}, {}{default}\n", setting.variable(), setting.name);
            for line in wrapped(setting.meaning, 100) {
                let _ = writeln!(text, "      {line}");
            }
        }
        text
    }

    /// The documented file `docs/annals.example.toml`: every setting, commented out at its default.
    pub fn example() -> String {
        let mut text = String::from(
            "# Annals reads this file from ./annals.toml, or from where ANNALS_CONFIG points. Nothing is required.\n\
             # Each setting is also an environment variable, which wins: `listen` is ANNALS_LISTEN, and so on.\n",
        );
        for setting in SETTINGS {
            text.push('\n');
            for line in wrapped(setting.meaning, 110) {
                let _ = writeln!(text, "# {line}");
            }
            let value = match (setting.default, illustration(setting.name)) {
                (default, _) if default.parse::<u64>().is_ok() => default.to_owned(),
                ("", example) => format!("{example:?}"),
                (default, _) => format!("{default:?}"),
            };
            let _ = writeln!(text, "#{} = {value}", setting.name);
        }
        text
    }
}

impl Default for Config {
    /// What holds where nothing is set.
    fn default() -> Self {
        Self::from_sources(None, |_| None).expect("every default is well-formed: a test reads them all")
    }
}

/// Neither keys nor passwords may reach a log.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

/// A value to show in the example file for a setting that has no default.
fn illustration(name: &str) -> &'static str {
    match name {
        "listen" => USUAL_LISTEN,
        "trusted_proxies" => "10.0.0.0/8, 2001:db8::/32",
        "forwarded_header" => "x-forwarded-for",
        "keys_database_url" => "postgres://annals:password@127.0.0.1:5433/annals_keys",
        "database_url" => "postgres://annals:password@127.0.0.1:5432/annals",
        "nats_url" => "nats://127.0.0.1:4222",
        "master_key_file" => "/etc/annals/master.key",
        "previous_master_key_file" => "/etc/annals/master.key.2025",
        "jwt_key_file" => "/etc/annals/jwt.key",
        "identity_key_file" => "/etc/annals/identity.key",
        "erasure_ledger" => "/var/lib/annals-erasures/ledger",
        "notary_key_file" => "/etc/annals/notary.key",
        "notary_origin" => "records.example.edu/annals",
        "smtp_url" => "smtps://annals:password@mail.example.edu",
        "sso_providers_file" => "/etc/annals/sso.toml",
        "web_origin" => "https://records.example.edu",
        "notary_dir" => "/var/lib/annals/notary",
        _ => "",
    }
}

/// The path and the text of the configuration file, if there is one.
fn chosen_file() -> Result<Option<(PathBuf, String)>, ConfigError> {
    match std::env::var("ANNALS_CONFIG").ok().filter(|path| !path.is_empty()) {
        Some(path) => read(Path::new(&path)).map(Some),
        None => Ok(read(Path::new("annals.toml")).ok()),
    }
}

fn read(path: &Path) -> Result<(PathBuf, String), ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok((path.to_owned(), text)),
        Err(source) => Err(ConfigError::Unreadable { path: path.to_owned(), source }),
    }
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Option<(PathBuf, String)> {
        Some((PathBuf::from("annals.toml"), text.to_owned()))
    }

    #[test]
    fn an_empty_configuration_holds_every_default() {
        let config = Config::default();
        assert_eq!(config.data_dir, Path::new("./data"));
        assert_eq!(config.metrics_listen.port(), 0);
        assert_eq!((config.listen, config.database_url, config.database_pool), (None, None, 16));
        assert_eq!(config.log_format, LogFormat::Text);
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let config = Config::from_sources(
            file("listen = \"127.0.0.1:1\"\ndatabase_pool = 3\nlog_format = \"json\""),
            |name| (name == "ANNALS_LISTEN").then(|| "127.0.0.1:2".into()),
        )
        .unwrap();
        assert_eq!(config.listen.unwrap().port(), 2);
        assert_eq!((config.database_pool, config.log_format), (3, LogFormat::Json));
    }

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let config = Config::from_sources(file("database_pool = 3"), |_| Some(String::new())).unwrap();
        assert_eq!((config.database_pool, config.nats_url), (3, None));
    }

    #[test]
    fn a_misspelt_key_is_named() {
        let error = Config::from_sources(file("databse_url = \"postgres://\""), |_| None).unwrap_err();
        assert!(error.to_string().contains("`databse_url`"), "{error}");
    }

    #[test]
    fn a_master_key_is_named_once() {
        let both = file("master_key = \"c2VjcmV0\"\nmaster_key_file = \"master.key\"");
        assert!(matches!(Config::from_sources(both, |_| None), Err(ConfigError::TwoMasterKeys)));
    }

    #[test]
    fn a_number_of_which_there_must_be_one_is_not_0() {
        for name in ["database_pool", "rebuild_memory_mb", "request_body_kb", "requests_under_way"] {
            let error = Config::from_sources(file(&format!("{name} = 0")), |_| None).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn a_rebuild_is_given_no_more_threads_than_memory_lasts_for() {
        let with = |workers| Config::from_sources(file(&format!("rebuild_workers = {workers}")), |_| None);
        assert_eq!(with(64).unwrap().rebuild_workers, 64);
        assert!(with(65).unwrap_err().to_string().contains("rebuild_workers: expected 64 or less"));
    }

    #[test]
    fn proxies_are_ranges_of_addresses() {
        let with = |text: &'static str| {
            Config::from_sources(None, |name| (name == "ANNALS_TRUSTED_PROXIES").then(|| text.into()))
        };
        assert_eq!(with("10.0.0.0/8, ::1").unwrap().trusted_proxies.unwrap().0.len(), 2);
        let error = with("10.0.0.0/8,nowhere").unwrap_err().to_string();
        assert!(error.contains("trusted_proxies") && error.contains("nowhere"), "{error}");
    }

    #[test]
    fn proxies_say_who_calls_in_one_header() {
        let with = |text: &'static str| {
            Config::from_sources(None, |name| (name == "ANNALS_FORWARDED_HEADER").then(|| text.into()))
        };
        assert_eq!(Config::default().forwarded_header, None);
        assert_eq!(with("forwarded").unwrap().forwarded_header, Some(ForwardedHeader::Forwarded));
        assert!(with("x-real-ip").is_err());
    }

    #[test]
    fn a_value_that_cannot_be_understood_is_named() {
        let variable = |name: &str| (name == "ANNALS_DATABASE_POOL").then(|| "many".into());
        let error = Config::from_sources(None, variable).unwrap_err();
        assert!(error.to_string().contains("database_pool"), "{error}");
    }

    #[test]
    fn the_example_file_names_every_setting_and_says_what_the_code_says() {
        let shipped = include_str!("../../docs/annals.example.toml");
        assert_eq!(
            shipped,
            Config::example(),
            "docs/annals.example.toml must be what Config::example() writes"
        );
        let settings: String =
            shipped.lines().filter(|line| !line.starts_with("# ")).collect::<Vec<_>>().join("\n");
        let text = settings.replace('#', "");
        for setting in SETTINGS {
            assert!(text.lines().any(|line| line.starts_with(&format!("{} = ", setting.name))));
        }
        let config = Config::from_sources(file(&text), |_| None).unwrap();
        assert_eq!(config.listen.unwrap().to_string(), USUAL_LISTEN);
        assert_eq!(config.database_pool, Config::default().database_pool);
    }

    #[test]
    fn the_help_text_names_every_variable_with_its_default() {
        let help = Config::describe();
        for setting in SETTINGS {
            assert!(help.contains(&setting.variable()), "{}", setting.name);
        }
        assert!(help.contains("[default: 127.0.0.1:0]"));
    }

    #[test]
    fn no_secret_is_printed() {
        let variable = |name: &str| (name == "ANNALS_MASTER_KEY").then(|| "c2VjcmV0".into());
        assert!(!format!("{:?}", Config::from_sources(None, variable).unwrap()).contains("c2VjcmV0"));
    }

    #[test]
    fn a_taken_usual_port_gives_way_to_a_free_one_but_a_chosen_one_does_not() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let chosen = Config { listen: Some(taken.local_addr().unwrap()), ..Config::default() };
        assert_eq!(chosen.bind().unwrap_err().kind(), ErrorKind::AddrInUse);
        let _usual = TcpListener::bind(USUAL_LISTEN);
        assert_ne!(Config::default().bind().unwrap().local_addr().unwrap().port(), 8080);
    }
}
