//! `subject`: everything that the log holds about a person, who saw it and to whom it was given. It is for officers: what the
//! law forbids to tell the student is in it, and marked.
//!
//! It reads the log from end to end and no read model: what it shows does not depend on anything that could be wrong with
//! one. What an event says of other people stays sealed.

mod page;

use std::collections::HashMap;

use domain::{
    Decider,
    governance::{AuditReplay, DisclosureBasis, LegalHold, SubjectKey},
};
use event_store::{Head, Position, StreamId};
use jiff::Timestamp;
use projections::governance::{Purposes, SaidBy, Untold};
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
    /// Legal holds on the person, and audit replays that were opened about them. They hold none of their data.
    holds_and_replays: Vec<Entry>,
    /// To whom it was given or refused (34 CFR 99.32): all events of those records.
    disclosures: Vec<Entry>,
}

/// An event of the report.
#[derive(Debug, Serialize)]
struct Entry {
    /// Where the event states no purpose or no legal basis, it has here those of the activities that process its data.
    #[serde(flatten)]
    event: Event,
    /// Who says for what purpose.
    purpose_from: Option<SaidBy>,
    /// Who says on what legal basis.
    legal_basis_from: Option<SaidBy>,
    /// That it must not be told to the student, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'static str>,
}

impl Entry {
    fn of(mut event: Event, purposes: &Purposes) -> Self {
        let told = purposes.processed_for(&event);
        let (purpose, purpose_from) = told.purpose.unzip();
        let (legal_basis, legal_basis_from) = told.legal_basis.unzip();
        (event.purpose, event.legal_basis) = (purpose, legal_basis);
        Entry { event, purpose_from, legal_basis_from, warning: None }
    }

    /// For what purpose and on what legal basis, each with who says so.
    fn why(&self) -> [String; 2] {
        let told = |text: &Option<String>, by: Option<SaidBy>| match (text, by) {
            (Some(text), Some(by)) => format!("{text} ({})", said(by)),
            _ => "not stated".to_owned(),
        };
        [told(&self.event.purpose, self.purpose_from), told(&self.event.legal_basis, self.legal_basis_from)]
    }
}

/// In words, who says for what data was processed.
fn said(by: SaidBy) -> &'static str {
    match by {
        SaidBy::Event => "stated in the event",
        SaidBy::Register => "by the register of processing",
        SaidBy::Default => "by default, which nobody has confirmed",
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
        holds_and_replays: Vec::new(),
        disclosures: Vec::new(),
    };
    let mut given: Vec<StreamId> = Vec::new();
    let processing = annals.projections.purposes(head.position).await?;
    let mut purposes = ReplayPurposes::new();
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
            if event.subjects.contains(&subject) || is_of_their_keys(&event, subject) {
                report.events.push(Entry::of(event, &processing));
            } else if is_on(&event, subject) {
                report.holds_and_replays.push(Entry::of(event, &processing));
            }
        }
    }
    for stream in given {
        // Only the first event of a record need name the person.
        let mut events = store.read_stream(&stream, 0, None).await?;
        events.retain(|event| event.position <= head.position);
        let events = event::read(store, events, personal).await?;
        report.disclosures.extend(events.into_iter().map(|event| Entry::of(event, &processing)));
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
    lists(data, "subjects", subject)
}

/// Whether a list of an event's fields names a person.
fn lists(data: &Value, list: &str, subject: Uuid) -> bool {
    let listed = data.get(list).and_then(Value::as_array);
    listed.is_some_and(|list| list.iter().any(|id| id.as_str() == Some(&subject.to_string())))
}

/// Whether an event says what became of a person's keys: its stream is theirs.
fn is_of_their_keys(event: &Event, subject: Uuid) -> bool {
    event.aggregate_type == SubjectKey::TYPE && event.aggregate_id == subject.to_string()
}

/// Whether an event is a legal hold on a person, or an audit replay that was opened about them.
fn is_on(event: &Event, subject: Uuid) -> bool {
    let (data, about) = (&event.data, subject.to_string());
    match event.aggregate_type.as_str() {
        LegalHold::TYPE => names(data, subject) || lists(data, "held_subjects", subject),
        AuditReplay::TYPE => data["scope"]["subject"].as_str() == Some(&about),
        _ => false,
    }
}

/// For what audit replays were opened, and why, by their streams.
type ReplayPurposes = HashMap<StreamId, Option<String>>;

/// Who looked, where that is what an event says. Of a look with these tools an entry of the access log tells too, which is
/// the one that counts: it says what was looked at.
async fn seen(
    annals: &Annals,
    event: &Event,
    purposes: &mut ReplayPurposes,
) -> Result<Option<Seen>, Failure> {
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
        if !self.holds_and_replays.is_empty() {
            lines.push("\nHolds on them, and replays about them".into());
        }
        lines.extend(self.holds_and_replays.iter().map(line));
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

fn line(entry: &Entry) -> String {
    let (Entry { event, warning, .. }, [purpose, basis]) = (entry, entry.why());
    let fields = event.fields().into_iter().map(|(path, value)| format!("\n    {path}: {}", plain(&value)));
    format!(
        "{} {} {} of {} by {}, purpose {purpose}, basis {basis}{}{}",
        event.position,
        event.recorded_at,
        event.event_type,
        event.stream(),
        event.actor,
        warned(*warning),
        fields.collect::<String>()
    )
}

#[cfg(test)]
mod tests;
