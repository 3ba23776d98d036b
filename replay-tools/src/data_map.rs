//! `data-map`: where personal data is, for which purposes, and how long (Art. 30).

use crate::{annals::Annals, failure::Failure};

/// Writes which event and which read model holds which personal field of which class, with the register of processing and
/// the policies of retention that hold (with --json).
#[derive(Debug, clap::Args)]
pub(crate) struct DataMap {}

impl DataMap {
    pub(crate) async fn run(&self, annals: &Annals) -> Result<bool, Failure> {
        let map = annals.projections.data_map().await?;
        annals.show(&map, || map.to_markdown())?;
        Ok(true)
    }
}
