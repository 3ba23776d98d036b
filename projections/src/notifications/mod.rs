//! Read models of Notifications: what a person is told, and through which channels they want to be.
//!
//! What never lives here: who is told, and sending. Both are policies.

mod inbox;
mod settings;

pub use inbox::{NotificationRow, Notifications};
pub use settings::{NotificationSettings, NotificationSettingsRow};
