//! Commands in: from a request to an acknowledged append. Every command takes this one way.

use actix_web::{
    HttpResponse,
    http::header::{ETAG, HeaderMap, LOCATION},
};
use commands::{Accepted, CommandEntry, CommandError, Elevated, Expected, Request};
use domain::{annals_namespace, derived_id};
use hmac::Mac;
use serde_json::{Value, json, value::RawValue};
use uuid::{Builder, Uuid};

use super::{
    Api, Call,
    body::{Body, canonical, single, with_given},
    call::{ATTEMPTS, anew},
    identity::{self, MadeKey},
    overload::Kind,
    route::{self, CommandRoute, IdFrom},
    shape::list_for_object,
    uuid,
};
use crate::{
    auth,
    problem::{MALFORMED, Problem, UNAVAILABLE},
};

/// The header that makes a command repeatable.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// The header that names the version a stream must have.
pub const IF_MATCH: &str = "If-Match";
/// The header of an answer that was given before.
pub const REPLAYED: &str = "Idempotent-Replayed";

/// What a request says of a command beside its path.
struct Sent<'a> {
    key: Option<&'a str>,
    /// The same however often the command is issued.
    command_id: Uuid,
    expected: Option<Expected>,
    body: Box<RawValue>,
}

/// Issues the command of a route.
///
/// # Errors
/// Whatever is wrong with the request, and why the command was refused.
pub async fn handle(
    api: &Api,
    mut call: Call<'_>,
    command: &CommandRoute,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let sent = match receive(api, &mut call, command, body).await {
        Ok(sent) => sent,
        // What is wrong with a request is told to whoever may ask.
        Err(problem) => return anew(api, &call).await.and(Err(problem)),
    };
    let mut turn = None;
    for _ in 0..ATTEMPTS {
        let outcome = issue(api, &call, command, &sent).await;
        // What was recorded was so on the condition that the caller's right still stands; and where it is not known, or nothing
        // was tried, it says nothing of anything.
        let says_all = match &outcome {
            Ok(issued) => issued.recorded,
            Err(Refusal::For(problem)) => problem.status() == 503,
            Err(Refusal::Outdated) => false,
        };
        if says_all {
            return Ok(outcome?.response);
        }
        let outdated = matches!(&outcome, Err(Refusal::Outdated));
        // Several who change what they all rest on take turns from here on: of those who look and try together, one succeeds.
        if outdated && turn.is_none() {
            turn = Some(api.standing.turn().await);
        }
        // Whatever else there is to answer is answered to whoever the caller is now.
        match Box::pin(anew(api, &call)).await? {
            Some(now) => (call.ticket, call.rests_on) = (Some(now.ticket), now.rests_on),
            None if outdated => {}
            None => return Ok(outcome?.response),
        }
    }
    let detail = "what the right to this rests on is changed again and again";
    Err(Problem::new(UNAVAILABLE, detail).retry_after(1))
}

/// Takes in what a request says.
async fn receive<'c>(
    api: &Api,
    call: &mut Call<'c>,
    command: &CommandRoute,
    body: Body,
) -> Result<Sent<'c>, Problem> {
    let headers = call.request.headers();
    if !call.request.query_string().is_empty() {
        return Err(Problem::parameter("query", "commands take no query parameters"));
    }
    let (key, expected) = (idempotency_key(headers)?, expected_version(headers)?);
    let entry = &api.catalog.aggregates[command.aggregate].commands[command.command];
    // Before the body is there, unless it depends on what that says.
    if entry.elevated_unless.is_none()
        && let Err(problem) = elevated(call, entry)
    {
        // They may have shown it just now, to another node.
        let now = anew(api, call).await?.ok_or(problem)?;
        (call.ticket, call.rests_on) = (Some(now.ticket), now.rests_on);
        elevated(call, entry)?;
    }
    let body = body.fields(call.request, api.body_limit().await).await?;
    let ticket = call.ticket.as_ref().ok_or_else(|| super::call::unauthenticated(None))?;
    let scope = |key| format!("{}|{} {}|{key}", ticket.actor, call.route.method, call.request.path());
    let derived = |key| made_when(key, Uuid::new_v5(&annals_namespace(), scope(key).as_bytes()));
    let command_id = key.map_or_else(Uuid::now_v7, derived);
    Ok(Sent { key, command_id, expected, body })
}

/// Whether the caller has proven who they are as this command wants it.
fn elevated(call: &Call<'_>, entry: &CommandEntry) -> Result<(), Problem> {
    match entry.elevated {
        Elevated::Always => call.elevated(),
        Elevated::Login if call.ticket.as_ref().is_some_and(|ticket| ticket.session.is_some()) => {
            call.elevated()
        }
        Elevated::Login | Elevated::No => Ok(()),
    }
}

/// What came of a command.
struct Issued {
    response: HttpResponse,
    /// Whether it was recorded by this very request.
    recorded: bool,
}

/// Why a command was not accepted.
enum Refusal {
    /// Something was recorded of the caller meanwhile.
    Outdated,
    For(Problem),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Refusal::For(problem)
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Outdated => Refusal::Outdated,
            error => Refusal::For(error.into()),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Outdated => CommandError::Outdated.into(),
            Refusal::For(problem) => problem,
        }
    }
}

/// Issues a command for a caller as they stood when they were looked up.
async fn issue(
    api: &Api,
    call: &Call<'_>,
    command: &CommandRoute,
    sent: &Sent<'_>,
) -> Result<Issued, Refusal> {
    let Sent { key, command_id, expected, body } = sent;
    let aggregate = &api.catalog.aggregates[command.aggregate];
    let entry = &aggregate.commands[command.command];
    let ticket = call.ticket.as_ref().ok_or_else(|| super::call::unauthenticated(None))?;
    if entry.elevated_unless.as_ref().is_none_or(|(field, values)| !says(body, field, values)) {
        elevated(call, entry)?;
    }
    let mut request = Request::by(ticket.actor.clone());
    request.expected_version.clone_from(expected);
    request.rests_on.clone_from(&call.rests_on);
    request.correlation_id = Some(call.trace.correlation());
    request.traceparent = Some(call.trace.parent());
    request.session = ticket.session.clone();
    request.command_id = *command_id;
    if key.is_some() {
        request = request.under(*command_id, Some(api.fingerprint(body, expected.as_ref())?));
    }
    // Without a key its own id is as good as one: it has a time, too.
    let own = command_id.to_string();
    let id = stream_id(call, command.id, Some((key.unwrap_or(&own), *command_id)))?;
    request.owner = owner(call, command.id, id);
    let given = command.given.iter().map(|(name, from)| Ok((*name, call.known(*from)?)));
    let body = with_given(body.clone(), &given.collect::<Result<Vec<_>, Problem>>()?)?;

    refuse_lists_for_objects(api, entry, &body)?;
    let under_way = api.overload.enter(Kind::Command)?;
    let timer = api.metrics.command(aggregate.aggregate_type, entry.name);
    let outcome = aggregate.execute(&api.commands, id, entry, &body, &request).await.map_err(Refusal::from);
    timer.done(match &outcome {
        Ok(_) => "accepted",
        Err(Refusal::Outdated) => "outdated",
        Err(Refusal::For(problem)) => problem.code(),
    });
    if outcome.is_ok() {
        under_way.done();
    }
    if aggregate.context == "identity" {
        api.standing.forget(id);
    }
    let accepted = outcome?;
    let made =
        identity::key_of(api, aggregate.aggregate_type, entry.name, &accepted, request.command_id).await?;
    let response = answer(&accepted, api.location(aggregate.aggregate_type, id), made);
    Ok(Issued { response, recorded: accepted.recorded })
}

/// Whether a body says one of these values of a field, in so many words.
fn says(body: &RawValue, field: &str, values: &[Value]) -> bool {
    serde_json::from_str::<Value>(body.get()).is_ok_and(|body| values.contains(&body[field]))
}

fn refuse_lists_for_objects(api: &Api, entry: &CommandEntry, body: &RawValue) -> Result<(), Problem> {
    if !body.get().contains('[') {
        return Ok(());
    }
    // What is not even JSON the command's own reader tells better.
    let Ok(value) = serde_json::from_str(body.get()) else { return Ok(()) };
    match list_for_object(&entry.schema, &api.catalog.definitions, &value) {
        Some(path) => Err(Problem::new(MALFORMED, "expected an object, not a list").at(path)),
        None => Ok(()),
    }
}

/// 201 for a new stream, 200 for one more version of it. A repeat is answered as the first one was, but for a key that is
/// not shown again.
fn answer(accepted: &Accepted, location: Option<String>, made: Option<MadeKey>) -> HttpResponse {
    let Accepted { id, version, position, repeated, created, recorded: _ } = accepted;
    let mut response = if *created { HttpResponse::Created() } else { HttpResponse::Ok() };
    response.insert_header((ETAG, format!("\"{version}\"")));
    if let Some(location) = location.filter(|_| *created) {
        response.insert_header((LOCATION, location));
    }
    if *repeated {
        response.insert_header((REPLAYED, "true"));
    }
    let mut body = json!({ "id": id, "version": version, "position": position });
    match made {
        Some(MadeKey::Shown(key)) => body["key"] = key.into(),
        Some(MadeKey::Withheld) => {
            body["key"] = Value::Null;
            body["hint"] = "the key was shown when it was made: rotate it where it was lost".into();
        }
        None => {}
    }
    response.json(body)
}

/// The stream that a route names.
pub(super) fn stream_id(call: &Call<'_>, from: IdFrom, made: Option<(&str, Uuid)>) -> Result<Uuid, Problem> {
    match from {
        IdFrom::Path(name) => call.id(name),
        IdFrom::Piece(name, index) => uuid(call.piece(name, index))
            .ok_or_else(|| Problem::parameter(name, "expected pieces separated by points, UUIDs first")),
        // A repeat must reach the same stream.
        IdFrom::New => Ok(match made {
            Some((key, command_id)) => made_when(key, Uuid::new_v5(&command_id, b"id")),
            None => Uuid::now_v7(),
        }),
        IdFrom::Caller => call.account(),
        IdFrom::Derived(parts) => {
            let parts: Vec<String> = parts.iter().map(|part| call.known(*part)).collect::<Result<_, _>>()?;
            Ok(derived_id(&parts.iter().map(String::as_str).collect::<Vec<_>>()))
        }
    }
}

/// The caller, where the stream is theirs by its id: it is that of their account, or was derived from it just now.
fn owner(call: &Call<'_>, from: IdFrom, id: Uuid) -> Option<Uuid> {
    let derived = matches!(from, IdFrom::Derived(parts) if parts.contains(&route::From::Caller));
    call.account().ok().filter(|account| derived || *account == id)
}

/// An identifier that was derived from a key. Where the key is a version 7 UUID it gets the key's time, so that what was
/// made together stands together in the log's indexes.
fn made_when(key: &str, derived: Uuid) -> Uuid {
    match uuid(key).filter(|key| key.get_version_num() == 7) {
        Some(key) => {
            let millis = (key.as_u128() >> 80) as u64;
            let mut rest = [0; 10];
            rest.copy_from_slice(&derived.as_bytes()[..10]);
            Builder::from_unix_timestamp_millis(millis, &rest).into_uuid()
        }
        None => derived,
    }
}

/// 1 to 255 visible characters.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let key = single(headers, IDEMPOTENCY_KEY)?;
    let fits = |key: &str| (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    match key {
        Some(key) if !fits(key) => {
            Err(Problem::parameter(IDEMPOTENCY_KEY, "expected 1 to 255 visible ASCII characters"))
        }
        key => Ok(key),
    }
}

/// Any version, or some of them, as entity tags (RFC 9110 13.1.1); several lines are one list. A weak tag, or one that is no
/// number, is never that of a version.
fn expected_version(headers: &HeaderMap) -> Result<Option<Expected>, Problem> {
    let wrong =
        || Problem::parameter(IF_MATCH, "expected versions in quotes, such as \"3\", or * for any of them");
    let lines: Result<Vec<&str>, _> = headers.get_all(IF_MATCH).map(|line| line.to_str()).collect();
    let text = lines.map_err(|_| wrong())?.join(",");
    if !headers.contains_key(IF_MATCH) {
        return Ok(None);
    }
    if text.trim() == "*" {
        return Ok(Some(Expected::Any));
    }
    let tags = entity_tags(&text).ok_or_else(wrong)?;
    let strong = tags.into_iter().filter_map(|(is_weak, tag)| version(tag).filter(|_| !is_weak));
    Ok(Some(Expected::OneOf(strong.collect())))
}

fn version(tag: &str) -> Option<u64> {
    let is_plain = (1..=18).contains(&tag.len())
        && tag.bytes().all(|byte| byte.is_ascii_digit())
        && (tag == "0" || !tag.starts_with('0'));
    tag.parse().ok().filter(|_| is_plain)
}

/// The tags of a list, without their quotes, and whether each is weak. Elements of the list may be empty (RFC 9110 5.6.1.2),
/// but not all of them.
fn entity_tags(text: &str) -> Option<Vec<(bool, &str)>> {
    let mut tags = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([',', ' ', '\t']);
        if rest.is_empty() {
            return (!tags.is_empty()).then_some(tags);
        }
        let weak = rest.strip_prefix("W/");
        let (tag, after) = weak.unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
        tags.push((weak.is_some(), tag));
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
}

impl Api {
    /// A keyed hash of what a client asks for, so that a reuse of its key for something else is noticed.
    fn fingerprint(&self, body: &RawValue, expected: Option<&Expected>) -> Result<[u8; 32], Problem> {
        let mut mac = auth::keyed(&self.fingerprint_key);
        mac.update(canonical(body)?.as_bytes());
        match expected {
            None => mac.update(&[0xFF; 9]),
            Some(Expected::Any) => mac.update(&[0xFE; 9]),
            Some(Expected::OneOf(versions)) => {
                for version in versions {
                    let mut bytes = [0; 9];
                    bytes[1..].copy_from_slice(&version.to_be_bytes());
                    mac.update(&bytes);
                }
            }
        }
        Ok(mac.finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn header(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn an_idempotency_key_is_visible_and_not_too_long() {
        let key = |value: &str| idempotency_key(&header(IDEMPOTENCY_KEY, value)).is_ok();
        assert!(key("a") && key(&"x".repeat(255)) && key("\"8e03978e-40d5\""));
        assert!(!key("") && !key(&"x".repeat(256)) && !key("a b") && !key("a\tb"));
        assert_eq!(idempotency_key(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn what_is_derived_from_a_key_with_a_time_has_that_time_and_stays_its_own() {
        let key = "01932c5d-7a00-7abc-8def-0123456789ab";
        let derived = |name: &[u8]| made_when(key, Uuid::new_v5(&annals_namespace(), name));
        let (one, other) = (derived(b"one"), derived(b"other"));
        assert_eq!(one, derived(b"one"));
        assert_ne!(one, other);
        for id in [one, other] {
            assert_eq!((id.get_version_num(), id.as_u128() >> 80), (7, uuid(key).unwrap().as_u128() >> 80));
        }
        let hash = Uuid::new_v5(&annals_namespace(), b"one");
        assert_eq!(made_when("order-17", hash), hash);
        assert_eq!(made_when(&Uuid::from_u128(4 << 76 | 2 << 62).to_string(), hash), hash);
    }

    #[test]
    fn a_header_that_is_there_twice_is_refused() {
        let mut headers = header(IDEMPOTENCY_KEY, "a");
        headers.append(HeaderName::from_static("idempotency-key"), HeaderValue::from_static("b"));
        assert_eq!(idempotency_key(&headers).unwrap_err().code(), "InvalidParameter");
    }

    #[test]
    fn versions_are_numbers_in_quotes_and_a_star_is_any_of_them() {
        let expected = |value: &str| expected_version(&header(IF_MATCH, value)).ok().flatten();
        let one_of = |versions: &[u64]| Some(Expected::OneOf(versions.to_vec()));
        assert_eq!((expected("\"0\""), expected("\"17\"")), (one_of(&[0]), one_of(&[17])));
        assert_eq!(
            (expected("*"), expected("\"1\", \"2\",\"3\"")),
            (Some(Expected::Any), one_of(&[1, 2, 3]))
        );
        assert_eq!((expected("W/\"1\""), expected("W/\"a,b\" , \"2\"")), (one_of(&[]), one_of(&[2])));
        for none in ["\"\"", "\"-1\"", "\"07\"", "\"9999999999999999999\"", "\"abc\""] {
            assert_eq!(expected(none), one_of(&[]), "{none}");
        }
        for sparse in ["\"6\",", " , \"6\"", "\"6\",,\"abc\"", "\"abc\", \"6\" "] {
            assert_eq!(expected(sparse), one_of(&[6]), "{sparse}");
        }
        let mut lines = header(IF_MATCH, "\"1\"");
        lines.append(IF_MATCH.parse().unwrap(), "\"2\"".parse().unwrap());
        assert_eq!(expected_version(&lines).unwrap(), one_of(&[1, 2]));
        for wrong in ["17", "00", "", ",", "\"1", "\"1\" \"2\"", "\"1\", *", "w/\"1\""] {
            assert!(expected_version(&header(IF_MATCH, wrong)).is_err(), "{wrong}");
        }
        assert_eq!(expected_version(&HeaderMap::new()).unwrap(), None);
    }
}
