//! On which basis education records may be disclosed: consent (34 CFR 99.30) or a paragraph of 99.31. What is no basis
//! here is none.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::PartyKind;

/// A basis, stored by its paragraph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DisclosureBasis {
    /// The student's signed and dated consent.
    #[serde(rename = "99.30")]
    Consent,
    /// A school official with a legitimate educational interest.
    #[serde(rename = "99.31(a)(1)(i)(A)")]
    SchoolOfficial,
    /// A contractor to whom the school has outsourced what its own employees would do.
    #[serde(rename = "99.31(a)(1)(i)(B)")]
    Contractor,
    /// A school where the student seeks to enrol or is enrolled (99.34).
    #[serde(rename = "99.31(a)(2)")]
    OtherSchool,
    /// An authority that audits or evaluates education programs (99.35).
    #[serde(rename = "99.31(a)(3)")]
    EducationAuthority,
    /// Financial aid that the student has applied for or received.
    #[serde(rename = "99.31(a)(4)")]
    FinancialAid,
    /// The juvenile justice system, under a statute of the state (99.38).
    #[serde(rename = "99.31(a)(5)")]
    JuvenileJustice,
    /// A study for the school, under a written agreement.
    #[serde(rename = "99.31(a)(6)")]
    Study,
    /// An accrediting organisation.
    #[serde(rename = "99.31(a)(7)")]
    Accreditation,
    /// The parents of a dependent student.
    #[serde(rename = "99.31(a)(8)")]
    ParentOfDependent,
    /// A judicial order or a lawfully issued subpoena.
    #[serde(rename = "99.31(a)(9)(i)")]
    JudicialOrder,
    /// A subpoena of a federal grand jury that forbids to tell.
    #[serde(rename = "99.31(a)(9)(ii)(A)")]
    GrandJurySubpoena,
    /// Another subpoena for law enforcement that forbids to tell.
    #[serde(rename = "99.31(a)(9)(ii)(B)")]
    SealedSubpoena,
    /// An ex parte order in a terrorism case.
    #[serde(rename = "99.31(a)(9)(ii)(C)")]
    TerrorismOrder,
    /// A legal action between the school and the student.
    #[serde(rename = "99.31(a)(9)(iii)")]
    LegalAction,
    /// A health or safety emergency (99.36).
    #[serde(rename = "99.31(a)(10)")]
    Emergency,
    /// Directory information (99.37).
    #[serde(rename = "99.31(a)(11)")]
    Directory,
    /// The student.
    #[serde(rename = "99.31(a)(12)")]
    Student,
    /// The victim of a crime of violence: the final results of the proceeding (99.39).
    #[serde(rename = "99.31(a)(13)")]
    CrimeVictim,
    /// The final results of a disciplinary proceeding about a crime of violence (99.39).
    #[serde(rename = "99.31(a)(14)")]
    DisciplinaryResult,
    /// The parent of a student under 21 who violated the rules on alcohol or drugs.
    #[serde(rename = "99.31(a)(15)")]
    SubstanceViolation,
    /// What is known of registered sex offenders.
    #[serde(rename = "99.31(a)(16)")]
    SexOffender,
}

impl DisclosureBasis {
    /// All of them, in the order of their paragraphs.
    pub const ALL: [DisclosureBasis; 22] = {
        use DisclosureBasis as B;
        [
            B::Consent,
            B::SchoolOfficial,
            B::Contractor,
            B::OtherSchool,
            B::EducationAuthority,
            B::FinancialAid,
            B::JuvenileJustice,
            B::Study,
            B::Accreditation,
            B::ParentOfDependent,
            B::JudicialOrder,
            B::GrandJurySubpoena,
            B::SealedSubpoena,
            B::TerrorismOrder,
            B::LegalAction,
            B::Emergency,
            B::Directory,
            B::Student,
            B::CrimeVictim,
            B::DisciplinaryResult,
            B::SubstanceViolation,
            B::SexOffender,
        ]
    };

    /// The paragraph of 34 CFR.
    pub fn citation(self) -> &'static str {
        use DisclosureBasis as B;
        match self {
            B::Consent => "99.30",
            B::SchoolOfficial => "99.31(a)(1)(i)(A)",
            B::Contractor => "99.31(a)(1)(i)(B)",
            B::OtherSchool => "99.31(a)(2)",
            B::EducationAuthority => "99.31(a)(3)",
            B::FinancialAid => "99.31(a)(4)",
            B::JuvenileJustice => "99.31(a)(5)",
            B::Study => "99.31(a)(6)",
            B::Accreditation => "99.31(a)(7)",
            B::ParentOfDependent => "99.31(a)(8)",
            B::JudicialOrder => "99.31(a)(9)(i)",
            B::GrandJurySubpoena => "99.31(a)(9)(ii)(A)",
            B::SealedSubpoena => "99.31(a)(9)(ii)(B)",
            B::TerrorismOrder => "99.31(a)(9)(ii)(C)",
            B::LegalAction => "99.31(a)(9)(iii)",
            B::Emergency => "99.31(a)(10)",
            B::Directory => "99.31(a)(11)",
            B::Student => "99.31(a)(12)",
            B::CrimeVictim => "99.31(a)(13)",
            B::DisciplinaryResult => "99.31(a)(14)",
            B::SubstanceViolation => "99.31(a)(15)",
            B::SexOffender => "99.31(a)(16)",
        }
    }

    /// The basis of a paragraph, if that paragraph is one.
    pub fn of_citation(citation: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|basis| basis.citation() == citation)
    }

    /// Whether it carries a disclosure to such a party. Consent names the party itself.
    pub fn fits(self, party: PartyKind) -> bool {
        use DisclosureBasis as B;
        use PartyKind as P;
        match self {
            B::Consent => true,
            B::SchoolOfficial => party == P::SchoolOfficial,
            B::Contractor => party == P::Contractor,
            B::OtherSchool => party == P::OtherSchool,
            B::JudicialOrder | B::GrandJurySubpoena | B::SealedSubpoena | B::TerrorismOrder => {
                matches!(party, P::Court | P::Other)
            }
            B::LegalAction => party == P::Court,
            B::Emergency => party == P::Emergency,
            B::Directory => party == P::Directory,
            B::Student => party == P::Student,
            B::FinancialAid => matches!(party, P::OtherSchool | P::Other),
            B::DisciplinaryResult => matches!(party, P::OtherSchool | P::Employer | P::Other),
            B::EducationAuthority
            | B::JuvenileJustice
            | B::Study
            | B::Accreditation
            | B::ParentOfDependent
            | B::CrimeVictim
            | B::SubstanceViolation
            | B::SexOffender => party == P::Other,
        }
    }

    /// Whether 99.32(d) asks for no record of it (GOV-D2).
    pub fn exempt(self) -> bool {
        use DisclosureBasis as B;
        match self {
            B::Consent
            | B::SchoolOfficial
            | B::Contractor
            | B::GrandJurySubpoena
            | B::SealedSubpoena
            | B::TerrorismOrder
            | B::Directory
            | B::Student => true,
            B::OtherSchool
            | B::EducationAuthority
            | B::FinancialAid
            | B::JuvenileJustice
            | B::Study
            | B::Accreditation
            | B::ParentOfDependent
            | B::JudicialOrder
            | B::LegalAction
            | B::Emergency
            | B::CrimeVictim
            | B::DisciplinaryResult
            | B::SubstanceViolation
            | B::SexOffender => false,
        }
    }

    /// Whether it carries a disclosure although the student had the use of their records restricted: with consent, for legal
    /// claims, or to protect others (Art. 18(2) GDPR).
    pub fn overrides_restriction(self) -> bool {
        use DisclosureBasis as B;
        match self {
            B::Consent
            | B::JudicialOrder
            | B::GrandJurySubpoena
            | B::SealedSubpoena
            | B::TerrorismOrder
            | B::LegalAction
            | B::Emergency
            | B::Student => true,
            B::SchoolOfficial
            | B::Contractor
            | B::OtherSchool
            | B::EducationAuthority
            | B::FinancialAid
            | B::JuvenileJustice
            | B::Study
            | B::Accreditation
            | B::ParentOfDependent
            | B::Directory
            | B::CrimeVictim
            | B::DisciplinaryResult
            | B::SubstanceViolation
            | B::SexOffender => false,
        }
    }

    /// Whether the party reads by order of a court or for legal claims: then it is no recipient in the sense of Art. 4(9) GDPR.
    pub fn is_legal_proceeding(self) -> bool {
        self.citation().starts_with("99.31(a)(9)")
    }

    /// Whether the student may not be told of it (99.31(a)(9)(ii)).
    pub fn forbids_to_tell(self) -> bool {
        use DisclosureBasis as B;
        matches!(self, B::GrandJurySubpoena | B::SealedSubpoena | B::TerrorismOrder)
    }

    /// Whether the party may hand the records on only with consent, and must be told so (99.33(a) and (d)).
    pub fn limits_redisclosure(self) -> bool {
        use DisclosureBasis as B;
        match self {
            B::ParentOfDependent
            | B::JudicialOrder
            | B::GrandJurySubpoena
            | B::SealedSubpoena
            | B::TerrorismOrder
            | B::LegalAction
            | B::Directory
            | B::Student
            | B::DisciplinaryResult
            | B::SubstanceViolation
            | B::SexOffender => false,
            B::Consent
            | B::SchoolOfficial
            | B::Contractor
            | B::OtherSchool
            | B::EducationAuthority
            | B::FinancialAid
            | B::JuvenileJustice
            | B::Study
            | B::Accreditation
            | B::Emergency
            | B::CrimeVictim => true,
        }
    }
}

/// The record that 99.31(a)(13) and (14) let be told: name, violation and sanction (34 CFR 99.39).
pub const FINAL_RESULTS: &str = "final_results";

/// What a party is told with the records (34 CFR 99.33).
pub const REDISCLOSURE_NOTICE: &str = "These education records are disclosed on the condition that you do not disclose \
    them to any other party without the prior consent of the student, and use them only for the purposes for which the \
    disclosure was made (34 CFR 99.33(a)).";

/// What the school has designated as directory information (34 CFR 99.3), by name.
pub const DIRECTORY_INFORMATION: [&str; 16] = [
    "name",
    "address",
    "telephone",
    "email",
    "photograph",
    "date_of_birth",
    "place_of_birth",
    "major",
    "grade_level",
    "enrollment_status",
    "dates_of_attendance",
    "activities",
    "athletics",
    "degrees",
    "honors",
    "previous_school",
];

/// The paragraphs that are a basis, in a schema.
pub(crate) fn citations(schema: &mut Schema) {
    let known = DisclosureBasis::ALL.map(DisclosureBasis::citation);
    schema.insert("enum".into(), serde_json::json!(known));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gov_d1_a_basis_is_stored_by_its_paragraph() {
        for basis in DisclosureBasis::ALL {
            assert_eq!(serde_json::to_value(basis).unwrap(), basis.citation());
            assert_eq!(DisclosureBasis::of_citation(basis.citation()), Some(basis));
        }
        assert_eq!(DisclosureBasis::of_citation("99.31(a)(17)"), None);
        assert_eq!(DisclosureBasis::of_citation(""), None);
    }

    #[test]
    fn gov_d2_what_needs_no_entry_is_what_the_law_says() {
        let exempt: Vec<&str> = DisclosureBasis::ALL
            .into_iter()
            .filter(|basis| basis.exempt())
            .map(DisclosureBasis::citation)
            .collect();
        let law = [
            "99.30",
            "99.31(a)(1)(i)(A)",
            "99.31(a)(1)(i)(B)",
            "99.31(a)(9)(ii)(A)",
            "99.31(a)(9)(ii)(B)",
            "99.31(a)(9)(ii)(C)",
            "99.31(a)(11)",
            "99.31(a)(12)",
        ];
        assert_eq!(exempt, law);
    }

    #[test]
    fn the_notice_of_99_33_is_owed_except_where_the_law_says_otherwise() {
        for basis in DisclosureBasis::ALL {
            let excepted = ["(8)", "(9)", "(11)", "(12)", "(14)", "(15)", "(16)"]
                .iter()
                .any(|paragraph| basis.citation().starts_with(&format!("99.31(a){paragraph}")));
            assert_eq!(basis.limits_redisclosure(), !excepted, "{}", basis.citation());
        }
    }

    #[test]
    fn gov_d1_every_kind_of_party_has_a_basis_and_no_basis_but_consent_fits_all() {
        use PartyKind as P;
        let kinds = [
            P::SchoolOfficial,
            P::OtherSchool,
            P::Court,
            P::Emergency,
            P::Directory,
            P::Student,
            P::Contractor,
            P::Other,
            P::Employer,
        ];
        let without_consent = &DisclosureBasis::ALL[1..];
        for kind in kinds {
            assert!(without_consent.iter().any(|basis| basis.fits(kind)), "{kind:?}");
        }
        assert!(without_consent.iter().all(|basis| !kinds.iter().all(|kind| basis.fits(*kind))));
    }
}
