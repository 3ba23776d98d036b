//! `scrub-keys`: takes the wrapped bytes of destroyed keys out of the files of PostgreSQL.

use serde_json::json;

use crate::{annals::Annals, failure::Failure};

/// Writes the table of keys anew, so that its file holds no wrapped bytes of keys that were destroyed. Nodes do that by
/// themselves some time after an erasure, unless the table is large; while it lasts no key is made, so that who writes about
/// new people waits.
#[derive(Debug, clap::Args)]
pub(crate) struct ScrubKeys {}

impl ScrubKeys {
    pub(crate) async fn run(&self, annals: &Annals) -> Result<bool, Failure> {
        let scrubbed = annals.store.keyring().scrub().await?;
        annals.show(&json!({ "scrubbed": scrubbed }), || match scrubbed {
            true => "the table of keys was written anew".to_owned(),
            false => "another process is writing the table of keys anew".to_owned(),
        })?;
        Ok(scrubbed)
    }
}
