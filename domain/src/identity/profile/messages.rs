//! What can be asked of a profile, what can have happened to it, and why a command was refused.

use std::collections::BTreeMap;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

use crate::{
    identity::{FacetSource, Relation, Visibility},
    kernel::{
        Currency, Event, Personal, Refusal, RefusalKind, Stated, Upcaster,
        class::{Education, Profile as Told, Sensitive},
        schemas, withheld,
    },
};

/// What can be asked of a profile. In a revision, a text that is left out stays and an empty one is cleared.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(deny_unknown_fields)]
pub enum ProfileCommand {
    /// Creates the profile, or names one that the person's own command created.
    #[schemars(extend("x-system" = true))]
    CreateProfile {
        /// The name to show, 1 to 200 characters.
        display_name: Stated<String>,
    },
    /// Revises what the person says of themselves.
    ReviseProfile {
        /// The given name, up to 100 characters.
        #[serde(default)]
        #[schemars(transform = schemas::line::<0, 100>)]
        given_name: Option<Stated<String>>,
        /// The family name, up to 100 characters.
        #[serde(default)]
        #[schemars(transform = schemas::line::<0, 100>)]
        family_name: Option<Stated<String>>,
        /// One line, up to 160 characters.
        #[serde(default)]
        #[schemars(transform = schemas::line::<0, 160>)]
        headline: Option<Stated<String>>,
        /// The biography, up to 4000 characters.
        #[serde(default)]
        #[schemars(transform = schemas::text::<0, 4000>)]
        bio: Option<Stated<String>>,
        /// The phone number, E.164.
        #[serde(default)]
        #[schemars(transform = schemas::phone)]
        phone: Option<Stated<String>>,
        /// The document that is the picture.
        #[serde(default)]
        photo: Option<Uuid>,
        /// Up to 50 skills.
        #[serde(default)]
        #[schemars(transform = schemas::texts::<50, 100>)]
        skills: Option<Stated<Vec<String>>>,
        /// Up to 50 interests.
        #[serde(default)]
        #[schemars(transform = schemas::texts::<50, 100>)]
        interests: Option<Stated<Vec<String>>>,
    },
    /// States the person's facts as a student, all anew.
    SetStudentFacet {
        /// The student number.
        #[schemars(transform = schemas::text::<1, 64>)]
        student_no: Stated<String>,
        /// The major.
        #[schemars(transform = schemas::text::<1, 200>)]
        major: Stated<String>,
        /// The graduation year.
        #[schemars(transform = schemas::number::<1900, 2200>)]
        grad_year: Stated<i32>,
        /// The grade point average in milli-points, 0 to 4000.
        #[serde(default)]
        #[schemars(transform = schemas::number::<0, 4000>)]
        gpa: Option<Stated<i32>>,
        /// The class room.
        #[serde(default)]
        #[schemars(transform = schemas::text::<0, 64>)]
        classroom: Option<Stated<String>>,
        /// Who reports it (IDN-R1).
        source: FacetSource,
    },
    /// States the person's facts as an alumnus or alumna, all anew.
    SetAlumniFacet {
        /// The graduation year.
        #[schemars(transform = schemas::number::<1900, 2200>)]
        grad_year: Stated<i32>,
        /// The degree.
        #[schemars(transform = schemas::text::<1, 200>)]
        degree: Stated<String>,
        /// The company.
        #[serde(default)]
        #[schemars(transform = schemas::text::<0, 200>)]
        company: Option<Stated<String>>,
        /// The position there.
        #[serde(default)]
        #[schemars(transform = schemas::text::<0, 200>)]
        position: Option<Stated<String>>,
        /// The industry.
        #[serde(default)]
        #[schemars(transform = schemas::text::<0, 200>)]
        industry: Option<Stated<String>>,
        /// The address of the LinkedIn page.
        #[serde(default)]
        #[schemars(transform = schemas::web_address)]
        linkedin: Option<Stated<String>>,
    },
    /// States whom the person recruits for.
    SetEmployerFacet {
        /// An active org unit of kind `employer`.
        org: Uuid,
        /// The title there.
        #[schemars(transform = schemas::text::<1, 200>)]
        title: Stated<String>,
    },
    /// States the person's facts as an advisor, all anew.
    SetAdvisorFacet {
        /// The title.
        #[schemars(transform = schemas::text::<1, 200>)]
        title: Stated<String>,
        /// The department.
        department: Uuid,
        /// Up to 50 fields of work.
        #[schemars(transform = schemas::texts::<50, 100>)]
        specialisations: Stated<Vec<String>>,
        /// The research, up to 4000 characters.
        #[serde(default)]
        #[schemars(transform = schemas::text::<0, 4000>)]
        research: Option<Stated<String>>,
    },
    /// Offers to be a mentor, or no longer (IDN-R5).
    SetMentorOffer {
        /// Whether it is offered.
        offered: bool,
        /// Up to 50 topics.
        #[schemars(transform = schemas::texts::<50, 100>)]
        topics: Stated<Vec<String>>,
        /// For how many people at once, 1 to 20.
        #[serde(default = "default_capacity")]
        #[schemars(transform = schemas::number::<1, 20>)]
        capacity: u32,
        /// When, in the person's own words by weekday or date.
        #[schemars(transform = schemas::text_map::<50, 500>)]
        availability: Stated<BTreeMap<String, String>>,
    },
    /// Declares demographics, which is voluntary and needs a consent (IDN-R2).
    DeclareDemographics {
        /// What is declared, such as `gender` or `ethnicity`.
        #[schemars(transform = schemas::text_map::<50, 200>)]
        attributes: Stated<BTreeMap<String, String>>,
        /// The consent ledger in which the consent stands.
        consent: Uuid,
    },
    /// Withdraws the demographics.
    WithdrawDemographics {},
    /// Sets language, money, time zone and looks.
    SetPreferences {
        /// A BCP 47 language tag.
        #[schemars(transform = schemas::locale)]
        locale: String,
        /// ISO 4217.
        currency: Currency,
        /// An IANA time zone.
        #[schemars(transform = schemas::time_zone)]
        tz: String,
        /// The theme of the user interface.
        #[serde(default)]
        #[schemars(transform = schemas::text::<1, 50>)]
        theme: Option<Stated<String>>,
        /// Aids to perception.
        #[serde(default)]
        #[schemars(transform = schemas::text_map::<50, 200>)]
        accessibility: Option<Stated<BTreeMap<String, String>>>,
    },
    /// Sets who finds the profile (IDN-R4).
    SetDirectoryVisibility {
        /// Who finds it.
        visibility: Visibility,
        /// Whether the person opts out of directory information (§99.37).
        ferpa_directory_opt_out: bool,
    },
    /// Joins an org unit.
    JoinOrgUnit {
        /// The org unit.
        org: Uuid,
        /// As what.
        relation: Relation,
        /// Since when.
        #[schemars(transform = schemas::date)]
        from: Date,
    },
    /// Leaves an org unit.
    LeaveOrgUnit {
        /// The org unit.
        org: Uuid,
        /// As what.
        relation: Relation,
        /// Until when.
        #[schemars(transform = schemas::date)]
        until: Date,
    },
    /// Records what another platform says of the person.
    #[schemars(extend("x-system" = true))]
    RecordExternalProfile {
        /// The platform.
        provider: String,
        /// What it says.
        fields: Stated<BTreeMap<String, String>>,
    },
}

fn default_capacity() -> u32 {
    3
}

/// What can have happened to a profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[allow(missing_docs, reason = "the fields are those of the commands")]
pub enum ProfileEvent {
    /// The profile was created, or named: a second time where the person's own command came before the name.
    ProfileCreated { account: Uuid, display_name: Option<Personal<String, Told>> },
    /// What the person says of themselves was revised.
    ProfileRevised {
        given_name: Option<Personal<String, Told>>,
        family_name: Option<Personal<String, Told>>,
        headline: Option<Personal<String, Told>>,
        bio: Option<Personal<String, Told>>,
        phone: Option<Personal<String, Told>>,
        photo: Option<Uuid>,
        skills: Option<Personal<Vec<String>, Told>>,
        interests: Option<Personal<Vec<String>, Told>>,
    },
    /// The facts as a student were stated.
    StudentFacetSet {
        student_no: Personal<String, Education>,
        major: Personal<String, Education>,
        grad_year: Personal<i32, Education>,
        gpa: Option<Personal<i32, Education>>,
        classroom: Option<Personal<String, Education>>,
        source: FacetSource,
    },
    /// The facts as an alumnus or alumna were stated.
    AlumniFacetSet {
        grad_year: Personal<i32, Told>,
        degree: Personal<String, Told>,
        company: Option<Personal<String, Told>>,
        position: Option<Personal<String, Told>>,
        industry: Option<Personal<String, Told>>,
        linkedin: Option<Personal<String, Told>>,
    },
    /// Whom the person recruits for was stated.
    EmployerFacetSet { org: Uuid, title: Personal<String, Told> },
    /// The facts as an advisor were stated.
    AdvisorFacetSet {
        title: Personal<String, Told>,
        department: Uuid,
        specialisations: Personal<Vec<String>, Told>,
        research: Option<Personal<String, Told>>,
    },
    /// The offer to be a mentor was set.
    MentorOfferSet {
        offered: bool,
        topics: Personal<Vec<String>, Told>,
        capacity: u32,
        availability: Personal<BTreeMap<String, String>, Told>,
    },
    /// Demographics were declared.
    DemographicsDeclared { attributes: Personal<BTreeMap<String, String>, Sensitive>, consent: Uuid },
    /// The demographics were withdrawn.
    DemographicsWithdrawn {},
    /// The preferences were set.
    PreferencesChanged {
        locale: String,
        currency: Currency,
        tz: String,
        theme: Option<Personal<String, Told>>,
        accessibility: Option<Personal<BTreeMap<String, String>, Told>>,
    },
    /// Who finds the profile was set.
    DirectoryVisibilitySet { visibility: Visibility, ferpa_directory_opt_out: bool },
    /// The person joined an org unit.
    OrgUnitJoined { org: Uuid, relation: Relation, from: Date },
    /// The person left an org unit.
    OrgUnitLeft { org: Uuid, relation: Relation, until: Date },
    /// What another platform says of the person was recorded.
    ExternalProfileRecorded { provider: String, fields: Personal<BTreeMap<String, String>, Told> },
}

impl Event for ProfileEvent {
    const UPCASTERS: &'static [Upcaster] = &[
        Upcaster {
            event_type: "PreferencesChanged",
            from: 1,
            step: |fields| withheld(fields, &["theme", "accessibility"]),
        },
        Upcaster {
            event_type: "AdvisorFacetSet",
            from: 1,
            step: |fields| withheld(fields, &["specialisations"]),
        },
        Upcaster {
            event_type: "MentorOfferSet",
            from: 1,
            step: |fields| withheld(fields, &["topics", "availability"]),
        },
    ];

    fn name(&self) -> &'static str {
        self.into()
    }
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error, IntoStaticStr)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ProfileRefusal {
    #[error("the phone number is not E.164")]
    InvalidPhone {},
    #[error("`{field}` is too long: at most {most}")]
    TooLong { field: &'static str, most: usize },
    #[error("the student information system states these facts")]
    SelfReportedLocked {},
    #[error("there is no such org unit")]
    UnknownOrg {},
    #[error("the org unit is no active employer")]
    OrgNotEmployer {},
    #[error("mentors are alumni, advisors or staff")]
    NotEligible {},
    #[error("there is no consent to bias monitoring")]
    ConsentMissing {},
    #[error("the org unit is inactive")]
    OrgInactive {},
    #[error("the person belongs to it already")]
    Duplicate {},
    #[error("the person does not belong to it")]
    NotJoined {},
}

impl Refusal for ProfileRefusal {
    fn code(&self) -> &'static str {
        self.into()
    }
    fn kind(&self) -> RefusalKind {
        use ProfileRefusal as R;
        match self {
            R::InvalidPhone {} | R::TooLong { .. } => RefusalKind::Invalid,
            R::UnknownOrg {} | R::NotJoined {} => RefusalKind::NotFound,
            R::SelfReportedLocked {}
            | R::OrgNotEmployer {}
            | R::NotEligible {}
            | R::ConsentMissing {}
            | R::OrgInactive {}
            | R::Duplicate {} => RefusalKind::Conflict,
        }
    }
    fn field(&self) -> Option<&'static str> {
        use ProfileRefusal as R;
        match self {
            R::InvalidPhone {} => Some("phone"),
            R::TooLong { field, .. } => Some(field),
            R::SelfReportedLocked {} => Some("source"),
            R::ConsentMissing {} => Some("consent"),
            R::UnknownOrg {}
            | R::OrgNotEmployer {}
            | R::OrgInactive {}
            | R::Duplicate {}
            | R::NotJoined {} => Some("org"),
            R::NotEligible {} => None,
        }
    }
}
