//! Governance & Privacy: consent, the rights of data subjects, disclosures of education records, the register of
//! processing, security incidents (catalogue 2.11). The law: FERPA (34 CFR 99) and GDPR.
//!
//! Neighbours: Identity says who opted out of directory information; every other context asks here whether a consent
//! stands, and never keeps a copy of the answer.
//!
//! What must never live here: a decision that is no rule of law or of the house. Whether a legitimate interest is one, a
//! person decides; here stands that they did, on which basis, and when.

mod consent_ledger;
mod values;

pub use consent_ledger::*;
pub use values::*;
