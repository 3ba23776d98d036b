//! A node on a database of its own, and calls to it.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use actix_web::{
    App,
    body::to_bytes,
    dev::ServerHandle,
    http::{StatusCode, header::HeaderMap},
    rt::{self, task::JoinHandle},
    test,
    test::TestRequest,
};
use api::{
    auth::{Claims, Door, Entrances, SigningKeys},
    http::configure,
    wiring::{Limits, Node},
};
use event_store::{
    integrity::NotaryConfig,
    testing::{TestDatabase, database},
};
use integrations::mail::Outbox;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use uuid::Uuid;

/// A node, and what its tokens are signed with.
pub(crate) struct TestNode {
    pub(crate) node: Node,
    pub(crate) notary: PathBuf,
    pub(crate) outbox: PathBuf,
    entrances: Entrances,
    database: Arc<TestDatabase>,
}

impl Drop for TestNode {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.notary);
        let _ = std::fs::remove_dir_all(&self.outbox);
    }
}

/// The largest body that a test node takes.
pub(crate) const BODY_LIMIT: usize = 64 * 1024;

/// Starts a node.
pub(crate) async fn node() -> TestNode {
    node_with(Entrances::default()).await
}

/// What the log is signed with.
pub(crate) const NOTARY_SECRET: [u8; 32] = [7; 32];

/// Starts a node with these ways in beside passwords.
pub(crate) async fn node_with(entrances: Entrances) -> TestNode {
    beside(Arc::new(database().await), entrances).await
}

/// Starts a node on a database that others may use too.
async fn beside(database: Arc<TestDatabase>, entrances: Entrances) -> TestNode {
    let keys = SigningKeys::single(&[7; 32]).unwrap();
    let reading = projections::Config::new(&database.url);
    let limits = Limits { states: 1000, body: BODY_LIMIT, ..Limits::default() };
    let notary = std::env::temp_dir().join(format!("annals-http-{}", Uuid::new_v4().simple()));
    let every = Duration::from_millis(5);
    let signing = NotaryConfig { every, ..NotaryConfig::new(&notary, NOTARY_SECRET) };
    let outbox = notary.with_extension("outbox");
    let mailer = Arc::new(Outbox::new(&outbox, "Registrar <registrar@example.edu>").unwrap());
    let door = Door { keys, entrances: entrances.clone() };
    let node = Node::assemble(database.config(), reading, signing, door, mailer, limits).await.unwrap();
    TestNode { node, notary, outbox, entrances, database }
}

/// A node that listens on a port of its own.
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    pub(crate) node: TestNode,
    handle: ServerHandle,
    running: JoinHandle<std::io::Result<()>>,
}

/// Starts a node that listens.
pub(crate) async fn listening() -> Listening {
    let node = node().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = api::http::server(node.node.api.clone(), listener).unwrap();
    Listening { address, node, handle: server.handle(), running: rt::spawn(server) }
}

impl Listening {
    /// Listens no more, at once or when what was begun is answered.
    pub(crate) async fn stop(self, gracefully: bool) -> TestNode {
        self.handle.stop(gracefully).await;
        self.running.await.unwrap().unwrap();
        self.node
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// A header as text.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers));
        value.to_str().unwrap()
    }

    /// Asserts that it is a problem with this status and code, and gives it.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["trace_id"], self.header("x-trace-id"));
        problem
    }
}

impl TestNode {
    /// Another node on the same database.
    pub(crate) async fn beside(&self) -> TestNode {
        beside(Arc::clone(&self.database), self.entrances.clone()).await
    }

    /// A bearer token of a person with these roles.
    pub(crate) fn token(&self, subject: Uuid, roles: &[&str]) -> String {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let claims = Claims::new(subject, roles, SignedDuration::from_mins(5), Timestamp::now());
        self.node.api.keys.sign(&claims).unwrap()
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: TestRequest) -> Answer {
        let app = App::new().app_data(self.node.api.clone()).configure(configure);
        let service = test::init_service(app).await;
        let response = test::call_service(&service, request.to_request()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body()).await.unwrap_or_else(|_| panic!("a body"));
        Answer { status, headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// Sends a request whose answer is no text.
    pub(crate) async fn status_and_length(&self, request: TestRequest) -> (u16, usize) {
        let app = App::new().app_data(self.node.api.clone()).configure(configure);
        let service = test::init_service(app).await;
        let response = test::call_service(&service, request.to_request()).await;
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body()).await.unwrap_or_else(|_| panic!("a body"));
        (status, body.len())
    }

    /// Sends a request whose answer may be compressed.
    pub(crate) async fn status_headers_and_length(&self, request: TestRequest) -> (u16, HeaderMap, usize) {
        let app = App::new().app_data(self.node.api.clone()).configure(configure);
        let service = test::init_service(app).await;
        let response = test::call_service(&service, request.to_request()).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = to_bytes(response.into_body()).await.unwrap_or_else(|_| panic!("a body"));
        (status, headers, body.len())
    }

    /// Sends a request as a person with these roles.
    pub(crate) async fn send_as(&self, subject: Uuid, roles: &[&str], request: TestRequest) -> Answer {
        let bearer = format!("Bearer {}", self.token(subject, roles));
        self.send(request.insert_header(("Authorization", bearer))).await
    }

    /// Sends a request as a person who has shown a second factor just now.
    pub(crate) async fn send_elevated(&self, subject: Uuid, roles: &[&str], request: TestRequest) -> Answer {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let now = Timestamp::now();
        let claims = Claims::new(subject, roles, SignedDuration::from_mins(5), now).elevated_at(now);
        let bearer = format!("Bearer {}", self.node.api.keys.sign(&claims).unwrap());
        self.send(request.insert_header(("Authorization", bearer))).await
    }

    /// Posts a command as an administrator.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send_as(ADMIN, &["admin"], TestRequest::post().uri(path).set_json(body)).await
    }

    /// Asks as an administrator.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send_as(ADMIN, &["admin"], TestRequest::get().uri(path)).await
    }

    /// Until every policy has reacted to what is recorded, and to what it recorded itself.
    pub(crate) async fn settled(&self) {
        let store = self.node.api.commands.store();
        let reacted = async {
            loop {
                let reached = sqlx::query_scalar("SELECT min(position) FROM annals.policies");
                let reached: Option<i64> = reached.fetch_one(store.pool()).await.unwrap();
                let head = i64::try_from(store.head().await.unwrap().position).unwrap();
                if reached.is_some_and(|reached| reached >= head) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reacted).await.unwrap();
    }

    /// Creates an org unit and gives its id and the position.
    pub(crate) async fn org(&self, code: &str) -> (Uuid, u64) {
        let created = self.post("/v1/orgs", org(code)).await.json();
        (created["id"].as_str().unwrap().parse().unwrap(), created["position"].as_u64().unwrap())
    }
}

/// An administrator.
pub(crate) const ADMIN: Uuid = Uuid::from_u128(0xAD);

/// The fields of a new institution.
pub(crate) fn org(code: &str) -> Value {
    serde_json::json!({ "kind": "institution", "code": code, "name": "Pittsburg State", "type": "university", "country": "US" })
}
