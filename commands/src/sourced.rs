//! The one place where `cqrs-es` enters: every decider is a `cqrs_es::Aggregate`, so that every tool of that ecosystem
//! works on these aggregates and on this log.

use std::fmt::Debug;

use cqrs_es::{Aggregate, DomainEvent, event_sink::EventSink};
use domain::{Context, Decider, Event, Refused, RefusedBy};
use serde::{Deserialize, Serialize};

/// A decider as a `cqrs_es` aggregate.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent, bound = "D: Decider")]
pub struct Sourced<D: Decider>(pub D);

/// An event of a decider as a `cqrs_es` event. It is stored exactly as the log stores it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent, bound = "E: Event")]
pub struct SourcedEvent<E: Event>(pub E);

impl<E: Event> DomainEvent for SourcedEvent<E> {
    fn event_type(&self) -> String {
        self.0.name().to_owned()
    }
    fn event_version(&self) -> String {
        E::version(self.0.name()).to_string()
    }
}

/// A command with everything that its decision needs.
pub struct Decision<D: Decider> {
    /// The command.
    pub command: D::Command,
    /// What other streams tell.
    pub facts: D::Facts,
    /// Time, actor and identifiers.
    pub context: Context,
}

impl<D: Decider> Aggregate for Sourced<D> {
    const TYPE: &'static str = D::TYPE;
    type Command = Decision<D>;
    type Event = SourcedEvent<D::Event>;
    type Error = RefusedBy<D>;
    type Services = ();

    async fn handle(
        &mut self,
        decision: Decision<D>,
        _: &(),
        sink: &EventSink<Self>,
    ) -> Result<(), Self::Error> {
        let decided = self.0.decide(decision.command, &decision.facts, &decision.context);
        let (events, refusal) = match decided {
            Ok(events) => (events, None),
            Err(Refused::OnRecord(reason, events)) => (events, Some(Refused::Because(reason))),
            Err(refused) => return Err(refused),
        };
        // `write` applies each event to the aggregate; applying it here as well would count it twice.
        for event in events {
            sink.write(SourcedEvent(event), self).await;
        }
        refusal.map_or(Ok(()), Err)
    }

    fn apply(&mut self, event: SourcedEvent<D::Event>) {
        self.0.evolve(&event.0);
    }
}
