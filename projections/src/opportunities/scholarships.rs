//! R-16 `scholarships`: which scholarships there are, for everybody to search and filter; those that are being written or
//! were archived are for those who manage scholarships. Analysts do not see how many apply: the funnel tells them what
//! may be told.
//!
//! It is made for more than a million rows: it can be sorted only by what an index gives in order, and words and values are
//! indexed by their places in that order, so that a page is found wherever what is asked for gathers.

use domain::{
    Actor, Currency,
    opportunities::{
        CloseReason, ScholarshipApplicationEvent, ScholarshipChanges, ScholarshipEvent as E,
        ScholarshipStatus, ScholarshipTerms,
    },
    registry::AnyEvent,
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::Filter,
    row,
    table::{Analysts, Options, Table},
    words,
};

words!(ScholarshipStatus, CloseReason);

row! {
    /// A scholarship.
    pub struct ScholarshipRow {
        key {
            /// The scholarship.
            id: Uuid => open,
        }
        columns {
            /// The title.
            title: String => open,
            /// What it is about.
            description: String,
            /// The title and the description, to be searched.
            text: String => search,
            /// The org unit that gives it.
            sponsor: Uuid => filter index open,
            /// One award, in minor units of the currency.
            award: i64 => filter sort index open,
            /// The currency of the award and of the fund.
            currency: Currency => filter open,
            /// How many awards there are.
            max_awards: u32 => open,
            /// When applications open.
            opens_at: Timestamp => filter open,
            /// The last instant at which an application may be submitted.
            deadline: Timestamp => filter sort index open,
            /// The grade point average asked for, in milli-points; 0 where none is.
            min_gpa: i32 => filter open,
            /// The majors asked for; none: any.
            majors: Vec<String> => filter index open,
            /// The graduation years asked for; none: any.
            grad_years: Vec<String> => filter open,
            /// The interests that it fosters; `rolling`: it may select before the deadline.
            tags: Vec<String> => filter index open,
            /// What applicants write about.
            essay_prompts: Vec<String>,
            /// How many recommendations an application must have asked for.
            recommendations_required: u32,
            /// Whether it can be given again in another year.
            renewable: bool => filter open,
            /// Where in its life it is.
            status: ScholarshipStatus => filter open,
            /// Why it was closed.
            closed_because: Option<CloseReason> => open,
            /// What payments contributed to the fund, in minor units of the currency.
            contributed: i64 => open,
            /// What there is to give once it is published (OPP-S1): all awards and the contributions, in minor units.
            fund: Option<i64> => open,
            /// How many applications are selected for an award.
            selected: u32,
            /// How many applications were submitted.
            applications: u32,
        }
    }
}

///
pub struct Scholarships;

impl Table for Scholarships {
    const NAME: &'static str = "scholarships";
    const VERSION: u32 = 2;
    const FED_BY: &'static [&'static str] =
        &["opportunities.scholarship", "opportunities.scholarship_application"];
    const OPTIONS: Options = Options {
        // Applicants are counted, not named.
        about_people: false,
        sort: &["deadline"],
        resource: Some(("opportunities.scholarship", "id")),
        places: &["deadline", "award"],
        analysts: Analysts::Rows,
        ..Options::DEFAULT
    };
    type Row = ScholarshipRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        match &fact.event {
            AnyEvent::Scholarship(_) => out.push(fact.id),
            AnyEvent::ScholarshipApplication(
                ScholarshipApplicationEvent::ScholarshipApplicationSubmitted { scholarship, .. },
            ) => out.push(*scholarship),
            _ => {}
        }
    }

    fn fold(key: &Uuid, row: Option<ScholarshipRow>, fact: &Fact) -> Option<ScholarshipRow> {
        match &fact.event {
            AnyEvent::Scholarship(E::ScholarshipDrafted(terms)) => Some(drafted(*key, terms)),
            AnyEvent::Scholarship(event) => row.map(|row| changed(row, event)),
            // Only submissions touch a row.
            _ => row.map(|row| ScholarshipRow { applications: row.applications + 1, ..row }),
        }
    }

    fn visible(actor: &Actor) -> Filter {
        let offered = ["published", "closed"].map(Into::into).to_vec();
        Filter::within(actor, "manage:scholarships", "sponsor")
            .or(Filter::all_with(actor, "read:public").and(Filter::In("status", offered)))
    }

    fn hidden(actor: &Actor) -> &'static [&'static str] {
        // Analysts see groups of the funnel: what all of them come to would tell the size of those that are too
        // small to be shown.
        let analyst = actor.has("read:analytics") && !actor.has_within("manage:scholarships", &[]);
        if analyst { &["selected", "applications"] } else { &[] }
    }
}

fn drafted(id: Uuid, terms: &ScholarshipTerms) -> ScholarshipRow {
    ScholarshipRow {
        id,
        title: terms.title.clone(),
        description: terms.description.clone(),
        text: text(&terms.title, &terms.description),
        sponsor: terms.sponsor,
        award: terms.award.minor,
        currency: terms.award.ccy,
        max_awards: terms.max_awards,
        opens_at: terms.opens_at,
        deadline: terms.deadline,
        min_gpa: terms.min_gpa.unwrap_or_default(),
        majors: terms.majors.clone(),
        grad_years: years(&terms.grad_years),
        tags: terms.tags.clone(),
        essay_prompts: terms.essay_prompts.clone(),
        recommendations_required: terms.recommendations_required,
        renewable: terms.renewable,
        status: ScholarshipStatus::Draft,
        closed_because: None,
        contributed: 0,
        fund: None,
        selected: 0,
        applications: 0,
    }
}

fn changed(mut row: ScholarshipRow, event: &E) -> ScholarshipRow {
    match event {
        E::ScholarshipDrafted(_) => {}
        E::ScholarshipRevised { changes } => revise(&mut row, changes),
        E::ScholarshipPublished { fund } => {
            row.status = ScholarshipStatus::Published;
            row.fund = Some(fund.minor + row.contributed);
        }
        E::DeadlineExtended { deadline, reason: _ } => row.deadline = *deadline,
        E::FundContributionRecorded { payment: _, amount, donor: _ } => {
            row.contributed += amount.minor;
            row.fund = row.fund.map(|fund| fund + amount.minor);
        }
        E::AwardeeSelected { application: _, amount: _ } => row.selected += 1,
        E::SelectionReversed { application: _, reason: _ } => row.selected = row.selected.saturating_sub(1),
        E::ScholarshipClosed { reason } => {
            row.status = ScholarshipStatus::Closed;
            row.closed_because = Some(*reason);
        }
        E::ScholarshipArchived {} => row.status = ScholarshipStatus::Archived,
    }
    row
}

fn revise(row: &mut ScholarshipRow, changes: &ScholarshipChanges) {
    fn set<T: Clone>(field: &mut T, change: &Option<T>) {
        if let Some(change) = change {
            field.clone_from(change);
        }
    }
    let ScholarshipChanges {
        title,
        description,
        sponsor,
        award,
        max_awards,
        opens_at,
        deadline,
        min_gpa,
        majors,
        grad_years,
        tags,
        essay_prompts,
        recommendations_required,
        renewable,
    } = changes;
    set(&mut row.title, title);
    set(&mut row.description, description);
    row.text = text(&row.title, &row.description);
    set(&mut row.sponsor, sponsor);
    set(&mut row.award, &award.map(|award| award.minor));
    set(&mut row.currency, &award.map(|award| award.ccy));
    set(&mut row.max_awards, max_awards);
    set(&mut row.opens_at, opens_at);
    set(&mut row.deadline, deadline);
    set(&mut row.min_gpa, &min_gpa.map(Option::unwrap_or_default));
    set(&mut row.majors, majors);
    set(&mut row.grad_years, &grad_years.as_deref().map(years));
    set(&mut row.tags, tags);
    set(&mut row.essay_prompts, essay_prompts);
    set(&mut row.recommendations_required, recommendations_required);
    set(&mut row.renewable, renewable);
    // What is published may still be revised while nobody has applied, and its fund with it.
    if row.fund.is_some() {
        row.fund = Some(row.award.saturating_mul(row.max_awards.into()) + row.contributed);
    }
}

fn text(title: &str, description: &str) -> String {
    format!("{title}\n{description}")
}

/// Lists of numbers are no columns.
fn years(years: &[i32]) -> Vec<String> {
    years.iter().map(i32::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        opportunities::samples::{of_application, of_scholarship, started, submitted, terms, usd},
        testing::given,
    };

    fn row() -> ScholarshipRow {
        given::<Scholarships>([of_scholarship(E::ScholarshipDrafted(terms()))]).rows().remove(0)
    }

    fn published() -> E {
        E::ScholarshipPublished { fund: usd(100_000) }
    }

    #[test]
    fn a_draft_has_no_fund_and_can_be_searched_by_title_and_description() {
        let row = row();
        assert_eq!((row.status, row.fund, row.min_gpa), (ScholarshipStatus::Draft, None, 3000));
        assert_eq!(row.text, "Gorilla Scholars\nFor students of computing");
        assert_eq!(row.grad_years, ["2027"]);
    }

    #[test]
    fn submissions_are_counted_where_started_applications_are_not() {
        given::<Scholarships>([
            of_scholarship(E::ScholarshipDrafted(terms())),
            of_application(started()),
            of_application(submitted()),
        ])
        .then([ScholarshipRow { applications: 1, ..row() }]);
    }

    #[test]
    fn a_revision_changes_only_what_it_states_and_lifts_what_is_null() {
        let changes = ScholarshipChanges {
            title: Some("Gorilla Fund".into()),
            min_gpa: Some(None),
            ..ScholarshipChanges::default()
        };
        given::<Scholarships>([
            of_scholarship(E::ScholarshipDrafted(terms())),
            of_scholarship(E::ScholarshipRevised { changes }),
        ])
        .then([ScholarshipRow {
            title: "Gorilla Fund".into(),
            text: "Gorilla Fund\nFor students of computing".into(),
            min_gpa: 0,
            ..row()
        }]);
    }

    #[test]
    fn a_raised_award_raises_the_fund_of_what_is_published() {
        let changes = ScholarshipChanges { award: Some(usd(60_000)), ..ScholarshipChanges::default() };
        given::<Scholarships>(
            [E::ScholarshipDrafted(terms()), published(), E::ScholarshipRevised { changes }]
                .map(of_scholarship),
        )
        .then([ScholarshipRow {
            award: 60_000,
            fund: Some(120_000),
            status: ScholarshipStatus::Published,
            ..row()
        }]);
    }

    #[test]
    fn contributions_add_to_the_fund_and_selections_are_counted_until_they_are_reversed() {
        let payment = Uuid::from_u128(9);
        let application = Uuid::from_u128(2);
        let reason = "by mistake".to_owned();
        given::<Scholarships>(
            [
                E::ScholarshipDrafted(terms()),
                E::FundContributionRecorded { payment, amount: usd(500), donor: None },
                published(),
                E::AwardeeSelected { application, amount: usd(40_000) },
                E::SelectionReversed {
                    application,
                    reason: domain::Personal::about(Uuid::from_u128(3), reason.clone()),
                },
                E::AwardeeSelected { application, amount: usd(50_000) },
                E::DeadlineExtended { deadline: "2026-03-01T00:00:00Z".parse().unwrap(), reason },
                E::ScholarshipClosed { reason: CloseReason::Filled },
            ]
            .map(of_scholarship),
        )
        .then([ScholarshipRow {
            contributed: 500,
            fund: Some(100_500),
            selected: 1,
            deadline: "2026-03-01T00:00:00Z".parse().unwrap(),
            status: ScholarshipStatus::Closed,
            closed_because: Some(CloseReason::Filled),
            ..row()
        }]);
    }

    #[test]
    fn analysts_do_not_see_how_many_people_apply_and_are_selected() {
        let counts = ["selected", "applications"];
        assert_eq!(Scholarships::hidden(&Actor::user(Uuid::from_u128(7), &["analyst"])), counts);
        for column in
            <ScholarshipRow as crate::row::Row>::COLUMNS.iter().filter(|column| counts.contains(&column.name))
        {
            assert!(!column.is(crate::row::mark::open), "{} in SQL", column.name);
        }
        for roles in [&["student"][..], &["staff"], &["staff", "analyst"]] {
            assert!(Scholarships::hidden(&Actor::user(Uuid::from_u128(7), roles)).is_empty(), "{roles:?}");
        }
    }

    #[test]
    fn drafts_and_archived_ones_are_for_those_who_manage_scholarships() {
        let student = Scholarships::visible(&Actor::user(Uuid::from_u128(7), &["student"]));
        assert_eq!(student, Filter::In("status", vec!["published".into(), "closed".into()]));
        assert_eq!(Scholarships::visible(&Actor::user(Uuid::from_u128(8), &["staff"])), Filter::All);
        assert_eq!(Scholarships::visible(&Actor::policy("x")), Filter::Nothing);
    }
}
