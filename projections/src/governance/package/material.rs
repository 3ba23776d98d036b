//! What a package is made of: the events that name the person, found by the index and read from the log, and its list of
//! contents.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Actor, Answer};
use event_store::{AsOf, Position, Recorded, integrity::Leaf};
use uuid::Uuid;

use super::{PackageRequest, seal::manifest};
use crate::{
    ProjectionError, Projections,
    governance::{
        GovernanceError, Order,
        log_index::Term,
        log_view::{LogView, Source},
        purposes::context_of,
    },
};

/// How many events are read at once.
const CHUNK: usize = 1000;
/// The first line of a list of contents.
pub(super) const FORMAT: &str = "annals-package/v1";

/// The events that a package is made of, in the order of the log.
pub(super) struct Material {
    pub(super) events: Vec<Recorded>,
}

/// What can be said of a package without making it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageSummary {
    /// The SHA-256 of its list of contents, in lower-case hexadecimal. It commits to what is stored, which is encrypted: it
    /// tells nothing of the values, and stays what it is when they are erased.
    pub manifest_sha256: String,
    /// How many events of each context are in it.
    pub contexts: BTreeMap<String, u32>,
}

impl Projections {
    /// What can be said of the package of a request without making it.
    ///
    /// # Errors
    /// When the log cannot be read, or its index is far behind.
    pub async fn package_summary(&self, request: &PackageRequest) -> Result<PackageSummary, GovernanceError> {
        let material = Material::gather(self, request).await?;
        let mut contexts = BTreeMap::new();
        for event in &material.events {
            *contexts.entry(context_of(&event.stream.aggregate_type).to_owned()).or_default() += 1;
        }
        Ok(PackageSummary { manifest_sha256: material.manifest(request), contexts })
    }
}

impl Projections {
    /// What the policy that hands packages out asks (P-54).
    ///
    /// # Errors
    /// When nobody approved the request, or the log cannot be read.
    pub(crate) async fn package_answer(&self, request: Uuid) -> Result<Answer, ProjectionError> {
        let looked = |error| match error {
            GovernanceError::Failed(error) => error,
            other => ProjectionError::WrongState(other.to_string()),
        };
        let found = self.package_request(request).await.map_err(looked)?;
        let none = || ProjectionError::WrongState(format!("the request {request} has no package"));
        let summary = self.package_summary(&found.ok_or_else(none)?).await.map_err(looked)?;
        let PackageSummary { manifest_sha256: manifest_hash, contexts: records } = summary;
        Ok(Answer::Package { manifest_hash, records })
    }
}

impl Material {
    pub(super) async fn gather(
        projections: &Projections,
        request: &PackageRequest,
    ) -> Result<Material, GovernanceError> {
        let positions = positions(projections, request).await?;
        let store = &projections.0.store;
        let mut events = Vec::with_capacity(positions.len());
        for some in positions.chunks(CHUNK) {
            events.extend(store.read_at(some).await?);
        }
        Ok(Material { events })
    }

    /// The hash of the list of contents: what the package answers, and of each event the position and the hash of its leaf in
    /// the log's tree.
    pub(super) fn manifest(&self, request: &PackageRequest) -> String {
        let PackageRequest { request, subject, r#type, position, .. } = request;
        let leaves: Vec<Leaf> = self.events.iter().map(Leaf::of).collect();
        manifest((*request, *subject, (*r#type).into(), *position), leaves.iter())
    }
}

/// Where the person occurs, up to the position of the package, but for what they are not told.
async fn positions(
    projections: &Projections,
    request: &PackageRequest,
) -> Result<Vec<Position>, GovernanceError> {
    let subject = request.subject;
    let view = LogView::open(projections, Some(AsOf::Position(request.position))).await?;
    let groups = vec![vec![Term::Subject(subject).number()]];
    let source = Source::Terms { groups, also: BTreeSet::new() };
    let named = |entry: &crate::governance::Entry| entry.subjects.contains(&subject);
    let range = (1, request.position);
    let (entries, _) = view.find(source, range, Order::OldestFirst, usize::MAX, named).await?;
    let untold = view.untold(subject).await?;
    Ok(entries
        .into_iter()
        .map(|entry| entry.position)
        .filter(|position| !untold.contains(position))
        .collect())
}

/// The person, as who may see their own and nothing else.
pub(super) fn own(request: &PackageRequest) -> Actor {
    Actor::user(request.subject, &[])
}
