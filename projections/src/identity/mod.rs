//! Read models of Identity & Directory: org units, the directory of people, and each person's own profile.
//!
//! What never lives here: how somebody proves who they are.

mod org_directory;
mod people;
mod profiles;

pub use org_directory::{OrgDirectory, OrgUnitRow};
pub use people::{Membership, People, PersonRow};
pub use profiles::{MentorOffer, Preferences, ProfileRow, Profiles};
