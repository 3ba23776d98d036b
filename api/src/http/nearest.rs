//! What is alike: credentials by the meaning of a text. Every text of the registry has a vector, which the embedding that is
//! plugged in computes; the nearest ones are found by comparing all of them, exactly, and without an extension of the
//! database.
//!
//! Measured for vectors of 384 dimensions, optimised, on one core of a virtual machine, the median of nine: comparing and
//! ordering takes 18 ms of a registry of 10 000 and 185 ms of one of 100 000, of the 200 ms that a search may take.
//! An index of approximate neighbours would have to be kept in step with the read model and would miss some of what is
//! alike; it is worth that from some hundred thousand credentials on, which no campus has.
//!
//! The vectors are kept in memory, as a cache of what the read model says: each search first looks up what changed.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use actix_web::{HttpResponse, web};
use commands::ports::{Embedding, cosine};
use domain::BasisPoints;
use projections::{Condition, Op, credentials::TextsKnown, query::LIMIT_MAX};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{
    Api, Call, access,
    query::{self, Asked},
    route::QueryRoute,
};
use crate::problem::{Problem, UNAVAILABLE};

/// How many credentials are shown where the client does not say.
pub const NEAREST: usize = 10;
/// How many at most.
pub const NEAREST_MAX: usize = 50;
/// The most characters of a text to compare with.
pub const TEXT_MAX: usize = 500;
/// How many texts are embedded at once.
const CHUNK: usize = 256;

/// The vectors of the registry.
pub struct Nearest {
    embedding: Arc<dyn Embedding>,
    vectors: Mutex<Vectors>,
}

#[derive(Default)]
struct Vectors {
    known: TextsKnown,
    of: HashMap<Uuid, Vec<f32>>,
}

impl Nearest {
    /// None computed yet.
    pub fn new(embedding: Arc<dyn Embedding>) -> Self {
        Nearest { embedding, vectors: Mutex::default() }
    }

    /// All credentials that are alike at all, the nearest first.
    async fn ranked(&self, api: &Api, text: String) -> Result<Vec<(Uuid, BasisPoints)>, Problem> {
        let wanted = self.embed(&[text]).await?.remove(0);
        let mut vectors = self.vectors.lock().await;
        let news = api.projections.credential_texts(vectors.known).await.map_err(query::problem)?;
        if news.anew {
            vectors.of.clear();
        }
        for some in news.texts.chunks(CHUNK) {
            let texts: Vec<String> = some.iter().map(|(_, text)| text.clone()).collect();
            let computed = self.embed(&texts).await?;
            vectors.of.extend(some.iter().map(|(id, _)| *id).zip(computed));
        }
        // Only now: what failed on the way is computed by the next search.
        vectors.known = news.known;
        let scored = vectors.of.iter().map(|(id, vector)| (*id, cosine(&wanted, vector)));
        let mut scored: Vec<(Uuid, BasisPoints)> = scored.filter(|(_, score)| score.0 > 0).collect();
        scored.sort_unstable_by_key(|(id, score)| (Reverse(score.0), *id));
        Ok(scored)
    }

    /// As many vectors as texts.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, Problem> {
        let unavailable = |detail: String| {
            tracing::warn!(detail, "the embedding gave no answer");
            Problem::new(UNAVAILABLE, "what is alike cannot be told now").retry_after(1)
        };
        let vectors = self.embedding.embed(texts).await.map_err(|error| unavailable(error.to_string()))?;
        if vectors.len() == texts.len() {
            Ok(vectors)
        } else {
            Err(unavailable("it gave another number of vectors".into()))
        }
    }
}

/// The credentials that the caller may see and whose texts come nearest to one.
pub(super) async fn handle(api: &Api, call: &Call<'_>, route: &QueryRoute) -> Result<HttpResponse, Problem> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(call.request.query_string())
        .map_err(|_| Problem::parameter("query", "the query string is malformed"))?
        .into_inner();
    let (texts, pairs): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, _)| name == "semantic");
    let text = match <[_; 1]>::try_from(texts) {
        Ok([(_, text)]) if (1..=TEXT_MAX).contains(&text.trim().chars().count()) => text,
        _ => return Err(Problem::parameter("semantic", "expected one text of 1 to 500 characters")),
    };
    if let Some((name, _)) = pairs.iter().find(|(name, _)| ["sort", "after", "as_of"].contains(&&**name)) {
        return Err(Problem::parameter(name, "the nearest come first, and on one page"));
    }
    let filters = api.filters.get(route.model).map(Vec::as_slice).unwrap_or_default();
    let mut query = query::read(filters, false, pairs)?;
    let limit = query.limit.unwrap_or(NEAREST);
    if !(1..=NEAREST_MAX).contains(&limit) {
        return Err(Problem::parameter("limit", "expected a number from 1 to 50"));
    }
    let with_id = query.fields.is_empty() || query.fields.iter().any(|field| field == "id");
    if !with_id {
        query.fields.push("id".into());
    }
    query.limit = Some(LIMIT_MAX);
    // Though nothing be alike, and whatever has to be waited for.
    api.projections.check(route.model, call.actor()?, &query).map_err(query::problem)?;
    if let Some(not_yet) = query::behind(api, route.model, query.min_position).await? {
        return Ok(not_yet);
    }
    let ranked = api.nearest.ranked(api, text).await?;
    let asked = query.filters.len();
    let (mut items, mut position) = (Vec::new(), None);
    // Which of them fit and may be seen, SQL tells: the nearest are asked for first.
    for some in ranked.chunks(LIMIT_MAX) {
        query.filters.truncate(asked);
        let ids = some.iter().map(|(id, _)| id.to_string()).collect();
        query.filters.push(Condition { column: "id".into(), op: Op::In, values: ids });
        let page = match query::ask(api, call, route, &query).await? {
            Asked::Page(page) => page,
            Asked::NotYet(response) => return Ok(response),
        };
        access::log_read(api, call, page.subjects.iter().copied()).await?;
        position = Some(page.position);
        let mut rows: HashMap<String, Value> = page.rows.into_iter().filter_map(named).collect();
        for (id, score) in some {
            let Some(mut row) = rows.remove(&id.to_string()) else { continue };
            if let Some(row) = row.as_object_mut().filter(|_| !with_id) {
                row.remove("id");
            }
            items.push(json!({ "score": score, "credential": row }));
        }
        if items.len() >= limit {
            break;
        }
    }
    items.truncate(limit);
    let engine = api.nearest.embedding.engine();
    let body = json!({ "items": items, "engine": engine, "position": position.unwrap_or_default() });
    Ok(query::answer(call, route, &body["items"].to_string(), &body))
}

fn named(row: Value) -> Option<(String, Value)> {
    Some((row["id"].as_str()?.to_owned(), row))
}
