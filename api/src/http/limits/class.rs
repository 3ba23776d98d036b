//! Classes of routes, each with a limit of its own (IDN-P1).

use actix_web::http::Method;
use commands::Catalog;
use strum::{IntoStaticStr, VariantNames};

use crate::http::{Identity, Operation, Page, Route};

/// A class of routes. Its name is what `SetRateLimit` calls it: it is one of [`LIMITS`](domain::identity::LIMITS).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Class {
    /// The ways in.
    Auth,
    /// Questions to the assistant.
    Assistant,
    /// Messages between people.
    Messages,
    /// Scans of receipts.
    Receipts,
    /// Notifications.
    Notifications,
    /// What goes to many at once.
    Bulk,
    /// Changes of flags.
    Flags,
    /// All other commands.
    Writes,
    /// Queries.
    Reads,
    /// Documents and hashes, which everybody reads.
    Public,
    /// Whatever a client of the API calls, under the limit of its own.
    Client,
    /// Whatever is called with a token of the operator's command line.
    Operator,
    /// No calls: the refusals of a caller that are put on record.
    Refusals,
}

impl Class {
    /// The class of a route; none where calls are not counted: health is asked for by machines.
    pub fn of(route: &Route, catalog: &Catalog) -> Option<Class> {
        Some(match &route.operation {
            Operation::Command(command) => of_command(catalog.aggregates[command.aggregate].aggregate_type),
            // Of a document in GraphQL each root field is counted as well.
            Operation::Query(_) | Operation::Graphql => Class::Reads,
            Operation::Governance(_) if route.method == Method::GET => Class::Reads,
            Operation::Governance(_) => Class::Writes,
            Operation::Identity(Identity::Keys) => Class::Public,
            Operation::Identity(_) => Class::Auth,
            Operation::Log(_) if route.access.needs_token() => Class::Reads,
            Operation::Log(_) => Class::Public,
            // Its parts are counted.
            Operation::Batch => return None,
            Operation::Page(_) if route.is_health() => return None,
            Operation::Page(Page::Stream | Page::Socket) => Class::Reads,
            Operation::Page(_) => Class::Public,
        })
    }
}

/// The commands that the catalogue counts apart, by their aggregates.
fn of_command(aggregate_type: &str) -> Class {
    match aggregate_type {
        "intelligence.assistant_conversation" => Class::Assistant,
        "community.conversation" => Class::Messages,
        "budgeting.receipt_scan" => Class::Receipts,
        "notifications.notification" => Class::Notifications,
        "notifications.broadcast" | "operations.bulk_job" => Class::Bulk,
        _ if aggregate_type.starts_with("flags.") => Class::Flags,
        _ => Class::Writes,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::identity::{LIMITS, SecurityPolicy};

    use super::*;
    use crate::http::routes;

    #[test]
    fn idn_p1_every_route_but_health_and_batches_is_of_a_class_that_has_a_limit() {
        let (catalog, policy) = (Catalog::new(), SecurityPolicy::default());
        let mut free = BTreeSet::new();
        for route in routes(&catalog) {
            match Class::of(&route, &catalog) {
                Some(class) => assert!(policy.limit(class.into()).is_some(), "{class:?}"),
                None => drop(free.insert(route.template)),
            }
        }
        let uncounted = ["/health", "/health/live", "/health/ready", "/health/startup", "/v1/batch"];
        assert_eq!(free.into_iter().collect::<Vec<_>>(), uncounted);
    }

    #[test]
    fn idn_p1_the_classes_are_those_that_the_policy_knows_and_clients_have_their_own_limits() {
        let known: BTreeSet<&str> = LIMITS.into_iter().map(|(class, _)| class).collect();
        let others: [&str; 2] = [Class::Client.into(), Class::Refusals.into()];
        let classes: BTreeSet<&str> =
            Class::VARIANTS.iter().copied().filter(|class| !others.contains(class)).collect();
        assert_eq!(classes, known);
    }

    #[test]
    fn what_the_catalogue_counts_apart_is_counted_apart() {
        assert_eq!(of_command("intelligence.assistant_conversation"), Class::Assistant);
        assert_eq!(of_command("flags.feature_flag"), Class::Flags);
        assert_eq!(of_command("budgeting.transaction"), Class::Writes);
        assert_eq!(<&str>::from(Class::Notifications), "notifications");
    }
}
