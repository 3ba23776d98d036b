//! What a client reads off a connection, byte by byte: also where actix refuses what it cannot even read as a request.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::node::{ADMIN, listening, org};

/// What is answered until the connection is closed.
async fn answered(address: SocketAddr, sent: &[u8]) -> String {
    String::from_utf8(bytes(address, sent).await).unwrap()
}

async fn bytes(address: SocketAddr, sent: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

fn with_headers(headers: usize, length: usize) -> Vec<u8> {
    let lines: Vec<String> = (0..headers).map(|n| format!("X-H{n}: {}\r\n", "x".repeat(length))).collect();
    format!("GET /health/live HTTP/1.1\r\nHost: here\r\nConnection: close\r\n{}\r\n", lines.concat())
        .into_bytes()
}

/// What is a request is refused by this server, with a problem.
#[actix_web::test]
async fn a_head_that_is_read_and_is_too_large_is_refused_with_a_problem() {
    let listening = listening().await;
    let answer = answered(listening.address, &with_headers(40, 1000)).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("application/problem+json") && head.contains("x-request-id: "), "{head}");
    assert!(body.contains(r#""code":"HeadersTooLarge""#), "{body}");
    listening.stop(false).await;
}

/// docs/limits.md: what is no request is refused by actix, which lets nobody add to it.
#[actix_web::test]
async fn what_is_no_request_is_refused_by_its_status_alone_and_the_connection_is_closed() {
    let listening = listening().await;
    let refused = async |sent: &[u8], status: &str| {
        let answer = answered(listening.address, sent).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-length: 0") && body.is_empty(), "{answer}");
    };
    for unreadable in [
        "no request\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: here\r\nno header\r\n\r\n",
        "POST /v1/orgs HTTP/1.1\r\nHost: here\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST /v1/orgs HTTP/1.1\r\nHost: here\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        refused(unreadable.as_bytes(), "400").await;
    }
    refused(&with_headers(97, 1), "431").await;
    // The head is not there within its time.
    refused(b"GET / HTTP/1.1\r\nHost: loc", "408").await;
    listening.stop(false).await;
}

/// docs/limits.md: to actix a chunk that is none is a connection that was lost, which nobody can change.
#[actix_web::test]
async fn a_body_in_chunks_that_are_none_is_no_command_and_costs_others_nothing() {
    let listening = listening().await;
    let (token, fields) = (listening.node.token(ADMIN, &["admin"]), org("PSU").to_string());
    let length = fields.len();
    for malformed in ["zugvogel\r\n", "1\r\nxx\r\n", "fffffffffffffffff\r\n"] {
        let sent = format!(
            "POST /v1/orgs HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{fields}\r\n{malformed}"
        );
        let answer = answered(listening.address, sent.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    let events = listening.node.node.api.commands.store().read_all(0, 100).await.unwrap();
    assert!(events.iter().all(|event| event.event_type != "OrgUnitCreated"), "{events:?}");
    let health = b"GET /health/live HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";
    assert!(answered(listening.address, health).await.starts_with("HTTP/1.1 200 "));
    listening.stop(false).await;
}

#[actix_web::test]
async fn rfc9110_932_head_states_the_length_that_get_has() {
    let listening = listening().await;
    let mut position = 0;
    for code in 0..30 {
        (_, position) = listening.node.org(&format!("PSU{code}")).await;
    }
    let token = listening.node.token(ADMIN, &["admin"]);
    let stated = async |method: &str, coding: &str| {
        let request = format!(
            "{method} /v1/orgs?limit=100&min_position={position}&as_of={position} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\
             Accept-Encoding: {coding}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        let answer = bytes(listening.address, request.as_bytes()).await;
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let line = |name: &str| head.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        ((line("content-length"), line("content-encoding")), answer.len() - end - 4)
    };
    for coding in ["identity", "br", "gzip"] {
        let (got, length) = stated("GET", coding).await;
        assert_eq!(got.0, Some(format!("content-length: {length}")));
        assert_eq!(stated("HEAD", coding).await, (got, 0), "{coding}");
    }
    listening.stop(false).await;
}
