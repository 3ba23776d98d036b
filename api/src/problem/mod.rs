//! Every error that a client can see, as RFC 9457 `application/problem+json`.
//!
//! One table ([`CODES`]) says which code has which status, title and meaning; the aggregates' own reasons come from the
//! catalog, and their status follows from their kind. [`pages`] writes `docs/errors.md` and `/problems/<code>` of both. A problem never repeats a value that a client sent: values are personal data.

pub mod pages;

use std::borrow::Cow;

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{HeaderName, HeaderValue},
    },
};
use commands::{CommandError, ports::PortError};
use domain::RefusalKind;
use event_store::Position;
use serde_json::{Value, json};

use crate::http::Trace;

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The stable name.
    pub name: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The kind in a few words.
    pub title: &'static str,
    /// What it means and what to do.
    pub meaning: &'static str,
}

macro_rules! codes {
    ($($constant:ident $name:ident $status:literal $title:literal $meaning:literal;)+) => {
        $(#[doc = $meaning] pub const $constant: Code =
            Code { name: stringify!($name), status: $status, title: $title, meaning: $meaning };)+
        /// All kinds of problems that are not an aggregate's own reason.
        pub const CODES: &[Code] = &[$($constant),+];
    };
}

codes! {
    MALFORMED Malformed 400 "The body is not what this route takes"
        "The body is not JSON, has an unknown or a missing field, or a field has the wrong type. `field` names it.";
    INVALID_PARAMETER InvalidParameter 400 "A parameter is not valid"
        "A part of the path, of the query or a header is malformed, unknown or given twice. `field` names it.";
    UNSUPPORTED_GRANT_TYPE UnsupportedGrantType 400 "Tokens are not given for that"
        "`POST /v1/auth/token` gives tokens for `grant_type=client_credentials` and nothing else (RFC 6749, 4.4).";
    INVALID_SCOPE InvalidScope 400 "The key does not bring the scope"
        "A scope that was asked for is none of those of the key. Ask for fewer, or leave `scope` out.";
    AS_OF_UNSUPPORTED AsOfUnsupported 400 "This read model keeps no history"
        "A read model that keeps its past answers `as_of` any moment; the others as of those for which `annals-replay as-of` has built them.";
    UNAUTHENTICATED Unauthenticated 401 "Authentication is needed"
        "There is no bearer token, or it is not valid (any more). `WWW-Authenticate` says why. Get a new one.";
    ELEVATION_REQUIRED ElevationRequired 401 "A fresh proof is needed"
        "The caller must have proven within the last five minutes who they are, with the second factor where there is one. \
         `POST /v1/auth/elevate` takes the proof; a token from elsewhere must say so.";
    LOGIN_REFUSED LoginRefused 401 "The login was refused"
        "What was sent does not prove who somebody is. Whether the account exists, is locked, or waits for its address to be verified, is not told.";
    SECOND_FACTOR_NEEDED SecondFactorNeeded 401 "A second factor is needed"
        "The first proof is right and does not suffice: send `totp`, `recovery_code` or `webauthn` beside it; \
         `details.methods` says which, `details.webauthn` what to ask a security key.";
    FORBIDDEN Forbidden 403 "Not allowed"
        "The caller is known and may not do this: a role, a scope or the ownership of the data is missing.";
    REGISTRATION_CLOSED RegistrationClosed 403 "Nobody registers here without more ado"
        "Accounts are for those who were invited, or for nobody. Ask whoever manages users.";
    NO_SUCH_ROUTE NoSuchRoute 404 "There is nothing at this path"
        "No route has this path. /v1/openapi.json lists all of them.";
    NOT_FOUND NotFound 404 "There is no such thing"
        "What the path names does not exist, or the caller may not know that it does.";
    METHOD_NOT_ALLOWED MethodNotAllowed 405 "The path does not take this method"
        "`Allow` lists the methods that it takes.";
    REQUEST_TIMEOUT RequestTimeout 408 "The body took too long to come"
        "A request must be here wholly within ten seconds. Send it again, over a connection that is quick enough.";
    INVALID_STATE InvalidState 409 "Not possible in this state"
        "The life cycle of the thing does not allow this now; `details` has the state and the command.";
    VERSION_CONFLICT VersionConflict 409 "Others wrote at the same time"
        "The stream kept moving while the command was decided; `details.current` is its version now. Repeat it.";
    CLAIM_TAKEN ClaimTaken 409 "Another one has it already"
        "Something that can be had only once, or by a limited number, is taken; `details.claim` says what.";
    IDEMPOTENCY_CONFLICT IdempotencyConflict 409 "The idempotency key was used for another request"
        "The same `Idempotency-Key` came with another body or `If-Match`. Use a new key for a new request.";
    SUBJECT_ERASED SubjectErased 409 "The person's data was erased"
        "The data of the person whom this is about was erased; nothing more can be recorded about them.";
    PROCESSING_RESTRICTED ProcessingRestricted 409 "The person had the use of their data restricted"
        "The data is kept and not used until the restriction is lifted (Art. 18 GDPR). The person may use it themselves.";
    GONE Gone 410 "It was there and is no more"
        "The time in which it could be fetched is over, or what it was made of was erased. Ask for a new one.";
    PRECONDITION_FAILED PreconditionFailed 412 "The version is another one"
        "`If-Match` does not name the version that the stream is at; `details.current` is the version it is at.";
    TOO_LARGE TooLarge 413 "The body is too large"
        "The body exceeds the limit in `details.limit_bytes`.";
    UNSUPPORTED_MEDIA_TYPE UnsupportedMediaType 415 "The body must be JSON"
        "Bodies are `application/json` in UTF-8, without a content encoding.";
    INVALID_VALUE InvalidValue 422 "A value breaks a rule of its field"
        "The shape is right and a value is not. `field` names it and `detail` has the rule.";
    ATTESTATION_INVALID AttestationInvalid 422 "The security key's answer does not verify"
        "The answer is not that of a key to this very ceremony, on this web site, within five minutes. Begin again.";
    ID_TOKEN_INVALID IdTokenInvalid 422 "The provider's answer is not accepted"
        "What came back from the identity provider is not the answer to what this person began here, or does not verify. \
         Begin again.";
    WEAK_PASSWORD WeakPassword 422 "The password is too weak"
        "`detail` says why: it is too short or too long, it is the e-mail address or made of it, or it is one of those that are tried first.";
    UPGRADE_REQUIRED UpgradeRequired 426 "The path speaks another protocol"
        "The path opens a WebSocket. Ask with the handshake of RFC 6455, version 13, over HTTP/1.1.";
    HEADERS_TOO_LARGE HeadersTooLarge 431 "The headers are too large"
        "The headers of the request exceed the limit in `details.limit_bytes`.";
    RATE_LIMITED RateLimited 429 "Too many requests"
        "There were more requests, or are more open streams, than are allowed. Wait as long as `Retry-After` says.";
    INTERNAL Internal 500 "A defect on our side"
        "Something is wrong with the server. Report the `trace_id`; the logs have the rest.";
    LOG_UNREADABLE LogUnreadable 500 "An event of the log cannot be read"
        "An event that is needed is not what this program writes: it was altered in the database, or a newer program wrote \
         it. Report its position, which `details.position` has: `annals-replay verify` tells whether it was altered.";
    OVERLOADED Overloaded 503 "Too much is asked at once"
        "So many requests are under way that one more would only make all of them slower. Nothing was done. Repeat it after \
         `Retry-After` seconds.";
    STOPPING Stopping 503 "The node is about to stop"
        "It finishes what it has begun and takes no more. Nothing was done. Repeat it: another node answers, or this one when \
         it is back.";
    UNAVAILABLE Unavailable 503 "Something that is needed cannot be reached"
        "Repeat the request after `Retry-After` seconds, a command under the same `Idempotency-Key`: whether it was \
         recorded may not be known.";
    TIMED_OUT TimedOut 503 "It took too long"
        "The request was given up after the time limit. Repeat it, a command under the same `Idempotency-Key`.";
}

/// What went wrong with a request. It answers it.
#[derive(Debug)]
pub struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    code: &'static str,
    status: StatusCode,
    title: Cow<'static, str>,
    detail: Cow<'static, str>,
    field: Option<String>,
    details: Value,
    oauth: Option<&'static str>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of this kind. `detail` is for people and holds no value that a client sent.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let status = StatusCode::from_u16(code.status).expect("the table has real statuses");
        Self::from_parts(code.name, status, code.title.into(), detail.into())
    }

    fn from_parts(
        code: &'static str,
        status: StatusCode,
        title: Cow<'static, str>,
        detail: Cow<'static, str>,
    ) -> Self {
        Problem(Box::new(Parts {
            code,
            status,
            title,
            detail,
            field: None,
            details: json!({}),
            oauth: None,
            headers: Vec::new(),
        }))
    }

    /// A part of the path, of the query or a header is not valid.
    pub fn parameter(name: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(INVALID_PARAMETER, detail).at(name)
    }

    /// An event cannot be read. Why, the logs have; the reason shows no value.
    pub fn log_unreadable(position: Position, reason: &str) -> Self {
        tracing::error!(position, %reason, "an event of the log cannot be read");
        Self::new(LOG_UNREADABLE, "an event that is needed cannot be read")
            .with(json!({ "position": position }))
    }

    /// Names the field, parameter or header at fault.
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Adds machine-readable details: an object.
    pub fn with(mut self, details: Value) -> Self {
        self.0.details = details;
        self
    }

    /// Says as well how OAuth calls it, in the member `error`: what clients that know nothing of problems look at (RFC 6749,
    /// 5.2).
    pub fn oauth(mut self, error: &'static str) -> Self {
        self.0.oauth = Some(error);
        self
    }

    /// Adds a header to the answer.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Asks to come back after some seconds.
    pub fn retry_after(self, seconds: u16) -> Self {
        self.header(actix_web::http::header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What it says of itself. A defect tells nothing but the trace by which the logs can be searched.
    pub fn body(&self, trace: &Trace) -> Value {
        let Parts { code, status, title, detail, field, details, oauth, .. } = &*self.0;
        let mut body = json!({
            "type": format!("/problems/{}", kebab(code)),
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
            "code": code,
            "details": details,
            "trace_id": trace.id(),
        });
        if let Some(field) = field {
            body["field"] = field.as_str().into();
        }
        if let Some(error) = oauth {
            body["error"] = (*error).into();
        }
        body
    }

    /// The answer.
    pub fn respond(self, trace: &Trace) -> HttpResponse {
        let body = self.body(trace).to_string();
        let Parts { status, headers, .. } = *self.0;
        let mut response = HttpResponse::build(status);
        headers.into_iter().for_each(|header| {
            response.insert_header(header);
        });
        response.content_type(MEDIA_TYPE).body(body)
    }
}

impl From<PortError> for Problem {
    fn from(error: PortError) -> Self {
        CommandError::from(error).into()
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let detail = error.to_string();
        match error {
            CommandError::Malformed { field, message, value } => {
                let code = if value { INVALID_VALUE } else { MALFORMED };
                let problem = Problem::new(code, without_values(&message));
                if field.is_empty() {
                    problem
                } else {
                    problem.at(field.chars().take(200).collect::<String>())
                }
            }
            CommandError::NotFound(aggregate) => {
                Problem::new(NOT_FOUND, detail).with(json!({ "aggregate": aggregate }))
            }
            CommandError::Forbidden => Problem::new(FORBIDDEN, detail),
            CommandError::InvalidState { state, command } => {
                Problem::new(INVALID_STATE, detail).with(json!({ "state": state, "command": command }))
            }
            CommandError::Refused { code, kind, field, message, details } => {
                let status = StatusCode::from_u16(status_of(kind)).expect("real statuses");
                let problem = Self::from_parts(code, status, words(code).into(), message.into());
                let problem = if details.is_object() { problem.with(details) } else { problem };
                let problem = if kind == RefusalKind::Unavailable { problem.retry_after(1) } else { problem };
                match field {
                    Some(field) => problem.at(field),
                    None => problem,
                }
            }
            CommandError::PreconditionFailed { current } => {
                Problem::new(PRECONDITION_FAILED, detail).with(json!({ "current": current }))
            }
            CommandError::VersionConflict { current } => {
                Problem::new(VERSION_CONFLICT, detail).with(json!({ "current": current }))
            }
            CommandError::Outdated => Problem::new(UNAUTHENTICATED, detail),
            CommandError::ClaimTaken { claim } => {
                Problem::new(CLAIM_TAKEN, detail).with(json!({ "claim": claim }))
            }
            CommandError::IdempotencyConflict => Problem::new(IDEMPOTENCY_CONFLICT, detail),
            CommandError::SubjectErased => Problem::new(SUBJECT_ERASED, detail),
            CommandError::ProcessingRestricted => Problem::new(PROCESSING_RESTRICTED, detail),
            CommandError::Unavailable(reason) => {
                tracing::warn!(%reason, "a command could not be carried out");
                Problem::new(UNAVAILABLE, "something that the command needs cannot be reached").retry_after(1)
            }
            CommandError::Unreadable { position, reason } => Problem::log_unreadable(position, &reason),
            CommandError::Internal(reason) => {
                tracing::error!(%reason, "a command failed");
                Problem::new(INTERNAL, "the command failed")
            }
        }
    }
}

/// The status of an aggregate's own reason (catalogue 0.7).
pub fn status_of(kind: RefusalKind) -> u16 {
    match kind {
        RefusalKind::Invalid => 422,
        RefusalKind::Conflict => 409,
        RefusalKind::Forbidden => 403,
        RefusalKind::NotFound => 404,
        RefusalKind::Unavailable => 503,
    }
}

/// `InvalidState` → `invalid-state`.
pub fn kebab(code: &str) -> String {
    let mut text = String::with_capacity(code.len() + 4);
    for (index, letter) in code.chars().enumerate() {
        if letter.is_ascii_uppercase() && index > 0 {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// `ExceedsRequest` → `Exceeds request`.
fn words(code: &str) -> String {
    let text = kebab(code).replace('-', " ");
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A reader's message without the values that it quotes: what was expected is told, what was sent is not.
fn without_values(message: &str) -> String {
    let told = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant `"];
    if told.iter().any(|start| message.starts_with(start)) {
        // A value may itself contain the words; what the reader says comes last.
        return match message.rsplit_once(", expected ") {
            Some((_, expected)) => format!("expected {expected}"),
            None => "the value is not valid here".into(),
        };
    }
    if message.starts_with("UUID parsing failed") {
        return "expected a UUID".into();
    }
    if ["unknown field `", "missing field `", "duplicate field `"]
        .iter()
        .any(|start| message.starts_with(start))
    {
        return message.to_owned();
    }
    let mut plain = String::with_capacity(message.len());
    let (mut quote, mut escaped) = (None, false);
    for letter in message.chars() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if letter == '\\' => escaped = true,
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            None if letter == '"' || letter == '`' => {
                quote = Some(letter);
                plain.push('…');
            }
            None => plain.push(letter),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_listed_once() {
        let mut names: Vec<&str> = CODES.iter().map(|code| code.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CODES.len());
    }

    #[test]
    fn a_problem_tells_what_was_expected_and_never_what_was_sent() {
        for (said, told) in [
            ("invalid type: string \"anna@x.org\", expected i64", "expected i64"),
            ("invalid value: string \"a, expected b\", expected a month", "expected a month"),
            ("unknown variant `anna`, expected one of `a`, `b`", "expected one of `a`, `b`"),
            ("UUID parsing failed: found `anna` at 1", "expected a UUID"),
            ("cannot parse \"an\\\"na\" as a date", "cannot parse … as a date"),
            ("unknown field `nmae`, expected `name`", "unknown field `nmae`, expected `name`"),
        ] {
            assert_eq!(without_values(said), told);
        }
    }

    #[test]
    fn a_refusal_of_an_aggregate_keeps_its_code_and_has_the_status_of_its_kind() {
        let problem = Problem::from(CommandError::Refused {
            code: "ExceedsRequest",
            kind: RefusalKind::Conflict,
            field: Some("amount".into()),
            message: "more than was asked for".into(),
            details: json!({ "requested": 5 }),
        });
        assert_eq!((problem.code(), problem.status().as_u16()), ("ExceedsRequest", 409));
        assert_eq!(words("ExceedsRequest"), "Exceeds request");
    }
}
