//! The request that a package answers, read from its own stream.

use domain::{
    Decider, RecordClass,
    governance::{
        PrivacyRegime, PrivacyRequest, PrivacyRequestEvent as E, PrivacyRequestStatus, PrivacyRequestType,
    },
    registry::AnyEvent,
};
use event_store::{Position, StreamId};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::{Projections, fact::Batch, governance::GovernanceError};

/// For how long a package can be fetched (GOV-P3).
pub const PACKAGE_VALID_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A request that is answered with a package, and was approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageRequest {
    /// The request.
    pub request: Uuid,
    /// Whose data it is about.
    pub subject: Uuid,
    /// Under which law.
    pub regime: PrivacyRegime,
    /// What was asked for.
    pub r#type: PrivacyRequestType,
    /// The classes that were approved; none means all.
    pub classes: Vec<RecordClass>,
    /// The classes that were refused.
    pub refused: Vec<RecordClass>,
    /// What was said of it, such as why classes were refused.
    pub note: Option<String>,
    /// The position of the approval: the package is made of the log up to there.
    pub position: Position,
    /// When it was approved.
    pub approved_at: Timestamp,
    /// The hash of the list of contents that was recorded, and when.
    pub attached: Option<(String, Timestamp)>,
    /// Whether everything was done.
    pub completed: bool,
}

impl PackageRequest {
    /// Whether personal values of this class may be shown.
    pub(super) fn has_class(&self, class: &str) -> bool {
        self.classes.is_empty() || self.classes.iter().any(|approved| approved.name() == class)
    }

    /// Until when it can be fetched.
    pub fn valid_until(&self) -> Option<Timestamp> {
        let (_, at) = self.attached.as_ref()?;
        at.checked_add(PACKAGE_VALID_FOR).ok()
    }
}

impl Projections {
    /// The request, as far as it is one that a package answers and was approved.
    ///
    /// # Errors
    /// When the log or the keys cannot be read.
    pub async fn package_request(&self, request: Uuid) -> Result<Option<PackageRequest>, GovernanceError> {
        let store = &self.0.store;
        let stream = StreamId::new(PrivacyRequest::TYPE, request.to_string());
        let batch = Batch::decode(store.read_stream(&stream, 0, None).await?, store.keyring()).await?;
        let mut found = None;
        let mut state = PrivacyRequest::default();
        for fact in &batch.facts {
            let AnyEvent::PrivacyRequest(event) = &fact.event else { continue };
            state.evolve(event);
            if let E::PrivacyRequestApproved { note, regime, r#type, subject, classes, refused } = event {
                found = r#type.wants_package().then(|| PackageRequest {
                    request,
                    subject: *subject,
                    regime: *regime,
                    r#type: *r#type,
                    classes: classes.clone(),
                    refused: refused.clone(),
                    note: note.clone(),
                    position: fact.position,
                    approved_at: fact.recorded_at,
                    attached: None,
                    completed: false,
                });
            }
            if let (Some(found), E::PrivacyPackageAttached { manifest_hash, .. }) = (&mut found, event) {
                found.attached = Some((manifest_hash.clone(), fact.recorded_at));
            }
        }
        if let Some(found) = &mut found {
            found.completed = state.status == PrivacyRequestStatus::Completed;
        }
        Ok(found)
    }
}
