//! What decisions ask of the whole log and no single stream can tell, answered from read models.

use std::time::Duration;

use commands::{Answers, CommandError};
use domain::{Actor, ActorKind, Answer, Question, RoleGrant, sha256_hex};
use event_store::Position;
use futures_util::future::BoxFuture;
use hmac::Mac;
use projections::{Condition, Op, Projections, Query};
use serde_json::Value;

use crate::auth::{SigningKeys, keyed};

/// How long a read model may take to come to a position.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers from the read models of this node.
pub(super) struct FromReadModels {
    projections: Projections,
    /// Decisions must see what is so, not what their actor may see.
    everything: Actor,
    /// From which one-time tokens are computed.
    token_key: [u8; 32],
}

impl FromReadModels {
    pub(super) fn new(projections: Projections, keys: &SigningKeys) -> Self {
        let everything = Actor {
            kind: ActorKind::Policy,
            id: "answers".to_owned(),
            roles: vec![RoleGrant { role: "admin".to_owned(), within: None }],
            scopes: Default::default(),
            on_behalf_of: None,
        };
        FromReadModels { projections, everything, token_key: keys.derive("one-time tokens") }
    }

    /// The first rows of a read model for which columns have these values.
    async fn rows(
        &self,
        model: &str,
        conditions: &[(&str, String)],
        limit: usize,
        at_least: Option<Position>,
    ) -> Result<Vec<Value>, CommandError> {
        let unavailable = |_| CommandError::Unavailable(format!("the read model {model}"));
        if let Some(position) = at_least {
            let reached = self.projections.wait_for(model, position, PATIENCE).await;
            if !reached.map_err(|error| unavailable(error.to_string()))? {
                return Err(unavailable(String::new()));
            }
        }
        let condition = |(column, value): &(&str, String)| Condition {
            column: (*column).to_owned(),
            op: Op::In,
            values: vec![value.clone()],
        };
        let query = Query {
            filters: conditions.iter().map(condition).collect(),
            limit: Some(limit),
            ..Query::default()
        };
        let page = self.projections.list(model, &self.everything, &query).await;
        page.map(|page| page.rows).map_err(|error| {
            tracing::warn!(%error, model, "a read model could not be asked");
            unavailable(String::new())
        })
    }
}

impl Answers for FromReadModels {
    fn answer(
        &self,
        question: Question,
        at_least: Option<Position>,
    ) -> BoxFuture<'_, Result<Answer, CommandError>> {
        Box::pin(async move {
            match question {
                Question::HasActiveChildren { org } => {
                    let conditions = [("parent", org.to_string()), ("active", "true".to_owned())];
                    let rows = self.rows("org_directory", &conditions, 1, at_least).await?;
                    Ok(Answer::Flag(!rows.is_empty()))
                }
                Question::TokenHash { label } => {
                    let mut mac = keyed(&self.token_key);
                    mac.update(label.as_bytes());
                    let token = format!("{:x}", mac.finalize().into_bytes());
                    Ok(Answer::Hash(sha256_hex(&token)))
                }
                Question::LearnedCategory { .. }
                | Question::PossibleDuplicate { .. }
                | Question::RecognitionHistory { .. }
                | Question::PublishedCredentials { .. }
                | Question::HasConsent { .. }
                | Question::ApprovedRecognitions { .. } => {
                    Err(CommandError::Unavailable("a read model that is not there yet".into()))
                }
            }
        })
    }
}
