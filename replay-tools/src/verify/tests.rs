//! Logs that somebody has changed behind our back, as a superuser who switches the triggers off.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use event_store::{
    Append, Basis, Claim, Epoch, KeyringConfig, MasterKey, NewEvent, StoreConfig, StreamId,
    integrity::{Hash, Notary, NotaryConfig, NotaryState, Tile},
    testing::{self, TestDatabase},
};
use sqlx::Executor;
use uuid::Uuid;

use domain::{Personal, RecordClass, identity::AccountEvent};

use super::*;
use crate::testing::{appended, destroy, registered};

/// A log, what a notary has signed of it, and how both are verified.
pub(super) struct Log {
    pub(super) store: EventStore,
    pub(super) database: TestDatabase,
    pub(super) folder: PathBuf,
    pub(super) _gone: Gone,
}

/// The folder goes with the test.
pub(super) struct Gone(PathBuf);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Log {
    /// An empty log.
    async fn new() -> Self {
        let database = testing::database().await;
        let folder = std::env::temp_dir().join(format!("annals-verify-{}", Uuid::new_v4().simple()));
        Log { store: database.store().await.unwrap(), database, _gone: Gone(folder.clone()), folder }
    }

    /// A signed log of so many events, each in a stream of its own.
    pub(super) async fn of(events: u64) -> Self {
        let log = Self::new().await;
        log.grow(events).await;
        log.sign().await;
        log
    }

    pub(super) async fn grow(&self, events: u64) {
        let streams: Vec<Uuid> = (0..events).map(|_| Uuid::now_v7()).collect();
        for part in streams.chunks(5000) {
            self.append(part.iter().map(|id| deactivated(*id)).collect(), Vec::new()).await;
        }
    }

    async fn append(&self, events: Vec<NewEvent>, claims: Vec<Claim>) {
        let (command_id, conditions) = (Uuid::now_v7(), Vec::new());
        let append = Append { command_id, fingerprint: None, conditions, events, claims };
        self.store.append(append).await.unwrap();
    }

    pub(super) async fn sign(&self) {
        let config =
            NotaryConfig { every: Duration::from_millis(1), ..NotaryConfig::new(&self.folder, [7; 32]) };
        let notary = Notary::start(self.store.clone(), config).await.unwrap();
        let head = self.store.head().await.unwrap().position;
        let mut state = notary.state();
        let signed = state.wait_for(|state| *state == NotaryState::Signed(head));
        tokio::time::timeout(Duration::from_secs(20), signed).await.expect("it is signed").unwrap();
        notary.stop().await;
    }

    pub(super) async fn behind_our_back(&self, statements: &[&str]) {
        let mut superuser = self.database.connect().await;
        superuser.execute("ALTER TABLE annals.events DISABLE TRIGGER ALL").await.unwrap();
        for statement in statements {
            superuser.execute(*statement).await.unwrap();
        }
    }

    pub(super) fn command(&self) -> Verify {
        Verify { notary: Some(self.folder.clone()), ..Verify::default() }
    }

    pub(super) fn annals(&self) -> Annals {
        Annals::of(self.store.clone(), &self.database.url, self.database.config().keys, true).unwrap()
    }

    async fn verify(&self) -> Report {
        self.command().verify(&self.annals()).await.unwrap()
    }

    /// Verifies, and asserts what the first finding is.
    #[track_caller]
    pub(super) fn first(report: &Report, position: Position, kind: Kind) {
        let first = report.findings.first().map(|finding| (finding.position, finding.kind));
        assert_eq!(first, Some((Some(position), kind)), "{report}");
        assert_eq!(report.first, Some(position));
    }
}

fn event(id: Uuid, event_type: &'static str, payload: &str) -> NewEvent {
    NewEvent {
        stream: StreamId::new("identity.org_unit", id.to_string()),
        event_id: Uuid::now_v7(),
        event_type: event_type.into(),
        event_version: "1".into(),
        payload: payload.to_owned(),
        personal: Vec::new(),
        metadata: "{}".into(),
    }
}

fn deactivated(id: Uuid) -> NewEvent {
    event(id, "OrgUnitDeactivated", r#"{"OrgUnitDeactivated":{"reason":"merged"}}"#)
}

#[tokio::test]
async fn an_untouched_log_is_whole() {
    let log = Log::of(600).await;
    let report = log.verify().await;
    assert!(report.is_well(), "{report}");
    assert_eq!((report.events, report.streams, report.signed), (600, 600, Some(600)));
    assert_eq!(report.checkpoints, [600]);
    // What was recorded since the last signature is checked as far as it can be.
    log.grow(50).await;
    let report = log.verify().await;
    assert!(report.is_well() && report.events == 650 && report.signed == Some(600), "{report}");
    // Without a directory, everything else is.
    let report = Verify::default().verify(&log.annals()).await.unwrap();
    assert!(report.is_well() && report.signed.is_none(), "{report}");
}

#[tokio::test]
async fn an_empty_log_is_whole() {
    let report = Log::of(0).await.verify().await;
    assert!(report.is_well(), "{report}");
}

#[tokio::test]
async fn whichever_column_is_altered_the_first_position_is_named() {
    let log = Log::of(300).await;
    for (position, change) in [
        (290, "payload = '{\"OrgUnitDeactivated\":{\"reason\":\"closed\"}}'"),
        (280, "payload = (payload::text || ' ')::json"),
        (270, "metadata = '{\"actor\":\"user:2\"}'"),
        (260, "sealed = '\\x00'"),
        (250, "recorded_at = recorded_at + interval '1 microsecond'"),
        (240, "event_version = '01'"),
        (230, "aggregate_id = gen_random_uuid()::text"),
        (220, "aggregate_type = 'identity.account'"),
        (210, "event_type = 'OrgUnitReactivated'"),
        (200, "sequence = 2"),
        // These four are in no leaf; what binds them is.
        (190, "event_id = gen_random_uuid()"),
        (180, "command_id = gen_random_uuid()"),
        (170, "command_id = NULL"),
        (160, "command_index = 7"),
        (150, "fingerprint = '\\x00'"),
        // Bound again by whoever knows how: then it is the leaf that differs.
        (140, "(event_id, metadata) = (SELECT event_id, metadata FROM annals.events WHERE position = 141)"),
    ] {
        log.behind_our_back(&[&format!("UPDATE annals.events SET {change} WHERE position = {position}")])
            .await;
        Log::first(&log.verify().await, position, Kind::Altered);
    }
}

#[tokio::test]
async fn a_row_that_is_none_of_ours_is_named_and_the_rest_is_compared_all_the_same() {
    let log = Log::of(300).await;
    log.behind_our_back(&[
        "ALTER TABLE annals.events ALTER command_index DROP NOT NULL",
        "UPDATE annals.events SET command_index = NULL WHERE position = 170",
        "UPDATE annals.events SET event_version = '01' WHERE position = 250",
    ])
    .await;
    let report = log.verify().await;
    Log::first(&report, 170, Kind::Illegible);
    assert_eq!(
        (report.findings[1].position, report.findings[1].kind),
        (Some(250), Kind::Altered),
        "{report}"
    );
}

#[tokio::test]
async fn of_how_many_events_the_ids_are_not_bound_is_said() {
    let log = Log::new().await;
    log.grow(20).await;
    log.behind_our_back(&["UPDATE annals.events SET metadata = '{}' WHERE position > 15"]).await;
    let verify = async || Verify::default().verify(&log.annals()).await.unwrap();
    let report = verify().await;
    let said =
        |note: &String| note.starts_with("5 events were recorded by a version that did not bind their ids");
    assert!(report.notes.iter().any(said), "{report}");
    log.behind_our_back(&[
        "UPDATE annals.events SET event_id = gen_random_uuid() WHERE position IN (12, 17)",
    ])
    .await;
    let report = verify().await;
    Log::first(&report, 12, Kind::Altered);
    assert!(report.findings.iter().all(|finding| finding.position != Some(17)), "{report}");
}

#[tokio::test]
async fn a_deleted_event_is_missed_at_its_position() {
    let log = Log::of(600).await;
    log.behind_our_back(&["DELETE FROM annals.events WHERE position IN (299, 400)"]).await;
    let report = log.verify().await;
    Log::first(&report, 299, Kind::Missing);
    assert!(report.findings.iter().any(|finding| finding.position == Some(400)), "{report}");
}

#[tokio::test]
async fn a_deletion_that_closes_the_gap_is_missed_where_it_was() {
    let log = Log::of(600).await;
    log.behind_our_back(&[
        "DELETE FROM annals.events WHERE position = 299",
        "UPDATE annals.events SET position = -position WHERE position > 299",
        "UPDATE annals.events SET position = -position - 1 WHERE position < 0",
        "UPDATE annals.head SET position = 599",
    ])
    .await;
    let report = log.verify().await;
    Log::first(&report, 299, Kind::Missing);
    assert!(report.findings[0].detail.contains("moved up"), "{report}");
}

#[tokio::test]
async fn two_events_that_changed_places_are_both_named() {
    let log = Log::of(600).await;
    log.behind_our_back(&[
        "UPDATE annals.events SET position = -1 WHERE position = 17",
        "UPDATE annals.events SET position = 17 WHERE position = 503",
        "UPDATE annals.events SET position = 503 WHERE position = -1",
    ])
    .await;
    let report = log.verify().await;
    Log::first(&report, 17, Kind::Swapped);
    assert!(report.findings[0].detail.contains("with position 503"), "{report}");
    assert_eq!((report.findings[1].position, report.findings[1].kind), (Some(503), Kind::Swapped));
}

#[tokio::test]
async fn two_neighbours_that_changed_places_are_told_from_an_insertion() {
    let log = Log::of(300).await;
    log.behind_our_back(&[
        "UPDATE annals.events SET position = -1 WHERE position = 17",
        "UPDATE annals.events SET position = 17 WHERE position = 18",
        "UPDATE annals.events SET position = 18 WHERE position = -1",
    ])
    .await;
    let report = log.verify().await;
    Log::first(&report, 17, Kind::Swapped);
    assert!(report.findings[0].detail.contains("with position 18"), "{report}");
    assert!(report.findings.iter().any(|found| (found.position, found.kind) == (Some(18), Kind::Swapped)));
}

#[tokio::test]
async fn an_inserted_event_is_found_where_it_was_inserted() {
    let log = Log::of(600).await;
    let insert = "INSERT INTO annals.events (position, recorded_at, sequence, event_id, aggregate_type, aggregate_id, \
         event_type, event_version, payload, metadata) SELECT 50, recorded_at, 1, gen_random_uuid(), aggregate_type, \
         gen_random_uuid(), event_type, event_version, payload, metadata FROM annals.events WHERE position = 49";
    log.behind_our_back(&[
        "UPDATE annals.events SET position = -position WHERE position >= 50",
        "UPDATE annals.events SET position = -position + 1 WHERE position < 0",
        insert,
        "UPDATE annals.head SET position = 601",
    ])
    .await;
    Log::first(&log.verify().await, 50, Kind::Inserted);
}

#[tokio::test]
async fn events_outside_the_log_are_found() {
    let log = Log::of(10).await;
    let copy = |position: i64| {
        format!(
            "INSERT INTO annals.events (position, recorded_at, sequence, event_id, aggregate_type, aggregate_id, \
             event_type, event_version, payload, metadata) SELECT {position}, recorded_at, 1, gen_random_uuid(), \
             aggregate_type, gen_random_uuid(), event_type, event_version, payload, metadata FROM annals.events WHERE position = 1"
        )
    };
    log.behind_our_back(&[&copy(12)]).await;
    Log::first(&log.verify().await, 12, Kind::Inserted);
    log.behind_our_back(&[&copy(0)]).await;
    assert_eq!(log.verify().await.disagreements, 2);
}

#[tokio::test]
async fn a_log_that_was_cut_is_missed_where_it_ends() {
    let log = Log::of(600).await;
    log.behind_our_back(&[
        "DELETE FROM annals.events WHERE position > 590",
        "UPDATE annals.head SET position = 590",
    ])
    .await;
    Log::first(&log.verify().await, 591, Kind::Missing);
}

#[tokio::test]
async fn whoever_rewrites_rows_and_tiles_alike_is_betrayed_by_the_signature() {
    let log = Log::new().await;
    log.grow(300).await;
    log.sign().await;
    let kept = log.folder.join("kept");
    std::fs::copy(log.folder.join("checkpoint"), &kept).unwrap();
    log.grow(100).await;
    log.sign().await;
    log.behind_our_back(&["UPDATE annals.events SET metadata = '{\"a\":\"b\"}' WHERE position = 350"]).await;
    // As one who has the disk as well would do it: the leaf's tile is made anew from the rows.
    let rows = log.store.read_all(256, 144).await.unwrap();
    let forged: Vec<u8> =
        rows.iter().flat_map(|row| event_store::integrity::Leaf::of(row).hash().0).collect();
    std::fs::write(log.folder.join("tile/0/001.p/144"), forged).unwrap();
    Log::first(&log.verify().await, 1, Kind::Tree);
    // A checkpoint that was kept elsewhere narrows it down.
    let command = Verify { checkpoints: vec![kept], ..log.command() };
    let report = command.verify(&log.annals()).await.unwrap();
    Log::first(&report, 301, Kind::Tree);
    assert_eq!(report.checkpoints, [300]);
}

#[tokio::test]
async fn a_damaged_tile_is_told_from_a_damaged_log() {
    let log = Log::of(600).await;
    let above: Tile = "tile/1/000.p/2".parse().unwrap();
    std::fs::write(log.folder.join(above.to_string()), [Hash([0; 32]).0; 2].concat()).unwrap();
    let report = log.verify().await;
    assert_eq!((report.findings[0].kind, report.first), (Kind::Tree, None), "{report}");
    assert!(report.findings[0].detail.contains("tile/1/000.p/2"), "{report}");
}

#[tokio::test]
async fn a_checkpoint_of_another_key_is_no_checkpoint() {
    let log = Log::of(3).await;
    let other = event_store::integrity::Signer::new("annals.example", &[8; 32]).unwrap();
    let command = Verify { key: Some(other.verifier().to_string()), ..log.command() };
    let report = command.verify(&log.annals()).await.unwrap();
    assert_eq!(report.findings[0].kind, Kind::Signature, "{report}");
}

#[tokio::test]
async fn a_log_of_several_parts_is_compared_across_them() {
    let log = Log::new().await;
    let one = Uuid::now_v7();
    log.append((0..4500).map(|_| deactivated(one)).collect(), Vec::new()).await;
    log.sign().await;
    let report =
        Verify { workers: NonZeroUsize::new(3), ..log.command() }.verify(&log.annals()).await.unwrap();
    assert!(report.is_well() && report.streams == 1, "{report}");
    log.behind_our_back(&["UPDATE annals.events SET sequence = 9999 WHERE position = 4100"]).await;
    let report = log.verify().await;
    Log::first(&report, 4100, Kind::Altered);
    assert!(report.findings.iter().any(|finding| finding.kind == Kind::Sequence), "{report}");
}

#[tokio::test]
async fn an_unreadable_event_is_named() {
    let log = Log::new().await;
    log.append(
        vec![deactivated(Uuid::now_v7()), event(Uuid::now_v7(), "Nonsense", r#"{"Nonsense":{}}"#)],
        Vec::new(),
    )
    .await;
    log.sign().await;
    Log::first(&log.verify().await, 2, Kind::Unreadable);
}

#[tokio::test]
async fn claims_that_do_not_follow_from_the_events_are_found() {
    let log = Log::new().await;
    let created = r#"{"OrgUnitCreated":{"kind":"institution","code":"PSU","name":"Pittsburg State","type":"university","country":"US"}}"#;
    let id = Uuid::now_v7();
    let by = StreamId::new("identity.org_unit", id.to_string());
    let claims = vec![Claim::Take { key: "orgcode:PSU".into(), by: by.clone() }];
    log.append(vec![deactivated(Uuid::now_v7()), event(id, "OrgUnitCreated", created)], claims).await;
    log.sign().await;
    let report = log.verify().await;
    assert!(report.is_well(), "{report}");
    log.behind_our_back(&["UPDATE annals.claims SET key = 'orgcode:KSU'"]).await;
    let report = log.verify().await;
    Log::first(&report, 2, Kind::Claim);
    assert_eq!(report.disagreements, 2, "{report}");
    assert!(report.findings[1].detail.contains("orgcode:KSU"), "{report}");
}

/// The keyed hash of an address.
fn email_hmac(of: u64) -> String {
    format!("{of:064x}")
}

#[tokio::test]
async fn claims_made_of_what_is_sealed_are_compared_as_well() {
    let log = Log::new().await;
    let (ada, charles) = (Uuid::now_v7(), Uuid::now_v7());
    for (account, of) in [(ada, 1), (charles, 2)] {
        log.store.append(registered(account, &email_hmac(of))).await.unwrap();
    }
    let moved = AccountEvent::EmailChanged {
        email: Personal::about(charles, "charles@campus.example".into()),
        email_hmac: Personal::about(charles, email_hmac(3)),
        previous_hmac: Personal::about(charles, email_hmac(2)),
    };
    log.store.append(appended(charles, &moved)).await.unwrap();
    let linked = AccountEvent::SsoIdentityLinked {
        provider: domain::identity::SsoProvider::Google,
        issuer: "https://accounts.google.com".into(),
        subject_hash: Personal::about(ada, email_hmac(4)),
        email: Personal::about(ada, "ada@campus.example".into()),
    };
    log.store.append(appended(ada, &linked)).await.unwrap();
    log.sign().await;
    let report = log.verify().await;
    assert!(report.is_well() && report.notes.is_empty(), "{report}");
    log.behind_our_back(&["DELETE FROM annals.claims WHERE key LIKE 'email:%'"]).await;
    let report = log.verify().await;
    Log::first(&report, 1, Kind::Claim);
    assert_eq!((report.disagreements, report.findings[1].position), (2, Some(3)), "{report}");
    log.behind_our_back(&[&format!("UPDATE annals.claims SET key = 'sso:{}'", email_hmac(5))]).await;
    let report = log.verify().await;
    assert!(report.findings.iter().any(|finding| finding.position == Some(4)), "{report}");
}

#[tokio::test]
async fn whoever_was_erased_holds_nothing() {
    let log = Log::new().await;
    let ada = Uuid::now_v7();
    log.store.append(registered(ada, &email_hmac(1))).await.unwrap();
    let admin =
        AccountEvent::RoleAssigned { role: "admin".into(), within: None, until: None, token_version: 1 };
    log.store.append(appended(ada, &admin)).await.unwrap();
    let erased = AccountEvent::AccountErased {
        account: ada,
        privacy_request: Uuid::now_v7(),
        freed: Personal::about(ada, vec![format!("email:{}", email_hmac(1)), "role:admin".into()]),
        token_version: 2,
    };
    log.store.append(appended(ada, &erased)).await.unwrap();
    log.sign().await;
    let report = log.verify().await;
    assert!(report.is_well() && report.notes.is_empty(), "before its keys go: {report}");
    destroy(&log.store, ada, RecordClass::Identity, Basis::Erasure).await;
    let report = log.verify().await;
    assert!(report.is_well() && report.notes.is_empty(), "{report}");
    log.behind_our_back(&[&format!(
        "INSERT INTO annals.claims VALUES ('email:{}', '', 'identity.account', '{ada}')",
        email_hmac(1)
    )])
    .await;
    let report = log.verify().await;
    assert_eq!((report.disagreements, report.findings[0].kind), (1, Kind::Claim), "{report}");
}

#[tokio::test]
async fn a_claim_that_came_back_after_an_erasure_is_found_although_the_log_does_not_say_of_it() {
    let log = Log::new().await;
    let ada = Uuid::now_v7();
    log.store.append(registered(ada, &email_hmac(1))).await.unwrap();
    log.sign().await;
    destroy(&log.store, ada, RecordClass::Identity, Basis::Erasure).await;
    let report = log.verify().await;
    assert_eq!((report.disagreements, report.findings[0].kind), (1, Kind::Claim), "{report}");
}

#[tokio::test]
async fn claims_whose_keys_are_not_there_are_said_not_to_be_checked() {
    let log = Log::new().await;
    let ada = Uuid::now_v7();
    log.store.append(registered(ada, &email_hmac(1))).await.unwrap();
    log.sign().await;
    let stranger = KeyringConfig::new(MasterKey::generate());
    let store = EventStore::open(StoreConfig::new(&log.database.url, stranger.clone())).await.unwrap();
    let annals = Annals::of(store, &log.database.url, stranger, true).unwrap();
    let command = Verify { log_only: true, ..log.command() };
    let report = command.verify(&annals).await.unwrap();
    assert!(report.is_well() && report.notes[0].contains("with this master key"), "{report}");
    let basis = Basis::Retention { through: Epoch::from_number(999_912) };
    destroy(&log.store, ada, RecordClass::Identity, basis).await;
    let report = command.verify(&log.annals()).await.unwrap();
    assert!(report.is_well() && report.notes[0].starts_with("1 claims were not checked"), "{report}");
}

#[tokio::test]
async fn a_read_model_of_another_log_or_ahead_of_it_is_found() {
    let log = Log::of(3).await;
    log.behind_our_back(&["UPDATE annals.projection_head SET position = 7"]).await;
    let report = log.verify().await;
    assert_eq!(report.findings[0].kind, Kind::Follower, "{report}");
    assert!(report.findings[0].detail.contains("ahead of the log"), "{report}");
    let another = "UPDATE annals.projection_head SET incarnation = gen_random_uuid()";
    log.behind_our_back(&[another]).await;
    assert!(log.verify().await.findings[0].detail.contains("follows another log"));
}

#[tokio::test]
async fn an_end_of_the_log_that_is_older_than_its_last_event_is_found() {
    let log = Log::of(3).await;
    log.behind_our_back(&["UPDATE annals.head SET recorded_at = recorded_at - interval '1 second'"]).await;
    let report = log.verify().await;
    assert_eq!((report.findings.len(), report.findings[0].kind), (1, Kind::Time), "{report}");
}

#[tokio::test]
async fn a_proof_verifies_offline_with_nothing_but_the_key_and_a_changed_one_does_not() {
    use crate::prove::{CheckProof, Prove};
    let log = Log::of(300).await;
    let (out, key) = (log.folder.join("proof.json"), log.folder.join("key"));
    let prove = Prove { position: 77, out: out.clone(), notary: log.folder.clone() };
    assert!(prove.run(&log.annals()).await.unwrap());
    let check = CheckProof { proof: out.clone(), key: key.display().to_string() };
    assert!(check.run(true).unwrap());
    let text = std::fs::read_to_string(&out).unwrap();
    for (from, to) in [("\"sequence\": 1", "\"sequence\": 2"), ("OrgUnitDeactivated", "OrgUnitReactivated")] {
        std::fs::write(&out, text.replace(from, to)).unwrap();
        assert!(!check.run(true).unwrap(), "{from}");
    }
    std::fs::write(&out, text.replace("\"index\": 76", "\"index\": 75")).unwrap();
    assert!(!check.run(false).unwrap());
    std::fs::write(&out, "{}").unwrap();
    assert!(check.run(true).is_err());
    // The event is not the one that was signed any more: there is nothing to prove.
    log.behind_our_back(&["UPDATE annals.events SET payload = '{}' WHERE position = 77"]).await;
    assert!(!prove.run(&log.annals()).await.unwrap());
    let none = Prove { position: 301, out, notary: log.folder.clone() };
    assert!(none.run(&log.annals()).await.is_err());
}

#[tokio::test]
async fn a_disagreement_is_an_exit_code_of_its_own() {
    let log = Log::of(3).await;
    assert!(log.command().run(&log.annals()).await.unwrap());
    log.behind_our_back(&["UPDATE annals.events SET payload = '{}' WHERE position = 2"]).await;
    assert!(!log.command().run(&log.annals()).await.unwrap());
    let nowhere = Verify { notary: Some("/nowhere".into()), ..Verify::default() };
    assert!(nowhere.run(&log.annals()).await.is_err());
}
