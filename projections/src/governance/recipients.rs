//! Who received data of a person, as far as that is on record: what Art. 19 GDPR asks to be told of an erasure or a correction.
//!
//! The parties of disclosures of education records, whoever fetched the package of the person's data for them, and whoever
//! took a document of an audit replay that has events about them. The student is no recipient of their own records, and
//! whoever reads by order of a court or for legal claims is none by Art. 4(9).

use std::collections::BTreeSet;

use domain::{
    Actor, ReceivedBy, Recipient,
    governance::{DisclosureBasis, PartyKind},
};
use serde_json::Value;
use uuid::Uuid;

use super::{AuditFilters, AuditQuery, DisclosureLog, Entry, GovernanceError, Order};
use crate::{
    ProjectionError, Projections, Table,
    query::{Condition, LIMIT_MAX, Op, Query, QueryError},
};

/// The part of a route by which a package is fetched.
const PACKAGE_ROUTE: &str = "/v1/privacy/requests/{id}/package";

impl Projections {
    /// Who received data of a person, in a fixed order.
    pub(crate) async fn recipients(&self, subject: Uuid) -> Result<Vec<Recipient>, ProjectionError> {
        let mut found = BTreeSet::new();
        self.disclosed_to(subject, &mut found).await?;
        let looked = |error| match error {
            GovernanceError::Failed(error) => error,
            other => ProjectionError::WrongState(other.to_string()),
        };
        self.handed_to(subject, &mut found).await.map_err(looked)?;
        Ok(found.into_iter().collect())
    }

    async fn disclosed_to(
        &self,
        subject: Uuid,
        found: &mut BTreeSet<Recipient>,
    ) -> Result<(), ProjectionError> {
        let is = |column: &str, value: String| Condition {
            column: column.to_owned(),
            op: Op::In,
            values: vec![value],
        };
        let mut query = Query {
            filters: vec![is("subject", subject.to_string()), is("state", "recorded".to_owned())],
            fields: ["id", "party_kind", "basis", "records"].map(str::to_owned).to_vec(),
            limit: Some(LIMIT_MAX),
            ..Query::default()
        };
        let officer = officer();
        loop {
            let page =
                self.list(DisclosureLog::NAME, &officer, &query).await.map_err(|error| match error {
                    QueryError::Failed(error) => error,
                    other => ProjectionError::WrongState(other.to_string()),
                })?;
            found.extend(page.rows.iter().filter_map(party));
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Those of the house who took data of the person with them.
    async fn handed_to(&self, subject: Uuid, found: &mut BTreeSet<Recipient>) -> Result<(), GovernanceError> {
        let about = |actions: &[&str]| AuditFilters {
            subject: Some(subject),
            actions: actions.iter().map(|action| (*action).to_owned()).collect(),
            ..AuditFilters::default()
        };
        let reads = self.entries(about(&["AccessLogged", "AuditReplayRead"])).await?;
        let mut replays = BTreeSet::new();
        for entry in &reads {
            if entry.action == "AuditReplayRead" {
                replays.insert(entry.resource_id.clone());
            } else if let Some(recipient) = self.fetched(entry).await? {
                found.insert(recipient);
            }
        }
        for replay in replays {
            let exported = AuditFilters {
                resource_id: Some(replay),
                actions: vec!["AuditPackageExported".to_owned()],
                ..AuditFilters::default()
            };
            let exports = self.entries(exported).await?;
            found.extend(exports.iter().filter_map(|entry| took(entry, ReceivedBy::Export)));
        }
        Ok(())
    }

    async fn entries(&self, filters: AuditFilters) -> Result<Vec<Entry>, GovernanceError> {
        let auditor = officer();
        let mut asked = AuditQuery {
            filters,
            order: Order::OldestFirst,
            limit: Some(LIMIT_MAX),
            ..AuditQuery::default()
        };
        let mut entries = Vec::new();
        loop {
            let page = self.audit(&auditor, &asked).await?;
            entries.extend(page.entries);
            match page.next {
                Some(next) => asked.after = Some(next),
                None => return Ok(entries),
            }
        }
    }

    /// Who fetched a package for the person, if that is what was read.
    async fn fetched(&self, entry: &Entry) -> Result<Option<Recipient>, GovernanceError> {
        let Some(event) = self.0.store.read_at(&[entry.position]).await?.pop() else { return Ok(None) };
        let payload: Value = serde_json::from_str(&event.payload).unwrap_or_default();
        let read = &payload["AccessLogged"];
        if !read["route"].as_str().is_some_and(|route| route.starts_with(PACKAGE_ROUTE)) {
            return Ok(None);
        }
        // `/v1/privacy/requests/<id>/package`
        let request = read["resource"].as_str().and_then(|path| path.split('/').nth(4)?.parse().ok());
        Ok(request.and_then(|request| {
            let account = entry.on_behalf_of?;
            Some(Recipient {
                by: ReceivedBy::Package,
                reference: request,
                account: Some(account),
                records: Vec::new(),
            })
        }))
    }
}

/// The party of a disclosure, where it is a recipient.
fn party(row: &Value) -> Option<Recipient> {
    let basis = DisclosureBasis::of_citation(row["basis"].as_str()?)?;
    let student: &str = PartyKind::Student.into();
    if row["party_kind"] == student || basis.is_legal_proceeding() {
        return None;
    }
    let records = row["records"].as_array().into_iter().flatten();
    Some(Recipient {
        by: ReceivedBy::Disclosure,
        reference: row["id"].as_str()?.parse().ok()?,
        account: None,
        records: records.filter_map(|record| record.as_str().map(str::to_owned)).collect(),
    })
}

fn took(entry: &Entry, by: ReceivedBy) -> Option<Recipient> {
    let reference = entry.resource_id.parse().ok()?;
    Some(Recipient { by, reference, account: Some(entry.on_behalf_of?), records: Vec::new() })
}

/// What is on record about a person counts for whoever tells the recipients.
fn officer() -> Actor {
    Actor::user(Uuid::nil(), &["compliance"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_student_and_whoever_reads_by_order_of_a_court_are_no_recipients() {
        let row = |kind: &str, basis: &str| json!({ "id": Uuid::from_u128(7), "party_kind": kind, "basis": basis, "records": ["transcript"] });
        let recipient = party(&row("employer", "99.30")).unwrap();
        assert_eq!(
            (recipient.by, &*recipient.records),
            (ReceivedBy::Disclosure, &["transcript".to_owned()][..])
        );
        assert!(party(&row("school_official", "99.31(a)(1)(i)(A)")).is_some());
        assert!(party(&row("student", "99.31(a)(12)")).is_none());
        for basis in ["99.31(a)(9)(i)", "99.31(a)(9)(ii)(A)", "99.31(a)(9)(iii)"] {
            assert!(party(&row("court", basis)).is_none(), "{basis}");
        }
    }
}
