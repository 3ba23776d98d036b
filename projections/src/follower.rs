//! The follower: reads the log once, decodes once, folds into all read models that are up to date and commits once per
//! batch. One node follows, under a lease; the others stand by and take over.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use event_store::{Position, Recorded};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::{
    Inner, Projections,
    breath::Breath,
    catalog::{Entry, Layout, State, change_state},
    catch_up,
    enrolment::enrol,
    error::ProjectionError,
    fact::{Batch, trace_of},
    model::ReadModel,
    pack::{Checkpoint, Committed, Fault, Member, commit_up_to_poison},
    progress::{FollowerState, Progress},
    source::Source,
    storage::Connection,
    views,
};

/// How soon after its begin a follower rebuilds for keys that were destroyed before.
const BEGUN: Duration = Duration::from_secs(10);

/// The advisory lock of the lease: one follower for each database (an arbitrary number).
const LEASE: i64 = 0x616e_6e61_6c74;

/// How often the follower looks whether read models joined or left while the log is silent, and whether keys were destroyed.
const LOOK: Duration = Duration::from_secs(1);

/// How long to wait before trying again after a failure.
const RETRY: Duration = Duration::from_millis(250);

impl Projections {
    /// Starts the follower of this process. It stands by while another node follows; it ends with
    /// [`Projections::shutdown`] or when the last clone of `self` is dropped.
    pub fn start(&self) {
        let mut task = self.0.task.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if task.is_none() {
            let stop = self.0.stop.subscribe();
            *task = Some(tokio::spawn(supervise(Arc::clone(&self.0), stop)));
        }
    }

    /// Ends the follower of this process; the batch that it is committing is committed.
    pub async fn shutdown(&self) {
        self.0.stop.send_replace(true);
        let task = self.0.task.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }
}

/// Starts the follower again whenever it fails.
async fn supervise(inner: Arc<Inner>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow_and_update() {
        let ended = tokio::select! {
            ended = follow(&inner, stop.clone()) => ended,
            _ = stopped(&mut stop) => Ok(()),
        };
        inner.progress.send_modify(|progress| progress.following = false);
        let state = match ended {
            Ok(()) => FollowerState::Stopped,
            Err(ProjectionError::Refused(reason)) => {
                tracing::error!(reason, "the read models must not go on");
                FollowerState::Refused(reason)
            }
            Err(ProjectionError::Moved) => continue,
            Err(error) => {
                tracing::warn!(%error, "following the log is interrupted");
                FollowerState::Interrupted(error.to_string())
            }
        };
        inner.state.send_replace(state);
        let _ = tokio::time::timeout(RETRY, stopped(&mut stop)).await;
    }
    inner.state.send_replace(FollowerState::Stopped);
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error: all handles are gone, which ends the follower as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Gets the lease and follows until told to stop.
async fn follow(inner: &Arc<Inner>, mut stop: watch::Receiver<bool>) -> Result<(), ProjectionError> {
    let mut connection = Connection::open(&inner.database, "follower").await?;
    let lease = "SELECT pg_try_advisory_lock($1)";
    if !connection.client.query_one(lease, &[&LEASE]).await?.try_get::<_, bool>(0)? {
        inner.state.send_replace(FollowerState::Standby);
        // Given up by the server when the connection ends, however it ends: that is what makes it a lease.
        connection.client.execute("SELECT pg_advisory_lock($1)", &[&LEASE]).await?;
    }
    enrol(inner, &mut connection).await?;
    let layout = Layout::load(&connection.client).await?;
    let position = layout.position;
    let mut follower = Follower {
        inner,
        connection,
        members: Vec::new(),
        layout,
        catching_up: None,
        forgetting: None,
        dropping: None,
        known_shreds: inner.store.keyring().known_shreds(),
    };
    follower.arrange();
    inner.state.send_replace(FollowerState::Following);
    let mut source = Source::open(inner, follower.layout.incarnation, position).await?;
    let mut breath = Breath::new(inner.config.batch_max, Instant::now());
    let mut look = tokio::time::interval_at(Instant::now() + LOOK, LOOK);
    let after_shred = inner.config.rebuild_after_shred.max(Duration::from_millis(1));
    // What was destroyed before this follower began may have waited long enough, and must not wait anew.
    let mut shreds = tokio::time::interval_at(Instant::now() + after_shred.min(BEGUN), after_shred);
    loop {
        tokio::select! {
            _ = stopped(&mut stop) => return Ok(()),
            _ = look.tick() => {
                follower.drop_past();
                follower.look().await?;
            }
            () = inner.changed.notified() => follower.look().await?,
            _ = shreds.tick() => follower.forget(),
            events = source.next(follower.layout.position, inner.config.batch_max) => {
                let events = events?;
                let (count, begun) = (events.len(), Instant::now());
                // Not to be interrupted: what was begun is committed.
                follower.fold(events).await?;
                if let Some(wait) = breath.after(count, begun, Instant::now()) {
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }
}

struct Follower<'a> {
    inner: &'a Arc<Inner>,
    connection: Connection,
    layout: Layout,
    members: Vec<Member>,
    catching_up: Option<Task>,
    forgetting: Option<Task>,
    dropping: Option<Task>,
    /// Of how many destructions of keys the follower had heard when it dropped read models of the past last.
    known_shreds: u64,
}

/// Ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Follower<'_> {
    async fn fold(&mut self, events: Vec<Recorded>) -> Result<(), ProjectionError> {
        let keyring = self.inner.store.keyring();
        let batch = Batch::decode(events, keyring).await?;
        let mut span = batch.whole();
        while span.after < span.last {
            let checkpoint = Checkpoint::Pack { layout: self.layout.number };
            let committed =
                commit_up_to_poison(&mut self.connection, &self.members, span, keyring, checkpoint).await;
            match committed {
                Ok(Committed { at, stopped }) => {
                    self.layout.position = at;
                    self.tell();
                    if let Some((name, poison)) = stopped {
                        self.park(name, poison.position, &poison.reason).await?;
                    }
                    span = span.part(at, span.last);
                }
                // A read model joined, left or was switched: look, and fold the rest with those that are there now.
                Err(Fault::Moved) => {
                    self.reload().await?;
                    if self.layout.position < span.after {
                        return Err(ProjectionError::Moved);
                    }
                    span = span.part(self.layout.position.min(span.last), span.last);
                }
                Err(Fault::Failed(error)) => return Err(error),
                Err(Fault::Poison { .. } | Fault::Unstorable { .. }) => {
                    unreachable!("both are what `stopped` says")
                }
            }
        }
        Ok(())
    }

    /// Takes a read model out of the pack, before the event that it cannot fold.
    async fn park(&mut self, name: &str, position: Position, reason: &str) -> Result<(), ProjectionError> {
        let trace_id = trace_of(&self.inner.store, position).await;
        tracing::error!(
            name,
            position,
            trace_id,
            reason,
            "a read model cannot fold an event and is parked before it"
        );
        if let Some(member) = self.members.iter().find(|member| member.name() == name) {
            let before = Some(position - 1);
            change_state(&self.connection.client, &member.entry, State::Parked, before, Some(reason)).await?;
        }
        self.reload().await
    }

    /// Looks whether the layout changed.
    async fn look(&mut self) -> Result<(), ProjectionError> {
        let number: i64 = self
            .connection
            .client
            .query_one("SELECT layout FROM annals.projection_head", &[])
            .await?
            .try_get(0)?;
        // What was done beside is seen anew: to show a view is no change of the layout.
        let done = self.catching_up.take_if(|task| task.0.is_finished()).is_some();
        if done || number != self.layout.number {
            return self.reload().await;
        }
        self.set_to_work();
        Ok(())
    }

    async fn reload(&mut self) -> Result<(), ProjectionError> {
        self.layout = Layout::load(&self.connection.client).await?;
        self.arrange();
        Ok(())
    }

    /// Takes up the members of the pack, and sets to work on those that are behind it.
    fn arrange(&mut self) {
        let live = self.layout.entries.iter().filter(|entry| entry.state == State::Live);
        self.members = live
            .filter_map(|entry| {
                Some(Member::new(self.known(entry)?, entry.clone(), self.layout.skips_of(&entry.name)))
            })
            .collect();
        self.introduce();
        self.set_to_work();
    }

    /// The read model of a generation, if this program knows this version.
    fn known(&self, entry: &Entry) -> Option<&'static dyn ReadModel> {
        self.inner.config.models.iter().copied().find(|model| entry.is_of(model.shape()))
    }

    /// Builds what is missing, brings up what is behind and shows analysts what serves, beside the follower.
    fn set_to_work(&mut self) {
        let models = &self.inner.config.models;
        let mut behind = self.layout.entries.iter().filter(|entry| entry.state == State::Behind);
        let work = behind.any(|entry| self.known(entry).is_some())
            || models.iter().any(|model| !self.layout.has_usable(model.shape()))
            || views::outdated(&self.layout, models);
        if work && self.catching_up.as_ref().is_none_or(|task| task.0.is_finished()) {
            self.catching_up = Some(Task(tokio::spawn(catch_up::run(Arc::clone(self.inner)))));
        }
    }

    /// Drops read models of the past once keys were destroyed. Nobody reads them through here, so that they need not wait
    /// until what serves is rebuilt.
    fn drop_past(&mut self) {
        let known = self.inner.store.keyring().known_shreds();
        let at_it = self.dropping.as_ref().is_some_and(|task| !task.0.is_finished());
        if known == self.known_shreds || at_it {
            return;
        }
        self.known_shreds = known;
        let projections = Projections(Arc::clone(self.inner));
        self.dropping = Some(Task(tokio::spawn(async move {
            if let Err(error) = projections.drop_every_as_of().await {
                tracing::warn!(%error, "read models of the past are to be dropped after a shred, later");
            }
        })));
    }

    /// Sees to it that what destroyed keys had sealed is nowhere in the clear.
    fn forget(&mut self) {
        if self.forgetting.as_ref().is_none_or(|task| task.0.is_finished()) {
            let projections = Projections(Arc::clone(self.inner));
            let task = tokio::spawn(async move {
                if let Err(error) = projections.rebuild_after_shreds().await {
                    tracing::warn!(%error, "read models are to be rebuilt after a shred, later");
                }
                if let Err(error) = projections.0.store.keyring().scrub_after_shreds().await {
                    tracing::warn!(%error, "the table of keys is to be written anew after a shred, later");
                }
            });
            self.forgetting = Some(Task(task));
        }
    }

    /// Tells those who wait how far the pack is.
    fn tell(&self) {
        self.inner.progress.send_modify(|progress| progress.position = self.layout.position);
    }

    /// Tells those who wait which read models are in the pack.
    fn introduce(&self) {
        let serving = self.members.iter().filter(|member| member.entry.serving);
        let members: BTreeSet<_> = serving.map(Member::name).collect();
        let position = self.layout.position;
        self.inner.progress.send_replace(Progress { following: true, position, members: Arc::new(members) });
    }
}
