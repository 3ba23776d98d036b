use super::{TransactionCommand as C, TransactionEvent as E, TransactionRefusal as R, *};
use crate::{
    budgeting::{BudgetProfileCommand, RedistributionMode, fixtures::*},
    kernel::{
        BasisPoints,
        testing::{Outcome, Scenario, given, keeps_history, nothing},
    },
};

#[test]
fn every_event_reads_as_it_was_stored() {
    let at: Timestamp = "2026-05-03T18:30:00Z".parse().unwrap();
    let before = TransactionBefore {
        amount: usd(1000),
        booked: usd(1000),
        spent_at: at,
        local_date: may(3),
        merchant: Some("Bistro 12".into()),
        note: None,
        category: "dining".into(),
    };
    keeps_history::<Transaction>([
        E::TransactionRecorded {
            account: OWNER,
            kind: TransactionKind::Expense,
            amount: own(Money::new(1000, ccy("EUR"))),
            booked: own(usd(1085)),
            spent_at: at,
            local_date: may(3),
            merchant: Some(own("Bistro 12".into())),
            merchant_normalized: Some(own("bistro".into())),
            note: Some(own("lunch".into())),
            category: "dining".into(),
            confidence: BasisPoints(8500),
            engine: "keywords@1".into(),
            source: TransactionSource::Import,
            external_ref: Some("bank-1".into()),
            receipt: Some(Uuid::from_u128(1)),
            goal: Some(Uuid::from_u128(2)),
            installment: Some(Uuid::from_u128(3)),
            rate_e9: Some(1_085_000_000),
            rate_date: Some(may(2)),
            rate_source: Some("ecb".into()),
            possible_duplicate_of: Some(Uuid::from_u128(4)),
        },
        E::TransactionAmended {
            account: OWNER,
            kind: TransactionKind::Expense,
            amount: Some(own(usd(1200))),
            spent_at: Some(at),
            merchant: Some(own("Bistro Kafe".into())),
            merchant_normalized: Some(own("bistro kafe".into())),
            note: Some(own("dinner".into())),
            category: "restaurants".into(),
            before: own(before),
            booked: own(usd(1200)),
            local_date: may(3),
        },
        E::TransactionRecategorized {
            account: OWNER,
            kind: TransactionKind::Expense,
            category: "restaurants".into(),
            learn: true,
            from: "dining".into(),
            booked: own(usd(1200)),
            merchant_normalized: Some(own("bistro".into())),
            local_date: may(3),
        },
        E::TransactionVoided {
            account: OWNER,
            kind: TransactionKind::Refund,
            reason: own("entered twice".into()),
            booked: own(usd(1200)),
            category: "restaurants".into(),
            local_date: may(3),
        },
    ]);
}

fn facts() -> TransactionFacts {
    let profile = profile_after(RedistributionMode::Auto, 300_000, []);
    let reference = Some("mac of the reference".to_owned());
    TransactionFacts { profile: Some(Arc::new(profile)), reference, ..TransactionFacts::default() }
}

/// An expense of 10.00 at a bistro, stated in full only where a spec needs it.
#[derive(Clone)]
struct Stating {
    kind: TransactionKind,
    amount: Money,
    spent_at: &'static str,
    merchant: Option<&'static str>,
    category: Option<&'static str>,
    external_ref: Option<&'static str>,
    rate_e9: Option<i64>,
    rate_date: Option<Date>,
    rate_source: Option<&'static str>,
}

fn stating() -> Stating {
    Stating {
        kind: TransactionKind::Expense,
        amount: usd(1000),
        spent_at: "2026-05-03T18:30:00Z",
        merchant: None,
        category: None,
        external_ref: None,
        rate_e9: None,
        rate_date: None,
        rate_source: None,
    }
}

impl Stating {
    fn command(self) -> C {
        C::RecordTransaction {
            account: OWNER,
            kind: self.kind,
            amount: Stated(self.amount),
            spent_at: self.spent_at.parse().unwrap(),
            merchant: self.merchant.map(|merchant| Stated(merchant.into())),
            note: None,
            category: self.category.map(str::to_owned),
            source: TransactionSource::Import,
            external_ref: self.external_ref.map(str::to_owned),
            receipt: None,
            goal: None,
            installment: None,
            rate_e9: self.rate_e9,
            rate_date: self.rate_date,
            rate_source: self.rate_source.map(str::to_owned),
        }
    }

    fn recorded_knowing(self, facts: TransactionFacts) -> Outcome<Transaction> {
        nothing::<Transaction>().at("2026-05-04T12:00:00Z").knowing(facts).when(self.command())
    }

    fn recorded(self) -> Outcome<Transaction> {
        self.recorded_knowing(facts())
    }
}

fn past(events: impl IntoIterator<Item = E>) -> Scenario<Transaction> {
    let recorded = Stating { category: Some("dining"), ..stating() }.recorded().events();
    given(recorded.into_iter().chain(events)).at("2026-05-04T12:00:00Z").by(owner()).knowing(facts())
}

fn amend(amount: Option<Money>, spent_at: Option<&str>, merchant: Option<&str>, category: Option<&str>) -> C {
    C::AmendTransaction {
        amount: amount.map(Stated),
        spent_at: spent_at.map(|at| at.parse().unwrap()),
        merchant: merchant.map(|merchant| Stated(merchant.into())),
        note: None,
        category: category.map(str::to_owned),
    }
}

fn void() -> C {
    C::VoidTransaction { reason: Stated("entered twice".into()) }
}

fn recategorize(category: &str, learn: bool) -> C {
    C::RecategorizeTransaction { category: category.into(), learn }
}

fn booked(event: &E) -> Option<Money> {
    match event {
        E::TransactionRecorded { booked, .. }
        | E::TransactionAmended { booked, .. }
        | E::TransactionRecategorized { booked, .. }
        | E::TransactionVoided { booked, .. } => booked.get().copied(),
    }
}

#[test]
fn bud_t1_an_amount_is_above_zero_and_the_kind_gives_the_sign() {
    for minor in [0, -1, i64::MIN] {
        Stating { amount: usd(minor), ..stating() }.recorded().refused(R::NonPositiveAmount {});
    }
    Stating { amount: usd(i64::MAX), ..stating() }.recorded().invalid("amount");
    use TransactionKind as K;
    let signs = [K::Expense, K::Income, K::Refund, K::GoalContribution, K::InstallmentPayment]
        .map(TransactionKind::spending_sign);
    assert_eq!(signs, [Some(1), None, Some(-1), Some(1), Some(1)]);
}

#[test]
fn bud_t2_another_currency_needs_a_rate_with_its_date_and_source() {
    let lev = |rate_e9, rate_date, rate_source| {
        let amount = Money::new(333, ccy("BGN"));
        Stating { amount, rate_e9, rate_date, rate_source, ..stating() }.recorded()
    };
    lev(None, None, None).refused(R::FxRateMissing {});
    lev(Some(500_000_000), None, Some("ecb")).refused(R::FxRateMissing {});
    lev(Some(500_000_000), Some(may(2)), None).refused(R::FxRateMissing {});
    lev(Some(0), Some(may(2)), Some("ecb")).invalid("rate_e9");
    lev(Some(i64::MAX), Some(may(2)), Some("ecb")).then_names(["TransactionRecorded"]);
    let events = lev(Some(500_000_000), Some(may(2)), Some("ecb")).events();
    assert_eq!(booked(&events[0]), Some(usd(166)), "166.5 is rounded half-even");
}

#[test]
fn bud_t3_the_category_is_stated_or_learned_or_recognised_or_open() {
    let of = |stating: Stating, facts| {
        let events = stating.recorded_knowing(facts).events();
        let [E::TransactionRecorded { category, confidence, engine, .. }] = &events[..] else {
            panic!("{events:?}")
        };
        (category.clone(), confidence.0, engine.clone())
    };
    let learned = || TransactionFacts { learned: Some("hobbies".into()), ..facts() };
    let at = |merchant, category| Stating { merchant: Some(merchant), category, ..stating() };
    let found =
        |category: &str, confidence, engine: &str| (category.to_owned(), confidence, engine.to_owned());
    assert_eq!(of(at("Lidl 12", Some("travel")), learned()), found("travel", 10_000, "explicit"));
    assert_eq!(of(at("Lidl 12", None), learned()), found("hobbies", 9500, "learned"));
    assert_eq!(of(at("Lidl 12", None), facts()), found("groceries", 8500, "keywords@1"));
    assert_eq!(of(at("Acme", None), facts()), found("uncategorised", 0, "none"));
    let income = Stating { kind: TransactionKind::Income, ..at("Lidl 12", None) };
    assert_eq!(of(income, facts()), found("uncategorised", 0, "none"), "income is in no category");
}

#[test]
fn a_stated_category_must_be_a_live_one() {
    let unknown = |category: &str| R::UnknownCategory { category: category.into() };
    Stating { category: Some("pets"), ..stating() }.recorded().refused(unknown("pets"));
    Stating { category: Some("uncategorised"), ..stating() }.recorded().then_names(["TransactionRecorded"]);
    past([]).when(recategorize("pets", false)).refused(unknown("pets"));
    past([]).when(amend(None, None, None, Some("pets"))).refused(unknown("pets"));
    let retire = BudgetProfileCommand::RetireCategory { key: "dining".into(), merge_into: "travel".into() };
    let profile = profile_after(RedistributionMode::Auto, 300_000, [retire]);
    let facts = TransactionFacts { profile: Some(Arc::new(profile)), ..TransactionFacts::default() };
    Stating { category: Some("dining"), ..stating() }.recorded_knowing(facts).refused(unknown("dining"));
}

#[test]
fn bud_t5_a_possible_duplicate_is_marked_and_not_refused() {
    let of = |duplicate| {
        let facts = TransactionFacts { duplicate, ..facts() };
        let events = Stating { merchant: Some("Bistro"), ..stating() }.recorded_knowing(facts).events();
        let [E::TransactionRecorded { possible_duplicate_of, .. }] = events[..] else { panic!("{events:?}") };
        possible_duplicate_of
    };
    assert_eq!(of(Some(Uuid::from_u128(5))), Some(Uuid::from_u128(5)));
    assert_eq!(of(Some(Uuid::from_u128(0x1D))), None, "nothing repeats itself");
}

#[test]
fn bud_t6_a_transaction_lies_at_most_a_day_ahead() {
    Stating { spent_at: "2026-05-05T12:00:00Z", ..stating() }.recorded().then_names(["TransactionRecorded"]);
    Stating { spent_at: "2026-05-05T12:00:00.001Z", ..stating() }.recorded().refused(R::FutureDate {});
    Stating { spent_at: "1899-12-31T12:00:00Z", ..stating() }.recorded().invalid("spent_at");
    past([]).when(amend(None, Some("2026-05-06T12:00:00Z"), None, None)).refused(R::FutureDate {});
}

#[test]
fn the_date_is_that_of_the_owners_zone() {
    let events = Stating { spent_at: "2026-05-01T03:30:00Z", ..stating() }.recorded().events();
    let [E::TransactionRecorded { local_date, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(*local_date, jiff::civil::date(2026, 4, 30));
}

#[test]
fn the_same_reference_of_a_source_is_recorded_once_and_a_void_does_not_free_it() {
    let command = Stating { external_ref: Some("bank-1"), ..stating() };
    let key = format!("txn-ext:{OWNER}:import:mac of the reference");
    assert_eq!(command.recorded().claims(), [Claim::Take(key.clone())]);
    assert_eq!(Transaction::taken(&key), Some(R::DuplicateExternal {}));
    assert_eq!(past([]).when(void()).claims(), []);
    for reference in ["", "a b", "\u{e9}", "a\nb"] {
        Stating { external_ref: Some(reference), ..stating() }.recorded().invalid("external_ref");
    }
}

#[test]
fn nothing_is_recorded_without_a_budget_nor_twice() {
    stating().recorded_knowing(TransactionFacts::default()).refused(R::NoProfile {});
    past([]).when(stating().command()).invalid_state("recorded");
}

#[test]
fn an_amendment_says_what_was_before_and_what_holds_now() {
    let command =
        amend(Some(usd(1200)), Some("2026-05-01T03:30:00Z"), Some("Bistro #12"), Some("restaurants"));
    let events = past([]).when(command).events();
    let [E::TransactionAmended { before, booked, local_date, category, merchant_normalized, .. }] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    let before = before.get().unwrap();
    assert_eq!((before.booked, before.local_date, before.category.as_str()), (usd(1000), may(3), "dining"));
    assert_eq!((booked.get(), *local_date), (Some(&usd(1200)), jiff::civil::date(2026, 4, 30)));
    assert_eq!(
        (category.as_str(), merchant_normalized.as_ref().unwrap().get().unwrap().as_str()),
        ("restaurants", "bistro")
    );
    let state = past(events).state().clone();
    assert_eq!((state.booked.get(), state.category.as_str()), (Some(&usd(1200)), "restaurants"));
    past([]).when(amend(None, None, None, None)).invalid("amount");
}

#[test]
fn an_amended_amount_of_the_recorded_currency_keeps_its_rate_and_another_currency_has_none() {
    let foreign = Stating {
        amount: Money::new(1000, ccy("EUR")),
        rate_e9: Some(1_100_000_000),
        rate_date: Some(may(2)),
        rate_source: Some("ecb"),
        ..stating()
    };
    let recorded = foreign.recorded().events();
    let with = |amount| {
        given::<Transaction>(recorded.clone()).knowing(facts()).when(amend(Some(amount), None, None, None))
    };
    assert_eq!(booked(&with(Money::new(2000, ccy("EUR"))).events()[0]), Some(usd(2200)));
    assert_eq!(booked(&with(usd(2000)).events()[0]), Some(usd(2000)));
    with(Money::new(2000, ccy("BGN"))).refused(R::FxRateMissing {});
}

#[test]
fn bud_t7_a_recategorisation_carries_the_merchant_that_it_may_teach() {
    let recorded = Stating { merchant: Some("Bistro 12"), ..stating() }.recorded().events();
    let events = given::<Transaction>(recorded).knowing(facts()).when(recategorize("travel", true)).events();
    let [E::TransactionRecategorized { learn: true, from, merchant_normalized: Some(merchant), .. }] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((from.as_str(), merchant.get().unwrap().as_str()), ("dining", "bistro"));
}

#[test]
fn a_voided_transaction_is_final() {
    let voided = past([]).when(void()).events();
    past(voided.clone()).when(void()).refused(R::AlreadyVoided {});
    past(voided.clone()).when(recategorize("travel", false)).refused(R::Voided {});
    past(voided.clone()).when(amend(Some(usd(1)), None, None, None)).refused(R::Voided {});
    past(voided).when(stating().command()).invalid_state("voided");
}

#[test]
fn transactions_are_the_owners_and_the_system_records_too() {
    let stranger = Actor::user(Uuid::from_u128(9), &["budget_user"]);
    let (policy, staff) = (Actor::policy("book_receipt"), Actor::user(OWNER, &["staff"]));
    let record = stating().command();
    let fresh = nothing::<Transaction>();
    assert!(fresh.permits(&owner(), &record) && fresh.permits(&policy, &record));
    assert!(!fresh.permits(&stranger, &record) && !fresh.permits(&staff, &record));
    for command in [void(), recategorize("travel", false), amend(Some(usd(1)), None, None, None)] {
        let recorded = past([]);
        assert!(recorded.permits(&owner(), &command));
        for actor in [&stranger, &policy, &staff] {
            assert!(!recorded.permits(actor, &command), "{actor}");
        }
    }
}

#[test]
fn an_erased_transaction_is_still_voided_and_no_longer_amended() {
    let recorded = Stating { category: Some("dining"), ..stating() }.recorded().events().remove(0);
    // Stored, and read without any key.
    let (text, _) = crate::kernel::SealingScope::to_json(&recorded).unwrap();
    let recorded: E = serde_json::from_str(&text).unwrap();
    let erased = || given::<Transaction>([recorded.clone()]).knowing(facts());
    assert_eq!(erased().state().subject(), Some(OWNER));
    erased().when(amend(None, None, None, Some("travel"))).invalid_state("erased");
    assert_eq!(booked(&erased().when(void()).events()[0]), None);
}

#[test]
fn what_the_owner_taught_is_asked_only_where_no_category_is_stated() {
    let profile = facts().profile;
    let known = |stating: Stating| {
        let (learned, duplicate) = (Some("hobbies".to_owned()), Some(Uuid::from_u128(5)));
        let mut world = World { profile: profile.clone(), learned, duplicate, ..World::default() };
        let known = Transaction::default().facts(&stating.command(), &context(), &mut world).unwrap();
        (known.learned, known.duplicate, world.asked.len())
    };
    let at = |category| Stating { merchant: Some("Bistro 12"), category, ..stating() };
    let duplicate = Some(Uuid::from_u128(5));
    assert_eq!(known(at(None)), (Some("hobbies".into()), duplicate, 2));
    assert_eq!(known(at(Some("dining"))), (None, duplicate, 1));
    assert_eq!(known(stating()), (None, None, 0), "without a merchant there is nothing to ask");
    let mut world = World { profile: profile.clone(), ..World::default() };
    Transaction::default().facts(&at(None).command(), &context(), &mut world).unwrap();
    let merchant = || "bistro".to_owned();
    assert_eq!(
        world.asked,
        [
            Question::LearnedCategory { account: OWNER, merchant: merchant() },
            Question::PossibleDuplicate {
                account: OWNER,
                merchant: merchant(),
                amount: usd(1000),
                date: may(3)
            },
        ]
    );
}

fn context() -> Context {
    let now = "2026-05-04T12:00:00Z".parse().unwrap();
    Context { id: Uuid::from_u128(0x1D), command_id: Uuid::nil(), actor: owner(), now, occurred_at: now }
}
