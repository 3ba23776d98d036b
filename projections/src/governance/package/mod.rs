//! Packages: what a person gets when they ask for their data (GDPR Art. 15 and 20, 34 CFR 99.10; GOV-P3). JSON with a
//! published schema, and the same as a page to print.
//!
//! A package is a function of the log up to the position of the approval. It is never stored: it is made again whenever it
//! is fetched, and the hash of its list of contents, which was recorded, says that it has the same events. So there is no
//! copy to protect, and after an erasure nothing is left to hand out.
//!
//! ```text
//! request   what was asked for and approved           material  the events that it is made of, and the list of contents
//! contents  what the package says                     made      how it is made of the material
//! rows      what read models make of the events       decisions what machines decided, explained
//! page      the same for people                     reads     who else read
//! seal      what is signed of it, and its check
//! ```
//!
//! What must never be here: a value about another person, a disclosure that the law forbids to tell of (34 CFR
//! 99.31(a)(9)(ii)), and anything that is kept when the answer has left.

mod contents;
mod decisions;
mod made;
mod material;
mod page;
mod reads;
mod request;
mod rows;
mod seal;

pub use contents::{
    ClassHeld, DecisionExplained, DecisionReview, Package, PackageFormat, PackageRecord, PurposeUsed,
    ReadByOthers, Recipients, Retention, RowsHeld, SourceOf, Withheld, package_schema,
};
pub use made::Made;
pub(super) use made::retention;
pub use material::PackageSummary;
pub use page::page;
pub use request::{PACKAGE_VALID_FOR, PackageRequest};
pub(super) use rows::rows_about_nobody;
pub use seal::{PackageFlaw, check_package, is_package};
