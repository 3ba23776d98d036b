//! `rebuild`: folds read models anew beside those that serve, and switches.

use crate::{annals::Annals, failure::Failure};

/// Builds read models anew beside those that serve, and switches. Exits with 1 when one was parked.
#[derive(Debug, clap::Args)]
pub(crate) struct Rebuild {
    /// The read models; all of them where none is named.
    models: Vec<String>,
}

impl Rebuild {
    pub(crate) async fn run(&self, annals: &Annals) -> Result<bool, Failure> {
        let names: Vec<&str> = self.models.iter().map(String::as_str).collect();
        let rebuilt = if names.is_empty() {
            annals.projections.rebuild_all().await?
        } else {
            annals.projections.rebuild(&names).await?
        };
        let line = |one: &projections::Rebuilt| {
            let parked = one.parked.map(|position| format!(", parked before {position}")).unwrap_or_default();
            format!(
                "{:28} generation {}: {} events, {} rows in {:.1?}{parked}",
                one.name, one.generation, one.events, one.rows, one.took
            )
        };
        let lines: Vec<String> = rebuilt.iter().map(line).collect();
        annals.show(&lines, || lines.join("\n"))?;
        Ok(rebuilt.iter().all(|one| one.parked.is_none()))
    }
}
