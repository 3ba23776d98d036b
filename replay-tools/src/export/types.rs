//! The types that an export is narrowed down to: those that this program knows, and those that the log has all the same.

use domain::{
    Decider,
    registry::{Visitor, every_aggregate},
};
use strsim::levenshtein;
use strum::VariantNames;

use crate::{annals::Annals, failure::Failure};

/// How many names are offered for one that there is not.
const OFFERED: usize = 5;

/// Refuses names that no event has: an export of what was mistyped would be empty, and pass for an answer.
pub(super) async fn check(annals: &Annals, names: &[String]) -> Result<(), Failure> {
    let mut known = Known::default();
    every_aggregate(&mut known);
    for name in names {
        if !known.0.contains(&name.as_str()) && !is_recorded(annals, name).await? {
            return Err(Failure::Wrong(unknown(name, &known.0)));
        }
    }
    Ok(())
}

/// The types of aggregates and of their events.
#[derive(Default)]
struct Known(Vec<&'static str>);

impl Visitor for Known {
    fn aggregate<D: Decider>(&mut self) {
        self.0.push(D::TYPE);
        self.0.extend(D::Event::VARIANTS);
    }
}

/// Whether the log has an event of that type, such as one of another program.
async fn is_recorded(annals: &Annals, name: &str) -> Result<bool, Failure> {
    let any = "SELECT EXISTS (SELECT FROM annals.events WHERE event_type = $1 OR aggregate_type = $1)";
    Ok(sqlx::query_scalar(any).bind(name).fetch_one(annals.store.pool()).await?)
}

fn unknown(name: &str, known: &[&'static str]) -> String {
    let wanted = name.to_lowercase();
    // What is part of a name, or differs from one in a third of its letters at most.
    let farness = |known: &&'static str| {
        let has = !wanted.is_empty() && known.to_lowercase().contains(&wanted);
        let far = if has { 0 } else { levenshtein(&wanted, &known.to_lowercase()) };
        (far <= wanted.len() / 3).then_some((far, *known))
    };
    let mut near: Vec<(usize, &str)> = known.iter().filter_map(farness).collect();
    near.sort_unstable();
    let offered: Vec<&str> = near.into_iter().map(|(_, known)| known).take(OFFERED).collect();
    let instead = match offered.is_empty() {
        true => "`annals events` lists them".to_owned(),
        false => format!("is it {}?", offered.join(", ")),
    };
    format!("--type {name}: there is no such type of events or aggregates; {instead}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_mistyped_is_told_with_those_that_are_near_to_it() {
        let known = ["identity.profile", "ProfileCreated", "ProfileRevised", "ScholarshipAwarded"];
        for (name, offered) in [
            ("ScolarshipAward", "ScholarshipAwarded"),
            ("profile", "ProfileCreated, ProfileRevised, identity.profile"),
            ("profilerevised", "ProfileRevised, ProfileCreated"),
        ] {
            assert!(unknown(name, &known).ends_with(&format!("; is it {offered}?")), "{name}");
        }
        assert!(unknown("NoSuch", &known).ends_with("`annals events` lists them"));
    }

    #[test]
    fn the_distance_of_names_is_how_many_letters_they_differ_by() {
        for (one, other, letters) in [("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3)] {
            assert_eq!((levenshtein(one, other), levenshtein(other, one)), (letters, letters));
        }
    }
}
