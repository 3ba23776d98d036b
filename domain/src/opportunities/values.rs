//! The terms of a scholarship, how they change, and the words for where scholarships and applications stand.

use std::collections::BTreeSet;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use strum::IntoStaticStr;
use uuid::Uuid;

use crate::kernel::{Money, Refused, RefusedBy, bounds, schemas};

use super::{Scholarship, ScholarshipRefusal};

/// The tag that lets a scholarship select before its deadline (OPP-S4). It is no interest.
pub const ROLLING: &str = "rolling";

/// Where in its life a scholarship is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ScholarshipStatus {
    /// It has no events.
    #[default]
    New,
    /// It is being written.
    Draft,
    /// Applications are taken within the window.
    Published,
    /// No more applications are taken.
    Closed,
    /// It is out of sight.
    Archived,
}

/// Why a scholarship was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// The deadline came.
    Deadline,
    /// Every award was given.
    Filled,
    /// It does not take place.
    Cancelled,
}

/// Where in its life an application is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ApplicationStatus {
    /// It has no events.
    #[default]
    New,
    /// It is being written.
    Draft,
    /// It was submitted.
    Submitted,
    /// It has a reviewer.
    UnderReview,
    /// It is on the short list.
    Shortlisted,
    /// An award is offered.
    Awarded,
    /// The award was accepted.
    Accepted,
    /// The award was refused, or lapsed.
    Refused,
    /// It was declined.
    Declined,
    /// It was withdrawn.
    Withdrawn,
}

impl ApplicationStatus {
    /// Submitted and not decided: it can be reviewed, selected, declined and withdrawn.
    pub fn is_under_consideration(self) -> bool {
        matches!(self, Self::Submitted | Self::UnderReview | Self::Shortlisted)
    }

    /// It can be awarded, or is: then a selection of it stands for something.
    pub fn honours_a_selection(self) -> bool {
        self.is_under_consideration() || matches!(self, Self::Awarded | Self::Accepted)
    }
}

/// What a scholarship offers, and to whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct ScholarshipTerms {
    /// The title, 1 to 200 characters.
    #[schemars(transform = schemas::text::<1, 200>)]
    pub title: String,
    /// What it is about, up to 20 000 characters.
    #[schemars(transform = schemas::text::<0, 20000>)]
    pub description: String,
    /// The org unit that gives it.
    pub sponsor: Uuid,
    /// One award.
    #[schemars(transform = schemas::money_from::<1>)]
    pub award: Money,
    /// How many awards there are, 1 to 10 000.
    #[schemars(transform = schemas::number::<1, 10_000>)]
    pub max_awards: u32,
    /// When applications open.
    #[schemars(transform = schemas::instant)]
    pub opens_at: Timestamp,
    /// The last instant at which an application may be submitted.
    #[schemars(transform = schemas::instant)]
    pub deadline: Timestamp,
    /// The grade point average asked for, in milli-points, 0 to 4000.
    #[serde(default)]
    #[schemars(transform = schemas::number::<0, 4000>)]
    pub min_gpa: Option<i32>,
    /// The majors asked for; none: any.
    #[schemars(transform = schemas::texts::<100, 200>)]
    pub majors: Vec<String>,
    /// The graduation years asked for; none: any.
    #[schemars(transform = schemas::numbers::<100, 1900, 2200>)]
    pub grad_years: Vec<i32>,
    /// Interests that it fosters; `rolling` lets it select before the deadline (OPP-S4).
    #[schemars(transform = schemas::texts::<100, 100>)]
    pub tags: Vec<String>,
    /// What applicants write about. An essay answers a prompt by its text.
    #[schemars(transform = schemas::texts::<20, 500>)]
    pub essay_prompts: Vec<String>,
    /// How many recommendations an application must have requested, 0 to 10.
    #[schemars(transform = schemas::number::<0, 10>)]
    pub recommendations_required: u32,
    /// Whether it can be given again in another year.
    pub renewable: bool,
}

/// A typed patch of [`ScholarshipTerms`]: what is left out stays; a `min_gpa` of null is lifted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields are those of the terms")]
pub struct ScholarshipChanges {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schemas::text::<1, 200>)]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schemas::text::<0, 20000>)]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sponsor: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schemas::money_from::<1>)]
    pub award: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schemas::number::<1, 10_000>)]
    pub max_awards: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "stated")]
    #[schemars(transform = schemas::number::<0, 4000>)]
    pub min_gpa: Option<Option<i32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schemas::texts::<100, 200>)]
    pub majors: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schemas::numbers::<100, 1900, 2200>)]
    pub grad_years: Option<Vec<i32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schemas::texts::<100, 100>)]
    pub tags: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schemas::texts::<20, 500>)]
    pub essay_prompts: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schemas::number::<0, 10>)]
    pub recommendations_required: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewable: Option<bool>,
}

/// Tells a stated null from a field that was left out.
fn stated<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<i32>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl ScholarshipChanges {
    /// Whether anything that applicants are judged by, or apply for, would change: all but the words (OPP-S2).
    pub fn touch_criteria(&self) -> bool {
        let words = ScholarshipChanges {
            title: self.title.clone(),
            description: self.description.clone(),
            ..ScholarshipChanges::default()
        };
        *self != words
    }
}

impl ScholarshipTerms {
    /// The terms with the changes made.
    pub fn with(&self, changes: &ScholarshipChanges) -> ScholarshipTerms {
        fn or<T: Clone>(change: &Option<T>, now: &T) -> T {
            change.as_ref().unwrap_or(now).clone()
        }
        ScholarshipTerms {
            title: or(&changes.title, &self.title),
            description: or(&changes.description, &self.description),
            sponsor: or(&changes.sponsor, &self.sponsor),
            award: or(&changes.award, &self.award),
            max_awards: or(&changes.max_awards, &self.max_awards),
            opens_at: or(&changes.opens_at, &self.opens_at),
            deadline: or(&changes.deadline, &self.deadline),
            min_gpa: or(&changes.min_gpa, &self.min_gpa),
            majors: or(&changes.majors, &self.majors),
            grad_years: or(&changes.grad_years, &self.grad_years),
            tags: or(&changes.tags, &self.tags),
            essay_prompts: or(&changes.essay_prompts, &self.essay_prompts),
            recommendations_required: or(&changes.recommendations_required, &self.recommendations_required),
            renewable: or(&changes.renewable, &self.renewable),
        }
    }

    /// `award × max_awards`: the fund before contributions (OPP-S1). Terms that were checked are in range.
    pub fn initial_fund(&self) -> Money {
        let most = Money::new(Money::LIMIT, self.award.ccy);
        self.award.times(i64::from(self.max_awards)).unwrap_or(most)
    }

    /// Whether selections may be made before the deadline (OPP-S4).
    pub fn is_rolling(&self) -> bool {
        self.tags.iter().any(|tag| tag == ROLLING)
    }

    /// Whether applications are taken at this instant, as far as the window tells (OPP-A2).
    pub fn window_contains(&self, instant: Timestamp) -> bool {
        (self.opens_at..=self.deadline).contains(&instant)
    }

    /// Holds every field to its bounds.
    pub(super) fn check(&self) -> Result<(), RefusedBy<Scholarship>> {
        bounds::text("title", &self.title, 1..=200)?;
        bounds::text("description", &self.description, 0..=bounds::LONG)?;
        if !self.award.is_positive() {
            return Err(ScholarshipRefusal::NonPositiveAward {}.into());
        }
        bounds::number("max_awards", self.max_awards.into(), 1..=10_000)?;
        if self.award.times(self.max_awards.into()).is_err() {
            return Err(Refused::invalid("award", "the fund would be out of range"));
        }
        bounds::instant("opens_at", self.opens_at)?;
        bounds::instant("deadline", self.deadline)?;
        if self.deadline <= self.opens_at {
            return Err(ScholarshipRefusal::DeadlineBeforeOpening {}.into());
        }
        bounds::number("min_gpa", self.min_gpa.unwrap_or_default().into(), 0..=4000)?;
        bounds::texts("majors", &self.majors, 100, 200)?;
        bounds::count("grad_years", self.grad_years.len(), 100)?;
        for year in &self.grad_years {
            bounds::number("grad_years", i64::from(*year), 1900..=2200)?;
        }
        bounds::texts("tags", &self.tags, 100, 100)?;
        bounds::texts("essay_prompts", &self.essay_prompts, 20, 500)?;
        if self.essay_prompts.iter().collect::<BTreeSet<_>>().len() < self.essay_prompts.len() {
            return Err(Refused::invalid("essay_prompts", "a prompt stands there twice"));
        }
        bounds::number("recommendations_required", self.recommendations_required.into(), 0..=10)
    }
}
