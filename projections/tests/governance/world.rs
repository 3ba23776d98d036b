//! A campus with a past: org units that an administrator keeps, students who describe themselves, and a policy that
//! assesses whoever does, from the profile and the unit; some contest that, and one of them is found right.

use std::{sync::Arc, time::Duration};

use commands::{Accepted, Commands, NoAnswers, Request};
use domain::{
    Actor, BasisPoints, Decider, Stated,
    governance::{PrivacyRegime, PrivacyRequestType},
    identity::{OrgKind, OrgType, OrgUnit, OrgUnitCommand, Profile, ProfileCommand},
    intelligence::{Decision, DecisionCommand, Verdict},
};
use event_store::{
    EventStore, Recorded,
    testing::{TestDatabase, database},
};
use jiff::Timestamp;
use projections::{Config, Projections, governance::PackageRequest};
use uuid::Uuid;

pub(crate) struct World {
    pub(crate) store: EventStore,
    pub(crate) commands: Commands,
    pub(crate) projections: Projections,
    pub(crate) database: TestDatabase,
}

pub(crate) const ADMIN: Uuid = Uuid::from_u128(0xAD);
pub(crate) const REVIEWER: Uuid = Uuid::from_u128(0x4E);
pub(crate) const ENGINE: &str = "rules/promise@2";
pub(crate) const UNITS: u128 = 12;
pub(crate) const STUDENTS: u128 = 25;

pub(crate) fn unit(number: u128) -> Uuid {
    Uuid::from_u128(0x0F00 + number)
}

pub(crate) fn student(number: u128) -> Uuid {
    Uuid::from_u128(0x5700 + number)
}

/// The first decision about a student.
pub(crate) fn decision(number: u128) -> Uuid {
    Uuid::from_u128(0xDE00 + number)
}

pub(crate) fn auditor() -> Actor {
    Actor::user(Uuid::from_u128(0xC0), &["compliance"])
}

impl World {
    /// An empty log.
    pub(crate) async fn empty() -> World {
        let database = database().await;
        let store = database.store().await.unwrap();
        let commands = Commands::new(store.clone(), Arc::new(NoAnswers), 1000);
        let projections = Projections::new(store.clone(), Config::new(&database.url)).unwrap();
        World { store, commands, projections, database }
    }

    /// A log of so many events, too many to issue commands for, and the index alone beside it. Event `n` is of stream
    /// `n % 50`, was done by one of seven and is about one of eleven people, and every hundredth about a twelfth.
    pub(crate) async fn long(events: i64) -> World {
        let world = World::empty().await;
        let index = |model: &&&dyn projections::ReadModel| model.shape().name == "log_index";
        let models = projections::read_models().iter().filter(index).copied().collect();
        let config = Config { models, ..Config::new(&world.database.url) };
        let projections = Projections::new(world.store.clone(), config).unwrap();
        let sql = "WITH moved AS (UPDATE annals.head SET position = $1, recorded_at = now())
            INSERT INTO annals.events (position, recorded_at, sequence, event_id, aggregate_type, aggregate_id, event_type,
                event_version, payload, metadata)
            SELECT n, now(), (n + 49) / 50, gen_random_uuid(), 'identity.org_unit',
                lpad((n % 50)::text, 32, '0')::uuid, name, '1', json_build_object(name, payload),
                json_build_object('actor', 'user:' || lpad((n % 7)::text, 32, '0')::uuid, 'subjects',
                    lpad((n % 11)::text, 32, '0')::uuid
                        || CASE WHEN n % 100 = 0 THEN ' ' || lpad('12', 32, '0')::uuid ELSE '' END)
            FROM generate_series(1, $1) n, LATERAL (VALUES
                (CASE WHEN n % 3 = 0 THEN 'OrgUnitReactivated' ELSE 'OrgUnitDeactivated' END,
                CASE WHEN n % 3 = 0 THEN '{}'::json ELSE '{\"reason\":\"r\"}' END)) e(name, payload)";
        sqlx::query(sql).bind(events).execute(world.store.pool()).await.unwrap();
        World { projections, ..world }
    }

    /// The campus, with nothing folded yet.
    pub(crate) async fn campus() -> World {
        let world = World::empty().await;
        for number in 0..UNITS {
            world.create_unit(number).await;
        }
        for round in 0..4 {
            for number in 0..UNITS {
                world.rename_unit(number, &format!("Round {round}")).await;
            }
        }
        for number in 0..STUDENTS {
            world.describe(number, "First words").await;
            world.assess(number).await;
        }
        for number in 0..STUDENTS {
            world.describe(number, "Second words").await;
            if number.is_multiple_of(5) {
                world.contest(number).await;
                world.review(number).await;
            }
        }
        world
    }

    /// Starts the follower and waits until it has folded the whole log.
    pub(crate) async fn follow(&self) {
        self.projections.start();
        let head = self.store.head().await.unwrap().position;
        let reached = self.projections.wait_for("log_index", head, Duration::from_secs(20)).await;
        assert!(reached.unwrap(), "the index reaches {head}");
    }

    /// A request for access of the first student, approved now.
    pub(crate) async fn package_request(&self) -> PackageRequest {
        PackageRequest {
            request: Uuid::from_u128(0x9E),
            subject: student(1),
            regime: PrivacyRegime::Gdpr,
            r#type: PrivacyRequestType::Access,
            classes: vec![],
            refused: vec![],
            note: None,
            position: self.store.head().await.unwrap().position,
            approved_at: Timestamp::now(),
            attached: None,
            completed: false,
        }
    }

    pub(crate) async fn issue<D: Decider>(
        &self,
        id: Uuid,
        command: D::Command,
        request: Request,
    ) -> Accepted {
        self.commands.execute::<D>(id, command, &request).await.unwrap()
    }

    /// The event at a position.
    pub(crate) async fn event(&self, position: u64) -> Recorded {
        self.store.read_all(position - 1, 1).await.unwrap().remove(0)
    }

    /// The event of a stream that left this version.
    pub(crate) async fn version<D: Decider>(&self, id: Uuid, version: u64) -> Recorded {
        let stream = event_store::StreamId::new(D::TYPE, id.to_string());
        self.store.read_stream(&stream, version - 1, None).await.unwrap().remove(0)
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
            ..Request::by(Actor::user(ADMIN, &["admin"]))
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
        // Every third change is made by somebody for the administrator, and all of a round belong together.
        let mut actor = Actor::user(ADMIN, &["admin"]);
        if number.is_multiple_of(3) {
            actor = Actor { on_behalf_of: Some(ADMIN), ..Actor::user(Uuid::from_u128(0xA55), &["admin"]) };
        }
        let round = Uuid::new_v5(&Uuid::NAMESPACE_DNS, name.as_bytes());
        let request = Request { correlation_id: Some(round), ..Request::by(actor) };
        self.issue::<OrgUnit>(unit(number), revise, request).await
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

    /// The policy assesses a student because they described themselves; what it found is observed by another one.
    pub(crate) async fn assess(&self, number: u128) {
        let cause = self.version::<Profile>(student(number), 2).await;
        let correlation_id = cause.command_id;
        let unit = unit(number % UNITS);
        let record = DecisionCommand::RecordDecision {
            model: None,
            engine: ENGINE.into(),
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
            derived_from: vec![
                format!("identity.profile:{}@2", student(number)),
                format!("identity.org_unit:{unit}@1"),
                "catalogue:promises.csv@7".into(),
            ],
            transformation: Some(ENGINE.into()),
            ..Request::by(Actor::policy("assess_promise"))
        };
        let decided = self.issue::<Decision>(decision(number), record, request).await;
        let request = Request {
            correlation_id,
            causation_id: Some(self.event(decided.position).await.event_id),
            ..Request::by(Actor::policy("observe_promise"))
        };
        let observe = DecisionCommand::ObserveOutcome { actual: true, source: student(number) };
        self.issue::<Decision>(decision(number), observe, request).await;
    }

    pub(crate) async fn contest(&self, number: u128) -> Accepted {
        let contest = DecisionCommand::ContestDecision { reason: Stated("It is not true.".into()) };
        let request = Request::by(Actor::user(student(number), &["student"]));
        self.issue::<Decision>(decision(number), contest, request).await
    }

    pub(crate) async fn review(&self, number: u128) -> Accepted {
        let (verdict, reason) = (Verdict::Upheld, Stated("It is true.".to_owned()));
        let review = DecisionCommand::ReviewDecision { reviewer: REVIEWER, verdict, reason };
        let request = Request::by(Actor::user(REVIEWER, &["reviewer"]));
        self.issue::<Decision>(decision(number), review, request).await
    }
}
