//! Whether what a token says still holds: its session goes on, its account is in use and has the same version (IDN-S4).
//!
//! What was read of the log is remembered for as long as the log says nothing else of it. A revocation is effective on every node
//! from its acknowledgement on: a command is recorded only where what its caller's right was read from still stands
//! ([`Stand::rests_on`]), and before anything else is answered, the end of the log is looked at and what is new there heeded
//! ([`Standing::look`]). Looks are shared, so many requests at once cost no more of them than a few do.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use commands::{CommandError, Commands, stream};
use domain::{
    Actor, ActorKind, Decider, Permission, RoleGrant, Versioned,
    identity::{Account, ApiClient, IpAudience, SecurityPolicy, Session, security_policy_id},
};
use event_store::{Condition, Lookout, News, StoreError};
use jiff::Timestamp;
use quick_cache::sync::Cache;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::Ticket;

/// How long what was read is believed where nobody looks.
const KEPT: Duration = Duration::from_secs(5);
/// How many of each kind are remembered.
const REMEMBERED: usize = 20_000;
/// How many share a look.
const ASKING: usize = 1024;

/// Why a token that verifies is not accepted all the same.
#[derive(Debug)]
pub enum Withdrawn {
    /// It was revoked: its session ended, its account is out of use or its version is an older one.
    Revoked,
    /// It does not count where it comes from.
    Address,
    /// The client's quota of this month is used up.
    Exhausted,
    /// It could not be found out.
    Unknown(CommandError),
}

impl From<CommandError> for Withdrawn {
    fn from(error: CommandError) -> Self {
        Withdrawn::Unknown(error)
    }
}

/// What the log says of a caller beside what their token says.
#[derive(Debug, Default)]
pub struct Stand {
    /// Until when sensitive commands are let through, where the session is elevated (IDN-S5).
    pub elevated_until: Option<Timestamp>,
    /// What they may do with single resources.
    pub permissions: Vec<Permission>,
    /// Scopes that the token says and that its bearer does not have any more.
    pub lost: Vec<String>,
    /// What all this was read from.
    pub rests_on: Vec<Condition>,
}

struct Kept<D> {
    state: Arc<D>,
    version: u64,
    until: Instant,
}

impl<D> Clone for Kept<D> {
    fn clone(&self) -> Self {
        Kept { state: Arc::clone(&self.state), ..*self }
    }
}

type Remembered<D> = Cache<Uuid, Kept<D>>;

struct Known {
    sessions: Remembered<Session>,
    accounts: Remembered<Account>,
    clients: Remembered<ApiClient>,
    policies: Remembered<SecurityPolicy>,
    /// How often something was forgotten. Whoever forgets or keeps something holds it: what was read before something was
    /// forgotten is not kept after it.
    changes: Mutex<u64>,
}

impl Known {
    /// How often something was forgotten until now.
    fn changes(&self) -> MutexGuard<'_, u64> {
        self.changes.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn forget(&self, ids: impl IntoIterator<Item = Uuid>) {
        let mut changes = self.changes();
        for id in ids {
            *changes += 1;
            self.sessions.remove(&id);
            self.accounts.remove(&id);
            self.clients.remove(&id);
            self.policies.remove(&id);
        }
    }

    fn forget_all(&self) {
        let mut changes = self.changes();
        *changes += 1;
        self.sessions.clear();
        self.accounts.clear();
        self.clients.clear();
        self.policies.clear();
    }

    fn heed(&self, news: &News) {
        match news {
            News::Streams(ids) => self.forget(ids.iter().filter_map(|id| id.parse().ok())),
            News::Anything => self.forget_all(),
        }
    }
}

/// Is told what came of a look.
type Asked = oneshot::Sender<Result<(), Arc<StoreError>>>;

/// Knows what became of sessions, accounts and clients.
pub struct Standing {
    commands: Commands,
    known: Arc<Known>,
    looks: mpsc::Sender<Asked>,
    turns: tokio::sync::Mutex<()>,
}

impl Standing {
    /// Begins to look out for what the log says.
    pub fn start(commands: Commands) -> Self {
        let known = Arc::new(Known {
            sessions: Cache::new(REMEMBERED),
            accounts: Cache::new(REMEMBERED),
            clients: Cache::new(REMEMBERED),
            policies: Cache::new(1),
            changes: Mutex::new(0),
        });
        let (looks, asked) = mpsc::channel(ASKING);
        tokio::spawn(look_out(commands.store().lookout("identity."), Arc::clone(&known), asked));
        Standing { commands, known, looks, turns: tokio::sync::Mutex::default() }
    }

    /// The turn of whoever has to look a caller up again because what their right rests on has changed under a command. One has
    /// it at a time.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turns.lock().await
    }

    /// Heeds what the log says now, whichever node recorded it: what is answered from here on is answered by that.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn look(&self) -> Result<(), CommandError> {
        let (asked, heard) = oneshot::channel();
        self.looks.send(asked).await.map_err(|_| StoreError::Closed)?;
        Ok(heard.await.map_err(|_| StoreError::Closed)?.map_err(StoreError::Shared)?)
    }

    /// Forgets what is known of a stream, which was just written to.
    pub fn forget(&self, id: Uuid) {
        self.known.forget([id]);
    }

    /// The security policy of this deployment.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn policy(&self) -> Result<Arc<SecurityPolicy>, CommandError> {
        self.state(&self.known.policies, security_policy_id()).await
    }

    /// A client of the API.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn client(&self, id: Uuid) -> Result<Arc<ApiClient>, CommandError> {
        self.state(&self.known.clients, id).await
    }

    /// Whether what a verified token says still holds, as far as was heard ([`Standing::look`]), for a call from this address. A
    /// token without a session was signed at the operator's command line, and holds for as long as it says.
    ///
    /// What the log says of the caller beside that.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub async fn examine(
        &self,
        ticket: &Ticket,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Stand, Withdrawn> {
        let (mut stand, mut on) = (Stand::default(), Vec::new());
        // Whoever comes from nowhere is on no list.
        let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        if let Some(session) = &ticket.session {
            let id = session.parse().map_err(|_| Withdrawn::Revoked)?;
            let session = self.read(&self.known.sessions, id, &mut on).await?;
            let account = session.account.filter(|account| ticket.actor.is(*account));
            let account = account.ok_or(Withdrawn::Revoked)?;
            let account = self.read(&self.known.accounts, account, &mut on).await?;
            // Whoever must change the password first gets a token without roles at the next refresh.
            let asleep = account.must_change_password && !ticket.actor.roles.is_empty();
            if !session.is_live(&account, now) || ticket.version != Some(account.token_version) || asleep {
                return Err(Withdrawn::Revoked);
            }
            stand.elevated_until = session.elevated_until.filter(|until| *until > now);
            stand.permissions = account.permissions_at(now);
            if !ticket.brought.is_empty() {
                let policy = self.read(&self.known.policies, security_policy_id(), &mut on).await?;
                let brings =
                    |scope: &String| account.roles_at(now).any(|held| policy.brings(&held.grant, scope));
                stand.lost = ticket.brought.iter().filter(|scope| !brings(scope)).cloned().collect();
            }
        }
        if ticket.actor.kind == ActorKind::ApiClient {
            let id = ticket.actor.id.parse().map_err(|_| Withdrawn::Revoked)?;
            let client = self.read(&self.known.clients, id, &mut on).await?;
            // A client that was never registered here has a token of the operator's.
            if let Some(owner) = client.owner {
                let works = ticket.version.map_or(client.is_live(now), |number| client.works(number, now));
                if !works || self.out_of_use(owner, now, &mut on).await? {
                    return Err(Withdrawn::Revoked);
                }
                let held = match client.granted_by {
                    None => self.held(owner, now, &mut on).await?,
                    Some(_) => None,
                };
                let holds = |scope: &String| held.as_ref().is_none_or(|held| held.has(scope));
                let has = |scope: &&String| client.scopes.contains(scope) && holds(scope);
                stand.lost = ticket.actor.scopes.iter().filter(|scope| !has(scope)).cloned().collect();
            }
            if !client.may_call_from(address) {
                return Err(Withdrawn::Address);
            }
            if client.is_exhausted(now) {
                return Err(Withdrawn::Exhausted);
            }
        }
        let policy = self.read(&self.known.policies, security_policy_id(), &mut on).await?;
        stand.rests_on = on;
        let admitted = policy.admits(IpAudience::All, address)
            && (policy.admits(IpAudience::Admin, address) || !holds_guarded(&ticket.actor, &policy));
        if admitted { Ok(stand) } else { Err(Withdrawn::Address) }
    }

    /// Whether somebody may do this somewhere, as far as their account goes now. Whoever has none acts with tokens of the
    /// operator's command line, which say it themselves.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn still_has(&self, account: Uuid, scope: &str, now: Timestamp) -> Result<bool, CommandError> {
        let held = self.held(account, now, &mut Vec::new()).await?;
        let has = held.is_none_or(|held| held.has_somewhere(scope));
        Ok(has && !self.is_out_of_use(account, now).await?)
    }

    /// Whether somebody has an account that is not in use at this time.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn is_out_of_use(&self, owner: Uuid, now: Timestamp) -> Result<bool, CommandError> {
        self.out_of_use(owner, now, &mut Vec::new()).await
    }

    async fn out_of_use(
        &self,
        owner: Uuid,
        now: Timestamp,
        on: &mut Vec<Condition>,
    ) -> Result<bool, CommandError> {
        let account = self.read(&self.known.accounts, owner, on).await?;
        Ok(account.account.is_some() && !account.is_active(now))
    }

    /// What somebody may do with the roles that they hold now; none where they have no account.
    async fn held(
        &self,
        owner: Uuid,
        now: Timestamp,
        on: &mut Vec<Condition>,
    ) -> Result<Option<Actor>, CommandError> {
        let account = self.read(&self.known.accounts, owner, on).await?;
        if account.account.is_none() {
            return Ok(None);
        }
        let policy = self.read(&self.known.policies, security_policy_id(), on).await?;
        let grants: Vec<RoleGrant> = account.roles_at(now).map(|held| held.grant.clone()).collect();
        let whole = |grant: &&RoleGrant| grant.within.is_none();
        let of_deployment = grants.iter().filter(whole).filter_map(|grant| policy.roles.get(&grant.role));
        let brought: Vec<String> = of_deployment.flat_map(|role| role.scopes.iter().cloned()).collect();
        let mut held = Actor::with_roles(owner, grants);
        Arc::make_mut(&mut held.scopes).extend(brought);
        Ok(Some(held))
    }

    /// A state, and that something rests on it.
    async fn read<D: Decider>(
        &self,
        kept: &Remembered<D>,
        id: Uuid,
        on: &mut Vec<Condition>,
    ) -> Result<Arc<D>, CommandError> {
        let Kept { state, version, .. } = self.remembered(kept, id).await?;
        let stream = stream::<D>(id);
        if on.iter().all(|condition| condition.stream != stream) {
            on.push(Condition { stream, version });
        }
        Ok(state)
    }

    async fn state<D: Decider>(&self, kept: &Remembered<D>, id: Uuid) -> Result<Arc<D>, CommandError> {
        Ok(self.remembered(kept, id).await?.state)
    }

    async fn remembered<D: Decider>(&self, kept: &Remembered<D>, id: Uuid) -> Result<Kept<D>, CommandError> {
        if let Some(found) = kept.get(&id)
            && found.until > Instant::now()
        {
            return Ok(found);
        }
        let before = *self.known.changes();
        let Versioned { state, version } = self.commands.state::<D>(id).await?;
        let found = Kept { state, version, until: Instant::now() + KEPT };
        let changes = self.known.changes();
        // Where something was forgotten while this was read, it may have been this.
        if *changes == before {
            kept.insert(id, found.clone());
        }
        Ok(found)
    }
}

/// Whether somebody holds a role that needs a second factor, or a scope that such roles are for: those are the ones that the
/// administrators' list is about, be it by a key or by another role.
fn holds_guarded(actor: &Actor, policy: &SecurityPolicy) -> bool {
    actor.roles.iter().any(|grant| policy.needs_mfa(&grant.role))
        || actor.scopes.iter().any(|scope| policy.guards(scope))
}

/// Looks at what is new in the log for whoever asks, as long as somebody may ask. Those who ask during a look share the next one.
async fn look_out(mut lookout: Lookout, known: Arc<Known>, mut asked: mpsc::Receiver<Asked>) {
    let mut asking = Vec::new();
    while asked.recv_many(&mut asking, ASKING).await > 0 {
        let heard = lookout.look().await.map_err(Arc::new).map(|news| known.heed(&news));
        for asked in asking.drain(..) {
            // Whoever has gone does not hear it.
            _ = asked.send(heard.clone());
        }
    }
}
