//! R-04 `api_clients`: which other systems call this one, and what they may do. For who answers for them, and for
//! operators.

use domain::{Actor, identity::ApiClientEvent as E, registry::AnyEvent};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::Filter,
    row,
    table::{Options, Table},
};

row! {
    /// A client of the API.
    pub struct ApiClientRow {
        key {
            /// The client.
            client: Uuid,
        }
        columns {
            /// The account that answers for it.
            owner: Uuid => filter index,
            /// Its name.
            name: String => sort,
            /// What it may do.
            scopes: Vec<String> => filter,
            /// How many requests it may make in a minute.
            per_minute: i64,
            /// How many it may make in a month.
            monthly_quota: Option<i64>,
            /// From where it may call.
            allowed_ips: Vec<String>,
            /// What its keys begin with.
            key_prefix: String,
            /// Until when its keys work.
            expires_at: Option<Timestamp> => filter sort,
            /// `active` or `revoked`.
            status: String => filter,
            /// Since when it has not called, where it was found not to have for 180 days (IDN-C3).
            unused_since: Option<Timestamp> => filter sort,
            /// The last month, `YYYY-MM`, whose quota was used up.
            exhausted: Option<String>,
            /// When it was made.
            created: Timestamp => filter sort,
            /// When its key was made.
            rotated_at: Timestamp => filter sort,
        }
    }
}

///
pub struct ApiClients;

impl Table for ApiClients {
    const NAME: &'static str = "api_clients";
    const VERSION: u32 = 2;
    const FED_BY: &'static [&'static str] = &["identity.api_client"];
    const OPTIONS: Options = Options { sort: &["created"], names: &["owner"], ..Options::DEFAULT };
    type Row = ApiClientRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(key: &Uuid, row: Option<ApiClientRow>, fact: &Fact) -> Option<ApiClientRow> {
        let AnyEvent::ApiClient(event) = &fact.event else { return row };
        let number = |number: &Option<u64>| number.map(|number| i64::try_from(number).unwrap_or(i64::MAX));
        if let E::ApiKeyIssued {
            name,
            owner,
            scopes,
            per_minute,
            monthly_quota,
            allowed_ips,
            expires_at,
            key_prefix,
            ..
        } = event
        {
            return Some(ApiClientRow {
                client: *key,
                owner: *owner,
                name: name.clone(),
                scopes: scopes.clone(),
                per_minute: (*per_minute).into(),
                monthly_quota: number(monthly_quota),
                allowed_ips: allowed_ips.clone(),
                key_prefix: key_prefix.clone(),
                expires_at: *expires_at,
                status: "active".to_owned(),
                unused_since: None,
                exhausted: None,
                created: fact.recorded_at,
                rotated_at: fact.recorded_at,
            });
        }
        row.map(|mut row| {
            match event {
                E::ApiKeyIssued { .. } => {}
                E::ApiKeyRotated { .. } => {
                    (row.rotated_at, row.unused_since) = (fact.recorded_at, None);
                }
                E::ApiKeyFoundInUse { .. } => row.unused_since = None,
                E::ApiKeyFoundUnused { since } => row.unused_since = Some(*since),
                E::ApiKeyLimitsChanged { scopes, per_minute, monthly_quota, allowed_ips, granted_by: _ } => {
                    (row.scopes, row.allowed_ips) = (scopes.clone(), allowed_ips.clone());
                    row.per_minute = (*per_minute).into();
                    row.monthly_quota = number(monthly_quota);
                }
                E::ApiQuotaExhausted { month, .. } => row.exhausted = Some(month.clone()),
                E::ApiKeyRevoked { .. } => "revoked".clone_into(&mut row.status),
            }
            row
        })
    }

    fn visible(actor: &Actor) -> Filter {
        if actor.has("manage:ops") { Filter::All } else { Filter::own(actor, "owner") }
    }
}

#[cfg(test)]
mod tests {
    use domain::Personal;

    use super::*;
    use crate::testing::given;

    const ID: Uuid = Uuid::from_u128(1);

    fn after(events: impl IntoIterator<Item = E>) -> ApiClientRow {
        let issued = E::ApiKeyIssued {
            name: "Import".into(),
            owner: Uuid::from_u128(7),
            scopes: vec!["read:budget".into()],
            per_minute: 60,
            monthly_quota: Some(u64::MAX),
            allowed_ips: Vec::new(),
            expires_at: None,
            key_id: Uuid::nil(),
            key_prefix: "ak_1".into(),
            key_hash: Personal::about(ID, "hash".into()),
            granted_by: None,
            counted: true,
        };
        let events = [issued].into_iter().chain(events);
        given::<ApiClients>(events.map(|event| (ID, AnyEvent::ApiClient(event)))).rows().remove(0)
    }

    #[test]
    fn a_client_is_active_until_it_is_revoked() {
        assert_eq!((&*after([]).status, after([]).monthly_quota), ("active", Some(i64::MAX)));
        assert_eq!(after([E::ApiKeyRevoked { reason: "leaked".into(), freed: None }]).status, "revoked");
    }

    #[test]
    fn idn_c3_a_client_is_unused_until_it_is_found_in_use_or_gets_another_key() {
        let since: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let unused = E::ApiKeyFoundUnused { since };
        assert_eq!(after([unused.clone()]).unused_since, Some(since));
        let rotated = E::ApiKeyRotated {
            key_id: Uuid::nil(),
            key_prefix: "ak_1".into(),
            key_hash: Personal::about(ID, "hash".into()),
            previous_until: since,
        };
        for used in [E::ApiKeyFoundInUse { last_used: since }, rotated] {
            assert_eq!(after([unused.clone(), used]).unused_since, None);
        }
    }

    #[test]
    fn owners_see_their_own_clients_and_operators_all() {
        let owner = Actor::user(Uuid::from_u128(7), &[]);
        assert_eq!(ApiClients::visible(&owner), Filter::Is("owner", Uuid::from_u128(7).into()));
        assert_eq!(ApiClients::visible(&Actor::user(Uuid::from_u128(7), &["operator"])), Filter::All);
    }
}
