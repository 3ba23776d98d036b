//! `status`: where the log and every read model stand.

use crate::{annals::Annals, failure::Failure};

/// Shows it; nothing to disagree about.
pub(crate) async fn run(annals: &Annals) -> Result<bool, Failure> {
    let (head, models) = (annals.store.head().await?, annals.projections.status().await?);
    let answer = serde_json::json!({
        "position": head.position,
        "incarnation": head.incarnation.to_string(),
        "read_models": models,
    });
    annals.show(&answer, || {
        let lines = models.iter().map(|model| {
            let serves = if model.serving { "serves" } else { "" };
            format!(
                "{:28} g{} v{} {:?} {} {serves} {}",
                model.name,
                model.generation,
                model.version,
                model.state,
                model.position,
                model.reason.as_deref().unwrap_or_default()
            )
        });
        format!("log at position {}\n{}", head.position, lines.collect::<Vec<_>>().join("\n"))
    })?;
    Ok(true)
}
