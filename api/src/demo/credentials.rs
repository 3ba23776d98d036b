//! Two institutions publish micro-credentials, and one of them recognises what the other teaches.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    client::{Client, DemoError, Person},
    id,
};

const CREDENTIAL: &str = "credentials/micro-credential";

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Recognised {
    /// Credentials that were published.
    pub credentials: usize,
    /// Recognitions that were approved.
    pub approved: usize,
    /// What the assessments said.
    pub assessments: Vec<String>,
}

/// A program: its code, title, hours, credits and outcomes.
struct Program {
    institution: &'static str,
    code: &'static str,
    title: &'static str,
    hours: u32,
    credits: u32,
    outcomes: &'static [&'static str],
}

const PROGRAMS: &[Program] = &[
    Program {
        institution: "north",
        code: "NTC-DATA-1",
        title: "Foundations of data analysis",
        hours: 60,
        credits: 3000,
        outcomes: &[
            "Clean and transform tabular data with spreadsheet and SQL tools",
            "Summarise data with descriptive statistics and charts",
            "Explain what a statistical test can and cannot show",
        ],
    },
    Program {
        institution: "south",
        code: "SU-STAT-110",
        title: "Introduction to applied statistics",
        hours: 64,
        credits: 3000,
        outcomes: &[
            "Clean and transform data in tables using SQL and spreadsheets",
            "Summarise data with descriptive statistics, tables and charts",
            "Interpret the result of a statistical test and explain what it shows",
        ],
    },
    Program {
        institution: "north",
        code: "NTC-WELD-1",
        title: "Shielded metal arc welding",
        hours: 120,
        credits: 6000,
        outcomes: &[
            "Set up and adjust equipment for shielded metal arc welding",
            "Weld fillet and groove joints in all positions to code",
        ],
    },
];

pub(super) async fn load(client: &Client, admin: &Person) -> Result<Recognised, DemoError> {
    for (key, code, name) in
        [("north", "NTC", "Northern Technical College"), ("south", "SU", "Southern University")]
    {
        let org = json!({ "kind": "institution", "code": code, "name": name, "type": "university", "country": "US" });
        client.command(admin, "identity/org-unit", id(&["org", key]), "create-org-unit", org).await?;
    }
    for program in PROGRAMS {
        publish(client, program).await?;
    }
    let south = id(&["org", "south"]);
    let registrar = Person::with(
        id(&["registrar", "south"]),
        &[&format!("institution_admin@{south}"), "institution_admin"],
    );
    let mut recognised = Recognised { credentials: PROGRAMS.len(), ..Recognised::default() };
    for program in PROGRAMS.iter().filter(|program| program.institution == "north") {
        let recognition = id(&["recognition", program.code]);
        let proposal = json!({
            "credential": id(&["credential", program.code]),
            "institution": south,
            "type": "full_credit",
            "transcript": "listed",
            "effective": "2026-09-01",
        });
        client
            .command(&registrar, "credentials/recognition", recognition, "propose-recognition", proposal)
            .await?;
        let advice = assessed(client, &registrar, recognition).await?;
        recognised.assessments.push(format!("{}: {advice}", program.title));
        let (decision, fields) = if advice == "reject" {
            ("reject-recognition", json!({ "reason": "the assessment finds no comparable program" }))
        } else {
            recognised.approved += 1;
            ("approve-recognition", json!({ "approval_reference": format!("SENATE-2026-{}", program.code) }))
        };
        client.command(&registrar, "credentials/recognition", recognition, decision, fields).await?;
    }
    Ok(recognised)
}

async fn publish(client: &Client, program: &Program) -> Result<(), DemoError> {
    let institution = id(&["org", program.institution]);
    let credential = id(&["credential", program.code]);
    // Whoever submits may not publish (CRD-M3): two people.
    let author =
        Person::with(id(&["author", program.institution]), &[&format!("program_coordinator@{institution}")]);
    let dean =
        Person::with(id(&["dean", program.institution]), &[&format!("institution_admin@{institution}")]);
    let draft = json!({
        "program_code": program.code,
        "title": program.title,
        "description": format!("{} — a short program with an assessed final task and a certificate.", program.title),
        "institution": institution,
        "type": "micro_credential",
        "delivery": "hybrid",
        "hours": program.hours,
        "credits": program.credits,
        "level": "introductory",
        "language": "en",
    });
    client.command(&author, CREDENTIAL, credential, "draft-credential", draft).await?;
    for (order, text) in program.outcomes.iter().enumerate() {
        let outcome = id(&["outcome", program.code, &order.to_string()]);
        let fields = json!({ "outcome": outcome, "text": text, "core": true, "order": order });
        client.command(&author, CREDENTIAL, credential, "add-learning-outcome", fields).await?;
    }
    client.command(&author, CREDENTIAL, credential, "submit-credential-for-review", json!({})).await?;
    client
        .command(&dean, CREDENTIAL, credential, "publish-credential", json!({ "effective": "2026-09-01" }))
        .await?;
    Ok(())
}

/// What the assessment advises, once the policy has made it.
async fn assessed(client: &Client, person: &Person, recognition: Uuid) -> Result<String, DemoError> {
    let path = "/v1/recognitions?limit=200";
    let advice = |rows: Vec<Value>| {
        let row = rows.into_iter().find(|row| row["id"] == json!(recognition))?;
        row["recommendation"]
            .as_str()
            .or_else(|| row["assessment"]["recommendation"].as_str())
            .map(str::to_owned)
    };
    client.until("an assessment", person, path, advice).await
}
