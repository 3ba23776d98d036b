//! Personal data: values that name their data subject and cannot be written down in the clear by accident.
//!
//! A [`Personal`] value serialises only inside a [`SealingScope`], which takes the plain values out, grouped by subject
//! and record class, and leaves `{"$personal":[group,slot]}` in their place; outside a scope serialising fails. It
//! deserialises inside an [`OpeningScope`] that holds the opened groups; without one, or when the key is gone, it is
//! [`Personal::Erased`].

use std::{cell::RefCell, fmt, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, ser::SerializeMap};
use serde_json::value::RawValue;
use uuid::Uuid;

/// The record classes of catalogue 0.5: the unit, with the subject and the epoch, of keys and of retention.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::IntoStaticStr,
    strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RecordClass {
    /// Who somebody is: names, addresses of login.
    Identity,
    /// What a person tells others.
    Profile,
    /// Demographics.
    Sensitive,
    /// Education records under FERPA.
    Education,
    /// Money.
    Financial,
    /// Messages.
    Communication,
    /// What was computed about a person.
    AiContent,
    /// Device tokens.
    Device,
    /// Payments.
    Payment,
    /// Logins and their circumstances.
    SecurityLog,
    /// What proves who somebody is: hashes of passwords and tokens, shared secrets. Nobody is ever shown it, no export
    /// and no replay has it.
    Secret,
}

impl RecordClass {
    /// All of them.
    pub const ALL: [RecordClass; 11] = [
        RecordClass::Identity,
        RecordClass::Profile,
        RecordClass::Sensitive,
        RecordClass::Education,
        RecordClass::Financial,
        RecordClass::Communication,
        RecordClass::AiContent,
        RecordClass::Device,
        RecordClass::Payment,
        RecordClass::SecurityLog,
        RecordClass::Secret,
    ];

    /// The storage name, in snake case.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A record class as a type, so that a field's class is part of its type.
pub trait Class: 'static {
    /// The class.
    const CLASS: RecordClass;
}

/// The record classes as types.
pub mod class {
    use super::{Class, RecordClass};
    macro_rules! classes { ($($name:ident),*) => { $(
        #[doc = concat!("[`RecordClass::", stringify!($name), "`].")]
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}
        impl Class for $name { const CLASS: RecordClass = RecordClass::$name; }
    )* } }
    classes!(
        Identity,
        Profile,
        Sensitive,
        Education,
        Financial,
        Communication,
        AiContent,
        Device,
        Payment,
        SecurityLog,
        Secret
    );
}

/// A personal value of type `T` in record class `C`.
pub enum Personal<T, C> {
    /// The value, and whom it is about.
    Known {
        /// The data subject.
        subject: Uuid,
        /// The value.
        value: T,
        /// The record class.
        class: PhantomData<fn() -> C>,
    },
    /// The key is gone, or was not given: the value cannot be known.
    Erased,
}

impl<T, C> Personal<T, C> {
    /// A value about a person.
    pub fn about(subject: Uuid, value: T) -> Self {
        Personal::Known { subject, value, class: PhantomData }
    }

    /// The value, unless it is erased.
    pub fn get(&self) -> Option<&T> {
        match self {
            Personal::Known { value, .. } => Some(value),
            Personal::Erased => None,
        }
    }

    /// The value, unless it is erased.
    pub fn into_inner(self) -> Option<T> {
        match self {
            Personal::Known { value, .. } => Some(value),
            Personal::Erased => None,
        }
    }

    /// Whether the value is gone.
    pub fn is_erased(&self) -> bool {
        matches!(self, Personal::Erased)
    }

    /// Whom the value is about, unless it is erased.
    pub fn subject(&self) -> Option<Uuid> {
        match self {
            Personal::Known { subject, .. } => Some(*subject),
            Personal::Erased => None,
        }
    }

    /// The same person and class, another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Personal<U, C> {
        match self {
            Personal::Known { subject, value, .. } => Personal::about(subject, change(value)),
            Personal::Erased => Personal::Erased,
        }
    }
}

#[expect(clippy::derivable_impls, reason = "a derive would ask for defaults of the value and the class")]
impl<T, C> Default for Personal<T, C> {
    fn default() -> Self {
        Personal::Erased
    }
}

impl<T: Clone, C> Clone for Personal<T, C> {
    fn clone(&self) -> Self {
        match self {
            Personal::Known { subject, value, .. } => Personal::about(*subject, value.clone()),
            Personal::Erased => Personal::Erased,
        }
    }
}

impl<T: PartialEq, C> PartialEq for Personal<T, C> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Personal::Known { subject: a, value: x, .. }, Personal::Known { subject: b, value: y, .. }) => {
                a == b && x == y
            }
            (Personal::Erased, Personal::Erased) => true,
            _ => false,
        }
    }
}

impl<T, C> fmt::Debug for Personal<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Personal::Known { .. } => "[personal]",
            Personal::Erased => "[erased]",
        })
    }
}

impl<T: JsonSchema, C: Class> JsonSchema for Personal<T, C> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Personal_{}_{}", T::schema_name(), C::CLASS.name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Schema::default();
        schema.insert("allOf".into(), serde_json::json!([generator.subschema_for::<T>()]));
        schema.insert("x-personal".into(), C::CLASS.name().into());
        schema
    }
}

/// The plain values of one person and class, taken out of one event or row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalGroup {
    /// The data subject.
    pub subject: Uuid,
    /// The record class.
    pub class: RecordClass,
    /// A JSON array of the values, in slot order.
    pub values: Vec<u8>,
}

/// A group of values that is being collected.
struct Collected {
    subject: Uuid,
    class: RecordClass,
    /// How many values there are so far...
    count: usize,
    /// ...as a JSON array that is still open.
    values: Vec<u8>,
}

enum Scope {
    Sealing(Vec<Collected>),
    Opening(Vec<Option<(Uuid, Vec<Box<RawValue>>)>>),
}

thread_local! {
    static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// Restores the outer scope however the inner one ends.
struct Restore(Option<Scope>);

impl Drop for Restore {
    fn drop(&mut self) {
        let outer = self.0.take();
        SCOPE.with(|scope| *scope.borrow_mut() = outer);
    }
}

fn enter(inner: Scope) -> Restore {
    Restore(SCOPE.with(|scope| scope.borrow_mut().replace(inner)))
}

/// The scope in which personal values may be serialised.
pub struct SealingScope;

impl SealingScope {
    /// Serialises `value`; its personal values come back beside the text, one group per subject and class.
    pub fn to_json<T: Serialize>(value: &T) -> Result<(String, Vec<PersonalGroup>), serde_json::Error> {
        let restore = enter(Scope::Sealing(Vec::new()));
        let text = serde_json::to_string(value)?;
        let collected = SCOPE.with(|scope| scope.borrow_mut().take());
        drop(restore);
        let Some(Scope::Sealing(collected)) = collected else { return Ok((text, Vec::new())) };
        let groups = collected.into_iter().map(|Collected { subject, class, mut values, .. }| {
            values.push(b']');
            PersonalGroup { subject, class, values }
        });
        Ok((text, groups.collect()))
    }
}

/// The scope in which personal values may be read.
pub struct OpeningScope;

impl OpeningScope {
    /// Runs `read` with the opened groups of an event or row, in stored order: the subject and the JSON array of values
    /// of each, `None` where the key is gone.
    pub fn with<R>(groups: Vec<Option<(Uuid, Vec<u8>)>>, read: impl FnOnce() -> R) -> R {
        let groups = groups
            .into_iter()
            .map(|group| {
                group.and_then(|(subject, values)| Some((subject, serde_json::from_slice(&values).ok()?)))
            })
            .collect();
        let _restore = enter(Scope::Opening(groups));
        read()
    }
}

/// Puts a value into the group of its subject and class: which group, and which value of it, it is.
fn collect(groups: &mut Vec<Collected>, subject: Uuid, class: RecordClass, value: &[u8]) -> (usize, usize) {
    // The values of an event are about few people; those that follow each other are mostly about the same one.
    let found = groups.iter().rposition(|group| (group.subject, group.class) == (subject, class));
    let place = found.unwrap_or(groups.len());
    if found.is_none() {
        groups.push(Collected { subject, class, count: 0, values: Vec::with_capacity(value.len() + 2) });
    }
    let group = &mut groups[place];
    group.values.push(if group.count == 0 { b'[' } else { b',' });
    group.values.extend_from_slice(value);
    group.count += 1;
    (place, group.count - 1)
}

const PLACE: &str = "$personal";

impl<T: Serialize, C: Class> Serialize for Personal<T, C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;
        let place = match self {
            // An erased value keeps no place: it reads as erased again.
            Personal::Erased => None,
            Personal::Known { subject, value, .. } => {
                // The inner value is serialised before the scope is borrowed: it must hold no personal value of its own.
                let plain = serde_json::to_vec(value).map_err(S::Error::custom)?;
                let place = SCOPE.with(|scope| match &mut *scope.borrow_mut() {
                    Some(Scope::Sealing(groups)) => Some(collect(groups, *subject, C::CLASS, &plain)),
                    Some(Scope::Opening(_)) | None => None,
                });
                Some(place.ok_or_else(|| S::Error::custom("personal data outside a sealing scope"))?)
            }
        };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(PLACE, &place)?;
        map.end()
    }
}

#[derive(Deserialize)]
struct Place {
    #[serde(rename = "$personal")]
    place: Option<(usize, usize)>,
}

impl<'de, T: DeserializeOwned, C: Class> Deserialize<'de> for Personal<T, C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Place { place: Some((group, slot)) } = Place::deserialize(deserializer)? else {
            return Ok(Personal::Erased);
        };
        SCOPE.with(|scope| match &*scope.borrow() {
            Some(Scope::Opening(groups)) => match groups.get(group) {
                Some(Some((subject, values))) => {
                    let raw = values
                        .get(slot)
                        .ok_or_else(|| serde::de::Error::custom("a personal value has no slot"))?;
                    let value = serde_json::from_str(raw.get())
                        .map_err(|_| serde::de::Error::custom("a personal value has another shape"))?;
                    Ok(Personal::about(*subject, value))
                }
                Some(None) | None => Ok(Personal::Erased),
            },
            Some(Scope::Sealing(_)) | None => Ok(Personal::Erased),
        })
    }
}

/// A personal value as a client stated it in a command: it prints as `[personal]`, and is bound to a person with
/// [`Stated::about`] before it becomes part of an event.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stated<T>(pub T);

impl<T> Stated<T> {
    /// Binds the value to a person.
    pub fn about<C>(self, subject: Uuid) -> Personal<T, C> {
        Personal::about(subject, self.0)
    }
}

impl<T> fmt::Debug for Stated<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}

impl<T> From<T> for Stated<T> {
    fn from(value: T) -> Self {
        Stated(value)
    }
}

impl<T: JsonSchema> JsonSchema for Stated<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Schema::default();
        schema.insert("allOf".into(), serde_json::json!([generator.subschema_for::<T>()]));
        schema.insert("x-personal".into(), true.into());
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::{class::*, *};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Letter {
        to: Personal<String, Identity>,
        grade: Personal<i32, Education>,
        also: Personal<String, Identity>,
        subject: String,
    }

    fn letter() -> Letter {
        let person = Uuid::from_u128(7);
        Letter {
            to: Personal::about(person, "Ada".into()),
            grade: Personal::about(person, 3),
            also: Personal::about(person, "Lovelace".into()),
            subject: "hello".into(),
        }
    }

    fn opened(groups: &[PersonalGroup]) -> Vec<Option<(Uuid, Vec<u8>)>> {
        groups.iter().map(|group| Some((group.subject, group.values.clone()))).collect()
    }

    #[test]
    fn personal_values_cannot_be_serialised_outside_a_sealing_scope() {
        assert!(serde_json::to_string(&letter()).is_err());
    }

    #[test]
    fn a_sealing_scope_takes_the_values_out_by_subject_and_class() {
        let (text, groups) = SealingScope::to_json(&letter()).unwrap();
        assert!(!text.contains("Ada") && !text.contains("Lovelace") && text.contains("hello"), "{text}");
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0].values, br#"["Ada","Lovelace"]"#);
    }

    #[test]
    fn what_was_sealed_reads_back_in_an_opening_scope() {
        let (text, groups) = SealingScope::to_json(&letter()).unwrap();
        let read: Letter = OpeningScope::with(opened(&groups), || serde_json::from_str(&text)).unwrap();
        assert_eq!(read, letter());
    }

    #[test]
    fn without_the_key_of_one_class_only_that_class_reads_as_erased() {
        let (text, groups) = SealingScope::to_json(&letter()).unwrap();
        let mut keys = opened(&groups);
        keys[1] = None;
        let read: Letter = OpeningScope::with(keys, || serde_json::from_str(&text)).unwrap();
        assert_eq!((read.to.get().map(String::as_str), read.grade.is_erased()), (Some("Ada"), true));
    }

    #[test]
    fn without_any_scope_everything_personal_reads_as_erased() {
        let (text, _) = SealingScope::to_json(&letter()).unwrap();
        let read: Letter = serde_json::from_str(&text).unwrap();
        assert!(read.to.is_erased() && read.grade.is_erased() && read.subject == "hello");
    }

    #[test]
    fn a_failed_serialisation_leaves_no_scope_behind() {
        struct Broken;
        impl Serialize for Broken {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("broken"))
            }
        }
        assert!(SealingScope::to_json(&Broken).is_err());
        assert!(serde_json::to_string(&letter()).is_err());
    }

    #[test]
    fn personal_values_print_as_a_mark() {
        assert_eq!(format!("{:?} {:?}", letter().to, Stated("x")), "[personal] [personal]");
    }
}
