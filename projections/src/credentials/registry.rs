//! R-25 `credentials`: the registry of micro-credentials, with what learners can do afterwards and what they need
//! beforehand. For everybody; what is not published yet is for those who write credentials of its institution.

use domain::{
    Actor, Money,
    credentials::{
        BloomLevel, CredentialChanges, CredentialLevel, CredentialStatus, CredentialType, Delivery,
        MicroCredentialEvent as E, OutcomeCategory, PrerequisiteKind,
    },
    registry::AnyEvent,
};
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::Filter,
    row,
    row::Json,
    table::{Analysts, Options, Table},
    words,
};

words!(CredentialStatus, CredentialType, CredentialLevel, Delivery);

/// What a learner can do afterwards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LearningOutcome {
    /// The outcome.
    pub outcome: Uuid,
    /// The statement.
    pub text: String,
    /// Whether the credential stands on it.
    pub core: bool,
    /// Its place among the others.
    pub order: u32,
    /// How it was classified, once it was.
    pub class: Option<OutcomeClass>,
}

/// How an outcome was classified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OutcomeClass {
    /// Its level of Bloom's taxonomy.
    pub bloom: BloomLevel,
    /// What it adds to the learner.
    pub category: OutcomeCategory,
    /// Words for it.
    pub keywords: Vec<String>,
    /// Who classified: `human`, or the name and version of an engine.
    pub engine: String,
    /// How sure that is, in basis points.
    pub confidence: i32,
}

/// What is required beforehand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Prerequisite {
    /// The prerequisite.
    pub prerequisite: Uuid,
    /// What kind of thing is required.
    pub kind: PrerequisiteKind,
    /// What is required, in words.
    pub text: String,
    /// The credential that is required, where it is one of the registry.
    pub credential: Option<Uuid>,
    /// Whether nobody is let in without.
    pub mandatory: bool,
}

row! {
    /// A micro-credential.
    pub struct CredentialRow {
        key {
            /// The credential.
            id: Uuid => open,
        }
        columns {
            /// The unique code.
            program_code: String => filter sort index open,
            /// The title.
            title: String => sort open,
            /// What it is about.
            description: String,
            /// The title, the description and the outcomes, to be searched.
            text: String => search,
            /// The institution that issues it.
            institution: Uuid => filter index open,
            /// What kind of credential it is.
            r#type: CredentialType => filter open,
            /// Where in its life it is.
            status: CredentialStatus => filter open,
            /// How advanced it is.
            level: CredentialLevel => filter open,
            /// How it is taught.
            delivery: Delivery => filter open,
            /// The learner's hours.
            hours: u32 => filter sort open,
            /// The credits, in thousandths.
            credits: Option<i32> => filter sort open,
            /// What it costs.
            cost: Option<Money>,
            /// The language that it is taught in, a BCP 47 tag.
            language: String => filter open,
            /// How learners are assessed.
            assessment: Option<String>,
            /// What learners can do afterwards, in order.
            outcomes: Json<Vec<LearningOutcome>>,
            /// What is required beforehand.
            prerequisites: Json<Vec<Prerequisite>>,
            /// The credentials that are required beforehand.
            requires: Vec<Uuid> => filter index,
            /// From which day it is offered.
            effective: Option<Date> => filter open,
            /// The first day on which it is no longer offered.
            expires: Option<Date> => filter open,
            /// When it is to be looked at again.
            next_review: Option<Date> => filter,
            /// The credential that it takes the place of.
            supersedes: Option<Uuid> => filter open,
        }
    }
}

///
pub struct Credentials;

impl Table for Credentials {
    const NAME: &'static str = "credentials";
    const VERSION: u32 = 1;
    const FED_BY: &'static [&'static str] = &["credentials.micro_credential"];
    const OPTIONS: Options = Options {
        about_people: false,
        sort: &["program_code"],
        resource: Some(("credentials.micro_credential", "id")),
        analysts: Analysts::Rows,
        ..Options::DEFAULT
    };
    type Row = CredentialRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(key: &Uuid, row: Option<CredentialRow>, fact: &Fact) -> Option<CredentialRow> {
        let AnyEvent::MicroCredential(event) = &fact.event else { return row };
        let E::CredentialDrafted {
            program_code,
            title,
            description,
            institution,
            r#type,
            delivery,
            hours,
            credits,
            level,
            cost,
            language,
            assessment,
        } = event
        else {
            return row.map(|row| changed(row, event));
        };
        let mut row = CredentialRow {
            id: *key,
            program_code: program_code.clone(),
            title: title.clone(),
            description: description.clone(),
            text: String::new(),
            institution: *institution,
            r#type: *r#type,
            status: CredentialStatus::Draft,
            level: *level,
            delivery: *delivery,
            hours: *hours,
            credits: credits.map(|credits| credits.0),
            cost: *cost,
            language: language.clone(),
            assessment: assessment.clone(),
            outcomes: Json(Vec::new()),
            prerequisites: Json(Vec::new()),
            requires: Vec::new(),
            effective: None,
            expires: None,
            next_review: None,
            supersedes: None,
        };
        row.index();
        Some(row)
    }

    fn visible(actor: &Actor) -> Filter {
        // Who earned an archived credential still shows it.
        let known = ["published", "archived"].map(Into::into).to_vec();
        (Filter::all_with(actor, "read:public").and(Filter::In("status", known))).or(Filter::within(
            actor,
            "write:credentials",
            "institution",
        ))
    }
}

impl CredentialRow {
    /// Makes anew what is searched.
    fn index(&mut self) {
        let outcomes = self.outcomes.0.iter().map(|outcome| outcome.text.as_str());
        let texts: Vec<&str> = [self.title.as_str(), &self.description].into_iter().chain(outcomes).collect();
        self.text = texts.join("\n");
    }

    fn state_outcome(&mut self, outcome: Uuid, text: &str, core: bool, order: u32) {
        let all = &mut self.outcomes.0;
        let known = all.iter().position(|known| known.outcome == outcome).map(|index| all.remove(index));
        let class = known.and_then(|known| known.class);
        all.push(LearningOutcome { outcome, text: text.to_owned(), core, order, class });
        all.sort_by_key(|outcome| (outcome.order, outcome.outcome));
        self.index();
    }

    fn list_requirements(&mut self) {
        self.requires = self.prerequisites.0.iter().filter_map(|required| required.credential).collect();
    }

    fn revise(&mut self, changes: &CredentialChanges) {
        fn set<T: Clone>(field: &mut T, change: &Option<T>) {
            if let Some(change) = change {
                field.clone_from(change);
            }
        }
        let CredentialChanges {
            program_code,
            title,
            description,
            r#type,
            delivery,
            hours,
            credits,
            level,
            cost,
            language,
            assessment,
            supersedes,
        } = changes;
        set(&mut self.program_code, program_code);
        set(&mut self.title, title);
        set(&mut self.description, description);
        set(&mut self.r#type, r#type);
        set(&mut self.delivery, delivery);
        set(&mut self.hours, hours);
        self.credits = credits.map(|credits| credits.0).or(self.credits);
        set(&mut self.level, level);
        self.cost = cost.or(self.cost);
        set(&mut self.language, language);
        self.assessment = assessment.clone().or(self.assessment.take());
        self.supersedes = supersedes.or(self.supersedes);
        self.index();
    }
}

fn changed(mut row: CredentialRow, event: &E) -> CredentialRow {
    match event {
        E::CredentialDrafted { .. } => {}
        E::CredentialRevised { changes, freed_program_code: _ } => row.revise(changes),
        E::LearningOutcomeAdded { outcome, text, core, order }
        | E::LearningOutcomeRevised { outcome, text, core, order } => {
            row.state_outcome(*outcome, text, *core, *order);
        }
        E::LearningOutcomeRemoved { outcome } => {
            row.outcomes.0.retain(|known| known.outcome != *outcome);
            row.index();
        }
        E::OutcomeClassified { outcome, bloom, category, keywords, engine, confidence } => {
            let known = row.outcomes.0.iter_mut().find(|known| known.outcome == *outcome);
            if let Some(known) = known {
                known.class = Some(OutcomeClass {
                    bloom: *bloom,
                    category: *category,
                    keywords: keywords.clone(),
                    engine: engine.clone(),
                    confidence: confidence.0,
                });
            }
        }
        E::PrerequisiteAdded { prerequisite, kind, text, credential, mandatory } => {
            row.prerequisites.0.push(Prerequisite {
                prerequisite: *prerequisite,
                kind: *kind,
                text: text.clone(),
                credential: *credential,
                mandatory: *mandatory,
            });
            row.list_requirements();
        }
        E::PrerequisiteRemoved { prerequisite } => {
            row.prerequisites.0.retain(|required| required.prerequisite != *prerequisite);
            row.list_requirements();
        }
        E::CredentialSubmittedForReview { submitted_by: _ } => row.status = CredentialStatus::UnderReview,
        E::CredentialReturned { reason: _ } => row.status = CredentialStatus::Draft,
        E::CredentialPublished {
            effective,
            expires,
            next_review,
            institution: _,
            program_code: _,
            title: _,
            r#type: _,
            credits: _,
        } => {
            row.status = CredentialStatus::Published;
            row.effective = Some(*effective);
            row.expires = *expires;
            row.next_review = *next_review;
        }
        E::CredentialArchived { reason: _ } => row.status = CredentialStatus::Archived,
    }
    row
}

#[cfg(test)]
mod tests {
    use domain::{BasisPoints, RoleGrant, credentials::MilliCredits};

    use super::*;
    use crate::testing::given;

    const DATA: Uuid = Uuid::from_u128(1);
    const PSU: Uuid = Uuid::from_u128(2);
    const READS: Uuid = Uuid::from_u128(3);
    const WRITES: Uuid = Uuid::from_u128(4);

    fn drafted() -> E {
        E::CredentialDrafted {
            program_code: "DATA-1".into(),
            title: "Data literacy".into(),
            description: "Reading figures".into(),
            institution: PSU,
            r#type: CredentialType::MicroCredential,
            delivery: Delivery::Online,
            hours: 30,
            credits: Some(MilliCredits(1000)),
            level: CredentialLevel::Introductory,
            cost: None,
            language: "en".into(),
            assessment: None,
        }
    }

    fn added(outcome: Uuid, text: &str, order: u32) -> E {
        E::LearningOutcomeAdded { outcome, text: text.into(), core: true, order }
    }

    fn folded<const N: usize>(events: [E; N]) -> CredentialRow {
        let events = events.map(|event| (DATA, AnyEvent::MicroCredential(event)));
        given::<Credentials>(events).rows().remove(0)
    }

    #[test]
    fn outcomes_stand_in_their_order_and_can_be_searched() {
        let row = folded([drafted(), added(WRITES, "Writes charts", 2), added(READS, "Reads charts", 1)]);
        assert_eq!(row.outcomes.0.iter().map(|outcome| outcome.outcome).collect::<Vec<_>>(), [READS, WRITES]);
        assert_eq!(row.text, "Data literacy\nReading figures\nReads charts\nWrites charts");
    }

    #[test]
    fn a_classification_stays_when_the_outcome_is_stated_anew() {
        let classified = E::OutcomeClassified {
            outcome: READS,
            bloom: BloomLevel::Understand,
            category: OutcomeCategory::Skills,
            keywords: vec!["charts".into()],
            engine: "human".into(),
            confidence: BasisPoints::WHOLE,
        };
        let revised =
            E::LearningOutcomeRevised { outcome: READS, text: "Reads maps".into(), core: false, order: 3 };
        let row = folded([drafted(), added(READS, "Reads charts", 1), classified, revised]);
        let outcome = &row.outcomes.0[0];
        assert_eq!((outcome.text.as_str(), outcome.core, outcome.order), ("Reads maps", false, 3));
        assert_eq!(outcome.class.as_ref().map(|class| class.bloom), Some(BloomLevel::Understand));
    }

    #[test]
    fn what_is_removed_is_no_longer_found() {
        let row = folded([drafted(), added(READS, "Reads", 1), E::LearningOutcomeRemoved { outcome: READS }]);
        assert_eq!((row.outcomes.0.len(), row.text.as_str()), (0, "Data literacy\nReading figures"));
    }

    #[test]
    fn the_credentials_that_are_required_are_listed() {
        let required = |prerequisite: u128, credential| E::PrerequisiteAdded {
            prerequisite: Uuid::from_u128(prerequisite),
            kind: PrerequisiteKind::Certification,
            text: "Before".into(),
            credential,
            mandatory: true,
        };
        let other = Uuid::from_u128(9);
        let all = [drafted(), required(21, Some(other)), required(22, None)];
        assert_eq!(folded(all).requires, [other]);
        let removed = E::PrerequisiteRemoved { prerequisite: Uuid::from_u128(21) };
        let row = folded([drafted(), required(21, Some(other)), required(22, None), removed]);
        assert_eq!((row.requires, row.prerequisites.0.len()), (Vec::new(), 1));
    }

    #[test]
    fn a_revision_changes_only_what_it_states() {
        let changes = CredentialChanges {
            title: Some("Data fluency".into()),
            supersedes: Some(Uuid::from_u128(8)),
            ..CredentialChanges::default()
        };
        let row = folded([drafted(), E::CredentialRevised { changes, freed_program_code: None }]);
        assert_eq!(
            row,
            CredentialRow {
                title: "Data fluency".into(),
                text: "Data fluency\nReading figures".into(),
                supersedes: Some(Uuid::from_u128(8)),
                ..folded([drafted()])
            }
        );
    }

    #[test]
    fn it_is_reviewed_published_and_archived() {
        let day = jiff::civil::date(2026, 3, 1);
        let submitted = || E::CredentialSubmittedForReview { submitted_by: None };
        assert_eq!(folded([drafted(), submitted()]).status, CredentialStatus::UnderReview);
        let returned = E::CredentialReturned { reason: "too short".into() };
        assert_eq!(folded([drafted(), submitted(), returned]).status, CredentialStatus::Draft);
        let published = || E::CredentialPublished {
            effective: day,
            expires: None,
            next_review: None,
            institution: PSU,
            program_code: "DATA-1".into(),
            title: "Data literacy".into(),
            r#type: CredentialType::MicroCredential,
            credits: None,
        };
        let row = folded([drafted(), submitted(), published()]);
        assert_eq!((row.status, row.effective), (CredentialStatus::Published, Some(day)));
        let archived = E::CredentialArchived { reason: "old".into() };
        assert_eq!(folded([drafted(), published(), archived]).status, CredentialStatus::Archived);
    }

    #[test]
    fn drafts_are_for_those_who_write_credentials_of_the_institution() {
        let known = Filter::In("status", vec!["published".into(), "archived".into()]);
        let grant = RoleGrant { role: "program_coordinator".into(), within: Some(PSU) };
        let coordinator = Credentials::visible(&Actor::with_roles(Uuid::from_u128(7), vec![grant]));
        assert_eq!(coordinator, known.or(Filter::Below("institution", vec![PSU])));
        assert_eq!(Credentials::visible(&Actor::user(Uuid::from_u128(7), &["admin"])), Filter::All);
    }
}
