//! A campus with a past, for tests: units, students who describe themselves, a policy that assesses them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use commands::{Accepted, Commands, NoAnswers, Request};
use domain::{
    Actor, BasisPoints, Claim, Decider, Personal, RecordClass, SealingScope, Stated,
    governance::{
        AuditReplay, AuditReplayCommand, ReplayPurpose, ReplayScope, ShredBasis, SubjectKey, SubjectKeyEvent,
    },
    identity::{Account, AccountEvent, OrgKind, OrgType, OrgUnit, OrgUnitCommand, Profile, ProfileCommand},
    intelligence::{Decision, DecisionCommand},
};
use event_store::{
    Append, Basis, Claim as StoredClaim, Classes, EventStore, NewEvent, PersonalGroup, Recorded, StreamId,
    integrity::{Notary, NotaryConfig, NotaryState},
    testing::{TestDatabase, database},
};
use jiff::{Timestamp, civil};
use uuid::Uuid;

use crate::annals::Annals;

/// A log with events in it.
pub(crate) struct World {
    pub(crate) annals: Annals,
    pub(crate) commands: Commands,
    pub(crate) database: TestDatabase,
}

/// Students of the campus.
pub(crate) const STUDENTS: u128 = 3;

pub(crate) fn student(number: u128) -> Uuid {
    Uuid::from_u128(0x5700 + number)
}

pub(crate) fn unit(number: u128) -> Uuid {
    Uuid::from_u128(0x0F00 + number)
}

/// The registration of an account with this keyed hash of its address.
pub(crate) fn registered(account: Uuid, email_hmac: &str) -> Append {
    let event = AccountEvent::AccountRegistered {
        account,
        email: Personal::about(account, "ada@campus.example".into()),
        email_hmac: Personal::about(account, email_hmac.into()),
        password_hash: Personal::about(account, "$argon2id$".into()),
        display_name: Personal::about(account, "Ada".into()),
        country: "US".into(),
        locale: "en-US".into(),
        tz: "UTC".into(),
        token_id: Uuid::now_v7(),
        token_hash: Personal::about(account, "hash".into()),
        expires_at: "2030-01-01T00:00:00Z".parse().unwrap(),
    };
    appended(account, &event)
}

/// An event of an account with what it claims, as the writer takes it.
pub(crate) fn appended(account: Uuid, event: &AccountEvent) -> Append {
    recorded::<Account>(account, event)
}

/// Puts the destruction of keys on record, as it is ordered and as it was done.
pub(crate) async fn destroy(store: &EventStore, subject: Uuid, class: RecordClass, basis: Basis) {
    let (cause, record_classes) = (Uuid::now_v7(), vec![class]);
    let (reason, through) = match basis {
        Basis::Erasure => (ShredBasis::Erasure, None),
        Basis::Retention { through } => {
            let month = civil::date((through.number() / 100) as i16, (through.number() % 100) as i8, 1);
            (ShredBasis::Retention, Some(month.last_of_month()))
        }
    };
    let ordered = SubjectKeyEvent::SubjectKeyShredded {
        record_classes: record_classes.clone(),
        basis: reason,
        through,
        cause,
    };
    store.append(recorded::<SubjectKey>(subject, &ordered)).await.unwrap();
    store.keyring().shred(subject, Classes::Only(&[class.name()]), basis).await.unwrap();
    let key_ids = store.keyring().destroyed_ids(subject, class.name(), basis).await.unwrap();
    let (backups_until, certificate) = (Timestamp::UNIX_EPOCH, None);
    let done =
        SubjectKeyEvent::SubjectKeysDestroyed { cause, record_classes, key_ids, backups_until, certificate };
    store.append(recorded::<SubjectKey>(subject, &done)).await.unwrap();
}

fn recorded<D: Decider>(id: Uuid, event: &D::Event) -> Append {
    let stream = StreamId::new(D::TYPE, id.to_string());
    let (payload, groups) = SealingScope::to_json(event).unwrap();
    let personal = groups.into_iter().map(|group| PersonalGroup {
        subject: group.subject,
        class: group.class.name().into(),
        plaintext: group.values,
    });
    let by = || stream.clone();
    let claims = D::claims(id, event).into_iter().map(|claim| match claim {
        Claim::Take(key) => StoredClaim::Take { key, by: by() },
        Claim::Seat { key, limit } => StoredClaim::Seat { key, limit, by: by() },
        Claim::Free(key) => StoredClaim::Free { key, by: by() },
    });
    let event = NewEvent {
        stream: stream.clone(),
        event_id: Uuid::now_v7(),
        event_type: domain::Event::name(event).into(),
        event_version: "1".into(),
        payload,
        personal: personal.collect(),
        metadata: "{}".into(),
    };
    Append {
        command_id: Uuid::now_v7(),
        fingerprint: None,
        conditions: Vec::new(),
        events: vec![event],
        claims: claims.collect(),
    }
}

impl World {
    /// An empty log.
    pub(crate) async fn empty() -> World {
        let database = database().await;
        let store = database.store().await.unwrap();
        let annals = Annals::of(store.clone(), &database.url, database.config().keys, false).unwrap();
        let commands = Commands::new(store, Arc::new(NoAnswers), 1000);
        World { annals, commands, database }
    }

    /// The campus, with nothing folded yet.
    pub(crate) async fn campus() -> World {
        let world = World::empty().await;
        for number in 0..2 {
            world.create_unit(number).await;
        }
        for number in 0..STUDENTS {
            world.describe(number, "First words").await;
            world.assess(number).await;
        }
        world.describe(0, "Second words").await;
        world
    }

    async fn issue<D: Decider>(&self, id: Uuid, command: D::Command, request: Request) -> Accepted {
        self.commands.execute::<D>(id, command, &request).await.unwrap()
    }

    pub(crate) async fn create_unit(&self, number: u128) -> Accepted {
        let create = OrgUnitCommand::CreateOrgUnit {
            kind: OrgKind::Institution,
            code: format!("U{number}"),
            name: format!("University {number}"),
            r#type: OrgType::University,
            parent: None,
            country: "US".into(),
            city: None,
            website: None,
            contact_email: Some(Stated(format!("office@u{number}.example"))),
        };
        let request = Request {
            purpose: Some("administration".into()),
            legal_basis: Some("contract".into()),
            ..Request::by(Actor::user(Uuid::from_u128(0xAD), &["admin"]))
        };
        self.issue::<OrgUnit>(unit(number), create, request).await
    }

    pub(crate) async fn rename_unit(&self, number: u128, name: &str) -> Accepted {
        let revise = OrgUnitCommand::ReviseOrgUnit {
            name: Some(name.into()),
            r#type: None,
            city: None,
            website: None,
            contact_email: None,
        };
        let request = Request::by(Actor::user(Uuid::from_u128(0xAD), &["admin"]));
        self.issue::<OrgUnit>(unit(number), revise, request).await
    }

    /// Has a notary sign everything up to here, in a folder.
    pub(crate) async fn sign(&self, folder: &Path) {
        let store = &self.annals.store;
        let every = std::time::Duration::from_millis(1);
        let config = NotaryConfig { every, ..NotaryConfig::new(folder, [7; 32]) };
        let notary = Notary::start(store.clone(), config).await.unwrap();
        let head = store.head().await.unwrap().position;
        let mut state = notary.state();
        state.wait_for(|state| *state == NotaryState::Signed(head)).await.unwrap();
        notary.stop().await;
    }

    /// Destroys all keys of a person.
    pub(crate) async fn erase(&self, person: Uuid) {
        self.annals.store.keyring().shred(person, Classes::All, Basis::Erasure).await.unwrap();
    }

    /// An audit replay that may decrypt what is about this person, or about everybody, and that a second officer approved.
    pub(crate) async fn approved_replay(&self, subject: Option<Uuid>, as_of: Option<&str>) -> Uuid {
        let replay = self.open_replay(subject, as_of, true).await;
        let officer = Request::by(Actor::user(Uuid::from_u128(2), &["compliance"]));
        self.issue::<AuditReplay>(replay, AuditReplayCommand::ApproveAuditReplay {}, officer).await;
        replay
    }

    /// An audit replay of what is about this person, or about everybody, that decrypts nothing.
    pub(crate) async fn sealed_replay(&self, subject: Option<Uuid>) -> Uuid {
        self.open_replay(subject, None, false).await
    }

    async fn open_replay(&self, subject: Option<Uuid>, as_of: Option<&str>, decrypt: bool) -> Uuid {
        let replay = Uuid::now_v7();
        let open = AuditReplayCommand::OpenAuditReplay {
            purpose: Some(ReplayPurpose::Ferpa),
            scope: ReplayScope { subject, ..ReplayScope::default() },
            as_of: as_of.map(|moment| moment.parse().unwrap()),
            decrypt,
            reason: "She asked.".into(),
        };
        let officer = Request::by(Actor::user(Uuid::from_u128(1), &["compliance"]));
        self.issue::<AuditReplay>(replay, open, officer).await;
        replay
    }

    /// A student says something of themselves; the first time that creates the profile as well.
    pub(crate) async fn describe(&self, number: u128, headline: &str) -> Accepted {
        let revise = ProfileCommand::ReviseProfile {
            given_name: None,
            family_name: None,
            headline: Some(Stated(headline.into())),
            bio: None,
            phone: None,
            photo: None,
            skills: None,
            interests: None,
        };
        let request = Request::by(Actor::user(student(number), &["student"]));
        self.issue::<Profile>(student(number), revise, request).await
    }

    /// The event in which a student first described themselves.
    pub(crate) async fn described(&self, number: u128) -> Recorded {
        let stream = StreamId::new(Profile::TYPE, student(number).to_string());
        self.annals.store.read_stream(&stream, 1, None).await.unwrap().remove(0)
    }

    /// The event in which the assessment of a student was observed.
    pub(crate) async fn observed(&self, number: u128) -> Recorded {
        let stream = StreamId::new(Decision::TYPE, Uuid::from_u128(0xDE00 + number).to_string());
        self.annals.store.read_stream(&stream, 1, None).await.unwrap().remove(0)
    }

    async fn assess(&self, number: u128) {
        let cause = self.described(number).await;
        let correlation_id = cause.command_id;
        let record = DecisionCommand::RecordDecision {
            model: None,
            engine: "rules/promise@2".into(),
            family: "promise".into(),
            r#type: "score".into(),
            subject: student(number),
            about: student(number),
            favourable: true,
            score: BasisPoints(7000),
            threshold: None,
            features: cause.event_id,
            explanation: Stated(Vec::new()),
        };
        let request = Request {
            correlation_id,
            causation_id: Some(cause.event_id),
            derived_from: vec![format!("identity.profile:{}@2", student(number))],
            transformation: Some("rules/promise@2".into()),
            ..Request::by(Actor::policy("assess_promise"))
        };
        let decision = Uuid::from_u128(0xDE00 + number);
        let decided = self.issue::<Decision>(decision, record, request).await;
        let decided = self.annals.store.read_all(decided.position - 1, 1).await.unwrap().remove(0);
        let request = Request {
            correlation_id,
            causation_id: Some(decided.event_id),
            ..Request::by(Actor::policy("observe_promise"))
        };
        let observe = DecisionCommand::ObserveOutcome { actual: true, source: student(number) };
        self.issue::<Decision>(decision, observe, request).await;
    }
}

/// A folder that goes when the test ends.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("annals-replay-{}", Uuid::now_v7().simple()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}
