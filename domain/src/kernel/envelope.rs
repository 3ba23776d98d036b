//! The envelope of an event: who, why, caused by what (catalogue 0.3). It is stored as a flat object of strings.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// What every event carries beside its payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Who acted: `user:<id>`, `api_client:<id>`, `policy:<name>`, `scheduler:<name>`, `worker:<name>`.
    pub actor: String,
    /// The person for whom the actor acted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// The login session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// When the thing happened (RFC 3339).
    pub occurred_at: Timestamp,
    /// The people whose data the event carries, and the one whom its stream is about.
    #[serde(default, with = "spaced", skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<Uuid>,
    /// The record classes of that data.
    #[serde(default, with = "spaced", skip_serializing_if = "Vec::is_empty")]
    pub record_classes: Vec<String>,
    /// What everything that one request brought about has in common.
    pub correlation_id: Uuid,
    /// The event that caused this one, where a policy reacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// The W3C trace context of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Why personal data was processed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// On which legal basis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legal_basis: Option<String>,
    /// What it was computed from, as `type:id@version`, where causation does not tell.
    #[serde(default, with = "spaced", skip_serializing_if = "Vec::is_empty")]
    pub derived_from: Vec<String>,
    /// How it was computed, as `engine@version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transformation: Option<String>,
}

impl Envelope {
    /// The id of the trace that it belongs to, where it came of a request.
    pub fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_deref()?.split('-').nth(1)
    }
}

/// A list as one string, separated by spaces.
mod spaced {
    use std::{
        fmt::{self, Display},
        str::FromStr,
    };

    use super::{Deserialize, Deserializer, Serializer};

    struct Words<'a, T>(&'a [T]);

    impl<T: Display> Display for Words<'_, T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for (place, word) in self.0.iter().enumerate() {
                if place > 0 {
                    f.write_str(" ")?;
                }
                word.fmt(f)?;
            }
            Ok(())
        }
    }

    pub(super) fn serialize<T: Display, S: Serializer>(list: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Words(list))
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.split_ascii_whitespace().map(|word| word.parse().map_err(serde::de::Error::custom)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_is_told_by_what_the_request_said_of_it() {
        let of =
            |parent: Option<&str>| Envelope { traceparent: parent.map(str::to_owned), ..Envelope::default() };
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let envelope = of(Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        assert_eq!(
            (envelope.trace_id(), of(None).trace_id(), of(Some("")).trace_id()),
            (Some(id), None, None)
        );
    }

    #[test]
    fn an_envelope_is_a_flat_object_of_strings_and_reads_back() {
        let envelope = Envelope {
            actor: "policy:score_application".into(),
            occurred_at: "2026-01-01T12:00:00Z".parse().unwrap(),
            subjects: vec![Uuid::from_u128(1), Uuid::from_u128(2)],
            record_classes: vec!["education".into()],
            correlation_id: Uuid::from_u128(3),
            causation_id: Some(Uuid::from_u128(4)),
            derived_from: vec!["identity.profile:1@3".into(), "opportunities.scholarship:2@1".into()],
            ..Envelope::default()
        };
        let stored = serde_json::to_value(&envelope).unwrap();
        assert!(stored.as_object().unwrap().values().all(serde_json::Value::is_string), "{stored}");
        assert_eq!(serde_json::from_value::<Envelope>(stored).unwrap(), envelope);
    }
}
