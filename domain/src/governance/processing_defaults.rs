//! What the house itself does with personal data, context by context: the activities that hold where no entry of the register
//! of processing covers the data ([`super::ProcessingActivity`]). Nobody has confirmed them, and they say so wherever they are
//! told; whoever answers for the processing confirms one by registering an entry for the same context and classes.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::kernel::{RecordClass, schemas};

/// A bounded context, as entries of the register name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ProcessingContext {
    /// Who may act, and who people and organisations are.
    Identity,
    /// Scholarships and applications.
    Opportunities,
    /// Micro-credentials and their recognition.
    Credentials,
    /// Personal budgets.
    Budgeting,
    /// What was computed about people.
    Intelligence,
    /// Consents, rights, disclosures and who saw what.
    Governance,
    /// Telling people what happened.
    Notifications,
}

impl ProcessingContext {
    /// All of them.
    pub const ALL: [ProcessingContext; 7] = [
        ProcessingContext::Identity,
        ProcessingContext::Opportunities,
        ProcessingContext::Credentials,
        ProcessingContext::Budgeting,
        ProcessingContext::Intelligence,
        ProcessingContext::Governance,
        ProcessingContext::Notifications,
    ];

    /// The name, as aggregate types begin with it.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// As many contexts as there are.
pub(super) fn context_count(schema: &mut Schema) {
    schemas::count::<{ ProcessingContext::ALL.len() as u32 }>(schema);
}

/// What the house does with data where nobody has said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessingDefault {
    /// The name.
    pub name: &'static str,
    /// In which context.
    pub context: ProcessingContext,
    /// The aggregates whose data it is.
    pub aggregates: &'static [&'static str],
    /// The events whose data it is; none: all of these aggregates.
    pub events: &'static [&'static str],
    /// The record classes of that data.
    pub classes: &'static [RecordClass],
    /// For which purpose.
    pub purpose: &'static str,
    /// Its basis in Art. 6(1) GDPR, and in Art. 9(2) for demographics.
    pub legal_basis: &'static str,
    /// Its basis in 34 CFR 99, where it is about education records.
    pub ferpa_basis: Option<&'static str>,
    /// Whose data it is, by category.
    pub subjects: &'static [&'static str],
    /// Who receives it, by category.
    pub recipients: &'static [&'static str],
}

/// When the data of all of these activities is erased.
pub const PROCESSING_DEFAULT_RETENTION: &str = "as the policies of retention say of its record classes";
/// How the data of all of these activities is secured.
pub const PROCESSING_DEFAULT_MEASURES: &str = "sealed with a key of the person, the record class and the epoch, which is \
                                               destroyed to erase it; whoever reads the data of others is on record";

/// The defaults. Where two are about the same data, the first one counts: what is narrow stands before what is wide.
pub static PROCESSING_DEFAULTS: &[ProcessingDefault] = {
    use ProcessingContext::{
        Budgeting, Credentials, Governance, Identity, Intelligence, Notifications, Opportunities,
    };
    use RecordClass as C;
    &[
        ProcessingDefault {
            name: "Demographics for the watch over bias",
            context: Identity,
            aggregates: &["identity.profile"],
            events: &["DemographicsDeclared", "DemographicsWithdrawn"],
            classes: &[C::Sensitive],
            purpose: "To see whether what is decided about people disadvantages a group of them",
            legal_basis: "Art. 6(1)(a), Art. 9(2)(a)",
            ferpa_basis: None,
            subjects: &["whoever declared demographics"],
            recipients: &[],
        },
        ProcessingDefault {
            name: "Accounts and directory",
            context: Identity,
            aggregates: &[
                "identity.account",
                "identity.api_client",
                "identity.org_unit",
                "identity.profile",
                "identity.security_policy",
                "identity.session",
            ],
            events: &[],
            classes: &[C::Identity, C::Profile, C::Education, C::SecurityLog, C::Secret],
            purpose: "To let people sign in safely, act in their role, and be found by others as far as they allow it",
            legal_basis: "Art. 6(1)(b)",
            ferpa_basis: Some("34 CFR 99.31(a)(1) and (11), 99.37"),
            subjects: &["students", "alumni", "staff", "employers", "contacts of organisations"],
            recipients: &[
                "school officials",
                "members of the campus, as far as the person's visibility allows",
            ],
        },
        ProcessingDefault {
            name: "Scholarships",
            context: Opportunities,
            aggregates: &["opportunities.scholarship", "opportunities.scholarship_application"],
            events: &[],
            classes: &[C::Identity, C::Education, C::Communication, C::SecurityLog],
            purpose: "To receive, review and decide applications for scholarships, and to award them",
            legal_basis: "Art. 6(1)(b)",
            ferpa_basis: Some("34 CFR 99.31(a)(1) and (4)"),
            subjects: &["applicants", "recommenders", "reviewers"],
            recipients: &["reviewers and staff of the scholarship", "recommenders whom the applicant names"],
        },
        ProcessingDefault {
            name: "Recognition of micro-credentials",
            context: Credentials,
            aggregates: &["credentials.micro_credential", "credentials.recognition"],
            events: &[],
            classes: &[],
            purpose: "To describe micro-credentials and to decide for how much credit institutions recognise them",
            legal_basis: "Art. 6(1)(e)",
            ferpa_basis: None,
            subjects: &["staff who propose and decide"],
            recipients: &["the institutions concerned", "the public, of what is published"],
        },
        ProcessingDefault {
            name: "Analysis of spending",
            context: Budgeting,
            aggregates: &["budgeting.budget_profile"],
            events: &["CohortAssigned", "CohortDriftDetected", "SpendingPatternsRecorded"],
            classes: &[C::Financial],
            purpose: "To show owners of budgets how they spend, and how that compares with others who consent",
            legal_basis: "Art. 6(1)(a)",
            ferpa_basis: None,
            subjects: &["owners of budgets who consent to analytics"],
            recipients: &[],
        },
        ProcessingDefault {
            name: "Personal budgets",
            context: Budgeting,
            aggregates: &["budgeting.budget_month", "budgeting.budget_profile", "budgeting.transaction"],
            events: &[],
            classes: &[C::Financial],
            purpose: "To plan a budget for its owner, follow their spending and propose how to make up for it",
            legal_basis: "Art. 6(1)(b)",
            ferpa_basis: None,
            subjects: &["owners of budgets"],
            recipients: &[],
        },
        ProcessingDefault {
            name: "Explained decisions",
            context: Intelligence,
            aggregates: &["intelligence.decision"],
            events: &[],
            classes: &[C::AiContent],
            purpose: "To compute what orders opportunities and applications, and to explain, contest and review it",
            legal_basis: "Art. 6(1)(f)",
            ferpa_basis: None,
            subjects: &["whoever something was computed about"],
            recipients: &["people who decide on the matter", "people who review a contested decision"],
        },
        ProcessingDefault {
            name: "Who saw and did what",
            context: Governance,
            aggregates: &["governance.access_log", "governance.audit_replay", "governance.security_incident"],
            events: &[],
            classes: &[C::SecurityLog],
            purpose: "To find and prove unlawful access to personal data, and to tell of breaches",
            legal_basis: "Art. 6(1)(c)",
            ferpa_basis: None,
            subjects: &["whoever reads data of others", "whoever is turned away", "whoever a breach affects"],
            recipients: &["compliance", "supervisory authorities, of breaches"],
        },
        ProcessingDefault {
            name: "Rights, consents and disclosures",
            context: Governance,
            aggregates: &[
                "governance.consent_ledger",
                "governance.disclosure",
                "governance.legal_hold",
                "governance.privacy_request",
                "governance.processing_activity",
                "governance.recipient_notice",
                "governance.retention_policy",
                "governance.subject_key",
            ],
            events: &[],
            classes: &[C::Identity, C::Education],
            purpose: "To answer what people ask of their data, and to prove consents, disclosures, retention and erasure",
            legal_basis: "Art. 6(1)(c)",
            ferpa_basis: Some("34 CFR 99.10, 99.20, 99.21, 99.30 and 99.32"),
            subjects: &["whoever asks, consents or is asked about", "parties of disclosures"],
            recipients: &["compliance", "parties to whom records are disclosed", "supervisory authorities"],
        },
        ProcessingDefault {
            name: "Notifications",
            context: Notifications,
            aggregates: &["notifications.notification", "notifications.recipient_settings"],
            events: &[],
            classes: &[C::Communication],
            purpose: "To tell people what happened that concerns them, through the channels that they want",
            legal_basis: "Art. 6(1)(b)",
            ferpa_basis: None,
            subjects: &["whoever has an account"],
            recipients: &["the carrier of mail"],
        },
    ]
};

/// For what the house processes what an event says, as far as it is of a class; without a class, that it happened.
pub fn processing_default(
    aggregate: &str,
    event: &str,
    class: Option<RecordClass>,
) -> Option<&'static ProcessingDefault> {
    PROCESSING_DEFAULTS.iter().find(|default| {
        default.aggregates.contains(&aggregate)
            && (default.events.is_empty() || default.events.contains(&event))
            && class.is_none_or(|class| default.classes.contains(&class))
    })
}

#[cfg(test)]
mod tests {
    use strum::VariantNames;

    use super::*;
    use crate::{
        kernel::Decider,
        registry::{Visitor, every_aggregate},
    };

    #[derive(Default)]
    struct Names {
        aggregates: Vec<&'static str>,
        events: Vec<(&'static str, &'static str)>,
    }

    impl Visitor for Names {
        fn aggregate<D: Decider>(&mut self) {
            self.aggregates.push(D::TYPE);
            self.events.extend(D::Event::VARIANTS.iter().map(|event| (D::TYPE, *event)));
        }
    }

    fn names() -> Names {
        let mut names = Names::default();
        every_aggregate(&mut names);
        names
    }

    #[test]
    fn art_30_every_event_is_recorded_for_a_purpose() {
        for (aggregate, event) in names().events {
            assert!(processing_default(aggregate, event, None).is_some(), "{aggregate} {event}");
        }
    }

    #[test]
    fn what_a_default_names_is_of_its_context_and_exists() {
        let names = names();
        for default in PROCESSING_DEFAULTS {
            for aggregate in default.aggregates {
                assert!(names.aggregates.contains(aggregate), "{aggregate}");
                let context = aggregate.split('.').next();
                assert_eq!(context, Some(default.context.name()), "{}", default.name);
            }
            for event in default.events {
                let of_aggregate = |aggregate: &&str| names.events.contains(&(*aggregate, *event));
                assert!(default.aggregates.iter().any(of_aggregate), "{event}");
            }
        }
        for context in ProcessingContext::ALL {
            assert!(PROCESSING_DEFAULTS.iter().any(|default| default.context == context), "{context:?}");
        }
    }

    #[test]
    fn every_default_has_a_basis_in_gdpr_and_in_ferpa_where_it_is_about_education_records() {
        for default in PROCESSING_DEFAULTS {
            assert!(default.legal_basis.starts_with("Art. 6(1)("), "{}", default.name);
            let education = default.classes.contains(&RecordClass::Education);
            assert_eq!(default.ferpa_basis.is_some(), education, "{}", default.name);
        }
    }

    #[test]
    fn what_rests_on_consent_is_told_apart_from_the_rest_of_its_aggregate() {
        let of = |event, class| processing_default("budgeting.budget_profile", event, Some(class));
        let basis = |event| of(event, RecordClass::Financial).map(|default| default.legal_basis);
        assert_eq!(basis("SpendingPatternsRecorded"), Some("Art. 6(1)(a)"));
        assert_eq!(basis("BudgetSetUp"), Some("Art. 6(1)(b)"));
        assert_eq!(of("BudgetSetUp", RecordClass::Sensitive), None, "it has none of that class");
    }
}
