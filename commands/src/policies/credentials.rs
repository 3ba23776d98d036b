//! Credentials: assess what is proposed, suspend what lost its ground, end what is over (catalogue 3.3).

use domain::{
    Answer, Question,
    credentials::{
        MicroCredential, MicroCredentialEvent, Recognition, RecognitionCommand, RecognitionEvent,
        assessment::{Assessment, AssessmentRule, Cosines, best_counterpart, history},
    },
    registry::{AnyCommand, AnyEvent},
};
use uuid::Uuid;

use super::{Fact, Issue, Policy, Reaction, Reactions, Timer, World, reference, timer_id};
use crate::{CommandError, ports::cosine};

/// The engine of CRD-R3 and CRD-R4; the embedding's name is added to it.
const ENGINE: &str = "rules/credit@1";

/// P-20: a proposed recognition is assessed. The assessment advises; a person decides.
pub(super) struct AssessRecognition;

impl Policy for AssessRecognition {
    fn name(&self) -> &'static str {
        "assess_recognition"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["RecognitionProposed"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::Recognition(RecognitionEvent::RecognitionProposed {
                credential,
                institution,
                counterpart,
                ..
            }) = &fact.event
            else {
                return Ok(Vec::new());
            };
            let offered = world.state::<MicroCredential>(*credential).await?;
            let issuer = offered.state.institution;
            let decided =
                world.ask(Question::RecognitionHistory { institution: *institution, issuer }, fact).await?;
            let history = match decided {
                Answer::Approvals { approved, decided } => history(approved, decided),
                other => return Err(unexpected(&other)),
            };
            let candidates = match counterpart {
                Some(counterpart) => vec![*counterpart],
                None => match world
                    .ask(Question::PublishedCredentials { institution: *institution }, fact)
                    .await?
                {
                    Answer::References(published) => published,
                    other => return Err(unexpected(&other)),
                },
            };
            let mut compared = Vec::new();
            for candidate in candidates {
                let other = world.state::<MicroCredential>(candidate).await?;
                if other.state.is_published() {
                    let cosines = cosines(world, &offered.state, &other.state).await?;
                    compared.push((
                        candidate,
                        other.version,
                        Assessment::of(&offered.state, &other.state, &cosines, history),
                    ));
                }
            }
            let rule = AssessmentRule::default();
            let best = best_counterpart(&rule, compared.iter().map(|(id, _, assessment)| (*id, *assessment)));
            let assessment =
                best.map_or(Assessment::without_counterpart(history), |(_, assessment)| assessment);
            let engine = format!("{ENGINE}+{}", world.ports().embedding.engine());
            let mut sources = vec![reference::<MicroCredential>(*credential, offered.version)];
            if let Some((id, version, _)) =
                best.and_then(|(best, _)| compared.iter().find(|(id, ..)| *id == best))
            {
                sources.push(reference::<MicroCredential>(*id, *version));
            }
            let job = Uuid::new_v5(&fact.event_id, b"assess_credit");
            let command = assessment.record(&rule, job, best.map(|(best, _)| best), &engine);
            Ok(vec![
                Issue::new(fact.id, AnyCommand::Recognition(command), "assess")
                    .derived(sources, engine)
                    .into(),
            ])
        })
    }
}

pub(super) fn unexpected(answer: &Answer) -> CommandError {
    CommandError::Internal(format!("a read model gave an answer of another kind: {answer:?}"))
}

/// The cosines between the outcomes of two credentials, by the embedding that is plugged in.
async fn cosines(
    world: &World,
    one: &MicroCredential,
    other: &MicroCredential,
) -> Result<Cosines, CommandError> {
    let texts = |credential: &MicroCredential| -> Vec<String> {
        credential.outcome_texts().into_iter().map(str::to_owned).collect()
    };
    let (rows, columns) = (texts(one), texts(other));
    let both: Vec<String> = rows.iter().chain(&columns).cloned().collect();
    let vectors = world.ports().embedding.embed(&both).await?;
    let cosine = |row: usize, column: usize| cosine(&vectors[row], &vectors[rows.len() + column]);
    if vectors.len() != both.len() {
        return Err(CommandError::Unavailable("the embedding (it gave another number of vectors)".into()));
    }
    Ok(Cosines::between(rows.len(), columns.len(), cosine))
}

/// P-21: the recognitions of an archived credential are suspended.
pub(super) struct SuspendRecognitions;

impl Policy for SuspendRecognitions {
    fn name(&self) -> &'static str {
        "suspend_recognitions"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["CredentialArchived"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::MicroCredential(MicroCredentialEvent::CredentialArchived { .. }) = &fact.event
            else {
                return Ok(Vec::new());
            };
            match world.ask(Question::ApprovedRecognitions { credential: fact.id }, fact).await? {
                Answer::References(approved) => Ok(approved.into_iter().map(suspend).collect()),
                other => Err(unexpected(&other)),
            }
        })
    }
}

fn suspend(recognition: Uuid) -> Reaction {
    let reason = "the credential was archived".to_owned();
    Issue::new(
        recognition,
        AnyCommand::Recognition(RecognitionCommand::SuspendRecognition { reason }),
        "suspend",
    )
    .into()
}

/// CRD-R5: a recognition expires when its time is over.
pub(super) struct ExpireRecognitions;

impl Policy for ExpireRecognitions {
    fn name(&self) -> &'static str {
        "expire_recognitions"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["RecognitionApproved", "RecognitionRevised", "RecognitionRevoked"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let timer = timer_id(self.name(), &[&fact.id.to_string()]);
            let recognition = world.state::<Recognition>(fact.id).await?.state;
            let due_at = recognition.expires_at().filter(|_| recognition.status.is_granted());
            Ok(vec![match due_at {
                Some(due_at) => Reaction::Arm(Timer {
                    id: timer,
                    due_at,
                    aggregate: fact.id,
                    command: AnyCommand::Recognition(RecognitionCommand::ExpireRecognition {}),
                }),
                None => Reaction::Disarm(timer),
            }])
        })
    }
}
