//! One client of the stream: what it is told next, however it is written.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use actix_web::web;
use event_store::Position;
use jiff::Timestamp;
use tokio::{sync::broadcast, time::Instant};
use uuid::Uuid;

use super::{Chunk, View, rows::Rows, view};
use crate::{
    auth::{Ticket, Withdrawn},
    http::{
        Api, Call,
        access::Reader,
        call::{unauthenticated, with_stand},
        query::failed,
    },
    problem::{NOT_FOUND, Problem, RATE_LIMITED},
};

/// How many clients a node serves at once.
const CLIENTS: i64 = 512;
/// How many of them may be one caller's.
const OWN: usize = 32;
/// How many events a client that catches up reads at once.
const CATCH_UP: usize = 256;
/// How often a quiet stream says that it is alive, and where it is.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// One client.
pub(super) struct Client {
    api: web::Data<Api>,
    _seat: Seat,
    /// Who it is, and from where: what a token says holds only until it is revoked.
    ticket: Arc<Ticket>,
    address: Option<IpAddr>,
    /// Who reads, for the access log, and whose data they are about to be told of.
    reader: Reader,
    unlogged: BTreeSet<Uuid>,
    view: View,
    /// Up to where it was told; none before it has begun.
    after: Option<Position>,
    live: Option<broadcast::Receiver<Arc<Chunk>>>,
    /// Whether it must read the log itself before it can listen.
    behind: bool,
    /// The rows that it is told, if it asked for any: those that events changed, before the events.
    rows: Option<Rows>,
    ready: Vec<Event>,
    /// Whether it was told rows and not yet how far it was told.
    ahead: bool,
    /// When it is told that the stream is alive, if it is told nothing else.
    due: Instant,
}

/// One event as a client is told it.
pub(super) struct Event {
    /// Where it is in the log.
    pub(super) position: Position,
    /// What is told of it: JSON on one line.
    pub(super) data: String,
}

/// What a client is told next.
pub(super) enum News {
    /// These rows of read models, as JSON on one line each; the events that changed them come next.
    Changed(Vec<String>),
    /// These events.
    Recorded(Vec<Event>),
    /// That rows of a read model were left out, as JSON on one line.
    LeftOut(String),
    /// That it was told everything up to this position: after rows, where no event says so.
    UpTo(Position),
    /// Nothing for a while, up to this position: so that a client that sees little does not read it all again.
    Quiet(Position),
}

/// Why a client is told no more. It comes back with the position that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The node stops.
    Stopping,
    /// Its token does not hold any more, or lets it see something else.
    Withdrawn,
    /// The log or rows cannot be read, or not put on record who reads.
    Failed,
}

/// A client's place among those that a node serves; free again when it goes.
struct Seat {
    api: web::Data<Api>,
    caller: String,
}

impl Seat {
    /// # Errors
    /// There are as many clients as are served, or as many of this caller.
    fn take(api: &web::Data<Api>, caller: &str) -> Result<Self, Problem> {
        let full = |detail: &'static str| Err(Problem::new(RATE_LIMITED, detail).retry_after(30));
        let mut seats = api.stream.seats();
        if api.metrics.streams.get() >= CLIENTS {
            return full("this node has as many streams as it serves");
        }
        let own = seats.entry(caller.to_owned()).or_default();
        if *own >= OWN {
            return full("you have as many streams as one caller may have");
        }
        *own += 1;
        api.metrics.streams.inc();
        Ok(Seat { api: api.clone(), caller: caller.to_owned() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.api.stream.seats();
        if let Some(own) = seats.get_mut(&self.caller) {
            *own -= 1;
            if *own == 0 {
                seats.remove(&self.caller);
            }
        }
        self.api.metrics.streams.dec();
    }
}

impl Client {
    /// A client that was told everything up to a position; of one that says none, everything up to now.
    ///
    /// # Errors
    /// Nobody is known, there are as many as are served (or of this caller), a purpose that cannot be one, or a position that the log does not
    /// have: then a backup was restored, and what comes next would not be what comes next for this client.
    pub(super) async fn new(
        api: &web::Data<Api>,
        call: &Call<'_>,
        view: View,
        rows: Option<Rows>,
        after: Option<Position>,
    ) -> Result<Self, Problem> {
        let ticket = call.ticket.clone().ok_or_else(|| unauthenticated(None))?;
        let (address, reader) = (call.request.address(), Reader::of(call)?);
        let seat = Seat::take(api, &ticket.actor.id)?;
        if let Some(after) = after {
            let head = api.commands.store().head().await.map_err(|error| failed(&error))?.position;
            if after > head {
                let detail = format!("position {after} is ahead of the log, which ends at {head}");
                return Err(Problem::new(NOT_FOUND, detail));
            }
        }
        Ok(Client {
            api: api.clone(),
            _seat: seat,
            ticket,
            address,
            reader,
            unlogged: BTreeSet::new(),
            view,
            after,
            live: None,
            behind: true,
            rows,
            ready: Vec::new(),
            ahead: false,
            due: Instant::now() + HEARTBEAT,
        })
    }

    /// What to tell next. Whoever drops this before it is there has to drop the client as well.
    ///
    /// # Errors
    /// Why nothing more is told.
    pub(super) async fn next(&mut self) -> Result<News, End> {
        let news = self.news().await?;
        self.due = Instant::now() + HEARTBEAT;
        Ok(news)
    }

    async fn news(&mut self) -> Result<News, End> {
        loop {
            if self.rows.as_ref().is_some_and(Rows::owes) {
                match self.changed().await? {
                    News::Changed(rows) if rows.is_empty() => continue,
                    news => {
                        self.ahead = true;
                        return Ok(news);
                    }
                }
            }
            if !self.ready.is_empty() {
                self.admitted().await?;
                let subjects = std::mem::take(&mut self.unlogged);
                self.reader.reads(&self.api, subjects).await.map_err(|_| End::Failed)?;
                let events = std::mem::take(&mut self.ready);
                self.ahead &= events.last().map(|last| last.position) != self.after;
                return Ok(News::Recorded(events));
            }
            if self.live.is_none() {
                self.live = Some(self.api.stream.subscribe());
            }
            let store = self.api.commands.store();
            let after = match self.after {
                Some(after) => after,
                None => {
                    let head = store.head().await.map_err(|_| End::Failed)?;
                    *self.after.insert(head.position)
                }
            };
            if std::mem::take(&mut self.ahead) {
                return Ok(News::UpTo(after));
            }
            if Instant::now() >= self.due {
                self.admitted().await?;
                return Ok(News::Quiet(after));
            }
            if self.behind {
                let events = store.read_all(after, CATCH_UP).await.map_err(|_| End::Failed)?;
                self.behind = events.len() == CATCH_UP;
                let models = self.rows.as_ref().map(Rows::models);
                let chunk = Chunk::of(&self.api.projections, events, models).await;
                if !self.take(&chunk) {
                    return Err(End::Failed);
                }
                continue;
            }
            let live = self.live.as_mut().ok_or(End::Failed)?;
            let mut closed = self.api.stream.0.closed.subscribe();
            let news = tokio::select! {
                news = tokio::time::timeout_at(self.due, live.recv()) => news,
                _ = closed.wait_for(|closed| *closed) => return Err(End::Stopping),
            };
            match news {
                Ok(Ok(chunk)) => match chunk.events.first() {
                    Some(first) if first.position > after + 1 => self.behind = true,
                    Some(_) | None => self.behind = !self.take(&chunk),
                },
                Ok(Err(broadcast::error::RecvError::Lagged(_))) => self.behind = true,
                Ok(Err(broadcast::error::RecvError::Closed)) => return Err(End::Failed),
                // It is due.
                Err(_elapsed) => {}
            }
        }
    }

    /// Some of the rows that it is owed, once their read model has folded all that was taken. None where it sees none of them,
    /// or their read model does not come along.
    async fn changed(&mut self) -> Result<News, End> {
        let after = self.after.unwrap_or_default();
        let mut closed = self.api.stream.0.closed.subscribe();
        let Some(rows) = &mut self.rows else { return Ok(News::Changed(Vec::new())) };
        let left_out = tokio::select! {
            left_out = rows.come(&self.api, after) => left_out.map_err(|_| End::Failed)?,
            _ = closed.wait_for(|closed| *closed) => return Err(End::Stopping),
        };
        let ticket = self.admitted().await?;
        let Some(rows) = &mut self.rows else { return Ok(News::Changed(Vec::new())) };
        rows.check(&ticket.actor).map_err(|_| End::Withdrawn)?;
        if let Some(left_out) = left_out {
            return Ok(News::LeftOut(left_out));
        }
        let (news, subjects) = rows.read(&self.api, &ticket.actor, after).await.map_err(|_| End::Failed)?;
        self.reader.reads(&self.api, subjects).await.map_err(|_| End::Failed)?;
        Ok(news)
    }

    /// Who the client is, as they stand now, where it may still be told anything: its token holds, and lets it see what it sees.
    async fn admitted(&self) -> Result<Arc<Ticket>, End> {
        self.api.standing.look().await.map_err(|_| End::Failed)?;
        let now = Timestamp::now();
        let stand = self.api.standing.examine(&self.ticket, self.address, now).await;
        let stand = stand.map_err(|withdrawn| match withdrawn {
            Withdrawn::Unknown(_) => End::Failed,
            Withdrawn::Revoked | Withdrawn::Address | Withdrawn::Exhausted => End::Withdrawn,
        })?;
        let ticket = with_stand(Arc::clone(&self.ticket), stand);
        let sees_the_same = view(&ticket.actor).is_ok_and(|view| view == self.view);
        match !ticket.has_expired(now) && sees_the_same {
            true => Ok(ticket),
            false => Err(End::Withdrawn),
        }
    }

    /// Takes what there is to tell of a chunk, and says whether it could: not where rows are to be told, and it is not known
    /// which of them the chunk touches.
    fn take(&mut self, chunk: &Chunk) -> bool {
        let after = self.after.unwrap_or_default();
        let Some(last) = chunk.events.last().filter(|last| last.position > after) else { return true };
        match (&mut self.rows, &chunk.touched) {
            (Some(rows), Some(touched)) => rows.owe(touched),
            (Some(_), None) => return false,
            (None, _) => {}
        }
        for event in chunk.events.iter().filter(|event| event.position > after) {
            if let Some(data) = event.data(self.view) {
                self.ready.push(Event { position: event.position, data: data.to_owned() });
                // That somebody reads is told as well, and must not be a read that is told.
                if self.view == View::All && !event.is_access {
                    self.unlogged.extend(&event.named);
                }
            }
        }
        self.after = Some(last.position);
        true
    }
}
