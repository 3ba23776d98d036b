//! One client of the stream: what it is told next, however it is written.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use actix_web::web;
use event_store::Position;
use jiff::Timestamp;
use tokio::sync::broadcast;
use uuid::Uuid;

use super::{Told, View, view};
use crate::{
    auth::Ticket,
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
/// How many events a client that catches up reads at once.
const CATCH_UP: usize = 256;
/// How often a quiet stream says that it is alive, and where it is.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// One client.
pub(super) struct Client {
    api: web::Data<Api>,
    /// Who it is, and from where: what a token says holds only until it is revoked.
    ticket: Arc<Ticket>,
    address: Option<IpAddr>,
    /// Who reads, for the access log, and whose data they are about to be told of.
    reader: Reader,
    unlogged: BTreeSet<Uuid>,
    view: View,
    /// Up to where it was told; none before it has begun.
    after: Option<Position>,
    live: Option<broadcast::Receiver<Arc<[Told]>>>,
    /// Whether it must read the log itself before it can listen.
    behind: bool,
    ready: Vec<Event>,
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
    /// These events.
    Recorded(Vec<Event>),
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
    /// The log cannot be read, or not put on record who reads.
    Failed,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.api.metrics.streams.dec();
    }
}

impl Client {
    /// A client that was told everything up to a position; of one that says none, everything up to now.
    ///
    /// # Errors
    /// Nobody is known, there are as many as are served, a purpose that cannot be one, or a position that the log does not
    /// have: then a backup was restored, and what comes next would not be what comes next for this client.
    pub(super) async fn new(
        api: &web::Data<Api>,
        call: &Call<'_>,
        view: View,
        after: Option<Position>,
    ) -> Result<Self, Problem> {
        let ticket = call.ticket.clone().ok_or_else(|| unauthenticated(None))?;
        let (address, reader) = (call.request.address(), Reader::of(call)?);
        if api.metrics.streams.get() >= CLIENTS {
            return Err(
                Problem::new(RATE_LIMITED, "this node has as many streams as it serves").retry_after(30)
            );
        }
        if let Some(after) = after {
            let head = api.commands.store().head().await.map_err(|error| failed(&error))?.position;
            if after > head {
                let detail = format!("position {after} is ahead of the log, which ends at {head}");
                return Err(Problem::new(NOT_FOUND, detail));
            }
        }
        api.metrics.streams.inc();
        let (api, unlogged, ready) = (api.clone(), BTreeSet::new(), Vec::new());
        Ok(Client { api, ticket, address, reader, unlogged, view, after, live: None, behind: true, ready })
    }

    /// What to tell next. Whoever drops this before it is there has to drop the client as well.
    ///
    /// # Errors
    /// Why nothing more is told.
    pub(super) async fn next(&mut self) -> Result<News, End> {
        loop {
            if !self.ready.is_empty() {
                self.admitted().await?;
                let subjects = std::mem::take(&mut self.unlogged);
                self.reader.reads(&self.api, subjects).await.map_err(|_| End::Failed)?;
                return Ok(News::Recorded(std::mem::take(&mut self.ready)));
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
            if self.behind {
                let events = store.read_all(after, CATCH_UP).await.map_err(|_| End::Failed)?;
                self.behind = events.len() == CATCH_UP;
                let told: Vec<Told> = events.iter().map(Told::of).collect();
                self.take(&told);
                continue;
            }
            let live = self.live.as_mut().ok_or(End::Failed)?;
            let mut closed = self.api.stream.0.closed.subscribe();
            let news = tokio::select! {
                news = tokio::time::timeout(HEARTBEAT, live.recv()) => news,
                _ = closed.wait_for(|closed| *closed) => return Err(End::Stopping),
            };
            match news {
                Ok(Ok(chunk)) => match chunk.first() {
                    Some(first) if first.position > after + 1 => self.behind = true,
                    Some(_) | None => self.take(&chunk),
                },
                Ok(Err(broadcast::error::RecvError::Lagged(_))) => self.behind = true,
                Ok(Err(broadcast::error::RecvError::Closed)) => return Err(End::Failed),
                Err(_elapsed) => {
                    self.admitted().await?;
                    return Ok(News::Quiet(after));
                }
            }
        }
    }

    /// Whether the client may still be told anything: its token holds, and lets it see what it sees.
    async fn admitted(&self) -> Result<(), End> {
        let now = Timestamp::now();
        let holds = async || {
            let stand = self.api.standing.examine(&self.ticket, self.address, now).await.ok()?;
            let ticket = with_stand(Arc::clone(&self.ticket), stand);
            view(&ticket.actor).ok()
        };
        match !self.ticket.has_expired(now) && holds().await == Some(self.view) {
            true => Ok(()),
            false => Err(End::Withdrawn),
        }
    }

    fn take(&mut self, told: &[Told]) {
        let after = self.after.unwrap_or_default();
        for event in told.iter().filter(|event| event.position > after) {
            if let Some(data) = event.data(self.view) {
                self.ready.push(Event { position: event.position, data: data.to_owned() });
                // That somebody reads is told as well, and must not be a read that is told.
                if self.view == View::All && !event.is_access {
                    self.unlogged.extend(&event.named);
                }
            }
        }
        self.after = told.last().map_or(after, |last| last.position.max(after)).into();
    }
}
