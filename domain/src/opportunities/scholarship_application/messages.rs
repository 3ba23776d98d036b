//! What can be asked of an application, what can have happened to it, and why a command was refused.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use crate::kernel::{
    BasisPoints, Event, Money, Personal, Refusal, RefusalKind, Stated, Upcaster,
    class::{Communication, Education, Identity, SecurityLog},
    schemas, withheld,
};

/// What a reviewer recommends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum ReviewRecommendation {
    Award,
    Shortlist,
    Decline,
}

/// Why somebody should not review an application (OPP-A7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum ConflictRelation {
    Relative,
    Mentor,
    Recommender,
    Other,
}

/// What can be asked of an application.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum ScholarshipApplicationCommand {
    /// Starts an application, while the scholarship is open.
    StartApplication {
        /// The scholarship.
        scholarship: Uuid,
        /// Who applies.
        applicant: Uuid,
    },
    /// Saves the draft, all anew.
    SaveApplicationDraft {
        /// The essays, by the text of the prompt that they answer; each up to 20 000 characters.
        #[schemars(transform = schemas::text_map::<100, 20000>)]
        essays: Stated<BTreeMap<String, String>>,
        /// Up to 100 documents.
        #[schemars(transform = schemas::count::<100>)]
        documents: Vec<Uuid>,
        /// Further answers, by question.
        #[serde(default)]
        #[schemars(transform = schemas::text_map::<100, 20000>)]
        answers: Option<Stated<BTreeMap<String, String>>>,
    },
    /// Asks somebody for a recommendation, up to 10 times. The recommender is mailed a link that lives until the
    /// deadline (OPP-A5).
    RequestRecommendation {
        /// A new id for the request.
        request: Uuid,
        /// The recommender's e-mail address.
        #[schemars(transform = schemas::email)]
        recommender_email: Stated<String>,
        /// A message to the recommender, up to 2000 characters.
        #[serde(default)]
        #[schemars(transform = schemas::text::<0, 2000>)]
        message: Option<Stated<String>>,
    },
    /// Attaches a recommendation. The token, not the account, is what allows it; it is good for one time.
    AttachRecommendation {
        /// The request.
        request: Uuid,
        /// The token of the link.
        token: Stated<String>,
        /// The recommendation.
        document: Uuid,
    },
    /// Submits the application (OPP-A2).
    SubmitApplication {
        /// That all of it is true; nothing else can be submitted.
        #[schemars(transform = schemas::yes)]
        declaration: bool,
        /// The accounts of relatives who might be asked to review; none of them will be (OPP-A7). At most 20.
        #[serde(default)]
        #[schemars(transform = schemas::count::<20>)]
        relatives: Option<Stated<Vec<Uuid>>>,
    },
    /// Records how well the applicant fits (OPP-A4).
    #[schemars(extend("x-system" = true))]
    RecordMatchScore {
        /// The decision that explains the score; recording it again changes nothing.
        decision: Uuid,
        /// The score.
        score: BasisPoints,
        /// The components of the score.
        components: BTreeMap<String, BasisPoints>,
        /// The engine and its version, such as `rules/match@1`.
        engine: String,
        /// The model, where one was used.
        #[serde(default)]
        model: Option<Uuid>,
    },
    /// Withdraws the application; another one may be started.
    WithdrawApplication {
        /// Why.
        #[serde(default)]
        #[schemars(transform = schemas::text::<0, 2000>)]
        reason: Option<Stated<String>>,
    },
    /// Assigns a reviewer; assigning one again changes nothing.
    AssignReviewer {
        /// The reviewer.
        reviewer: Uuid,
    },
    /// Declares that somebody is too close to the applicant to review the application (OPP-A7): the applicant and those
    /// who manage scholarships of anybody, a reviewer of themselves. Whoever was assigned is no reviewer any more, and
    /// what they said no longer counts. Declaring it again changes nothing.
    DeclareConflict {
        /// Who should not review it; not the applicant, who never does.
        person: Uuid,
        /// How the two are related.
        relation: Stated<ConflictRelation>,
    },
    /// Records a review; a later one of the same reviewer replaces it.
    RecordReview {
        /// The reviewer, who must be the one that acts.
        reviewer: Uuid,
        /// Marks by criterion, in hundredths of a point, 0 to 10000 each.
        #[schemars(transform = schemas::number_map::<20, 0, 10_000>)]
        scores: BTreeMap<String, i32>,
        /// Up to 20 000 characters.
        #[serde(default)]
        #[schemars(transform = schemas::text::<0, 20000>)]
        comment: Option<Stated<String>>,
        /// What the reviewer recommends.
        recommendation: ReviewRecommendation,
    },
    /// Puts the application on the short list.
    ShortlistApplication {},
    /// Records that the scholarship selected the application; recording it again changes nothing.
    #[schemars(extend("x-system" = true))]
    RecordAward {
        /// What is awarded.
        amount: Money,
    },
    /// Declines the application.
    DeclineApplication {
        /// Why, 1 to 2000 characters.
        #[schemars(transform = schemas::text::<1, 2000>)]
        reason: Stated<String>,
    },
    /// Accepts the award, within 14 days (OPP-A6).
    AcceptAward {},
    /// Refuses the award. Issued by the clock it lets the offer lapse (OPP-A6).
    RefuseAward {
        /// Why.
        #[serde(default)]
        #[schemars(transform = schemas::text::<0, 2000>)]
        reason: Option<Stated<String>>,
    },
}

/// What can have happened to an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum ScholarshipApplicationEvent {
    /// It was started.
    ApplicationStarted { scholarship: Uuid, applicant: Uuid },
    /// A draft was saved; `progress` is the share of essays and recommendations that are there.
    ApplicationDraftSaved {
        essays: Personal<BTreeMap<String, String>, Education>,
        documents: Vec<Uuid>,
        answers: Option<Personal<BTreeMap<String, String>, Education>>,
        progress: BasisPoints,
    },
    /// A recommendation was asked for. The address is sealed for the recommender, the hash under a one-off key.
    RecommendationRequested {
        request: Uuid,
        recommender_email: Personal<String, Identity>,
        message: Option<Personal<String, Communication>>,
        token_hash: Personal<String, SecurityLog>,
        expires_at: Timestamp,
        /// The share of essays and recommendations that are there with this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        progress: Option<BasisPoints>,
    },
    /// A recommendation was attached; `recommender` is the account, where its holder was signed in.
    RecommendationAttached { request: Uuid, document: Uuid, recommender: Option<Uuid> },
    /// It was submitted, with a snapshot of the profile facts used (OPP-A3).
    ScholarshipApplicationSubmitted {
        scholarship: Uuid,
        applicant: Uuid,
        gpa: Option<Personal<i32, Education>>,
        major: Option<Personal<String, Education>>,
        grad_year: Option<Personal<i32, Education>>,
        interests: Option<Personal<Vec<String>, Education>>,
        relatives: Option<Personal<Vec<Uuid>, Education>>,
        submitted_at: Timestamp,
        /// The version of the profile that the facts are of; not known of what was submitted before this was kept.
        profile_version: Option<u64>,
    },
    /// The match score was recorded.
    ApplicationMatchScored {
        decision: Uuid,
        score: BasisPoints,
        components: BTreeMap<String, BasisPoints>,
        engine: String,
        model: Option<Uuid>,
    },
    /// It was withdrawn.
    ApplicationWithdrawn { reason: Option<Personal<String, Education>>, scholarship: Uuid, applicant: Uuid },
    /// A reviewer was assigned.
    ReviewerAssigned { reviewer: Uuid },
    /// Somebody was declared to be too close to the applicant.
    ConflictDeclared { person: Personal<Uuid, Education>, relation: Personal<ConflictRelation, Education> },
    /// A reviewer is none any more, because of such a declaration; what they said of it no longer counts.
    ReviewerWithdrawn { reviewer: Uuid },
    /// A review was recorded.
    ApplicationReviewed {
        reviewer: Uuid,
        scores: BTreeMap<String, i32>,
        comment: Option<Personal<String, Education>>,
        recommendation: ReviewRecommendation,
    },
    /// It was put on the short list.
    ApplicationShortlisted {},
    /// An award is offered, until 14 days after `awarded_at`.
    ScholarshipAwarded { amount: Money, scholarship: Uuid, applicant: Uuid, awarded_at: Timestamp },
    /// It was declined.
    ApplicationDeclined { reason: Personal<String, Education> },
    /// The award was accepted.
    AwardAccepted { scholarship: Uuid, applicant: Uuid },
    /// The award was refused, or lapsed.
    AwardRefused { reason: Option<Personal<String, Education>>, lapsed: bool, scholarship: Uuid },
}

impl Event for ScholarshipApplicationEvent {
    const UPCASTERS: &'static [Upcaster] = &[
        Upcaster {
            event_type: "ApplicationWithdrawn",
            from: 1,
            step: |fields| withheld(fields, &["reason"]),
        },
        Upcaster { event_type: "ApplicationDeclined", from: 1, step: |fields| withheld(fields, &["reason"]) },
    ];

    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ScholarshipApplicationRefusal {
    #[error("the applicant has applied for this scholarship already")]
    AlreadyApplied {},
    #[error("there is no such scholarship")]
    UnknownScholarship {},
    #[error("the scholarship takes no applications now")]
    NotOpen {},
    #[error("at most {most} recommendations may be asked for")]
    TooMany { most: usize },
    #[error("the token is not valid")]
    TokenInvalid {},
    #[error("the deadline has passed")]
    DeadlinePassed { deadline: Timestamp },
    #[error("the application is not complete")]
    Incomplete {
        /// The prompts without an essay.
        prompts: Vec<String>,
        /// How many recommendations are still to be asked for.
        recommendations: u32,
    },
    #[error("only students and alumni can apply, as their profile tells")]
    NotEligible {},
    #[error("the reviewer is too close to the applicant")]
    ConflictOfInterest {},
    #[error("the reviewer is not assigned")]
    NotAssigned {},
    #[error("a mark is not within 0 and 10000")]
    OutOfRange { criterion: String },
    #[error("the scholarship has not selected the application for this amount")]
    NotSelected {},
    #[error("the offer has lapsed")]
    OfferExpired { expired_at: Timestamp },
    #[error("the offer was taken back")]
    OfferReversed {},
}

impl Refusal for ScholarshipApplicationRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        use ScholarshipApplicationRefusal as R;
        match self {
            R::UnknownScholarship {} => RefusalKind::NotFound,
            R::TokenInvalid {} => RefusalKind::Forbidden,
            R::OutOfRange { .. } => RefusalKind::Invalid,
            R::AlreadyApplied {}
            | R::NotOpen {}
            | R::TooMany { .. }
            | R::DeadlinePassed { .. }
            | R::Incomplete { .. }
            | R::NotEligible {}
            | R::ConflictOfInterest {}
            | R::NotAssigned {}
            | R::NotSelected {}
            | R::OfferExpired { .. }
            | R::OfferReversed {} => RefusalKind::Conflict,
        }
    }
    fn field(&self) -> Option<&'static str> {
        use ScholarshipApplicationRefusal as R;
        match self {
            R::UnknownScholarship {} => Some("scholarship"),
            R::TokenInvalid {} => Some("token"),
            R::OutOfRange { .. } => Some("scores"),
            R::ConflictOfInterest {} | R::NotAssigned {} => Some("reviewer"),
            R::NotSelected {} => Some("amount"),
            R::AlreadyApplied {}
            | R::NotOpen {}
            | R::TooMany { .. }
            | R::DeadlinePassed { .. }
            | R::Incomplete { .. }
            | R::NotEligible {}
            | R::OfferExpired { .. }
            | R::OfferReversed {} => None,
        }
    }
}
