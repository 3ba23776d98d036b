//! R-07 `people`: the directory. For members, as far as the people in it let themselves be found; who opted out of
//! directory information is there for school officials only (IDN-R4), and so is whoever has not verified their address yet,
//! or whose account has ended.
//!
//! What people say of themselves stays sealed, so it is shown and not searched: people are found by facet, org unit and
//! employer. No fold looks into a sealed value, so that nothing needs to be rebuilt after a shred. What is not for
//! others (numbers, marks, addresses) is in `profiles`.

use domain::{
    Actor, Personal,
    class::{Education, Profile},
    identity::{AccountEvent, ProfileEvent as E, Relation, Visibility},
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
    table::{Options, Table},
    words,
};

words!(Visibility);

/// That a person belongs to an org unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Membership {
    /// The org unit.
    pub org: Uuid,
    /// How.
    pub relation: Relation,
    /// Since when.
    pub from: Date,
}

row! {
    /// A person, as the directory shows them. What was cleared is an empty text or list.
    pub struct PersonRow {
        key {
            /// The account.
            account: Uuid,
        }
        columns {
            /// What the person is: `student`, `alumni`, `employer`, `advisor`.
            facets: Vec<String> => filter index,
            /// The org units that the person belongs to.
            orgs: Vec<Uuid> => filter index,
            /// How, and since when.
            memberships: Json<Vec<Membership>>,
            /// The employer that the person recruits for.
            employer: Option<Uuid> => filter index,
            /// The department that the person advises in.
            department: Option<Uuid> => filter index,
            /// Whether the person offers to be a mentor.
            mentors: bool => filter,
            /// The document that is the picture.
            photo: Option<Uuid>,
            /// Who finds the person.
            visibility: Visibility => filter,
            /// Whether the person opted out of directory information.
            opted_out: bool => filter,
            /// Whether nobody has shown yet that they read the mail of the account's address.
            unverified: bool => filter,
            /// Whether the account was deactivated or erased.
            ended: bool => filter,
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
            /// What the person can do.
            skills: Option<Personal<Vec<String>, Profile>>,
            /// What the person is interested in.
            interests: Option<Personal<Vec<String>, Profile>>,
            /// What a student studies.
            major: Option<Personal<String, Education>>,
            /// The year in which a student graduates.
            grad_year: Option<Personal<i32, Education>>,
            /// The year in which an alumnus or alumna graduated.
            graduated: Option<Personal<i32, Profile>>,
            /// With which degree.
            degree: Option<Personal<String, Profile>>,
            /// Where they work.
            company: Option<Personal<String, Profile>>,
            /// As what.
            position: Option<Personal<String, Profile>>,
            /// In which industry.
            industry: Option<Personal<String, Profile>>,
            /// The title of a recruiter.
            employer_title: Option<Personal<String, Profile>>,
            /// The title of an advisor.
            advisor_title: Option<Personal<String, Profile>>,
            /// The fields that the person advises in.
            specialisations: Option<Personal<Vec<String>, Profile>>,
        }
    }
}

///
pub struct People;

impl Table for People {
    const NAME: &'static str = "people";
    const VERSION: u32 = 2;
    const FED_BY: &'static [&'static str] = &["identity.account", "identity.profile"];
    const OPTIONS: Options = Options::DEFAULT;
    type Row = PersonRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        use AccountEvent as A;
        match &fact.event {
            AnyEvent::Profile(_)
            | AnyEvent::Account(
                A::AccountRegistered { .. }
                | A::EmailVerified {}
                | A::AccountReinstated { .. }
                | A::AccountDeactivated { .. }
                | A::AccountErased { .. },
            ) => out.push(fact.id),
            _ => {}
        }
    }

    fn fold(key: &Uuid, row: Option<PersonRow>, fact: &Fact) -> Option<PersonRow> {
        let event = match &fact.event {
            AnyEvent::Account(event) => return in_use(key, row, event),
            AnyEvent::Profile(event) => event,
            _ => return row,
        };
        match event {
            // A second time where the person's own command came before the name.
            E::ProfileCreated { account: _, display_name } => {
                let mut row = row.unwrap_or_else(|| nobody(*key));
                told(&mut row.display_name, display_name);
                Some(row)
            }
            other => row.map(|row| changed(row, other)),
        }
    }

    fn visible(actor: &Actor) -> Filter {
        if is_official(actor) {
            return Filter::All;
        }
        let is_none = |flag: &'static str| Filter::Is(flag, false.into());
        let listed = is_none("opted_out").and(is_none("unverified")).and(is_none("ended"));
        Filter::own(actor, "account").or(found_by(actor).and(listed))
    }
}

/// Whether it is a school official, who sees whoever opted out (IDN-R4).
fn is_official(actor: &Actor) -> bool {
    actor.has_role("staff") || actor.has("manage:users")
}

/// The rows whose people let themselves be found by this actor. The org units of a person are those of their roles.
fn found_by(actor: &Actor) -> Filter {
    let is = |visibility: &str| Filter::Is("visibility", visibility.into());
    let same_org = (actor.roles.iter().filter_map(|grant| grant.within))
        .map(|org| is("org").and(Filter::Contains("orgs", org.into())))
        .fold(Filter::Nothing, Filter::or);
    let members = match actor.account() {
        Some(_) => is("members").or(same_org),
        None => Filter::Nothing,
    };
    Filter::all_with(actor, "read:public").and(is("public").or(members))
}

/// What becomes of an account, as far as the directory hangs on it: whoever registers can say any name, and is listed once
/// the account is theirs. A profile without one, of a record that was brought in, is listed.
fn in_use(key: &Uuid, row: Option<PersonRow>, event: &AccountEvent) -> Option<PersonRow> {
    use AccountEvent as A;
    let mut row = match event {
        A::AccountRegistered { .. } => row.unwrap_or_else(|| nobody(*key)),
        _ => row?,
    };
    match event {
        A::AccountRegistered { .. } => row.unverified = true,
        A::EmailVerified {} => row.unverified = false,
        A::AccountReinstated { .. } => row.ended = false,
        A::AccountDeactivated { .. } | A::AccountErased { .. } => row.ended = true,
        _ => {}
    }
    Some(row)
}

/// A profile that says nothing. People are listed for members until they say otherwise: directory information is opted
/// out of, not into.
fn nobody(account: Uuid) -> PersonRow {
    PersonRow {
        account,
        facets: Vec::new(),
        orgs: Vec::new(),
        memberships: Json(Vec::new()),
        employer: None,
        department: None,
        mentors: false,
        photo: None,
        visibility: Visibility::Members,
        opted_out: false,
        unverified: false,
        ended: false,
        display_name: None,
        given_name: None,
        family_name: None,
        headline: None,
        bio: None,
        skills: None,
        interests: None,
        major: None,
        grad_year: None,
        graduated: None,
        degree: None,
        company: None,
        position: None,
        industry: None,
        employer_title: None,
        advisor_title: None,
        specialisations: None,
    }
}

/// What is left out stays.
pub(super) fn told<T: Clone>(field: &mut Option<T>, change: &Option<T>) {
    if change.is_some() {
        field.clone_from(change);
    }
}

fn changed(mut row: PersonRow, event: &E) -> PersonRow {
    match event {
        E::ProfileRevised { given_name, family_name, headline, bio, phone: _, photo, skills, interests } => {
            told(&mut row.given_name, given_name);
            told(&mut row.family_name, family_name);
            told(&mut row.headline, headline);
            told(&mut row.bio, bio);
            told(&mut row.photo, photo);
            told(&mut row.skills, skills);
            told(&mut row.interests, interests);
        }
        E::StudentFacetSet { student_no: _, major, grad_year, gpa: _, classroom: _, source: _ } => {
            row.is("student");
            row.major = Some(major.clone());
            row.grad_year = Some(grad_year.clone());
        }
        E::AlumniFacetSet { grad_year, degree, company, position, industry, linkedin: _ } => {
            row.is("alumni");
            row.graduated = Some(grad_year.clone());
            row.degree = Some(degree.clone());
            row.company.clone_from(company);
            row.position.clone_from(position);
            row.industry.clone_from(industry);
        }
        E::EmployerFacetSet { org, title } => {
            row.is("employer");
            row.employer = Some(*org);
            row.employer_title = Some(title.clone());
        }
        E::AdvisorFacetSet { title, department, specialisations, research: _ } => {
            row.is("advisor");
            row.department = Some(*department);
            row.specialisations = Some(specialisations.clone());
            row.advisor_title = Some(title.clone());
        }
        E::MentorOfferSet { offered, topics: _, capacity: _, availability: _ } => row.mentors = *offered,
        E::DirectoryVisibilitySet { visibility, ferpa_directory_opt_out } => {
            row.visibility = *visibility;
            row.opted_out = *ferpa_directory_opt_out;
        }
        E::OrgUnitJoined { org, relation, from } => {
            row.memberships.0.push(Membership { org: *org, relation: *relation, from: *from });
            row.list_orgs();
        }
        E::OrgUnitLeft { org, relation, until: _ } => {
            row.memberships.0.retain(|belongs| (belongs.org, belongs.relation) != (*org, *relation));
            row.list_orgs();
        }
        E::ProfileCreated { .. }
        | E::DemographicsDeclared { .. }
        | E::DemographicsWithdrawn {}
        | E::PreferencesChanged { .. }
        | E::ExternalProfileRecorded { .. } => {}
    }
    row
}

impl PersonRow {
    fn is(&mut self, facet: &str) {
        if !self.facets.iter().any(|known| known == facet) {
            self.facets.push(facet.to_owned());
        }
    }

    /// A person may belong to an org unit in several ways.
    fn list_orgs(&mut self) {
        self.orgs = self.memberships.0.iter().map(|belongs| belongs.org).collect();
        self.orgs.sort_unstable();
        self.orgs.dedup();
    }
}

#[cfg(test)]
mod tests {
    use domain::RoleGrant;

    use super::*;
    use crate::testing::given;

    const ADA: Uuid = Uuid::from_u128(0xADA);
    const BOB: Uuid = Uuid::from_u128(0xB0B);
    const PSU: Uuid = Uuid::from_u128(1);

    fn created(name: Option<&str>) -> E {
        let display_name = name.map(|name| Personal::about(ADA, name.to_owned()));
        E::ProfileCreated { account: ADA, display_name }
    }

    fn folded<const N: usize>(events: [E; N]) -> PersonRow {
        let events = events.map(|event| (ADA, AnyEvent::Profile(event)));
        given::<People>(events).rows().remove(0)
    }

    fn member() -> Actor {
        Actor::user(BOB, &[])
    }

    /// Whether this actor finds the person.
    fn finds(actor: &Actor, row: &PersonRow) -> bool {
        let mut values = Vec::new();
        crate::row::Row::values(row, &mut values);
        People::visible(actor).holds(<PersonRow as crate::row::Row>::COLUMNS, &values)
    }

    fn lets(visibility: Visibility, ferpa_directory_opt_out: bool) -> PersonRow {
        let joined =
            E::OrgUnitJoined { org: PSU, relation: Relation::Student, from: jiff::civil::date(2024, 9, 1) };
        folded([
            created(Some("Ada")),
            joined,
            E::DirectoryVisibilitySet { visibility, ferpa_directory_opt_out },
        ])
    }

    #[test]
    fn a_name_that_follows_later_leaves_the_rest() {
        let offer = E::MentorOfferSet {
            offered: true,
            topics: Personal::about(ADA, Vec::new()),
            capacity: 3,
            availability: Personal::about(ADA, Default::default()),
        };
        let row = folded([created(None), offer, created(Some("Ada"))]);
        assert_eq!((row.display_name, row.mentors), (Some(Personal::about(ADA, "Ada".into())), true));
    }

    #[test]
    fn a_facet_is_listed_once_and_stated_all_anew() {
        let alumni = |company: Option<&str>| E::AlumniFacetSet {
            grad_year: Personal::about(ADA, 2020),
            degree: Personal::about(ADA, "BSc".into()),
            company: company.map(|company| Personal::about(ADA, company.into())),
            position: None,
            industry: None,
            linkedin: None,
        };
        let row = folded([created(Some("Ada")), alumni(Some("Acme")), alumni(None)]);
        assert_eq!((row.facets, row.company), (vec!["alumni".to_owned()], None));
    }

    #[test]
    fn an_erased_value_is_shown_as_one() {
        let revised = E::ProfileRevised {
            given_name: None,
            family_name: None,
            headline: Some(Personal::Erased),
            bio: None,
            phone: None,
            photo: None,
            skills: None,
            interests: None,
        };
        let row = folded([created(Some("Ada")), revised]);
        assert_eq!((row.headline, row.bio), (Some(Personal::Erased), None));
    }

    #[test]
    fn who_leaves_an_org_unit_in_one_way_may_belong_to_it_in_another() {
        let day = jiff::civil::date(2024, 9, 1);
        let joined = |relation| E::OrgUnitJoined { org: PSU, relation, from: day };
        let left = |relation| E::OrgUnitLeft { org: PSU, relation, until: day };
        let both =
            [created(None), joined(Relation::Student), joined(Relation::Staff), left(Relation::Student)];
        assert_eq!(folded(both).orgs, [PSU]);
        assert!(folded([created(None), joined(Relation::Student), left(Relation::Student)]).orgs.is_empty());
    }

    #[test]
    fn people_are_found_by_those_whom_they_let() {
        let client = Actor { kind: domain::ActorKind::ApiClient, ..member() };
        let grant = RoleGrant { role: "advisor".into(), within: Some(PSU) };
        let colleague = Actor::with_roles(BOB, vec![grant]);
        for (visibility, by_client, by_member, by_colleague) in [
            (Visibility::Public, true, true, true),
            (Visibility::Members, false, true, true),
            (Visibility::Org, false, false, true),
            (Visibility::Hidden, false, false, false),
        ] {
            let row = lets(visibility, false);
            let found = (finds(&client, &row), finds(&member(), &row), finds(&colleague, &row));
            assert_eq!(found, (by_client, by_member, by_colleague), "{visibility:?}");
            assert!(finds(&Actor::user(ADA, &[]), &row), "people see themselves");
        }
        assert!(finds(&member(), &folded([created(None)])), "members until the person says otherwise");
    }

    #[test]
    fn who_has_not_verified_their_address_or_whose_account_ended_is_seen_by_school_officials_only() {
        let said = |text: &str| Personal::about(ADA, text.to_owned());
        let secret = |text: &str| Personal::about(ADA, text.to_owned());
        let registered = AccountEvent::AccountRegistered {
            account: ADA,
            email: said("ada@example.edu"),
            email_hmac: said("mac"),
            password_hash: secret("hash"),
            display_name: Personal::about(ADA, "IT desk".into()),
            country: "US".into(),
            locale: "en-US".into(),
            tz: "America/Chicago".into(),
            token_id: Uuid::nil(),
            token_hash: secret("hash"),
            expires_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let deactivated =
            AccountEvent::AccountDeactivated { reason: "left".into(), token_version: 1, freed: None };
        let reinstated = AccountEvent::AccountReinstated { reason: "back".into() };
        let mut events =
            vec![(ADA, AnyEvent::Account(registered)), (ADA, AnyEvent::Profile(created(Some("IT desk"))))];
        for (next, listed) in [
            (None, false),
            (Some(AccountEvent::EmailVerified {}), true),
            (Some(deactivated), false),
            (Some(reinstated), true),
        ] {
            events.extend(next.map(|event| (ADA, AnyEvent::Account(event))));
            let row = given::<People>(events.clone()).rows().remove(0);
            assert_eq!(finds(&member(), &row), listed, "{:?}", events.last());
            assert!(finds(&Actor::user(BOB, &["staff"]), &row));
            assert!(finds(&Actor::user(ADA, &[]), &row));
        }
    }

    #[test]
    fn idn_r4_who_opted_out_is_seen_by_school_officials_only() {
        let row = lets(Visibility::Public, true);
        assert!(!finds(&member(), &row));
        assert!(!finds(&Actor::user(BOB, &["analyst", "moderator"]), &row));
        assert!(finds(&Actor::user(BOB, &["staff"]), &row));
        assert!(finds(&Actor::user(BOB, &["department_admin"]), &row));
        assert!(finds(&Actor::user(ADA, &[]), &row));
    }
}
