//! What is measured: an aggregate whose one event has a payload of 344 bytes and an envelope of about 300.

use domain::{
    Actor, Claim, Context, Decided, Decider, Event, Known, NoRefusal, NotYet, Personal, RecordClass, Stated,
    class::Education,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

pub(crate) const PERSONAL: &str = "Ada Lovelace, Countess, of the Analytical Engine, 12 St James's Square";
pub(crate) const BODY: &str = "The Analytical Engine weaves algebraical patterns just as the Jacquard loom weaves flowers and leaves. \
Here, it seems to us, resides much more of originality than the Difference Engine can be fairly entitled to claim, and more.";

pub(crate) fn writer() -> Actor {
    Actor::user(Uuid::from_u128(0xADA), &["student"])
}

/// The payload as it is stored without sealing.
pub(crate) fn payload() -> String {
    serde_json::json!({"Written": {"owner": Uuid::from_u128(7), "text": PERSONAL, "body": BODY}}).to_string()
}

/// An envelope of the usual size.
pub(crate) fn metadata() -> String {
    serde_json::json!({
        "actor": writer().to_string(),
        "occurred_at": "2026-01-01T12:00:00.000000Z",
        "correlation_id": Uuid::from_u128(9),
    })
    .to_string()
}

#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Note {
    owner: Option<Uuid>,
    written: u64,
}

#[derive(Clone, Serialize, Deserialize, JsonSchema, VariantNames)]
pub(crate) enum NoteCommand {
    Begin { owner: Uuid, text: Stated<String>, body: String },
    Write { text: Stated<String>, body: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
pub(crate) enum NoteEvent {
    Written { owner: Uuid, first: bool, text: Personal<String, Education>, body: String },
}

impl Event for NoteEvent {
    fn name(&self) -> &'static str {
        self.into()
    }
}

impl Decider for Note {
    const TYPE: &'static str = "bench.note";
    const CLASS: Option<RecordClass> = Some(RecordClass::Education);
    type Command = NoteCommand;
    type Event = NoteEvent;
    type Refusal = NoRefusal;
    type Facts = ();

    fn creates(command: &NoteCommand) -> bool {
        matches!(command, NoteCommand::Begin { .. })
    }

    fn facts(&self, _: &NoteCommand, _: &Context, _: &mut impl Known) -> Result<(), NotYet> {
        Ok(())
    }

    fn may(&self, actor: &Actor, _: &NoteCommand) -> bool {
        actor.has("apply:opportunities")
    }

    fn decide(&self, command: NoteCommand, (): &(), _: &Context) -> Decided<Self> {
        let (owner, text, body) = match command {
            NoteCommand::Begin { owner, text, body } => (owner, text, body),
            NoteCommand::Write { text, body } => (self.owner.unwrap_or_default(), text, body),
        };
        Ok(vec![NoteEvent::Written { owner, first: self.written == 0, text: text.about(owner), body }])
    }

    fn evolve(&mut self, event: &NoteEvent) {
        let NoteEvent::Written { owner, .. } = event;
        self.owner = Some(*owner);
        self.written += 1;
    }

    fn claims(id: Uuid, event: &NoteEvent) -> Vec<Claim> {
        let NoteEvent::Written { first, .. } = event;
        first.then(|| Claim::Take(format!("note:{id}"))).into_iter().collect()
    }

    fn subject(&self) -> Option<Uuid> {
        self.owner
    }
}
