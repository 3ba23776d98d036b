//! Read models of Identity & Directory.

mod org_directory;

pub use org_directory::{OrgDirectory, OrgUnitRow};
