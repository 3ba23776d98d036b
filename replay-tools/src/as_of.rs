//! `as-of`: read models as they stood, to be queried with the same SQL.

use event_store::Position;
use jiff::Timestamp;
use serde_json::json;

use crate::{
    annals::Annals,
    failure::Failure,
    opening::{Reading, Under},
    progress, rebuild,
};

/// Builds read models as they stood at an instant or position, in the schema `asof_<position>`. Exits with 1 when one could
/// not be built.
#[derive(Debug, clap::Args)]
pub(crate) struct AsOf {
    /// An instant, such as 2026-05-01T12:00:00Z, or a position.
    moment: String,
    /// The read models; all of them where none is named.
    models: Vec<String>,
    /// Drops that schema instead.
    #[arg(long)]
    drop: bool,
    #[command(flatten)]
    under: Under,
}

impl AsOf {
    pub(crate) async fn run(&self, annals: &Annals) -> Result<bool, Failure> {
        let position = position(annals, &self.moment).await?;
        let schema = format!("asof_{position}");
        if self.drop {
            let dropped = annals.projections.drop_as_of(position).await?;
            annals.show(&json!({ "schema": schema, "dropped": dropped }), || match dropped {
                true => format!("dropped {schema}"),
                false => format!("there is no {schema}"),
            })?;
            return Ok(dropped);
        }
        let resource = format!("read models as of position {position}");
        let reading = Reading { resource, from: 1, to: position, events: position, subjects: None };
        self.under.on_record(annals, &reading).await?;
        let names: Vec<&str> = self.models.iter().map(String::as_str).collect();
        let build = annals.projections.build_as_of(&names, position);
        let built = progress::of_rebuild(&annals.projections, build).await?;
        let models: Vec<_> = built.iter().map(rebuild::told).collect();
        annals.show(&json!({ "schema": schema, "position": position, "read_models": models }), || {
            let lines = built.iter().map(rebuild::line).collect::<Vec<_>>().join("\n");
            format!("{lines}\nquery them in the schema {schema}; `as-of {position} --drop` removes them")
        })?;
        Ok(built.iter().all(|one| one.parked.is_none()))
    }
}

/// The position that a moment stands for.
async fn position(annals: &Annals, moment: &str) -> Result<Position, Failure> {
    if let Ok(position) = moment.parse() {
        let head = annals.store.head().await?.position;
        return match position <= head {
            true => Ok(position),
            false => Err(Failure::Wrong(format!("{position} is ahead of the log, which ends at {head}"))),
        };
    }
    let instant: Timestamp = moment
        .parse()
        .map_err(|_| Failure::Wrong(format!("`{moment}` is neither an instant nor a position")))?;
    let found = annals.store.position_of(event_store::AsOf::Instant(instant)).await?;
    found.map_err(|ahead| Failure::Wrong(ahead.to_string()))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::testing::World;

    async fn names(world: &World, position: Position) -> Vec<String> {
        sqlx::query_scalar(&format!("SELECT name FROM asof_{position}.org_directory ORDER BY name"))
            .fetch_all(world.annals.store.pool())
            .await
            .unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_same_sql_answers_for_then_and_the_schema_goes_when_told() {
        let world = World::campus().await;
        let then = world.annals.store.head().await.unwrap();
        world.rename_unit(0, "Later").await;
        let moment = then.recorded_at.checked_add(SignedDuration::from_micros(1)).unwrap();
        let ask = |drop| AsOf {
            moment: moment.to_string(),
            models: vec!["org_directory".into()],
            drop,
            under: Under::default(),
        };
        assert!(ask(false).run(&world.annals).await.unwrap());
        assert_eq!(names(&world, then.position).await, ["University 0", "University 1"]);
        assert!(ask(true).run(&world.annals).await.unwrap());
        assert!(!ask(true).run(&world.annals).await.unwrap(), "it is gone");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn all_read_models_stand_side_by_side() {
        let world = World::campus().await;
        let then = world.annals.store.head().await.unwrap().position;
        let all = AsOf { moment: then.to_string(), models: Vec::new(), drop: false, under: Under::default() };
        assert!(all.run(&world.annals).await.unwrap());
        assert_eq!(names(&world, then).await, ["University 0", "University 1"]);
    }

    #[tokio::test]
    async fn what_is_no_moment_is_refused() {
        let world = World::empty().await;
        for moment in ["yesterday", "1"] {
            assert!(matches!(position(&world.annals, moment).await, Err(Failure::Wrong(_))), "{moment}");
        }
    }
}
