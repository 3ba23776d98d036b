//! Who may issue which command: every command of the registry, asked for every role, held against what stands beside the
//! aggregate in `authorisation/<aggregate>.txt`. A command without a line there fails: nothing is open by accident.
//!
//! What a file says was read by a person and is right; `ANNALS_RECORD_AUTHORISATION=1` writes what the code says, to be
//! read before it is committed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use domain::{
    Actor, Decider, Event, RoleGrant, SERVICE, SealingScope,
    identity::ROLES,
    registry::{Visitor, every_aggregate},
    sampling::Sampler,
    scopes_of_role,
    testing::{Golden, history_of},
};
use serde_json::Value;
use strum::VariantNames;
use uuid::Uuid;

/// Somebody whom no stream and no command names.
const STRANGER: Uuid = Uuid::from_u128(0x5742_0001);
/// An org unit that no stream names.
const UNIT: Uuid = Uuid::from_u128(0x5742_0002);

/// Every role that a person can hold, and one that there is not.
fn roles() -> impl Iterator<Item = &'static str> {
    ROLES.into_iter().chain(["unheard_of"])
}

fn within(role: &str, id: Uuid) -> Actor {
    Actor::with_roles(id, vec![RoleGrant { role: role.into(), within: Some(UNIT) }])
}

/// A client that has every scope that a client can have.
fn client(id: Uuid) -> Actor {
    let scopes = roles().flat_map(scopes_of_role).chain(scopes_of_role("member"));
    let scopes = scopes.filter(|scope| **scope != "own").map(|scope| (*scope).to_owned()).collect();
    Actor::client(id, scopes, vec![RoleGrant { role: SERVICE.into(), within: None }])
}

/// The places of identifiers in a value, such as `reviewers[]`, and the identifiers.
fn identifiers(value: &Value, place: &str, out: &mut BTreeMap<Uuid, String>) {
    match value {
        Value::String(text) => note(text, place, out),
        Value::Array(elements) => {
            elements.iter().for_each(|element| identifiers(element, &format!("{place}[]"), out));
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let named = name.parse::<Uuid>().is_ok();
                note(name, &format!("{place}[]"), out);
                let inner = if named { format!("{place}[]") } else { format!("{place}.{name}") };
                identifiers(field, inner.trim_start_matches('.'), out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn note(text: &str, place: &str, out: &mut BTreeMap<Uuid, String>) {
    if let Ok(id) = text.parse() {
        let known = out.entry(id).or_insert_with(|| place.to_owned());
        if place < known.as_str() {
            place.clone_into(known);
        }
    }
}

/// Streams as they may stand: after the first event, and after each other one on it.
fn states<D: Decider>() -> Vec<D> {
    let golden = |name: &str| {
        let version = D::Event::version(name);
        let file = history_of::<D>().join(format!("{name}.v{version}.json"));
        let golden: Golden = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        golden.read::<D>(name, version, true)
    };
    let (first, rest) = D::Event::VARIANTS.split_first().unwrap();
    let mut begun = D::default();
    begun.evolve(&golden(first));
    let after = rest.iter().map(|name| {
        let mut state = begun.clone();
        state.evolve(&golden(name));
        state
    });
    let after: Vec<D> = after.collect();
    [begun].into_iter().chain(after).collect()
}

/// Who may issue any of these commands to any of these streams.
fn who<D: Decider>(states: &[D], commands: &[D::Command]) -> String {
    let may =
        |actor: &Actor| states.iter().any(|state| commands.iter().any(|command| state.may(actor, command)));
    let person = |id, roles: &[&str]| may(&Actor::user(id, roles));
    let mut found: BTreeSet<String> = BTreeSet::new();
    let everybody = person(STRANGER, &[]);
    if everybody {
        found.insert("everybody".into());
    }
    let mut alone = BTreeSet::new();
    for role in roles().filter(|_| !everybody) {
        if person(STRANGER, &[role]) {
            let anywhere = if may(&within(role, STRANGER)) { "@unit" } else { "" };
            found.insert(format!("{role}{anywhere}"));
            alone.insert(role);
        }
    }
    if may(&client(STRANGER)) {
        found.insert("client".into());
    }
    if may(&Actor::policy("any")) {
        found.insert("system".into());
    }
    // Those whom the stream, or the command, names.
    let mut named = BTreeMap::new();
    for state in states {
        let (text, _) = SealingScope::to_json(state).unwrap();
        identifiers(&serde_json::from_str(&text).unwrap(), "", &mut named);
    }
    for command in commands {
        let value = serde_json::to_value(command).unwrap();
        let (_, fields) = value.as_object().unwrap().iter().next().unwrap();
        identifiers(fields, "=", &mut named);
    }
    for (id, place) in named {
        let place = place.replace("=.", "=");
        if everybody {
            break;
        }
        if person(id, &[]) {
            found.insert(format!("own({place})"));
            continue;
        }
        for role in roles().filter(|role| !alone.contains(role)) {
            if person(id, &[role]) {
                found.insert(format!("{role}+own({place})"));
            }
        }
    }
    if found.is_empty() { "nobody".into() } else { Vec::from_iter(found).join(" ") }
}

struct Authorisation {
    /// Commands that could not be tried.
    untried: Vec<String>,
    /// What does not stand as it should.
    wrong: Vec<String>,
}

impl Visitor for Authorisation {
    fn aggregate<D: Decider>(&mut self) {
        let schema = schemars::schema_for!(D::Command).to_value();
        let none = serde_json::Map::new();
        let definitions = schema.get("$defs").and_then(Value::as_object).unwrap_or(&none);
        let variants = schema.get("oneOf").and_then(Value::as_array).cloned();
        let variants = variants.unwrap_or_else(|| vec![schema.clone()]);
        let states = states::<D>();
        let mut text = String::new();
        for name in D::Command::VARIANTS {
            let variant = variants.iter().find(|variant| variant["properties"].get(*name).is_some()).unwrap();
            let system = variant.get("x-system").or_else(|| variant["properties"][*name].get("x-system"));
            let commands: Vec<D::Command> = (0..8)
                .map(|turn| Sampler::new(definitions, turn).value(&variant["properties"][*name]))
                .filter_map(|fields| serde_json::from_value(serde_json::json!({ *name: fields })).ok())
                .collect();
            if commands.is_empty() {
                self.untried.push(format!("{} {name}", D::TYPE));
                continue;
            }
            let then = who(&states, &commands);
            let line = if D::creates(&commands[0]) {
                let new = who(&[D::default()], &commands);
                if new == then {
                    format!("{name}: {then}\n")
                } else {
                    format!("{name}: new {new}; then {then}\n")
                }
            } else {
                format!("{name}: {then}\n")
            };
            if system == Some(&Value::Bool(true)) && !matches!(&*then, "system" | "nobody") {
                self.wrong.push(format!("{}: {name} is the system's own: {then}", D::TYPE));
            }
            text += &line;
        }
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("authorisation").join(format!("{}.txt", D::TYPE));
        if std::env::var_os("ANNALS_RECORD_AUTHORISATION").is_some() {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, &text).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        let (said, does): (Vec<_>, Vec<_>) = (expected.lines().collect(), text.lines().collect());
        for line in does.iter().filter(|line| !said.contains(line)) {
            self.wrong.push(format!("{}: the code says {line}", file.display()));
        }
        for line in said.iter().filter(|line| !does.contains(line)) {
            self.wrong.push(format!("{}: the file says {line}", file.display()));
        }
    }
}

#[test]
fn every_command_is_for_those_whom_the_file_beside_its_aggregate_names_and_for_nobody_else() {
    let mut found = Authorisation { untried: Vec::new(), wrong: Vec::new() };
    every_aggregate(&mut found);
    assert_eq!(found.untried, [""; 0], "commands without an authorisation test");
    assert!(found.wrong.is_empty(), "{}", found.wrong.join("\n"));
}
