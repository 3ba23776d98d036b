//! Read models of Identity & Directory: accounts, sessions and API clients; org units, the directory of people, and each
//! person's own profile.
//!
//! What never lives here: how somebody proves who they are.

mod accounts;
mod api_clients;
mod org_directory;
mod people;
mod profiles;
mod security_policies;
mod sessions;

pub use accounts::{AccountRow, Accounts, PermissionHeld, RoleHeld};
pub use api_clients::{ApiClientRow, ApiClients};
pub use org_directory::{OrgDirectory, OrgUnitRow};
pub use people::{Membership, People, PersonRow};
pub use profiles::{Preferences, ProfileRow, Profiles};
pub use security_policies::{LimitSet, RoleSet, SecurityPolicies, SecurityPolicyRow};
pub use sessions::{SessionRow, Sessions};
