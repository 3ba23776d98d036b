//! Categories of a budget, and the ones that everybody starts with (BUD-P2).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CategoryClass, Pacing};
use crate::kernel::{Personal, Stated, class::Financial, schemas};

/// Where spending waits until it has a category; no profile can define it.
pub const UNCATEGORISED: &str = "uncategorised";

/// A category as a profile starts with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Category {
    /// Its key, `[a-z0-9_]{1,40}`.
    pub key: String,
    /// Its class.
    pub class: CategoryClass,
    /// Its priority level: 3 discretionary, 2 flexible, 1 protected, 0 sacred.
    pub level: u8,
    /// Whether it never gives money away.
    pub essential: bool,
    /// Its weight within its class.
    pub weight: i64,
    /// How its envelope is paced.
    pub pacing: Pacing,
    /// The day of a `fixed_day` category, 1 to 31.
    pub fixed_day: Option<u8>,
}

/// What of a category is revised, as a command states it; what is left out stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CategoryChanges {
    /// The class.
    #[serde(default)]
    pub class: Option<CategoryClass>,
    /// The priority level, 0 to 3.
    #[serde(default)]
    #[schemars(transform = schemas::number::<0, 3>)]
    pub level: Option<i32>,
    /// Whether it never gives money away.
    #[serde(default)]
    pub essential: Option<bool>,
    /// The weight within its class, 0 to 10000.
    #[serde(default)]
    #[schemars(transform = schemas::number::<0, 10_000>)]
    pub weight: Option<i64>,
    /// How its envelope is paced.
    #[serde(default)]
    pub pacing: Option<Pacing>,
    /// The day of a `fixed_day` category, 1 to 31.
    #[serde(default)]
    #[schemars(transform = schemas::number::<1, 31>)]
    pub fixed_day: Option<u8>,
    /// The owner's keywords, instead of the earlier ones; at most 100 of 1 to 60 characters.
    #[serde(default)]
    #[schemars(transform = schemas::texts::<100, 60>)]
    pub keywords: Option<Stated<Vec<String>>>,
}

/// What of a category was revised; what is absent stayed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the fields are those of the command's changes")]
pub struct CategoryRevision {
    pub class: Option<CategoryClass>,
    pub level: Option<u8>,
    pub essential: Option<bool>,
    pub weight: Option<i64>,
    pub pacing: Option<Pacing>,
    pub fixed_day: Option<u8>,
    pub keywords: Option<Personal<Vec<String>, Financial>>,
}

/// BUD-P2: the default categories, in this order.
pub fn default_categories() -> Vec<Category> {
    use CategoryClass::{Needs, Savings, Wants};
    const TABLE: &[(&str, CategoryClass, u8, i64, Option<u8>)] = &[
        ("rent", Needs, 0, 40, Some(1)),
        ("utilities", Needs, 0, 10, Some(15)),
        ("insurance", Needs, 0, 5, Some(10)),
        ("debt", Needs, 0, 5, Some(20)),
        ("groceries", Needs, 1, 20, None),
        ("transport", Needs, 1, 12, None),
        ("health", Needs, 1, 8, None),
        ("clothing", Wants, 2, 12, None),
        ("personal_care", Wants, 2, 8, None),
        ("home_goods", Wants, 2, 8, None),
        ("dining", Wants, 3, 12, None),
        ("restaurants", Wants, 3, 12, None),
        ("entertainment", Wants, 3, 12, None),
        ("hobbies", Wants, 3, 8, None),
        ("shopping", Wants, 3, 12, None),
        ("subscriptions", Wants, 3, 6, None),
        ("travel", Wants, 3, 10, None),
        ("emergency_savings", Savings, 0, 40, None),
        ("goal_savings", Savings, 0, 40, None),
        ("investments", Savings, 0, 20, None),
    ];
    let category =
        |&(key, class, level, weight, fixed_day): &(&str, CategoryClass, u8, i64, Option<u8>)| Category {
            key: key.to_owned(),
            class,
            level,
            essential: level <= 1,
            weight,
            pacing: if fixed_day.is_some() { Pacing::FixedDay } else { Pacing::Even },
            fixed_day,
        };
    TABLE.iter().map(category).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bud_p2_there_are_twenty_default_categories_whose_weights_are_a_hundred_in_each_class() {
        let categories = default_categories();
        assert_eq!(categories.len(), 20);
        for class in CategoryClass::ALL {
            let weights: i64 = categories
                .iter()
                .filter(|category| category.class == class)
                .map(|category| category.weight)
                .sum();
            assert_eq!(weights, 100, "{class:?}");
        }
    }

    #[test]
    fn bud_p2_the_default_categories_are_those_of_the_catalogue_in_its_order() {
        use CategoryClass::{Needs, Savings, Wants};
        let found: Vec<_> = default_categories()
            .into_iter()
            .map(|c| (c.key, c.class, c.level, c.weight, c.pacing, c.fixed_day))
            .collect();
        let fixed = |key: &str, weight, day| (key.to_owned(), Needs, 0, weight, Pacing::FixedDay, Some(day));
        let even =
            |key: &str, class, level, weight| (key.to_owned(), class, level, weight, Pacing::Even, None);
        assert_eq!(
            found,
            [
                fixed("rent", 40, 1),
                fixed("utilities", 10, 15),
                fixed("insurance", 5, 10),
                fixed("debt", 5, 20),
                even("groceries", Needs, 1, 20),
                even("transport", Needs, 1, 12),
                even("health", Needs, 1, 8),
                even("clothing", Wants, 2, 12),
                even("personal_care", Wants, 2, 8),
                even("home_goods", Wants, 2, 8),
                even("dining", Wants, 3, 12),
                even("restaurants", Wants, 3, 12),
                even("entertainment", Wants, 3, 12),
                even("hobbies", Wants, 3, 8),
                even("shopping", Wants, 3, 12),
                even("subscriptions", Wants, 3, 6),
                even("travel", Wants, 3, 10),
                even("emergency_savings", Savings, 0, 40),
                even("goal_savings", Savings, 0, 40),
                even("investments", Savings, 0, 20),
            ]
        );
    }

    #[test]
    fn bud_p2_needs_and_savings_are_essential_and_wants_may_give() {
        for category in default_categories() {
            assert_eq!(category.essential, category.class != CategoryClass::Wants, "{}", category.key);
            assert_eq!(category.level >= 2, category.class == CategoryClass::Wants, "{}", category.key);
        }
    }
}
