//! What a route is: data, from which the router, authorisation, OpenAPI and the tests over all routes are made.

use actix_web::http::Method;

use super::Identity;
use crate::auth::Access;

/// One way to call this server. There is no route without a declared [`Access`].
#[derive(Debug, Clone)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with parameters as `{name}`.
    pub template: String,
    /// What it asks of its caller.
    pub access: Access,
    /// What it does.
    pub operation: Operation,
}

impl Route {
    /// Whether it tells how this node is: that is answered whatever else is asked of it.
    pub fn is_health(&self) -> bool {
        use Page::{Health, Live, Ready, Started};
        matches!(self.operation, Operation::Page(Live | Ready | Started | Health))
    }

    /// The names of the path's parameters, in order.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.template.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
    }
}

/// What a route does.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Issues a command.
    Command(CommandRoute),
    /// Lists rows of a read model, or shows one.
    Query(QueryRoute),
    /// Reads the log itself.
    Governance(Governance),
    /// Says and changes who somebody is.
    Identity(Identity),
    /// Shows what was signed of the log.
    Log(Log),
    /// Answers from this process itself.
    Page(Page),
    /// Runs many of the others.
    Batch,
    /// Asks queries in GraphQL.
    Graphql,
}

/// A command that a route issues. Indexes point into the catalog.
#[derive(Debug, Clone)]
pub struct CommandRoute {
    /// The aggregate's index in [`commands::Catalog::aggregates`].
    pub aggregate: usize,
    /// The command's index in its aggregate's list.
    pub command: usize,
    /// Which stream it is for.
    pub id: IdFrom,
    /// Fields that the route itself gives, and that a client must not send.
    pub given: &'static [(&'static str, From)],
}

/// Where the id of a command's stream comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdFrom {
    /// A parameter of the path: a UUID.
    Path(&'static str),
    /// A piece of a parameter of the path, whose pieces are separated by points: a UUID.
    Piece(&'static str, usize),
    /// A new one; with an idempotency key, always the same new one.
    New,
    /// The caller's account.
    Caller,
    /// The UUIDv5 of these parts (catalogue 0.3).
    Derived(&'static [From]),
}

/// A value that a route knows without being told in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The caller's account.
    Caller,
    /// The address that the caller calls from; an unspecified one where that is not known.
    Address,
    /// A parameter of the path.
    Path(&'static str),
    /// A piece of a parameter of the path, whose pieces are separated by points.
    Piece(&'static str, usize),
    /// So many pieces of it from one of them on, with the points between them.
    Pieces(&'static str, usize, usize),
    /// The month of a parameter of the path that is a date.
    MonthOf(&'static str),
    /// The UUIDv5 of these parts, as catalogue 0.3 spells it.
    Derived(&'static [From]),
    /// This text.
    Text(&'static str),
}

impl From {
    /// The parameter of the path that it is taken from.
    pub fn parameter(self) -> Option<&'static str> {
        match self {
            From::Path(name) | From::Piece(name, _) | From::Pieces(name, ..) | From::MonthOf(name) => {
                Some(name)
            }
            From::Derived(parts) => parts.iter().find_map(|part| part.parameter()),
            From::Caller | From::Address | From::Text(_) => None,
        }
    }
}

/// Rows that a route shows.
#[derive(Debug, Clone)]
pub struct QueryRoute {
    /// The read model's name.
    pub model: &'static str,
    /// In which form it shows them.
    pub shows: Shows,
    /// Conditions that the route itself sets, by column.
    pub only: &'static [(&'static str, From)],
    /// For how many seconds a client may use the answer again without asking (catalogue 4.3).
    pub max_age: u32,
    /// The aggregate, and its stream, whose version the answer tells: that of the commands at or below the path of a row.
    pub stream: Option<(&'static str, IdFrom)>,
}

/// In which form a route shows rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// A page of them.
    Rows,
    /// The one row that the conditions name.
    One,
    /// The days of a budget's month, taken out of the rows of its categories.
    Calendar,
    /// One of these days.
    Day,
    /// The sums of a scholarship's funnel.
    Funnel,
    /// The rows whose texts come nearest to a text.
    Nearest,
}

/// What is read off the log itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Governance {
    /// The audit trail.
    Trail,
    /// The caller's own part of the audit trail.
    Mine,
    /// What caused an event, and what it caused.
    Chain,
    /// The events of the log with their hashes and proofs.
    Events,
    /// One of them.
    Event,
    /// What something came from, and what came of it.
    Lineage,
    /// The same in the words of OpenLineage.
    OpenLineage,
    /// Everything that is held about a person.
    Inventory,
    /// Everything that is held about the caller.
    OwnInventory,
    /// The events that an audit replay shows.
    Replay,
    /// What is due, and when.
    Due,
    /// The states of the aggregates that an audit replay is about.
    ReplayState,
    /// What an audit replay shows as one document.
    ReplayExport,
    /// Where personal data is.
    DataMap,
    /// The data of the person who asked for it.
    Package,
    /// The same as a page to print.
    PackagePage,
}

/// What was signed of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// The signed checkpoint.
    Checkpoint,
    /// The key that it is verified with.
    Key,
    /// A tile of the tree.
    Tile,
    /// The proof that an event is in the log.
    Proof,
    /// The proof that a tree begins with an older one.
    Consistency,
}

/// What this process answers from itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The process lives.
    Live,
    /// It can serve.
    Ready,
    /// It has started.
    Started,
    /// All of it, with the parts.
    Health,
    /// The description of this API.
    OpenApi,
    /// The description of the events.
    AsyncApi,
    /// The description of this API, or of the events, to be read.
    Docs,
    /// The script that draws it.
    DocsScript,
    /// How it looks.
    DocsStyle,
    /// The schema of packages.
    PackageSchema,
    /// What a kind of problem means.
    ProblemDoc,
    /// The events as they are recorded.
    Stream,
    /// The same over a WebSocket.
    Socket,
}
