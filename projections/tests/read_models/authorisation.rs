//! Who sees which rows: every read model, asked for every role, held against `authorisation.txt` beside the sources. A
//! read model without a paragraph there fails: nothing is open by accident.
//!
//! `ANNALS_RECORD_AUTHORISATION=1` writes what the code says, to be read before it is committed.

use std::{collections::BTreeMap, fs, path::Path};

use domain::{
    Actor, Permission, READ, RoleGrant, SERVICE, identity::ROLES, registry::grantable, scopes_of_role,
};
use projections::{Filter, ReadModel, read_models};
use uuid::Uuid;

const CALLER: Uuid = Uuid::from_u128(0x5742_0001);
const UNIT: Uuid = Uuid::from_u128(0x5742_0002);

/// Everybody whom a read model may tell apart, by name; `member` is who holds no role.
fn callers() -> Vec<(String, Actor)> {
    let mut callers = vec![("member".to_owned(), Actor::user(CALLER, &[]))];
    for role in ROLES {
        callers.push((role.to_owned(), Actor::user(CALLER, &[role])));
        let within = RoleGrant { role: role.to_owned(), within: Some(UNIT) };
        callers.push((format!("{role}@unit"), Actor::with_roles(CALLER, vec![within])));
    }
    let scopes = ROLES.iter().flat_map(|role| scopes_of_role(role)).chain(scopes_of_role("member"));
    let scopes = scopes.filter(|scope| **scope != "own").map(|scope| (*scope).to_owned()).collect();
    let everywhere = vec![RoleGrant { role: SERVICE.to_owned(), within: None }];
    callers.push(("client".to_owned(), Actor::client(CALLER, scopes, everywhere)));
    callers.push(("client without scopes".to_owned(), Actor::client(CALLER, Default::default(), Vec::new())));
    callers
}

fn paragraph(model: &dyn ReadModel) -> String {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let callers = callers();
    let sees = |actor: &Actor| {
        let rows = format!("{:?}", model.visible(actor)).replace(&CALLER.to_string(), "caller");
        let rows = rows.replace(&UNIT.to_string(), "unit");
        let hidden = model.hidden(actor);
        let but = match model.disclosed(actor) {
            Filter::Nothing => String::new(),
            disclosed => format!(" but {disclosed:?}").replace(&UNIT.to_string(), "unit"),
        };
        if hidden.is_empty() { rows } else { format!("{rows} without {}{but}", hidden.join(", ")) }
    };
    // Whoever sees what every member sees is not named.
    let member = sees(&callers[0].1);
    for (name, actor) in &callers {
        let seen = sees(actor);
        if name == "member" || name.starts_with("client") || seen != member {
            groups.entry(seen).or_default().push(name.clone());
        }
    }
    let mut text = format!("{}\n", model.shape().name);
    for (seen, names) in groups {
        text += &format!("  {}: {seen}\n", names.join(" "));
    }
    text
}

#[test]
fn every_row_is_for_those_whom_the_file_beside_the_read_models_names_and_for_nobody_else() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("authorisation.txt");
    let mut models: Vec<_> = read_models().to_vec();
    models.sort_by_key(|model| model.shape().name);
    let says: Vec<String> = models.into_iter().map(paragraph).collect();
    if std::env::var_os("ANNALS_RECORD_AUTHORISATION").is_some() {
        fs::write(&file, says.join("\n")).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    let expected: Vec<String> = expected.split("\n\n").map(|part| format!("{}\n", part.trim_end())).collect();
    let wrong: Vec<&String> = says.iter().filter(|part| !expected.contains(part)).collect();
    assert!(wrong.is_empty(), "{} says otherwise of: {wrong:#?}", file.display());
    assert_eq!(expected.len(), says.len(), "there are paragraphs of read models that there are not");
}

#[test]
fn a_permission_to_read_opens_rows_of_the_one_resource_wherever_it_can_be_granted() {
    let mut readable: Vec<&str> = Vec::new();
    for model in read_models() {
        let shape = model.shape();
        let Some((resource_type, column)) = shape.options.resource else { continue };
        let can = grantable(resource_type).unwrap_or_else(|| panic!("{}: {resource_type}", shape.name));
        assert!(can.contains(&READ), "{}: {resource_type} cannot be granted to be read", shape.name);
        assert!(shape.column(column).is_some_and(|column| column.kind == projections::row::Kind::Uuid));
        readable.push(resource_type);
    }
    assert!(readable.contains(&"opportunities.scholarship_application"));
    let permission = Permission {
        resource_type: "opportunities.scholarship_application".to_owned(),
        resource_id: UNIT,
        action: READ.to_owned(),
    };
    let actor = Actor { permissions: vec![permission], ..Actor::user(CALLER, &[]) };
    assert_eq!(actor.readable("opportunities.scholarship_application"), [UNIT]);
    assert!(actor.readable("opportunities.scholarship").is_empty());
}
