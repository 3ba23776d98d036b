//! Commands through HTTP on a whole node: a token, a body and an idempotency key each, all read models and policies at
//! work, everything on the same machine.

use std::{net::TcpListener, sync::Mutex};

use api::{auth::Claims, config::Config, embedded::Servers, http, wiring::Node};
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use uuid::Uuid;

use crate::Contender;

/// A node and the connections to it. The client costs little, so that the server is what is measured.
pub(crate) struct Served {
    address: std::net::SocketAddr,
    token: String,
    free: Mutex<Vec<TcpStream>>,
}

impl Served {
    pub(crate) async fn new(config: &Config, servers: &Servers) -> (Self, Node) {
        let node = Node::start(config, servers).await.unwrap();
        let claims = Claims::new(
            Uuid::from_u128(0xAD),
            vec!["admin".into()],
            SignedDuration::from_hours(1),
            Timestamp::now(),
        );
        let token = node.api.keys.sign(&claims).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(http::server(node.api.clone(), listener).unwrap());
        (Served { address, token, free: Mutex::default() }, node)
    }

    async fn connection(&self) -> TcpStream {
        let free = self.free.lock().unwrap().pop();
        match free {
            Some(connection) => connection,
            None => {
                let connection = TcpStream::connect(self.address).await.unwrap();
                connection.set_nodelay(true).unwrap();
                connection
            }
        }
    }

    /// Creates a unit; the status of the answer, and whether it says when to come back.
    pub(crate) async fn create_org_unit(&self) -> (u16, bool) {
        let mut connection = self.connection().await;
        let code = Uuid::new_v4().simple().to_string().to_uppercase();
        let body = format!(
            r#"{{"kind":"institution","code":"{}","name":"Pittsburg State","type":"university","country":"US"}}"#,
            &code[..20]
        );
        let request = format!(
            "POST /v1/orgs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Idempotency-Key: {}\r\nContent-Length: {}\r\n\r\n{body}",
            self.token,
            Uuid::now_v7(),
            body.len()
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let (mut answer, mut length) = ([0; 4096], 0);
        let told = loop {
            length += connection.read(&mut answer[length..]).await.unwrap();
            if let Some(told) = whole(&answer[..length]) {
                break told;
            }
        };
        self.free.lock().unwrap().push(connection);
        told
    }
}

/// What an answer says, once all of it is here.
fn whole(answer: &[u8]) -> Option<(u16, bool)> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let head = head.to_ascii_lowercase();
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let length: usize = header("content-length: ")?.parse().ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    (body.len() >= length).then(|| (status, header("retry-after: ").is_some()))
}

impl Contender for Served {
    fn start(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let (status, _) = self.create_org_unit().await;
            assert_eq!(status, 201);
        })
    }

    fn go_on(&self, _: usize) -> BoxFuture<'_, ()> {
        self.start()
    }
}
