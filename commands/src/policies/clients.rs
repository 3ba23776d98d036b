//! The keys of API clients that nobody uses any more (IDN-C3).

use domain::{
    Answer, Decider, Question,
    identity::{API_KEY_UNUSED_FOR, ApiClient, ApiClientCommand, ApiClientEvent},
    registry::{AnyCommand, AnyEvent},
};
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    Fact, Issue, Policy, Reaction, Reactions, Timer, World,
    identity::address_of,
    notices::{day, holders, post},
    timer_id,
};
use crate::CommandError;

/// IDN-C3: 180 days after a key was made or last used, somebody looks whether it is still used; and again later.
pub(super) struct ReviewKeys;

impl Policy for ReviewKeys {
    fn name(&self) -> &'static str {
        "review_api_keys"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["ApiKeyIssued", "ApiKeyRotated", "ApiKeyFoundInUse", "ApiKeyFoundUnused", "ApiKeyRevoked"]
    }

    /// A key that was made before keys were reviewed is reviewed too, and not only once it is rotated.
    fn times(&self) -> Option<&'static str> {
        Some(ApiClient::TYPE)
    }

    fn react<'a>(&'a self, fact: &'a Fact, _: &'a World) -> Reactions<'a> {
        use ApiClientEvent as E;
        let id = timer_id(self.name(), &[&fact.id.to_string()]);
        let from = |since: Timestamp, last: Timestamp| {
            let due_at = last.saturating_add(API_KEY_UNUSED_FOR).unwrap_or(last);
            let command = AnyCommand::ApiClient(ApiClientCommand::ReviewApiKeyUse { since });
            vec![Reaction::Arm(Timer { id, due_at, aggregate: fact.id, command })]
        };
        let AnyEvent::ApiClient(event) = &fact.event else {
            return Box::pin(std::future::ready(Ok(Vec::new())));
        };
        let reactions = match event {
            E::ApiKeyIssued { .. } | E::ApiKeyRotated { .. } => from(fact.recorded_at, fact.recorded_at),
            E::ApiKeyFoundInUse { last_used } => from(*last_used, *last_used),
            E::ApiKeyFoundUnused { since } => from(*since, fact.recorded_at),
            E::ApiKeyRevoked { .. } => vec![Reaction::Disarm(id)],
            E::ApiKeyLimitsChanged { .. } | E::ApiQuotaExhausted { .. } => Vec::new(),
        };
        Box::pin(std::future::ready(Ok(reactions)))
    }
}

/// Whose account is erased answers for nothing any more: the keys of their clients, which open nothing since, are revoked.
pub(super) struct RevokeOrphans;

impl Policy for RevokeOrphans {
    fn name(&self) -> &'static str {
        "revoke_orphaned_api_keys"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["AccountErased"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let Answer::References(clients) =
                world.ask(Question::LiveClients { owner: fact.id }, fact).await?
            else {
                return Err(CommandError::Internal("clients were not answered with references".into()));
            };
            let revoke = |client: Uuid| {
                let reason = "the account that answers for it was erased".to_owned();
                let revoke = AnyCommand::ApiClient(ApiClientCommand::RevokeApiKey { reason });
                Issue::new(client, revoke, client.to_string()).into()
            };
            Ok(clients.into_iter().map(revoke).collect())
        })
    }
}

/// IDN-C3, 3.9 `alert_raised`: whoever answers for such a key, and the operators, are told.
pub(super) struct TellOfUnusedKeys;

impl Policy for TellOfUnusedKeys {
    fn name(&self) -> &'static str {
        "tell_of_unused_api_keys"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["ApiKeyFoundUnused"]
    }

    fn react<'a>(&'a self, fact: &'a Fact, world: &'a World) -> Reactions<'a> {
        Box::pin(async move {
            let AnyEvent::ApiClient(ApiClientEvent::ApiKeyFoundUnused { since }) = &fact.event else {
                return Ok(Vec::new());
            };
            let owner = world.state::<ApiClient>(fact.id).await?.state.owner;
            let mut readers = holders(&["operator"], None, fact, world).await?;
            readers.extend(owner.filter(|owner| !readers.contains(owner)));
            for reader in readers {
                if let Some(to) = address_of(reader, world).await? {
                    let text = format!(
                        "The key of an API client has not been used since {}. If nothing needs it any more, revoke \
                         it.\n\nReference: {}\n",
                        day(*since),
                        fact.id
                    );
                    post(to, "For your attention", text, (fact, reader), world).await?;
                }
            }
            Ok(Vec::new())
        })
    }
}
