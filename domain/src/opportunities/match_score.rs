//! The match score: how well a person fits a scholarship (catalogue OPP-A4), as a pure function.
//!
//! At most 10000 bp: major in the list 3000, `gpa ≥ min_gpa` 2500, graduation year in the list 2000, interests 500 for
//! each shared tag up to 2500. A criterion that the scholarship does not have grants its points; a fact that the person
//! does not state, or that was erased, grants none. Majors and tags are compared without regard to case and outer blanks.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::kernel::{BasisPoints, Personal};

use super::{ApplicantSnapshot, ROLLING, ScholarshipTerms};

/// The engine that these rules are, with its version. Other rules are another version.
pub const MATCH_ENGINE: &str = "rules/match@1";

/// What is known of a person.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MatchFacts {
    /// The grade point average, in milli-points.
    pub gpa: Option<i32>,
    /// The major.
    pub major: Option<String>,
    /// The graduation year.
    pub grad_year: Option<i32>,
    /// What the person is interested in.
    pub interests: Vec<String>,
}

impl From<&ApplicantSnapshot> for MatchFacts {
    fn from(snapshot: &ApplicantSnapshot) -> Self {
        MatchFacts {
            gpa: snapshot.gpa.as_ref().and_then(Personal::get).copied(),
            major: snapshot.major.as_ref().and_then(Personal::get).cloned(),
            grad_year: snapshot.grad_year.as_ref().and_then(Personal::get).copied(),
            interests: snapshot.interests.as_ref().and_then(Personal::get).cloned().unwrap_or_default(),
        }
    }
}

/// The components of a score, in basis points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MatchScore {
    /// 3000 for a major in the list.
    pub major: BasisPoints,
    /// 2500 for a grade point average that is high enough.
    pub gpa: BasisPoints,
    /// 2000 for a graduation year in the list.
    pub grad_year: BasisPoints,
    /// 500 for each shared tag, up to 2500.
    pub interests: BasisPoints,
}

impl MatchScore {
    /// The score, 0 to 10000: the sum of the components.
    pub fn total(&self) -> BasisPoints {
        BasisPoints(self.components().values().map(|points| points.0).sum())
    }

    /// The components by name, as they are stored with the score.
    pub fn components(&self) -> BTreeMap<String, BasisPoints> {
        let named = [
            ("major", self.major),
            ("gpa", self.gpa),
            ("grad_year", self.grad_year),
            ("interests", self.interests),
        ];
        named.into_iter().map(|(name, points)| (name.to_owned(), points)).collect()
    }
}

/// OPP-A4.
pub fn match_score(terms: &ScholarshipTerms, person: &MatchFacts) -> MatchScore {
    let granted = |points, grants: bool| BasisPoints(if grants { points } else { 0 });
    let majors: BTreeSet<String> = terms.majors.iter().map(|major| folded(major)).collect();
    let tags: BTreeSet<String> =
        terms.tags.iter().filter(|tag| *tag != ROLLING).map(|tag| folded(tag)).collect();
    let interests: BTreeSet<String> = person.interests.iter().map(|interest| folded(interest)).collect();
    let shared = i32::try_from(tags.intersection(&interests).count()).unwrap_or(i32::MAX);
    MatchScore {
        major: granted(
            3000,
            majors.is_empty() || person.major.as_deref().is_some_and(|major| majors.contains(&folded(major))),
        ),
        gpa: granted(2500, terms.min_gpa.is_none_or(|least| person.gpa.is_some_and(|gpa| gpa >= least))),
        grad_year: granted(
            2000,
            terms.grad_years.is_empty()
                || person.grad_year.is_some_and(|year| terms.grad_years.contains(&year)),
        ),
        interests: if tags.is_empty() {
            BasisPoints(2500)
        } else {
            BasisPoints(shared.saturating_mul(500).min(2500))
        },
    }
}

fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::opportunities::samples::terms;

    fn fitting() -> MatchFacts {
        MatchFacts {
            gpa: Some(3000),
            major: Some(" computer SCIENCE".into()),
            grad_year: Some(2027),
            interests: vec!["Robotics".into(), "robotics ".into(), "chess".into()],
        }
    }

    #[test]
    fn opp_a4_each_criterion_that_is_met_grants_its_points() {
        let score = match_score(&terms(), &fitting());
        assert_eq!(
            (score.major.0, score.gpa.0, score.grad_year.0, score.interests.0),
            (3000, 2500, 2000, 500),
            "one tag is shared, however often it is stated"
        );
        assert_eq!(match_score(&terms(), &MatchFacts { gpa: Some(2999), ..fitting() }).gpa, BasisPoints(0));
    }

    #[test]
    fn opp_a4_an_absent_criterion_grants_its_points_and_an_absent_fact_grants_none() {
        let open = ScholarshipTerms {
            majors: Vec::new(),
            min_gpa: None,
            grad_years: Vec::new(),
            tags: vec![ROLLING.into()],
            ..terms()
        };
        assert_eq!(match_score(&open, &MatchFacts::default()).total(), BasisPoints::WHOLE);
        assert_eq!(match_score(&terms(), &MatchFacts::default()).total(), BasisPoints(0));
    }

    #[test]
    fn opp_a4_five_shared_tags_are_as_good_as_six() {
        let tags: Vec<String> = ["a", "b", "c", "d", "e", "f"].map(str::to_owned).into();
        let scholarship = ScholarshipTerms { tags: tags.clone(), ..terms() };
        let shared = |count: usize| {
            let interests = tags[..count].to_vec();
            match_score(&scholarship, &MatchFacts { interests, ..MatchFacts::default() }).interests.0
        };
        assert_eq!((shared(4), shared(5), shared(6)), (2000, 2500, 2500));
    }

    prop_compose! {
        fn any_terms()(
            min_gpa in prop::option::of(0..=4000i32),
            majors in prop::collection::vec("[a-c]", 0..3),
            grad_years in prop::collection::vec(2026..2029i32, 0..3),
            tags in prop::collection::vec("[a-h]|rolling", 0..9),
        ) -> ScholarshipTerms {
            ScholarshipTerms { min_gpa, majors, grad_years, tags, ..terms() }
        }
    }

    prop_compose! {
        fn anybody()(
            gpa in prop::option::of(0..=4000i32),
            major in prop::option::of("[a-c]"),
            grad_year in prop::option::of(2026..2029i32),
            interests in prop::collection::vec("[a-h]", 0..9),
        ) -> MatchFacts {
            MatchFacts { gpa, major, grad_year, interests }
        }
    }

    proptest! {
        #[test]
        fn the_score_is_the_sum_of_its_components_and_within_the_whole(
            terms in any_terms(), person in anybody(),
        ) {
            let score = match_score(&terms, &person);
            let sum: i32 = score.components().values().map(|points| points.0).sum();
            prop_assert_eq!(score.total().0, sum);
            prop_assert!(score.total().is_share());
        }

        #[test]
        fn a_fact_that_was_erased_never_raises_the_score(terms in any_terms(), person in anybody()) {
            let whole = match_score(&terms, &person).total();
            let erased = match_score(&terms, &MatchFacts::default()).total();
            prop_assert!(erased <= whole);
            let ungraded = match_score(&terms, &MatchFacts { gpa: None, ..person }).total();
            prop_assert!(ungraded <= whole);
        }
    }
}
