//! The one list of aggregates. Routes, OpenAPI, the event catalogue, decoding and the golden-history tests are visitors
//! of it; adding an aggregate is adding a line.

use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{Claim, Decider, Event, upcast};

/// Visits every aggregate, with its type.
pub trait Visitor {
    /// Called once for each aggregate, in the order of the list.
    fn aggregate<D: Decider>(&mut self);
}

/// Why a stored event could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The list of aggregates has no such type.
    #[error("unknown aggregate type `{0}`")]
    UnknownAggregate(String),
    /// The stored schema version is not a number.
    #[error("`{0}` is not a schema version")]
    Version(String),
    /// The payload has another shape than its type and version say. serde quotes values in its messages, and these may be
    /// personal: only the kind of error and its place are told.
    #[error(
        "the payload of {event_type} v{version} cannot be read ({:?} error at column {})",
        .source.classify(),
        .source.column()
    )]
    Payload {
        /// The event type.
        event_type: String,
        /// The stored schema version.
        version: u16,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// Reads one stored event of an aggregate: `payload` is the externally tagged enum (`{"Name":{...}}`), lifted by the
/// upcasters when it was stored at an older version. Call it inside an [`crate::OpeningScope`] to read personal values.
pub fn decode<D: Decider>(
    event_type: &str,
    event_version: &str,
    payload: &str,
) -> Result<D::Event, DecodeError> {
    let version: u16 = event_version.parse().map_err(|_| DecodeError::Version(event_version.to_owned()))?;
    let newest = <D::Event as Event>::version(event_type);
    let read = if version >= newest {
        serde_json::from_str(payload)
    } else {
        serde_json::from_str::<serde_json::Value>(payload).and_then(|mut stored| {
            let fields = stored.get_mut(event_type).map(serde_json::Value::take).unwrap_or_default();
            let lifted = upcast(D::Event::UPCASTERS, event_type, version, fields);
            serde_json::from_value(serde_json::json!({ event_type: lifted }))
        })
    };
    read.map_err(|source| DecodeError::Payload { event_type: event_type.to_owned(), version, source })
}

/// The fields of a command's body, as the variant of the command enum that the route names: `{"Name":<body>}`.
pub fn command_text(name: &str, body: &RawValue) -> String {
    format!("{{{}:{}}}", serde_json::Value::from(name), body.get())
}

macro_rules! aggregates {
    ($($context:ident :: $Aggregate:ident),* $(,)?) => {
        /// Any event of any aggregate, as the follower of the log sees it.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "each variant is named after its aggregate")]
        #[allow(clippy::large_enum_variant, reason = "one lives at a time for each event in hand; boxing costs each of them")]
        pub enum AnyEvent {
            $( $Aggregate(<crate::$context::$Aggregate as Decider>::Event), )*
        }

        impl AnyEvent {
            /// Reads a stored event; see [`decode`].
            pub fn decode(
                aggregate_type: &str,
                event_type: &str,
                event_version: &str,
                payload: &str,
            ) -> Result<AnyEvent, DecodeError> {
                $( if aggregate_type == <crate::$context::$Aggregate as Decider>::TYPE {
                    return decode::<crate::$context::$Aggregate>(event_type, event_version, payload).map(AnyEvent::$Aggregate);
                } )*
                Err(DecodeError::UnknownAggregate(aggregate_type.to_owned()))
            }

            /// The event type.
            pub fn name(&self) -> &'static str {
                match self { $( AnyEvent::$Aggregate(event) => event.name(), )* }
            }

            /// What the event takes and frees across streams, recorded in the stream of this aggregate.
            pub fn claims(&self, id: Uuid) -> Vec<Claim> {
                match self { $( AnyEvent::$Aggregate(event) => <crate::$context::$Aggregate as Decider>::claims(id, event), )* }
            }

            /// The aggregate's storage name.
            pub fn aggregate_type(&self) -> &'static str {
                match self { $( AnyEvent::$Aggregate(_) => <crate::$context::$Aggregate as Decider>::TYPE, )* }
            }
        }

        /// Any command of any aggregate, as policies and timers issue them.
        #[derive(Clone, serde::Serialize, serde::Deserialize)]
        #[allow(missing_docs, reason = "each variant is named after its aggregate")]
        #[allow(clippy::large_enum_variant, reason = "few live at a time")]
        pub enum AnyCommand {
            $( $Aggregate(<crate::$context::$Aggregate as Decider>::Command), )*
        }

        impl AnyCommand {
            /// The storage name of the aggregate that the command is for.
            pub fn aggregate_type(&self) -> &'static str {
                match self { $( AnyCommand::$Aggregate(_) => <crate::$context::$Aggregate as Decider>::TYPE, )* }
            }
        }

        /// What can be granted on one resource of this type; none where there is no such type.
        pub fn grantable(aggregate_type: &str) -> Option<&'static [&'static str]> {
            $( if aggregate_type == <crate::$context::$Aggregate as Decider>::TYPE {
                return Some(<crate::$context::$Aggregate as Decider>::GRANTABLE);
            } )*
            None
        }

        /// Shows every aggregate to a visitor.
        pub fn every_aggregate(visitor: &mut impl Visitor) {
            $( visitor.aggregate::<crate::$context::$Aggregate>(); )*
        }

        /// Calls a function that is generic over the aggregate with a command of any of them:
        /// `dispatch!(command, |Aggregate, command| execute::<Aggregate>(command))`.
        #[macro_export]
        macro_rules! dispatch {
            ($command:expr, |$D:ident, $c:ident| $body:expr) => {
                match $command {
                    $( $crate::registry::AnyCommand::$Aggregate($c) => { type $D = $crate::$context::$Aggregate; $body } )*
                }
            };
        }
    };
}

aggregates! {
    identity::OrgUnit,
    credentials::MicroCredential,
    credentials::Recognition,
    identity::Profile,
    opportunities::Scholarship,
    opportunities::ScholarshipApplication,
    budgeting::BudgetProfile,
    budgeting::BudgetMonth,
    budgeting::Transaction,
    intelligence::Decision,
    governance::ConsentLedger,
    governance::LegalHold,
    governance::RetentionPolicy,
    governance::SubjectKey,
    governance::AuditReplay,
    governance::RecipientNotice,
    governance::AccessLog,
    governance::PrivacyRequest,
    governance::Disclosure,
    governance::ProcessingActivity,
    governance::SecurityIncident,
    identity::Account,
    identity::Session,
    identity::ApiClient,
    identity::SecurityPolicy,
    notifications::Notification,
    notifications::RecipientSettings,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_told_that_an_event_cannot_be_read_is_told_no_value_of_it() {
        let payload = r#"{"OrgUnitCreated":{"kind":"zugvogelwarte"}}"#;
        let error = decode::<crate::identity::OrgUnit>("OrgUnitCreated", "1", payload).unwrap_err();
        let told = error.to_string();
        assert!(told.starts_with("the payload of OrgUnitCreated v1 cannot be read ("), "{told}");
        assert!(!told.contains("zugvogelwarte"), "{told}");
    }
}
