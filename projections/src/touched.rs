//! Which rows events touch: the events alone tell it, before any read model has folded them.

use std::collections::{BTreeSet, HashMap};

use event_store::{Position, Recorded};

use crate::{Fact, Projections, error::ProjectionError, fact::Batch, model::ReadModel, row::RowKey};

/// The keys of the rows that events touch, by read model: each key once, in the order of the log.
pub type Touched = HashMap<&'static str, Vec<RowKey>>;

impl Projections {
    /// Which rows of these read models some events touch, the events being in the order of the log. Such a row may be what it
    /// was before, and there may be none. Ledgers have no rows that are touched again.
    ///
    /// # Errors
    /// When there is no such read model, or the keys of the events' personal values cannot be read.
    pub async fn touched(
        &self,
        names: &[&'static str],
        mut events: Vec<Recorded>,
    ) -> Result<Touched, ProjectionError> {
        let models = names.iter().map(|name| self.model(name)).collect::<Result<Vec<_>, _>>()?;
        events.retain(|event| models.iter().any(|model| model.shape().wants(&event.stream.aggregate_type)));
        // Which envelopes money went to is personal too.
        let batch = Batch::decode(events, self.0.store.keyring()).await?;
        Ok(models.into_iter().map(|model| (model.shape().name, keys(model, &batch))).collect())
    }
}

/// The keys of the rows that facts touch. A fact at which the read model panics touches none: it is parked before it, or an
/// operator told it to leave the fact out.
fn keys(model: &dyn ReadModel, batch: &Batch) -> Vec<RowKey> {
    let mut stage = model.stage();
    let facts = batch.whole().facts(model.shape(), &BTreeSet::new());
    facts.into_iter().filter_map(|fact| stage.touch(&[fact]).ok()).flatten().collect()
}

/// The rows that each fact touches, those facts left out that the read model was told to skip.
pub(crate) fn by_fact<'a>(
    model: &dyn ReadModel,
    batch: &'a Batch,
    skips: &BTreeSet<Position>,
) -> Vec<(&'a Fact, RowKey)> {
    let facts = batch.whole().facts(model.shape(), skips);
    let rows = |fact: &'a Fact| {
        // A stage names each row once: every fact gets its own.
        let keys = model.stage().touch(&[fact]).unwrap_or_default();
        keys.into_iter().map(move |key| (fact, key))
    };
    facts.into_iter().flat_map(rows).collect()
}

#[cfg(test)]
mod tests {
    use domain::{
        governance::{ConsentLedgerEvent, ConsentPurpose},
        identity::OrgUnitEvent,
        registry::AnyEvent,
    };
    use uuid::Uuid;

    use super::*;
    use crate::{
        Filter, Table, TableModel,
        governance::Consents,
        identity::{OrgDirectory, OrgUnitRow},
        row::Value,
        testing::facts,
    };

    const ADA: Uuid = Uuid::from_u128(0xADA);
    const PSU: Uuid = Uuid::from_u128(7);
    const KSU: Uuid = Uuid::from_u128(8);

    fn touched(model: &dyn ReadModel, events: Vec<(Uuid, AnyEvent)>) -> Vec<RowKey> {
        keys(model, &Batch::of(facts(events), 0))
    }

    fn closed(unit: Uuid) -> (Uuid, AnyEvent) {
        (unit, AnyEvent::OrgUnit(OrgUnitEvent::OrgUnitDeactivated { reason: String::new() }))
    }

    /// Of all purposes.
    fn released() -> (Uuid, AnyEvent) {
        let (request, purposes) = (Uuid::from_u128(1), Vec::new());
        (ADA, AnyEvent::ConsentLedger(ConsentLedgerEvent::ProcessingReleased { request, purposes }))
    }

    #[test]
    fn each_row_is_named_once_in_the_order_of_the_log_and_others_events_touch_none() {
        let events = vec![closed(KSU), released(), closed(PSU), closed(KSU)];
        let expected: [RowKey; 2] = [vec![KSU.into()], vec![PSU.into()]];
        assert_eq!(touched(&TableModel::<OrgDirectory>::NEW, events), expected);
    }

    #[test]
    fn one_event_touches_many_rows_whose_keys_have_parts() {
        let all = touched(&TableModel::<Consents>::NEW, vec![released()]);
        let of = |purpose: &ConsentPurpose| vec![Value::from(ADA), purpose.name().into()];
        assert_eq!(all, ConsentPurpose::ALL.iter().map(of).collect::<Vec<_>>());
    }

    /// Does not know what to make of one org unit.
    struct Afraid;

    impl Table for Afraid {
        const NAME: &'static str = "afraid";
        const VERSION: u32 = 1;
        const FED_BY: &'static [&'static str] = &["identity.org_unit"];
        type Row = OrgUnitRow;

        fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
            assert_ne!(fact.id, KSU, "anything but that");
            out.push(fact.id);
        }
        fn fold(_: &Uuid, row: Option<OrgUnitRow>, _: &Fact) -> Option<OrgUnitRow> {
            row
        }
        fn visible(_: &domain::Actor) -> Filter {
            Filter::All
        }
    }

    #[test]
    fn a_fact_that_cannot_be_folded_hides_no_other() {
        let all = touched(&TableModel::<Afraid>::NEW, vec![closed(KSU), closed(PSU)]);
        assert_eq!(all, [vec![Value::from(PSU)]]);
    }
}
