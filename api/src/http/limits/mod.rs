//! How often callers may call (IDN-P1): so many calls of a class of routes within a window, by address, account or client.
//!
//! Calls are counted in memory. Whoever has used an eighth of a limit is counted on all nodes together: every 250 ms
//! they tell each other through the database, in the background, so that no call waits for it. Two nodes let through as
//! many calls too many as reach the other one within that time, and never more than the limit once more. The ways in
//! (class `auth`) are counted in the database itself and are exact.
//!
//! IDN-P3: whoever is over the limit in three windows one after the other is a suspicion of abuse.

mod class;
mod shared;
mod suspicion;
mod window;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use actix_web::{
    HttpRequest,
    http::header::{HeaderMap, HeaderName, HeaderValue},
};
use domain::{
    ActorKind,
    identity::{RateKey, RateLimit},
};
use event_store::EventStore;
use quick_cache::sync::Cache;
use serde_json::json;
use tokio::task::JoinHandle;
use uuid::Uuid;

pub use class::Class;
pub(super) use suspicion::look_into;

use self::{
    shared::Shared,
    window::{Counts, Millis, Verdict, Window},
};
use super::{Api, Incoming, Route, past};
use crate::{
    auth::Ticket,
    problem::{Problem, RATE_LIMITED, UNAVAILABLE},
};

/// How many callers are counted at once. Whoever was not heard of for longest is forgotten first.
const COUNTED: usize = 100_000;
/// How many refusals of one caller are put on record: more than the 50 that GOV-I2 looks for.
const RECORDED: RateLimit = RateLimit { per: RateKey::Account, limit: 60, window_s: 60 };
/// From which part of a limit on the other nodes are told.
const TOLD_FROM: u32 = 8;

/// Who is counted, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Who {
    class: Class,
    caller: Caller,
    window_s: u32,
}

/// By what calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Caller {
    /// An address; of IPv6 the network of 64 bits that one customer has.
    Address(u128),
    /// An account, or a client of the API.
    Account(u128),
    /// A client of the API, or the session of a person.
    Client(u128),
}

struct Counter {
    who: Who,
    window: Mutex<Counting>,
}

#[derive(Default)]
struct Counting {
    window: Window,
    /// Whether the other nodes are about to be told.
    queued: bool,
}

/// Counts calls.
pub(super) struct Limiter {
    counters: Cache<Who, Arc<Counter>>,
    shared: Shared,
    exchange: JoinHandle<()>,
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.exchange.abort();
    }
}

/// What is left to a caller: what every answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quota {
    class: Class,
    limit: RateLimit,
    verdict: Verdict,
}

/// A call that is not let through.
pub(super) struct Exceeded {
    /// What goes on record.
    pub(super) problem: Problem,
    /// What to answer, where that is something else.
    pub(super) instead: Option<Problem>,
    /// Whether it is the first one of its window: one is on record, and not all of them.
    pub(super) first: bool,
    /// What is left.
    pub(super) quota: Option<Quota>,
}

impl Limiter {
    /// Begins to exchange counts with the other nodes. `key` is what callers are hashed with before they are told.
    pub(super) fn start(store: EventStore, key: [u8; 32]) -> Self {
        let shared = Shared::new(store, key);
        let exchange = tokio::spawn(shared.clone().exchange());
        Limiter { counters: Cache::new(COUNTED), shared, exchange }
    }

    fn counter(&self, who: Who) -> Arc<Counter> {
        if let Some(known) = self.counters.get(&who) {
            return known;
        }
        let new = || Ok(Arc::new(Counter { who, window: Mutex::default() }));
        let made: Result<_, std::convert::Infallible> = self.counters.get_or_insert_with(&who, new);
        match made {
            Ok(counter) => counter,
            Err(never) => match never {},
        }
    }

    /// Counts a call, or as many as it counts as, by memory and what the other nodes told.
    fn count(&self, who: Who, limit: RateLimit, calls: u32, now: Millis) -> Verdict {
        let counter = self.counter(who);
        let (verdict, queue) = {
            let mut counting = counter.window.lock().unwrap_or_else(PoisonError::into_inner);
            let verdict = counting.window.admit(limit, calls, now);
            let worth_it = verdict.admitted && counting.window.here() >= limit.limit / TOLD_FROM;
            (verdict, worth_it && !std::mem::replace(&mut counting.queued, worth_it))
        };
        if queue {
            self.shared.queue(counter);
        }
        verdict
    }

    /// Counts a call exactly, on all nodes together.
    async fn count_exactly(&self, who: Who, limit: RateLimit, now: Millis) -> Result<Verdict, Problem> {
        let counter = self.counter(who);
        let counting = || counter.window.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full) = counting().window.refuse_if_full(limit, now) {
            return Ok(full);
        }
        let counts = self.shared.admit(who, limit, now).await.map_err(|error| {
            tracing::error!(%error, "calls cannot be counted");
            Problem::new(UNAVAILABLE, "something that the request needs cannot be reached").retry_after(1)
        })?;
        Ok(counting().window.counted(limit, now, counts))
    }
}

impl Api {
    /// Whether one more call of a route is let through: what the limits decide, and nothing else. It counts as a call.
    /// `benches/limits.rs` measures it.
    pub async fn lets_through(&self, request: &HttpRequest, route: &Route, ticket: Option<&Ticket>) -> bool {
        self.admit(&Incoming::of(request, &self.limits), route, ticket).await.is_ok()
    }

    /// Lets a call through, or says when to come back. Nothing where nobody is counted.
    pub(super) async fn admit(
        &self,
        request: &Incoming<'_>,
        route: &Route,
        ticket: Option<&Ticket>,
    ) -> Result<Option<Quota>, Exceeded> {
        match Class::of(route, &self.catalog) {
            Some(class) => self.counted(class, past::calls(request, route), request, ticket).await,
            None => Ok(None),
        }
    }

    /// Counts that somebody shows a token or a key that was never given out, whatever the route: as one more try of the ways
    /// in. Whoever shows what is accepted is never kept out by it, and whoever does not is told the same as before: more than
    /// so many tries are not on record, and are told when to come back.
    pub(super) async fn admit_guess(
        &self,
        request: &Incoming<'_>,
        unproven: Problem,
    ) -> Result<Problem, Exceeded> {
        match self.counted(Class::Auth, 1, request, None).await {
            Ok(_) => Ok(unproven),
            Err(exceeded) => {
                let seconds = exceeded.quota.map(Quota::seconds);
                let instead = seconds.map(|seconds| unproven.retry_after(seconds));
                Err(Exceeded { instead, ..exceeded })
            }
        }
    }

    /// Counts a call of somebody who is not known, by their address, and gives back why it is refused. Many come by one address
    /// and show tokens whose time is over: they are always told so, and from the limit on when to come back; of those, none is
    /// on record. Whoever shows such a token tries none of the ways in.
    pub(super) async fn admit_unknown(
        &self,
        request: &Incoming<'_>,
        route: &Route,
        refused: Problem,
    ) -> Result<(Option<Quota>, Problem), Exceeded> {
        let class = Class::of(route, &self.catalog).filter(|class| *class != Class::Auth);
        let Some(class) = class else { return Ok((None, refused)) };
        match self.counted(class, past::calls(request, route), request, None).await {
            Ok(left) => Ok((left, refused)),
            Err(exceeded) => {
                let seconds = exceeded.quota.map(Quota::seconds);
                let instead = seconds.map(|seconds| refused.retry_after(seconds));
                Err(Exceeded { instead, first: false, ..exceeded })
            }
        }
    }

    /// Whether one more refusal of a caller is put on record. Those that are not are counted for the metrics.
    pub(super) fn is_recorded(&self, request: &Incoming<'_>, route: &Route, ticket: Option<&Ticket>) -> bool {
        // Of the ways in there are few in any case, and no other refusals may hide those (GOV-I2).
        if Class::of(route, &self.catalog) == Some(Class::Auth) {
            return true;
        }
        let class = Class::Refusals;
        let Some(caller) = caller(RECORDED.per, class, request, ticket) else { return true };
        let who = Who { class, caller, window_s: RECORDED.window_s };
        let recorded = self.limiter.count(who, RECORDED, 1, now()).admitted;
        if !recorded {
            self.metrics.unrecorded.inc();
        }
        recorded
    }

    async fn counted(
        &self,
        class: Class,
        calls: u32,
        request: &Incoming<'_>,
        ticket: Option<&Ticket>,
    ) -> Result<Option<Quota>, Exceeded> {
        let unknown = |problem| Exceeded { problem, instead: None, first: false, quota: None };
        let limited = self.limit(class, ticket).await.map_err(unknown)?;
        let Some((class, limit)) = limited else { return Ok(None) };
        let Some(caller) = caller(limit.per, class, request, ticket) else { return Ok(None) };
        let (who, now) = (Who { class, caller, window_s: limit.window_s }, now());
        let verdict = match class {
            Class::Auth => self.limiter.count_exactly(who, limit, now).await.map_err(unknown)?,
            _ => self.limiter.count(who, limit, calls, now),
        };
        let quota = Quota { class, limit, verdict };
        if verdict.admitted {
            return Ok(Some(quota));
        }
        self.metrics.limited(class.into());
        let (problem, first) = (quota.problem(), verdict.first_refused);
        Err(Exceeded { problem, instead: None, first, quota: Some(quota) })
    }

    /// Which limit holds. A client of the API has one of its own for whatever it calls, and so have the tokens of the
    /// operator's command line.
    async fn limit(
        &self,
        class: Class,
        ticket: Option<&Ticket>,
    ) -> Result<Option<(Class, RateLimit)>, Problem> {
        let policy = self.standing.policy().await?;
        let of = |class: Class| policy.limit(class.into()).map(|limit| (class, limit));
        let Some(ticket) = ticket.filter(|_| class != Class::Auth) else { return Ok(of(class)) };
        if ticket.actor.kind == ActorKind::ApiClient
            && let Ok(id) = ticket.actor.id.parse()
        {
            let client = self.standing.client(id).await?;
            if client.owner.is_some() {
                let limit = RateLimit { per: RateKey::Client, limit: client.per_minute, window_s: 60 };
                return Ok(Some((Class::Client, limit)));
            }
            return Ok(of(Class::Operator));
        }
        Ok(of(if ticket.operator { Class::Operator } else { class }))
    }

    /// Keeps in mind that a caller was refused in this window; whether that is a suspicion of abuse (IDN-P3).
    pub(super) async fn is_suspicious(
        &self,
        quota: Quota,
        request: &Incoming<'_>,
        ticket: Option<&Ticket>,
    ) -> Result<Option<Uuid>, sqlx::Error> {
        let Quota { class, limit, .. } = quota;
        let Some(caller) = caller(limit.per, class, request, ticket) else { return Ok(None) };
        self.limiter.shared.refused(Who { class, caller, window_s: limit.window_s }, limit, now()).await
    }
}

/// Who calls, as calls are counted. Where nobody is known it is the address.
fn caller(per: RateKey, class: Class, request: &Incoming<'_>, ticket: Option<&Ticket>) -> Option<Caller> {
    let address = || request.address().map(|address| Caller::Address(network(address)));
    let Some(ticket) = ticket.filter(|_| class != Class::Auth) else { return address() };
    let account = || {
        let known = ticket.actor.account().or_else(|| ticket.actor.id.parse().ok());
        known.map(|id: Uuid| id.as_u128())
    };
    match per {
        RateKey::Ip => address(),
        RateKey::Account => account().map(Caller::Account).or_else(address),
        RateKey::Client => {
            let session = ticket.session.as_ref().and_then(|session| session.parse::<Uuid>().ok());
            session.map(|id| id.as_u128()).or_else(account).map(Caller::Client).or_else(address)
        }
    }
}

/// What of an address is counted: one customer has 2^64 addresses of IPv6.
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() & !u128::from(u64::MAX),
    }
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

impl Quota {
    /// In how many seconds to come back.
    fn seconds(self) -> u16 {
        u16::try_from(self.verdict.seconds.max(1)).unwrap_or(u16::MAX)
    }

    /// 429, with what holds and when to come back.
    fn problem(self) -> Problem {
        let Quota { class, limit, .. } = self;
        let class: &str = class.into();
        let seconds = self.seconds();
        Problem::new(RATE_LIMITED, "too many requests of this kind").retry_after(seconds).with(json!({
            "class": class,
            "limit": limit.limit,
            "window_s": limit.window_s,
            "retry_after_s": seconds,
        }))
    }

    /// Tells what holds and what is left, as draft-ietf-httpapi-ratelimit-headers-10 spells it.
    pub(super) fn tell(self, headers: &mut HeaderMap) {
        let Quota { class, limit, verdict } = self;
        let class: &str = class.into();
        let policy = format!("\"{class}\";q={};w={}", limit.limit, limit.window_s);
        let left = format!("\"{class}\";r={};t={}", verdict.remaining, verdict.seconds);
        for (name, value) in [("ratelimit-policy", policy), ("ratelimit", left)] {
            // A class is one of ours, and numbers are ASCII.
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_has_one_address_of_ipv4_and_a_network_of_ipv6() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2::7"), network("2001:db8:1:2:ffff::8"));
        assert_ne!(network("2001:db8:1:2::7"), network("2001:db8:1:3::7"));
        assert_eq!(network("::ffff:192.0.2.7"), network("192.0.2.7"));
        assert_ne!(network("192.0.2.7"), network("192.0.2.8"));
    }
}
