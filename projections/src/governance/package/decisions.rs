//! What machines decided about a person, explained: which engine in which version, of which inputs, with which outcome, and
//! what became of it (Art. 15(1)(h) and 22).

use std::collections::BTreeMap;

use domain::{Decider, intelligence::Decision};
use serde_json::Value;
use uuid::Uuid;

use super::{DecisionExplained, DecisionReview};
use crate::readable::Event;

/// The decisions among these events, in the order in which they were made.
pub(super) fn explained(events: &[Event]) -> Vec<DecisionExplained> {
    let mut decisions: Vec<DecisionExplained> = Vec::new();
    let mut places: BTreeMap<Uuid, usize> = BTreeMap::new();
    for event in events.iter().filter(|event| event.aggregate_type == Decision::TYPE) {
        let Ok(id) = event.aggregate_id.parse::<Uuid>() else { continue };
        if event.event_type == "DecisionRecorded" {
            places.insert(id, decisions.len());
            decisions.push(recorded(id, event));
            continue;
        }
        let Some(decision) = places.get(&id).map(|place| &mut decisions[*place]) else { continue };
        match event.event_type.as_str() {
            "DecisionOutcomeObserved" => decision.came_true = event.data["actual"].as_bool(),
            "DecisionContested" => {
                decision.contested = Some(event.data["reason"].clone());
                let until = text(&event.data, "review_by");
                decision.remedy = format!("A human reviews your objection by {until}.");
            }
            "DecisionReviewed" => {
                let (verdict, reason) = (text(&event.data, "verdict"), text(&event.data, "reason"));
                decision.review = Some(DecisionReview { at: event.occurred_at, verdict, reason });
                decision.remedy =
                    "A human has reviewed it. You may complain to a supervisory authority.".into();
            }
            _ => {}
        }
    }
    decisions
}

fn recorded(id: Uuid, event: &Event) -> DecisionExplained {
    let data = &event.data;
    let name = text(data, "engine");
    let (engine, version) = match name.split_once('@') {
        Some((engine, version)) => (engine.to_owned(), Some(version.to_owned())),
        None => (name, None),
    };
    let features = data["features"].as_str().map(|features| format!("features:{features}"));
    DecisionExplained {
        decision: id,
        at: event.occurred_at,
        family: text(data, "family"),
        r#type: text(data, "type"),
        engine,
        version,
        model: uuid(data, "model"),
        about: uuid(data, "about").unwrap_or_default(),
        inputs: features.into_iter().chain(event.derived_from.iter().cloned()).collect(),
        transformation: event.transformation.clone(),
        score_bp: data["score"].as_i64().unwrap_or_default(),
        threshold_bp: data["threshold"].as_i64(),
        favourable: data["favourable"].as_bool().unwrap_or_default(),
        explanation: data["explanation"].clone(),
        came_true: None,
        contested: None,
        review: None,
        remedy: format!("You can contest it, and a human will review it: POST /v1/decisions/{id}/contest"),
    }
}

fn text(data: &Value, field: &str) -> String {
    data[field].as_str().unwrap_or_default().to_owned()
}

fn uuid(data: &Value, field: &str) -> Option<Uuid> {
    data[field].as_str()?.parse().ok()
}
