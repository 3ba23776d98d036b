//! For specs: what other streams tell, without any I/O.

use std::{any::Any, collections::BTreeMap, sync::Arc};

use uuid::Uuid;

use crate::kernel::{Answer, Decider, Known, NotYet, Question, Versioned};

/// Streams that exist, and which of them a decision pinned.
#[derive(Default)]
pub(super) struct World {
    streams: BTreeMap<(&'static str, Uuid), Arc<dyn Any + Send + Sync>>,
    pub(super) pinned: Vec<Uuid>,
}

impl World {
    pub(super) fn with<D: Decider>(mut self, id: Uuid, state: D) -> Self {
        self.streams.insert((D::TYPE, id), Arc::new(state));
        self
    }
}

impl Known for World {
    fn stream<D: Decider>(&mut self, id: Uuid) -> Result<Versioned<D>, NotYet> {
        let found = self.streams.get(&(D::TYPE, id)).cloned();
        let version = found.is_some().into();
        let state = found.and_then(|state| state.downcast::<D>().ok()).unwrap_or_default();
        Ok(Versioned { state, version })
    }

    fn pinned<D: Decider>(&mut self, id: Uuid) -> Result<Versioned<D>, NotYet> {
        self.pinned.push(id);
        self.stream(id)
    }

    fn ask(&mut self, _: Question) -> Result<Answer, NotYet> {
        Err(NotYet)
    }
}
