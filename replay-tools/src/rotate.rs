//! `rotate-keys`: the yearly rotation of the master key, and the record of which keys there are (GOV-K1).

use commands::{CommandError, Commands, NoAnswers, Request};
use domain::{
    RecordClass,
    governance::{ALGORITHM, ClassKeys, SubjectKey, SubjectKeyCommand},
};
use event_store::NewestKey;
use serde::Serialize;
use std::sync::Arc;
use uuid::Uuid;

use crate::{annals::Annals, failure::Failure, progress::Progress};

/// How many keys are looked at at once.
const PAGE: usize = 1000;

/// Wraps the keys of personal data by the present master key, and puts on record which keys there are.
///
/// The earlier master key is named by ANNALS_PREVIOUS_MASTER_KEY_FILE, here and on every node, until this has run; then it
/// can be destroyed. Events are not touched: their keys stay what they are, and each year begins new ones by itself.
#[derive(Debug, clap::Args)]
pub(crate) struct RotateKeys {}

/// What came of it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Rotated {
    /// Keys that the earlier master key wrapped.
    rewrapped: u64,
    /// Classes of people whose first key was put on record.
    provisioned: u64,
    /// Classes of people whose newer key was.
    rotated: u64,
}

impl RotateKeys {
    pub(crate) async fn run(&self, annals: &Annals) -> Result<bool, Failure> {
        let done = rotate(annals).await?;
        if done.rewrapped > 0 {
            // What the earlier master key wrapped goes out of the table's file as well.
            annals.store.keyring().scrub().await?;
        }
        annals.show(&done, || {
            let Rotated { rewrapped, provisioned, rotated } = &done;
            format!(
                "wrapped {rewrapped} keys anew; put {provisioned} first and {rotated} newer keys on record"
            )
        })?;
        Ok(true)
    }
}

async fn rotate(annals: &Annals) -> Result<Rotated, Failure> {
    let keyring = annals.store.keyring();
    let mut done = Rotated { rewrapped: keyring.rewrap().await?, provisioned: 0, rotated: 0 };
    let commands = Commands::new(annals.store.clone(), Arc::new(NoAnswers), PAGE);
    let progress = Progress::new("putting keys on record", 0);
    let mut last: Option<NewestKey> = None;
    loop {
        let page = keyring.newest_keys(last.as_ref(), PAGE).await?;
        for key in &page {
            match tell(annals, &commands, key).await? {
                Told::First => done.provisioned += 1,
                Told::Newer => done.rotated += 1,
                Told::Known => {}
            }
        }
        progress.at(done.provisioned + done.rotated);
        match page.into_iter().next_back() {
            Some(key) => last = Some(key),
            None => return Ok(done),
        }
    }
}

enum Told {
    First,
    Newer,
    Known,
}

/// Puts one key on record, unless it is.
async fn tell(annals: &Annals, commands: &Commands, key: &NewestKey) -> Result<Told, Failure> {
    // A class that this version does not know is not its to tell of.
    let Ok(record_class) = key.class.parse::<RecordClass>() else { return Ok(Told::Known) };
    let known = commands.state::<SubjectKey>(key.subject).await?.state;
    let key_id = key.id();
    let (command, told) = match known.classes.get(&record_class) {
        None => {
            let algorithm = ALGORITHM.to_owned();
            let first = SubjectKeyCommand::ProvisionSubjectKey { record_class, key_id, algorithm };
            (first, Told::First)
        }
        // Ids of one class are in the order of their epochs: what retention ended was newer.
        Some(ClassKeys::Live(previous)) if *previous < key_id => {
            let previous = previous.clone();
            (SubjectKeyCommand::RotateSubjectKey { record_class, key_id, previous }, Told::Newer)
        }
        Some(ClassKeys::Live(_) | ClassKeys::Shredded) => return Ok(Told::Known),
    };
    let command_id = Uuid::new_v5(&key.subject, key.id().as_bytes());
    let request = Request::by(annals.actor.clone()).under(command_id, None);
    match commands.execute::<SubjectKey>(key.subject, command, &request).await {
        Ok(_) => Ok(told),
        // Somebody else told of it, or had it destroyed, at this moment.
        Err(CommandError::Refused { .. }) => Ok(Told::Known),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use event_store::{EventStore, KeyringConfig, MasterKey, StoreConfig};

    use super::*;
    use crate::testing::{STUDENTS, World, student};

    #[tokio::test]
    async fn gov_k1_the_keys_there_are_are_put_on_record_once_and_newer_ones_when_they_come() {
        let world = World::campus().await;
        let first = rotate(&world.annals).await.unwrap();
        assert_eq!((first.rewrapped, first.rotated), (0, 0));
        assert!(first.provisioned >= STUDENTS as u64, "{first:?}");
        let again = rotate(&world.annals).await.unwrap();
        assert_eq!(again, Rotated { rewrapped: 0, provisioned: 0, rotated: 0 });

        // A year later the same people have keys of another epoch.
        sqlx::query(
            "UPDATE annals_keys.data_keys SET epoch = epoch + 100 WHERE subject = $1 AND class = 'profile'",
        )
        .bind(student(0))
        .execute(world.annals.store.pool())
        .await
        .unwrap();
        let later = rotate(&world.annals).await.unwrap();
        assert_eq!(later, Rotated { rewrapped: 0, provisioned: 0, rotated: 1 });
        world.erase(student(1)).await;
        assert_eq!(
            rotate(&world.annals).await.unwrap().provisioned,
            0,
            "what is destroyed is not told of anew"
        );
    }

    #[tokio::test]
    async fn gov_k1_after_a_rotation_the_earlier_master_key_opens_nothing_and_is_not_needed() {
        let world = World::campus().await;
        let (earlier, later) = (world.database.master.clone(), MasterKey::generate());
        let open = async |previous: Vec<MasterKey>| {
            let keys = KeyringConfig { previous, ..KeyringConfig::new(later.clone()) };
            let store = EventStore::open(StoreConfig::new(&world.database.url, keys.clone())).await.unwrap();
            Annals::of(store, &world.database.url, keys, false).unwrap()
        };
        let annals = open(vec![earlier.clone()]).await;
        assert!(rotate(&annals).await.unwrap().rewrapped >= STUDENTS as u64);
        assert_eq!(rotate(&annals).await.unwrap().rewrapped, 0);
        let event = world.described(0).await;
        let alone = open(Vec::new()).await;
        alone.store.keyring().load_for(std::slice::from_ref(&event)).await.unwrap();
        let opened = alone.store.keyring().open(&event).unwrap();
        assert!(opened.iter().all(Option::is_some) && !opened.is_empty());
        // A node that has only the earlier key cannot read what it wraps no more.
        let stale = world.database.store().await.unwrap();
        assert!(stale.keyring().load_for(&[event]).await.is_err());
    }
}
