//! One shard of one day of the access log: who read whose personal data, and who was turned away (catalogue 2.11, AccessLog).
//!
//! It is append-only and its streams have no state: a day's shard is appended to wherever it stands, by every node at
//! once. The reader's address and browser are sealed for the reader; a visitor who is nobody is sealed for the shard, so
//! that strangers bring no keys into being.

use jiff::{Timestamp, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use crate::kernel::{
    Actor, Context, Decided, Decider, Event, Known, NoRefusal, NotYet, Noted, Personal, RecordClass, Stated,
    bounds, class::SecurityLog, derived_id,
};

/// How many streams a day's log is spread over.
pub const SHARDS: u128 = 16;
/// The most people that one entry names; a page has fewer.
pub const ACCESS_SUBJECTS_MAX: usize = 1000;

/// The stream that an access goes to: that of its day (UTC) and its shard.
pub fn access_log_id(at: Timestamp, shard: u128) -> Uuid {
    let day = at.to_zoned(TimeZone::UTC).date();
    derived_id(&["access-log", &day.to_string(), &(shard % SHARDS).to_string()])
}

/// The state that decisions need: none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AccessLog {}

/// What can be asked of the access log.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum AccessLogCommand {
    /// Puts a read of personal data on record.
    #[schemars(extend("x-system" = true))]
    LogAccess {
        /// The account that read, where it is a person's.
        #[serde(default)]
        actor: Option<Uuid>,
        /// The route, as its template.
        route: String,
        /// What was read: the values of the route's parameters filled in.
        resource: String,
        /// Whose data was read.
        subjects: Vec<Uuid>,
        /// For what purpose, as the reader said or the route implies.
        #[serde(default)]
        purpose: Option<String>,
        /// From which address.
        ip: Stated<String>,
        /// With which program.
        user_agent: Stated<String>,
    },
    /// Puts a refusal on record.
    #[schemars(extend("x-system" = true))]
    LogDenial {
        /// The account that was turned away, where it is known.
        #[serde(default)]
        actor: Option<Uuid>,
        /// The route, as its template.
        route: String,
        /// The code of the refusal.
        reason: String,
        /// From which address.
        ip: Stated<String>,
        /// With which program.
        user_agent: Stated<String>,
    },
}

/// What can have happened to the access log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum AccessLogEvent {
    /// Personal data was read.
    AccessLogged {
        actor: Option<Uuid>,
        route: String,
        resource: String,
        subjects: Vec<Uuid>,
        purpose: Option<String>,
        ip: Personal<String, SecurityLog>,
        user_agent: Personal<String, SecurityLog>,
    },
    /// Somebody was turned away.
    AccessDenied {
        actor: Option<Uuid>,
        route: String,
        reason: String,
        ip: Personal<String, SecurityLog>,
        user_agent: Personal<String, SecurityLog>,
    },
}

impl Event for AccessLogEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

impl Decider for AccessLog {
    const TYPE: &'static str = "governance.access_log";
    const CLASS: Option<RecordClass> = Some(RecordClass::SecurityLog);
    const RESTRICTABLE: bool = false;
    type Command = AccessLogCommand;
    type Event = AccessLogEvent;
    type Refusal = NoRefusal;
    type Facts = ();

    fn creates(command: &AccessLogCommand) -> bool {
        match command {
            AccessLogCommand::LogAccess { .. } | AccessLogCommand::LogDenial { .. } => true,
        }
    }

    fn facts(&self, _: &AccessLogCommand, _: &Context, _: &mut impl Known) -> Result<(), NotYet> {
        Ok(())
    }

    fn may(&self, actor: &Actor, command: &AccessLogCommand) -> bool {
        match command {
            AccessLogCommand::LogAccess { .. } | AccessLogCommand::LogDenial { .. } => actor.is_system(),
        }
    }

    fn decide(&self, command: AccessLogCommand, (): &(), context: &Context) -> Decided<Self> {
        let whose = |actor: Option<Uuid>| actor.unwrap_or(context.id);
        let event = match command {
            AccessLogCommand::LogAccess { actor, route, resource, subjects, purpose, ip, user_agent } => {
                bounds::text("route", &route, 1..=500)?;
                bounds::text("resource", &resource, 1..=2000)?;
                bounds::count("subjects", subjects.len(), ACCESS_SUBJECTS_MAX)?;
                bounds::maybe_text("purpose", purpose.as_deref(), 1..=200)?;
                let about = whose(actor);
                AccessLogEvent::AccessLogged {
                    actor,
                    route,
                    resource,
                    subjects,
                    purpose,
                    ip: ip.about(about),
                    user_agent: user_agent.about(about),
                }
            }
            AccessLogCommand::LogDenial { actor, route, reason, ip, user_agent } => {
                bounds::text("route", &route, 1..=500)?;
                bounds::text("reason", &reason, 1..=100)?;
                let about = whose(actor);
                AccessLogEvent::AccessDenied {
                    actor,
                    route,
                    reason,
                    ip: ip.about(about),
                    user_agent: user_agent.about(about),
                }
            }
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &AccessLogEvent) {
        match event {
            AccessLogEvent::AccessLogged { .. } | AccessLogEvent::AccessDenied { .. } => {}
        }
    }

    fn concerns(event: &AccessLogEvent) -> &[Uuid] {
        match event {
            AccessLogEvent::AccessLogged { subjects, .. } => subjects,
            AccessLogEvent::AccessDenied { .. } => &[],
        }
    }
}

impl Noted for AccessLog {}

#[cfg(test)]
mod tests {
    use super::{AccessLogCommand as C, AccessLogEvent as E, *};
    use crate::kernel::testing::{keeps_history, nothing};

    const READER: Uuid = Uuid::from_u128(0x4E);
    const READ: Uuid = Uuid::from_u128(0xAA);

    fn access(actor: Option<Uuid>) -> C {
        C::LogAccess {
            actor,
            route: "/v1/people/{id}".into(),
            resource: format!("/v1/people/{READ}"),
            subjects: vec![READ],
            purpose: Some("advising".into()),
            ip: Stated("192.0.2.1".into()),
            user_agent: Stated("curl".into()),
        }
    }

    fn denial(actor: Option<Uuid>) -> C {
        C::LogDenial {
            actor,
            route: "/v1/people/{id}".into(),
            reason: "Forbidden".into(),
            ip: Stated("192.0.2.1".into()),
            user_agent: Stated("curl".into()),
        }
    }

    #[test]
    fn a_read_names_the_reader_the_read_and_the_purpose() {
        let events = nothing::<AccessLog>().when(access(Some(READER))).events();
        let E::AccessLogged { actor, subjects, purpose, ip, .. } = &events[0] else { panic!("{events:?}") };
        assert_eq!((*actor, &**subjects, purpose.as_deref()), (Some(READER), &[READ][..], Some("advising")));
        assert_eq!(ip.subject(), Some(READER), "the address is the reader's own datum");
    }

    #[test]
    fn a_stranger_brings_no_key_into_being() {
        let events = nothing::<AccessLog>().with_id(Uuid::from_u128(7)).when(denial(None)).events();
        let E::AccessDenied { ip, .. } = &events[0] else { panic!("{events:?}") };
        assert_eq!(ip.subject(), Some(Uuid::from_u128(7)), "the day's shard stands for whoever it was");
    }

    #[test]
    fn only_the_system_writes_the_access_log() {
        let log = nothing::<AccessLog>();
        assert!(log.permits(&Actor::policy("api"), &access(None)));
        assert!(!log.permits(&Actor::user(READER, &["admin"]), &access(None)));
        assert!(!log.permits(&Actor::user(READER, &["compliance"]), &denial(None)));
    }

    #[test]
    fn a_days_shard_has_one_stream_and_the_next_day_another() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let id = access_log_id(at("2026-01-01T00:00:00Z"), 3);
        assert_eq!(id, access_log_id(at("2026-01-01T23:59:59Z"), 3 + SHARDS));
        assert_ne!(id, access_log_id(at("2026-01-02T00:00:00Z"), 3));
        assert_ne!(id, access_log_id(at("2026-01-01T00:00:00Z"), 4));
    }

    #[test]
    fn history_of_the_access_log() {
        let one = |command| nothing::<AccessLog>().when(command).events().remove(0);
        keeps_history::<AccessLog>([one(access(Some(READER))), one(denial(None))]);
    }
}
