//! What a notification says where no template of the house says it otherwise: a title for everybody to see, and a text for the
//! recipient alone.

use std::collections::BTreeMap;

use super::NotificationType;

/// What it is about, without anything personal: the type's name in words.
pub fn title(kind: NotificationType) -> String {
    let words = kind.name().replace('_', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// What it says to the recipient, in the application. A value that is missing is left out, never made up.
pub fn text(kind: NotificationType, data: &BTreeMap<String, String>) -> String {
    use NotificationType as T;
    let of = |name: &str| data.get(name).map(String::as_str);
    let told = match kind {
        T::AccountChanged => of("change").map(|change| format!("Your account was changed: {change}.")),
        T::ApplicationSubmitted => {
            of("scholarship").map(|scholarship| format!("Your application for {scholarship} was received."))
        }
        T::ApplicationStatus => {
            of("status").map(|status| format!("Your application for a scholarship was {status}."))
        }
        T::AwardOffer => of("amount").zip(of("until")).map(|(amount, until)| {
            format!("You are offered an award of {amount}. Please accept or refuse it by {until}.")
        }),
        T::ReviewAssigned => Some("An application was assigned to you for review.".to_owned()),
        T::RecognitionPending => of("credential")
            .map(|credential| format!("The recognition of {credential} waits for a decision.")),
        T::RecognitionDecided => of("credential")
            .zip(of("decision"))
            .map(|(credential, decision)| format!("The recognition of {credential} was {decision}.")),
        T::CategoryAlert => of("category")
            .zip(of("used"))
            .map(|(category, used)| format!("{used} of what is planned for {category} this month is spent.")),
        T::Overspend => of("category").map(|category| {
            let uncovered = of("uncovered").map(|uncovered| format!(" by {uncovered}")).unwrap_or_default();
            format!("{category} is overspent{uncovered}.")
        }),
        // Algorithm 5 of MITA: "Dining +10.00, Entertainment −10.00".
        T::BudgetAdjusted => of("changes").map(|changes| format!("Your budget was adjusted: {changes}.")),
        T::RedistributionProposed => of("changes").zip(of("until")).map(|(changes, until)| {
            format!("Your budget can be adjusted: {changes}. You may accept that until {until}.")
        }),
        _ => of("text").map(str::to_owned),
    };
    told.unwrap_or_else(|| format!("{}.", title(kind)))
}

/// What is sent to an address: that there is something to read, and nothing of what it says. Who reads a mail need not be who
/// it is for.
pub fn notice(kind: NotificationType) -> String {
    format!("{}. You can read it among your notifications, after a login.", title(kind))
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_title_is_the_type_in_words() {
        assert_eq!(title(NotificationType::RecognitionDecided), "Recognition decided");
    }

    #[test]
    fn p_26_the_owner_of_a_budget_reads_which_category_got_and_which_gave() {
        let data = data(&[("changes", "dining +10.00, entertainment −10.00")]);
        let told = text(NotificationType::BudgetAdjusted, &data);
        assert_eq!(told, "Your budget was adjusted: dining +10.00, entertainment −10.00.");
    }

    #[test]
    fn p_25_an_overspend_says_what_nobody_covers_where_that_is_known() {
        let known = data(&[("category", "dining"), ("uncovered", "3.50 USD")]);
        assert_eq!(text(NotificationType::Overspend, &known), "dining is overspent by 3.50 USD.");
        let unknown = data(&[("category", "dining")]);
        assert_eq!(text(NotificationType::Overspend, &unknown), "dining is overspent.");
    }

    #[test]
    fn whoever_knows_nothing_more_reads_the_title_and_a_mail_says_never_more() {
        for kind in NotificationType::VARIANTS {
            assert!(text(*kind, &BTreeMap::new()).ends_with('.'), "{kind:?}");
            let secret = data(&[("scholarship", "SECRET"), ("amount", "SECRET"), ("text", "SECRET")]);
            assert!(!notice(*kind).contains("SECRET") && !title(*kind).contains("SECRET"));
            assert!(!text(*kind, &secret).is_empty());
        }
    }
}
