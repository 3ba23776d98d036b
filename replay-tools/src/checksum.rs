//! `checksum`: one value for all rows of a read model.

use crate::{annals::Annals, failure::Failure};

/// One value for all rows of a read model: two rebuilds of one log have the same.
#[derive(Debug, clap::Args)]
pub(crate) struct Checksum {
    /// The read model.
    model: String,
}

impl Checksum {
    pub(crate) async fn run(&self, annals: &Annals) -> Result<bool, Failure> {
        let sum = annals.projections.checksum(&self.model).await?;
        annals.show(&sum, || format!("{} {} rows", sum.digest, sum.rows))?;
        Ok(true)
    }
}
