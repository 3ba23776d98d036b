//! Erasure leaves nothing: not in a byte of what the servers keep, nor in what is exported or backed up, and no backup from
//! before brings it back (GOV-P4, GOV-K2, GOV-K3).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use annals_tests::{Annals, Caller};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    bytes::Needles,
    flows::{scholarship, submitted},
};

/// What the person says, in every context: values that occur nowhere else.
const SAID: [&str; 37] = [
    "Zephyrine",
    "Quillfeather-Ångström",
    "Knows \"Xylography\" & Tmesis",
    "Ich übe \"Quasselstrippe\"\nund Flötenspiel",
    "+4915559173041",
    "Campanology-skill",
    "Numismatics-interest",
    "SN-7741-Zyzzyva",
    "Vexillology-Major",
    "Room-Nephelococcygia",
    "Degree-of-Pataphysics",
    "Borborygmus-Company",
    "Chief-Funambulist",
    "Industry-of-Sternutation",
    "https://linkedin.example/in/zeph-quill",
    "Quixotic-Gender-Word",
    "Essay-Antidisestablish \"quoted\" ünd more",
    "Answer-Floccinaucinihil",
    "Message-Sesquipedalian",
    "Comment-Honorificabilitud",
    "Contest-Tergiversation",
    "Keyword-Taradiddle",
    "Xanthippe-Marmalade-Shop",
    "Note-Widdershins",
    "Xylopolist-Corrected",
    "Details-Absquatulate",
    "Threat-Gobbledygook",
    "Statement-Snollygoster",
    "Void-Reason-Kerfuffle",
    "Refused-Phone-Lollygag",
    "Theme-Collywobbles",
    "Accessibility-Gardyloo",
    "Reference-Bumfuzzle",
    "Withdrawn-Cattywampus",
    "Mentor-Topic-Bumbershoot",
    "Available-Lickspittle",
    "Reviewed-Pettifogger",
];
/// What is about others, or is kept by law; it rests nowhere in the clear all the same.
const KEPT: [&str; 4] = [
    "recommender-ulotrichous@example.org",
    "Party-Omphaloskepsis",
    "Consented-Party-Argy",
    "Needle-Agent/7.7 (Ratoon)",
];
/// In minor units: an income, an expense and what it was amended to.
const AMOUNTS: [i64; 3] = [61_731_904_829, 7_391_846_205, 7_391_846_317];
/// Whoever sums over majors has it in an UNLOGGED table, until it is erased.
const SUMMED: &str = "Vexillology-Major";

struct World {
    annals: Annals,
    person: Caller,
    staff: Caller,
    officer: Caller,
    application: Uuid,
    scholarship: Uuid,
    /// Read by staff; then by the person.
    pages: (Vec<String>, Vec<String>),
}

impl World {
    async fn new() -> World {
        let annals = Annals::start_with(&[("ANNALS_REBUILD_AFTER_SHRED_S", "1")]).await;
        let (person, staff) = (annals.caller(&["student", "budget_user"]), annals.caller(&["staff"]));
        let officer = annals.caller(&["compliance"]);
        let scholarship = scholarship(&annals).await;
        // Of a column with two values PostgreSQL keeps both in its statistics.
        submitted(&annals, &annals.caller(&["student"]), scholarship, "Because.").await;
        let application = Uuid::now_v7();
        let mut world =
            World { annals, person, staff, officer, application, scholarship, pages: Default::default() };
        world.describe().await;
        world.apply().await;
        world.spend().await;
        world.disclose().await;
        world
    }

    /// Sends a body, as a program of this name; the answer must be this status.
    async fn send(&self, who: &Caller, method: Method, path: &str, body: Value, status: u16) -> Value {
        let request = self.annals.request(who, method, path).header("User-Agent", KEPT[3]).json(&body);
        let answer = self.annals.send(request).await.unwrap();
        assert_eq!(answer.status.as_u16() / 100 * 100, status, "{path}: {} {}", answer.status, answer.body);
        answer.body
    }

    async fn put(&self, path: &str, body: Value) {
        self.send(&self.person, Method::PUT, path, body, 200).await;
    }

    async fn post(&self, path: &str, body: Value) -> Uuid {
        let answer = self.send(&self.person, Method::POST, path, body, 200).await;
        answer["id"].as_str().map_or(Uuid::nil(), |id| id.parse().unwrap())
    }

    async fn describe(&self) {
        let profile = json!({ "given_name": SAID[0], "family_name": SAID[1], "headline": SAID[2], "bio": SAID[3],
            "phone": SAID[4], "skills": [SAID[5]], "interests": [SAID[6]] });
        self.put("/v1/users/me/profile", profile).await;
        let student = json!({ "student_no": SAID[7], "major": SAID[8], "grad_year": 2027, "gpa": 3500, "classroom": SAID[9],
            "source": "self" });
        self.put("/v1/users/me/profile/student", student).await;
        let alumni = json!({ "grad_year": 2019, "degree": SAID[10], "company": SAID[11], "position": SAID[12],
            "industry": SAID[13], "linkedin": SAID[14] });
        self.put("/v1/users/me/profile/alumni", alumni).await;
        let offer = json!({ "offered": true, "topics": [SAID[34]], "availability": { "monday": SAID[35] } });
        self.put("/v1/users/me/profile/mentor-offer", offer).await;
        let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let consent = json!({ "purpose": "bias_monitoring", "text_version": "1", "text_hash": hash });
        self.post("/v1/privacy/consents", consent).await;
        let demographics = json!({ "attributes": { "gender": SAID[15] }, "consent": self.person.id });
        self.put("/v1/users/me/demographics", demographics).await;
        let preferences = json!({ "locale": "en", "currency": "USD", "tz": "UTC", "theme": SAID[30],
            "accessibility": { "reader": SAID[31] } });
        self.put("/v1/users/me/preferences", preferences).await;
        // What is refused is kept nowhere.
        let wrong = json!({ "phone": SAID[29] });
        self.send(&self.person, Method::PUT, "/v1/users/me/profile", wrong, 400).await;
        let broken = format!("{{\"bio\": \"{}\", ", SAID[29]);
        let path = format!("/v1/users/me/profile?{}={}", SAID[29], SAID[29]);
        let request = self.annals.request(&self.person, Method::PUT, &path).body(broken);
        assert!(self.annals.send(request).await.unwrap().status.is_client_error());
    }

    async fn apply(&mut self) {
        let to = format!("/v1/opportunities/scholarship-application/{}", self.application);
        let start = json!({ "scholarship": self.scholarship, "applicant": self.person.id });
        // One that was given up at once.
        let given_up = format!("/v1/opportunities/scholarship-application/{}", Uuid::now_v7());
        self.post(&format!("{given_up}/start-application"), start.clone()).await;
        self.post(&format!("{given_up}/withdraw-application"), json!({ "reason": SAID[33] })).await;
        self.post(&format!("{to}/start-application"), start).await;
        let draft =
            json!({ "essays": { "Why?": SAID[16] }, "documents": [], "answers": { "Hobby?": SAID[17] } });
        self.put(&format!("/v1/applications/{}/draft", self.application), draft).await;
        let recommendation =
            json!({ "request": Uuid::now_v7(), "recommender_email": KEPT[0], "message": SAID[18] });
        self.post(&format!("{to}/request-recommendation"), recommendation).await;
        self.post(&format!("{to}/submit-application"), json!({ "declaration": true })).await;
        let page = format!("/v1/applications/{}", self.application);
        self.annals.until(&self.person, &page, |row| row["score"].as_i64()).await;
        let by_staff = async |command: &str, body| {
            self.send(&self.staff, Method::POST, &format!("{to}/{command}"), body, 200).await
        };
        by_staff("assign-reviewer", json!({ "reviewer": self.staff.id })).await;
        let review = json!({ "reviewer": self.staff.id, "scores": { "merit": 9000 }, "comment": SAID[19],
            "recommendation": "award" });
        by_staff("record-review", review).await;
        let mine = self.annals.get(&self.person, "/v1/decisions/mine").await.ok();
        let decision = mine["items"][0]["id"].as_str().unwrap().to_owned();
        self.post(&format!("/v1/decisions/{decision}/contest"), json!({ "reason": SAID[20] })).await;
        let (reviewer, review) =
            (self.annals.caller(&["reviewer"]), format!("/v1/decisions/{decision}/review"));
        let upheld = json!({ "verdict": "upheld", "reason": SAID[36] });
        self.send(&reviewer, Method::POST, &review, upheld, 200).await;
        self.pages.0.extend([
            page.clone(),
            format!("{page}/reviews"),
            "/v1/applications".into(),
            format!("/v1/scholarships/{}/funnel?major={}", self.scholarship, SUMMED.to_lowercase()),
            "/v1/people".into(),
            format!("/v1/people/{}", self.person.id),
        ]);
        self.pages.1.extend([page, "/v1/decisions/mine".into(), "/v1/users/me/profile".into()]);
    }

    async fn spend(&mut self) {
        let setup = json!({ "currency": "USD", "tz": "UTC", "country": "US", "income": { "minor": AMOUNTS[0], "ccy": "USD" },
            "needs": 5000, "wants": 3000, "savings": 2000, "mode": "auto" });
        self.post("/v1/budget/setup", setup).await;
        let category = json!({ "key": "own", "class": "wants", "level": 3, "essential": false, "weight": 100,
            "pacing": "even", "keywords": [SAID[21]] });
        self.post("/v1/budget/categories", category).await;
        let expense = json!({ "kind": "expense", "amount": { "minor": AMOUNTS[1], "ccy": "USD" }, "merchant": SAID[22],
            "note": SAID[23], "spent_at": "1993-05-03T12:00:00Z", "category": "dining", "source": "manual",
            "external_ref": SAID[32] });
        let transaction = self.post("/v1/transactions", expense).await;
        let amended = json!({ "amount": { "minor": AMOUNTS[2], "ccy": "USD" }, "merchant": SAID[24] });
        self.put(&format!("/v1/transactions/{transaction}"), amended).await;
        let other = json!({ "kind": "expense", "amount": { "minor": 100, "ccy": "USD" }, "spent_at": "1993-05-04T12:00:00Z",
            "category": "dining", "source": "manual" });
        let voided = self.post("/v1/transactions", other).await;
        let void = json!({ "reason": SAID[28] });
        self.send(&self.person, Method::DELETE, &format!("/v1/transactions/{voided}"), void, 200).await;
        self.pages.1.extend([
            "/v1/transactions".into(),
            format!("/v1/transactions/{transaction}"),
            "/v1/budget/envelopes/1993-05".into(),
            "/v1/budget/calendar/1993-05".into(),
            "/v1/budget/redistributions".into(),
        ]);
    }

    async fn disclose(&mut self) {
        let access = json!({ "regime": "gdpr", "type": "access", "classes": [], "details": SAID[25] });
        self.post("/v1/privacy/requests", access).await;
        let by_officer = async |path: &str, body| {
            self.send(&self.officer, Method::POST, path, body, 200).await["id"].as_str().map(str::to_owned)
        };
        let emergency = json!({ "subject": self.person.id, "party": KEPT[1], "party_kind": "emergency",
            "records": ["transcript"], "interest": "Safety", "basis": "99.31(a)(10)", "redisclosure_to": [] });
        let disclosure = by_officer("/v1/disclosures", emergency).await.unwrap();
        by_officer(&format!("/v1/disclosures/{disclosure}/authorize"), json!({})).await;
        let record = json!({ "documents": [Uuid::now_v7()], "method": "mail", "at": Timestamp::now(), "threat": SAID[26] });
        by_officer(&format!("/v1/disclosures/{disclosure}/record"), record).await;
        let consent = json!({ "consent": Uuid::now_v7(), "records": "transcript", "purpose": "Work", "party": KEPT[2],
            "signed_at": Timestamp::now(), "signature": Uuid::now_v7() });
        self.post("/v1/privacy/consents/disclosures", consent).await;
        let amendment = json!({ "regime": "ferpa", "type": "amendment", "classes": ["education"],
            "records": ["transcript"], "details": SAID[27] });
        let amendment = self.post("/v1/privacy/requests", amendment).await;
        self.post(&format!("/v1/privacy/requests/{amendment}/cancel"), json!({})).await;
        self.pages.0.push(format!("/v1/privacy/inventory/{}", self.person.id));
        self.pages.1.extend(
            ["privacy/requests", "privacy/consents", "disclosures/me", "privacy/inventory/me", "audit/me"]
                .map(|page| format!("/v1/{page}")),
        );
    }

    /// Everything that people read of the person, in one text.
    async fn read(&self) -> String {
        let pool = self.annals.database().await;
        let head: i64 =
            sqlx::query_scalar("SELECT position FROM annals.head").fetch_one(&pool).await.unwrap();
        let mut read = String::new();
        for (reader, pages) in [(&self.staff, &self.pages.0), (&self.person, &self.pages.1)] {
            for page in pages {
                let reader = if page.contains("inventory/0") { &self.officer } else { reader };
                let joint = if page.contains('?') { '&' } else { '?' };
                let fresh = match page.contains("inventory") || page.contains("audit") {
                    true => page.clone(),
                    false => format!("{page}{joint}min_position={head}"),
                };
                let request = self.annals.request(reader, Method::GET, &fresh).header("User-Agent", KEPT[3]);
                let answer = self.annals.send(request).await.unwrap();
                assert!(answer.status.is_success(), "{page}: {} {}", answer.status, answer.body);
                read += &answer.body.to_string();
            }
        }
        read
    }

    /// Has the person erased, from the request to its completion, over HTTP.
    async fn erase(&self) -> Value {
        let open = json!({ "regime": "gdpr", "type": "erasure", "classes": [], "details": SAID[25] });
        let request = self.post("/v1/privacy/requests", open).await;
        let path = format!("/v1/privacy/requests/{request}");
        self.post(&format!("{path}/verify"), json!({ "method": "session" })).await;
        self.send(&self.officer, Method::POST, &format!("{path}/approve"), json!({}), 200).await;
        self.annals
            .until(&self.officer, &path, |row| (row["state"] == "completed").then(|| row.clone()))
            .await
    }

    /// Until the read models know of everything that was destroyed.
    async fn forgotten(&self) {
        let pool = self.annals.database().await;
        let forgotten =
            "SELECT h.shreds >= (SELECT max(id) FROM annals_keys.shreds) FROM annals.projection_head h";
        let begun = std::time::Instant::now();
        while !sqlx::query_scalar::<_, bool>(forgotten).fetch_one(&pool).await.unwrap() {
            assert!(begun.elapsed() < annals_tests::PATIENCE, "the read models are not rebuilt");
            tokio::task::yield_now().await;
        }
    }

    /// Has PostgreSQL write down everything that it may ever write down: pages, and statistics of columns.
    async fn settle(&self) {
        let pool = self.annals.database().await;
        // A checkpoint leaves pages of UNLOGGED tables in memory, but for the one before a database is copied by file.
        let copy = "CREATE DATABASE copied STRATEGY file_copy";
        for statement in ["ANALYZE", copy, "DROP DATABASE copied", "CHECKPOINT"] {
            sqlx::raw_sql(statement).execute(&pool).await.unwrap();
        }
    }

    /// The files of tables that are not in the WAL.
    async fn unlogged(&self) -> Vec<String> {
        let pool = self.annals.database().await;
        let paths =
            "SELECT pg_relation_filepath(oid) FROM pg_class WHERE relpersistence = 'u' AND relfilenode <> 0";
        sqlx::query_scalar(paths).fetch_all(&pool).await.unwrap()
    }

    /// What PostgreSQL knows of the values in columns, and every logged row, as text: a file may hold them compressed.
    async fn tables(&self) -> String {
        let pool = self.annals.database().await;
        let statistics: Vec<String> =
            sqlx::query_scalar("SELECT s::text FROM pg_stats s").fetch_all(&pool).await.unwrap();
        let mut dump = Command::new("pg_dump");
        dump.args(["--no-unlogged-table-data", "--dbname", &self.annals.env["ANNALS_DATABASE_URL"]]);
        statistics.join("\n") + &printed(dump)
    }

    /// An audit replay under which everything may be decrypted: one officer opens it, another one approves.
    async fn replay(&self) -> String {
        let (one, other) = (self.annals.elevated(&["compliance"]), self.annals.elevated(&["compliance"]));
        let open = json!({ "purpose": "gdpr", "scope": {}, "decrypt": true, "reason": "Is anything left?" });
        let opened = self.send(&one, Method::POST, "/v1/audit/replays", open, 200).await;
        let replay = opened["id"].as_str().unwrap().to_owned();
        self.send(&other, Method::POST, &format!("/v1/audit/replays/{replay}/approve"), json!({}), 200).await;
        replay
    }

    fn backup(&self, name: &str) -> (String, String) {
        let folder = |part: &str| self.annals.folder.join(name).join(part).display().to_string();
        let (log, keys) = (folder("log"), folder("keys"));
        self.annals.replay(&["backup", "--out", &log, "--keys-out", &keys], &[]);
        (log, keys)
    }
}

fn printed(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An archive of PostgreSQL's own format as text: it is compressed.
fn unpacked(archive: &str) -> String {
    let mut restore = Command::new("pg_restore");
    restore.args(["--file", "-", archive]);
    printed(restore)
}

type Found<'a> = BTreeMap<PathBuf, BTreeSet<&'a str>>;

/// What is in other files than those of these tables.
fn elsewhere<'a>(found: Found<'a>, tables: &[String]) -> Found<'a> {
    let of_table = |path: &Path| {
        let path = path.to_str().unwrap();
        tables.iter().any(|table| path.contains(&format!("/{table}")))
    };
    found.into_iter().filter(|(path, _)| !of_table(path)).collect()
}

#[tokio::test]
async fn gov_p4_an_erasure_leaves_nothing_and_no_backup_brings_anything_back() {
    let world = World::new().await;
    let everything = Needles::new(&[&SAID[..], &KEPT[..]].concat(), &AMOUNTS);
    let erased = Needles::new(&SAID, &AMOUNTS);
    let read = world.read().await;
    let seen = erased.within(read.as_bytes());
    let read = [0, 3, 5, 8, 16, 19, 20, 23, 24, 25, 26, 31].map(|number| SAID[number]);
    assert!(read.iter().all(|value| seen.contains(value)), "people read what was said: {seen:?}");
    let replay = world.replay().await;
    let opened = ["--decrypt", "--purpose", "gdpr", "--reason", "Is anything left?", "--replay", &*replay];
    let (log, keys) = world.backup("before");

    // Before the erasure: in the clear nowhere but in the tables that are not in the WAL.
    world.settle().await;
    let tables = world.unlogged().await;
    let found = everything.below(&world.annals.folder);
    assert!(
        found.values().any(|values| values.contains(SUMMED)),
        "the search finds what is there: {found:?}"
    );
    assert_eq!(elsewhere(found, &tables), Found::new());
    for text in [world.tables().await, unpacked(&format!("{log}/log.dump")), world.annals.logs()] {
        assert_eq!(everything.within(text.as_bytes()), BTreeSet::new());
    }

    let request = world.erase().await;
    world.forgotten().await;
    world.settle().await;

    // Open work was cancelled before the keys went (P-53).
    let application = world.annals.get(&world.staff, &world.pages.0[0]).await.ok();
    assert_eq!(application["status"], "withdrawn", "{application:#}");
    let contexts = "SELECT payload -> 'FulfilmentStepRecorded' ->> 'context' FROM annals.events
        WHERE event_type = 'FulfilmentStepRecorded'";
    let pool = world.annals.database().await;
    let contexts: BTreeSet<String> =
        sqlx::query_scalar(contexts).fetch_all(&pool).await.unwrap().into_iter().collect();
    for context in ["identity", "opportunities", "budgeting", "intelligence", "governance"] {
        assert!(contexts.contains(context), "what {context} holds is listed: {contexts:?}");
    }

    // After it: nowhere at all.
    assert_eq!(everything.below(&world.annals.folder), Found::new(), "{request:#}");
    // The log is whole, and so is every row that serves.
    world.annals.replay(&["verify"], &[]);
    let (later, later_keys) = world.backup("after");
    let export = world.annals.folder.join("export");
    for format in ["ocel", "csv", "cloudevents", "parquet"] {
        let out = export.join(format).display().to_string();
        world.annals.replay(&[&["export", "--format", format, "--out", &out][..], &opened].concat(), &[]);
    }
    assert_eq!(erased.below(&export), Found::new());
    let metrics = reqwest::get(&world.annals.env["ANNALS_METRICS_URL"]).await.unwrap().text().await.unwrap();
    let read = world.read().await;
    for text in
        [read, metrics, world.annals.logs(), world.tables().await, unpacked(&format!("{later}/log.dump"))]
    {
        assert_eq!(erased.within(text.as_bytes()), BTreeSet::new());
    }
    assert_eq!(everything.below(Path::new(&later_keys)), Found::new());

    // The backup from before does not bring it back: the ledger of erasures is applied when the keys are opened.
    let pool = world.annals.database().await;
    sqlx::raw_sql("CREATE DATABASE restored").execute(&pool).await.unwrap();
    let url = world.annals.env["ANNALS_DATABASE_URL"].clone();
    let (server, _) = url.rsplit_once('/').unwrap();
    let restored = format!("{server}/restored");
    let there = [("ANNALS_DATABASE_URL", &*restored)];
    world.annals.replay(&["restore", "--from", &log, "--keys-from", &keys], &there);
    let person = world.person.id.to_string();
    let said = world.annals.replay(&[&["subject", &*person][..], &opened].concat(), &there);
    assert!(said.contains("«erased»") && said.contains("ProfileRevised"), "{said}");
    assert_eq!(erased.within(said.as_bytes()), BTreeSet::new());
    world.annals.replay(&["rebuild", "scholarship_funnel"], &there);
    world.settle().await;
    assert_eq!(erased.below(&world.annals.folder.join("data")), Found::new());
}
