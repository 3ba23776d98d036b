//! Changed rows of read models. Events tell which rows they touch; once their read model has folded the events it is asked for
//! those rows, as its list would show them to the caller as they stand then.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Arc, LazyLock},
    time::Duration,
};

use domain::Actor;
use event_store::Position;
use projections::{
    ProjectionError, QueryError, Shape, Touched,
    query::{LIMIT_MAX, sees_positions},
    row::{self, RowKey},
};
use serde_json::{Map, Value, json};
use tokio::{sync::Semaphore, time::Instant};
use uuid::Uuid;

use super::client::News;
use crate::{
    auth::Access,
    http::{
        Api, Shows,
        call::forbidden,
        pairs::Pairs,
        query::{columns, complete, failed, problem},
        resources::{Does, TABLE},
    },
    problem::{FORBIDDEN, Problem},
};

/// The parameter that names the read models.
const ROWS: &str = "rows";
/// How long a read model is waited for that comes no nearer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many of the rows that a client was told last are remembered at least; twice as many at most.
const REMEMBERED: usize = 10_000;
/// For how many clients of a node rows are read at a time. Whoever waits longer is told more at once; queries do not wait.
static READING: Semaphore = Semaphore::const_new(4);

/// The read models whose rows are told, and what is asked of whoever wants to be told: what their paths ask. What no path
/// shows as it is, such as what is summed up, is not told, nor is what is only appended to.
pub(crate) static OFFERED: LazyLock<Vec<(&'static Shape, Access)>> = LazyLock::new(|| {
    let shapes = projections::read_models().iter().map(|model| model.shape());
    let changing = shapes.filter(|shape| !shape.ledger);
    changing.filter_map(|shape| Some((shape, accesses(shape.name).next()?))).collect()
});

/// What the paths ask of their caller that show rows of a read model as they are.
fn accesses(model: &str) -> impl Iterator<Item = Access> {
    TABLE.iter().filter_map(move |resource| match resource.does {
        Does::Query { model: own, shows: Shows::Rows | Shows::One, .. } if own == model => {
            Some(resource.access)
        }
        Does::Query { .. } | Does::Command { .. } => None,
    })
}

/// The rows that one client is told.
pub(super) struct Rows {
    wanted: Vec<Wanted>,
    remembered: Remembered,
    /// Until when read models are waited for that come no nearer to what was taken down last.
    until: Option<Instant>,
    /// The hub sees by it that somebody wants rows.
    _counted: Arc<()>,
}

/// A read model whose rows a client wants.
struct Wanted {
    shape: &'static Shape,
    access: Access,
    /// The rows that were touched, and of which the client was not told yet.
    owed: VecDeque<RowKey>,
    /// Where it was when it was waited for in vain.
    stood: Option<Option<Position>>,
}

impl Rows {
    /// Those that a client asks for, if it asks for any.
    ///
    /// # Errors
    /// A name that is none or is there twice, or a caller for whom one of them is not.
    pub(super) fn of(api: &Api, actor: &Actor, pairs: &mut Pairs) -> Result<Option<Self>, Problem> {
        let Some(names) = pairs.one(ROWS)? else { return Ok(None) };
        let wrong = |detail: &'static str| Problem::parameter(ROWS, detail);
        let names = columns(&names).ok_or_else(|| wrong("a read model is there twice"))?;
        let wanted = |name: &String| {
            let offered = OFFERED.iter().find(|(shape, _)| shape.name == name);
            let &(shape, access) =
                offered.ok_or_else(|| wrong("there is no read model of this name whose rows are told"))?;
            Ok(Wanted { shape, access, owed: VecDeque::new(), stood: None })
        };
        let wanted = names.iter().map(wanted).collect::<Result<Vec<_>, Problem>>()?;
        let counted = Arc::clone(&api.stream.0.wanting);
        let rows = Rows { wanted, remembered: Remembered::default(), until: None, _counted: counted };
        rows.check(actor)?;
        Ok(Some(rows))
    }

    /// Whether an actor may be told of all of them.
    ///
    /// # Errors
    /// When not.
    pub(super) fn check(&self, actor: &Actor) -> Result<(), Problem> {
        if !sees_positions(actor) {
            let detail =
                "a row that changes tells where in the log it is, which is not for who reads as an analyst";
            return Err(Problem::new(FORBIDDEN, detail).at(ROWS));
        }
        match self.wanted.iter().all(|wanted| wanted.access.admits(Some(actor))) {
            true => Ok(()),
            false => Err(forbidden().at(ROWS)),
        }
    }

    /// The names of their read models.
    pub(super) fn models(&self) -> Vec<&'static str> {
        self.wanted.iter().map(|wanted| wanted.shape.name).collect()
    }

    /// Takes down which rows were touched.
    pub(super) fn owe(&mut self, touched: &Touched) {
        self.until = None;
        for wanted in &mut self.wanted {
            wanted.owed.extend(touched.get(wanted.shape.name).into_iter().flatten().cloned());
        }
    }

    /// Whether some are to be told.
    pub(super) fn owes(&self) -> bool {
        self.wanted.iter().any(|wanted| !wanted.owed.is_empty())
    }

    /// Waits for the read model whose rows are to be told next to fold a position. Where it stands still, parked or being
    /// built, its rows are left out, and the answer says so: JSON on one line. All read models together are not waited for
    /// longer than one.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn come(&mut self, api: &Api, position: Position) -> Result<Option<String>, Problem> {
        let next = self.wanted.iter_mut().find(|wanted| !wanted.owed.is_empty());
        let Some(next) = next else { return Ok(None) };
        let until = *self.until.get_or_insert_with(|| Instant::now() + 2 * PATIENCE);
        if next.come(api, position, until).await.map_err(|error| failed(&error))? {
            return Ok(None);
        }
        Ok(Some(next.leave_out(position)))
    }

    /// Reads some of the rows that are to be told next: what an actor is told of them, and whose data that is.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn read(
        &mut self,
        api: &Api,
        actor: &Actor,
        position: Position,
    ) -> Result<(News, BTreeSet<Uuid>), Problem> {
        let next = self.wanted.iter_mut().find(|wanted| !wanted.owed.is_empty());
        let Some(next) = next else { return Ok((News::Changed(Vec::new()), BTreeSet::new())) };
        let shape = next.shape;
        let keys: Vec<RowKey> = next.owed.drain(..next.owed.len().min(LIMIT_MAX)).collect();
        let turn = READING.acquire().await;
        let found = api.projections.find(shape.name, actor, &keys, position).await;
        drop(turn);
        let (found, mut page) = match found {
            // What serves was changed for what is not so far.
            Err(QueryError::NotYet { .. } | QueryError::NotBuilt(_)) => {
                return Ok((News::LeftOut(next.leave_out(position)), BTreeSet::new()));
            }
            found => found.map_err(problem)?,
        };
        complete(api, shape.name, &mut page.rows).await?;
        let mut rows: HashMap<RowKey, Value> = found.into_iter().zip(page.rows).collect();
        let mut told = Vec::new();
        for key in keys {
            let row = rows.remove(&key);
            if self.remembered.take_down(shape.name, &key, row.is_some()) {
                told.push(message(shape, &key, page.position, row));
            }
        }
        Ok((News::Changed(told), page.subjects))
    }
}

fn message(shape: &Shape, key: &[row::Value], position: Position, row: Option<Value>) -> String {
    let parts = shape.key().iter().zip(key).map(|(column, part)| (column.name.to_owned(), part.to_json()));
    let key: Map<String, Value> = parts.collect();
    json!({ "read_model": shape.name, "key": key, "position": position, "row": row }).to_string()
}

impl Wanted {
    /// Forgets what was touched up to a position, and says so: JSON on one line.
    fn leave_out(&mut self, position: Position) -> String {
        self.owed.clear();
        json!({ "read_model": self.shape.name, "position": position }).to_string()
    }

    async fn come(&mut self, api: &Api, position: Position, until: Instant) -> Result<bool, ProjectionError> {
        let name = self.shape.name;
        // What stood still is not waited for again before it has moved.
        if let Some(stood) = self.stood
            && api.projections.position_of(name).await? == stood
        {
            return Ok(false);
        }
        loop {
            let patience = PATIENCE.min(until.saturating_duration_since(Instant::now()));
            if api.projections.wait_for(name, position, patience).await? {
                self.stood = None;
                return Ok(true);
            }
            let stands = Some(api.projections.position_of(name).await?);
            if std::mem::replace(&mut self.stood, stands) == stands {
                return Ok(false);
            }
        }
    }
}

/// Which rows a client was told: hashes of their keys, in two generations.
#[derive(Default)]
struct Remembered {
    hashes: RandomState,
    recent: HashSet<u64>,
    older: HashSet<u64>,
}

impl Remembered {
    /// Takes down a row that is there for the client, or is not, and says whether that is to be told: that it is not, once,
    /// and only where the client was told that it is. Of anything else it would tell that there is such a key.
    fn take_down(&mut self, model: &str, key: &[row::Value], is_there: bool) -> bool {
        let row = self.hashes.hash_one((model, key));
        let (recent, older) = (self.recent.remove(&row), self.older.remove(&row));
        if is_there {
            if self.recent.len() >= REMEMBERED {
                self.older = std::mem::take(&mut self.recent);
            }
            self.recent.insert(row);
        }
        is_there || recent || older
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_told_once_and_only_to_whom_it_was_told_before() {
        let mut remembered = Remembered::default();
        let key = |number: u128| vec![row::Value::from(Uuid::from_u128(number))];
        assert!(!remembered.take_down("people", &key(1), false), "never told");
        assert!(remembered.take_down("people", &key(1), true));
        assert!(!remembered.take_down("profiles", &key(1), false), "another read model's");
        assert!(remembered.take_down("people", &key(1), false));
        assert!(!remembered.take_down("people", &key(1), false), "told already");
    }

    #[test]
    fn the_rows_that_were_told_last_are_remembered_and_no_more_than_twice_as_many() {
        let mut remembered = Remembered::default();
        let key = |number: usize| vec![row::Value::from(Uuid::from_u128(number as u128))];
        for number in 0..=3 * REMEMBERED {
            remembered.take_down("people", &key(number), true);
        }
        assert!(remembered.recent.len() + remembered.older.len() <= 2 * REMEMBERED);
        assert!(!remembered.take_down("people", &key(0), false));
        assert!(remembered.take_down("people", &key(2 * REMEMBERED + 1), false));
    }

    #[test]
    fn rows_are_told_that_a_path_shows_as_they_are_and_no_others() {
        let offered: Vec<&str> = OFFERED.iter().map(|(shape, _)| shape.name).collect();
        for name in ["applications", "envelopes", "profiles", "retention_board"] {
            assert!(offered.contains(&name), "{name} in {offered:?}");
        }
        // Groups that are too small to be shown, what is shown by days, and what no path shows.
        for name in ["scholarship_funnel", "budget_calendar", "closed_months", "log_index"] {
            assert!(!offered.contains(&name), "{name}");
        }
    }

    #[test]
    fn all_paths_to_the_rows_of_a_read_model_ask_the_same_of_their_caller() {
        for (shape, access) in OFFERED.iter() {
            assert!(accesses(shape.name).all(|other| other == *access), "{}", shape.name);
        }
    }
}
