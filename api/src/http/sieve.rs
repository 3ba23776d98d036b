//! Conditions on what rests sealed. SQL cannot see it, and an index of it in the clear would outlive its key; so the rows
//! that a caller may see are opened first and held against the conditions then. It is for rows of one person, of whom there
//! are thousands and not millions.

use std::collections::BTreeSet;

use projections::{
    Op, Page, Query,
    query::{LIMIT, LIMIT_MAX},
};
use serde_json::Value;

use super::{
    Api, Call,
    query::{self, Asked},
    route::QueryRoute,
};
use crate::problem::Problem;

/// How many rows are opened for one page; it may be short then, and goes on at its `next`.
const OPENED: usize = 5000;

/// What stands in the place of a value whose key was destroyed.
const ERASED: &str = "«erased»";

/// A parameter that is held against opened rows.
#[derive(Debug)]
pub struct Sealed {
    /// Its name in the query string.
    pub name: &'static str,
    /// What it does, for people.
    pub doc: &'static str,
    /// The fields of which one must fit.
    fields: &'static [&'static str],
    /// How they are compared: [`Op::Contains`] texts, [`Op::AtLeast`] and [`Op::AtMost`] amounts in minor units.
    pub op: Op,
}

const TRANSACTIONS: &[Sealed] = &[
    Sealed {
        name: "merchant.contains",
        doc: "The merchant, as it was stated or as merchants are compared, has this in it.",
        fields: &["merchant", "merchant_normalized"],
        op: Op::Contains,
    },
    Sealed {
        name: "text.contains",
        doc: "The merchant or the note has this in it.",
        fields: &["merchant", "note"],
        op: Op::Contains,
    },
    Sealed {
        name: "amount.from",
        doc: "At least so much, in minor units of the budget's currency.",
        fields: &["booked"],
        op: Op::AtLeast,
    },
    Sealed {
        name: "amount.to",
        doc: "At most so much, in minor units of the budget's currency.",
        fields: &["booked"],
        op: Op::AtMost,
    },
];

/// What can be asked of the opened rows of a read model.
pub fn parameters(model: &str) -> &'static [Sealed] {
    match model {
        "transactions" => TRANSACTIONS,
        _ => &[],
    }
}

/// The conditions of one request.
#[derive(Default)]
pub(super) struct Sieve(Vec<(&'static Sealed, Wanted)>);

enum Wanted {
    /// In lower case.
    Part(String),
    Minor(i64),
}

impl Sieve {
    /// Takes its conditions out of a query string.
    pub(super) fn of(model: &str, pairs: &mut Vec<(String, String)>) -> Result<Self, Problem> {
        let mut conditions: Vec<(&'static Sealed, Wanted)> = Vec::new();
        for sealed in parameters(model) {
            let (own, others): (Vec<_>, Vec<_>) =
                std::mem::take(pairs).into_iter().partition(|(name, _)| name == sealed.name);
            *pairs = others;
            let wrong = |detail: &'static str| Problem::parameter(sealed.name, detail);
            let mut own = own.into_iter();
            let (Some((_, value)), more) = (own.next(), own.next()) else { continue };
            if more.is_some() {
                return Err(wrong("it is there more than once"));
            }
            let wanted = match sealed.op {
                Op::AtLeast | Op::AtMost => {
                    value.parse().ok().filter(|_| !value.starts_with('+')).map(Wanted::Minor)
                }
                Op::In | Op::Contains | Op::Search => {
                    Some(value.to_lowercase()).filter(|part| !part.is_empty()).map(Wanted::Part)
                }
            };
            conditions.push((sealed, wanted.ok_or_else(|| wrong("the value is not one that it takes"))?));
        }
        Ok(Sieve(conditions))
    }

    /// Whether there are any conditions.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a row fits. What is erased fits no condition.
    fn holds(&self, row: &Value) -> bool {
        self.0.iter().all(|(sealed, wanted)| {
            sealed.fields.iter().any(|field| match wanted {
                Wanted::Part(part) => row[field]
                    .as_str()
                    .is_some_and(|text| text != ERASED && text.to_lowercase().contains(part)),
                Wanted::Minor(minor) => row[field]["minor"].as_i64().is_some_and(|amount| match sealed.op {
                    Op::AtLeast => amount >= *minor,
                    Op::AtMost => amount <= *minor,
                    Op::In | Op::Contains | Op::Search => false,
                }),
            })
        })
    }

    /// A page of rows that fit.
    pub(super) async fn page(
        &self,
        api: &Api,
        call: &Call<'_>,
        route: &QueryRoute,
        query: &Query,
    ) -> Result<Asked, Problem> {
        let limit = query.limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Problem::parameter("limit", "expected a number from 1 to 200"));
        }
        let mut inner = Query { limit: Some(LIMIT_MAX), ..query.clone() };
        let shown = query.fields.clone();
        if !shown.is_empty() {
            let needed = self.0.iter().flat_map(|(sealed, _)| sealed.fields).map(|field| (*field).to_owned());
            inner.fields.extend(needed.filter(|field| !shown.contains(field)).collect::<BTreeSet<_>>());
        }
        let mut total = Page { rows: Vec::new(), next: None, position: u64::MAX, subjects: BTreeSet::new() };
        let mut opened = 0;
        loop {
            let mut page = match query::ask(api, call, route, &inner).await? {
                Asked::Page(page) => page,
                not_yet @ Asked::NotYet(_) => return Ok(not_yet),
            };
            opened += page.rows.len();
            let have = total.rows.len();
            let fits: Vec<usize> =
                (0..page.rows.len()).filter(|index| self.holds(&page.rows[*index])).collect();
            // The page is full in the middle of this one: where it ends there, its own cursor says.
            if let Some(last) = fits.get(limit - have - 1).filter(|last| **last + 1 < page.rows.len()) {
                let shorter = Query { limit: Some(last + 1), ..inner.clone() };
                page = match query::ask(api, call, route, &shorter).await? {
                    Asked::Page(page) => page,
                    not_yet @ Asked::NotYet(_) => return Ok(not_yet),
                };
            }
            let Page { rows, next, position, subjects } = page;
            let fit = rows.into_iter().filter(|row| self.holds(row)).map(|row| only(row, &shown));
            total.rows.extend(fit.take(limit - have));
            total.position = total.position.min(position);
            total.subjects.extend(subjects);
            total.next = next.clone();
            if next.is_none() || total.rows.len() >= limit || opened >= OPENED {
                break;
            }
            inner.after = next;
        }
        Ok(Asked::Page(total))
    }
}

/// A row with the fields that were asked for.
fn only(mut row: Value, shown: &[String]) -> Value {
    if let Some(fields) = row.as_object_mut().filter(|_| !shown.is_empty()) {
        fields.retain(|name, _| shown.contains(name));
    }
    row
}
