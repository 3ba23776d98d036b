//! Governance & Privacy: consent, the rights of data subjects, disclosures of education records, the register of
//! processing, security incidents, how long data is kept, who may not destroy it, and who saw it (catalogue 2.11). The
//! law: FERPA (34 CFR 99) and GDPR.
//!
//! - **Legal hold**: an order to keep data; it wins over retention and erasure.
//! - **Retention policy**: how long a record class is kept, and what then happens.
//! - **Subject key**: the keys of one person's data; destroying them is erasing it.
//! - **Recipient notice**: that somebody who received data is told what became of it (Art. 19 GDPR).
//! - **Processing activity**: for which purpose and on which basis data is processed (Art. 30 GDPR): an entry of the
//!   register, or a default of the house that nobody has confirmed.
//! - **Audit replay**: one look of compliance into history, itself on record.
//! - **Access log**: who read whose personal data, and who was turned away.
//!
//! Neighbours: Identity says who opted out of directory information; every other context asks here whether a consent
//! stands, and never keeps a copy of the answer.
//!
//! What must never live here: key material, and a decision that is no rule of law or of the house. Whether a legitimate
//! interest is one, a person decides; here stands that they did, on which basis, and when.

use jiff::{Timestamp, ToSpan, tz::TimeZone};

mod access_log;
mod audit_replay;
mod consent_ledger;
mod disclosure;
mod legal_hold;
mod privacy_request;
mod processing_activity;
mod processing_defaults;
mod recipient_notice;
mod retention_policy;
mod security_incident;
mod subject_key;
mod values;

pub use access_log::{
    ACCESS_SUBJECTS_MAX, AccessLog, AccessLogCommand, AccessLogEvent, SHARDS, access_log_id,
};
pub use audit_replay::*;
pub use consent_ledger::*;
pub use disclosure::*;
pub use legal_hold::{HoldStatus, LegalHold, LegalHoldCommand, LegalHoldEvent, LegalHoldRefusal};
pub(crate) use legal_hold::{is_hold, not_held};
pub use privacy_request::*;
pub use processing_activity::*;
pub use processing_defaults::*;
pub use recipient_notice::*;
pub use retention_policy::*;
pub use security_incident::*;
pub use subject_key::*;
pub use values::*;

/// So many calendar months later, at the last day of a month that is too short, in UTC.
fn months_after(start: Timestamp, months: i32) -> Timestamp {
    let later = start.to_zoned(TimeZone::UTC).checked_add(months.months());
    later.map_or(Timestamp::MAX, |later| later.timestamp())
}

/// Whether it has the form `local@domain`, without blanks and control characters: nothing that could end a line of a mail.
fn is_address(text: &str) -> bool {
    let plain = |letter: char| !letter.is_whitespace() && !letter.is_control();
    let parts = text.rsplit_once('@').filter(|_| text.chars().all(plain));
    parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

/// Whether two names are the same, blanks around them and the case of letters aside.
fn alike(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}
