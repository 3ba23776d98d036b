//! Rows as clients get them.

use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::{
    model::{Changed, Stored},
    row::{Column, Row, Value},
    table::Shape,
};

/// A row that is in no table and is about nobody, as clients get it: these fields of it, all where none is named.
pub fn shown<R: Row>(row: &R, fields: &[String]) -> Json {
    let mut values = Vec::new();
    row.values(&mut values);
    let values = R::COLUMNS.iter().zip(values).map(|(column, value)| (column.name, value.to_json()));
    let asked = |name: &str| fields.is_empty() || fields.iter().any(|field| field == name);
    let values = values.chain([("as_of", 0.into())]).filter(|(name, _)| asked(name));
    Json::Object(values.map(|(name, value)| (name.to_owned(), value)).collect())
}

/// What stands in the place of a personal value whose key was destroyed.
const ERASED: &str = "«erased»";

/// A row with its personal values, from a table or folded in memory.
pub(super) struct Shown {
    pub(super) values: Vec<Value>,
    pub(super) as_of: u64,
    pub(super) subjects: Vec<Uuid>,
    places: String,
    /// JSON arrays of values.
    groups: Vec<Option<Vec<u8>>>,
}

impl From<Stored> for Shown {
    fn from(stored: Stored) -> Self {
        let Stored { values, as_of, subjects, places, opened } = stored;
        let groups = opened.into_iter().map(|group| Some(group?.1)).collect();
        Shown { values, as_of, subjects, places, groups }
    }
}

impl From<Changed> for Shown {
    fn from(changed: Changed) -> Self {
        let Changed { values, as_of, subjects, places, groups, .. } = changed;
        let groups = groups.into_iter().map(|group| Some(group.values)).collect();
        Shown { values, as_of, subjects, places, groups }
    }
}

impl Shown {
    /// The people whom columns name that the read model declares for that ([`crate::table::Options::names`]).
    pub(super) fn named(&self, shape: &Shape) -> Vec<Uuid> {
        let of_people = |(column, _): &(&Column, &Value)| shape.options.names.contains(&column.name);
        let people = shape.columns.iter().zip(&self.values).filter(of_people);
        people
            .flat_map(|(_, value)| match value {
                Value::Uuid(person) => vec![*person],
                Value::Uuids(people) => people.clone(),
                _ => Vec::new(),
            })
            .collect()
    }

    /// The fields of these names.
    pub(super) fn to_json(&self, shape: &Shape, fields: &[&str]) -> Json {
        let mut object = Map::new();
        for (column, value) in shape.columns.iter().zip(&self.values) {
            if fields.contains(&column.name) {
                object.insert(column.name.to_owned(), value.to_json());
            }
        }
        if shape.personal.iter().any(|column| fields.contains(&column.name)) {
            let groups: Vec<Option<Vec<Json>>> =
                (self.groups.iter()).map(|group| serde_json::from_slice(group.as_deref()?).ok()).collect();
            let mut places: Map<String, Json> = serde_json::from_str(&self.places).unwrap_or_default();
            for column in shape.personal.iter().filter(|column| fields.contains(&column.name)) {
                let mut value = places.remove(column.name).unwrap_or(Json::Null);
                fill(&mut value, &groups);
                object.insert(column.name.to_owned(), value);
            }
        }
        if fields.contains(&"as_of") {
            object.insert("as_of".to_owned(), self.as_of.into());
        }
        Json::Object(object)
    }
}

/// Puts the values in their places.
fn fill(value: &mut Json, groups: &[Option<Vec<Json>>]) {
    match value {
        Json::Object(object) => {
            let place = object.get("$personal").filter(|_| object.len() == 1);
            match place {
                Some(place) => *value = known(place, groups).unwrap_or_else(|| ERASED.into()),
                None => object.values_mut().for_each(|value| fill(value, groups)),
            }
        }
        Json::Array(values) => values.iter_mut().for_each(|value| fill(value, groups)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn known(place: &Json, groups: &[Option<Vec<Json>>]) -> Option<Json> {
    let index = |number: usize| usize::try_from(place.get(number)?.as_u64()?).ok();
    groups.get(index(0)?)?.as_ref()?.get(index(1)?).cloned()
}

#[cfg(test)]
mod tests {
    use crate::{read_models, row::Kind};

    #[test]
    fn the_columns_that_name_people_are_there_and_hold_ids() {
        for shape in read_models().iter().map(|model| model.shape()) {
            for name in shape.options.names {
                let column = shape.column(name).unwrap_or_else(|| panic!("{} has no {name}", shape.name));
                assert!(matches!(column.kind, Kind::Uuid | Kind::Uuids), "{}: {name}", shape.name);
            }
        }
    }
}
