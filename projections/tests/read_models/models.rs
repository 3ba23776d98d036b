//! Read models for tests: one that panics, one whose rows cannot be stored, a later version, a ledger, an UNLOGGED one.

use domain::{Actor, identity::OrgUnitEvent as E, registry::AnyEvent};
use projections::{
    Analysts, Fact, Filter, KeyOf, Ledger, LedgerModel, Options, ReadModel, Table, TableModel, row,
};
use uuid::Uuid;

row! {
    /// How often a unit was renamed.
    pub struct NamesRow {
        key {
            /// The unit.
            org_id: Uuid => filter pseudonym,
        }
        columns {
            /// Its present name.
            name: String => filter sort search open,
            /// How many names it has had.
            count: i64 => filter sort open,
            /// All its names.
            names: Vec<String> => filter index,
            /// The name before this one.
            before: Option<String> => filter sort,
        }
    }
}

fn fold(key: &Uuid, row: Option<NamesRow>, fact: &Fact) -> Option<NamesRow> {
    let AnyEvent::OrgUnit(event) = &fact.event else { return row };
    match event {
        E::OrgUnitCreated { name, .. } => Some(NamesRow {
            org_id: *key,
            name: name.clone(),
            count: 1,
            names: vec![name.clone()],
            before: None,
        }),
        E::OrgUnitRevised { name: Some(name), .. } => row.map(|mut row| {
            row.before = Some(std::mem::replace(&mut row.name, name.clone()));
            row.count += 1;
            row.names.push(name.clone());
            row
        }),
        // The end of it, for this read model.
        E::OrgUnitDeactivated { .. } => None,
        E::OrgUnitRevised { .. } | E::OrgUnitMoved { .. } | E::OrgUnitReactivated {} => row,
    }
}

/// A read model called `names` in several versions, which differ in how they fail.
macro_rules! names {
    ($($Model:ident: version $version:literal, $options:expr, |$name:ident| $check:expr;)*) => { $(
        pub(crate) struct $Model;

        impl Table for $Model {
            const NAME: &'static str = "names";
            const VERSION: u32 = $version;
            const FED_BY: &'static [&'static str] = &["identity.org_unit"];
            const OPTIONS: Options = $options;
            type Row = NamesRow;

            fn keys(fact: &Fact, out: &mut Vec<KeyOf<Self>>) {
                out.push(fact.id);
            }
            fn fold(key: &Uuid, row: Option<NamesRow>, fact: &Fact) -> Option<NamesRow> {
                let mut row = fold(key, row, fact);
                if let Some(row) = &mut row {
                    let $name = &mut row.name;
                    $check
                }
                row
            }
            fn visible(_: &Actor) -> Filter {
                Filter::All
            }
        }

        impl $Model {
            pub(crate) fn model() -> &'static dyn ReadModel {
                &TableModel::<$Model>::NEW
            }
        }
    )* };
}

const PLAIN: Options = Options { time_travel: true, analysts: Analysts::Rows, ..Options::DEFAULT };

names! {
    Names: version 1, PLAIN, |_name| {};
    Louder: version 2, PLAIN, |name| *name = name.to_uppercase();
    Panicking: version 1, PLAIN, |name| assert!(name != "panic", "a name that panics");
    Unstorable: version 1, PLAIN, |name| if name == "panic" { name.push('\0') };
    Unlogged: version 1, Options { unlogged: true, ..PLAIN }, |_name| {};
}

row! {
    /// What units are called.
    pub struct ShorterRow {
        key {
            /// The unit.
            org_id: Uuid => filter pseudonym,
        }
        columns {
            /// Its present name.
            name: String => filter sort open,
        }
    }
}

/// `names` in a version that has fewer columns.
pub(crate) struct Shorter;

impl Table for Shorter {
    const NAME: &'static str = "names";
    const VERSION: u32 = 3;
    const FED_BY: &'static [&'static str] = &["identity.org_unit"];
    const OPTIONS: Options = PLAIN;
    type Row = ShorterRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }
    fn fold(key: &Uuid, row: Option<ShorterRow>, fact: &Fact) -> Option<ShorterRow> {
        let AnyEvent::OrgUnit(event) = &fact.event else { return row };
        match event {
            E::OrgUnitCreated { name, .. } | E::OrgUnitRevised { name: Some(name), .. } => {
                Some(ShorterRow { org_id: *key, name: name.clone() })
            }
            E::OrgUnitDeactivated { .. } => None,
            E::OrgUnitRevised { .. } | E::OrgUnitMoved { .. } | E::OrgUnitReactivated {} => row,
        }
    }
    fn visible(_: &Actor) -> Filter {
        Filter::All
    }
}

impl Shorter {
    pub(crate) fn model() -> &'static dyn ReadModel {
        &TableModel::<Shorter>::NEW
    }
}

row! {
    /// One event of a unit.
    pub struct HistoryRow {
        key {
            /// Where it is in the log.
            position: i64 => sort open,
            /// Its number among the entries of the event.
            entry: i32,
        }
        columns {
            /// What happened.
            event: String => filter open,
        }
    }
}

pub(crate) struct History;

impl Ledger for History {
    const NAME: &'static str = "history";
    const VERSION: u32 = 1;
    const FED_BY: &'static [&'static str] = projections::table::EVERY_AGGREGATE;
    const OPTIONS: Options = Options {
        analysts: Analysts::Groups { by: &["event"], sums: &[], people: None },
        sort: &["-position"],
        ..Options::DEFAULT
    };
    type Row = HistoryRow;

    fn entries(fact: &Fact, out: &mut Vec<HistoryRow>) {
        let event = fact.event.name().to_owned();
        out.push(HistoryRow { position: fact.position as i64, entry: 0, event });
    }
    fn visible(_: &Actor) -> Filter {
        Filter::All
    }
}

impl History {
    pub(crate) fn model() -> &'static dyn ReadModel {
        &LedgerModel::<History>::NEW
    }
}

row! {
    /// Whom to write to, in the clear.
    pub struct ContactRow {
        key {
            /// The unit.
            org_id: Uuid => filter pseudonym,
        }
        columns {
            /// The address.
            contact: Option<String> => filter sort search,
        }
    }
}

/// Holds a personal value in the clear, and so is UNLOGGED.
pub(crate) struct Contacts;

impl Table for Contacts {
    const NAME: &'static str = "contacts";
    const VERSION: u32 = 1;
    const FED_BY: &'static [&'static str] = &["identity.org_unit"];
    const OPTIONS: Options = Options { unlogged: true, ..Options::DEFAULT };
    type Row = ContactRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }
    fn fold(key: &Uuid, row: Option<ContactRow>, fact: &Fact) -> Option<ContactRow> {
        let AnyEvent::OrgUnit(event) = &fact.event else { return row };
        match event {
            E::OrgUnitCreated { contact_email, .. } => {
                let contact = contact_email.as_ref().and_then(|contact| contact.get().cloned());
                Some(ContactRow { org_id: *key, contact })
            }
            E::OrgUnitRevised { .. }
            | E::OrgUnitDeactivated { .. }
            | E::OrgUnitMoved { .. }
            | E::OrgUnitReactivated {} => row,
        }
    }
    fn visible(_: &Actor) -> Filter {
        Filter::All
    }
}

impl Contacts {
    pub(crate) fn model() -> &'static dyn ReadModel {
        &TableModel::<Contacts>::NEW
    }
}
