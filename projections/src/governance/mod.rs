//! Governance & Privacy: views over the log itself. The audit trail says who did what, to what, about whom and
//! why; causation and lineage say what came of what.
//!
//! What must never live here: a copy of events. [`LogIndex`] only says where in the log to look; whatever is answered is
//! read from the log, and events that the index has not reached yet are answered as well.

mod audit;
mod entry;
mod lineage;
mod log_index;
mod log_view;
mod openlineage;

pub use audit::{AuditFilters, AuditPage, AuditQuery, CausationChain};
pub use entry::{Entry, GovernanceError};
pub use lineage::{Direction, Edge, EdgeKind, Graph, LineageQuery, Node, NodeKind, NodeRef};
pub use log_index::{LogIndex, LogIndexRow, Offsets};
pub use log_view::Order;
pub use openlineage::openlineage;
