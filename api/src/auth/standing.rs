//! Whether what a token says still holds: its session goes on, its account is in use and has the same version (IDN-S4).
//!
//! What was read of the log is remembered for as long as a follower of the log says nothing else, so that a revocation on
//! any node is effective here as soon as it is known of; and for [`KEPT`] at most, where the log cannot be followed.

use std::{
    net::{IpAddr, Ipv4Addr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use commands::{CommandError, Commands};
use domain::{
    Actor, ActorKind, Decider, Permission, RoleGrant,
    identity::{Account, ApiClient, IpAudience, SecurityPolicy, Session, security_policy_id},
};
use event_store::EventStore;
use futures_util::StreamExt;
use jiff::Timestamp;
use quick_cache::sync::Cache;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::Ticket;

/// How long what was read is believed without another look.
const KEPT: Duration = Duration::from_secs(5);
/// How many of each kind are remembered.
const REMEMBERED: usize = 20_000;

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
}

struct Kept<D> {
    state: Arc<D>,
    until: Instant,
}

impl<D> Clone for Kept<D> {
    fn clone(&self) -> Self {
        Kept { state: Arc::clone(&self.state), until: self.until }
    }
}

type Remembered<D> = Cache<Uuid, Kept<D>>;

struct Known {
    sessions: Remembered<Session>,
    accounts: Remembered<Account>,
    clients: Remembered<ApiClient>,
    policies: Remembered<SecurityPolicy>,
    /// How often something was forgotten.
    changes: AtomicU64,
}

impl Known {
    fn forget(&self, id: Uuid) {
        // Counted first: what is being read at this moment is then not kept, or is removed here.
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.sessions.remove(&id);
        self.accounts.remove(&id);
        self.clients.remove(&id);
        self.policies.remove(&id);
    }

    fn forget_all(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.sessions.clear();
        self.accounts.clear();
        self.clients.clear();
        self.policies.clear();
    }
}

/// Knows what became of sessions, accounts and clients.
pub struct Standing {
    commands: Commands,
    known: Arc<Known>,
    follower: JoinHandle<()>,
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl Standing {
    /// Begins to follow the log.
    pub fn start(commands: Commands) -> Self {
        let known = Arc::new(Known {
            sessions: Cache::new(REMEMBERED),
            accounts: Cache::new(REMEMBERED),
            clients: Cache::new(REMEMBERED),
            policies: Cache::new(1),
            changes: AtomicU64::new(0),
        });
        let follower = tokio::spawn(follow(commands.store().clone(), Arc::clone(&known)));
        Standing { commands, known, follower }
    }

    /// Forgets what is known of a stream, which was just written to.
    pub fn forget(&self, id: Uuid) {
        self.known.forget(id);
    }

    /// The security policy of this deployment.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn policy(&self) -> Result<Arc<SecurityPolicy>, CommandError> {
        self.state(&self.known.policies, security_policy_id()).await
    }

    /// A session.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn session(&self, id: Uuid) -> Result<Arc<Session>, CommandError> {
        self.state(&self.known.sessions, id).await
    }

    /// A client of the API.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn client(&self, id: Uuid) -> Result<Arc<ApiClient>, CommandError> {
        self.state(&self.known.clients, id).await
    }

    /// Whether what a verified token says still holds, for a call from this address. A token without a session was signed
    /// at the operator's command line, and holds for as long as it says.
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
        let mut stand = Stand::default();
        // Whoever comes from nowhere is on no list.
        let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        if let Some(session) = &ticket.session {
            let id = session.parse().map_err(|_| Withdrawn::Revoked)?;
            let session = self.session(id).await?;
            let account = session.account.filter(|account| ticket.actor.is(*account));
            let account = self.state(&self.known.accounts, account.ok_or(Withdrawn::Revoked)?).await?;
            // Whoever must change the password first gets a token without roles at the next refresh.
            let asleep = account.must_change_password && !ticket.actor.roles.is_empty();
            if !session.is_live(&account, now) || ticket.version != Some(account.token_version) || asleep {
                return Err(Withdrawn::Revoked);
            }
            stand.elevated_until = session.elevated_until.filter(|until| *until > now);
            stand.permissions = account.permissions_at(now);
            if !ticket.brought.is_empty() {
                let policy = self.policy().await?;
                let brings =
                    |scope: &String| account.roles_at(now).any(|held| policy.brings(&held.grant, scope));
                stand.lost = ticket.brought.iter().filter(|scope| !brings(scope)).cloned().collect();
            }
        }
        if ticket.actor.kind == ActorKind::ApiClient {
            let id = ticket.actor.id.parse().map_err(|_| Withdrawn::Revoked)?;
            let client = self.client(id).await?;
            // A client that was never registered here has a token of the operator's.
            if let Some(owner) = client.owner {
                let works = ticket.version.map_or(client.is_live(now), |number| client.works(number, now));
                if !works || self.is_out_of_use(owner, now).await? {
                    return Err(Withdrawn::Revoked);
                }
                let held = match client.granted_by {
                    None => self.held(owner, now).await?,
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
        let policy = self.policy().await?;
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
        let held = self.held(account, now).await?;
        let has = held.is_none_or(|held| held.has_somewhere(scope));
        Ok(has && !self.is_out_of_use(account, now).await?)
    }

    /// Whether somebody has an account that is not in use at this time.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn is_out_of_use(&self, owner: Uuid, now: Timestamp) -> Result<bool, CommandError> {
        let account = self.state(&self.known.accounts, owner).await?;
        Ok(account.account.is_some() && !account.is_active(now))
    }

    /// What somebody may do with the roles that they hold now; none where they have no account.
    async fn held(&self, owner: Uuid, now: Timestamp) -> Result<Option<Actor>, CommandError> {
        let account = self.state(&self.known.accounts, owner).await?;
        if account.account.is_none() {
            return Ok(None);
        }
        let policy = self.policy().await?;
        let grants: Vec<RoleGrant> = account.roles_at(now).map(|held| held.grant.clone()).collect();
        let whole = |grant: &&RoleGrant| grant.within.is_none();
        let of_deployment = grants.iter().filter(whole).filter_map(|grant| policy.roles.get(&grant.role));
        let brought: Vec<String> = of_deployment.flat_map(|role| role.scopes.iter().cloned()).collect();
        let mut held = Actor::with_roles(owner, grants);
        Arc::make_mut(&mut held.scopes).extend(brought);
        Ok(Some(held))
    }

    async fn state<D: Decider>(&self, kept: &Remembered<D>, id: Uuid) -> Result<Arc<D>, CommandError> {
        if let Some(found) = kept.get(&id)
            && found.until > Instant::now()
        {
            return Ok(found.state);
        }
        let before = self.known.changes.load(Ordering::SeqCst);
        let state = self.commands.state::<D>(id).await?.state;
        kept.insert(id, Kept { state: Arc::clone(&state), until: Instant::now() + KEPT });
        // Something was forgotten while this was read: it may have been this.
        if self.known.changes.load(Ordering::SeqCst) != before {
            kept.remove(&id);
        }
        Ok(state)
    }
}

/// Whether somebody holds a role that needs a second factor, or a scope that such roles are for: those are the ones that the
/// administrators' list is about, be it by a key or by another role.
fn holds_guarded(actor: &Actor, policy: &SecurityPolicy) -> bool {
    actor.roles.iter().any(|grant| policy.needs_mfa(&grant.role))
        || actor.scopes.iter().any(|scope| policy.guards(scope))
}

/// Forgets what the log says something new of, for as long as this is not dropped.
async fn follow(store: EventStore, known: Arc<Known>) {
    loop {
        let after = *store.subscribe_head().borrow();
        let mut events = pin!(store.follow(after));
        while let Some(Ok(chunk)) = events.next().await {
            let ours = chunk.iter().filter(|event| event.stream.aggregate_type.starts_with("identity."));
            for id in ours.filter_map(|event| event.stream.aggregate_id.parse().ok()) {
                known.forget(id);
            }
        }
        tracing::error!("revocations are no longer followed; each is looked up until they are");
        known.forget_all();
        tokio::time::sleep(KEPT).await;
        known.forget_all();
    }
}
