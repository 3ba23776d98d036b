//! What keeps this node's answers quick when more is asked of it than it can do: some requests are refused at once, so that
//! the others do not wait for ever; and what lets it stop without losing any.
//!
//! Commands and queries are counted apart. Of each, so many may be under way. Whenever for a while not even the quickest
//! one was done within the time that is aimed at, there is a queue that does not pass (this is CoDel's reasoning), and fewer
//! may be under way from then on; when they are quick again, more. A body that is slow to come keeps nobody's place: a
//! request is counted when all of it is here.
//!
//! What hashes a password is counted once more: that takes long on purpose, and how long says nothing of a queue. As many
//! wait for their turn as are done within a moment, whoever they are of. What is folded from the whole log is counted apart,
//! too: each one keeps a processor for as long as the log takes, and none waits for its turn.

use std::{
    num::NonZero,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::problem::{OVERLOADED, Problem, STOPPING};

/// How many may always be under way.
const FLOOR: u32 = 32;
/// How long requests are watched before anything is changed.
const WATCHED: Duration = Duration::from_millis(500);
/// The most seconds after which a refused client is asked to come back; they are spread, so that not all come at once.
const COME_BACK: u16 = 3;
/// How many passwords are hashed, or wait for that, at once at most, for each processor: one takes some tens of milliseconds. Of
/// what is folded from the whole log as many: the root fields of a document that are asked at once are no more.
const WAITING_PER_PROCESSOR: u32 = 16;
/// How often it is looked whether the last request was answered.
const LOOK: Duration = Duration::from_millis(10);

/// What is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// What waits for the log to be written.
    Command,
    /// What only reads.
    Query,
    /// What hashes a password.
    Password,
}

/// How many requests are under way, and how many may be.
pub struct Overload {
    commands: Lane,
    queries: Lane,
    passwords: Lane,
    past: Lane,
    /// As many are folded from the whole log at once.
    folds: Semaphore,
    /// All requests that are being answered.
    under_way: AtomicU64,
    stopping: AtomicBool,
}

struct Lane {
    name: &'static str,
    under_way: AtomicU32,
    /// How many may be, at this moment.
    limit: AtomicU32,
    ceiling: u32,
    aim: Duration,
    since: Instant,
    /// When requests began to be watched, in microseconds after `since`.
    watched_from: AtomicU64,
    /// How long the quickest of them took, in microseconds.
    quickest: AtomicU64,
    refused: AtomicU64,
}

/// A request under way; it is for as long as this is not dropped.
pub(super) struct UnderWay<'a> {
    lane: &'a Lane,
    begun: Instant,
}

impl Overload {
    /// Nothing under way. At most `ceiling` commands and as many queries are let through at once; fewer where they take
    /// longer than `aim`.
    pub fn new(ceiling: u32, aim: Duration) -> Self {
        let lane = |name| Lane::new(name, ceiling.max(1), aim);
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let waiting = u32::try_from(processors).unwrap_or(u32::MAX).saturating_mul(WAITING_PER_PROCESSOR);
        Overload {
            commands: lane("commands"),
            queries: lane("queries"),
            passwords: Lane::new("passwords", waiting, Duration::MAX),
            past: Lane::new("past", waiting, Duration::MAX),
            folds: Semaphore::new(processors),
            under_way: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
        }
    }

    /// Counts a request in.
    ///
    /// # Errors
    /// 503 where there are as many under way as may be.
    pub(super) fn enter(&self, kind: Kind) -> Result<UnderWay<'_>, Problem> {
        match kind {
            Kind::Command => self.commands.enter(Instant::now()),
            Kind::Query => self.queries.enter(Instant::now()),
            Kind::Password => self.passwords.enter(Instant::now()),
        }
    }

    /// Counts in what is folded from the whole log, and waits for its turn: as many are under way as there are processors.
    ///
    /// # Errors
    /// 503 where as many wait as may.
    pub(super) async fn enter_past(&self) -> Result<(UnderWay<'_>, SemaphorePermit<'_>), Problem> {
        let entered = self.past.enter(Instant::now())?;
        let turn = self.folds.acquire().await.expect("nobody closes it");
        Ok((entered, turn))
    }

    /// Counts a request from its first to its last moment here, whatever becomes of it.
    pub(super) fn answering(&self) -> Answering<'_> {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        Answering(self)
    }

    /// How many requests are being answered.
    pub fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::SeqCst)
    }

    /// Whether this node takes no more requests.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Refuses a request where this node is about to stop.
    pub(super) fn admits(&self) -> Result<(), Problem> {
        if self.is_stopping() {
            return Err(Problem::new(STOPPING, "this node is about to stop").retry_after(1));
        }
        Ok(())
    }

    /// Takes no more requests, and waits until those that were taken are answered, or as long as it is patient; whether
    /// all of them are.
    pub async fn stop(&self, patience: Duration) -> bool {
        // A request is counted before it asks: it either sees this, or is waited for.
        self.stopping.store(true, Ordering::SeqCst);
        let answered = async {
            while self.under_way() > 0 {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(patience, answered).await.is_ok()
    }

    /// Name, limit and refusals of what is counted apart, for the metrics.
    pub fn lanes(&self) -> [(&'static str, u32, u64); 4] {
        [&self.commands, &self.queries, &self.passwords, &self.past]
            .map(|lane| (lane.name, lane.limit.load(Ordering::Relaxed), lane.refused.load(Ordering::Relaxed)))
    }
}

/// A request that is being answered.
pub(super) struct Answering<'a>(&'a Overload);

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Lane {
    fn new(name: &'static str, ceiling: u32, aim: Duration) -> Self {
        Lane {
            name,
            under_way: AtomicU32::new(0),
            limit: AtomicU32::new(ceiling),
            ceiling,
            aim,
            since: Instant::now(),
            watched_from: AtomicU64::new(0),
            quickest: AtomicU64::new(u64::MAX),
            refused: AtomicU64::new(0),
        }
    }

    fn enter(&self, now: Instant) -> Result<UnderWay<'_>, Problem> {
        let others = self.under_way.fetch_add(1, Ordering::Relaxed);
        let entered = UnderWay { lane: self, begun: now };
        if others < self.limit.load(Ordering::Relaxed) {
            return Ok(entered);
        }
        drop(entered);
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.adapt(now);
        let seconds = rand::random_range(1..=COME_BACK);
        Err(Problem::new(OVERLOADED, "more is asked of this node than it can do").retry_after(seconds))
    }

    /// Takes note of how long a request took that waited where others wait too.
    fn took(&self, took: Duration, now: Instant) {
        let took = micros(took);
        if took < self.quickest.load(Ordering::Relaxed) {
            self.quickest.fetch_min(took, Ordering::Relaxed);
        }
        self.adapt(now);
    }

    /// Once in a while: fewer may be under way where even the quickest was too slow, or none came to an end at all; more
    /// where it was quick.
    fn adapt(&self, now: Instant) {
        let (now, from) = (micros(now - self.since), self.watched_from.load(Ordering::Relaxed));
        if now < from.saturating_add(micros(WATCHED)) {
            return;
        }
        let turn = self.watched_from.compare_exchange(from, now, Ordering::Relaxed, Ordering::Relaxed);
        if turn.is_err() {
            return;
        }
        let quickest = self.quickest.swap(u64::MAX, Ordering::Relaxed);
        let limit = self.limit.load(Ordering::Relaxed);
        let next = if quickest > micros(self.aim) {
            // What is under way is what makes it slow; a limit that is far above it would take long to matter.
            let under_way = self.under_way.load(Ordering::Relaxed);
            limit.min(under_way.max(FLOOR)).saturating_sub(limit / 8).max(FLOOR.min(self.ceiling))
        } else {
            limit.saturating_add(limit / 8 + 1).min(self.ceiling)
        };
        self.limit.store(next, Ordering::Relaxed);
    }
}

impl UnderWay<'_> {
    /// It was done, and waited where others wait too.
    pub(super) fn done(self) {
        let now = Instant::now();
        self.lane.took(now - self.begun, now);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.lane.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AIM: Duration = Duration::from_millis(100);
    const SLOW: Duration = Duration::from_millis(300);
    const QUICK: Duration = Duration::from_millis(3);

    fn after(lane: &Lane, rounds: u32) -> Instant {
        lane.since + (WATCHED + Duration::from_millis(1)) * rounds
    }

    #[test]
    fn no_more_than_may_be_are_under_way_at_once() {
        let lane = Lane::new("commands", 2, AIM);
        let entered = [lane.enter(lane.since), lane.enter(lane.since)];
        let refused = lane.enter(lane.since).err().unwrap();
        assert_eq!((refused.code(), refused.status().as_u16()), ("Overloaded", 503));
        drop(entered);
        assert!(lane.enter(lane.since).is_ok());
        assert_eq!(lane.refused.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn where_not_even_the_quickest_is_done_in_time_fewer_may_be_under_way() {
        let lane = Lane::new("commands", 1000, AIM);
        let _under_way: Vec<_> = (0..200).map(|_| lane.enter(lane.since).unwrap()).collect();
        for round in 1..=5 {
            lane.took(SLOW, after(&lane, round));
        }
        let limit = lane.limit.load(Ordering::Relaxed);
        assert!(limit < 200, "{limit}");
        for round in 6..=60 {
            lane.took(SLOW, after(&lane, round));
        }
        assert_eq!(lane.limit.load(Ordering::Relaxed), FLOOR, "some are always let through");
        for round in 61..=120 {
            lane.took(QUICK, after(&lane, round));
        }
        assert_eq!(lane.limit.load(Ordering::Relaxed), 1000, "and all again when they are quick");
    }

    #[test]
    fn however_long_passwords_take_as_many_of_them_wait_for_their_turn() {
        let lane = Lane::new("passwords", 64, Duration::MAX);
        let _under_way: Vec<_> = (0..64).map(|_| lane.enter(lane.since).unwrap()).collect();
        for round in 1..=20 {
            assert!(lane.enter(after(&lane, round)).is_err());
        }
        assert_eq!(lane.limit.load(Ordering::Relaxed), 64);
    }

    #[tokio::test]
    async fn no_more_is_folded_from_the_whole_log_at_once_than_there_are_processors() {
        let overload = Overload::new(1000, AIM);
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let mut under_way = Vec::new();
        for _ in 0..processors {
            under_way.push(overload.enter_past().await.unwrap());
        }
        let mut waiting: Vec<_> = (0..processors * 15).map(|_| Box::pin(overload.enter_past())).collect();
        for one in &mut waiting {
            assert!(futures_util::poll!(one).is_pending());
        }
        let refused = overload.enter_past().await.err().unwrap();
        assert_eq!((refused.code(), refused.status().as_u16()), ("Overloaded", 503));
        assert!(overload.enter(Kind::Query).is_ok(), "what is read as it is now goes on");
        drop(under_way);
        assert!(waiting.remove(0).await.is_ok(), "it is its turn");
    }

    #[test]
    fn one_quick_request_shows_that_there_is_no_queue() {
        let lane = Lane::new("queries", 1000, AIM);
        let _under_way: Vec<_> = (0..200).map(|_| lane.enter(lane.since).unwrap()).collect();
        for round in 1..=20 {
            lane.took(SLOW, after(&lane, round) - QUICK);
            lane.took(QUICK, after(&lane, round) - QUICK);
            lane.took(SLOW, after(&lane, round));
        }
        assert_eq!(lane.limit.load(Ordering::Relaxed), 1000);
    }

    #[tokio::test]
    async fn a_node_that_stops_waits_for_what_it_has_taken_and_takes_no_more() {
        let overload = std::sync::Arc::new(Overload::new(10, AIM));
        let taken = overload.answering();
        assert!(overload.admits().is_ok());
        assert!(!overload.stop(Duration::from_millis(20)).await, "one is still under way");
        assert_eq!(overload.admits().unwrap_err().code(), "Stopping");
        let stopping = tokio::spawn({
            let overload = overload.clone();
            async move { overload.stop(Duration::from_secs(30)).await }
        });
        drop(taken);
        assert!(stopping.await.unwrap());
    }
}
