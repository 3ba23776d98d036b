//! What decisions ask of the read models: what no single stream can tell. Each answer is an indexed look-up.
//!
//! An answer says what the read models have seen so far. Whoever must not miss a certain event waits for it first, with
//! [`Projections::wait_for`], in each of the read models that [`asked`] names.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Actor, Answer, Question};
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    ProjectionError, Projections, Table,
    budgeting::{ClosedMonths, MerchantRules, Transactions},
    credentials::{Credentials, Recognitions},
    governance::{DisclosureLog, LogIndex, PrivacyRequests},
    identity::{Accounts, ApiClients, OrgDirectory, Sessions},
    opportunities::Applications,
    query::{Condition, LIMIT_MAX, Op, Query, QueryError},
};

/// The read models that a question is answered from; none where no read model answers it.
pub fn asked(question: &Question) -> &'static [&'static str] {
    match question {
        Question::Package { .. } => &[crate::governance::LogIndex::NAME],
        Question::LearnedCategory { .. } => &[MerchantRules::NAME],
        Question::PossibleDuplicate { .. } | Question::Spending { .. } => &[Transactions::NAME],
        Question::ClosedMonths { .. } => &[ClosedMonths::NAME],
        Question::RecognitionHistory { .. } => &[Recognitions::NAME, Credentials::NAME],
        Question::PublishedCredentials { .. } => &[Credentials::NAME],
        Question::HasActiveChildren { .. } => &[OrgDirectory::NAME],
        Question::Holdings { .. } => &[LogIndex::NAME],
        Question::OpenApplications { .. } => &[Applications::NAME],
        Question::LiveSessions { .. } | Question::IsNewDevice { .. } => &[Sessions::NAME],
        Question::Recipients { .. } => &[DisclosureLog::NAME, LogIndex::NAME],
        Question::DisclosuresOn { .. } => &[DisclosureLog::NAME],
        Question::RoleHolders { .. } => &[Accounts::NAME],
        Question::LiveClients { .. } => &[ApiClients::NAME],
        Question::ApprovedRecognitions { .. } => &[Recognitions::NAME],
        Question::Statements { .. } => &[PrivacyRequests::NAME],
        // It looks into all of them, as far as each one is.
        Question::Residue { .. }
        | Question::TokenHash { .. }
        | Question::LastCall { .. }
        | Question::Holders { .. } => &[],
    }
}

/// Answers a question.
///
/// # Errors
/// When a read model is being built, the database fails, or no read model answers the question (see [`asked`]).
pub async fn answer(read: &Projections, question: &Question) -> Result<Answer, ProjectionError> {
    match question {
        Question::Package { request } => read.package_answer(*request).await,
        Question::LearnedCategory { account, merchant } => {
            read.learned_category(*account, merchant).await.map(Answer::Category).map_err(failed)
        }
        Question::PossibleDuplicate { account, merchant, amount, date } => {
            let found = read.possible_duplicate(*account, merchant, *amount, *date).await;
            found.map(Answer::Reference).map_err(failed)
        }
        Question::Spending { account, from, until } => {
            read.spending(*account, *from, *until).await.map(Answer::Spending).map_err(failed)
        }
        Question::ClosedMonths { months } => {
            read.closed_months(months).await.map(Answer::ClosedMonths).map_err(failed)
        }
        Question::RecognitionHistory { institution, issuer } => history(read, *institution, *issuer).await,
        Question::PublishedCredentials { institution } => {
            let filters = [is("institution", institution), is("status", "published")];
            let rows = all(read, Credentials::NAME, &filters, "id").await?;
            Ok(Answer::References(rows.iter().filter_map(|row| id(row, "id")).collect()))
        }
        Question::HasActiveChildren { org } => {
            let filters = vec![is("parent", org), is("active", true)];
            let one = Query { filters, limit: Some(1), ..Query::default() };
            let page = read.list(OrgDirectory::NAME, &reader(), &one).await.map_err(failed)?;
            Ok(Answer::Flag(!page.rows.is_empty()))
        }
        Question::LiveSessions { account } => {
            let filters = [is("account", account), is("live", true)];
            let rows = all(read, Sessions::NAME, &filters, "session").await?;
            Ok(Answer::References(rows.iter().filter_map(|row| id(row, "session")).collect()))
        }
        Question::LiveClients { owner } => {
            let filters = [is("owner", owner), is("status", "active")];
            let rows = all_as(&operator(), read, ApiClients::NAME, &filters, "client").await?;
            Ok(Answer::References(rows.iter().filter_map(|row| id(row, "client")).collect()))
        }
        Question::IsNewDevice { account, session } => new_device(read, *account, *session).await,
        Question::ApprovedRecognitions { credential } => {
            let filters = [is("credential", credential), is("state", "approved")];
            let rows = all(read, Recognitions::NAME, &filters, "id").await?;
            Ok(Answer::References(rows.iter().filter_map(|row| id(row, "id")).collect()))
        }
        Question::Statements { subject } => {
            let filters = [is("subject", subject), is("stated", true)];
            let rows = all_as(&officer(), read, PrivacyRequests::NAME, &filters, "id,records").await?;
            let records = |row: &Value| {
                let names = row["records"].as_array().into_iter().flatten();
                names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
            };
            let stated = |row: &Value| Some((id(row, "id")?, records(row)));
            Ok(Answer::Statements(rows.iter().filter_map(stated).collect()))
        }
        Question::Residue { subject, classes } => {
            // A node that has begun after the time of the check may not have come to it yet.
            read.rebuild_after_shreds_of(*subject).await?;
            read.residue(*subject, classes).await.map(Answer::Count)
        }
        Question::Holdings { subject } => {
            // As the person sees it, who sees all that is about them.
            let own = Actor::user(*subject, &["student"]);
            let inventory = read.inventory(&own, *subject).await;
            let inventory = inventory.map_err(|error| ProjectionError::WrongState(error.to_string()))?;
            let mut events = BTreeMap::new();
            for holding in inventory.holdings.into_iter().filter(|holding| holding.class.is_some()) {
                *events.entry(holding.context).or_default() += holding.events;
            }
            Ok(Answer::Counts(events))
        }
        Question::OpenApplications { applicant } => {
            let open = ["draft", "submitted", "under_review", "shortlisted"];
            let filters = [is("applicant", applicant), one_of("status", open)];
            let own = Actor::user(*applicant, &["student"]);
            let rows = all_as(&own, read, Applications::NAME, &filters, "id").await?;
            Ok(Answer::References(rows.iter().filter_map(|row| id(row, "id")).collect()))
        }
        Question::Recipients { subject } => read.recipients(*subject).await.map(Answer::Recipients),
        Question::DisclosuresOn { subject, consent } => {
            let filters = [is("subject", subject), is("state", "authorized")];
            let rows = all_as(&officer(), read, DisclosureLog::NAME, &filters, "id,consent").await?;
            let on = rows.iter().filter(|row| id(row, "consent") == Some(*consent));
            Ok(Answer::References(on.filter_map(|row| id(row, "id")).collect()))
        }
        Question::RoleHolders { roles, within } => {
            role_holders(read, roles, *within).await.map(Answer::References)
        }
        Question::TokenHash { .. } => Err(unanswered("tokens")),
        Question::LastCall { .. } => Err(unanswered("counts of calls")),
        Question::Holders { .. } => Err(unanswered("claims")),
    }
}

/// The active accounts that hold any of these roles now, and everywhere.
async fn role_holders(
    read: &Projections,
    roles: &[String],
    within: Option<Uuid>,
) -> Result<Vec<Uuid>, ProjectionError> {
    let mut holders = BTreeSet::new();
    for role in roles {
        let holding = Condition { column: "roles".to_owned(), op: Op::Contains, values: vec![role.clone()] };
        let filters = [is("status", "active"), holding];
        let rows = all_as(&auditor(), read, Accounts::NAME, &filters, "account,grants").await?;
        let now = Timestamp::now();
        let over = |until: &Value| {
            until.as_str().and_then(|until| until.parse::<Timestamp>().ok()).is_some_and(|until| until <= now)
        };
        let there = within.map_or(Value::Null, |within| Value::from(within.to_string()));
        let holds = |row: &&Value| {
            let mut grants = row["grants"].as_array().into_iter().flatten();
            grants.any(|grant| grant["role"] == **role && grant["within"] == there && !over(&grant["until"]))
        };
        holders.extend(rows.iter().filter(holds).filter_map(|row| id(row, "account")));
    }
    Ok(holders.into_iter().collect())
}

/// CRD-R3 `history`: what two institutions decided on each other's credentials.
async fn history(read: &Projections, institution: Uuid, issuer: Uuid) -> Result<Answer, ProjectionError> {
    let (mut approved, mut decided) = (0, 0);
    let ways = BTreeSet::from([(institution, issuer), (issuer, institution)]);
    for (institution, issuer) in ways {
        let (more_approved, more_decided) = decisions(read, institution, issuer).await?;
        approved += more_approved;
        decided += more_decided;
    }
    Ok(Answer::Approvals { approved, decided })
}

/// How many credentials of an issuer an institution approved, and on how many it decided. What was approved once counts as an
/// approval, whatever became of it.
async fn decisions(
    read: &Projections,
    institution: Uuid,
    issuer: Uuid,
) -> Result<(u32, u32), ProjectionError> {
    let filters = [is("institution", institution), one_of("verdict", ["approved", "rejected"])];
    let rows = all(read, Recognitions::NAME, &filters, "credential,verdict").await?;
    let decisions: Vec<(Uuid, bool)> =
        rows.iter().filter_map(|row| Some((id(row, "credential")?, row["verdict"] == "approved"))).collect();
    let credentials: Vec<Uuid> =
        decisions.iter().map(|(credential, _)| *credential).collect::<BTreeSet<_>>().into_iter().collect();
    let mut issued = BTreeSet::new();
    for some in credentials.chunks(LIMIT_MAX) {
        let filters = [is("institution", issuer), one_of("id", some)];
        let rows = all(read, Credentials::NAME, &filters, "id").await?;
        issued.extend(rows.iter().filter_map(|row| id(row, "id")));
    }
    let (mut approved, mut decided) = (0, 0);
    for (_, approves) in decisions.iter().filter(|(credential, _)| issued.contains(credential)) {
        approved += u32::from(*approves);
        decided += 1;
    }
    Ok((approved, decided))
}

/// Of the latest sessions: what was used years ago is news again.
async fn new_device(read: &Projections, account: Uuid, session: Uuid) -> Result<Answer, ProjectionError> {
    let query = Query {
        filters: vec![is("account", account)],
        fields: ["session", "device", "started_at"].map(str::to_owned).to_vec(),
        sort: vec!["-started_at".to_owned()],
        limit: Some(LIMIT_MAX),
        ..Query::default()
    };
    let rows = read.list(Sessions::NAME, &reader(), &query).await.map_err(failed)?.rows;
    let mut before = rows.iter().skip_while(|row| id(row, "session") != Some(session));
    let Some(this) = before.next() else { return Ok(Answer::Flag(false)) };
    let before: Vec<&Value> = before.collect();
    Ok(Answer::Flag(!before.is_empty() && before.iter().all(|row| row["device"] != this["device"])))
}

/// These columns of all rows that fit, as far as everybody may see them.
async fn all(
    read: &Projections,
    model: &str,
    filters: &[Condition],
    fields: &str,
) -> Result<Vec<Value>, ProjectionError> {
    all_as(&reader(), read, model, filters, fields).await
}

async fn all_as(
    who: &Actor,
    read: &Projections,
    model: &str,
    filters: &[Condition],
    fields: &str,
) -> Result<Vec<Value>, ProjectionError> {
    let mut query = Query {
        filters: filters.to_vec(),
        fields: fields.split(',').map(str::to_owned).collect(),
        limit: Some(LIMIT_MAX),
        ..Query::default()
    };
    let mut rows = Vec::new();
    loop {
        let page = read.list(model, who, &query).await.map_err(failed)?;
        rows.extend(page.rows);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(rows),
        }
    }
}

fn is(column: &str, value: impl ToString) -> Condition {
    one_of(column, [value])
}

fn one_of(column: &str, values: impl IntoIterator<Item = impl ToString>) -> Condition {
    let values = values.into_iter().map(|value| value.to_string()).collect();
    Condition { column: column.to_owned(), op: Op::In, values }
}

fn id(row: &Value, column: &str) -> Option<Uuid> {
    row[column].as_str()?.parse().ok()
}

/// Decisions that are about nobody's own rows rest on what everybody may know.
fn reader() -> Actor {
    with_scope("read:public")
}

/// What is on file about a student counts for whoever discloses it.
fn officer() -> Actor {
    with_scope("manage:privacy")
}

/// Who holds a role counts for whoever writes to them.
fn auditor() -> Actor {
    with_scope("read:audit")
}

/// Who sees every API client.
fn operator() -> Actor {
    with_scope("manage:ops")
}

fn with_scope(scope: &str) -> Actor {
    Actor { scopes: BTreeSet::from([scope.to_owned()]).into(), ..Actor::policy("answers") }
}

fn unanswered(what: &str) -> ProjectionError {
    ProjectionError::WrongState(format!("no read model answers questions about {what}"))
}

fn failed(error: QueryError) -> ProjectionError {
    match error {
        QueryError::Failed(error) => error,
        other => ProjectionError::WrongState(other.to_string()),
    }
}
