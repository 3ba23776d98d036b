//! The other ways to read: in GraphQL, from a node that runs as a process of its own.

use annals_tests::{Annals, Answer, Caller};
use reqwest::Method;
use serde_json::{Value, json};

use super::flows::{scholarship, submitted};

async fn ask(annals: &Annals, caller: &Caller, query: &str) -> Answer {
    let request = annals.request(caller, Method::POST, "/v1/graphql").json(&json!({ "query": query }));
    annals.send(request).await.unwrap()
}

#[tokio::test]
async fn each_role_sees_in_graphql_what_the_paths_show_it_and_nobody_breaks_anything_with_it() {
    let annals = Annals::start().await;
    let (student, staff) = (annals.caller(&["student"]), annals.caller(&["staff"]));
    let (other, analyst) = (annals.caller(&["student"]), annals.caller(&["analyst"]));
    let scholarship = scholarship(&annals).await;
    let (application, position) = submitted(&annals, &student, scholarship, "Because.").await;
    for caller in [&student, &staff, &other, &analyst] {
        let path = format!("/v1/applications?min_position={position}&fields=id,status");
        let path = annals.get(caller, &path).await;
        let query = format!(
            "{{ applications(min_position: {position}) {{ items {{ id status }} }}
                one: applications_by_id(id: \"{application}\") {{ id status }} }}"
        );
        let told = ask(&annals, caller, &query).await.ok();
        assert_eq!(told["data"]["applications"]["items"], path.ok()["items"], "{told}");
        let one = annals.get(caller, &format!("/v1/applications/{application}?fields=id,status")).await;
        match one.status.as_u16() {
            200 => assert_eq!(told["data"]["one"], one.body),
            _ => assert_eq!(told["errors"][0]["extensions"]["code"], one.body["code"], "{told}"),
        }
    }
    let mine = ask(&annals, &student, "{ applications { items { id } } }").await.ok();
    assert_eq!(mine["data"]["applications"]["items"], json!([{ "id": application }]));
    let theirs = ask(&annals, &other, "{ applications { items { id } } }").await.ok();
    assert_eq!(theirs["data"]["applications"]["items"], json!([]));

    let aliases: String = (0..101).map(|n| format!("a{n}: orgs {{ next }} ")).collect();
    for query in [
        "{ orgs { items { colour } } }".to_owned(),
        format!("{{ {aliases} }}"),
        format!("{}a{}", "{ a ".repeat(5000), " }".repeat(5000)),
        "{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }".to_owned(),
    ] {
        let told = ask(&annals, &student, &query).await.ok();
        assert!(told.get("data").is_none(), "{query:.100}");
        assert_eq!(told["errors"][0]["extensions"]["code"], "Malformed", "{told}");
    }
    let large = ask(&annals, &student, &"#".repeat(2_000_000)).await;
    assert_eq!(large.problem(), (413, "TooLarge".to_owned()));
    let stranger = reqwest::Client::new().post(format!("{}/v1/graphql", annals.url));
    let stranger = stranger.json(&json!({ "query": "{ orgs { next } }" }));
    let (status, code) = annals.send(stranger).await.unwrap().problem();
    assert_eq!((status, &*code), (401, "Unauthenticated"));
    assert_eq!(ask(&annals, &student, "{ orgs { position } }").await.ok()["errors"], Value::Null);
}
