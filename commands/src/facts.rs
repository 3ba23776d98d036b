//! Facts: what other streams and read models must tell before a command can be decided.
//!
//! The aggregate asks, is told "not yet", and is asked again once everything that it wanted has been fetched. All
//! look-ups of one round are fetched at the same time.

use std::{any::Any, collections::HashMap, sync::Arc};

use domain::{Answer, Decider, Known, NotYet, Question, Versioned};
use event_store::{Condition, Position};
use futures_util::future::{BoxFuture, try_join_all};
use uuid::Uuid;

use crate::{CommandError, Commands, state::stream};

/// What only read models can tell. Implemented by whoever wires read models to commands.
pub trait Answers: Send + Sync + 'static {
    /// Answers from a read model that has seen the log at least up to `at_least`; where that is not said, up to what is recorded
    /// by now, unless the read model is far behind.
    fn answer(
        &self,
        question: Question,
        at_least: Option<Position>,
    ) -> BoxFuture<'_, Result<Answer, CommandError>>;
}

/// For where there are no read models: every question is refused as unavailable.
pub struct NoAnswers;

impl Answers for NoAnswers {
    fn answer(&self, _: Question, _: Option<Position>) -> BoxFuture<'_, Result<Answer, CommandError>> {
        Box::pin(async { Err(CommandError::Unavailable("the read models".into())) })
    }
}

type Key = (&'static str, Uuid);
type Fetched = (Key, u64, Arc<dyn Any + Send + Sync>);
type Fetch<'a> = Box<dyn FnOnce(&'a Commands) -> BoxFuture<'a, Result<Fetched, CommandError>> + Send + 'a>;

/// What was fetched so far for one decision, and what is still wanted.
#[derive(Default)]
pub(crate) struct Gathering<'a> {
    streams: HashMap<Key, (u64, Arc<dyn Any + Send + Sync>)>,
    answers: HashMap<Question, Answer>,
    wanted_streams: Vec<(Key, Fetch<'a>)>,
    wanted_answers: Vec<Question>,
    pinned: Vec<Condition>,
}

impl<'a> Gathering<'a> {
    /// The versions that must still hold when the decision is appended.
    pub(crate) fn into_conditions(self) -> Vec<Condition> {
        self.pinned
    }

    /// Fetches everything that was asked for and not known.
    pub(crate) async fn fetch(&mut self, commands: &'a Commands) -> Result<(), CommandError> {
        let streams = std::mem::take(&mut self.wanted_streams).into_iter().map(|(_, fetch)| fetch(commands));
        let questions = std::mem::take(&mut self.wanted_answers);
        let answers = questions.into_iter().map(|question| async {
            let answer = commands.answers().answer(question.clone(), None).await?;
            Ok::<_, CommandError>((question, answer))
        });
        let (streams, answers) = futures_util::try_join!(try_join_all(streams), try_join_all(answers))?;
        self.streams.extend(streams.into_iter().map(|(key, version, state)| (key, (version, state))));
        self.answers.extend(answers);
        Ok(())
    }
}

impl Known for Gathering<'_> {
    fn stream<D: Decider>(&mut self, id: Uuid) -> Result<Versioned<D>, NotYet> {
        let key = (D::TYPE, id);
        if let Some((version, state)) = self.streams.get(&key) {
            let state = state.clone().downcast::<D>().map_err(|_| NotYet)?;
            return Ok(Versioned { state, version: *version });
        }
        if self.wanted_streams.iter().all(|(wanted, _)| *wanted != key) {
            let fetch: Fetch<'_> = Box::new(move |commands| {
                Box::pin(async move {
                    let found = commands.state::<D>(id).await?;
                    Ok((key, found.version, found.state as Arc<dyn Any + Send + Sync>))
                })
            });
            self.wanted_streams.push((key, fetch));
        }
        Err(NotYet)
    }

    fn pinned<D: Decider>(&mut self, id: Uuid) -> Result<Versioned<D>, NotYet> {
        let found = self.stream::<D>(id)?;
        let condition = Condition { stream: stream::<D>(id), version: found.version };
        if !self.pinned.contains(&condition) {
            self.pinned.push(condition);
        }
        Ok(found)
    }

    fn ask(&mut self, question: Question) -> Result<Answer, NotYet> {
        if let Some(answer) = self.answers.get(&question) {
            return Ok(answer.clone());
        }
        if !self.wanted_answers.contains(&question) {
            self.wanted_answers.push(question);
        }
        Err(NotYet)
    }
}
