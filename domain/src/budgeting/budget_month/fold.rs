//! How the books change with each event. Total: what an event names and the books do not know changes nothing.

use std::{collections::BTreeMap, sync::Arc};

use uuid::Uuid;

use super::{
    Books, Envelope, MonthCategory, MovedAmounts, OpeningAmounts, ReallocatedAmounts, RedistributedAmounts,
    Redistribution, RedistributionStatus, RevertedAmounts, Spend,
};

impl Books {
    pub(super) fn opened(categories: &[MonthCategory], amounts: &OpeningAmounts) -> Self {
        let envelope = |category: &MonthCategory| {
            let mut envelope = Envelope::empty(Arc::new(category.clone()), true);
            envelope.amount = amounts.envelopes.get(&category.key).copied().unwrap_or_default();
            envelope.plan = amounts.plans.get(&category.key).into_iter().flatten().copied().collect();
            envelope
        };
        Books {
            income: amounts.income.minor,
            envelopes: categories.iter().map(envelope).collect(),
            spends: BTreeMap::new(),
            redistributions: BTreeMap::new(),
        }
    }

    /// The envelopes are computed anew, and with them everything that was redistributed is history.
    pub(super) fn reallocate(&mut self, categories: &[MonthCategory], amounts: &ReallocatedAmounts) {
        self.income = amounts.income.minor;
        for envelope in &mut self.envelopes {
            (envelope.budgeted, envelope.amount) = (false, 0);
        }
        for category in categories {
            let index = self.find_or_wait(&category.key);
            let envelope = &mut self.envelopes[index];
            envelope.category = Arc::new(category.clone());
            envelope.budgeted = true;
            envelope.amount = amounts.envelopes.get(&category.key).copied().unwrap_or_default();
        }
        for redistribution in self.redistributions.values_mut() {
            if redistribution.status == RedistributionStatus::Applied {
                redistribution.status = RedistributionStatus::Reverted;
            }
        }
        self.plan(&amounts.plans);
    }

    pub(super) fn apply(
        &mut self,
        transaction: Uuid,
        category: &str,
        day: u8,
        amount: Option<i64>,
        after_close: bool,
    ) {
        let envelope = self.find_or_wait(category);
        if let Some(amount) = amount.filter(|_| !after_close) {
            self.envelopes[envelope].spend(day, amount);
        }
        let red = self.envelopes[envelope].overspend(day) > 0;
        let spend = Spend { envelope, day, amount, redistribution: None, after_close, red };
        self.spends.insert(transaction, spend);
    }

    /// What was applied goes, unless the month was closed by then or is closed now.
    pub(super) fn reverse(&mut self, transaction: Uuid, after_close: bool) {
        let Some(spend) = self.spends.remove(&transaction) else { return };
        if let Some(amount) = spend.amount.filter(|_| !spend.after_close && !after_close) {
            self.envelopes[spend.envelope].spend(spend.day, amount.saturating_neg());
        }
    }

    pub(super) fn redistributed(
        &mut self,
        id: Uuid,
        category: &str,
        day: u8,
        transaction: Option<Uuid>,
        amounts: &RedistributedAmounts,
    ) {
        let receiver = self.find_or_wait(category);
        let covered = amounts.covered.minor;
        let mut gave = Vec::with_capacity(amounts.transfers.len());
        for transfer in &amounts.transfers {
            let donor = self.find_or_wait(&transfer.category);
            self.envelopes[donor].put(-transfer.amount.minor);
            gave.push((donor, transfer.amount.minor));
        }
        let envelope = &mut self.envelopes[receiver];
        envelope.put(covered);
        let told = envelope.told(day);
        envelope.tell(day, told.saturating_sub(covered));
        self.plan(&amounts.plans);
        if let Some(spend) = transaction.and_then(|transaction| self.spends.get_mut(&transaction)) {
            spend.redistribution = Some(id);
        }
        let short = amounts.uncovered.minor > 0;
        let applied = Redistribution { status: RedistributionStatus::Applied, receiver, day, gave, short };
        self.redistributions.insert(id, applied);
    }

    pub(super) fn settle(&mut self, redistribution: Uuid, status: RedistributionStatus) {
        if let Some(settled) = self.redistributions.get_mut(&redistribution) {
            settled.status = status;
        }
    }

    pub(super) fn reverted(&mut self, category: &str, amounts: &RevertedAmounts) {
        let receiver = self.find_or_wait(category);
        for transfer in &amounts.returned {
            let donor = self.find_or_wait(&transfer.category);
            self.envelopes[donor].put(transfer.amount.minor);
            self.envelopes[receiver].put(-transfer.amount.minor);
        }
        self.plan(&amounts.plans);
    }

    pub(super) fn moved(&mut self, from: &str, to: &str, amounts: &MovedAmounts) {
        let (from, to) = (self.find_or_wait(from), self.find_or_wait(to));
        self.envelopes[from].put(-amounts.amount.minor);
        self.envelopes[to].put(amounts.amount.minor);
        self.plan(&amounts.plans);
    }
}

impl Envelope {
    fn put(&mut self, amount: i64) {
        self.amount = self.amount.saturating_add(amount);
    }
}
