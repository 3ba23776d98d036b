//! The seeds' own paths (catalogue 5), as one table: each row is a command or a query under another name. Rows name
//! only what exists; tests walk them.

mod table;

use actix_web::http::Method;
use commands::Catalog;

use super::{CommandRoute, From, IdFrom, Operation, QueryRoute, Route, Shows};
use crate::auth::Access;

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Resource {
    /// The method.
    pub method: Verb,
    /// The path, with parameters as `{name}`.
    pub path: &'static str,
    /// What it asks of its caller.
    pub access: Access,
    /// What it stands for.
    pub does: Does,
}

/// The methods that rows use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

/// What a row stands for.
#[derive(Debug, Clone, Copy)]
pub enum Does {
    /// A command.
    Command {
        /// The aggregate's storage name.
        of: &'static str,
        /// The variant's name.
        name: &'static str,
        /// Which stream it is for.
        id: IdFrom,
        /// Fields that the route gives.
        given: &'static [(&'static str, From)],
    },
    /// Rows of a read model, or one of them.
    Query {
        /// The read model.
        model: &'static str,
        /// In which form it shows rows.
        shows: Shows,
        /// Conditions that the route sets.
        only: &'static [(&'static str, From)],
        /// For how long a client may use the answer again, in seconds.
        max_age: u32,
    },
}

const ID: IdFrom = IdFrom::Path("id");

/// A command to the stream that `{id}` names. The aggregate says who may.
const fn command(method: Verb, path: &'static str, of: &'static str, name: &'static str) -> Resource {
    Resource {
        method,
        path,
        access: Access::Authenticated,
        does: Does::Command { of, name, id: ID, given: &[] },
    }
}

const fn post(path: &'static str, of: &'static str, name: &'static str) -> Resource {
    command(Verb::Post, path, of, name)
}

const fn delete(path: &'static str, of: &'static str, name: &'static str) -> Resource {
    command(Verb::Delete, path, of, name)
}

const fn put(path: &'static str, of: &'static str, name: &'static str) -> Resource {
    command(Verb::Put, path, of, name)
}

/// Rows of a read model. The read model says which ones a caller may see.
const fn list(path: &'static str, model: &'static str) -> Resource {
    shown(path, model, Shows::Rows, &[])
}

/// The one row that the conditions name.
const fn one(path: &'static str, model: &'static str, key: &'static [(&'static str, From)]) -> Resource {
    shown(path, model, Shows::One, key)
}

/// The rows that the conditions name, in a form of their own.
const fn shown(
    path: &'static str,
    model: &'static str,
    shows: Shows,
    only: &'static [(&'static str, From)],
) -> Resource {
    let does = Does::Query { model, shows, only, max_age: 0 };
    Resource { method: Verb::Get, path, access: Access::Authenticated, does }
}

impl Resource {
    /// For another stream than the one that `{id}` names.
    const fn to(mut self, stream: IdFrom) -> Self {
        if let Does::Command { id, .. } = &mut self.does {
            *id = stream;
        }
        self
    }

    /// With fields that the route gives.
    const fn giving(mut self, fields: &'static [(&'static str, From)]) -> Self {
        if let Does::Command { given, .. } = &mut self.does {
            *given = fields;
        }
        self
    }

    /// With conditions that the route sets.
    const fn only(mut self, conditions: &'static [(&'static str, From)]) -> Self {
        if let Does::Query { only, .. } = &mut self.does {
            *only = conditions;
        }
        self
    }

    /// Which a client may use again for some seconds without asking (catalogue 4.3).
    const fn fresh(mut self, seconds: u32) -> Self {
        if let Does::Query { max_age, .. } = &mut self.does {
            *max_age = seconds;
        }
        self
    }

    /// For callers who hold one of these scopes.
    const fn for_scopes(mut self, scopes: &'static [&'static str]) -> Self {
        self.access = Access::AnyScope(scopes);
        self
    }
}

pub use table::TABLE;

/// The table's routes.
///
/// # Panics
/// A row names a command that does not exist: a test builds all of them.
pub(super) fn routes(catalog: &Catalog) -> Vec<Route> {
    table::TABLE.iter().map(|row| row.route(catalog)).collect()
}

impl Resource {
    /// The stream of the commands at or below the path of a row, whose version they may be bound to.
    fn stream(&self) -> Option<(&'static str, IdFrom)> {
        let Does::Query { shows: Shows::One, .. } = self.does else { return None };
        table::TABLE.iter().find_map(|row| match row.does {
            Does::Command { of, id, .. } => {
                let below = row.path.strip_prefix(self.path)?;
                (below.is_empty() || below.starts_with('/')).then_some((of, id))
            }
            Does::Query { .. } => None,
        })
    }

    fn route(&self, catalog: &Catalog) -> Route {
        let operation = match self.does {
            Does::Command { of, name, id, given } => {
                let aggregate = catalog.aggregates.iter().position(|entry| entry.aggregate_type == of);
                let aggregate = aggregate.unwrap_or_else(|| panic!("{}: there is no {of}", self.path));
                let commands = &catalog.aggregates[aggregate].commands;
                let command = commands.iter().position(|command| command.name == name && !command.system);
                let command = command.unwrap_or_else(|| panic!("{}: {of} has no {name}", self.path));
                Operation::Command(CommandRoute { aggregate, command, id, given })
            }
            Does::Query { model, shows, only, max_age } => {
                Operation::Query(QueryRoute { model, shows, only, max_age, stream: self.stream() })
            }
        };
        let method = match self.method {
            Verb::Get => Method::GET,
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
            Verb::Delete => Method::DELETE,
        };
        Route { method, template: self.path.to_owned(), access: self.access, operation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::filters;

    /// Every value that a row takes from its path is a parameter of that path.
    #[test]
    fn every_parameter_that_a_row_uses_is_in_its_path() {
        for (row, route) in TABLE.iter().zip(routes(&Catalog::new())) {
            let has = |name: &str| route.parameters().any(|parameter| parameter == name);
            let from = |from: &From| from.parameter().is_none_or(has);
            let fits = match row.does {
                Does::Command { id, given, .. } => {
                    let id = match id {
                        IdFrom::Path(name) | IdFrom::Piece(name, _) => has(name),
                        IdFrom::Derived(parts) => parts.iter().all(from),
                        IdFrom::New | IdFrom::Caller => true,
                    };
                    id && given.iter().all(|(_, given)| from(given))
                }
                Does::Query { only, .. } => only.iter().all(|(_, condition)| from(condition)),
            };
            assert!(fits, "{}", row.path);
        }
    }

    /// And what a row gives is a field of its command.
    #[test]
    fn every_field_that_a_row_gives_is_one_of_its_command() {
        let catalog = Catalog::new();
        for row in TABLE {
            let Does::Command { of, name, given, .. } = row.does else { continue };
            let (_, command) = catalog.command(of, name).unwrap();
            for (field, _) in given {
                assert!(!command.schema["properties"][field].is_null(), "{} gives {field}", row.path);
            }
        }
    }

    /// Whoever reads a row and commands at its path or below it is told the version of the stream that they command.
    #[test]
    fn a_row_tells_the_version_of_the_stream_that_all_commands_below_its_path_are_for() {
        let streams = TABLE.iter().filter_map(|row| Some((row.path, row.stream()?)));
        let streams: Vec<_> = streams.collect();
        for (path, stream) in &streams {
            for row in TABLE {
                let below = row.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
                if let Does::Command { of, id, .. } = row.does
                    && (below || row.path == *path)
                {
                    assert_eq!((of, id), *stream, "{} beside {path}", row.path);
                }
            }
        }
        let told = |path: &str| streams.iter().find(|(own, _)| *own == path).map(|(_, (of, _))| *of);
        assert_eq!(told("/v1/orgs/{id}"), Some("identity.org_unit"));
        assert_eq!(told("/v1/users/me/profile"), Some("identity.profile"));
        assert_eq!(told("/v1/people/{id}"), None);
    }

    /// What a row asks is a read model, and its conditions are on columns that can be filtered by.
    #[test]
    fn every_query_is_of_a_read_model_and_its_columns() {
        let mut schemas = filters::generator();
        for row in TABLE {
            let Does::Query { model, only, .. } = row.does else { continue };
            let shape = projections::read_models()
                .iter()
                .map(|known| known.shape())
                .find(|shape| shape.name == model);
            let shape = shape.unwrap_or_else(|| panic!("{}: there is no {model}", row.path));
            let parameters = filters::parameters(shape, &mut schemas);
            for (column, _) in only {
                assert!(parameters.iter().any(|known| known.name == *column), "{}: {column}", row.path);
            }
        }
    }
}
