//! A log of org units that are created and renamed.

use event_store::{Append, EventStore, NewEvent, StreamId};
use futures_util::{StreamExt, stream};
use serde_json::json;
use uuid::Uuid;

/// How many events one append carries.
const CHUNK: u64 = 500;

/// Fills an empty log with so many events, ten for each stream.
pub(crate) async fn fill(store: &EventStore, events: u64) -> Vec<Uuid> {
    let streams: Vec<Uuid> = (0..events / 10).map(|_| Uuid::now_v7()).collect();
    // Round by round: every stream gets its n-th event before any gets the next.
    for round in 0..10 {
        let appends = streams.chunks(CHUNK as usize).map(|streams| {
            let events = streams.iter().map(|id| event(*id, round)).collect();
            let append = Append {
                command_id: Uuid::now_v7(),
                fingerprint: None,
                conditions: Vec::new(),
                events,
                claims: Vec::new(),
            };
            async { store.append(append).await.unwrap() }
        });
        stream::iter(appends).buffer_unordered(4).for_each(|_| async {}).await;
    }
    streams
}

fn event(id: Uuid, round: u64) -> NewEvent {
    let (name, fields) = if round == 0 {
        let code = id.simple().to_string()[..12].to_uppercase();
        let fields = json!({ "kind": "institution", "code": code, "name": "Pittsburg State University", "type": "university",
            "parent": null, "country": "US", "city": "Pittsburg", "website": "https://www.pittstate.edu", "contact_email": null });
        ("OrgUnitCreated", fields)
    } else {
        let fields = json!({ "name": format!("Pittsburg State University, named for the {round}. time"), "type": null, "city": null,
            "website": "https://www.pittstate.edu/a/path/of/some/length/so/that/the/payload/has/its/usual/size", "contact_email": null });
        ("OrgUnitRevised", fields)
    };
    let metadata = json!({ "actor": "user:00000000-0000-0000-0000-000000000000", "occurred_at": "2026-01-01T12:00:00Z",
        "correlation_id": Uuid::now_v7() });
    NewEvent {
        stream: StreamId::new("identity.org_unit", id.to_string()),
        event_id: Uuid::now_v7(),
        event_type: name.into(),
        event_version: "1".into(),
        payload: json!({ name: fields }).to_string(),
        personal: Vec::new(),
        metadata: metadata.to_string(),
    }
}
