//! What is read off the log itself: the audit trail, what caused what, lineage.

use actix_web::{HttpResponse, http::header::CACHE_CONTROL};
use domain::Actor;
use event_store::Position;
use projections::{
    governance::{
        AuditFilters, AuditQuery, Direction, Entry, GovernanceError, LineageQuery, Order, openlineage,
    },
    query::LIMIT_MAX,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{
    Api, Call, access, call, due, explorer, filters, package,
    pairs::{Pairs, number},
    query, replay,
    route::Governance,
};
use crate::problem::{FORBIDDEN, INVALID_PARAMETER, NOT_FOUND, Problem, UNAVAILABLE};

/// The most nodes of a graph.
pub const NODES_MAX: usize = 5000;
/// The most edges between the root of a graph and its other nodes.
pub const DEPTH_MAX: usize = 1000;

/// Answers a question about the log.
///
/// # Errors
/// Whatever is wrong with the query string, and what the caller may not see.
pub(super) async fn handle(api: &Api, call: &Call<'_>, route: Governance) -> Result<HttpResponse, Problem> {
    let pairs = Pairs::of(call.request)?;
    match route {
        Governance::Trail => trail(api, call, call.actor()?, pairs).await,
        // What is about them or was done by them, even for those who may see more.
        Governance::Mine => trail(api, call, &Actor::user(call.account()?, &[]), pairs).await,
        Governance::Chain => chain(api, call, pairs).await,
        Governance::Events => explorer::events(api, call, pairs).await,
        Governance::Event => explorer::event(api, call, pairs).await,
        Governance::Inventory => {
            pairs.done()?;
            let subject = call.id("subject")?;
            let actor = call.actor()?;
            // The log knows no org units: within one nothing would be shown, as if nothing were held.
            if !actor.is(subject) && !["manage:privacy", "read:audit"].iter().all(|scope| actor.has(scope)) {
                return Err(call::forbidden());
            }
            access::log_read(api, call, [subject]).await?;
            Ok(answer(&api.projections.inventory(actor, subject).await.map_err(problem)?))
        }
        Governance::OwnInventory => {
            pairs.done()?;
            let account = call.account()?;
            let own = Actor::user(account, &[]);
            Ok(answer(&api.projections.inventory(&own, account).await.map_err(problem)?))
        }
        Governance::Replay => replay::events(api, call, pairs).await,
        Governance::Due => due::due(api, call, pairs).await,
        Governance::ReplayState => replay::state(api, call, pairs).await,
        Governance::ReplayExport => replay::export(api, call, pairs).await,
        Governance::DataMap => {
            pairs.done()?;
            Ok(answer(&api.projections.data_map().await.map_err(problem)?))
        }
        Governance::Package => package::json(api, call, pairs).await,
        Governance::PackagePage => package::page(api, call, pairs).await,
        Governance::Lineage => {
            // A key of several parts comes with `%2F` between them; these three signs are left as they were sent.
            let signs = [("%2F", "/"), ("%2f", "/"), ("%2B", "+"), ("%2b", "+"), ("%25", "%")];
            let id =
                signs.iter().fold(call.parameter("id").to_owned(), |id, (sent, is)| id.replace(sent, is));
            let node = format!("{}:{id}", call.parameter("type"));
            Ok(answer(&graph(api, call, pairs, node).await?))
        }
        Governance::OpenLineage => {
            let mut pairs = pairs;
            let node = pairs.text("node")?;
            let node = node.ok_or_else(|| Problem::parameter("node", "it is needed: `type:id`"))?;
            Ok(answer(&openlineage(&graph(api, call, pairs, node).await?)))
        }
    }
}

/// A page of the audit trail, as it is asked for.
pub(super) struct Asked {
    /// What is asked of the log.
    pub(super) of_log: AuditQuery,
    /// Which position the log must have.
    pub(super) min_position: Option<Position>,
    /// Which fields of its entries are shown; all where none is named.
    fields: Vec<String>,
}

/// What is asked of the audit trail, whose entries are shown as `E`.
pub(super) fn asked<E: JsonSchema>(mut pairs: Pairs) -> Result<Asked, Problem> {
    let fields = pairs.read("fields", "a field is there twice", query::columns)?.unwrap_or_default();
    if !fields.is_empty() {
        let schema = E::json_schema(&mut filters::generator());
        let known = |field: &String| !schema.as_value()["properties"][field].is_null();
        if !fields.iter().all(known) {
            return Err(Problem::parameter("fields", "there is no such field to show"));
        }
    }
    let min_position = pairs.read("min_position", "expected a position", number)?;
    let of_log = AuditQuery {
        filters: AuditFilters {
            actor: pairs.text("actor")?,
            on_behalf_of: pairs.uuid("on_behalf_of")?,
            subject: pairs.uuid("subject")?,
            resource_type: pairs.text("resource_type")?,
            resource_id: pairs.text("resource_id")?,
            actions: pairs.texts("action")?,
            from: pairs.instant("from")?,
            until: pairs.instant("until")?,
            correlation_id: pairs.uuid("correlation_id")?,
        },
        order: order(&mut pairs)?,
        after: pairs.number("after")?,
        limit: pairs.count("limit", LIMIT_MAX)?,
        as_of: pairs.as_of("as_of")?,
    };
    pairs.done()?;
    Ok(Asked { of_log, min_position, fields })
}

/// In which order, in its own words or in those of all lists.
fn order(pairs: &mut Pairs) -> Result<Order, Problem> {
    let order = pairs.read("order", "expected `newest_first` or `oldest_first`", |text| match text {
        "newest_first" => Some(Order::NewestFirst),
        "oldest_first" => Some(Order::OldestFirst),
        _ => None,
    })?;
    // The log is in one order; whatever else one might sort by would have to be read to its end first.
    let sort = pairs.read("sort", "expected `position` or `-position`", |text| match text {
        "-position" => Some(Order::NewestFirst),
        "position" => Some(Order::OldestFirst),
        _ => None,
    })?;
    match (order, sort) {
        (Some(_), Some(_)) => Err(Problem::parameter("sort", "`order` says it already")),
        (order, sort) => Ok(order.or(sort).unwrap_or_default()),
    }
}

impl Asked {
    /// The answer: a page with the fields that were asked for of its entries, which are its member `list`.
    pub(super) fn answer(
        &self,
        call: &Call<'_>,
        page: &impl Serialize,
        list: &str,
        next: Option<Position>,
    ) -> HttpResponse {
        let mut response =
            if self.fields.is_empty() { answer(page) } else { answer(&self.chosen(page, list)) };
        if let Some(next) = next {
            query::link_next(call, &next.to_string(), &mut response);
        }
        response
    }

    fn chosen(&self, page: &impl Serialize, list: &str) -> Value {
        let mut page = serde_json::to_value(page).unwrap_or_default();
        let entries = page[list].as_array_mut().into_iter().flatten();
        for entry in entries.filter_map(Value::as_object_mut) {
            entry.retain(|name, _| self.fields.contains(name));
        }
        page
    }
}

async fn trail(api: &Api, call: &Call<'_>, actor: &Actor, pairs: Pairs) -> Result<HttpResponse, Problem> {
    let asked = asked::<Entry>(pairs)?;
    if let Some(not_yet) = query::unrecorded(api, asked.min_position).await? {
        return Ok(not_yet);
    }
    let page = api.projections.audit(actor, &asked.of_log).await.map_err(problem)?;
    access::log_read(api, call, page.subjects.iter().copied()).await?;
    Ok(asked.answer(call, &page, "entries", page.next))
}

async fn chain(api: &Api, call: &Call<'_>, mut pairs: Pairs) -> Result<HttpResponse, Problem> {
    let as_of = pairs.as_of("as_of")?;
    pairs.done()?;
    let event = call.id("id")?;
    let chain = api.projections.causation_chain(call.actor()?, event, as_of).await.map_err(problem)?;
    let chain = chain
        .ok_or_else(|| Problem::new(NOT_FOUND, "there is no such event, or it is not the caller's to see"))?;
    access::log_read(api, call, chain.subjects.iter().copied()).await?;
    Ok(answer(&chain))
}

async fn graph(
    api: &Api,
    call: &Call<'_>,
    mut pairs: Pairs,
    node: String,
) -> Result<projections::governance::Graph, Problem> {
    let asked = LineageQuery {
        node,
        direction: pairs
            .read("direction", "expected `upstream`, `downstream` or `both`", |text| match text {
                "upstream" => Some(Direction::Upstream),
                "downstream" => Some(Direction::Downstream),
                "both" => Some(Direction::Both),
                _ => None,
            })?
            .unwrap_or_default(),
        depth: pairs.count("depth", DEPTH_MAX)?,
        nodes: pairs.count("nodes", NODES_MAX)?,
        as_of: pairs.as_of("as_of")?,
    };
    pairs.done()?;
    if asked.node.contains('\0') {
        return Err(Problem::new(NOT_FOUND, "there is no such node"));
    }
    let graph = api.projections.lineage(call.actor()?, &asked).await.map_err(problem)?;
    access::log_read(api, call, graph.subjects.iter().copied()).await?;
    Ok(graph)
}

fn answer(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(body)
}

pub(super) fn problem(error: GovernanceError) -> Problem {
    let detail = error.to_string();
    match error {
        GovernanceError::Forbidden => Problem::new(FORBIDDEN, detail),
        GovernanceError::BadLimit { name, .. } => Problem::new(INVALID_PARAMETER, detail).at(name),
        GovernanceError::BadNode(_) | GovernanceError::NoSuchNode(_) => {
            Problem::new(NOT_FOUND, "there is no such node")
        }
        GovernanceError::AsOfAhead(_) => Problem::new(NOT_FOUND, detail).at("as_of"),
        GovernanceError::Behind { .. } => Problem::new(UNAVAILABLE, detail).retry_after(1),
        GovernanceError::Failed(error) => query::failed(&error),
        other => query::failed(&other),
    }
}
