//! The headers of requests that every route takes, and of every answer: what keeps browsers from doing more with it than
//! they should, the trace, the request's own id, and which other web sites may read it.

use actix_web::{
    HttpResponse,
    http::{
        ConnectionType, Method, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
            ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName,
            HeaderValue, ORIGIN, VARY,
        },
    },
};
use serde_json::json;

use super::{Api, Incoming, Trace};
use crate::problem::{HEADERS_TOO_LARGE, Problem};

/// How many bytes the headers of a request may have.
const MOST: usize = 32 * 1024;

/// The header by which a client names its request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What keeps browsers at bay, the same for every answer.
const FIXED: [(HeaderName, HeaderValue); 4] = [
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
    (HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY")),
    (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("strict-transport-security"),
        HeaderValue::from_static("max-age=31536000; includeSubDomains"),
    ),
];

/// What a browser may load for an answer: nothing. Pages say themselves what they need.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// What scripts of other sites may read of an answer.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Annals-Version, ETag, Idempotent-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, \
     X-Request-Id, X-Trace-Id",
);

/// What scripts of other sites may send.
const TAKEN: HeaderValue = HeaderValue::from_static(
    "Accept, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Traceparent, \
     X-API-Key, X-CSRF-Token, X-Purpose, X-Request-Id",
);

/// Refuses a request whose headers are too large.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Problem> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes <= MOST {
        return Ok(());
    }
    let details = json!({ "limit_bytes": MOST });
    Err(Problem::new(HEADERS_TOO_LARGE, "the headers are larger than this server takes").with(details))
}

/// What the client calls its request, where that is a name: 1 to 128 letters, digits and `-_.:`.
pub(super) fn request_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    let sane = |id: &&HeaderValue| (1..=128).contains(&id.len()) && id.as_bytes().iter().all(plain);
    headers.get(&REQUEST_ID).filter(sane)
}

/// Marks an answer.
pub(super) fn mark(response: &mut HttpResponse, request: &Incoming<'_>, trace: &Trace, closes: bool) {
    if closes || response.status() == StatusCode::REQUEST_TIMEOUT {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(name, value);
    }
    if !headers.contains_key(CONTENT_SECURITY_POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, NOTHING);
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    let hexadecimal = "a trace is hexadecimal";
    let id = HeaderValue::try_from(trace.id()).expect(hexadecimal);
    let parent = HeaderValue::try_from(trace.parent()).expect(hexadecimal);
    headers.insert(REQUEST_ID, request_id(request.headers()).unwrap_or(&id).clone());
    headers.insert(HeaderName::from_static("x-trace-id"), id);
    headers.insert(HeaderName::from_static("traceparent"), parent);
}

/// The web site that a browser calls for. Browsers name one; of several, nobody knows which it is.
pub(super) fn origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut all = headers.get_all(ORIGIN);
    all.next().filter(|_| all.next().is_none())
}

/// The web site that a browser calls for, where it is one that the security policy lists.
pub(super) async fn listed<'a>(api: &Api, request: &Incoming<'a>) -> Option<&'a HeaderValue> {
    let origin = origin(request.headers())?;
    let policy = api.standing.policy().await.ok()?;
    let text = origin.to_str().ok()?;
    policy.cors_origins.iter().any(|known| known == text).then_some(origin)
}

/// Lets the web sites that the security policy lists read an answer. Nobody else is told anything.
pub(super) async fn share(api: &Api, request: &Incoming<'_>, response: &mut HttpResponse) {
    if !request.headers().contains_key(ORIGIN) {
        return;
    }
    let origin = listed(api, request).await;
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin else { return };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

/// The answer to a browser that asks whether a listed web site may send a request; none where it does not ask that.
pub(super) async fn preflight(api: &Api, request: &Incoming<'_>, allowed: &str) -> Option<HttpResponse> {
    let asks =
        *request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if !asks || listed(api, request).await.is_none() {
        return None;
    }
    let mut response = HttpResponse::NoContent().finish();
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_str(allowed).ok()?);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, TAKEN);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    headers.append(VARY, HeaderValue::from_static("Access-Control-Request-Method"));
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(id: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_static(id));
        headers
    }

    #[test]
    fn a_request_id_is_a_short_plain_name() {
        assert!(request_id(&named("job-7:item_3.a")).is_some());
        for wrong in ["", "a b", "a\"b", "<script>", "a;b"] {
            assert!(request_id(&named(wrong)).is_none(), "{wrong}");
        }
        let mut long = HeaderMap::new();
        long.insert(REQUEST_ID, HeaderValue::from_str(&"x".repeat(129)).unwrap());
        assert!(request_id(&long).is_none() && request_id(&HeaderMap::new()).is_none());
    }

    #[test]
    fn headers_have_a_limit_of_their_own() {
        let mut headers = named("a");
        assert!(check(&headers).is_ok());
        headers.insert(ORIGIN, HeaderValue::from_str(&"x".repeat(MOST)).unwrap());
        assert_eq!(check(&headers).unwrap_err().status().as_u16(), 431);
    }
}
