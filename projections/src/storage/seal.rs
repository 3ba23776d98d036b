//! Personal values of rows: sealed before they are written, opened after they are read.

use std::borrow::Cow;

use event_store::{Epoch, Keyring, StoreError};
use uuid::Uuid;

use crate::{
    fact::{Opened, with_subjects},
    model::{Changed, Stored},
    row::Value,
    table::Shape,
};

/// A row as it lies in its table.
pub(crate) struct StoredSealed {
    pub(crate) values: Vec<Value>,
    pub(crate) as_of: u64,
    pub(crate) subjects: Vec<Uuid>,
    pub(crate) places: String,
    pub(crate) sealed: Option<Vec<u8>>,
}

/// A row ready to be written: its declared columns, then the technical ones.
pub(crate) struct Stowed(Vec<Value>);

impl Stowed {
    pub(crate) fn cells(&self) -> impl Iterator<Item = &Value> {
        self.0.iter()
    }
}

/// The table and key that sealed values are bound to. Without the generation: two rebuilds write the same bytes.
fn context(shape: &Shape, values: &[Value]) -> Vec<u8> {
    let mut context = shape.name.as_bytes().to_vec();
    for (column, value) in shape.key().iter().zip(values) {
        value.put(column.kind, &mut context);
    }
    context
}

/// Seals rows. The keys are made or loaded once for all of them; values whose key was destroyed are sealed as erased.
pub(crate) async fn stow(
    shape: &Shape,
    rows: Vec<Changed>,
    keyring: &Keyring,
) -> Result<Vec<Stowed>, StoreError> {
    let mut wanted: Vec<(Uuid, Cow<'static, str>, Epoch)> = Vec::new();
    for row in &rows {
        wanted.extend(row.groups.iter().map(|group| {
            let class = group.class.name();
            (group.subject, Cow::Borrowed(class), Epoch::of(class, row.at))
        }));
    }
    if !wanted.is_empty() {
        keyring.ensure(&wanted).await?;
    }
    rows.into_iter().map(|row| seal(shape, row, keyring)).collect()
}

fn seal(shape: &Shape, row: Changed, keyring: &Keyring) -> Result<Stowed, StoreError> {
    let context = context(shape, &row.values);
    let mut cells = row.values;
    cells.push(Value::Integer(row.as_of as i64));
    cells.push(Value::Uuids(row.subjects));
    if shape.personal.is_empty() {
        return Ok(Stowed(cells));
    }
    let groups: Vec<event_store::PersonalGroup> = row
        .groups
        .into_iter()
        .map(|group| event_store::PersonalGroup {
            subject: group.subject,
            class: Cow::Borrowed(group.class.name()),
            plaintext: group.values,
        })
        .collect();
    cells.push(Value::Json(row.places));
    cells.push(match groups.is_empty() {
        true => Value::Null,
        false => Value::Bytes(keyring.seal_row(&context, &groups, row.at)?),
    });
    Ok(Stowed(cells))
}

/// Opens rows. The keys are loaded once for all of them.
pub(crate) async fn open_rows(
    shape: &Shape,
    rows: Vec<StoredSealed>,
    keyring: &Keyring,
) -> Result<Vec<Stored>, StoreError> {
    keyring.load_for_sealed(rows.iter().filter_map(|row| row.sealed.as_deref())).await?;
    rows.into_iter().map(|row| open(shape, &row, keyring).map(|opened| row.with(opened))).collect()
}

/// The same for rows that may have been altered: of those whose values do not open although there are keys, the columns.
pub(crate) async fn open_sound_rows(
    shape: &Shape,
    rows: Vec<StoredSealed>,
    keyring: &Keyring,
) -> Result<(Vec<Stored>, Vec<Vec<Value>>), StoreError> {
    let (mut sound, mut shut) = (Vec::new(), Vec::new());
    let all = keyring.load_for_sealed(rows.iter().filter_map(|row| row.sealed.as_deref())).await;
    for row in rows {
        let loaded = match &all {
            Ok(()) => Ok(()),
            // One of them names a key that there cannot be.
            Err(_) => keyring.load_for_sealed(row.sealed.as_deref()).await,
        };
        match loaded.and_then(|()| open(shape, &row, keyring)) {
            Ok(opened) => sound.push(row.with(opened)),
            Err(StoreError::Unreadable(_)) => shut.push(row.values),
            Err(error) => return Err(error),
        }
    }
    Ok((sound, shut))
}

/// Opens the values of a row, whose keys are loaded.
fn open(shape: &Shape, row: &StoredSealed, keyring: &Keyring) -> Result<Opened, StoreError> {
    match &row.sealed {
        None => Ok(Vec::new()),
        Some(sealed) => with_subjects(sealed, keyring.open_row(&context(shape, &row.values), sealed)?),
    }
}

impl StoredSealed {
    fn with(self, opened: Opened) -> Stored {
        let StoredSealed { values, as_of, subjects, places, .. } = self;
        Stored { values, as_of, subjects, places, opened }
    }
}
