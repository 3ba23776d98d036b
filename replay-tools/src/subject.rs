//! `subject`: everything that the log holds about a person, who saw it and to whom it was given. It is for officers: what the
//! law forbids to tell the student is in it, and marked.
//!
//! It reads the log from end to end and no read model: what it shows does not depend on anything that could be wrong with
//! one. What an event says of other people stays sealed.

mod page;

use std::collections::HashMap;

use domain::governance::DisclosureBasis;
use event_store::{Head, Position, StreamId};
use jiff::Timestamp;
use projections::governance::Untold;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    annals::Annals,
    event::{self, Event, Personal, plain},
    export::hex,
    failure::Failure,
    opening::{Handed, Opening, Reading},
    progress::Progress,
};

/// How many positions are looked through at once.
const STRETCH: u64 = 50_000;
/// How many events are read at once.
const CHUNK: usize = 1000;
/// What stands beside each entry that would tell the student of a disclosure on a secret order.
const UNTOLD: &str = "must not be told to the student: 34 CFR 99.31(a)(9)(ii)";

/// Everything the log holds about a person, in order: what, by whom, why, on which basis; who saw it; who was given it.
#[derive(Debug, clap::Args)]
pub(crate) struct Subject {
    /// The person.
    id: Uuid,
    /// How it is written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    opening: Opening,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For the terminal.
    Text,
    /// For programs.
    Json,
    /// One page to print, with nothing to fetch.
    Html,
}

/// All that there is about a person.
#[derive(Debug, Serialize)]
struct Report {
    /// The person.
    subject: Uuid,
    /// The log.
    incarnation: Uuid,
    /// It is complete up to this position.
    position: Position,
    /// When this was put together.
    at: Timestamp,
    /// For what personal values were opened; none: they were not.
    purpose: Option<String>,
    /// What is to be done before the student is given any of it, where some of it must not be told to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
    /// The events that carry data of this person or belong to a stream about them.
    events: Vec<Entry>,
    /// Who saw it.
    seen_by: Vec<Seen>,
    /// To whom it was given or refused (34 CFR 99.32): all events of those records.
    disclosures: Vec<Entry>,
}

/// An event of the report.
#[derive(Debug, Serialize)]
struct Entry {
    #[serde(flatten)]
    event: Event,
    /// That it must not be told to the student, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'static str>,
}

impl From<Event> for Entry {
    fn from(event: Event) -> Self {
        Entry { event, warning: None }
    }
}

/// Somebody looked.
#[derive(Debug, Serialize)]
struct Seen {
    position: Position,
    at: Timestamp,
    /// The account that read; where that is no person's, what acted.
    by: String,
    route: String,
    resource: String,
    purpose: Option<String>,
    /// That it must not be told to the student, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'static str>,
}

impl Subject {
    pub(crate) async fn run(&self, annals: &Annals) -> Result<bool, Failure> {
        let report = self.report(annals).await?;
        let format = if annals.json { Format::Json } else { self.format };
        let text = match format {
            Format::Text => report.to_text(),
            Format::Json => serde_json::to_string_pretty(&report).map_err(std::io::Error::from)?,
            Format::Html => page::page(&report),
        };
        let handed = Handed {
            sha256: hex(&Sha256::new().chain_update(&text).chain_update("\n").finalize()),
            first: report.events.first().map_or(1, |entry| entry.event.position),
            last: report.position,
        };
        self.opening.handed_out(annals, handed).await?;
        annals.print(&text)?;
        Ok(true)
    }

    async fn report(&self, annals: &Annals) -> Result<Report, Failure> {
        let head = annals.store.head().await?;
        let positions = mentions(annals, self.id, head.position).await?;
        let reading = Reading {
            resource: format!("subject {}", self.id),
            from: positions.first().copied().unwrap_or(1),
            to: head.position,
            events: positions.len() as u64,
            subjects: Some(&[self.id]),
        };
        let personal = match self.opening.on_record(annals, &reading).await? {
            Personal::Sealed => Personal::Sealed,
            Personal::Opened | Personal::OpenedFor(_) => Personal::OpenedFor(self.id),
        };
        let purpose = self.opening.purpose.clone().filter(|_| self.opening.decrypt);
        report(annals, self.id, head, &positions, personal, purpose).await
    }
}

async fn report(
    annals: &Annals,
    subject: Uuid,
    head: Head,
    positions: &[Position],
    personal: Personal,
    purpose: Option<String>,
) -> Result<Report, Failure> {
    let store = &annals.store;
    let mut report = Report {
        subject,
        incarnation: head.incarnation,
        position: head.position,
        at: Timestamp::now(),
        purpose,
        warning: None,
        events: Vec::new(),
        seen_by: Vec::new(),
        disclosures: Vec::new(),
    };
    let mut given: Vec<StreamId> = Vec::new();
    let mut purposes = Purposes::new();
    for positions in positions.chunks(CHUNK) {
        for event in event::read(store, store.read_at(positions).await?, personal).await? {
            if event.aggregate_type == "governance.disclosure" {
                let stream = StreamId::new(event.aggregate_type.clone(), event.aggregate_id.clone());
                if !given.contains(&stream) {
                    given.push(stream);
                }
            }
            if names(&event.data, subject) {
                report.seen_by.extend(seen(annals, &event, &mut purposes).await?);
            }
            if event.subjects.contains(&subject) {
                report.events.push(event.into());
            }
        }
    }
    for stream in given {
        // Only the first event of a record need name the person.
        let mut events = store.read_stream(&stream, 0, None).await?;
        events.retain(|event| event.position <= head.position);
        let events = event::read(store, events, personal).await?;
        report.disclosures.extend(events.into_iter().map(Entry::from));
    }
    report.mark_untold();
    Ok(report)
}

/// The positions up to an end where a person may occur.
async fn mentions(annals: &Annals, subject: Uuid, until: Position) -> Result<Vec<Position>, Failure> {
    let progress = Progress::new("looking through the log", until);
    let mut positions = Vec::new();
    let mut after = 0;
    while after < until {
        let end = until.min(after + STRETCH);
        let found: Vec<i64> = sqlx::query_scalar(include_str!("sql/about.sql"))
            .bind(after.cast_signed())
            .bind(end.cast_signed())
            .bind(subject.to_string())
            .fetch_all(annals.store.pool())
            .await?;
        positions.extend(found.into_iter().map(i64::cast_unsigned));
        after = end;
        progress.at(after);
    }
    Ok(positions)
}

/// Whether the list `subjects` of an event's fields names a person.
fn names(data: &Value, subject: Uuid) -> bool {
    let listed = data.get("subjects").and_then(Value::as_array);
    listed.is_some_and(|list| list.iter().any(|id| id.as_str() == Some(&subject.to_string())))
}

/// For what audit replays were opened, and why, by their streams.
type Purposes = HashMap<StreamId, Option<String>>;

/// Who looked, where that is what an event says. Of a look with these tools an entry of the access log tells too, which is
/// the one that counts: it says what was looked at.
async fn seen(annals: &Annals, event: &Event, purposes: &mut Purposes) -> Result<Option<Seen>, Failure> {
    let text = |name: &str| event.data.get(name).and_then(Value::as_str).map(str::to_owned);
    let of = |by, route, resource, purpose| Seen {
        position: event.position,
        at: event.occurred_at,
        by,
        route,
        resource,
        purpose,
        warning: None,
    };
    Ok(match (event.event_type.as_str(), event.on_behalf_of) {
        ("AccessLogged", _) => Some(of(
            text("actor").unwrap_or_else(|| event.actor.clone()),
            text("route").unwrap_or_default(),
            text("resource").unwrap_or_default(),
            text("purpose"),
        )),
        ("AuditReplayRead", Some(officer)) => {
            let stream = StreamId::new(event.aggregate_type.clone(), event.aggregate_id.clone());
            let purpose = match purposes.get(&stream) {
                Some(known) => known.clone(),
                None => opened_for(annals, &stream).await?,
            };
            purposes.insert(stream, purpose.clone());
            Some(of(officer.to_string(), "an audit replay".into(), event.stream(), purpose))
        }
        _ => None,
    })
}

/// For what an audit replay was opened, and why.
async fn opened_for(annals: &Annals, replay: &StreamId) -> Result<Option<String>, Failure> {
    let events = annals.store.read_stream(replay, 0, None).await?;
    let opened = events.into_iter().filter(|event| event.event_type == "AuditReplayOpened").collect();
    let opened = event::read(&annals.store, opened, Personal::Sealed).await?.pop();
    Ok(opened.map(|event| format!("{}: {}", plain(&event.data["purpose"]), plain(&event.data["reason"]))))
}

impl Report {
    /// Marks what must not be told to the student: disclosures on a secret order, and the entries of the access log of those
    /// who read of one.
    fn mark_untold(&mut self) {
        let requested = self.disclosures.iter().filter_map(|entry| {
            let event = &entry.event;
            let basis = (event.event_type == "DisclosureRequested").then(|| event.data["basis"].clone())?;
            let basis: DisclosureBasis = serde_json::from_value(basis).ok()?;
            // The disclosures of others are in here where the person acted on them; they say nothing of lists.
            let counts = event.subjects.contains(&self.subject) || basis.forbids_to_tell();
            counts.then_some((event.position, event.aggregate_id.parse::<Uuid>().ok()?, basis))
        });
        let mut untold = Untold::of(requested);
        if untold.is_empty() {
            return;
        }
        let secret =
            |event: &Event, untold: &Untold| event.aggregate_id.parse().is_ok_and(|id| untold.names(id));
        let own = self.disclosures.iter().filter(|entry| secret(&entry.event, &untold));
        let own: Vec<Uuid> = own.map(|entry| entry.event.event_id).collect();
        untold.add_events(own);
        for entry in self.events.iter_mut().chain(&mut self.disclosures) {
            let event = &entry.event;
            let read = event.event_type == "AccessLogged" && untold.is_told_by(event.position, &event.data);
            entry.warning = (read || secret(event, &untold)).then_some(UNTOLD);
        }
        for seen in &mut self.seen_by {
            let read = json!({ "route": seen.route, "resource": seen.resource });
            seen.warning = untold.is_told_by(seen.position, &read).then_some(UNTOLD);
        }
        let entries = self.events.iter().chain(&self.disclosures);
        let marked = entries.filter(|entry| entry.warning.is_some()).count()
            + self.seen_by.iter().filter(|seen| seen.warning.is_some()).count();
        self.warning = Some(format!(
            "{marked} entries below {UNTOLD}. Take them out before the student is given any of this."
        ));
    }

    fn to_text(&self) -> String {
        let mut lines = vec![format!(
            "{}: {} events, seen {} times, {} entries about disclosures, complete up to position {} of log {}",
            self.subject,
            self.events.len(),
            self.seen_by.len(),
            self.disclosures.len(),
            self.position,
            self.incarnation
        )];
        lines.extend(self.warning.clone());
        lines.extend(self.events.iter().map(line));
        if !self.seen_by.is_empty() {
            lines.push("\nSeen by".into());
        }
        lines.extend(self.seen_by.iter().map(|seen| {
            format!(
                "{} {} {} {} {}{}{}",
                seen.position,
                seen.at,
                seen.by,
                seen.route,
                seen.resource,
                seen.purpose.as_ref().map(|purpose| format!(" for {purpose}")).unwrap_or_default(),
                warned(seen.warning)
            )
        }));
        if !self.disclosures.is_empty() {
            lines.push("\nDisclosed or refused (34 CFR 99.32)".into());
        }
        lines.extend(self.disclosures.iter().map(line));
        lines.join("\n")
    }
}

/// A line of its own for what must not be told.
fn warned(warning: Option<&str>) -> String {
    warning.map(|warning| format!("\n    !! {warning}")).unwrap_or_default()
}

fn line(Entry { event, warning }: &Entry) -> String {
    let fields = event.fields().into_iter().map(|(path, value)| format!("\n    {path}: {}", plain(&value)));
    format!(
        "{} {} {} of {} by {}, purpose {}, basis {}{}{}",
        event.position,
        event.recorded_at,
        event.event_type,
        event.stream(),
        event.actor,
        event.purpose.as_deref().unwrap_or("not stated"),
        event.legal_basis.as_deref().unwrap_or("not stated"),
        warned(*warning),
        fields.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use commands::Request;
    use domain::{
        Actor, Stated,
        governance::{
            AccessLog, AccessLogCommand, AuditReplay, AuditReplayCommand, Disclosure, DisclosureCommand,
            PartyKind,
        },
    };

    use super::*;
    use crate::{
        event::{ERASED, SEALED},
        testing::{World, student},
    };

    async fn of(world: &World, person: Uuid, personal: Personal) -> Report {
        let head = world.annals.store.head().await.unwrap();
        let positions = mentions(&world.annals, person, head.position).await.unwrap();
        report(&world.annals, person, head, &positions, personal, None).await.unwrap()
    }

    async fn counted(world: &World, subject: Uuid) -> usize {
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM annals.events
             WHERE $1 = ANY(string_to_array(metadata ->> 'subjects', ' '))",
        )
        .bind(subject.to_string())
        .fetch_one(world.annals.store.pool())
        .await
        .unwrap();
        usize::try_from(count).unwrap()
    }

    #[tokio::test]
    async fn a_report_has_as_many_events_as_the_envelopes_name_the_person_in() {
        let world = World::campus().await;
        for number in 0..crate::testing::STUDENTS {
            let report = of(&world, student(number), Personal::Sealed).await;
            assert_eq!(report.events.len(), counted(&world, student(number)).await);
            assert!(report.events.len() >= 3, "a profile and a decision");
            assert!(report.events.is_sorted_by_key(|entry| entry.event.position));
        }
    }

    #[tokio::test]
    async fn personal_values_stay_sealed_unless_they_are_to_be_opened() {
        let world = World::campus().await;
        let sealed = of(&world, student(0), Personal::Sealed).await;
        let opened = of(&world, student(0), Personal::OpenedFor(student(0))).await;
        for (text, shown) in [(sealed.to_text(), false), (opened.to_text(), true)] {
            assert_eq!(text.contains("First words"), shown, "{text}");
            assert_eq!(text.contains(SEALED), !shown, "{text}");
        }
        let other = of(&world, student(0), Personal::OpenedFor(student(1))).await;
        assert!(!other.to_text().contains("First words"), "what is said of others stays sealed");
    }

    #[tokio::test]
    async fn what_was_erased_reads_so_and_the_events_are_still_counted() {
        let world = World::campus().await;
        let before = counted(&world, student(0)).await;
        world.erase(student(0)).await;
        let report = of(&world, student(0), Personal::OpenedFor(student(0))).await;
        assert_eq!(report.events.len(), before);
        let text = report.to_text();
        assert!(text.contains(ERASED) && !text.contains("First words"), "{text}");
    }

    #[tokio::test]
    async fn the_page_needs_nothing_else_and_lets_no_value_become_markup() {
        let world = World::campus().await;
        world.describe(1, "<script>alert('&')</script>").await;
        let report = of(&world, student(1), Personal::OpenedFor(student(1))).await;
        let page = page::page(&report);
        assert!(page.starts_with("<!doctype html>") && !page.contains("http") && !page.contains("<script"));
        assert!(page.contains("&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;"), "{page}");
        assert_eq!(page.matches("<article").count(), report.events.len());
    }

    #[tokio::test]
    async fn who_looked_is_told_to_whoever_looks_next() {
        let world = World::campus().await;
        let (purpose, reason) = (Some("ferpa".into()), Some("She asked.".into()));
        let replay = Some(world.approved_replay(Some(student(0)), None).await);
        let opening = Opening { decrypt: true, purpose, reason, replay };
        let ask = Subject { id: student(0), format: Format::Text, opening };
        let first = ask.report(&world.annals).await.unwrap();
        assert!(first.to_text().contains("First words") && first.seen_by.is_empty());
        let before = world.annals.store.head().await.unwrap().position;
        assert!(ask.run(&world.annals).await.unwrap());
        let recorded = world.annals.store.read_all(before, 10).await.unwrap();
        let types: Vec<&str> = recorded.iter().map(|event| &*event.event_type).collect();
        assert_eq!(types, ["AuditReplayRead", "AccessLogged", "AuditPackageExported"]);
        let envelope = projections::Envelope::read(&recorded[2].metadata, recorded[2].recorded_at);
        assert_eq!(envelope.on_behalf_of, Some(Uuid::from_u128(1)), "who opened the replay is the recipient");
        let second = ask.report(&world.annals).await.unwrap();
        let seen: Vec<_> = second.seen_by.iter().map(|seen| seen.purpose.as_deref()).collect();
        assert_eq!(seen, [Some("ferpa: She asked."); 2]);
        assert_eq!(second.events.len(), first.events.len() + 4, "each look is about them as well");
        assert_eq!(
            second.events.len(),
            counted(&world, student(0)).await - 2,
            "the last look is no part of it"
        );
    }

    /// Somebody asks for the records of the first student, and an officer reads that they did.
    async fn disclosed(world: &World, id: Uuid, basis: &str, party_kind: PartyKind) {
        let request = DisclosureCommand::RequestDisclosure {
            subject: student(0),
            party: Stated("Acme".into()),
            party_kind,
            records: vec!["transcript".into()],
            interest: "Theirs".into(),
            basis: basis.into(),
            redisclosure_to: vec![],
            address: None,
        };
        let officer = Uuid::from_u128(1);
        let by = Request::by(Actor::user(officer, &["compliance"]));
        world.commands.execute::<Disclosure>(id, request, &by).await.unwrap();
        let read = AccessLogCommand::LogAccess {
            actor: Some(officer),
            route: "/v1/disclosures/{id}".into(),
            resource: format!("/v1/disclosures/{id}"),
            subjects: vec![student(0)],
            purpose: None,
            ip: Stated("192.0.2.1".into()),
            user_agent: Stated("curl".into()),
        };
        let edge = Request::by(Actor::policy("access_log"));
        world.commands.execute::<AccessLog>(Uuid::now_v7(), read, &edge).await.unwrap();
    }

    #[tokio::test]
    async fn ferpa_99_31_a_9_ii_what_must_not_be_told_to_the_student_is_marked_wherever_it_stands() {
        let world = World::campus().await;
        let (secret, told) = (Uuid::from_u128(0xD1), Uuid::from_u128(0xD2));
        disclosed(&world, secret, "99.31(a)(9)(ii)(A)", PartyKind::Court).await;
        disclosed(&world, told, "99.31(a)(2)", PartyKind::OtherSchool).await;
        let report = of(&world, student(0), Personal::Sealed).await;
        let marked = |entries: &[Entry]| {
            let marked = entries.iter().filter(|entry| entry.warning.is_some());
            marked.map(|entry| entry.event.event_type.clone()).collect::<Vec<_>>()
        };
        assert_eq!(marked(&report.events), ["DisclosureRequested", "AccessLogged"]);
        assert_eq!(marked(&report.disclosures), ["DisclosureRequested"]);
        let seen: Vec<_> = report.seen_by.iter().map(|seen| seen.warning.is_some()).collect();
        assert_eq!(seen, [true, false]);
        let json = serde_json::to_string(&report).unwrap();
        for text in [report.to_text(), page::page(&report), json] {
            assert_eq!(text.matches(UNTOLD).count(), 5, "each of the four, and at the head: {text}");
        }
        let other = of(&world, student(1), Personal::Sealed).await;
        assert!(other.warning.is_none() && !other.to_text().contains(UNTOLD));
    }

    #[tokio::test]
    async fn who_looked_at_a_replay_over_http_is_told_with_its_purpose() {
        let world = World::campus().await;
        let (replay, officer) = (world.approved_replay(Some(student(0)), None).await, Uuid::from_u128(1));
        let read = AuditReplayCommand::RecordReplayRead {
            from_position: 1,
            to_position: 5,
            events: 3,
            subjects: vec![student(0)],
        };
        let edge = Actor { on_behalf_of: Some(officer), ..Actor::policy("api") };
        world.commands.execute::<AuditReplay>(replay, read, &Request::by(edge)).await.unwrap();
        let report = of(&world, student(0), Personal::Sealed).await;
        let [seen] = &report.seen_by[..] else { panic!("{:?}", report.seen_by) };
        assert_eq!(seen.by, officer.to_string());
        assert_eq!(seen.resource, format!("governance.audit_replay/{replay}"));
        assert_eq!(seen.purpose.as_deref(), Some("ferpa: She asked."));
        assert!(of(&world, student(1), Personal::Sealed).await.seen_by.is_empty());
    }
}
