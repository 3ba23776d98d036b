//! Personal Budgeting: turn an income into daily plans, follow spending, move money when a day goes wrong
//! (catalogue 2.5).
//!
//! - **Envelope**: the month's money of one category. Redistribution moves money between envelopes, it never makes any.
//! - **Daily plan**: how an envelope is paced over the days of the month.
//! - **Overspend**: what was spent of a category on a day above its plan; of a `fixed_day` category, in the month above
//!   its envelope.
//! - **Donor**: a category of level 2 or 3, not essential, with something left; it gives at most half of that.
//! - **`uncategorised`**: spending that waits for a category; its envelope is 0 and it never overspends.
//!
//! Neighbours: `identity` names the owner (the id of a [`BudgetProfile`] is the account's id); `intelligence` clusters
//! owners into cohorts; `notifications` tells them. Every amount of money and every free text in an event of this context
//! is personal data of the owner, class `financial`. Nothing in here converts currencies but [`Transaction`], and nothing
//! converts without a rate that somebody stated.

mod budget_month;
mod budget_profile;
mod categorise;
mod category;
mod clusters;
mod cohort;
mod figures;
#[cfg(test)]
mod fixtures;
mod keywords;
mod patterns;
mod transaction;
mod values;

pub use budget_month::*;
pub use budget_profile::*;
pub use categorise::*;
pub use category::*;
pub use clusters::*;
pub use cohort::*;
pub use figures::*;
pub use patterns::*;
pub use transaction::*;
pub use values::*;

use uuid::Uuid;

use crate::kernel::Actor;

/// Whether the actor is the owner, acting within a scope. Nobody else's budget can be changed, except by `admin`.
fn owns(actor: &Actor, account: Uuid, scope: &str) -> bool {
    actor.has(scope) && (actor.is(account) || actor.has_role("admin"))
}
