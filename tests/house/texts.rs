//! Which texts of events are in the clear.

use std::collections::BTreeSet;

use super::root;

/// The texts in the clear, by event; the lines in between say why they may be.
const KNOWN: &str = include_str!("texts_in_the_clear.txt");

/// The types that hold no text: numbers, times, ids, and words from lists. What is of any other may hold one.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "BasisPoints", "BloomLevel", "CategoryClass", "Channel", "ClientProfile", "CloseReason", "Cohort",
    "ConsentPurpose", "CredentialLevel", "CredentialType", "CreditType", "Currency", "DataChange", "Delivery",
    "DisclosureBasis", "DismissalCause", "FacetSource", "FailureReason", "IncidentKind", "IpAudience",
    "LoginMethod", "MilliCredits", "Money", "NotificationType", "OrgKind", "OrgType", "OutcomeCategory", "Pacing",
    "PartyKind", "PrerequisiteKind", "Priority", "PrivacyRegime", "PrivacyRequestType", "ProcessingContext",
    "RateKey", "ReallocationReason", "RecognitionType", "Recommendation", "RecordClass", "RedistributionCause",
    "RedistributionMode", "Registration", "Relation", "ReplayPurpose", "RetentionAction", "RetentionOutcome",
    "RetentionStart", "ReviewRecommendation", "SessionEnd", "Severity", "ShredBasis", "Split", "SsoProvider",
    "StepOutcome", "SuppressionReason", "TransactionKind", "TransactionSource", "TranscriptMode", "Verdict",
    "Verification", "Visibility", "WaiverGround", "YearMonth", "boolean", "date", "date-time", "integer", "uuid",
];

/// The fields of events that hold text and are not personal, as `Event.field`, from the catalogue of events. Another test
/// holds that the catalogue is what the code says.
fn in_the_clear() -> BTreeSet<String> {
    let catalogue = std::fs::read_to_string(root().join("docs/events.md")).unwrap();
    let (mut event, mut found) = ("", BTreeSet::new());
    for line in catalogue.lines() {
        if let Some(title) = line.strip_prefix("### ") {
            event = title.split(' ').next().unwrap();
        } else if let Some(row) = line.strip_prefix("| `") {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let is_text = !WORDS.contains(&cells[1].trim_start_matches("list of "));
            if is_text && !cells[2].contains("*personal*") {
                found.insert(format!("{event}.{}", cells[0].trim_end_matches('`')));
            }
        }
    }
    found
}

#[test]
fn no_text_of_an_event_is_in_the_clear_unseen() {
    let known: BTreeSet<String> =
        KNOWN.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect();
    let found = in_the_clear();
    let unseen: Vec<&String> = found.difference(&known).collect();
    assert!(unseen.is_empty(), "seal them, or say why not: {unseen:?}");
    let gone: Vec<&String> = known.difference(&found).collect();
    assert!(gone.is_empty(), "no text in the clear any more: {gone:?}");
}
