//! R-07 `profiles`: all that a person's profile holds, for that person alone: what they tell in the directory, and what
//! nobody else gets from there: numbers, marks, addresses, demographics (IDN-R2), preferences.

use std::collections::BTreeMap;

use domain::{
    Actor, Currency, Personal,
    class::{Education, Profile, Sensitive},
    identity::{FacetSource, ProfileEvent as E},
    registry::AnyEvent,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::people::told;
use crate::{
    fact::Fact,
    filter::Filter,
    row,
    table::{Options, Table},
    words,
};

words!(FacetSource);

/// Language, money, time zone and looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Preferences {
    /// A BCP 47 language tag.
    pub locale: String,
    /// The currency.
    pub currency: Currency,
    /// An IANA time zone.
    pub tz: String,
    /// The theme of the user interface.
    pub theme: Option<String>,
    /// Aids to perception.
    pub accessibility: Option<BTreeMap<String, String>>,
}

row! {
    /// All that a person's profile holds. What was cleared is an empty text or list.
    pub struct ProfileRow {
        key {
            /// The account.
            account: Uuid,
        }
        columns {
            /// The document that is the picture.
            photo: Option<Uuid>,
            /// Who reported the facts of the student.
            student_source: Option<FacetSource>,
            /// For how many people at once the person offers to be a mentor, while that stands.
            mentor_capacity: Option<u32>,
            /// The consent ledger in which the consent to the demographics stands.
            demographics_consent: Option<Uuid>,
        }
        personal {
            /// The name to show.
            display_name: Option<Personal<String, Profile>>,
            /// The given name.
            given_name: Option<Personal<String, Profile>>,
            /// The family name.
            family_name: Option<Personal<String, Profile>>,
            /// One line.
            headline: Option<Personal<String, Profile>>,
            /// The biography.
            bio: Option<Personal<String, Profile>>,
            /// The phone number, E.164.
            phone: Option<Personal<String, Profile>>,
            /// What the person can do.
            skills: Option<Personal<Vec<String>, Profile>>,
            /// What the person is interested in.
            interests: Option<Personal<Vec<String>, Profile>>,
            /// The student number.
            student_no: Option<Personal<String, Education>>,
            /// The major.
            major: Option<Personal<String, Education>>,
            /// The graduation year.
            grad_year: Option<Personal<i32, Education>>,
            /// The grade point average, in milli-points.
            gpa: Option<Personal<i32, Education>>,
            /// The class room.
            classroom: Option<Personal<String, Education>>,
            /// The address of the LinkedIn page.
            linkedin: Option<Personal<String, Profile>>,
            /// What the person offers to be a mentor on, while that stands.
            mentor_topics: Option<Personal<Vec<String>, Profile>>,
            /// When, by weekday or date.
            mentor_availability: Option<Personal<BTreeMap<String, String>, Profile>>,
            /// The research of an advisor.
            research: Option<Personal<String, Profile>>,
            /// The preferences, once they were set.
            preferences: Option<Personal<Preferences, Profile>>,
            /// The demographics, while they are declared.
            demographics: Option<Personal<BTreeMap<String, String>, Sensitive>>,
            /// What other platforms say of the person, by platform.
            external: BTreeMap<String, Personal<BTreeMap<String, String>, Profile>>,
        }
    }
}

/// R-07, the person's own.
pub struct Profiles;

impl Table for Profiles {
    const NAME: &'static str = "profiles";
    const VERSION: u32 = 3;
    const FED_BY: &'static [&'static str] = &["identity.profile"];
    const OPTIONS: Options = Options::DEFAULT;
    type Row = ProfileRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(key: &Uuid, row: Option<ProfileRow>, fact: &Fact) -> Option<ProfileRow> {
        let AnyEvent::Profile(event) = &fact.event else { return row };
        match event {
            E::ProfileCreated { account: _, display_name } => {
                let mut row = row.unwrap_or_else(|| empty(*key));
                told(&mut row.display_name, display_name);
                Some(row)
            }
            other => row.map(|row| changed(row, other)),
        }
    }

    fn visible(actor: &Actor) -> Filter {
        Filter::own(actor, "account")
    }
}

fn empty(account: Uuid) -> ProfileRow {
    ProfileRow {
        account,
        photo: None,
        student_source: None,
        mentor_capacity: None,
        mentor_topics: None,
        mentor_availability: None,
        preferences: None,
        demographics_consent: None,
        display_name: None,
        given_name: None,
        family_name: None,
        headline: None,
        bio: None,
        phone: None,
        skills: None,
        interests: None,
        student_no: None,
        major: None,
        grad_year: None,
        gpa: None,
        classroom: None,
        linkedin: None,
        research: None,
        demographics: None,
        external: BTreeMap::new(),
    }
}

fn changed(mut row: ProfileRow, event: &E) -> ProfileRow {
    match event {
        E::ProfileRevised { given_name, family_name, headline, bio, phone, photo, skills, interests } => {
            told(&mut row.given_name, given_name);
            told(&mut row.family_name, family_name);
            told(&mut row.headline, headline);
            told(&mut row.bio, bio);
            told(&mut row.phone, phone);
            told(&mut row.photo, photo);
            told(&mut row.skills, skills);
            told(&mut row.interests, interests);
        }
        E::StudentFacetSet { student_no, major, grad_year, gpa, classroom, source } => {
            row.student_no = Some(student_no.clone());
            row.major = Some(major.clone());
            row.grad_year = Some(grad_year.clone());
            row.gpa.clone_from(gpa);
            row.classroom.clone_from(classroom);
            row.student_source = Some(*source);
        }
        E::AlumniFacetSet { grad_year: _, degree: _, company: _, position: _, industry: _, linkedin } => {
            row.linkedin.clone_from(linkedin);
        }
        E::AdvisorFacetSet { title: _, department: _, specialisations: _, research } => {
            row.research.clone_from(research);
        }
        E::MentorOfferSet { offered, topics, capacity, availability } => {
            row.mentor_capacity = offered.then_some(*capacity);
            row.mentor_topics = offered.then(|| topics.clone());
            row.mentor_availability = offered.then(|| availability.clone());
        }
        E::DemographicsDeclared { attributes, consent } => {
            row.demographics = Some(attributes.clone());
            row.demographics_consent = Some(*consent);
        }
        E::DemographicsWithdrawn {} => {
            row.demographics = None;
            row.demographics_consent = None;
        }
        E::PreferencesChanged { locale, currency, tz, theme, accessibility } => {
            let preferences = Preferences {
                locale: locale.clone(),
                currency: *currency,
                tz: tz.clone(),
                theme: theme.as_ref().and_then(Personal::get).cloned(),
                accessibility: accessibility.as_ref().and_then(Personal::get).cloned(),
            };
            row.preferences = Some(Personal::about(row.account, preferences));
        }
        E::ExternalProfileRecorded { provider, fields } => {
            row.external.insert(provider.clone(), fields.clone());
        }
        // These are in `people`.
        E::ProfileCreated { .. }
        | E::EmployerFacetSet { .. }
        | E::DirectoryVisibilitySet { .. }
        | E::OrgUnitJoined { .. }
        | E::OrgUnitLeft { .. } => {}
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    const ADA: Uuid = Uuid::from_u128(0xADA);

    fn folded<const N: usize>(events: [E; N]) -> ProfileRow {
        let created = E::ProfileCreated { account: ADA, display_name: None };
        let events = std::iter::once(created).chain(events).map(|event| (ADA, AnyEvent::Profile(event)));
        given::<Profiles>(events).rows().remove(0)
    }

    fn declared() -> E {
        let attributes = BTreeMap::from([("gender".to_owned(), "female".to_owned())]);
        E::DemographicsDeclared { attributes: Personal::about(ADA, attributes), consent: Uuid::from_u128(5) }
    }

    #[test]
    fn demographics_are_there_until_they_are_withdrawn() {
        let row = folded([declared()]);
        assert_eq!(
            row.demographics.as_ref().and_then(Personal::get).map(|all| all["gender"].as_str()),
            Some("female")
        );
        assert_eq!(folded([declared(), E::DemographicsWithdrawn {}]), folded([]));
    }

    #[test]
    fn the_facts_of_a_student_are_stated_all_anew() {
        let stated = |gpa: Option<i32>, source| E::StudentFacetSet {
            student_no: Personal::about(ADA, "S1".into()),
            major: Personal::about(ADA, "Computer Science".into()),
            grad_year: Personal::about(ADA, 2027),
            gpa: gpa.map(|gpa| Personal::about(ADA, gpa)),
            classroom: None,
            source,
        };
        let row = folded([stated(Some(3500), FacetSource::Own), stated(None, FacetSource::Sis)]);
        assert_eq!((row.gpa, row.student_source), (None, Some(FacetSource::Sis)));
    }

    #[test]
    fn an_offer_to_be_a_mentor_stands_until_it_is_taken_back() {
        let offer = |offered| E::MentorOfferSet {
            offered,
            topics: Personal::about(ADA, vec!["rust".into()]),
            capacity: 3,
            availability: Personal::about(ADA, BTreeMap::new()),
        };
        let row = folded([offer(true)]);
        let topics = row.mentor_topics.as_ref().and_then(Personal::get).cloned();
        assert_eq!((row.mentor_capacity, topics), (Some(3), Some(vec!["rust".into()])));
        let row = folded([offer(true), offer(false)]);
        assert_eq!((row.mentor_capacity, row.mentor_topics, row.mentor_availability), (None, None, None));
    }

    #[test]
    fn each_platform_says_the_last_that_it_said() {
        let said = |provider: &str, name: &str| E::ExternalProfileRecorded {
            provider: provider.into(),
            fields: Personal::about(ADA, BTreeMap::from([("name".to_owned(), name.to_owned())])),
        };
        let row = folded([said("linkedin", "A."), said("handshake", "Ada"), said("linkedin", "Ada L.")]);
        let names: Vec<_> =
            row.external.values().filter_map(Personal::get).map(|all| all["name"].as_str()).collect();
        assert_eq!(names, ["Ada", "Ada L."]);
    }

    #[test]
    fn a_profile_is_its_persons_alone() {
        let own = Filter::Is("account", ADA.into());
        assert_eq!(Profiles::visible(&Actor::user(ADA, &["admin"])), own);
        assert_eq!(Profiles::visible(&Actor::policy("x")), Filter::Nothing);
    }
}
