//! What a document asks of the API: one request for each root field, with the columns that were selected.

use std::collections::BTreeSet;

use juniper::{Arguments, InputValue};

use super::{
    Scalar,
    shape::{Argument, Place, Root},
};
use crate::problem::Problem;

/// The column that every row has and that tells of nobody: asked for where no column is.
const NONE: &str = "as_of";
/// How often all of an answer may be selected, under other names.
const OFTEN: usize = 2;

/// One request.
#[derive(Debug)]
pub(super) struct Asked {
    /// Under which name it is answered.
    pub(super) key: String,
    /// Its path and query string, without the columns.
    path: Result<String, Problem>,
    /// The template of its path.
    pub(super) template: String,
    /// The columns that can be asked for.
    fields: BTreeSet<String>,
    /// The columns that were selected.
    pub(super) columns: BTreeSet<String>,
    /// How often anything was selected, the same under other names included, and how often it may be.
    pub(super) selected: usize,
    most: usize,
}

impl Asked {
    /// What a root field asks with these arguments.
    pub(super) fn of(key: String, root: &Root, arguments: &Arguments<'_, Scalar>) -> Self {
        Asked {
            key,
            path: path(root, arguments),
            template: root.template.clone(),
            fields: root.fields.clone(),
            columns: BTreeSet::new(),
            selected: 0,
            most: root.answer.leaves() * OFTEN,
        }
    }

    /// Whether so much of every row is selected that the answer would be many times what the path answers.
    pub(super) fn is_too_much(&self) -> bool {
        self.selected > self.most
    }

    /// The path and the query string.
    ///
    /// # Errors
    /// An argument that is no value.
    pub(super) fn uri(self) -> Result<String, Problem> {
        let mut uri = self.path?;
        // What stands beside the columns comes with whole rows only.
        if !self.fields.is_empty() && self.columns.is_subset(&self.fields) {
            let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
            let columns = if columns.is_empty() { NONE.to_owned() } else { columns.join(",") };
            add(&mut uri, "fields", &columns);
        }
        Ok(uri)
    }
}

fn path(root: &Root, arguments: &Arguments<'_, Scalar>) -> Result<String, Problem> {
    let mut uri = root.template.clone();
    let given = |argument: &Argument| arguments.get_input_value(&argument.name).map(|given| &given.item);
    for argument in &root.arguments {
        let Some(value) = given(argument) else { continue };
        put(&mut uri, argument, value)?;
    }
    let filters = arguments.get_input_value("filters").and_then(|filters| filters.item.to_object_value());
    if let (Some(known), Some(given)) = (&root.filters, filters) {
        for argument in &known.arguments {
            let Some(value) = given.get(&*argument.name) else { continue };
            put(&mut uri, argument, value)?;
        }
    }
    Ok(uri)
}

fn put(uri: &mut String, argument: &Argument, value: &InputValue<Scalar>) -> Result<(), Problem> {
    let wrong = |detail: &'static str| Problem::parameter(&argument.parameter, detail);
    if value.is_null() {
        return Ok(());
    }
    let values = texts(value).ok_or_else(|| wrong("expected a value"))?;
    if values.is_empty() {
        return Err(wrong("expected one value at least"));
    }
    match argument.place {
        Place::Path => {
            let value = encoded(&values.concat());
            *uri = uri.replace(&format!("{{{}}}", argument.parameter), &value);
        }
        Place::Each => values.iter().for_each(|value| add(uri, &argument.parameter, value)),
        Place::Joined => add(uri, &argument.parameter, &values.join(",")),
    }
    Ok(())
}

/// A value as the query string has it; what is null is not there.
fn texts(value: &InputValue<Scalar>) -> Option<Vec<String>> {
    match value {
        InputValue::Null => Some(Vec::new()),
        InputValue::Scalar(scalar) => Some(vec![scalar.to_string()]),
        InputValue::List(elements) => {
            let texts = elements.iter().map(|element| texts(&element.item));
            texts.collect::<Option<Vec<_>>>().map(|texts| texts.concat())
        }
        InputValue::Enum(_) | InputValue::Variable(_) | InputValue::Object(_) => None,
    }
}

fn add(uri: &mut String, name: &str, value: &str) {
    uri.push(if uri.contains('?') { '&' } else { '?' });
    uri.push_str(&encoded(name));
    uri.push('=');
    uri.push_str(&encoded(value));
}

/// What is neither a letter nor a digit, by its bytes (RFC 3986).
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stands_in_a_value_stays_in_it() {
        let mut uri = "/v1/orgs".to_owned();
        add(&mut uri, "name.search", "pitt & state?");
        add(&mut uri, "code", "a=b/ü");
        assert_eq!(uri, "/v1/orgs?name.search=pitt%20%26%20state%3F&code=a%3Db%2F%C3%BC");
    }

    #[test]
    fn only_the_columns_that_were_selected_are_asked_for() {
        let asked = |columns: &[&str]| {
            let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
            let asked = Asked {
                key: "orgs".into(),
                path: Ok("/v1/orgs?limit=1".into()),
                template: "/v1/orgs".into(),
                fields: words(&["as_of", "code", "name"]),
                columns: words(columns),
                selected: columns.len(),
                most: 6,
            };
            asked.uri().unwrap()
        };
        assert_eq!(asked(&["name", "code"]), "/v1/orgs?limit=1&fields=code%2Cname");
        assert_eq!(asked(&[]), "/v1/orgs?limit=1&fields=as_of");
        assert_eq!(asked(&["code", "last_used"]), "/v1/orgs?limit=1");
    }
}
