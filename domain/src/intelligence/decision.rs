//! One automated output about one person (catalogue 2.7, Decision).
//!
//! Life cycle: `recorded -> observed`; `recorded|observed -> contested -> upheld | overturned`. What came true is a fact of
//! the world: it may be observed once in any state, and moves only `recorded`.
//!
//! - **AI-D1** every score, ranking or prediction shown to a person or used by a policy is a decision.
//! - **AI-D2** a contest is reviewed by a human within 30 days; `overturned` is a fact that the owning context must act
//!   on. A review that comes late still counts.
//! - **AI-D3** predictions of success and churn are scores of 0 to 10000 with the three strongest factors, the strongest
//!   first.
//!
//! The author of a decision is the person on whose behalf it was computed, if any. Neither they nor the person whom it is
//! about review it.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use crate::kernel::{
    Actor, ActorKind, BasisPoints, Context, Decided, Decider, Event, Known, NotYet, Personal, RecordClass,
    Refusal, Refused, RefusedBy, Stated, Upcaster, bounds, class::AiContent, schemas, withheld,
};

/// Within which time a contest is reviewed (AI-D2).
pub const REVIEW_WITHIN: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The families whose decisions are predictions with three factors (AI-D3).
const PREDICTIONS: [&str; 2] = ["student_success", "student_churn"];

/// Where in its life a decision is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DecisionStatus {
    /// It has no events.
    #[default]
    New,
    /// It was made.
    Recorded,
    /// What came true is known.
    Observed,
    /// The person contests it.
    Contested,
    /// A human found it right.
    Upheld,
    /// A human found it wrong.
    Overturned,
}

/// What a human found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The decision was right.
    Upheld,
    /// The decision was wrong; the owning context must act.
    Overturned,
}

/// One reason of a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Factor {
    /// What was looked at, such as `gpa`; 1 to 100 characters.
    pub factor: String,
    /// How much it weighed, -10000 to 10000: for rules the points granted, for a model its share in the score.
    pub weight: BasisPoints,
    /// The reason in words, for the person; up to 500 characters.
    #[serde(default)]
    pub reason: Option<String>,
}

/// The state that decisions need.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Decision {
    /// Where in its life it is.
    pub status: DecisionStatus,
    /// Whom it is about.
    pub subject: Uuid,
    /// What it is about, such as an application.
    pub about: Uuid,
    /// The family.
    pub family: String,
    /// The score.
    pub score: BasisPoints,
    /// Whether it favours the person.
    pub favourable: bool,
    /// On whose behalf it was computed.
    pub author: Option<Uuid>,
    /// What came true.
    pub actual: Option<bool>,
}

/// What can be asked of a decision.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum DecisionCommand {
    /// Records the decision; recording the same once more changes nothing.
    #[schemars(extend("x-system" = true))]
    RecordDecision {
        /// The model, where one was used.
        #[serde(default)]
        model: Option<Uuid>,
        /// The engine and its version, such as `rules/match@1`.
        engine: String,
        /// The family, such as `scholarship_match`.
        family: String,
        /// What kind of output it is, such as `score`.
        r#type: String,
        /// Whom it is about.
        subject: Uuid,
        /// What it is about, such as an application.
        about: Uuid,
        /// Whether it favours the person.
        favourable: bool,
        /// The score, 0 to 10000.
        score: BasisPoints,
        /// From which score on it favours the person, where there is such a score.
        #[serde(default)]
        threshold: Option<BasisPoints>,
        /// Where the features that were used are kept.
        features: Uuid,
        /// Up to 20 factors, the strongest first.
        explanation: Stated<Vec<Factor>>,
    },
    /// Records what came true; recording the same once more changes nothing.
    #[schemars(extend("x-system" = true))]
    ObserveOutcome {
        /// Whether what the decision favours came true.
        actual: bool,
        /// Where that is seen, such as an application.
        source: Uuid,
    },
    /// The person contests the decision.
    ContestDecision {
        /// Why, 1 to 20 000 characters.
        #[schemars(transform = schemas::text::<1, 20000>)]
        reason: Stated<String>,
    },
    /// A human reviews the contested decision (AI-D2).
    ReviewDecision {
        /// The reviewer, who must be the one that acts.
        reviewer: Uuid,
        /// What they found.
        verdict: Verdict,
        /// Why, 1 to 20 000 characters.
        #[schemars(transform = schemas::text::<1, 20000>)]
        reason: Stated<String>,
    },
}

/// What can have happened to a decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum DecisionEvent {
    /// It was made, on behalf of the `author` where a person asked for it.
    DecisionRecorded {
        model: Option<Uuid>,
        engine: String,
        family: String,
        r#type: String,
        subject: Uuid,
        about: Uuid,
        favourable: bool,
        score: BasisPoints,
        threshold: Option<BasisPoints>,
        features: Uuid,
        explanation: Personal<Vec<Factor>, AiContent>,
        author: Option<Uuid>,
    },
    /// What came true was observed.
    DecisionOutcomeObserved { actual: bool, source: Uuid, family: String, favourable: bool },
    /// The person contests it; a human reviews it by `review_by`.
    DecisionContested { reason: Personal<String, AiContent>, review_by: Timestamp },
    /// A human reviewed it.
    DecisionReviewed {
        reviewer: Uuid,
        verdict: Verdict,
        reason: Personal<String, AiContent>,
        subject: Uuid,
        about: Uuid,
    },
}

impl Event for DecisionEvent {
    const UPCASTERS: &'static [Upcaster] =
        &[Upcaster { event_type: "DecisionReviewed", from: 1, step: |fields| withheld(fields, &["reason"]) }];

    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum DecisionRefusal {
    #[error("a human has reviewed the decision: it is final")]
    AlreadyFinal {},
    #[error("nobody reviews a decision of their own, or about themselves")]
    ReviewerIsAuthor {},
}

impl Refusal for DecisionRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn field(&self) -> Option<&'static str> {
        match self {
            DecisionRefusal::AlreadyFinal {} => None,
            DecisionRefusal::ReviewerIsAuthor {} => Some("reviewer"),
        }
    }
}

impl Decider for Decision {
    const TYPE: &'static str = "intelligence.decision";
    const CLASS: Option<RecordClass> = Some(RecordClass::AiContent);
    const RESTRICTABLE: bool = false;
    type Command = DecisionCommand;
    type Event = DecisionEvent;
    type Refusal = DecisionRefusal;
    type Facts = ();

    fn creates(command: &DecisionCommand) -> bool {
        matches!(command, DecisionCommand::RecordDecision { .. })
    }

    fn facts(&self, _: &DecisionCommand, _: &Context, _: &mut impl Known) -> Result<(), NotYet> {
        Ok(())
    }

    fn may(&self, actor: &Actor, command: &DecisionCommand) -> bool {
        use DecisionCommand as C;
        match command {
            C::RecordDecision { .. } | C::ObserveOutcome { .. } => actor.is_system(),
            C::ContestDecision { .. } => actor.is(self.subject),
            C::ReviewDecision { reviewer, .. } => {
                let human = actor.kind == ActorKind::User && actor.is(*reviewer);
                human && (actor.has("review:applications") || actor.has("manage:governance"))
            }
        }
    }

    fn decide(&self, command: DecisionCommand, (): &(), context: &Context) -> Decided<Self> {
        use DecisionCommand as C;
        use DecisionEvent as E;
        use DecisionRefusal as R;
        use DecisionStatus as S;
        let wrong_state = Refused::InvalidState { state: self.status.into(), command: (&command).into() };
        let event = match command {
            C::RecordDecision { subject, about, family, score, .. } if self.status != S::New => {
                let same = (subject, about, score) == (self.subject, self.about, self.score);
                return if same && family == self.family { Ok(Vec::new()) } else { Err(wrong_state) };
            }
            C::RecordDecision {
                model,
                engine,
                family,
                r#type,
                subject,
                about,
                favourable,
                score,
                threshold,
                features,
                explanation,
            } => {
                bounds::text("engine", &engine, 1..=100)?;
                bounds::text("family", &family, 1..=100)?;
                bounds::text("type", &r#type, 1..=100)?;
                check_share("score", score)?;
                check_share("threshold", threshold.unwrap_or_default())?;
                check_explanation(&family, &explanation.0)?;
                E::DecisionRecorded {
                    model,
                    engine,
                    family,
                    r#type,
                    subject,
                    about,
                    favourable,
                    score,
                    threshold,
                    features,
                    explanation: explanation.about(subject),
                    author: context.actor.account(),
                }
            }
            C::ObserveOutcome { actual, source } => match self.actual {
                Some(observed) if observed == actual => return Ok(Vec::new()),
                Some(_) => return Err(wrong_state),
                None => E::DecisionOutcomeObserved {
                    actual,
                    source,
                    family: self.family.clone(),
                    favourable: self.favourable,
                },
            },
            C::ContestDecision { reason } => match self.status {
                S::Upheld | S::Overturned => return Err(R::AlreadyFinal {}.into()),
                S::New | S::Contested => return Err(wrong_state),
                S::Recorded | S::Observed => {
                    bounds::text("reason", &reason.0, 1..=bounds::LONG)?;
                    let review_by = context.now.checked_add(REVIEW_WITHIN).unwrap_or(Timestamp::MAX);
                    E::DecisionContested { reason: reason.about(self.subject), review_by }
                }
            },
            C::ReviewDecision { .. } if self.status != S::Contested => return Err(wrong_state),
            C::ReviewDecision { reviewer, .. }
                if reviewer == self.subject || self.author == Some(reviewer) =>
            {
                return Err(R::ReviewerIsAuthor {}.into());
            }
            C::ReviewDecision { reviewer, verdict, reason } => {
                bounds::text("reason", &reason.0, 1..=bounds::LONG)?;
                let (subject, about) = (self.subject, self.about);
                let reason = reason.about(subject);
                E::DecisionReviewed { reviewer, verdict, reason, subject, about }
            }
        };
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &DecisionEvent) {
        use DecisionStatus as S;
        match event {
            DecisionEvent::DecisionRecorded { family, subject, about, favourable, score, author, .. } => {
                *self = Decision {
                    status: S::Recorded,
                    subject: *subject,
                    about: *about,
                    family: family.clone(),
                    score: *score,
                    favourable: *favourable,
                    author: *author,
                    actual: None,
                }
            }
            DecisionEvent::DecisionOutcomeObserved { actual, .. } => {
                self.actual = Some(*actual);
                if self.status == S::Recorded {
                    self.status = S::Observed;
                }
            }
            DecisionEvent::DecisionContested { .. } => self.status = S::Contested,
            DecisionEvent::DecisionReviewed { verdict, .. } => {
                self.status = match verdict {
                    Verdict::Upheld => S::Upheld,
                    Verdict::Overturned => S::Overturned,
                }
            }
        }
    }

    fn subject(&self) -> Option<Uuid> {
        (self.status != DecisionStatus::New).then_some(self.subject)
    }
}

type Check = Result<(), RefusedBy<Decision>>;

fn check_share(field: &'static str, value: BasisPoints) -> Check {
    if value.is_share() { Ok(()) } else { Err(Refused::invalid(field, "0 to 10000")) }
}

/// AI-D3, and bounds.
fn check_explanation(family: &str, factors: &[Factor]) -> Check {
    bounds::count("explanation", factors.len(), 20)?;
    for Factor { factor, weight, reason } in factors {
        bounds::text("explanation", factor, 1..=100)?;
        bounds::number("explanation", weight.0.into(), -10_000..=10_000)?;
        bounds::maybe_text("explanation", reason.as_deref(), 0..=500)?;
    }
    let weights = factors.iter().map(|factor| factor.weight.0.unsigned_abs());
    if PREDICTIONS.contains(&family) && !(factors.len() == 3 && weights.is_sorted_by(|a, b| a >= b)) {
        return Err(Refused::invalid("explanation", "the three strongest factors, the strongest first"));
    }
    Ok(())
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
