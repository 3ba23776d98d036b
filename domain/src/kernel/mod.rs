//! The words that every context shares: what an aggregate is, who acts, money, personal data, claims, refusals.
//!
//! Nothing here belongs to one context's business.

mod actor;
mod arithmetic;
pub mod bounds;
mod claim;
mod decider;
mod digest;
mod envelope;
mod facts;
mod identifiers;
mod money;
mod personal;
mod recipient;
mod refusal;
pub mod sampling;
pub mod schemas;
pub mod testing;
mod upcast;

pub(crate) use actor::is_about_ones_own;
pub use actor::{Actor, ActorKind, Permission, READ, RoleGrant, SERVICE, scopes_of_role};
pub use arithmetic::{AllocationError, BasisPoints, allocate, cap, half_even_rate, is_partition, ratio_bp};
pub use claim::Claim;
pub use decider::{Context, Decided, Decider, Event, Noted, RefusedBy};
pub use digest::sha256_hex;
pub use envelope::Envelope;
pub use facts::{Answer, Known, NotYet, Question, Versioned};
pub use identifiers::{annals_namespace, derived_id};
pub use money::{Currency, Money, MoneyError};
pub use personal::{Class, OpeningScope, Personal, PersonalGroup, RecordClass, SealingScope, Stated, class};
pub use recipient::{ReceivedBy, Recipient};
pub use refusal::{NoRefusal, Refusal, RefusalKind, Refused};
pub use upcast::{Upcaster, upcast, withheld};
