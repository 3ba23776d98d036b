//! Identifiers that can be computed (catalogue 0.3, "UUIDv5 ids").

use uuid::Uuid;

/// The namespace of every derived id: `uuid5(NAMESPACE_DNS, "annals")`.
pub fn annals_namespace() -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"annals")
}

/// The UUIDv5 of the parts joined by `|`, such as `budget|<account>|1993-05`.
pub fn derived_id(parts: &[&str]) -> Uuid {
    Uuid::new_v5(&annals_namespace(), parts.join("|").as_bytes())
}
