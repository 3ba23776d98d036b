//! Scholarships: score what is submitted, carry a selection through, close at the deadline (catalogue 3.2).

use std::collections::BTreeMap;

use domain::{
    BasisPoints, RecordClass, Stated,
    governance::ConsentPurpose,
    identity::Profile,
    intelligence::{Decision, DecisionCommand, Factor},
    opportunities::{
        ApplicantSnapshot, CloseReason, MATCH_ENGINE, MatchFacts, Scholarship, ScholarshipApplication,
        ScholarshipApplicationCommand as ApplicationCommand, ScholarshipApplicationEvent as ApplicationEvent,
        ScholarshipCommand, ScholarshipEvent, match_score,
    },
    registry::{AnyCommand, AnyEvent},
};
use uuid::Uuid;

use super::{Computes, Fact, Issue, Policy, Reaction, Reactions, Timer, World, reference, timer_id};

/// From which score on the decision counts as favourable to the applicant, for explanation and for bias monitoring. It
/// rejects nobody (OPP-A8). A default (D-19).
const FAVOURABLE: BasisPoints = BasisPoints(5000);

/// The type of documents in lineage (catalogue 2.8). They are named, and have no version that anybody knows here.
const DOCUMENT: &str = "documents.document";

/// P-10: a submitted application is scored. The score is a decision of its own, which can be explained and contested.
pub(super) struct ScoreApplication;

impl Policy for ScoreApplication {
    fn name(&self) -> &'static str {
        "score_application"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["ScholarshipApplicationSubmitted"]
    }

    /// Without a score, people look at the application all the same.
    fn computes(&self, fact: &Fact) -> Option<Computes> {
        match &fact.event {
            AnyEvent::ScholarshipApplication(ApplicationEvent::ScholarshipApplicationSubmitted {
                applicant,
                ..
            }) => Some(Computes {
                about: *applicant,
                class: RecordClass::Education,
                purpose: Some(ConsentPurpose::AiProcessing),
            }),
            _ => None,
        }
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::ScholarshipApplication(ApplicationEvent::ScholarshipApplicationSubmitted {
                scholarship,
                applicant,
                gpa,
                major,
                grad_year,
                interests,
                profile_version,
                ..
            }) = &fact.event
            else {
                return Ok(Vec::new());
            };
            let scholarship = (*scholarship, world.state::<Scholarship>(*scholarship).await?);
            let Some(terms) = &scholarship.1.state.terms else { return Ok(Vec::new()) };
            let snapshot = ApplicantSnapshot {
                gpa: gpa.clone(),
                major: major.clone(),
                grad_year: grad_year.clone(),
                interests: interests.clone(),
            };
            let score = match_score(terms, &MatchFacts::from(&snapshot));
            let (total, components) = (score.total(), score.components());
            let profile = profile_version.map(|version| reference::<Profile>(*applicant, version));
            let mut sources = vec![
                reference::<ScholarshipApplication>(fact.id, fact.sequence),
                reference::<Scholarship>(scholarship.0, scholarship.1.version),
            ];
            sources.extend(profile);
            let decision = Uuid::new_v5(&fact.event_id, b"scholarship_match");
            let record = DecisionCommand::RecordDecision {
                model: None,
                engine: MATCH_ENGINE.into(),
                family: "scholarship_match".into(),
                r#type: "match_score".into(),
                subject: *applicant,
                about: fact.id,
                favourable: total >= FAVOURABLE,
                score: total,
                threshold: Some(FAVOURABLE),
                features: fact.event_id,
                explanation: explained(&components).into(),
            };
            let result = ApplicationCommand::RecordMatchScore {
                decision,
                score: total,
                components,
                engine: MATCH_ENGINE.into(),
                model: None,
            };
            // What the reviewers have before them with the score, though these rules do not read it.
            let documents = world.state::<ScholarshipApplication>(fact.id).await?.state.documents_there();
            let documents = documents.into_iter().map(|id| format!("{DOCUMENT}:{id}")).collect();
            Ok(vec![
                Issue::new(decision, AnyCommand::Decision(record), "decision")
                    .derived(sources.clone(), MATCH_ENGINE)
                    .into(),
                Issue::new(fact.id, AnyCommand::ScholarshipApplication(result), "score")
                    .derived(
                        [sources, documents, vec![reference::<Decision>(decision, 1)]].concat(),
                        MATCH_ENGINE,
                    )
                    .into(),
            ])
        })
    }
}

/// The components in the form in which a decision explains itself, the strongest first.
fn explained(components: &BTreeMap<String, BasisPoints>) -> Vec<Factor> {
    let factor = |(name, points): (&String, &BasisPoints)| Factor {
        factor: name.clone(),
        weight: *points,
        reason: None,
    };
    let mut factors: Vec<Factor> = components.iter().map(factor).collect();
    factors.sort_by_key(|factor| std::cmp::Reverse(factor.weight));
    factors
}

/// P-13: a selection becomes an award; an award that is refused, or that cannot be given, frees the selection. Where the
/// scholarship has meanwhile selected anew, the reaction to the earlier selection changes nothing: that is for the scholarship
/// to see.
pub(super) struct CarrySelection;

impl Policy for CarrySelection {
    fn name(&self) -> &'static str {
        "carry_selection"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["AwardeeSelected", "ScholarshipAwarded", "AwardAccepted", "AwardRefused"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let lapse = timer_id(self.name(), &["lapse", &fact.id.to_string()]);
            Ok(match &fact.event {
                AnyEvent::Scholarship(ScholarshipEvent::AwardeeSelected { application, amount }) => {
                    let (scholarship, application) = (fact.id, *application);
                    let award = AnyCommand::ScholarshipApplication(ApplicationCommand::RecordAward {
                        amount: *amount,
                    });
                    let award = Issue::new(application, award, "award");
                    vec![
                        award
                            .otherwise(move |refusal| {
                                vec![reverse(scholarship, application, refusal.to_string())]
                            })
                            .into(),
                    ]
                }
                AnyEvent::ScholarshipApplication(ApplicationEvent::ScholarshipAwarded { .. }) => {
                    let application = world.state::<ScholarshipApplication>(fact.id).await?.state;
                    let refuse = ApplicationCommand::RefuseAward { reason: None };
                    let timer = application.offer_ends().map(|due_at| Timer {
                        id: lapse,
                        due_at,
                        aggregate: fact.id,
                        command: AnyCommand::ScholarshipApplication(refuse),
                    });
                    timer.map(Reaction::Arm).into_iter().collect()
                }
                AnyEvent::ScholarshipApplication(ApplicationEvent::AwardAccepted { .. }) => {
                    vec![Reaction::Disarm(lapse)]
                }
                AnyEvent::ScholarshipApplication(ApplicationEvent::AwardRefused {
                    scholarship,
                    lapsed,
                    ..
                }) => {
                    let reason = if *lapsed { "the offer lapsed" } else { "the applicant refused the award" };
                    vec![Reaction::Disarm(lapse), reverse(*scholarship, fact.id, reason.to_owned())]
                }
                _ => Vec::new(),
            })
        })
    }
}

fn reverse(scholarship: Uuid, application: Uuid, reason: String) -> Reaction {
    let command = ScholarshipCommand::ReverseSelection { application, reason: Stated(reason) };
    Issue::new(scholarship, AnyCommand::Scholarship(command), "reverse").into()
}

/// P-15, OPP-S3: a scholarship closes at its deadline.
pub(super) struct CloseAtDeadline;

impl Policy for CloseAtDeadline {
    fn name(&self) -> &'static str {
        "close_at_deadline"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["ScholarshipPublished", "DeadlineExtended", "ScholarshipClosed"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let timer = timer_id(self.name(), &[&fact.id.to_string()]);
            if let AnyEvent::Scholarship(ScholarshipEvent::ScholarshipClosed { .. }) = &fact.event {
                return Ok(vec![Reaction::Disarm(timer)]);
            }
            let scholarship = world.state::<Scholarship>(fact.id).await?.state;
            let close = ScholarshipCommand::CloseScholarship { reason: CloseReason::Deadline };
            Ok(scholarship
                .terms
                .iter()
                .map(|terms| {
                    Reaction::Arm(Timer {
                        id: timer,
                        due_at: terms.deadline,
                        aggregate: fact.id,
                        command: AnyCommand::Scholarship(close.clone()),
                    })
                })
                .collect())
        })
    }
}
