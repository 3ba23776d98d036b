//! The body of a command: JSON, an object, of limited size and depth. Everything else about it the command's own type
//! says. Whoever asks for a token as a client may send a form instead.

use std::{borrow::Cow, collections::HashMap, time::Duration};

use actix_web::{
    error::PayloadError,
    http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap},
    web,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde_json::{json, value::RawValue};

use super::Incoming;
use crate::problem::{
    INVALID_PARAMETER, MALFORMED, Problem, REQUEST_TIMEOUT, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE,
};

/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many announced bytes are made room for before they are there.
const BELIEVED: usize = 64 * 1024;
/// How deep objects and lists may be nested.
const DEPTH: usize = 32;
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// The body of a request.
pub enum Body {
    /// It is being sent.
    Sent(web::Payload),
    /// It was a part of another body.
    Part(Box<RawValue>),
}

impl Body {
    /// Reads a command's fields.
    ///
    /// # Errors
    /// As [`fields`].
    pub async fn fields(self, request: &Incoming<'_>, limit: usize) -> Result<Box<RawValue>, Problem> {
        match self {
            Body::Sent(payload) => fields(request, payload, limit).await,
            Body::Part(fields) => Ok(fields),
        }
    }

    /// Reads the fields of a form, in their order. One without a value is as good as none (RFC 6749, 3.2).
    ///
    /// # Errors
    /// Another media type, more than `limit` bytes, or what is no form.
    pub async fn form(self, request: &Incoming<'_>, limit: usize) -> Result<Vec<(String, String)>, Problem> {
        match self {
            Body::Sent(payload) => form(request, payload, limit).await,
            Body::Part(_) => Err(Problem::new(UNSUPPORTED_MEDIA_TYPE, "a part of a batch is no form")),
        }
    }
}

/// Whether a body says to be a form.
pub fn is_form(headers: &HeaderMap) -> bool {
    essence(headers).eq_ignore_ascii_case(FORM)
}

/// Reads a command's fields. No body at all is a command without fields.
///
/// # Errors
/// Another media type, more than `limit` bytes, or what is not a JSON object.
pub async fn fields(
    request: &Incoming<'_>,
    payload: web::Payload,
    limit: usize,
) -> Result<Box<RawValue>, Problem> {
    let text = text(request, payload, limit, JSON).await?;
    if text.is_empty() {
        return read("{}".into());
    }
    if !request.headers().contains_key(CONTENT_TYPE) {
        return Err(Problem::new(UNSUPPORTED_MEDIA_TYPE, "a body needs `Content-Type: application/json`"));
    }
    read(text)
}

async fn form(
    request: &Incoming<'_>,
    payload: web::Payload,
    limit: usize,
) -> Result<Vec<(String, String)>, Problem> {
    let text = text(request, payload, limit, FORM).await?;
    let pairs = web::Query::<Vec<(String, String)>>::from_query(&text);
    let mut pairs = pairs.map_err(|_| Problem::new(MALFORMED, "the body is no form"))?.into_inner();
    pairs.retain(|(_, value)| !value.is_empty());
    Ok(pairs)
}

/// The text of a body that is of this media type.
async fn text(
    request: &Incoming<'_>,
    mut payload: web::Payload,
    limit: usize,
    media_type: &str,
) -> Result<String, Problem> {
    let headers = request.headers();
    check_media_type(headers, media_type)?;
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let bytes = collected(&mut payload, announced.unwrap_or_default(), limit).await?;
    String::from_utf8(bytes).map_err(|_| Problem::new(MALFORMED, "the body is not UTF-8"))
}

/// All of a body, where it comes in time.
async fn collected(
    payload: &mut (impl Stream<Item = Result<Bytes, PayloadError>> + Unpin),
    announced: usize,
    limit: usize,
) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::with_capacity(announced.min(BELIEVED));
    let whole = async {
        while let Some(chunk) = payload.next().await {
            let chunk =
                chunk.map_err(|_| Problem::new(MALFORMED, "the body ended before it was complete"))?;
            if bytes.len() + chunk.len() > limit {
                return Err(too_large(limit));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(())
    };
    let late = |_| Problem::new(REQUEST_TIMEOUT, "the body did not come in time");
    tokio::time::timeout(PATIENCE, whole).await.map_err(late)??;
    Ok(bytes)
}

/// Checks the text of a body.
fn read(text: String) -> Result<Box<RawValue>, Problem> {
    if depth(&text) > DEPTH {
        return Err(Problem::new(MALFORMED, "the body is nested too deeply"));
    }
    let text = with_plain_integers(text);
    // The reader's own words hold no values: only what it expected and where.
    let value = serde_json::from_str::<Box<RawValue>>(&text)
        .map_err(|error| Problem::new(MALFORMED, format!("the body is not JSON: {error}")))?;
    if !value.get().starts_with('{') {
        return Err(Problem::new(MALFORMED, "the body is not a JSON object"));
    }
    Ok(value)
}

/// `7.0` is the integer 7 to JSON and to its schemas, and a fraction to our readers: it becomes `7`. No command takes a
/// fraction.
fn with_plain_integers(text: String) -> String {
    if !text.contains(".0") {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    let (mut quoted, mut escaped, mut rest) = (false, false, text.as_str());
    while let Some(letter) = rest.chars().next() {
        let zeros = rest.strip_prefix('.').filter(|_| !quoted).map(|rest| rest.trim_start_matches('0'));
        match zeros {
            Some(after)
                if after.len() + 1 < rest.len() && !after.starts_with(['.', 'e', 'E']) && !digit(after) =>
            {
                rest = after;
                continue;
            }
            Some(_) | None => {}
        }
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        plain.push(letter);
        rest = &rest[letter.len_utf8()..];
    }
    plain
}

fn digit(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_digit())
}

/// The media type that a body says to be of, without its parameters; empty where it says none.
fn essence(headers: &HeaderMap) -> &str {
    let given = headers.get(CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim()
}

fn check_media_type(headers: &HeaderMap, expected: &str) -> Result<(), Problem> {
    let unsupported = |detail: String| Err(Problem::new(UNSUPPORTED_MEDIA_TYPE, detail));
    if headers
        .get(CONTENT_ENCODING)
        .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return unsupported("the body must not be compressed".to_owned());
    }
    let Some(given) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let given = given.to_str().map_err(|_| Problem::parameter("Content-Type", "it is not ASCII"))?;
    if !essence(headers).eq_ignore_ascii_case(expected) {
        return unsupported(format!("the body must be `{expected}`"));
    }
    let foreign = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.eq_ignore_ascii_case("charset") && !value.trim_matches('"').eq_ignore_ascii_case("utf-8")
    };
    let foreign = given.split(';').skip(1).map(str::trim).any(foreign);
    if foreign { unsupported("the body must be UTF-8".to_owned()) } else { Ok(()) }
}

fn too_large(limit: usize) -> Problem {
    Problem::new(TOO_LARGE, "the body is larger than this server takes").with(json!({ "limit_bytes": limit }))
}

/// How deep a text of JSON nests objects and lists.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The body with fields that the route itself gives.
///
/// # Errors
/// The client sends one of them as well.
pub fn with_given(body: Box<RawValue>, given: &[(&str, String)]) -> Result<Box<RawValue>, Problem> {
    if given.is_empty() {
        return Ok(body);
    }
    // What is no object with such keys, the command's own reader refuses.
    let sent: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(body.get()).unwrap_or_default();
    if let Some((name, _)) = given.iter().find(|(name, _)| sent.contains_key(*name)) {
        return Err(Problem::new(MALFORMED, "the path says this, and the body must not").at(*name));
    }
    let rest = body.get().trim_start_matches('{').trim_start();
    let mut text = String::from("{");
    for (index, (name, value)) in given.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        text.push_str(&format!("{comma}{}:{}", json!(name), json!(value)));
    }
    if !rest.starts_with('}') {
        text.push(',');
    }
    text.push_str(rest);
    Ok(RawValue::from_string(text).expect("an object with more fields is an object"))
}

/// The same text for the same JSON, whatever the order of its fields and the spaces in it.
///
/// # Errors
/// What `RawValue` lets pass and a value does not: a number or an escape that cannot be represented.
pub fn canonical(body: &RawValue) -> Result<String, Problem> {
    let value: serde_json::Value = serde_json::from_str(body.get())
        .map_err(|error| Problem::new(MALFORMED, format!("the body is not JSON: {error}")))?;
    Ok(value.to_string())
}

/// The one value of a header that must not be there twice.
///
/// # Errors
/// More than one value, or one that is not visible ASCII.
pub fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Problem> {
    let mut values = headers.get_all(name);
    let first = values.next();
    if values.next().is_some() {
        return Err(Problem::new(INVALID_PARAMETER, "the header is there more than once").at(name));
    }
    first
        .map(|value| value.to_str().map_err(|_| Problem::parameter(name, "it is not visible ASCII")))
        .transpose()
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for_for_ever() {
        let begun: Result<_, PayloadError> = Ok(Bytes::from_static(b"{"));
        let mut body = Box::pin(stream::iter([begun]).chain(stream::pending()));
        let problem = collected(&mut body, 10, 100).await.unwrap_err();
        assert_eq!((problem.code(), problem.status().as_u16()), ("RequestTimeout", 408));
        let mut body = stream::iter([Ok(Bytes::from_static(b"{}")), Ok(Bytes::from_static(b"  "))]);
        assert_eq!(collected(&mut body, 2, 3).await.unwrap_err().code(), "TooLarge");
    }

    #[test]
    fn the_order_of_fields_and_spaces_do_not_matter() {
        let one = canonical(&raw(r#"{"b": [1, 2], "a": {"d": 1, "c": 2}}"#)).unwrap();
        assert_eq!(one, canonical(&raw(r#"{"a":{"c":2,"d":1},"b":[1,2]}"#)).unwrap());
        assert_ne!(one, canonical(&raw(r#"{"a":{"c":2,"d":1},"b":[2,1]}"#)).unwrap());
    }

    #[test]
    fn brackets_in_texts_do_not_nest() {
        assert_eq!(depth(r#"{"a":"[[[[","b\"[[":[{}]}"#), 3);
        assert!(read("[".repeat(40)).is_err());
    }

    #[test]
    fn a_number_without_a_fraction_is_an_integer() {
        for (given, plain) in [
            (r#"{"a":7.0,"b":[-1.00,2.50,3.05]}"#, r#"{"a":7,"b":[-1,2.50,3.05]}"#),
            (r#"{"a":"7.0","b\"7.0":1.0e3}"#, r#"{"a":"7.0","b\"7.0":1.0e3}"#),
            (r#"{"a":7.}"#, r#"{"a":7.}"#),
        ] {
            assert_eq!(with_plain_integers(given.into()), plain);
        }
    }

    #[test]
    fn a_body_is_an_object() {
        for text in ["[]", "null", "\"{\"", "{", "", "{} {}"] {
            assert_eq!(read(text.into()).unwrap_err().code(), "Malformed", "{text}");
        }
        assert!(read(" { \"a\" : 1 } ".into()).is_ok());
    }

    #[test]
    fn the_fields_of_the_path_join_those_of_the_body() {
        let month = [("month", "1993-05".to_owned()), ("account", "7".to_owned())];
        assert_eq!(with_given(raw("{ }"), &month).unwrap().get(), r#"{"month":"1993-05","account":"7"}"#);
        assert_eq!(
            with_given(raw(r#"{"a":{}}"#), &month).unwrap().get(),
            r#"{"month":"1993-05","account":"7","a":{}}"#
        );
    }
}
