//! Notifications: telling the right person, through the right channel, once (catalogue 2.9).
//!
//! - **Notification**: one thing that one person is told of because of one event.
//! - **Recipient settings**: through which channels a person wants to be told of what.
//! - **Channel**: in the application, or by a carrier that can fail.
//!
//! Neighbours: every other context only says what happened; a policy decides who is told of it (P-34), another through which
//! channel (P-35). What never lives here: what is written to people as a part of their rights or of a login (governance,
//! identity), which nobody can switch off.

mod notification;
mod recipient_settings;
mod routing;
mod texts;
mod types;

pub use notification::*;
pub use recipient_settings::*;
pub use routing::*;
pub use texts::*;
pub use types::*;
