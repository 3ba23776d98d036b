//! The stream over a WebSocket (RFC 6455): each event is a text message, the same JSON that the server-sent event has, and so
//! is each row, as the `row` of an object: it has no `position` of its own that a client might resume with.
//!
//! A client resumes with the last `position` that a message had as `last_event_id`. It has nothing to say but ping, pong and
//! close. Programs show their token or key in a header. A browser cannot, and sends its cookie whoever asks it to: it is let
//! in for this server's own site and for those that the security policy lists, and for no other. A token is never taken from the
//! path or a subprotocol: those end up in the logs of proxies.

use std::{cell::Cell, rc::Rc};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, dev,
    error::PayloadError,
    http::{
        Uri,
        header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, SEC_WEBSOCKET_VERSION, UPGRADE},
    },
    rt, web,
};
use actix_ws::{CloseCode, CloseReason, Message, MessageStream, Session};
use event_store::Position;
use futures_util::StreamExt;
use serde_json::json;

use super::{
    Client,
    client::{End, News},
    rows::Rows,
    view,
};
use crate::{
    http::{
        Api, Call, Incoming,
        body::Body,
        call::API_KEY,
        headers::{listed, origin},
        pairs::Pairs,
    },
    problem::{FORBIDDEN, INTERNAL, Problem, UPGRADE_REQUIRED},
};

/// How many bytes of a client may wait to be a whole message. Those that it may send at all have 125 at most.
const MOST: usize = 16 * 1024;

/// Opens a socket.
pub(in crate::http) async fn handle(
    api: &web::Data<Api>,
    call: &Call<'_>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let view = view(call.actor()?)?;
    let mut pairs = Pairs::of(call.request)?;
    let after = pairs.number("last_event_id")?;
    let rows = Rows::of(api, call.actor()?, &mut pairs)?;
    pairs.done()?;
    of_this_site(api, call.request).await?;
    let (Some(request), Body::Sent(payload)) = (call.request.whole(), body) else {
        return Err(upgrade_required());
    };
    let client = Client::new(api, call, view, rows, after).await?;
    let waiting = Rc::new(Cell::new(0));
    let payload = bounded(request, payload, Rc::clone(&waiting)).await?;
    let (response, session, messages) = actix_ws::handle(request, payload).map_err(|_| upgrade_required())?;
    let messages = messages.max_frame_size(MOST);
    rt::spawn(async move {
        let ended = tokio::select! {
            ended = tell(client, session.clone()) => ended,
            ended = listen(messages, session.clone(), waiting) => ended,
        };
        if let Some(reason) = ended {
            _ = session.close(Some(reason)).await; // it may be gone
        }
    });
    Ok(response)
}

/// What a client sends, as long as no more than so much of it waits: actix keeps all of a message before it looks how long
/// it is.
async fn bounded(
    request: &HttpRequest,
    payload: web::Payload,
    waiting: Rc<Cell<usize>>,
) -> Result<web::Payload, Problem> {
    let counted = payload.map(move |chunk| {
        let chunk = chunk?;
        waiting.set(waiting.get().saturating_add(chunk.len()));
        if waiting.get() > MOST { Err(PayloadError::Overflow) } else { Ok(chunk) }
    });
    let mut counted: dev::Payload = dev::Payload::Stream { payload: Box::pin(counted) };
    let payload = web::Payload::from_request(request, &mut counted).await;
    payload.map_err(|_| Problem::new(INTERNAL, "the request cannot be read"))
}

/// Tells a client all that it is told. Why it is told no more; nothing where it is gone.
async fn tell(mut client: Client, mut session: Session) -> Option<CloseReason> {
    loop {
        match client.next().await {
            // Sending waits where the client does not take what was sent before.
            Ok(News::Changed(rows)) => {
                for row in rows {
                    session.text(format!("{{\"row\":{row}}}")).await.ok()?;
                }
            }
            Ok(News::Recorded(events)) => {
                for event in events {
                    session.text(event.data).await.ok()?;
                }
            }
            Ok(News::LeftOut(rows)) => session.text(format!("{{\"left_out\":{rows}}}")).await.ok()?,
            Ok(News::UpTo(position)) => up_to(&mut session, position).await?,
            Ok(News::Quiet(position)) => {
                session.ping(b"").await.ok()?;
                up_to(&mut session, position).await?;
            }
            Err(End::Stopping) => return Some(because(CloseCode::Away, "this node is about to stop")),
            Err(End::Withdrawn) => {
                return Some(because(CloseCode::Policy, "the token does not hold any more"));
            }
            Err(End::Failed) => return Some(because(CloseCode::Error, "come back")),
        }
    }
}

/// Tells a client up to where it was told. Nothing where it is gone.
async fn up_to(session: &mut Session, position: Position) -> Option<()> {
    session.text(json!({ "position": position }).to_string()).await.ok()
}

/// Takes what a client may send. Why it is listened to no more; nothing where it is gone.
async fn listen(
    mut messages: MessageStream,
    mut session: Session,
    waiting: Rc<Cell<usize>>,
) -> Option<CloseReason> {
    loop {
        let message = messages.recv().await?;
        let too_much = waiting.replace(0) > MOST;
        match message {
            Ok(Message::Ping(bytes)) => session.pong(&bytes).await.ok()?,
            Ok(Message::Pong(_) | Message::Nop) => {}
            Ok(Message::Close(reason)) => {
                return Some(reason.map_or(CloseCode::Normal, |reason| reason.code).into());
            }
            Ok(Message::Text(_) | Message::Binary(_) | Message::Continuation(_)) => {
                return Some(because(CloseCode::Unsupported, "nothing is taken here"));
            }
            Err(_) if too_much => return Some(because(CloseCode::Size, "nothing is taken here")),
            Err(_) => return Some(CloseCode::Protocol.into()),
        }
    }
}

fn because(code: CloseCode, why: &str) -> CloseReason {
    (code, why).into()
}

/// Refuses a browser that another web site made ask with its cookie.
async fn of_this_site(api: &Api, request: &Incoming<'_>) -> Result<(), Problem> {
    let headers = request.headers();
    let by_header = headers.contains_key(AUTHORIZATION) || headers.contains_key(API_KEY);
    if by_header || is_own_site(headers) || listed(api, request).await.is_some() {
        return Ok(());
    }
    let detail = "with a cookie this opens only for this server's own web site and for those that are listed";
    Err(Problem::new(FORBIDDEN, detail).at("Origin"))
}

/// Whether a browser asks for the site that it asks.
fn is_own_site(headers: &HeaderMap) -> bool {
    let origin = origin(headers).and_then(|origin| origin.to_str().ok()?.parse::<Uri>().ok());
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let (Some(origin), Some(host)) = (origin, host) else { return false };
    let authority = origin.authority().map(|authority| authority.as_str());
    origin.scheme_str() == Some("https") && authority.is_some_and(|site| site.eq_ignore_ascii_case(host))
}

fn upgrade_required() -> Problem {
    Problem::new(UPGRADE_REQUIRED, "this needs the handshake of a WebSocket, version 13")
        .header(UPGRADE, HeaderValue::from_static("websocket"))
        .header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::ORIGIN;

    use super::*;

    #[test]
    fn a_browser_asks_for_its_own_site_only_over_tls_and_under_its_very_name() {
        let own = |origin: &'static str, host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
            headers.insert(HOST, HeaderValue::from_static(host));
            is_own_site(&headers)
        };
        assert!(own("https://annals.example.edu", "Annals.example.edu"));
        assert!(own("https://annals.example.edu:8443", "annals.example.edu:8443"));
        for (origin, host) in [
            ("http://annals.example.edu", "annals.example.edu"),
            ("https://annals.example.edu:8443", "annals.example.edu"),
            ("https://annals.example.edu.evil.org", "annals.example.edu"),
            ("https://evil.org", "annals.example.edu"),
            ("null", "annals.example.edu"),
            ("", ""),
        ] {
            assert!(!own(origin, host), "{origin} {host}");
        }
        assert!(!is_own_site(&HeaderMap::new()));
        let mut two = HeaderMap::new();
        two.insert(HOST, HeaderValue::from_static("annals.example.edu"));
        two.append(ORIGIN, HeaderValue::from_static("https://annals.example.edu"));
        assert!(is_own_site(&two));
        two.append(ORIGIN, HeaderValue::from_static("https://evil.org"));
        assert!(!is_own_site(&two));
    }
}
