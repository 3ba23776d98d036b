//! What a read model is: a pure fold from facts to rows.
//!
//! A fold reads no clock, draws no random number and asks nobody: the same facts give the same rows, for ever.

use domain::Actor;

use crate::{
    fact::Fact,
    filter::Filter,
    row::{Column, PersonalColumn, Row},
};

/// The key of a read model's rows.
pub type KeyOf<T> = <<T as Table>::Row as Row>::Key;

/// For [`Table::FED_BY`] and [`Ledger::FED_BY`]: events of every aggregate.
pub const EVERY_AGGREGATE: &[&str] = &["*"];

/// A read model whose rows change: which rows a fact touches, and how it changes them.
pub trait Table: Send + Sync + 'static {
    /// The name: of its table, its queries and its view. A storage name: it is never renamed.
    const NAME: &'static str;
    /// Raised whenever the columns or the fold change: the new version is built beside the old one.
    const VERSION: u32;
    /// The aggregate types whose events it folds; no other fact reaches it.
    const FED_BY: &'static [&'static str];
    /// What else there is to say of it.
    const OPTIONS: Options = Options::DEFAULT;
    /// One row.
    type Row: Row;

    /// The rows that a fact touches.
    fn keys(fact: &Fact, out: &mut Vec<KeyOf<Self>>);
    /// The row after the fact; none deletes it.
    fn fold(key: &KeyOf<Self>, row: Option<Self::Row>, fact: &Fact) -> Option<Self::Row>;
    /// Which rows an actor may see.
    fn visible(actor: &Actor) -> Filter;
    /// Which columns this actor does not get, of the rows that they may see.
    fn hidden(_actor: &Actor) -> &'static [&'static str] {
        &[]
    }
    /// Of which rows the actor gets the hidden columns all the same.
    fn disclosed(_actor: &Actor) -> Filter {
        Filter::Nothing
    }
}

/// A read model to which facts only append.
pub trait Ledger: Send + Sync + 'static {
    /// The name: of its table, its queries and its view. A storage name: it is never renamed.
    const NAME: &'static str;
    /// Raised whenever the columns or the entries change: the new version is built beside the old one.
    const VERSION: u32;
    /// The aggregate types whose events it folds; no other fact reaches it.
    const FED_BY: &'static [&'static str];
    /// What else there is to say of it.
    const OPTIONS: Options = Options::DEFAULT;
    /// One entry. Its key is the position of the fact and a number among the fact's entries, so that appending it again
    /// is harmless.
    type Row: Row<Key = (i64, i32)>;

    /// The entries that a fact appends.
    fn entries(fact: &Fact, out: &mut Vec<Self::Row>);
    /// Which entries an actor may see.
    fn visible(actor: &Actor) -> Filter;
    /// Which columns this actor does not get, of the entries that they may see.
    fn hidden(_actor: &Actor) -> &'static [&'static str] {
        &[]
    }
}

/// What else there is to say of a read model.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The table holds personal values in the clear, to be searched or summed in SQL: it is UNLOGGED, and rebuilt from
    /// the log after a crash that empties it and after a shred.
    pub unlogged: bool,
    /// Whether each row names the subjects of the facts that touched it. Not where a row sums up over many people.
    pub about_people: bool,
    /// Columns that name people whom a row is about though the facts that made it need not say so: who reads the row has
    /// read of them, and that goes into the access log.
    pub names: &'static [&'static str],
    /// Whether it can be asked as of an earlier moment.
    pub time_travel: bool,
    /// The column that holds the id of the one stream (of each aggregate type) from which a row is made, if there is
    /// one: asked as of an earlier moment for one of these, no other stream is read.
    pub stream_column: Option<&'static str>,
    /// The resource that a row shows, and the column that holds its id: whoever has a permission to read the one
    /// (`GrantPermission`) sees its rows. No permission opens a row unless this says so.
    pub resource: Option<(&'static str, &'static str)>,
    /// The order in which rows are listed unless the client asks for another; `-column` is descending.
    pub sort: &'static [&'static str],
    /// Columns by whose order many rows are listed: words and values are found quickly wherever they stand in it. They are
    /// instants or 64-bit numbers that are at least 0, have an index, and are never null.
    pub places: &'static [&'static str],
    /// What analysts see.
    pub analysts: Analysts,
}

impl Options {
    /// A logged table about people, in the order of its keys, that analysts see nothing of.
    pub const DEFAULT: Options = Options {
        unlogged: false,
        about_people: true,
        names: &[],
        time_travel: false,
        stream_column: None,
        resource: None,
        sort: &[],
        places: &[],
        analysts: Analysts::Nothing,
    };
}

/// What the view in the schema `read` shows.
#[derive(Clone, Copy, Debug)]
pub enum Analysts {
    /// There is no view.
    Nothing,
    /// Every row: the columns marked `open` as they are, those marked `pseudonym` as keyed pseudonyms.
    Rows,
    /// One row for each group, with the number of rows in it and sums. Groups of fewer than 5 are not shown.
    Groups {
        /// The columns that make a group; they are marked `open`.
        by: &'static [&'static str],
        /// The columns to add up, each as `sum_<column>`.
        sums: &'static [&'static str],
        /// The column that identifies the people who are counted; the rows themselves are where there is none.
        people: Option<&'static str>,
    },
}

/// What is known of a read model without asking it anything.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The name.
    pub name: &'static str,
    /// The version of its columns and fold.
    pub version: u32,
    /// What one row is.
    pub doc: &'static str,
    /// The columns, the key's first.
    pub columns: &'static [Column],
    /// The fields that are kept sealed.
    pub personal: &'static [PersonalColumn],
    /// The aggregate types whose events it folds.
    pub fed_by: &'static [&'static str],
    /// What else there is to say.
    pub options: Options,
    /// Whether facts only append to it.
    pub ledger: bool,
}

impl std::fmt::Debug for PersonalColumn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Shape {
    /// Whether it folds events of this aggregate type.
    pub fn wants(&self, aggregate_type: &str) -> bool {
        self.fed_by.iter().any(|wanted| *wanted == aggregate_type || *wanted == "*")
    }

    /// The columns of the key.
    pub fn key(&self) -> &'static [Column] {
        let length = self.columns.iter().filter(|column| column.is(crate::row::mark::key)).count();
        &self.columns[..length]
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}
