//! What analysts see in SQL.

use sqlx::{Connection, PgConnection, Row};

use crate::world::*;

async fn analyst(world: &World) -> PgConnection {
    let mut connection = world.database.connect().await;
    sqlx::raw_sql("SET ROLE annals_analyst").execute(&mut connection).await.unwrap();
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn analysts_read_the_trail_with_pseudonyms_and_nothing_of_the_log_itself() {
    let world = World::campus().await;
    let mut sql = analyst(&world).await;
    let texts: Vec<String> =
        sqlx::query_scalar("SELECT t::text FROM read.audit_trail t").fetch_all(&mut sql).await.unwrap();
    assert_eq!(texts.len() as u64, world.store.head().await.unwrap().position);
    let mut edges: Vec<String> =
        sqlx::query_scalar("SELECT e::text FROM read.lineage_edges e").fetch_all(&mut sql).await.unwrap();
    edges.extend(texts);
    for id in [ADMIN, REVIEWER, student(5), student(6), unit(5), decision(5)] {
        assert!(edges.iter().all(|row| !row.contains(&id.to_string())), "{id}");
    }
    for forbidden in [
        "SELECT FROM annals.events",
        "SELECT annals.pseudonymous('user:1')",
        "SELECT annals.pseudonym_of('1')",
    ] {
        assert!(sqlx::query(forbidden).execute(&mut sql).await.is_err(), "{forbidden}");
    }
    sql.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_says_who_did_what_to_what_and_why_by_pseudonym() {
    let world = World::campus().await;
    let mut sql = analyst(&world).await;
    let counted = "SELECT split_part(actor, ':', 1), count(*), count(DISTINCT actor) FROM read.audit_trail
        GROUP BY 1 ORDER BY 1";
    let rows = sqlx::query(counted).fetch_all(&mut sql).await.unwrap();
    let rows: Vec<(String, i64, i64)> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let (units, students) = (UNITS as i64, STUDENTS as i64);
    // Units are made and changed by two people; students describe themselves (once twice in one go), five contest.
    let by_people = 5 * units + 3 * students + 2 * (students / 5);
    assert_eq!(rows, [("policy".into(), 2 * students, 2), ("user".into(), by_people, 3 + students)]);
    let own = "SELECT count(*) FROM read.audit_trail
        WHERE action = 'ProfileRevised' AND actor = 'user:' || subjects[1] AND subjects[1] = resource_id";
    let own: i64 = sqlx::query_scalar(own).fetch_one(&mut sql).await.unwrap();
    assert_eq!(own, 2 * students);
    let acted_for: i64 =
        sqlx::query_scalar("SELECT count(*) FROM read.audit_trail WHERE on_behalf_of LIKE 'user:%'")
            .fetch_one(&mut sql)
            .await
            .unwrap();
    assert_eq!(acted_for, 4 * units / 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_can_be_followed_from_a_source_to_what_came_of_it() {
    let world = World::campus().await;
    let mut sql = analyst(&world).await;
    let reached = "WITH RECURSIVE reached AS (
            SELECT to_node FROM read.lineage_edges WHERE kind = 'derived_from' AND transformation = $1
            UNION SELECT e.to_node FROM reached r JOIN read.lineage_edges e ON e.from_node = r.to_node AND e.kind = 'causation'
        ) SELECT count(*) FROM reached";
    let reached: i64 = sqlx::query_scalar(reached).bind(ENGINE).fetch_one(&mut sql).await.unwrap();
    assert_eq!(reached, 2 * STUDENTS as i64);
    let joined = "SELECT count(*) FROM read.lineage_edges d JOIN read.lineage_edges r
            ON r.kind = 'recorded' AND r.to_node = d.from_node AND r.version = d.version
        WHERE d.kind = 'derived_from'";
    let joined: i64 = sqlx::query_scalar(joined).fetch_one(&mut sql).await.unwrap();
    assert_eq!(joined, 2 * STUDENTS as i64, "a profile and a unit for each decision, by the same pseudonyms");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_purpose_names_anybody() {
    let world = World::empty().await;
    let account = student(1);
    let written = [
        ("identity.account", format!("invited by user:{account}")),
        ("identity.account", format!("{} and {}", account.to_string().to_uppercase(), account.simple())),
        ("identity.account", "administration".to_owned()),
        ("governance.access_log", "to look up Ada Lovelace".to_owned()),
    ];
    let (types, purposes): (Vec<&str>, Vec<String>) = written.into_iter().unzip();
    let insert = "WITH moved AS (UPDATE annals.head SET position = 4)
        INSERT INTO annals.events (position, recorded_at, sequence, event_id, aggregate_type, aggregate_id, event_type,
            event_version, payload, metadata)
        SELECT n, now(), n, gen_random_uuid(), type, 'x', 'Done', '1', '{}', json_build_object('purpose', purpose)
        FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w(type, purpose, n)";
    sqlx::query(insert).bind(types).bind(purposes).execute(world.store.pool()).await.unwrap();
    let mut sql = analyst(&world).await;
    let shown: Vec<Option<String>> =
        sqlx::query_scalar("SELECT purpose FROM read.audit_trail ORDER BY position")
            .fetch_all(&mut sql)
            .await
            .unwrap();
    let said = |text: &str| Some(text.to_owned());
    assert_eq!(shown, [said("invited by user:…"), said("… and …"), said("administration"), None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_is_not_as_it_should_be_does_not_break_the_views() {
    let world = World::empty().await;
    world.create_unit(0).await;
    let odd = r#"{"actor":"nobody","occurred_at":"yesterday","subjects":"x  y","derived_from":"file a:b@99999999999999999999 c:d@3","causation_id":"?"}"#;
    let insert = "WITH moved AS (UPDATE annals.head SET position = 2)
        INSERT INTO annals.events (position, recorded_at, sequence, event_id, aggregate_type, aggregate_id, event_type,
            event_version, payload, metadata)
        VALUES (2, now(), 1, gen_random_uuid(), 'odd', 'not-a-uuid', 'Odd', '1', '{}', $1::json)";
    sqlx::query(insert).bind(odd).execute(world.store.pool()).await.unwrap();
    let mut sql = analyst(&world).await;
    let trail: i64 =
        sqlx::query_scalar("SELECT count(*) FROM (SELECT t::text FROM read.audit_trail t OFFSET 0) x")
            .fetch_one(&mut sql)
            .await
            .unwrap();
    assert_eq!(trail, 2);
    let edges: Vec<String> =
        sqlx::query_scalar("SELECT e::text FROM read.lineage_edges e WHERE position = 2")
            .fetch_all(&mut sql)
            .await
            .unwrap();
    assert_eq!(edges.len(), 5);
    assert!(edges.iter().all(|edge| !edge.contains("not-a-uuid")));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_column_of_the_views_says_what_it_is() {
    let world = World::empty().await;
    let silent: Vec<String> = sqlx::query_scalar(
        "SELECT a.attname::text FROM pg_attribute a
         WHERE a.attrelid IN ('read.audit_trail'::regclass, 'read.lineage_edges'::regclass) AND a.attnum > 0
             AND col_description(a.attrelid, a.attnum) IS NULL",
    )
    .fetch_all(world.store.pool())
    .await
    .unwrap();
    assert!(silent.is_empty(), "{silent:?}");
}
