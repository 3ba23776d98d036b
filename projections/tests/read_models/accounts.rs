//! Accounts, seen by those who manage the users of an org unit.

use domain::{
    Decider, Personal,
    identity::{Account, AccountEvent, Profile, ProfileEvent, Relation},
};
use event_store::{AsOf, StreamId};
use uuid::Uuid;

use crate::{
    opportunities::{seen_within, units},
    world::*,
};

fn registered(account: Uuid) -> AccountEvent {
    let said = |text: &str| Personal::about(account, text.to_owned());
    AccountEvent::AccountRegistered {
        account,
        email: said("ada@example.edu"),
        email_hmac: said("mac"),
        password_hash: Personal::about(account, "hash".into()),
        display_name: said("Ada"),
        country: "US".into(),
        locale: "en-US".into(),
        tz: "America/Chicago".into(),
        token_id: Uuid::nil(),
        token_hash: Personal::about(account, "hash".into()),
        expires_at: "2026-01-02T00:00:00Z".parse().unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idn_a8_who_manages_users_of_an_org_unit_sees_the_accounts_of_those_within_it() {
    let world = World::new().await;
    world.projections.start();
    let (member, stranger) = (unit(20), unit(21));
    let account =
        |id: Uuid| new_event::<Account>(StreamId::new(Account::TYPE, id.to_string()), &registered(id));
    let from = "2025-09-01".parse().unwrap();
    let joined = ProfileEvent::OrgUnitJoined { org: unit(5), relation: Relation::Student, from };
    let joined = new_event::<Profile>(StreamId::new(Profile::TYPE, member.to_string()), &joined);
    let events = [units().to_vec(), vec![account(member), account(stranger), joined]].concat();
    let position = append_events(&world.store, events).await;
    for model in ["accounts", "org_directory"] {
        world.visible(model, position).await;
    }
    for as_of in [None, Some(AsOf::Position(position))] {
        let seen = seen_within(&world, "department_admin", "accounts", as_of).await;
        assert_eq!(seen, [1, 1, 1, 0], "the member of 5 by whoever is above");
    }
    // Whoever has left is seen by none of them, as of the time before either: the past is no way round.
    let left = ProfileEvent::OrgUnitLeft {
        org: unit(5),
        relation: Relation::Student,
        until: "2025-12-01".parse().unwrap(),
    };
    let left = new_event::<Profile>(StreamId::new(Profile::TYPE, member.to_string()), &left);
    let last = append_events(&world.store, vec![left]).await;
    world.visible("accounts", last).await;
    for as_of in [None, Some(AsOf::Position(position))] {
        assert_eq!(seen_within(&world, "department_admin", "accounts", as_of).await, [0; 4]);
    }
}
