//! Tokens of browsers: in cookies that no script reads, that no other site sends, and that are worth nothing without a
//! header that only this site's own script can set.

use actix_web::{
    HttpResponse,
    http::{
        Method,
        header::{COOKIE, HeaderValue, SET_COOKIE},
    },
};

use crate::{
    auth::Credentials,
    http::{Incoming, body::single},
};

const ACCESS: &str = "__Host-annals_access";
const REFRESH: &str = "__Secure-annals_refresh";
/// Where the refresh token is sent, and nowhere else.
const REFRESH_PATH: &str = "/v1/auth";
/// The header that a browser's own script sets.
const CSRF: &str = "X-CSRF-Token";

/// The access token in a browser's cookie.
pub(in crate::http) fn access_cookie(request: &Incoming<'_>) -> Option<String> {
    cookie(request, ACCESS)
}

/// The refresh token in a browser's cookie.
pub(super) fn refresh_cookie(request: &Incoming<'_>) -> Option<String> {
    cookie(request, REFRESH)
}

fn cookie(request: &Incoming<'_>, name: &str) -> Option<String> {
    let headers = request.headers().get_all(COOKIE).filter_map(|header| header.to_str().ok());
    let mut pairs =
        headers.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(own, _)| *own == name).map(|(_, value)| value.to_owned())
}

/// Whether a request that a cookie authenticates may come from another site: it changes something, and does not say what
/// only this site's own script knows.
pub(in crate::http) fn is_forged(request: &Incoming<'_>, session: &str, credentials: &Credentials) -> bool {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let said = single(request.headers(), CSRF).ok().flatten();
    !reads && !said.is_some_and(|said| credentials.is_csrf(session, said))
}

/// Gives a browser its tokens.
pub(super) fn give(response: &mut HttpResponse, access: &str, access_s: i64, refresh: &str, refresh_s: i64) {
    set(response, ACCESS, access, "/", access_s);
    set(response, REFRESH, refresh, REFRESH_PATH, refresh_s);
}

/// Takes them back.
pub(super) fn take(response: &mut HttpResponse) {
    set(response, ACCESS, "", "/", 0);
    set(response, REFRESH, "", REFRESH_PATH, 0);
}

fn set(response: &mut HttpResponse, name: &str, value: &str, path: &str, seconds: i64) {
    let text = format!("{name}={value}; Path={path}; Max-Age={seconds}; Secure; HttpOnly; SameSite=Strict");
    let header = HeaderValue::from_str(&text).expect("tokens are visible ASCII");
    response.headers_mut().append(SET_COOKIE, header);
}
