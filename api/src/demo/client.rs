//! A client of the public API, as any other: it holds tokens and sends JSON.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use crate::auth::{Claims, SigningKeys};

/// Why the excerpt could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The instance does not answer.
    #[error("the instance cannot be reached: {0}")]
    Unreachable(#[from] reqwest::Error),
    /// No token can be signed.
    #[error("no token can be signed: {0}")]
    Token(String),
    /// The instance refused what it must accept.
    #[error("{path} answered {status}: {body}")]
    Refused {
        /// What was asked.
        path: String,
        /// The HTTP status.
        status: u16,
        /// The problem.
        body: String,
    },
    /// Something that had to follow did not.
    #[error("waited in vain for {0}")]
    Late(String),
    /// The bundled data is not what the program expects.
    #[error("the bundled data: {0}")]
    Data(String),
}

/// Somebody with a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Person {
    pub(super) id: Uuid,
    roles: Vec<String>,
}

impl Person {
    pub(super) fn with(id: Uuid, roles: &[&str]) -> Self {
        Person { id, roles: roles.iter().map(|role| (*role).to_owned()).collect() }
    }
}

pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    keys: SigningKeys,
    tokens: Mutex<HashMap<Person, String>>,
    accepted: AtomicU64,
    repeated: AtomicU64,
    position: AtomicU64,
}

impl Client {
    pub(super) fn new(base: &str, keys: SigningKeys) -> Result<Self, DemoError> {
        Ok(Client {
            http: reqwest::Client::builder().timeout(Duration::from_secs(60)).build()?,
            base: base.trim_end_matches('/').to_owned(),
            keys,
            tokens: Mutex::default(),
            accepted: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            position: AtomicU64::new(0),
        })
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Commands that were accepted, how many of them repeats, and the last position.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.accepted), read(&self.repeated), read(&self.position))
    }

    /// Until the instance serves.
    pub(super) async fn ready(&self, patience: Duration) -> Result<(), DemoError> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            let answer = self.http.get(format!("{}/health/ready", self.base)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(DemoError::Late("the instance to be ready".into()))
    }

    fn token(&self, person: &Person) -> Result<String, DemoError> {
        let mut tokens = self.tokens.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(token) = tokens.get(person) {
            return Ok(token.clone());
        }
        let claims =
            Claims::new(person.id, person.roles.clone(), SignedDuration::from_hours(1), Timestamp::now());
        let token = self.keys.sign(&claims).map_err(|error| DemoError::Token(error.to_string()))?;
        tokens.insert(person.clone(), token.clone());
        Ok(token)
    }

    /// Issues a command by its canonical route. What was accepted before under the same key is answered as then.
    pub(super) async fn command(
        &self,
        person: &Person,
        to: &str,
        id: Uuid,
        command: &str,
        fields: Value,
    ) -> Result<(), DemoError> {
        let path = format!("/v1/{to}/{id}/{command}");
        // The key is the command's own content: sent again, it is the same command.
        let key = domain::derived_id(&["key", &path, &fields.to_string()]);
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(self.token(person)?);
        let answer = request.header("Idempotency-Key", key.to_string()).json(&fields).send().await?;
        let repeated = answer.headers().contains_key("Idempotent-Replayed");
        let body = body(&path, answer).await?;
        let position = body["position"].as_u64().unwrap_or_default();
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.repeated.fetch_add(repeated.into(), Ordering::Relaxed);
        self.position.fetch_max(position, Ordering::Relaxed);
        Ok(())
    }

    /// Asks a query.
    pub(super) async fn get(&self, person: &Person, path: &str) -> Result<Value, DemoError> {
        let request = self.http.get(format!("{}{path}", self.base)).bearer_auth(self.token(person)?);
        body(path, request.send().await?).await
    }

    /// All rows of a list, page by page.
    pub(super) async fn rows(&self, person: &Person, path: &str) -> Result<Vec<Value>, DemoError> {
        let mut rows = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next.take() {
            let request = self.http.get(format!("{}{path}", self.base)).bearer_auth(self.token(person)?);
            let answer = request.send().await?;
            next = answer.headers().get("Link").and_then(|link| following(link.to_str().ok()?));
            rows.extend(body(&path, answer).await?["items"].as_array().cloned().unwrap_or_default());
        }
        Ok(rows)
    }

    /// Asks until the answer fits.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        person: &Person,
        path: &str,
        fits: impl Fn(Vec<Value>) -> Option<T>,
    ) -> Result<T, DemoError> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            if let Some(found) = fits(self.rows(person, path).await?) {
                return Ok(found);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(DemoError::Late(what.to_owned()))
    }
}

/// The path of `<…>; rel="next"`.
fn following(link: &str) -> Option<String> {
    let (target, relation) = link.split_once('>')?;
    let target = target.trim_start_matches('<');
    let path = target.find("/v1/").map(|at| target[at..].to_owned());
    path.filter(|_| relation.contains("next"))
}

async fn body(path: &str, answer: reqwest::Response) -> Result<Value, DemoError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer.json().await?);
    }
    Err(DemoError::Refused {
        path: path.to_owned(),
        status: status.as_u16(),
        body: answer.text().await.unwrap_or_default(),
    })
}
