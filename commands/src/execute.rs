//! The way of every command: load, decide, append; again when others wrote meanwhile; once when it is repeated.

use std::sync::Arc;

use domain::{
    Actor, Claim, Context, Decider, Envelope, Event, Refused, SealingScope, Versioned,
    governance::ConsentLedger,
};
use event_store::{
    Append, AppendError, Appended, Claim as StoredClaim, Condition, EventStore, NewEvent, Outcome,
    PersonalGroup, Position,
};
use jiff::Timestamp;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{
    CommandError, Request,
    facts::{Answers, Gathering},
    state::{States, stream},
};

/// How often a decision is made again when others write to the same streams, before the client is told.
const ATTEMPTS: u32 = 32;

/// Streams that share a queue do each other no harm but a wait; with so many queues they rarely do.
const TURNS: usize = 1 << 14;

/// An accepted command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The stream's id.
    pub id: Uuid,
    /// The stream's version after the command.
    pub version: u64,
    /// The position of the command's last event; a query that carries it reads this write.
    pub position: Position,
    /// Whether this is the outcome of an earlier command with the same id.
    pub repeated: bool,
    /// Whether the command began the stream.
    pub created: bool,
    /// Whether this very request recorded it; else it was an earlier one with the same id, or there was nothing to record.
    pub recorded: bool,
}

/// Issues commands. Cheap to clone.
#[derive(Clone)]
pub struct Commands(Arc<Inner>);

struct Inner {
    store: EventStore,
    states: States,
    answers: Arc<dyn Answers>,
    /// Where commands to the same stream wait for each other: who runs beside another decides in vain, since the first
    /// append makes the others' versions wrong, and each has to look at the log again.
    turns: Vec<Mutex<()>>,
}

/// How one attempt to decide ended.
enum Attempt {
    Done(Accepted),
    /// Somebody else wrote; it is now at this version.
    Moved(u64),
    /// The decision was refused on a state from memory that may be behind the log.
    Doubtful(CommandError),
    /// Nothing was to be done by such a state, and no append would have found out whether that is so.
    Idle,
}

impl Commands {
    /// Commands on this log. `cache` is how many aggregates are kept in memory.
    pub fn new(store: EventStore, answers: Arc<dyn Answers>, cache: usize) -> Self {
        let turns = (0..TURNS).map(|_| Mutex::default()).collect();
        Commands(Arc::new(Inner { store, states: States::new(cache), answers, turns }))
    }

    /// The log.
    pub fn store(&self) -> &EventStore {
        &self.0.store
    }

    pub(crate) fn answers(&self) -> &dyn Answers {
        &*self.0.answers
    }

    /// An aggregate's state as the log has it now.
    pub async fn state<D: Decider>(&self, id: Uuid) -> Result<Versioned<D>, CommandError> {
        self.0.states.read(&self.0.store, id).await
    }

    /// Decides a command and appends what follows. When this returns `Ok`, the events are on disk.
    pub async fn execute<D: Decider>(
        &self,
        id: Uuid,
        command: D::Command,
        request: &Request,
    ) -> Result<Accepted, CommandError> {
        let mut current = 0;
        let queue = &self.0.turns[id.as_u128() as usize % TURNS];
        // Whoever begins a stream is alone with it, as a rule; where somebody waits already, newcomers queue behind.
        let alone = D::creates(&command) && queue.try_lock().is_ok();
        let mut turn = if alone { None } else { Some(queue.lock().await) };
        for attempt in 0..ATTEMPTS {
            let fresh = attempt > 0;
            if fresh && turn.is_none() {
                turn = Some(queue.lock().await);
            }
            match self.attempt::<D>(id, command.clone(), request, fresh).await {
                Ok(Attempt::Done(accepted)) => return Ok(accepted),
                Ok(Attempt::Moved(version)) => current = version,
                Ok(Attempt::Idle) => {}
                Ok(Attempt::Doubtful(_)) if !fresh => {}
                Ok(Attempt::Doubtful(error)) | Err(error) => {
                    return self.unless_repeated::<D>(id, request, error).await;
                }
            }
        }
        Err(CommandError::VersionConflict { current })
    }

    async fn attempt<D: Decider>(
        &self,
        id: Uuid,
        command: D::Command,
        request: &Request,
        fresh: bool,
    ) -> Result<Attempt, CommandError> {
        let Inner { store, states, .. } = &*self.0;
        let since = states.since(store.keyring());
        let kept = if fresh { None } else { states.recall::<D>(id) };
        // A creating command on a stream that nobody has seen needs no look: its append says whether the id is new.
        let unseen = !fresh && kept.is_none() && D::creates(&command);
        let certain = fresh || (kept.is_none() && !unseen);
        let found = match kept {
            Some(kept) => kept,
            None if unseen => Versioned { state: Arc::default(), version: 0 },
            None => states.read(store, id).await?,
        };
        // A refusal on what may be behind the log is looked into again, on what the log says.
        let refuse = |error| if certain { Err(error) } else { Ok(Attempt::Doubtful(error)) };

        let actor = with_permission::<D>(&request.actor, id, &command);
        let missing = found.version == 0 && !D::creates(&command);
        // Nobody owns what has not begun. Whoever would is answered as if they did, and learns of nothing but their own;
        // all others are answered as they are where it has begun.
        let may = match request.owner.filter(|_| missing) {
            Some(owner) => D::unborn(owner).may(&actor, &command),
            None => found.state.may(&actor, &command),
        };
        if !may {
            return refuse(CommandError::Forbidden);
        }
        if missing {
            return refuse(CommandError::NotFound(D::TYPE));
        }
        let now = now();
        let context = Context {
            id,
            command_id: request.command_id,
            actor,
            now,
            occurred_at: request.occurred_at.unwrap_or(now),
        };
        let mut gathering = Gathering::default();
        let facts = loop {
            match found.state.facts(&command, &context, &mut gathering) {
                Ok(facts) => break facts,
                Err(domain::NotYet) => gathering.fetch(self).await?,
            }
        };
        let (events, refusal) = match found.state.decide(command, &facts, &context) {
            Ok(events) => (events, None),
            Err(Refused::OnRecord(reason, events)) => (events, Some(CommandError::because(&reason))),
            Err(refused) => return refuse(CommandError::refused::<D>(refused)),
        };
        // After the others: RFC 9110 ignores preconditions of what would fail without them, and whoever may not do it learns
        // no version.
        let expected = request.expected_version.as_ref();
        if refusal.is_none() && expected.is_some_and(|expected| !expected.admits(found.version)) {
            return refuse(CommandError::PreconditionFailed { current: found.version });
        }
        if events.is_empty() {
            if !certain {
                return Ok(Attempt::Idle);
            }
            let position = store.head().await?.position;
            return Ok(Attempt::Done(Accepted {
                id,
                version: found.version,
                position,
                repeated: false,
                created: false,
                recorded: false,
            }));
        }
        let mut state = found.state;
        let folded = Arc::make_mut(&mut state);
        events.iter().for_each(|event| folded.evolve(event));
        let own = stream::<D>(id);
        let mut conditions = gathering.into_conditions();
        conditions.retain(|condition| condition.stream != own);
        conditions.push(Condition { stream: own.clone(), version: found.version });
        if let Err(error) = rest_on(&mut conditions, &request.rests_on) {
            return refuse(error);
        }
        if let Err(error) = self.refuse_if_restricted::<D>(folded, request, &mut conditions, fresh).await {
            return refuse(error);
        }
        let append = to_append::<D>(&events, folded, conditions, request, &context)?;
        self.refuse_if_erased::<D>(folded, &append, request).await?;
        match store.append(append).await {
            Ok(Appended { position, repeated, .. }) => {
                let version = found.version + events.len() as u64;
                states.keep(id, &Versioned { state, version }, since, store.keyring());
                match refusal {
                    Some(error) => Err(error),
                    None => Ok(Attempt::Done(Accepted {
                        id,
                        version,
                        position,
                        repeated,
                        created: found.version == 0,
                        // Where it is repeated these very events were found, so they are of this request.
                        recorded: true,
                    })),
                }
            }
            Err(AppendError::Conflict { stream: moved, current }) => {
                let own = moved == own || !request.rests_on.iter().any(|condition| condition.stream == moved);
                if own { Ok(Attempt::Moved(current)) } else { Err(CommandError::Outdated) }
            }
            Err(AppendError::Repeated(outcome)) => {
                first_outcome::<D>(id, request, &outcome).map(Attempt::Done)
            }
            Err(AppendError::ClaimTaken { key }) => Err(match D::taken(&key) {
                Some(reason) => CommandError::because(&reason),
                None => AppendError::ClaimTaken { key }.into(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// An aggregate whose owner had its class restricted takes no command from others (GOV-P5).
    async fn refuse_if_restricted<D: Decider>(
        &self,
        state: &D,
        request: &Request,
        conditions: &mut Vec<Condition>,
        fresh: bool,
    ) -> Result<(), CommandError> {
        let (Some(owner), Some(class), true) = (state.subject(), D::CLASS, D::RESTRICTABLE) else {
            return Ok(());
        };
        if request.actor.is_system() || request.actor.is(owner) {
            return Ok(());
        }
        let Inner { store, states, .. } = &*self.0;
        let remembered = if fresh { None } else { states.recall::<ConsentLedger>(owner) };
        let ledger = match remembered.filter(|ledger| !ledger.state.restricts(class)) {
            // It may be behind the log: the append checks its version.
            Some(ledger) => ledger,
            None => {
                let since = states.since(store.keyring());
                let ledger = states.read::<ConsentLedger>(store, owner).await?;
                // Most people have none, and that is worth remembering too.
                states.keep(owner, &ledger, since, store.keyring());
                ledger
            }
        };
        if ledger.state.restricts(class) {
            return Err(CommandError::ProcessingRestricted);
        }
        let stream = stream::<ConsentLedger>(owner);
        if !conditions.iter().any(|condition| condition.stream == stream) {
            conditions.push(Condition { stream, version: ledger.version });
        }
        Ok(())
    }

    /// An aggregate whose owner's class is erased takes no further command from people, unless it outlives that. Where the
    /// append seals something for the owner, it finds that out itself, without a look-up.
    async fn refuse_if_erased<D: Decider>(
        &self,
        state: &D,
        append: &Append,
        request: &Request,
    ) -> Result<(), CommandError> {
        let (Some(owner), Some(class), false) = (state.subject(), D::CLASS, D::OUTLIVES_ERASURE) else {
            return Ok(());
        };
        let mut sealed = append.events.iter().flat_map(|event| &event.personal);
        if request.actor.is_system()
            || sealed.any(|group| group.subject == owner && group.class == class.name())
        {
            return Ok(());
        }
        let erased = self.0.store.keyring().is_erased(owner, class.name()).await?;
        if erased { Err(CommandError::SubjectErased) } else { Ok(()) }
    }

    /// A command that is refused now may be the repeat of one that was accepted.
    async fn unless_repeated<D: Decider>(
        &self,
        id: Uuid,
        request: &Request,
        error: CommandError,
    ) -> Result<Accepted, CommandError> {
        if !request.repeatable || error.is_transient() || matches!(error, CommandError::IdempotencyConflict) {
            return Err(error);
        }
        match self.0.store.outcome(request.command_id).await? {
            Some(outcome) => first_outcome::<D>(id, request, &outcome),
            None => Err(error),
        }
    }
}

/// Makes what the right of whoever asks rests on a condition of the append.
fn rest_on(conditions: &mut Vec<Condition>, right: &[Condition]) -> Result<(), CommandError> {
    for on in right {
        match conditions.iter().find(|condition| condition.stream == on.stream) {
            Some(condition) if condition.version == on.version => {}
            Some(_) => return Err(CommandError::Outdated),
            None => conditions.push(on.clone()),
        }
    }
    Ok(())
}

/// Who decides whether the actor may: somebody who has a permission on this very resource passes for what it grants.
fn with_permission<D: Decider>(actor: &Actor, id: Uuid, command: &D::Command) -> Actor {
    if !actor.has_permission_on(D::TYPE, id) {
        return actor.clone();
    }
    // A command is written as its name and its fields.
    let written = serde_json::to_value(command).unwrap_or_default();
    let name = written.as_object().and_then(|object| object.keys().next());
    actor.permitted(D::TYPE, id, name.map_or("", String::as_str), D::GRANTABLE)
}

/// The time, in the log's resolution.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

/// What the first command with this id came to.
fn first_outcome<D: Decider>(
    id: Uuid,
    request: &Request,
    outcome: &Outcome,
) -> Result<Accepted, CommandError> {
    if let (Some(then), Some(now)) = (outcome.fingerprint, request.fingerprint)
        && then != now
    {
        return Err(CommandError::IdempotencyConflict);
    }
    let stream = stream::<D>(id);
    match outcome.versions.iter().find(|(written, _)| *written == stream) {
        Some((_, version)) => {
            let recorded = outcome.position - outcome.first_position + 1;
            let (version, position) = (*version, outcome.position);
            let created = version == recorded;
            Ok(Accepted { id, version, position, repeated: true, created, recorded: false })
        }
        None => Err(CommandError::IdempotencyConflict),
    }
}

pub(crate) fn to_append<D: Decider>(
    events: &[D::Event],
    after: &D,
    conditions: Vec<Condition>,
    request: &Request,
    context: &Context,
) -> Result<Append, CommandError> {
    let stream = stream::<D>(context.id);
    let mut claims = Vec::new();
    let mut recorded = Vec::with_capacity(events.len());
    for event in events {
        let unwritable = |error: serde_json::Error| {
            CommandError::Internal(format!("{} cannot be written: {error}", event.name()))
        };
        let (payload, groups) = SealingScope::to_json(event).map_err(unwritable)?;
        let subjects = groups.iter().map(|group| group.subject);
        let subjects = subjects.chain(after.subject()).chain(D::concerns(event).iter().copied());
        let classes = groups.iter().map(|group| group.class.name());
        let envelope = Envelope {
            actor: request.actor.to_string(),
            on_behalf_of: request.actor.on_behalf_of.map(|person| format!("user:{person}")),
            session: request.session.clone(),
            occurred_at: context.occurred_at,
            subjects: each_once(subjects),
            record_classes: each_once(classes).into_iter().map(str::to_owned).collect(),
            correlation_id: request.correlation_id.unwrap_or(request.command_id),
            causation_id: request.causation_id,
            traceparent: request.traceparent.clone(),
            purpose: request.purpose.clone(),
            legal_basis: request.legal_basis.clone(),
            derived_from: request.derived_from.clone(),
            transformation: request.transformation.clone(),
        };
        let personal = groups.into_iter().map(|group| PersonalGroup {
            subject: group.subject,
            class: group.class.name().into(),
            plaintext: group.values,
        });
        claims.extend(D::claims(context.id, event).into_iter().map(|claim| match claim {
            Claim::Take(key) => StoredClaim::Take { key, by: stream.clone() },
            Claim::Seat { key, limit } => StoredClaim::Seat { key, limit, by: stream.clone() },
            Claim::Free(key) => StoredClaim::Free { key, by: stream.clone() },
        }));
        recorded.push(NewEvent {
            stream: stream.clone(),
            event_id: Uuid::now_v7(),
            event_type: event.name().into(),
            event_version: version_text(D::Event::version(event.name())),
            payload,
            personal: personal.collect(),
            metadata: serde_json::to_string(&envelope).map_err(unwritable)?,
        });
    }
    Ok(Append {
        command_id: request.command_id,
        fingerprint: request.fingerprint,
        conditions,
        events: recorded,
        claims,
    })
}

/// In order, each once.
fn each_once<T: Ord>(things: impl Iterator<Item = T>) -> Vec<T> {
    let mut things: Vec<T> = things.collect();
    things.sort_unstable();
    things.dedup();
    things
}

fn version_text(version: u16) -> std::borrow::Cow<'static, str> {
    if version == 1 { "1".into() } else { version.to_string().into() }
}
