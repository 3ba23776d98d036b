//! Opening personal values: for a purpose, with a reason, and on the record before anything is shown.

use domain::{Envelope, registry::AnyEvent};
use event_store::{Append, NewEvent, StreamId};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::json;
use uuid::Uuid;

use crate::{annals::Annals, event::Personal, failure::Failure};

/// Whether personal values are opened, and why.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Opening {
    /// Opens personal values. That is recorded, with purpose and reason, before anything is shown.
    #[arg(long, requires = "purpose", requires = "reason")]
    pub(crate) decrypt: bool,
    /// For what: ferpa, gdpr, incident, dispute or self_test.
    #[arg(long)]
    pub(crate) purpose: Option<String>,
    /// Why, in words.
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

/// The aggregate that keeps the record (catalogue 2.11), and its event.
const ACCESS_LOG: (&str, &str) = ("governance.access_log", "AccessLogged");
/// The most people that one entry names.
const SUBJECTS_MAX: usize = 1000;

impl Opening {
    /// What may be done with personal values. Where they are to be opened, that is on the record when this returns; where
    /// it cannot be recorded, nothing is opened.
    pub(crate) async fn on_record(
        &self,
        annals: &Annals,
        resource: &str,
        subjects: &[Uuid],
    ) -> Result<Personal, Failure> {
        if !self.decrypt {
            return Ok(Personal::Sealed);
        }
        let (Some(purpose), Some(reason)) = (&self.purpose, &self.reason) else {
            return Err(Failure::Wrong("personal values are opened for a --purpose and a --reason".into()));
        };
        let command_id = Uuid::now_v7();
        let day = Timestamp::now().to_zoned(TimeZone::UTC).date();
        let id = domain::derived_id(&["access-log", &day.to_string(), "0"]);
        let entry = |subjects: &[Uuid]| {
            // Who has a shell on the server has no address and no browser.
            let payload = json!({ ACCESS_LOG.1: {
                "actor": null, "route": "annals-replay", "resource": resource, "subjects": subjects,
                "purpose": format!("{purpose}: {reason}"),
                "ip": { "$personal": null }, "user_agent": { "$personal": null },
            } });
            let envelope = Envelope {
                actor: annals.actor.to_string(),
                occurred_at: Timestamp::now(),
                correlation_id: command_id,
                purpose: Some(purpose.clone()),
                ..Envelope::default()
            };
            let payload = payload.to_string();
            // Only what the domain reads is a record.
            AnyEvent::decode(ACCESS_LOG.0, ACCESS_LOG.1, "1", &payload)?;
            Ok(NewEvent {
                stream: StreamId::new(ACCESS_LOG.0, id.to_string()),
                event_id: Uuid::now_v7(),
                event_type: ACCESS_LOG.1.into(),
                event_version: "1".into(),
                payload,
                personal: Vec::new(),
                metadata: serde_json::to_string(&envelope).map_err(std::io::Error::from)?,
            })
        };
        let none: &[Uuid] = &[];
        let pieces = subjects.chunks(SUBJECTS_MAX);
        let pieces = pieces.chain(subjects.is_empty().then_some(none));
        let events = pieces.map(entry).collect::<Result<Vec<_>, Failure>>()?;
        let append =
            Append { command_id, fingerprint: None, conditions: Vec::new(), events, claims: Vec::new() };
        annals.store.append(append).await?;
        Ok(Personal::Opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, student};

    fn asked() -> Opening {
        Opening { decrypt: true, purpose: Some("ferpa".into()), reason: Some("She asked.".into()) }
    }

    #[tokio::test]
    async fn what_is_not_asked_for_stays_sealed_and_leaves_no_record() {
        let world = World::campus().await;
        let before = world.annals.store.head().await.unwrap().position;
        let personal = Opening::default().on_record(&world.annals, "subject", &[student(0)]).await.unwrap();
        assert_eq!(personal, Personal::Sealed);
        assert_eq!(world.annals.store.head().await.unwrap().position, before);
    }

    #[tokio::test]
    async fn nothing_is_opened_that_is_not_on_the_record_before() {
        let world = World::campus().await;
        let before = world.annals.store.head().await.unwrap().position;
        match asked().on_record(&world.annals, "subject", &[student(0)]).await {
            Ok(personal) => {
                assert_eq!(personal, Personal::Opened);
                let entry = world.annals.store.read_all(before, 10).await.unwrap().remove(0);
                assert_eq!(entry.event_type, "AccessLogged");
                assert!(
                    entry.payload.contains(&student(0).to_string()) && entry.payload.contains("She asked.")
                );
            }
            // A domain without an access log.
            Err(error) => {
                assert!(matches!(error, Failure::Unreadable(_)), "{error}");
                assert_eq!(world.annals.store.head().await.unwrap().position, before);
            }
        }
    }
}
