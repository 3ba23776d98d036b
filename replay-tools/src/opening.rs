//! Reading, under an audit replay or as an entry of the access log, and opening personal values: for a purpose, with a reason.
//! It is on the record before anything is shown.

use std::sync::Arc;

use commands::{Commands, NoAnswers, Request};
use domain::{
    Actor, Stated,
    governance::{
        ACCESS_SUBJECTS_MAX, AccessLog, AccessLogCommand, AuditReplay, AuditReplayCommand, access_log_id,
    },
};
use event_store::Position;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{annals::Annals, event::Personal, failure::Failure};

/// Whether personal values are opened, and why.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Opening {
    /// Opens personal values, under an audit replay that a second officer approved. That is recorded, with purpose and
    /// reason, before anything is shown.
    #[arg(long, requires = "purpose", requires = "reason", requires = "replay")]
    pub(crate) decrypt: bool,
    /// For what: ferpa, gdpr, incident, dispute or self_test.
    #[arg(long)]
    pub(crate) purpose: Option<String>,
    /// Why, in words.
    #[arg(long, value_parser = reason)]
    pub(crate) reason: Option<String>,
    /// The audit replay under which this is read, which puts it on the replay's record: it must have been opened for what is
    /// read and not be over (GOV-A4), and with --decrypt for decrypting it, approved by a second officer (GOV-A1).
    #[arg(long)]
    pub(crate) replay: Option<Uuid>,
}

/// Reads why something is done, which stands on the record.
///
/// # Errors
/// When it says nothing.
pub(crate) fn reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("it says nothing".into()) } else { Ok(text.to_owned()) }
}

/// What is about to be read.
pub(crate) struct Reading<'a> {
    /// What, in words.
    pub(crate) resource: String,
    /// The first position.
    pub(crate) from: Position,
    /// The last.
    pub(crate) to: Position,
    /// How many events.
    pub(crate) events: u64,
    /// Whose data is among them; none: whoever's there is, which only a replay of everybody covers.
    pub(crate) subjects: Option<&'a [Uuid]>,
}

/// Under which audit replay something is read that shows no personal value.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Under {
    /// The audit replay under which this is read, which puts it on the replay's record: it must have been opened for what is
    /// read, without decrypting, and not be over (GOV-A4).
    #[arg(long)]
    pub(crate) replay: Option<Uuid>,
}

impl Under {
    /// What is read is on the record when this returns: that of the audit replay, or the access log.
    pub(crate) async fn on_record(&self, annals: &Annals, reading: &Reading<'_>) -> Result<(), Failure> {
        let sealed = Opening { replay: self.replay, ..Opening::default() };
        sealed.on_record(annals, reading).await.map(drop)
    }
}

/// Whose data is in these events.
pub(crate) async fn subjects(annals: &Annals, positions: &[Position]) -> Result<Vec<Uuid>, Failure> {
    let positions: Vec<i64> = positions.iter().map(|position| position.cast_signed()).collect();
    let subjects = sqlx::query_scalar(include_str!("sql/subjects.sql")).bind(positions);
    Ok(subjects.fetch_all(annals.store.pool()).await?)
}

/// What is about to be handed out.
pub(crate) struct Handed {
    /// The SHA-256 by which it is known again, in lower-case hexadecimal.
    pub(crate) sha256: String,
    /// The position of the first event in it.
    pub(crate) first: Position,
    /// That of the last.
    pub(crate) last: Position,
}

impl Opening {
    /// What may be done with personal values. What is read is on the record when this returns: that of the audit replay, or
    /// the access log; where it cannot be recorded, nothing is shown, nor opened.
    pub(crate) async fn on_record(
        &self,
        annals: &Annals,
        reading: &Reading<'_>,
    ) -> Result<Personal, Failure> {
        let commands = Commands::new(annals.store.clone(), Arc::new(NoAnswers), 16);
        if !self.decrypt {
            match self.replay {
                Some(replay) => self.read_under(&commands, annals, replay, reading).await?,
                None => self.log(&commands, annals, reading, self.reason.clone()).await?,
            }
            return Ok(Personal::Sealed);
        }
        let (Some(purpose), Some(reason), Some(replay)) = (&self.purpose, &self.reason, self.replay) else {
            let text =
                "personal values are opened for a --purpose and a --reason, under an approved --replay";
            return Err(Failure::Wrong(text.into()));
        };
        self.read_under(&commands, annals, replay, reading).await?;
        self.log(&commands, annals, reading, Some(format!("{purpose}: {reason}"))).await?;
        Ok(Personal::Opened)
    }

    /// Puts the reading into the access log.
    async fn log(
        &self,
        commands: &Commands,
        annals: &Annals,
        reading: &Reading<'_>,
        purpose: Option<String>,
    ) -> Result<(), Failure> {
        let nobody: &[Uuid] = &[];
        let named = reading.subjects.unwrap_or_default();
        let pieces = named.chunks(ACCESS_SUBJECTS_MAX);
        for subjects in pieces.chain(named.is_empty().then_some(nobody)) {
            let command = AccessLogCommand::LogAccess {
                actor: None,
                route: "annals-replay".into(),
                resource: reading.resource.clone(),
                subjects: subjects.to_vec(),
                purpose: purpose.clone(),
                // Whoever has a shell on the server has no address; the account of that shell is who acts.
                ip: Stated("local".into()),
                user_agent: Stated(concat!("annals-replay/", env!("CARGO_PKG_VERSION")).into()),
            };
            let request = Request { purpose: self.purpose.clone(), ..Request::by(annals.actor.clone()) };
            let id = access_log_id(Timestamp::now(), request.command_id.as_u128());
            commands.note::<AccessLog>(id, command, &request).await?;
        }
        Ok(())
    }

    /// Puts on record that what was opened is handed out, before it is, as a document that is known by its number from then
    /// on; nothing where nothing was opened. Whoever opened the audit replay answers for it: as a recipient they are told of
    /// what is erased or corrected later (Art. 19 GDPR), like one who took the document over HTTP.
    pub(crate) async fn handed_out(&self, annals: &Annals, handed: Handed) -> Result<Option<Uuid>, Failure> {
        let Some(replay) = self.replay.filter(|_| self.decrypt) else { return Ok(None) };
        let commands = Commands::new(annals.store.clone(), Arc::new(NoAnswers), 16);
        let on_behalf_of = commands.state::<AuditReplay>(replay).await?.state.opened_by;
        let document = Uuid::now_v7();
        let Handed { sha256, first, last } = handed;
        let command = AuditReplayCommand::ExportAuditPackage { document, sha256, first, last };
        let request = Request::by(Actor { on_behalf_of, ..annals.actor.clone() });
        commands.execute::<AuditReplay>(replay, command, &request).await?;
        Ok(Some(document))
    }

    /// Puts the reading on the record of an audit replay, which must cover it.
    async fn read_under(
        &self,
        commands: &Commands,
        annals: &Annals,
        replay: Uuid,
        reading: &Reading<'_>,
    ) -> Result<(), Failure> {
        let state = commands.state::<AuditReplay>(replay).await?.state;
        let scope = &state.scope;
        let others = |person: Uuid| {
            reading.subjects.is_none_or(|subjects| subjects.iter().any(|subject| *subject != person))
        };
        let beyond = match state.as_of {
            Some(moment) => reading.to > annals.store.position_at(moment).await?,
            None => false,
        };
        if state.decrypt != self.decrypt
            || beyond
            || scope.subject.is_some_and(others)
            || scope.aggregate_type.is_some()
            || scope.aggregate.is_some()
        {
            let how = if self.decrypt { "decrypting" } else { "showing without decrypting" };
            let text = format!("audit replay {replay} was not opened for {how} {}", reading.resource);
            return Err(Failure::Wrong(text));
        }
        let opened: &str = state.purpose.map(Into::into).unwrap_or_default();
        if let Some(purpose) = self.purpose.as_deref().filter(|purpose| *purpose != opened) {
            let text = format!("audit replay {replay} was opened for {opened}, not for {purpose}");
            return Err(Failure::Wrong(text));
        }
        let Reading { from, to, events, subjects, .. } = reading;
        let command = AuditReplayCommand::RecordReplayRead {
            from_position: *from,
            to_position: *to,
            events: *events,
            subjects: subjects.unwrap_or_default().to_vec(),
        };
        commands.execute::<AuditReplay>(replay, command, &Request::by(annals.actor.clone())).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use domain::governance::{ReplayPurpose, ReplayScope};

    use super::*;
    use crate::testing::{World, student};

    fn asked(replay: Option<Uuid>) -> Opening {
        let (purpose, reason) = (Some("ferpa".into()), Some("She asked.".into()));
        Opening { decrypt: true, purpose, reason, replay }
    }

    fn about(subjects: &[Uuid]) -> Reading<'_> {
        Reading { resource: "subject".into(), from: 1, to: 5, events: 3, subjects: Some(subjects) }
    }

    async fn head(world: &World) -> Position {
        world.annals.store.head().await.unwrap().position
    }

    #[tokio::test]
    async fn what_is_not_asked_for_stays_sealed_and_who_reads_it_is_in_the_access_log() {
        let world = World::campus().await;
        let before = head(&world).await;
        let personal = Opening::default().on_record(&world.annals, &about(&[student(0)])).await.unwrap();
        let read = world.annals.store.read_all(before, 10).await.unwrap();
        assert_eq!((personal, read.len(), &*read[0].event_type), (Personal::Sealed, 1, "AccessLogged"));
        assert!(read[0].payload.contains(&student(0).to_string()), "{}", read[0].payload);
    }

    #[tokio::test]
    async fn what_is_read_sealed_under_a_replay_is_on_its_record_too() {
        let world = World::campus().await;
        let replay = world.sealed_replay(Some(student(0))).await;
        let before = head(&world).await;
        let sealed = Opening { replay: Some(replay), ..Opening::default() };
        let personal = sealed.on_record(&world.annals, &about(&[student(0)])).await.unwrap();
        let read = world.annals.store.read_all(before, 10).await.unwrap();
        assert_eq!((personal, read.len(), &*read[0].event_type), (Personal::Sealed, 1, "AuditReplayRead"));
        assert!(read[0].payload.contains("\"decrypted\":false"), "{}", read[0].payload);
        for refused in [
            sealed.on_record(&world.annals, &about(&[student(1)])).await,
            asked(Some(replay)).on_record(&world.annals, &about(&[student(0)])).await,
        ] {
            assert!(matches!(refused, Err(Failure::Wrong(_))), "{refused:?}");
        }
        assert_eq!(head(&world).await, before + 1);
    }

    #[tokio::test]
    async fn what_is_opened_is_on_the_record_before() {
        let world = World::campus().await;
        let before = head(&world).await;
        let none = asked(None).on_record(&world.annals, &about(&[student(0)])).await;
        assert!(matches!(none, Err(Failure::Wrong(_))), "GOV-A1: without an approved replay {none:?}");
        assert_eq!(head(&world).await, before);
        let replay = world.approved_replay(None, None).await;
        let before = head(&world).await;
        let personal = asked(Some(replay)).on_record(&world.annals, &about(&[student(0)])).await.unwrap();
        assert_eq!(personal, Personal::Opened);
        let entry = world.annals.store.read_all(before, 10).await.unwrap().remove(1);
        assert_eq!(entry.event_type, "AccessLogged");
        assert!(
            entry.payload.contains(&student(0).to_string()) && entry.payload.contains("ferpa: She asked.")
        );
    }

    #[tokio::test]
    async fn what_was_approved_for_one_purpose_is_not_read_for_another() {
        let world = World::campus().await;
        let replay = world.approved_replay(None, None).await;
        let before = head(&world).await;
        let other = Opening { purpose: Some("gdpr".into()), ..asked(Some(replay)) };
        let refused = other.on_record(&world.annals, &about(&[student(0)])).await.unwrap_err().to_string();
        assert!(refused.ends_with("was opened for ferpa, not for gdpr"), "{refused}");
        assert_eq!(head(&world).await, before);
    }

    #[tokio::test]
    async fn more_people_than_one_entry_names_are_all_on_record() {
        let world = World::empty().await;
        let people: Vec<Uuid> = (0..ACCESS_SUBJECTS_MAX as u128 + 1).map(student).collect();
        let replay = world.approved_replay(None, None).await;
        let before = head(&world).await;
        asked(Some(replay)).on_record(&world.annals, &about(&people)).await.unwrap();
        assert_eq!(head(&world).await, before + 3, "the reading, and two entries");
    }

    #[tokio::test]
    async fn a_replay_opens_values_only_once_a_second_officer_approved_it_and_only_of_its_subject() {
        // GOV-A1, GOV-A2
        let world = World::campus().await;
        let replay = Uuid::from_u128(0xA0D17);
        let officer = |number: u128| Request::by(Actor::user(Uuid::from_u128(number), &["compliance"]));
        let open = AuditReplayCommand::OpenAuditReplay {
            purpose: Some(ReplayPurpose::Ferpa),
            scope: ReplayScope { subject: Some(student(0)), ..ReplayScope::default() },
            as_of: None,
            decrypt: true,
            reason: "She asked.".into(),
        };
        world.commands.execute::<AuditReplay>(replay, open, &officer(1)).await.unwrap();
        let before = head(&world).await;
        let early = asked(Some(replay)).on_record(&world.annals, &about(&[student(0)])).await;
        assert!(matches!(early, Err(Failure::Command(_))), "{early:?}");
        let approve = AuditReplayCommand::ApproveAuditReplay {};
        world.commands.execute::<AuditReplay>(replay, approve, &officer(2)).await.unwrap();
        let other = asked(Some(replay)).on_record(&world.annals, &about(&[student(1)])).await;
        assert!(matches!(other, Err(Failure::Wrong(_))), "{other:?}");
        assert_eq!(head(&world).await, before + 1, "only the approval");
        asked(Some(replay)).on_record(&world.annals, &about(&[student(0)])).await.unwrap();
        // What was recorded after the moment that it is as of is not covered.
        let past = world.approved_replay(Some(student(0)), Some("2020-01-01T00:00:00Z")).await;
        let beyond = asked(Some(past)).on_record(&world.annals, &about(&[student(0)])).await;
        assert!(matches!(beyond, Err(Failure::Wrong(_))), "{beyond:?}");
        let recorded = world.annals.store.read_all(before + 1, 2).await.unwrap();
        let types: Vec<&str> = recorded.iter().map(|event| &*event.event_type).collect();
        assert_eq!(types, ["AuditReplayRead", "AccessLogged"]);
    }
}
