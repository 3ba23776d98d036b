//! Specs that read as sentences: `given(events).when(command).then(events)`.

use std::fmt::Debug;

use jiff::Timestamp;
use uuid::Uuid;

use super::{Actor, Claim, Context, Decided, Decider, Refused};

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
