//! What decisions ask of the whole log and no single stream can tell: the read models answer, and the keeper of the
//! secret that one-time tokens are computed from.

use std::time::Duration;

use commands::{Answers, CommandError};
use domain::{Answer, Question, sha256_hex};
use event_store::Position;
use futures_util::future::BoxFuture;
use hmac::Mac;
use projections::{ProjectionError, Projections, answers};

use crate::auth::{SigningKeys, keyed};

/// How long a read model may take to come to a position.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers from the read models of this node.
pub(super) struct FromReadModels {
    projections: Projections,
    /// From which one-time tokens are computed.
    token_key: [u8; 32],
}

impl FromReadModels {
    pub(super) fn new(projections: Projections, keys: &SigningKeys) -> Self {
        FromReadModels { projections, token_key: keys.derive("one-time tokens") }
    }

    /// The one-time token of a label, in lower-case hexadecimal.
    fn token(&self, label: &str) -> String {
        let mut mac = keyed(&self.token_key);
        mac.update(label.as_bytes());
        format!("{:x}", mac.finalize().into_bytes())
    }

    async fn read(&self, question: &Question, at_least: Option<Position>) -> Result<Answer, CommandError> {
        for model in answers::asked(question) {
            if let Some(position) = at_least
                && !self.projections.wait_for(model, position, PATIENCE).await.map_err(unanswered)?
            {
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
                Question::TokenHash { label } => Ok(Answer::Hash(sha256_hex(&self.token(label)))),
                _ => self.read(&question, at_least).await,
            }
        })
    }
}

fn unanswered(error: ProjectionError) -> CommandError {
    CommandError::Unavailable(format!("the read models ({error})"))
}
