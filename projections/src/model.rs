//! Read models without their types: what the follower, rebuilds, queries and OpenAPI work with.

use std::marker::PhantomData;

use domain::{Actor, PersonalGroup};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    fact::{Fact, Opened},
    filter::Filter,
    row::{Row, RowError, Value},
    stage::{LedgerStage, TableStage},
    table::{Ledger, Shape, Table},
};

/// A read model of any row type.
pub trait ReadModel: Send + Sync {
    /// Its name, columns and options.
    fn shape(&self) -> &'static Shape;
    /// Which rows an actor may see.
    fn visible(&self, actor: &Actor) -> Filter;
    /// Which columns this actor does not get.
    fn hidden(&self, actor: &Actor) -> &'static [&'static str];
    /// Of which rows the actor gets the hidden columns all the same.
    fn disclosed(&self, actor: &Actor) -> Filter;
    /// An empty place to fold in.
    fn stage(&self) -> Box<dyn Stage>;
}

/// Rows of one read model in memory, on which facts are folded.
pub trait Stage: Send {
    /// Restricts the stage to one of several disjoint parts of the keys, which can be folded side by side.
    fn restrict(&mut self, part: Part);
    /// Notes which rows the facts touch, and gives the keys of those that are not in memory.
    ///
    /// # Errors
    /// When the read model panics.
    fn touch(&mut self, facts: &[&Fact]) -> Result<Vec<Vec<Value>>, Poison>;
    /// Takes a row that was stored.
    ///
    /// # Errors
    /// When it has another shape.
    fn take(&mut self, stored: Stored) -> Result<(), RowError>;
    /// Folds the facts on the rows that they touch: the same facts as `touch` was called with before.
    ///
    /// # Errors
    /// When the read model panics.
    fn fold(&mut self, facts: &[&Fact]) -> Result<(), Poison>;
    /// What was changed since it was last asked; from then on that counts as stored.
    ///
    /// # Errors
    /// When a personal field does not serialise.
    fn changes(&mut self) -> Result<Changes, RowError>;
    /// Some of the rows, at most so many, as they are to be stored; from then on they are not in memory any more. Empty
    /// when none is left.
    ///
    /// # Errors
    /// When a personal field does not serialise.
    fn drain(&mut self, limit: usize) -> Result<Changes, RowError>;
    /// Whether no row is in memory.
    fn is_empty(&self) -> bool;
    /// An estimate of the memory that the rows take, in bytes.
    fn size(&self) -> usize;
}

/// One of several disjoint parts of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which one, from 0.
    pub index: u64,
    /// Of how many.
    pub of: u64,
}

impl Part {
    /// All keys.
    pub const WHOLE: Part = Part { index: 0, of: 1 };
}

/// A fact that a read model cannot fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poison {
    /// The fact.
    pub position: u64,
    /// What happened.
    pub reason: String,
}

/// A row as its table holds it, its personal groups opened.
pub struct Stored {
    /// The columns, in order.
    pub values: Vec<Value>,
    /// The position of the last fact that touched it.
    pub as_of: u64,
    /// Whom it is about.
    pub subjects: Vec<Uuid>,
    /// The places of the personal values; empty where the row has none.
    pub places: String,
    /// The personal values by subject; none where the key is gone.
    pub opened: Opened,
}

/// A row to be stored, its personal values not yet sealed.
pub struct Changed {
    /// The columns, in order.
    pub values: Vec<Value>,
    /// The position of the last fact that touched it.
    pub as_of: u64,
    /// When that was recorded: it gives the epoch of the keys.
    pub at: Timestamp,
    /// Whom it is about.
    pub subjects: Vec<Uuid>,
    /// The places of the personal values; empty where the row has none.
    pub places: String,
    /// The personal values.
    pub groups: Vec<PersonalGroup>,
}

/// What a stage wants stored.
#[derive(Default)]
pub struct Changes {
    /// Rows that are new or different.
    pub upserts: Vec<Changed>,
    /// The keys of rows that are no more.
    pub deletes: Vec<Vec<Value>>,
}

/// A [`Table`] as a [`ReadModel`].
pub struct TableModel<T>(PhantomData<fn() -> T>);

/// A [`Ledger`] as a [`ReadModel`].
pub struct LedgerModel<L>(PhantomData<fn() -> L>);

impl<T: Table> TableModel<T> {
    /// The read model.
    pub const NEW: Self = TableModel(PhantomData);
    const SHAPE: Shape = Shape {
        name: T::NAME,
        version: T::VERSION,
        doc: <T::Row as Row>::DOC,
        columns: <T::Row as Row>::COLUMNS,
        personal: <T::Row as Row>::PERSONAL,
        fed_by: T::FED_BY,
        options: T::OPTIONS,
        ledger: false,
    };
}

impl<L: Ledger> LedgerModel<L> {
    /// The read model.
    pub const NEW: Self = LedgerModel(PhantomData);
    const SHAPE: Shape = Shape {
        name: L::NAME,
        version: L::VERSION,
        doc: <L::Row as Row>::DOC,
        columns: <L::Row as Row>::COLUMNS,
        personal: <L::Row as Row>::PERSONAL,
        fed_by: L::FED_BY,
        options: L::OPTIONS,
        ledger: true,
    };
}

impl<T: Table> ReadModel for TableModel<T> {
    fn shape(&self) -> &'static Shape {
        &Self::SHAPE
    }
    fn visible(&self, actor: &Actor) -> Filter {
        T::visible(actor)
    }
    fn hidden(&self, actor: &Actor) -> &'static [&'static str] {
        T::hidden(actor)
    }
    fn disclosed(&self, actor: &Actor) -> Filter {
        T::disclosed(actor)
    }
    fn stage(&self) -> Box<dyn Stage> {
        Box::new(TableStage::<T>::new())
    }
}

impl<L: Ledger> ReadModel for LedgerModel<L> {
    fn shape(&self) -> &'static Shape {
        &Self::SHAPE
    }
    fn visible(&self, actor: &Actor) -> Filter {
        L::visible(actor)
    }
    fn hidden(&self, actor: &Actor) -> &'static [&'static str] {
        L::hidden(actor)
    }
    fn disclosed(&self, _: &Actor) -> Filter {
        Filter::Nothing
    }
    fn stage(&self) -> Box<dyn Stage> {
        Box::new(LedgerStage::<L>::new())
    }
}
