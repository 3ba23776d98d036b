//! Governance & Privacy: views over the log itself. The audit trail says who did what, to what, about whom and
//! why; causation and lineage say what came of what. Beside them the read models of this context: consents,
//! privacy requests, the disclosure log, the register of processing, incidents and audit replays
//!
//!
//! What must never live here: a copy of events. [`LogIndex`] only says where in the log to look; whatever is answered is
//! read from the log, and events that the index has not reached yet are answered as well.

mod audit;
mod audit_replays;
mod consents;
mod data_map;
mod disclosure_log;
mod entry;
mod incidents;
mod inventory;
mod keys;
mod legal_holds;
mod lineage;
mod log_index;
mod log_view;
mod openlineage;
mod package;
mod privacy_requests;
mod processing_register;
mod purposes;
mod recipient_notices;
mod recipients;
mod retention_board;
mod untold;

pub use audit::{AuditFilters, AuditPage, AuditQuery, CausationChain};
pub use audit_replays::{AuditReplayRow, AuditReplays, ReplayStep};
pub use consents::{ConsentRow, ConsentState, Consents};
pub use data_map::{ClassMap, DataMap, EventFields, RowFields, data_map};
pub use disclosure_log::{DisclosureLog, DisclosureRow, Redisclosure};
pub use entry::{Entry, GovernanceError};
pub use incidents::{IncidentRow, IncidentStep, Incidents};
pub use inventory::{Holding, Inventory};
pub use keys::{KeyRow, Keys};
pub use legal_holds::{LegalHoldRow, LegalHolds};
pub use lineage::{Direction, Edge, EdgeKind, Graph, LineageQuery, Node, NodeKind, NodeRef};
pub use log_index::{LogIndex, LogIndexRow, Offsets};
pub use log_view::Order;
pub use openlineage::openlineage;
pub use package::{
    ClassHeld, DecisionExplained, DecisionReview, Made, PACKAGE_VALID_FOR, Package, PackageFlaw,
    PackageFormat, PackageRecord, PackageRequest, PackageSummary, PurposeUsed, ReadByOthers, Recipients,
    Retention, RowsHeld, SourceOf, Withheld, check_package, is_package, package_schema, page as package_page,
};
pub use privacy_requests::{FulfilmentStep, PrivacyRequestRow, PrivacyRequests};
pub use processing_register::{ProcessingRegister, ProcessingRow};
pub use purposes::{ProcessedFor, ProcessingRecord, Purposes, SaidBy};
pub use recipient_notices::{RecipientNoticeRow, RecipientNotices};
pub use retention_board::{RetentionBoard, RetentionBoardRow};
pub use untold::Untold;
