//! What a person tells others: names, facets, affiliations, preferences (catalogue 2.1, Profile).
//!
//! Life cycle: created once; the stream's id is the account's. Its first event is always `ProfileCreated`: registration
//! creates it with a display name (P-01), but where a person's own first command comes earlier, that command creates
//! it without one, and the name follows.
//!
//! - **IDN-R1** `gpa` is 0 to 4000 milli-points (another scale is normalised before). What the student information
//!   system (`sis`) states overrides the facet that the person reported, and locks it.
//! - **IDN-R2** demographics are optional, need the consent `bias_monitoring` and end with it, and are readable only by
//!   the bias evaluator and the person; they are a record class of their own and never a model's feature.
//! - **IDN-R3** a phone number is E.164.
//! - **IDN-R4** who opts out of directory information (§99.37) is hidden from everyone but school officials.
//! - **IDN-R5** to offer mentoring one needs an alumni or advisor facet or to be staff; capacity 1 to 20, by default 3.
//! - **IDN-R6** biography up to 4000 characters, headline up to 160, skills and interests up to 50 each.
//!
//! Every command but the system's is the person's own; only `sis` facets are stated by who manages users too.

mod messages;

use jiff::tz::TimeZoneDatabase;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use messages::*;

use super::{Affiliation, FacetSource, OrgKind, OrgUnit, Relation};
use crate::{
    governance::{ConsentLedger, ConsentPurpose},
    kernel::{
        Actor, Context, Decided, Decider, Known, NotYet, Personal, RecordClass, Refused, RefusedBy, Stated,
        bounds,
        class::{Education, Profile as Told},
    },
};

/// The facts of a student that other contexts snapshot.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StudentFacet {
    /// Who reported them.
    pub source: FacetSource,
    /// The major.
    pub major: Personal<String, Education>,
    /// The graduation year.
    pub grad_year: Personal<i32, Education>,
    /// The grade point average, in milli-points, where it is stated.
    pub gpa: Option<Personal<i32, Education>>,
}

/// The state that decisions, and the snapshots of other contexts, need.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Profile {
    /// The person, once the profile exists.
    pub account: Option<Uuid>,
    /// Whether registration has given it a name.
    pub named: bool,
    /// What the person is interested in.
    pub interests: Personal<Vec<String>, Told>,
    /// What the person is as a student.
    pub student: Option<StudentFacet>,
    /// The graduation year of an alumnus or alumna.
    pub alumni: Option<Personal<i32, Told>>,
    /// Whether the person is an advisor.
    pub advisor: bool,
    /// The employer that the person recruits for.
    pub employer: Option<Uuid>,
    /// The org units that the person belongs to.
    pub affiliations: Vec<Affiliation>,
    /// For how many people the person offers to be a mentor.
    pub mentor_capacity: Option<u32>,
    /// Whether demographics are declared.
    pub demographics: bool,
    /// Whether the person opts out of directory information (IDN-R4, 34 CFR 99.37).
    #[serde(default)]
    pub directory_opt_out: bool,
}

impl Profile {
    /// IDN-R5.
    pub fn may_mentor(&self) -> bool {
        let staff = self.affiliations.iter().any(|belongs| belongs.relation == Relation::Staff);
        self.alumni.is_some() || self.advisor || staff
    }

    fn affiliation(&self, org: Uuid, relation: Relation) -> Option<&Affiliation> {
        self.affiliations.iter().find(|belongs| belongs.org == org && belongs.relation == relation)
    }
}

/// What a profile must know of others.
#[derive(Default)]
pub struct ProfileFacts {
    /// The kind of the named org unit and whether it is active, where it exists.
    pub org: Option<(OrgKind, bool)>,
    /// Whether the person's consent to bias monitoring stands.
    pub consents: bool,
}

impl Decider for Profile {
    const TYPE: &'static str = "identity.profile";
    const CLASS: Option<RecordClass> = Some(RecordClass::Profile);
    type Command = ProfileCommand;
    type Event = ProfileEvent;
    type Refusal = ProfileRefusal;
    type Facts = ProfileFacts;

    fn creates(command: &ProfileCommand) -> bool {
        use ProfileCommand as C;
        match command {
            C::CreateProfile { .. }
            | C::ReviseProfile { .. }
            | C::SetStudentFacet { .. }
            | C::SetAlumniFacet { .. }
            | C::SetEmployerFacet { .. }
            | C::SetAdvisorFacet { .. }
            | C::DeclareDemographics { .. }
            | C::SetPreferences { .. }
            | C::SetDirectoryVisibility { .. }
            | C::JoinOrgUnit { .. }
            | C::RecordExternalProfile { .. } => true,
            C::SetMentorOffer { .. } | C::WithdrawDemographics {} | C::LeaveOrgUnit { .. } => false,
        }
    }

    fn unborn(owner: Uuid) -> Self {
        Profile { account: Some(owner), ..Profile::default() }
    }

    fn facts(
        &self,
        command: &ProfileCommand,
        context: &Context,
        known: &mut impl Known,
    ) -> Result<ProfileFacts, NotYet> {
        use ProfileCommand as C;
        let mut facts = ProfileFacts::default();
        match command {
            C::SetEmployerFacet { org, .. }
            | C::SetAdvisorFacet { department: org, .. }
            | C::JoinOrgUnit { org, .. } => {
                let found = known.stream::<OrgUnit>(*org)?;
                facts.org = found.exists().then_some((found.state.kind, found.state.active));
            }
            C::DeclareDemographics { .. } => {
                // A consent that is withdrawn meanwhile must not be missed (GOV-C1).
                let ledger = known.pinned::<ConsentLedger>(context.id)?.state;
                facts.consents = ledger.stands(ConsentPurpose::BiasMonitoring, context.now);
            }
            C::CreateProfile { .. }
            | C::ReviseProfile { .. }
            | C::SetStudentFacet { .. }
            | C::SetAlumniFacet { .. }
            | C::SetMentorOffer { .. }
            | C::WithdrawDemographics {}
            | C::SetPreferences { .. }
            | C::SetDirectoryVisibility { .. }
            | C::LeaveOrgUnit { .. }
            | C::RecordExternalProfile { .. } => {}
        }
        Ok(facts)
    }

    fn may(&self, actor: &Actor, command: &ProfileCommand) -> bool {
        match issuer(command) {
            Issuer::System => actor.is_system(),
            Issuer::Registrar => actor.is_system() || actor.has("manage:users"),
            Issuer::OwnOrSystem if actor.is_system() => true,
            // Whose profile a missing one will be, only the decision can tell.
            Issuer::Own | Issuer::OwnOrSystem if self.account.is_none() && Self::creates(command) => {
                actor.account().is_some()
            }
            Issuer::Own | Issuer::OwnOrSystem => self.account.is_some_and(|account| actor.is(account)),
        }
    }

    fn decide(&self, command: ProfileCommand, facts: &ProfileFacts, context: &Context) -> Decided<Self> {
        let foreign = match issuer(&command) {
            Issuer::System | Issuer::Registrar => false,
            Issuer::Own => !context.actor.is(context.id),
            Issuer::OwnOrSystem => !context.actor.is_system() && !context.actor.is(context.id),
        };
        if foreign {
            return Err(Refused::Forbidden);
        }
        let created = |display_name| ProfileEvent::ProfileCreated { account: context.id, display_name };
        if let ProfileCommand::CreateProfile { display_name } = command {
            bounds::line("display_name", &display_name.0, 1..=200)?;
            let named = Some(display_name.about(context.id));
            return Ok(if self.named { Vec::new() } else { vec![created(named)] });
        }
        let event = self.tell(command, facts, context)?;
        Ok(self.account.is_none().then(|| created(None)).into_iter().chain([event]).collect())
    }

    fn evolve(&mut self, event: &ProfileEvent) {
        use ProfileEvent as E;
        match event {
            E::ProfileCreated { account, display_name } => {
                self.account = Some(*account);
                self.named |= display_name.is_some();
            }
            E::ProfileRevised { interests: Some(interests), .. } => self.interests = interests.clone(),
            E::StudentFacetSet { major, grad_year, gpa, source, .. } => {
                self.student = Some(StudentFacet {
                    source: *source,
                    major: major.clone(),
                    grad_year: grad_year.clone(),
                    gpa: gpa.clone(),
                });
            }
            E::AlumniFacetSet { grad_year, .. } => self.alumni = Some(grad_year.clone()),
            E::EmployerFacetSet { org, .. } => self.employer = Some(*org),
            E::AdvisorFacetSet { .. } => self.advisor = true,
            E::MentorOfferSet { offered, capacity, .. } => {
                self.mentor_capacity = offered.then_some(*capacity);
            }
            E::DemographicsDeclared { .. } => self.demographics = true,
            E::DemographicsWithdrawn {} => self.demographics = false,
            E::OrgUnitJoined { org, relation, from } => {
                self.affiliations.push(Affiliation { org: *org, relation: *relation, from: *from });
            }
            E::OrgUnitLeft { org, relation, .. } => {
                self.affiliations.retain(|belongs| (belongs.org, belongs.relation) != (*org, *relation));
            }
            E::DirectoryVisibilitySet { visibility: _, ferpa_directory_opt_out } => {
                self.directory_opt_out = *ferpa_directory_opt_out;
            }
            E::ProfileRevised { interests: None, .. }
            | E::PreferencesChanged { .. }
            | E::ExternalProfileRecorded { .. } => {}
        }
    }

    fn subject(&self) -> Option<Uuid> {
        self.account
    }
}

/// Who may issue a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Issuer {
    System,
    /// The student information system, or who manages users.
    Registrar,
    /// The person.
    Own,
    /// The person, or the system where the consent has ended (P-57).
    OwnOrSystem,
}

fn issuer(command: &ProfileCommand) -> Issuer {
    use ProfileCommand as C;
    match command {
        C::CreateProfile { .. } | C::RecordExternalProfile { .. } => Issuer::System,
        C::SetStudentFacet { source: FacetSource::Sis, .. } => Issuer::Registrar,
        C::SetStudentFacet { source: FacetSource::Own, .. }
        | C::ReviseProfile { .. }
        | C::SetAlumniFacet { .. }
        | C::SetEmployerFacet { .. }
        | C::SetAdvisorFacet { .. }
        | C::SetMentorOffer { .. }
        | C::DeclareDemographics { .. }
        | C::SetPreferences { .. }
        | C::SetDirectoryVisibility { .. }
        | C::JoinOrgUnit { .. }
        | C::LeaveOrgUnit { .. } => Issuer::Own,
        C::WithdrawDemographics {} => Issuer::OwnOrSystem,
    }
}

type Check = Result<(), RefusedBy<Profile>>;

impl Profile {
    /// What a command other than `CreateProfile` comes to.
    fn tell(
        &self,
        command: ProfileCommand,
        facts: &ProfileFacts,
        context: &Context,
    ) -> Result<ProfileEvent, RefusedBy<Self>> {
        use ProfileCommand as C;
        use ProfileEvent as E;
        use ProfileRefusal as R;
        let me = context.id;
        let wrong_state = Refused::InvalidState { state: "created", command: (&command).into() };
        Ok(match command {
            C::CreateProfile { .. } => return Err(wrong_state),
            C::ReviseProfile { given_name, family_name, headline, bio, phone, photo, skills, interests } => {
                line("given_name", &given_name, 100)?;
                line("family_name", &family_name, 100)?;
                line("headline", &headline, 160)?;
                short("bio", &bio, 4000)?;
                check_phone(&phone)?;
                few("skills", &skills)?;
                few("interests", &interests)?;
                E::ProfileRevised {
                    given_name: about(given_name, me),
                    family_name: about(family_name, me),
                    headline: about(headline, me),
                    bio: about(bio, me),
                    phone: about(phone, me),
                    photo,
                    skills: about(skills, me),
                    interests: about(interests, me),
                }
            }
            C::SetStudentFacet { source: FacetSource::Own, .. }
                if self.student.as_ref().is_some_and(|facet| facet.source == FacetSource::Sis) =>
            {
                return Err(R::SelfReportedLocked {}.into());
            }
            C::SetStudentFacet { student_no, major, grad_year, gpa, classroom, source } => {
                bounds::text("student_no", &student_no.0, 1..=64)?;
                bounds::text("major", &major.0, 1..=200)?;
                bounds::number("grad_year", grad_year.0.into(), 1900..=2200)?;
                bounds::number("gpa", gpa.as_ref().map_or(0, |gpa| gpa.0.into()), 0..=4000)?;
                short("classroom", &classroom, 64)?;
                E::StudentFacetSet {
                    student_no: student_no.about(me),
                    major: major.about(me),
                    grad_year: grad_year.about(me),
                    gpa: about(gpa, me),
                    classroom: about(classroom, me),
                    source,
                }
            }
            C::SetAlumniFacet { grad_year, degree, company, position, industry, linkedin } => {
                bounds::number("grad_year", grad_year.0.into(), 1900..=2200)?;
                bounds::text("degree", &degree.0, 1..=200)?;
                short("company", &company, 200)?;
                short("position", &position, 200)?;
                short("industry", &industry, 200)?;
                let address = linkedin.as_ref().map(|Stated(address)| &**address);
                bounds::web_address("linkedin", address, &["https"])?;
                E::AlumniFacetSet {
                    grad_year: grad_year.about(me),
                    degree: degree.about(me),
                    company: about(company, me),
                    position: about(position, me),
                    industry: about(industry, me),
                    linkedin: about(linkedin, me),
                }
            }
            C::SetEmployerFacet { org, title } => {
                bounds::text("title", &title.0, 1..=200)?;
                match facts.org.ok_or(R::UnknownOrg {})? {
                    (OrgKind::Employer, true) => E::EmployerFacetSet { org, title: title.about(me) },
                    _ => return Err(R::OrgNotEmployer {}.into()),
                }
            }
            C::SetAdvisorFacet { title, department, specialisations, research } => {
                bounds::text("title", &title.0, 1..=200)?;
                bounds::texts("specialisations", &specialisations.0, 50, 100)?;
                short("research", &research, 4000)?;
                let (_, active) = facts.org.ok_or(R::UnknownOrg {})?;
                // IDN-O3.
                if !active {
                    return Err(R::OrgInactive {}.into());
                }
                let (title, research) = (title.about(me), about(research, me));
                let specialisations = specialisations.about(me);
                E::AdvisorFacetSet { title, department, specialisations, research }
            }
            C::SetMentorOffer { offered: true, .. } if !self.may_mentor() => {
                return Err(R::NotEligible {}.into());
            }
            C::SetMentorOffer { offered, topics, capacity, availability } => {
                bounds::texts("topics", &topics.0, 50, 100)?;
                bounds::number("capacity", capacity.into(), 1..=20)?;
                bounds::text_map("availability", &availability.0, 50, 500)?;
                let (topics, availability) = (topics.about(me), availability.about(me));
                E::MentorOfferSet { offered, topics, capacity, availability }
            }
            C::DeclareDemographics { attributes, consent } => {
                bounds::text_map("attributes", &attributes.0, 50, 200)?;
                if !facts.consents || consent != me {
                    return Err(R::ConsentMissing {}.into());
                }
                E::DemographicsDeclared { attributes: attributes.about(me), consent }
            }
            C::WithdrawDemographics {} if !self.demographics => return Err(wrong_state),
            C::WithdrawDemographics {} => E::DemographicsWithdrawn {},
            C::SetPreferences { locale, currency, tz, theme, accessibility } => {
                let tag = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'-';
                if !(2..=35).contains(&locale.len()) || !locale.bytes().all(tag) {
                    return Err(Refused::invalid("locale", "a BCP 47 language tag"));
                }
                if TimeZoneDatabase::bundled().get(&tz).is_err() {
                    return Err(Refused::invalid("tz", "an IANA time zone"));
                }
                bounds::maybe_text("theme", theme.as_ref().map(|theme| theme.0.as_str()), 1..=50)?;
                accessibility
                    .as_ref()
                    .map_or(Ok(()), |aids| bounds::text_map("accessibility", &aids.0, 50, 200))?;
                let theme = theme.map(|theme| theme.about(me));
                let accessibility = accessibility.map(|aids| aids.about(me));
                E::PreferencesChanged { locale, currency, tz, theme, accessibility }
            }
            C::SetDirectoryVisibility { visibility, ferpa_directory_opt_out } => {
                E::DirectoryVisibilitySet { visibility, ferpa_directory_opt_out }
            }
            C::JoinOrgUnit { org, relation, from } => {
                bounds::date("from", from)?;
                let (_, active) = facts.org.ok_or(R::UnknownOrg {})?;
                if self.affiliation(org, relation).is_some() {
                    return Err(R::Duplicate {}.into());
                }
                bounds::count("org", self.affiliations.len() + 1, 100)?;
                if !active {
                    return Err(R::OrgInactive {}.into());
                }
                E::OrgUnitJoined { org, relation, from }
            }
            C::LeaveOrgUnit { org, relation, until } => {
                bounds::date("until", until)?;
                let joined = self.affiliation(org, relation).ok_or(R::NotJoined {})?;
                if until < joined.from {
                    return Err(Refused::invalid("until", "before the person joined"));
                }
                E::OrgUnitLeft { org, relation, until }
            }
            C::RecordExternalProfile { provider, fields } => {
                bounds::text("provider", &provider, 1..=100)?;
                bounds::text_map("fields", &fields.0, 100, bounds::LONG)?;
                E::ExternalProfileRecorded { provider, fields: fields.about(me) }
            }
        })
    }
}

fn about<T, C>(stated: Option<Stated<T>>, person: Uuid) -> Option<Personal<T, C>> {
    stated.map(|stated| stated.about(person))
}

/// IDN-R6: a text that may be empty.
fn short(field: &'static str, stated: &Option<Stated<String>>, most: usize) -> Check {
    match stated {
        Some(Stated(value)) if value.chars().count() > most => {
            Err(ProfileRefusal::TooLong { field, most }.into())
        }
        Some(Stated(value)) => bounds::text(field, value, 0..=most),
        None => Ok(()),
    }
}

/// As [`short`], on one line.
fn line(field: &'static str, stated: &Option<Stated<String>>, most: usize) -> Check {
    short(field, stated, most)?;
    stated.as_ref().map_or(Ok(()), |Stated(value)| bounds::line(field, value, 0..=most))
}

/// IDN-R6: up to 50 entries.
fn few(field: &'static str, stated: &Option<Stated<Vec<String>>>) -> Check {
    match stated {
        Some(Stated(values)) if values.len() > 50 => Err(ProfileRefusal::TooLong { field, most: 50 }.into()),
        Some(Stated(values)) => bounds::texts(field, values, 50, 100),
        None => Ok(()),
    }
}

/// IDN-R3; an empty number is none.
fn check_phone(phone: &Option<Stated<String>>) -> Check {
    let Some(Stated(phone)) = phone else { return Ok(()) };
    let e164 = phone.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|digit| digit.is_ascii_digit())
    });
    if e164 || phone.is_empty() { Ok(()) } else { Err(ProfileRefusal::InvalidPhone {}.into()) }
}

#[cfg(test)]
mod tests;
