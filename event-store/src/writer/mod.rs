//! The writer: one thread that commits what has gathered, in one statement for all.
//!
//! Batches form by themselves: while one commits, the next gathers; nothing waits for a batch to fill. The hot path
//! ([`fenced`]) sends a batch before the previous one is answered; whatever it cannot decide or get through goes to the
//! careful path ([`locked`]), which decides each command on its own.
//!
//! Invariants: a command is answered after the commit that it hangs on; one command's refusal fails no other; after a
//! lost connection nothing is answered before the log was asked what became of it.

mod columns;
mod connection;
mod fenced;
mod knowledge;
mod ledger;
mod locked;
mod request;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{future::BoxFuture, poll};
use tokio::{
    runtime::Builder,
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until, timeout},
};

pub(crate) use request::{Reply, Request};

use crate::{
    AppendError, StoreConfig, StoreError, driver::Database, error::lost_connection, tail::Tail, wake::Newest,
};
use connection::Connection;
use fenced::{Batch, Settled};
use knowledge::Knowledge;
use locked::{Decision, Done};
use request::{Accepted, Fence};

/// How many batches may be in flight. With two the database always has one to work on; more only makes them smaller.
const DEPTH: usize = 2;

/// How many commands a batch that is sent behind another must have, in percent of that one's. A small batch costs the
/// database nearly as much as a large one: what would be less gathers until that one is answered.
const COMPANY: usize = 60;

/// A batch takes no more commands when it has this many bytes.
const BYTES_MAX: usize = 4 << 20;

/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(5);

/// The longest pause between two attempts to connect.
const RETRY_MAX: Duration = Duration::from_secs(1);

struct Writer {
    database: Database,
    batch_max: usize,
    patience: Duration,
    queue: mpsc::Receiver<Request>,
    stopped: watch::Receiver<bool>,
    /// More may come.
    open: bool,
    newest: [Newest; 2],
    /// What it committed last, for those who follow.
    tail: Tail,
    /// None: lost.
    connection: Option<Arc<Connection>>,
    /// Where the head will be when everything in flight is committed.
    fence: Fence,
    pending: VecDeque<Request>,
    in_flight: VecDeque<BoxFuture<'static, Settled>>,
    /// How many commands the last batch had that was sent.
    sent: usize,
    knowledge: Knowledge,
    /// The number of the last batch.
    batch: u64,
    /// Something pending needs the locked path.
    lock_next: bool,
    rivals: Rivals,
}

/// Whether other nodes write as well. Then a fence is mostly lost, and locking first is cheaper.
#[derive(Default)]
struct Rivals {
    /// How many batches in a row are to be locked first.
    penalty: u32,
    left: u32,
}

impl Rivals {
    fn met(&mut self) {
        self.penalty = (self.penalty * 2).clamp(8, 512);
        self.left = self.penalty;
    }

    fn absent(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    fn fence_held(&mut self) {
        self.penalty = self.penalty.saturating_sub(1);
    }

    fn active(&self) -> bool {
        self.left > 0
    }
}

/// Connects and starts the writer, on a thread of its own: an answer of the database would otherwise wait behind all that
/// the other tasks of the process have to do, and with it every command in its batch and the next batch.
///
/// It ends when it is stopped, or nobody can send to it any more; then the receiver is told.
pub(crate) async fn start(
    config: &StoreConfig,
    queue: mpsc::Receiver<Request>,
    stopped: watch::Receiver<bool>,
    newest: [Newest; 2],
    tail: Tail,
) -> Result<oneshot::Receiver<()>, StoreError> {
    let database = Database::parse(&config.database_url)?;
    let (batch_max, patience) = (config.batch_max.max(1), config.patience);
    let (started, start) = oneshot::channel();
    let (ended, end) = oneshot::channel();
    let run = async move {
        let (connection, fence) = match Connection::open(&database).await {
            Ok(opened) => opened,
            Err(error) => {
                _ = started.send(Err(error));
                return;
            }
        };
        let writer = Writer {
            database,
            batch_max,
            patience,
            queue,
            stopped,
            open: true,
            newest,
            tail,
            connection: Some(Arc::new(connection)),
            fence,
            pending: VecDeque::new(),
            in_flight: VecDeque::new(),
            sent: 0,
            knowledge: Knowledge::new(),
            batch: 0,
            lock_next: false,
            rivals: Rivals::default(),
        };
        _ = started.send(Ok(())); // whoever does not wait for it drops the queue, which ends it
        writer.run().await;
        _ = ended.send(());
    };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(StoreError::Thread)?;
    let thread = std::thread::Builder::new().name("annals-writer".into());
    thread.spawn(move || runtime.block_on(run)).map_err(StoreError::Thread)?;
    start.await.map_err(|_panicked| StoreError::Closed)??;
    Ok(end)
}

enum Next {
    Settled(Settled),
    Arrived(usize),
    Stop,
}

impl Writer {
    async fn run(mut self) {
        let mut arrivals = Vec::new();
        loop {
            self.gather();
            match self.connection.clone() {
                Some(connection) => self.dispatch(connection).await,
                None => {
                    self.reconnect().await;
                    if self.connection.is_none() {
                        return;
                    }
                    continue;
                }
            }
            if self.in_flight.is_empty() && !self.pending.is_empty() {
                continue; // nobody's answer would wake us; what is pending is tried again, be it on a new connection
            }
            if !self.open && self.pending.is_empty() && self.in_flight.is_empty() {
                return;
            }
            let room = (2 * self.batch_max).saturating_sub(self.pending.len());
            let next = tokio::select! {
                biased;
                Some(settled) = first(&mut self.in_flight) => Next::Settled(settled),
                count = self.queue.recv_many(&mut arrivals, room), if self.open && room > 0 => Next::Arrived(count),
                _ = self.stopped.wait_for(|stopped| *stopped), if !self.queue.is_closed() => Next::Stop,
            };
            match next {
                Next::Settled(settled) => {
                    self.in_flight.pop_front();
                    self.settle(settled).await;
                }
                Next::Arrived(count) => {
                    self.open = count > 0;
                    self.pending.extend(arrivals.drain(..));
                }
                Next::Stop => self.queue.close(),
            }
        }
    }

    /// Takes over what has arrived, without waiting.
    fn gather(&mut self) {
        while self.pending.len() < 2 * self.batch_max
            && let Ok(request) = self.queue.try_recv()
        {
            self.pending.push_back(request);
        }
    }

    /// Sends what can be sent.
    async fn dispatch(&mut self, connection: Arc<Connection>) {
        while !self.pending.is_empty() {
            if self.lock_next || self.rivals.active() {
                // The locked path starts when nothing is in flight.
                if self.in_flight.is_empty() {
                    self.commit_locked(&connection).await;
                }
                return;
            }
            if !may_go(self.pending.len(), self.in_flight.len(), self.sent) {
                return;
            }
            let number = self.batch + 1;
            let (batch, lock) =
                fenced::compose(&mut self.pending, &mut self.knowledge, self.fence, number, self.batch_max);
            self.lock_next = lock;
            if let Some(batch) = batch {
                self.batch = number;
                self.sent = batch.accepted.len();
                self.fence = batch.to;
                let mut sent = fenced::send(batch, connection.clone());
                // The first poll puts the statement on the connection; the order of polls is the order of batches.
                if let std::task::Poll::Ready(settled) = poll!(&mut sent) {
                    sent = Box::pin(std::future::ready(settled));
                }
                self.in_flight.push_back(sent);
            } else if !lock {
                // All that is pending waits for what is in flight. Should nothing be, a look at the database decides.
                self.lock_next = self.in_flight.is_empty() && !self.pending.is_empty();
                return;
            }
        }
    }

    /// Takes the answer to the oldest batch in flight.
    async fn settle(&mut self, (mut batch, result): Settled) {
        let events = batch.to.position - batch.from.position;
        match result {
            Ok(inserted) if inserted == events => {
                self.rivals.fence_held();
                self.knowledge.confirm(batch.number);
                let recorded = |accepted| Accepted::recorded(accepted, batch.to.recorded_at);
                self.tail.extend(batch.accepted.iter_mut().flat_map(recorded));
                self.newest.iter().for_each(|newest| newest.raise(batch.to.position));
                batch.accepted.into_iter().for_each(|accepted| accepted.answer(batch.to.recorded_at));
            }
            result => self.retreat(batch, result).await,
        }
    }

    /// A batch has failed, and so every batch behind it, whose fence it would have set. All their commands come back.
    async fn retreat(&mut self, batch: Batch, result: Result<u64, tokio_postgres::Error>) {
        self.fence = batch.from;
        self.lock_next = true;
        let mut lost = result.as_ref().is_err_and(lost_connection);
        match result {
            Ok(_) => tracing::debug!("the fence was lost"),
            Err(error) => tracing::debug!(%error, "a batch failed"),
        }
        let mut failed = vec![batch];
        while let Some(next) = self.in_flight.pop_front() {
            let (batch, result) = next.await;
            lost |= result.is_err_and(|error| lost_connection(&error));
            failed.push(batch);
        }
        if lost {
            self.connection = None;
        }
        let commands = failed.into_iter().flat_map(|batch| batch.accepted);
        let mut pending = VecDeque::new();
        for accepted in commands {
            self.knowledge.forget(&accepted);
            pending.push_back(accepted.request);
        }
        pending.append(&mut self.pending);
        self.pending = pending;
    }

    /// Commits what is pending on the careful path. Nothing is in flight.
    async fn commit_locked(&mut self, connection: &Connection) {
        self.lock_next = false;
        let mut size = 0;
        let fits = |request: &&Request| {
            size += request.size();
            size < BYTES_MAX
        };
        let count = self.pending.iter().take(self.batch_max).take_while(fits).count().max(1);
        let requests: Vec<Request> =
            self.pending.drain(..count).filter(|request| !request.is_cancelled()).collect();
        if requests.is_empty() {
            return;
        }
        let mut groups = VecDeque::from([requests]);
        while let Some(requests) = groups.pop_front() {
            match locked::commit(connection, self.fence, requests).await {
                Ok(done) => self.finish(done),
                Err((requests, error)) if error.is_transient() => {
                    tracing::warn!(%error, "a batch was interrupted");
                    self.connection = None;
                    self.lock_next = true;
                    let mut pending: VecDeque<_> =
                        requests.into_iter().chain(groups.into_iter().flatten()).collect();
                    pending.append(&mut self.pending);
                    self.pending = pending;
                    return;
                }
                // One of them is at fault: on its own each gets what it deserves.
                Err((requests, error)) if requests.len() > 1 => {
                    tracing::warn!(%error, "a batch failed; its commands are tried one by one");
                    groups.extend(requests.into_iter().map(|request| vec![request]));
                }
                Err((requests, error)) => {
                    tracing::error!(%error, "a command cannot be recorded");
                    let mut error = Some(error);
                    for request in requests {
                        request.refuse(AppendError::Store(error.take().unwrap_or(StoreError::Closed)));
                    }
                }
            }
        }
    }

    /// A locked batch is committed: learn from it, then answer.
    fn finish(&mut self, done: Done) {
        let Done { mut decisions, found, fence, grown } = done;
        if found == self.fence {
            self.rivals.absent();
        } else if found.position >= self.fence.position {
            self.rivals.met();
            grown.iter().for_each(|(stream, version)| self.knowledge.correct(stream, *version));
        } else {
            // The log is shorter than it was: another server has taken over and lacks the end.
            tracing::error!(known = self.fence.position, found = found.position, "the log has lost its end");
            self.knowledge.clear();
            self.tail.clear();
        }
        self.fence = fence;
        self.batch += 1;
        let recorded = decisions.iter_mut().filter_map(|decision| match decision {
            Decision::Accepted(accepted) => Some(accepted.recorded(fence.recorded_at)),
            Decision::Answered(..) | Decision::SentBack(_) => None,
        });
        self.tail.extend(recorded.flatten());
        self.newest.iter().for_each(|newest| newest.raise(fence.position));
        for decision in &decisions {
            if let Decision::Accepted(accepted) = decision {
                self.knowledge.expect(accepted, self.batch);
            }
        }
        self.knowledge.confirm(self.batch);
        for decision in decisions {
            match decision {
                Decision::Accepted(accepted) => accepted.answer(fence.recorded_at),
                Decision::Answered(request, reply) => request.answer(reply),
                Decision::SentBack(request) => request.send_back(fence.recorded_at),
            }
        }
    }

    /// Connects anew, for as long as anybody may still want something. Whoever waits too long is answered that the
    /// outcome is open. The first thing done afterwards is to ask the log about the commands that were in flight.
    async fn reconnect(&mut self) {
        let mut pause = Duration::from_millis(20);
        loop {
            let patience = self.patience;
            let given_up = |request: &Request| request.is_cancelled() || request.since.elapsed() > patience;
            let (gone, pending): (VecDeque<_>, _) = self.pending.drain(..).partition(given_up);
            self.pending = pending;
            for request in gone {
                let reason = "the database was lost and did not come back in time";
                request.refuse(AppendError::Unavailable(reason.into()));
            }
            if !self.open && self.pending.is_empty() {
                return;
            }
            match timeout(CONNECT, Connection::open(&self.database)).await {
                Ok(Ok((connection, fence))) => {
                    tracing::info!(position = fence.position, "the writer is connected again");
                    self.connection = Some(Arc::new(connection));
                    self.fence = fence;
                    self.knowledge.clear();
                    self.tail.clear();
                    return;
                }
                Ok(Err(error)) => tracing::warn!(%error, "the writer cannot connect"),
                Err(_) => tracing::warn!("the writer cannot connect in time"),
            }
            self.wait_until(Instant::now() + pause).await;
            pause = (2 * pause).min(RETRY_MAX);
        }
    }

    /// Waits, while commands go on to arrive.
    async fn wait_until(&mut self, end: Instant) {
        let mut arrivals = Vec::new();
        loop {
            let room = (2 * self.batch_max).saturating_sub(self.pending.len());
            tokio::select! {
                () = sleep_until(end) => return,
                count = self.queue.recv_many(&mut arrivals, room), if self.open && room > 0 => {
                    self.open = count > 0;
                    self.pending.extend(arrivals.drain(..));
                }
                _ = self.stopped.wait_for(|stopped| *stopped), if !self.queue.is_closed() => self.queue.close(),
            }
        }
    }
}

/// Whether a batch of so many commands may be sent while so many batches are in flight, the last of which had so many.
fn may_go(commands: usize, in_flight: usize, before: usize) -> bool {
    match in_flight {
        0 => true,
        DEPTH.. => false,
        _ => 100 * commands >= COMPANY * before,
    }
}

/// The answer to the oldest batch in flight, if there is one. It stays at the front until it is taken away.
async fn first(in_flight: &mut VecDeque<BoxFuture<'static, Settled>>) -> Option<Settled> {
    match in_flight.front_mut() {
        Some(oldest) => Some(oldest.await),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_goes_out_at_once_where_nothing_is_in_flight() {
        assert!(may_go(1, 0, 0) && may_go(1, 0, 512));
    }

    #[test]
    fn a_batch_goes_out_behind_another_with_three_fifths_of_its_commands_at_least() {
        assert!(may_go(60, 1, 100) && may_go(512, 1, 512) && may_go(1, 1, 1));
        assert!(!may_go(59, 1, 100) && !may_go(1, 1, 2));
    }

    #[test]
    fn no_batch_goes_out_behind_two() {
        assert!(!may_go(512, 2, 1));
    }
}
