//! Tests of the whole: the house's own rules, and everything end to end through HTTP.
//!
//! [`Annals`] is a real instance: the binary as a process of its own, with its own PostgreSQL and NATS, in a folder of its
//! own, spoken to over HTTP only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod server;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use api::auth::{Claims, SigningKeys};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use uuid::Uuid;

/// The longest that anything here is waited for.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A node that runs as a process of its own.
pub struct Annals {
    /// The folder of this instance.
    pub folder: PathBuf,
    /// The variables of `annals.env`.
    pub env: BTreeMap<String, String>,
    /// Where this node listens.
    pub url: String,
    process: Child,
    http: reqwest::Client,
    keys: SigningKeys,
    owner: bool,
}

/// Somebody who speaks to an instance.
#[derive(Clone)]
pub struct Caller {
    /// The account.
    pub id: Uuid,
    /// Their access token.
    pub token: String,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body, null where it is empty.
    pub body: Value,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
}

impl Answer {
    async fn read(response: Response) -> Answer {
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        };
        Answer { status, body, headers }
    }

    /// The body of an accepted command or of an answered query.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.body);
        self.body
    }

    /// The code of a problem.
    #[track_caller]
    pub fn problem(self) -> (u16, String) {
        assert!(
            self.status.is_client_error() || self.status.is_server_error(),
            "{} {}",
            self.status,
            self.body
        );
        (self.status.as_u16(), self.body["code"].as_str().unwrap_or_default().to_owned())
    }
}

/// A program of ours, beside the test's own.
fn program(name: &str, package: &str) -> PathBuf {
    let mut folder = std::env::current_exe().unwrap();
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let program = folder.join(name);
    assert!(program.exists(), "{} is not built: cargo build -p {package}", program.display());
    program
}

impl Annals {
    /// A fresh instance in a folder of its own.
    pub async fn start() -> Annals {
        Annals::start_with(&[]).await
    }

    /// A fresh instance with these settings.
    pub async fn start_with(settings: &[(&str, &str)]) -> Annals {
        let folder = std::env::temp_dir().join(format!("annals-{}", Uuid::now_v7().simple()));
        std::fs::create_dir_all(&folder).unwrap();
        Annals::start_in_with(folder, settings).await
    }

    /// An instance in this folder, with what is there already.
    pub async fn start_in(folder: PathBuf) -> Annals {
        Annals::start_in_with(folder, &[]).await
    }

    async fn start_in_with(folder: PathBuf, settings: &[(&str, &str)]) -> Annals {
        let data = folder.join("data");
        let mut command = Command::new(program("annals", "api"));
        command.env("ANNALS_DATA_DIR", &data).env("ANNALS_LISTEN", "127.0.0.1:0");
        command.envs(settings.iter().copied());
        let process = spawn(command, &folder, "one");
        let begun = Instant::now();
        let env = loop {
            if let Some(env) = api::embedded::running(&data)
                && reachable(&env["ANNALS_URL"]).await
            {
                break env;
            }
            assert!(begun.elapsed() < PATIENCE, "annals does not start: {}", log(&folder, "one"));
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let url = env["ANNALS_URL"].clone();
        Annals::at(folder, env, url, process, true)
    }

    /// Another node on the same servers.
    pub async fn second_node(&self) -> Annals {
        let mut command = Command::new(program("annals", "api"));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        command.envs(&self.env).env("ANNALS_LISTEN", port.to_string());
        let process = spawn(command, &self.folder, "two");
        let (begun, url) = (Instant::now(), format!("http://{port}"));
        while !reachable(&url).await {
            assert!(
                begun.elapsed() < PATIENCE,
                "the second node does not start: {}",
                log(&self.folder, "two")
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Annals::at(self.folder.clone(), self.env.clone(), url, process, false)
    }

    fn at(
        folder: PathBuf,
        env: BTreeMap<String, String>,
        url: String,
        process: Child,
        owner: bool,
    ) -> Annals {
        let keys = SigningKeys::read(&std::fs::read(&env["ANNALS_JWT_KEY_FILE"]).unwrap()).unwrap();
        api::choose_cryptography();
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Annals { folder, env, url, process, http, keys, owner }
    }

    /// Somebody with these roles (`role` or `role@<org unit>`).
    pub fn caller(&self, roles: &[&str]) -> Caller {
        self.caller_as(Uuid::now_v7(), roles)
    }

    /// This person, with these roles.
    pub fn caller_as(&self, id: Uuid, roles: &[&str]) -> Caller {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let claims = Claims::new(id, roles, SignedDuration::from_hours(1), Timestamp::now());
        Caller { id, token: self.keys.sign(&claims).unwrap() }
    }

    /// Somebody with these roles who has just shown a second factor.
    pub fn elevated(&self, roles: &[&str]) -> Caller {
        let (id, now) = (Uuid::now_v7(), Timestamp::now());
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let claims = Claims::new(id, roles, SignedDuration::from_hours(1), now).elevated_at(now);
        Caller { id, token: self.keys.sign(&claims).unwrap() }
    }

    /// A request with a token and a body.
    pub fn request(&self, caller: &Caller, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&caller.token)
    }

    /// Issues a command by its canonical route.
    pub async fn command(&self, caller: &Caller, to: &str, id: Uuid, command: &str, fields: Value) -> Answer {
        let path = format!("/v1/{to}/{id}/{command}");
        Answer::read(self.request(caller, Method::POST, &path).json(&fields).send().await.unwrap()).await
    }

    /// Sends a request and reads the answer.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
        Ok(Answer::read(request.send().await?).await)
    }

    /// Asks a query.
    pub async fn get(&self, caller: &Caller, path: &str) -> Answer {
        Answer::read(self.request(caller, Method::GET, path).send().await.unwrap()).await
    }

    /// Asks until the answer fits, and answers what was found in it.
    pub async fn until<T>(&self, caller: &Caller, path: &str, fits: impl Fn(&Value) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            let answer = self.request(caller, Method::GET, path).send().await;
            let answer = match answer {
                Ok(response) => Answer::read(response).await.body,
                Err(error) => Value::String(error.to_string()),
            };
            if let Some(found) = fits(&answer) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "waited in vain: {path} answers {answer:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The database, for what only SQL can tell.
    pub async fn database(&self) -> sqlx::PgPool {
        sqlx::postgres::PgPoolOptions::new()
            .max_connections(2)
            .connect(&self.env["ANNALS_DATABASE_URL"])
            .await
            .unwrap()
    }

    /// Runs `annals-replay` on this instance, with these variables besides; answers what it printed.
    #[track_caller]
    pub fn replay(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let mut command = Command::new(program("annals-replay", "replay-tools"));
        command.envs(&self.env).envs(variables.iter().copied()).args(arguments).stdin(Stdio::null());
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "annals-replay {arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Kills the process as `kill -9` does.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// What the nodes of this instance logged.
    pub fn logs(&self) -> String {
        log(&self.folder, "one") + &log(&self.folder, "two")
    }
}

impl Drop for Annals {
    fn drop(&mut self) {
        // As Ctrl-C does, so that its servers stop as well.
        let _ = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status();
        let begun = Instant::now();
        while self.process.try_wait().is_ok_and(|ended| ended.is_none())
            && begun.elapsed() < Duration::from_secs(20)
        {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        if self.owner && !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

fn spawn(mut command: Command, folder: &Path, name: &str) -> Child {
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join(format!("{name}.log")))
        .unwrap();
    command
        .arg("serve")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file);
    command.spawn().unwrap()
}

fn log(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default()
}

async fn reachable(url: &str) -> bool {
    api::choose_cryptography();
    reqwest::get(format!("{url}/health/ready")).await.is_ok_and(|answer| answer.status().is_success())
}
