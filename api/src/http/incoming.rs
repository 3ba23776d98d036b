//! A request as handlers see it: what it asks, and from where. It may have come by itself or as a part of another one.

use std::net::IpAddr;

use actix_web::{
    HttpRequest,
    http::{
        Method,
        header::{FORWARDED, HeaderMap, X_FORWARDED_FOR},
    },
};

use crate::{config::ForwardedHeader, wiring::Limits};

/// What a request asks, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    method: &'a Method,
    path: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
    address: Option<IpAddr>,
    whole: Option<&'a HttpRequest>,
}

impl<'a> Incoming<'a> {
    /// A request that came by itself.
    pub(super) fn of(request: &'a HttpRequest, limits: &Limits) -> Self {
        Incoming {
            method: request.method(),
            path: request.path(),
            query: request.query_string(),
            headers: request.headers(),
            address: request.peer_addr().map(|peer| client(peer.ip(), request.headers(), limits)),
            whole: Some(request),
        }
    }

    /// A request that was a part of this one: from the same client.
    pub(super) fn part(
        &self,
        method: &'a Method,
        path: &'a str,
        query: &'a str,
        headers: &'a HeaderMap,
    ) -> Self {
        Incoming { method, path, query, headers, address: self.address, whole: None }
    }

    /// The method.
    pub fn method(&self) -> &'a Method {
        self.method
    }

    /// The path as it was sent.
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// The query string, without its question mark.
    pub fn query_string(&self) -> &'a str {
        self.query
    }

    /// The headers.
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// The request itself, where it came by itself.
    pub(super) fn whole(&self) -> Option<&'a HttpRequest> {
        self.whole
    }

    /// The client's address; none for what comes from nowhere, which is a test.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }
}

/// Who sent a request: the peer, unless that is one of our proxies. Then it is the right-most of those whom it names that is
/// none of our proxies, because whatever stands left of that anybody may have made up. What cannot be read ends the search
/// at the last address that is vouched for. One header is read and never another: a proxy writes one, and passes the other on
/// as its client sent it.
fn client(peer: IpAddr, headers: &HeaderMap, limits: &Limits) -> IpAddr {
    let ours = |address: IpAddr| limits.proxies.iter().any(|range| range.contains(address));
    let peer = peer.to_canonical();
    if !ours(peer) {
        return peer;
    }
    let mut last = peer;
    let standard = limits.forwarded == ForwardedHeader::Forwarded;
    let name = if standard { FORWARDED } else { X_FORWARDED_FOR };
    let lines: Vec<&str> = headers.get_all(&name).map(|line| line.to_str().unwrap_or_default()).collect();
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        let named = if standard { forwarded_for(hop) } else { Some(hop.trim()) };
        let Some(address) = named.and_then(address) else { return last };
        if !ours(address) {
            return address;
        }
        last = address;
    }
    last
}

/// The `for` of one element of `Forwarded` (RFC 7239). Its values have no commas or semicolons where they are addresses.
fn forwarded_for(element: &str) -> Option<&str> {
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let mut named = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("for"));
    named.next().map(|(_, value)| value.trim().trim_matches('"'))
}

/// `192.0.2.7`, `192.0.2.7:4711`, `2001:db8::7`, `[2001:db8::7]` or `[2001:db8::7]:4711`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => match text.split_once(':') {
            Some((address, port)) if !port.contains(':') => address,
            Some(_) | None => text,
        },
    };
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn from(peer: &str, headers: &[(&'static str, &str)]) -> String {
        as_said_in(ForwardedHeader::XForwardedFor, peer, headers)
    }

    fn as_said_in(forwarded: ForwardedHeader, peer: &str, headers: &[(&'static str, &str)]) -> String {
        let proxies = ["10.0.0.0/8", "2001:db8:1::/48"].map(|range| range.parse().unwrap()).into();
        let limits = Limits { proxies, forwarded, ..Limits::default() };
        let mut request = TestRequest::get().peer_addr(peer.parse().unwrap());
        for header in headers {
            request = request.append_header(*header);
        }
        Incoming::of(&request.to_http_request(), &limits).address().unwrap().to_string()
    }

    #[test]
    fn a_client_that_is_no_proxy_of_ours_cannot_say_who_it_is() {
        let said = [("X-Forwarded-For", "192.0.2.7"), ("Forwarded", "for=192.0.2.7")];
        assert_eq!(from("203.0.113.1:4711", &said), "203.0.113.1");
        assert_eq!(from("203.0.113.1:4711", &[]), "203.0.113.1");
    }

    #[test]
    fn the_right_most_address_that_is_no_proxy_of_ours_is_the_clients() {
        let by = |chain: &str| from("10.0.0.1:80", &[("X-Forwarded-For", chain)]);
        assert_eq!(by("192.0.2.7"), "192.0.2.7");
        assert_eq!(
            by("198.51.100.1, 192.0.2.7, 10.0.0.2"),
            "192.0.2.7",
            "what it says of itself is left of it"
        );
        assert_eq!(by("198.51.100.1, 192.0.2.7:4711"), "192.0.2.7");
        assert_eq!(by("2001:db8::7, [2001:db8:1::2]:80"), "2001:db8::7");
        assert_eq!(from("[::ffff:10.0.0.1]:80", &[("X-Forwarded-For", "192.0.2.7")]), "192.0.2.7");
        let lines = [("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-For", "192.0.2.7, 10.0.0.2")];
        assert_eq!(from("10.0.0.1:80", &lines), "192.0.2.7");
    }

    #[test]
    fn a_client_behind_a_proxy_cannot_say_who_it_is_in_the_header_that_the_proxy_does_not_write() {
        let both = [("X-Forwarded-For", "192.0.2.7"), ("Forwarded", "for=198.51.100.9")];
        assert_eq!(from("10.0.0.1:80", &both), "192.0.2.7");
        assert_eq!(as_said_in(ForwardedHeader::Forwarded, "10.0.0.1:80", &both), "198.51.100.9");
        let other = |forwarded, header| as_said_in(forwarded, "10.0.0.1:80", &[header]);
        assert_eq!(other(ForwardedHeader::XForwardedFor, both[1]), "10.0.0.1", "not even where it is alone");
        assert_eq!(other(ForwardedHeader::Forwarded, both[0]), "10.0.0.1");
    }

    #[test]
    fn the_standard_header_is_read_as_the_other_one_from_its_right_end() {
        let by = |standard: &str| {
            as_said_in(ForwardedHeader::Forwarded, "10.0.0.1:80", &[("Forwarded", standard)])
        };
        assert_eq!(by("for=198.51.100.1, For=\"[2001:db8::7]:4711\";proto=https;by=10.0.0.2"), "2001:db8::7");
        assert_eq!(by("proto=https;for=192.0.2.7, for=10.0.0.3"), "192.0.2.7");
    }

    #[test]
    fn what_cannot_be_read_ends_at_the_last_one_vouched_for() {
        let by = |chain: &str| from("10.0.0.1:80", &[("X-Forwarded-For", chain)]);
        for nothing in ["", "unknown", "192.0.2.7, nonsense", "192.0.2.7,,"] {
            assert_eq!(by(nothing), "10.0.0.1", "{nothing}");
        }
        assert_eq!(by("10.0.0.9, 10.0.0.2"), "10.0.0.9", "only proxies: the one furthest away");
        let hidden = [("Forwarded", "for=_hidden")];
        assert_eq!(as_said_in(ForwardedHeader::Forwarded, "10.0.0.1:80", &hidden), "10.0.0.1");
        assert_eq!(from("10.0.0.1:80", &[]), "10.0.0.1");
    }
}
