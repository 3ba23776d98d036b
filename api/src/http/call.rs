//! One request on its way: its route, its caller, the values of its path.

use std::sync::Arc;

use actix_web::http::header::AUTHORIZATION;
use domain::{Actor, ActorKind};
use event_store::Condition;
use jiff::Timestamp;
use uuid::Uuid;

use super::{Api, Incoming, Route, Trace, body::single, dispatch::permitted, identity, route::From};
use crate::{
    auth::{ELEVATED_FOR, Rejected, SigningKeys, Stand, Ticket, Withdrawn},
    problem::{ELEVATION_REQUIRED, FORBIDDEN, Problem, RATE_LIMITED, UNAUTHENTICATED},
};

/// How often a command is issued again for somebody of whom something was recorded at the same time.
pub(super) const ATTEMPTS: u32 = 32;

/// The parameter of a path that is a month wherever it stands.
const MONTH: &str = "month";

/// One request.
pub struct Call<'a> {
    /// The request as it came.
    pub request: &'a Incoming<'a>,
    /// Its route.
    pub route: &'a Route,
    /// The values of the path's parameters, in the order of the template.
    pub values: Vec<&'a str>,
    /// The caller, where there is a token.
    pub ticket: Option<Arc<Ticket>>,
    /// What the caller's right was read from.
    pub rests_on: Vec<Condition>,
    /// Its trace.
    pub trace: &'a Trace,
}

impl Call<'_> {
    /// The value of a parameter of the path. The template has it: that is tested over all routes.
    pub fn parameter(&self, name: &str) -> &str {
        let index = self.route.parameters().position(|parameter| parameter == name);
        index.and_then(|index| self.values.get(index)).copied().unwrap_or_default()
    }

    /// A piece of a parameter whose pieces are separated by points; empty where it has fewer.
    pub fn piece(&self, name: &str, index: usize) -> &str {
        self.parameter(name).split('.').nth(index).unwrap_or_default()
    }

    /// A parameter of the path that is a UUID.
    ///
    /// # Errors
    /// When it is none.
    pub fn id(&self, name: &str) -> Result<Uuid, Problem> {
        uuid(self.parameter(name)).ok_or_else(|| Problem::parameter(name, "expected a UUID"))
    }

    /// Who calls.
    ///
    /// # Errors
    /// When nobody is known; routes that need somebody have asked before.
    pub fn actor(&self) -> Result<&Actor, Problem> {
        self.ticket.as_ref().map(|ticket| &ticket.actor).ok_or_else(|| unauthenticated(None))
    }

    /// The account of the person who calls.
    ///
    /// # Errors
    /// When the caller is no person and acts for none.
    pub fn account(&self) -> Result<Uuid, Problem> {
        let account = self.actor()?.account();
        account.ok_or_else(|| Problem::new(FORBIDDEN, "only a person has data of their own here"))
    }

    /// Whether the caller has proven just now who they are, with the second factor where there is one (IDN-S5).
    ///
    /// # Errors
    /// When not: 401 with what RFC 9470 wants said.
    pub fn elevated(&self) -> Result<(), Problem> {
        use actix_web::http::header::{HeaderValue, WWW_AUTHENTICATE};
        let now = jiff::Timestamp::now();
        if self.ticket.as_ref().is_some_and(|ticket| ticket.is_elevated(now)) {
            return Ok(());
        }
        let challenge = format!(
            "Bearer realm=\"annals\", error=\"insufficient_user_authentication\", \
             error_description=\"a fresh proof is needed\", max_age=\"{ELEVATED_FOR}\""
        );
        let challenge = HeaderValue::from_str(&challenge).expect("the challenge is ASCII");
        Err(Problem::new(
            ELEVATION_REQUIRED,
            "this needs a proof of who calls that is at most five minutes old",
        )
        .header(WWW_AUTHENTICATE, challenge))
    }

    /// The month of the path.
    fn month(&self) -> Result<String, Problem> {
        let month = self.parameter(MONTH);
        let first = format!("{month}-01").parse::<jiff::civil::Date>();
        let exact = first.is_ok_and(|first| first.strftime("%Y-%m").to_string() == month);
        exact.then(|| month.to_owned()).ok_or_else(|| Problem::parameter(MONTH, "expected a month, YYYY-MM"))
    }

    /// A value that the route knows.
    ///
    /// # Errors
    /// As [`Call::account`]; or what should be a date is none.
    pub fn known(&self, from: From) -> Result<String, Problem> {
        Ok(match from {
            From::Caller => self.account()?.to_string(),
            From::Address => match self.request.address() {
                Some(address) => address.to_canonical().to_string(),
                None => std::net::Ipv4Addr::UNSPECIFIED.to_string(),
            },
            From::Path(name) if name == MONTH => self.month()?,
            From::Path(name) => self.parameter(name).to_owned(),
            From::Piece(name, index) => self.piece(name, index).to_owned(),
            From::Pieces(name, index, count) => {
                self.parameter(name).split('.').skip(index).take(count).collect::<Vec<_>>().join(".")
            }
            From::MonthOf(name) => {
                let date: jiff::civil::Date = self
                    .parameter(name)
                    .parse()
                    .map_err(|_| Problem::parameter(name, "expected a date, YYYY-MM-DD"))?;
                date.strftime("%Y-%m").to_string()
            }
            From::Derived(parts) => {
                let parts = parts.iter().map(|part| self.known(*part)).collect::<Result<Vec<_>, _>>()?;
                domain::derived_id(&parts.iter().map(String::as_str).collect::<Vec<_>>()).to_string()
            }
            From::Text(text) => text.to_owned(),
        })
    }
}

/// A UUID in its usual form, as the schemas say: with hyphens, and without braces or `urn:uuid:`.
pub fn uuid(text: &str) -> Option<Uuid> {
    if text.len() == 36 { text.parse().ok() } else { None }
}

/// Why nobody is known by what a request shows.
pub(super) struct Unproven {
    /// What to answer.
    pub(super) problem: Problem,
    /// Whether it may be a guess: a token that was never given out here, or a key that opens nothing.
    pub(super) guess: bool,
}

impl std::convert::From<Problem> for Unproven {
    fn from(problem: Problem) -> Self {
        Unproven { problem, guess: false }
    }
}

impl std::convert::From<Rejected> for Unproven {
    fn from(why: Rejected) -> Self {
        // Browsers show what has expired before they refresh it.
        Unproven { problem: unauthenticated(Some(why)), guess: why != Rejected::EXPIRED }
    }
}

/// The header in which a program sends its key.
pub(super) const API_KEY: &str = "X-API-Key";

/// Who calls, and what that was read from.
pub(super) struct Caller {
    pub(super) ticket: Arc<Ticket>,
    pub(super) rests_on: Vec<Condition>,
}

/// The caller that a request's bearer token, key or cookie names, as far as was heard of them; none where it has none of these.
///
/// # Errors
/// A token that is not valid (any more), or credentials of another kind.
pub(super) async fn authenticate(request: &Incoming<'_>, api: &Api) -> Result<Option<Caller>, Unproven> {
    let ticket = if request.headers().contains_key(AUTHORIZATION) {
        bearer(request, &api.keys)?
    } else if let Some(key) = single(request.headers(), API_KEY)? {
        let caller = identity::caller(api, key).await;
        Arc::new(caller.map_err(|problem| Unproven { guess: problem.status() == 401, problem })?)
    } else if let Some(token) = identity::access_cookie(request) {
        let ticket = api.keys.verify(&token)?;
        let session = ticket.session.as_deref().unwrap_or_default();
        if identity::is_forged(request, session, &api.credentials) {
            return Err(forged().into());
        }
        ticket
    } else {
        return Ok(None);
    };
    match api.standing.examine(&ticket, request.address(), Timestamp::now()).await {
        Ok(mut stand) => {
            let rests_on = std::mem::take(&mut stand.rests_on);
            Ok(Some(Caller { ticket: with_stand(ticket, stand), rests_on }))
        }
        Err(withdrawn) => Err(of_withdrawn(withdrawn).into()),
    }
}

/// The caller as they stand now, if anything that their right was read from is different from what it was when they called.
///
/// # Errors
/// They may not call this any more; or that cannot be found out.
pub(super) async fn anew(api: &Api, call: &Call<'_>) -> Result<Option<Caller>, Problem> {
    api.standing.look().await?;
    let caller = authenticate(call.request, api).await.map_err(|unproven| unproven.problem)?;
    permitted(call.route, caller.as_ref().map(|caller| &caller.ticket.actor))?;
    Ok(caller.filter(|caller| caller.rests_on != call.rests_on))
}

fn of_withdrawn(withdrawn: Withdrawn) -> Problem {
    match withdrawn {
        Withdrawn::Revoked => unauthenticated(Some(Rejected("it was revoked"))),
        Withdrawn::Exhausted => {
            Problem::new(RATE_LIMITED, "the quota of this month is used up").retry_after(3600)
        }
        Withdrawn::Address => Problem::new(FORBIDDEN, "this caller is not let in from there"),
        Withdrawn::Unknown(error) => error.into(),
    }
}

/// Counts the call of a client.
pub(super) fn count(ticket: &Ticket, api: &Api) {
    if ticket.actor.kind == ActorKind::ApiClient
        && let Ok(client) = ticket.actor.id.parse()
    {
        api.usage.count(client);
    }
}

/// What a token says, and what the log says of its bearer.
pub(super) fn with_stand(ticket: Arc<Ticket>, stand: Stand) -> Arc<Ticket> {
    if stand.elevated_until.is_none() && stand.permissions.is_empty() && stand.lost.is_empty() {
        return ticket;
    }
    let mut ticket = Arc::unwrap_or_clone(ticket);
    if let Some(until) = stand.elevated_until {
        ticket.elevated_at = Some(until.as_second() - ELEVATED_FOR);
    }
    ticket.actor.permissions = stand.permissions;
    Arc::make_mut(&mut ticket.actor.scopes).retain(|scope| !stand.lost.contains(scope));
    Arc::new(ticket)
}

/// 403 for a browser's request that changes something and does not say what only this site's own script knows.
pub(super) fn forged() -> Problem {
    Problem::new(FORBIDDEN, "a request with a cookie needs the header X-CSRF-Token")
}

fn bearer(request: &Incoming<'_>, keys: &SigningKeys) -> Result<Arc<Ticket>, Unproven> {
    let header = single(request.headers(), "authorization").map_err(|_| Rejected("it is not one header"))?;
    let (scheme, token) = header.and_then(|header| header.split_once(' ')).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(unauthenticated(None).into());
    }
    Ok(keys.verify(token.trim())?)
}

/// 401, with what RFC 6750 wants said: nothing more where there was no token.
pub(super) fn unauthenticated(why: Option<Rejected>) -> Problem {
    use actix_web::http::header::{HeaderValue, WWW_AUTHENTICATE};
    let (detail, challenge) = match why {
        None => ("this needs a bearer token".to_owned(), "Bearer realm=\"annals\"".to_owned()),
        Some(why) => (
            format!("the token is not accepted: {why}"),
            format!("Bearer realm=\"annals\", error=\"invalid_token\", error_description=\"{why}\""),
        ),
    };
    let challenge = HeaderValue::from_str(&challenge).expect("the reasons are ASCII");
    Problem::new(UNAUTHENTICATED, detail).header(WWW_AUTHENTICATE, challenge)
}

/// 403 for a caller whose scopes do not suffice, as RFC 6750 wants it said.
pub(super) fn forbidden() -> Problem {
    use actix_web::http::header::{HeaderValue, WWW_AUTHENTICATE};
    Problem::new(FORBIDDEN, "the caller's roles do not bring a scope that this needs").header(
        WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"annals\", error=\"insufficient_scope\""),
    )
}
