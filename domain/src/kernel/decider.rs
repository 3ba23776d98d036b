//! What an aggregate is: a pure decision and a pure fold.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use strum::VariantNames;
use uuid::Uuid;

use super::{Actor, Claim, Known, NotYet, RecordClass, Refusal, Refused, Upcaster};

/// An aggregate: the consistency boundary of one stream.
///
/// `decide` and `evolve` are pure: the same state, command, facts and context give the same events, for ever.
pub trait Decider: Default + Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// `context.aggregate` in snake case. A storage name: it is never renamed.
    const TYPE: &'static str;
    /// The record class of the aggregate's personal data (catalogue 0.5), where it has any.
    const CLASS: Option<RecordClass> = None;
    /// Which of its commands, by their names, can be granted to somebody on one resource (`GrantPermission`), and
    /// [`super::READ`] where its rows can. Only what concerns no other resource; nothing unless it is said.
    const GRANTABLE: &'static [&'static str] = &[];
    /// Whether nobody but the person, and what the system does by itself, acts on it while the person has the data of its
    /// class restricted (Art. 18 GDPR). What protects the person or keeps records of the house goes on.
    const RESTRICTABLE: bool = true;
    /// Whether it goes on, for people too, when the person's data of its class was erased. What seals something of theirs is
    /// refused even so: there is no key for it.
    const OUTLIVES_ERASURE: bool = false;

    /// What can be asked of it. Variants marked `#[schemars(extend("x-system" = true))]` have no route.
    type Command: Serialize + DeserializeOwned + JsonSchema + VariantNames + Clone + Send + Sync + 'static;
    /// What can have happened to it.
    type Event: Event;
    /// Why a command was refused.
    type Refusal: Refusal;
    /// What other streams and queries must tell before a command can be decided; never sent by a client.
    type Facts: Default + Send;

    /// Whether the command starts a stream. Every other command on a stream without events is `NotFound`.
    fn creates(command: &Self::Command) -> bool;

    /// What a stream without events is asked as by the person whose it is by its id, such as one that is derived from their
    /// account: [`Decider::may`] tells whether to say that there is none. Only needed where ownership matters.
    fn unborn(_owner: Uuid) -> Self {
        Self::default()
    }

    /// Looks up what the decision needs. It is called again, from the start, after each look-up that answered
    /// [`NotYet`]; look-ups that are already known answer at once.
    fn facts(
        &self,
        command: &Self::Command,
        context: &Context,
        known: &mut impl Known,
    ) -> Result<Self::Facts, NotYet>;

    /// Whether this actor may issue this command at all. Deny by default; system commands belong to system actors.
    fn may(&self, actor: &Actor, command: &Self::Command) -> bool;

    /// The decision: the events that follow, or the reason why none do. A refusal may still put events on record.
    fn decide(&self, command: Self::Command, facts: &Self::Facts, context: &Context) -> Decided<Self>;

    /// The fold: total and infallible, whatever was erased.
    fn evolve(&mut self, event: &Self::Event);

    /// What an event takes and frees across streams (catalogue 0.6). Pure, so that claims can be rebuilt from the log.
    fn claims(_id: Uuid, _event: &Self::Event) -> Vec<Claim> {
        Vec::new()
    }

    /// The aggregate's own name for a claim that could not be had, such as `CodeTaken` for `orgcode:…`.
    fn taken(_key: &str) -> Option<Self::Refusal> {
        None
    }

    /// People whom an event concerns though it holds no personal value of theirs, such as those whose data was read: they
    /// are named in its envelope beside the others.
    fn concerns(_event: &Self::Event) -> &[Uuid] {
        &[]
    }

    /// The person that the stream is about, once it is known.
    fn subject(&self) -> Option<Uuid> {
        None
    }
}

/// An aggregate whose decisions look at no state and no facts: what is decided is appended wherever the stream stands.
pub trait Noted: Decider<Facts = ()> {}

/// What a decision came to: the events that follow, or why none do.
pub type Decided<D> = Result<Vec<<D as Decider>::Event>, RefusedBy<D>>;

/// A refusal of an aggregate.
pub type RefusedBy<D> = Refused<<D as Decider>::Refusal, <D as Decider>::Event>;

/// An enum of facts in the past tense; each variant is one event type.
pub trait Event:
    Serialize
    + DeserializeOwned
    + JsonSchema
    + VariantNames
    + Clone
    + PartialEq
    + std::fmt::Debug
    + Send
    + Sync
    + 'static
{
    /// Steps that lift stored payloads of older schema versions to the newest one.
    const UPCASTERS: &'static [Upcaster] = &[];

    /// The event type: the variant's name, unique in the whole system.
    fn name(&self) -> &'static str;

    /// The newest schema version of an event type: one more than its last upcaster.
    fn version(event_type: &str) -> u16 {
        Self::UPCASTERS
            .iter()
            .filter(|step| step.event_type == event_type)
            .map(|step| step.from + 1)
            .max()
            .unwrap_or(1)
    }
}

/// What a decision may know of the world besides its facts.
#[derive(Clone, Debug)]
pub struct Context {
    /// The stream's id.
    pub id: Uuid,
    /// The command's id: the root of every identifier that the decision makes.
    pub command_id: Uuid,
    /// Who acts.
    pub actor: Actor,
    /// When the command is decided (UTC, microseconds).
    pub now: Timestamp,
    /// When the thing happened: `now` for a person's command, the time of the causing event for a policy's.
    pub occurred_at: Timestamp,
}

impl Context {
    /// An identifier for something that this decision creates: UUIDv5 of the command's id and a label, so that a
    /// repeated decision makes the same one.
    pub fn derive(&self, label: &str) -> Uuid {
        Uuid::new_v5(&self.command_id, label.as_bytes())
    }
}
