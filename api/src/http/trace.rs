//! W3C trace context: which trace a request belongs to, and what it is called in answers, events and logs.

use actix_web::http::header::HeaderMap;
use uuid::Uuid;

/// The trace of one request and this node's span in it.
#[derive(Debug, Clone)]
pub struct Trace {
    trace: u128,
    span: u64,
    sampled: bool,
}

impl Trace {
    /// Continues the trace that the client sent in `traceparent`, or begins one: the standard asks to begin anew where
    /// the header is malformed, not to refuse. Ours begin with the time, so that what is indexed by them stands together.
    pub fn of(headers: &HeaderMap) -> Self {
        let given = headers.get("traceparent").and_then(|value| value.to_str().ok()).and_then(parse);
        let span = rand::random::<u64>().max(1);
        let (trace, sampled) = given.unwrap_or_else(|| (Uuid::now_v7().as_u128(), true));
        Trace { trace, span, sampled }
    }

    /// The trace id, 32 hexadecimal digits.
    pub fn id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// The trace id as the correlation id of everything that the request brings about.
    pub fn correlation(&self) -> Uuid {
        Uuid::from_u128(self.trace)
    }

    /// In which everything is told that a request has to tell: whoever reads the logs finds it by the trace's id. Errors are
    /// told at every level, and so it is there at every level.
    pub fn span(&self) -> tracing::Span {
        tracing::error_span!("request", trace_id = self.id())
    }

    /// The `traceparent` of whatever this request causes.
    pub fn parent(&self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// `version-trace-parent-flags`, all in lower-case hexadecimal; a later version may have more fields.
fn parse(text: &str) -> Option<(u128, bool)> {
    let digits = |part: &str, length| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let well_formed =
        digits(version, 2) && version != "ff" && digits(trace, 32) && digits(span, 16) && digits(flags, 2);
    if !well_formed || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
    u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    Some((trace, flags & 1 == 1))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn trace(parent: &'static str) -> Trace {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("traceparent"), HeaderValue::from_static(parent));
        Trace::of(&headers)
    }

    #[test]
    fn a_trace_goes_on_under_a_span_of_ours() {
        let trace = trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert_eq!(trace.id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let parent = trace.parent();
        assert!(parent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && parent.ends_with("-01"));
        assert!(!parent.contains("00f067aa0ba902b7"));
    }

    #[test]
    fn a_malformed_trace_is_begun_anew() {
        for malformed in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert_ne!(trace(malformed).id(), "4bf92f3577b34da6a3ce929d0e0e4736", "{malformed}");
        }
    }
}
