//! R-19 `scholarship_funnel`: how many applications come how far, by scholarship, month and major, and how much money is
//! awarded. For analysts, as sums over at least five people, and for those who manage the scholarship.
//!
//! Only the submission tells the major, so one row is one application, and the sums are made where they are asked for. They
//! are made in SQL by the applicant's major in the clear: the table is unlogged, and rebuilt after a shred. A row stands in
//! the month in which the application was started, so that each group is one funnel: what started together, and what
//! became of it.

use domain::{Actor, opportunities::ScholarshipApplicationEvent as E, registry::AnyEvent};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{
    Projections,
    fact::Fact,
    filter::Filter,
    model::{ReadModel, TableModel},
    opportunities::applications::SPONSORED,
    query::QueryError,
    row,
    storage::table_name,
    table::{Analysts, Options, Table},
};

/// Analysts see groups of at least so many people.
const SMALLEST_GROUP: i64 = 5;

row! {
    /// One application in the funnel of its scholarship. Each stage is 1 where the application came so far, else 0.
    pub struct FunnelRow {
        key {
            /// The application.
            application_id: Uuid,
        }
        columns {
            /// The scholarship.
            scholarship: Uuid => filter index open,
            /// The month in which the application was started, such as `2026-01` (UTC).
            period: String => filter sort index open,
            /// The applicant's major at the submission, in lower case; none where it is not stated or was erased.
            major: Option<String> => filter open,
            /// Who applies.
            applicant: Uuid => pseudonym,
            /// It was started.
            started: i32 => open,
            /// It was submitted.
            submitted: i32 => open,
            /// It was put on the short list.
            shortlisted: i32 => open,
            /// It was awarded.
            awarded: i32 => open,
            /// The award was accepted.
            accepted: i32 => open,
            /// What was awarded, in minor units of the scholarship's currency.
            amount_awarded: i64 => open,
            /// What of it was accepted.
            amount_accepted: i64 => open,
        }
    }
}

///
pub struct ScholarshipFunnel;

impl Table for ScholarshipFunnel {
    const NAME: &'static str = "scholarship_funnel";
    const VERSION: u32 = 1;
    const FED_BY: &'static [&'static str] = &["opportunities.scholarship_application"];
    const OPTIONS: Options = Options {
        unlogged: true,
        sort: &["period"],
        analysts: Analysts::Groups {
            by: &["scholarship", "period", "major"],
            sums: &[
                "started",
                "submitted",
                "shortlisted",
                "awarded",
                "accepted",
                "amount_awarded",
                "amount_accepted",
            ],
            people: Some("applicant"),
        },
        ..Options::DEFAULT
    };
    type Row = FunnelRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(key: &Uuid, row: Option<FunnelRow>, fact: &Fact) -> Option<FunnelRow> {
        let AnyEvent::ScholarshipApplication(event) = &fact.event else { return row };
        let E::ApplicationStarted { scholarship, applicant } = event else {
            return row.map(|row| further(row, event));
        };
        Some(FunnelRow {
            application_id: *key,
            scholarship: *scholarship,
            period: fact.occurred_at().strftime("%Y-%m").to_string(),
            major: None,
            applicant: *applicant,
            started: 1,
            submitted: 0,
            shortlisted: 0,
            awarded: 0,
            accepted: 0,
            amount_awarded: 0,
            amount_accepted: 0,
        })
    }

    fn visible(actor: &Actor) -> Filter {
        Filter::within_by(actor, "manage:scholarships", "scholarship", SPONSORED)
    }
}

fn further(mut row: FunnelRow, event: &E) -> FunnelRow {
    match event {
        E::ScholarshipApplicationSubmitted { major, .. } => {
            row.submitted = 1;
            // As OPP-A4 compares majors.
            let major = major.as_ref().and_then(|major| major.get());
            row.major = major.map(|major| major.trim().to_lowercase());
        }
        E::ApplicationShortlisted {} => row.shortlisted = 1,
        E::ScholarshipAwarded { amount, .. } => {
            row.awarded = 1;
            row.amount_awarded = amount.minor;
        }
        E::AwardAccepted { .. } => {
            row.accepted = 1;
            row.amount_accepted = row.amount_awarded;
        }
        E::ApplicationStarted { .. }
        | E::ApplicationDraftSaved { .. }
        | E::RecommendationRequested { .. }
        | E::RecommendationAttached { .. }
        | E::ApplicationMatchScored { .. }
        | E::ApplicationWithdrawn { .. }
        | E::ReviewerAssigned { .. }
        | E::ConflictDeclared { .. }
        | E::ReviewerWithdrawn { .. }
        | E::ApplicationReviewed { .. }
        | E::ApplicationDeclined { .. }
        | E::AwardRefused { .. } => {}
    }
    row
}

/// How far some applications came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Stages {
    /// How many people applied.
    pub people: i64,
    /// How many applications were started.
    pub started: i64,
    /// How many were submitted.
    pub submitted: i64,
    /// How many were put on the short list.
    pub shortlisted: i64,
    /// How many were awarded.
    pub awarded: i64,
    /// How many awards were accepted.
    pub accepted: i64,
    /// What was awarded, in minor units of the scholarship's currency.
    pub amount_awarded: i64,
    /// What of it was accepted.
    pub amount_accepted: i64,
}

/// The funnel of a scholarship: how far its applications came, all together and by month and major. Analysts see groups of
/// at least five people, and sums of those.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Funnel {
    /// The scholarship.
    pub scholarship: Uuid,
    /// All the groups together.
    #[serde(flatten)]
    pub all: Stages,
    /// The groups, by period and major.
    pub groups: Vec<FunnelGroup>,
}

/// How far the applications of one month and major came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FunnelGroup {
    /// The month in which they were started, such as `2026-01` (UTC).
    pub period: String,
    /// The applicants' major at the submission, in lower case; none where it is not stated or was erased.
    pub major: Option<String>,
    /// How far they came.
    #[serde(flatten)]
    pub stages: Stages,
}

/// Which part of a funnel is asked for; all of it where nothing is said.
#[derive(Clone, Debug, Default)]
pub struct FunnelPart {
    /// The months in which applications were started, such as `2026-01`.
    pub periods: Vec<String>,
    /// The majors, in any case.
    pub majors: Vec<String>,
}

impl Projections {
    /// The funnel of a scholarship, month by month and major by major. Who manages the scholarship, everywhere or within the
    /// org unit that sponsors it or one above, sees every group; an analyst those of at least five people; anybody else
    /// nothing.
    ///
    /// # Errors
    /// When the read model is being built, or the database fails.
    pub async fn funnel(
        &self,
        actor: &Actor,
        scholarship: Uuid,
        part: &FunnelPart,
    ) -> Result<Option<Funnel>, QueryError> {
        let mut funnel = Funnel { scholarship, all: Stages::default(), groups: Vec::new() };
        let asked = Filter::Is("scholarship", scholarship.into());
        let smallest = match self.with_units_below(ScholarshipFunnel::visible(actor), &asked, None).await? {
            Filter::All => 1,
            Filter::In(_, managed) if managed.contains(&scholarship.into()) => 1,
            _ if actor.has("read:analytics") => SMALLEST_GROUP,
            _ => return Ok(None),
        };
        let pool = self.0.store.pool();
        let schema: Option<String> = sqlx::query_scalar(
            "SELECT schema_name FROM annals.projections WHERE serving AND name = $1 AND version = $2",
        )
        .bind(ScholarshipFunnel::NAME)
        .bind(ScholarshipFunnel::VERSION as i32)
        .fetch_optional(pool)
        .await?;
        let schema = schema.ok_or(QueryError::NotBuilt(ScholarshipFunnel::NAME))?;
        let table = table_name(TableModel::<ScholarshipFunnel>::NEW.shape(), &schema);
        let sql = include_str!("funnel.sql").replace("{table}", &table);
        let majors: Vec<String> = part.majors.iter().map(|major| major.trim().to_lowercase()).collect();
        let rows = sqlx::query(&sql).bind(scholarship).bind(smallest).bind(&part.periods).bind(majors);
        for row in rows.fetch_all(pool).await? {
            let stages = stages(&row)?;
            match row.try_get("is_sum")? {
                true => funnel.all = stages,
                false => funnel.groups.push(FunnelGroup {
                    period: row.try_get("period")?,
                    major: row.try_get("major")?,
                    stages,
                }),
            }
        }
        Ok(Some(funnel))
    }
}

fn stages(row: &PgRow) -> Result<Stages, sqlx::Error> {
    Ok(Stages {
        people: row.try_get("people")?,
        started: row.try_get("started")?,
        submitted: row.try_get("submitted")?,
        shortlisted: row.try_get("shortlisted")?,
        awarded: row.try_get("awarded")?,
        accepted: row.try_get("accepted")?,
        amount_awarded: row.try_get("amount_awarded")?,
        amount_accepted: row.try_get("amount_accepted")?,
    })
}

#[cfg(test)]
mod tests {
    use domain::Personal;

    use super::*;
    use crate::{
        opportunities::samples::{
            ADA, APPLICATION, SCHOLARSHIP, awarded, of_application, started, submitted,
        },
        testing::given,
    };

    fn row() -> FunnelRow {
        FunnelRow {
            application_id: APPLICATION,
            scholarship: SCHOLARSHIP,
            period: "2026-01".into(),
            major: None,
            applicant: ADA,
            started: 1,
            submitted: 0,
            shortlisted: 0,
            awarded: 0,
            accepted: 0,
            amount_awarded: 0,
            amount_accepted: 0,
        }
    }

    #[test]
    fn an_application_that_is_only_started_has_no_major() {
        given::<ScholarshipFunnel>([of_application(started())]).then([row()]);
    }

    #[test]
    fn an_accepted_award_has_come_all_the_way() {
        let accepted = E::AwardAccepted { scholarship: SCHOLARSHIP, applicant: ADA };
        let events = [started(), submitted(), E::ApplicationShortlisted {}, awarded(), accepted];
        given::<ScholarshipFunnel>(events.map(of_application)).then([FunnelRow {
            major: Some("computer science".into()),
            submitted: 1,
            shortlisted: 1,
            awarded: 1,
            accepted: 1,
            amount_awarded: 40_000,
            amount_accepted: 40_000,
            ..row()
        }]);
    }

    #[test]
    fn an_erased_major_leaves_the_application_counted() {
        let mut erased = submitted();
        if let E::ScholarshipApplicationSubmitted { major, .. } = &mut erased {
            *major = Some(Personal::Erased);
        }
        given::<ScholarshipFunnel>([of_application(started()), of_application(erased)])
            .then([FunnelRow { submitted: 1, ..row() }]);
    }

    #[test]
    fn rows_of_single_people_are_for_those_who_manage_scholarships() {
        let analyst = Actor::user(ADA, &["analyst"]);
        assert_eq!(ScholarshipFunnel::visible(&analyst), Filter::Nothing);
        assert_eq!(ScholarshipFunnel::visible(&Actor::user(ADA, &["staff"])), Filter::All);
        let unit = uuid::Uuid::from_u128(5);
        let grants = vec![domain::RoleGrant { role: domain::SERVICE.into(), within: Some(unit) }];
        let client = Actor::client(ADA, ["manage:scholarships".to_owned()].into(), grants);
        let sponsored = Filter::BelowBy("scholarship", SPONSORED, vec![unit]);
        assert_eq!(ScholarshipFunnel::visible(&client), sponsored, "a client that acts for one org unit");
    }
}
