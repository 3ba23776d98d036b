//! Entries of the audit trail, and who may see which.

use std::collections::BTreeSet;

use domain::{Actor, Decider, governance::Disclosure};
use event_store::{Ahead, Position, StoreError};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::Row as _;
use uuid::Uuid;

use super::{log_index::account_of, log_view::LogView};
use crate::{catalog::unsigned, error::ProjectionError, fact::Envelope, filter::Filter};

/// Why a question about the log has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GovernanceError {
    /// The actor may not ask this.
    #[error("this takes the scope `read:audit`")]
    Forbidden,
    /// The number of entries, or how deep or large a graph may be, is 0 or too large.
    #[error("`{name}` is 1 to {most}")]
    BadLimit {
        /// What was limited.
        name: &'static str,
        /// The most that can be asked for.
        most: usize,
    },
    /// What was asked for cannot be read.
    #[error("`{0}` is not a node: write `type:id`, `type:id@version` or `event:id`")]
    BadNode(String),
    /// There is no such thing, or there was none by then.
    #[error("there is no node `{0}`")]
    NoSuchNode(String),
    /// The moment has not come yet.
    #[error(transparent)]
    AsOfAhead(#[from] Ahead),
    /// The index is being built, or stands still, and too many events came since to look at each of them.
    #[error("the index of the log is at position {position} only")]
    Behind {
        /// Where the index is.
        position: Position,
    },
    /// Something failed.
    #[error(transparent)]
    Failed(#[from] ProjectionError),
}

impl From<sqlx::Error> for GovernanceError {
    fn from(error: sqlx::Error) -> Self {
        GovernanceError::Failed(error.into())
    }
}

impl From<StoreError> for GovernanceError {
    fn from(error: StoreError) -> Self {
        GovernanceError::Failed(error.into())
    }
}

impl GovernanceError {
    /// Whether the generation of the index that was asked has just been replaced and dropped: ask again.
    pub(super) fn is_replaced(&self) -> bool {
        let GovernanceError::Failed(ProjectionError::Database(sqlx::Error::Database(error))) = self else {
            return false;
        };
        error.code().as_deref() == Some("42P01")
    }
}

/// One event without its payload: who did what, to what, about whom, when and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Entry {
    /// Its place in the log.
    pub position: Position,
    /// Its identity.
    pub event_id: Uuid,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Who acted: `user:…`, `api_client:…`, `policy:…`, `scheduler:…`, `worker:…`.
    pub actor: String,
    /// The person for whom they acted, where that is another.
    pub on_behalf_of: Option<Uuid>,
    /// What happened: the event type.
    pub action: String,
    /// The schema version of the event.
    pub event_version: String,
    /// To what kind of thing: the aggregate type.
    pub resource_type: String,
    /// To which one.
    pub resource_id: String,
    /// The version that it left.
    pub sequence: u64,
    /// Whose data the event carries, and whom its stream is about.
    pub subjects: Vec<Uuid>,
    /// The record classes of that data.
    pub record_classes: Vec<String>,
    /// Why personal data was processed.
    pub purpose: Option<String>,
    /// On which legal basis.
    pub legal_basis: Option<String>,
    /// What everything that one request brought about has in common.
    pub correlation_id: Option<Uuid>,
    /// The event that caused it, where a policy reacted.
    pub causation_id: Option<Uuid>,
    /// The command that recorded it.
    pub command_id: Option<Uuid>,
    /// What it was computed from, as `type:id@version`.
    pub derived_from: Vec<String>,
    /// How it was computed, as `engine@version`.
    pub transformation: Option<String>,
    /// The W3C trace context of the request.
    pub traceparent: Option<String>,
}

/// The columns of the log that [`entry`] reads.
pub(super) const COLUMNS: &str =
    "position, event_id, (extract(epoch FROM recorded_at) * 1000000)::bigint, aggregate_type,
    aggregate_id, sequence, event_type, event_version, metadata::text, command_id";

pub(super) fn entry(row: &sqlx::postgres::PgRow) -> Result<Entry, GovernanceError> {
    let unreadable = |_| ProjectionError::Store(StoreError::Unreadable("recorded_at".into()));
    let recorded_at = Timestamp::from_microsecond(row.try_get(2)?).map_err(unreadable)?;
    let envelope = Envelope::read(row.try_get(8)?, recorded_at);
    Ok(Entry {
        position: unsigned(row.try_get(0)?),
        event_id: row.try_get(1)?,
        recorded_at,
        occurred_at: envelope.occurred_at,
        actor: envelope.actor,
        on_behalf_of: envelope.on_behalf_of,
        action: row.try_get(6)?,
        event_version: row.try_get(7)?,
        resource_type: row.try_get(3)?,
        resource_id: row.try_get(4)?,
        sequence: unsigned(row.try_get(5)?),
        subjects: envelope.subjects,
        record_classes: envelope.record_classes,
        purpose: envelope.purpose,
        legal_basis: envelope.legal_basis,
        correlation_id: envelope.correlation_id,
        causation_id: envelope.causation_id,
        command_id: row.try_get(9)?,
        derived_from: envelope.derived_from,
        transformation: envelope.transformation,
        traceparent: envelope.traceparent,
    })
}

/// Whose events an actor may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// All of them.
    All,
    /// Those that are about this person, or that they or somebody for them brought about.
    Own(Uuid),
    /// None.
    Nothing,
}

impl Sight {
    pub(super) fn of(actor: &Actor) -> Sight {
        // `read:audit` within one org unit does not open the log, which knows no org units.
        if matches!(Filter::within(actor, "read:audit", ""), Filter::All) {
            return Sight::All;
        }
        actor.account().map_or(Sight::Nothing, Sight::Own)
    }

    pub(super) fn sees(self, entry: &Entry) -> bool {
        match self {
            Sight::All => true,
            // To whom records were disclosed, their own record of disclosures tells: it knows of which the law forbids to tell
            // them (34 CFR 99.31(a)(9)(ii)).
            Sight::Own(person) => {
                (entry.subjects.contains(&person) && entry.resource_type != Disclosure::TYPE)
                    || entry.on_behalf_of == Some(person)
                    || account_of(&entry.actor) == Some(person)
            }
            Sight::Nothing => false,
        }
    }

    /// Where the log has what they are not told although they see the like.
    pub(super) async fn untold(self, view: &LogView<'_>) -> Result<BTreeSet<Position>, GovernanceError> {
        match self {
            Sight::Own(person) => view.untold(person).await,
            Sight::All | Sight::Nothing => Ok(BTreeSet::new()),
        }
    }

    /// What they get to see of an entry: whom else it is about is nobody's business but the auditors'.
    pub(super) fn shown(self, mut entry: Entry) -> Entry {
        if let Sight::Own(person) = self {
            entry.subjects.retain(|subject| *subject == person);
        }
        entry
    }
}
