//! Policies: when this event, then that command (catalogue 3).
//!
//! A policy is a pure reaction, except for what it looks up: it never writes, it names the commands to be issued and the
//! timers to be armed. It has its own durable position; its commands carry ids derived from the causing event, so that
//! a redelivery is answered with the first result. Policies never run in a rebuild or a replay.

mod anomalies;
mod budgeting;
mod clients;
mod credentials;
mod erasure;
mod fulfilment;
mod governance;
mod habits;
mod identity;
mod lanes;
mod mail;
mod notices;
mod notifications;
mod opportunities;
mod package;
mod privacy;
mod recipients;
mod residue;
mod restriction;
mod retention;
mod runner;
mod timers;

use std::{borrow::Cow, sync::Arc};

use domain::{
    Answer, Decider, Envelope, Question, RecordClass, Versioned,
    governance::ConsentPurpose,
    registry::{AnyCommand, AnyEvent},
};
use event_store::{AsOf, Position};
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

pub use runner::{PolicyStatus, run};

use crate::{CommandError, Commands, state};

/// An event as a policy sees it.
#[derive(Clone, Debug)]
pub struct Fact {
    /// Its position in the log.
    pub position: Position,
    /// Its id.
    pub event_id: Uuid,
    /// The id of its stream.
    pub id: Uuid,
    /// Its sequence in its stream.
    pub sequence: u64,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Its envelope.
    pub envelope: Envelope,
    /// The event.
    pub event: AnyEvent,
}

/// What a policy comes to, in its own time: reactions in order, or why it cannot say yet.
pub type Reactions<'a> = BoxFuture<'a, Result<Vec<Reaction>, CommandError>>;

/// When an event, then commands.
pub trait Policy: Send + Sync + 'static {
    /// The stable name: it is part of the ids of the commands.
    fn name(&self) -> &'static str;

    /// The event types that it reacts to.
    fn interests(&self) -> &'static [&'static str];

    /// The timers that always stand, whatever has happened: each is armed where it does not stand yet.
    fn stands(&self, _now: Timestamp) -> Vec<Timer> {
        Vec::new()
    }

    /// The type of aggregate all of whose history its timers follow from: whenever policies start, those that do not stand are
    /// armed, so that what was recorded before there was this policy counts as well, and no clock stops because somebody took
    /// its timer away. Of such there are few; to react to them does nothing by itself, and the command of a timer comes to
    /// nothing where it was issued before.
    fn times(&self) -> Option<&'static str> {
        None
    }

    /// How far back that history is looked through, where what is older has come to its end. None: to its beginning.
    fn looks_back(&self) -> Option<SignedDuration> {
        None
    }

    /// What must be done one after the other: facts of one lane are reacted to in log order, one at a time.
    fn lane(&self, fact: &Fact) -> Uuid {
        fact.id
    }

    /// Whose data it uses to compute something about them. Where the person has that restricted, or objected to it, nothing
    /// follows (GOV-P5).
    fn computes(&self, _fact: &Fact) -> Option<Computes> {
        None
    }

    /// Whether it never gives up on what fails for now, because there is no way back (P-53): it is tried again for as long as
    /// it takes.
    fn tireless(&self) -> bool {
        false
    }

    /// What follows from the event, in order.
    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a>;
}

/// What a policy computes about somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Computes {
    /// The person.
    pub about: Uuid,
    /// The class of the data that it uses.
    pub class: RecordClass,
    /// The purpose to which the person can object, where it is one of those.
    pub purpose: Option<ConsentPurpose>,
}

/// What a policy wants done.
pub enum Reaction {
    /// Issue a command.
    Issue(Issue),
    /// Issue a command when its time comes. Arming a timer again moves it.
    Arm(Timer),
    /// Take a timer back. A timer that is gone or never was is no error.
    Disarm(Uuid),
}

/// What to do when a command is refused.
type OnRefusal = Box<dyn Fn(&CommandError) -> Vec<Reaction> + Send + Sync>;

/// A command to be issued.
pub struct Issue {
    /// The aggregate.
    pub id: Uuid,
    /// The command.
    pub command: AnyCommand,
    /// Tells this command apart from others to the same aggregate that follow from the same event.
    pub label: Cow<'static, str>,
    /// What its result was computed from, as `type:id@version`.
    pub derived_from: Vec<String>,
    /// How it was computed, as `engine@version`.
    pub transformation: Option<String>,
    on_refusal: Option<OnRefusal>,
}

impl Issue {
    /// A command to an aggregate.
    pub fn new(id: Uuid, command: AnyCommand, label: impl Into<Cow<'static, str>>) -> Self {
        Issue {
            id,
            command,
            label: label.into(),
            derived_from: Vec::new(),
            transformation: None,
            on_refusal: None,
        }
    }

    /// Records where the result comes from: the lineage of the events that follow.
    pub fn derived(mut self, from: Vec<String>, by: impl Into<String>) -> Self {
        self.derived_from = from;
        self.transformation = Some(by.into());
        self
    }

    /// What to do when the command is refused. Without it, a refusal is an answer, and that is that.
    pub fn otherwise(
        mut self,
        then: impl Fn(&CommandError) -> Vec<Reaction> + Send + Sync + 'static,
    ) -> Self {
        self.on_refusal = Some(Box::new(then));
        self
    }
}

impl From<Issue> for Reaction {
    fn from(issue: Issue) -> Self {
        Reaction::Issue(issue)
    }
}

/// A command that waits for its time.
pub struct Timer {
    /// Its id, derived so that it can be named again to be moved or taken back.
    pub id: Uuid,
    /// When it is due.
    pub due_at: Timestamp,
    /// The aggregate.
    pub aggregate: Uuid,
    /// The command. It holds nothing personal: timers are stored in the clear.
    pub command: AnyCommand,
}

/// What policies may look up.
pub struct World {
    commands: Commands,
    ports: Arc<crate::ports::Ports>,
}

impl World {
    /// A world of these commands and ports.
    pub fn new(commands: Commands, ports: Arc<crate::ports::Ports>) -> Self {
        World { commands, ports }
    }

    /// An aggregate's state as of now.
    pub async fn state<D: Decider>(&self, id: Uuid) -> Result<Versioned<D>, CommandError> {
        self.commands.state::<D>(id).await
    }

    /// An aggregate's state just before a fact of its own.
    pub async fn before<D: Decider>(&self, fact: &Fact) -> Result<D, CommandError> {
        let (store, until) = (self.commands.store(), AsOf::Position(fact.position.saturating_sub(1)));
        let events = store.read_stream(&state::stream::<D>(fact.id), 0, Some(until)).await?;
        let mut before = D::default();
        state::open_events::<D>(store.keyring(), &events)
            .await?
            .iter()
            .for_each(|event| before.evolve(event));
        Ok(before)
    }

    /// The answer of a read model that has seen the fact.
    pub async fn ask(&self, question: Question, since: &Fact) -> Result<Answer, CommandError> {
        self.commands.answers().answer(question, Some(since.position)).await
    }

    /// The ports to the outside.
    pub fn ports(&self) -> &crate::ports::Ports {
        &self.ports
    }

    pub(crate) fn commands(&self) -> &Commands {
        &self.commands
    }
}

/// Every policy. Adding one is adding a line.
pub fn every_policy() -> Vec<Box<dyn Policy>> {
    vec![
        Box::new(identity::WelcomeAccounts),
        Box::new(identity::EndSessions),
        Box::new(identity::MailTokens),
        Box::new(identity::WarnHolders),
        Box::new(identity::TellFormerAddresses),
        Box::new(clients::ReviewKeys),
        Box::new(clients::TellOfUnusedKeys),
        Box::new(clients::RevokeOrphans),
        Box::new(budgeting::KeepMonths),
        Box::new(budgeting::BookSpending),
        Box::new(budgeting::ProposeRedistributions),
        Box::<habits::FindHabits>::default(),
        Box::new(opportunities::ScoreApplication),
        Box::new(opportunities::CarrySelection),
        Box::new(opportunities::CloseAtDeadline),
        Box::new(credentials::AssessRecognition),
        Box::new(credentials::SuspendRecognitions),
        Box::new(credentials::ExpireRecognitions),
        Box::new(privacy::ExpireConsents),
        Box::new(privacy::EndWithConsent),
        Box::new(privacy::EscalateRequests),
        Box::new(privacy::CompleteCorrections),
        Box::new(privacy::WatchIncidents),
        Box::new(restriction::StopMarketing),
        Box::new(restriction::StopProcessing),
        Box::new(restriction::ReleaseProcessing),
        Box::new(anomalies::OpenIncidents),
        Box::new(anomalies::WatchDenials),
        Box::new(anomalies::WatchLogins),
        Box::new(mail::MailCodes),
        // Before anything is erased: an address may go with it.
        Box::new(notices::TellRequesters),
        Box::new(notices::TellStudents),
        Box::new(notices::TellAffected),
        Box::new(notices::TellCompliance),
        Box::new(notifications::RequestNotifications),
        Box::new(notifications::DeliverNotifications),
        Box::new(fulfilment::WatchFulfilment),
        Box::new(fulfilment::RefuseDisclosures),
        Box::new(recipients::OweNotices),
        Box::new(recipients::WatchNotices),
        Box::new(recipients::TellRecipients),
        Box::new(erasure::EraseOnRequest),
        Box::new(package::HandOutPackages),
        Box::new(governance::DestroyKeys),
        Box::new(erasure::CompleteErasures),
        Box::new(residue::CheckResidue),
        Box::new(retention::ScheduleRetention),
        Box::new(retention::RunRetention),
        Box::new(retention::ArchiveKeys),
        Box::new(governance::CloseReplays),
    ]
}

/// A reference for `derived_from`: `type:id@version`.
pub fn reference<D: Decider>(id: Uuid, version: u64) -> String {
    format!("{}:{id}@{version}", D::TYPE)
}

/// The id of a timer of a policy.
pub fn timer_id(policy: &str, parts: &[&str]) -> Uuid {
    domain::derived_id(&[&["timer", policy], parts].concat())
}
