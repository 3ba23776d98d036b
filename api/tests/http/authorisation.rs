//! Who may call what: every route, called without a token, by a member and by whoever holds a role, held against
//! `authorisation.txt` beside the sources; and nobody reaches what is somebody else's, whatever they put in paths and bodies.
//!
//! Which of the roles may issue a command, `domain/authorisation` says of each of them: here it is enough that the route
//! asks the command.

use std::{fs, path::Path};

use actix_web::{
    App,
    http::Method,
    test::{self, TestRequest},
};
use api::{
    auth::Claims,
    http::{CommandRoute, Operation, Route, configure, routes},
};
use commands::Catalog;
use domain::{Envelope, identity::ROLES, sampling::Sampler};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::node::{TestNode, node};

const STRANGER: Uuid = Uuid::from_u128(0x5742_0001);
const ADA: Uuid = Uuid::from_u128(0x5742_00AD);
const BERT: Uuid = Uuid::from_u128(0x5742_00BE);
/// A word of Bert's that nobody else says.
const WORD: &str = "zugvogelwarte";

/// A body of the right shape for a command; `who` stands wherever somebody or something is named.
fn body(catalog: &Catalog, command: &CommandRoute, turn: usize, who: Option<Uuid>) -> Value {
    let entry = &catalog.aggregates[command.aggregate].commands[command.command];
    let mut fields = Sampler::new(&catalog.definitions, turn).value(&entry.schema);
    if let Value::Object(fields) = &mut fields {
        command.given.iter().for_each(|(name, _)| drop(fields.remove(*name)));
    }
    if let Some(who) = who {
        rename(&mut fields, who);
    }
    fields
}

fn rename(value: &mut Value, who: Uuid) {
    match value {
        Value::String(text) if text.parse::<Uuid>().is_ok() => *text = who.to_string(),
        Value::Array(elements) => elements.iter_mut().for_each(|element| rename(element, who)),
        Value::Object(fields) => fields.values_mut().for_each(|field| rename(field, who)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The path of a route with these values for its parameters, the last one for all that follow.
fn path(route: &Route, values: &[String]) -> String {
    let mut path = route.template.clone();
    for (index, name) in route.parameters().enumerate() {
        let value = values.get(index).or(values.last()).map_or("x", String::as_str);
        let named = format!("opportunities.scholarship.{value}.read");
        let value = if name == "permission" { &named } else { value };
        path = path.replacen(&format!("{{{name}}}"), value, 1);
    }
    path
}

fn request(route: &Route, path: &str, fields: Option<Value>) -> TestRequest {
    let request = TestRequest::with_uri(path).method(route.method.clone());
    match fields {
        Some(fields) => request.set_json(fields),
        None => request,
    }
}

/// What to send: commands something of the right shape, the ways in something that is none, so that nothing happens.
fn sent(catalog: &Catalog, route: &Route) -> Option<Value> {
    match &route.operation {
        Operation::Command(command) => Some(body(catalog, command, 0, None)),
        Operation::Identity(_) | Operation::Governance(_) if route.method != Method::GET => Some(json!([])),
        _ => None,
    }
}

impl TestNode {
    /// A token that is fresh enough for everything.
    fn fresh(&self, person: Uuid, roles: &[&str]) -> String {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let now = Timestamp::now();
        let claims = Claims::new(person, roles, SignedDuration::from_mins(30), now).elevated_at(now);
        format!("Bearer {}", self.node.api.keys.sign(&claims).unwrap())
    }
}

#[actix_web::test]
async fn every_route_is_open_to_those_whom_the_file_names_and_to_nobody_else() {
    let node = node().await;
    let catalog = Catalog::new();
    let app = App::new().app_data(node.node.api.clone()).configure(configure);
    let service = test::init_service(app).await;
    let member = node.fresh(STRANGER, &[]);
    let tokens = ROLES.map(|role| (role, node.fresh(STRANGER, &[role])));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("authorisation.txt");
    let mut text = String::new();
    for route in routes(&catalog) {
        let (fields, path) = (sent(&catalog, &route), path(&route, &[Uuid::from_u128(0x77).to_string()]));
        // The stream has no end; HEAD asks the same door.
        let method = if path == "/v1/stream" { Method::HEAD } else { route.method.clone() };
        let admitted = async |token: Option<&String>| {
            let request = request(&route, &path, fields.clone()).method(method.clone());
            let request = match token {
                Some(token) => request.insert_header(("Authorization", token.clone())),
                None => request,
            };
            let response = test::call_service(&service, request.to_request()).await;
            let status = response.status().as_u16();
            assert_ne!(status, 500, "{path}");
            !matches!(status, 401 | 403)
        };
        let mut open = Vec::new();
        if admitted(None).await {
            open.push("public");
        } else if admitted(Some(&member)).await {
            open.push("everybody");
        } else {
            // Whoever holds the others, the aggregate tells: that it is asked, an administrator and a member show.
            let asked = |role: &str| role == "admin" || !matches!(route.operation, Operation::Command(_));
            for (role, token) in tokens.iter().filter(|(role, _)| asked(role)) {
                if admitted(Some(token)).await {
                    open.push(role);
                }
            }
        }
        let open = if open.is_empty() { "those whom it names".to_owned() } else { open.join(" ") };
        text += &format!("{} {}: {open}\n", route.method, route.template);
    }
    if std::env::var_os("ANNALS_RECORD_AUTHORISATION").is_some() {
        fs::write(&file, &text).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    let says: Vec<&str> = expected.lines().collect();
    let wrong: Vec<&str> = text.lines().filter(|line| !says.contains(line)).collect();
    assert!(wrong.is_empty(), "{} says otherwise of\n{}", file.display(), wrong.join("\n"));
    assert_eq!(says.len(), text.lines().count(), "the file names routes that there are not");
}

/// Sends something as Bert that must be accepted, and gives what it was answered.
async fn bert(node: &TestNode, method: Method, path: &str, fields: Value) -> Value {
    let request = TestRequest::with_uri(path).method(method).set_json(fields);
    let request = request.insert_header(("Authorization", node.fresh(BERT, &["student", "budget_user"])));
    let answer = node.send(request).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text);
    answer.json()
}

/// What Bert has: a bit of everything that is somebody's own.
async fn belongings(node: &TestNode) {
    bert(node, Method::PUT, "/v1/users/me/profile", json!({ "headline": WORD })).await;
    let hidden = json!({ "visibility": "hidden", "ferpa_directory_opt_out": true });
    bert(node, Method::PUT, "/v1/users/me/visibility", hidden).await;
    let facet = json!({ "student_no": WORD, "major": "Physics", "grad_year": 2027, "source": "self" });
    bert(node, Method::PUT, "/v1/users/me/profile/student", facet).await;
    let setup = json!({ "currency": "USD", "tz": "America/Chicago", "country": "US", "mode": "off",
        "income": { "minor": 300_000, "ccy": "USD" }, "needs": 5000, "wants": 3000, "savings": 2000 });
    bert(node, Method::POST, "/v1/budget/setup", setup).await;
    bert(node, Method::POST, "/v1/budget/months/2024-02", json!({})).await;
    let bought = json!({ "kind": "expense", "amount": { "minor": 500, "ccy": "USD" },
        "spent_at": "2024-02-03T12:00:00Z", "merchant": WORD, "source": "manual" });
    bert(node, Method::POST, "/v1/transactions", bought).await;
    let consent = json!({ "purpose": "analytics", "text_version": "1", "text_hash": "0".repeat(64) });
    bert(node, Method::POST, "/v1/privacy/consents", consent).await;
    let inspection = json!({ "regime": "ferpa", "type": "inspection", "classes": ["education"], "records": [],
        "details": WORD });
    bert(node, Method::POST, "/v1/privacy/requests", inspection).await;
    let key = json!({ "name": WORD, "owner": BERT, "scopes": ["read:public"], "per_minute": 60, "allowed_ips": [] });
    bert(node, Method::POST, "/v1/api-clients", key).await;
}

/// The streams that are about Bert: their types, ids and lengths.
async fn streams(node: &TestNode) -> Map<String, Value> {
    let mut streams = Map::new();
    for event in node.node.api.commands.store().read_all(0, 10_000).await.unwrap() {
        let envelope: Envelope = serde_json::from_str(&event.metadata).unwrap();
        let of_access = event.stream.aggregate_type == "governance.access_log";
        // A client has an owner and no subject.
        let own =
            envelope.subjects.contains(&BERT) || event.payload.contains(&format!("\"owner\":\"{BERT}\""));
        let name = format!("{} {}", event.stream.aggregate_type, event.stream.aggregate_id);
        if own && !of_access || streams.contains_key(&name) {
            streams.insert(name, event.sequence.into());
        }
    }
    streams
}

#[actix_web::test]
async fn nobody_reads_or_commands_what_is_somebody_elses_over_any_route() {
    let node = node().await;
    let catalog = Catalog::new();
    belongings(&node).await;
    // What he bought is booked in his month by a policy.
    node.settled().await;
    let before = streams(&node).await;
    let types: Vec<&str> = before.keys().filter_map(|name| name.split(' ').next()).collect();
    for expected in [
        "identity.profile",
        "identity.api_client",
        "budgeting.budget_profile",
        "budgeting.budget_month",
        "budgeting.transaction",
        "governance.consent_ledger",
        "governance.privacy_request",
    ] {
        assert!(types.contains(&expected), "Bert has no {expected}: {types:?}");
    }
    let app = App::new().app_data(node.node.api.clone()).configure(configure);
    let service = test::init_service(app).await;
    let mut token = node.fresh(ADA, &["student", "alumni", "budget_user", "employer"]);
    let mut ids: Vec<(String, String)> =
        before.keys().filter_map(|name| name.split_once(' ')).map(|(a, b)| (a.into(), b.into())).collect();
    ids.push(("identity.account".to_owned(), BERT.to_string()));
    // Her own key, so that what a caller has none of is not what keeps her away.
    let head = node.node.api.commands.store().head().await.unwrap().position;
    for route in routes(&catalog).iter().filter(|route| route.template != "/v1/stream") {
        for (aggregate_type, id) in &ids {
            let command = match &route.operation {
                Operation::Command(command) => Some(command),
                _ => None,
            };
            let meant = command
                .is_none_or(|command| catalog.aggregates[command.aggregate].aggregate_type == aggregate_type);
            if !meant || route.parameters().next().is_none() && *id != ids[0].1 {
                continue;
            }
            let turns = if command.is_some() { 2 } else { 1 };
            for turn in 0..turns {
                let values = [id.clone(), "2024-02".to_owned()];
                let mut path = path(route, &values).replace("{month}", "2024-02");
                if matches!(route.operation, Operation::Query(_)) {
                    path += &format!("?min_position={head}");
                }
                let fields = match command {
                    Some(command) => Some(body(&catalog, command, turn, Some(BERT))),
                    None => sent(&catalog, route),
                };
                let send = async || {
                    let request = request(route, &path, fields.clone());
                    let request = request.insert_header(("Authorization", token.clone())).to_request();
                    let response = test::call_service(&service, request).await;
                    let status = response.status();
                    (status, String::from_utf8_lossy(&test::read_body(response).await).into_owned())
                };
                let mut told = send().await;
                // A machine that is busy gives up; that tells nothing.
                while told.0 == 503 && told.1.contains("TimedOut") {
                    told = send().await;
                }
                let (status, answer) = told;
                let tells =
                    answer.contains(WORD) || status.is_success() && answer.contains(&BERT.to_string());
                // A body that is accepted may name him, and is answered with the id of what is hers.
                assert!(!tells, "{} {path} tells of Bert: {answer}", route.method);
                assert_ne!(status.as_u16(), 500, "{} {path}: {answer}", route.method);
            }
        }
        // Nothing that she may do to herself ends the walk.
        token = node.fresh(ADA, &["student", "alumni", "budget_user", "employer"]);
    }
    let after = streams(&node).await;
    for (name, length) in &before {
        assert_eq!(&after[name], length, "{name} of Bert's was changed by Ada");
    }
}
