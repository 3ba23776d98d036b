//! `retry`, `skip`, `drop`: what an operator does to a read model, on the record.

use serde_json::json;

use crate::{annals::Annals, failure::Failure, opening::reason};

/// Lets a parked read model try its event again.
#[derive(Debug, clap::Args)]
pub(crate) struct Retry {
    /// The read model.
    model: String,
    /// Why.
    #[arg(long, value_parser = reason)]
    reason: String,
}

impl Retry {
    pub(crate) async fn run(&self, annals: &Annals) -> Result<bool, Failure> {
        annals.projections.retry(&self.model, &annals.actor, &self.reason).await?;
        let told = json!({ "read_model": self.model, "retried": true });
        annals.show(&told, || format!("{} tries its event again", self.model))?;
        Ok(true)
    }
}

/// Lets a parked read model leave its event out, for good.
#[derive(Debug, clap::Args)]
pub(crate) struct Skip {
    /// The read model.
    model: String,
    /// The event.
    position: u64,
    /// Why.
    #[arg(long, value_parser = reason)]
    reason: String,
}

impl Skip {
    pub(crate) async fn run(&self, annals: &Annals) -> Result<bool, Failure> {
        annals.projections.skip(&self.model, self.position, &annals.actor, &self.reason).await?;
        let told = json!({ "read_model": self.model, "skipped": self.position });
        annals.show(&told, || format!("{} leaves out position {}", self.model, self.position))?;
        Ok(true)
    }
}

/// Drops the generations of a read model that another one has replaced.
#[derive(Debug, clap::Args)]
pub(crate) struct Drop {
    /// The read model.
    model: String,
    /// Why.
    #[arg(long, value_parser = reason)]
    reason: String,
}

impl Drop {
    pub(crate) async fn run(&self, annals: &Annals) -> Result<bool, Failure> {
        let dropped = annals.projections.drop_retired(&self.model, &annals.actor, &self.reason).await?;
        let told = json!({ "read_model": self.model, "dropped": dropped });
        annals.show(&told, || format!("dropped {dropped} former generations of {}", self.model))?;
        Ok(true)
    }
}
