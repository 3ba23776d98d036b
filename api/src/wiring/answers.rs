//! What decisions ask of the whole log and no single stream can tell: the read models answer, the table of claims, that of
//! counted calls, and the keeper of the secret that one-time tokens are computed from.

use std::time::Duration;

use commands::{Answers, CommandError};
use domain::{Answer, Question, sha256_hex};
use event_store::{EventStore, Position, StoreError};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use projections::{ProjectionError, Projections, answers};
use uuid::Uuid;

use crate::auth::OneTimeTokens;

/// How long a read model may take to come to a position.
const PATIENCE: Duration = Duration::from_secs(5);
/// And how long a command waits for it to show what is recorded already; then it is decided on what there is.
const RECENT: Duration = Duration::from_millis(500);

/// Answers from the read models of this node.
pub(super) struct FromReadModels {
    projections: Projections,
    store: EventStore,
    /// The keeper of the secret that one-time tokens are computed from.
    tokens: OneTimeTokens,
}

impl FromReadModels {
    pub(super) fn new(projections: Projections, store: EventStore, tokens: OneTimeTokens) -> Self {
        FromReadModels { projections, store, tokens }
    }

    /// Who holds a claim, which the log itself knows.
    async fn holders(&self, claim: &str) -> Result<Answer, CommandError> {
        let held = self.store.holders(claim).await?;
        let ids = held.iter().filter_map(|claim| claim.by.aggregate_id.parse().ok());
        Ok(Answer::References(ids.collect()))
    }

    /// When a client called last, as the nodes have counted.
    async fn last_call(&self, client: Uuid) -> Result<Answer, CommandError> {
        let last = "SELECT (extract(epoch FROM max(last_used)) * 1000000)::bigint FROM annals.api_usage WHERE client = $1";
        let last: Option<i64> = sqlx::query_scalar(last)
            .bind(client)
            .fetch_one(self.store.pool())
            .await
            .map_err(StoreError::from)?;
        Ok(Answer::Instant(last.and_then(|last| Timestamp::from_microsecond(last).ok())))
    }

    async fn read(&self, question: &Question, at_least: Option<Position>) -> Result<Answer, CommandError> {
        let models = answers::asked(question);
        let (position, patience) = match at_least {
            Some(position) => (position, PATIENCE),
            // Whoever was answered before has recorded before, on whichever node.
            None if !models.is_empty() => (self.store.head().await?.position, RECENT),
            None => (0, RECENT),
        };
        for model in models {
            let reached = self.projections.wait_for(model, position, patience).await.map_err(unanswered)?;
            if !reached && at_least.is_some() {
                return Err(CommandError::Unavailable(format!("the read model {model} is behind")));
            }
        }
        answers::answer(&self.projections, question).await.map_err(unanswered)
    }
}

impl Answers for FromReadModels {
    fn answer(
        &self,
        question: Question,
        at_least: Option<Position>,
    ) -> BoxFuture<'_, Result<Answer, CommandError>> {
        Box::pin(async move {
            match &question {
                Question::TokenHash { label } => Ok(Answer::Hash(sha256_hex(&self.tokens.token(label)))),
                Question::Holders { claim } => self.holders(claim).await,
                Question::LastCall { client } => self.last_call(*client).await,
                _ => self.read(&question, at_least).await,
            }
        })
    }
}

fn unanswered(error: ProjectionError) -> CommandError {
    CommandError::Unavailable(format!("the read models ({error})"))
}
