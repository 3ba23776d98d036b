//! `annals demo`: the bundled excerpt of real data goes through the public HTTP API, and what came of it is printed.
//!
//! Every id and idempotency key is derived from the data: loading it again changes nothing and says so.

mod budgets;
mod client;
mod credentials;
mod scholarships;
mod summary;

use std::time::Duration;

use uuid::Uuid;

pub use client::DemoError;
use client::{Client, Person};
pub use summary::Summary;

/// The most commands on their way at the same time.
const IN_FLIGHT: usize = 32;

/// The id of something of the excerpt.
fn id(parts: &[&str]) -> Uuid {
    domain::derived_id(&[&["demo"], parts].concat())
}

/// Loads the excerpt into the instance at `url`, whose signing keys are `keys`, and tells what came of it.
///
/// # Errors
/// The instance cannot be reached, or refuses what it must accept.
pub async fn load(url: &str, keys: crate::auth::SigningKeys) -> Result<Summary, DemoError> {
    let client = Client::new(url, keys)?;
    client.ready(Duration::from_secs(60)).await?;
    let admin = Person::with(id(&["admin"]), &["admin"]);
    let started = std::time::Instant::now();
    let scholarships = scholarships::load(&client, &admin).await?;
    let credentials = credentials::load(&client, &admin).await?;
    let budgets = budgets::load(&client).await?;
    summary::gather(&client, scholarships, credentials, budgets, started.elapsed()).await
}
