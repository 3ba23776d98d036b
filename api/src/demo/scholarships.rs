//! Applicants of the law-school study apply, are scored, reviewed by figures and awarded.

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    IN_FLIGHT,
    client::{Client, DemoError, Person},
    id,
};

const APPLICANTS: &str = include_str!("../../demo/law-school-applicants.csv");
const AWARDS: usize = 10;
const APPLICATION: &str = "opportunities/scholarship-application";

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Awarded {
    /// Applications that were submitted.
    pub submitted: usize,
    /// Awards that were accepted.
    pub accepted: usize,
    /// The scholarship.
    pub scholarship: Uuid,
}

#[derive(serde::Deserialize)]
struct Row {
    decile1b: f64,
    decile3: f64,
    lsat: f64,
    ugpa: f64,
    tier: f64,
}

struct Applicant {
    person: Person,
    application: Uuid,
    row: Row,
}

pub(super) async fn load(client: &Client, admin: &Person) -> Result<Awarded, DemoError> {
    let sponsor = id(&["org", "sponsor"]);
    let scholarship = id(&["scholarship", "law"]);
    let staff = Person::with(id(&["staff"]), &["staff"]);
    let org = json!({ "kind": "sponsor", "code": "LSAC-FUND", "name": "Law School Access Fund", "type": "other", "country": "US" });
    client.command(admin, "identity/org-unit", sponsor, "create-org-unit", org).await?;
    let draft = json!({
        "title": "Law School Access Scholarship",
        "description": "For students of law, by merit. Ten awards of 5,000.00 USD each.",
        "sponsor": sponsor,
        "award": { "minor": 500_000, "ccy": "USD" },
        "max_awards": AWARDS,
        "opens_at": "2026-01-01T00:00:00Z",
        "deadline": "2099-12-31T23:59:59Z",
        "min_gpa": 3000,
        "majors": ["Law"],
        "grad_years": [2027],
        "tags": ["rolling", "law"],
        "essay_prompts": ["Evidence of merit"],
        "recommendations_required": 0,
        "renewable": false,
    });
    client.command(&staff, "opportunities/scholarship", scholarship, "draft-scholarship", draft).await?;
    client
        .command(&staff, "opportunities/scholarship", scholarship, "publish-scholarship", json!({}))
        .await?;

    let applicants = applicants()?;
    stream::iter(&applicants)
        .map(|applicant| apply(client, scholarship, applicant))
        .buffer_unordered(IN_FLIGHT)
        .try_collect::<Vec<()>>()
        .await?;

    // Policies score every submission; the read model shows it when it is there.
    let path = format!("/v1/applications?scholarship={scholarship}&limit=200");
    let scored = client.until("the scores of all applications", &staff, &path, |rows| {
        let scored = rows.iter().filter(|row| row["score"].is_i64()).count();
        (scored == applicants.len()).then_some(rows)
    });
    let scored = scored.await?;
    let mut ranked: Vec<&Applicant> = applicants.iter().collect();
    let score = |applicant: &Applicant| {
        let row = scored.iter().find(|row| row["id"] == json!(applicant.application));
        row.and_then(|row| row["score"].as_i64()).unwrap_or_default()
    };
    // The score first; among equals the LSAT, then the grade points.
    ranked.sort_by_key(|applicant| {
        let row = &applicant.row;
        std::cmp::Reverse((
            score(applicant),
            (row.lsat * 10.0) as i64,
            (row.ugpa * 1000.0) as i64,
            applicant.application,
        ))
    });
    let awarded = &ranked[..AWARDS];
    for applicant in awarded {
        let selection =
            json!({ "application": applicant.application, "amount": { "minor": 500_000, "ccy": "USD" } });
        client.command(&staff, "opportunities/scholarship", scholarship, "select-awardee", selection).await?;
    }
    let wait = |state: &'static str| {
        move |rows: Vec<Value>| {
            let reached = |applicant: &&Applicant| {
                let row = rows.iter().find(|row| row["id"] == json!(applicant.application));
                row.is_some_and(|row| row["status"] == state || row["status"] == "accepted")
            };
            awarded.iter().all(reached).then_some(())
        }
    };
    client.until("the awards", &staff, &path, wait("awarded")).await?;
    for applicant in awarded {
        client
            .command(&applicant.person, APPLICATION, applicant.application, "accept-award", json!({}))
            .await?;
    }
    client.until("the acceptances", &staff, &path, wait("accepted")).await?;
    Ok(Awarded { submitted: applicants.len(), accepted: awarded.len(), scholarship })
}

fn applicants() -> Result<Vec<Applicant>, DemoError> {
    let mut reader = csv::Reader::from_reader(APPLICANTS.as_bytes());
    let rows = reader.deserialize().enumerate().map(|(number, row)| {
        let row: Row = row.map_err(|error| DemoError::Data(error.to_string()))?;
        let number = number.to_string();
        let person = Person::with(id(&["applicant", &number]), &["student"]);
        Ok(Applicant { person, application: id(&["application", &number]), row })
    });
    rows.collect()
}

async fn apply(client: &Client, scholarship: Uuid, applicant: &Applicant) -> Result<(), DemoError> {
    let Applicant { person, application, row } = applicant;
    let facet = json!({
        "student_no": format!("LSAC-{}", &person.id.simple().to_string()[..8]),
        "major": "Law",
        "grad_year": 2027,
        "gpa": (row.ugpa * 1000.0).round() as i64,
        "source": "self",
    });
    client.command(person, "identity/profile", person.id, "set-student-facet", facet).await?;
    let start = json!({ "scholarship": scholarship, "applicant": person.id });
    client.command(person, APPLICATION, *application, "start-application", start).await?;
    let evidence = format!(
        "LSAT {}; undergraduate grade points {}; class decile {} in the first and {} in the third year; school tier {}.",
        row.lsat, row.ugpa, row.decile1b, row.decile3, row.tier
    );
    let draft = json!({ "essays": { "Evidence of merit": evidence }, "documents": [] });
    client.command(person, APPLICATION, *application, "save-application-draft", draft).await?;
    client
        .command(person, APPLICATION, *application, "submit-application", json!({ "declaration": true }))
        .await?;
    Ok(())
}
