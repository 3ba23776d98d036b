//! Specs that read as sentences: `given(events).when(command).then(events)`.

use std::{any::Any, collections::BTreeMap, fmt::Debug, sync::Arc};

use jiff::Timestamp;
use uuid::Uuid;

use super::{Actor, Answer, Claim, Context, Decided, Decider, Known, NotYet, Question, Refused, Versioned};

/// A stream with a past, and a world around it.
pub struct Scenario<D: Decider> {
    state: D,
    exists: bool,
    facts: D::Facts,
    context: Context,
}

/// A stream to which these events happened, at noon of 1 January 2026, with an administrator acting.
pub fn given<D: Decider>(events: impl IntoIterator<Item = D::Event>) -> Scenario<D> {
    let mut state = D::default();
    let mut exists = false;
    for event in events {
        state.evolve(&event);
        exists = true;
    }
    let now: Timestamp = "2026-01-01T12:00:00Z".parse().expect("a literal instant");
    let actor = Actor::user(Uuid::from_u128(0xAD), &["admin"]);
    let context = Context {
        id: Uuid::from_u128(0x1D),
        command_id: Uuid::from_u128(0xC0),
        actor,
        now,
        occurred_at: now,
    };
    Scenario { state, exists, facts: D::Facts::default(), context }
}

/// A stream to which nothing happened yet.
pub fn nothing<D: Decider>() -> Scenario<D> {
    given([])
}

impl<D: Decider> Scenario<D> {
    /// The stream's id.
    pub fn with_id(mut self, id: Uuid) -> Self {
        self.context.id = id;
        self
    }

    /// Who acts.
    pub fn by(mut self, actor: Actor) -> Self {
        self.context.actor = actor;
        self
    }

    /// When (RFC 3339).
    pub fn at(mut self, instant: &str) -> Self {
        self.context.now = instant.parse().expect("an RFC 3339 instant");
        self.context.occurred_at = self.context.now;
        self
    }

    /// What other streams tell.
    pub fn knowing(mut self, facts: D::Facts) -> Self {
        self.facts = facts;
        self
    }

    /// What other streams tell, looked up in this world as the command asks for it.
    pub fn looking_up(mut self, command: &D::Command, world: &mut World) -> Self {
        self.facts = self.state.facts(command, &self.context, world).expect("the world knows it all");
        self
    }

    /// The state that the past leads to.
    pub fn state(&self) -> &D {
        &self.state
    }

    /// Whether this actor may issue this command.
    pub fn permits(&self, actor: &Actor, command: &D::Command) -> bool {
        self.state.may(actor, command)
    }

    /// Decides the command. On a stream without events only a creating command is decided.
    pub fn when(mut self, command: D::Command) -> Outcome<D> {
        assert!(
            self.exists || D::creates(&command),
            "a command that does not create the stream is answered NotFound before it is decided"
        );
        let outcome = self.state.decide(command, &self.facts, &self.context);
        if let Ok(events) | Err(Refused::OnRecord(_, events)) = &outcome {
            events.iter().for_each(|event| self.state.evolve(event));
        }
        Outcome { outcome, state: self.state, id: self.context.id }
    }
}

/// What was decided, and the state after it.
pub struct Outcome<D: Decider> {
    outcome: Decided<D>,
    state: D,
    id: Uuid,
}

impl<D: Decider> Outcome<D>
where
    D::Event: Debug,
{
    /// Exactly these events followed.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = D::Event>) -> D {
        assert_eq!(self.outcome, Ok(expected.into_iter().collect()));
        self.state
    }

    /// Exactly these event types followed.
    #[track_caller]
    pub fn then_names<'a>(self, expected: impl IntoIterator<Item = &'a str>) -> D {
        use super::Event;
        let names: Vec<&str> =
            self.outcome.as_ref().expect("the command was accepted").iter().map(D::Event::name).collect();
        assert_eq!(names, expected.into_iter().collect::<Vec<_>>());
        self.state
    }

    /// The events that followed.
    #[track_caller]
    pub fn events(self) -> Vec<D::Event> {
        self.outcome.expect("the command was accepted")
    }

    /// The claims of the events that followed.
    #[track_caller]
    pub fn claims(self) -> Vec<Claim> {
        let id = self.id;
        self.events().iter().flat_map(|event| D::claims(id, event)).collect()
    }

    /// The command was refused for this reason of the aggregate's own.
    #[track_caller]
    pub fn refused(self, reason: D::Refusal) {
        assert_eq!(self.outcome, Err(Refused::Because(reason)));
    }

    /// The command means nothing in this state.
    #[track_caller]
    pub fn invalid_state(self, expected: &str) {
        match self.outcome {
            Err(Refused::InvalidState { state, .. }) => assert_eq!(state, expected),
            other => panic!("expected InvalidState in {expected}, got {other:?}"),
        }
    }

    /// The value of this field breaks a rule.
    #[track_caller]
    pub fn invalid(self, expected: &str) {
        match self.outcome {
            Err(Refused::Invalid { field, .. }) => assert_eq!(field, expected),
            other => panic!("expected {expected} to be invalid, got {other:?}"),
        }
    }

    /// The decision itself found the actor not allowed.
    #[track_caller]
    pub fn forbidden(self) {
        assert_eq!(self.outcome, Err(Refused::Forbidden));
    }
}

/// The rest of the world, as far as a spec says: streams that exist, and answers.
#[derive(Default)]
pub struct World {
    streams: BTreeMap<(&'static str, Uuid), Arc<dyn Any + Send + Sync>>,
    answers: BTreeMap<Question, Answer>,
    /// The streams that were pinned.
    pub pinned: Vec<Uuid>,
}

impl World {
    /// A stream that exists.
    pub fn with<D: Decider>(mut self, id: Uuid, state: D) -> Self {
        self.streams.insert((D::TYPE, id), Arc::new(state));
        self
    }

    /// An answer that is known. Every other question is not answered yet.
    pub fn answering(mut self, question: Question, answer: Answer) -> Self {
        self.answers.insert(question, answer);
        self
    }
}

impl Known for World {
    fn stream<D: Decider>(&mut self, id: Uuid) -> Result<Versioned<D>, NotYet> {
        let found = self.streams.get(&(D::TYPE, id)).cloned();
        let version = found.is_some().into();
        let state = found.and_then(|state| state.downcast::<D>().ok()).unwrap_or_default();
        Ok(Versioned { state, version })
    }

    fn pinned<D: Decider>(&mut self, id: Uuid) -> Result<Versioned<D>, NotYet> {
        self.pinned.push(id);
        self.stream(id)
    }

    fn ask(&mut self, question: Question) -> Result<Answer, NotYet> {
        self.answers.get(&question).cloned().ok_or(NotYet)
    }
}

/// Where the golden files of an aggregate's events lie.
pub fn history_of<D: Decider>() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("history").join(D::TYPE)
}

/// A golden file: one stored event as every later version must still be able to read it.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct Golden {
    /// The stored payload, `{"Name":{…}}`.
    pub payload: serde_json::Value,
    /// The personal values, in the order of the sealed groups.
    pub personal: Vec<GoldenGroup>,
}

/// The personal values of one subject and class.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct GoldenGroup {
    /// The data subject.
    pub subject: Uuid,
    /// The record class.
    pub class: super::RecordClass,
    /// The values, in slot order.
    pub values: serde_json::Value,
}

impl Golden {
    /// Reads the event as the log would give it back, with every key or with none.
    pub fn read<D: Decider>(&self, event_type: &str, version: u16, with_keys: bool) -> D::Event {
        let opened = self
            .personal
            .iter()
            .map(|group| with_keys.then(|| (group.subject, group.values.to_string().into_bytes())));
        super::OpeningScope::with(opened.collect(), || {
            crate::registry::decode::<D>(event_type, &version.to_string(), &self.payload.to_string())
        })
        .expect("a golden file decodes for ever")
    }
}

/// Holds one sample of every event type against its golden file `history/<aggregate>/<Event>.v<n>.json`. A missing file
/// fails the test; with `ANNALS_RECORD_HISTORY=1` it is written once, and from then on it is never changed.
#[track_caller]
pub fn keeps_history<D: Decider>(samples: impl IntoIterator<Item = D::Event>) {
    use super::{Event, SealingScope};
    for sample in samples {
        let version = D::Event::version(sample.name());
        let file = history_of::<D>().join(format!("{}.v{version}.json", sample.name()));
        if !file.exists() {
            assert!(
                std::env::var_os("ANNALS_RECORD_HISTORY").is_some(),
                "{} has no golden file",
                sample.name()
            );
            let (text, groups) = SealingScope::to_json(&sample).expect("an event serialises");
            let personal = groups.into_iter().map(|group| GoldenGroup {
                subject: group.subject,
                class: group.class,
                values: serde_json::from_slice(&group.values).expect("values are JSON"),
            });
            let golden = Golden {
                payload: serde_json::from_str(&text).expect("an event is JSON"),
                personal: personal.collect(),
            };
            let text = serde_json::to_string_pretty(&golden).expect("a golden file is JSON");
            std::fs::create_dir_all(history_of::<D>())
                .and_then(|()| std::fs::write(&file, text + "\n"))
                .expect("the file is written");
        }
        let golden: Golden =
            serde_json::from_slice(&std::fs::read(&file).expect("the file is there")).expect("it is JSON");
        assert_eq!(golden.read::<D>(sample.name(), version, true), sample, "{}", sample.name());
    }
}
