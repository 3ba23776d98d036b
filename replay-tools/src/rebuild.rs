//! `rebuild`: folds read models anew beside those that serve, compares, and switches. `rollback` goes back.

use std::num::NonZeroUsize;

use projections::{Config, Difference, Projections, Rebuilt};
use serde_json::{Value, json};

use crate::{annals::Annals, failure::Failure, opening::reason, progress, workers::workers};

/// Builds read models anew beside those that serve, says what is different and switches; the former rows are kept for
/// `rollback` until `drop`. Exits with 1 when one was parked or its rows are different.
#[derive(Debug, clap::Args)]
pub(crate) struct Rebuild {
    /// The read models; all of them where none is named.
    models: Vec<String>,
    /// From where: the beginning of the log is the only place from which rows can be made anew.
    #[arg(long, value_enum, default_value_t = From::Zero)]
    from: From,
    /// On how many threads, 64 at most.
    #[arg(long, value_parser = workers)]
    workers: Option<NonZeroUsize>,
    /// Does not compare the rows: the follower need not wait for that.
    #[arg(long)]
    no_diff: bool,
}

/// From where a rebuild begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum From {
    /// Position 0.
    Zero,
}

impl Rebuild {
    /// Of one read model, in the usual way.
    #[cfg(test)]
    pub(crate) fn of(model: &str) -> Self {
        Rebuild { models: vec![model.into()], from: From::Zero, workers: None, no_diff: false }
    }

    pub(crate) async fn run(&self, annals: &Annals) -> Result<bool, Failure> {
        let rebuilt = self.rebuild(annals).await?;
        let answer: Vec<Value> = rebuilt.iter().map(told).collect();
        annals.show(&answer, || rebuilt.iter().map(line).collect::<Vec<_>>().join("\n"))?;
        let same = |one: &Rebuilt| one.difference.as_ref().is_none_or(Difference::is_none);
        Ok(rebuilt.iter().all(|one| one.parked.is_none() && same(one)))
    }

    async fn rebuild(&self, annals: &Annals) -> Result<Vec<Rebuilt>, Failure> {
        let config = Config::new(&annals.url);
        let threads = self.workers.map_or(config.threads, NonZeroUsize::get);
        let config = Config { threads, compare: !self.no_diff, ..config };
        let projections = Projections::new(annals.store.clone(), config)?;
        let names: Vec<&str> = self.models.iter().map(String::as_str).collect();
        let rebuild = async {
            match names.as_slice() {
                [] => projections.rebuild_all().await,
                names => projections.rebuild(names).await,
            }
        };
        Ok(progress::of_rebuild(&projections, rebuild).await?)
    }
}

/// What was built, for programs.
pub(crate) fn told(one: &Rebuilt) -> Value {
    json!({
        "name": one.name, "generation": one.generation, "rows": one.rows, "events": one.events,
        "seconds": one.took.as_secs_f64(), "parked_before": one.parked, "difference": one.difference,
    })
}

/// What was built, in a line or two.
pub(crate) fn line(one: &Rebuilt) -> String {
    let parked = one.parked.map(|position| format!(", parked before {position}")).unwrap_or_default();
    let difference = match &one.difference {
        None => String::new(),
        Some(same) if same.is_none() => ", the same rows as before".to_owned(),
        Some(Difference { added, removed, changed, examples }) => {
            let examples = examples.join(", ");
            format!(
                "\n    {added} rows more, {removed} rows fewer, {changed} rows different, such as {examples}"
            )
        }
    };
    format!(
        "{:28} generation {}: {} events, {} rows in {:.1?}{parked}{difference}",
        one.name, one.generation, one.events, one.rows, one.took
    )
}

/// Lets the rows that served before the last rebuild serve again, with everything that happened since.
#[derive(Debug, clap::Args)]
pub(crate) struct Rollback {
    /// The read model.
    model: String,
    /// Why.
    #[arg(long, value_parser = reason)]
    reason: String,
}

impl Rollback {
    pub(crate) async fn run(&self, annals: &Annals) -> Result<bool, Failure> {
        let generation = annals.projections.rollback(&self.model, &annals.actor, &self.reason).await?;
        let told = json!({ "read_model": self.model, "generation": generation });
        annals.show(&told, || format!("generation {generation} of {} serves", self.model))?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::World;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_rebuild_says_what_is_different_and_what_served_before_can_serve_again() {
        let world = World::campus().await;
        let projections = &world.annals.projections;
        projections.start();
        let head = world.annals.store.head().await.unwrap().position;
        assert!(projections.wait_for("org_directory", head, Duration::from_secs(20)).await.unwrap());
        let rebuild = Rebuild { workers: NonZeroUsize::new(2), ..Rebuild::of("org_directory") };
        let same = rebuild.rebuild(&world.annals).await.unwrap();
        assert_eq!(same[0].difference, Some(Difference::default()));
        assert!(rebuild.run(&world.annals).await.unwrap());
        let back = Rollback { model: "org_directory".into(), reason: "It was better.".into() };
        assert!(back.run(&world.annals).await.unwrap());
        let other = Difference { added: 1, examples: vec!["k".into()], ..Difference::default() };
        let different = Rebuilt { difference: Some(other), ..same[0].clone() };
        assert!(line(&different).contains("1 rows more, 0 rows fewer, 0 rows different, such as k"));
    }
}
