//! The three flagship flows, from a command to what people read.

use annals_tests::{Annals, Caller};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) async fn org(annals: &Annals, kind: &str, code: &str) -> Uuid {
    let (admin, id) = (annals.caller(&["admin"]), Uuid::now_v7());
    let fields = json!({ "kind": kind, "code": code, "name": format!("The {code}"), "type": "university", "country": "US" });
    annals.command(&admin, "identity/org-unit", id, "create-org-unit", fields).await.ok();
    id
}

pub(crate) async fn scholarship(annals: &Annals) -> Uuid {
    let (staff, id) = (annals.caller(&["staff"]), Uuid::now_v7());
    let sponsor =
        org(annals, "sponsor", &format!("S-{}", &id.simple().to_string()[20..]).to_uppercase()).await;
    let draft = json!({
        "title": "Access", "description": "For students of law, by merit.", "sponsor": sponsor,
        "award": { "minor": 100_000, "ccy": "USD" }, "max_awards": 2,
        "opens_at": "2026-01-01T00:00:00Z", "deadline": "2099-01-01T00:00:00Z", "min_gpa": 3000,
        "majors": ["Law"], "grad_years": [2027], "tags": ["rolling"], "essay_prompts": ["Why?"],
        "recommendations_required": 0, "renewable": false,
    });
    annals.command(&staff, "opportunities/scholarship", id, "draft-scholarship", draft).await.ok();
    annals.command(&staff, "opportunities/scholarship", id, "publish-scholarship", json!({})).await.ok();
    id
}

/// A student's application, submitted; answers its id and the position of the submission.
pub(crate) async fn submitted(
    annals: &Annals,
    student: &Caller,
    scholarship: Uuid,
    essay: &str,
) -> (Uuid, Value) {
    const TO: &str = "opportunities/scholarship-application";
    let id = Uuid::now_v7();
    let facet =
        json!({ "student_no": "12345", "major": "Law", "grad_year": 2027, "gpa": 3500, "source": "self" });
    annals.command(student, "identity/profile", student.id, "set-student-facet", facet).await.ok();
    let start = json!({ "scholarship": scholarship, "applicant": student.id });
    annals.command(student, TO, id, "start-application", start).await.ok();
    let draft = json!({ "essays": { "Why?": essay }, "documents": [] });
    annals.command(student, TO, id, "save-application-draft", draft).await.ok();
    let position =
        annals.command(student, TO, id, "submit-application", json!({ "declaration": true })).await.ok();
    (id, position["position"].clone())
}

#[tokio::test]
async fn an_application_is_submitted_scored_selected_and_accepted() {
    let annals = Annals::start().await;
    let (staff, student) = (annals.caller(&["staff"]), annals.caller(&["student"]));
    let scholarship = scholarship(&annals).await;
    let (application, position) = submitted(&annals, &student, scholarship, "Because.").await;

    // Read your own write: the query waits for the position of the command.
    let mine =
        annals.get(&student, &format!("/v1/applications/{application}?min_position={position}")).await.ok();
    assert_eq!(mine["status"], "submitted");

    let path = format!("/v1/applications/{application}");
    let score = annals.until(&staff, &path, |row| row["score"].as_i64()).await;
    assert_eq!(score, 10_000, "major, grade points, year and the absent interests all count");

    let selection = json!({ "application": application, "amount": { "minor": 100_000, "ccy": "USD" } });
    annals.command(&staff, "opportunities/scholarship", scholarship, "select-awardee", selection).await.ok();
    annals.until(&student, &path, |row| (row["status"] == "awarded").then_some(())).await;
    annals
        .command(&student, "opportunities/scholarship-application", application, "accept-award", json!({}))
        .await
        .ok();
    annals.until(&student, &path, |row| (row["status"] == "accepted").then_some(())).await;
}

#[tokio::test]
async fn a_credential_is_recognised_on_an_assessment() {
    let annals = Annals::start().await;
    let (here, there) =
        (org(&annals, "institution", "HERE").await, org(&annals, "institution", "THERE").await);
    let text = "Clean and transform tabular data with SQL";
    for (institution, code) in [(here, "H-1"), (there, "T-1")] {
        let author = annals.caller(&[&format!("program_coordinator@{institution}")]);
        let dean = annals.caller(&[&format!("institution_admin@{institution}")]);
        let (id, to) = (Uuid::now_v7(), "credentials/micro-credential");
        let draft = json!({
            "program_code": code, "title": "Data", "institution": institution, "type": "micro_credential", "delivery": "online",
            "description": "A short program about the handling of data in tables, with a final task.",
            "hours": 40, "credits": 2000, "level": "introductory", "language": "en",
        });
        annals.command(&author, to, id, "draft-credential", draft).await.ok();
        let outcome = json!({ "outcome": Uuid::now_v7(), "text": text, "core": true, "order": 0 });
        annals.command(&author, to, id, "add-learning-outcome", outcome).await.ok();
        annals.command(&author, to, id, "submit-credential-for-review", json!({})).await.ok();
        let refused =
            annals.command(&author, to, id, "publish-credential", json!({ "effective": "2026-09-01" })).await;
        assert_eq!(refused.problem().0, 403);
        annals.command(&dean, to, id, "publish-credential", json!({ "effective": "2026-09-01" })).await.ok();
    }
    let registrar = annals.caller(&["institution_admin", &format!("institution_admin@{there}")]);
    let find = |code: &'static str| {
        move |body: &Value| {
            let rows = body["items"].as_array()?;
            rows.iter().find(|row| row["program_code"] == code && row["status"] == "published")?["id"]
                .as_str()
                .map(str::to_owned)
        }
    };
    let credential = annals.until(&registrar, "/v1/credentials", find("H-1")).await;
    annals.until(&registrar, "/v1/credentials", find("T-1")).await;
    let recognition = Uuid::now_v7();
    let proposal = json!({
        "credential": credential, "institution": there, "type": "full_credit", "transcript": "listed", "effective": "2026-09-01",
    });
    annals
        .command(&registrar, "credentials/recognition", recognition, "propose-recognition", proposal)
        .await
        .ok();
    let path = format!("/v1/recognitions/{recognition}");
    annals.until(&registrar, &path, |row| (row["state"] == "assessed").then_some(())).await;
    let approval = json!({ "approval_reference": "SENATE-1" });
    annals
        .command(&registrar, "credentials/recognition", recognition, "approve-recognition", approval)
        .await
        .ok();
    annals.until(&registrar, &path, |row| (row["state"] == "approved").then_some(())).await;
}

pub(crate) async fn budget(annals: &Annals, owner: &Caller, mode: &str) {
    let setup = json!({
        "currency": "USD", "tz": "UTC", "country": "US", "income": { "minor": 300_000, "ccy": "USD" },
        "needs": 5000, "wants": 3000, "savings": 2000, "mode": mode,
    });
    annals.command(owner, "budgeting/budget-profile", owner.id, "set-up-budget", setup).await.ok();
}

pub(crate) fn expense(owner: &Caller, category: &str, minor: i64, date: &str) -> Value {
    json!({
        "account": owner.id, "kind": "expense", "amount": { "minor": minor, "ccy": "USD" },
        "spent_at": format!("{date}T12:00:00Z"), "category": category, "source": "manual",
    })
}

#[tokio::test]
async fn a_budget_is_redistributed_and_not_a_cent_is_lost() {
    let annals = Annals::start().await;
    let owner = annals.caller(&["budget_user"]);
    budget(&annals, &owner, "auto").await;
    let spent = expense(&owner, "dining", 2_000, "1993-05-03");
    annals.command(&owner, "budgeting/transaction", Uuid::now_v7(), "record-transaction", spent).await.ok();
    let moved = annals
        .until(&owner, "/v1/budget/redistributions", |body| body["items"].as_array()?.first().cloned())
        .await;
    assert_eq!((&moved["to_category"], &moved["state"]), (&json!("dining"), &json!("applied")), "{moved:#}");
    let envelopes = annals.get(&owner, "/v1/budget/envelopes/1993-05").await.ok();
    let envelopes = envelopes["items"].as_array().unwrap().clone();
    let total: i64 = envelopes.iter().map(|row| row["envelope"]["minor"].as_i64().unwrap()).sum();
    assert_eq!(total, 300_000, "{envelopes:#?}");
}
